# pyright: reportPrivateUsage=false
"""What an op of several results gives in eager mode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinytorch.frontend.tensor.storage import storage_of, version_of
from tinytorch.frontend.tensor.tape import TapeInput, TapeNode, data_as_met
from tinytorch.ir.arrays.nans import refuse_new_nans
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array, Attrs, Op


def apart(arrays: Sequence[Array], others: Sequence[Array]) -> list[Array]:
    """`arrays`, with copies for those that share memory with one before them or one of `others`."""
    found: list[Array] = []
    for array in arrays:
        shared = any(np.may_share_memory(array, x) for x in (*others, *found))
        found.append(array.copy() if shared else array)
    return found


def row_major(array: Array) -> Array:
    """A result in the layout in which it may be viewed: it shares its memory from the start, so that, unlike that of an
    op of one result, it cannot be laid out anew for the first view."""
    return np.asarray(array, order="C")


@dataclass(eq=False, slots=True)
class Results(Sequence[Any]):
    """The memory of an op's several results: a tensor without a history for each, or None for one that has not been
    computed yet. Results that the user has are other tensors in the same memory."""

    op: Op
    operands: tuple[TapeInput, ...]
    attrs: Attrs
    made: list[Any]
    wrap: Callable[[Array], Any]  # makes a tensor

    def __len__(self) -> int:
        return len(self.made)

    def __getitem__(self, index: Any) -> Any:
        if self.made[index] is None:
            self.made[index] = self.wrap(row_major(self._computed(index)))
        return self.made[index]

    def _computed(self, index: int) -> Array:
        """One result by its function, and those before it, where they are not there any more."""
        assert isinstance(self.op.fast, tuple)
        arrays = [data_as_met(x, self.op) for x in self.operands]
        found: list[Array] = []
        with np.errstate(all="ignore"):
            for known, function in zip(self.made[: index + 1], self.op.fast, strict=False):
                if known is None or version_of(known):
                    found.append(np.asarray(function(*arrays, *found, **self.attrs)))
                else:
                    found.append(known._data)
        return found[index]


class Several(Sequence[Any]):
    """The results of one application as tensors, each computed when it is first asked for. TinyTorchError where it has
    the first NaN, with `check_nans`."""

    def __init__(self, results: Results, node: TapeNode | None, check_nans: bool) -> None:
        self._results = results
        self._node = node
        self._check_nans = check_nans
        self._tensors: list[Any] = [None] * len(results)

    def __len__(self) -> int:
        return len(self._tensors)

    def __getitem__(self, index: Any) -> Any:
        index = range(len(self))[index]
        known = self._tensors[index]
        if known is None:
            known = self._tensors[index] = self._result(index)
        return known

    def _result(self, index: int) -> Any:
        results, made = self._results, self._results[index]
        if self._check_nans:
            known: list[Array | None] = [None] * len(results)
            known[index] = made._data
            operands = [x.tensor._data for x in results.operands]
            refuse_new_nans(results.op, operands, results.attrs, known, user_loc())
        storage = storage_of(made)
        out = results.wrap(made._data)
        out._storage = storage
        if self._node is not None and out.dtype.is_float:
            out._node, out._requires_grad = self._node.result(index), True
        return out
