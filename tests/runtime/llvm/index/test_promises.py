"""What each op of the index family promises."""

import math

import numpy as np
import pytest

from tests.runtime.llvm.index.kernels import ALL, TARGETS, bits, check, large, random, run, target_of
from tinytorch.ir.ops.index import gather, scatter, scatter_add, update_slice
from tinytorch.ir.ops.view import concat, pad
from tinytorch.ir.types import bf16, f16, f32, f64, i8, i32, u8
from tinytorch.runtime.llvm.index import loops as index_loops

UPDATES = [scatter, scatter_add, update_slice]


@pytest.mark.parametrize("dtype", [f16, bf16, f32, f64, i8, u8, i32], ids=str)
def test_repeats_add_up_in_the_order_of_the_indices(dtype):
    rng = np.random.default_rng(3)
    base = np.zeros((5, 70), dtype.numpy)
    indices = rng.integers(0, 3, (6_000,))
    updates = (rng.standard_normal((6_000, 70)) * 100).astype(dtype.numpy)
    updates[::7] *= dtype.numpy.type(30)  # so that another order would round otherwise
    kernel = check(scatter_add, [base, indices, updates], {"axis": 0})
    assert kernel.phases[0][1] > 1


@pytest.mark.parametrize("dtype", ALL, ids=str)
@pytest.mark.parametrize("shape", [(5, 70), (5,), (3, 5, 2)], ids=str)
def test_the_last_of_repeated_indices_counts(dtype, shape):
    rng = np.random.default_rng(11)
    axis = len(shape) // 3
    base, indices = random(rng, shape, dtype), rng.integers(0, 4, (60, 50))
    updates = random(rng, (*shape[:axis], 60, 50, *shape[axis + 1 :]), dtype)
    wanted = base.copy()
    for i, j in np.ndindex(60, 50):
        wanted[(slice(None),) * axis + (indices[i, j],)] = updates[(slice(None),) * axis + (i, j)]
    for in_place in (False, True):
        for chunk_bytes in (index_loops.CHUNK_BYTES, 256):
            result, _ = run(
                scatter, [base, indices, updates], {"axis": axis}, in_place=in_place, chunk_bytes=chunk_bytes
            )
            np.testing.assert_array_equal(bits(result), bits(wanted))


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("dtype", [f32, f16, u8], ids=str)
@pytest.mark.parametrize("op", UPDATES, ids=lambda op: op.name)
def test_large_in_place(op, dtype, name):
    arrays, attrs = large(op, np.random.default_rng(4), dtype)
    check(op, arrays, attrs, target=target_of(name), in_place=True)


def test_an_update_in_place_writes_no_more_than_the_region():
    base = np.zeros((4_000, 500), np.float32)
    update = np.ones((1, 500), np.float32)
    attrs = {"starts": (70, 0), "steps": (1, 1)}
    assert check(update_slice, [base, update], attrs, in_place=True).phases == (("k", 1),)
    assert check(scatter, [base, np.array([70]), update], {"axis": 0}, in_place=True).phases == (("k", 1),)
    assert check(update_slice, [base, update[:0]], attrs, in_place=True).phases == (("k", 0),)
    assert check(update_slice, [base, update], attrs).phases[0][1] > 1
    attrs, at = {"starts": (0, 0), "steps": (1, 1), "axes": (0,)}, np.array(70)
    assert check(update_slice, [base, update, at], attrs, in_place=True).phases == (("k", 1),)
    assert check(update_slice, [base, update, at], attrs).phases[0][1] > 1


def test_scatter_add_to_broadcast_zero():
    rng = np.random.default_rng(5)
    for dtype in (f32, bf16, i8):
        base = np.broadcast_to(np.zeros((), dtype.numpy), (300, 130))
        indices = rng.integers(0, 300, (20, 10))
        check(scatter_add, [base, indices, random(rng, (20, 10, 130), dtype)], {"axis": 0})


def test_scatter_add_of_a_broadcast_gradient():
    rng = np.random.default_rng(6)
    indices = rng.integers(0, 33, (200,))
    updates = np.broadcast_to(random(rng, (200, 1), f32), (200, 48))
    check(scatter_add, [np.zeros((33, 48), np.float32), indices, updates], {"axis": 0})


def test_moves_keep_every_bit():
    patterns = np.array(
        [0x7FA00001, 0xFFC12345, 0x7F800000, 0x80000000, 0x00000001], np.uint32
    )  # a signalling NaN first
    x = np.tile(patterns, 40).view(np.float32)
    check(gather, [x, np.arange(199, -1, -1)], {"axis": 0})
    check(concat, [x, x[::3]], {"axis": 0})
    check(pad, [x], {"low": (1,), "high": (2,), "interior": (1,), "value": math.nan})
    flags = np.array([0, 1, 2, 255, 1], np.uint8).view(np.bool_)
    check(concat, [flags, flags[::-1]], {"axis": 0})


@pytest.mark.parametrize("value", [0.0, 1.0, -3.0, 2.75, math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_pad_values_convert_as_numpy_does(value, dtype):
    if not dtype.is_float and not math.isfinite(value):
        return
    x = random(np.random.default_rng(7), (3, 5), dtype)
    check(pad, [x], {"low": (2, 1), "high": (0, 4), "interior": (0, 2), "value": value})
