"""What eager mode runs instead of `eval` gives the same, up to rounding, for any shape and layout."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.fast import convolution, sums
from tinytorch.ir.op import OPS, Array, Op
from tinytorch.ir.types import TensorType, bf16, dtype_of, f16, f32, f64, i8, i32
from tinytorch.ir.windows import Pair

_conv = ops.convolution
_pool = ops.pooling
DTYPES = (f32, f32, f64, bf16, f16, i32, i8)


def agree(op: Op, *arrays: Array, **attrs: Any) -> Array:
    """Check the only result of an op as `all_agree` does, and give it."""
    (result,) = all_agree(op, *arrays, **attrs)
    return result


def all_agree(op: Op, *arrays: Array, **attrs: Any) -> list[Array]:
    """Check that `fast` gives what `eval` gives, of the types that the op promises, and row-major; and give it."""
    assert op.fast is not None
    types = op.result_types([TensorType(dtype_of(a.dtype), a.shape) for a in arrays], attrs)
    with np.errstate(all="ignore"):
        found, expected = op.evaluate_fast(arrays, attrs), op.evaluate(arrays, attrs)
    return [agreed(*result) for result in zip(types, found, expected, strict=True)]


def agreed(expected_type: TensorType, found: Array, expected: Array) -> Array:
    assert (dtype_of(found.dtype), found.shape) == (expected_type.dtype, expected_type.shape)
    assert found.flags.c_contiguous or not np.asarray(expected).flags.c_contiguous
    if not expected_type.dtype.is_float:
        np.testing.assert_array_equal(found, expected)
        return found
    a, b = found.astype(np.float64), expected.astype(np.float64)
    eps = {"f64": 1e-13, "f32": 2e-5, "f16": 2e-3, "bf16": 2e-2}[expected_type.dtype.name]
    largest = np.abs(b[np.isfinite(b)]).max(initial=0)
    np.testing.assert_allclose(a, b, rtol=eps, atol=eps * largest)
    return found


def laid_out(array: Array, channels_first: bool) -> Array:
    """The same values; with `channels_first` as a frontend that permutes has them in memory."""
    axes, back = ((0, 3, 1, 2), (0, 2, 3, 1)) if channels_first else ((0, 1, 2, 3), (0, 1, 2, 3))
    return np.ascontiguousarray(array.transpose(axes)).transpose(back)


def numbers(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any, special: bool = False) -> Array:
    """Small numbers, some equal; with `special`, infinities, NaN and zeros of both signs among them."""
    values = np.round(rng.standard_normal(shape) * 4) if dtype.kind == "int" else rng.standard_normal(shape)
    if special and dtype.is_float:
        odd = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0])
        values = np.where(rng.random(shape) < 0.05, rng.choice(odd, shape), values)
    return values.astype(dtype.numpy)


def pairs(low: int, high: int) -> st.SearchStrategy[Pair]:
    return st.tuples(st.integers(low, high), st.integers(low, high))


convolutions = st.fixed_dictionaries({
    "batch": st.integers(0, 3), "size": pairs(1, 9), "window": pairs(1, 4), "stride": pairs(1, 3),
    "dilation": pairs(1, 3), "low": pairs(-1, 3), "high": pairs(-1, 3), "groups": st.integers(1, 4),
    "channels": st.integers(1, 3), "outs": st.integers(1, 3), "dtype": st.sampled_from(DTYPES),
    "first": st.booleans(), "special": st.booleans(), "seed": st.integers(0, 99),
    "limit": st.sampled_from([1, 50, 1 << 21]),
})  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(case=convolutions)
def test_convolutions(case: dict[str, Any]) -> None:
    rng = np.random.default_rng(case["seed"])
    groups, dtype = case["groups"], case["dtype"]
    x = numbers(rng, (case["batch"], *case["size"], groups * case["channels"]), dtype, case["special"])
    w = numbers(rng, (*case["window"], case["channels"], groups * case["outs"]), dtype)
    x = laid_out(x, case["first"])
    if case["first"]:  # weights as the frontend permutes them, from [out, in, height, width]
        w = np.ascontiguousarray(w.transpose(3, 2, 0, 1)).transpose(2, 3, 1, 0)
    attrs = {key: case[key] for key in ("stride", "low", "dilation", "groups")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convolution, "_COLUMNS", case["limit"])
        try:
            y = agree(_conv.conv2d, x, w, high=case["high"], **attrs)
        except ShapeError:
            assume(False)
            return
        g = laid_out(numbers(rng, y.shape, dtype, case["special"]), case["first"])
        agree(_conv.conv2d_weight_grad, x, g, window=case["window"], **attrs)
        agree(_conv.conv2d_input_grad, g, w, size=case["size"], **attrs)


pools = st.fixed_dictionaries({
    "batch": st.integers(0, 3), "size": pairs(1, 9), "window": pairs(1, 4), "stride": pairs(1, 3),
    "dilation": pairs(1, 2), "low": pairs(0, 2), "high": pairs(0, 2), "channels": st.integers(1, 5),
    "dtype": st.sampled_from(DTYPES), "first": st.booleans(), "special": st.booleans(), "ties": st.booleans(),
    "seed": st.integers(0, 99),
})  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(case=pools)
def test_max_pooling(case: dict[str, Any]) -> None:
    rng, dtype = np.random.default_rng(case["seed"]), case["dtype"]
    x = numbers(rng, (case["batch"], *case["size"], case["channels"]), dtype, case["special"])
    if case["ties"]:
        x = np.sign(x.astype(np.float32)).astype(x.dtype)
    x = laid_out(x, case["first"])
    attrs = {key: case[key] for key in ("window", "stride", "low", "dilation")}
    try:
        largest, index = all_agree(_pool.max_pool2d, x, high=case["high"], **attrs)
    except ShapeError:
        assume(False)
        return
    with np.errstate(all="ignore"):
        bits = (
            np.signbit(largest.astype(np.float64)),
            np.signbit(_pool.max_pool2d.eval(x, high=case["high"], **attrs)[0].astype(np.float64)),
        )
    np.testing.assert_array_equal(*bits)  # zeros, too, have their sign
    g = laid_out(numbers(rng, largest.shape, dtype, case["special"]), case["first"])
    try:
        agree(_pool.max_unpool2d, g, index, size=case["size"], **attrs)
    except ShapeError:  # a window that lies in the padding alone
        assert max(case["low"]) + max(case["high"]) > 0


def test_place_in_a_large_window() -> None:
    x = np.random.default_rng(0).standard_normal((1, 20, 20, 2)).astype(np.float32)
    x[0, 18, 18] = 9
    attrs = {"window": (20, 20), "stride": (1, 1), "low": (0, 0), "high": (0, 0), "dilation": (1, 1)}
    assert all_agree(_pool.max_pool2d, x, **attrs)[1].tolist() == [[[[378, 378]]]]


@settings(max_examples=100, deadline=None)
@given(
    shape=st.lists(st.integers(0, 40), min_size=1, max_size=4), data=st.data(),
    dtype=st.sampled_from([f32, f64, f16, i32]), seed=st.integers(0, 99),
)  # fmt: skip
def test_sums(shape: list[int], data: st.DataObject, dtype: Any, seed: int) -> None:
    axes = tuple(sorted(data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))))
    order = data.draw(st.permutations(range(len(shape))))
    rng = np.random.default_rng(seed)
    x = numbers(rng, tuple(shape), dtype, special=seed % 2 == 0)
    x = np.ascontiguousarray(x.transpose(order)).transpose(np.argsort(order))
    agree(ops.reduce.sum_, x, axes=axes)


def test_long_sums_keep_their_accuracy() -> None:
    x = np.random.default_rng(0).random((100_003, 16), np.float32)
    exact = x.sum(0, dtype=np.float64)
    np.testing.assert_allclose(sums.sum_of_rows(x), exact, rtol=2e-7)


@settings(max_examples=100, deadline=None)
@given(
    shape=st.lists(st.integers(1, 6), min_size=1, max_size=3), data=st.data(), count=st.integers(0, 20),
    dtype=st.sampled_from(DTYPES), seed=st.integers(0, 99),
)  # fmt: skip
def test_scatter_add(shape: list[int], data: st.DataObject, count: int, dtype: Any, seed: int) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    rng = np.random.default_rng(seed)
    base = numbers(rng, tuple(shape), dtype)
    indices = rng.integers(0, shape[axis], (count, 2))
    updates = numbers(rng, (*shape[:axis], count, 2, *shape[axis + 1 :]), dtype)
    agree(ops.index.scatter_add, base, indices, updates, axis=axis)


def test_scatter_add_of_large_rows() -> None:
    rng = np.random.default_rng(0)
    base, updates = (rng.standard_normal((n, m, 1024)).astype(np.float32) for n, m in ((5, 4), (5, 9)))
    agree(ops.index.scatter_add, base, np.array([0, 3, 3, -1, 0, 1, 1, 1, 3]), updates, axis=1)


def test_composites_run_fast_in_eager_mode() -> None:
    assert all(op.fast is not None for op in OPS.values() if op.kind == "composite")


@settings(max_examples=60, deadline=None)
@given(
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=4), data=st.data(), scale=st.sampled_from([1e-3, 1.0, 1e3]),
    dtype=st.sampled_from([f32, f64, f16]), seed=st.integers(0, 99), equal=st.booleans(),
)  # fmt: skip
def test_layernorm(shape: list[int], data: st.DataObject, scale: float, dtype: Any, seed: int, equal: bool) -> None:
    axes = tuple(range(data.draw(st.integers(0, len(shape) - 1)), len(shape)))
    rng = np.random.default_rng(seed)
    x = (np.full(shape, 0.1) if equal else rng.standard_normal(shape) + 3) * scale
    agree(ops.composite.layernorm, x.astype(dtype.numpy), axes=axes, eps=1e-5)


def test_layernorm_of_equal_numbers_is_zero() -> None:
    for value in (0.1, 1e30, -7e-20):
        x = np.full((2, 300), value, np.float32)
        with np.errstate(all="ignore"):
            assert not ops.composite.layernorm.fast(x, axes=(1,), eps=1e-5).any()  # pyright: ignore[reportOptionalCall]


def test_short_sums_of_large_parts() -> None:
    x = np.random.default_rng(0).standard_normal((4, 8, 2, 8, 3, 16)).astype(np.float32)
    agree(ops.reduce.sum_, x, axes=(2, 4))
    agree(ops.reduce.sum_, x.transpose(0, 5, 1, 2, 3, 4), axes=(3, 5))
