"""Functions of tensors, as they are called in linalg.

Made from the table of names by `pytest tests/frontend/test_names.py --bless`.
"""

from collections.abc import Sequence
from typing import Any

from tinytorch.frontend.tensor import Tensor

__all__: list[str] = ["cross", "diagonal", "householder_product", "matmul", "multi_dot", "vander", "vecdot"]

def cross(input: Tensor, other: Tensor, *, dim: int = -1, axis: int = -1) -> Tensor:
    """The cross product of vectors with three elements along `dim`; the other axes broadcast."""

def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The diagonals of the matrices in `dim1` and `dim2`, along a new last axis."""

def householder_product(A: Tensor, tau: Tensor) -> Tensor:
    """The first columns [..., m, n] of the product of reflections 1 - tau[i] v[i] v[i]^T: vector i
    stands in column i of A below the diagonal, with a 1 on it. m >= n >= the size of tau, as LAPACK's
    `orgqr`."""

def matmul(input: Tensor, other: Any, *, dtype: object = None) -> Tensor:
    """Matrix product with numpy's rules: 1-D operands are vectors, leading axes are broadcast
    batches."""

def multi_dot(tensors: Sequence[Tensor]) -> Tensor:
    """The product of matrices in the order that takes the fewest operations; the first and the last may
    be vectors."""

def vander(x: Tensor, *, N: int | None = None) -> Tensor:
    """[..., n, N] with the powers 0, 1, … N - 1 of each element (N is n by default)."""

def vecdot(x: Tensor, y: Tensor, *, dim: int = -1, axis: int = -1) -> Tensor:
    """The inner products of vectors along `dim`; the other axes broadcast."""
