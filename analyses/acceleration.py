"""Module 16: what reuse is worth, where bandwidth ends and arithmetic begins, and what 16 bits can hold."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

import tinytorch as tt
from analyses.drawing import chart
from analyses.measuring import medians, torch_if_installed
from analyses.record import Analysis, Section, Table
from tinytorch.frontend.acceleration.scaler import next_scale as real_next_scale
from tinytorch.runtime.llvm.threads.peaks import peaks
from tinytorch.runtime.roofline import Peaks

_BACKGROUND = """
A product [m, k] @ [k, n] has 2mkn operations on mk + kn + mn elements. Its *intensity* is operations over bytes moved:
for square f32 matrices, each moved once, 2n³ / 12n² = n/6 operations for a byte. A machine with peak rates P
(operations) and B (bytes) needs at least max(operations / P, bytes / B) seconds: the roofline. Below the intensity P/B
the memory is the limit, above it the arithmetic.

f16 has 5 bits of exponent and 10 of fraction: it holds 6e-8 to 65504. bf16 has 8 and 7: the range of f32, and steps of
2⁻⁷ above 1. The gradient of a loss L times s is s times that of L, so a scale s moves small gradients into the range
of f16, and dividing by s in f32 gives them back.
"""
_QUESTIONS = (
    "At a batch of 1, a Linear layer reads each weight for two operations. Which batch makes it as much arithmetic as "
    "traffic on this machine?",
    "Weights in bf16 halve the bytes. Which of the points left and right of the roofline's corner does that help?",
    "Why is the loss scale a power of two?",
    "A step with an infinite gradient is left out. Which bias would it add to clip it instead?",
    "bf16 needs no loss scale. What does it lose, compared with f16, and where would that show?",
)


def analyze(
    *,
    quick: bool = False,
    vectorized_matmul: Callable[[tt.Tensor, tt.Tensor], tt.Tensor] = tt.vectorized_matmul,
    next_scale: Callable[..., tuple[tt.Tensor, tt.Tensor]] = real_next_scale,
) -> Analysis:
    """Measure this product, and this rule of loss scales. `quick` leaves out the training."""
    best = peaks(again=not quick)
    return Analysis(
        "Acceleration: reuse, rooflines, and 16 bits",
        _BACKGROUND,
        [
            _ladder(vectorized_matmul, best, quick),
            _roofline(vectorized_matmul, best, quick),
            _batches(vectorized_matmul, best, quick),
            _underflow(quick),
            _scales(next_scale, quick),
            *([] if quick else [_training()]),
        ],
        _QUESTIONS,
    )


def _loops(a: list[list[float]], b: list[list[float]]) -> list[list[float]]:
    """The definition, an element at a time."""
    inner, columns = range(len(b)), range(len(b[0]))
    return [[sum(row[k] * b[k][j] for k in inner) for j in columns] for row in a]


def _rows(a: Any, b: Any) -> Any:
    """A row of the result at a time, as a sum of scaled rows of b."""
    out = np.zeros((len(a), b.shape[1]), np.float32)
    for i, row in enumerate(a):
        for k, x in enumerate(row):
            out[i] += x * b[k]
    return out


def _ladder(matmul: Callable[[tt.Tensor, tt.Tensor], tt.Tensor], best: Peaks, quick: bool) -> Section:
    small, n = (24, 256) if quick else (64, 512)
    rng = np.random.default_rng(0)
    a, b, c, d = (rng.standard_normal((size, size)).astype(np.float32) for size in (small, small, n, n))
    x, y = tt.Tensor(c), tt.Tensor(d)
    left, right = a.tolist(), b.tolist()
    calls: dict[str, tuple[int, Callable[[], Any]]] = {
        "three loops in Python": (small, lambda: _loops(left, right)),
        "rows by numpy": (small, lambda: _rows(a, b)),
        "numpy (BLAS)": (n, lambda: c @ d),
        "vectorized_matmul": (n, lambda: matmul(x, y)),
    }
    torch = torch_if_installed()
    if torch:
        given = torch.from_numpy(c), torch.from_numpy(d)
        calls["torch"] = n, lambda: given[0] @ given[1]
    times = medians({name: call for name, (_, call) in calls.items()}, 0.05 if quick else 0.5)
    rates = {name: 2 * size**3 / times[name] for name, (size, _) in calls.items()}
    rows = [[name, size, times[name] * 1e6, rates[name] / 1e9, rates[name] / best.flops * 100]
            for name, (size, _) in calls.items()]  # fmt: skip
    figure, axes = chart("GFLOP/s", "", log_x=True, height=2.8)
    axes.barh(list(rates), [rate / 1e9 for rate in rates.values()])
    axes.axvline(best.flops / 1e9, color="#D55E00", linewidth=1, label="peak of multiply-adds")
    axes.invert_yaxis()
    axes.legend(fontsize=8, loc="upper right")
    gain = rates["vectorized_matmul"] / rates["three loops in Python"]
    reading = (
        f"The kernel does {gain:,.0f} times as many operations a second as three loops in Python, and "
        f"{rates['vectorized_matmul'] / best.flops:.0%} of the {best.flops / 1e9:.0f} GFLOP/s that multiply-adds alone "
        f"reach on {best.threads} thread{'s' * (best.threads > 1)}. The operations are the same in all rows; what "
        "differs is how many of them each instruction does, and how often a loaded number is used again."
    )
    columns = ["product", "n", "time, µs", "GFLOP/s", "% of the peak"]
    return Section("What separates three loops from the machine's limit?", reading, Table(columns, rows), figure)


def _roofline(matmul: Callable[[tt.Tensor, tt.Tensor], tt.Tensor], best: Peaks, quick: bool) -> Section:
    """Square products and elementwise sums under the roof."""
    rng = np.random.default_rng(0)
    sizes = (16, 64, 256) if quick else (16, 32, 64, 128, 256, 512, 1024)
    operands = {n: [tt.Tensor(rng.standard_normal((n, n)).astype(np.float32)) for _ in range(2)] for n in sizes}
    calls: dict[str, Callable[[], Any]] = {}
    for n, (a, b) in operands.items():
        calls[f"matmul {n}"] = lambda a=a, b=b: matmul(a, b)
        add = tt.compile(lambda a, b: a + b)
        calls[f"add {n}"] = lambda a=a, b=b, add=add: add(a, b)
    times = medians(calls, 0.03 if quick else 0.15)
    points = {f"matmul {n}": (2 * n**3, 12 * n**2) for n in sizes} | {f"add {n}": (n**2, 12 * n**2) for n in sizes}
    rows = [
        [name, flops, bytes_, flops / bytes_, times[name] * 1e6, flops / times[name] / 1e9,
         best.seconds(flops, bytes_) * 1e6]
        for name, (flops, bytes_) in points.items()
    ]  # fmt: skip
    figure, axes = chart("intensity, operations for a byte", "GFLOP/s", log_x=True, log_y=True)
    memory = best.bandwidths[-1][1]
    at = np.geomspace(0.05, sizes[-1] / 3, 100)
    axes.plot(at, np.minimum(at * memory, best.flops) / 1e9, color="#000000", label="roof: memory and arithmetic")
    cache = best.bandwidths[0][1]
    axes.plot(at, np.minimum(at * cache, best.flops) / 1e9, ":", color="#000000", label="the same from the first cache")
    for kind, marker in (("matmul", "o"), ("add", "s")):
        chosen = {name: work for name, work in points.items() if name.startswith(kind)}
        intensities = [flops / bytes_ for flops, bytes_ in chosen.values()]
        rates = [flops / times[name] / 1e9 for name, (flops, _) in chosen.items()]
        axes.plot(intensities, rates, marker, label=f"{kind}, n = {sizes[0]}–{sizes[-1]}")
    axes.legend(fontsize=8)
    corner = best.flops / memory
    last = sizes[-1]
    reading = (
        f"The corner of this machine lies at {corner:.1f} operations for a byte of memory: square products pass it "
        "from "
        f"n = {6 * corner:.0f} on, a sum of two arrays (1/12) never does. At n = {last} the product reaches "
        f"{2 * last**3 / times[f'matmul {last}'] / 1e9:.0f} GFLOP/s and the sum "
        f"{last**2 / times[f'add {last}'] / 1e9:.2f}."
    )
    columns = ["work", "operations", "bytes", "operations/byte", "time, µs", "GFLOP/s", "roofline, µs"]
    return Section("Where does bandwidth end, and arithmetic begin?", reading, Table(columns, rows), figure)


def _batches(matmul: Callable[[tt.Tensor, tt.Tensor], tt.Tensor], best: Peaks, quick: bool) -> Section:
    """Time of a row of x @ w by the number of rows."""
    width = 256 if quick else 1024
    batches = (1, 2, 4, 8, 16, 32, 64) if quick else (1, 2, 4, 8, 16, 32, 64, 128, 256)
    rng = np.random.default_rng(0)
    w = tt.Tensor(rng.standard_normal((width, width)).astype(np.float32))
    inputs = {n: tt.Tensor(rng.standard_normal((n, width)).astype(np.float32)) for n in batches}
    calls: dict[str, Callable[[], Any]] = {str(n): lambda x=x: matmul(x, w) for n, x in inputs.items()}
    times = medians(calls, 0.03 if quick else 0.15)
    each = {n: times[str(n)] / n for n in batches}
    least = {n: best.seconds(2 * n * width**2, 4 * (width**2 + 2 * n * width)) / n for n in batches}
    rows = [[n, 2 * n * width**2, 4 * (width**2 + 2 * n * width), times[str(n)] * 1e6, each[n] * 1e6, least[n] * 1e6]
            for n in batches]  # fmt: skip
    figure, axes = chart("rows of the batch", "time for a row, µs", log_x=True, log_y=True)
    axes.plot(batches, [each[n] * 1e6 for n in batches], "o-", markersize=4, label="measured")
    axes.plot(batches, [least[n] * 1e6 for n in batches], "--", label="roofline")
    axes.set_xticks(batches, [str(n) for n in batches])
    axes.legend(fontsize=8)
    last = batches[-1]
    reading = (
        f"A row alone takes {each[1] * 1e6:.1f} µs, one of {last} takes {each[last] * 1e6:.2f} µs: "
        f"{each[1] / each[last]:.1f} times less. The {4 * width**2 / 2**20:.2g} MiB of weights are read for one row "
        "as for "
        f"{last}, which use each of them {last} times."
    )
    columns = ["rows", "operations", "bytes", "time, µs", "time for a row, µs", "roofline for a row, µs"]
    question = f"What does a larger batch cost, through {width} by {width} weights?"
    return Section(question, reading, Table(columns, rows), figure)


def _gradients() -> Any:
    """Those of a small network by a mean over a large batch, in f32: many are tiny."""
    tt.manual_seed(0)
    model = tt.Sequential(tt.Linear(64, 128), tt.Tanh(), tt.Linear(128, 128), tt.Tanh(), tt.Linear(128, 10))
    rng = np.random.default_rng(0)
    x, y = tt.Tensor(rng.standard_normal((4096, 64)).astype(np.float32)), tt.Tensor(rng.integers(0, 10, 4096))
    (tt.CrossEntropyLoss()(model(x), y) * 1e-3).backward()
    return np.concatenate([p.grad.numpy().ravel() for p in model.parameters() if p.grad is not None])


def _underflow(quick: bool) -> Section:
    """What f16 and bf16 keep of gradients, by the loss scale."""
    gradients = _gradients()
    count = len(gradients)
    powers = range(0, 41, 4) if quick else range(0, 41, 2)
    rows: list[tuple[str, float, float, float, float, float]] = []
    for power in powers:
        scaled = tt.Tensor((gradients * np.float32(2.0**power)).astype(np.float32))
        half, brain = (scaled.cast(dtype).cast(tt.f32).numpy() for dtype in (tt.f16, tt.bf16))
        lost = [int(((found == 0) & (gradients != 0)).sum()) for found in (half, brain)]
        infinite = [int(np.isinf(found).sum()) for found in (half, brain)]
        finite = np.isfinite(half)
        error = np.abs(half[finite] / 2.0**power - gradients[finite]).sum() / np.abs(gradients[finite]).sum()
        row = (lost[0] / count, infinite[0] / count, float(error), lost[1] / count, infinite[1] / count)
        rows.append((f"2^{power}", *row))
    figure, axes = chart("log2 of the loss scale", "share of gradients in f16")
    axes.plot(list(powers), [row[1] for row in rows], "o-", markersize=4, label="rounded to 0")
    axes.plot(list(powers), [row[2] for row in rows], "s-", markersize=4, label="infinite")
    axes.legend(fontsize=8)
    good = [row[0] for row in rows if row[1] < 1e-3 and row[2] == 0]
    window = f"scales from {good[0]} to {good[-1]} lose less than 0.1 % and make none infinite"
    brain_loses = f"{rows[0][4]:.2%}" if rows[0][4] else "none"
    reading = (
        f"Unscaled, f16 rounds {rows[0][1]:.1%} of {count:,} gradients to 0; {window}. bf16 loses {brain_loses} of "
        "them without any scale, since its exponents are those of f32."
    )
    columns = ["loss scale", "f16: share zero", "f16: share infinite", "f16: error of the rest",
               "bf16: share zero", "bf16: share infinite"]  # fmt: skip
    return Section("What can 16 bits hold of a gradient?", reading, Table(columns, rows), figure)


def _scales(next_scale: Callable[..., tuple[tt.Tensor, tt.Tensor]], quick: bool) -> Section:
    """The scale over steps whose gradients overflow above a limit that falls and rises."""
    steps, interval = (60, 5) if quick else (300, 20)
    step = tt.compile(lambda scale, good, overflow: next_scale(scale, good, overflow, 2.0, 0.5, interval))
    scale, good = tt.Tensor(np.float32(2.0**24)), tt.Tensor(np.int64(0))
    limits = [2.0 ** (15 + 3 * np.sin(6 * i / steps)) for i in range(steps)]
    used: list[float] = []
    left_out = 0
    for limit in limits:
        used.append(float(scale))
        left_out += used[-1] > limit
        scale, good = step(scale, good, tt.Tensor(used[-1] > limit))
    figure, axes = chart("step", "loss scale", log_y=True)
    axes.step(range(steps), used, where="post", label="scale")
    axes.plot(range(steps), limits, "--", label="largest without overflow")
    axes.legend(fontsize=8)
    first = next(i for i, (s, limit) in enumerate(zip(used, limits, strict=True)) if s <= limit)
    late = left_out - first
    reading = (
        f"From 2^24 the scale came below the limit after {first} steps that were left out. Of the {steps - first} "
        "steps "
        f"after them {late} were, with a growth interval of {interval}: the rule finds the limit by passing it."
    )
    columns = ["steps", "left out at the beginning", "left out later", "share of steps used"]
    table = Table(columns, [[steps, first, late, 1 - left_out / steps]])
    return Section("How does the loss scale find its place?", reading, table, figure)


def _training(steps: int = 130) -> Section:
    """A deep network of sigmoids, whose first layers get tiny gradients, in several precisions."""
    rng = np.random.default_rng(0)
    x = tt.Tensor(rng.standard_normal((1024, 16)).astype(np.float32))
    y = tt.Tensor((x.numpy()[:, :4].sum(1) > 0).astype(np.int64))
    ways = {"f32": (None, 1), "bf16, scale 1": (tt.bfloat16, 1), "f16, scale 1": (tt.float16, 1),
            "f16, scale 2^16": (tt.float16, 2**16)}  # fmt: skip
    losses: dict[str, list[float]] = {}
    for name, (dtype, scale) in ways.items():
        trainer = _trainer(dtype, scale)
        losses[name] = [trainer.train_epoch([(x, y)]).loss for _ in range(steps)]
    figure, axes = chart("step", "loss", log_y=True)
    for name, style in zip(losses, ("-", "--", "-", ":"), strict=True):
        axes.plot(losses[name], style, label=name)
    axes.legend(fontsize=8)
    first = {name: next((i for i, loss in enumerate(found) if loss < 0.1), None) for name, found in losses.items()}
    late = first["f16, scale 1"]
    told = f"needs {late} steps" if late is not None else f"is not there after {steps} steps"
    reading = (
        f"f32 brings the loss below 0.1 in {first['f32']} steps, bf16 in {first['bf16, scale 1']}, f16 with a scale "
        "of 2^16 "
        f"in {first['f16, scale 2^16']}; f16 without a scale {told}."
    )
    rows = [[name, first[name], found[steps // 2], found[-1]] for name, found in losses.items()]
    columns = ["precision", "steps to a loss of 0.1", f"loss after {steps // 2} steps", f"loss after {steps}"]
    return Section("What does a vanished gradient cost in training?", reading, Table(columns, rows), figure)


def _trainer(dtype: Any, scale: float) -> tt.Trainer:
    """For six layers of sigmoids."""
    tt.manual_seed(0)
    sizes = [16, 64, 64, 64, 64, 64]
    hidden = [part for i, o in pairwise(sizes) for part in (tt.Linear(i, o), tt.Sigmoid())]
    model = tt.Sequential(*hidden, tt.Linear(64, 2))
    optimizer = tt.Adam(model.parameters(), lr=3e-3, eps=1e-12)
    if dtype is None:
        return tt.Trainer(model, optimizer, tt.CrossEntropyLoss(), progress=False)
    return tt.MixedPrecisionTrainer(model, optimizer, scale, dtype=dtype, growth_interval=10**6, progress=False)
