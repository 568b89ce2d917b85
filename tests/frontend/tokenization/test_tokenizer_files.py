"""Files of tokenizers: written whole, read with every mistake named; and the same files, ids and merges as those of the
`tokenizers` package, where it is installed."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinytorch as tt
from tinytorch.frontend.tokenization.pieces import pieces
from tinytorch.frontend.tokenization.unicode_classes import class_table
from tinytorch.ir.errors import TinyTorchError

HERE = "test_tokenizer_files.py:"
END = "<|endoftext|>"
CORPUS = "the theme of then, I'll say: don't 12345 times! Größe naïve\u3000日本語 🙂🙂\n\n\t" * 3
KINDS = [None, True, -1, 0, 1.5, 10**30, "", "a", [], ["a", "b"], {}, {"a": 0}]  # what may stand where it should not


def trained() -> tt.BPETokenizer:
    return tt.BPETokenizer().train(CORPUS, vocab_size=300, special_tokens=[END, "<|a|>"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "tokenizer.json"
    trained().save(path)
    return path


def refused(function: Callable[[], Any], *words: str) -> None:
    with pytest.raises(TinyTorchError) as raised:
        function()
    message, _, line = str(raised.value).rpartition("\n  ")
    assert all(word in message for word in words), message
    assert line.startswith(HERE)


# tokenizer.json.
def test_what_is_saved_is_loaded(path: Path) -> None:
    tokenizer, loaded = trained(), tt.BPETokenizer.load(path)
    assert loaded.special_tokens == tokenizer.special_tokens == {END: 0, "<|a|>": 1}
    assert loaded.vocab_size == tokenizer.vocab_size
    for allowed in ((), "all"):
        assert loaded.encode(CORPUS + END, allowed_special=allowed) == tokenizer.encode(
            CORPUS + END, allowed_special=allowed
        )
    content = path.read_bytes()
    loaded.save(str(path))
    assert path.read_bytes() == content


def test_ids_that_the_package_gave() -> None:
    """Version 0.23.3, trained on the same corpus with the same options."""
    text = f"then I'll say 54321 naïve things, 日本!{END} 🙂\n\t"
    expected = [259, 79, 288, 265, 77, 295, 222, 22, 21, 20, 19, 18, 293, 282, 222, 85, 73, 74, 79, 72, 84, 13, 222]
    expected += [286, 279, 252, 107, 2, 0, 289, 200, 199]
    assert trained().encode(text, allowed_special="all") == expected


def test_a_small_file_of_another_program(tmp_path: Path) -> None:
    """As old versions write it: merges in one string, fields that are missing, bytes that were never seen."""
    path = tmp_path / "tokenizer.json"
    model = {"vocab": {"a": 0, "b": 1, "Ġ": 2, "ab": 3, "Ġab": 4, "Ã": 6}, "merges": ["a b", "Ġ ab"]}
    added = {"id": 5, "content": "<é>", "special": True}
    pre_tokenizer = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False}
    post = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False}
    table = {
        "version": "1.0",
        "added_tokens": [added],
        "pre_tokenizer": pre_tokenizer,
        "post_processor": post,
        "model": model,
    }
    path.write_text(json.dumps(table), encoding="utf-8")
    tokenizer = tt.BPETokenizer.load(path)
    assert tokenizer.encode("abab ab b") == [3, 3, 4, 2, 1]
    assert tokenizer.encode("a<é>b", allowed_special="all") == [0, 5, 1]
    assert tokenizer.decode([4, 5, 2, 6]) == " ab<é> \ufffd"
    refused(lambda: tokenizer.encode("abé"), "byte 0xa9", "no token")
    refused(lambda: tokenizer.encode("abc"), "byte 0x63", "b'abc'")


CHANGES = [
    (("version",), "2.0", "version"),
    (("truncation",), {"max_length": 5}, "truncation"),
    (("padding",), {"strategy": "BatchLongest"}, "padding"),
    (("normalizer",), {"type": "NFC"}, "normalizer"),
    (("pre_tokenizer",), None, "pre_tokenizer must be a table"),
    (("pre_tokenizer", "type"), "Whitespace", 'pre_tokenizer.type is "Whitespace"'),
    (("pre_tokenizer", "add_prefix_space"), True, "pre_tokenizer.add_prefix_space is true"),
    (("pre_tokenizer", "use_regex"), False, "pre_tokenizer.use_regex is false"),
    (("post_processor",), {"type": "TemplateProcessing"}, "post_processor.type"),
    (("decoder", "type"), "WordPiece", "decoder.type"),
    (("model",), [], "model must be a table"),
    (("model", "type"), "WordPiece", 'model.type is "WordPiece"'),
    (("model", "dropout"), 0.1, "model.dropout is 0.1"),
    (("model", "ignore_merges"), True, "model.ignore_merges"),
    (("model", "continuing_subword_prefix"), "##", "model.continuing_subword_prefix"),
    (("model", "end_of_word_suffix"), "</w>", "model.end_of_word_suffix"),
    (("model", "vocab"), {}, "model.merges[0]"),
    (("model", "vocab"), [["a", 0]], "model.vocab must be a table"),
    (("model", "vocab", "the"), 3, "id 3 to both"),
    (("model", "vocab", "the"), "3", 'model.vocab["the"] must be an integer'),
    (("model", "vocab", "the"), True, 'model.vocab["the"] must be an integer'),
    (("model", "vocab", "the"), -1, 'model.vocab gives "the" the id -1'),
    (("model", "vocab", "the"), 10**30, 'model.vocab gives "the" the id 1000'),
    (("model", "vocab", "a b"), 300, '"a b" is no byte-level token'),
    (("model", "vocab", ""), 300, '"" is no byte-level token'),
    (("model", "merges"), "a b", "model.merges must be a list"),
    (("model", "merges", 1), "ab", "model.merges[1] must be two tokens"),
    (("model", "merges", 1), ["a", "b", "c"], "model.merges[1] must be two tokens"),
    (("model", "merges", 1), ["a", 1], "model.merges[1] must be two tokens"),
    (("model", "merges", 1), ["zz", "a"], 'model.merges[1] is ["zz", "a"], but "zz" is not in the vocabulary'),
    (("model", "merges", 1), ["q", "x"], '"qx" is not in the vocabulary'),
    (("model", "merges", 1), ["h", "e"], "which is there before"),
    (("added_tokens",), {}, "added_tokens must be a list"),
    (("added_tokens", 0), END, "added_tokens[0] must be a table"),
    (("added_tokens", 0, "id"), 7, "added_tokens[0].id is 7"),
    (("added_tokens", 0, "id"), None, "added_tokens[0].id must be an integer"),
    (("added_tokens", 0, "content"), "", 'added_tokens[0].content is ""'),
    (("added_tokens", 0, "content"), "a\ud800", 'added_tokens[0].content is "a'),
    (("added_tokens", 0, "special"), False, "added_tokens[0].special is false"),
    (("added_tokens", 1, "lstrip"), True, "added_tokens[1].lstrip is true"),
    (("added_tokens", 1, "rstrip"), True, "added_tokens[1].rstrip is true"),
    (("added_tokens", 1, "single_word"), True, "added_tokens[1].single_word is true"),
]  # fmt: skip


def put(table: Any, way: Sequence[Any], value: Any) -> None:
    for step in way[:-1]:
        table = table[step]
    table[way[-1]] = value


@pytest.mark.parametrize(
    "way, value, word", CHANGES, ids=lambda x: ".".join(map(str, x)) if isinstance(x, tuple) else None
)
def test_what_is_wrong_or_not_supported_is_named(path: Path, way: tuple[Any, ...], value: Any, word: str) -> None:
    table = json.loads(path.read_text(encoding="utf-8"))
    assert table["model"]["merges"][0] == ["h", "e"]
    put(table, way, value)
    path.write_text(json.dumps(table), encoding="utf-8")
    refused(lambda: tt.BPETokenizer.load(path), "tokenizer.json is no tokenizer.json that can be used", word)


@pytest.mark.parametrize("name", ["pre_tokenizer", "model"])
def test_fields_that_are_missing(path: Path, name: str) -> None:
    table = json.loads(path.read_text(encoding="utf-8"))
    del table[name]
    path.write_text(json.dumps(table), encoding="utf-8")
    refused(lambda: tt.BPETokenizer.load(path), f"{name} is missing")


def test_special_tokens_that_texts_would_give(path: Path) -> None:
    table = json.loads(path.read_text(encoding="utf-8"))
    for name, word in (("the", '"the" is a special token'), ("e", "a single byte")):
        entry = {"id": table["model"]["vocab"][name], "content": name, "special": True}
        path.write_text(json.dumps({**table, "added_tokens": [entry]}), encoding="utf-8")
        refused(lambda: tt.BPETokenizer.load(path), word)


def test_unknown_bytes_may_not_become_other_tokens(path: Path) -> None:
    table = json.loads(path.read_text(encoding="utf-8"))
    table["model"]["unk_token"] = END  # which does not matter as long as every byte has a token
    path.write_text(json.dumps(table), encoding="utf-8")
    assert tt.BPETokenizer.load(path).encode("\0") == trained().encode("\0")
    number = table["model"]["vocab"].pop("Ā")
    table["model"]["vocab"]["ĀĀ"] = number
    path.write_text(json.dumps(table), encoding="utf-8")
    refused(lambda: tt.BPETokenizer.load(path), "model.unk_token")


def test_every_truncated_file_is_refused(path: Path) -> None:
    content = path.read_bytes()
    for size in [*range(0, len(content) - 2, 97), len(content) - 2]:
        path.write_bytes(content[:size])
        with pytest.raises(TinyTorchError, match=r"tokenizer\.json"):
            tt.BPETokenizer.load(path)


def test_any_other_value_anywhere_is_refused_or_makes_sense(path: Path) -> None:
    """Nothing but TinyTorchErrors, whatever stands where; what is accepted works."""
    content = path.read_text(encoding="utf-8")
    table = json.loads(content)

    def ways(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        return [way] * bool(way) + [found for step, part in inner for found in ways(part, (*way, step))]

    rng = random.Random(1)
    all_ways = ways(table)
    for way in [way for way in all_ways if len(way) < 3] + rng.sample(all_ways, 40):
        for value in KINDS:
            changed = json.loads(content)
            put(changed, way, value)
            path.write_text(json.dumps(changed), encoding="utf-8")
            try:
                tokenizer = tt.BPETokenizer.load(path)
            except TinyTorchError:
                continue
            assert tokenizer.decode(tokenizer.encode(CORPUS)) == CORPUS


def test_files_that_cannot_be_read(path: Path, tmp_path: Path) -> None:
    for load in (tt.BPETokenizer.load, tt.CharTokenizer.load):
        refused(lambda load=load: load(tmp_path / "none.json"), "cannot read", "none.json")
        refused(lambda load=load: load(tmp_path), "cannot read")
        path.write_bytes(b'{"version": "\xff"}')
        refused(lambda load=load: load(path), "cannot read", "utf-8")
        for content in (
            "",
            "{",
            "[" * 100_000,
            "NaN",
            '"text"',
            "\0",
            '{"version": "1.0", "version": "1.0"}',
            "1" * 5000,
        ):
            path.write_text(content)
            refused(lambda load=load: load(path), "tokenizer.json")
        path.unlink()
        if hasattr(os, "mkfifo"):
            os.mkfifo(path)
            refused(lambda load=load: load(path), "not a regular file")
            path.unlink()


def test_a_file_is_replaced_whole_or_not_at_all(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError("no space left")

    content = path.read_bytes()
    monkeypatch.setattr(os, "replace", full)
    for tokenizer in (tt.BPETokenizer(), tt.CharTokenizer("ab")):
        refused(lambda tokenizer=tokenizer: tokenizer.save(path), "cannot write", "no space left")
        refused(lambda tokenizer=tokenizer: tokenizer.save(path.parent / "none" / "x.json"), "cannot write")
    assert path.read_bytes() == content and os.listdir(path.parent) == [path.name]


# vocab.json and merges.txt.
def gpt2_files(folder: Path, **changes: Any) -> tuple[Path, Path]:
    """The layout of GPT-2: bytes in the order of their names, then merges, the special token last."""
    tokenizer = tt.BPETokenizer().train(CORPUS, vocab_size=290)
    tokenizer.save(folder / "x.json")
    model = json.loads((folder / "x.json").read_text(encoding="utf-8"))["model"]
    vocab = {**model["vocab"], END: len(model["vocab"]), **changes}
    (folder / "vocab.json").write_text(json.dumps(vocab), encoding="utf-8")
    lines = ["#version: 0.2", *map(" ".join, model["merges"])]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "vocab.json", folder / "merges.txt"


def test_the_files_of_gpt2(tmp_path: Path) -> None:
    vocab, merges = gpt2_files(tmp_path)
    tokenizer = tt.BPETokenizer.from_files(vocab, merges)
    plain = tt.BPETokenizer.load(tmp_path / "x.json")
    assert tokenizer.special_tokens == {END: 290} and tokenizer.vocab_size == 291
    assert tokenizer.encode(CORPUS) == plain.encode(CORPUS)
    assert tokenizer.encode(f"a{END}", allowed_special="all") == [*plain.encode("a"), 290]
    assert tokenizer.encode("!~\x00 ") == [0, 93, 188, 220]  # as published: bytes by their names
    merges.write_bytes(merges.read_bytes().replace(b"\n", b"\r\n"))
    assert tt.BPETokenizer.from_files(str(vocab), str(merges)).encode(CORPUS) == plain.encode(CORPUS)
    vocab, merges = gpt2_files(tmp_path, **{"<|b|>": 291})
    both = tt.BPETokenizer.from_files(vocab, merges, special_tokens=["<|b|>", END])
    assert both.special_tokens == {"<|b|>": 291, END: 290}


def test_mistakes_in_the_files_of_gpt2(tmp_path: Path) -> None:
    vocab, merges = gpt2_files(tmp_path)
    good = merges.read_text(encoding="utf-8")
    lines = good.split("\n")
    for content, words in [
        ("\n".join(lines[:9]) + "\n", ["vocab.json and ", "merges.txt", "no merge makes the token"]),
        (good[:-3], ["merges.txt"]),
        ("", ["merges.txt", "line 1"]),
        (good + "\n", ["merges.txt", f"line {len(lines)} "]),
        (good.replace("\nh e\n", "\nh  e\n"), ["line 2 must be two tokens", '"h  e"']),
        (good.replace("\nh e\n", "\nhe\n"), ["line 2 must be two tokens", '"he"']),
        (good + "h e\n", ["merges[", "there before"]),
        (good + "t zz\n", ["merges[", '"zz" is not in the vocabulary']),
    ]:
        merges.write_text(content, encoding="utf-8")
        refused(lambda: tt.BPETokenizer.from_files(vocab, merges), *words)
    merges.write_text(good, encoding="utf-8")
    refused(lambda: tt.BPETokenizer.from_files(vocab, merges, special_tokens=[]), "<|endoftext|>", "special_tokens")
    refused(
        lambda: tt.BPETokenizer.from_files(vocab, merges, special_tokens=["<|b|>"]), "<|b|>", "not in the vocabulary"
    )
    refused(lambda: tt.BPETokenizer.from_files(vocab, merges, special_tokens=END), "special_tokens")
    refused(lambda: tt.BPETokenizer.from_files(merges, vocab), "merges.txt", "JSON")
    refused(lambda: tt.BPETokenizer.from_files(vocab, tmp_path / "none"), "cannot read", "none")
    for content, word in [('{"a": 0, "a": 1}', "stands twice"), ('{"a": 0, "b": 0}', "both"), ("[]", "a table")]:
        vocab.write_text(content)
        refused(lambda: tt.BPETokenizer.from_files(vocab, merges), "vocab.json", word)


# The `tokenizers` package.
@pytest.fixture(scope="module")
def peer() -> Any:
    return pytest.importorskip("tokenizers")


def peer_trained(peer: Any, corpus: Sequence[str], size: int, special: Sequence[str], least: int) -> Any:
    tokenizer = peer.Tokenizer(peer.models.BPE())
    tokenizer.pre_tokenizer = peer.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = peer.decoders.ByteLevel()
    trainer = peer.trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=least,
        special_tokens=list(special),
        initial_alphabet=peer.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    return tokenizer


def peer_pieces(peer: Any, text: str) -> list[str]:
    split = peer.pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str(text)
    return [text[start:end] for _, (start, end) in split]


def our_pieces(text: str) -> list[str]:
    return [piece.decode() for piece in chain.from_iterable(pieces(text.encode()))]


def test_classes_are_those_of_the_package(peer: Any) -> None:
    """Where they change, and here and there between: does a character go on with a letter, a number, a space?"""
    changes = np.flatnonzero(np.diff(class_table()))
    codes = {int(code) for change in changes for code in range(max(change, 1) - 1, change + 4)} | set(
        range(0, 0x110000, 61)
    )
    for code in sorted(codes - set(range(0xD800, 0xE000))):
        text = "b{0}2{0}!{0}\n{0}".format(chr(code))
        assert peer_pieces(peer, text) == our_pieces(text), hex(code)


TEXTS = st.text(
    st.one_of(st.characters(codec="utf-8"), st.sampled_from("'  \n\tsStrevlmd19é\u3000\xa0\x1c\x85٣")), max_size=60
)


@given(TEXTS)
@settings(max_examples=300)
def test_pieces_are_those_of_the_package(peer: Any, text: str) -> None:
    assert our_pieces(text) == peer_pieces(peer, text)


CORPORA = st.lists(st.text(st.sampled_from("abab é日\n1'"), max_size=80), min_size=1, max_size=8)


@given(CORPORA, st.integers(256, 300), st.lists(st.sampled_from(["<|x|>", END, "zz"]), unique=True), st.integers(0, 3))
def test_merges_are_those_of_the_package(
    peer: Any, tmp_path_factory: Any, corpus: list[str], size: int, special: list[str], least: int
) -> None:
    """Training gives the same file: vocabulary, merges and everything around them."""
    corpus = [*corpus, "a"]
    path = tmp_path_factory.getbasetemp() / "trained.json"
    ours = tt.BPETokenizer().train(corpus, size + len(special), special_tokens=special, min_frequency=least)
    ours.save(path)
    theirs = peer_trained(peer, corpus, size + len(special), special, least)
    expected = json.loads(theirs.to_str())
    assert json.loads(path.read_text(encoding="utf-8")) == expected


@given(TEXTS, st.sampled_from([END, "<|a|>", ""]))
def test_ids_are_those_of_the_package(peer: Any, tmp_path_factory: Any, text: str, special: str) -> None:
    path = tmp_path_factory.getbasetemp() / "tokenizer.json"
    ours = trained()
    ours.save(path)
    theirs = peer.Tokenizer.from_file(str(path))
    text = text + special + CORPUS[: len(text)]
    ids = ours.encode(text, allowed_special="all")
    assert ids == theirs.encode(text).ids
    assert ours.decode(ids) == theirs.decode(ids, skip_special_tokens=False) == text
    cut = ids[1:-1]
    assert ours.decode(cut) == theirs.decode(cut, skip_special_tokens=False)
    theirs.encode_special_tokens = True
    assert ours.encode(text) == theirs.encode(text).ids


@given(
    st.permutations(["a b", "b a", "a a", "b b", "ab a", "a ba", "aa bb", "ab ab", "ba ba", "b aa"]),
    st.text(st.sampled_from("ab"), max_size=300),
)
def test_merges_in_any_order_are_applied_as_the_package_does(
    peer: Any, tmp_path_factory: Any, merges: list[str], text: str
) -> None:
    """Also those that no training gives: a token's merge may rank behind one that takes the token."""
    path = tmp_path_factory.getbasetemp() / "tokenizer.json"
    tt.BPETokenizer().save(path)
    table = json.loads(path.read_text(encoding="utf-8"))
    for merge in merges:
        table["model"]["vocab"].setdefault(merge.replace(" ", ""), len(table["model"]["vocab"]))
    table["model"]["merges"] = [merge.split(" ") for merge in merges]
    path.write_text(json.dumps(table), encoding="utf-8")
    assert tt.BPETokenizer.load(path).encode(text) == peer.Tokenizer.from_file(str(path)).encode(text).ids


def test_files_of_the_package_are_read(peer: Any, tmp_path: Path) -> None:
    theirs = peer_trained(peer, [CORPUS], 300, [END], 2)
    theirs.post_processor = peer.processors.ByteLevel(trim_offsets=False)
    theirs.add_special_tokens(["<|a|>"])
    theirs.save(str(tmp_path / "x.json"))
    ours = tt.BPETokenizer.load(tmp_path / "x.json")
    text = f"then{END} the 54321<|a|>日本é"
    assert ours.encode(text, allowed_special="all") == theirs.encode(text).ids
    assert ours.special_tokens == {END: 0, "<|a|>": theirs.token_to_id("<|a|>")}
    theirs.model.save(str(tmp_path))
    other = tt.BPETokenizer.from_files(tmp_path / "vocab.json", tmp_path / "merges.txt")
    assert (
        other.encode(text.replace("<|a|>", ""), allowed_special="all") == theirs.encode(text.replace("<|a|>", "")).ids
    )


def test_other_kinds_of_the_package_are_refused(peer: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "x.json")
    for model in (
        peer.models.WordPiece({"a": 0}, unk_token="a"),
        peer.models.WordLevel({"a": 0}, unk_token="a"),
        peer.models.Unigram(),
    ):
        tokenizer = peer.Tokenizer(model)
        tokenizer.pre_tokenizer = peer.pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.save(path)
        refused(lambda: tt.BPETokenizer.load(path), "model.type")
    tokenizer = peer.Tokenizer(peer.models.BPE())
    tokenizer.save(path)
    refused(lambda: tt.BPETokenizer.load(path), "pre_tokenizer")
    tokenizer.pre_tokenizer = peer.pre_tokenizers.ByteLevel()
    tokenizer.save(path)
    refused(lambda: tt.BPETokenizer.load(path), "pre_tokenizer.add_prefix_space")
