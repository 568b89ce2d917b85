"""Reductions. The reduced axes stay, with size 1; operators that drop them add a reshape."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinytorch.ir.errors import ShapeError
from tinytorch.ir.fast.sums import faster_sum
from tinytorch.ir.op import NONDIFF, Array, Attrs, Nondiff, Op, Rule, apply, define, named
from tinytorch.ir.ops.core import cast, filled, normalize_axis, where, zeros_like
from tinytorch.ir.ops.elementwise import eq
from tinytorch.ir.ops.view import broadcast, inverse, neighbours, permute, reshape
from tinytorch.ir.types import TensorType, dtype_of, i64

Axes = tuple[int, ...]


def _check_axes(name: str, x: TensorType, axes: Axes) -> None:
    last = -1
    for axis in axes:
        if not last < axis < x.rank:
            break
        last = axis
    else:
        return
    for axis in axes:
        normalize_axis(name, axis, x.rank)
    raise ShapeError(f"{name}: axes must be distinct, in order and not negative, got {axes}")


def _reduced(x: TensorType, axes: Axes) -> tuple[int, ...]:
    return tuple(1 if i in axes else d for i, d in enumerate(x.shape))


def _flops(types: Any, out: TensorType, attrs: Attrs) -> int:
    return types[0].size


def _reduction(name: str, doc: str, numpy: Any, vjp: tuple[Rule | None, ...] | Nondiff, empty: bool, *kinds: str) -> Op:
    def infer(x: TensorType, *, axes: Axes) -> TensorType:
        _check_axes(name, x, axes)
        if x.dtype.kind not in kinds:
            raise ShapeError(f"{name}: needs a dtype of kind {' or '.join(kinds)}, got {x.dtype}")
        if not empty and any(x.shape[a] == 0 for a in axes):
            raise ShapeError(f"{name}: an empty axis of {x} has no {name}")
        return TensorType(x.dtype, _reduced(x, axes))

    def evaluate(x: Array, *, axes: Axes) -> Array:
        return numpy(x, axis=axes, keepdims=True)

    fast = faster_sum(evaluate) if name == "sum" else None
    autocast = "high" if empty else None  # what an empty axis has one of adds or multiplies, and so is rounded
    return define(Op(name, "reduce", doc, infer, evaluate, vjp, _flops, fast=fast, autocast=autocast))


_IN_A_ROW = 1024  # f32 numbers that may be added one after the other: off by 1e-4 at worst, and mostly by 1e-6


def _sum(x: Array, axis: Axes, keepdims: bool) -> Array:
    """numpy adds in pairs along what lies together in memory, and one after the other along everything else: many f32
    are added in f64 then, and 16-bit floats in f32."""
    wide = x.astype(np.float32) if x.dtype.itemsize == 2 else x
    long = x.size > _IN_A_ROW and wide.dtype == np.float32 and _added_in_a_row(wide, axis) > _IN_A_ROW
    total = wide.sum(axis=axis, keepdims=keepdims, dtype=np.float64 if long else wide.dtype)
    return total.astype(x.dtype, copy=False)


def _added_in_a_row(x: Array, axes: Axes) -> int:
    """How many terms of a sum over `axes` numpy adds without pairing them."""
    rest = math.prod(x.shape[a] for a in axes)
    step = x.itemsize
    for axis in sorted(axes, key=lambda a: abs(x.strides[a])):
        if x.shape[axis] > 1:
            if abs(x.strides[axis]) != step:
                break
            step *= x.shape[axis]
            rest //= x.shape[axis]
    return rest


def _extremum(function: Any) -> Any:
    """numpy `function`, but that a zero of several is +0.0: which one it is depends on the order otherwise."""

    def run(x: Array, axis: Axes, keepdims: bool) -> Array:
        out = function(x, axis=axis, keepdims=keepdims)
        several = dtype_of(x.dtype).is_float and out.size < x.size
        return out + out.dtype.type(0) if several else out

    return run


def _extremum_rule(g: Any, n: Any) -> Any:
    """Shared equally among the elements that attain the extremum; NaN where it is NaN."""
    x = n.inputs[0]
    hit = apply(eq, x, apply(broadcast, n.output, shape=x.type.shape))
    count = apply(sum_, apply(cast, hit, dtype=x.type.dtype), axes=n.attrs["axes"])
    share, none = (apply(broadcast, part / count, shape=x.type.shape) for part in (g, zeros_like(g)))
    return apply(where, hit, share, none)


sum_ = _reduction(
    "sum", "Sum over `axes`, 0 for an empty one", _sum,
    (lambda g, n: apply(broadcast, g, shape=n.inputs[0].type.shape),), True, "float", "int", "uint",
)  # fmt: skip
max_ = _reduction(
    "max", "Largest over `axes`, NaN if any is; a zero of several is +0.0", _extremum(np.max), (_extremum_rule,),
    False, "float", "int", "uint", "bool",
)  # fmt: skip
min_ = _reduction(
    "min", "Smallest over `axes`, NaN if any is; a zero of several is +0.0", _extremum(np.min), (_extremum_rule,),
    False, "float", "int", "uint", "bool",
)  # fmt: skip


def _product(x: Array, axis: Axes, keepdims: bool) -> Array:
    wide = x.astype(np.float32) if x.dtype.itemsize == 2 else x
    return wide.prod(axis=axis, keepdims=keepdims, dtype=wide.dtype).astype(x.dtype, copy=False)


def _product_rule(g: Any, n: Any) -> Any:
    """Each element has the product of those before it and those behind it, so that zeros need no care."""
    x, axes = n.inputs[0], n.attrs["axes"]
    shape = x.type.shape
    order = (*(a for a in range(len(shape)) if a not in axes), *axes)
    lead = tuple(shape[a] for a in order[: len(shape) - len(axes)])
    rows = apply(reshape, apply(permute, x, axes=order), shape=(*lead, math.prod(shape[a] for a in axes)))
    last = len(lead)
    before, behind = (apply(named("cumprod"), rows, axis=last, reverse=reverse) for reverse in (False, True))
    others = neighbours(before, last, True, 1) * neighbours(behind, last, False, 1)
    others = apply(permute, apply(reshape, others, shape=tuple(shape[a] for a in order)), axes=inverse(order))
    return apply(broadcast, g, shape=shape) * others


prod = _reduction(
    "prod", "Product over `axes`, 1 for an empty one", _product, (_product_rule,), True, "float", "int", "uint"
)


def _position(name: str, doc: str, numpy: Any) -> Op:
    def infer(x: TensorType, *, axes: Axes) -> TensorType:
        _check_axes(name, x, axes)
        if len(axes) != 1 or x.shape[axes[0]] == 0:
            raise ShapeError(f"{name}: takes one axis that is not empty, got axes {axes} of {x}")
        return TensorType(i64, _reduced(x, axes))

    def evaluate(x: Array, *, axes: Axes) -> Array:
        return numpy(x, axis=axes[0], keepdims=True)

    return define(Op(name, "reduce", doc, infer, evaluate, NONDIFF, _flops))


argmax = _position("argmax", "Index of the first largest element, or of the first NaN, along one axis", np.argmax)
argmin = _position("argmin", "Index of the first smallest element, or of the first NaN, along one axis", np.argmin)


def mean_of(x: Any, axes: Axes) -> Any:
    """Sum over `axes`, divided by their number; NaN where there is none."""
    count = 1
    for axis in axes:
        count *= x.type.shape[axis]
    total = apply(sum_, x, axes=axes)
    return total * (1.0 / count) if count else total + filled(total, float("nan"), total.type)
