"""Module 15: whether counted operations predict time, what bandwidth there is, the roofline, and how to take a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import tinytorch as tt
from analyses.drawing import chart
from analyses.measuring import medians, torch_if_installed
from analyses.record import Analysis, Section, Table
from tinytorch.frontend.profiling.latency import time_calls
from tinytorch.frontend.spatial.functions import conv2d
from tinytorch.runtime.llvm.threads.peaks import peaks
from tinytorch.runtime.roofline import Peaks

_BACKGROUND = """
A count of operations (FLOPs; a multiply-add is two, or one MAC) needs no machine and has no noise. A time needs both.
Between them stands the roofline (Williams et al. 2009): with P operations and B bytes a second, work of F operations
and M bytes takes at least max(F / P, M / B) seconds, so it does at most min(P, I B) operations a second, where
I = F / M is its intensity. Below I = P / B the bytes decide, above it the operations.

A time is a sample. What the rest of the machine does only ever adds to it, so times have a long tail to the right: the
least is the best that was possible, the median is typical, the mean belongs to neither.
"""
_QUESTIONS = (
    "Two layers have the same number of operations, and one takes twenty times as long. What would you look at first?",
    "A paper says that its model needs half the MACs. Which two further numbers tell whether it is faster?",
    "Fusing an activation into the product before it moves its point in the roofline plot. Where to, and why?",
    "Which statistic of times answers: is this kernel better? Will a user notice? How many machines are needed?",
    "Why is the first call left out, and when is it the only one that matters?",
)


def analyze(*, quick: bool = False, time_calls: Callable[..., list[float]] = time_calls) -> Analysis:
    """Measure, with `time_calls(call, repeats, warmup, seconds)` for the times one by one."""
    best = peaks(again=not quick)
    return Analysis(
        "Profiling: operations, bytes, seconds",
        _BACKGROUND,
        [_equal_operations(quick), _bandwidth(best, quick), _roofline(best, quick), _times(time_calls, quick)],
        _QUESTIONS,
    )


def _random(*shape: int) -> tt.Tensor:
    return tt.Tensor(np.random.default_rng(0).standard_normal(shape).astype(np.float32))


def _equal_operations(quick: bool) -> Section:
    """Work of the same number of operations."""
    n = 128 if quick else 256
    flops = 2 * n**3
    channels, side = 64, round((flops / (2 * 64 * 9)) ** 0.5)
    wide = flops // 4096
    work: dict[str, tuple[Callable[..., tt.Tensor], list[tt.Tensor]]] = {
        f"product [{n}, {n}] @ [{n}, {n}]": (lambda a, b: a @ b, [_random(n, n), _random(n, n)]),
        f"{n} rows, each @ a matrix of its own": (lambda a, b: (a @ b).sum(1), [_random(n, 1, n), _random(n, n, n)]),
        f"depthwise 3×3, {channels} channels of {side}²": (
            lambda x, w: conv2d(x, w, padding=1, groups=channels),
            [_random(1, channels, side, side), _random(channels, 1, 3, 3)],
        ),
        "a · b or a + b, 64 times in a row": (_additions, [_random(wide, 64), _random(wide, 64)]),
    }
    torch = torch_if_installed()
    rows: list[list[Any]] = []
    for name, (function, operands) in work.items():
        counted = int(tt.Profiler().count_flops(function, operands))
        moved = 4 * sum(x.numel() for x in operands)
        compiled = tt.compile(function)
        calls: dict[str, Callable[[], Any]] = {"ours": lambda c=compiled, operands=operands: c(*operands)}
        if torch and "product" in name:
            theirs = [torch.from_numpy(x.numpy().copy()) for x in operands]
            calls["torch"] = lambda theirs=theirs: theirs[0] @ theirs[1]
        times = medians(calls, 0.05 if quick else 0.3)
        rate = counted / times["ours"] / 1e9
        rows.append([name, counted, counted // 2, moved, times["ours"] * 1e6, rate, _in_us(times.get("torch"))])
    figure, axes = chart("time, µs (compiled)", "", height=2.6)
    axes.barh([row[0] for row in rows][::-1], [row[4] for row in rows][::-1])
    axes.tick_params(axis="y", labelsize=8)
    times_found = [row[4] for row in rows]
    counts = [row[1] for row in rows]
    reading = (
        f"The counts lie within a factor of {max(counts) / min(counts):.2f}, the times within one of "
        f"{max(times_found) / min(times_found):.0f}: from {max(row[5] for row in rows):.1f} down to "
        f"{min(row[5] for row in rows):.1f} GFLOP/s."
    )
    columns = ["work", "FLOPs", "MACs", "bytes of operands", "compiled, µs", "GFLOP/s", "torch, µs"]
    return Section("Do operations predict time?", reading, Table(columns, rows), figure)


def _in_us(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1e6


def _additions(a: tt.Tensor, b: tt.Tensor) -> tt.Tensor:
    for i in range(64):
        a = a + b if i % 2 else a * b
    return a


def _bandwidth(best: Peaks, quick: bool) -> Section:
    """Bytes a second of a compiled addition by the size of its operands."""
    sizes = [1 << i for i in ((12, 15, 18, 22) if quick else range(11, 24))]
    torch = torch_if_installed()
    rows: list[list[Any]] = []
    for n in sizes:
        a, b = _random(n), _random(n)
        add = tt.compile(lambda a, b: a + b)
        calls: dict[str, Callable[[], Any]] = {"compiled": lambda add=add, a=a, b=b: add(a, b)}
        if torch:
            x, y = (torch.from_numpy(t.numpy().copy()) for t in (a, b))
            calls["torch"] = lambda x=x, y=y: x + y
        times = medians(calls, 0.05 if quick else 0.15)
        rows.append([n, 12 * n, *(12 * n / t / 1e9 for t in times.values())])
    figure, axes = chart("bytes read and written", "GB/s", log_x=True, log_y=True)
    for i, name in enumerate(["compiled", *(["torch"] if torch else [])]):
        axes.plot([row[1] for row in rows], [row[2 + i] for row in rows], "o-", label=f"a + b, {name}")
    axes.plot(*zip(*((size, rate / 1e9) for size, rate in best.bandwidths), strict=True), "s--", label="copy loop")
    axes.legend(fontsize=8)
    top = max(rows, key=lambda row: row[2])
    reading = (
        f"An addition does one operation for 12 bytes. Of {rows[0][1]:,} bytes, where the call costs more, "
        f"it moved {rows[0][2]:.1f} GB/s; of {top[1]:,} bytes most, {top[2]:.1f} GB/s; of {rows[-1][1]:,} bytes "
        f"{rows[-1][2]:.1f} GB/s."
    )
    columns = ["elements", "bytes", "compiled, GB/s", *(["torch, GB/s"] if torch else [])]
    return Section("How many bytes a second?", reading, Table(columns, rows), figure)


def _roofline(best: Peaks, quick: bool) -> Section:
    """Kernels of several intensities under the roof of this machine."""
    n = 256 if quick else 512
    work: dict[str, tuple[Callable[..., tt.Tensor], list[tt.Tensor]]] = {
        "a + b": (lambda a, b: a + b, [_random(n * n), _random(n * n)]),
        "softmax": (lambda x: x.softmax(-1), [_random(n, n)]),
        "gelu": (lambda x: x.gelu(), [_random(n, n)]),
        "1 row @ weights": (lambda x, w: x @ w, [_random(1, n), _random(n, n)]),
        "16 rows @ weights": (lambda x, w: x @ w, [_random(16, n), _random(n, n)]),
        f"{n} rows @ weights": (lambda x, w: x @ w, [_random(n, n), _random(n, n)]),
    }
    rows: list[list[Any]] = []
    compiled = {name: tt.compile(function) for name, (function, _) in work.items()}
    calls = {name: lambda name=name: compiled[name](*work[name][1]) for name in work}
    times = medians(calls, 0.05 if quick else 0.3)
    for name, (function, operands) in work.items():
        flops = int(tt.Profiler().count_flops(function, operands))
        moved = 4 * (sum(x.numel() for x in operands) + compiled[name](*operands).numel())
        least = best.seconds(flops, moved)
        rows.append(
            [name, flops, moved, flops / moved, times[name] * 1e6, flops / times[name] / 1e9, least / times[name]]
        )
    moved = rows[0][2]
    corner = best.flops / best.bandwidth(moved)
    intensities = np.geomspace(0.05, 16 * max(corner, rows[-1][3]), 50)
    figure, axes = chart("intensity, operations for a byte", "GFLOP/s", log_x=True, log_y=True)
    roof = [attainable(i, best.flops, best.bandwidth(moved)) / 1e9 for i in intensities]
    axes.plot(intensities, roof, color="#555555", label="roof")
    for row, marker in zip(rows, "os^Dv*", strict=True):
        axes.plot(row[3], row[5], marker, markersize=8, markerfacecolor="none", markeredgewidth=1.6, label=row[0])
    axes.legend(fontsize=8)
    left = [row[0] for row in rows if row[3] < corner]
    reading = (
        f"This machine does {best.flops / 1e9:.0f} GFLOP/s and copies {best.bandwidth(moved) / 1e9:.0f} GB/s of "
        f"{moved:,} bytes: the corner is at {corner:.1f} operations for a byte. {len(left)} of {len(rows)} kernels lie "
        f"left of it. {rows[-1][0]} reach {rows[-1][6]:.0%} of their roof, {rows[3][0]} {rows[3][6]:.0%}."
    )
    columns = ["kernel", "FLOPs", "bytes", "FLOPs/byte", "time, µs", "GFLOP/s", "share of the roof"]
    return Section("What limits a kernel: operations or bytes?", reading, Table(columns, rows), figure)


def attainable(intensity: float, flops: float, bandwidth: float) -> float:
    """Operations a second at that intensity (operations for a byte) under the roof."""
    return min(flops, intensity * bandwidth)


def _times(time_calls: Callable[..., list[float]], quick: bool) -> Section:
    """Many calls of one function, one by one, and the first one."""
    n = 128
    a, b = _random(n, n), _random(n, n)
    function = tt.compile(lambda a, b: (a @ b).relu())
    start = time.perf_counter()
    function(a, b)
    first = time.perf_counter() - start
    times = np.array(time_calls(lambda: function(a, b), 200 if quick else 2000, 5, 1.0 if quick else 5.0))
    figure, axes = chart("time of a call, µs", "calls", log_x=True, log_y=True)
    edges = [float(edge) for edge in np.geomspace(times.min(), times.max() * 1.01, 41) * 1e6]
    axes.hist(times * 1e6, bins=edges)
    axes.set_xticks(edges[::8], [f"{edge:.3g}" for edge in edges[::8]])
    statistics = _statistics(times)
    for (name, value), colour in zip(list(statistics.items())[1:4], ("#D55E00", "#009E73", "#CC79A7"), strict=True):
        axes.axvline(value * 1e6, color=colour, linestyle="--", label=name)
    axes.legend(fontsize=8)
    half = [_statistics(part) for part in np.array_split(times, 2)]
    rows: list[list[Any]] = [["first call, compiles or loads", first * 1e6, None, None]]
    rows += [
        [name, value * 1e6, value / statistics["median"], abs(half[0][name] / half[1][name] - 1)]
        for name, value in statistics.items()
    ]
    reading = (
        f"Of {len(times):,} calls the mean is {statistics['mean'] / statistics['median']:.2f} times the median, the "
        f"99th percentile {statistics['99th percentile'] / statistics['median']:.2f} times; the first call took "
        f"{first / statistics['median']:,.0f} times as long. Between the two halves of the calls the median differs by "
        f"{rows[2][3]:.1%}, the mean by {rows[3][3]:.1%}."
    )
    columns = ["of the times", "µs", "of the median", "difference between the halves"]
    return Section("Which number is the time?", reading, Table(columns, rows), figure)


def _statistics(times: Any) -> dict[str, float]:
    return {
        "least": float(times.min()),
        "median": float(np.median(times)),
        "mean": float(times.mean()),
        "99th percentile": float(np.percentile(times, 99)),
        "largest": float(times.max()),
    }
