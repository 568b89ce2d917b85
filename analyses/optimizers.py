"""Module 06: what an optimizer keeps in memory, what momentum and adaptive rates gain, and what weight decay means."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import tinytorch as tt
from analyses.drawing import COLOURS, chart, charts, style
from analyses.measuring import medians, torch_if_installed
from analyses.record import Analysis, Section, Table

_BACKGROUND = """
An optimizer turns the gradient g of a parameter p into a step. For n parameters in f32, training keeps 4n bytes of
parameters, 4n of gradients, and the optimizer's state.

- SGD: p ← p - η g. On a quadratic with curvatures from μ to L, κ = L / μ, the best η takes O(κ) steps.
- Momentum: m ← β m + g, p ← p - η m: one state, and O(√κ) steps (Polyak 1964).
- Adam: m and v are running means of g and g², p ← p - η m̂ / (√v̂ + ε): two states (Kingma & Ba 2015). Multiplying a
  coordinate's gradient by a constant changes nothing, so curvatures along the axes do not matter; rotated ones do.
- L2 adds λ p to g, so Adam divides it by √v̂, too. Decoupled decay (AdamW) multiplies p by 1 - η λ, whatever g is.
"""
_QUESTIONS = (
    "A model has 7e9 parameters in bf16, and AdamW keeps its state in f32. How many bytes does training keep before "
    "the "
    "first activation?",
    "Adam's advantage on the quadratic vanishes when the axes are rotated. Why, and what does that say about "
    "embeddings, whose rows are met rarely?",
    "A step of AdamW moves 28 bytes for each parameter. How long does that take for 1e9 parameters at 40 GB/s, and "
    "what "
    "would you fuse it with?",
    "Under L2, which weights does Adam shrink least? Are those the ones you want to keep large?",
    "m̂ and v̂ are m and v divided by 1 - βᵗ. What is the first step of Adam, and what would it be without that?",
)
_TOLERANCE = 1e-4  # of the loss, relative to the first


def analyze(*, quick: bool = False, SGD: Any = tt.SGD, AdamW: Any = tt.AdamW, Adam: Any = tt.Adam) -> Analysis:
    """Measure these optimizers."""
    return Analysis(
        "Optimizers: state, curvature, weight decay, cost of a step",
        _BACKGROUND,
        [_memory(SGD, AdamW), _curvature(SGD, Adam, quick), _decay(AdamW, Adam, quick), _cost(SGD, AdamW, quick)],
        _QUESTIONS,
    )


def _variants(SGD: Any, AdamW: Any) -> dict[str, Callable[[Any], Any]]:
    return {
        "SGD, no momentum": lambda params: SGD(params, lr=1e-3, momentum=0.0),
        "SGD, momentum 0.9": lambda params: SGD(params, lr=1e-3, momentum=0.9),
        "AdamW": lambda params: AdamW(params, lr=1e-3),
    }


def _memory(SGD: Any, AdamW: Any) -> Section:
    """The bytes of the state that each optimizer has made."""
    model = tt.Sequential(tt.Linear(784, 256), tt.ReLU(), tt.Linear(256, 10))
    params = list(model.parameters())
    count = sum(p.numel() for p in params)
    figure, axes = chart("", "bytes per parameter")
    rows: list[list[Any]] = []
    for name, make in _variants(SGD, AdamW).items():
        state = {id(t): t for one in make(params).state for t in one.values()}
        kept = sum(t.numel() * t.dtype.size for t in state.values())
        rows.append([name, 4 * count, 4 * count, kept, (8 * count + kept) / (4 * count)])
        for low, height, colour in ((0, 4, 0), (4, 4, 1), (8, kept / count, 2)):
            axes.bar(name, height, 0.6, bottom=low, color=COLOURS[colour])
    axes.legend(["parameters", "gradients", "optimizer state"], fontsize=8, loc="upper left")
    names = ["parameters, bytes", "gradients, bytes", "state, bytes", "all, in parameters"]
    last = rows[-1]
    reading = (
        f"A model of {count:,} parameters trains in {rows[0][4]:.0f} times their bytes with SGD, {rows[1][4]:.0f} "
        "times "
        f"with momentum, {last[4]:.0f} times with AdamW: beside the gradients, AdamW adds two states for each "
        "parameter."
    )
    return Section("What does an optimizer keep?", reading, Table(["optimizer", *names], rows), figure)


def _curvature(SGD: Any, Adam: Any, quick: bool) -> Section:
    """Steps on a quadratic of ten dimensions with curvatures from 1/κ to 1."""
    conditions = (4, 16, 64) if quick else (4, 16, 64, 256, 1024)
    most = 600 if quick else 6000
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((10, 10)))[0]
    figure, axes = chart("condition κ", f"steps until the loss is {_TOLERANCE:g} of the first", log_x=True, log_y=True)
    rows: list[list[Any]] = []
    for condition in conditions:
        curvatures = np.geomspace(1 / condition, 1, 10)
        aligned, rotated = np.diag(curvatures), rotation @ np.diag(curvatures) @ rotation.T
        root = math.sqrt(condition)
        plain = {"lr": 2 / (1 + 1 / condition), "momentum": 0.0}
        heavy = {"lr": 4 / (1 + 1 / root) ** 2, "momentum": ((root - 1) / (root + 1)) ** 2}
        rows.append(
            [
                condition,
                _steps(lambda p, s=plain: SGD(p, **s), rotated, most),
                _steps(lambda p, s=heavy: SGD(p, **s), rotated, most),
                _steps(lambda p: Adam(p, lr=0.05), aligned, most),
                _steps(lambda p: Adam(p, lr=0.05), rotated, most),
            ]
        )
    names = ["SGD", "SGD with momentum", "Adam, axes aligned", "Adam, axes rotated"]
    for i, name in enumerate(names, 1):
        axes.plot([row[0] for row in rows], [math.nan if row[i] is None else row[i] for row in rows], "o-", label=name)
    axes.set_xticks(conditions, [f"{condition:,}" for condition in conditions])
    axes.legend(fontsize=8)
    reading = f"From κ = {conditions[0]} to {conditions[-1]} the steps change by " + ", ".join(
        f"{name}: {_ratio(rows[0][i], rows[-1][i])}" for i, name in enumerate(names, 1)
    )
    reading += f". √κ grows by {math.sqrt(conditions[-1] / conditions[0]):.0f}×. SGD and momentum have the best rates "
    reading += "that theory knows for each κ; Adam has the same rate, 0.05, everywhere."
    return Section(
        "What do momentum and adaptive rates gain?",
        reading,
        Table(["κ", *(f"{n}, steps" for n in names)], rows),
        figure,
    )


def _ratio(first: Any, last: Any) -> str:
    return "not reached" if first is None or last is None else f"{last / first:.1f}×"


def _steps(make: Callable[[Any], Any], curvature: Any, most: int) -> int | None:
    """Steps until x·H·x / 2 is below the tolerance, from the place where all eigenvectors have the same share; None if
    `most` do not do it."""
    hessian = curvature.astype(np.float64)
    x = tt.Parameter(tt.Tensor(np.linalg.eigh(hessian)[1].sum(1)))
    optimizer = make([x])
    start = float(x.numpy() @ hessian @ x.numpy())
    for step in range(most):
        at = x.numpy()
        gradient = hessian @ at
        if at @ gradient <= _TOLERANCE * start:
            return step
        x.grad = tt.Tensor(gradient)
        optimizer.step()
        optimizer.zero_grad()
    return None


def _decay(AdamW: Any, Adam: Any, quick: bool) -> Section:
    """What is left of weights whose gradients are noise of different sizes."""
    steps, rate, decay = (100 if quick else 400), 0.01, 0.1
    scales = np.geomspace(1e-3, 10, 9)
    noise = np.random.default_rng(0).choice([-1.0, 1.0], (steps, 256, len(scales))) * scales
    left = {
        "decoupled (AdamW)": _left(AdamW, noise, rate, decay),
        "L2 (Adam)": _left(Adam, noise, rate, decay),
    }
    expected = (1 - rate * decay) ** steps
    figure, axes = chart("size of the gradients' noise", f"share of the weight left after {steps} steps", log_x=True)
    for name, found in left.items():
        axes.plot(scales, found, "o-", label=name)
    axes.axhline(expected, color="#888888", linewidth=1, label="(1 - η λ)ᵗ")
    axes.legend(fontsize=8)
    rows = [[float(scale), *(float(found[i]) for found in left.values())] for i, scale in enumerate(scales)]
    wide = {name: float(found.max() - found.min()) for name, found in left.items()}
    reading = (
        f"Decoupled decay leaves {left['decoupled (AdamW)'].mean():.3f} of the weights on average, and (1 - η λ)ᵗ is "
        f"{expected:.3f}; between the smallest and the largest noise it differs by {wide['decoupled (AdamW)']:.3f}. "
        f"As a part of the gradient it differs by {wide['L2 (Adam)']:.3f}: where gradients are large, it is divided "
        "away."
    )
    columns = ["noise", *(f"{name}, share left" for name in left)]
    return Section("Is weight decay the same as an L2 penalty?", reading, Table(columns, rows), figure)


def _left(make: Any, noise: Any, rate: float, decay: float) -> Any:
    """Mean weights, from 10, after steps with these gradients: [noise sizes]."""
    p = tt.Parameter(tt.Tensor(np.full(noise.shape[1:], 10.0)))
    optimizer = make([p], lr=rate, weight_decay=decay)
    for gradient in noise:
        p.grad = tt.Tensor(gradient)
        optimizer.step()
        optimizer.zero_grad()
    return p.numpy().mean(0) / 10


def _cost(SGD: Any, AdamW: Any, quick: bool) -> Section:
    """The time of a compiled step, against the bytes that it must move."""
    count = 1 << (18 if quick else 22)
    torch = torch_if_installed()
    values = np.random.default_rng(0).standard_normal(count).astype(np.float32)
    ways = ["eager", "compiled", *(["torch eager"] if torch else [])]
    rows: list[list[Any]] = []
    for (name, make), moved in zip(_variants(SGD, AdamW).items(), (12, 20, 28), strict=True):
        calls = {"eager": _step(make, values), "compiled": tt.compile(_step(make, values))}
        if torch:
            calls["torch eager"] = _torch_step(torch, name, values)
        times = medians(calls, 0.1 if quick else 0.5)
        rows.append([name, moved, *(times[way] / count * 1e9 for way in ways), moved * count / times["compiled"] / 1e9])
    figure, pair = charts(2)
    style(pair[0], "bytes moved per parameter", "compiled step, ns per parameter")
    pair[0].plot([row[1] for row in rows], [row[3] for row in rows], "o-")
    pair[0].set_xlim(0, 30)
    pair[0].set_ylim(0, None)
    style(pair[1], "", "ns per parameter", log_y=True)
    width = 0.8 / len(ways)
    for i, way in enumerate(ways):
        pair[1].bar([j + i * width for j in range(3)], [row[2 + i] for row in rows], width, label=way)
    pair[1].set_xticks([j + 0.3 for j in range(3)], ["SGD", "momentum", "AdamW"])
    pair[1].legend(fontsize=8)
    fastest = [float(row[3]) for row in rows]
    eager_gain = float(rows[2][2]) / fastest[2]
    reading = (
        f"Compiled, AdamW takes {fastest[2] / fastest[0]:.1f} times as long as SGD and moves {28 / 12:.1f} times the "
        f"bytes: {12 / fastest[0]:.0f} GB/s for SGD, {28 / fastest[2]:.0f} GB/s for AdamW. Compiling makes a step of "
        f"AdamW {eager_gain:.1f} times as fast as it is eagerly, where each of its operations reads and writes memory."
    )
    columns = ["optimizer", "bytes moved per parameter", *(f"{way}, ns per parameter" for way in ways), "GB/s"]
    return Section(f"What does a step cost, on {count:,} parameters?", reading, Table(columns, rows), figure)


def _step(make: Callable[[Any], Any], values: Any) -> Callable[[], None]:
    p = tt.Parameter(tt.Tensor(values.copy()))
    p.grad = tt.Tensor(values * 1e-3)
    optimizer = make([p])
    return lambda: optimizer.step()


def _torch_step(torch: Any, name: str, values: Any) -> Callable[[], None]:
    p = torch.nn.Parameter(torch.from_numpy(values.copy()))
    p.grad = torch.from_numpy(values * 1e-3)
    if name == "AdamW":
        optimizer = torch.optim.AdamW([p], lr=1e-3)
    else:
        optimizer = torch.optim.SGD([p], lr=1e-3, momentum=0.9 if "0.9" in name else 0.0)
    return lambda: optimizer.step()
