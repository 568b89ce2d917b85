"""Index items that are arrays or bools, written as integer arrays, one for each axis that they index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from tinytorch.ir.errors import RangeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array
from tinytorch.ir.types import bool_

SEQUENCES = (list, tuple, range)  # that are index arrays where they stand for one item
Values = Callable[[Any], Array]  # of a mask, or a TraceError where they are not known


def index_arrays(x: Any, items: Sequence[Any], values: Values) -> tuple[Any, tuple[Any, ...]]:
    """`x` and `items` such that `x[items]` is the same without bools, as numpy has it.

    A mask of rank n stands for the positions where it is true, an array for each of n axes, whose sizes it must have.
    `True` and `False`, and masks of rank 0, are a new axis of which they take the one element, or none. A list, a tuple
    or a range is an array; an empty one holds integers.
    """
    items = [_item(item) for item in items]
    rest = x.ndim - sum(map(_axes, items))
    found: list[Any] = []
    axis = 0
    for place, item in enumerate(items):
        if not _is_mask(item):
            found.append(item)
            axis += max(rest, 0) if item is Ellipsis else _axes(item)
        elif item.ndim:
            if item.shape != x.shape[axis : axis + item.ndim]:
                at = f"item {place} of the index" if len(items) > 1 else "the index"
                _refuse(f"{at} is a mask of shape {list(item.shape)}, which does not fit {x.type} from axis {axis} on")
            found += np.nonzero(_known(item, values))
            axis += item.ndim
        else:
            x = x.unsqueeze(axis)
            found.append(np.zeros(int(_known(item, values)), np.int64))
            axis += 1
    return x, tuple(found)


def _item(item: Any) -> Any:
    """Lists, tuples, ranges and bools as arrays, of which no other dtype than integers and bools is an index."""
    if not isinstance(item, (*SEQUENCES, np.ndarray, bool, np.bool_)):
        return item
    array = np.asarray(item, np.int64 if isinstance(item, SEQUENCES) and not np.size(item) else None)
    if array.dtype.kind not in "iub":
        _refuse(f"an index needs an integer or bool dtype, got an array of {array.dtype}")
    return array


def _is_mask(item: Any) -> bool:
    if isinstance(item, np.ndarray):
        return item.dtype == np.bool_
    return hasattr(type(item), "apply_op") and item.dtype == bool_


def _known(mask: Any, values: Values) -> Array:
    return mask if isinstance(mask, np.ndarray) else values(mask)


def _axes(item: Any) -> int:
    """How many axes of the indexed tensor an item stands for; `...` has the rest."""
    return item.ndim if _is_mask(item) else int(item is not None and item is not Ellipsis)


def _refuse(what: str) -> NoReturn:
    raise RangeError(what, user_loc())
