"""What is taken from and put to places: by indices, regions and positions."""

from __future__ import annotations

import numpy as np

from tests.op_samples.operands import random_array, rng_of
from tests.op_samples.sample import Sample
from tinytorch.ir.op import OPS
from tinytorch.ir.types import DTYPES


def _indexing() -> list[Sample]:
    rng = rng_of("index")
    x = rng.normal(size=(4, 5, 3))
    samples: list[Sample] = []
    for axis, places in ((0, [3, 0, 0]), (1, [[1, 4], [4, 4]]), (2, 2), (0, [])):
        index = np.array(places, np.int64)
        updates = rng.normal(size=(*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]))
        samples.append(Sample(OPS["gather"], (x, index), {"axis": axis}, smooth=True))
        samples.append(Sample(OPS["scatter_add"], (x, index, updates), {"axis": axis}, 8, False, smooth=True))
    rows, index = random_array(DTYPES["i32"], (6, 4), rng), np.array([5, 5, 1, 0])
    samples.append(Sample(OPS["gather"], (rows, index), {"axis": 0}))
    samples.append(Sample(OPS["scatter_add"], (rows, index, rows[:4]), {"axis": 0}))
    half = rng.normal(size=(6, 4)).astype(DTYPES["bf16"].numpy)
    samples.append(Sample(OPS["gather"], (half, index), {"axis": 0}))
    return samples


def _joins() -> list[Sample]:
    rng, op = rng_of("scatter_reduce"), OPS["scatter_reduce"]
    x = rng.normal(size=(4, 5, 3))
    samples: list[Sample] = []
    for reduce in ("mul", "max", "min"):
        for axis, places in ((0, [3, 0, 0]), (1, [[1, 4], [4, 4]]), (2, 2), (0, [])):
            index = np.array(places, np.int64)
            updates = rng.normal(size=(*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]))
            samples.append(Sample(op, (x, index, updates), {"axis": axis, "reduce": reduce}, 8, smooth=True))
        if reduce == "mul":  # of two factors that are 0, each has the other in its derivative
            factors = np.array([[0, 0.5, 0], [1.5, 0, 2], [0, 3, -1]])
            rows = np.array([[2.0, 3.0, 4.0], [0.0, 1.0, 2.0]])
            samples.append(
                Sample(op, (rows, np.array([0, 0, 0]), factors), {"axis": 0, "reduce": reduce}, 8, smooth=True)
            )
        for name in ("f32", "bf16", "f16", "i32", "i8", "u8", "i64"):
            rows, index = random_array(DTYPES[name], (6, 33), rng, 1.0), np.array([5, 5, 1, 0, 5])
            updates = random_array(DTYPES[name], (5, 33), rng, 1.0)
            if name == "f32":
                rows[5, 3], updates[1, 4], updates[4, 5:7] = np.nan, np.nan, np.inf
            samples.append(Sample(op, (rows, index, updates), {"axis": 0, "reduce": reduce}, 4))
    return samples


def _updates() -> list[Sample]:
    rng = rng_of("update")
    x = rng.normal(size=(4, 5, 3))
    samples: list[Sample] = []
    # Of repeated indices the one that does not count has a gradient all the same: smooth are distinct ones.
    for axis, places in ((0, [3, 0]), (1, [[1, 4], [0, 2]]), (2, 2), (0, [])):
        index = np.array(places, np.int64)
        updates = rng.normal(size=(*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]))
        samples.append(Sample(OPS["scatter"], (x, index, updates), {"axis": axis}, smooth=True))
    regions = [((2, 2, 3), (1, 0, 0), (2, 4, 1)), ((4, 1, 1), (0, 3, 2), (1, 7, 1)), ((2, 0, 3), (0, 5, 0), (1, 1, 1))]
    for shape, starts, steps in regions:
        attrs = {"starts": starts, "steps": steps}
        samples.append(Sample(OPS["update_slice"], (x, rng.normal(size=shape)), attrs, smooth=True))
    samples.append(
        Sample(OPS["update_slice"], (np.array(1.0), np.array(2.0)), {"starts": (), "steps": ()}, smooth=True)
    )
    for dtype in DTYPES.values():
        rows, repeated = random_array(dtype, (6, 33), rng), np.array([[5, 5], [1, 0], [1, 5]])
        samples.append(Sample(OPS["scatter"], (rows, repeated, random_array(dtype, (3, 2, 33), rng)), {"axis": 0}))
        samples.append(Sample(OPS["scatter"], (rows[:, 0], repeated, random_array(dtype, (3, 2), rng)), {"axis": 0}))
        attrs = {"starts": (1, 2), "steps": (2, 3)}
        samples.append(Sample(OPS["update_slice"], (rows, random_array(dtype, (3, 10), rng)), attrs))
        moved = (np.array(1), np.array(3))
        attrs = {"starts": (0, 2), "steps": (2, 3), "axes": (0, 1)}
        samples.append(Sample(OPS["update_slice"], (rows, random_array(dtype, (3, 9), rng), *moved), attrs))
        attrs = {"starts": (0, 2), "limits": (5, 28), "steps": (2, 3), "axes": (1, 0)}
        samples.append(Sample(OPS["dynamic_slice"], (rows, *moved[::-1]), attrs))
    return samples


def _moved() -> list[Sample]:
    """Regions that positions move along some axes, to both ends of them."""
    rng = rng_of("moved")
    x = rng.normal(size=(4, 5, 3))
    cases = [((2, 5, 1), (0, 0, 2), (1, 1, 1), (0,), (2,)), ((2, 2, 3), (1, 0, 0), (2, 3, 1), (1,), (1,))]
    cases += [((1, 3, 2), (0, 1, 0), (1, 1, 2), (2, 0), (0, 3)), ((0, 5, 3), (1, 0, 0), (1, 1, 1), (0,), (3,))]
    samples: list[Sample] = []
    for shape, starts, steps, axes, places in cases:
        positions = tuple(np.array(place) for place in places)
        attrs = {"starts": starts, "steps": steps, "axes": axes}
        samples.append(Sample(OPS["update_slice"], (x, rng.normal(size=shape), *positions), attrs, smooth=True))
        limits = tuple(a + (d - 1) * s + 1 if d else a for a, d, s in zip(starts, shape, steps, strict=True))
        samples.append(Sample(OPS["dynamic_slice"], (x, *positions), {**attrs, "limits": limits}, smooth=True))
    return samples


def samples() -> list[Sample]:
    return [*_indexing(), *_joins(), *_updates(), *_moved()]
