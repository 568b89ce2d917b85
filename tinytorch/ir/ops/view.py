"""Views: the same elements at other indices, which kernels read as strides where they can. And the moves, which put
elements into another buffer: `pad`, that gradients of slices need, and `concat`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinytorch.ir.errors import ShapeError
from tinytorch.ir.op import Array, Attrs, Bounds, Op, apply, define, named
from tinytorch.ir.ops.core import filled, iota, no_flops, normalize_axis
from tinytorch.ir.types import Shape, TensorType, contiguous_strides, i64


def _reshape_type(x: TensorType, *, shape: Shape) -> TensorType:
    if math.prod(shape) != x.size or any(d < 0 for d in shape):
        raise ShapeError(f"reshape: {x} has {x.size} elements, {list(shape)} has {math.prod(shape)}")
    return TensorType(x.dtype, tuple(shape))


reshape = define(Op(
    name="reshape", kind="view", doc="The elements in row-major order, under another shape.",
    infer=_reshape_type, eval=lambda x, *, shape: x.reshape(shape),
    vjp=(lambda g, n: apply(reshape, g, shape=n.inputs[0].type.shape),), flops=no_flops,
    put=lambda base, new, *, shape: apply(reshape, new, shape=base.type.shape),
))  # fmt: skip


after = define(Op(
    name="after", kind="view",
    doc="The first operand, for readers that run once the second has been computed, whose elements do not matter.",
    infer=lambda x, other: x, eval=lambda x, other: x, vjp=(lambda g, n: g, None), flops=no_flops,
    put=lambda base, new, other: new,
))  # fmt: skip


def _permute_type(x: TensorType, *, axes: tuple[int, ...]) -> TensorType:
    if sorted(axes) != list(range(x.rank)):
        raise ShapeError(f"permute: {axes} is not an order of the {x.rank} axes of {x}")
    return TensorType(x.dtype, tuple(x.shape[a] for a in axes))


def inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    """The order that undoes `axes`."""
    return tuple(axes.index(i) for i in range(len(axes)))


permute = define(Op(
    name="permute", kind="view", doc="Axis i of the result is axis `axes[i]` of the operand.",
    infer=_permute_type, eval=lambda x, *, axes: x.transpose(axes),
    vjp=(lambda g, n: apply(permute, g, axes=inverse(n.attrs["axes"])),), flops=no_flops,
    put=lambda base, new, *, axes: apply(permute, new, axes=inverse(axes)),
))  # fmt: skip


def _broadcast_type(x: TensorType, *, shape: Shape) -> TensorType:
    new = len(shape) - len(x.shape)
    fits = new >= 0
    for d, s in zip(x.shape, shape[new:], strict=False):
        fits = fits and d in (1, s)
    if not fits:
        raise ShapeError(f"broadcast: {x} does not broadcast to {list(shape)}")
    return TensorType(x.dtype, tuple(shape))


def repeated(x: Array, shape: Shape) -> Array:
    """A view of `x`, as `np.broadcast_to` gives it; one element is repeated at less cost."""
    if x.shape or x.dtype.kind == "V":  # the dtypes that are not numpy's own have no buffers
        return np.broadcast_to(x, shape)
    out = np.ndarray(shape, x.dtype, x, 0, (0,) * len(shape))
    out.flags.writeable = False
    return out


def _broadcast_rule(g: Any, n: Any) -> Any:
    small, large = n.inputs[0].type.shape, n.attrs["shape"]
    padded = (1,) * (len(large) - len(small)) + small
    axes = tuple(i for i, (a, b) in enumerate(zip(padded, large, strict=True)) if a != b)
    total = apply(named("sum"), g, axes=axes) if axes else g
    return total if total.type.shape == small else apply(reshape, total, shape=small)


def _broadcast_put(base: Any, new: Any, *, shape: Shape) -> Any:
    if math.prod(shape) != base.type.size:
        raise ShapeError(
            f"{base.type} broadcast to {list(shape)} cannot be changed in place, since elements share memory"
        )
    return apply(reshape, new, shape=base.type.shape)


broadcast = define(Op(
    name="broadcast", kind="view", doc="Axes of size 1, and new ones in front, repeated to `shape`.",
    infer=_broadcast_type, eval=lambda x, *, shape: repeated(x, shape), vjp=(_broadcast_rule,), flops=no_flops,
    put=_broadcast_put,
))  # fmt: skip

Ints = tuple[int, ...]


def _slice_type(x: TensorType, *, starts: Ints, limits: Ints, steps: Ints) -> TensorType:
    if not len(starts) == len(limits) == len(steps) == x.rank:
        raise ShapeError(f"slice: needs starts, limits and steps for the {x.rank} axes of {x}")
    sizes: list[int] = []
    for axis, (start, limit, step, size) in enumerate(zip(starts, limits, steps, x.shape, strict=True)):
        if not (0 <= start <= limit <= size and step > 0):
            raise ShapeError(f"slice: {start}:{limit}:{step} does not fit axis {axis} of {x}")
        sizes.append(-((start - limit) // step))
    return TensorType(x.dtype, tuple(sizes))


def _slice_eval(x: Array, *, starts: Ints, limits: Ints, steps: Ints) -> Array:
    return x[tuple(map(slice, starts, limits, steps))]


def _slice_rule(g: Any, n: Any) -> Any:
    sizes, got = n.inputs[0].type.shape, g.type.shape
    low, steps = n.attrs["starts"], n.attrs["steps"]
    spans = [0 if d == 0 else (d - 1) * s + 1 for d, s in zip(got, steps, strict=True)]
    high = tuple(size - a - span for size, a, span in zip(sizes, low, spans, strict=True))
    return apply(pad, g, low=low, high=high, interior=tuple(s - 1 for s in steps), value=0.0)


def _slice_put(base: Any, new: Any, *, starts: Ints, limits: Ints, steps: Ints) -> Any:
    return apply(named("update_slice"), base, new, starts=starts, steps=steps)


slice_ = define(Op(
    name="slice", kind="view", doc="Elements `starts`, `starts + steps`, … below `limits`; steps positive.",
    infer=_slice_type, eval=_slice_eval, vjp=(_slice_rule,), flops=no_flops, put=_slice_put,
))  # fmt: skip


def _pad_type(x: TensorType, *, low: Ints, high: Ints, interior: Ints, value: float) -> TensorType:
    if not len(low) == len(high) == len(interior) == x.rank or min((*low, *high, *interior, 0)) < 0:
        raise ShapeError(
            f"pad: needs amounts that are not negative for the {x.rank} axes of {x}, got {low}, {high}, {interior}"
        )
    spans = (d + max(d - 1, 0) * i for d, i in zip(x.shape, interior, strict=True))
    return TensorType(x.dtype, tuple(a + span + b for a, span, b in zip(low, spans, high, strict=True)))


def _pad_window(shape: Shape, low: Ints, interior: Ints) -> tuple[slice, ...]:
    """Where the operand's elements stand in the result."""
    return tuple(
        slice(a, a + (d - 1) * (i + 1) + 1 if d else a, i + 1) for d, a, i in zip(shape, low, interior, strict=True)
    )


def _pad_eval(x: Array, *, low: Ints, high: Ints, interior: Ints, value: float) -> Array:
    shape = [a + d + max(d - 1, 0) * i + b for d, a, b, i in zip(x.shape, low, high, interior, strict=True)]
    out = np.full(shape, value, x.dtype)
    out[_pad_window(x.shape, low, interior)] = x
    return out


def _pad_rule(g: Any, n: Any) -> Any:
    window = _pad_window(n.inputs[0].type.shape, n.attrs["low"], n.attrs["interior"])
    return apply(
        slice_,
        g,
        starts=tuple(w.start for w in window),
        limits=tuple(w.stop for w in window),
        steps=tuple(w.step for w in window),
    )


def _pad_bounds(bounds: Sequence[Bounds], types: Sequence[TensorType], attrs: Attrs) -> Bounds:
    (low, high), value = bounds[0], int(attrs["value"])
    return min(low, value), max(high, value)


pad = define(Op(
    name="pad", kind="move", doc="`value` put before, after, and `interior` times between the elements of each axis.",
    infer=_pad_type, eval=_pad_eval, vjp=(_pad_rule,), flops=no_flops, bounds=_pad_bounds,
))  # fmt: skip


def _concat_type(*types: TensorType, axis: int) -> TensorType:
    first = types[0]
    normalize_axis("concat", axis, first.rank)
    for i, other in enumerate(types):
        same = other.rank == first.rank and other.dtype == first.dtype
        if not same or any(a != b for j, (a, b) in enumerate(zip(first.shape, other.shape, strict=True)) if j != axis):
            raise ShapeError(f"concat: operand {i} is {other}, which does not fit {first} but for axis {axis}")
    return TensorType(
        first.dtype, tuple(sum(t.shape[axis] for t in types) if j == axis else d for j, d in enumerate(first.shape))
    )


def _concat_rule(g: Any, n: Any, index: int) -> Any:
    axis, shape = n.attrs["axis"], g.type.shape
    start = sum(x.type.shape[axis] for x in n.inputs[:index])
    stop = start + n.inputs[index].type.shape[axis]
    starts = tuple(start if j == axis else 0 for j in range(len(shape)))
    limits = tuple(stop if j == axis else d for j, d in enumerate(shape))
    return apply(slice_, g, starts=starts, limits=limits, steps=(1,) * len(shape))


concat = define(Op(
    name="concat", kind="move", doc="The operands one after the other along `axis`.",
    infer=_concat_type, eval=lambda *xs, axis: np.concatenate(xs, axis=axis), vjp=_concat_rule, flops=no_flops,
))  # fmt: skip


def _flip_type(x: TensorType, *, axes: Ints) -> TensorType:
    if len({normalize_axis("flip", a, x.rank) for a in axes}) != len(axes):
        raise ShapeError(f"flip: axes must be distinct, got {axes}")
    return x


flip = define(Op(
    name="flip", kind="view", doc="The order of the elements reversed along `axes`.",
    infer=_flip_type, eval=lambda x, *, axes: np.flip(x, axes),
    vjp=(lambda g, n: apply(flip, g, axes=n.attrs["axes"]),), flops=no_flops,
    put=lambda base, new, *, axes: apply(flip, new, axes=axes),
))  # fmt: skip


def neighbours(x: Any, axis: int, reverse: bool, end: float) -> Any:
    """What stands one place further in the direction of a scan, and `end` behind the last: x[i + 1], or x[i - 1] in
    `reverse`."""
    shape, rank = x.type.shape, x.type.rank
    size = shape[axis]
    if not size:
        return x
    starts = tuple(int(a == axis and not reverse) for a in range(rank))
    limits = tuple(size - 1 if a == axis and reverse else d for a, d in enumerate(shape))
    rest = apply(slice_, x, starts=starts, limits=limits, steps=(1,) * rank)
    before, behind = (tuple(int(a == axis and side) for a in range(rank)) for side in (reverse, not reverse))
    return apply(pad, rest, low=before, high=behind, interior=(0,) * rank, value=float(end))


# Views whose axes go along several axes of the operand at once (diagonals), or along one together (windows).
Steps = tuple[Ints, ...]


def _affine_type(x: TensorType, *, shape: Shape, starts: Ints, strides: Steps) -> TensorType:
    if (
        len(starts) != x.rank
        or len(strides) != len(shape)
        or any(len(s) != x.rank or min((*s, 0)) < 0 for s in strides)
    ):
        raise ShapeError(f"affine_view: needs starts and, for each axis of {list(shape)}, strides for the axes of {x}")
    for axis, (start, size) in enumerate(zip(starts, x.shape, strict=True)):
        last = start + sum((d - 1) * s[axis] for d, s in zip(shape, strides, strict=True))
        if 0 not in shape and not 0 <= start <= last < size:
            raise ShapeError(f"affine_view: elements {start} to {last} do not fit axis {axis} of {x}")
    return TensorType(x.dtype, tuple(shape))


def _affine_eval(x: Array, *, shape: Shape, starts: Ints, strides: Steps) -> Array:
    if 0 in shape:
        return x.reshape(-1)[:0].reshape(shape)
    steps = [sum(a * b for a, b in zip(s, x.strides, strict=True)) for s in strides]
    return np.lib.stride_tricks.as_strided(x[(*(slice(a, None) for a in starts), ...)], shape, steps)


def _affine_places(like: Any, whole: Shape, shape: Shape, starts: Ints, strides: Steps) -> Any:
    """Where the elements of the view lie in the flattened operand: a vector, in the world of `like`."""
    along = contiguous_strides(whole)
    place = filled(like, sum(a * b for a, b in zip(starts, along, strict=True)), TensorType(i64, tuple(shape)))
    for axis, step in enumerate(sum(a * b for a, b in zip(s, along, strict=True)) for s in strides):
        if shape[axis] > 1 and step:
            place = place + like.apply_op(iota, (), {"shape": tuple(shape), "axis": axis}) * step
    return apply(reshape, place, shape=(math.prod(shape),))


def _affine_update(op: str, base: Any, new: Any, shape: Shape, starts: Ints, strides: Steps) -> Any:
    """`base` with the elements of `new` put, or added, where those of the view lie."""
    whole = base.type.shape
    places = _affine_places(base, whole, shape, starts, strides)
    flat, values = (apply(reshape, x, shape=(x.type.size,)) for x in (base, new))
    return apply(reshape, apply(named(op), flat, places, values, axis=0), shape=whole)


def _affine_rule(g: Any, n: Any) -> Any:
    x = n.inputs[0].type
    return _affine_update("scatter_add", filled(g, 0, TensorType(g.type.dtype, x.shape)), g, **n.attrs)


affine_view = define(Op(
    name="affine_view", kind="view",
    doc="Element (i, j, …) is element `starts + i * strides[0] + j * strides[1] + …` of the operand; each of the "
        "strides has a step for every axis of the operand.",
    infer=_affine_type, eval=_affine_eval, vjp=(_affine_rule,), flops=no_flops,
    put=lambda base, new, **attrs: _affine_update("scatter", base, new, **attrs),
))  # fmt: skip
