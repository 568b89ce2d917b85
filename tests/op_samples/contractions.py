"""Products of matrices: dense, in panels, of bytes, of four bits, and with zeros left out."""

from __future__ import annotations

import numpy as np

from tests.op_samples.operands import random_array, rng_of
from tests.op_samples.sample import Sample
from tinytorch.ir.op import OPS
from tinytorch.ir.ops.sparse import pack, pack_semi_structured
from tinytorch.ir.types import DTYPES, f32


def _products() -> list[Sample]:
    rng, op = rng_of("matmul"), OPS["matmul"]
    shapes = [((3, 4), (4, 5)), ((2, 3, 4), (2, 4, 2)), ((1, 7), (7, 1))]
    samples = [Sample(op, (rng.normal(size=a), rng.normal(size=b)), {}, 8, False, smooth=True) for a, b in shapes]
    odd = [((33, 17), (17, 65)), ((5, 3, 9, 20), (5, 3, 20, 6)), ((0, 4), (4, 3)), ((3, 0), (0, 2))]
    for a, b in odd:
        samples.append(Sample(op, tuple(rng.normal(size=s).astype(np.float32) for s in (a, b)), {}, 16, False))
    for dtype in ("bf16", "f16", "i8", "u8", "i32", "i64"):
        arrays = tuple(random_array(DTYPES[dtype], s, rng) for s in ((7, 19), (19, 11)))
        samples.append(Sample(op, arrays, {}, 2 if DTYPES[dtype].is_float else 0, False))
    for left, right, wide in (("i8", "i8", "i32"), ("u8", "i8", "i32"), ("i8", "i32", "i32"), ("bf16", "bf16", "f32")):
        for a, b in (((7, 19), (19, 11)), ((3, 0), (0, 2)), ((2, 5, 33), (2, 33, 40))):
            arrays = (random_array(DTYPES[left], a, rng), random_array(DTYPES[right], b, rng))
            samples.append(Sample(op, arrays, {"dtype": DTYPES[wide]}, 16 if wide == "f32" else 0, False))
    return samples


def _panels() -> list[Sample]:
    """Products whose right operand lies in panels, the last of which overhangs."""
    samples: list[Sample] = []
    for dtype, rows, depth, (count, width), columns in (("f32", 5, 30, (3, 16), 41), ("f64", 2, 7, (2, 4), 8)):
        rng = rng_of("panel_matmul")
        operands = (
            random_array(DTYPES[dtype], (rows, depth), rng),
            random_array(DTYPES[dtype], (count, depth, width), rng),
        )
        samples.append(Sample(OPS["panel_matmul"], operands, {"columns": columns}, tolerance=16, relative=False))
    narrow = (
        ("bf16", "bf16", (3, 15, 16, 2), {}), ("f32", "bf16", (3, 15, 16, 2), {"dtype": f32}),
        ("bf16", "bf16", (3, 30, 16), {"dtype": f32}), ("f16", "f16", (3, 30, 16), {}),
        ("f32", "f16", (3, 30, 16), {"dtype": f32}),
    )  # fmt: skip
    for left, right, shape, attrs in narrow:
        rng = rng_of("panel_matmul")
        operands = random_array(DTYPES[left], (5, 30), rng), random_array(DTYPES[right], shape, rng)
        tolerance = 16 if attrs or left == "f32" else 2
        samples.append(Sample(OPS["panel_matmul"], operands, {"columns": 41, **attrs}, tolerance, relative=False))
    return samples


def _byte_panels() -> list[Sample]:
    """Bytes in panels of single elements, which every target takes."""
    rng, op, samples = rng_of("byte_panel_matmul"), OPS["byte_panel_matmul"], list[Sample]()
    for left, right, (rows, depth, columns) in (("u8", "i8", (5, 30, 41)), ("i8", "i8", (1, 7, 3))):
        operands = (random_array(DTYPES[d], s, rng) for d, s in ((left, (rows, depth)), (right, (3, depth, 16, 1))))
        samples.append(Sample(op, tuple(operands), {"columns": columns if columns > 32 else 33}))
    return samples


def _int4() -> list[Sample]:
    """Weights of four bits: a last group and a last panel that overhang."""
    rng, samples = rng_of("int4_matmul"), list[Sample]()
    for dtype, (rows, depth, columns), groups in (
        ("f32", (5, 37, 41), 5),
        ("i8", (5, 37, 41), 5),
        ("i8", (1, 61, 7), 2),
    ):
        runs, panels = -(-depth // 8), -(-columns // 16)
        packed = random_array(DTYPES["u8"], (panels, runs, 16, 4), rng)
        operands = (
            random_array(DTYPES[dtype], (rows, depth), rng),
            packed,
            random_array(DTYPES["f16"], (panels, groups, 16), rng),
        )
        tolerance = 16 if dtype == "f32" else 0
        samples.append(Sample(OPS["int4_matmul"], operands, {"columns": columns}, tolerance, relative=False))
    return samples


def _sparse() -> list[Sample]:
    """Products by weights with entries in all patterns; a row of zeros, columns without entries, few and many rows."""
    samples: list[Sample] = []
    cases = ("f32", 3, 16, 4, 32), ("f64", 2, 4, 1, 8), ("f32", 21, 2, 2, 16)
    for dtype, rows, lanes, side_by_side, width in cases:
        rng = rng_of("sparse_matmul")
        x, w = (random_array(DTYPES[dtype], shape, rng) for shape in ((rows, 270), (270, 41)))
        w[np.repeat(rng.random((270, 11)) < 0.8, 4, axis=1)[:, :41]] = 0
        arrays = (x, *pack(w, lanes, side_by_side, width))
        samples.append(Sample(OPS["sparse_matmul"], arrays, {"columns": 41}, tolerance=16, relative=False))
    rng = rng_of("semi_structured_matmul")
    x, w = (random_array(DTYPES["f32"], shape, rng) for shape in ((3, 30), (30, 19)))
    w[np.arange(30) % 4 > 1] = 0
    arrays = (x, *pack_semi_structured(w, 8))
    return [*samples, Sample(OPS["semi_structured_matmul"], arrays, {"columns": 19}, tolerance=16, relative=False)]


def samples() -> list[Sample]:
    return [*_products(), *_panels(), *_byte_panels(), *_int4(), *_sparse()]
