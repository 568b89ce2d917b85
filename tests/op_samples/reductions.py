"""Reductions."""

from __future__ import annotations

import numpy as np

from tests.op_samples.operands import random_array, rng_of
from tests.op_samples.sample import Sample
from tinytorch.ir.op import OPS
from tinytorch.ir.types import DTYPES


def _reductions() -> list[Sample]:
    rng = rng_of("reduce")
    samples: list[Sample] = []
    many = rng.permutation(105).reshape(3, 5, 7) / 10 - 4
    axes_of_many = [(0,), (1,), (2,), (0, 2), (0, 1, 2), ()]
    for name in ("sum", "max", "min"):
        op, exact = OPS[name], name != "sum"
        for axes in axes_of_many:
            samples.append(Sample(op, (many,), {"axes": axes}, 0 if exact else 8, False, smooth=True))
        long = rng.normal(size=(2, 1037))
        for dtype in ("f32", "bf16", "f16"):
            array = long.astype(DTYPES[dtype].numpy)
            samples.append(Sample(op, (array,), {"axes": (1,)}, 0 if exact else 40 if dtype == "f32" else 1, False))
        for dtype in ("i64", "i32", "i8", "u8"):
            samples.append(Sample(op, (random_array(DTYPES[dtype], (5, 33), rng),), {"axes": (1,)}))
        samples.append(Sample(op, (np.array([[1, np.nan], [np.inf, 2]], np.float32),), {"axes": (1,)}))
    samples += [Sample(OPS[name], (np.zeros((3, 0), np.float32),), {"axes": (1,)}) for name in ("sum", "prod")]
    samples += [Sample(OPS[n], (rng.integers(0, 2, (4, 9)).astype(bool),), {"axes": (0,)}) for n in ("max", "min")]
    ties = np.array([[1, 3, 3, -2, -2], [np.nan, 1, np.inf, 0, np.nan], [0, -0.0, 0, 0, 0]], np.float32)
    for name in ("argmax", "argmin"):
        samples += [Sample(OPS[name], (ties,), {"axes": (a,)}) for a in (0, 1)]
        samples.append(Sample(OPS[name], (random_array(DTYPES["i32"], (6, 41), rng),), {"axes": (1,)}))
    return samples


def samples() -> list[Sample]:
    return _reductions()
