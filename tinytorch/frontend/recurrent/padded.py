"""Sequences of different lengths as one tensor, padded at their ends, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from tinytorch.frontend import arguments
from tinytorch.frontend.functions.basic import stack
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.loc import user_loc


def pad_sequence(
    sequences: Tensor | Sequence[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Sequences [steps_i, …] as one tensor [longest, batch, …] ([batch, longest, …] with `batch_first`), filled with
    `padding_value` behind ("right") or before ("left") each. ShapeError where the other axes differ."""
    what = "pad_sequence"
    arguments.flag(what, "batch_first", batch_first)
    arguments.choice(what, "padding_side", padding_side, "left", "right")
    given: list[Any] = list(sequences)
    if not given:
        raise TinyTorchError(f"{what}: there are no sequences", user_loc())
    for sequence in given:
        arguments.instance(what, "a sequence", sequence, Tensor)
        if not sequence.ndim or sequence.shape[1:] != given[0].shape[1:]:
            raise ShapeError(
                f"{what}: axes behind the first are alike, got {given[0].type}, {sequence.type}", user_loc()
            )
    longest = max(sequence.shape[0] for sequence in given)
    padded: list[Tensor] = []
    for sequence in given:
        missing = longest - sequence.shape[0]
        amounts = (missing, 0) if padding_side == "left" else (0, missing)
        others = [(0, 0)] * (sequence.ndim - 1)
        padded.append(sequence.pad([amounts, *others], padding_value) if missing else sequence)
    return stack(padded, 0 if batch_first else 1)


def unpad_sequence(padded_sequences: Tensor, lengths: Any, batch_first: bool = False) -> list[Tensor]:
    """The sequences [lengths[i], …] of a tensor [longest, batch, …] ([batch, longest, …] with `batch_first`)."""
    what = "unpad_sequence"
    arguments.instance(what, "padded_sequences", padded_sequences, Tensor)
    if padded_sequences.ndim < 2:
        raise ShapeError(f"{what}: needs [steps, batch, …], got {padded_sequences.type}", user_loc())
    batches = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    counts = cast("list[Any]", lengths.tolist() if isinstance(lengths, Tensor) else list(lengths))
    if len(counts) != batches.shape[0]:
        raise ShapeError(f"{what}: {batches.shape[0]} sequences, and {len(counts)} lengths", user_loc())
    return [batches[i, : arguments.integer(what, "lengths", count, 0)] for i, count in enumerate(counts)]
