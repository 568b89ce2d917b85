"""Sequences of different lengths. Recurrent layers take them padded, with `lengths=` how long each is."""

from tinytorch.frontend.recurrent.padded import pad_sequence, unpad_sequence

__all__ = ["pad_sequence", "unpad_sequence"]
