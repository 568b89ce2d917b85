"""The Array API standard, 2024.12, over tensors

Made from the table of names by `pytest tests/frontend/test_names.py --bless`.
"""

import builtins
from collections.abc import Sequence
from typing import Any, Literal

from tinytorch.frontend.standard.creation import Shape
from tinytorch.frontend.standard.data_types import Info
from tinytorch.frontend.standard.searching import UniqueAll, UniqueCounts, UniqueInverse
from tinytorch.frontend.standard.statistics import Axes
from tinytorch.frontend.tensor.devices import device as Device
from tinytorch.frontend.tensor.dtypes import finfo, iinfo
from tinytorch.frontend.tensor.tensor import Tensor
from tinytorch.ir.types import DType

__all__: list[str] = [
    "DType",
    "Device",
    "__array_namespace_info__",
    "abs",
    "acos",
    "acosh",
    "add",
    "all",
    "any",
    "arange",
    "argmax",
    "argmin",
    "argsort",
    "asarray",
    "asin",
    "asinh",
    "astype",
    "atan",
    "atan2",
    "atanh",
    "bitwise_and",
    "bitwise_invert",
    "bitwise_left_shift",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "bool",
    "broadcast_arrays",
    "broadcast_shapes",
    "broadcast_to",
    "can_cast",
    "ceil",
    "clip",
    "concat",
    "conj",
    "copysign",
    "cos",
    "cosh",
    "count_nonzero",
    "cumulative_prod",
    "cumulative_sum",
    "diff",
    "divide",
    "e",
    "empty",
    "empty_like",
    "equal",
    "exp",
    "expand_dims",
    "expm1",
    "eye",
    "finfo",
    "flip",
    "float32",
    "float64",
    "floor",
    "floor_divide",
    "from_dlpack",
    "full",
    "full_like",
    "greater",
    "greater_equal",
    "hypot",
    "iinfo",
    "inf",
    "int8",
    "int32",
    "int64",
    "isdtype",
    "isfinite",
    "isin",
    "isinf",
    "isnan",
    "less",
    "less_equal",
    "linspace",
    "log",
    "log1p",
    "log2",
    "log10",
    "logaddexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "matmul",
    "matrix_transpose",
    "max",
    "maximum",
    "mean",
    "meshgrid",
    "min",
    "minimum",
    "moveaxis",
    "multiply",
    "nan",
    "negative",
    "newaxis",
    "nextafter",
    "nonzero",
    "not_equal",
    "ones",
    "ones_like",
    "permute_dims",
    "pi",
    "positive",
    "pow",
    "prod",
    "real",
    "reciprocal",
    "remainder",
    "repeat",
    "reshape",
    "result_type",
    "roll",
    "round",
    "searchsorted",
    "sign",
    "signbit",
    "sin",
    "sinh",
    "sort",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "subtract",
    "sum",
    "take",
    "take_along_axis",
    "tan",
    "tanh",
    "tensordot",
    "tile",
    "tril",
    "triu",
    "trunc",
    "uint8",
    "unique_all",
    "unique_counts",
    "unique_inverse",
    "unique_values",
    "unstack",
    "var",
    "vecdot",
    "where",
    "zeros",
    "zeros_like",
]

bool: DType
e: float
float32: DType
float64: DType
inf: float
int8: DType
int32: DType
int64: DType
nan: float
newaxis: None
pi: float
uint8: DType
__array_api_version__: str

def __array_namespace_info__() -> Info:
    """What this library has of the standard: capabilities, devices, dtypes."""

def abs(input: Tensor) -> Tensor:
    """The absolute value of each element."""

def acos(input: Tensor) -> Tensor:
    """Arc cosine, in [0, pi]."""

def acosh(input: Tensor) -> Tensor:
    """Inverse hyperbolic cosine, of x >= 1."""

def add(x1: Any, x2: Any, /) -> Tensor:
    """`add` of each pair of elements; of numbers, one may be Python's."""

def all(x: Tensor, /, *, axis: Axes = None, keepdims: builtins.bool = False) -> Tensor:
    """Whether every element along `axis` is true; of all by default."""

def any(x: Tensor, /, *, axis: Axes = None, keepdims: builtins.bool = False) -> Tensor:
    """Whether an element along `axis` is true; of all by default."""

def arange(
    start: float, /, stop: float | None = None, step: float = 1, *, dtype: Any = None, device: Any = None
) -> Tensor:
    """`start`, `start + step`, … before `stop`; nothing where `step` leads away from it."""

def argmax(x: Tensor, /, *, axis: int | None = None, keepdims: builtins.bool = False) -> Tensor:
    """Where the first largest element is along `axis`, or in the flattened `x`, as i64."""

def argmin(x: Tensor, /, *, axis: int | None = None, keepdims: builtins.bool = False) -> Tensor:
    """Where the first smallest element is along `axis`, or in the flattened `x`, as i64."""

def argsort(x: Tensor, /, *, axis: int = -1, descending: builtins.bool = False, stable: builtins.bool = True) -> Tensor:
    """The indices by which `x` is sorted along `axis`, as i64."""

def asarray(obj: Any, /, *, dtype: Any = None, device: Any = None, copy: builtins.bool | None = None) -> Tensor:
    """A tensor of numbers, nested lists, an array or a tensor; copied if `copy`, and if needed where it
    is None."""

def asin(input: Tensor) -> Tensor:
    """Arc sine, in [-pi/2, pi/2]."""

def asinh(input: Tensor) -> Tensor:
    """Inverse hyperbolic sine."""

def astype(x: Tensor, dtype: Any, /, *, copy: builtins.bool = True, device: Any = None) -> Tensor:
    """`x` converted to `dtype`: a copy, or `x` itself where it has that dtype and `copy` is False."""

def atan(input: Tensor) -> Tensor:
    """Arc tangent, in [-pi/2, pi/2]."""

def atan2(x1: Any, x2: Any, /) -> Tensor:
    """The angle of the point (other, input), in [-pi, pi]."""

def atanh(input: Tensor) -> Tensor:
    """Inverse hyperbolic tangent, of |x| <= 1."""

def bitwise_and(x1: Any, x2: Any, /) -> Tensor:
    """`bitwise_and` of each pair of elements; of numbers, one may be Python's."""

def bitwise_invert(x: Tensor, /) -> Tensor:
    """Every bit inverted, of bools their truth."""

def bitwise_left_shift(x1: Any, x2: Any, /) -> Tensor:
    """`bitwise_left_shift` of each pair of elements; of numbers, one may be Python's."""

def bitwise_or(x1: Any, x2: Any, /) -> Tensor:
    """`bitwise_or` of each pair of elements; of numbers, one may be Python's."""

def bitwise_right_shift(x1: Any, x2: Any, /) -> Tensor:
    """`bitwise_right_shift` of each pair of elements; of numbers, one may be Python's."""

def bitwise_xor(x1: Any, x2: Any, /) -> Tensor:
    """`bitwise_xor` of each pair of elements; of numbers, one may be Python's."""

def broadcast_arrays(*arrays: Tensor) -> list[Tensor]:
    """The tensors broadcast against each other, each with its own dtype."""

def broadcast_shapes(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that all broadcast to."""

def broadcast_to(x: Tensor, /, shape: tuple[int, ...]) -> Tensor:
    """`x` repeated along axes of size 1, and along new ones in front."""

def can_cast(from_: Any, to: Any, /) -> builtins.bool:
    """Whether `to` holds what a dtype, or that of a tensor, holds: whether both promote to `to`."""

def ceil(input: Tensor) -> Tensor:
    """The smallest integer that is not below each element."""

def clip(x: Tensor, /, min: Any = None, max: Any = None) -> Tensor:
    """`x` limited to [min, max]; both may be missing."""

def concat(arrays: Sequence[Tensor], /, *, axis: int | None = 0) -> Tensor:
    """The tensors one after the other along `axis`; flattened first where that is None."""

def conj(x: Tensor, /) -> Tensor:
    """`x`: all numbers here are real."""

def copysign(x1: Any, x2: Any, /) -> Tensor:
    """|input| with the sign of other."""

def cos(input: Tensor) -> Tensor:
    """The cosine of each element."""

def cosh(input: Tensor) -> Tensor:
    """Hyperbolic cosine."""

def count_nonzero(x: Tensor, /, *, axis: Axes = None, keepdims: builtins.bool = False) -> Tensor:
    """How many elements along `axis` are not 0, as i64."""

def cumulative_prod(
    x: Tensor, /, *, axis: int | None = None, dtype: Any = None, include_initial: builtins.bool = False
) -> Tensor:
    """Products of all elements up to each, along `axis`; with `include_initial` after a 1."""

def cumulative_sum(
    x: Tensor, /, *, axis: int | None = None, dtype: Any = None, include_initial: builtins.bool = False
) -> Tensor:
    """Sums of all elements up to each, along `axis`; with `include_initial` after a 0."""

def diff(
    x: Tensor, /, *, axis: int = -1, n: int = 1, prepend: Tensor | None = None, append: Tensor | None = None
) -> Tensor:
    """Differences of neighbours along `axis`, `n` times, after `prepend` and `append` have been put to
    the ends."""

def divide(x1: Any, x2: Any, /) -> Tensor:
    """`divide` of each pair of elements; of numbers, one may be Python's."""

def empty(shape: Shape, *, dtype: Any = None, device: Any = None) -> Tensor:
    """Zeros: memory without a value would make results depend on what was there before."""

def empty_like(x: Tensor, /, *, dtype: Any = None, device: Any = None) -> Tensor:
    """`empty` with the shape of `x`, and its dtype where none is given."""

def equal(x1: Any, x2: Any, /) -> Tensor:
    """`equal` of each pair of elements; of numbers, one may be Python's."""

def exp(input: Tensor) -> Tensor:
    """e to the power of each element."""

def expand_dims(x: Tensor, /, *, axis: int | tuple[int, ...] = 0) -> Tensor:
    """`x` with a new axis of size 1 at each place in `axis`, counted in the result."""

def expm1(input: Tensor) -> Tensor:
    """`exp(x) - 1`, accurate near 0."""

def eye(n_rows: int, n_cols: int | None = None, /, *, k: int = 0, dtype: Any = None, device: Any = None) -> Tensor:
    """[n_rows, n_cols] with ones on diagonal `k`, counted from the main one upwards."""

def flip(x: Tensor, /, *, axis: Axes = None) -> Tensor:
    """The order along the axes in `axis`, by default all, reversed."""

def floor(input: Tensor) -> Tensor:
    """The largest integer that is not above each element."""

def floor_divide(x1: Any, x2: Any, /) -> Tensor:
    """`floor_divide` of each pair of elements; of numbers, one may be Python's."""

def from_dlpack(x: Any, /, *, device: Any = None, copy: builtins.bool | None = None) -> Tensor:
    """A tensor in the memory of an object with `__dlpack__`, or a copy if `copy`."""

def full(shape: Shape, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    """`fill_value` everywhere; bools give bool, integers i64 and floats f32 where no `dtype` is
    given."""

def full_like(x: Tensor, /, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    """`fill_value` everywhere, with the shape of `x`, and its dtype where none is given."""

def greater(x1: Any, x2: Any, /) -> Tensor:
    """`greater` of each pair of elements; of numbers, one may be Python's."""

def greater_equal(x1: Any, x2: Any, /) -> Tensor:
    """`greater_equal` of each pair of elements; of numbers, one may be Python's."""

def hypot(x1: Any, x2: Any, /) -> Tensor:
    """sqrt(input**2 + other**2)."""

def isdtype(dtype: Any, kind: Any) -> builtins.bool:
    """Whether a dtype is `kind`: another dtype, "bool", "signed integer", "unsigned integer",
    "integral", "real floating", "complex floating" or "numeric"; or one of several in a tuple."""

def isfinite(input: Tensor) -> Tensor:
    """Whether each element is neither infinite nor NaN."""

def isin(x1: Any, x2: Any, /, *, invert: builtins.bool = False) -> Tensor:
    """Whether each element of `x1` is one of `x2`; the contrary if `invert`."""

def isinf(input: Tensor) -> Tensor:
    """Whether each element is infinite."""

def isnan(input: Tensor) -> Tensor:
    """Whether each element is NaN."""

def less(x1: Any, x2: Any, /) -> Tensor:
    """`less` of each pair of elements; of numbers, one may be Python's."""

def less_equal(x1: Any, x2: Any, /) -> Tensor:
    """`less_equal` of each pair of elements; of numbers, one may be Python's."""

def linspace(
    start: float, stop: float, /, num: int, *, dtype: Any = None, device: Any = None, endpoint: builtins.bool = True
) -> Tensor:
    """`num` numbers at equal distances from `start` to `stop`, which is the last of them if
    `endpoint`."""

def log(input: Tensor) -> Tensor:
    """The natural logarithm of each element."""

def log10(input: Tensor) -> Tensor:
    """Logarithm to base 10."""

def log1p(input: Tensor) -> Tensor:
    """`log(1 + x)`, accurate near 0."""

def log2(input: Tensor) -> Tensor:
    """Logarithm to base 2."""

def logaddexp(x1: Any, x2: Any, /) -> Tensor:
    """log(exp(input) + exp(other))."""

def logical_and(x1: Any, x2: Any, /) -> Tensor:
    """`logical_and` of each pair of elements, where 0 is false."""

def logical_not(input: Tensor) -> Tensor:
    """Whether each element is false (0)."""

def logical_or(x1: Any, x2: Any, /) -> Tensor:
    """`logical_or` of each pair of elements, where 0 is false."""

def logical_xor(x1: Any, x2: Any, /) -> Tensor:
    """`logical_xor` of each pair of elements, where 0 is false."""

def matmul(x1: Tensor, x2: Tensor, /) -> Tensor:
    """The matrix product; a tensor with one axis is a vector, more than two are a batch."""

def matrix_transpose(x: Tensor, /) -> Tensor:
    """The matrices in the last two axes transposed."""

def max(x: Tensor, /, *, axis: Axes = None, keepdims: builtins.bool = False) -> Tensor:
    """The largest element along `axis`, of all by default."""

def maximum(x1: Any, x2: Any, /) -> Tensor:
    """The larger, NaN if either is."""

def mean(x: Tensor, /, *, axis: Axes = None, keepdims: builtins.bool = False) -> Tensor:
    """The mean over `axis`, all by default."""

def meshgrid(*arrays: Tensor, indexing: str = "xy") -> list[Tensor]:
    """Vectors broadcast against each other: the i-th varies along axis i; with "xy" the first two are
    exchanged."""

def min(x: Tensor, /, *, axis: Axes = None, keepdims: builtins.bool = False) -> Tensor:
    """The smallest element along `axis`, of all by default."""

def minimum(x1: Any, x2: Any, /) -> Tensor:
    """The smaller, NaN if either is."""

def moveaxis(x: Tensor, source: int | tuple[int, ...], destination: int | tuple[int, ...], /) -> Tensor:
    """`x` with the axes in `source` at the places in `destination`, and the others in their order."""

def multiply(x1: Any, x2: Any, /) -> Tensor:
    """`multiply` of each pair of elements; of numbers, one may be Python's."""

def negative(x: Tensor, /) -> Tensor:
    """`-x`."""

def nextafter(x1: Any, x2: Any, /) -> Tensor:
    """The next float after input towards other."""

def nonzero(x: Tensor, /) -> tuple[Tensor, ...]:
    """Where `x` is not 0: a vector of indices for each axis."""

def not_equal(x1: Any, x2: Any, /) -> Tensor:
    """`not_equal` of each pair of elements; of numbers, one may be Python's."""

def ones(shape: Shape, *, dtype: Any = None, device: Any = None) -> Tensor:
    """1 everywhere; f32 where no `dtype` is given."""

def ones_like(x: Tensor, /, *, dtype: Any = None, device: Any = None) -> Tensor:
    """1 everywhere, with the shape of `x`, and its dtype where none is given."""

def permute_dims(x: Tensor, /, axes: tuple[int, ...]) -> Tensor:
    """`x` with its axes in the order of `axes`."""

def positive(x: Tensor, /) -> Tensor:
    """`x`, in memory of its own."""

def pow(x1: Any, x2: Any, /) -> Tensor:
    """`pow` of each pair of elements; of numbers, one may be Python's."""

def prod(x: Tensor, /, *, axis: Axes = None, dtype: Any = None, keepdims: builtins.bool = False) -> Tensor:
    """The product over `axis`, all by default; integers are multiplied as i64 where no `dtype` is
    given."""

def real(x: Tensor, /) -> Tensor:
    """`x`: all numbers here are real."""

def reciprocal(input: Tensor) -> Tensor:
    """`1 / x` of each element."""

def remainder(x1: Any, x2: Any, /) -> Tensor:
    """`remainder` of each pair of elements; of numbers, one may be Python's."""

def repeat(x: Tensor, repeats: int | Tensor, /, *, axis: int | None = None) -> Tensor:
    """Each element along `axis` (of the flattened `x` where that is None) `repeats` times; a vector of
    numbers tells how often each."""

def reshape(x: Tensor, /, shape: tuple[int, ...], *, copy: builtins.bool | None = None) -> Tensor:
    """The elements in row-major order under `shape`; one size may be -1."""

def result_type(*arrays_and_dtypes: Any) -> DType:
    """The dtype that tensors and dtypes promote to."""

def roll(x: Tensor, /, shift: int | tuple[int, ...], *, axis: Axes = None) -> Tensor:
    """The elements moved by `shift` along `axis`, what leaves at the end coming in at the front; those
    of the flattened `x` where that is None."""

def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """To the nearest number of that many decimals, halves to even; negative ones count from the point
    to the left."""

def searchsorted(
    x1: Tensor, x2: Tensor, /, *, side: Literal["left", "right"] = "left", sorter: Tensor | None = None
) -> Tensor:
    """Where elements of `x2` belong in the sorted vector `x1` (sorted by `sorter`): before or behind
    equal ones."""

def sign(x: Tensor, /) -> Tensor:
    """-1, 0 or 1, the sign of `x`, and NaN of NaN (PyTorch's is 0)."""

def signbit(input: Tensor) -> Tensor:
    """Whether the sign is minus, also of zero and NaN."""

def sin(input: Tensor) -> Tensor:
    """The sine of each element."""

def sinh(input: Tensor) -> Tensor:
    """Hyperbolic sine."""

def sort(x: Tensor, /, *, axis: int = -1, descending: builtins.bool = False, stable: builtins.bool = True) -> Tensor:
    """The elements in ascending order along `axis`, or in descending order."""

def sqrt(input: Tensor) -> Tensor:
    """The square root of each element."""

def square(input: Tensor) -> Tensor:
    """Each element times itself."""

def squeeze(x: Tensor, /, axis: int | tuple[int, ...]) -> Tensor:
    """`x` without the axes in `axis`."""

def stack(arrays: Sequence[Tensor], /, *, axis: int = 0) -> Tensor:
    """The tensors, all of one shape, along a new axis."""

def std(x: Tensor, /, *, axis: Axes = None, correction: float = 0.0, keepdims: builtins.bool = False) -> Tensor:
    """The square root of `var`."""

def subtract(x1: Any, x2: Any, /) -> Tensor:
    """`subtract` of each pair of elements; of numbers, one may be Python's."""

def sum(x: Tensor, /, *, axis: Axes = None, dtype: Any = None, keepdims: builtins.bool = False) -> Tensor:
    """The sum over `axis`, all by default; integers are summed as i64 where no `dtype` is given."""

def take(x: Tensor, indices: Tensor, /, *, axis: int | None = None) -> Tensor:
    """What the vector `indices` names along `axis`, which must be given for more than one axis."""

def take_along_axis(x: Tensor, indices: Tensor, /, *, axis: int = -1) -> Tensor:
    """What `indices` name along `axis`, each in its own row; the other axes broadcast."""

def tan(input: Tensor) -> Tensor:
    """Tangent, of radians."""

def tanh(input: Tensor) -> Tensor: ...
def tensordot(x1: Tensor, x2: Tensor, /, *, axes: Any = 2) -> Tensor:
    """Products summed over `axes`: the last of `x1` and the first of `x2`, so many; or those in two
    lists."""

def tile(x: Tensor, repetitions: tuple[int, ...], /) -> Tensor:
    """`x` as a whole, so often along each axis; axes are added in front of the shorter of both."""

def tril(x: Tensor, /, *, k: int = 0) -> Tensor:
    """The lower triangles of the matrices in the last two axes, 0 above diagonal `k`."""

def triu(x: Tensor, /, *, k: int = 0) -> Tensor:
    """The upper triangles of the matrices in the last two axes, 0 below diagonal `k`."""

def trunc(input: Tensor) -> Tensor:
    """Each element without its fraction."""

def unique_all(x: Tensor, /) -> UniqueAll:
    """The distinct elements in ascending order, NaNs being distinct, and where they are."""

def unique_counts(x: Tensor, /) -> UniqueCounts:
    """The distinct elements in ascending order, and how often each occurs."""

def unique_inverse(x: Tensor, /) -> UniqueInverse:
    """The distinct elements in ascending order, and which of them each element is."""

def unique_values(x: Tensor, /) -> Tensor:
    """The distinct elements in ascending order."""

def unstack(x: Tensor, /, *, axis: int = 0) -> tuple[Tensor, ...]:
    """The slices along `axis`."""

def var(x: Tensor, /, *, axis: Axes = None, correction: float = 0.0, keepdims: builtins.bool = False) -> Tensor:
    """The variance over `axis`, all by default: the sum of squares divided by n - `correction`."""

def vecdot(x1: Tensor, x2: Tensor, /, *, axis: int = -1) -> Tensor:
    """The inner products of vectors along `axis`; the other axes broadcast."""

def where(condition: Tensor, x1: Any, x2: Any, /) -> Tensor:
    """`x1` where the condition is true, else `x2`; all three broadcast."""

def zeros(shape: Shape, *, dtype: Any = None, device: Any = None) -> Tensor:
    """0 everywhere; f32 where no `dtype` is given."""

def zeros_like(x: Tensor, /, *, dtype: Any = None, device: Any = None) -> Tensor:
    """0 everywhere, with the shape of `x`, and its dtype where none is given."""
