"""The kernel of sort against numpy: dtypes, layouts, targets, sizes, chunks in any order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.runtime.llvm.index.kernels import ALL, CHUNKS, FEW, LAYOUT, SEEDS, TARGETS, bits, laid_out, random, target_of
from tests.runtime.llvm.running import run_kernel
from tinytorch.ir.ops.sorting import sort
from tinytorch.ir.types import bf16, f16, f32, f64, i8, i32, i64
from tinytorch.runtime.llvm.sorting.kernel import emit

ALL_TARGETS = [*TARGETS, *(["avx512"] if target_of("host").name == "avx512" else [])]


def run(x, attrs, **how):
    return run_kernel(emit, sort, [x], attrs, **how)


def check(x, attrs, *, wanted=(0, 1), **how):
    results, chunks = run(x, attrs, wanted=wanted, **how)
    expected = sort.evaluate([x], attrs)
    for result, number in zip(results, wanted, strict=True):
        np.testing.assert_array_equal(bits(result), bits(expected[number]))
    return chunks


def with_ties(rng, shape, dtype):
    """Numbers of which many are equal, and for floats zeros of both signs, infinities and NaNs of both signs."""
    low = -3 if dtype.kind in ("int", "float") else 0
    x = rng.integers(low, 4, shape).astype(dtype.numpy)
    if dtype.is_float:
        for value in (np.inf, -np.inf, np.nan, -np.nan, -0.0):
            x[rng.random(shape) < 0.08] = value
    return x


@pytest.mark.parametrize("name", ALL_TARGETS)
@FEW
@given(data=st.data(), dtype=st.sampled_from(ALL), seed=SEEDS)
def test_any_shape_and_layout(name, data, dtype, seed):
    rng = np.random.default_rng(seed)
    shape = tuple(data.draw(st.lists(st.sampled_from([0, 1, 2, 3, 7]), min_size=1, max_size=4)))
    axis = data.draw(st.integers(0, len(shape) - 1))
    size = data.draw(st.sampled_from([0, 1, 2, 3, 5, 16, 17, 63, 64, 65, 100, 300, 513, 700]))
    shape = (*shape[:axis], size, *shape[axis + 1 :])
    count = data.draw(st.sampled_from(sorted({0, min(1, size), min(3, size), size // 5, size})))
    make = data.draw(st.sampled_from([random, with_ties]))
    x = laid_out(rng, shape, data.draw(LAYOUT), lambda s: make(rng, s, dtype))
    attrs = {"axis": axis, "descending": data.draw(st.booleans()), "count": count}
    wanted = data.draw(st.sampled_from([(0, 1), (0,), (1,)]))
    check(x, attrs, target=target_of(name), chunk_bytes=data.draw(CHUNKS), wanted=wanted)


@pytest.mark.parametrize("name", ALL_TARGETS)
@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_long_rows(name, dtype):
    rng = np.random.default_rng(7)
    for make, size in ((random, 5000), (with_ties, 3001)):
        x = make(rng, (2, size), dtype)
        for count in (size, 40, 1):
            for descending in (False, True):
                check(x, {"axis": 1, "descending": descending, "count": count}, target=target_of(name))


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("count", [1, 100, 1000])
def test_the_first_elements_of_what_is_in_order_already(order, count):
    """In the worst order, every element is better than all before it."""
    for dtype in (f32, i64, i8):
        x = np.arange(9001)[::order].astype(dtype.numpy)
        check(x, {"axis": 0, "descending": False, "count": count}, target=target_of("host"))


@pytest.mark.parametrize("dtype", [f64, f32, f16, bf16, i32], ids=str)
def test_zeros_and_nans_keep_their_bits_and_their_order(dtype):
    values = [0.0, -0.0, np.nan, -np.nan, 1.0, -0.0] if dtype.is_float else [0, 0, 9, 9, 1, 0]
    x = np.array(values, dtype.numpy)
    for descending, order in ((False, [0, 1, 5, 4, 2, 3]), (True, [2, 3, 4, 0, 1, 5])):
        attrs = {"axis": 0, "descending": descending, "count": 6}
        (found, indices), _ = run(x, attrs, target=target_of("host"))
        assert indices.tolist() == order
        np.testing.assert_array_equal(bits(found), bits(x[order]))


def test_rows_are_shared_among_chunks():
    rng = np.random.default_rng(8)
    for shape, axis in (((64, 500), 1), ((500, 64), 0), ((8, 4000), 1)):
        x = random(rng, shape, f32)
        assert check(x, {"axis": axis, "descending": False, "count": shape[axis]}, target=target_of("host")) >= 8
