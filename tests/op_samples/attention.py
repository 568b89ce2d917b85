"""Attention, and rotary positions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tests.op_samples.operands import random_array, rng_of
from tests.op_samples.sample import Sample
from tinytorch.ir.op import OPS, Array
from tinytorch.ir.types import DTYPES

_SEEN = np.array([[1, 0, 1, 1, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]], bool)


def _attentions() -> list[Sample]:
    """Every way to hide keys, with as many heads as groups and more, and sizes that nothing divides."""
    rng, attention, inf = rng_of("attention"), OPS["attention"], np.inf
    plain: dict[str, Any] = {"scale": 0.5, "causal": False, "extras": (), "p": 0.0, "fill": -inf, "zeros": True}
    q, k, v = (rng.normal(size=s) for s in ((2, 4, 3, 4), (2, 2, 5, 4), (2, 2, 5, 3)))
    seen, state = np.broadcast_to(_SEEN, (2, 4, 3, 5)), np.array([5, 123])
    added = np.where(seen, rng.normal(size=seen.shape), -inf)
    cases: list[tuple[tuple[Array, ...], dict[str, Any]]] = [
        ((), {}),
        ((), {"causal": True}),
        ((), {"causal": True, "fill": -2.0}),
        ((seen,), {"extras": ("mask",)}),
        ((seen[:, :, ::2].repeat(2, 2)[:, :, 1:],), {"extras": ("mask",)}),
        ((seen,), {"extras": ("mask",), "causal": True, "fill": -3.0, "zeros": False}),
        ((added,), {"extras": ("mask",)}),
        ((added[:, :, 2:].repeat(3, 2),), {"extras": ("mask",)}),
        ((state,), {"extras": ("state",), "p": 0.4}),
        ((seen, state, np.array([0, 2])), {"extras": ("mask", "state", "positions"), "p": 0.5, "causal": True}),
        ((np.array([2, 1]),), {"extras": ("positions",)}),
    ]
    samples: list[Sample] = []
    for extras, attrs in cases:
        for dtype in (np.float64, np.float32):
            operands = [a.astype(dtype) if a.dtype.kind == "f" else a for a in (q, k, v, *extras)]
            sample = Sample(attention, tuple(operands), {**plain, **attrs}, 16, False)
            smooth = dtype is np.float64 and bool(sample.results[1].all())
            samples.append(replace(sample, smooth=smooth))
    unseen = {**plain, "extras": ("mask",), "zeros": False}
    rows = tuple(a.astype(np.float32) for a in (q, k, v))
    samples.append(Sample(attention, (*rows, seen), unseen, 16, False))
    for name in ("f16", "bf16"):
        halves = tuple(a.astype(DTYPES[name].numpy) for a in (q, k, v))
        samples.append(Sample(attention, halves, {**plain, "causal": True}, 2, False))
    for shape in ((0, 2, 3, 4), (2, 0, 3, 4), (2, 2, 0, 4), (2, 2, 3, 0)):
        samples.append(Sample(attention, (np.zeros(shape, np.float32),) * 3, plain))
    nothing = np.zeros((2, 2, 0, 4), np.float32)
    samples.append(Sample(attention, (rows[0], nothing, nothing), plain))
    return samples + [_gradient_of(s) for s in samples]


def _gradient_of(sample: Sample) -> Sample:
    """What attention's rule applies, for a cotangent of the result alone."""
    out, norms = sample.results
    g = rng_of("cotangent").normal(size=out.shape).astype(out.dtype)
    delta = (g.astype(norms.dtype) * out.astype(norms.dtype)).sum(3, keepdims=True)
    arrays = (*sample.arrays, norms, delta, g)
    return Sample(OPS["attention_grad"], arrays, sample.attrs, sample.tolerance * 2, False, smooth=sample.smooth)


def _rotaries() -> list[Sample]:
    rng, op = rng_of("rotary"), OPS["rotary"]
    samples = [Sample(op, tuple(rng.normal(size=(2, 3, 4)) for _ in range(3)), {}, 8, False, smooth=True)]
    for dtype, table in (("f32", "f32"), ("f64", "f64"), ("bf16", "f32"), ("f16", "f32"), ("f16", "f16")):
        arrays = tuple(random_array(DTYPES[name], (3, 5, 22), rng) for name in (dtype, table, table))
        samples.append(Sample(op, arrays, {}, 8, False))
    return [*samples, Sample(op, tuple(np.zeros((2, 0), np.float32) for _ in range(3)))]


def samples() -> list[Sample]:
    return [*_attentions(), *_rotaries()]
