"""The tokenizer of characters."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from typing import Any, Self, cast

from tinytorch.frontend import arguments
from tinytorch.frontend.tokenization import files
from tinytorch.frontend.tokenization.files import FormatError
from tinytorch.frontend.tokenization.inputs import ids_of, is_text, texts_of, wrong_kind
from tinytorch.ir.loc import user_loc

__all__ = ["CharTokenizer"]


class CharTokenizer:
    """One token for each character (Unicode code point) of a vocabulary.

    `vocabulary` holds single characters in the order of their ids, each once. `train` takes it from a corpus.
    """

    def __init__(self, vocabulary: Iterable[str] = ()) -> None:
        self._characters = _entries(vocabulary)
        try:
            self._ids = _numbered(self._characters)
        except FormatError as error:
            hint = "CharTokenizer().train(corpus) takes the vocabulary from a text"
            raise arguments.ArgumentValueError(f"CharTokenizer: {error}; {hint}", user_loc()) from None

    def train(self, corpus: str | Iterable[str]) -> Self:
        """Make the vocabulary that of a text, or of several: its characters in the order of their code points."""
        found: set[str] = set()
        for text in texts_of("CharTokenizer.train", corpus):
            found.update(text)
        if not found:
            raise arguments.ArgumentValueError("CharTokenizer.train: the corpus is empty", user_loc())
        self._characters = sorted(found)
        self._ids = _numbered(self._characters)
        return self

    @property
    def vocab_size(self) -> int:
        return len(self._characters)

    @property
    def vocabulary(self) -> list[str]:
        """The characters, by id."""
        return list(self._characters)

    def encode(self, text: str) -> list[int]:
        """The ids of the characters of a text; an error names the first that is not in the vocabulary."""
        is_text("CharTokenizer.encode", "text", text)
        try:
            return list(map(self._ids.__getitem__, text))
        except KeyError:
            place = next(place for place, character in enumerate(text) if character not in self._ids)
        message = (
            f"CharTokenizer.encode: character {place} of the text is {text[place]!r}, which is not among the "
            f"{self.vocab_size} of the vocabulary"
        )
        raise arguments.ArgumentValueError(message, user_loc())

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of ids; an error names the first that is out of range."""
        ids = ids_of("CharTokenizer.decode", tokens, self.vocab_size)
        return "".join(map(self._characters.__getitem__, ids))

    def save(self, path: str | PathLike[str]) -> None:
        """Write the vocabulary to a file of JSON, which appears whole or not at all."""
        files.write_json(path, {"type": "CharTokenizer", "version": "1.0", "vocabulary": self._characters})

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """The tokenizer that `save` wrote; TinyTorchError if the file is missing, damaged or something else."""
        return cls(files.read(path, "file of a CharTokenizer", _vocabulary_in))

    def __repr__(self) -> str:
        return f"CharTokenizer({self.vocab_size} characters)"


def _entries(vocabulary: Any) -> list[Any]:
    if isinstance(vocabulary, (bytes, bytearray)) or not isinstance(vocabulary, Iterable):
        raise wrong_kind("CharTokenizer", "vocabulary", "a string or a list of characters", vocabulary)
    return list(cast("Iterable[Any]", vocabulary))


def _numbered(characters: list[Any]) -> dict[str, int]:
    """Character -> id; FormatError unless these are single characters, each there once."""
    ids: dict[str, int] = {}
    for number, character in enumerate(characters):
        if not isinstance(character, str) or len(character) != 1:
            raise FormatError(f"vocabulary[{number}] is {character!r}, not a single character")
        if ids.setdefault(character, number) != number:
            raise FormatError(f"vocabulary[{number}] is {character!r}, as vocabulary[{ids[character]}] is already")
    return ids


def _vocabulary_in(text: str) -> list[str]:
    """The vocabulary in the text of a file; FormatError unless it is one."""
    table = files.parse_json(text)
    for name, expected in (("type", "CharTokenizer"), ("version", "1.0")):
        files.field(table, name, str)
        files.only(table, name, expected)
    characters: list[Any] = files.field(table, "vocabulary", list)
    _numbered(characters)
    return characters
