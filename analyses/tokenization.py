"""Module 10: vocabulary against length, scripts beyond ASCII, what a token should be, and what merging costs."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from functools import cache, partial
from itertools import pairwise
from typing import Any

import tinytorch as tt
from analyses.drawing import chart, charts, style
from analyses.measuring import medians
from analyses.record import Analysis, Section, Table

_BACKGROUND = """
A tokenizer maps a text to integers below V. A model pays for V in its table of embeddings (V d numbers) and in its last
layer (V d more), and for the length n of the sequence in attention (n² scores a head) and in steps of generation.

- Characters: V is the number of different ones; n is the length of the text; others are unknown.
- Words: n is small, V large, and what was not in the corpus is unknown.
- Byte pairs: begin with the 256 bytes, again and again join the most frequent pair of neighbours (Sennrich et al. 2016,
  Radford et al. 2019). Nothing is unknown, since every text is bytes in UTF-8: 1 for ASCII, up to 4 for a character.
- Encoding a piece of n bytes by looking for the first merge among all neighbours takes O(n²); with the places of each
  pair in a heap, O(n log n).
"""
_QUESTIONS = (
    "From which vocabulary on does the table of embeddings (d = 256) hold more numbers than a layer of a transformer "
    "with 12 d² weights?",
    "Doubling the vocabulary from 1,024 shortens the text by how much here? By how much do n² attention scores shrink?",
    "Why does a text in Chinese have more tokens for each character than one in English, under a tokenizer trained on "
    "English?",
    "A user writes <|endoftext|> into a prompt. What should encode() do, and why is that a question of safety?",
    "Byte pairs are learned from counts alone. Which tokens would a corpus of code give that prose does not?",
)
_SENTENCES = {
    "English": "Good morning, how are you today?",
    "German": "Guten Morgen, wie geht es dir heute?",
    "French": "Bonjour, ça va bien aujourd'hui, mon très cher élève ?",
    "Greek": "Καλημέρα, πώς είσαι σήμερα;",
    "Russian": "Доброе утро, как ты сегодня?",
    "Hindi": "सुप्रभात, आज आप कैसे हैं?",
    "Chinese": "早上好，你今天怎么样？",
    "Japanese": "おはようございます、今日は元気ですか？",
    "emoji": "🌅👋🙂❓",
}


def analyze(*, quick: bool = False, CharTokenizer: Any = tt.CharTokenizer, looking: Any = None) -> Analysis:
    """Measure this tokenizer of characters, and `looking(merges)`, a function of the tokens of a piece (which it may
    change), against the package's merging."""
    return Analysis(
        "Tokenization: vocabulary, scripts, units, merging",
        _BACKGROUND,
        [
            _vocabulary(quick),
            _scripts(CharTokenizer, quick),
            _units(CharTokenizer, quick),
            _merging(looking, quick),
        ],
        _QUESTIONS,
    )


@cache
def corpus(quick: bool) -> tuple[str, str]:
    """English prose and code that every Python has, its own help texts: to learn from, and held out."""
    from pydoc_data.topics import topics

    text = "\n".join(topics[name] for name in sorted(topics))[: 60_000 if quick else None]
    cut = len(text) * 9 // 10
    return text[:cut], text[cut:]


@cache
def learned(size: int, quick: bool) -> tt.BPETokenizer:
    return tt.BPETokenizer().train(corpus(quick)[0], size)


def _vocabulary(quick: bool) -> Section:
    """Tokens for the held-out text, by the size of the vocabulary."""
    sizes = (256, 512, 1024) if quick else (256, 512, 1024, 2048, 4096, 8192)
    held_out = corpus(quick)[1]
    rows: list[list[Any]] = []
    for size in sizes:
        tokenizer = learned(size, quick)
        count = len(tokenizer.encode(held_out))
        length = count * 1000 / len(held_out)
        rows.append([tokenizer.vocab_size, length, 1000 / length, length * length, tokenizer.vocab_size * 256 * 4])
    figure, pair = charts(2)
    style(pair[0], "vocabulary V", "tokens per 1,000 characters", log_x=True)
    style(pair[1], "vocabulary V", "cost, against V = 256", log_x=True, log_y=True)
    pair[0].plot([row[0] for row in rows], [row[1] for row in rows], "o-")
    pair[0].set_ylim(0, None)
    for axes in pair:
        axes.set_xticks([row[0] for row in rows], [f"{row[0]}" for row in rows], fontsize=7)
        axes.minorticks_off()
    for column, name in ((3, "attention scores, n²"), (4, "table of embeddings, V d")):
        pair[1].plot([row[0] for row in rows], [row[column] / rows[0][column] for row in rows], "o-", label=name)
    shares = [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8, 16, 32]
    low, high = pair[1].get_ylim()
    shown = [share for share in shares if low < share < high]
    pair[1].set_yticks(shown, [f"{share:g}" if share >= 1 else f"1/{1 / share:g}" for share in shown])
    pair[1].legend(fontsize=8)
    first, last = rows[0], rows[-1]
    reading = (
        f"From {first[0]} to {last[0]:,} tokens, 1,000 characters of the text held out shrink from {first[1]:,.0f} to "
        f"{last[1]:,.0f} tokens, attention scores by {first[3] / last[3]:.1f} times, while the table grows by "
        f"{last[4] / first[4]:.0f} times. The last doubling saves {1 - last[1] / rows[-2][1]:.1%} of the tokens."
    )
    columns = ["vocabulary", "tokens per 1,000 characters", "characters per token", "attention scores"]
    columns += ["table of embeddings, d = 256, bytes"]
    return Section("What does a larger vocabulary buy?", reading, Table(columns, rows), figure)


def _scripts(CharTokenizer: Any, quick: bool) -> Section:
    """One greeting in several scripts, under tokenizers of English."""
    tokenizer = learned(1024, quick)
    known = set(CharTokenizer().train(corpus(quick)[0]).vocabulary)
    rows: list[list[Any]] = []
    for name, text in _SENTENCES.items():
        tokens = tokenizer.encode(text)
        assert tokenizer.decode(tokens) == text
        unknown = sum(character not in known for character in text)
        size = len(text.encode())
        rows.append([name, len(text), size / len(text), len(tokens) / len(text), unknown])
    figure, axes = chart("", "per character")
    for i, (column, label) in enumerate(((2, "bytes of UTF-8"), (3, "byte-pair tokens"))):
        axes.bar([j + 0.4 * i for j in range(len(rows))], [row[column] for row in rows], 0.4, label=label)
    axes.set_xticks([j + 0.2 for j in range(len(rows))], list(_SENTENCES), rotation=30, ha="right")
    axes.legend(fontsize=8)
    english, most = rows[0], max(rows, key=lambda row: float(row[3]))
    lost = sum(1 for row in rows if row[4])
    reading = (
        f"English takes {english[3]:.2f} tokens a character, {most[0]} {most[3]:.2f}, {most[3] / english[3]:.1f} times "
        "as "
        f"many. Every text comes back whole from byte pairs; of characters, {lost} of {len(rows)} sentences have some "
        "that the corpus has not."
    )
    columns = ["script", "characters", "bytes per character", "tokens per character", "unknown characters"]
    return Section("What do scripts beyond ASCII cost?", reading, Table(columns, rows), figure)


def _units(CharTokenizer: Any, quick: bool) -> Section:
    """Bytes, characters, byte pairs and words as tokens of the same text."""
    text, held_out = corpus(quick)
    pieces = re.compile(r"\w+|\s+|[^\w\s]")
    words, seen = pieces.findall(text), pieces.findall(held_out)
    vocabulary = set(words)
    characters = CharTokenizer().train(text)
    alphabet = set(characters.vocabulary)
    pairs = learned(1024 if quick else 4096, quick)
    thousands = len(held_out) / 1000
    units: list[tuple[str, int, int, float]] = [
        ("bytes", 256, len(held_out.encode()), 0.0),
        ("characters", characters.vocab_size, len(held_out), sum(c not in alphabet for c in held_out) / len(held_out)),
        ("byte pairs", pairs.vocab_size, len(pairs.encode(held_out)), 0.0),
        ("words", len(vocabulary), len(seen), sum(w not in vocabulary for w in seen) / len(seen)),
    ]
    rows = [[name, size, count / thousands, unknown, size * 256 * 4] for name, size, count, unknown in units]
    figure, axes = chart("vocabulary V", "tokens per 1,000 characters", log_x=True, log_y=True)
    for i, (name, size, count, unknown) in enumerate(units):
        axes.plot([size], [count / thousands], "o")
        above = 10 if i % 2 else -16  # bytes and characters lie side by side
        note = f"{name}: {unknown:.2%} unknown"
        axes.annotate(note, (size, count / thousands), textcoords="offset points", xytext=(-8, above), fontsize=8)
    axes.set_xlim(50, 60_000)
    axes.set_ylim(100, 2_000)
    by = {row[0]: row for row in rows}
    reading = (
        f"Words make {by['words'][2]:,.0f} tokens of 1,000 characters with a vocabulary of {by['words'][1]:,}, and "
        f"{by['words'][3]:.1%} of those held out are unknown. Byte pairs make {by['byte pairs'][2]:,.0f} with "
        f"{by['byte pairs'][1]:,} tokens, and none is unknown; characters make {by['characters'][2]:,.0f} with "
        f"{by['characters'][1]:,}."
    )
    columns = ["unit", "vocabulary", "tokens per 1,000 characters", "unknown, share", "table, d = 256, bytes"]
    return Section("Characters, subwords or words?", reading, Table(columns, rows), figure)


def by_looking(tokens: Sequence[int], merges: Sequence[tuple[int, int, int]]) -> list[int]:
    """The definition: join the pair whose merge comes first, its leftmost place first, until there is none."""
    ranks = {(left, right): rank for rank, (left, right, _) in enumerate(merges)}
    found = list(tokens)
    while True:
        known = [(ranks[pair], at) for at, pair in enumerate(pairwise(found)) if pair in ranks]
        if not known:
            return found
        rank, at = min(known)
        found[at : at + 2] = [merges[rank][2]]


def _merging(looking: Any, quick: bool) -> Section:
    """The time to encode one piece, by its length."""
    from tinytorch.frontend.tokenization.merging import Merges

    lengths = (32, 128, 512) if quick else (16, 64, 256, 1024, 2048)
    merges = [(a, b, 256 + 16 * a + b) for a in range(16) for b in range(16)]
    ways: dict[str, Callable[[list[int]], list[int]]] = {
        "looking at all pairs": looking(merges) if looking else partial(by_looking, merges=merges),
        "Merges": Merges(merges).apply,
    }
    draw = random.Random(0)
    rows: list[list[Any]] = []
    for length in lengths:
        piece = [draw.randrange(16) for _ in range(length)]
        tokens = [way(list(piece)) for way in ways.values()]
        assert tokens[0] == tokens[1], "looking at all pairs gives other tokens than the package's merging"
        calls: dict[str, Callable[[], Any]] = {name: lambda w=way, p=piece: w(list(p)) for name, way in ways.items()}
        times = medians(calls, 0.03 if quick else 0.3)
        rows.append([length, *(times[name] * 1e6 for name in ways)])
    figure, axes = chart("bytes of one piece", "time, µs", log_x=True, log_y=True)
    for i, name in enumerate(ways, 1):
        axes.plot([row[0] for row in rows], [row[i] for row in rows], "o-", label=name)
    axes.set_xticks(lengths, [f"{length:,}" for length in lengths])
    axes.minorticks_off()
    axes.legend(fontsize=8)
    growth = [rows[-1][i] / rows[-2][i] for i in (1, 2)]
    reading = (
        f"From {lengths[-2]:,} to {lengths[-1]:,} bytes, {lengths[-1] // lengths[-2]} times as many, looking at all "
        "pairs "
        f"takes {growth[0]:.1f} times as long and the package's merging {growth[1]:.1f} times. Both give the same "
        "tokens."
    )
    columns = ["bytes", *(f"{name}, µs" for name in ways)]
    return Section("How does encoding scale with the length of a piece?", reading, Table(columns, rows), figure)
