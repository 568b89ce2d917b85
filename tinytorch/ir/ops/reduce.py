"""Reductions. The reduced axes stay, with size 1; operators that drop them add a reshape."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch.ir.errors import ShapeError
from tinytorch.ir.op import NONDIFF, Array, Attrs, Nondiff, Op, Rule, apply, define
from tinytorch.ir.ops.core import cast, filled, normalize_axis, where, zeros_like
from tinytorch.ir.ops.elementwise import eq
from tinytorch.ir.ops.view import broadcast
from tinytorch.ir.types import TensorType, i64

Axes = tuple[int, ...]


def _check_axes(name: str, x: TensorType, axes: Axes) -> None:
    for axis in axes:
        normalize_axis(name, axis, x.rank)
    if list(axes) != sorted(set(axes)) or any(a < 0 for a in axes):
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

    return define(Op(name, "reduce", doc, infer, lambda x, *, axes: numpy(x, axis=axes, keepdims=True), vjp, _flops))


def _sum(x: Array, axis: Axes, keepdims: bool) -> Array:
    wide = x.astype(np.float32) if x.dtype.itemsize == 2 else x
    return wide.sum(axis=axis, keepdims=keepdims, dtype=wide.dtype).astype(x.dtype)


def _extremum_rule(g: Any, n: Any) -> Any:
    """Shared equally among the elements that attain the extremum."""
    x = n.inputs[0]
    hit = apply(eq, x, apply(broadcast, n.output, shape=x.type.shape))
    count = apply(sum_, apply(cast, hit, dtype=x.type.dtype), axes=n.attrs["axes"])
    return apply(where, hit, apply(broadcast, g / count, shape=x.type.shape), zeros_like(x))


sum_ = _reduction(
    "sum", "Sum over `axes`, 0 for an empty one", _sum,
    (lambda g, n: apply(broadcast, g, shape=n.inputs[0].type.shape),), True, "float", "int", "uint",
)  # fmt: skip
max_ = _reduction(
    "max", "Largest over `axes`; NaN if any is", np.max, (_extremum_rule,), False, "float", "int", "uint", "bool"
)
min_ = _reduction(
    "min", "Smallest over `axes`; NaN if any is", np.min, (_extremum_rule,), False, "float", "int", "uint", "bool"
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
