"""What operands and arguments become before an op sees them: one dtype, one shape, axes counted from the front.

Python's bools are no axes, sizes or powers here, though they are integers to Python: `x.sum(True)` is a slip for
`x.sum(keepdim=True)`, and would silently be the sum over axis 1.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from functools import reduce
from typing import Any

import numpy as np

from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array
from tinytorch.ir.ops import core
from tinytorch.ir.types import DType, Shape, TensorType, dtype_of, f32, i64

NUMBERS = (bool, int, float, np.bool_, np.integer, np.floating)  # of Python and of numpy
RANK = {"bool": 0, "uint": 1, "int": 1, "float": 2}


def promote(a: TensorType, b: TensorType) -> DType:
    """The dtype of a result: floats win over integers over bools, then the wider; an operand of rank 0 only
    counts where it is of a higher kind, as in PyTorch."""
    x, y = a.dtype, b.dtype
    if RANK[x.kind] != RANK[y.kind]:
        return x if RANK[x.kind] > RANK[y.kind] else y
    if (a.rank == 0) != (b.rank == 0):
        return y if a.rank == 0 else x
    if x == y:
        return x
    if x.bits == y.bits:  # bf16 with f16, i8 with u8: neither holds the other
        return f32 if x.is_float else dtype_of("i32")
    return x if x.bits > y.bits else y


def joined(dtypes: Iterable[DType]) -> DType:
    """The dtype that several promote to, if they are those of tensors with axes."""
    return reduce(lambda a, b: promote(TensorType(a, (1,)), TensorType(b, (1,))), dtypes)


def broadcast_shapes(name: str, a: Shape, b: Shape) -> Shape:
    """numpy's rule; ShapeError names the axis that does not fit."""
    if a == b or a[len(a) - len(b) :] == b:  # most often: nothing to do, or a row that is repeated
        return a
    rank = max(len(a), len(b))
    x, y = (1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b
    for axis, (m, n) in enumerate(zip(x, y, strict=True)):
        if m != n and 1 not in (m, n):
            raise ShapeError(
                f"{name}: shapes {list(a)} and {list(b)} do not broadcast: axis {axis - rank} is {m} and {n}",
                user_loc(),
            )
    return tuple(n if m == 1 else m for m, n in zip(x, y, strict=True))


def integer(name: str, what: str, value: Any) -> int:
    """`value` as an int; ShapeError for bools, floats and everything else that is no integer."""
    if not isinstance(value, (bool, np.bool_)):
        try:
            return operator.index(value)
        except TypeError:
            pass
    raise ShapeError(f"{name}: {what} must be an integer, got {value!r}", user_loc())


def flag(name: str, what: str, value: Any) -> bool:
    """`value`, which must be a bool; an integer is a slip for an axis."""
    if not isinstance(value, (bool, np.bool_)):
        raise ShapeError(f"{name}: {what} must be True or False, got {value!r}", user_loc())
    return bool(value)


_INTS = {int}  # what sizes and axes mostly are


def integers(args: tuple[Any, ...]) -> tuple[int, ...]:
    """`f(2, 3)` and `f((2, 3))` mean the same."""
    items = args[0] if len(args) == 1 and isinstance(args[0], (tuple, list, Sequence)) else args
    if _INTS.issuperset(map(type, items)):
        return tuple(items)
    if any(isinstance(item, (bool, np.bool_)) for item in items):
        raise ShapeError(f"expected integers, got {args}", user_loc())
    try:
        return tuple(map(operator.index, items))
    except TypeError:
        raise ShapeError(f"expected integers, got {args}", user_loc()) from None


def normalize_axis(name: str, axis: Any, rank: int) -> int:
    """`axis` counted from the front; ShapeError with the user's line if it is no integer or out of range."""
    try:
        return core.normalize_axis(name, integer(name, "an axis", axis), rank)
    except ShapeError as error:
        raise error if error.loc is not None else ShapeError(str(error), user_loc()) from None


def scalar_array(value: Any, dtype: DType) -> Array:
    """A number that stands beside a tensor of `dtype`: in that dtype where it can hold the number's kind, else as
    i64 or f32."""
    kind = "bool" if isinstance(value, (bool, np.bool_)) else "int" if isinstance(value, (int, np.integer)) else "float"
    if RANK[kind] > RANK[dtype.kind]:
        dtype = i64 if kind == "int" else f32
    return held_array(value, dtype)


def held_array(value: Any, dtype: DType) -> Array:
    """A number as an element of a tensor of `dtype`. A float becomes the nearest integer towards zero that an integer
    dtype holds, from all its digits; an integer that the dtype does not hold is a ShapeError."""
    if dtype.kind in ("int", "uint") and isinstance(value, (int, np.integer)):
        low, high = dtype.limits
        if not low <= int(value) <= high:
            raise ShapeError(f"{value} does not fit dtype {dtype}", user_loc())
    try:
        return core.rounded(float(value) if dtype.is_float else value, dtype)
    except OverflowError:
        raise ShapeError(f"a number of {len(str(abs(value)))} digits does not fit dtype {dtype}", user_loc()) from None


def operand_array(value: Any) -> Array:
    """A numpy array, or (nested) numbers as a tensor would be made of them, in the machine's byte order."""
    array = np.asarray(value)
    if not isinstance(value, np.ndarray):
        array = array.astype({"f": f32.numpy, "i": i64.numpy}.get(array.dtype.kind, array.dtype))
    try:
        return array.astype(dtype_of(array.dtype).numpy, copy=False)
    except ShapeError as error:
        raise ShapeError(str(error), user_loc()) from None
