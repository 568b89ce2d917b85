"""Functions of tensors, as they are called in nn.functional.

Made from the table of names by `pytest tests/frontend/test_names.py --bless`.
"""

from collections.abc import Callable, Sequence
from typing import Any

from tinytorch.frontend import functional as _functional
from tinytorch.frontend.functional import *
from tinytorch.frontend.functions.random import Generator
from tinytorch.frontend.spatial.interpolation import Scale, Target
from tinytorch.frontend.spatial.rearranging import Size
from tinytorch.frontend.tensor.tensor import Tensor

__all__: list[str] = [
    "affine_grid",
    "alpha_dropout",
    "celu",
    "channel_shuffle",
    "cosine_embedding_loss",
    "cosine_similarity",
    "ctc_loss",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "embedding_bag",
    "feature_alpha_dropout",
    "fold",
    "gaussian_nll_loss",
    "glu",
    "grid_sample",
    "group_norm",
    "gumbel_softmax",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hinge_embedding_loss",
    "instance_norm",
    "interpolate",
    "kl_div",
    "local_response_norm",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "margin_ranking_loss",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "mish",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "pairwise_distance",
    "pdist",
    "pixel_shuffle",
    "pixel_unshuffle",
    "poisson_nll_loss",
    "prelu",
    "relu6",
    "rrelu",
    "selu",
    "soft_margin_loss",
    "softmin",
    "softshrink",
    "softsign",
    "tanhshrink",
    "threshold",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
    "unfold",
    "upsample",
    "upsample_bilinear",
    "upsample_nearest",
]
__all__ += _functional.__all__

def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """The grid for `grid_sample` that maps points (x, y, 1) by theta [batch, 2, 3], for images of
    `size` (batch, channels, height, width): [batch, height, width, 2]; or (x, y, z, 1) by theta [batch,
    3, 4] for volumes."""

def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Elements set to what SELU gives far below 0 with probability `p`, and all shifted and scaled so
    that mean 0 and variance 1 stay (Klambauer et al. 2017)."""

def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where it is positive, else alpha * (exp(x / alpha) - 1), whose slope at 0 is 1 (Barron
    2017)."""

def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """[batch, channels, ...] with the channels in another order: the first of each of `groups` groups,
    then the second of each, and so on (Zhang et al. 2018)."""

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

def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """-log of the probability that the steps spell the target, where each step says a label or `blank`,
    equal neighbours count once, and blanks are left out: the sum over all such paths (Graves et al.
    2006, section 4)."""

def dropout1d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Whole channels of [batch, channels, length] or [channels, length] set to 0 with probability `p`,
    the others divided by 1 - p (Tompson et al. 2015)."""

def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """As `dropout1d`, of [batch, channels, height, width]; three axes are [batch, channels, length], as
    in PyTorch."""

def dropout3d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """As `dropout1d`, of [batch, channels, depth, height, width], or without the batch."""

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

def feature_alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """`alpha_dropout` of whole channels of [batch, channels, ...]."""

def fold(
    input: Tensor, output_size: Size, kernel_size: Size, dilation: Size = 1, padding: Size = 0, stride: Size = 1
) -> Tensor:
    """Images [batch, channels, *output_size] in which each element is the sum of what the columns of
    input [batch, channels * window, outputs] have for it: the transpose of `unfold` (col2im)."""

def gaussian_nll_loss(
    input: Tensor, target: Tensor, var: Any, full: bool = False, eps: float = 1e-06, reduction: str = "mean"
) -> Tensor:
    """(log v + (x - t)**2 / v) / 2 of means x and variances v, which are at least `eps` (and have their
    own derivative all the same); with `full`, plus log(2 pi) / 2."""

def glu(input: Tensor, dim: int = -1, *, axis: int = -1) -> Tensor:
    """a sigmoid(b), where a and b are the halves of x along `dim` (Dauphin et al. 2016)."""

def grid_sample(
    input: Tensor, grid: Tensor, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool | None = None
) -> Tensor:
    """The values of input [batch, channels, height, width] at the points of grid [batch, rows, columns,
    2], or of volumes [batch, channels, depth, height, width] at those of a grid [batch, ..., 3]:
    [batch, channels, rows, columns]."""

def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-05
) -> Tensor:
    """(x - mean) / sqrt(variance + eps) of each group of channels of x [batch, channels, ...], times
    `weight` plus `bias`, which are [channels] (Wu & He 2018)."""

def gumbel_softmax(
    logits: Tensor,
    tau: float = 1,
    hard: bool = False,
    eps: float = 1e-10,
    dim: int = -1,
    *,
    generator: Generator | None = None,
    axis: int = -1,
) -> Tensor:
    """softmax((logits + noise) / tau), the noise drawn from the Gumbel distribution: a sample of
    categories that has a gradient (Jang et al. 2016, Maddison et al. 2016)."""

def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """0 from -lambd to lambd, x elsewhere."""

def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """(x + 3) / 6, limited to [0, 1]."""

def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """x (x + 3) / 6 from -3 to 3, 0 below, x above (Howard et al. 2019)."""

def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """x limited to [min_val, max_val]; the derivative is 1 between them, and 0 at them."""

def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: object = None,
    reduce: object = None,
    reduction: str = "mean",
) -> Tensor:
    """x where the target is 1, max(0, margin - x) where it is -1; the operands broadcast."""

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

def interpolate(
    input: Tensor,
    size: Target = None,
    scale_factor: Scale = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """The input [batch, channels, one to three spatial axes] in another spatial size."""

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

def local_response_norm(input: Tensor, size: int, alpha: float = 0.0001, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """x / (k + alpha · mean of x² over `size` neighbouring channels)**beta, of x [batch, channels, ...]
    (Krizhevsky et al. 2012, with the mean in place of the sum, as in PyTorch); channels beyond the ends
    count as zeros."""

def lp_pool1d(
    input: Tensor, norm_type: float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False
) -> Tensor:
    """`lp_pool2d` along one axis: input [batch, channels, length]."""

def lp_pool2d(
    input: Tensor, norm_type: float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False
) -> Tensor:
    """The p-norm of each window of input [batch, channels, height, width], p being `norm_type`, in the
    sizes of `avg_pool2d`: the sum of p-th powers to the power of 1 / p."""

def lp_pool3d(
    input: Tensor, norm_type: float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False
) -> Tensor:
    """`lp_pool2d` of volumes: input [batch, channels, depth, height, width]."""

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

def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """`max_unpool2d` along one axis: input [batch, channels, length]."""

def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Images in which the elements of input [batch, channels, height, width] lie at `indices` (i64, of
    the same shape), as `max_pool2d` gives them, and zeros elsewhere."""

def max_unpool3d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """`max_unpool2d` of volumes: input [batch, channels, depth, height, width]."""

def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """x tanh(log(1 + exp(x))) (Misra 2019)."""

def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: object = None,
    reduce: object = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, margin - x[t] + x[i])**p summed over the classes i other than the target t, divided by
    their number C, and scaled by `weight` [C] at the target: of [N, C] and integers [N], or of [C] and
    one integer."""

def multilabel_margin_loss(
    input: Tensor, target: Tensor, size_average: object = None, reduce: object = None, reduction: str = "mean"
) -> Tensor:
    """max(0, 1 - (x[j] - x[i])) summed over the target classes j and all others i, divided by the
    number of classes."""

def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: object = None,
    reduce: object = None,
    reduction: str = "mean",
) -> Tensor:
    """Binary cross entropy of sigmoid(x), averaged over the classes, the last axis."""

def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-06, keepdim: bool = False, *, keepdims: bool = False
) -> Tensor:
    """The p-norm of x1 - x2 + eps along the last axis."""

def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """[n (n - 1) / 2]: the `p`-norms of the differences of rows i < j of a matrix [n, d]."""

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

def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x where it is positive, else weight * x: one weight, or one for each channel, axis 1 (He et al.
    2015)."""

def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """x limited to [0, 6] (Howard et al. 2017)."""

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

def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """scale * elu(x, alpha), with the two constants that keep mean 0 and variance 1 (Klambauer et al.
    2017)."""

def soft_margin_loss(
    input: Tensor, target: Tensor, size_average: object = None, reduce: object = None, reduction: str = "mean"
) -> Tensor:
    """log(1 + exp(-t x)), with targets of 1 and -1."""

def softmin(input: Tensor, dim: int | None = None, *, dtype: object = None, axis: int | None = None) -> Tensor:
    """softmax(-x) along `dim`, computed in `dtype` where that is given."""

def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x moved towards 0 by `lambd`, and 0 where that would pass it."""

def softsign(input: Tensor) -> Tensor:
    """x / (1 + |x|)."""

def tanhshrink(input: Tensor) -> Tensor:
    """x - tanh(x)."""

def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x above `threshold`, else `value`."""

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

def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """`triplet_margin_loss` with another distance of two tensors."""

def unfold(input: Tensor, kernel_size: Size, dilation: Size = 1, padding: Size = 0, stride: Size = 1) -> Tensor:
    """The windows of input [batch, channels, height, width], each as a column: [batch, channels *
    window, outputs]."""

def upsample(
    input: Tensor,
    size: Target = None,
    scale_factor: Scale = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """`interpolate` under its older name."""

def upsample_bilinear(input: Tensor, size: Target = None, scale_factor: Scale = None) -> Tensor:
    """`interpolate` of images with the mode "bilinear" and aligned corners."""

def upsample_nearest(input: Tensor, size: Target = None, scale_factor: Scale = None) -> Tensor:
    """`interpolate` with the mode "nearest"."""
