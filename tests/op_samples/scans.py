"""Scans, products along axes, sorts, medians and searches in what is sorted."""

from __future__ import annotations

import itertools

import numpy as np

from tests.op_samples.operands import random_array, rng_of
from tests.op_samples.sample import Sample
from tinytorch.ir.op import OPS
from tinytorch.ir.types import DTYPES, bool_, f32, i64


def _scans() -> list[Sample]:
    rng, op = rng_of("cumsum"), OPS["cumsum"]
    samples: list[Sample] = []
    for axis, reverse in itertools.product((0, 1, 2), (False, True)):
        attrs = {"axis": axis, "reverse": reverse}
        samples.append(Sample(op, (rng.normal(size=(3, 4, 5)),), attrs, smooth=True))
        samples += [Sample(op, (random_array(t, (3, 17, 21), rng),), attrs) for t in DTYPES.values() if t != bool_]
    corners = np.array([[-0.0, 0, -0.0], [1, np.inf, 2], [np.inf, 1, -np.inf], [3, np.nan, 1]], np.float32)
    samples += [Sample(op, (corners,), {"axis": axis, "reverse": False}) for axis in (0, 1)]
    samples.append(Sample(op, (np.full((1 << 17,), 0.1, np.float32),), {"axis": 0, "reverse": False}))
    samples += [Sample(op, (np.zeros(s, np.float32),), {"axis": 1, "reverse": True}) for s in ((3, 0), (0, 3), (2, 1))]
    return samples


def _further_scans() -> list[Sample]:
    rng = rng_of("scan")
    samples: list[Sample] = []
    corners = np.array([[-0.0, 0, -0.0], [1, np.inf, 2], [-np.inf, -np.inf, 1], [3, np.nan, 1]], np.float32)
    counts = {"linear_scan": 2, "cumprod": 1, "logcumsumexp": 1, "cummax": 1, "cummin": 1}
    for name, count in counts.items():
        op, extreme, log = OPS[name], name in ("cummax", "cummin"), name == "logcumsumexp"
        tolerance = (16, False) if log else (0, True)  # logarithms near 0 are what is left of larger ones
        kinds = [t for t in DTYPES.values() if t.is_float or extreme or not (log or t == bool_)]
        for axis, reverse in itertools.product((0, 1, 2), (False, True)):
            attrs = {"axis": axis} if extreme else {"axis": axis, "reverse": reverse}
            smooth = tuple(rng.normal(size=(2, 4, 3)) for _ in range(count))
            samples.append(Sample(op, smooth, attrs, *tolerance, smooth=True))
            t = kinds[(2 * axis + reverse) % len(kinds)]
            samples.append(Sample(op, tuple(random_array(t, (3, 9, 21), rng) for _ in range(count)), attrs, *tolerance))
        first = {"axis": 0} if extreme else {"axis": 0, "reverse": False}
        samples += [
            Sample(op, tuple(random_array(t, (9, 21), rng) for _ in range(count)), first, *tolerance) for t in kinds
        ]
        samples += [Sample(op, (corners,) * count, {**first, "axis": axis}, *tolerance) for axis in (0, 1)]
        empty = [tuple(np.zeros(s, np.float32) for _ in range(count)) for s in ((0, 3), (3, 0), (1, 2))]
        samples += [Sample(op, arrays, first) for arrays in empty]
    with_zeros = np.array([[1.5, 0, 2, -1], [0, 2, 0, 3], [2, -3, 0.5, 1]])
    samples += [Sample(OPS["cumprod"], (with_zeros,), {"axis": 1, "reverse": r}, smooth=True) for r in (False, True)]
    prod, x = OPS["prod"], rng.uniform(-1.5, 1.5, (3, 4, 2))
    samples += [Sample(prod, (x,), {"axes": axes}, 8, smooth=True) for axes in ((0,), (1,), (0, 2), (0, 1, 2), ())]
    samples += [Sample(prod, (with_zeros,), {"axes": (1,)}, smooth=True), Sample(prod, (corners,), {"axes": (0,)}, 2)]
    for t in DTYPES.values():
        y = random_array(t, (5, 33), rng, 1.0)
        samples += [] if t == bool_ else [Sample(prod, (y,), {"axes": (1,)}, 40 if t.is_float else 0)]
    return samples


def _sorts() -> list[Sample]:
    rng, op = rng_of("sort"), OPS["sort"]
    samples: list[Sample] = []
    ties = np.array([[1, 3, 3, -2, -2, 0], [np.nan, 1, np.inf, 0, np.nan, -0.0], [0, -0.0, 0, 0, 0, 0]], np.float32)
    for descending in (False, True):
        for axis, count in ((0, 3), (1, 4), (2, 5), (1, 2), (2, 0)):
            x = rng.permutation(60).reshape(3, 4, 5) / 10
            attrs = {"axis": axis, "descending": descending, "count": count}
            samples.append(Sample(op, (x,), attrs, smooth=count > 0))
        samples += [Sample(op, (ties,), {"axis": 1, "descending": descending, "count": n}) for n in (6, 2)]
        whole = {"axis": 0, "descending": descending, "count": 70}
        samples += [Sample(op, (random_array(t, (70, 3), rng),), whole) for t in DTYPES.values()]
        samples.append(Sample(op, (random_array(f32, (2, 900), rng),), {**whole, "axis": 1}))
        samples.append(Sample(op, (np.zeros((0, 2), np.float32),), {**whole, "count": 0}))
    for skip_nan in (False, True):
        attrs = {"skip_nan": skip_nan}
        samples += [Sample(OPS["median"], (x,), attrs, smooth=True) for x in (rng.normal(size=9), rng.normal(size=4))]
        samples += [Sample(OPS["median"], (row,), attrs) for row in (*ties, np.full(3, np.nan), np.array([3, 1, 2, 2]))]
        samples.append(Sample(OPS["median"], (random_array(DTYPES["bf16"], (40,), rng),), attrs))
    for right in (False, True):
        rows, x = np.sort(random_array(f32, (3, 13), rng)), random_array(f32, (3, 5), rng)
        x[0, :4] = rows[0, 3], np.inf, -np.inf, np.nan
        samples.append(Sample(OPS["searchsorted"], (rows, x), {"right": right}))
        for t in (DTYPES["bf16"], i64, DTYPES["u8"]):
            arrays = np.sort(random_array(t, (40,), rng)), random_array(t, (50,), rng)
            samples.append(Sample(OPS["searchsorted"], arrays, {"right": right}))
        samples.append(Sample(OPS["searchsorted"], (np.zeros(0, np.float32), x[0]), {"right": right}))
    return samples


def samples() -> list[Sample]:
    return [*_scans(), *_further_scans(), *_sorts()]
