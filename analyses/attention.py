"""Module 12: what the scores cost in memory and time, what a kernel without them saves, and what masks save."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import tinytorch as tt
from analyses.drawing import chart, charts, style
from analyses.measuring import medians, peak_bytes, torch_if_installed
from analyses.record import Analysis, Section, Table
from tinytorch.frontend.attention.functions import scaled_dot_product_attention

_BACKGROUND = """
softmax(Q Kᵀ / √d) V of T queries and keys in each of h heads: two products of 2 T² d operations a head, and T² scores.

The scores need not exist at one time. For a row of them it is enough to keep the largest so far, m, the sum l of
exp(s - m), and the sum o of exp(s - m) v. A further block of keys with the maximum m' rescales what there is:
l ← l exp(m - m') + …, o ← o exp(m - m') + …. The result is o / l, exactly (Milakov & Gimelshein 2018; Dao et al. 2022).
Memory is then O(T d) in place of O(T²); the operations stay.

Products of random vectors q·k have the variance d, so that 1/√d keeps scores near 1, whatever d is.
"""
_QUESTIONS = (
    "At which length do the scores of 12 heads outgrow 16 GiB in f32? What does a kernel without them need there?",
    "Backward needs the weights again. What does a kernel keep for each row, so that it can compute them?",
    "A window of w keys makes T w pairs of T². What must a kernel know, at what time, to skip the others?",
    "Softmax is applied to a row at a time. Why can a row be cut into blocks all the same, and a median could not?",
    "Without 1/√d the weights of wide heads are nearly one-hot. What is then the gradient that reaches the scores?",
)
Attend = Callable[..., tt.Tensor]


def by_three_ops(Q: tt.Tensor, K: tt.Tensor, V: tt.Tensor, mask: tt.Tensor | None = None) -> tt.Tensor:
    """softmax(Q Kᵀ / √d + mask) V, with the scores in memory; `mask` as floats to add."""
    scores = Q @ K.transpose(-2, -1) * (1 / math.sqrt(Q.shape[-1]))
    return (scores if mask is None else scores + mask).softmax(-1) @ V


def analyze(*, quick: bool = False, attend: Attend = by_three_ops) -> Analysis:
    """Measure `attend(Q, K, V)`, which is written with the scores in memory, beside the kernel of
    `tt.scaled_dot_product_attention`."""
    memory, time = _lengths(attend, quick)
    return Analysis(
        "Attention: T² scores, and how to do without them",
        _BACKGROUND,
        [memory, time, _patterns(quick), _scale()],
        _QUESTIONS,
    )


def _operands(heads: int, length: int, dim: int) -> list[tt.Tensor]:
    rng = np.random.default_rng(0)
    return [tt.Tensor(rng.standard_normal((1, heads, length, dim)).astype(np.float32)) for _ in range(3)]


def _lengths(attend: Attend, quick: bool) -> tuple[Section, Section]:
    """Peak memory and time by the length."""
    heads, dim = 4, 32
    torch = torch_if_installed()
    memory, time, ways = list[list[Any]](), list[list[Any]](), list[str]()
    for length in (128, 256, 512) if quick else (64, 128, 256, 512, 1024, 2048):
        operands = _operands(heads, length, dim)
        kernel = tt.compile(lambda q, k, v: scaled_dot_product_attention(q, k, v))
        with tt.no_grad():
            off = abs(attend(*operands).numpy() - kernel(*operands).numpy()).max()
            peak = peak_bytes(lambda operands=operands: attend(*operands))
        assert off < 1e-4, "both compute the same"
        arena = kernel.executable.arena_bytes
        kept = 4 * heads * length * dim
        memory.append([length, 4 * heads * length**2, peak, 4 * kept, arena + kept])
        calls: dict[str, Callable[[], Any]] = {
            "three ops": lambda operands=operands: attend(*operands),
            "kernel": lambda kernel=kernel, operands=operands: kernel(*operands),
        }
        if torch:
            calls["torch"] = _torch_attention(torch, operands)
        ways = list(calls)
        with tt.no_grad():
            found = medians(calls, 0.05 if quick else 0.3)
        time.append([length, 4 * heads * length**2 * dim, *(found[way] * 1e6 for way in ways)])
    lengths = [row[0] for row in memory]
    figure, axes = chart("length T", "MiB beyond the operands", log_x=True, log_y=True)
    for column, name, line in ((2, "three ops, measured", "o-"), (1, "one set of scores, 4 h T²", "--"),
                               (4, "kernel, scratch and result", "o-")):  # fmt: skip
        axes.plot(lengths, [row[column] / 2**20 for row in memory], line, label=name)
    axes.set_xticks(lengths, [str(n) for n in lengths])
    axes.legend(fontsize=8)
    growth = math.log2(memory[-1][2] / memory[-2][2])
    first = Section(
        "How does memory grow with the length?",
        f"From {lengths[-2]:,} to {lengths[-1]:,} tokens the three ops grow as T^{growth:.2f}, to "
        f"{memory[-1][2] / memory[-1][1]:.1f} times one set of scores; the kernel grows as "
        f"T^{math.log2(memory[-1][4] / memory[-2][4]):.2f} and needs {memory[-1][2] / memory[-1][4]:.0f} times less.",
        Table(["T", "one set of scores, bytes", "three ops, peak bytes", "Q, K, V and result, bytes",
               "kernel, scratch and result, bytes"], memory),
        figure,
    )  # fmt: skip
    figure, axes = chart("length T", "time, µs", log_x=True, log_y=True)
    for i, way in enumerate(ways):
        axes.plot(lengths, [row[2 + i] for row in time], "o-", label=way)
    axes.set_xticks(lengths, [str(n) for n in lengths])
    axes.legend(fontsize=8)
    last = time[-1]
    second = Section(
        "And the time?",
        f"At {last[0]:,} tokens the kernel takes {last[3]:,.0f} µs, the three ops {last[2] / last[3]:.1f} times as "
        f"long. From {lengths[-2]:,} tokens on, the kernel's time grows as T^{math.log2(last[3] / time[-2][3]):.2f}.",
        Table(["T", "operations of the products", *(f"{way}, µs" for way in ways)], time),
        figure,
    )
    return first, second


def _torch_attention(torch: Any, operands: list[tt.Tensor]) -> Callable[[], Any]:
    theirs = [torch.from_numpy(x.numpy().copy()) for x in operands]

    def call() -> Any:
        with torch.no_grad():
            return torch.nn.functional.scaled_dot_product_attention(*theirs)

    return call


def _patterns(quick: bool) -> Section:
    """Which pairs are seen, which are counted, and what each pattern takes."""
    heads, length, dim = 4, 512 if quick else 1024, 32
    window = length // 8
    operands = _operands(heads, length, dim)
    at = np.arange(length)
    distance = at[:, None] - at[None, :]
    seen = {
        "all pairs": np.ones((length, length), bool),
        "causal": distance >= 0,
        f"window of {window}, as a mask": (distance >= 0) & (distance < window),
        f"blocks of {window}": at[:, None] // window == at[None, :] // window,
    }
    masked = tt.Tensor(seen[f"window of {window}, as a mask"])
    by_block = (x.numpy().reshape(heads, length // window, window, dim).swapaxes(0, 1) for x in operands)
    blocks = [tt.Tensor(np.ascontiguousarray(x)) for x in by_block]
    functions: dict[str, Callable[..., tt.Tensor]] = {
        "all pairs": lambda q, k, v: scaled_dot_product_attention(q, k, v),
        "causal": lambda q, k, v: scaled_dot_product_attention(q, k, v, is_causal=True),
        f"window of {window}, as a mask": lambda q, k, v: scaled_dot_product_attention(q, k, v, masked),
        f"blocks of {window}": lambda q, k, v: scaled_dot_product_attention(q, k, v),
    }
    given = {name: blocks if name.startswith("blocks") else operands for name in functions}
    counted = {n: int(tt.Profiler().count_flops(f, given[n]).ops["attention"]) for n, f in functions.items()}
    compiled = {name: tt.compile(function) for name, function in functions.items()}
    calls = {name: lambda name=name: compiled[name](*given[name]) for name in functions}
    times = medians(calls, 0.05 if quick else 0.3)
    rows: list[list[Any]] = [
        [name, float(seen[name].mean()), counted[name], times[name] * 1e6, times[name] / times["all pairs"]]
        for name in functions
    ]
    figure, many = charts(4, width=8.0, height=2.4)
    for axes, (name, pairs) in zip(many, seen.items(), strict=True):
        axes.imshow(pairs, cmap="Blues", vmin=-0.2, vmax=1.3, interpolation="nearest")
        axes.set_title(f"{name}\n{pairs.mean():.0%} of pairs", fontsize=8)
        axes.set_xlabel("key", fontsize=8)
        axes.tick_params(labelsize=7)
    many[0].set_ylabel("query", fontsize=8)
    full, causal, mask, block = rows
    reading = (
        f"Causal attention took {causal[4]:.2f} of the time of all pairs; a mask that hides all but {mask[1]:.0%} took "
        f"{mask[4]:.2f}, and {length // window} blocks of their own, {block[1]:.0%} of the pairs, {block[4]:.2f}. "
        f"The operations counted are {full[2]:,}, {causal[2]:,}, {mask[2]:,} and {block[2]:,}."
    )
    columns = ["pattern", "pairs seen", "operations", "time, µs", "of all pairs"]
    return Section(f"What does sparsity save, at T = {length}?", reading, Table(columns, rows), figure)


def _scale() -> Section:
    """The entropy of the weights by the width of a head, scaled and not."""
    keys, queries = 64, 256
    rng = np.random.default_rng(0)
    rows: list[list[Any]] = []
    for dim in (4, 16, 64, 256, 1024):
        q, k = (rng.standard_normal((count, dim)) for count in (queries, keys))
        found: list[float] = []
        for scale in (1.0, 1 / math.sqrt(dim)):
            scores = tt.Tensor(q @ k.T * scale)
            weights = scores.softmax(-1).numpy()
            entropy = -(weights * np.log2(np.maximum(weights, 1e-300))).sum(-1).mean()
            found += [float(scores.numpy().std()), float(entropy)]
        rows.append([dim, *found])
    figure, (left, right) = charts(2)
    style(left, "width of a head d", "deviation of the scores", log_x=True, log_y=True)
    style(right, "width of a head d", "entropy of the weights, bits", log_x=True)
    dims = [row[0] for row in rows]
    for axes, columns in ((left, (1, 3)), (right, (2, 4))):
        for column, name in zip(columns, ("q·k", "q·k / √d"), strict=True):
            axes.plot(dims, [row[column] for row in rows], "o-", label=name)
        axes.set_xticks(dims, [str(d) for d in dims])
    right.axhline(math.log2(keys), linestyle="--", color="#555555", label=f"{keys} equal weights")
    right.legend(fontsize=8)
    first, last = rows[0], rows[-1]
    reading = (
        f"Unscaled, the deviation of the scores grows from {first[1]:.1f} to {last[1]:.1f} and the entropy falls from "
        f"{first[2]:.2f} to {last[2]:.2f} bits of {math.log2(keys):.0f}; divided by √d it stays between "
        f"{min(row[4] for row in rows):.2f} and {max(row[4] for row in rows):.2f}."
    )
    columns = ["d", "deviation of q·k", "entropy, bits", "deviation of q·k / √d", "its entropy, bits"]
    return Section("Why are scores divided by √d?", reading, Table(columns, rows), figure)
