"""Packed sequences, under the names of torch.nn.utils.rnn.

A `PackedSequence` holds the padded batch and the lengths of its sequences; what PyTorch calls its `data` is taken from
these when it is asked for. So no shape depends on a length: under tt.compile, one graph serves all lengths that are
tensors. Only where steps are counted (`data`, `batch_sizes`, `unpack_sequence`, and `pad_packed_sequence` without
`total_length`), a trace needs to know lengths: they are then a list, which is static.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.functions.basic import cat
from tinytorch.frontend.functions.creation import arange, tensor
from tinytorch.frontend.functions.reductions.sorting import argsort
from tinytorch.frontend.recurrent.padded import pad_sequence, unpad_sequence
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.conversions import has_values
from tinytorch.ir import ops
from tinytorch.ir.errors import RangeError, ShapeError, TinyTorchError, TraceError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array, apply
from tinytorch.ir.types import i64


@dataclass(frozen=True, eq=False, init=False)
class PackedSequence:
    """Sequences of different lengths, as `pack_padded_sequence` gives them and recurrent layers take them.

    `data` [rows, …] has the first steps of all sequences, then the second steps of those that have one, and so on;
    `batch_sizes` i64 [steps] says how many these are. With `enforce_sorted=False` longer sequences come first:
    `sorted_indices` i64 [batch] says which of the batch they are, `unsorted_indices` is the inverse. The object unpacks
    to these four, as PyTorch's named tuple does. `padded` [steps, batch, …] and `lengths` i64 [batch] are the batch in
    its own order.
    """

    padded: Tensor
    lengths: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None

    def __init__(
        self,
        data: Tensor,
        batch_sizes: Any,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> None:
        """ShapeError unless `batch_sizes` are positive, never rise, and sum to the rows of `data`, and indices are
        permutations. Of the two, one is enough."""
        what = "PackedSequence"
        arguments.instance(what, "data", data, Tensor)
        sizes = _values(what, "batch_sizes", batch_sizes)
        fits = sizes.size and sizes[-1] > 0 and (np.diff(sizes) <= 0).all() and data.ndim
        if not fits or sizes.sum() != data.shape[0]:
            wanted = "batch_sizes are positive, never rise, and sum to the rows of data"
            raise ShapeError(f"{what}: {wanted}, got {sizes} for {data.type}", user_loc())
        columns = np.arange(sizes[0])
        for name, indices in (("sorted_indices", sorted_indices), ("unsorted_indices", unsorted_indices)):
            if indices is not None and not np.array_equal(np.sort(_values(what, name, indices)), columns):
                raise ShapeError(f"{what}: {name} are a permutation of {sizes[0]}, got {indices.tolist()}", user_loc())
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        elif sorted_indices is None:
            sorted_indices = invert_permutation(unsorted_indices)
        order = columns if unsorted_indices is None else _values(what, "unsorted_indices", unsorted_indices)
        inside = (columns < sizes[:, None])[:, order]
        rows = np.where(inside, (np.cumsum(sizes) - sizes)[:, None] + order, 0)
        _fill(self, data[tensor(rows)], tensor(inside.sum(0)), sorted_indices, unsorted_indices)

    @property
    def data(self) -> Tensor:
        order, inside = self._in_order()
        steps, columns = np.nonzero(inside)
        return self.padded[tensor(steps), tensor(order[columns])]

    @property
    def batch_sizes(self) -> Tensor:
        return tensor(self._in_order()[1].sum(1))

    def _in_order(self) -> tuple[Array, Array]:
        """The sequences in the order of `data`, and which of them have a step [longest, batch]."""
        lengths = _values("PackedSequence", "lengths", self.lengths)
        order = np.arange(len(lengths))
        if self.unsorted_indices is not None:
            order = np.argsort(_values("PackedSequence", "unsorted_indices", self.unsorted_indices))
        return order, np.arange(lengths.max())[:, None] < lengths[order]

    # As of a named tuple.
    def __iter__(self) -> Iterator[Any]:
        return iter((self.data, self.batch_sizes, self.sorted_indices, self.unsorted_indices))

    def __getitem__(self, index: int) -> Any:
        return tuple(self)[index]

    def _replace(self, **changes: Any) -> PackedSequence:
        names = ("data", "batch_sizes", "sorted_indices", "unsorted_indices")
        return PackedSequence(**(dict(zip(names, self, strict=True)) | changes))

    # As of a tensor.
    def with_padded(self, padded: Tensor) -> PackedSequence:
        """Sequences of the same lengths: others [steps, batch, …]."""
        made = object.__new__(PackedSequence)
        return _fill(made, padded, self.lengths, self.sorted_indices, self.unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """`data` in another dtype, see `Tensor.to`."""
        return self.with_padded(self.padded.to(*args, **kwargs))

    def cpu(self) -> PackedSequence:
        return self

    def float(self) -> PackedSequence:
        return self.with_padded(self.padded.float())

    def double(self) -> PackedSequence:
        return self.with_padded(self.padded.double())

    def half(self) -> PackedSequence:
        return self.with_padded(self.padded.half())


def _fill(made: PackedSequence, *values: Tensor | None) -> PackedSequence:
    for field, value in zip(fields(made), values, strict=True):
        object.__setattr__(made, field.name, value)
    return made


def _known(x: Tensor) -> Array | None:
    """Integers as an array i64; None for values of a trace."""
    return x.numpy().astype(np.int64) if has_values(x) else None


def _values(what: str, name: str, given: Any) -> Array:
    """Integers [n], a tensor or a list, as an array; TraceError for values of a trace."""
    x = given if isinstance(given, Tensor) else tensor(given)
    if x.ndim != 1 or x.dtype.kind not in ("int", "uint"):
        raise ShapeError(f"{what}: {name} are integers, one axis of them, got {x.type}", user_loc())
    values = _known(x)
    if values is None:
        raise TraceError(
            f"{what}: steps are counted, but {name} are values of the trace; give lengths as a list, which is static, "
            "or work with the padded tensor: pad_packed_sequence(…, total_length=…)",
            user_loc(),
        )
    return values


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The inverse of a permutation i64 [n]; None of None."""
    if permutation is None:
        return None
    known = _known(permutation)
    return argsort(permutation) if known is None else tensor(np.argsort(known))


# Packing.
def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """The sequences of `input` [steps, batch, …] ([batch, steps, …] with `batch_first`), of which sequence i has
    `lengths[i]` steps: integers between 1 and steps, a list or a tensor. They never rise unless `enforce_sorted` is
    False. ShapeError for shapes and dtypes that do not fit, RangeError for a length that is no step's."""
    what = "pack_padded_sequence"
    arguments.instance(what, "input", input, Tensor)
    arguments.flag(what, "batch_first", batch_first)
    arguments.flag(what, "enforce_sorted", enforce_sorted)
    if input.ndim < 2 or 0 in input.shape[:2]:
        wanted = "[batch, steps, …]" if batch_first else "[steps, batch, …]"
        raise ShapeError(
            f"{what}: input is {wanted} with one sequence and one step at least, got {input.type}", user_loc()
        )
    padded = (input.transpose(0, 1) if batch_first else input).clone()  # for changes of `input` in place
    steps, batch = padded.shape[:2]
    given = lengths if isinstance(lengths, Tensor) else tensor(lengths)
    if given.shape != (batch,) or given.dtype.kind not in ("int", "uint"):
        raise ShapeError(f"{what}: lengths are integers [{batch}], one a sequence, got {given.type}", user_loc())
    values = _known(given)
    if values is None:
        counts = _checked_when_run(given.cast(i64), steps, enforce_sorted)
        order = None if enforce_sorted else argsort(counts, descending=True)
    else:
        _check(values, steps, enforce_sorted)
        counts = tensor(values)
        order = None if enforce_sorted else tensor(np.argsort(-values, kind="stable"))
    return _fill(object.__new__(PackedSequence), padded, counts, order, invert_permutation(order))


def _check(lengths: Array, steps: int, falling: bool) -> None:
    what = "pack_padded_sequence"
    if lengths.min() < 1 or lengths.max() > steps:
        raise RangeError(f"{what}: lengths are between 1 and {steps}, got {lengths}", user_loc())
    if falling and (np.diff(lengths) > 0).any():
        raise TinyTorchError(f"{what}: lengths never rise, unless enforce_sorted=False; got {lengths}", user_loc())


def _checked_when_run(lengths: Tensor, steps: int, falling: bool) -> Tensor:
    """Lengths that are values of a trace; an IndexError when it runs with others."""
    what = "pack_padded_sequence: lengths are between 1 and the steps: one less,"
    lengths = apply(ops.elementwise.checked_index, lengths - 1, size=steps, wrap=False, what=what) + 1
    if not falling:
        return lengths
    what = "pack_padded_sequence: lengths never rise, unless enforce_sorted=False: a difference,"
    falls = lengths[:-1] - lengths[1:]
    falls = apply(ops.elementwise.checked_index, falls, size=steps, wrap=False, what=what)
    return cat([lengths[1:] + falls, lengths[-1:]])


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """The batch [longest, batch, …] ([batch, longest, …] with `batch_first`), with `padding_value` behind the end of
    each sequence, and the lengths i64 [batch]; `total_length` steps, which must reach the longest, if it is given."""
    what = "pad_packed_sequence"
    arguments.instance(what, "sequence", sequence, PackedSequence)
    arguments.flag(what, "batch_first", batch_first)
    arguments.number(what, "padding_value", padding_value, lambda _: True, "a number")
    x, lengths = sequence.padded, sequence.lengths
    if total_length is None:
        steps = int(_values(what, "lengths", lengths).max())
    else:
        steps = arguments.integer(what, "total_length", total_length, 1)
        known = _known(lengths)
        if known is None:
            words = f"{what}: total_length reaches the longest sequence: a length less one,"
            lengths = apply(ops.elementwise.checked_index, lengths - 1, size=steps, wrap=False, what=words) + 1
        elif steps < known.max():
            raise ShapeError(f"{what}: total_length is {steps}, a sequence has {known.max()} steps", user_loc())
    missing = steps - x.shape[0]
    x = x.pad([(0, missing), *[(0, 0)] * (x.ndim - 1)]) if missing > 0 else x[:steps]
    outside = arange(steps).unsqueeze(1) >= lengths
    fill = padding_value if x.dtype.is_float or not float(padding_value).is_integer() else int(padding_value)
    x = x.masked_fill(outside.reshape(*x.shape[:2], *[1] * (x.ndim - 2)), fill)
    return x.transpose(0, 1) if batch_first else x, lengths


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Sequences [steps_i, …], packed; they never grow longer unless `enforce_sorted` is False."""
    padded = pad_sequence(sequences)
    return pack_padded_sequence(padded, [len(sequence) for sequence in sequences], enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences [steps_i, …] of a batch."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
