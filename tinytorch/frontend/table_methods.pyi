"""The methods of tensors that come from the table of names.

Made from the table of names by `pytest tests/frontend/test_names.py --bless`.
"""

from collections.abc import Sequence
from typing import Any

from tinytorch.frontend.tensor import Tensor

class TableMethods:
    __slots__ = ()

    def abs_(self) -> Tensor:
        """`abs`, written over this tensor."""

    def absolute(self) -> Tensor: ...
    def absolute_(self) -> Tensor:
        """`absolute`, written over this tensor."""

    def allclose(self, b: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
        """Whether |a - b| <= atol + rtol * |b| everywhere; needs values, so not under tt.compile."""

    def ceil_(self) -> Tensor:
        """`ceil`, written over this tensor."""

    def chunk(self, chunks: int, dim: int = 0, *, axis: int = 0) -> list[Tensor]:
        """At most `chunks` parts of equal size along `dim`, the last one perhaps smaller; of an empty axis
        `chunks`."""

    def clip_(self, min: Any = None, max: Any = None) -> Tensor:
        """`clip`, written over this tensor."""

    def cos_(self) -> Tensor:
        """`cos`, written over this tensor."""

    def cumsum_(self, dim: int) -> Tensor:
        """`cumsum`, written over this tensor."""

    def dot(self, b: Tensor) -> Tensor:
        """The inner product of two vectors."""

    def equal(self, b: Any) -> bool:
        """Whether shapes and all values are the same; needs values, so not under tt.compile."""

    def erf_(self) -> Tensor:
        """`erf`, written over this tensor."""

    def exp_(self) -> Tensor:
        """`exp`, written over this tensor."""

    def expm1_(self) -> Tensor:
        """`expm1`, written over this tensor."""

    def fix(self) -> Tensor: ...
    def fix_(self) -> Tensor:
        """`fix`, written over this tensor."""

    def floor_(self) -> Tensor:
        """`floor`, written over this tensor."""

    def ger(self, b: Tensor) -> Tensor:
        """Every product of an element of vector `a`, by rows, with one of vector `b`."""

    def log1p_(self) -> Tensor:
        """`log1p`, written over this tensor."""

    def log_(self) -> Tensor:
        """`log`, written over this tensor."""

    def logical_not_(self) -> Tensor:
        """`logical_not`, written over this tensor."""

    def outer(self, b: Tensor) -> Tensor:
        """Every product of an element of vector `a`, by rows, with one of vector `b`."""

    def reciprocal_(self) -> Tensor:
        """`reciprocal`, written over this tensor."""

    def relu_(self) -> Tensor:
        """`relu`, written over this tensor."""

    def round_(self) -> Tensor:
        """`round`, written over this tensor."""

    def rsqrt_(self) -> Tensor:
        """`rsqrt`, written over this tensor."""

    def sigmoid_(self) -> Tensor:
        """`sigmoid`, written over this tensor."""

    def sign_(self) -> Tensor:
        """`sign`, written over this tensor."""

    def sin_(self) -> Tensor:
        """`sin`, written over this tensor."""

    def split(self, size: int | Sequence[int], dim: int = 0, *, axis: int = 0) -> list[Tensor]:
        """Parts of `size` along `dim`, the last one perhaps smaller; or parts of the sizes in a list."""

    def sqrt_(self) -> Tensor:
        """`sqrt`, written over this tensor."""

    def square_(self) -> Tensor:
        """`square`, written over this tensor."""

    def swapdims(self, dim0: int, dim1: int) -> Tensor:
        """Axes `dim0` and `dim1` exchanged."""

    def tanh_(self) -> Tensor:
        """`tanh`, written over this tensor."""

    def tril(self, diagonal: int = 0) -> Tensor:
        """The lower triangles of the matrices in the last two axes, 0 above the `diagonal`."""

    def tril_(self, diagonal: int = 0) -> Tensor:
        """`tril`, written over this tensor."""

    def triu(self, diagonal: int = 0) -> Tensor:
        """The upper triangles of the matrices in the last two axes, 0 below the `diagonal`."""

    def triu_(self, diagonal: int = 0) -> Tensor:
        """`triu`, written over this tensor."""

    def trunc_(self) -> Tensor:
        """`trunc`, written over this tensor."""
