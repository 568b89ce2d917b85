"""Module 05: what the tape keeps, what checkpoints trade for it, what recording costs, and how to check a gradient."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import tinytorch as tt
from analyses.drawing import chart, charts, legend_above, style
from analyses.measuring import medians, peak_bytes, torch_if_installed
from analyses.record import Analysis, Section, Table

_BACKGROUND = """
Reverse mode computes all derivatives of one number in a small multiple of its own time: for each op one product of a
cotangent with a Jacobian, from the end to the beginning. The price is memory: what the derivatives read is kept until
then, O(L) for L layers. Checkpoints keep the inputs of pieces of k layers and compute the rest again: O(L/k + k), least
at k = √L, for one more forward pass (Chen et al. 2016).

A finite difference (f(x + h) - f(x - h)) / 2h is off by O(h²), and by the rounding of f over h.
"""
_QUESTIONS = (
    "The tape grows with depth, and no_grad() does not. Which tensors are alive at the deepest point of each?",
    "With pieces of √L layers, which share of the memory is boundaries, and which is the piece that is computed again?",
    "On many elements, forward with backward takes far more than two or three times the time of forward alone. Which "
    "arrays does the recorded chain write and read that the other does not?",
    "A finite difference has its least error at some step h. Which two errors meet there, and why elsewhere in f64?",
    "Compiled steps have no tape at all. What plays its part, and when is it decided what is kept?",
)
Layer = Callable[[tt.Tensor], tt.Tensor]


def analyze(*, quick: bool = False, checkpoint: Any = tt.checkpoint, gradient: Any = None) -> Analysis:
    """Measure tape and checkpoints; `gradient(output, leaf)` is a backward pass of one's own, by default backward()."""
    return Analysis(
        "Autograd: tape, checkpoints, overhead, checks",
        _BACKGROUND,
        [_tape(quick), _checkpoints(checkpoint, quick), _overhead(quick), _finite_differences(gradient or _backward)],
        _QUESTIONS,
    )


def _backward(output: tt.Tensor, leaf: tt.Tensor) -> tt.Tensor:
    leaf.grad = None
    output.backward()
    assert leaf.grad is not None
    return leaf.grad


def _layers(depth: int, width: int) -> list[Layer]:
    tt.manual_seed(0)
    layers = [tt.Linear(width, width) for _ in range(depth)]
    return [lambda h, layer=layer: layer(h).tanh() for layer in layers]


def _run(layers: list[Layer], x: tt.Tensor) -> tt.Tensor:
    for layer in layers:
        x = layer(x)
    return x


def _tape(quick: bool) -> Section:
    """Peak memory of a forward, recorded and not, by depth."""
    width, batch = (64, 128) if quick else (128, 512)
    depths = (2, 4, 8, 16) if quick else (2, 4, 8, 16, 32, 64)
    one = batch * width * 4
    x = tt.randn(batch, width)
    rows: list[list[Any]] = []
    for depth in depths:
        layers = _layers(depth, width)

        def silent(layers: list[Layer] = layers) -> tt.Tensor:
            with tt.no_grad():
                return _run(layers, x)

        peaks = [peak_bytes(lambda layers=layers: _run(layers, x)), peak_bytes(silent)]
        rows.append([depth, *peaks, peaks[0] / depth / one])
    figure, axes = chart("layers", "peak memory of forward, MiB")
    for column, name in ((1, "recorded"), (2, "under no_grad()")):
        axes.plot([row[0] for row in rows], [row[column] / 2**20 for row in rows], "o-", label=name)
    axes.legend(fontsize=8)
    slope = (rows[-1][1] - rows[0][1]) / (depths[-1] - depths[0])
    reading = (
        f"Each layer adds {slope:,.0f} bytes to what is recorded, {slope / one:.2f} results of [{batch}, {width}]; "
        "under no_grad() "
        f"{depths[-1]} layers need {rows[-1][2] / rows[0][2]:.2f} times what {depths[0]} need."
    )
    columns = ["layers", "recorded, bytes", "under no_grad(), bytes", "results kept for each layer"]
    return Section("How does the memory of the tape grow with depth?", reading, Table(columns, rows), figure)


def _checkpoints(checkpoint: Any, quick: bool) -> Section:
    """Peak and time of forward with backward, by the size of the pieces."""
    width, batch, depth = (64, 128, 9) if quick else (128, 512, 64)
    layers, x = _layers(depth, width), tt.randn(batch, width).requires_grad_()
    pieces = [1, 3, 9] if quick else [1, 2, 4, 8, 16, 32, 64]

    def step(every: int) -> None:
        h = x
        if every == 0:
            h = _run(layers, h)
        for first in range(0, depth, every) if every else ():
            h = checkpoint(_run, layers[first : first + every], h)
        h.sum().backward()
        x.grad = None

    calls: dict[str, Callable[[], Any]] = {str(every): lambda every=every: step(every) for every in (0, *pieces)}
    times = medians(calls, 0.1 if quick else 0.3)
    peaks = {name: peak_bytes(call) for name, call in calls.items()}
    rows = [
        [
            "all kept" if name == "0" else f"pieces of {name}",
            peaks[name],
            peaks[name] / peaks["0"],
            times[name] / times["0"],
        ]
        for name in calls
    ]
    figure, (left, right) = charts(2)
    for axes, column, label in (
        (left, 2, "peak memory / all kept"),
        (right, 3, "time / all kept"),
    ):
        style(axes, "layers in a piece", label, log_x=True)
        axes.plot(pieces, [row[column] for row in rows[1:]], "o-")
        axes.axhline(1, linestyle="--", color="#555555")
        axes.set_xticks(pieces, [str(n) for n in pieces])
        axes.set_ylim(bottom=0)
    best = min(rows[1:], key=lambda row: row[1])
    reading = (
        f"Of {depth} layers, {best[0]} need least: {best[2]:.0%} of the memory, for {best[3]:.2f} times the time. "
        f"√{depth} is {math.sqrt(depth):.0f}."
    )
    columns = ["kept", "peak, bytes", "peak / all kept", "time / all kept"]
    return Section("What do checkpoints trade?", reading, Table(columns, rows), figure)


def _overhead(quick: bool) -> Section:
    """Time by op of a chain on tensors of few and of many elements."""
    length = 20
    torch = torch_if_installed()
    rows, ways = list[list[Any]](), list[str]()
    for count in (1, 1 << 12) if quick else (1, 1 << 12, 1 << 16, 1 << 20):
        values = np.random.default_rng(0).standard_normal(count).astype(np.float32)
        x = tt.Tensor(values, requires_grad=True)

        def chain(x: Any) -> Any:
            for _ in range(length // 2):
                x = x * 0.9 + 0.1
            return x.sum()

        def both(x: Any = x) -> None:
            chain(x).backward()
            x.grad = None

        def compiled_step(x: tt.Tensor) -> tt.Tensor:
            return tt.grad(chain)(x)

        step = tt.compile(compiled_step)
        plain = x.detach()
        calls: dict[str, Callable[[], Any]] = {
            "forward, no_grad": lambda plain=plain: chain(plain),
            "forward, recorded": lambda x=x: chain(x),
            "with backward": both,
            "compiled gradient": lambda step=step, plain=plain: step(plain),
        }
        if torch:
            theirs = torch.from_numpy(values.copy()).requires_grad_()
            calls["torch with backward"] = lambda theirs=theirs: both(theirs)
        times = medians(calls, 0.02 if quick else 0.2)
        ways = list(calls)
        rows.append([count, *(times[name] / length * 1e6 for name in calls)])
    first, last = rows[0], rows[-1]
    reading = (
        f"On one element an op takes {first[1]:.1f} µs; recorded {first[2]:.1f} µs, with its backward "
        f"{first[3]:.1f} µs. On {last[0]:,} elements forward with backward takes {last[3] / last[1]:.1f} times as "
        f"long as forward alone. Compiled, the gradient of as many takes {last[4]:.2f} µs per op, eagerly "
        f"{last[3]:.1f} µs."
    )
    columns = ["elements", *(f"{name}, µs per op" for name in ways)]
    return Section("What does recording cost?", reading, Table(columns, rows))


def _finite_differences(gradient: Callable[[tt.Tensor, tt.Tensor], tt.Tensor]) -> Section:
    """The error of central differences, by step and dtype, against the gradient."""
    at, steps = 0.7, [10.0**-i for i in range(1, 13)]

    def function(x: Any) -> Any:
        return (x * x).sin() * (-x).exp()

    figure, axes = chart("step h", "relative error", log_x=True, log_y=True)
    rows: list[list[Any]] = [[h] for h in steps]
    exact = (2 * at * math.cos(at * at) - math.sin(at * at)) * math.exp(-at)
    own: dict[str, float] = {}
    for dtype in ("f32", "f64"):
        errors: list[float] = []
        for h in steps:
            ahead, behind = (function(tt.Tensor([at + s], dtype=dtype)) for s in (h, -h))
            errors.append(abs(float((ahead - behind)[0]) / (2 * h) / exact - 1))
        x = tt.Tensor([at], requires_grad=True, dtype=dtype)
        own[dtype] = abs(float(gradient(function(x).sum(), x)[0]) / exact - 1)
        for row, error in zip(rows, errors, strict=True):
            row.append(error)
        (line,) = axes.plot(steps, np.maximum(errors, 1e-16), "o-", label=f"{dtype}, differences")
        axes.axhline(max(own[dtype], 1e-17), linestyle="--", color=line.get_color(), label=f"{dtype}, autograd")
    legend_above(axes, 4)
    best = {dtype: min(rows, key=lambda row, column=column: row[column]) for column, dtype in ((1, "f32"), (2, "f64"))}
    reading = (
        f"In f32 the best step of these is {best['f32'][0]:.0e}, where the difference is off by {best['f32'][1]:.1e}; "
        "in f64 it is "
        f"{best['f64'][0]:.0e}, off by {best['f64'][2]:.1e}. Autograd is off by {own['f32']:.1e} and {own['f64']:.1e}."
    )
    return Section(
        "How good is a finite difference?", reading, Table(["h", "error in f32", "error in f64"], rows), figure
    )
