"""Pre-tokenisation: the cutting of a text into pieces, such as words with the space before them, within which tokens
stay.

The pieces are GPT-2's (Radford et al. 2019), those of the expression, in which \\p{L} is a letter and \\p{N} a number,

    's|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+

Python's `re` knows no \\p. So the expression runs over the classes of the characters, written as ASCII: a text in ASCII
is that already, and for any other `class_table` tells them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from tinytorch.frontend.tokenization.unicode_classes import class_table

_PIECE = re.compile(rb"'(?:[stmd]|re|ve|ll)| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+")
_CUT = re.compile(rb"[!-~]\s")  # no piece holds a space behind a character that is none
_BLOCK = 1 << 20


def pieces(text: bytes) -> Iterator[list[bytes]]:
    """The pieces of a text in UTF-8, some at a time; joined they are the text. A byte that is no UTF-8 counts as a
    character that is neither letter, number nor space."""
    start = 0
    while start < len(text):
        cut = _CUT.search(text, start + _BLOCK)
        end = cut.start() + 1 if cut else len(text)
        yield _pieces_of_block(text[start:end])
        start = end


def _pieces_of_block(text: bytes) -> list[bytes]:
    if text.isascii():
        return _PIECE.findall(text)
    characters = text.decode("utf-8", "surrogateescape")
    codes = np.frombuffer(characters.encode("utf-32-le", "surrogatepass"), "<u4")
    lengths = [len(piece) for piece in _PIECE.findall(class_table()[codes].tobytes())]
    ends = np.cumsum(_sizes(codes))[np.cumsum(lengths) - 1]  # in bytes
    return [text[start:end] for start, end in pairwise([0, *ends.tolist()])]


def _sizes(codes: np.ndarray[tuple[int], np.dtype[np.uint32]]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """How many bytes of UTF-8 each character has; a byte that is no UTF-8 was decoded to one of U+DC80 to U+DCFF."""
    sizes = 1 + (codes >= 0x80).astype(np.int64) + (codes >= 0x800) + (codes >= 0x10000)
    sizes[(codes >= 0xDC80) & (codes <= 0xDCFF)] = 1
    return sizes
