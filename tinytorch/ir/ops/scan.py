"""Scans: each element of the result is a reduction of all elements up to its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch.ir.errors import ShapeError
from tinytorch.ir.op import Array, Op, apply, define
from tinytorch.ir.ops.core import normalize_axis, one_per_result, require_same, where, zeros_like
from tinytorch.ir.ops.elementwise import eq, exp
from tinytorch.ir.ops.sorting import put_along
from tinytorch.ir.ops.view import neighbours
from tinytorch.ir.types import DType, TensorType, dtype_of, f32, f64, i64


def accumulator(dtype: DType) -> DType:
    """What running sums of `dtype` are kept in: f32 for 16-bit floats, f64 for wider ones, integers as they are."""
    if not dtype.is_float:
        return dtype
    return f32 if dtype.bits == 16 else f64


def _numbers(name: str, *types: TensorType, axis: int, kinds: tuple[str, ...] = ("float", "int", "uint")) -> TensorType:
    x = require_same(name, *types)
    normalize_axis(name, axis, x.rank)
    if x.dtype.kind not in kinds:
        raise ShapeError(f"{name}: needs a dtype of kind {' or '.join(kinds)}, got {x}")
    return x


def _wide(x: Array) -> Array:
    return x.astype(accumulator(dtype_of(x.dtype)).numpy, copy=False)


def _in_order(forward: Any) -> Any:
    """numpy `forward(*arrays, axis)`, in the precision of accumulators, forward or in `reverse`."""

    def run(*arrays: Array, axis: int, reverse: bool) -> Array:
        dtype = arrays[0].dtype
        if not reverse:
            return forward(*map(_wide, arrays), axis).astype(dtype, copy=False)
        return np.flip(forward(*(_wide(np.flip(x, axis)) for x in arrays), axis), axis).astype(dtype)

    return run


def _sums(x: Array, axis: int) -> Array:
    sums: Any = np.cumsum(x, axis, dtype=x.dtype)
    return np.add(sums, x.dtype.type(0), out=sums)  # 0.0 + -0.0, where numpy begins with the first element itself


def _recurrence(a: Array, b: Array, axis: int) -> Array:
    out, state = np.empty_like(b), np.zeros(b.shape[:axis] + b.shape[axis + 1 :], b.dtype)
    for i in range(b.shape[axis]):
        at = (slice(None),) * axis + (i,)
        state = a[at] * state + b[at]
        out[at] = state
    return out


cumsum = define(Op(
    name="cumsum", kind="index",
    doc="Sums of the elements up to each along `axis`, or from each on if `reverse`, added one after the other.",
    infer=lambda x, *, axis, reverse: _numbers("cumsum", x, axis=axis), eval=_in_order(_sums),
    vjp=(lambda g, n: apply(cumsum, g, axis=n.attrs["axis"], reverse=not n.attrs["reverse"]),), flops=one_per_result,
    autocast="high",
))  # fmt: skip


# y[i] = a[i] y[i-1] + b[i]. The cotangent of b is such a scan in the other direction, of the a one place further.
def _cotangent_of_terms(g: Any, n: Any) -> Any:
    axis, reverse = n.attrs["axis"], n.attrs["reverse"]
    return apply(linear_scan, neighbours(n.inputs[0], axis, reverse, 0), g, axis=axis, reverse=not reverse)


def _cotangent_of_factors(g: Any, n: Any) -> Any:
    before = neighbours(n.output, n.attrs["axis"], not n.attrs["reverse"], 0)
    return _cotangent_of_terms(g, n) * before


linear_scan = define(Op(
    name="linear_scan", kind="index",
    doc="y[i] = a[i] y[i - 1] + b[i] along `axis`, from y = 0 on, or from the end if `reverse`.",
    infer=lambda a, b, *, axis, reverse: _numbers("linear_scan", a, b, axis=axis), eval=_in_order(_recurrence),
    vjp=(_cotangent_of_factors, _cotangent_of_terms), flops=lambda types, out, attrs: 2 * out.size,
))  # fmt: skip


def _product_rule(g: Any, n: Any) -> Any:
    """Factor i has the product of those before it in all results from i on, and what comes behind it in each: nothing
    is divided by, so zeros need no care."""
    axis, reverse, x = n.attrs["axis"], n.attrs["reverse"], n.inputs[0]
    behind = apply(linear_scan, neighbours(x, axis, reverse, 0), g, axis=axis, reverse=not reverse)
    return behind * neighbours(n.output, axis, not reverse, 1)


cumprod = define(Op(
    name="cumprod", kind="index",
    doc="Products of the elements up to each along `axis`, or from each on if `reverse`.",
    infer=lambda x, *, axis, reverse: _numbers("cumprod", x, axis=axis),
    eval=_in_order(lambda x, axis: np.cumprod(x, axis, dtype=x.dtype)), vjp=(_product_rule,), flops=one_per_result,
    autocast="high",
))  # fmt: skip


# logcumsumexp. With R[i] = sum over j >= i of g[j] exp(out[i] - out[j]), no exponent is positive.
def _log_rule(g: Any, n: Any) -> Any:
    axis, reverse, x, out = n.attrs["axis"], n.attrs["reverse"], n.inputs[0], n.output
    before = neighbours(out, axis, not reverse, 0)
    same = apply(eq, before, out)  # also of infinities
    ratio = apply(exp, apply(where, same, zeros_like(out), before - out))
    total = apply(linear_scan, neighbours(ratio, axis, reverse, 0), g, axis=axis, reverse=not reverse)
    return total * apply(exp, x - out)


def _log_sums(x: Array, axis: int) -> Array:
    return np.logaddexp.accumulate(x, axis)


logcumsumexp = define(Op(
    name="logcumsumexp", kind="index",
    doc="Logarithms of the sums of exponentials of the elements up to each along `axis`, or from each on if `reverse`.",
    infer=lambda x, *, axis, reverse: _numbers("logcumsumexp", x, axis=axis, kinds=("float",)),
    eval=_in_order(_log_sums), vjp=(_log_rule,), flops=lambda types, out, attrs: 8 * out.size,
    autocast="high",
))  # fmt: skip


# Running extremes.
def _running(name: str, better: Any) -> Op:
    def infer(x: TensorType, *, axis: int) -> tuple[TensorType, TensorType]:
        normalize_axis(name, axis, x.rank)
        return x, TensorType(i64, x.shape)

    def evaluate(x: Array, *, axis: int) -> tuple[Array, Array]:
        wide = _wide(x) if x.dtype.itemsize == 2 else x
        if not x.shape[axis]:
            return x.copy(), np.zeros(x.shape, np.int64)
        steps = np.arange(x.shape[axis]).reshape([-1 if a == axis else 1 for a in range(x.ndim)])
        found = better.accumulate(wide, axis)
        last = np.maximum.accumulate(np.where((wide == found) | (wide != wide), steps, 0), axis)
        return np.take_along_axis(x, last, axis), last

    rule = lambda cts, n: put_along(cts[0], n.outputs[1], n.attrs["axis"], n.inputs[0].type.shape)  # noqa: E731
    largest = "largest" if name == "cummax" else "smallest"
    doc = f"The {largest} element up to each along `axis`, and the index of the last one; NaN from the first NaN on."
    return define(Op(name, "index", doc, infer, evaluate, (rule,), lambda types, out, attrs: types[0].size, results=2))


cummax = _running("cummax", np.maximum)
cummin = _running("cummin", np.minimum)
