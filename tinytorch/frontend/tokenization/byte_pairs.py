"""The tokenizer of byte pairs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import chain
from os import PathLike
from typing import Any, Literal, Self, cast

from tinytorch.frontend import arguments
from tinytorch.frontend.tokenization import files, formats
from tinytorch.frontend.tokenization.byte_names import from_name
from tinytorch.frontend.tokenization.files import FormatError
from tinytorch.frontend.tokenization.inputs import ids_of, is_bytes, is_text, texts_of, utf8
from tinytorch.frontend.tokenization.learning import learn_merges
from tinytorch.frontend.tokenization.merging import Merges
from tinytorch.frontend.tokenization.pieces import pieces
from tinytorch.frontend.tokenization.vocabulary import NO_TOKEN, Vocabulary, only_bytes, with_merges
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc

__all__ = ["BPETokenizer"]

AllowedSpecial = Collection[str] | Literal["all"]


class BPETokenizer:
    """Byte-level byte pair encoding, as GPT-2 has it (Radford et al. 2019): a text is cut into pieces such as words,
    and the bytes of each are joined by merges that were learned from a corpus. Every text and all bytes have tokens.

    A new tokenizer has one token for each byte; `train` learns more, `load` and `from_files` read what was learned
    before, here or by the `tokenizers` package, whose ids are the same.

    Special tokens, such as `<|endoftext|>`, are never parts of a text unless the caller says so: what a user writes
    is encoded as ordinary text, whatever it looks like. `encode(text, allowed_special="all")`, or with a list of
    them, finds them, the longest first.
    """

    def __init__(self) -> None:
        self._assign(only_bytes())

    def _assign(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._tokens_of = _Cache(vocabulary)

    # ---- learning ------------------------------------------------------------------------------------------

    def train(
        self,
        corpus: str | Iterable[str],
        vocab_size: int = 1024,
        *,
        special_tokens: Sequence[str] = (),
        min_frequency: int = 2,
    ) -> Self:
        """Learn the merges of a text, or of several, in place of those that were there.

        The tokens are the special ones, the 256 bytes, then one for each merge until there are `vocab_size`, or until
        no pair of tokens occurs `min_frequency` times. The same corpus always gives the same merges; special tokens
        that stand in it are passed over, and no merge spells one.
        """
        what = "BPETokenizer.train"
        special = _special_names(what, special_tokens)
        vocab_size = arguments.integer(what, "vocab_size", vocab_size)
        min_frequency = arguments.integer(what, "min_frequency", min_frequency, 0)
        if vocab_size < 256 + len(special):
            needed = f"at least {256 + len(special)}, for 256 bytes and {len(special)} special tokens"
            raise arguments.wrong_value(what, "vocab_size", needed, vocab_size)
        counts: Counter[bytes] = Counter()
        pattern = _pattern(special)
        for text in texts_of(what, corpus):
            for part in pattern.split(utf8(what, text)):
                for some in pieces(part):
                    counts.update(some)
        if not counts:
            raise arguments.ArgumentValueError(f"{what}: the corpus is empty", user_loc())
        start = only_bytes(special)
        self._assign(with_merges(start, learn_merges(counts, start, vocab_size, min_frequency)))
        return self

    # ---- encoding and decoding -----------------------------------------------------------------------------

    @property
    def vocab_size(self) -> int:
        """How many tokens there are; ids are below it."""
        return len(self._vocabulary.tokens)

    @property
    def special_tokens(self) -> dict[str, int]:
        """Special token -> id."""
        return dict(self._vocabulary.special)

    def encode(self, text: str, *, allowed_special: AllowedSpecial = ()) -> list[int]:
        """The ids of a text. The special tokens in `allowed_special` ("all": every one) become their own ids; without
        it, they are text like any other."""
        what = "BPETokenizer.encode"
        is_text(what, "text", text, " (encode_bytes takes bytes)")
        return self._encode(what, utf8(what, text), allowed_special)

    def encode_bytes(self, data: bytes | bytearray, *, allowed_special: AllowedSpecial = ()) -> list[int]:
        """The ids of any bytes; those of a text in UTF-8 are those of the text."""
        what = "BPETokenizer.encode_bytes"
        return self._encode(what, is_bytes(what, data), allowed_special)

    def _encode(self, what: str, data: bytes, allowed_special: AllowedSpecial) -> list[int]:
        ids: list[int] = []
        special = self._vocabulary.special
        start = 0
        for match in _pattern(self._allowed(what, allowed_special)).finditer(data):
            self._extend(ids, data[start : match.start()])
            ids.append(special[match[0].decode()])
            start = match.end()
        self._extend(ids, data[start:])
        return ids

    def _extend(self, ids: list[int], data: bytes) -> None:
        for some in pieces(data):
            ids.extend(chain.from_iterable(map(self._tokens_of.__getitem__, some)))

    def _allowed(self, what: str, allowed: Any) -> list[str]:
        special = self._vocabulary.special
        if isinstance(allowed, str) and allowed == "all":
            return list(special)
        if isinstance(allowed, (str, bytes)) or not isinstance(allowed, Collection):
            raise arguments.wrong_type(what, "allowed_special", '"all" or a list of special tokens', allowed)
        for name in cast("Collection[Any]", allowed):
            if not isinstance(name, str) or name not in special:
                wanted = f'"all" or some of the special tokens {list(special)}'
                raise arguments.wrong_value(what, "allowed_special", wanted, name)
        return list(allowed)

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of ids, special tokens included. Bytes that are no UTF-8, such as a part of a character, become
        U+FFFD; `decode_bytes` gives them as they are."""
        return self._decode("BPETokenizer.decode", tokens).decode("utf-8", "replace")

    def decode_bytes(self, tokens: Iterable[int]) -> bytes:
        """The bytes of ids."""
        return self._decode("BPETokenizer.decode_bytes", tokens)

    def _decode(self, what: str, tokens: Iterable[int]) -> bytes:
        return b"".join(map(self._vocabulary.tokens.__getitem__, ids_of(what, tokens, self.vocab_size)))

    # ---- files ---------------------------------------------------------------------------------------------

    def save(self, path: str | PathLike[str]) -> None:
        """Write a `tokenizer.json` that the `tokenizers` package reads; it appears whole or not at all."""
        files.write_json(path, formats.to_table(self._vocabulary))

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """The tokenizer of a `tokenizer.json`, written here or by the `tokenizers` package. TinyTorchError if it is
        missing or damaged, or if it asks for more than byte-level BPE with GPT-2's pre-tokenisation. Where the file
        has no tokens for some bytes, as corpora without them give, encoding those bytes is an error."""
        return cls._of(files.read(path, "tokenizer.json", formats.from_json))

    @classmethod
    def from_files(
        cls,
        vocab: str | PathLike[str],
        merges: str | PathLike[str],
        *,
        special_tokens: Sequence[str] | None = None,
    ) -> Self:
        """The tokenizer of GPT-2's `vocab.json` and `merges.txt`, or of such files by others. `special_tokens` are
        those of its tokens that no text gives; where nothing is said, `<|endoftext|>` if it is there."""
        special = None if special_tokens is None else _special_names("BPETokenizer.from_files", special_tokens)
        ids = files.read(vocab, "vocab.json", formats.ids_in)
        pairs = files.read(merges, "merges.txt", formats.merges_in)
        try:
            return cls._of(formats.combine(ids, pairs, special))
        except FormatError as error:
            raise TinyTorchError(f"{vocab} and {merges} do not fit together: {error}", user_loc()) from None

    @classmethod
    def _of(cls, vocabulary: Vocabulary) -> Self:
        tokenizer = cls()
        tokenizer._assign(vocabulary)
        return tokenizer

    def __repr__(self) -> str:
        special = f", {len(self._vocabulary.special)} of them special" if self._vocabulary.special else ""
        return f"BPETokenizer({self.vocab_size} tokens{special})"


def _special_names(what: str, names: Any) -> list[str]:
    """Special tokens as a user names them: strings, each once, that no byte is called in files."""
    if isinstance(names, (str, bytes)) or not isinstance(names, Iterable):
        raise arguments.wrong_type(what, "special_tokens", "a list of strings", names)
    found: list[str] = []
    for name in cast("Iterable[Any]", names):
        is_text(what, "each of special_tokens", name)
        utf8(what, name)
        if not name or name in found:
            raise arguments.wrong_value(what, "special_tokens", "a list of strings that are not empty, each once", name)
        if len(from_name(name) or b"") == 1:
            message = f"{what}: {name!r} cannot be a special token: a token of one byte is called so in files"
            raise arguments.ArgumentValueError(message, user_loc())
        found.append(name)
    return found


def _pattern(names: Sequence[str]) -> re.Pattern[bytes]:
    """Finds special tokens, the longest first; nothing where there are none."""
    longest_first = sorted(names, key=len, reverse=True)
    return re.compile(b"|".join(re.escape(name.encode()) for name in longest_first) or rb"(?!)")


class _Cache(dict[bytes, tuple[int, ...]]):
    """Piece -> tokens: most pieces of a text are those that came before."""

    _MOST, _LONGEST = 1 << 16, 64  # pieces that are kept, and their bytes

    def __init__(self, vocabulary: Vocabulary) -> None:
        super().__init__()
        self._byte_ids = vocabulary.byte_ids
        self._merges = Merges(vocabulary.merges)

    def __missing__(self, piece: bytes) -> tuple[int, ...]:
        symbols = [self._byte_ids[byte] for byte in piece]
        if NO_TOKEN in symbols:
            byte = piece[symbols.index(NO_TOKEN)]
            message = f"byte {byte:#04x} of {piece!r} has no token in this vocabulary"
            raise arguments.ArgumentValueError(f"BPETokenizer: {message}", user_loc())
        tokens = tuple(self._merges.apply(symbols))
        if len(piece) <= self._LONGEST:
            if len(self) >= self._MOST:
                self.clear()
            self[piece] = tokens
        return tokens
