"""Functions of tensors, as they are called in the package.

Made from the table of names by `pytest tests/frontend/test_names.py --bless`.
"""

from collections.abc import Sequence
from typing import Any

from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.reductions import Axis

__all__: list[str] = [
    "abs",
    "absolute",
    "all",
    "allclose",
    "amax",
    "amin",
    "any",
    "argmax",
    "argmin",
    "broadcast_to",
    "cat",
    "ceil",
    "chunk",
    "clamp",
    "clip",
    "clone",
    "concat",
    "concatenate",
    "cos",
    "cumsum",
    "detach",
    "dot",
    "equal",
    "erf",
    "exp",
    "expm1",
    "fix",
    "flatten",
    "flip",
    "floor",
    "ger",
    "index_select",
    "isfinite",
    "isinf",
    "isnan",
    "log",
    "log1p",
    "log_softmax",
    "logical_not",
    "logsumexp",
    "matmul",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "narrow",
    "outer",
    "permute",
    "pow",
    "reciprocal",
    "relu",
    "reshape",
    "round",
    "rsqrt",
    "sigmoid",
    "sign",
    "sin",
    "softmax",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "sum",
    "swapaxes",
    "swapdims",
    "t",
    "tanh",
    "transpose",
    "tril",
    "triu",
    "trunc",
    "unsqueeze",
    "var",
    "where",
]

def abs(input: Tensor) -> Tensor: ...
def absolute(input: Tensor) -> Tensor: ...
def all(input: Tensor, dim: Axis = None, keepdim: bool = False, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether every element is true (not 0), which is so of nothing."""

def allclose(a: Any, b: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """Whether |a - b| <= atol + rtol * |b| everywhere; needs values, so not under tt.compile."""

def amax(
    input: Tensor, dim: Axis = None, keepdim: bool = False, *, axis: Axis = None, keepdims: bool = False
) -> Tensor: ...
def amin(
    input: Tensor, dim: Axis = None, keepdim: bool = False, *, axis: Axis = None, keepdims: bool = False
) -> Tensor: ...
def any(input: Tensor, dim: Axis = None, keepdim: bool = False, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether an element is true (not 0), which is not so of nothing."""

def argmax(
    input: Tensor, dim: int | None = None, keepdim: bool = False, *, axis: int | None = None, keepdims: bool = False
) -> Tensor:
    """Index of the first largest element (i64) along `dim`, or in the flattened tensor."""

def argmin(
    input: Tensor, dim: int | None = None, keepdim: bool = False, *, axis: int | None = None, keepdims: bool = False
) -> Tensor: ...
def broadcast_to(input: Tensor, *shape: Any) -> Tensor: ...
def cat(tensors: Sequence[Tensor], dim: int = 0, *, axis: int = 0) -> Tensor:
    """The tensors one after the other along `dim`; their dtypes are promoted to one."""

def ceil(input: Tensor) -> Tensor: ...
def chunk(x: Tensor, chunks: int, dim: int = 0, *, axis: int = 0) -> list[Tensor]:
    """At most `chunks` parts of equal size along `dim`, the last one perhaps smaller; of an empty axis
    `chunks`."""

def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """Limited to [min, max], numbers or tensors, and `max` where `min` is larger."""

def clip(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """Limited to [min, max], numbers or tensors, and `max` where `min` is larger."""

def clone(input: Tensor) -> Tensor: ...
def concat(tensors: Sequence[Tensor], dim: int = 0, *, axis: int = 0) -> Tensor:
    """The tensors one after the other along `dim`; their dtypes are promoted to one."""

def concatenate(tensors: Sequence[Tensor], dim: int = 0, *, axis: int = 0) -> Tensor:
    """The tensors one after the other along `dim`; their dtypes are promoted to one."""

def cos(input: Tensor) -> Tensor: ...
def cumsum(input: Tensor, dim: int) -> Tensor:
    """Sums of all elements up to each, along `dim`; small integers and bools are summed as i64."""

def detach(input: Tensor) -> Tensor:
    """The same values, through which no gradient flows."""

def dot(a: Tensor, b: Tensor) -> Tensor:
    """The inner product of two vectors."""

def equal(a: Any, b: Any) -> bool:
    """Whether shapes and all values are the same; needs values, so not under tt.compile."""

def erf(input: Tensor) -> Tensor: ...
def exp(input: Tensor) -> Tensor: ...
def expm1(input: Tensor) -> Tensor: ...
def fix(input: Tensor) -> Tensor: ...
def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor: ...
def flip(input: Tensor, *dims: Any) -> Tensor:
    """A copy with the order along `dims` reversed."""

def floor(input: Tensor) -> Tensor: ...
def ger(a: Tensor, b: Tensor) -> Tensor:
    """Every product of an element of vector `a`, by rows, with one of vector `b`."""

def index_select(input: Tensor, dim: int, index: Any) -> Tensor:
    """What the integers of the vector `index` name along `dim`, counted from the end where they are
    negative."""

def isfinite(input: Tensor) -> Tensor: ...
def isinf(input: Tensor) -> Tensor: ...
def isnan(input: Tensor) -> Tensor: ...
def log(input: Tensor) -> Tensor: ...
def log1p(input: Tensor) -> Tensor: ...
def log_softmax(input: Tensor, dim: int = -1, *, axis: int = -1) -> Tensor:
    """x - log(sum(exp(x))) along `dim`, shifted by the maximum so that nothing overflows."""

def logical_not(input: Tensor) -> Tensor: ...
def logsumexp(input: Tensor, dim: int = -1, keepdim: bool = False, *, axis: int = -1, keepdims: bool = False) -> Tensor:
    """log(sum(exp(x))) along `dim`, shifted by the maximum."""

def matmul(input: Tensor, other: Any, *, dtype: object = None) -> Tensor:
    """Matrix product with numpy's rules: 1-D operands are vectors, leading axes are broadcast
    batches."""

def max(input: Tensor, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The largest element; along one `dim`, (values, indices), the gradient of which goes to the first
    of equals; of a tensor and another, `maximum`."""

def maximum(input: Tensor, other: Any) -> Tensor: ...
def mean(
    input: Tensor, dim: Axis = None, keepdim: bool = False, *, axis: Axis = None, keepdims: bool = False
) -> Tensor: ...
def min(input: Tensor, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The smallest element; along one `dim`, (values, indices); of a tensor and another, `minimum`."""

def minimum(input: Tensor, other: Any) -> Tensor: ...
def narrow(input: Tensor, dim: int, start: Any, length: int) -> Tensor:
    """`length` elements along `dim` from `start` on, a view: a number, or a tensor of one integer,
    counted from the end if negative."""

def outer(a: Tensor, b: Tensor) -> Tensor:
    """Every product of an element of vector `a`, by rows, with one of vector `b`."""

def permute(input: Tensor, *axes: Any) -> Tensor: ...
def pow(input: Tensor, exponent: Any) -> Tensor: ...
def reciprocal(input: Tensor) -> Tensor: ...
def relu(input: Tensor) -> Tensor:
    """max(x, 0)."""

def reshape(input: Tensor, *shape: Any) -> Tensor:
    """The elements in row-major order under `shape`; one dimension may be -1."""

def round(input: Tensor) -> Tensor: ...
def rsqrt(input: Tensor) -> Tensor: ...
def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""

def sign(input: Tensor) -> Tensor: ...
def sin(input: Tensor) -> Tensor: ...
def softmax(input: Tensor, dim: int = -1, *, axis: int = -1) -> Tensor:
    """exp(x) / sum(exp(x)) along `dim`."""

def split(x: Tensor, size: int | Sequence[int], dim: int = 0, *, axis: int = 0) -> list[Tensor]:
    """Parts of `size` along `dim`, the last one perhaps smaller; or parts of the sizes in a list."""

def sqrt(input: Tensor) -> Tensor: ...
def square(input: Tensor) -> Tensor: ...
def squeeze(input: Tensor, dim: Axis = None, *, axis: Axis = None) -> Tensor:
    """Axes of size 1 dropped: all of them, or those of `dim` that have it."""

def stack(tensors: Sequence[Tensor], dim: int = 0, *, axis: int = 0) -> Tensor:
    """The tensors, all of one shape, along a new axis `dim`."""

def std(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
    axis: Any = None,
    keepdims: bool = False,
) -> Tensor:
    """The square root of `var`."""

def sum(input: Tensor, dim: Axis = None, keepdim: bool = False, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Sum over `dim` (or `axis`), all by default; small integers and bools are summed as i64."""

def swapaxes(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Axes `dim0` and `dim1` exchanged."""

def swapdims(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Axes `dim0` and `dim1` exchanged."""

def t(input: Tensor) -> Tensor:
    """The transpose of a matrix; vectors and single elements as they are."""

def tanh(input: Tensor) -> Tensor: ...
def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Axes `dim0` and `dim1` exchanged."""

def tril(x: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangles of the matrices in the last two axes, 0 above the `diagonal`."""

def triu(x: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangles of the matrices in the last two axes, 0 below the `diagonal`."""

def trunc(input: Tensor) -> Tensor: ...
def unsqueeze(input: Tensor, dim: int) -> Tensor: ...
def var(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
    axis: Any = None,
    keepdims: bool = False,
) -> Tensor:
    """Variance: the squares of the distances from the mean, divided by n - `correction` (1 by default,
    0 if not `unbiased`) or by 0 where that is negative."""

def where(condition: Any, a: Any, b: Any) -> Tensor:
    """`a` where the condition is true, else `b`; all three broadcast, `a` and `b` may be numbers."""
