"""Normalizations, with their weights."""

from __future__ import annotations

from tests.op_samples.operands import random_array, rng_of
from tests.op_samples.sample import Sample
from tinytorch.ir.op import OPS
from tinytorch.ir.types import DTYPES


def _normalizations() -> list[Sample]:
    rng, op, eps = rng_of("batchnorm"), OPS["batchnorm"], {"eps": 1e-5}
    samples: list[Sample] = []
    for shape in ((5, 3), (3, 2, 2, 4)):
        arrays = (rng.normal(size=shape), rng.normal(size=shape[-1]), rng.normal(size=shape[-1]))
        samples.append(Sample(op, arrays, eps, 128, False, smooth=True))
    for dtype, tolerance in (("f32", 128), ("bf16", 1), ("f16", 1)):
        arrays = tuple(random_array(DTYPES[dtype], s, rng) for s in ((4, 6, 5, 19), (19,), (19,)))
        samples.append(Sample(op, arrays, eps, tolerance, False))
    op = OPS["layernorm_affine"]
    for shape, count in (((5, 3), 1), ((4,), 1), ((2, 3, 4), 2)):
        axes = tuple(range(len(shape) - count, len(shape)))
        arrays = (rng.normal(size=shape), rng.normal(size=shape[-count:]), rng.normal(size=shape[-count:]))
        samples.append(Sample(op, arrays, {"axes": axes, **eps}, 128, False, smooth=True))
    for dtype, tolerance in (("f32", 128), ("bf16", 1), ("f16", 1)):
        arrays = tuple(random_array(DTYPES[dtype], s, rng) for s in ((4, 6, 70), (70,), (70,)))
        samples.append(Sample(op, arrays, {"axes": (2,), **eps}, tolerance, False))
    plain, affine = OPS["rmsnorm"], OPS["rmsnorm_affine"]
    for shape, count in (((5, 3), 1), ((4,), 1), ((2, 3, 4), 2)):
        attrs = {"axes": tuple(range(len(shape) - count, len(shape))), **eps}
        arrays = (rng.normal(size=shape), rng.normal(size=shape[-count:]))
        samples.append(Sample(plain, arrays[:1], attrs, 128, False, smooth=True))
        samples.append(Sample(affine, arrays, attrs, 128, False, smooth=True))
    samples.append(Sample(plain, (rng.normal(size=(3, 4)),), {"axes": (0,), **eps}, 128, False, smooth=True))
    for dtype, tolerance in (("f32", 128), ("bf16", 1), ("f16", 1)):
        arrays = tuple(random_array(DTYPES[dtype], s, rng) for s in ((4, 6, 70), (70,)))
        samples.append(Sample(affine, arrays, {"axes": (2,), **eps}, tolerance, False))
    return samples


def samples() -> list[Sample]:
    return _normalizations()
