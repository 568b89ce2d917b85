"""Sequences of different lengths. Recurrent layers take them packed, or padded with `lengths=` how long each is."""

from tinytorch.frontend.recurrent.packed import (
    PackedSequence,
    invert_permutation,
    pack_padded_sequence,
    pack_sequence,
    pad_packed_sequence,
    unpack_sequence,
)
from tinytorch.frontend.recurrent.padded import pad_sequence, unpad_sequence

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]
