"""Functions of tensors, as they are called in linalg.

Made from the table of names by `pytest tests/frontend/test_names.py --bless`.
"""

from typing import Any

from tinytorch.frontend.tensor import Tensor

__all__: list[str] = ["matmul"]

def matmul(input: Tensor, other: Any, *, dtype: object = None) -> Tensor:
    """Matrix product with numpy's rules: 1-D operands are vectors, leading axes are broadcast
    batches."""
