"""What the ops' definitions share, and the ops that only make, keep or mark values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinytorch.ir.arrays.reference import evaluate
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.lanes.emitter import Emitter, Lane
from tinytorch.ir.op import NONDIFF, Array, Attrs, Op, apply, define, named
from tinytorch.ir.types import DType, Shape, TensorType, bf16, bool_, dtype_of, i64


def no_flops(types: Sequence[TensorType], out: TensorType, attrs: Attrs) -> int:
    return 0


def one_per_result(types: Sequence[TensorType], out: TensorType, attrs: Attrs) -> int:
    return out.size


def require_same(name: str, *types: TensorType) -> TensorType:
    """The one type that all operands have; the IR does not broadcast or promote."""
    for other in types[1:]:
        if other != types[0]:
            raise ShapeError(f"{name}: operands must have one type, got {' and '.join(map(str, types))}")
    return types[0]


def normalize_axis(name: str, axis: int, rank: int) -> int:
    """`axis` counted from the front; ShapeError if it is out of range."""
    if not -rank <= axis < rank:
        raise ShapeError(f"{name}: axis {axis} is out of range for rank {rank}")
    return axis % rank


def computed_in_f32(function: Any) -> Any:
    """numpy `function`, with half-precision operands computed in f32 and rounded once."""

    def run(*arrays: Array, **attrs: Any) -> Array:
        dtype = arrays[0].dtype
        if dtype.itemsize == 2 and dtype.kind in "fV":
            return np.asarray(function(*(a.astype(np.float32) for a in arrays), **attrs)).astype(dtype)
        return function(*arrays, **attrs)

    return run


def rounded(value: Any, dtype: DType) -> Array:
    """A Python number as an array of rank 0, rounded once."""
    small = 1e30 if type(value) is float else 1 << 24 if type(value) is int else 0
    if dtype.is_float and dtype.bits > 16 and abs(value) < small:  # most numbers: f32 rounds them once, or not at all
        return np.array(value, dtype.numpy)
    with np.errstate(all="ignore"):
        return np.asarray(cast_array(np.asarray(value), dtype))


def filled(like: Any, value: float, type: TensorType) -> Any:
    """`value` broadcast to `type`, in the world of `like`."""
    scalar = like.constant(rounded(value, type.dtype))
    return scalar if type.shape == () else apply(named("broadcast"), scalar, shape=type.shape)


def zeros_like(x: Any) -> Any:
    return filled(x, 0, x.type)


def _constant_type(*, value: Array) -> TensorType:
    return TensorType(dtype_of(value.dtype), value.shape)


constant = define(Op(
    name="constant", kind="elementwise", doc="A literal array.",
    infer=_constant_type, eval=lambda *, value: value, vjp=NONDIFF, flops=no_flops,
    scalar=lambda e, *, value: e.const(value.item(), dtype_of(value.dtype)),
))  # fmt: skip


def _iota_type(*, shape: Shape, axis: int, dtype: DType = i64) -> TensorType:
    normalize_axis("iota", axis, len(shape))
    return TensorType(dtype, shape)


def _iota_eval(*, shape: Shape, axis: int, dtype: DType = i64) -> Array:
    steps = np.arange(shape[axis], dtype=dtype.numpy)
    return np.broadcast_to(steps.reshape([-1 if i == axis else 1 for i in range(len(shape))]), shape)


iota = define(Op(
    name="iota", kind="elementwise", doc="The index along `axis`; a kernel's lane is given the index.",
    infer=_iota_type, eval=_iota_eval, vjp=NONDIFF, flops=no_flops,
    scalar=lambda e, index, *, shape, axis, dtype=i64: index.cast(dtype),
))  # fmt: skip

copy = define(Op(
    name="copy", kind="elementwise", doc="The same values in a buffer of their own, row-major.",
    infer=lambda x: x, eval=lambda x: np.array(x, order="C"), vjp=(lambda g, n: g,), flops=no_flops,
    scalar=lambda e, x: x,
))  # fmt: skip

detach = define(Op(
    name="detach", kind="elementwise", doc="The same values, through which no gradient flows.",
    infer=lambda x: x, eval=lambda x: x, vjp=NONDIFF, flops=no_flops, scalar=lambda e, x: x, put=lambda base, new: new,
))  # fmt: skip


def _custom_grad_rule(ct: Any, applied: Any, index: int) -> Any:
    return None if index == 0 else applied.attrs["backward"](ct)[index - 1]


custom_grad = define(Op(
    name="custom_grad", kind="elementwise",
    doc="The first operand, a result computed from the others, whose cotangents `backward(ct)` gives.",
    infer=lambda y, *inputs, backward: y, eval=lambda y, *inputs, backward: y, vjp=_custom_grad_rule,
    flops=no_flops, scalar=lambda e, y, *inputs, backward: y, put=lambda base, new, *, backward: new,
))  # fmt: skip


def array_as(x: Array, dtype: Any) -> Array:
    """`x` in a numpy dtype as numpy converts, but that 16-bit floats are rounded once; itself where it has it."""
    if dtype.itemsize == 2 and x.dtype.itemsize > 2 and x.dtype.kind in "iuf":
        return _narrowed(x, dtype_of(dtype))
    return x.astype(dtype, copy=False)


def cast_array(x: Array, dtype: DType) -> Array:
    """Convert as kernels do: float to integer truncates, NaN gives 0, out of range saturates; to a narrower float is
    rounded once."""
    if x.dtype.kind in "fV" and dtype.kind in ("int", "uint"):
        wide = x.astype(np.float64)
        low, high = dtype.limits
        inside = np.clip(np.nan_to_num(wide, nan=0.0), low, high)
        return np.where(wide >= float(high), high, inside.astype(dtype.numpy)).astype(dtype.numpy)
    return array_as(x, dtype.numpy) if x.dtype != dtype.numpy else x.copy()


def _narrowed(x: Array, dtype: DType) -> Array:
    """Wider numbers as 16-bit floats. numpy goes by way of f32, and so rounds twice, but for f64 to f16; an f64 whose
    last bit stands for what was cut off (rounded to odd, see `narrow_floats`) is rounded once on that way, too."""
    if x.dtype == np.int64:
        cut = (x & ~0xFFF) | np.where(x & 0xFFF, 0x1000, 0)
        x = np.where((x < 1 << 53) & (x > -(1 << 53)), x, cut)
    wide = x if x.dtype == np.float32 else x.astype(np.float64)
    if dtype == bf16 and x.dtype != np.float32:
        near = wide.astype(np.float32)
        inexact = near != wide
        bits = np.where(np.abs(near) > np.abs(wide), near.view(np.int32) - 1, near.view(np.int32))
        wide = np.where(inexact & ~np.isnan(wide), bits | 1, near.view(np.int32)).view(np.float32)
    return wide.astype(dtype.numpy)


def _cast_lane(e: Emitter, x: Lane, *, dtype: DType) -> Lane:
    if x.dtype == dtype:
        return x
    if x.dtype.is_float and dtype.bits == 8 and dtype.kind in ("int", "uint"):
        return _byte_lane(e, x, dtype)
    if x.dtype.is_float and dtype.kind in ("int", "uint"):
        low, high = dtype.limits  # in f32, i32's and i64's maxima round up to a power of two
        if dtype.bits <= 8:  # all floats have these limits exactly: two instructions clamp
            number = x if low == 0 else e.select(e.compare("eq", x, x), x, e.const(0, x.dtype))
            least, most = e.const(low, x.dtype), e.const(high, x.dtype)
            above = e.select(number > least, number, least)
            return e.select(above < most, above, most).cast(dtype)
        safe = e.select((x > float(low)) & (x < float(high)), x, e.const(0, x.dtype)).cast(dtype)
        safe = e.select(x >= float(high), e.const(high, dtype), safe)
        return e.select(x <= float(low), e.const(low, dtype), safe)
    return x.cast(dtype)


def _byte_lane(e: Emitter, x: Lane, dtype: DType) -> Lane:
    """The limits of bytes are floats: each of the comparisons and what it selects is one instruction."""
    low, high = (e.const(float(limit), x.dtype) for limit in dtype.limits)
    if dtype.kind == "int":
        x = e.select(x.eq(x), x, e.const(0, x.dtype))
    x = e.select(x > low, x, low)  # low, which is 0, for NaN
    return e.select(x < high, x, high).cast(dtype)


cast = define(Op(
    name="cast", kind="elementwise",
    doc="Values converted to `dtype`; float to integer truncates and saturates, NaN gives 0.",
    infer=lambda x, *, dtype: TensorType(dtype, x.shape), eval=lambda x, *, dtype: cast_array(x, dtype),
    vjp=(lambda g, n: apply(cast, g, dtype=n.inputs[0].type.dtype) if n.inputs[0].type.dtype.is_float else None,),
    flops=one_per_result, scalar=_cast_lane,
))  # fmt: skip


def _where_type(c: TensorType, a: TensorType, b: TensorType) -> TensorType:
    out = require_same("where", a, b)
    if c != TensorType(bool_, out.shape):
        raise ShapeError(f"where: the condition must be {TensorType(bool_, out.shape)}, got {c}")
    return out


where = define(Op(
    name="where", kind="elementwise", doc="The second operand where the first is true, else the third.",
    infer=_where_type, eval=np.where,
    vjp=(
        None,
        lambda g, n: apply(where, n.inputs[0], g, zeros_like(g)),
        lambda g, n: apply(where, n.inputs[0], zeros_like(g), g),
    ),
    flops=one_per_result, scalar=lambda e, c, a, b: e.select(c, a, b),
))  # fmt: skip


def _kernel_eval(*arrays: Array, body: Any, **attrs: Any) -> tuple[Array, ...]:
    return evaluate(body, arrays)


kernel = define(Op(
    name="kernel", kind="kernel", doc="A group of nodes that runs as one piece of machine code.",
    infer=lambda *types, body, **attrs: tuple(v.type for v in body.outputs), eval=_kernel_eval, vjp=NONDIFF,
    flops=lambda types, out, attrs: sum(n.flops for n in attrs["body"].nodes),
))  # fmt: skip
