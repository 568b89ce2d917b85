"""Products that are cut along k: parts of k, the sum of the parts, and what follows it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runtime.llvm.contract.test_kernel import FORCED, check, matrix, operand_of, random, reference, run, target_of
from tinytorch.ir.types import bf16, f16, f32, f64, i32
from tinytorch.runtime.llvm.contract.epilogue import Epilogue
from tinytorch.runtime.llvm.contract.operands.layout import product_of
from tinytorch.runtime.llvm.contract.plan.product import plan_product
from tinytorch.runtime.llvm.contract.sums import CHAIN, MANY
from tinytorch.runtime.llvm.kernel import Buffer

SMALL = 128 << 10  # bytes of L2 of a made-up target, beyond which small operands reach


def small(name):
    return replace(target_of(name), l2_bytes=SMALL)


def plan_of(a, b, target):
    m, n = a.shape[0], b.shape[1]
    out = np.empty((m, n), np.float32)
    return plan_product(product_of(operand_of(a), operand_of(b), [operand_of(out)], []), target)


def momentum(ctx):
    """Two results, one of them in place of what is read."""
    moved = ctx.sums[0] + ctx.window(0)[0] * ctx.emitter.const(0.5, f32)
    ctx.store(0, moved)
    ctx.store(1, ctx.window(1)[0] - moved)


@pytest.mark.parametrize("name", ["host", *FORCED])
@settings(max_examples=12, deadline=None)
@given(
    m=st.integers(48, 90),
    n=st.integers(33, 90),
    k=st.integers(700, 3000),
    left=st.sampled_from(["plain", "transposed"]),
    right=st.sampled_from(["plain", "transposed"]),
    dtype=st.sampled_from([f32, f32, f64, bf16, f16]),
)
def test_random_products(name, m, n, k, left, right, dtype):
    rng = np.random.default_rng(k)
    a, b = matrix(rng, (), m, k, dtype, left), matrix(rng, (), k, n, dtype, right)
    out = np.zeros((m, n), np.float64 if dtype is f64 else np.float32)
    run(a, b, out, target=small(name))
    check(out, a, b)


@pytest.mark.parametrize("name", ["host", *FORCED])
@pytest.mark.parametrize("k", [2048, 2049, 2563, 3571], ids=str)
def test_what_follows_reads_and_writes_its_own_buffers(name, k):
    """Parts of equal length and not, the last of them shorter than a block."""
    m, n, target = 61, 50, small(name)
    rng = np.random.default_rng(k)
    a, b = matrix(rng, (), m, k, f32, "transposed"), random(rng, (k, n), f32)
    plan = plan_of(a, b, target)
    assert plan.k_part and plan.parts > 1 and plan.parts == plan.items
    assert plan.k_part % plan.k_block == 0 and (plan.parts - 1) * plan.k_part < k <= plan.parts * plan.k_part
    velocity, weight = random(rng, (m, n), f32), random(rng, (m, n), f32)
    moved = reference(a, b) + 0.5 * velocity.astype(np.float64)
    expected = weight - moved
    epilogue = Epilogue("momentum", momentum, tuple(map(operand_of, (velocity, weight))), (operand_of(weight),))
    out = velocity
    run(a, b, out, target=target, epilogue=epilogue, outputs=(weight,), operands=(velocity, weight))
    np.testing.assert_allclose(velocity, moved, rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(weight, expected, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("name", ["host", *FORCED])
def test_integers_wrap(name):
    rng = np.random.default_rng(4)
    a, b = matrix(rng, (), 50, 2100, i32, "transposed"), random(rng, (2100, 40), i32)
    assert plan_of(a, b, small(name)).k_part
    out = np.zeros((50, 40), np.int32)
    run(a, b, out, target=small(name))
    check(out, a, b)


@pytest.mark.parametrize("name", ["host", *FORCED])
def test_not_a_number_stays_where_it_is(name):
    rng = np.random.default_rng(5)
    a, b = matrix(rng, (), 48, 2100, f32, "transposed"), random(rng, (2100, 40), f32)
    a[7, 2099], b[1000, 3] = np.nan, np.inf
    out = np.zeros((48, 40), np.float32)
    run(a, b, out, target=small(name))
    assert np.isnan(out[7]).all() and not np.isfinite(out[:, 3]).any()
    assert np.isfinite(np.delete(np.delete(out, 7, 0), 3, 1)).all()


def test_only_products_whose_operands_no_cache_holds_are_cut():
    target = replace(target_of("host"), l2_bytes=1 << 20)

    def parts(m, n, k):
        return plan_of(np.empty((k, m), np.float32).T, np.empty((k, n), np.float32), target).parts

    assert parts(128, 128, 4096) > parts(160, 640, 4096) > 1
    assert parts(128, 128, 768) == 1  # both operands fit into L2
    assert parts(384, 1536, 2048) == 1  # sums of parts do not


@settings(max_examples=200, deadline=None)
@given(m=st.integers(48, 700), n=st.integers(33, 700), k=st.integers(130, 200_000), name=st.sampled_from(FORCED))
def test_parts_are_whole_blocks_of_which_none_has_too_many(m, n, k, name):
    """Short blocks are made where a lies across; of very many, more would be rounded off."""
    a, b, out = Buffer(f32, (m, k), (1, m)), Buffer.contiguous(f32, (k, n)), Buffer.contiguous(f32, (m, n))
    plan = plan_product(product_of(a, b, [out], []), target_of(name))
    assert plan.k_part % plan.k_block == 0 and plan.item_rows <= m and plan.item_columns <= n
    assert -(-(plan.k_part or k) // plan.k_block) <= max(MANY, -(-k // CHAIN) + 1)
    if plan.pack_a == "panels" and plan.k_part:
        assert plan.item_rows == m and plan.item_columns == n and plan.k_part * (plan.parts - 1) < k
