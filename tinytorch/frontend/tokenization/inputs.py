"""What users hand to tokenizers, checked: texts, corpora, and tokens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

from tinytorch.frontend import arguments
from tinytorch.ir.loc import user_loc


def is_text(what: str, name: str, value: Any) -> str:
    """`value`, if it is a string; in an error, no more than its kind is shown of what is none."""
    if not isinstance(value, str):
        hint = "; encode_bytes takes bytes" if what == "BPETokenizer.encode" and isinstance(value, bytes) else ""
        message = f"{what}: {name} is a string, got an object of type {type(value).__name__}{hint}"
        raise arguments.ArgumentTypeError(message, user_loc())
    return value


def is_bytes(what: str, data: Any) -> bytes:
    """`data` as bytes; an error if it is something else."""
    if not isinstance(data, (bytes, bytearray)):
        message = f"{what}: data is bytes, got an object of type {type(data).__name__}"
        raise arguments.ArgumentTypeError(message, user_loc())
    return bytes(data)


def utf8(what: str, text: str) -> bytes:
    """A text in UTF-8; an error names the place of half a surrogate pair, which has none."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        message = f"{what}: character {error.start} of the text is {text[error.start]!r}, which is half of a character"
        raise arguments.ArgumentValueError(message, user_loc()) from None


def texts_of(what: str, corpus: Any) -> Iterator[str]:
    """The texts of a corpus, which is one string or several."""
    if isinstance(corpus, str):
        yield corpus
        return
    if isinstance(corpus, (bytes, bytearray)) or not isinstance(corpus, Iterable):
        raise arguments.wrong_type(what, "corpus", "a string or several", corpus)
    for number, text in enumerate(cast("Iterable[Any]", corpus)):
        yield is_text(what, f"text {number} of the corpus", text)


def ids_of(what: str, tokens: Any, size: int) -> list[int]:
    """Tokens as a list of integers below `size`: of a list, another iterable, or an array or tensor of rank 1."""
    given: Any = tokens.tolist() if hasattr(tokens, "tolist") else tokens  # an integer, if its rank is 0
    if isinstance(given, (str, bytes, bytearray)) or not isinstance(given, Iterable):
        raise arguments.wrong_type(what, "tokens", "a list of integers", tokens)
    ids = list(cast("Iterable[Any]", given))
    if set(map(type, ids)) - {int}:
        ids = [arguments.integer(what, f"token {place}", token) for place, token in enumerate(ids)]
    if ids and not (min(ids) >= 0 and max(ids) < size):
        place = next(place for place, token in enumerate(ids) if not 0 <= token < size)
        known = f"ids go from 0 to {size - 1}" if size else "the vocabulary is empty"
        message = f"{what}: token {place} of {len(ids)} is {ids[place]}, but {known}"
        raise arguments.ArgumentValueError(message, user_loc())
    return ids
