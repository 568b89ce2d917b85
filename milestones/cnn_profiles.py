"""What convolution costs, against fully connected layers of the same inputs and outputs; what loading costs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import tinytorch as tt
from milestones.common import StepProfile, kib, microseconds, profile_step, table

BATCHES = (32, 128)  # of the profile of the whole network
SIZES = ((3, 16, 16), (16, 32, 8), (64, 64, 8))  # channels in, channels out, height and width: a Linear fits
BATCH, REPEATS = 64, 25
LOADED = 100  # batches


def loading_rate(loader: tt.DataLoader) -> float:
    """Images per second of a loader whose user does nothing else."""
    images = 0
    start = time.perf_counter()
    for _, (x, _) in zip(range(LOADED), loader, strict=False):
        images += len(x)
    return images / (time.perf_counter() - start)


def show_layers(model: tt.Sequential) -> list[dict[str, Any]]:
    """Parameters and forward FLOPs per image of each convolution of `model`, and of a Linear in its place."""
    rows: list[dict[str, Any]] = []
    shape = (3, 32, 32)
    for layer in model:
        if isinstance(layer, tt.Conv2d):
            out, _, high, wide = layer.weight.shape
            made = (out, *shape[1:])
            window = shape[0] * high * wide
            dense = math.prod(shape) * math.prod(made)
            rows.append(
                {
                    "layer": f"{'×'.join(map(str, shape))} to {'×'.join(map(str, made))}",
                    "convolution_parameters": window * out,
                    "linear_parameters": dense,
                    "convolution_flops": 2 * window * math.prod(made),
                    "linear_flops": 2 * dense,
                }
            )
            shape = made
        elif isinstance(layer, tt.MaxPool2d):
            shape = (shape[0], shape[1] // 2, shape[2] // 2)
    shown = [(row["layer"], *(f"{value:,}" for value in list(row.values())[1:])) for row in rows]
    columns = ("layer", "weights conv", "weights FC", "FLOP conv", "FLOP FC")
    table("The same inputs and outputs, per image, computed", columns, shown)
    return rows


def show_convolution_against_linear() -> list[dict[str, Any]]:
    """The training steps of single layers at sizes at which a Linear fits into memory, measured."""
    found: list[dict[str, Any]] = []
    for i, o, side in SIZES:
        for kind, make, weights in (("conv 3×3", _convolution, 9 * i * o), ("FC", _linear, i * o * side**4)):
            profile = _step(lambda c, make=make, sizes=(i, o, side): make(*sizes, c), i, o, side)
            found.append(
                {"layer": f"{i}×{side}×{side} to {o}×{side}×{side}", "kind": kind, "weights": weights} | vars(profile)
            )
    rows = [
        (
            f"{row['layer']}, {row['kind']}",
            f"{row['weights']:,}",
            f"{row['flops'] / 1e6:,.1f}",
            kib(row["state"]),
            kib(row["arena"]),
            microseconds(row["seconds"]),
            f"{row['flops'] / row['seconds'] / 1e9:.1f}",
        )
        for row in found
    ]
    columns = ("layer", "weights", "MFLOP", "state KiB", "arena KiB", "µs", "GFLOP/s")
    table(f"One training step of one layer, batch {BATCH}, measured", columns, rows)
    return found


def _step(make: Callable[[bool], tt.Trainer], i: int, o: int, side: int) -> StepProfile:
    rng = np.random.default_rng(0)
    inputs, targets = (rng.normal(size=(BATCH, c, side, side)).astype(np.float32) for c in (i, o))
    return profile_step(make, inputs, targets.reshape(BATCH, -1), REPEATS)


def _convolution(i: int, o: int, side: int, compile: bool) -> tt.Trainer:
    return _trainer(tt.Sequential(tt.Conv2d(i, o, 3, padding=1, bias=False), tt.Flatten()), compile)


def _linear(i: int, o: int, side: int, compile: bool) -> tt.Trainer:
    return _trainer(tt.Sequential(tt.Flatten(), tt.Linear(i * side**2, o * side**2, bias=False)), compile)


def _trainer(model: tt.Module, compile: bool) -> tt.Trainer:
    optimizer = tt.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return tt.Trainer(model, optimizer, tt.MSELoss(), compile=compile, hits=None)


def step_of(make: Callable[[bool], tt.Trainer], batch: int) -> StepProfile:
    """The training step of a network on random images of ten classes."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(batch, 3, 32, 32)).astype(np.float32)
    return profile_step(make, images, rng.integers(0, 10, batch), REPEATS)
