"""What users hand to tokenizers, checked: texts, corpora, and tokens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

from tinytorch.frontend import arguments
from tinytorch.ir.loc import user_loc


def wrong_kind(what: str, name: str, wanted: str, value: Any) -> arguments.ArgumentTypeError:
    """The error that shows no more than the type of `value`, which may be long."""
    message = f"{what}: {name} is {wanted}, got an object of type {type(value).__name__}"
    return arguments.ArgumentTypeError(message, user_loc())


def is_text(what: str, name: str, value: Any, hint: str = "") -> str:
    """`value`, if it is a string."""
    if not isinstance(value, str):
        raise wrong_kind(what, name, f"a string{hint}", value)
    return value


def is_bytes(what: str, data: Any) -> bytes:
    """`data` as bytes, if it is that."""
    if not isinstance(data, (bytes, bytearray)):
        raise wrong_kind(what, "data", "bytes", data)
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
        raise wrong_kind(what, "corpus", "a string or several", corpus)
    for number, text in enumerate(cast("Iterable[Any]", corpus)):
        yield is_text(what, f"text {number} of the corpus", text)


def ids_of(what: str, tokens: Any, size: int) -> list[int]:
    """Tokens as a list of integers below `size`: of a list, another iterable, or an array or tensor of rank 1."""
    given: Any = tokens.tolist() if hasattr(tokens, "tolist") else tokens  # an integer, if its rank is 0
    if isinstance(given, (str, bytes, bytearray)) or not isinstance(given, Iterable):
        raise wrong_kind(what, "tokens", "a list of integers", tokens)
    ids = list(cast("Iterable[Any]", given))
    if set(map(type, ids)) - {int}:
        ids = [arguments.integer(what, f"token {place}", token) for place, token in enumerate(ids)]
    if ids and not (min(ids) >= 0 and max(ids) < size):
        place = next(place for place, token in enumerate(ids) if not 0 <= token < size)
        known = f"ids go from 0 to {size - 1}" if size else "the vocabulary is empty"
        message = f"{what}: token {place} of {len(ids)} is {ids[place]}, but {known}"
        raise arguments.ArgumentValueError(message, user_loc())
    return ids
