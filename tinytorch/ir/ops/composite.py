"""Composites: ops that people know by name, defined in simpler ops.

A composite's derivative is written by hand where that is shorter or more accurate than the one of its expansion.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinytorch.ir.errors import ShapeError
from tinytorch.ir.expansions import eval_of, fast_of, flops_of
from tinytorch.ir.op import NONDIFF, Attrs, Nondiff, Op, Rule, apply, as_tuple, define, unpacked
from tinytorch.ir.ops.core import cast, filled, iota, normalize_axis, where, zeros_like
from tinytorch.ir.ops.elementwise import (
    checked_index,
    cos,
    eq,
    erf,
    exp,
    ge,
    gt,
    le,
    log,
    lt,
    maximum,
    minimum,
    shift_right_logical,
    sigmoid,
    sqrt,
    tanh,
)
from tinytorch.ir.ops.random import least_kept, random_bits
from tinytorch.ir.ops.reduce import max_, mean_of, sum_
from tinytorch.ir.ops.view import broadcast, reshape, slice_
from tinytorch.ir.types import DType, Shape, TensorType, f32, i32, i64

Axes = tuple[int, ...]
Vjp = tuple[Rule | None, ...] | Nondiff
Flops = Callable[[Sequence[TensorType], Any, Attrs], int]


def _in_f32(expand: Callable[..., Any]) -> Callable[..., Any]:
    """`expand`, with half-precision operands computed in f32 throughout, and float results rounded once."""

    def run(*operands: Any, **attrs: Any) -> Any:
        dtype = operands[0].type.dtype
        if not dtype.is_float or dtype.bits > 16:
            return expand(*operands, **attrs)
        wide = [apply(cast, x, dtype=f32) if x.type.dtype == dtype else x for x in operands]
        results = as_tuple(expand(*wide, **attrs))
        return unpacked([apply(cast, x, dtype=dtype) if x.type.dtype.is_float else x for x in results])

    return run


def define_composite(
    name: str,
    doc: str,
    infer: Callable[..., Any],
    definition: Callable[..., Any],
    vjp: Vjp,
    results: int = 1,
    flops: Flops | None = None,
    **fields: Any,
) -> Op:
    """A composite whose `eval` and `fast` follow from its expansion; its `flops` too, unless the expansion does more
    than the definition asks for."""
    expand = _in_f32(definition)
    how, count, fast = eval_of(expand), flops or flops_of(expand), fast_of(expand)
    return define(
        Op(name, "composite", doc, infer, how, vjp, count, expand=expand, fast=fast, results=results, **fields)
    )


def _float_type(name: str) -> Callable[..., TensorType]:
    def infer(x: TensorType, **attrs: Any) -> TensorType:
        if not x.dtype.is_float:
            raise ShapeError(f"{name}: needs a float dtype, got {x}")
        if "axis" in attrs:
            normalize_axis(name, attrs["axis"], x.rank)
        return x

    return infer


def _along(x: Any, shape: Shape) -> Any:
    return apply(broadcast, x, shape=shape)


def _sum(x: Any, *axes: int) -> Any:
    return apply(sum_, x, axes=axes)


# Activations.
relu = define_composite(
    "relu", "max(0, x), NaN and -0.0 kept; derivative 0 at 0, 1 at NaN", _float_type("relu"),
    lambda x: apply(maximum, zeros_like(x), x), (lambda g, n: apply(where, n.output <= 0.0, zeros_like(g), g),),
)  # fmt: skip


def _root_rule(g: Any, n: Any) -> Any:
    zero = apply(eq, n.output, zeros_like(n.output))
    safe = apply(where, zero, filled(n.output, 1.0, n.output.type), n.output)
    return apply(where, zero, zeros_like(g), g * 0.5 / safe)


root = define_composite(
    "root", "Square root, as of a variance or a squared length; derivative 0 at 0", _float_type("root"),
    lambda x: apply(sqrt, x), (_root_rule,),
)  # fmt: skip


# Limits. Their derivative is 1 up to the limit, and the limit's own is 1 beyond it, as in PyTorch; of NaN both are 0.
def _limit(name: str, doc: str, extremum: Op, inside: Op, outside: Op) -> Op:
    def infer(x: TensorType, limit: TensorType) -> TensorType:
        return extremum.infer(x, limit)

    def rule(region: Op) -> Rule:
        return lambda g, n: apply(where, apply(region, n.inputs[0], n.inputs[1]), g, zeros_like(g))

    return define_composite(
        name, doc, infer, lambda x, limit: apply(extremum, limit, x), (rule(inside), rule(outside))
    )  # fmt: skip


clamp_min = _limit(
    "clamp_min", "x where it is at least the second operand, which the others become", maximum, ge, lt
)  # fmt: skip
clamp_max = _limit(
    "clamp_max", "x where it is at most the second operand, which the others become", minimum, le, gt
)  # fmt: skip
silu = define_composite(
    "silu", "x * sigmoid(x) (Elfwing, Uchibe & Doya 2017)", _float_type("silu"), lambda x: x * apply(sigmoid, x),
    (lambda g, n: g * ((s := apply(sigmoid, n.inputs[0])) + n.output * (1.0 - s)),),
)  # fmt: skip

_SQRT_HALF, _SQRT_2_OVER_PI, _CUBIC = math.sqrt(0.5), math.sqrt(2 / math.pi), 0.044715


def _gelu_inner(x: Any) -> Any:
    return x * (x * x * (_CUBIC * _SQRT_2_OVER_PI) + _SQRT_2_OVER_PI)


def _gelu(x: Any, *, approximate: bool) -> Any:
    curve = apply(tanh, _gelu_inner(x)) if approximate else apply(erf, x * _SQRT_HALF)
    return x * 0.5 * (curve + 1.0)


def _gelu_rule(g: Any, n: Any) -> Any:
    x = n.inputs[0]
    if n.attrs["approximate"]:
        t = apply(tanh, _gelu_inner(x))
        slope = (1.0 - t * t) * (x * x * (3 * _CUBIC) + 1.0) * _SQRT_2_OVER_PI
        return g * ((t + 1.0) * 0.5 + x * 0.5 * slope)
    density = apply(exp, x * x * -0.5) * (1 / math.sqrt(2 * math.pi))
    return g * ((apply(erf, x * _SQRT_HALF) + 1.0) * 0.5 + x * density)


gelu = define_composite(
    "gelu", "x * Phi(x), Phi the normal distribution, exact or by tanh (Hendrycks & Gimpel 2016)",
    _float_type("gelu"), _gelu, (_gelu_rule,),
)  # fmt: skip


# Along an axis.
def _shifted(x: Any, axis: int) -> Any:
    """x minus its maximum along `axis`, so that exp cannot overflow."""
    return x - _along(apply(max_, x, axes=(axis,)), x.type.shape)


def _softmax(x: Any, *, axis: int) -> Any:
    if not x.type.size:
        return x
    weights = apply(exp, _shifted(x, axis))
    return weights * _along(1.0 / _sum(weights, axis), x.type.shape)


def _log_softmax(x: Any, *, axis: int) -> Any:
    if not x.type.size:
        return x
    shifted = _shifted(x, axis)
    return shifted - _along(apply(log, _sum(apply(exp, shifted), axis)), x.type.shape)


def _softmax_rule(g: Any, n: Any) -> Any:
    weighted, axis = g * n.output, n.attrs["axis"]
    return weighted - n.output * _along(_sum(weighted, axis), g.type.shape)


def _log_softmax_rule(g: Any, n: Any) -> Any:
    return g - apply(exp, n.output) * _along(_sum(g, n.attrs["axis"]), g.type.shape)


softmax = define_composite(
    "softmax", "exp(x) / sum(exp(x)) along `axis`", _float_type("softmax"), _softmax, (_softmax_rule,),
    autocast="high",
)  # fmt: skip
log_softmax = define_composite(
    "log_softmax", "x - log(sum(exp(x))) along `axis`", _float_type("log_softmax"), _log_softmax, (_log_softmax_rule,),
    autocast="high",
)  # fmt: skip


def _logsumexp_type(x: TensorType, *, axis: int) -> TensorType:
    _float_type("logsumexp")(x, axis=axis)
    return TensorType(x.dtype, tuple(1 if i == axis else d for i, d in enumerate(x.shape)))


def _logsumexp(x: Any, *, axis: int) -> Any:
    """Shifted by the maximum where that is finite, so that rows of -inf give -inf and rows with inf give inf. Of
    nothing, -inf."""
    if not x.type.shape[axis]:
        return filled(x, -math.inf, _logsumexp_type(x.type, axis=axis))
    top = apply(max_, x, axes=(axis,))
    finite = apply(eq, top - top, zeros_like(top))
    shift = apply(where, finite, top, zeros_like(top))
    return shift + apply(log, _sum(apply(exp, x - _along(shift, x.type.shape)), axis))


logsumexp = define_composite(
    "logsumexp", "log(sum(exp(x))) along `axis`, which stays with size 1", _logsumexp_type, _logsumexp,
    (lambda g, n: _along(g, n.inputs[0].type.shape) * apply(softmax, n.inputs[0], axis=n.attrs["axis"]),),
    autocast="high",
)  # fmt: skip


def _mean_type(x: TensorType, *, axes: Axes) -> TensorType:
    return sum_.infer(_float_type("mean")(x), axes=axes)


def _mean_rule(g: Any, n: Any) -> Any:
    x = n.inputs[0].type
    return _along(g * (g.type.size / x.size if x.size else 0.0), x.shape)


mean = define_composite(
    "mean",
    "Sum over `axes` divided by their size; NaN if that is 0",
    _mean_type,
    lambda x, *, axes: mean_of(x, axes),
    (_mean_rule,),
    autocast="high",
)


def _mean_in_two(x: Any, axes: Axes, of: Any = None) -> tuple[Any, Any, Any]:
    """A first mean over `axes`, of x or of a part `of` it, the distances of x from it, and their mean, which is how far
    the first is off (Chan, Golub & LeVeque 1983): so the sum of both means of equal numbers is exactly that number."""
    first = mean_of(x if of is None else of, axes)
    distances = x - _along(first, x.type.shape)
    return first, distances, mean_of(distances, axes)


def _distances(x: Any, axes: Axes, of: Any = None) -> tuple[Any, Any, Any]:
    """The mean of x over `axes`, its distance from a first mean, by default of all of x, and the mean squared distance
    from that."""
    first, distances, off = _mean_in_two(x, axes, of)
    return first + off, off, mean_of(distances * distances, axes)


_PASS_BYTES = 2 << 20  # what is larger comes from memory again in each pass
_SAMPLED = 16  # one index in so many, of the longest axis


def _sample(x: Any, axes: Axes) -> Any:
    """x at some indices of one of `axes`, as evenly as they go."""
    axis = max(axes, key=lambda a: x.type.shape[a])
    steps = tuple(_SAMPLED if a == axis else 1 for a in range(x.type.rank))
    return apply(slice_, x, starts=(0,) * x.type.rank, limits=x.type.shape, steps=steps)


def moments(x: Any, axes: Axes) -> tuple[Any, Any]:
    """The mean of x over `axes`, and the mean squared distance from it, in two passes: what a difference of sums of
    squares leaves of equal numbers is rounding, and counts as 0. In numbers of one dtype that differ at all, less than
    that is left only if one in thousands is different, and by a unit in the last place.

    The first pass over a large x takes the mean of a sample alone. As m of n elements have that mean, the square of its
    distance from the mean of all is at most n / m times the variance, so that the difference loses log2(n / m) bits.
    """
    mean, off, squares = _distances(x, axes, _sample(x, axes) if x.type.bytes > _PASS_BYTES else None)
    excess = off * off
    least = excess * (1 + 256 * float(np.finfo(np.float64 if x.type.dtype.bits == 64 else np.float32).eps))
    # Where both overflow, as for equal numbers of 1e30, their difference would be NaN.
    return mean, apply(where, squares > least, squares - excess, zeros_like(squares))


def _centred(x: Any, axes: Axes) -> Any:
    """x less its mean: exactly 0 where all are equal."""
    first, _, off = _mean_in_two(x, axes)
    return x - _along(first + off, x.type.shape)


def _variance(x: Any, *, axes: Axes, correction: float) -> Any:
    """Less the square of what the mean was rounded by, at most half of it, which counts where numbers differ in their
    last places only."""
    centred = _centred(x, axes)
    squares, rest = centred * centred, apply(sum_, centred, axes=axes)
    total = apply(sum_, squares, axes=axes) - rest * apply(mean, centred, axes=axes)
    divisor = math.prod(x.type.shape[a] for a in axes) - correction
    return total * (1.0 / divisor) if divisor > 0 else total / 0.0


def _variance_rule(g: Any, n: Any) -> Any:
    """That the mean moves with x does not count: the distances from it add up to 0."""
    x, axes = n.inputs[0], n.attrs["axes"]
    divisor = math.prod(x.type.shape[a] for a in axes) - n.attrs["correction"]
    return _along(g * (2.0 / divisor if divisor > 0 else math.inf), x.type.shape) * _centred(x, axes)


variance = define_composite(
    "variance", "Squared distances from the mean over `axes`, divided by their number less `correction`, or by 0",
    lambda x, *, axes, correction: _mean_type(x, axes=axes), _variance, (_variance_rule,),
    autocast="high",
)  # fmt: skip


def _normal_parts(x: Any, axes: Axes, eps: float) -> tuple[Any, Any]:
    """x less its mean, and 1 / sqrt(variance + eps). That the variance is too large by the square of the mean's error
    of rounding does not count: where that matters, x less its mean is 0."""
    mean, _, squares = _distances(x, axes)
    return x - _along(mean, x.type.shape), 1.0 / apply(sqrt, squares + eps)


def _layernorm_type(x: TensorType, *, axes: Axes, eps: float) -> TensorType:
    sum_.infer(x, axes=axes)
    return _float_type("layernorm")(x)


def _layernorm(x: Any, *, axes: Axes, eps: float) -> Any:
    centred, scale = _normal_parts(x, axes, eps)
    return centred * _along(scale, x.type.shape)


def layernorm_grad(g: Any, x: Any, y: Any, *, axes: Axes, eps: float) -> Any:
    """The cotangent of x, given that of y = layernorm(x)."""
    shape, scale = g.type.shape, _normal_parts(x, axes, eps)[1]
    projected = g - _along(mean_of(g, axes), shape) - y * _along(mean_of(g * y, axes), shape)
    return projected * _along(scale, shape)


def _layernorm_rule(g: Any, n: Any) -> Any:
    return layernorm_grad(g, n.inputs[0], n.output, **n.attrs)


layernorm = define_composite(
    "layernorm", "(x - mean) / sqrt(variance + eps) over `axes` (Ba, Kiros & Hinton 2016), without scale and shift",
    _layernorm_type, _layernorm, (_layernorm_rule,), autocast="high",
)  # fmt: skip


# Classes.
def _one_hot_type(indices: TensorType, *, size: int, dtype: DType) -> TensorType:
    if indices.dtype != i64:
        raise ShapeError(f"one_hot: indices must be i64, got {indices.dtype}")
    return TensorType(dtype, (*indices.shape, size))


def _is_class(indices: Any, size: int) -> Any:
    """bool[..., size]: which class each index names. Numbers of 32 bits are compared in as many lanes as f32."""
    shape, dtype = (*indices.type.shape, size), i32 if size < 2**31 else i64
    checked = apply(checked_index, indices, size=size, wrap=False)
    column = apply(reshape, apply(cast, checked, dtype=dtype), shape=(*indices.type.shape, 1))
    classes = indices.apply_op(iota, (), {"shape": shape, "axis": len(shape) - 1, "dtype": dtype})
    return apply(eq, _along(column, shape), classes)


one_hot = define_composite(
    "one_hot", "1 at each index of a new last axis, 0 elsewhere", _one_hot_type,
    lambda indices, *, size, dtype: apply(cast, _is_class(indices, size), dtype=dtype), NONDIFF,
)  # fmt: skip


def _cross_entropy_type(logits: TensorType, targets: TensorType, *, smoothing: float) -> TensorType:
    _float_type("cross_entropy")(logits)
    if logits.rank == 0 or targets != TensorType(i64, logits.shape[:-1]):
        raise ShapeError(
            f"cross_entropy: logits {logits} need targets {TensorType(i64, logits.shape[:-1])}, got {targets}"
        )
    return TensorType(logits.dtype, targets.shape)


def _cross_entropy(logits: Any, targets: Any, *, smoothing: float) -> Any:
    """-log_softmax at the target; `smoothing` spreads that much of the weight evenly (Szegedy et al. 2016)."""
    classes, last = logits.type.shape[-1], logits.type.rank - 1
    shifted = _shifted(logits, last)
    total = apply(log, _sum(apply(exp, shifted), last))
    picked = _sum(apply(where, _is_class(targets, classes), shifted, zeros_like(shifted)), last)
    if smoothing:
        picked = picked * (1.0 - smoothing) + mean_of(shifted, (last,)) * smoothing
    return apply(reshape, total - picked, shape=targets.type.shape)


def _cross_entropy_rule(g: Any, n: Any) -> Any:
    logits, targets = n.inputs
    shape, smoothing = logits.type.shape, n.attrs["smoothing"]
    weights = apply(one_hot, targets, size=shape[-1], dtype=logits.type.dtype)
    if smoothing:
        weights = weights * (1.0 - smoothing) + smoothing / shape[-1]
    column = apply(reshape, g, shape=(*targets.type.shape, 1))
    return (apply(softmax, logits, axis=len(shape) - 1) - weights) * _along(column, shape)


cross_entropy = define_composite(
    "cross_entropy", "-log softmax(logits)[target] of each row of the last axis", _cross_entropy_type, _cross_entropy,
    (_cross_entropy_rule, None), autocast="high",
)  # fmt: skip


# Random numbers.
def _random_type(state: TensorType, *, shape: Shape, dtype: DType = f32) -> TensorType:
    if not dtype.is_float:
        raise ShapeError(f"random numbers are floats, got {dtype}")
    random_bits.infer(state, shape=shape, word=0)
    return TensorType(dtype, shape)


def _unit(state: Any, shape: Shape, *, word: int) -> Any:
    """f32 in [0, 1) from the upper 24 bits of a word, all of which an f32 holds exactly."""
    bits = apply(random_bits, state, shape=shape, word=word)
    upper = apply(shift_right_logical, bits, filled(bits, 8, bits.type))
    return apply(cast, upper, dtype=f32) * 2.0**-24


def _normal(state: Any, *, shape: Shape, dtype: DType = f32) -> Any:
    """Box & Muller (1958), from two words of a block; 1 - u lies in (0, 1], so the logarithm is finite."""
    radius = apply(sqrt, apply(log, 1.0 - _unit(state, shape, word=0)) * -2.0)
    return apply(cast, radius * apply(cos, _unit(state, shape, word=1) * (2 * math.pi)), dtype=dtype)


uniform = define_composite(
    "uniform", "Uniform on [0, 1) in steps of 2**-24", _random_type,
    lambda state, *, shape, dtype=f32: apply(cast, _unit(state, shape, word=0), dtype=dtype), NONDIFF,
)  # fmt: skip
normal = define_composite("normal", "Normal, mean 0 and variance 1", _random_type, _normal, NONDIFF)


def _dropout_type(x: TensorType, state: TensorType, *, p: float) -> TensorType:
    if not 0 <= p <= 1:
        raise ShapeError(f"dropout: p is a probability, got {p}")
    random_bits.infer(state, shape=x.shape, word=0)
    return _float_type("dropout")(x)


def kept(state: Any, shape: Shape, p: float) -> Any:
    """bool: what a dropout with probability p keeps, by 16 bits an element, or 24 where those are too few."""
    least = least_kept(p)
    if least is not None:
        bits = apply(random_bits, state, shape=shape)
        return apply(ge, bits, filled(bits, least, bits.type))
    chance = _unit(state, shape, word=0)
    return apply(ge, chance, filled(chance, p, chance.type))


def _dropout(x: Any, state: Any, *, p: float) -> Any:
    if p == 1:
        return zeros_like(x)
    return apply(where, kept(state, x.type.shape, p), x * (1 / (1 - p)), zeros_like(x))


dropout = define_composite(
    "dropout", "0 with probability p, else x / (1 - p) (Srivastava et al. 2014); the state decides which",
    _dropout_type, _dropout, (lambda g, n: apply(dropout, g, n.inputs[1], p=n.attrs["p"]), None),
)  # fmt: skip
