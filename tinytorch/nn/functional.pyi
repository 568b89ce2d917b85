"""Functions of tensors, as they are called in nn.functional.

Made from the table of names by `pytest tests/frontend/test_names.py --bless`.
"""

from tinytorch.frontend import functional as _functional
from tinytorch.frontend.functional import *

__all__: list[str] = []
__all__ += _functional.__all__
