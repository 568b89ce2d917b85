"""Module 11: how large a table is and how little of it a step reads, what looking up costs, what positions can tell."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import tinytorch as tt
from analyses.drawing import chart
from analyses.measuring import medians, torch_if_installed
from analyses.record import Analysis, Section, Table
from tinytorch.frontend.embeddings.embeddings import sinusoids

_BACKGROUND = """
A table of V vectors of d elements is V d parameters. Looking a token up moves d elements and computes nothing; it is
the product of a one-hot row with the table, without its 2 V d operations. The gradient of a row is the sum of what
arrives for each token that read it; all other rows get 0.

Sinusoidal positions are p(t)[2i] = sin(t ωᵢ), p(t)[2i+1] = cos(t ωᵢ), with ωᵢ = 10000^(-2i/d) (Vaswani et al. 2017).
Each pair turns with t, so p(t + k) = R(k) p(t) with the same matrix R(k) for every t, and p(t)·p(t + k) = Σ cos(k ωᵢ).

Random vectors of d elements are nearly orthogonal: their cosines have the deviation 1/√d.
"""
_QUESTIONS = (
    "A step with AdamW reads and writes the moments of every row, also of those that no token named. How much of its "
    "traffic is that, at V = 50,257?",
    "Frequent tokens are few. Which table of what size would hold only the rows that a typical batch reads?",
    "A gradient that is zero in most rows could be kept as (rows, values). What would momentum and weight decay need?",
    "Sinusoidal positions exist for every t, yet models trained with them fail far beyond their training length. Why?",
    "Twice the dimension halves the squared cosine of two random vectors. What else does it double?",
)


def analyze(
    *, quick: bool = False, Embedding: Any = tt.Embedding, sinusoids: Callable[[int, int], Any] = sinusoids
) -> Analysis:
    """Measure these tables, and positions by this formula, `sinusoids(length, dim)`."""
    return Analysis(
        "Embeddings: tables, look-ups, positions",
        _BACKGROUND,
        [_memory(Embedding, quick), _look_up(Embedding, quick), _shifts(sinusoids), _dimensions(Embedding)],
        _QUESTIONS,
    )


def _memory(Embedding: Any, quick: bool) -> Section:
    """Bytes of tables and of what training keeps, and the rows that tokens of a Zipf distribution name."""
    tokens, dim = 4096, 64 if quick else 256
    rng = np.random.default_rng(0)
    figure, axes = chart("tokens in a step", "share of the table's rows that they read", log_x=True, log_y=True)
    counts = [2**i for i in range(6, 15)]
    rows: list[list[Any]] = []
    for vocab in (256, 8192, 50257):
        drawn = _zipf(rng, vocab, max(counts))
        shares = [len(np.unique(drawn[:n])) / vocab for n in counts]
        axes.plot(counts, shares, "o-", markersize=3, label=f"V = {vocab:,}")
        table = Embedding(vocab, dim).weight
        read = len(np.unique(drawn[:tokens]))
        rows.append([vocab, table.numel(), table.numel() * 4, table.numel() * 4 * 4, read, read / vocab])
    axes.legend(fontsize=8)
    last = rows[-1]
    reading = (
        f"{tokens:,} tokens, drawn by Zipf's law, read {last[4]:,} of {last[0]:,} rows, {last[5]:.1%}. Weights, "
        f"gradient and AdamW's two moments of that table are {last[3] / 2**20:.0f} MiB."
    )
    columns = ["rows V", "parameters", "bytes", "with gradient and moments, bytes", f"rows read by {tokens:,} tokens",
               "share"]  # fmt: skip
    return Section("How large is a table, and how much of it does a step read?", reading, Table(columns, rows), figure)


def _zipf(rng: np.random.Generator, vocab: int, count: int) -> Any:
    """Tokens whose frequency is one over their rank."""
    shares = 1 / np.arange(1, vocab + 1)
    return rng.choice(vocab, count, p=shares / shares.sum())


def _look_up(Embedding: Any, quick: bool) -> Section:
    """A look-up beside the product with one-hot rows, by the size of the table."""
    dim, tokens = 64, 256
    torch = torch_if_installed()
    rng = np.random.default_rng(0)
    rows: list[list[Any]] = []
    ways: list[str] = []
    for vocab in (64, 1024) if quick else (64, 256, 1024, 4096, 16384):
        table = Embedding(vocab, dim)
        named = rng.integers(0, vocab, tokens)
        indices = tt.Tensor(named)
        one_hot = tt.Tensor(np.eye(vocab, dtype=np.float32)[named])
        look_up, product = tt.compile(table), tt.compile(lambda x, table=table: x @ table.weight)
        same = abs(look_up(indices).numpy() - product(one_hot).numpy()).max()
        assert same < 1e-5, "a look-up is the product with one-hot rows"
        calls: dict[str, Callable[[], Any]] = {
            "look-up": lambda look_up=look_up, indices=indices: look_up(indices),
            "one-hot product": lambda product=product, one_hot=one_hot: product(one_hot),
        }
        if torch:
            calls["torch look-up"] = _torch_look_up(torch, table, named)
        ways = list(calls)
        times = medians(calls, 0.05 if quick else 0.3)
        rows.append([vocab, 2 * tokens * vocab * dim, tokens * vocab * 4, *(times[way] * 1e6 for way in ways)])
    figure, axes = chart("rows of the table", f"time of {tokens} tokens, µs", log_x=True, log_y=True)
    for i, way in enumerate(ways):
        axes.plot([row[0] for row in rows], [row[3 + i] for row in rows], "o-", label=way)
    axes.legend(fontsize=8)
    first, last = rows[0], rows[-1]
    reading = (
        f"From {first[0]} to {last[0]:,} rows the look-up takes {last[3] / first[3]:.1f} times as long, the product "
        f"{last[4] / first[4]:.0f} times; at {last[0]:,} rows the product takes {last[4] / last[3]:.0f} times as long "
        "as the look-up, for the same numbers."
    )
    columns = ["rows", "operations of the product", "bytes of the one-hot rows", *(f"{way}, µs" for way in ways)]
    return Section("What does a look-up save?", reading, Table(columns, rows), figure)


def _torch_look_up(torch: Any, table: Any, named: Any) -> Callable[[], Any]:
    module = torch.nn.Embedding.from_pretrained(torch.from_numpy(table.weight.detach().numpy().copy()))
    indices = torch.from_numpy(named)

    def call() -> Any:
        with torch.no_grad():
            return module(indices)

    return call


def _shifts(sinusoids: Callable[[int, int], Any]) -> Section:
    """Whether a shift turns each pair of elements alike at all positions: fitted on one half, tried on the other."""
    length, dim = 512, 64
    tt.manual_seed(0)
    learned = tt.PositionalEncoding(length, dim).weight.detach().numpy().astype(np.float64)
    kinds = {"sinusoidal": sinusoids(length, dim), "learned, before training": learned}
    figure, axes = chart("distance k", "p(t)·p(t + k) / p(t)·p(t), over all t")
    distances = np.arange(0, 65)
    rows: list[list[Any]] = []
    for label, table in kinds.items():
        squares = (table**2).sum(1)
        products = [(table[: length - k] * table[k:]).sum(1) / squares[: length - k] for k in distances]
        means = np.array([p.mean() for p in products])
        spread = np.array([p.std() for p in products])
        axes.plot(distances, means, label=label)
        axes.fill_between(distances, means - spread, means + spread, alpha=0.25)
        rows.append([label, 0 if label == "sinusoidal" else table.size, spread.max(), *_shift_errors(table, (1, 16))])
    axes.legend(fontsize=8)
    known, unknown = rows
    reading = (
        f"Sinusoidal products depend on the distance alone: over all t they spread by {known[2]:.1e}, learned ones "
        f"at their start by {unknown[2]:.2f}. The same turn of each pair moves sinusoidal positions by 16 also where "
        f"it was not fitted (error {known[4]:.1e}); none does so for learned ones yet ({unknown[4]:.2f})."
    )
    columns = ["positions", "parameters", "largest spread", "error of a shift by 1", "error of a shift by 16"]
    return Section("What do positions tell: learned or by a formula?", reading, Table(columns, rows), figure)


def _shift_errors(table: Any, distances: tuple[int, ...]) -> list[float]:
    """For each distance k the relative error, on unseen positions, of the best 2×2 matrices M of each pair of elements
    with p(t) M = p(t + k)."""
    half, errors = len(table) // 2, list[float]()
    for k in distances:
        wrong = 0.0
        for i in range(0, table.shape[1], 2):
            pair = table[:, i : i + 2]
            matrix = np.linalg.lstsq(pair[: half - k], pair[k:half], rcond=None)[0]
            wrong += ((pair[half:-k] @ matrix - pair[half + k :]) ** 2).sum()
        errors.append(math.sqrt(wrong) / float(np.linalg.norm(table[half + k :])))
    return errors


def _dimensions(Embedding: Any) -> Section:
    """How alike the most alike of 1000 new vectors are, by their dimension."""
    count = 1000
    dims = (8, 16, 32, 64, 128, 256, 512)
    rows: list[list[Any]] = []
    for dim in dims:
        tt.manual_seed(dim)
        table = Embedding(count, dim).weight.detach().numpy()
        unit = table / np.linalg.norm(table, axis=1, keepdims=True)
        cosines = (unit @ unit.T)[~np.eye(count, dtype=bool)]
        rows.append([dim, count * dim * 4, float(cosines.std()), 1 / math.sqrt(dim), float(abs(cosines).max())])
    figure, axes = chart("dimension d", f"cosines between {count:,} random vectors", log_x=True, log_y=True)
    axes.plot(dims, [row[4] for row in rows], "o-", label="largest")
    axes.plot(dims, [row[2] for row in rows], "o", label="standard deviation")
    axes.plot(dims, [row[3] for row in rows], "--", label="1/√d")
    axes.set_xticks(dims, [str(d) for d in dims])
    axes.legend(fontsize=8)
    off = max(abs(row[2] / row[3] - 1) for row in rows)
    reading = (
        f"The deviation of the cosines is 1/√d within {off:.1%}. The two most alike of {count:,} vectors have a cosine "
        f"of {rows[0][4]:.2f} in {dims[0]} dimensions and of {rows[-1][4]:.2f} in {dims[-1]}, for "
        f"{dims[-1] // dims[0]} times the memory."
    )
    columns = ["d", "bytes", "deviation of cosines", "1/√d", "largest cosine"]
    return Section("What does a larger dimension buy?", reading, Table(columns, rows), figure)
