"""Module 14: how large a cache is, when keeping keys and values beats computing them again, what fewer heads save."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tinytorch as tt
from analyses.drawing import chart, charts, style
from analyses.measuring import medians, torch_if_installed
from analyses.record import Analysis, Section, Table
from tinytorch.frontend.profiling.memory import bytes_of

_BACKGROUND = """
A causal model's keys and values of a token never change once computed. Kept, they are

    2 · layers · batch · length · (heads of keys and values) · head_dim

numbers. Without them token t costs a forward of t tokens, so n tokens cost O(n²) products with weights and O(n³) of
attention; with them it costs one token's products, and attention to t keys: O(n) and O(n²).

A step of one token reads every weight and the whole cache for about 2 operations a number read: its intensity is near
1/2 operation for a byte, so that memory's bandwidth decides. Heads that share keys and values (Shazeer 2019; Ainslie et
al. 2023) divide the cache's part of these bytes.
"""
_QUESTIONS = (
    "How long may a row of a model with 32 layers, 8 heads of keys of 128 and f16 be, for a cache of 16 GiB?",
    "Weights are read once for a whole batch, each row's cache for itself. What is the best batch for throughput?",
    "A prompt of 1000 tokens is computed in one forward, its answer in 1000. Which of the two is limited by what?",
    "Which kinds of positions allow to drop the oldest token of a full cache without computing the others again?",
    "The cache has room for the longest row from the start. What would pages of 16 tokens change?",
)


def analyze(
    *, quick: bool = False, KVCache: Any = tt.KVCache, attention_with_cache: Callable[..., tt.Tensor] | None = None
) -> Analysis:
    """Measure this cache, and this attention over it."""
    attend = attention_with_cache or tt.attention_with_cache
    return Analysis(
        "Keys and values: kept, not computed again",
        _BACKGROUND,
        [_bytes(KVCache, quick), _reuse(KVCache, quick), _counts(), _groups(KVCache, attend, quick)],
        _QUESTIONS,
    )


def _bytes(KVCache: Any, quick: bool) -> Section:
    """Bytes of buffers beside the formula."""
    layers, dim, heads = (2, 64, 8) if quick else (12, 256, 8)
    rows: list[list[Any]] = []
    lengths = (64, 128, 256) if quick else (256, 512, 1024, 2048)
    settings = [(1, lengths[0], 8), (4, lengths[0], 8), (1, lengths[-1], 8), (1, lengths[-1], 2), (1, lengths[-1], 1)]
    for batch, length, kept in settings:
        cache = KVCache(batch, length, layers, dim, heads, kept)
        formula = 4 * 2 * layers * batch * length * kept * (dim // heads)
        rows.append([batch, length, kept, bytes_of([*cache.keys, *cache.values]), formula])
    figure, axes = chart("length", "cache of one row, MiB")
    for kept in (8, 4, 2, 1):
        sizes = [4 * 2 * layers * n * kept * (dim // heads) / 2**20 for n in lengths]
        axes.plot(lengths, sizes, "o-", label=f"{kept} of {heads} heads")
    axes.set_xticks(lengths)
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8)
    reading = (
        f"Buffers differ from the formula by {max(abs(row[3] - row[4]) for row in rows)} bytes. {layers} layers of "
        f"width {dim} keep {rows[2][3] // rows[2][1]:,} bytes for each token of a row; one head of keys and values in "
        f"place of {heads} makes that {rows[4][3] // rows[4][1]:,}."
    )
    columns = ["batch", "length", "heads kept", "buffers, bytes", "formula, bytes"]
    return Section("How large is the cache?", reading, Table(columns, rows), figure)


def _reuse(KVCache: Any, quick: bool) -> Section:
    """The time of a further token, by how many stand before it: a forward of all, or of one beside a cache."""
    dim, layers, heads = (64, 2, 4) if quick else (128, 4, 4)
    lengths = (16, 64, 256) if quick else (16, 64, 256, 1024)
    model = tt.GPT(65, dim, layers, heads, context_length=lengths[-1])
    model.eval()
    rng = np.random.default_rng(0)
    rows: list[list[Any]] = []
    for length in lengths:
        tokens = tt.Tensor(rng.integers(0, 65, (1, length)))
        last = tokens[:, -1:]
        cache = KVCache(1, length, layers, dim)
        with tt.no_grad():
            model(tokens[:, : length - 1], cache=cache)
        again = tt.compile(lambda tokens: model.logits(model.hidden(tokens)[:, -1:]))

        def one(token: tt.Tensor, cache: Any = cache, length: int = length) -> tt.Tensor:
            logits = model(token, cache=cache)
            cache.truncate(length - 1)  # the same step again
            return logits

        kept = tt.compile(one)
        with tt.no_grad():
            off = abs(again(tokens).numpy() - kept(last).numpy()).max()
            assert off < 1e-3, "both give the same logits"
            calls: dict[str, Callable[[], Any]] = {
                "again": lambda again=again, tokens=tokens: again(tokens),
                "kept": lambda kept=kept, last=last: kept(last),
            }
            times = medians(calls, 0.1 if quick else 0.4)
        rows.append([length, times["again"] * 1e6, times["kept"] * 1e6, times["again"] / times["kept"], float(off)])
    figure, axes = chart("tokens so far", "time of one more token, µs", log_x=True, log_y=True)
    for column, name in ((1, "all computed again"), (2, "with the cache")):
        axes.plot(lengths, [row[column] for row in rows], "o-", label=name)
    axes.set_xticks(lengths, [str(n) for n in lengths])
    axes.legend(fontsize=8)
    first, end = rows[0], rows[-1]
    reading = (
        f"From {first[0]} to {end[0]:,} tokens the time of one more grows {end[1] / first[1]:.1f} times if all are "
        f"computed again, {end[2] / first[2]:.1f} times with the cache, which is {end[3]:.0f} times as fast at "
        f"{end[0]:,}. The logits differ by {max(row[4] for row in rows):.1e} at most."
    )
    columns = ["tokens so far", "again, µs", "with cache, µs", "again / with cache", "largest difference of logits"]
    return Section("Keep, or compute again?", reading, Table(columns, rows), figure)


def _counts() -> Section:
    """Operations of generating n tokens, of the graphs of each length."""
    dim, layers, heads = 64, 2, 4
    lengths = [1, 16, 64, 128, 256]
    model = tt.GPT(65, dim, layers, heads, context_length=256)
    profiler = tt.Profiler()
    forwards = [int(profiler.count_flops(model, (1, n))) for n in lengths]
    weights = profiler.count_flops(model, (1, 1)).ops["matmul"]
    # A forward of n tokens costs a n + b n²; the cached step behind n others a + 2 b n.
    b = (forwards[-1] / lengths[-1] - forwards[0]) / (lengths[-1] - 1)
    a = forwards[0] - b
    rows: list[list[Any]] = []
    for n in lengths:
        one, step = forwards[lengths.index(n)], round(a + b * (2 * n - 1))
        again = sum(a * t + b * t * t for t in range(1, n + 1))
        kept = sum(a + b * (2 * t - 1) for t in range(1, n + 1))
        rows.append([n, one, step, one / step, round(again), round(kept), again / kept])
    figure, axes = chart("tokens generated", "operations in all", log_x=True, log_y=True)
    for column, name in ((4, "all computed again"), (5, "with the cache")):
        axes.plot(lengths, [row[column] for row in rows], "o-", label=name)
    axes.set_xticks(lengths, [str(n) for n in lengths])
    axes.legend(fontsize=8)
    off = max(abs(a * n + b * n * n - f) for n, f in zip(lengths, forwards, strict=True))
    reading = (
        f"A forward of n tokens costs {a:,.0f} n + {b:,.0f} n² operations (the counts differ from that by {off:.0f}); "
        f"{weights:,} of a token are products with weights. Computed again, token {lengths[-1]} costs "
        f"{rows[-1][3]:.0f} times the operations, and all {lengths[-1]} together {rows[-1][6]:.0f} times."
    )
    columns = ["n", "token n, again", "token n, with cache", "their ratio", "n tokens, again", "n tokens, with cache",
               "their ratio"]  # fmt: skip
    return Section("How many operations does it save?", reading, Table(columns, rows), figure)


def _groups(KVCache: Any, attend: Callable[..., tt.Tensor], quick: bool) -> Section:
    """One token's attention by the heads of keys and values that are kept."""
    heads, size, length = 8, 64, 512 if quick else 4096
    torch = torch_if_installed()
    rng = np.random.default_rng(0)
    q = tt.Tensor(rng.standard_normal((1, heads, 1, size)).astype(np.float32))
    calls, kept_bytes = dict[str, Callable[[], Any]](), dict[str, int]()
    for kept in (8, 4, 2, 1):
        cache = KVCache(1, length, 1, heads * size, heads, kept)
        past = tt.Tensor(rng.standard_normal((1, kept, length - 1, size)).astype(np.float32))
        cache.update(0, past, past)
        cache.advance(length - 1)
        new = past[:, :, :1]

        def one(q: tt.Tensor, new: tt.Tensor, cache: Any = cache) -> tt.Tensor:
            out = attend(q, new, new, cache, 0)
            cache.truncate(length - 1)  # the same step again
            return out

        step = tt.compile(one)
        calls[str(kept)] = lambda step=step, new=new: step(q, new)
        kept_bytes[str(kept)] = bytes_of([*cache.keys, *cache.values])
    if torch:
        calls["torch, 8"] = _torch_token(torch, q, length)
    with tt.no_grad():
        times = medians(calls, 0.05 if quick else 0.4)
    rows: list[list[Any]] = []
    for name in calls:
        moved = kept_bytes.get(name, kept_bytes["8"])
        rows.append([name, moved, times[name] * 1e6, moved / times[name] / 1e9, times[name] / times["8"]])
    figure, (left, right) = charts(2)
    style(left, "heads of keys and values kept", "cache, MiB")
    style(right, "heads of keys and values kept", "attention of one token, µs")
    names = list(kept_bytes)
    left.bar(names, [kept_bytes[n] / 2**20 for n in names])
    right.bar(names, [times[n] * 1e6 for n in names])
    one_head = rows[3]
    reading = (
        f"Over {length:,} tokens, one head of keys and values in place of {heads} takes {1 / heads:.1%} of the bytes "
        f"and {one_head[4]:.2f} of the time. With all heads {rows[0][3]:.1f} GB of the cache are read in a second."
    )
    columns = ["heads kept", "cache, bytes", "one token, µs", "GB/s of the cache", "of the time of 8"]
    return Section("What do heads that share keys and values save?", reading, Table(columns, rows), figure)


def _torch_token(torch: Any, q: tt.Tensor, length: int) -> Callable[[], Any]:
    query = torch.from_numpy(q.numpy().copy())
    past = torch.randn(1, q.shape[1], length, q.shape[-1])

    def call() -> Any:
        with torch.no_grad():
            return torch.nn.functional.scaled_dot_product_attention(query, past, past)

    return call
