"""The tokens of a byte-level BPE tokenizer and the merges that make them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tinytorch.frontend.tokenization.byte_names import ORDER, from_name, to_name
from tinytorch.frontend.tokenization.files import FormatError, id_table, short

Merge = tuple[int, int, int]  # ids of the left token, the right one, and what they become

NO_TOKEN = -1


@dataclass(frozen=True)
class Vocabulary:
    """`tokens` and `names` by id: the bytes, and the word for them in files; `byte_ids` by byte, NO_TOKEN for a byte
    that has none; `merges` in the order in which they are tried; `special` tokens, which no merge makes."""

    tokens: Sequence[bytes]
    names: Sequence[str]
    byte_ids: Sequence[int]
    merges: Sequence[Merge]
    special: Mapping[str, int]


def only_bytes(special: Sequence[str] = ()) -> Vocabulary:
    """The special tokens, then one for each byte."""
    names = [*special, *(to_name(bytes([byte])) for byte in ORDER)]
    ids = {byte: len(special) + place for place, byte in enumerate(ORDER)}
    tokens = [*(name.encode() for name in special), *(bytes([byte]) for byte in ORDER)]
    numbered = {name: number for number, name in enumerate(special)}
    return Vocabulary(tokens, names, [ids[byte] for byte in range(256)], (), numbered)


def with_merges(vocabulary: Vocabulary, merges: Sequence[Merge]) -> Vocabulary:
    """The same with merges, whose tokens are numbered on from those that are there."""
    tokens = list(vocabulary.tokens)
    for left, right, _ in merges:
        tokens.append(tokens[left] + tokens[right])
    names = [*vocabulary.names, *map(to_name, tokens[len(vocabulary.names) :])]
    return Vocabulary(tokens, names, vocabulary.byte_ids, merges, vocabulary.special)


def from_names(
    ids: Mapping[str, int], merges: Sequence[tuple[str, str]], special: Mapping[str, int], where: str
) -> Vocabulary:
    """The vocabulary of names as they stand in files, special tokens among them; FormatError, naming the entry of
    `<where>vocab` or `<where>merges`, if it makes no sense."""
    id_table(ids, f"{where}vocab")
    names = sorted(ids, key=ids.__getitem__)
    tokens = [name.encode() if name in special else _token(name, f"{where}vocab") for name in names]
    byte_ids = [ids.get(to_name(bytes([byte])), NO_TOKEN) for byte in range(256)]
    for name, number in special.items():
        if number in byte_ids:
            raise FormatError(f"{where}vocab: {short(name)} is a special token, and what a single byte is called")
    numbered: dict[tuple[int, int], Merge] = {}
    for rank, (left, right) in enumerate(merges):
        merge = _merge(left, right, ids, special, f"{where}merges[{rank}]")
        if numbered.setdefault(merge[:2], merge) is not merge:
            raise FormatError(f"{where}merges[{rank}] is {short([left, right])}, which is there before")
    return Vocabulary(tokens, names, byte_ids, list(numbered.values()), dict(special))


def _token(name: str, path: str) -> bytes:
    token = from_name(name)
    if not token:
        raise FormatError(f"{path}: {short(name)} is no byte-level token (a space is Ġ there), and no special one")
    return token


def _merge(left: str, right: str, ids: Mapping[str, int], special: Mapping[str, int], path: str) -> Merge:
    for name in (left, right, left + right):
        if name not in ids:
            raise FormatError(f"{path} is {short([left, right])}, but {short(name)} is not in the vocabulary")
        if name in special:
            raise FormatError(f"{path} is {short([left, right])}, but {short(name)} is a special token")
    return ids[left], ids[right], ids[left + right]
