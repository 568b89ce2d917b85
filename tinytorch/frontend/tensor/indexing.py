"""Tensors indexed as in numpy and PyTorch, to be read and to be written."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from typing import Any, Self

import numpy as np

from tinytorch.frontend.tensor.conversions import Conversions
from tinytorch.frontend.tensor.mode import mode
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array, apply
from tinytorch.ir.operators.indexing import array_index, assign, basic_index
from tinytorch.ir.operators.masks import SEQUENCES, index_arrays
from tinytorch.ir.operators.promotion import broadcast_shapes, normalize_axis
from tinytorch.ir.ops.core import where
from tinytorch.ir.types import bool_

_PLAIN = {slice, int, type(None), type(...)}  # what indices mostly are
_ARRAYS = (Conversions, np.ndarray, *SEQUENCES, bool, np.bool_)


class Indexing(Conversions):
    """`x[…]` and `x[…] = …`."""

    __slots__ = ()

    def _again(self) -> Self:
        """Another tensor in the same memory."""
        raise TypeError(f"{type(self).__name__} has no views")

    def __getitem__(self, index: Any) -> Self:
        items = index if isinstance(index, tuple) else (index,)
        if _PLAIN.issuperset(map(type, items)) or not any(isinstance(i, _ARRAYS) for i in items):
            out = basic_index(self, items)
            return out if out is not self else self._again()
        return array_index(*index_arrays(self, items, _mask_values))

    def __setitem__(self, index: Any, value: Any) -> None:
        """Overwrite the elements that `index` names, as `copy_` does."""
        self._writable("item assignment")
        new = self._held(value)
        items = index if isinstance(index, tuple) else (index,)
        if mode.trace is None and not self._recorded(self, new) and not _numbers_beside_arrays(items):
            values = new.cast(self.dtype)._data
            try:
                self._data[_plain_index(index)] = values.reshape(()) if values.size == 1 else values
            except (ValueError, IndexError):
                pass  # nothing is written; below, the error says what does not fit, and where
            else:
                self.touch()
                return
        self._become(self._assigned(items, new))

    def _assigned(self, items: tuple[Any, ...], new: Any, adds: bool = False) -> Self:
        """What this is once `new` has been assigned to what the items of an index name, or added to that."""
        if any(map(_is_unknown_mask, items)):
            return assign(self, items, new, adds)
        base, parts = index_arrays(self, items, _mask_values)
        return assign(base, parts, new, adds).reshape(self.shape)

    def where(self, condition: Any, other: Any) -> Self:
        """This where the condition is true, else `other`, a tensor or a number; all three broadcast."""
        chosen = self._like(condition).cast(bool_)
        own, its = self._pair("where", other)
        shape = broadcast_shapes("where", chosen.shape, own.shape)
        return apply(where, chosen.broadcast_to(shape), own.broadcast_to(shape), its.broadcast_to(shape))

    def index_select(self, dim: int, index: Any) -> Self:
        """What the integers of the vector `index` name along `dim`, counted from the end where they are negative."""
        chosen = self._like(index)
        if chosen.ndim > 1 or chosen.dtype.kind not in ("int", "uint"):
            raise ShapeError(f"index_select: index is a vector of integers, got {chosen.type}", user_loc())
        x = self if self.ndim else self.reshape((1,))
        axis = normalize_axis("index_select", dim, x.ndim)
        out = x[(slice(None),) * axis + (chosen.reshape((chosen.numel(),)),)]
        return out if self.ndim else out.reshape(())


def _plain_index(index: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(_plain_index(i) for i in index)
    return index.numpy() if isinstance(index, Conversions) else index


def _numbers_beside_arrays(items: tuple[Any, ...]) -> bool:
    """Whether numpy may put the axes of index arrays elsewhere than PyTorch, since it takes integers for arrays."""
    ranks = [
        i.ndim if isinstance(i, Conversions) else np.ndim(i)
        for i in items
        if isinstance(i, (Conversions, np.ndarray, *SEQUENCES))
    ]
    plain = any(isinstance(i, (int, np.integer)) for i in items)
    return any(ranks) and (plain or not all(ranks)) and any(i is None or i is ... or type(i) is slice for i in items)


def _mask_values(mask: Conversions) -> Array:
    return mask._concrete("a boolean mask (its result has no static shape)")


def _is_unknown_mask(item: Any) -> bool:
    """Whether an index is a mask whose values are only known when the graph runs."""
    trace = mode.trace
    if trace is None or not isinstance(item, Conversions) or item.dtype != bool_:
        return False
    return item._expr is not None or trace.holds(item)
