"""Products of weights that are laid out in panels, and products of many rows: any shape, every target."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinytorch as tt
from tests.runtime.llvm.contract.test_kernel import FORCED, check, matrix, operand_of, random, reference, run, target_of
from tests.runtime.llvm.running import execute
from tinytorch.ir.types import f32
from tinytorch.runtime.llvm.contract.epilogue import Epilogue
from tinytorch.runtime.llvm.contract.kernel import emit_panel_matmul
from tinytorch.runtime.llvm.contract.operands.layout import product_of, product_of_panels
from tinytorch.runtime.llvm.contract.plan.product import plan_product
from tinytorch.runtime.llvm.kernel import Buffer
from tinytorch.runtime.llvm.text.builder import Module
from tinytorch.runtime.llvm.text.jit import emit_assembly
from tinytorch.runtime.llvm.text.target import Target

TARGETS = ["host", *FORCED]


def panels_of(b, width, pairs=False):
    """b's columns in panels, absent ones as zeros; with `pairs` of k side by side."""
    k, n = b.shape
    count = -(-n // width)
    wide = np.zeros((k, count * width), b.dtype)
    wide[:, :n] = b
    if pairs:
        return np.ascontiguousarray(wide.reshape(k // 2, 2, count, width).transpose(2, 0, 3, 1))
    return np.ascontiguousarray(wide.reshape(k, count, width).transpose(1, 0, 2))


def width_of(target):
    return target.costs.panel_vectors * target.lanes(f32)


def add_bias(context):
    context.store(0, context.sums[0] + context.window(0)[0])


def run_panels(a, b, target, bias=None, seed=0, pairs=False):
    """The product, plus a bias if there is one; chunks in a random order, scratch dirty."""
    panels, out = panels_of(b, width_of(target), pairs), np.full((a.shape[0], b.shape[1]), np.nan, np.float32)
    epilogue = None if bias is None else Epilogue("bias", add_bias, (operand_of(bias),))
    module = Module(target.attributes)
    operands = (operand_of(a), operand_of(panels), operand_of(out))
    kernel = emit_panel_matmul(module, "mm", *operands, target, epilogue)
    execute(module, kernel, (a, panels, out, *(() if bias is None else (bias,))), target, seed)
    return out


rows = st.one_of(st.integers(1, 9), st.integers(10, 130))


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(TARGETS), rows, st.integers(1, 300), st.integers(1, 1300), st.booleans(), st.booleans())
def test_any_shape_in_panels(name, m, n, k, transposed, biased):
    rng = np.random.default_rng(m * n + k)
    a, b = matrix(rng, (), m, k, f32, "transposed" if transposed else "plain"), random(rng, (k, n), f32)
    if not biased:
        check(run_panels(a, b, target_of(name)), a, b)
        return
    bias = random(rng, (m, n), f32)
    out = run_panels(a, b, target_of(name), bias)
    bound = (np.abs(a) @ np.abs(b) + np.abs(bias)) * 1.2e-7 * (k + 2)
    assert (np.abs(out - (reference(a, b) + bias)) <= bound).all()


@pytest.mark.parametrize("m", [1, 3, 32, 97])
def test_strides_of_pages(m):
    rng = np.random.default_rng(m)
    a, b = random(rng, (m, 1024), f32), random(rng, (1024, 1024), f32)
    for name in TARGETS:
        check(run_panels(a, b, target_of(name)), a, b)


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from(TARGETS),
    st.sampled_from(["plain", "transposed", "strided"]),
    st.sampled_from(["plain", "transposed"]),
    st.integers(48, 300),
    st.integers(1, 300),
    st.integers(1, 1300),
)
def test_any_shape_of_many_rows(name, left, right, m, n, k):
    rng = np.random.default_rng(m * n + k)
    a, b = matrix(rng, (), m, k, f32, left), matrix(rng, (), k, n, f32, right)
    out = np.full((m, n), np.nan, np.float32)
    run(a, b, out, target=target_of(name))
    check(out, a, b)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("shape", [(1, 900, 1501), (3, 1023, 1030), (8, 2100, 700), (2, 100, 9000)], ids=str)
def test_few_rows_read_rows_of_a_large_matrix_side_by_side(name, shape):
    m, n, k = shape
    target = replace(target_of(name), l2_bytes=1 << 20)
    a, b = random(np.random.default_rng(1), (m, k), f32), random(np.random.default_rng(2), (k, n), f32)
    out, bias = np.full((m, n), np.nan, np.float32), random(np.random.default_rng(3), (m, n), f32)
    plan = plan_product(product_of(operand_of(a), operand_of(b), [operand_of(out)], []), target)
    assert plan.order == "rows" and 8 <= plan.k_block < 64 and plan.pack_b == "none"
    run(a, b, out, target=target)
    check(out, a, b)
    epilogue = Epilogue("bias", add_bias, (operand_of(bias),))
    sums = out.copy()
    run(a, b, out, target=target, epilogue=epilogue, operands=(bias,), seed=1)
    np.testing.assert_array_equal(out, sums + bias)


@pytest.mark.parametrize("shape", [(512, 512, 512), (1000, 1001, 999), (2048, 384, 1536)], ids=str)
@pytest.mark.parametrize("name", TARGETS)
def test_items_share_out_well_and_keep_to_the_caches(shape, name):
    m, n, k = shape
    target = target_of(name)
    a, b, out = (operand_of(np.empty(s, np.float32)) for s in ((m, k), (k, n), (m, n)))
    plan = plan_product(product_of(a, b, [out], []), target)
    assert plan.order == "rows" and plan.items >= 5
    assert plan.tile.rows * plan.k_block * 4 <= target.l1_bytes // 2
    assert plan.item_columns * plan.k_block * 4 <= 2 * target.l2_bytes


def test_neon_assembles():
    target = Target.named("neon")
    operands = (operand_of(np.empty(s, np.float32)) for s in ((40, 70), (3, 70, width_of(target)), (40, 41)))
    module = Module(target.attributes)
    emit_panel_matmul(module, "mm", *operands, target)
    assert "fmla" in emit_assembly(module.text(), target)


def test_frozen_weights_are_laid_out_and_say_so():
    model = tt.nn.Sequential(tt.nn.Linear(96, 200), tt.nn.ReLU(), tt.nn.Linear(200, 130))
    frozen, x = tt.compile(model, freeze=True), tt.randn(7, 96)
    with tt.no_grad():
        np.testing.assert_allclose(frozen(x).numpy(), model(x).numpy(), rtol=1e-5, atol=1e-5)
    assert "panel_matmul" in str(frozen.explain())
    assert str(frozen.graph).count("panel_matmul(") == 2 and " pad(" not in str(frozen.graph)


def test_a_weight_of_several_products_is_laid_out_once_in_a_call():
    weight = tt.randn(128, 192)
    a, b = tt.randn(64, 128), tt.randn(80, 128)
    compiled = tt.compile(lambda a, b: ((a @ weight).sum(), (b @ weight).sum()))
    for found, x in zip(compiled(a, b), (a, b), strict=True):
        np.testing.assert_allclose(found.item(), (x.numpy().astype(float) @ weight.numpy()).sum(), rtol=1e-3, atol=0.05)
    assert str(compiled.graph).count("panel_matmul(") == 2


@pytest.mark.parametrize("m,k,n", [(49, 2048, 512), (49, 960, 320), (196, 576, 96), (784, 32, 192)])
def test_products_of_images_share_evenly_among_two_threads(m, k, n):
    """Rows that lie whole pages apart, an odd number of panels, a last panel that is half as wide."""
    target = Target.named("avx512")
    width = width_of(target)
    panels = Buffer.contiguous(f32, (-(-n // width), k, width))
    a, out = (Buffer.contiguous(f32, shape) for shape in ((m, k), (m, n)))
    plan = plan_product(product_of_panels(a, panels, [out], []), target)
    heights = [min(plan.item_rows, m - row) for row in range(0, m, plan.item_rows)]
    widths = [min(plan.item_columns, n - column) for column in range(0, n, plan.item_columns)]
    sizes = [height * wide for height in heights for wide in widths]
    busy = [0, 0]
    for first in range(0, len(sizes), plan.items_per_chunk):
        busy[busy.index(min(busy))] += sum(sizes[first : first + plan.items_per_chunk])
    assert 2 * max(busy) <= 1.15 * sum(sizes)
