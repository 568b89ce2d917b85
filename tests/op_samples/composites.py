"""Activations, softmax, statistics, losses and random numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.op_samples.operands import combined_corners, corners_of, random_array, rng_of
from tests.op_samples.sample import Sample
from tinytorch.ir.op import OPS
from tinytorch.ir.types import DTYPES, bool_, f32, i64


def _composites() -> list[Sample]:
    rng = rng_of("composite")
    x = rng.uniform(0.2, 2.0, (3, 4)) * rng.choice([-1, 1], (3, 4))
    wide = np.concatenate([corners_of(f32), random_array(f32, (50,), rng)])
    rows = random_array(f32, (5, 37), rng)
    spikes = np.array([[1e4, -1e4, 0], [-np.inf, 0, 1], [np.nan, 0, 1], [np.inf, 0, 1]], np.float32)
    targets, state = np.array([2, 0, 3]), np.array([5, 123])
    samples: list[Sample] = []
    halves = rows.astype(DTYPES["bf16"].numpy)
    activations: list[tuple[str, dict[str, Any]]] = [("relu", {}), ("sigmoid", {}), ("silu", {}), ("softplus", {})]
    activations += [("gelu", {"approximate": approximate}) for approximate in (False, True)]
    for name, attrs in activations:
        exact = name == "relu"
        samples.append(Sample(OPS[name], (x,), attrs, 0 if exact else 8, smooth=True))
        samples.append(Sample(OPS[name], (wide,), attrs, 0 if exact else 8, name != "gelu"))
        samples.append(Sample(OPS[name], (halves,), attrs, 0 if exact else 4, False))
    for name in ("softmax", "log_softmax", "logsumexp"):
        samples += [Sample(OPS[name], (x,), {"axis": axis}, 16, False, smooth=True) for axis in (0, 1)]
        samples += [Sample(OPS[name], (a,), {"axis": 1}, 16, False) for a in (rows, spikes)]
    for axes in ((0,), (1,), (0, 1)):
        samples.append(Sample(OPS["mean"], (x,), {"axes": axes}, 8, False, smooth=True))
        samples.append(Sample(OPS["layernorm"], (x,), {"axes": axes, "eps": 1e-5}, 64, False, smooth=True))
        samples.append(Sample(OPS["variance"], (x,), {"axes": axes, "correction": 1.0}, 16, False, smooth=True))
    for dtype in ("f16", "bf16"):
        half = (rows + 3).astype(DTYPES[dtype].numpy)
        samples.append(Sample(OPS["mean"], (np.full((2, 70_000), 1.5, half.dtype),), {"axes": (1,)}))
        samples.append(Sample(OPS["softmax"], (half,), {"axis": 1}, 1, False))
        samples.append(Sample(OPS["layernorm"], (half,), {"axes": (1,), "eps": 1e-5}, 1, False))
    samples.append(Sample(OPS["mean"], (np.zeros((2, 0), np.float32),), {"axes": (1,)}))
    samples += [
        Sample(OPS["variance"], (a,), {"axes": (1,), "correction": c}) for a in (spikes,) for c in (0.0, 3.0, 5.0)
    ]
    samples.append(Sample(OPS["variance"], (np.zeros((2, 0), np.float32),), {"axes": (1,), "correction": 1.0}))
    samples += [Sample(OPS["root"], (np.abs(x),), smooth=True), Sample(OPS["root"], (wide,))]
    for name in ("clamp_min", "clamp_max"):
        limit = rng.permutation(x.reshape(-1)).reshape(x.shape) + 0.05
        samples += [Sample(OPS[name], (x, limit), smooth=True)]
        samples += [Sample(OPS[name], combined_corners(d, 2, rng)) for d in DTYPES.values()]
    for name in ("softmax", "log_softmax", "logsumexp"):
        samples += [Sample(OPS[name], (np.zeros(s, np.float32),), {"axis": 1}) for s in ((2, 0), (0, 2))]
    samples.append(Sample(OPS["layernorm"], (rows,), {"axes": (1,), "eps": 1e-5}, 32, False))
    for smoothing in (0.0, 0.1):
        samples.append(Sample(OPS["cross_entropy"], (x, targets), {"smoothing": smoothing}, 16, False, smooth=True))
        samples.append(Sample(OPS["cross_entropy"], (rows, np.arange(5) * 9), {"smoothing": smoothing}, 16, False))
    p, shares = rng.uniform(0.05, 0.95, (2, 3, 4))
    edges = np.array([[0, 1, 0.5, 0, 1, 2, np.nan], [0, 1, 0.3, 1, 0, 1, 1]], np.float32)
    logits = np.array([0, 30, -30, np.inf, -np.inf, np.inf, np.nan], np.float32)
    samples.append(Sample(OPS["binary_cross_entropy"], (p, shares), {}, 16, False, smooth=True))
    samples.append(Sample(OPS["binary_cross_entropy"], tuple(edges), {}, 16))
    samples.append(Sample(OPS["logistic_loss"], (x, p, shares), {}, 16, False, smooth=True))
    samples.append(Sample(OPS["logistic_loss"], (logits, 1 - edges[1], edges[1]), {}, 16))
    samples += [Sample(OPS["one_hot"], (targets,), {"size": 4, "dtype": d}) for d in (f32, i64, bool_)]
    for dtype in ("f32", "f64", "bf16"):
        attrs = {"shape": (7, 5), "dtype": DTYPES[dtype]}
        samples.append(Sample(OPS["uniform"], (state,), attrs))
        samples.append(Sample(OPS["normal"], (state,), attrs, 2 if dtype == "bf16" else 16 if dtype == "f32" else 1e10))
    samples += [Sample(OPS["dropout"], (x, state), {"p": p}, 1, smooth=True) for p in (0.0, 0.4, 1.0)]
    return samples


def samples() -> list[Sample]:
    return _composites()
