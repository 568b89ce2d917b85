"""The methods of tensors that come from the table of names.

Made from the table of names by `pytest tests/frontend/test_names.py --bless`.
"""

from collections.abc import Sequence
from typing import Any

from tinytorch.frontend.functions.counting import Histogram
from tinytorch.frontend.functions.reducing import MinAndMax
from tinytorch.frontend.random import Generator
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.reductions import ValuesAndIndices

class TableMethods:
    __slots__ = ()

    def abs_(self) -> Tensor:
        """`abs`, written over this tensor."""

    def absolute(self) -> Tensor:
        """The absolute value of each element."""

    def absolute_(self) -> Tensor:
        """`absolute`, written over this tensor."""

    def acos(self) -> Tensor:
        """Arc cosine, in [0, pi]."""

    def acos_(self) -> Tensor:
        """`acos`, written over this tensor."""

    def acosh(self) -> Tensor:
        """Inverse hyperbolic cosine, of x >= 1."""

    def acosh_(self) -> Tensor:
        """`acosh`, written over this tensor."""

    def allclose(self, b: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
        """Whether |a - b| <= atol + rtol * |b| everywhere; needs values, so not under tt.compile."""

    def aminmax(
        self, *, dim: int | None = None, keepdim: bool = False, axis: int | None = None, keepdims: bool = False
    ) -> MinAndMax:
        """The smallest and the largest element along `dim`, or of all, as a named tuple `min`, `max`."""

    def arccos(self) -> Tensor:
        """Arc cosine, in [0, pi]."""

    def arccos_(self) -> Tensor:
        """`arccos`, written over this tensor."""

    def arccosh(self) -> Tensor:
        """Inverse hyperbolic cosine, of x >= 1."""

    def arccosh_(self) -> Tensor:
        """`arccosh`, written over this tensor."""

    def arcsin(self) -> Tensor:
        """Arc sine, in [-pi/2, pi/2]."""

    def arcsin_(self) -> Tensor:
        """`arcsin`, written over this tensor."""

    def arcsinh(self) -> Tensor:
        """Inverse hyperbolic sine."""

    def arcsinh_(self) -> Tensor:
        """`arcsinh`, written over this tensor."""

    def arctan(self) -> Tensor:
        """Arc tangent, in [-pi/2, pi/2]."""

    def arctan2(self, other: Any) -> Tensor:
        """The angle of the point (other, input), in [-pi, pi]."""

    def arctan2_(self, other: Any) -> Tensor:
        """`arctan2`, written over this tensor."""

    def arctan_(self) -> Tensor:
        """`arctan`, written over this tensor."""

    def arctanh(self) -> Tensor:
        """Inverse hyperbolic tangent, of |x| <= 1."""

    def arctanh_(self) -> Tensor:
        """`arctanh`, written over this tensor."""

    def argsort(self, dim: int = -1, descending: bool = False, *, stable: bool = False, axis: int = -1) -> Tensor:
        """The indices, i64, that sort the elements along `dim`; equal ones keep their order."""

    def asin(self) -> Tensor:
        """Arc sine, in [-pi/2, pi/2]."""

    def asin_(self) -> Tensor:
        """`asin`, written over this tensor."""

    def asinh(self) -> Tensor:
        """Inverse hyperbolic sine."""

    def asinh_(self) -> Tensor:
        """`asinh`, written over this tensor."""

    def atan(self) -> Tensor:
        """Arc tangent, in [-pi/2, pi/2]."""

    def atan2(self, other: Any) -> Tensor:
        """The angle of the point (other, input), in [-pi, pi]."""

    def atan2_(self, other: Any) -> Tensor:
        """`atan2`, written over this tensor."""

    def atan_(self) -> Tensor:
        """`atan`, written over this tensor."""

    def atanh(self) -> Tensor:
        """Inverse hyperbolic tangent, of |x| <= 1."""

    def atanh_(self) -> Tensor:
        """`atanh`, written over this tensor."""

    def bernoulli(self, *, generator: Generator | None = None) -> Tensor:
        """1 with the probability that `p` has there, else 0."""

    def bincount(self, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
        """How often each integer from 0 on is in the vector `input`, as i64, for at least `minlength` of
        them; or the sums of their `weights`, as f32 where these are, else as f64."""

    def ceil_(self) -> Tensor:
        """`ceil`, written over this tensor."""

    def chunk(self, chunks: int, dim: int = 0, *, axis: int = 0) -> list[Tensor]:
        """At most `chunks` parts of equal size along `dim`, the last one perhaps smaller; of an empty axis
        `chunks`."""

    def clip_(self, min: Any = None, max: Any = None) -> Tensor:
        """`clip`, written over this tensor."""

    def copysign(self, other: Any) -> Tensor:
        """|input| with the sign of other."""

    def copysign_(self, other: Any) -> Tensor:
        """`copysign`, written over this tensor."""

    def corrcoef(self) -> Tensor:
        """The correlations of the variables that are the rows of `input`: their covariances over both
        deviations."""

    def cos_(self) -> Tensor:
        """`cos`, written over this tensor."""

    def cosh(self) -> Tensor:
        """Hyperbolic cosine."""

    def cosh_(self) -> Tensor:
        """`cosh`, written over this tensor."""

    def count_nonzero(
        self, dim: Any = None, *, keepdim: bool = False, axis: Any = None, keepdims: bool = False
    ) -> Tensor:
        """How many elements along `dim`, one axis or several, or of all are not 0, as i64."""

    def cov(self, *, correction: int = 1, fweights: Tensor | None = None, aweights: Tensor | None = None) -> Tensor:
        """The covariances of the variables that are the rows of `input`, each column one observation; a
        vector is one variable."""

    def cummax(self, dim: int) -> ValuesAndIndices:
        """The largest of all elements up to each, along `dim`, and its index, that of the last of equal
        ones."""

    def cummin(self, dim: int) -> ValuesAndIndices:
        """The smallest of all elements up to each, along `dim`, and its index; see `cummax`."""

    def cumprod(self, dim: int, *, dtype: Any = None) -> Tensor:
        """Products of all elements up to each, along `dim`, of what they are in `dtype`; small integers and
        bools are multiplied as i64."""

    def cumprod_(self, dim: int, *, dtype: Any = None) -> Tensor:
        """`cumprod`, written over this tensor."""

    def cumsum_(self, dim: int, *, dtype: object = None) -> Tensor:
        """`cumsum`, written over this tensor."""

    def diff(
        self, n: int = 1, dim: int = -1, prepend: Tensor | None = None, append: Tensor | None = None, *, axis: int = -1
    ) -> Tensor:
        """The `n`-th differences of neighbours along `dim`, with `prepend` in front of them and `append`
        behind; of bools, whether they differ."""

    def digamma(self) -> Tensor:
        """The derivative of log gamma(x)."""

    def digamma_(self) -> Tensor:
        """`digamma`, written over this tensor."""

    def dot(self, b: Tensor) -> Tensor:
        """The inner product of two vectors."""

    def element_size(self) -> int:
        """Bytes of one element."""

    def equal(self, b: Any) -> bool:
        """Whether shapes and all values are the same; needs values, so not under tt.compile."""

    def erf_(self) -> Tensor:
        """`erf`, written over this tensor."""

    def erfc(self) -> Tensor:
        """1 - erf(x), accurate where that is small."""

    def erfc_(self) -> Tensor:
        """`erfc`, written over this tensor."""

    def erfinv(self) -> Tensor:
        """What erf takes to x; infinite at -1 and 1, NaN beyond."""

    def erfinv_(self) -> Tensor:
        """`erfinv`, written over this tensor."""

    def exp2(self) -> Tensor:
        """2**x."""

    def exp2_(self) -> Tensor:
        """`exp2`, written over this tensor."""

    def exp_(self) -> Tensor:
        """`exp`, written over this tensor."""

    def expm1_(self) -> Tensor:
        """`expm1`, written over this tensor."""

    def fix(self) -> Tensor:
        """Each element without its fraction."""

    def fix_(self) -> Tensor:
        """`fix`, written over this tensor."""

    def floor_(self) -> Tensor:
        """`floor`, written over this tensor."""

    def fmod(self, other: Any) -> Tensor:
        """The rest of input / other, with the input's sign; integers modulo zero give 0."""

    def fmod_(self, other: Any) -> Tensor:
        """`fmod`, written over this tensor."""

    def ger(self, b: Tensor) -> Tensor:
        """Every product of an element of vector `a`, by rows, with one of vector `b`."""

    def get_device(self) -> int:
        """-1, which stands for the CPU."""

    def histc(self, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
        """How many elements lie in each of `bins` intervals of equal size from `min` to `max`, the last one
        closed; of the smallest and the largest element where both are equal."""

    def histogram(
        self, bins: Any, *, range: Any = None, weight: Tensor | None = None, density: bool = False
    ) -> Histogram:
        """How many elements, or how much of their `weight`, lies in each interval between edges, the last
        one closed; divided by the total and by the sizes of the intervals if `density`."""

    def hypot(self, other: Any) -> Tensor:
        """sqrt(input**2 + other**2)."""

    def hypot_(self, other: Any) -> Tensor:
        """`hypot`, written over this tensor."""

    def is_complex(self) -> bool:
        """False: there are no complex numbers here."""

    def is_conj(self) -> bool:
        """False: there are no complex numbers here."""

    def is_floating_point(self) -> bool:
        """Whether the elements are floats."""

    def is_nonzero(self) -> bool:
        """Whether the only element is not 0; needs its value, so not under tt.compile."""

    def is_same_size(self, other: Tensor) -> bool:
        """Whether both have the same shape."""

    def is_signed(self) -> bool:
        """Whether the elements may be negative."""

    def kthvalue(
        self, k: int, dim: int = -1, keepdim: bool = False, *, axis: int = -1, keepdims: bool = False
    ) -> ValuesAndIndices:
        """The `k`-th smallest element along `dim`, counted from 1, and its index."""

    def lgamma(self) -> Tensor:
        """Logarithm of |gamma(x)|."""

    def lgamma_(self) -> Tensor:
        """`lgamma`, written over this tensor."""

    def log10(self) -> Tensor:
        """Logarithm to base 10."""

    def log10_(self) -> Tensor:
        """`log10`, written over this tensor."""

    def log1p_(self) -> Tensor:
        """`log1p`, written over this tensor."""

    def log2(self) -> Tensor:
        """Logarithm to base 2."""

    def log2_(self) -> Tensor:
        """`log2`, written over this tensor."""

    def log_(self) -> Tensor:
        """`log`, written over this tensor."""

    def logaddexp(self, other: Any) -> Tensor:
        """log(exp(input) + exp(other))."""

    def logaddexp2(self, other: Any) -> Tensor:
        """log2(2**input + 2**other)."""

    def logcumsumexp(self, dim: int) -> Tensor:
        """Logarithms of the sums of exponentials of all elements up to each, along `dim`."""

    def logical_not_(self) -> Tensor:
        """`logical_not`, written over this tensor."""

    def median(
        self, dim: int | None = None, keepdim: bool = False, *, axis: int | None = None, keepdims: bool = False
    ) -> Any:
        """The element in the middle, of an even number the lower one."""

    def mode(self, dim: int = -1, keepdim: bool = False, *, axis: int = -1, keepdims: bool = False) -> ValuesAndIndices:
        """The element that is there most often along `dim`, the smallest of several such, and the index of
        its last occurrence."""

    def msort(self) -> Tensor:
        """The elements along the first axis in ascending order."""

    def multinomial(self, num_samples: int, replacement: bool = False, *, generator: Generator | None = None) -> Tensor:
        """Indices, i64, drawn for each row of weights: with `replacement` each index anew, else every index
        at most once, one after the other by the weights of those that are left."""

    def nanmean(
        self, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, axis: Any = None, keepdims: bool = False
    ) -> Tensor:
        """The mean of the elements that are not NaN."""

    def nanmedian(
        self, dim: int | None = None, keepdim: bool = False, *, axis: int | None = None, keepdims: bool = False
    ) -> Any:
        """As `median`, of the elements that are not NaN."""

    def nanquantile(
        self,
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
        self, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, axis: Any = None, keepdims: bool = False
    ) -> Tensor:
        """The sum of the elements that are not NaN."""

    def ndimension(self) -> int:
        """The number of axes."""

    def nelement(self) -> int:
        """The number of elements."""

    def new_empty(self, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
        """Zeros of shape `size`: memory without a value would make results depend on what was there
        before."""

    def new_full(
        self, size: Any, fill_value: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False
    ) -> Tensor:
        """`fill_value` in shape `size`."""

    def new_ones(self, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
        """Ones of shape `size`."""

    def new_tensor(self, data: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
        """A tensor with a copy of `data`."""

    def new_zeros(self, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
        """Zeros of shape `size`."""

    def nextafter(self, other: Any) -> Tensor:
        """The next float after input towards other."""

    def nextafter_(self, other: Any) -> Tensor:
        """`nextafter`, written over this tensor."""

    def outer(self, b: Tensor) -> Tensor:
        """Every product of an element of vector `a`, by rows, with one of vector `b`."""

    def prod(
        self, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, axis: Any = None, keepdims: bool = False
    ) -> Tensor:
        """The product of the elements along `dim`, or of all, of what they are in `dtype`; of none, 1."""

    def quantile(
        self,
        q: Any,
        dim: int | None = None,
        keepdim: bool = False,
        *,
        interpolation: str = "linear",
        axis: int | None = None,
        keepdims: bool = False,
    ) -> Tensor:
        """What a share `q` of the elements along `dim`, or of all, lies below."""

    def reciprocal_(self) -> Tensor:
        """`reciprocal`, written over this tensor."""

    def relu_(self) -> Tensor:
        """`relu`, written over this tensor."""

    def renorm(self, p: float, dim: int, maxnorm: float) -> Tensor:
        """Each slice at an index of `dim` scaled down so that its `p`-norm is at most `maxnorm`; smaller
        ones stay."""

    def renorm_(self, p: float, dim: int, maxnorm: float) -> Tensor:
        """`renorm`, written over this tensor."""

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

    def sinc(self) -> Tensor:
        """sin(pi x) / (pi x), 1 at 0."""

    def sinc_(self) -> Tensor:
        """`sinc`, written over this tensor."""

    def sinh(self) -> Tensor:
        """Hyperbolic sine."""

    def sinh_(self) -> Tensor:
        """`sinh`, written over this tensor."""

    def sort(
        self, dim: int = -1, descending: bool = False, *, stable: bool = False, axis: int = -1
    ) -> ValuesAndIndices:
        """The elements along `dim` in order, and the index that each had, i64."""

    def split(self, size: int | Sequence[int], dim: int = 0, *, axis: int = 0) -> list[Tensor]:
        """Parts of `size` along `dim`, the last one perhaps smaller; or parts of the sizes in a list."""

    def sqrt_(self) -> Tensor:
        """`sqrt`, written over this tensor."""

    def square_(self) -> Tensor:
        """`square`, written over this tensor."""

    def std_mean(
        self,
        dim: Any = None,
        unbiased: Any = None,
        keepdim: bool = False,
        *,
        correction: Any = None,
        axis: Any = None,
        keepdims: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Standard deviation (see `Tensor.std`) and mean."""

    def sum_to_size(self, *size: Any) -> Tensor:
        """The sum over the axes that broadcasting a tensor of this size to the input's shape would
        repeat."""

    def swapdims(self, dim0: int, dim1: int) -> Tensor:
        """Axes `dim0` and `dim1` exchanged."""

    def tan(self) -> Tensor:
        """Tangent, of radians."""

    def tan_(self) -> Tensor:
        """`tan`, written over this tensor."""

    def tanh_(self) -> Tensor:
        """`tanh`, written over this tensor."""

    def topk(
        self, k: int, dim: int = -1, largest: bool = True, sorted: bool = True, *, axis: int = -1
    ) -> ValuesAndIndices:
        """The `k` largest elements along `dim`, or the smallest, the best first, and their indices, i64."""

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

    def type_as(self, other: Tensor) -> Tensor:
        """Converted to the dtype of `other`."""

    def unique(
        self,
        sorted: bool = True,
        return_inverse: bool = False,
        return_counts: bool = False,
        dim: int | None = None,
        *,
        axis: int | None = None,
    ) -> Any:
        """The different values, ascending; along `dim` the different slices."""

    def unique_consecutive(
        self,
        return_inverse: bool = False,
        return_counts: bool = False,
        dim: int | None = None,
        *,
        axis: int | None = None,
    ) -> Any:
        """The values of the flattened tensor, or the slices along `dim`, each of which differs from the one
        before; see `unique`."""

    def var_mean(
        self,
        dim: Any = None,
        unbiased: Any = None,
        keepdim: bool = False,
        *,
        correction: Any = None,
        axis: Any = None,
        keepdims: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Variance (see `Tensor.var`) and mean."""

    def xlogy(self, other: Any) -> Tensor:
        """input * log(other), 0 where the input is."""

    def xlogy_(self, other: Any) -> Tensor:
        """`xlogy`, written over this tensor."""
