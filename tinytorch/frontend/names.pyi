"""Functions of tensors, as they are called in the package.

Made from the table of names by `pytest tests/frontend/test_names.py --bless`.
"""

from collections.abc import Sequence
from typing import Any

from tinytorch.frontend.functions.manipulation.shapes import Ints
from tinytorch.frontend.functions.pointwise.mathematics import MantissaAndExponent
from tinytorch.frontend.functions.random import Generator
from tinytorch.frontend.functions.reductions.counting import Histogram
from tinytorch.frontend.functions.reductions.reducing import MinAndMax
from tinytorch.frontend.linear_algebra.factorizations import QR, Reflections
from tinytorch.frontend.linear_algebra.lu import PLU
from tinytorch.frontend.linear_algebra.solving import SignAndLogarithm, SolutionAndCoefficients
from tinytorch.frontend.linear_algebra.spectra import OldSVD
from tinytorch.frontend.tensor.tensor import Tensor
from tinytorch.ir.operators.reductions import Axis, ValuesAndIndices

__all__: list[str] = [
    "abs",
    "absolute",
    "acos",
    "acosh",
    "add",
    "addbmm",
    "addcdiv",
    "addcmul",
    "addmm",
    "addmv",
    "addr",
    "adjoint",
    "all",
    "allclose",
    "alpha_dropout",
    "amax",
    "amin",
    "aminmax",
    "angle",
    "any",
    "arange",
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
    "argwhere",
    "as_strided",
    "as_strided_copy",
    "as_strided_scatter",
    "as_tensor",
    "asarray",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "baddbmm",
    "bartlett_window",
    "bernoulli",
    "bernoulli_",
    "bilinear",
    "bincount",
    "bitwise_and",
    "bitwise_left_shift",
    "bitwise_not",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "blackman_window",
    "block_diag",
    "bmm",
    "broadcast_shapes",
    "broadcast_tensors",
    "broadcast_to",
    "bucketize",
    "cartesian_prod",
    "cat",
    "cauchy_",
    "cdist",
    "ceil",
    "celu",
    "chain_matmul",
    "channel_shuffle",
    "cholesky",
    "cholesky_inverse",
    "cholesky_solve",
    "chunk",
    "clamp",
    "clamp_max",
    "clamp_min",
    "clip",
    "clone",
    "column_stack",
    "combinations",
    "concat",
    "concatenate",
    "conj",
    "conj_physical",
    "copysign",
    "corrcoef",
    "cos",
    "cosh",
    "cosine_embedding_loss",
    "cosine_similarity",
    "count_nonzero",
    "cov",
    "cross",
    "cummax",
    "cummin",
    "cumprod",
    "cumsum",
    "cumulative_trapezoid",
    "deg2rad",
    "det",
    "detach",
    "diag",
    "diag_embed",
    "diagflat",
    "diagonal",
    "diagonal_copy",
    "diagonal_scatter",
    "diff",
    "digamma",
    "dist",
    "div",
    "divide",
    "dot",
    "dsplit",
    "dstack",
    "element_size",
    "embedding_bag",
    "empty",
    "empty_like",
    "empty_permuted",
    "empty_strided",
    "eq",
    "equal",
    "erf",
    "erfc",
    "erfinv",
    "exp",
    "exp2",
    "expand_as",
    "expand_copy",
    "expm1",
    "exponential_",
    "eye",
    "feature_alpha_dropout",
    "fill",
    "fill_diagonal",
    "fix",
    "flatten",
    "flip",
    "fliplr",
    "flipud",
    "float_power",
    "floor",
    "floor_divide",
    "fmax",
    "fmin",
    "fmod",
    "frac",
    "frexp",
    "full",
    "full_like",
    "gather",
    "gcd",
    "ge",
    "geometric_",
    "geqrf",
    "ger",
    "get_device",
    "greater",
    "greater_equal",
    "group_norm",
    "gt",
    "hamming_window",
    "hann_window",
    "hardshrink",
    "heaviside",
    "hinge_embedding_loss",
    "histc",
    "histogram",
    "histogramdd",
    "hsplit",
    "hstack",
    "hypot",
    "i0",
    "igamma",
    "igammac",
    "index_add",
    "index_copy",
    "index_fill",
    "index_put",
    "index_reduce",
    "index_select",
    "inner",
    "instance_norm",
    "inverse",
    "is_complex",
    "is_conj",
    "is_floating_point",
    "is_nonzero",
    "is_same_size",
    "is_signed",
    "is_tensor",
    "isclose",
    "isfinite",
    "isin",
    "isinf",
    "isnan",
    "isneginf",
    "isposinf",
    "isreal",
    "kaiser_window",
    "kl_div",
    "kron",
    "kthvalue",
    "lcm",
    "ldexp",
    "le",
    "lerp",
    "less",
    "less_equal",
    "lgamma",
    "linspace",
    "log",
    "log1p",
    "log2",
    "log10",
    "log_normal_",
    "log_softmax",
    "logaddexp",
    "logaddexp2",
    "logcumsumexp",
    "logdet",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "logit",
    "logspace",
    "logsumexp",
    "lt",
    "lu",
    "lu_solve",
    "lu_unpack",
    "margin_ranking_loss",
    "masked_fill",
    "masked_scatter",
    "masked_select",
    "matmul",
    "matrix_exp",
    "matrix_power",
    "max",
    "maximum",
    "mean",
    "median",
    "meshgrid",
    "min",
    "minimum",
    "mm",
    "mode",
    "moveaxis",
    "movedim",
    "msort",
    "mul",
    "multinomial",
    "multiply",
    "mv",
    "mvlgamma",
    "nan_to_num",
    "nanmean",
    "nanmedian",
    "nanquantile",
    "nansum",
    "narrow",
    "narrow_copy",
    "native_channel_shuffle",
    "ndimension",
    "ne",
    "neg",
    "negative",
    "nelement",
    "new",
    "new_empty",
    "new_empty_strided",
    "new_full",
    "new_ones",
    "new_tensor",
    "new_zeros",
    "nextafter",
    "nonzero",
    "norm",
    "normal",
    "normal_",
    "not_equal",
    "numel",
    "ones",
    "ones_like",
    "ormqr",
    "outer",
    "pairwise_distance",
    "pca_lowrank",
    "pdist",
    "permute",
    "permute_copy",
    "pinverse",
    "pixel_shuffle",
    "pixel_unshuffle",
    "poisson_nll_loss",
    "polygamma",
    "positive",
    "pow",
    "prelu",
    "prod",
    "put",
    "qr",
    "quantile",
    "rad2deg",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "random_",
    "randperm",
    "ravel",
    "real",
    "reciprocal",
    "relu",
    "remainder",
    "renorm",
    "repeat",
    "repeat_interleave",
    "reshape",
    "reshape_as",
    "resolve_conj",
    "resolve_neg",
    "roll",
    "rot90",
    "round",
    "row_stack",
    "rrelu",
    "rsqrt",
    "rsub",
    "scalar_tensor",
    "scatter",
    "scatter_add",
    "scatter_reduce",
    "searchsorted",
    "select",
    "select_copy",
    "select_scatter",
    "selu",
    "sgn",
    "sigmoid",
    "sign",
    "signbit",
    "sin",
    "sinc",
    "sinh",
    "slice_scatter",
    "slogdet",
    "softmax",
    "sort",
    "split",
    "split_with_sizes",
    "split_with_sizes_copy",
    "sqrt",
    "square",
    "squeeze",
    "squeeze_copy",
    "stack",
    "std",
    "std_mean",
    "sub",
    "subtract",
    "sum",
    "sum_to_size",
    "svd",
    "svd_lowrank",
    "swapaxes",
    "swapdims",
    "t",
    "t_copy",
    "take",
    "take_along_dim",
    "tan",
    "tanh",
    "tensor",
    "tensor_split",
    "tensordot",
    "threshold",
    "tile",
    "topk",
    "trace",
    "transpose",
    "transpose_copy",
    "trapezoid",
    "trapz",
    "triangular_solve",
    "tril",
    "tril_indices",
    "triplet_margin_loss",
    "triu",
    "triu_indices",
    "true_divide",
    "trunc",
    "type_as",
    "unbind",
    "unbind_copy",
    "unflatten",
    "unfold",
    "unfold_copy",
    "uniform_",
    "unique",
    "unique_consecutive",
    "unravel_index",
    "unsafe_chunk",
    "unsafe_split",
    "unsqueeze",
    "unsqueeze_copy",
    "vander",
    "var",
    "var_mean",
    "vdot",
    "view_as",
    "view_copy",
    "vsplit",
    "vstack",
    "where",
    "xlogy",
    "zeros",
    "zeros_like",
]

def abs(input: Tensor) -> Tensor:
    """The absolute value of each element."""

def absolute(input: Tensor) -> Tensor:
    """The absolute value of each element."""

def acos(input: Tensor) -> Tensor:
    """Arc cosine, in [0, pi]."""

def acosh(input: Tensor) -> Tensor:
    """Inverse hyperbolic cosine, of x >= 1."""

def add(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """input + alpha * other; of bools, or."""

def addbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * input + alpha * sum of batch1 @ batch2 over all matrices, which is one product of their
    blocks."""

def addcdiv(input: Tensor, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Tensor:
    """input + value * tensor1 / tensor2, of floats."""

def addcmul(input: Tensor, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Tensor:
    """input + value * tensor1 * tensor2."""

def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * input + alpha * (mat1 @ mat2), of two matrices."""

def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * input + alpha * (mat @ vec), of a matrix and a vector."""

def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * input + alpha * outer(vec1, vec2)."""

def adjoint(input: Tensor) -> Tensor:
    """The last two axes exchanged: a view."""

def all(input: Tensor, dim: Axis = None, keepdim: bool = False, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether every element is true (not 0), which is so of nothing."""

def allclose(a: Any, b: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """Whether |a - b| <= atol + rtol * |b| everywhere; needs values, so not under tt.compile."""

def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Elements set to what SELU gives far below 0 with probability `p`, and all shifted and scaled so
    that mean 0 and variance 1 stay (Klambauer et al. 2017)."""

def amax(
    input: Tensor, dim: Axis = None, keepdim: bool = False, *, axis: Axis = None, keepdims: bool = False
) -> Tensor:
    """The largest element along `dim`, one axis or several, of all by default."""

def amin(
    input: Tensor, dim: Axis = None, keepdim: bool = False, *, axis: Axis = None, keepdims: bool = False
) -> Tensor:
    """The smallest element along `dim`, one axis or several, of all by default."""

def aminmax(
    input: Tensor, *, dim: int | None = None, keepdim: bool = False, axis: int | None = None, keepdims: bool = False
) -> MinAndMax:
    """The smallest and the largest element along `dim`, or of all, as a named tuple `min`, `max`."""

def angle(input: Tensor) -> Tensor:
    """0 where the number is not negative, pi where it is."""

def any(input: Tensor, dim: Axis = None, keepdim: bool = False, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether an element is true (not 0), which is not so of nothing."""

def arange(
    start: float | None = None,
    end: float | None = None,
    step: float = 1,
    dtype: object = None,
    requires_grad: bool = False,
    device: object = None,
) -> Tensor:
    """`start` (0 where only the end is given), `start + step`, … before `end`; i64 if all are integers,
    else f32."""

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
) -> Tensor:
    """Index of the first smallest element (i64) along `dim`, or in the flattened tensor."""

def argsort(input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False, axis: int = -1) -> Tensor:
    """The indices, i64, that sort the elements along `dim`; equal ones keep their order."""

def argwhere(input: Tensor) -> Tensor:
    """The coordinates of the elements that are not 0, i64[count, rank]."""

def as_strided(input: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None) -> Tensor:
    """The elements `storage_offset + i * stride[0] + j * stride[1] + …` of the memory of a tensor that
    is in row-major order: a view."""

def as_strided_copy(
    input: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None
) -> Tensor:
    """`as_strided`, in memory of its own."""

def as_strided_scatter(
    input: Tensor, src: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None
) -> Tensor:
    """`input` with `src` in place of what `as_strided` gives."""

def as_tensor(data: Any, dtype: object = None, device: object = None) -> Tensor:
    """`data` as a tensor; tensors as they are, arrays without a copy where the dtype allows."""

def asarray(data: Any, dtype: object = None, device: object = None) -> Tensor:
    """`data` as a tensor; tensors as they are, arrays without a copy where the dtype allows."""

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

def atleast_1d(*tensors: Any) -> Any:
    """Tensors without axes as vectors, others as they are."""

def atleast_2d(*tensors: Any) -> Any:
    """Tensors of fewer than two axes with new ones in front."""

def atleast_3d(*tensors: Any) -> Any:
    """Vectors as [1, n, 1], matrices as [m, n, 1]."""

def baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * input + alpha * (batch1 @ batch2), matrix by matrix."""

def bartlett_window(
    window_length: int,
    periodic: bool = True,
    *,
    dtype: object = None,
    device: object = None,
    requires_grad: bool = False,
) -> Tensor:
    """`signal.windows.bartlett`, periodic by default."""

def bernoulli(input: Tensor, p: float | None = None, *, generator: Generator | None = None) -> Tensor:
    """1 with the probability that `input` has there (or with `p` everywhere), else 0."""

def bernoulli_(input: Tensor, p: float | Tensor = 0.5, *, generator: Generator | None = None) -> Tensor:
    """Overwritten with 1, with the probability `p`, a number or a tensor that broadcasts, else 0."""

def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """sum over i and j of x1[…, i] weight[o, i, j] x2[…, j], plus bias[o]: of x1 [..., in1] and x2
    [..., in2], with weight [out, in1, in2], [..., out]."""

def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each integer from 0 on is in the vector `input`, as i64, for at least `minlength` of
    them; or the sums of their `weights`, as f32 where these are, else as f64."""

def bitwise_and(input: Any, other: Any) -> Tensor:
    """input & other."""

def bitwise_left_shift(input: Any, other: Any) -> Tensor:
    """input << other; 0 where that is the width or more."""

def bitwise_not(input: Tensor) -> Tensor:
    """~input; of bools, not."""

def bitwise_or(input: Any, other: Any) -> Tensor:
    """input | other."""

def bitwise_right_shift(input: Any, other: Any) -> Tensor:
    """input >> other, which keeps the sign."""

def bitwise_xor(input: Any, other: Any) -> Tensor:
    """input ^ other."""

def blackman_window(
    window_length: int,
    periodic: bool = True,
    *,
    dtype: object = None,
    device: object = None,
    requires_grad: bool = False,
) -> Tensor:
    """`signal.windows.blackman`, periodic by default."""

def block_diag(*tensors: Any) -> Tensor:
    """The matrices along the diagonal of a larger one, with zeros around; vectors are rows."""

def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """The products [b, n, p] of matrices [b, n, m] and [b, m, p] of one dtype, one by one."""

def broadcast_shapes(*shapes: Any) -> tuple[int, ...]:
    """The shape that tensors of these shapes broadcast to."""

def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """Views of the tensors in their common shape."""

def broadcast_to(input: Tensor, *shape: Any, size: Sequence[int] | None = None) -> Tensor:
    """A view in which axes of size 1, and new ones in front, are repeated to `size`."""

def bucketize(input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """For each of `input` the number of the bucket between the ascending `boundaries`, a vector."""

def cartesian_prod(*tensors: Any) -> Tensor:
    """All choices of one element from each of the vectors, [count, vectors]; of one vector, itself."""

def cat(tensors: Sequence[Tensor], dim: int = 0, *, axis: int = 0) -> Tensor:
    """The tensors one after the other along `dim`; their dtypes are promoted to one."""

def cauchy_(input: Tensor, median: float = 0.0, sigma: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Overwritten with numbers of the density 1 / (pi * sigma * (1 + ((x - median) / sigma) ** 2))."""

def cdist(
    x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str | None = "use_mm_for_euclid_dist_if_necessary"
) -> Tensor:
    """[..., n, m]: the `p`-norm of the difference of each row of x1 [..., n, d] and each of x2 [..., m,
    d]."""

def ceil(input: Tensor) -> Tensor:
    """The smallest integer that is not below each element."""

def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where it is positive, else alpha * (exp(x / alpha) - 1), whose slope at 0 is 1 (Barron
    2017)."""

def chain_matmul(*matrices: Tensor) -> Tensor:
    """The product of matrices in the order that takes the fewest operations."""

def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """[batch, channels, ...] with the channels in another order: the first of each of `groups` groups,
    then the second of each, and so on (Zhang et al. 2018)."""

def cholesky(input: Tensor, upper: bool = False) -> Tensor:
    """`linalg.cholesky`."""

def cholesky_inverse(input: Tensor, upper: bool = False) -> Tensor:
    """The inverse of A = L L^T with the lower triangle `input`, or of L^T L with an `upper` one."""

def cholesky_solve(input: Tensor, L: Tensor, upper: bool = False) -> Tensor:
    """X with A @ X = `input`, where A = L L^T with a lower triangle L, or L^T L with an `upper` one."""

def chunk(input: Tensor, chunks: int, dim: int = 0, *, axis: int = 0) -> tuple[Tensor, ...]:
    """Views of at most `chunks` parts of equal size along `dim`, the last one perhaps smaller; of an
    empty axis `chunks`."""

def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """Limited to [min, max], numbers or tensors, and `max` where `min` is larger."""

def clamp_max(input: Any, max: Any) -> Tensor:
    """At most `max`, a number or a tensor."""

def clamp_min(input: Any, min: Any) -> Tensor:
    """At least `min`, a number or a tensor."""

def clip(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """Limited to [min, max], numbers or tensors, and `max` where `min` is larger."""

def clone(input: Tensor, *, memory_format: object = None) -> Tensor:
    """A copy in memory of its own, through which gradients flow."""

def column_stack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors side by side along the second axis, vectors as columns."""

def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All ways to choose `r` elements of a vector, in their order, [count, r]; the same one may be
    chosen again `with_replacement`."""

def concat(tensors: Sequence[Tensor], dim: int = 0, *, axis: int = 0) -> Tensor:
    """The tensors one after the other along `dim`; their dtypes are promoted to one."""

def concatenate(tensors: Sequence[Tensor], dim: int = 0, *, axis: int = 0) -> Tensor:
    """The tensors one after the other along `dim`; their dtypes are promoted to one."""

def conj(input: Tensor) -> Tensor:
    """The input itself: all numbers here are real."""

def conj_physical(input: Tensor) -> Tensor:
    """The input itself: all numbers here are real."""

def copysign(input: Any, other: Any) -> Tensor:
    """|input| with the sign of other."""

def corrcoef(input: Tensor) -> Tensor:
    """Pearson's correlations [n, n] of n rows, in [-1, 1]."""

def cos(input: Tensor) -> Tensor:
    """The cosine of each element."""

def cosh(input: Tensor) -> Tensor:
    """Hyperbolic cosine."""

def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0.0,
    size_average: object = None,
    reduce: object = None,
    reduction: str = "mean",
) -> Tensor:
    """1 - cos(x1, x2) where the target is 1, max(0, cos(x1, x2) - margin) where it is -1: of [N, D] and
    targets [N], or of [D] and a target without axes."""

def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-08, *, axis: int = 1) -> Tensor:
    """x1 · x2 / (|x1| |x2|) along `dim`, each length at least `eps`."""

def count_nonzero(
    input: Tensor, dim: Any = None, *, keepdim: bool = False, axis: Any = None, keepdims: bool = False
) -> Tensor:
    """How many elements along `dim`, one axis or several, or of all are not 0, as i64."""

def cov(input: Tensor, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Tensor:
    """Covariances [n, n] of n rows, or the variance of a vector."""

def cross(input: Tensor, other: Tensor, dim: int | None = None, *, axis: int | None = None) -> Tensor:
    """The cross product of vectors with three elements along `dim`, by default the first axis that has
    three."""

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

def deg2rad(input: Tensor) -> Tensor:
    """Degrees as radians."""

def det(A: Tensor) -> Tensor:
    """The determinant of each square matrix [..., n, n]."""

def detach(input: Tensor) -> Tensor:
    """The same values, through which no gradient flows."""

def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """Of a vector, the matrix with it on the diagonal; of a matrix, a copy of the diagonal."""

def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Matrices of zeros, in the axes `dim1` and `dim2`, with the last axis of `input` on the diagonal
    `offset`."""

def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """The matrix with the elements of `input` on the diagonal `offset`."""

def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The elements (i, i + offset) of axes `dim1` and `dim2`, as the last axis: a view."""

def diagonal_copy(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """`diagonal`, in memory of its own."""

def diagonal_scatter(input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """`input` with `src` in place of the diagonal that `diagonal` gives."""

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

def dist(input: Tensor, other: Any, p: float = 2) -> Tensor:
    """The `p`-norm of `input` - `other`, which broadcast."""

def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """input / other, in floats; rounded down or towards zero, in the operands' dtype, if
    `rounding_mode` is "floor" or "trunc"."""

def divide(input: Any, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """input / other, in floats; rounded down or towards zero, in the operands' dtype, if
    `rounding_mode` is "floor" or "trunc"."""

def dot(a: Tensor, b: Tensor) -> Tensor:
    """The inner product of two vectors."""

def dsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """Views of parts along the third axis, as `hsplit`."""

def dstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors behind each other: along the third axis, of which those of fewer axes have one
    element."""

def element_size(input: Tensor) -> int:
    """Bytes of one element."""

def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The sum, mean or maximum of the rows of `weight` [count, features] that each bag names: [bags,
    features]."""

def empty(*size: Any, dtype: object = None, requires_grad: bool = False, device: object = None) -> Tensor:
    """Zeros: memory without a value would make results depend on what was there before."""

def empty_like(
    input: Tensor,
    dtype: object = None,
    requires_grad: bool = False,
    device: object = None,
    memory_format: object = None,
) -> Tensor:
    """`empty` with the shape of `input`, and its dtype where none is given."""

def empty_permuted(
    size: Sequence[int],
    physical_layout: Sequence[int],
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Zeros of shape `size` whose axes lie in memory in the order `physical_layout`, the last one most
    densely."""

def empty_strided(
    size: Sequence[int], stride: Sequence[int], *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Zeros of shape `size` whose neighbours along each axis are `stride` elements apart in memory."""

def eq(input: Any, other: Any) -> Tensor:
    """input == other, elementwise."""

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

def expand_as(input: Tensor, other: Tensor) -> Tensor:
    """A view broadcast to the shape of `other`."""

def expand_copy(input: Tensor, *sizes: Any, size: Sequence[int] | None = None) -> Tensor:
    """`expand`, in memory of its own."""

def expm1(input: Tensor) -> Tensor:
    """`exp(x) - 1`, accurate near 0."""

def exponential_(input: Tensor, lambd: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Overwritten with positive numbers of the density lambd * exp(-lambd * x)."""

def eye(
    n: int, m: int | None = None, dtype: object = None, requires_grad: bool = False, device: object = None
) -> Tensor:
    """[n, m] with ones on the diagonal."""

def feature_alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """`alpha_dropout` of whole channels of [batch, channels, ...]."""

def fill(input: Tensor, value: Any) -> Tensor:
    """A tensor like `input` with `value`, a number or a tensor without axes, everywhere."""

def fill_diagonal(input: Tensor, fill_value: Any, wrap: bool = False) -> Tensor:
    """`input` with `fill_value` on its main diagonal: of a matrix, or of axes of one size, where all
    indices are equal."""

def fix(input: Tensor) -> Tensor:
    """Each element without its fraction."""

def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The axes from `start_dim` to `end_dim` as one."""

def flip(input: Tensor, *axes: Any, dims: Sequence[int] | int | None = None) -> Tensor:
    """A copy with the order along `dims` reversed."""

def fliplr(input: Tensor) -> Tensor:
    """The columns in reversed order."""

def flipud(input: Tensor) -> Tensor:
    """The rows in reversed order."""

def float_power(input: Any, exponent: Any) -> Tensor:
    """input ** exponent in f64."""

def floor(input: Tensor) -> Tensor:
    """The largest integer that is not above each element."""

def floor_divide(input: Any, other: Any) -> Tensor:
    """input / other rounded down; integers divided by zero give 0."""

def fmax(input: Any, other: Any) -> Tensor:
    """The larger; of a number and NaN the number."""

def fmin(input: Any, other: Any) -> Tensor:
    """The smaller; of a number and NaN the number."""

def fmod(input: Any, other: Any) -> Tensor:
    """The rest of input / other, with the input's sign; integers modulo zero give 0."""

def frac(input: Tensor) -> Tensor:
    """What is behind the decimal point, with the input's sign; of floats."""

def frexp(input: Tensor) -> MantissaAndExponent:
    """(mantissa, exponent): input = mantissa * 2**exponent with |mantissa| in [1/2, 1), or 0, infinite
    or NaN and an exponent of 0."""

def full(
    size: Any, fill_value: Any, dtype: object = None, requires_grad: bool = False, device: object = None
) -> Tensor:
    """`value` everywhere; without `dtype`, bools give bool, integers i64 and floats f32."""

def full_like(
    input: Tensor,
    fill_value: Any,
    dtype: object = None,
    requires_grad: bool = False,
    device: object = None,
    memory_format: object = None,
) -> Tensor:
    """`fill_value` everywhere, with the shape of `input`, and its dtype where none is given."""

def gather(input: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False) -> Tensor:
    """The elements at `index` along `dim`: out[i, j] = input[index[i, j], j] for `dim` 0."""

def gcd(input: Any, other: Any) -> Tensor:
    """Greatest common divisor, not negative; of zeros 0."""

def ge(input: Any, other: Any) -> Tensor:
    """input >= other."""

def geometric_(input: Tensor, p: float, *, generator: Generator | None = None) -> Tensor:
    """Overwritten with the number of trials of probability `p` up to the first success: 1, 2, …."""

def geqrf(input: Tensor) -> Reflections:
    """(R above the diagonal and the vectors of reflections below it, their factors): see
    `linalg.householder_product`."""

def ger(a: Tensor, b: Tensor) -> Tensor:
    """Every product of an element of vector `a`, by rows, with one of vector `b`."""

def get_device(input: Tensor) -> int:
    """-1, which stands for the CPU."""

def greater(input: Any, other: Any) -> Tensor:
    """input > other."""

def greater_equal(input: Any, other: Any) -> Tensor:
    """input >= other."""

def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-05
) -> Tensor:
    """(x - mean) / sqrt(variance + eps) of each group of channels of x [batch, channels, ...], times
    `weight` plus `bias`, which are [channels] (Wu & He 2018)."""

def gt(input: Any, other: Any) -> Tensor:
    """input > other."""

def hamming_window(
    window_length: int,
    periodic: bool = True,
    alpha: float = 0.54,
    beta: float = 0.46,
    *,
    dtype: object = None,
    device: object = None,
    requires_grad: bool = False,
) -> Tensor:
    """alpha - beta cos(2 pi n / N), periodic by default."""

def hann_window(
    window_length: int,
    periodic: bool = True,
    *,
    dtype: object = None,
    device: object = None,
    requires_grad: bool = False,
) -> Tensor:
    """`signal.windows.hann`, periodic by default."""

def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """0 from -lambd to lambd, x elsewhere."""

def heaviside(input: Any, values: Any) -> Tensor:
    """0 below zero, 1 above, `values` at zero."""

def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: object = None,
    reduce: object = None,
    reduction: str = "mean",
) -> Tensor:
    """x where the target is 1, max(0, margin - x) where it is -1; the operands broadcast."""

def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements lie in each of `bins` intervals of equal size from `min` to `max`, the last one
    closed; of the smallest and the largest element where both are equal."""

def histogram(
    input: Tensor, bins: Any = 100, *, range: Any = None, weight: Tensor | None = None, density: bool = False
) -> Histogram:
    """How many elements, or how much of their `weight`, lies in each interval between edges, the last
    one closed; divided by the total and by the sizes of the intervals if `density`."""

def histogramdd(
    input: Tensor, bins: Any, *, range: Any = None, weight: Tensor | None = None, density: bool = False
) -> Histogram:
    """As `histogram`, of points in D dimensions, which lie along the last axis: bins are a number for
    all dimensions, or a number or edges for each, and `range` has two numbers for each."""

def hsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """Views of parts along the second axis, of vectors along their only one: so many equal ones, or
    those that end before each index and the rest."""

def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors side by side: along the second axis, vectors along their only one."""

def hypot(input: Any, other: Any) -> Tensor:
    """sqrt(input**2 + other**2)."""

def i0(input: Tensor) -> Tensor:
    """Modified Bessel function of the first kind, of order 0."""

def igamma(input: Any, other: Any) -> Tensor:
    """Regularized lower incomplete gamma function P(input, other)."""

def igammac(input: Any, other: Any) -> Tensor:
    """Regularized upper incomplete gamma function Q(input, other) = 1 - P(input, other)."""

def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1) -> Tensor:
    """`input` with `alpha` times the slices of `source` added at the places in `dim` that the vector
    `index` names."""

def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """`input` with the slices of `source` at the places in `dim` that the vector `index` names."""

def index_fill(input: Tensor, dim: int, index: Tensor, value: float | Tensor) -> Tensor:
    """`input` with `value`, a number or a tensor without axes, at the places in `dim` that the vector
    `index` names."""

def index_put(input: Tensor, indices: Sequence[Tensor | None], values: Tensor, accumulate: bool = False) -> Tensor:
    """`input` with `values` at `input[indices]`, tensors of integers or bools for the first axes; with
    `accumulate` they are added, those of repeated indices too."""

def index_reduce(
    input: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """`input` with the slices of `source` joined at the places in `dim` that the vector `index`
    names."""

def index_select(input: Tensor, dim: int, index: Any) -> Tensor:
    """What the integers of the vector `index` name along `dim`, counted from the end where they are
    negative."""

def inner(input: Tensor, other: Tensor) -> Tensor:
    """Sums of products along the last axes, which have one size; the other axes stand one after the
    other."""

def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-05,
) -> Tensor:
    """(x - mean) / sqrt(variance + eps) of each channel of each image of x [batch, channels, ...],
    times `weight` plus `bias`, which are [channels] (Ulyanov et al. 2016)."""

def inverse(A: Tensor) -> Tensor:
    """The inverse of each square matrix [..., n, n]."""

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

def isclose(input: Tensor, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Tensor:
    """Whether |input - other| <= atol + rtol * |other|, elementwise; infinities are close to themselves
    alone, and NaN to NaN if `equal_nan`."""

def isfinite(input: Tensor) -> Tensor:
    """Whether each element is neither infinite nor NaN."""

def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Whether each of `elements` is one of `test_elements`, or if `invert`, whether it is none."""

def isinf(input: Tensor) -> Tensor:
    """Whether each element is infinite."""

def isnan(input: Tensor) -> Tensor:
    """Whether each element is NaN."""

def isneginf(input: Tensor) -> Tensor:
    """Whether it is the negative infinity."""

def isposinf(input: Tensor) -> Tensor:
    """Whether it is the positive infinity."""

def isreal(input: Tensor) -> Tensor:
    """True: all numbers here are real."""

def kaiser_window(
    window_length: int,
    periodic: bool = True,
    beta: float = 12.0,
    *,
    dtype: object = None,
    device: object = None,
    requires_grad: bool = False,
) -> Tensor:
    """`signal.windows.kaiser`, periodic by default."""

def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: object = None,
    reduce: object = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """t (log t - x): of log probabilities x, and probabilities t, or their logarithms with
    `log_target`."""

def kron(input: Tensor, other: Tensor) -> Tensor:
    """The Kronecker product: each element of `input` times all of `other`; the one of fewer axes gets
    axes in front."""

def kthvalue(
    input: Tensor, k: int, dim: int = -1, keepdim: bool = False, *, axis: int = -1, keepdims: bool = False
) -> ValuesAndIndices:
    """The `k`-th smallest element along `dim`, counted from 1, and its index."""

def lcm(input: Any, other: Any) -> Tensor:
    """Least common multiple of integers, not negative; 0 where one of them is."""

def ldexp(input: Any, other: Any) -> Tensor:
    """input * 2**other, in floats."""

def le(input: Any, other: Any) -> Tensor:
    """input <= other."""

def lerp(input: Tensor, end: Any, weight: Any) -> Tensor:
    """input + weight * (end - input), computed from the nearer end, so that weights of 0 and 1 give
    these exactly."""

def less(input: Any, other: Any) -> Tensor:
    """input < other."""

def less_equal(input: Any, other: Any) -> Tensor:
    """input <= other."""

def lgamma(input: Tensor) -> Tensor:
    """Logarithm of |gamma(x)|."""

def linspace(
    start: float, end: float, steps: int, dtype: object = None, requires_grad: bool = False, device: object = None
) -> Tensor:
    """`steps` numbers at equal distances from `start` to `end`, both included."""

def log(input: Tensor) -> Tensor:
    """The natural logarithm of each element."""

def log10(input: Tensor) -> Tensor:
    """Logarithm to base 10."""

def log1p(input: Tensor) -> Tensor:
    """`log(1 + x)`, accurate near 0."""

def log2(input: Tensor) -> Tensor:
    """Logarithm to base 2."""

def log_normal_(input: Tensor, mean: float = 1.0, std: float = 2.0, *, generator: Generator | None = None) -> Tensor:
    """Overwritten with numbers whose logarithms are normal."""

def log_softmax(input: Tensor, dim: int = -1, dtype: object = None, *, axis: int = -1) -> Tensor:
    """x - log(sum(exp(x))) along `dim`, shifted by the maximum so that nothing overflows."""

def logaddexp(input: Any, other: Any) -> Tensor:
    """log(exp(input) + exp(other))."""

def logaddexp2(input: Any, other: Any) -> Tensor:
    """log2(2**input + 2**other)."""

def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """Logarithms of the sums of exponentials of all elements up to each, along `dim`."""

def logdet(A: Tensor) -> Tensor:
    """The logarithm of each determinant."""

def logical_and(input: Any, other: Any) -> Tensor:
    """Whether both are true, as everything but zero is."""

def logical_not(input: Tensor) -> Tensor:
    """Whether each element is false (0)."""

def logical_or(input: Any, other: Any) -> Tensor:
    """Whether one is true, as everything but zero is."""

def logical_xor(input: Any, other: Any) -> Tensor:
    """Whether just one is true, as everything but zero is."""

def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """log(x / (1 - x)), of x limited to [eps, 1 - eps] if there is an `eps`."""

def logspace(
    start: float,
    end: float,
    steps: int,
    base: float = 10.0,
    dtype: object = None,
    requires_grad: bool = False,
    device: object = None,
) -> Tensor:
    """`base` to the powers of `steps` numbers at equal distances from `start` to `end`, both included;
    of an integer `dtype`, rounded towards 0."""

def logsumexp(input: Tensor, dim: Any = -1, keepdim: bool = False, *, axis: Any = -1, keepdims: bool = False) -> Tensor:
    """log(sum(exp(x))) along `dim`, one axis or several, shifted by the maximum."""

def lt(input: Any, other: Any) -> Tensor:
    """input < other."""

def lu(input: Tensor, pivot: bool = True, get_infos: bool = False) -> Any:
    """`linalg.lu_factor`, with a third result, which is all 0, if `get_infos`."""

def lu_solve(input: Tensor, LU_data: Tensor, LU_pivots: Tensor) -> Tensor:
    """`linalg.lu_solve(LU_data, LU_pivots, input)`."""

def lu_unpack(LU_data: Tensor, LU_pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True) -> PLU:
    """(P, L, U) of what `lu_factor` gives; what is not unpacked is empty."""

def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0.0,
    size_average: object = None,
    reduce: object = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, margin - t (x1 - x2)): with a target of 1 the first is to be larger, with -1 the
    second."""

def masked_fill(input: Tensor, mask: Tensor, value: float | Tensor) -> Tensor:
    """`value`, a number or a tensor without axes, where `mask` is true, else `input`; both
    broadcast."""

def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """The elements of `source`, one after the other, where `mask` is true, else `input`."""

def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements where `mask` is true, as a vector; both broadcast."""

def matmul(input: Tensor, other: Any, *, dtype: object = None) -> Tensor:
    """Matrix product with numpy's rules: 1-D operands are vectors, leading axes are broadcast
    batches."""

def matrix_exp(input: Tensor) -> Tensor:
    """The sum of A^k / k! of each square matrix: the series of A / 2^s, whose norm is at most 1,
    squared s times (Moler and Van Loan, "Nineteen dubious ways to compute the exponential of a matrix",
    2003, method 3)."""

def matrix_power(input: Tensor, n: int) -> Tensor:
    """The `n`-th power of each square matrix by squaring; of the inverse for negative n, in eager mode
    only."""

def max(input: Tensor, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The largest element; along one `dim`, (values, indices), the gradient of which goes to the first
    of equals; of a tensor and another, `maximum`."""

def maximum(input: Any, other: Any) -> Tensor:
    """The larger, NaN if either is."""

def mean(
    input: Tensor,
    dim: Axis = None,
    keepdim: bool = False,
    *,
    dtype: object = None,
    axis: Axis = None,
    keepdims: bool = False,
) -> Tensor:
    """Mean over `dim` (or `axis`), all by default, of floats, or of what the elements are in `dtype`, a
    float."""

def median(
    input: Tensor, dim: int | None = None, keepdim: bool = False, *, axis: int | None = None, keepdims: bool = False
) -> Any:
    """The element in the middle, of an even number the lower one."""

def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Vectors broadcast against each other, tensor i along axis i: views."""

def min(input: Tensor, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The smallest element; along one `dim`, (values, indices); of a tensor and another, `minimum`."""

def minimum(input: Any, other: Any) -> Tensor:
    """The smaller, NaN if either is."""

def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """The product [n, p] of matrices [n, m] and [m, p] of one dtype."""

def mode(
    input: Tensor, dim: int = -1, keepdim: bool = False, *, axis: int = -1, keepdims: bool = False
) -> ValuesAndIndices:
    """The element that is there most often along `dim`, the smallest of several such, and the index of
    its last occurrence."""

def moveaxis(input: Tensor, source: Ints, destination: Ints) -> Tensor:
    """Axes `source` moved to `destination`, the others in their order: a view."""

def movedim(input: Tensor, source: Ints, destination: Ints) -> Tensor:
    """Axes `source` moved to `destination`, the others in their order: a view."""

def msort(input: Tensor) -> Tensor:
    """The elements along the first axis in ascending order."""

def mul(input: Any, other: Any) -> Tensor:
    """input * other; of bools, and."""

def multinomial(
    input: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Indices, i64, drawn for each row of weights: with `replacement` each index anew, else every index
    at most once, one after the other by the weights of those that are left."""

def multiply(input: Any, other: Any) -> Tensor:
    """input * other; of bools, and."""

def mv(input: Tensor, vec: Tensor) -> Tensor:
    """The product [n] of a matrix [n, m] and a vector [m] of one dtype."""

def mvlgamma(input: Tensor, p: int) -> Tensor:
    """Logarithm of the gamma function of `p` dimensions: p (p - 1) / 4 * log(pi) + the sum of lgamma(x
    - j / 2) over j < p."""

def nan_to_num(
    input: Tensor, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """`nan` (0 by default) for NaN, `posinf` and `neginf` (the largest and the smallest number of the
    dtype) for infinities."""

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

def narrow_copy(input: Tensor, dim: int, start: Any, length: int) -> Tensor:
    """`narrow`, in memory of its own."""

def native_channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """[batch, channels, ...] with the channels in another order: the first of each of `groups` groups,
    then the second of each, and so on (Zhang et al. 2018)."""

def ndimension(input: Tensor) -> int:
    """The number of axes."""

def ne(input: Any, other: Any) -> Tensor:
    """input != other."""

def neg(input: Tensor) -> Tensor:
    """-input."""

def negative(input: Tensor) -> Tensor:
    """-input."""

def nelement(input: Tensor) -> int:
    """The number of elements."""

def new(input: Tensor, *given: Any, device: Any = None) -> Tensor:
    """Of sizes (or a tuple of them, as shapes are), zeros of that shape; of data, a tensor with a
    copy."""

def new_empty(input: Tensor, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros of shape `size`: memory without a value would make results depend on what was there
    before."""

def new_empty_strided(
    input: Tensor,
    size: Sequence[int],
    stride: Sequence[int],
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`empty_strided` in the dtype of `input`, where none is given."""

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

def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The coordinates of the elements that are not 0, i64[count, rank]; with `as_tuple` a vector for
    each axis."""

def norm(
    input: Tensor,
    p: Any = "fro",
    dim: Any = None,
    keepdim: bool = False,
    dtype: Any = None,
    *,
    axis: Any = None,
    keepdims: bool = False,
) -> Tensor:
    """The `p`-norm over `dim`, one axis or several, or all, as of a vector; "nuc" as of a matrix."""

def normal(
    mean: float | Tensor,
    std: float | Tensor = 1.0,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal numbers of `mean` and `std`: tensors, which broadcast, or numbers, of which `size` is the
    shape."""

def normal_(input: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Overwritten with normal numbers."""

def not_equal(input: Any, other: Any) -> Tensor:
    """input != other."""

def numel(input: Tensor) -> int:
    """The number of elements."""

def ones(*size: Any, dtype: object = None, requires_grad: bool = False, device: object = None) -> Tensor:
    """1 everywhere in shape `size`; f32 where no `dtype` is given."""

def ones_like(
    input: Tensor,
    dtype: object = None,
    requires_grad: bool = False,
    device: object = None,
    memory_format: object = None,
) -> Tensor:
    """1 everywhere, with the shape of `input`, and its dtype where none is given."""

def ormqr(input: Tensor, tau: Tensor, other: Tensor, left: bool = True, transpose: bool = False) -> Tensor:
    """Q @ other, or other @ Q unless `left`, with the product Q [m, m] of the reflections in `input`
    and `tau` (see `linalg.householder_product`), or its transpose."""

def outer(a: Tensor, b: Tensor) -> Tensor:
    """Every product of an element of vector `a`, by rows, with one of vector `b`."""

def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-06, keepdim: bool = False, *, keepdims: bool = False
) -> Tensor:
    """The p-norm of x1 - x2 + eps along the last axis."""

def pca_lowrank(A: Tensor, q: int | None = None, center: bool = True, niter: int = 2) -> OldSVD:
    """`svd_lowrank` of A, from the columns of which their means are taken if `center`: the `q` (6 by
    default, or as many as A has) principal components are the columns of V."""

def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """[n (n - 1) / 2]: the `p`-norms of the differences of rows i < j of a matrix [n, d]."""

def permute(input: Tensor, *axes: Any, dims: Sequence[int] | None = None) -> Tensor:
    """Axis i of the result is axis `dims[i]`: a view."""

def permute_copy(input: Tensor, *axes: Any, dims: Sequence[int] | None = None) -> Tensor:
    """`permute`, in memory of its own."""

def pinverse(input: Tensor, rcond: float = 1e-15) -> Tensor:
    """`linalg.pinv` with singular values up to `rcond` * the largest counted as 0."""

def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """[..., channels * r * r, height, width] as [..., channels, height * r, width * r], r being
    `upscale_factor`: the r * r channels that follow each other become a square of pixels (Shi et al.
    2016)."""

def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """What `pixel_shuffle` with this factor makes the input from."""

def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: object = None,
    eps: float = 1e-08,
    reduce: object = None,
    reduction: str = "mean",
) -> Tensor:
    """exp(x) - t x of logarithms x of a rate, or x - t log(x + eps) of the rate x itself; with `full`,
    plus Stirling's formula for log(t!), t log t - t + log(2 pi t) / 2, where t is above 1."""

def polygamma(n: Any, input: Any) -> Tensor:
    """The n-th derivative of digamma; n is a number, which comes second where it is called as a
    method."""

def positive(input: Tensor) -> Tensor:
    """The input itself."""

def pow(input: Any, exponent: Any) -> Tensor:
    """input ** exponent; integers to integer powers are integers, which wrap."""

def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x where it is positive, else weight * x: one weight, or one for each channel, axis 1 (He et al.
    2015)."""

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

def put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """`input` with the elements of `source` at the places `index` of its flattened form, counted from
    the end where negative; with `accumulate` they are added."""

def qr(input: Tensor, some: bool = True) -> QR:
    """`linalg.qr`, reduced if `some`, else complete."""

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

def rad2deg(input: Tensor) -> Tensor:
    """Radians as degrees."""

def rand(
    *size: Any,
    dtype: object = None,
    generator: Generator | None = None,
    requires_grad: bool = False,
    device: object = None,
) -> Tensor:
    """Uniform on [0, 1), in steps of 2**-24."""

def rand_like(
    input: Tensor,
    dtype: object = None,
    generator: Generator | None = None,
    device: object = None,
    requires_grad: bool = False,
    memory_format: object = None,
) -> Tensor:
    """`rand` with the shape of `input`, and its dtype where none is given."""

def randint(
    low: int,
    high: Any = None,
    size: Any = None,
    *,
    dtype: object = None,
    generator: Generator | None = None,
    device: object = None,
    requires_grad: bool = False,
) -> Tensor:
    """Integers of `low` (0 where only `high` is given) up to `high` - 1, `randint(10, (2, 3))` or
    `randint(5, 10, (2, 3))`."""

def randint_like(
    input: Tensor,
    low: int,
    high: int | None = None,
    *,
    dtype: object = None,
    device: object = None,
    generator: Generator | None = None,
) -> Tensor:
    """`randint` with the shape of `input`, and its dtype where none is given."""

def randn(
    *size: Any,
    dtype: object = None,
    generator: Generator | None = None,
    requires_grad: bool = False,
    device: object = None,
) -> Tensor:
    """Normal, of mean 0 and variance 1."""

def randn_like(
    input: Tensor,
    dtype: object = None,
    generator: Generator | None = None,
    device: object = None,
    requires_grad: bool = False,
    memory_format: object = None,
) -> Tensor:
    """`randn` with the shape of `input`, and its dtype where none is given."""

def random_(
    input: Tensor, from_: int | None = None, to: int | None = None, *, generator: Generator | None = None
) -> Tensor:
    """Overwritten with integers from `from_` (0) up to `to` - 1, of which one alone is `to`."""

def randperm(
    n: int,
    *,
    generator: Generator | None = None,
    dtype: object = None,
    device: object = None,
    requires_grad: bool = False,
) -> Tensor:
    """The integers below `n` in random order, as i64[n]; not under tt.compile."""

def ravel(input: Tensor) -> Tensor:
    """The elements as a vector, a view where strides can express that."""

def real(input: Tensor) -> Tensor:
    """The input itself: all numbers here are real."""

def reciprocal(input: Tensor) -> Tensor:
    """`1 / x` of each element."""

def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0)."""

def remainder(input: Any, other: Any) -> Tensor:
    """input - floor(input / other) * other, with other's sign; integers modulo zero give 0."""

def renorm(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """Each slice at an index of `dim` scaled down so that its `p`-norm is at most `maxnorm`; smaller
    ones stay."""

def repeat(input: Tensor, *sizes: Any, repeats: Sequence[int] | None = None) -> Tensor:
    """The tensor `repeats` times along each axis, of which there may be more in front."""

def repeat_interleave(
    input: Tensor,
    repeats: int | Tensor | None = None,
    dim: int | None = None,
    *,
    output_size: int | None = None,
    axis: int | None = None,
) -> Tensor:
    """Each element along `dim` `repeats` times: a number, or one for each."""

def reshape(input: Tensor, *sizes: Any, shape: Sequence[int] | None = None) -> Tensor:
    """The elements in row-major order under `shape`, of which one dimension may be -1: a view where
    strides can express that, else a copy."""

def reshape_as(input: Tensor, other: Tensor) -> Tensor:
    """`reshape` to the shape of `other`."""

def resolve_conj(input: Tensor) -> Tensor:
    """The input itself: all numbers here are real."""

def resolve_neg(input: Tensor) -> Tensor:
    """The input itself: all numbers here are real."""

def roll(input: Tensor, shifts: Ints, dims: Ints | None = None) -> Tensor:
    """The elements moved by `shifts` along `dims`, those behind the end coming in at the front; without
    `dims`, of the flattened tensor."""

def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = ...) -> Tensor:
    """The plane of the two axes `dims` turned by `k` quarter turns, from the first axis towards the
    second."""

def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """To the nearest number of that many decimals, halves to even; negative ones count from the point
    to the left."""

def row_stack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors below each other: along the first axis, vectors as rows."""

def rrelu(
    input: Tensor,
    lower: float = 0.125,
    upper: float = 0.3333333333333333,
    training: bool = False,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """x where it is positive, else x times a slope: in training one drawn for each element, uniformly
    between `lower` and `upper`, else their mean (Xu et al. 2015)."""

def rsqrt(input: Tensor) -> Tensor:
    """`1 / sqrt(x)` of each element."""

def rsub(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """other - alpha * input."""

def scalar_tensor(s: Any, *, dtype: object = None, requires_grad: bool = False, device: object = None) -> Tensor:
    """The number `s` as a tensor without axes; f32 where no `dtype` is given."""

def scatter(
    input: Tensor, dim: int, index: Tensor, src: Any = None, *, value: float | None = None, reduce: str | None = None
) -> Tensor:
    """`input` with `src`, a tensor or a number, at `index` along `dim`: out[index[i, j], j] = src[i, j]
    for `dim` 0."""

def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """`input` with `src` added at `index` along `dim`: out[index[i, j], j] += src[i, j] for `dim` 0."""

def scatter_reduce(
    input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """`input` with `src` joined at `index` along `dim`."""

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

def select(input: Tensor, dim: int, index: Any) -> Tensor:
    """The slice at `index` along `dim`, without that axis: a view."""

def select_copy(input: Tensor, dim: int, index: Any) -> Tensor:
    """`select`, in memory of its own."""

def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """`input` with `src` in place of the slice at `index` along `dim`."""

def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """scale * elu(x, alpha), with the two constants that keep mean 0 and variance 1 (Klambauer et al.
    2017)."""

def sgn(input: Tensor) -> Tensor:
    """-1, 0 or 1, the sign of each element; 0 of NaN."""

def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""

def sign(input: Tensor) -> Tensor:
    """-1, 0 or 1, the sign of each element; 0 of NaN."""

def signbit(input: Tensor) -> Tensor:
    """Whether the sign is minus, also of zero and NaN."""

def sin(input: Tensor) -> Tensor:
    """The sine of each element."""

def sinc(input: Tensor) -> Tensor:
    """sin(pi x) / (pi x), 1 at 0."""

def sinh(input: Tensor) -> Tensor:
    """Hyperbolic sine."""

def slice_scatter(
    input: Tensor,
    src: Tensor,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
    *,
    axis: int = 0,
) -> Tensor:
    """`input` with `src` in place of the slice `start:end:step` along `dim`."""

def slogdet(A: Tensor) -> SignAndLogarithm:
    """(The sign, the logarithm of the absolute value) of each determinant."""

def softmax(input: Tensor, dim: int = -1, dtype: object = None, *, axis: int = -1) -> Tensor:
    """exp(x) / sum(exp(x)) along `dim`, computed in `dtype` where that is given."""

def sort(
    input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False, axis: int = -1
) -> ValuesAndIndices:
    """The elements along `dim` in order, and the index that each had, i64."""

def split(input: Tensor, split_size: int | Sequence[int], dim: int = 0, *, axis: int = 0) -> tuple[Tensor, ...]:
    """Views of parts of `split_size` along `dim`, the last one perhaps smaller; or of parts of the
    sizes in a list."""

def split_with_sizes(input: Tensor, split_sizes: Sequence[int], dim: int = 0, *, axis: int = 0) -> tuple[Tensor, ...]:
    """Views of parts of these sizes along `dim`, one after the other."""

def split_with_sizes_copy(
    input: Tensor, split_sizes: Sequence[int], dim: int = 0, *, axis: int = 0
) -> tuple[Tensor, ...]:
    """`split_with_sizes`, in memory of its own."""

def sqrt(input: Tensor) -> Tensor:
    """The square root of each element."""

def square(input: Tensor) -> Tensor:
    """Each element times itself."""

def squeeze(input: Tensor, dim: Axis = None, *, axis: Axis = None) -> Tensor:
    """Axes of size 1 dropped: all of them, or those of `dim` that have it."""

def squeeze_copy(input: Tensor, dim: Axis = None, *, axis: Axis = None) -> Tensor:
    """`squeeze`, in memory of its own."""

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

def sub(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """input - alpha * other."""

def subtract(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """input - alpha * other."""

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

def svd(input: Tensor, some: bool = True, compute_uv: bool = True) -> OldSVD:
    """`linalg.svd` with V instead of its transpose, reduced if `some`."""

def svd_lowrank(A: Tensor, q: int | None = 6, niter: int | None = 2, M: Tensor | None = None) -> OldSVD:
    """(U, S, V) of the `q` largest singular values of A - M."""

def swapaxes(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Axes `dim0` and `dim1` exchanged."""

def swapdims(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Axes `dim0` and `dim1` exchanged."""

def t(input: Tensor) -> Tensor:
    """The transpose of a matrix; vectors and single elements as they are."""

def t_copy(input: Tensor) -> Tensor:
    """`t`, in memory of its own."""

def take(input: Tensor, index: Tensor) -> Tensor:
    """The elements at `index` of the flattened `input`, counted from the end where negative."""

def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None, *, axis: int | None = None) -> Tensor:
    """`gather` where `input` and `indices` broadcast apart from `dim`; without `dim`, of the flattened
    `input`."""

def tan(input: Tensor) -> Tensor:
    """Tangent, of radians."""

def tanh(input: Tensor) -> Tensor: ...
def tensor(data: Any, dtype: object = None, requires_grad: bool = False, device: object = None) -> Tensor:
    """A tensor with a copy of `data`: numbers, nested lists, arrays, tensors."""

def tensor_split(input: Tensor, indices_or_sections: Any, dim: int = 0, *, axis: int = 0) -> tuple[Tensor, ...]:
    """Views of parts along `dim`: as many as a number says, the first ones one larger where it does not
    divide the size; or those that end before each of the indices in a list, and the rest."""

def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """Products summed over `dims`: the last so many axes of `a` and the first of `b`, or the axes in
    two lists, where an axis of size 1 meets any other."""

def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x above `threshold`, else `value`."""

def tile(input: Tensor, *sizes: Any, dims: Sequence[int] | None = None) -> Tensor:
    """`repeat`, with ones in front where there are fewer numbers than axes."""

def topk(
    input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True, *, axis: int = -1
) -> ValuesAndIndices:
    """The `k` largest elements along `dim`, or the smallest, the best first, and their indices, i64."""

def trace(input: Tensor) -> Tensor:
    """The sum of a matrix's diagonal; of integers as i64."""

def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Axes `dim0` and `dim1` exchanged."""

def transpose_copy(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """`transpose`, in memory of its own."""

def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: Any = None, dim: int = -1, axis: int = -1) -> Tensor:
    """The integral along `dim` of what goes in straight lines from sample to sample of y, taken at the
    places x or at distances `dx` (1)."""

def trapz(y: Tensor, x: Tensor | None = None, *, dx: Any = None, dim: int = -1, axis: int = -1) -> Tensor:
    """The integral along `dim` of what goes in straight lines from sample to sample of y, taken at the
    places x or at distances `dx` (1)."""

def triangular_solve(
    input: Tensor, A: Tensor, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> SolutionAndCoefficients:
    """(X with A @ X = `input`, a copy of A), where A is triangular, or its transpose."""

def tril(x: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangles of the matrices in the last two axes, 0 above the `diagonal`."""

def tril_indices(row: int, col: int, offset: int = 0, *, dtype: Any = ..., device: Any = "cpu") -> Tensor:
    """The coordinates [2, count] of the lower triangle of a [row, col] matrix, up to the diagonal
    `offset`."""

def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-06,
    swap: bool = False,
    size_average: object = None,
    reduce: object = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, d(anchor, positive) - d(anchor, negative) + margin), d being `pairwise_distance` (Schroff
    et al. 2015)."""

def triu(x: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangles of the matrices in the last two axes, 0 below the `diagonal`."""

def triu_indices(row: int, col: int, offset: int = 0, *, dtype: Any = ..., device: Any = "cpu") -> Tensor:
    """The coordinates [2, count] of the upper triangle of a [row, col] matrix, from the diagonal
    `offset` on."""

def true_divide(input: Any, other: Any) -> Tensor:
    """input / other, in floats."""

def trunc(input: Tensor) -> Tensor:
    """Each element without its fraction."""

def type_as(input: Tensor, other: Tensor) -> Tensor:
    """Converted to the dtype of `other`."""

def unbind(input: Tensor, dim: int = 0, *, axis: int = 0) -> tuple[Tensor, ...]:
    """The slices along `dim`, without that axis: views."""

def unbind_copy(input: Tensor, dim: int = 0, *, axis: int = 0) -> tuple[Tensor, ...]:
    """`unbind`, in memory of its own."""

def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """Axis `dim` as several, of `sizes`, one of which may be -1: a view."""

def unfold(input: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """Windows of `size` elements along `dimension`, `step` apart, as a new last axis: a view."""

def unfold_copy(input: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """`unfold`, in memory of its own."""

def uniform_(input: Tensor, from_: float = 0.0, to: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Overwritten with uniform numbers in [from_, to)."""

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

def unravel_index(indices: Tensor, shape: Sequence[int]) -> tuple[Tensor, ...]:
    """The coordinates in a tensor of `shape`, by axis, of places in its flattened form."""

def unsafe_chunk(input: Tensor, chunks: int, dim: int = 0, *, axis: int = 0) -> tuple[Tensor, ...]:
    """Views of at most `chunks` parts of equal size along `dim`, the last one perhaps smaller; of an
    empty axis `chunks`."""

def unsafe_split(input: Tensor, split_size: int | Sequence[int], dim: int = 0, *, axis: int = 0) -> tuple[Tensor, ...]:
    """Views of parts of `split_size` along `dim`, the last one perhaps smaller; or of parts of the
    sizes in a list."""

def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """A new axis of size 1 at `dim`, a view."""

def unsqueeze_copy(input: Tensor, dim: int) -> Tensor:
    """`unsqueeze`, in memory of its own."""

def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """[n, N] with the powers N - 1, … 1, 0 of each element of a vector, or 0, 1, … N - 1 if
    `increasing`."""

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

def vdot(input: Tensor, other: Tensor) -> Tensor:
    """The inner product of two vectors of one dtype and size."""

def view_as(input: Tensor, other: Tensor) -> Tensor:
    """A view in the shape of `other`."""

def view_copy(input: Tensor, *shape: Any) -> Tensor:
    """`view`, in memory of its own."""

def vsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """Views of parts along the first axis, as `hsplit`."""

def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors below each other: along the first axis, vectors as rows."""

def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """`input` where the condition is true, else `other`; all three broadcast, both may be numbers."""

def xlogy(input: Any, other: Any) -> Tensor:
    """input * log(other), 0 where the input is."""

def zeros(*size: Any, dtype: object = None, requires_grad: bool = False, device: object = None) -> Tensor:
    """0 everywhere in shape `size`; f32 where no `dtype` is given."""

def zeros_like(
    input: Tensor,
    dtype: object = None,
    requires_grad: bool = False,
    device: object = None,
    memory_format: object = None,
) -> Tensor:
    """0 everywhere, with the shape of `input`, and its dtype where none is given."""
