"""Module 02: activations.

To read, in this order: `activations` (the functions and modules of the course), then, under the names of torch.nn,
`functions` (the others) and `modules` (that call them).
"""

from tinytorch.frontend.activations import activations as _activations
from tinytorch.frontend.activations.activations import *

__all__: list[str] = []
__all__ += _activations.__all__
