"""Indexing as PyTorch has it, in views and gathers, and its assignments, in updates of parts."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinytorch.ir import ops
from tinytorch.ir.errors import RangeError, ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import apply
from tinytorch.ir.operators.masks import SEQUENCES
from tinytorch.ir.operators.positions import RuntimeSlice, checked, is_number, position, window, with_positions
from tinytorch.ir.types import Shape, bool_

Window = slice | RuntimeSlice

_SLICES = {slice}
_INDEX_DTYPES = ("int64", "int32", "int8", "uint8")


def basic_index(x: Any, index: tuple[Any, ...]) -> Any:
    """`x[index]` for integers, slices, `...` and None, also where integers are known when the graph runs."""
    index = with_positions(x, _without_ellipsis(x, index))
    if _SLICES.issuperset(map(type, index)):
        return _windowed(x, index)
    asked = [item for item in index if item is not None]  # of each axis
    out = _windowed(x, [_one(x, item, axis) for axis, item in enumerate(asked)])
    kept = iter([d for d, item in zip(out.shape, asked, strict=True) if _keeps_axis(item)])
    return out.reshape(tuple(1 if i is None else next(kept) for i in index if _keeps_axis(i)))


def array_index(x: Any, index: tuple[Any, ...]) -> Any:
    """`x[index]` where some items are integer operands: they broadcast against each other, and their axes replace the
    indexed ones; they come first where a slice or None stands between two of them."""
    index = tuple(_index_operand(x, i) if is_number(i) else i for i in _without_ellipsis(x, index))
    advanced = [n for n, i in enumerate(index) if i is not None and not isinstance(i, slice)]
    if len(advanced) > 1 and not any(getattr(index[n], "ndim", 0) for n in advanced):
        items = [_index_operand(x, i) if isinstance(i, np.ndarray) else i for i in index]
        return apply(ops.core.copy, basic_index(x, with_positions(x, items, operands=True)))
    x = basic_index(x, tuple(slice(None) if n in advanced else i for n, i in enumerate(index)))
    indices = [_index_operand(x, index[n]) for n in advanced]
    front = _front(index, advanced)
    others = [n for n in range(x.ndim) if n not in advanced]
    return _gathered(x.permute([*others[:front], *advanced, *others[front:]]), indices, front)


def _front(index: Sequence[Any], advanced: Sequence[int]) -> int:
    """How many of the items that leave an axis stand before the axes of the arrays, which are among the `advanced`.

    Integers, also in operands without axes, count for nothing, as in PyTorch. In numpy they are arrays: there
    `x[0, :, [0, 1]]` has the axis of the list in front.
    """
    arrays = [n for n in advanced if getattr(index[n], "ndim", 0)] or list(advanced)
    apart = any(n not in advanced for n in range(arrays[0], arrays[-1]))
    return 0 if apart else arrays[0] - sum(n < arrays[0] for n in advanced)


def _index_operand(x: Any, item: Any) -> Any:
    """An index array as an operand; one of a dtype that no tensor has is copied."""
    if hasattr(type(item), "apply_op"):
        return item
    if is_number(item):
        return item.as_position()
    array = np.asarray(item)
    return x.array_operand(array if array.dtype.name in _INDEX_DTYPES else array.astype(np.int64))


def _without_ellipsis(x: Any, index: tuple[Any, ...]) -> tuple[Any, ...]:
    """The index with `...`, or what is left out at the end, written as full slices."""
    dots = [n for n, item in enumerate(index) if item is Ellipsis]
    rest = len(x.shape) - len([item for item in index if item is not None and item is not Ellipsis])
    if len(dots) > 1:
        raise RangeError(f"too many indices for {x.type}: an index has one ... at most, got {index}", user_loc())
    if rest < 0:
        raise RangeError(f"too many indices for {x.type}: {index}", user_loc())
    at = dots[0] if dots else len(index)
    return (*index[:at], *[slice(None)] * rest, *index[at + 1 :])


def narrow(x: Any, axis: int, start: Any, length: int) -> Any:
    """`length` elements along an axis from `start` on: a number, or an operand of one integer."""
    size, at = x.shape[axis], position(start)
    if at is None:
        if getattr(start, "shape", ()) != ():
            raise ShapeError(f"narrow: start is one integer, got {start.type}", user_loc())
        begin = operator.index(start)
        begin += size if begin < 0 else 0
        fits, item = 0 <= begin <= begin + length <= size, slice(begin, begin + length)
    else:
        fits, item = 0 <= length <= size, window(at, length, size) if length else slice(0, 0)
    if not fits:
        raise RangeError(f"narrow: {length} elements from {start} on do not fit axis {axis} of {x.type}", user_loc())
    return _windowed(x, [item if a == axis else slice(None) for a in range(x.ndim)])


def _keeps_axis(item: Any) -> bool:
    return item is None or isinstance(item, slice) or (isinstance(item, RuntimeSlice) and not item.single)


def _one(x: Any, item: Any, axis: int) -> Window:
    """A window for an item: integers are windows of one element."""
    if isinstance(item, (slice, RuntimeSlice)):
        return item
    at, size = operator.index(item), x.shape[axis]
    if not -size <= at < size:
        raise RangeError(f"index {at} is out of range for axis {axis} of {x.type}", user_loc())
    return slice(at % size, at % size + 1)


def _windowed(x: Any, windows: Sequence[Window]) -> Any:
    """A slice of every axis; a negative step is a slice and a flip."""
    ranges, flips = _forward(_ranges(x, windows))
    moved = _moved(windows)
    region = [(r.start, r[-1] + 1, r.step) if r else (0, 0, r.step) for r in ranges]
    if moved or region != [(0, d, 1) for d in x.shape]:
        starts, limits, steps = zip(*region, strict=True)
        attrs = {"starts": starts, "limits": limits, "steps": steps}
        if moved:
            x = apply(ops.index.dynamic_slice, x, *moved.values(), **attrs, axes=tuple(moved))
        else:
            x = apply(ops.view.slice_, x, **attrs)
    return apply(ops.view.flip, x, axes=flips) if flips else x


def _ranges(x: Any, windows: Sequence[Window]) -> list[range]:
    """The indices along each axis; of those that a position moves, counted from it."""
    return [
        w.range if isinstance(w, RuntimeSlice) else range(*w.indices(d)) for w, d in zip(windows, x.shape, strict=True)
    ]


def _moved(windows: Sequence[Window]) -> dict[int, Any]:
    """The positions that move windows, by their axes."""
    return {axis: w.start for axis, w in enumerate(windows) if isinstance(w, RuntimeSlice)}


def _forward(ranges: Sequence[range]) -> tuple[list[range], tuple[int, ...]]:
    """The ranges, those with a negative step the other way round; and which these are."""
    flips = tuple([axis for axis, r in enumerate(ranges) if r.step < 0])
    return [r[::-1] if r.step < 0 else r for r in ranges] if flips else list(ranges), flips


def _gathered(x: Any, indices: Sequence[Any], axis: int) -> Any:
    """Elements at `indices`, one for each of the axes from `axis` on."""
    return apply(ops.index.gather, _merged(x, axis, len(indices)), _flat(x, indices, axis), axis=axis)


def _merged(x: Any, axis: int, count: int) -> Any:
    """`count` axes from `axis` on made one."""
    return x.reshape((*x.shape[:axis], math.prod(x.shape[axis : axis + count]), *x.shape[axis + count :]))


def _flat(x: Any, indices: Sequence[Any], axis: int) -> Any:
    """Indices of the axes from `axis` on as indices of the one that they are merged to."""
    sizes = x.shape[axis : axis + len(indices)]
    flat = checked(indices[0], sizes[0])
    for index, size in zip(indices[1:], sizes[1:], strict=True):
        flat = flat * size + checked(index, size)
    return flat


# Assignment.
def assign(x: Any, index: Any, value: Any, adds: bool = False) -> Any:
    """What `x[index] = value` leaves in x, as a new value: `x` itself stays as it is. If `adds`, the value is added to
    what was there, once for each time that an index names it.

    `index`: an item or a tuple of items, each an integer, a slice, `...`, None, or an index array (an operand, a numpy
    array, a list, a tuple or a range) of integers or bools. Of repeated indices the last one counts. `value`: an
    operand or a number; it is cast to x's dtype and broadcast to the region; ShapeError if it does not fit.
    Differentiable in x and value.

    A mask of bools may stand alone or among full slices, since how many elements it selects is not known: IndexError
    where it stands among other items, or where `value` has an axis for them that is not of size 1.
    """
    items = [_item(x, item) for item in (index if isinstance(index, tuple) else (index,))]
    value = x._like(value).cast(x.dtype)
    if any(_is_mask(item) for item in items):
        return _assign_masked(x, items, value, adds)
    items = _without_ellipsis(x, tuple(items))
    arrays = any(_is_operand(item) and item.ndim for item in items)
    if arrays:
        items = tuple(_index_operand(x, item) if is_number(item) else item for item in items)
    items = with_positions(x, items, operands=not arrays)
    return (_assign_at if arrays else _assign_window)(x, items, value, adds)


def _item(x: Any, item: Any) -> Any:
    """Arrays of any kind as operands."""
    if isinstance(item, (*SEQUENCES, np.ndarray, bool, np.bool_)):
        array = np.asarray(item)
        empty = array.size == 0 and isinstance(item, SEQUENCES)
        return (
            x.constant(array) if array.dtype == np.bool_ else _index_operand(x, array.astype(int) if empty else array)
        )
    if item is None or item is Ellipsis or isinstance(item, slice) or _is_operand(item) or is_number(item):
        same: Any = item
        return same
    return operator.index(item)


def _is_operand(item: Any) -> bool:
    return hasattr(type(item), "apply_op")


def _is_mask(item: Any) -> bool:
    return _is_operand(item) and item.dtype == bool_


def _fitted(value: Any, shape: Shape) -> Any:
    """`value` broadcast to `shape`; axes of size 1 in front that this does not have are dropped, as numpy does."""
    extra = max(0, value.ndim - len(shape))
    own = value.shape[extra:]
    fits = all(d == 1 for d in value.shape[:extra])
    if not fits or any(d not in (1, n) for d, n in zip(own, shape[len(shape) - len(own) :], strict=True)):
        raise ShapeError(
            f"assignment: a value of shape {list(value.shape)} does not broadcast to {list(shape)}, "
            "the shape of what the index names",
            user_loc(),
        )
    return (value.reshape(own) if extra else value).broadcast_to(shape)


def _put(x: Any, windows: Sequence[Window], update: Any) -> Any:
    """`x` with `update` in the windows of its axes."""
    ranges, moved = _ranges(x, windows), _moved(windows)
    ranges, flips = _forward(ranges)
    if flips:
        update = apply(ops.view.flip, update, axes=flips)
    starts = tuple(r.start if len(r) else 0 for r in ranges)
    attrs: dict[str, Any] = {"starts": starts, "steps": tuple(r.step for r in ranges)}
    if moved:
        attrs["axes"] = tuple(moved)
    return apply(ops.index.update_slice, x, update, *moved.values(), **attrs)


def _assign_window(x: Any, items: Sequence[Any], value: Any, adds: bool) -> Any:
    """By integers, slices and None."""
    asked = [item for item in items if item is not None]
    windows = [_one(x, item, axis) for axis, item in enumerate(asked)]
    shape = tuple(map(len, _ranges(x, windows)))
    sizes = iter(shape)
    region = [(item, 1 if item is None else next(sizes)) for item in items]
    named = tuple(size for item, size in region if _keeps_axis(item))
    update = _fitted(value, named).reshape(shape)
    return _put(x, windows, _windowed(x, windows) + update if adds else update)


def _assign_at(x: Any, items: Sequence[Any], value: Any, adds: bool) -> Any:
    """By index arrays, which integers join: into the window that the slices leave, their axes merged."""
    at = [n for n, item in enumerate(items) if not _keeps_axis(item)]
    windows = [item if _keeps_axis(item) else slice(None) for item in items if item is not None]
    ranges, part = _ranges(x, windows), _windowed(x, windows)
    front = _front(items, at)
    lead = [n for n in range(len(items)) if n not in at][:front]
    rest = [n for n in range(len(items)) if n not in at][front:]
    axes = {n: i for i, n in enumerate(n for n, item in enumerate(items) if item is not None)}
    order = tuple(axes[n] for n in (*lead, *at, *rest) if n in axes)
    moved, axis = part.permute(order), sum(n in axes for n in lead)
    indices = [_index_operand(x, items[n]) for n in at]
    flat = _flat(moved, indices, axis)

    def sizes(numbers: Sequence[int]) -> Shape:
        return tuple(len(ranges[axes[n]]) if n in axes else 1 for n in numbers)

    updates = _fitted(value, (*sizes(lead), *flat.shape, *sizes(rest)))
    updates = updates.reshape((*moved.shape[:axis], *flat.shape, *moved.shape[axis + len(at) :]))
    op = ops.index.scatter_add if adds else ops.index.scatter
    new = apply(op, _merged(moved, axis, len(at)), flat, updates, axis=axis)
    new = new.reshape(moved.shape).permute(ops.view.inverse(order))
    whole = new.shape == x.shape and all(r.step == 1 for r in ranges)
    return new if whole and not _moved(windows) else _put(x, windows, new)


def _assign_masked(x: Any, items: Sequence[Any], value: Any, adds: bool) -> Any:
    """By one mask; its axes stand for one in the region, along which `value` is the same."""
    place = next(n for n, item in enumerate(items) if _is_mask(item))
    mask, others = items[place], [*items[:place], *items[place + 1 :]]
    front = _axes_before(x, mask, others, place)
    behind = front + mask.ndim
    if mask.shape != x.shape[front:behind]:
        raise RangeError(f"a mask of {mask.type} does not fit axes {front} to {behind - 1} of {x.type}", user_loc())
    rank = front + 1 + x.ndim - behind
    value = _fitted(value, value.shape[max(0, value.ndim - rank) :])
    padded = (1,) * (rank - value.ndim) + value.shape
    if padded[front] != 1:
        raise RangeError(
            f"assignment: a value of shape {list(value.shape)} depends on how many elements the mask selects, which "
            "is not known; it needs size 1 there (tt.where chooses between tensors of one shape)",
            user_loc(),
        )
    value = value.reshape((*padded[:front], *(1,) * mask.ndim, *padded[front + 1 :]))
    chosen = mask.reshape((*(1,) * front, *mask.shape, *(1,) * (x.ndim - behind))).broadcast_to(x.shape)
    new = _fitted(value, x.shape)
    return apply(ops.core.where, chosen, x + new if adds else new, x)


def _axes_before(x: Any, mask: Any, others: Sequence[Any], place: int) -> int:
    """How many axes stand before those of the mask, which stands before `others[place]`."""
    dots = [n for n, item in enumerate(others) if item is Ellipsis]
    rest = x.ndim - mask.ndim - (len(others) - len(dots))  # axes that `...` stands for, or that are left out
    alone = all(item is Ellipsis or isinstance(item, slice) for item in others)
    if alone and (rest < 0 or len(dots) > 1):
        raise RangeError(f"too many indices for {x.type}: a mask of {mask.type} and {len(others)} more", user_loc())
    axis = front = 0
    for n, item in enumerate(others if alone else ()):
        axis += mask.ndim if n == place else 0
        if item is Ellipsis:
            axis += rest
        else:
            alone = alone and range(*item.indices(x.shape[axis])) == range(x.shape[axis])
            axis += 1
        front = axis if n < place else front
    if not alone:
        raise RangeError(
            "assignment: a boolean mask may stand alone or with full slices, but not with other items", user_loc()
        )
    return front
