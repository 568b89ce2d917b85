"""How byte-level tokens are spelled in files: each byte as a character that can be printed (GPT-2's table, Radford et
al. 2019). A byte that is a printable character of Latin-1 stands for itself, the others are U+0100, U+0101 and so on,
so that a space is Ġ and a new line Ċ."""

from __future__ import annotations

_PRINTABLE = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]

ORDER = [*_PRINTABLE, *(byte for byte in range(256) if byte not in _PRINTABLE)]  # of bytes, by their characters
_CHARACTERS = dict(zip(ORDER, [chr(c) for c in (*_PRINTABLE, *range(0x100, 0x200))], strict=False))
_BYTES = {character: byte for byte, character in _CHARACTERS.items()}


def to_name(token: bytes) -> str:
    return "".join(map(_CHARACTERS.__getitem__, token))


def from_name(name: str) -> bytes | None:
    """The bytes that a name spells; None if one of its characters stands for no byte."""
    try:
        return bytes(map(_BYTES.__getitem__, name))
    except KeyError:
        return None
