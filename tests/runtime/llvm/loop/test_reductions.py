"""Loop kernels that reduce."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.runtime.llvm.loop.kernels import (
    Compiled,
    body_of,
    check,
    each_target,
    few,
    op,
    outputs_of,
    rearranged,
    shapes,
    strides_of,
    target_of,
)
from tinytorch.ir.types import TensorType, f32, f64, i64


@each_target
@few
@given(
    shape=shapes.filter(len), seed=st.integers(0, 2**32), data=st.data(),
    kind=st.sampled_from(["sum", "max", "min", "argmax", "argmin"]), dtype=st.sampled_from([f32, f64, i64]),
)  # fmt: skip
def test_reductions(name, shape, seed, data, kind, dtype):
    rng = np.random.default_rng(seed)
    axes = data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))
    axes = (min(axes),) if kind.startswith("arg") else tuple(sorted(axes))
    x = rearranged(rng, tuple(shape), dtype)
    tolerance = 1e-5 if kind == "sum" else 0.0
    check(lambda a: (op(kind, a * a - a, axes=axes), op(kind, a, axes=axes)), [x], name, tolerance)


@each_target
@pytest.mark.parametrize("shape", [(200_001,), (3, 50_000), (20_000, 9), (4, 9000, 5)])
def test_long_reductions_are_split_by_shape(name, shape):
    x = np.random.default_rng(6).random(shape).astype(np.float32)
    for axes in itertools.chain.from_iterable(itertools.combinations(range(len(shape)), n) for n in (1, 2, 3)):
        compiled = check(lambda a, axes=axes: op("sum", a, axes=axes), [x], name, 2e-6 * math.prod(x.shape))
        outputs = outputs_of(compiled.body)
        compiled.run([x], outputs)
        np.testing.assert_allclose(outputs[0], x.astype(np.float64).sum(axes, keepdims=True), rtol=1e-6)
    check(lambda a: (op("argmax", a, axes=(0,)), op("min", a, axes=(0,))), [x], name)


@each_target
@pytest.mark.parametrize(("shape", "chunks"), [((3_000_000,), 8), ((16, 40_000), 8), ((40_000, 16), 8)])
def test_long_sums_stay_accurate(name, shape, chunks):
    axes = (int(np.argmax(shape)),)
    body = body_of(lambda a: op("sum", a, axes=axes), TensorType(f32, shape))
    random = np.random.default_rng(18).random(shape).astype(np.float32)
    compiled = Compiled(body, strides_of([random]), target_of(name))
    assert max(p.chunks for p in compiled.kernel.phases) >= chunks
    for x, bound in ((random, 3e-7), (np.full(shape, 0.1, np.float32), 1e-6)):  # equal terms round to one side
        outputs = outputs_of(body)
        compiled.run([x], outputs)
        np.testing.assert_allclose(outputs[0], x.astype(np.float64).sum(axes, keepdims=True), rtol=bound)


@each_target
@pytest.mark.parametrize("shape", [(5, 37), (37, 5), (1, 200), (200_000,)])
def test_nan_and_infinity_keep_their_meaning(name, shape):
    x = np.random.default_rng(7).standard_normal(shape).astype(np.float32)
    x.flat[[3, 30, 100]] = np.nan, np.inf, np.nan
    worst = np.full(shape, -np.inf, np.float32)

    def function(a, b):
        last = len(shape) - 1
        extremes = [op(k, v, axes=(last,)) for k in ("max", "min", "argmax", "argmin") for v in (a, b)]
        return (*extremes, op("maximum", a, b), op("minimum", a, b))

    check(function, [x, worst], name)
