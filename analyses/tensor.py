"""Module 01: what strides cost, what broadcasting keeps in memory, and the work of a matrix product."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np

import tinytorch as tt
from analyses.drawing import chart, charts, legend_above, style
from analyses.measuring import medians, peak_bytes, torch_if_installed
from analyses.record import Analysis, Section, Table

_BACKGROUND = """
A tensor is one row of memory, and a stride for each axis: element (i, j) lies at offset i s₀ + j s₁. Row-major [m, n]
has strides (n, 1), its transpose (1, n): the same memory, read in another order. Memory comes in lines of 64 bytes, 16
f32.

Broadcasting repeats an axis by a stride of 0: no byte is copied. What it makes has the full size all the same.

A product [n, n] @ [n, n] takes 2n³ operations. With three plain loops, each multiplication reads two numbers: 2n³
reads. In blocks of s × s that stay in cache, each number that is read is used s times: 2n³ / s reads from memory.
"""
_QUESTIONS = (
    "From which stride on does each element need a line of its own? What may make it dearer still further on, where "
    "the number of lines stays the same?",
    "x + b and x + b repeated give the same numbers. Where are the bytes of the second, and when are they freed?",
    "Pairwise distances by broadcasting keep n² d numbers. How do |a - b|² = |a|² + |b|² - 2 a·b and one matrix "
    "product avoid them, and which digits may that cost?",
    "The product in small blocks is slow, although it reads far less than three loops. What does its time consist "
    "of? And why is a @ b fast, which is a single block here?",
    "A compiled x.T @ y never writes x.T to memory. How can that be, and when would writing it pay?",
)
Product = Callable[[tt.Tensor, tt.Tensor], tt.Tensor]


def naive_matmul(a: tt.Tensor, b: tt.Tensor) -> tt.Tensor:
    """Three loops over Python numbers."""
    x, y = a.tolist(), b.tolist()
    return tt.Tensor([[sum(row[k] * y[k][j] for k in range(len(y))) for j in range(len(y[0]))] for row in x])


def blocked_matmul(a: tt.Tensor, b: tt.Tensor, block: int) -> tt.Tensor:
    """Products of blocks, added up."""
    out = tt.zeros(a.shape[0], b.shape[1])
    for i in range(0, a.shape[0], block):
        for j in range(0, b.shape[1], block):
            for k in range(0, a.shape[1], block):
                out[i : i + block, j : j + block] += a[i : i + block, k : k + block] @ b[k : k + block, j : j + block]
    return out


def analyze(
    *, quick: bool = False, naive_matmul: Product = naive_matmul, blocked_matmul: Any = blocked_matmul
) -> Analysis:
    """Measure tensors, and these two ways to multiply matrices."""
    return Analysis(
        "Tensors: layout, broadcasting, products",
        _BACKGROUND,
        [
            _strides(quick),
            _broadcasting(quick),
            _distances(quick),
            _products(naive_matmul, quick),
            _blocks(blocked_matmul, quick),
        ],
        _QUESTIONS,
    )


def _random(*shape: int) -> tt.Tensor:
    return tt.Tensor(np.random.default_rng(0).standard_normal(shape).astype(np.float32))


def _strides(quick: bool) -> Section:
    """The same number of elements, further and further apart."""
    count = 1 << (14 if quick else 18)
    strides = [1, 2, 4, 8, 16, 32, 64]
    x = _random(count * strides[-1])
    views = {s: x[: count * s : s].numpy() for s in strides}
    times = medians({str(s): lambda v=v: v.sum() for s, v in views.items()}, 0.02 if quick else 0.3)
    rows = [[s, s * 4, count * min(s * 4, 64), times[str(s)] / count * 1e9] for s in strides]
    figure, axes = chart("stride, elements of 4 bytes", "time to sum, ns per element", log_x=True)
    axes.plot(strides, [row[3] for row in rows], "o-")
    axes.set_xticks(strides, [str(s) for s in strides])
    axes.set_ylim(bottom=0)
    reading = (
        f"Each of the {count:,} elements takes {rows[0][3]:.2f} ns where they are neighbours, {rows[4][3]:.2f} ns at a "
        f"stride of 16, from which on each needs a line of its own, {rows[4][2] // rows[0][2]} times the bytes; and "
        f"{rows[-1][3]:.2f} ns where they are {strides[-1] * 4} bytes apart."
    )
    columns = ["stride, elements", "stride, bytes", "bytes of the lines that are read", "ns per element"]
    return Section("What does it cost to read elements that are not neighbours?", reading, Table(columns, rows), figure)


def _broadcasting(quick: bool) -> Section:
    """x + b with b broadcast, and with b repeated in memory."""
    sizes = (256, 512) if quick else (256, 512, 1024, 2048)
    rows: list[list[Any]] = []
    for n in sizes:
        x, b = _random(n, n), _random(n)
        ways: dict[str, Callable[[], Any]] = {
            "broadcast": lambda x=x, b=b: x + b,
            "repeated": lambda x=x, b=b, n=n: x + b.expand(n, n).contiguous(),
        }
        times = medians(ways, 0.02 if quick else 0.2)
        peaks = {name: peak_bytes(call) for name, call in ways.items()}
        rows.append([n, b.numel() * 4, n * n * 4, *peaks.values(), *(times[name] * 1e6 for name in ways)])
    n, own, repeated, first, second = rows[-1][:5]
    reading = (
        f"With n = {n:,} the vector has {own:,} bytes, repeated it would have {repeated:,}. x + b needed "
        f"{first:,} bytes, which is its result; with b repeated first it needed {second:,}, "
        f"{second / first:.2f} times as much, and {rows[-1][6] / rows[-1][5]:.1f} times the time."
    )
    columns = [
        "n", "bytes of b", "bytes of b repeated", "peak bytes: broadcast", "peak bytes: repeated", "broadcast, µs",
        "repeated, µs",
    ]  # fmt: skip
    return Section("What does x[n, n] + b[n] keep in memory?", reading, Table(columns, rows))


def _distances(quick: bool) -> Section:
    """All squared distances between two sets of n points, by broadcasting and by a product."""
    width = 64
    sizes = (64, 128) if quick else (64, 128, 256, 512)
    rows: list[list[Any]] = []
    for n in sizes:
        a, b = _random(n, width), _random(n, width)
        ways: dict[str, Callable[[], tt.Tensor]] = {
            "broadcasting": lambda a=a, b=b: (a.unsqueeze(1) - b.unsqueeze(0)).square().sum(-1),
            "product": lambda a=a, b=b: a.square().sum(-1, True) + b.square().sum(-1) - 2 * (a @ b.T),
        }
        peaks = {name: peak_bytes(call) for name, call in ways.items()}
        times = medians(ways, 0.02 if quick else 0.2)
        apart = float(abs(ways["broadcasting"]() - ways["product"]()).max())
        rows.append([n, n * n * 4, *peaks.values(), *(times[way] * 1e6 for way in ways), apart])
    figure, axes = chart("points n", "peak memory, MiB", log_x=True, log_y=True)
    for column, name in ((2, "broadcasting, n² d numbers"), (3, "product, n² numbers"), (1, "the result alone")):
        axes.plot([row[0] for row in rows], [row[column] / 2**20 for row in rows], "o-", label=name)
    axes.set_xticks(sizes, [str(n) for n in sizes])
    legend_above(axes, 3)
    last = rows[-1]
    reading = (
        f"For {last[0]} points of {width} numbers broadcasting held {last[2] / last[1]:.0f} times the bytes of the "
        f"result, the product {last[3] / last[1]:.1f} times; broadcasting took {last[4] / last[5]:.1f} times as long. "
        f"The two differ by at most {max(row[6] for row in rows):.1e}."
    )
    columns = [
        "n",
        "bytes of the result",
        "peak bytes: broadcasting",
        "peak bytes: product",
        "broadcasting, µs",
        "product, µs",
        "largest difference",
    ]
    return Section("When is broadcasting too much?", reading, Table(columns, rows), figure)


def _products(naive: Product, quick: bool) -> Section:
    """Time by size, and the exponent that it grows with."""
    products: Any = defaultdict(lambda: tt.compile(lambda a, b: a @ b))  # one for each size
    ways: dict[str, tuple[Product, tuple[int, ...]]] = {
        "three loops in Python": (naive, (8, 16, 32) if quick else (8, 16, 32, 64, 96)),
        "a @ b, eager": (lambda a, b: a @ b, (64, 128, 256) if quick else (64, 128, 256, 512, 1024)),
        "a @ b, compiled": (
            lambda a, b: products[a.shape](a, b),
            (64, 128, 256) if quick else (64, 128, 256, 512, 1024),
        ),
    }
    torch = torch_if_installed()
    if torch:
        ways["torch eager"] = (lambda a, b: torch.matmul(a, b), ways["a @ b, eager"][1])
    figure, axes = chart("size n of [n, n] @ [n, n]", "time, s", log_x=True, log_y=True)
    rows: list[list[Any]] = []
    exponents: dict[str, float] = {}
    for name, (way, sizes) in ways.items():
        seconds: list[float] = []
        for n in sizes:
            given: list[Any] = [_random(n, n), _random(n, n)]
            if name == "torch eager":
                given = [torch.from_numpy(x.numpy().copy()) for x in given]
            seconds.append(medians({name: lambda w=way, g=given: w(*g)}, 0.02 if quick else 0.1)[name])
            rows.append([name, n, 2 * n**3, seconds[-1] * 1e6, 2 * n**3 / seconds[-1] / 1e9])
        exponents[name] = float(np.polyfit(np.log(sizes[-3:]), np.log(seconds[-3:]), 1)[0])
        axes.plot(sizes, seconds, "o-", label=name)
    axes.legend(fontsize=8)
    loops = next(row for row in reversed(rows) if row[0] == "three loops in Python")
    compiled = next(row for row in reversed(rows) if row[0] == "a @ b, compiled")
    reading = (
        "Over their three largest sizes the loops grow with n to the power of "
        f"{exponents['three loops in Python']:.2f}, the "
        f"compiled product with {exponents['a @ b, compiled']:.2f}; both do 2n³ operations. The loops reach "
        f"{loops[4] * 1000:.0f} MFLOP/s, the compiled product {compiled[4]:.0f} GFLOP/s: "
        f"{compiled[4] / loops[4]:,.0f} times as many."
    )
    columns = ["way", "n", "operations, 2n³", "µs", "GFLOP/s"]
    return Section("How does the time of a product grow?", reading, Table(columns, rows), figure)


def _blocks(blocked: Any, quick: bool) -> Section:
    """One product, in blocks of several sizes."""
    n = 128 if quick else 512
    sizes = [size for size in (32, 64, 128, 256, 512) if size <= n]
    a, b = _random(n, n), _random(n, n)
    times = medians({str(size): lambda size=size: blocked(a, b, size) for size in sizes}, 0.03 if quick else 0.6)
    whole = medians({"whole": lambda: a @ b}, 0.1)["whole"]
    exact = a.numpy().astype(np.float64) @ b.numpy().astype(np.float64)
    rows: list[list[Any]] = []
    for size in sizes:
        error = float(abs(blocked(a, b, size).numpy() - exact).max())
        rows.append(
            [size, (n // size) ** 3, 2 * n**3 // size, times[str(size)] * 1e3, 2 * n**3 / times[str(size)] / 1e9, error]
        )
    figure, (left, right) = charts(2)
    style(left, "block s", "reads from memory, 2n³ / s", log_x=True, log_y=True)
    left.plot(sizes, [row[2] for row in rows], "o-")
    style(right, "block s", "GFLOP/s", log_x=True)
    right.plot(sizes, [row[4] for row in rows], "o-", label="in blocks")
    right.axhline(2 * n**3 / whole / 1e9, linestyle="--", color="#555555", label="a @ b")
    right.legend(fontsize=8)
    for axes in (left, right):
        axes.set_xticks(sizes, [str(s) for s in sizes])
    best = max(rows, key=lambda row: row[4])
    reading = (
        f"In blocks of {sizes[0]} the product of two [{n}, {n}] is {rows[0][1]:,} small ones and reaches "
        f"{rows[0][4]:.1f} GFLOP/s; "
        f"the best block here is {best[0]}, at {best[4]:.0f} GFLOP/s, beside {2 * n**3 / whole / 1e9:.0f} for a @ b. "
        "All differ "
        f"from f64 by at most {max(row[5] for row in rows):.1e}."
    )
    columns = ["block s", "products of blocks", "reads from memory, 2n³ / s", "ms", "GFLOP/s", "largest error"]
    return Section("What do blocks change?", reading, Table(columns, rows), figure)
