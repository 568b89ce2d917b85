"""Kernels of products by sparse weights against products by the weights themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinytorch as tt
from tests.execution import assert_near, assert_same, compiled, expected, kernels
from tests.runtime.llvm.index.kernels import TARGETS, target_of
from tinytorch.ir.expr import Expr
from tinytorch.ir.graph import Builder, Graph
from tinytorch.ir.op import Op, apply
from tinytorch.ir.ops.contract import transposed
from tinytorch.ir.ops.sparse import (
    layout_of,
    pack,
    pack_semi_structured,
    semi_structured_matmul,
    sparse_matmul,
    unpack,
    unpack_semi_structured,
)
from tinytorch.ir.ops.view import broadcast
from tinytorch.ir.types import TensorType, dtype_of, type_of
from tinytorch.runtime.llvm.lower import lower
from tinytorch.runtime.llvm.text import jit
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.schedule import schedule

Array = np.ndarray


def pruned(shape: tuple[int, int], share: float, block: tuple[int, int], dtype: str, seed: int = 0) -> Array:
    """A weight with this share of blocks that are not 0; some columns are empty, some are full."""
    rng = np.random.default_rng([*shape, *block, seed])
    mask = rng.random((-(-shape[0] // block[0]), -(-shape[1] // block[1]))) < share
    if seed % 3 == 1:
        mask[:, :: max(1, mask.shape[1] // 3)] = False
        mask[:, 1 :: max(2, mask.shape[1] // 2)] = True
    w = rng.normal(size=shape) * np.kron(mask, np.ones(block))[: shape[0], : shape[1]]
    return w.astype(dtype)


def two_of_four(shape: tuple[int, int], seed: int = 0) -> Array:
    rng = np.random.default_rng([*shape, seed])
    w = rng.normal(size=(-(-shape[0] // 4), 4, shape[1])).astype(np.float32)
    w *= np.argsort(rng.random(w.shape), axis=1) < 2 - seed % 2
    return w.reshape(-1, shape[1])[: shape[0]]


def graph_of(op: Op, arrays: list[Array], columns: int, epilogue: bool = False, turned: bool = False) -> Graph:
    """The product; with an epilogue, a bias and ReLU follow; x may come transposed."""
    builder = Builder()
    operands = [Expr(builder, builder.input(TensorType(dtype_of(a.dtype), a.shape))) for a in arrays]
    bias = operands.pop() if epilogue else None
    if turned:
        operands[0] = transposed(operands[0])
    y = apply(op, *operands, columns=columns)
    results = [y.value]
    if bias is not None:
        y = (y + apply(broadcast, bias, shape=y.shape)).maximum(0.0)
        results.append(y.value)
    return builder.build(results)


def check(op: Op, x: Array, weight: Array, arrays: list[Array], target: str, way: int = 0) -> None:
    """The kernel against the reference and against the dense product."""
    columns, epilogue, turned = weight.shape[1], way & 1 == 1, way & 2 == 2
    bias = [np.linspace(-1, 1, columns).astype(x.dtype)] if epilogue else []
    given = [np.ascontiguousarray(x.T) if turned else x, *arrays, *bias]
    graph = graph_of(op, given, columns, epilogue, turned)
    found, wanted = compiled(graph, given, target_of(target)), expected(graph, given)
    assert_near(found, wanted)
    exact = x.astype(np.float64) @ weight
    scale = np.abs(x).astype(np.float64) @ np.abs(weight) + 1e-30
    assert np.all(np.abs(found[0] - exact) <= 8 * np.finfo(x.dtype).eps * scale)


def check_sparse(rows: int, w: Array, lanes: int, side_by_side: int, width: int, target: str, way: int = 0) -> None:
    x = np.random.default_rng(rows).normal(size=(rows, w.shape[0])).astype(w.dtype)
    arrays = list(pack(w, lanes, side_by_side, width))
    layout = layout_of([type_of(a.dtype, a.shape) for a in (x, *arrays)], w.shape[1])
    np.testing.assert_array_equal(unpack(layout, arrays), w)
    check(sparse_matmul, x, w, arrays, target, way)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("rows", "shape", "lanes", "side_by_side", "width"),
    [
        (1, (300, 70), 16, 1, 64),
        (3, (64, 40), 8, 1, 16),
        (2, (517, 48), 16, 4, 32),
        (1, (40, 100), 8, 8, 256),
        (5, (255, 33), 16, 16, 16),
        (37, (256, 70), 1, 1, 64),
        (9, (90, 130), 2, 2, 128),
        (33, (600, 24), 8, 8, 24),
        (130, (20, 9), 4, 4, 16),
        (11, (30, 20), 8, 2, 16),
    ],
)  # fmt: skip
def test_patterns(rows: int, shape: tuple[int, int], lanes: int, side_by_side: int, width: int, target: str) -> None:
    for seed, share in enumerate((0.1, 0.5)):
        w = pruned(shape, share, (1, side_by_side), "float32", seed)
        check_sparse(rows, w, lanes, side_by_side, width, target, way=(rows + seed) % 4)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("lanes", [4, 8, 16])
def test_two_of_four(lanes: int, target: str) -> None:
    for way, (rows, shape) in enumerate([(1, (64, 5 * lanes)), (3, (37, 40)), (2, (4, 1)), (9, (258, 100))]):
        w = two_of_four(shape, way)
        x = np.random.default_rng(rows).normal(size=(rows, shape[0])).astype(np.float32)
        values, positions = pack_semi_structured(w, lanes)
        np.testing.assert_array_equal(unpack_semi_structured(values, positions, *shape), w)
        check(semi_structured_matmul, x, w, [values, positions], target, way)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.data())
def test_random_weights(data: st.DataObject) -> None:
    """Any sizes and shares, no entries at all, one, all of them; doubles."""
    draw = data.draw
    side_by_side, places = draw(st.sampled_from([1, 2, 4, 8, 16])), draw(st.sampled_from([1, 2, 4]))
    lanes = side_by_side * places
    width = lanes * draw(st.integers(1, min(8, 256 // places)))
    shape = draw(st.integers(1, 600)), draw(st.integers(1, 90))
    dtype = draw(st.sampled_from(["float32", "float64"]))
    w = pruned(shape, draw(st.sampled_from([0, 0.02, 0.3, 1])), (draw(st.sampled_from([1, 4])), side_by_side), dtype)
    if draw(st.booleans()):
        w[draw(st.integers(0, shape[0] - 1)), draw(st.integers(0, shape[1] - 1))] = 2
    target = draw(st.sampled_from(TARGETS))
    check_sparse(
        draw(st.sampled_from([1, 2, 8, 9, 17, 70])), w, lanes, side_by_side, width, target, draw(st.integers(0, 3))
    )


@pytest.mark.parametrize("target", TARGETS)
def test_whatever_the_arrays_hold_nothing_is_read_outside(target: str) -> None:
    """Rows, orders and ends of any bits mean the same to the reference and to the kernel."""
    rng = np.random.default_rng(0)
    for rows, lanes, places in ((1, 16, 16), (3, 16, 2), (12, 1, 1), (2, 4, 1)):
        shapes = [(5, lanes), (5, places), (2, 2, 3, places), (2, 2, 3)]
        values = rng.normal(size=shapes[0]).astype(np.float32)
        row, order = (rng.integers(0, 256, shape).astype(np.uint8) for shape in shapes[1:3])
        ends = rng.choice([-(2**31), -1, 0, 1, 2, 4, 5, 6, 2**31 - 1], shapes[3]).astype(np.int32)
        x = rng.normal(size=(rows, 400)).astype(np.float32)
        graph = graph_of(sparse_matmul, arrays := [x, values, row, order, ends], 6 * lanes - 1)
        assert_near(compiled(graph, arrays, target_of(target)), expected(graph, arrays))


def test_absent_weights_are_not_multiplied() -> None:
    """Infinities and NaN meet stored weights alone, also in columns with fewer entries than their neighbours."""
    w = np.zeros((300, 32), np.float32)
    w[1, ::2] = w[2:30, 3] = 1
    x = np.ones((1, 300), np.float32)
    x[0, 0], x[0, 299], x[0, 5] = np.nan, np.inf, -np.inf
    arrays = [x, *pack(w, 16, 1, 32)]
    graph = graph_of(sparse_matmul, arrays, 32)
    wanted = w[1:2].copy()
    wanted[0, 3] = -np.inf
    assert_same(expected(graph, arrays), [wanted])
    assert_same(compiled(graph, arrays), [wanted])


def test_threads_do_not_change_a_bit() -> None:
    w = pruned((512, 700), 0.3, (1, 1), "float32", 1)
    results: list[list[Array]] = []
    before = tt.get_num_threads()
    try:
        for threads in (1, 2, 3):
            tt.set_num_threads(threads)
            for rows, lanes in ((1, 16), (70, 1)):
                x = np.random.default_rng(rows).normal(size=(rows, 512)).astype(np.float32)
                arrays = [x, *pack(w, lanes, 1, 64)]
                results.append(compiled(graph_of(sparse_matmul, arrays, 700), arrays))
    finally:
        tt.set_num_threads(before)
    for i in range(2, 6):
        assert_same(results[i], results[i % 2])


def test_code_for_arm_is_assembled() -> None:
    neon = Target.named("neon")
    w = two_of_four((64, 32))
    for rows, op, arrays in (
        (1, sparse_matmul, pack(w, 4, 1, 32)),
        (40, sparse_matmul, pack(w, 1, 1, 32)),
        (2, semi_structured_matmul, pack_semi_structured(w, 4)),
    ):
        graph = graph_of(op, [np.ones((rows, 64), np.float32), *arrays], 32)
        text = lower(schedule(kernels(graph, neon.costs)), neon, slots=1).text
        assert "fmla" in jit.emit_assembly(text, neon)
