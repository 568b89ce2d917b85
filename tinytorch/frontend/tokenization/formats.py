"""The files of byte-level BPE tokenizers: `tokenizer.json` of the `tokenizers` package, and the pair `vocab.json` and
`merges.txt` that GPT-2 was published as. FormatError, naming the field, if a file makes no sense or asks for what is
not supported: other models, other pre-tokenisation, normalisation, tokens that a post-processor adds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from tinytorch.frontend.tokenization.files import FormatError, checked, field, id_table, only, parse_json, short
from tinytorch.frontend.tokenization.vocabulary import NO_TOKEN, Vocabulary, from_names

_BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


# tokenizer.json
def to_table(vocabulary: Vocabulary) -> dict[str, Any]:
    """What `tokenizer.json` says."""
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    names = vocabulary.names
    model = {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        "vocab": {name: number for number, name in enumerate(names)},
        "merges": [[names[left], names[right]] for left, right, _ in vocabulary.merges],
    }
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": number, "content": name, **flags} for name, number in vocabulary.special.items()],
        "normalizer": None,
        "pre_tokenizer": _BYTE_LEVEL,
        "post_processor": None,
        "decoder": {**_BYTE_LEVEL, "add_prefix_space": True},  # of which the flags change nothing
        "model": model,
    }


def from_json(text: str) -> Vocabulary:
    """The vocabulary in the text of a `tokenizer.json`."""
    table = parse_json(text)
    only(table, "version", "1.0")
    for name in ("truncation", "padding", "normalizer"):
        only(table, name, None)
    _check_pre_tokenizer(field(table, "pre_tokenizer", dict))
    for name in ("post_processor", "decoder"):  # which change no ids where they are byte-level, too
        if table.get(name) is not None:
            _check_byte_level(field(table, name, dict), name)
    model = field(table, "model", dict)
    only(model, "model.type", "BPE")  # where old files say nothing
    ids: dict[str, int] = dict(field(model, "model.vocab", dict))
    special = _special_tokens(table, ids)
    vocabulary = from_names(ids, _merges(field(model, "model.merges", list)), special, "model.")
    _check_model(model, whole=NO_TOKEN not in vocabulary.byte_ids)
    return vocabulary


def _check_byte_level(table: Mapping[str, Any], path: str) -> None:
    field(table, f"{path}.type", str)
    only(table, f"{path}.type", "ByteLevel")


def _check_pre_tokenizer(table: Mapping[str, Any]) -> None:
    _check_byte_level(table, "pre_tokenizer")
    field(table, "pre_tokenizer.add_prefix_space", bool)
    only(table, "pre_tokenizer.add_prefix_space", False)
    only(table, "pre_tokenizer.use_regex", True)


def _check_model(model: Mapping[str, Any], whole: bool) -> None:
    """FormatError where a model is not BPE by merges alone; what it does to unknown bytes does not matter if each has
    a token."""
    only(model, "model.dropout", None, 0.0, 0)
    only(model, "model.ignore_merges", False)
    for name in ("continuing_subword_prefix", "end_of_word_suffix"):
        only(model, f"model.{name}", None, "")
    if not whole:
        only(model, "model.unk_token", None)
        only(model, "model.byte_fallback", False)


def _special_tokens(table: Mapping[str, Any], ids: dict[str, int]) -> dict[str, int]:
    """Name -> id of the added tokens; `ids` gets those that it lacks."""
    special: dict[str, int] = {}
    for place, entry in enumerate(checked(table.get("added_tokens", []), "added_tokens", list)):
        path = f"added_tokens[{place}]"
        checked(entry, path, dict)
        name, number = field(entry, f"{path}.content", str), field(entry, f"{path}.id", int)
        only(entry, f"{path}.special", True)
        for flag in ("single_word", "lstrip", "rstrip"):
            only(entry, f"{path}.{flag}", False)
        if not name or any("\ud800" <= character <= "\udfff" for character in name):
            raise FormatError(f"{path}.content is {short(name)}, which cannot stand in a text")
        if ids.setdefault(name, number) != number:
            raise FormatError(f"{path}.id is {number}, but model.vocab gives {short(name)} the id {short(ids[name])}")
        special[name] = number
    return special


def _merges(entries: list[Any]) -> list[tuple[str, str]]:
    """Pairs of names; older files have both in one string."""
    merges: list[tuple[str, str]] = []
    for rank, entry in enumerate(entries):
        words = entry.split(" ") if isinstance(entry, str) else entry
        if not isinstance(words, list) or [type(word) for word in cast("list[Any]", words)] != [str, str]:
            raise FormatError(f"model.merges[{rank}] must be two tokens, got {short(entry)}")
        merges.append((words[0], words[1]))
    return merges


# vocab.json and merges.txt
END_OF_TEXT = "<|endoftext|>"  # GPT-2's only special token


def ids_in(text: str) -> dict[str, int]:
    """Name -> id in the text of a `vocab.json`."""
    return id_table(parse_json(text), "the vocabulary")


def merges_in(text: str) -> list[tuple[str, str]]:
    """The pairs of names in the text of a `merges.txt`: one a line, in order of rank, below a line of the version."""
    merges: list[tuple[str, str]] = []
    for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
        if number == 1 and line.startswith("#version"):
            continue
        left, _, right = line.removesuffix("\r").partition(" ")
        if not left or not right or " " in right:
            raise FormatError(f"line {number} must be two tokens with a space between them, got {short(line)}")
        merges.append((left, right))
    return merges


def combine(ids: Mapping[str, int], merges: Sequence[tuple[str, str]], special: Sequence[str] | None) -> Vocabulary:
    """The vocabulary of both files. Every token must be a special one, a byte, or made by a merge: if one is not, the
    merges were cut short."""
    names = [name for name in (END_OF_TEXT,) if name in ids] if special is None else special
    for name in names:
        if name not in ids:
            raise FormatError(f"the special token {short(name)} is not in the vocabulary")
    vocabulary = from_names(ids, merges, {name: ids[name] for name in names}, "")
    known = {*vocabulary.special.values(), *vocabulary.byte_ids, *(made for *_, made in vocabulary.merges)}
    for number, name in enumerate(vocabulary.names):
        if number not in known:
            raise FormatError(f"no merge makes the token {short(name)}, and it is not among special_tokens: {names}")
    return vocabulary
