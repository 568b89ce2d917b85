"""Functions of tensors, as they are called in the package.

Made from the table of names by `pytest tests/frontend/test_names.py --bless`.
"""

from collections.abc import Sequence
from typing import Any

from tinytorch.frontend.functions.counting import Histogram
from tinytorch.frontend.functions.reducing import MinAndMax
from tinytorch.frontend.random import Generator
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.reductions import Axis, ValuesAndIndices

__all__: list[str] = [
    "abs",
    "absolute",
    "acos",
    "acosh",
    "all",
    "allclose",
    "amax",
    "amin",
    "aminmax",
    "any",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "arctanh",
    "argmax",
    "argmin",
    "argsort",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "bincount",
    "broadcast_to",
    "bucketize",
    "cat",
    "ceil",
    "chunk",
    "clamp",
    "clip",
    "clone",
    "concat",
    "concatenate",
    "copysign",
    "corrcoef",
    "cos",
    "cosh",
    "count_nonzero",
    "cov",
    "cummax",
    "cummin",
    "cumprod",
    "cumsum",
    "cumulative_trapezoid",
    "detach",
    "diff",
    "digamma",
    "dot",
    "element_size",
    "equal",
    "erf",
    "erfc",
    "erfinv",
    "exp",
    "exp2",
    "expm1",
    "fix",
    "flatten",
    "flip",
    "floor",
    "fmod",
    "ger",
    "get_device",
    "histc",
    "histogram",
    "histogramdd",
    "hypot",
    "index_select",
    "is_complex",
    "is_conj",
    "is_floating_point",
    "is_nonzero",
    "is_same_size",
    "is_signed",
    "is_tensor",
    "isfinite",
    "isin",
    "isinf",
    "isnan",
    "kthvalue",
    "lgamma",
    "log",
    "log1p",
    "log2",
    "log10",
    "log_softmax",
    "logaddexp",
    "logaddexp2",
    "logcumsumexp",
    "logical_not",
    "logsumexp",
    "matmul",
    "max",
    "maximum",
    "mean",
    "median",
    "min",
    "minimum",
    "mode",
    "msort",
    "multinomial",
    "nanmean",
    "nanmedian",
    "nanquantile",
    "nansum",
    "narrow",
    "ndimension",
    "nelement",
    "new_empty",
    "new_full",
    "new_ones",
    "new_tensor",
    "new_zeros",
    "nextafter",
    "numel",
    "outer",
    "permute",
    "pow",
    "prod",
    "quantile",
    "reciprocal",
    "relu",
    "renorm",
    "reshape",
    "round",
    "rsqrt",
    "searchsorted",
    "sigmoid",
    "sign",
    "sin",
    "sinc",
    "sinh",
    "softmax",
    "sort",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "std_mean",
    "sum",
    "sum_to_size",
    "swapaxes",
    "swapdims",
    "t",
    "tan",
    "tanh",
    "topk",
    "transpose",
    "trapezoid",
    "trapz",
    "tril",
    "triu",
    "trunc",
    "type_as",
    "unique",
    "unique_consecutive",
    "unsqueeze",
    "var",
    "var_mean",
    "where",
    "xlogy",
]

def abs(input: Tensor) -> Tensor:
    """The absolute value of each element."""

def absolute(input: Tensor) -> Tensor:
    """The absolute value of each element."""

def acos(input: Tensor) -> Tensor:
    """Arc cosine, in [0, pi]."""

def acosh(input: Tensor) -> Tensor:
    """Inverse hyperbolic cosine, of x >= 1."""

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
def aminmax(
    input: Tensor, *, dim: int | None = None, keepdim: bool = False, axis: int | None = None, keepdims: bool = False
) -> MinAndMax:
    """The smallest and the largest element along `dim`, or of all, as a named tuple `min`, `max`."""

def any(input: Tensor, dim: Axis = None, keepdim: bool = False, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether an element is true (not 0), which is not so of nothing."""

def arccos(input: Tensor) -> Tensor:
    """Arc cosine, in [0, pi]."""

def arccosh(input: Tensor) -> Tensor:
    """Inverse hyperbolic cosine, of x >= 1."""

def arcsin(input: Tensor) -> Tensor:
    """Arc sine, in [-pi/2, pi/2]."""

def arcsinh(input: Tensor) -> Tensor:
    """Inverse hyperbolic sine."""

def arctan(input: Tensor) -> Tensor:
    """Arc tangent, in [-pi/2, pi/2]."""

def arctan2(input: Any, other: Any) -> Tensor:
    """The angle of the point (other, input), in [-pi, pi]."""

def arctanh(input: Tensor) -> Tensor:
    """Inverse hyperbolic tangent, of |x| <= 1."""

def argmax(
    input: Tensor, dim: int | None = None, keepdim: bool = False, *, axis: int | None = None, keepdims: bool = False
) -> Tensor:
    """Index of the first largest element (i64) along `dim`, or in the flattened tensor."""

def argmin(
    input: Tensor, dim: int | None = None, keepdim: bool = False, *, axis: int | None = None, keepdims: bool = False
) -> Tensor: ...
def argsort(input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False, axis: int = -1) -> Tensor:
    """The indices, i64, that sort the elements along `dim`; equal ones keep their order."""

def asin(input: Tensor) -> Tensor:
    """Arc sine, in [-pi/2, pi/2]."""

def asinh(input: Tensor) -> Tensor:
    """Inverse hyperbolic sine."""

def atan(input: Tensor) -> Tensor:
    """Arc tangent, in [-pi/2, pi/2]."""

def atan2(input: Any, other: Any) -> Tensor:
    """The angle of the point (other, input), in [-pi, pi]."""

def atanh(input: Tensor) -> Tensor:
    """Inverse hyperbolic tangent, of |x| <= 1."""

def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each integer from 0 on is in the vector `input`, as i64, for at least `minlength` of
    them; or the sums of their `weights`, as f32 where these are, else as f64."""

def broadcast_to(input: Tensor, *shape: Any) -> Tensor:
    """Repeated along axes of size 1, and along new ones in front; a view."""

def bucketize(input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """For each of `input` the number of the bucket between the ascending `boundaries`, a vector."""

def cat(tensors: Sequence[Tensor], dim: int = 0, *, axis: int = 0) -> Tensor:
    """The tensors one after the other along `dim`; their dtypes are promoted to one."""

def ceil(input: Tensor) -> Tensor:
    """The smallest integer that is not below each element."""

def chunk(x: Tensor, chunks: int, dim: int = 0, *, axis: int = 0) -> list[Tensor]:
    """At most `chunks` parts of equal size along `dim`, the last one perhaps smaller; of an empty axis
    `chunks`."""

def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """Limited to [min, max], numbers or tensors, and `max` where `min` is larger."""

def clip(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """Limited to [min, max], numbers or tensors, and `max` where `min` is larger."""

def clone(input: Tensor) -> Tensor:
    """A copy in memory of its own, through which gradients flow."""

def concat(tensors: Sequence[Tensor], dim: int = 0, *, axis: int = 0) -> Tensor:
    """The tensors one after the other along `dim`; their dtypes are promoted to one."""

def concatenate(tensors: Sequence[Tensor], dim: int = 0, *, axis: int = 0) -> Tensor:
    """The tensors one after the other along `dim`; their dtypes are promoted to one."""

def copysign(input: Any, other: Any) -> Tensor:
    """|input| with the sign of other."""

def corrcoef(input: Tensor) -> Tensor:
    """The correlations of the variables that are the rows of `input`: their covariances over both
    deviations."""

def cos(input: Tensor) -> Tensor:
    """The cosine of each element."""

def cosh(input: Tensor) -> Tensor:
    """Hyperbolic cosine."""

def count_nonzero(
    input: Tensor, dim: Any = None, *, keepdim: bool = False, axis: Any = None, keepdims: bool = False
) -> Tensor:
    """How many elements along `dim`, one axis or several, or of all are not 0, as i64."""

def cov(
    input: Tensor, *, correction: int = 1, fweights: Tensor | None = None, aweights: Tensor | None = None
) -> Tensor:
    """The covariances of the variables that are the rows of `input`, each column one observation; a
    vector is one variable."""

def cummax(input: Tensor, dim: int) -> ValuesAndIndices:
    """The largest of all elements up to each, along `dim`, and its index, that of the last of equal
    ones."""

def cummin(input: Tensor, dim: int) -> ValuesAndIndices:
    """The smallest of all elements up to each, along `dim`, and its index; see `cummax`."""

def cumprod(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Products of all elements up to each, along `dim`, of what they are in `dtype`; small integers and
    bools are multiplied as i64."""

def cumsum(input: Tensor, dim: int, *, dtype: object = None) -> Tensor:
    """Sums of all elements up to each, along `dim`, of what they are in `dtype`; small integers and
    bools are summed as i64."""

def cumulative_trapezoid(
    y: Tensor, x: Tensor | None = None, *, dx: Any = None, dim: int = -1, axis: int = -1
) -> Tensor:
    """The integrals from the first sample to each of the others; see `trapezoid`."""

def detach(input: Tensor) -> Tensor:
    """The same values, through which no gradient flows."""

def diff(
    input: Tensor,
    n: int = 1,
    dim: int = -1,
    prepend: Tensor | None = None,
    append: Tensor | None = None,
    *,
    axis: int = -1,
) -> Tensor:
    """The `n`-th differences of neighbours along `dim`, with `prepend` in front of them and `append`
    behind; of bools, whether they differ."""

def digamma(input: Tensor) -> Tensor:
    """The derivative of log gamma(x)."""

def dot(a: Tensor, b: Tensor) -> Tensor:
    """The inner product of two vectors."""

def element_size(input: Tensor) -> int:
    """Bytes of one element."""

def equal(a: Any, b: Any) -> bool:
    """Whether shapes and all values are the same; needs values, so not under tt.compile."""

def erf(input: Tensor) -> Tensor:
    """The error function of each element."""

def erfc(input: Tensor) -> Tensor:
    """1 - erf(x), accurate where that is small."""

def erfinv(input: Tensor) -> Tensor:
    """What erf takes to x; infinite at -1 and 1, NaN beyond."""

def exp(input: Tensor) -> Tensor:
    """e to the power of each element."""

def exp2(input: Tensor) -> Tensor:
    """2**x."""

def expm1(input: Tensor) -> Tensor:
    """`exp(x) - 1`, accurate near 0."""

def fix(input: Tensor) -> Tensor:
    """Each element without its fraction."""

def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The axes from `start_dim` to `end_dim` as one."""

def flip(input: Tensor, *dims: Any) -> Tensor:
    """A copy with the order along `dims` reversed."""

def floor(input: Tensor) -> Tensor:
    """The largest integer that is not above each element."""

def fmod(input: Any, other: Any) -> Tensor:
    """The rest of input / other, with the input's sign; integers modulo zero give 0."""

def ger(a: Tensor, b: Tensor) -> Tensor:
    """Every product of an element of vector `a`, by rows, with one of vector `b`."""

def get_device(input: Tensor) -> int:
    """-1, which stands for the CPU."""

def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements lie in each of `bins` intervals of equal size from `min` to `max`, the last one
    closed; of the smallest and the largest element where both are equal."""

def histogram(
    input: Tensor, bins: Any, *, range: Any = None, weight: Tensor | None = None, density: bool = False
) -> Histogram:
    """How many elements, or how much of their `weight`, lies in each interval between edges, the last
    one closed; divided by the total and by the sizes of the intervals if `density`."""

def histogramdd(
    input: Tensor, bins: Any, *, range: Any = None, weight: Tensor | None = None, density: bool = False
) -> Histogram:
    """As `histogram`, of points in D dimensions, which lie along the last axis: bins are a number for
    all dimensions, or a number or edges for each, and `range` has two numbers for each."""

def hypot(input: Any, other: Any) -> Tensor:
    """sqrt(input**2 + other**2)."""

def index_select(input: Tensor, dim: int, index: Any) -> Tensor:
    """What the integers of the vector `index` name along `dim`, counted from the end where they are
    negative."""

def is_complex(input: Tensor) -> bool:
    """False: there are no complex numbers here."""

def is_conj(input: Tensor) -> bool:
    """False: there are no complex numbers here."""

def is_floating_point(input: Tensor) -> bool:
    """Whether the elements are floats."""

def is_nonzero(input: Tensor) -> bool:
    """Whether the only element is not 0; needs its value, so not under tt.compile."""

def is_same_size(input: Tensor, other: Tensor) -> bool:
    """Whether both have the same shape."""

def is_signed(input: Tensor) -> bool:
    """Whether the elements may be negative."""

def is_tensor(obj: Any) -> bool:
    """Whether `obj` is a Tensor."""

def isfinite(input: Tensor) -> Tensor:
    """Whether each element is neither infinite nor NaN."""

def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Whether each of `elements` is one of `test_elements`, or if `invert`, whether it is none."""

def isinf(input: Tensor) -> Tensor:
    """Whether each element is infinite."""

def isnan(input: Tensor) -> Tensor:
    """Whether each element is NaN."""

def kthvalue(
    input: Tensor, k: int, dim: int = -1, keepdim: bool = False, *, axis: int = -1, keepdims: bool = False
) -> ValuesAndIndices:
    """The `k`-th smallest element along `dim`, counted from 1, and its index."""

def lgamma(input: Tensor) -> Tensor:
    """Logarithm of |gamma(x)|."""

def log(input: Tensor) -> Tensor:
    """The natural logarithm of each element."""

def log10(input: Tensor) -> Tensor:
    """Logarithm to base 10."""

def log1p(input: Tensor) -> Tensor:
    """`log(1 + x)`, accurate near 0."""

def log2(input: Tensor) -> Tensor:
    """Logarithm to base 2."""

def log_softmax(input: Tensor, dim: int = -1, *, axis: int = -1) -> Tensor:
    """x - log(sum(exp(x))) along `dim`, shifted by the maximum so that nothing overflows."""

def logaddexp(input: Any, other: Any) -> Tensor:
    """log(exp(input) + exp(other))."""

def logaddexp2(input: Any, other: Any) -> Tensor:
    """log2(2**input + 2**other)."""

def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """Logarithms of the sums of exponentials of all elements up to each, along `dim`."""

def logical_not(input: Tensor) -> Tensor:
    """Whether each element is false (0)."""

def logsumexp(input: Tensor, dim: int = -1, keepdim: bool = False, *, axis: int = -1, keepdims: bool = False) -> Tensor:
    """log(sum(exp(x))) along `dim`, shifted by the maximum."""

def matmul(input: Tensor, other: Any, *, dtype: object = None) -> Tensor:
    """Matrix product with numpy's rules: 1-D operands are vectors, leading axes are broadcast
    batches."""

def max(input: Tensor, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The largest element; along one `dim`, (values, indices), the gradient of which goes to the first
    of equals; of a tensor and another, `maximum`."""

def maximum(input: Tensor, other: Any) -> Tensor:
    """The larger of each pair of elements."""

def mean(
    input: Tensor,
    dim: Axis = None,
    keepdim: bool = False,
    *,
    dtype: object = None,
    axis: Axis = None,
    keepdims: bool = False,
) -> Tensor:
    """Mean over `dim` (or `axis`), all by default, of what the elements are in `dtype`, a float;
    integers and bools are averaged as f32."""

def median(
    input: Tensor, dim: int | None = None, keepdim: bool = False, *, axis: int | None = None, keepdims: bool = False
) -> Any:
    """The element in the middle, of an even number the lower one."""

def min(input: Tensor, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The smallest element; along one `dim`, (values, indices); of a tensor and another, `minimum`."""

def minimum(input: Tensor, other: Any) -> Tensor:
    """The smaller of each pair of elements."""

def mode(
    input: Tensor, dim: int = -1, keepdim: bool = False, *, axis: int = -1, keepdims: bool = False
) -> ValuesAndIndices:
    """The element that is there most often along `dim`, the smallest of several such, and the index of
    its last occurrence."""

def msort(input: Tensor) -> Tensor:
    """The elements along the first axis in ascending order."""

def multinomial(
    input: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Indices, i64, drawn for each row of weights: with `replacement` each index anew, else every index
    at most once, one after the other by the weights of those that are left."""

def nanmean(
    input: Tensor,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    axis: Any = None,
    keepdims: bool = False,
) -> Tensor:
    """The mean of the elements that are not NaN."""

def nanmedian(
    input: Tensor, dim: int | None = None, keepdim: bool = False, *, axis: int | None = None, keepdims: bool = False
) -> Any:
    """As `median`, of the elements that are not NaN."""

def nanquantile(
    input: Tensor,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
    axis: int | None = None,
    keepdims: bool = False,
) -> Tensor:
    """As `quantile`, of the elements that are not NaN."""

def nansum(
    input: Tensor,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    axis: Any = None,
    keepdims: bool = False,
) -> Tensor:
    """The sum of the elements that are not NaN."""

def narrow(input: Tensor, dim: int, start: Any, length: int) -> Tensor:
    """`length` elements along `dim` from `start` on, a view: a number, or a tensor of one integer,
    counted from the end if negative."""

def ndimension(input: Tensor) -> int:
    """The number of axes."""

def nelement(input: Tensor) -> int:
    """The number of elements."""

def new_empty(input: Tensor, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros of shape `size`: memory without a value would make results depend on what was there
    before."""

def new_full(
    input: Tensor, size: Any, fill_value: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """`fill_value` in shape `size`."""

def new_ones(input: Tensor, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones of shape `size`."""

def new_tensor(input: Tensor, data: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor with a copy of `data`."""

def new_zeros(input: Tensor, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros of shape `size`."""

def nextafter(input: Any, other: Any) -> Tensor:
    """The next float after input towards other."""

def numel(input: Tensor) -> int:
    """The number of elements."""

def outer(a: Tensor, b: Tensor) -> Tensor:
    """Every product of an element of vector `a`, by rows, with one of vector `b`."""

def permute(input: Tensor, *axes: Any) -> Tensor:
    """The axes in the order of `axes`, a view."""

def pow(input: Tensor, exponent: Any) -> Tensor:
    """Each element to the power of `exponent`, a number or a tensor."""

def prod(
    input: Tensor,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    axis: Any = None,
    keepdims: bool = False,
) -> Tensor:
    """The product of the elements along `dim`, or of all, of what they are in `dtype`; of none, 1."""

def quantile(
    input: Tensor,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
    axis: int | None = None,
    keepdims: bool = False,
) -> Tensor:
    """What a share `q` of the elements along `dim`, or of all, lies below."""

def reciprocal(input: Tensor) -> Tensor:
    """`1 / x` of each element."""

def relu(input: Tensor) -> Tensor:
    """max(x, 0)."""

def renorm(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """Each slice at an index of `dim` scaled down so that its `p`-norm is at most `maxnorm`; smaller
    ones stay."""

def reshape(input: Tensor, *shape: Any) -> Tensor:
    """The elements in row-major order under `shape`; one dimension may be -1."""

def round(input: Tensor) -> Tensor:
    """The nearest integer of each element; of two, the even one."""

def rsqrt(input: Tensor) -> Tensor:
    """`1 / sqrt(x)` of each element."""

def searchsorted(
    sorted_sequence: Tensor,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
) -> Tensor:
    """For each of `input` the index in `sorted_sequence` in front of which it keeps the order: in front
    of equal ones, or behind them if `right` (or `side` is "right")."""

def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""

def sign(input: Tensor) -> Tensor:
    """-1, 0 or 1, the sign of each element; 0 of NaN."""

def sin(input: Tensor) -> Tensor:
    """The sine of each element."""

def sinc(input: Tensor) -> Tensor:
    """sin(pi x) / (pi x), 1 at 0."""

def sinh(input: Tensor) -> Tensor:
    """Hyperbolic sine."""

def softmax(input: Tensor, dim: int = -1, *, axis: int = -1) -> Tensor:
    """exp(x) / sum(exp(x)) along `dim`."""

def sort(
    input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False, axis: int = -1
) -> ValuesAndIndices:
    """The elements along `dim` in order, and the index that each had, i64."""

def split(x: Tensor, size: int | Sequence[int], dim: int = 0, *, axis: int = 0) -> list[Tensor]:
    """Parts of `size` along `dim`, the last one perhaps smaller; or parts of the sizes in a list."""

def sqrt(input: Tensor) -> Tensor:
    """The square root of each element."""

def square(input: Tensor) -> Tensor:
    """Each element times itself."""

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

def std_mean(
    input: Tensor,
    dim: Any = None,
    unbiased: Any = None,
    keepdim: bool = False,
    *,
    correction: Any = None,
    axis: Any = None,
    keepdims: bool = False,
) -> tuple[Tensor, Tensor]:
    """Standard deviation (see `Tensor.std`) and mean."""

def sum(
    input: Tensor,
    dim: Axis = None,
    keepdim: bool = False,
    *,
    dtype: object = None,
    axis: Axis = None,
    keepdims: bool = False,
) -> Tensor:
    """Sum over `dim` (or `axis`), all by default, of what the elements are in `dtype`; small integers
    and bools are summed as i64."""

def sum_to_size(input: Tensor, *size: Any) -> Tensor:
    """The sum over the axes that broadcasting a tensor of this size to the input's shape would
    repeat."""

def swapaxes(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Axes `dim0` and `dim1` exchanged."""

def swapdims(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Axes `dim0` and `dim1` exchanged."""

def t(input: Tensor) -> Tensor:
    """The transpose of a matrix; vectors and single elements as they are."""

def tan(input: Tensor) -> Tensor:
    """Tangent, of radians."""

def tanh(input: Tensor) -> Tensor: ...
def topk(
    input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True, *, axis: int = -1
) -> ValuesAndIndices:
    """The `k` largest elements along `dim`, or the smallest, the best first, and their indices, i64."""

def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Axes `dim0` and `dim1` exchanged."""

def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: Any = None, dim: int = -1, axis: int = -1) -> Tensor:
    """The integral along `dim` of what goes in straight lines from sample to sample of y, taken at the
    places x or at distances `dx` (1)."""

def trapz(y: Tensor, x: Tensor | None = None, *, dx: Any = None, dim: int = -1, axis: int = -1) -> Tensor:
    """The integral along `dim` of what goes in straight lines from sample to sample of y, taken at the
    places x or at distances `dx` (1)."""

def tril(x: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangles of the matrices in the last two axes, 0 above the `diagonal`."""

def triu(x: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangles of the matrices in the last two axes, 0 below the `diagonal`."""

def trunc(input: Tensor) -> Tensor:
    """Each element without its fraction."""

def type_as(input: Tensor, other: Tensor) -> Tensor:
    """Converted to the dtype of `other`."""

def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
    *,
    axis: int | None = None,
) -> Any:
    """The different values, ascending; along `dim` the different slices."""

def unique_consecutive(
    input: Tensor,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
    *,
    axis: int | None = None,
) -> Any:
    """The values of the flattened tensor, or the slices along `dim`, each of which differs from the one
    before; see `unique`."""

def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """A new axis of size 1 at `dim`, a view."""

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

def var_mean(
    input: Tensor,
    dim: Any = None,
    unbiased: Any = None,
    keepdim: bool = False,
    *,
    correction: Any = None,
    axis: Any = None,
    keepdims: bool = False,
) -> tuple[Tensor, Tensor]:
    """Variance (see `Tensor.var`) and mean."""

def where(condition: Any, a: Any, b: Any) -> Tensor:
    """`a` where the condition is true, else `b`; all three broadcast, `a` and `b` may be numbers."""

def xlogy(input: Any, other: Any) -> Tensor:
    """input * log(other), 0 where the input is."""
