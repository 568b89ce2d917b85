"""The methods of tensors that come from the table of names.

Made from the table of names by `pytest tests/frontend/test_names.py --bless`.
"""

from collections.abc import Sequence
from types import ModuleType
from typing import Any

from tinytorch.frontend.functions.manipulation.shapes import Ints
from tinytorch.frontend.functions.pointwise.mathematics import MantissaAndExponent
from tinytorch.frontend.functions.random import Generator
from tinytorch.frontend.functions.reductions.counting import Histogram
from tinytorch.frontend.functions.reductions.reducing import MinAndMax
from tinytorch.frontend.linear_algebra.factorizations import QR, Reflections
from tinytorch.frontend.linear_algebra.solving import SignAndLogarithm, SolutionAndCoefficients
from tinytorch.frontend.linear_algebra.spectra import OldSVD
from tinytorch.frontend.tensor.tensor import Tensor
from tinytorch.ir.operators.reductions import ValuesAndIndices

class TableMethods:
    __slots__ = ()

    def __array_namespace__(self, /, *, api_version: str | None = None) -> ModuleType:
        """The functions of the Array API standard."""

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

    def add(self, other: Any, *, alpha: Any = 1) -> Tensor:
        """input + alpha * other; of bools, or."""

    def addbmm(self, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
        """beta * input + alpha * sum of batch1 @ batch2 over all matrices, which is one product of their
        blocks."""

    def addbmm_(self, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
        """`addbmm`, written over this tensor."""

    def addcdiv(self, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Tensor:
        """input + value * tensor1 / tensor2, of floats."""

    def addcdiv_(self, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Tensor:
        """`addcdiv`, written over this tensor."""

    def addcmul(self, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Tensor:
        """input + value * tensor1 * tensor2."""

    def addcmul_(self, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Tensor:
        """`addcmul`, written over this tensor."""

    def addmm(self, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
        """beta * input + alpha * (mat1 @ mat2), of two matrices."""

    def addmm_(self, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
        """`addmm`, written over this tensor."""

    def addmv(self, mat: Tensor, vec: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
        """beta * input + alpha * (mat @ vec), of a matrix and a vector."""

    def addmv_(self, mat: Tensor, vec: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
        """`addmv`, written over this tensor."""

    def addr(self, vec1: Tensor, vec2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
        """beta * input + alpha * outer(vec1, vec2)."""

    def addr_(self, vec1: Tensor, vec2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
        """`addr`, written over this tensor."""

    def adjoint(self) -> Tensor:
        """The last two axes exchanged: a view."""

    def allclose(self, b: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
        """Whether |a - b| <= atol + rtol * |b| everywhere; needs values, so not under tt.compile."""

    def aminmax(
        self, *, dim: int | None = None, keepdim: bool = False, axis: int | None = None, keepdims: bool = False
    ) -> MinAndMax:
        """The smallest and the largest element along `dim`, or of all, as a named tuple `min`, `max`."""

    def angle(self) -> Tensor:
        """0 where the number is not negative, pi where it is."""

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

    def argwhere(self) -> Tensor:
        """The coordinates of the elements that are not 0, i64[count, rank]."""

    def as_strided(self, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None) -> Tensor:
        """The elements `storage_offset + i * stride[0] + j * stride[1] + …` of the memory of a tensor that
        is in row-major order: a view."""

    def as_strided_scatter(
        self, src: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None
    ) -> Tensor:
        """`input` with `src` in place of what `as_strided` gives."""

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

    def atleast_1d(self) -> Any:
        """Tensors without axes as vectors, others as they are."""

    def atleast_2d(self) -> Any:
        """Tensors of fewer than two axes with new ones in front."""

    def atleast_3d(self) -> Any:
        """Vectors as [1, n, 1], matrices as [m, n, 1]."""

    def baddbmm(self, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
        """beta * input + alpha * (batch1 @ batch2), matrix by matrix."""

    def baddbmm_(self, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
        """`baddbmm`, written over this tensor."""

    def bernoulli(self, p: float | None = None, *, generator: Generator | None = None) -> Tensor:
        """1 with the probability that `input` has there (or with `p` everywhere), else 0."""

    def bernoulli_(self, p: float | Tensor = 0.5, *, generator: Generator | None = None) -> Tensor:
        """Overwritten with 1, with the probability `p`, a number or a tensor that broadcasts, else 0."""

    def bincount(self, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
        """How often each integer from 0 on is in the vector `input`, as i64, for at least `minlength` of
        them; or the sums of their `weights`, as f32 where these are, else as f64."""

    def bitwise_and(self, other: Any) -> Tensor:
        """input & other."""

    def bitwise_and_(self, other: Any) -> Tensor:
        """`bitwise_and`, written over this tensor."""

    def bitwise_left_shift(self, other: Any) -> Tensor:
        """input << other; 0 where that is the width or more."""

    def bitwise_left_shift_(self, other: Any) -> Tensor:
        """`bitwise_left_shift`, written over this tensor."""

    def bitwise_not(self) -> Tensor:
        """~input; of bools, not."""

    def bitwise_not_(self) -> Tensor:
        """`bitwise_not`, written over this tensor."""

    def bitwise_or(self, other: Any) -> Tensor:
        """input | other."""

    def bitwise_or_(self, other: Any) -> Tensor:
        """`bitwise_or`, written over this tensor."""

    def bitwise_right_shift(self, other: Any) -> Tensor:
        """input >> other, which keeps the sign."""

    def bitwise_right_shift_(self, other: Any) -> Tensor:
        """`bitwise_right_shift`, written over this tensor."""

    def bitwise_xor(self, other: Any) -> Tensor:
        """input ^ other."""

    def bitwise_xor_(self, other: Any) -> Tensor:
        """`bitwise_xor`, written over this tensor."""

    def bmm(self, mat2: Tensor) -> Tensor:
        """The products [b, n, p] of matrices [b, n, m] and [b, m, p] of one dtype, one by one."""

    def cauchy_(self, median: float = 0.0, sigma: float = 1.0, *, generator: Generator | None = None) -> Tensor:
        """Overwritten with numbers of the density 1 / (pi * sigma * (1 + ((x - median) / sigma) ** 2))."""

    def ceil_(self) -> Tensor:
        """`ceil`, written over this tensor."""

    def cholesky(self, upper: bool = False) -> Tensor:
        """`linalg.cholesky`."""

    def cholesky_inverse(self, upper: bool = False) -> Tensor:
        """The inverse of A = L L^T with the lower triangle `input`, or of L^T L with an `upper` one."""

    def cholesky_solve(self, L: Tensor, upper: bool = False) -> Tensor:
        """X with A @ X = `input`, where A = L L^T with a lower triangle L, or L^T L with an `upper` one."""

    def chunk(self, chunks: int, dim: int = 0, *, axis: int = 0) -> tuple[Tensor, ...]:
        """Views of at most `chunks` parts of equal size along `dim`, the last one perhaps smaller; of an
        empty axis `chunks`."""

    def clamp_max(self, max: Any) -> Tensor:
        """At most `max`, a number or a tensor."""

    def clamp_max_(self, max: Any) -> Tensor:
        """`clamp_max`, written over this tensor."""

    def clamp_min(self, min: Any) -> Tensor:
        """At least `min`, a number or a tensor."""

    def clamp_min_(self, min: Any) -> Tensor:
        """`clamp_min`, written over this tensor."""

    def clip_(self, min: Any = None, max: Any = None) -> Tensor:
        """`clip`, written over this tensor."""

    def combinations(self, r: int = 2, with_replacement: bool = False) -> Tensor:
        """All ways to choose `r` elements of a vector, in their order, [count, r]; the same one may be
        chosen again `with_replacement`."""

    def conj(self) -> Tensor:
        """The input itself: all numbers here are real."""

    def conj_physical(self) -> Tensor:
        """The input itself: all numbers here are real."""

    def copysign(self, other: Any) -> Tensor:
        """|input| with the sign of other."""

    def copysign_(self, other: Any) -> Tensor:
        """`copysign`, written over this tensor."""

    def corrcoef(self) -> Tensor:
        """Pearson's correlations [n, n] of n rows, in [-1, 1]."""

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

    def cov(self, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Tensor:
        """Covariances [n, n] of n rows, or the variance of a vector."""

    def cross(self, other: Tensor, dim: int | None = None, *, axis: int | None = None) -> Tensor:
        """The cross product of vectors with three elements along `dim`, by default the first axis that has
        three."""

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

    def deg2rad(self) -> Tensor:
        """Degrees as radians."""

    def deg2rad_(self) -> Tensor:
        """`deg2rad`, written over this tensor."""

    def det(self) -> Tensor:
        """The determinant of each square matrix [..., n, n]."""

    def diag(self, diagonal: int = 0) -> Tensor:
        """Of a vector, the matrix with it on the diagonal; of a matrix, a copy of the diagonal."""

    def diag_embed(self, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
        """Matrices of zeros, in the axes `dim1` and `dim2`, with the last axis of `input` on the diagonal
        `offset`."""

    def diagflat(self, offset: int = 0) -> Tensor:
        """The matrix with the elements of `input` on the diagonal `offset`."""

    def diagonal(self, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
        """The elements (i, i + offset) of axes `dim1` and `dim2`, as the last axis: a view."""

    def diagonal_scatter(self, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
        """`input` with `src` in place of the diagonal that `diagonal` gives."""

    def diff(
        self, n: int = 1, dim: int = -1, prepend: Tensor | None = None, append: Tensor | None = None, *, axis: int = -1
    ) -> Tensor:
        """The `n`-th differences of neighbours along `dim`, with `prepend` in front of them and `append`
        behind; of bools, whether they differ."""

    def digamma(self) -> Tensor:
        """The derivative of log gamma(x)."""

    def digamma_(self) -> Tensor:
        """`digamma`, written over this tensor."""

    def dist(self, other: Any, p: float = 2) -> Tensor:
        """The `p`-norm of `input` - `other`, which broadcast."""

    def div(self, other: Any, *, rounding_mode: str | None = None) -> Tensor:
        """input / other, in floats; rounded down or towards zero, in the operands' dtype, if
        `rounding_mode` is "floor" or "trunc"."""

    def divide(self, other: Any, *, rounding_mode: str | None = None) -> Tensor:
        """input / other, in floats; rounded down or towards zero, in the operands' dtype, if
        `rounding_mode` is "floor" or "trunc"."""

    def divide_(self, other: Any, *, rounding_mode: str | None = None) -> Tensor:
        """`divide`, written over this tensor."""

    def dot(self, b: Tensor) -> Tensor:
        """The inner product of two vectors."""

    def dsplit(self, indices_or_sections: Any) -> tuple[Tensor, ...]:
        """Views of parts along the third axis, as `hsplit`."""

    def eq(self, other: Any) -> Tensor:
        """input == other, elementwise."""

    def eq_(self, other: Any) -> Tensor:
        """`eq`, written over this tensor."""

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

    def expand_as(self, other: Tensor) -> Tensor:
        """A view broadcast to the shape of `other`."""

    def expm1_(self) -> Tensor:
        """`expm1`, written over this tensor."""

    def exponential_(self, lambd: float = 1.0, *, generator: Generator | None = None) -> Tensor:
        """Overwritten with positive numbers of the density lambd * exp(-lambd * x)."""

    def fill_diagonal(self, fill_value: Any, wrap: bool = False) -> Tensor:
        """`input` with `fill_value` on its main diagonal: of a matrix, or of axes of one size, where all
        indices are equal."""

    def fill_diagonal_(self, fill_value: Any, wrap: bool = False) -> Tensor:
        """`fill_diagonal`, written over this tensor."""

    def fix(self) -> Tensor:
        """Each element without its fraction."""

    def fix_(self) -> Tensor:
        """`fix`, written over this tensor."""

    def fliplr(self) -> Tensor:
        """The columns in reversed order."""

    def flipud(self) -> Tensor:
        """The rows in reversed order."""

    def float_power(self, exponent: Any) -> Tensor:
        """input ** exponent in f64."""

    def float_power_(self, exponent: Any) -> Tensor:
        """`float_power`, written over this tensor."""

    def floor_(self) -> Tensor:
        """`floor`, written over this tensor."""

    def floor_divide(self, other: Any) -> Tensor:
        """input / other rounded down; integers divided by zero give 0."""

    def floor_divide_(self, other: Any) -> Tensor:
        """`floor_divide`, written over this tensor."""

    def fmax(self, other: Any) -> Tensor:
        """The larger; of a number and NaN the number."""

    def fmin(self, other: Any) -> Tensor:
        """The smaller; of a number and NaN the number."""

    def fmod(self, other: Any) -> Tensor:
        """The rest of input / other, with the input's sign; integers modulo zero give 0."""

    def fmod_(self, other: Any) -> Tensor:
        """`fmod`, written over this tensor."""

    def frac(self) -> Tensor:
        """What is behind the decimal point, with the input's sign; of floats."""

    def frac_(self) -> Tensor:
        """`frac`, written over this tensor."""

    def frexp(self) -> MantissaAndExponent:
        """(mantissa, exponent): input = mantissa * 2**exponent with |mantissa| in [1/2, 1), or 0, infinite
        or NaN and an exponent of 0."""

    def gather(self, dim: int, index: Tensor, *, sparse_grad: bool = False) -> Tensor:
        """The elements at `index` along `dim`: out[i, j] = input[index[i, j], j] for `dim` 0."""

    def gcd(self, other: Any) -> Tensor:
        """Greatest common divisor, not negative; of zeros 0."""

    def gcd_(self, other: Any) -> Tensor:
        """`gcd`, written over this tensor."""

    def ge(self, other: Any) -> Tensor:
        """input >= other."""

    def ge_(self, other: Any) -> Tensor:
        """`ge`, written over this tensor."""

    def geometric_(self, p: float, *, generator: Generator | None = None) -> Tensor:
        """Overwritten with the number of trials of probability `p` up to the first success: 1, 2, …."""

    def geqrf(self) -> Reflections:
        """(R above the diagonal and the vectors of reflections below it, their factors): see
        `linalg.householder_product`."""

    def ger(self, b: Tensor) -> Tensor:
        """Every product of an element of vector `a`, by rows, with one of vector `b`."""

    def get_device(self) -> int:
        """-1, which stands for the CPU."""

    def greater(self, other: Any) -> Tensor:
        """input > other."""

    def greater_(self, other: Any) -> Tensor:
        """`greater`, written over this tensor."""

    def greater_equal(self, other: Any) -> Tensor:
        """input >= other."""

    def greater_equal_(self, other: Any) -> Tensor:
        """`greater_equal`, written over this tensor."""

    def gt(self, other: Any) -> Tensor:
        """input > other."""

    def gt_(self, other: Any) -> Tensor:
        """`gt`, written over this tensor."""

    def hardshrink(self, lambd: float = 0.5) -> Tensor:
        """0 from -lambd to lambd, x elsewhere."""

    def heaviside(self, values: Any) -> Tensor:
        """0 below zero, 1 above, `values` at zero."""

    def heaviside_(self, values: Any) -> Tensor:
        """`heaviside`, written over this tensor."""

    def histc(self, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
        """How many elements lie in each of `bins` intervals of equal size from `min` to `max`, the last one
        closed; of the smallest and the largest element where both are equal."""

    def histogram(
        self, bins: Any = 100, *, range: Any = None, weight: Tensor | None = None, density: bool = False
    ) -> Histogram:
        """How many elements, or how much of their `weight`, lies in each interval between edges, the last
        one closed; divided by the total and by the sizes of the intervals if `density`."""

    def hsplit(self, indices_or_sections: Any) -> tuple[Tensor, ...]:
        """Views of parts along the second axis, of vectors along their only one: so many equal ones, or
        those that end before each index and the rest."""

    def hypot(self, other: Any) -> Tensor:
        """sqrt(input**2 + other**2)."""

    def hypot_(self, other: Any) -> Tensor:
        """`hypot`, written over this tensor."""

    def i0(self) -> Tensor:
        """Modified Bessel function of the first kind, of order 0."""

    def i0_(self) -> Tensor:
        """`i0`, written over this tensor."""

    def igamma(self, other: Any) -> Tensor:
        """Regularized lower incomplete gamma function P(input, other)."""

    def igamma_(self, other: Any) -> Tensor:
        """`igamma`, written over this tensor."""

    def igammac(self, other: Any) -> Tensor:
        """Regularized upper incomplete gamma function Q(input, other) = 1 - P(input, other)."""

    def igammac_(self, other: Any) -> Tensor:
        """`igammac`, written over this tensor."""

    def index_add(self, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1) -> Tensor:
        """`input` with `alpha` times the slices of `source` added at the places in `dim` that the vector
        `index` names."""

    def index_add_(self, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1) -> Tensor:
        """`index_add`, written over this tensor."""

    def index_copy(self, dim: int, index: Tensor, source: Tensor) -> Tensor:
        """`input` with the slices of `source` at the places in `dim` that the vector `index` names."""

    def index_fill(self, dim: int, index: Tensor, value: float | Tensor) -> Tensor:
        """`input` with `value`, a number or a tensor without axes, at the places in `dim` that the vector
        `index` names."""

    def index_fill_(self, dim: int, index: Tensor, value: float | Tensor) -> Tensor:
        """`index_fill`, written over this tensor."""

    def index_put(self, indices: Sequence[Tensor | None], values: Tensor, accumulate: bool = False) -> Tensor:
        """`input` with `values` at `input[indices]`, tensors of integers or bools for the first axes; with
        `accumulate` they are added, those of repeated indices too."""

    def index_put_(self, indices: Sequence[Tensor | None], values: Tensor, accumulate: bool = False) -> Tensor:
        """`index_put`, written over this tensor."""

    def index_reduce(
        self, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
    ) -> Tensor:
        """`input` with the slices of `source` joined at the places in `dim` that the vector `index`
        names."""

    def index_reduce_(
        self, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
    ) -> Tensor:
        """`index_reduce`, written over this tensor."""

    def inner(self, other: Tensor) -> Tensor:
        """Sums of products along the last axes, which have one size; the other axes stand one after the
        other."""

    def inverse(self) -> Tensor:
        """The inverse of each square matrix [..., n, n]."""

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

    def isclose(self, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Tensor:
        """Whether |input - other| <= atol + rtol * |other|, elementwise; infinities are close to themselves
        alone, and NaN to NaN if `equal_nan`."""

    def isneginf(self) -> Tensor:
        """Whether it is the negative infinity."""

    def isposinf(self) -> Tensor:
        """Whether it is the positive infinity."""

    def isreal(self) -> Tensor:
        """True: all numbers here are real."""

    def kron(self, other: Tensor) -> Tensor:
        """The Kronecker product: each element of `input` times all of `other`; the one of fewer axes gets
        axes in front."""

    def kthvalue(
        self, k: int, dim: int = -1, keepdim: bool = False, *, axis: int = -1, keepdims: bool = False
    ) -> ValuesAndIndices:
        """The `k`-th smallest element along `dim`, counted from 1, and its index."""

    def lcm(self, other: Any) -> Tensor:
        """Least common multiple of integers, not negative; 0 where one of them is."""

    def lcm_(self, other: Any) -> Tensor:
        """`lcm`, written over this tensor."""

    def ldexp(self, other: Any) -> Tensor:
        """input * 2**other, in floats."""

    def ldexp_(self, other: Any) -> Tensor:
        """`ldexp`, written over this tensor."""

    def le(self, other: Any) -> Tensor:
        """input <= other."""

    def le_(self, other: Any) -> Tensor:
        """`le`, written over this tensor."""

    def lerp(self, end: Any, weight: Any) -> Tensor:
        """input + weight * (end - input), computed from the nearer end, so that weights of 0 and 1 give
        these exactly."""

    def lerp_(self, end: Any, weight: Any) -> Tensor:
        """`lerp`, written over this tensor."""

    def less(self, other: Any) -> Tensor:
        """input < other."""

    def less_(self, other: Any) -> Tensor:
        """`less`, written over this tensor."""

    def less_equal(self, other: Any) -> Tensor:
        """input <= other."""

    def less_equal_(self, other: Any) -> Tensor:
        """`less_equal`, written over this tensor."""

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

    def log_normal_(self, mean: float = 1.0, std: float = 2.0, *, generator: Generator | None = None) -> Tensor:
        """Overwritten with numbers whose logarithms are normal."""

    def logaddexp(self, other: Any) -> Tensor:
        """log(exp(input) + exp(other))."""

    def logaddexp2(self, other: Any) -> Tensor:
        """log2(2**input + 2**other)."""

    def logcumsumexp(self, dim: int) -> Tensor:
        """Logarithms of the sums of exponentials of all elements up to each, along `dim`."""

    def logdet(self) -> Tensor:
        """The logarithm of each determinant."""

    def logical_and(self, other: Any) -> Tensor:
        """Whether both are true, as everything but zero is."""

    def logical_and_(self, other: Any) -> Tensor:
        """`logical_and`, written over this tensor."""

    def logical_not_(self) -> Tensor:
        """`logical_not`, written over this tensor."""

    def logical_or(self, other: Any) -> Tensor:
        """Whether one is true, as everything but zero is."""

    def logical_or_(self, other: Any) -> Tensor:
        """`logical_or`, written over this tensor."""

    def logical_xor(self, other: Any) -> Tensor:
        """Whether just one is true, as everything but zero is."""

    def logical_xor_(self, other: Any) -> Tensor:
        """`logical_xor`, written over this tensor."""

    def logit(self, eps: float | None = None) -> Tensor:
        """log(x / (1 - x)), of x limited to [eps, 1 - eps] if there is an `eps`."""

    def logit_(self, eps: float | None = None) -> Tensor:
        """`logit`, written over this tensor."""

    def lt(self, other: Any) -> Tensor:
        """input < other."""

    def lt_(self, other: Any) -> Tensor:
        """`lt`, written over this tensor."""

    def lu(self, pivot: bool = True, get_infos: bool = False) -> Any:
        """`linalg.lu_factor`, with a third result, which is all 0, if `get_infos`."""

    def lu_solve(self, LU_data: Tensor, LU_pivots: Tensor) -> Tensor:
        """`linalg.lu_solve(LU_data, LU_pivots, input)`."""

    def masked_fill(self, mask: Tensor, value: float | Tensor) -> Tensor:
        """`value`, a number or a tensor without axes, where `mask` is true, else `input`; both
        broadcast."""

    def masked_fill_(self, mask: Tensor, value: float | Tensor) -> Tensor:
        """`masked_fill`, written over this tensor."""

    def masked_scatter(self, mask: Tensor, source: Tensor) -> Tensor:
        """The elements of `source`, one after the other, where `mask` is true, else `input`."""

    def masked_scatter_(self, mask: Tensor, source: Tensor) -> Tensor:
        """`masked_scatter`, written over this tensor."""

    def masked_select(self, mask: Tensor) -> Tensor:
        """The elements where `mask` is true, as a vector; both broadcast."""

    def matrix_exp(self) -> Tensor:
        """The sum of A^k / k! of each square matrix: the series of A / 2^s, whose norm is at most 1,
        squared s times (Moler and Van Loan, "Nineteen dubious ways to compute the exponential of a matrix",
        2003, method 3)."""

    def matrix_power(self, n: int) -> Tensor:
        """The `n`-th power of each square matrix by squaring; of the inverse for negative n, in eager mode
        only."""

    def median(
        self, dim: int | None = None, keepdim: bool = False, *, axis: int | None = None, keepdims: bool = False
    ) -> Any:
        """The element in the middle, of an even number the lower one."""

    def mm(self, mat2: Tensor) -> Tensor:
        """The product [n, p] of matrices [n, m] and [m, p] of one dtype."""

    def mode(self, dim: int = -1, keepdim: bool = False, *, axis: int = -1, keepdims: bool = False) -> ValuesAndIndices:
        """The element that is there most often along `dim`, the smallest of several such, and the index of
        its last occurrence."""

    def moveaxis(self, source: Ints, destination: Ints) -> Tensor:
        """Axes `source` moved to `destination`, the others in their order: a view."""

    def movedim(self, source: Ints, destination: Ints) -> Tensor:
        """Axes `source` moved to `destination`, the others in their order: a view."""

    def msort(self) -> Tensor:
        """The elements along the first axis in ascending order."""

    def mul(self, other: Any) -> Tensor:
        """input * other; of bools, and."""

    def multinomial(self, num_samples: int, replacement: bool = False, *, generator: Generator | None = None) -> Tensor:
        """Indices, i64, drawn for each row of weights: with `replacement` each index anew, else every index
        at most once, one after the other by the weights of those that are left."""

    def multiply(self, other: Any) -> Tensor:
        """input * other; of bools, and."""

    def multiply_(self, other: Any) -> Tensor:
        """`multiply`, written over this tensor."""

    def mv(self, vec: Tensor) -> Tensor:
        """The product [n] of a matrix [n, m] and a vector [m] of one dtype."""

    def mvlgamma(self, p: int) -> Tensor:
        """Logarithm of the gamma function of `p` dimensions: p (p - 1) / 4 * log(pi) + the sum of lgamma(x
        - j / 2) over j < p."""

    def mvlgamma_(self, p: int) -> Tensor:
        """`mvlgamma`, written over this tensor."""

    def nan_to_num(self, nan: float | None = None, posinf: float | None = None, neginf: float | None = None) -> Tensor:
        """`nan` (0 by default) for NaN, `posinf` and `neginf` (the largest and the smallest number of the
        dtype) for infinities."""

    def nan_to_num_(self, nan: float | None = None, posinf: float | None = None, neginf: float | None = None) -> Tensor:
        """`nan_to_num`, written over this tensor."""

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

    def narrow_copy(self, dim: int, start: Any, length: int) -> Tensor:
        """`narrow`, in memory of its own."""

    def ne(self, other: Any) -> Tensor:
        """input != other."""

    def ne_(self, other: Any) -> Tensor:
        """`ne`, written over this tensor."""

    def neg(self) -> Tensor:
        """-input."""

    def neg_(self) -> Tensor:
        """`neg`, written over this tensor."""

    def negative(self) -> Tensor:
        """-input."""

    def negative_(self) -> Tensor:
        """`negative`, written over this tensor."""

    def new(self, *given: Any, device: Any = None) -> Tensor:
        """Of sizes (or a tuple of them, as shapes are), zeros of that shape; of data, a tensor with a
        copy."""

    def new_empty(self, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
        """Zeros of shape `size`: memory without a value would make results depend on what was there
        before."""

    def new_empty_strided(
        self,
        size: Sequence[int],
        stride: Sequence[int],
        dtype: Any = None,
        device: Any = None,
        requires_grad: bool = False,
    ) -> Tensor:
        """`empty_strided` in the dtype of `input`, where none is given."""

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

    def nonzero(self, *, as_tuple: bool = False) -> Any:
        """The coordinates of the elements that are not 0, i64[count, rank]; with `as_tuple` a vector for
        each axis."""

    def norm(
        self,
        p: Any = "fro",
        dim: Any = None,
        keepdim: bool = False,
        dtype: Any = None,
        *,
        axis: Any = None,
        keepdims: bool = False,
    ) -> Tensor:
        """The `p`-norm over `dim`, one axis or several, or all, as of a vector; "nuc" as of a matrix."""

    def normal_(self, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None) -> Tensor:
        """Overwritten with normal numbers."""

    def not_equal(self, other: Any) -> Tensor:
        """input != other."""

    def not_equal_(self, other: Any) -> Tensor:
        """`not_equal`, written over this tensor."""

    def ormqr(self, tau: Tensor, other: Tensor, left: bool = True, transpose: bool = False) -> Tensor:
        """Q @ other, or other @ Q unless `left`, with the product Q [m, m] of the reflections in `input`
        and `tau` (see `linalg.householder_product`), or its transpose."""

    def outer(self, b: Tensor) -> Tensor:
        """Every product of an element of vector `a`, by rows, with one of vector `b`."""

    def pinverse(self, rcond: float = 1e-15) -> Tensor:
        """`linalg.pinv` with singular values up to `rcond` * the largest counted as 0."""

    def polygamma(self, input: Any) -> Tensor:
        """The n-th derivative of digamma; n is a number, which comes second where it is called as a
        method."""

    def positive(self) -> Tensor:
        """The input itself."""

    def prelu(self, weight: Tensor) -> Tensor:
        """x where it is positive, else weight * x: one weight, or one for each channel, axis 1 (He et al.
        2015)."""

    def prod(
        self, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, axis: Any = None, keepdims: bool = False
    ) -> Tensor:
        """The product of the elements along `dim`, or of all, of what they are in `dtype`; of none, 1."""

    def put(self, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
        """`input` with the elements of `source` at the places `index` of its flattened form, counted from
        the end where negative; with `accumulate` they are added."""

    def put_(self, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
        """`put`, written over this tensor."""

    def qr(self, some: bool = True) -> QR:
        """`linalg.qr`, reduced if `some`, else complete."""

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

    def rad2deg(self) -> Tensor:
        """Radians as degrees."""

    def rad2deg_(self) -> Tensor:
        """`rad2deg`, written over this tensor."""

    def random_(self, from_: int | None = None, to: int | None = None, *, generator: Generator | None = None) -> Tensor:
        """Overwritten with integers from `from_` (0) up to `to` - 1, of which one alone is `to`."""

    def ravel(self) -> Tensor:
        """The elements as a vector, a view where strides can express that."""

    def reciprocal_(self) -> Tensor:
        """`reciprocal`, written over this tensor."""

    def relu_(self, inplace: bool = False) -> Tensor:
        """`relu`, written over this tensor."""

    def remainder(self, other: Any) -> Tensor:
        """input - floor(input / other) * other, with other's sign; integers modulo zero give 0."""

    def remainder_(self, other: Any) -> Tensor:
        """`remainder`, written over this tensor."""

    def renorm(self, p: float, dim: int, maxnorm: float) -> Tensor:
        """Each slice at an index of `dim` scaled down so that its `p`-norm is at most `maxnorm`; smaller
        ones stay."""

    def renorm_(self, p: float, dim: int, maxnorm: float) -> Tensor:
        """`renorm`, written over this tensor."""

    def repeat(self, *sizes: Any, repeats: Sequence[int] | None = None) -> Tensor:
        """The tensor `repeats` times along each axis, of which there may be more in front."""

    def repeat_interleave(
        self,
        repeats: int | Tensor | None = None,
        dim: int | None = None,
        *,
        output_size: int | None = None,
        axis: int | None = None,
    ) -> Tensor:
        """Each element along `dim` `repeats` times: a number, or one for each."""

    def reshape_as(self, other: Tensor) -> Tensor:
        """`reshape` to the shape of `other`."""

    def resolve_conj(self) -> Tensor:
        """The input itself: all numbers here are real."""

    def resolve_neg(self) -> Tensor:
        """The input itself: all numbers here are real."""

    def roll(self, shifts: Ints, dims: Ints | None = None) -> Tensor:
        """The elements moved by `shifts` along `dims`, those behind the end coming in at the front; without
        `dims`, of the flattened tensor."""

    def rot90(self, k: int = 1, dims: Sequence[int] = ...) -> Tensor:
        """The plane of the two axes `dims` turned by `k` quarter turns, from the first axis towards the
        second."""

    def round_(self, *, decimals: int = 0) -> Tensor:
        """`round`, written over this tensor."""

    def rsqrt_(self) -> Tensor:
        """`rsqrt`, written over this tensor."""

    def rsub(self, other: Any, *, alpha: Any = 1) -> Tensor:
        """other - alpha * input."""

    def scatter(
        self, dim: int, index: Tensor, src: Any = None, *, value: float | None = None, reduce: str | None = None
    ) -> Tensor:
        """`input` with `src`, a tensor or a number, at `index` along `dim`: out[index[i, j], j] = src[i, j]
        for `dim` 0."""

    def scatter_(
        self, dim: int, index: Tensor, src: Any = None, *, value: float | None = None, reduce: str | None = None
    ) -> Tensor:
        """`scatter`, written over this tensor."""

    def scatter_add(self, dim: int, index: Tensor, src: Tensor) -> Tensor:
        """`input` with `src` added at `index` along `dim`: out[index[i, j], j] += src[i, j] for `dim` 0."""

    def scatter_add_(self, dim: int, index: Tensor, src: Tensor) -> Tensor:
        """`scatter_add`, written over this tensor."""

    def scatter_reduce(self, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True) -> Tensor:
        """`input` with `src` joined at `index` along `dim`."""

    def scatter_reduce_(
        self, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
    ) -> Tensor:
        """`scatter_reduce`, written over this tensor."""

    def select(self, dim: int, index: Any) -> Tensor:
        """The slice at `index` along `dim`, without that axis: a view."""

    def select_scatter(self, src: Tensor, dim: int, index: int) -> Tensor:
        """`input` with `src` in place of the slice at `index` along `dim`."""

    def sgn(self) -> Tensor:
        """-1, 0 or 1, the sign of each element; 0 of NaN."""

    def sgn_(self) -> Tensor:
        """`sgn`, written over this tensor."""

    def sigmoid_(self) -> Tensor:
        """`sigmoid`, written over this tensor."""

    def sign_(self) -> Tensor:
        """`sign`, written over this tensor."""

    def signbit(self) -> Tensor:
        """Whether the sign is minus, also of zero and NaN."""

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

    def slice_scatter(
        self,
        src: Tensor,
        dim: int = 0,
        start: int | None = None,
        end: int | None = None,
        step: int = 1,
        *,
        axis: int = 0,
    ) -> Tensor:
        """`input` with `src` in place of the slice `start:end:step` along `dim`."""

    def slogdet(self) -> SignAndLogarithm:
        """(The sign, the logarithm of the absolute value) of each determinant."""

    def sort(
        self, dim: int = -1, descending: bool = False, *, stable: bool = False, axis: int = -1
    ) -> ValuesAndIndices:
        """The elements along `dim` in order, and the index that each had, i64."""

    def split(self, split_size: int | Sequence[int], dim: int = 0, *, axis: int = 0) -> tuple[Tensor, ...]:
        """Views of parts of `split_size` along `dim`, the last one perhaps smaller; or of parts of the
        sizes in a list."""

    def split_with_sizes(self, split_sizes: Sequence[int], dim: int = 0, *, axis: int = 0) -> tuple[Tensor, ...]:
        """Views of parts of these sizes along `dim`, one after the other."""

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

    def sub(self, other: Any, *, alpha: Any = 1) -> Tensor:
        """input - alpha * other."""

    def subtract(self, other: Any, *, alpha: Any = 1) -> Tensor:
        """input - alpha * other."""

    def subtract_(self, other: Any, *, alpha: Any = 1) -> Tensor:
        """`subtract`, written over this tensor."""

    def sum_to_size(self, *size: Any) -> Tensor:
        """The sum over the axes that broadcasting a tensor of this size to the input's shape would
        repeat."""

    def svd(self, some: bool = True, compute_uv: bool = True) -> OldSVD:
        """`linalg.svd` with V instead of its transpose, reduced if `some`."""

    def swapdims(self, dim0: int, dim1: int) -> Tensor:
        """Axes `dim0` and `dim1` exchanged."""

    def take(self, index: Tensor) -> Tensor:
        """The elements at `index` of the flattened `input`, counted from the end where negative."""

    def take_along_dim(self, indices: Tensor, dim: int | None = None, *, axis: int | None = None) -> Tensor:
        """`gather` where `input` and `indices` broadcast apart from `dim`; without `dim`, of the flattened
        `input`."""

    def tan(self) -> Tensor:
        """Tangent, of radians."""

    def tan_(self) -> Tensor:
        """`tan`, written over this tensor."""

    def tanh_(self) -> Tensor:
        """`tanh`, written over this tensor."""

    def tensor_split(self, indices_or_sections: Any, dim: int = 0, *, axis: int = 0) -> tuple[Tensor, ...]:
        """Views of parts along `dim`: as many as a number says, the first ones one larger where it does not
        divide the size; or those that end before each of the indices in a list, and the rest."""

    def tile(self, *sizes: Any, dims: Sequence[int] | None = None) -> Tensor:
        """`repeat`, with ones in front where there are fewer numbers than axes."""

    def topk(
        self, k: int, dim: int = -1, largest: bool = True, sorted: bool = True, *, axis: int = -1
    ) -> ValuesAndIndices:
        """The `k` largest elements along `dim`, or the smallest, the best first, and their indices, i64."""

    def trace(self) -> Tensor:
        """The sum of a matrix's diagonal; of integers as i64."""

    def triangular_solve(
        self, A: Tensor, upper: bool = True, transpose: bool = False, unitriangular: bool = False
    ) -> SolutionAndCoefficients:
        """(X with A @ X = `input`, a copy of A), where A is triangular, or its transpose."""

    def tril(self, diagonal: int = 0) -> Tensor:
        """The lower triangles of the matrices in the last two axes, 0 above the `diagonal`."""

    def tril_(self, diagonal: int = 0) -> Tensor:
        """`tril`, written over this tensor."""

    def triu(self, diagonal: int = 0) -> Tensor:
        """The upper triangles of the matrices in the last two axes, 0 below the `diagonal`."""

    def triu_(self, diagonal: int = 0) -> Tensor:
        """`triu`, written over this tensor."""

    def true_divide(self, other: Any) -> Tensor:
        """input / other, in floats."""

    def true_divide_(self, other: Any) -> Tensor:
        """`true_divide`, written over this tensor."""

    def trunc_(self) -> Tensor:
        """`trunc`, written over this tensor."""

    def type_as(self, other: Tensor) -> Tensor:
        """Converted to the dtype of `other`."""

    def unbind(self, dim: int = 0, *, axis: int = 0) -> tuple[Tensor, ...]:
        """The slices along `dim`, without that axis: views."""

    def unflatten(self, dim: int, sizes: Sequence[int]) -> Tensor:
        """Axis `dim` as several, of `sizes`, one of which may be -1: a view."""

    def unfold(self, dimension: int, size: int, step: int) -> Tensor:
        """Windows of `size` elements along `dimension`, `step` apart, as a new last axis: a view."""

    def uniform_(self, from_: float = 0.0, to: float = 1.0, *, generator: Generator | None = None) -> Tensor:
        """Overwritten with uniform numbers in [from_, to)."""

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

    def unsafe_chunk(self, chunks: int, dim: int = 0, *, axis: int = 0) -> tuple[Tensor, ...]:
        """Views of at most `chunks` parts of equal size along `dim`, the last one perhaps smaller; of an
        empty axis `chunks`."""

    def unsafe_split(self, split_size: int | Sequence[int], dim: int = 0, *, axis: int = 0) -> tuple[Tensor, ...]:
        """Views of parts of `split_size` along `dim`, the last one perhaps smaller; or of parts of the
        sizes in a list."""

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

    def vdot(self, other: Tensor) -> Tensor:
        """The inner product of two vectors of one dtype and size."""

    def view_as(self, other: Tensor) -> Tensor:
        """A view in the shape of `other`."""

    def vsplit(self, indices_or_sections: Any) -> tuple[Tensor, ...]:
        """Views of parts along the first axis, as `hsplit`."""

    def xlogy(self, other: Any) -> Tensor:
        """input * log(other), 0 where the input is."""

    def xlogy_(self, other: Any) -> Tensor:
        """`xlogy`, written over this tensor."""
