"""Tokenizers: pieces, merges, special tokens, round trips, files, and what is wrong with any of them."""

from __future__ import annotations

import copy
import json
import pickle
import unicodedata
from collections.abc import Callable, Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinytorch as tt
from tinytorch.frontend.tokenization import pieces
from tinytorch.frontend.tokenization.byte_names import from_name, to_name
from tinytorch.frontend.tokenization.merging import Merges
from tinytorch.frontend.tokenization.unicode_classes import LETTER, NUMBER, SPACE, class_table
from tinytorch.frontend.tokenization.vocabulary import Merge, from_names
from tinytorch.ir.errors import TinyTorchError

HERE = "test_tokenization.py:"
END = "<|endoftext|>"
WORDS = "\n".join(["low"] * 5 + ["lower"] * 2 + ["newest"] * 6 + ["widest"] * 3)  # Sennrich et al. 2016, figure 1
MIXED = "I'll say: don't, 12345 times! Größe  naïve\u3000日本語 🙂🙂\n\n\tthe the there then \r\n"


def trained(**options: Any) -> tt.BPETokenizer:
    return tt.BPETokenizer().train(WORDS + MIXED, **{"vocab_size": 276, "special_tokens": [END, "<|a|>"], **options})


def cut(text: str) -> list[str]:
    return [piece.decode() for piece in chain.from_iterable(pieces.pieces(text.encode()))]


def refused(function: Callable[[], Any], *words: str) -> None:
    """It raises an error that says this, and names the line of this file."""
    with pytest.raises(TinyTorchError) as raised:
        function()
    message, _, line = str(raised.value).rpartition("\n  ")  # the line, quoted, has the words anyway
    assert all(word in message for word in words), message
    assert line.startswith(HERE)


# Characters.
def test_characters_are_numbered_by_their_code_points() -> None:
    tokenizer = tt.CharTokenizer().train("hello")
    assert tokenizer.vocabulary == ["e", "h", "l", "o"] and tokenizer.vocab_size == 4
    assert tokenizer.encode("hole") == [1, 3, 2, 0] and tokenizer.decode([1, 3, 2, 0]) == "hole"
    assert tokenizer.train(["cab", "", "é🙂"]).vocabulary == ["a", "b", "c", "é", "🙂"]
    assert tokenizer.encode("") == [] and tokenizer.decode([]) == ""


def test_a_given_vocabulary_keeps_its_order() -> None:
    assert tt.CharTokenizer("ba\n").encode("ab\n") == [1, 0, 2]
    assert tt.CharTokenizer(["z", "y"]).decode(np.array([1, 0, 0])) == "yzz"
    assert tt.CharTokenizer(c for c in "xy").vocab_size == 2


@given(st.text(st.characters(exclude_categories=()), min_size=1))
def test_any_characters_come_back(text: str) -> None:
    tokenizer = tt.CharTokenizer().train(text)
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_characters_are_saved(tmp_path: Path) -> None:
    for vocabulary in ('ab\n"\\\0', "é🙂\u2028", "\ud83d\ude42", ""):
        tt.CharTokenizer(vocabulary).save(tmp_path / "characters.json")
        assert tt.CharTokenizer.load(tmp_path / "characters.json").vocabulary == list(vocabulary)


def test_mistakes_with_characters() -> None:
    tokenizer = tt.CharTokenizer("abc")
    refused(lambda: tokenizer.encode("abxc"), "character 2", "'x'", "3 of the vocabulary")
    refused(lambda: tt.CharTokenizer().encode("a"), "character 0", "'a'")
    refused(lambda: tokenizer.encode(b"ab"), "text is a string", "bytes")
    refused(lambda: tokenizer.encode(["a"]), "text is a string", "list")
    refused(lambda: tokenizer.decode([0, 3]), "token 1 of 2 is 3", "0 to 2")
    refused(lambda: tokenizer.decode([-1]), "token 0 of 1 is -1")
    refused(lambda: tt.CharTokenizer().decode([0]), "the vocabulary is empty")
    refused(lambda: tt.CharTokenizer("hello"), "vocabulary[3] is 'l'", "vocabulary[2]", "train")
    refused(lambda: tt.CharTokenizer(["a", "bc"]), "vocabulary[1] is 'bc'")
    refused(lambda: tt.CharTokenizer(["a", 1]), "vocabulary[1] is 1")
    refused(lambda: tt.CharTokenizer(b"ab"), "vocabulary")
    refused(lambda: tt.CharTokenizer(7), "vocabulary")
    for corpus in ("", [], [""]):
        refused(lambda corpus=corpus: tokenizer.train(corpus), "corpus is empty")
    refused(lambda: tokenizer.train(b"abc"), "corpus is a string or several")
    refused(lambda: tokenizer.train(["a", 3]), "text 1 of the corpus", "int")
    assert tokenizer.vocabulary == ["a", "b", "c"]


@pytest.mark.parametrize(
    "content, word",
    [
        ('{"type": "CharTokenizer", "version": "1.0", "vocabulary": ["a"', "JSON"),
        ("[1]", "the file must be a table"),
        ('{"version": "1.0", "vocabulary": ["a"]}', "type is missing"),
        ('{"type": "BPE", "version": "1.0", "vocabulary": ["a"]}', 'type is "BPE"'),
        ('{"type": "CharTokenizer", "version": "2", "vocabulary": ["a"]}', 'version is "2"'),
        ('{"type": "CharTokenizer", "version": "1.0", "vocabulary": "abc"}', "vocabulary must be a list"),
        ('{"type": "CharTokenizer", "version": "1.0", "vocabulary": ["a", "bc"]}', "vocabulary[1] is 'bc'"),
        ('{"type": "CharTokenizer", "version": "1.0", "vocabulary": ["a", "a"]}', "vocabulary[1] is 'a'"),
        ('{"type": "CharTokenizer", "version": "1.0", "vocabulary": [], "vocabulary": []}', "stands twice"),
    ],
)
def test_damaged_files_of_characters(tmp_path: Path, content: str, word: str) -> None:
    path = tmp_path / "characters.json"
    path.write_text(content)
    refused(lambda: tt.CharTokenizer.load(path), "characters.json", word)


# Pieces.
@pytest.mark.parametrize(
    "text, expected",
    [
        ("Hello world", ["Hello", " world"]),
        ("I'm you're he'd we'll", ["I", "'m", " you", "'re", " he", "'d", " we", "'ll"]),
        ("it's don't I've", ["it", "'s", " don", "'t", " I", "'ve"]),
        ("I'M 'so 'xs", ["I", "'", "M", " '", "so", " '", "xs"]),
        ("a1b22 333", ["a", "1", "b", "22", " 333"]),
        ("x  y   z", ["x", " ", " y", "  ", " z"]),
        ("x \n y\n\nz", ["x", " \n", " y", "\n", "\n", "z"]),
        ("end  ", ["end", "  "]),
        (" \t", [" \t"]),
        ("!!! ...a_b", ["!!!", " ...", "a", "_", "b"]),
        ("naïve Größe", ["naïve", " Größe"]),
        ("x\u3000\u3000y", ["x", "\u3000", "\u3000", "y"]),  # only a space of ASCII goes with a word
        ("x\u00a0y\u0085", ["x", "\u00a0", "y", "\u0085"]),
        ("日本語、テスト", ["日本語", "、", "テスト"]),
        ("١٢٣ Ⅷ½", ["١٢٣", " Ⅷ½"]),
        ("🙂🙂 🙂", ["🙂🙂", " 🙂"]),
        ("e\u0301x", ["e", "\u0301", "x"]),  # a mark is no letter
        ("a\x1cb", ["a", "\x1c", "b"]),  # str.isspace() says it is a space, Unicode does not
        ("ſ's'ſ", ["ſ", "'s", "'", "ſ"]),
        ("", []),
    ],
)  # fmt: skip
def test_pieces(text: str, expected: list[str]) -> None:
    assert cut(text) == expected


@given(st.text(st.sampled_from("xs1 \n'!\x1f")))
def test_a_text_in_ascii_is_cut_like_any_other(text: str) -> None:
    assert [piece.replace("x", "é") for piece in cut(text)] == cut(text.replace("x", "é"))


def test_classes_are_those_of_unicode() -> None:
    table = class_table()
    for code in range(128, 0x110000):
        category = unicodedata.category(chr(code))
        if category != "Cn":  # not assigned yet, as this version of Python knows it
            assert (table[code] == LETTER) == (category[0] == "L"), hex(code)
            assert (table[code] == NUMBER) == (category[0] == "N"), hex(code)
            assert (table[code] == SPACE) == chr(code).isspace(), hex(code)
    assert table[0x1C89] == LETTER and table[0x10D40] == NUMBER  # of Unicode 16
    beyond = table[128:]
    assert [int((beyond == kind).sum()) for kind in (LETTER, NUMBER, SPACE)] == [140976, 1901, 19]


def test_bytes_that_are_no_characters_are_signs() -> None:
    data = b"\xffa \xff\xc3b\xed\xa0\x80 \xe6\x97 1"
    expected = [b"\xff", b"a", b" \xff\xc3", b"b", b"\xed\xa0\x80", b" \xe6\x97", b" 1"]
    assert list(chain.from_iterable(pieces.pieces(data))) == expected


@given(st.binary())
def test_pieces_joined_are_the_text(data: bytes) -> None:
    assert b"".join(chain.from_iterable(pieces.pieces(data))) == data


@given(st.text(st.sampled_from("aé1 \n\t'sl!🙂\u3000\xa0"), max_size=40), st.integers(0, 5))
def test_long_texts_are_cut_where_pieces_end(text: str, block: int) -> None:
    whole = cut(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "_BLOCK", block)
        assert cut(text) == whole


def test_the_names_of_bytes() -> None:
    assert to_name(b"a b\n\x00\xff\xad") == "aĠbĊĀÿŃ"
    every = bytes(range(256))
    assert from_name(to_name(every)) == every and len(set(to_name(every))) == 256
    assert from_name("a b") is None


# Byte pairs: learning.
def merges_of(tokenizer: tt.BPETokenizer, path: Path) -> list[str]:
    tokenizer.save(path)
    return [" ".join(pair) for pair in json.loads(path.read_text())["model"]["merges"]]


def test_the_example_of_sennrich(tmp_path: Path) -> None:
    """Ties go to the smaller ids, which are those of the bytes in the order of their names."""
    tokenizer = tt.BPETokenizer().train(WORDS, vocab_size=1000)
    expected = ["e s", "es t", "l o", "lo w", "e w", "n ew", "new est", "d est", "i dest", "w idest", "e r", "low er"]
    assert merges_of(tokenizer, tmp_path / "x.json") == expected
    assert tokenizer.vocab_size == 256 + 12
    assert [tokenizer.decode([t]) for t in tokenizer.encode("lowest\nnewer")] == ["low", "est", "\n", "new", "er"]
    assert tokenizer.train(WORDS, vocab_size=258).encode("est") == [257]
    assert merges_of(tokenizer.train(WORDS, 1000, min_frequency=7), tmp_path / "x.json") == expected[:4]


def test_runs_are_joined_from_the_left(tmp_path: Path) -> None:
    tokenizer = tt.BPETokenizer().train("aaaaa", min_frequency=1)
    assert merges_of(tokenizer, tmp_path / "x.json") == ["a a", "aa a", "aa aaa"]
    assert tokenizer.encode("aaaaaaa") == [256, 258]  # aa aa aa a, then aa aa aaa, then aa aaaaa


def test_a_new_tokenizer_has_bytes() -> None:
    tokenizer = tt.BPETokenizer()
    assert tokenizer.vocab_size == 256 and tokenizer.special_tokens == {}
    assert tokenizer.encode("!~é") == [0, 93, 127, 102]
    assert sorted(chain.from_iterable(tokenizer.encode_bytes(bytes([b])) for b in range(256))) == list(range(256))


def test_several_texts_are_not_joined() -> None:
    assert tt.BPETokenizer().train(["ab", "ab"]).encode("ab") == [256]
    assert tt.BPETokenizer().train(text for text in ("ab", "ab")).vocab_size == 257
    assert tt.BPETokenizer().train(["a", "b", "a", "b"]).vocab_size == 256


def test_training_again_replaces_what_was_learned() -> None:
    tokenizer = trained()
    assert tokenizer.train("xyxy", 300).vocab_size == 257 and tokenizer.special_tokens == {}
    assert tokenizer.encode("xy") == [256] and tokenizer.encode("the") == [83, 71, 68]


def test_special_tokens_of_a_corpus_are_passed_over() -> None:
    tokenizer = tt.BPETokenizer().train("ab<|x|>ab<|x|>" * 9, special_tokens=["<|x|>"])
    assert [tokenizer.decode([token]) for token in range(257, tokenizer.vocab_size)] == ["ab"]


def test_no_merge_has_the_name_of_a_special_token(tmp_path: Path) -> None:
    """Files spell " x" as "Ġx", which may be a special token, too."""
    tokenizer = tt.BPETokenizer().train([" x x xy"] * 9, special_tokens=["Ġx"])
    assert tokenizer.decode(tokenizer.encode(" x xyĠx", allowed_special="all")) == " x xyĠx"
    tokenizer.save(tmp_path / "x.json")
    assert tt.BPETokenizer.load(tmp_path / "x.json").encode(" x xy") == tokenizer.encode(" x xy")
    assert [tokenizer.decode([token]) for token in range(257, tokenizer.vocab_size)] == ["xy", " xy"]


def test_no_text_gives_a_special_token() -> None:
    tokenizer = tt.BPETokenizer().train(["user users"] * 9, special_tokens=["user"])
    assert tokenizer.special_tokens == {"user": 0}
    assert 0 not in tokenizer.encode("user users") and tokenizer.encode("user", allowed_special="all") == [0]
    assert tokenizer.decode(tokenizer.encode("user users")) == "user users"


# Byte pairs: encoding and decoding.
@given(st.text())
def test_any_text_comes_back(text: str) -> None:
    tokenizer = TRAINED
    tokens = tokenizer.encode(text)
    assert tokenizer.decode(tokens) == text and tokenizer.encode_bytes(text.encode()) == tokens
    assert tokenizer.decode(tokenizer.encode(text, allowed_special="all")) == text


@given(st.binary())
def test_any_bytes_come_back(data: bytes) -> None:
    tokens = TRAINED.encode_bytes(data)
    assert TRAINED.decode_bytes(tokens) == data
    assert TRAINED.decode(tokens) == data.decode("utf-8", "replace")


def defined(merges: Sequence[Merge], tokens: list[int]) -> list[int]:
    """The definition: the leftmost of the pairs of least rank is joined, again and again."""
    ranks = {(left, right): (rank, made) for rank, (left, right, made) in enumerate(merges)}
    tokens = list(tokens)
    while found := [(*ranks[pair], at) for at, pair in enumerate(pairwise(tokens)) if pair in ranks]:
        _, made, at = min(found, key=lambda candidate: (candidate[0], candidate[2]))
        tokens[at : at + 2] = [made]
    return tokens


AB = st.text(st.sampled_from("ab"), max_size=80)
ANY_ORDER = st.permutations(["a b", "b a", "a a", "b b", "ab a", "a ba", "aa bb", "ab ab", "ba ba", "b aa"])


@given(ANY_ORDER, AB)
def test_pieces_are_encoded_as_defined(order: list[str], text: str) -> None:
    """By both ways, short and long; also with merges that no training gives, where a token's own merge ranks behind
    one that takes the token."""
    names = dict.fromkeys(["a", "b", *(pair.replace(" ", "") for pair in order)])
    pairs = [(left, right) for left, right in map(str.split, order)]
    merges = from_names({name: number for number, name in enumerate(names)}, pairs, {}, "").merges
    tokens = ["ab".index(character) for character in text] or [0]
    both = Merges(merges)
    assert both._by_looking(list(tokens)) == both._by_rank(list(tokens)) == defined(merges, tokens)


@given(AB, AB)
def test_what_is_learned_is_applied_as_defined(corpus: str, text: str) -> None:
    tokenizer = tt.BPETokenizer().train(corpus + "\n", vocab_size=280, min_frequency=1)
    merges, byte_ids = tokenizer._vocabulary.merges, tokenizer._vocabulary.byte_ids
    assert tokenizer.encode(text) == defined(merges, [byte_ids[byte] for byte in text.encode()])
    assert tokenizer.encode(text * 9) == defined(merges, [byte_ids[byte] for byte in text.encode() * 9])


def test_long_pieces_take_no_time_squared() -> None:
    tokenizer = tt.BPETokenizer().train("ab" * 1000, vocab_size=300)
    assert tokenizer.decode(tokenizer.encode("ab" * 200_000)) == "ab" * 200_000


def test_the_cache_is_bounded() -> None:
    tokenizer = trained()
    text = " ".join(map(str, range(70_000)))
    tokens = tokenizer.encode(text)
    assert len(tokenizer._tokens_of) <= 1 << 16 and tokenizer.decode(tokens) == text
    assert tokenizer.encode(text) == tokens
    tokenizer.encode("x" * 1000)
    assert max(map(len, tokenizer._tokens_of)) <= 64


def test_special_tokens_are_text_unless_allowed() -> None:
    tokenizer = trained(special_tokens=["<|a|>", "<|a|><|b|>", END, "日"])
    assert tokenizer.special_tokens == {"<|a|>": 0, "<|a|><|b|>": 1, END: 2, "日": 3}
    text = f"x{END}<|a|><|b|><|a|>日"
    assert not set(range(4)) & set(tokenizer.encode(text))
    assert tokenizer.encode(text, allowed_special="all")[1:] == [2, 1, 0, 3]
    assert tokenizer.encode_bytes(text.encode(), allowed_special="all")[1:] == [2, 1, 0, 3]
    some = tokenizer.encode(text, allowed_special={"<|a|>"})
    assert [token for token in some if token < 4] == [0, 0]
    for allowed in ("all", (), ["日"], {END: 1}):
        assert tokenizer.decode(tokenizer.encode(text, allowed_special=allowed)) == text
    # Pieces end at a special token, as at the end of a text.
    assert tokenizer.encode(f"a  {END}b", allowed_special="all") == [
        *tokenizer.encode("a  "),
        2,
        *tokenizer.encode("b"),
    ]
    refused(lambda: tokenizer.encode(text, allowed_special="<|a|>"), "allowed_special", '"all"')
    refused(lambda: tokenizer.encode(text, allowed_special=["<|c|>"]), "allowed_special", "<|c|>")
    refused(lambda: tokenizer.encode(text, allowed_special=[["<|a|>"]]), "allowed_special")
    refused(lambda: tokenizer.encode(text, allowed_special=True), "allowed_special")


def test_tokens_may_be_arrays_and_tensors() -> None:
    tokenizer = trained()
    tokens = tokenizer.encode(MIXED)
    for kind in (tuple, iter, np.array, lambda t: tt.from_numpy(np.array(t)), lambda t: [np.int32(x) for x in t]):
        assert tokenizer.decode(kind(tokens)) == MIXED
    assert tokenizer.decode(np.array(tokens, np.uint16)) == MIXED


def test_copies_and_pickles_encode_the_same() -> None:
    tokenizer = trained()
    tokens = tokenizer.encode(MIXED)
    for other in (copy.deepcopy(tokenizer), copy.copy(tokenizer), pickle.loads(pickle.dumps(tokenizer))):
        assert other.encode(MIXED) == tokens and other.encode("another text") == tokenizer.encode("another text")


def test_mistakes_with_byte_pairs() -> None:
    tokenizer = TRAINED
    refused(lambda: tokenizer.encode(b"ab"), "text is a string", "encode_bytes")
    refused(lambda: tokenizer.encode(None), "text is a string", "NoneType")
    refused(lambda: tokenizer.encode_bytes("ab"), "data is bytes", "str")
    refused(lambda: tokenizer.encode("ab\ud800"), "character 2", "'\\ud800'")
    refused(lambda: tokenizer.decode([1, 276]), "token 1 of 2 is 276", "0 to 275")
    refused(lambda: tokenizer.decode_bytes([-1]), "decode_bytes", "token 0 of 1 is -1")
    refused(lambda: tokenizer.decode([1, 2.0]), "token 1", "2.0")
    refused(lambda: tokenizer.decode([True]), "token 0", "True")
    refused(lambda: tokenizer.decode("12"), "tokens", "type str")
    refused(lambda: tokenizer.decode(5), "tokens")
    refused(lambda: tokenizer.decode(np.array(5)), "tokens")
    refused(lambda: tokenizer.decode([[1, 2]]), "token 0")
    refused(lambda: tokenizer.decode(np.array([1.0])), "token 0")


def test_mistakes_in_training_change_nothing() -> None:
    tokenizer = trained()
    before = tokenizer.encode(MIXED)
    for corpus in ("", [], ["", ""], END):
        refused(lambda corpus=corpus: tokenizer.train(corpus, special_tokens=[END]), "corpus is empty")
    refused(lambda: tokenizer.train(b"abc"), "corpus is a string or several")
    refused(lambda: tokenizer.train(3), "corpus is a string or several")
    refused(lambda: tokenizer.train(["a", b"b"]), "text 1 of the corpus", "bytes")
    refused(lambda: tokenizer.train("\udc00"), "character 0")
    refused(lambda: tokenizer.train("a", 255), "vocab_size", "at least 256")
    refused(lambda: tokenizer.train("a", 256, special_tokens=["<a>"]), "at least 257", "1 special")
    refused(lambda: tokenizer.train("a", 300.0), "vocab_size", "300.0")
    refused(lambda: tokenizer.train("a", min_frequency=-1), "min_frequency", "-1")
    refused(lambda: tokenizer.train("a", special_tokens="<a>"), "special_tokens", "list")
    refused(lambda: tokenizer.train("a", special_tokens=None), "special_tokens", "list")
    refused(lambda: tokenizer.train("a", special_tokens=[1]), "special_tokens", "int")
    refused(lambda: tokenizer.train("a", special_tokens=[""]), "special_tokens", "not empty")
    refused(lambda: tokenizer.train("a", special_tokens=["<a>", "<a>"]), "special_tokens", "each once")
    refused(lambda: tokenizer.train("a", special_tokens=["Ġ"]), "'Ġ'", "one byte")
    assert tokenizer.encode(MIXED) == before and tokenizer.special_tokens == {END: 0, "<|a|>": 1}


TRAINED = trained()
