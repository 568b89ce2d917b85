"""The kernels of scans against numpy: dtypes, layouts, targets, odd and empty shapes, chunks in any order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.runtime.llvm.index.kernels import (
    ALL,
    CHUNKS,
    FEW,
    LAYOUT,
    SEEDS,
    SHAPES,
    TARGETS,
    laid_out,
    random,
    target_of,
)
from tests.runtime.llvm.running import run_kernel
from tinytorch.ir.ops.scan import cummax, cummin, cumprod, linear_scan, logcumsumexp
from tinytorch.ir.types import bool_
from tinytorch.runtime.llvm.index.kernel import emit

SCANS = {cumprod: 1, linear_scan: 2, logcumsumexp: 1, cummax: 1, cummin: 1}


@pytest.mark.parametrize("name", TARGETS)
@FEW
@given(data=st.data(), op=st.sampled_from(list(SCANS)), shape=SHAPES.filter(len), seed=SEEDS)
def test_any_shape_and_layout(name, data, op, shape, seed):
    rng = np.random.default_rng(seed)
    extreme = op in (cummax, cummin)
    dtype = data.draw(
        st.sampled_from([d for d in ALL if d.is_float or extreme or (op is not logcumsumexp and d != bool_)])
    )
    arrays = [laid_out(rng, shape, data.draw(LAYOUT), lambda s: random(rng, s, dtype)) for _ in range(SCANS[op])]
    attrs = {"axis": data.draw(st.integers(0, len(shape) - 1))}
    attrs |= {} if extreme else {"reverse": data.draw(st.booleans())}
    wanted = data.draw(st.sampled_from([(0, 1), (0,), (1,)])) if extreme else (0,)
    with np.errstate(all="ignore"):
        expected = op.evaluate(arrays, attrs)
    how = {"target": target_of(name), "chunk_bytes": data.draw(CHUNKS), "wanted": wanted}
    results, _ = run_kernel(emit, op, arrays, attrs, **how)
    for number, result in zip(wanted, results, strict=True):
        if op is logcumsumexp:
            eps = float(np.spacing(np.ones((), dtype.numpy)))
            np.testing.assert_allclose(result.astype(float), expected[0].astype(float), 16 * eps, 16 * eps)
        else:
            np.testing.assert_array_equal(result, expected[number])


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("op", [cummax, cummin])
def test_of_equal_elements_and_of_nans_the_last_one_counts(name, op):
    x = np.array([1, 2, 2, -0.0, 0.0, -3, -3, np.nan, 5, np.nan, -np.inf], np.float32)
    results, _ = run_kernel(emit, op, [x], {"axis": 0}, target=target_of(name))
    indices = [0, 1, 2, 2, 2, 2, 2, 7, 7, 9, 9] if op is cummax else [0, 0, 0, 3, 4, 5, 6, 7, 7, 9, 9]
    assert results[1].tolist() == indices
    np.testing.assert_array_equal(results[0], x[indices])
    np.testing.assert_array_equal(np.signbit(results[0][:7]), np.signbit(x[indices][:7]))
