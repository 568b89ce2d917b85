"""Index kernels: any shape, layout and dtype, their code and what they refuse."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.runtime.llvm.index.kernels import (
    ALL,
    CHUNKS,
    FEW,
    LAYOUT,
    NUMBERS,
    PLAIN,
    SEEDS,
    SHAPES,
    SIZES,
    TARGETS,
    check,
    emit,
    kernel_of,
    laid_out,
    large,
    node_of,
    operand_of,
    random,
    target_of,
)
from tinytorch.ir.errors import CompileError
from tinytorch.ir.families.index import INDEX, SCANS
from tinytorch.ir.ops.index import dynamic_slice, gather, scatter, scatter_add, update_slice
from tinytorch.ir.ops.scan import cumsum
from tinytorch.ir.ops.view import concat, pad
from tinytorch.ir.types import bf16, bool_, f16, f32, u8
from tinytorch.runtime.llvm.index import concat as index_concat
from tinytorch.runtime.llvm.index import kernel as index_kernel
from tinytorch.runtime.llvm.index import loops as index_loops
from tinytorch.runtime.llvm.index.kernel import emit as emit_kernel
from tinytorch.runtime.llvm.kernel import Buffer
from tinytorch.runtime.llvm.text.builder import Module
from tinytorch.runtime.llvm.text.jit import emit_assembly
from tinytorch.runtime.llvm.text.target import Target

MOVES = [gather, scatter, scatter_add, update_slice, dynamic_slice, pad, concat]


def indices_of(rng, shape, size, layout=PLAIN):
    return laid_out(rng, shape, layout, lambda s: rng.integers(0, max(size, 1), s))


# Any shape and layout


@pytest.mark.parametrize("name", TARGETS)
@FEW
@given(data=st.data(), shape=SHAPES, dtype=st.sampled_from(ALL), seed=SEEDS)
def test_pad(name, data, shape, dtype, seed):
    rng = np.random.default_rng(seed)
    amounts = st.lists(st.sampled_from([0, 0, 1, 2, 5]), min_size=len(shape), max_size=len(shape)).map(tuple)
    attrs = {key: data.draw(amounts, key) for key in ("low", "high", "interior")}
    attrs["value"] = data.draw(st.sampled_from([0.0, 1.0, 3.0] + ([-math.inf, 1e-3, -0.0] if dtype.is_float else [])))
    x = laid_out(rng, shape, data.draw(LAYOUT), lambda s: random(rng, s, dtype))
    check(pad, [x], attrs, target=target_of(name), chunk_bytes=data.draw(CHUNKS))


@pytest.mark.parametrize("name", TARGETS)
@FEW
@given(data=st.data(), shape=SHAPES.filter(len), dtype=st.sampled_from(ALL), seed=SEEDS)
def test_concat(name, data, shape, dtype, seed):
    rng = np.random.default_rng(seed)
    axis = data.draw(st.integers(0, len(shape) - 1))
    sizes = data.draw(st.lists(SIZES, min_size=1, max_size=4))
    shapes = [tuple(size if i == axis else d for i, d in enumerate(shape)) for size in sizes]
    arrays = [laid_out(rng, s, data.draw(LAYOUT), lambda s: random(rng, s, dtype)) for s in shapes]
    check(concat, arrays, {"axis": axis}, target=target_of(name), chunk_bytes=data.draw(CHUNKS))


@pytest.mark.parametrize("name", TARGETS)
@FEW
@given(data=st.data(), shape=SHAPES.filter(len), dtype=st.sampled_from(NUMBERS), seed=SEEDS)
def test_cumsum(name, data, shape, dtype, seed):
    rng = np.random.default_rng(seed)
    attrs = {"axis": data.draw(st.integers(0, len(shape) - 1)), "reverse": data.draw(st.booleans())}
    x = laid_out(rng, shape, data.draw(LAYOUT), lambda s: random(rng, s, dtype))
    check(cumsum, [x], attrs, target=target_of(name), chunk_bytes=data.draw(CHUNKS))


@pytest.mark.parametrize("name", TARGETS)
@FEW
@given(data=st.data(), shape=SHAPES.filter(len), dtype=st.sampled_from(ALL), seed=SEEDS)
def test_concat_of_many(name, data, shape, dtype, seed):
    """Runs of operands of one layout and one or several sizes, written by loops, some in functions of their own."""
    rng = np.random.default_rng(seed)
    axis = data.draw(st.integers(0, len(shape) - 1))
    few = [data.draw(LAYOUT) for _ in range(2)]
    groups = st.tuples(st.sampled_from(few), st.lists(SIZES, min_size=1, max_size=2), st.integers(1, 6))
    arrays = []
    for layout, sizes, times in data.draw(st.lists(groups, min_size=1, max_size=4)):
        for size in sizes * times:
            whole = tuple(size if i == axis else d for i, d in enumerate(shape))
            arrays.append(laid_out(rng, whole, layout, lambda s: random(rng, s, dtype)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_concat, "_SHORT", data.draw(st.sampled_from([2, 3, 8])))
        patch.setattr(index_concat, "_PART", data.draw(st.sampled_from([1, 2, 32])))
        check(concat, arrays, {"axis": axis}, target=target_of(name), chunk_bytes=data.draw(CHUNKS))


@pytest.mark.parametrize("sizes", [[3], [2, 5, 1]])
@pytest.mark.parametrize("axis", [0, 1])
def test_code_of_concat_does_not_grow_with_alike_operands(sizes, axis):
    def lines(count):
        arrays = [np.zeros((4, size) if axis else (size, 4), np.float32) for size in sizes * count]
        _, module, _ = emit(concat, arrays, {"axis": axis}, Target.host())
        return sum(len(f.text().splitlines()) for f in module.functions)

    assert lines(400) == lines(20)


def draw_indexed(data, shape, seed):
    """(generator, axis, the shape of updates, indices) for indexing an array of `shape`."""
    rng = np.random.default_rng(seed)
    axis = data.draw(st.integers(0, len(shape) - 1))
    picked = data.draw(st.lists(SIZES, max_size=3).map(tuple)) if shape[axis] else (0,)
    indices = indices_of(rng, picked, shape[axis], data.draw(LAYOUT))
    return rng, axis, (*shape[:axis], *picked, *shape[axis + 1 :]), indices


@pytest.mark.parametrize("name", TARGETS)
@FEW
@given(data=st.data(), shape=SHAPES.filter(len), dtype=st.sampled_from(ALL), seed=SEEDS)
def test_gather(name, data, shape, dtype, seed):
    rng, axis, _, indices = draw_indexed(data, shape, seed)
    x = laid_out(rng, shape, data.draw(LAYOUT), lambda s: random(rng, s, dtype))
    check(gather, [x, indices], {"axis": axis}, target=target_of(name), chunk_bytes=data.draw(CHUNKS))


@pytest.mark.parametrize("name", TARGETS)
@FEW
@given(data=st.data(), shape=SHAPES.filter(len), dtype=st.sampled_from(NUMBERS), seed=SEEDS)
def test_scatter_add(name, data, shape, dtype, seed):
    rng, axis, updated, indices = draw_indexed(data, shape, seed)
    base = laid_out(rng, shape, data.draw(LAYOUT), lambda s: random(rng, s, dtype))
    updates = laid_out(rng, updated, data.draw(LAYOUT), lambda s: random(rng, s, dtype))
    check(scatter_add, [base, indices, updates], {"axis": axis}, target=target_of(name), chunk_bytes=data.draw(CHUNKS))


@pytest.mark.parametrize("name", TARGETS)
@FEW
@given(data=st.data(), shape=SHAPES.filter(len), dtype=st.sampled_from(ALL), seed=SEEDS)
def test_scatter(name, data, shape, dtype, seed):
    rng, axis, updated, indices = draw_indexed(data, shape, seed)
    in_place = data.draw(st.booleans())
    base = laid_out(rng, shape, PLAIN if in_place else data.draw(LAYOUT), lambda s: random(rng, s, dtype))
    updates = laid_out(rng, updated, data.draw(LAYOUT), lambda s: random(rng, s, dtype))
    how = {"target": target_of(name), "chunk_bytes": data.draw(CHUNKS), "in_place": in_place}
    check(scatter, [base, indices, updates], {"axis": axis}, **how)


@pytest.mark.parametrize("name", TARGETS)
@FEW
@given(data=st.data(), shape=SHAPES, dtype=st.sampled_from(ALL), seed=SEEDS)
def test_update_slice(name, data, shape, dtype, seed):
    rng = np.random.default_rng(seed)
    steps = tuple(data.draw(st.sampled_from([1, 1, 1, 2, 3])) for _ in shape)
    starts = tuple(data.draw(st.integers(0, size)) for size in shape)
    most = [-(-(size - start) // step) for size, start, step in zip(shape, starts, steps, strict=True)]
    part = tuple(data.draw(st.sampled_from([m, m, m // 2, min(m, 1)])) for m in most)
    in_place = data.draw(st.booleans())
    base = laid_out(rng, shape, PLAIN if in_place else data.draw(LAYOUT), lambda s: random(rng, s, dtype))
    update = laid_out(rng, part, data.draw(LAYOUT), lambda s: random(rng, s, dtype))
    how = {"target": target_of(name), "chunk_bytes": data.draw(CHUNKS), "in_place": in_place}
    check(update_slice, [base, update], {"starts": starts, "steps": steps}, **how)
    at, attrs = draw_moved(data, starts)
    check(update_slice, [base, update, *at], {**attrs, "steps": steps}, **how)
    part = update.shape
    limits = tuple(a + (d - 1) * s + 1 if d else a for a, d, s in zip(attrs["starts"], part, steps, strict=True))
    how = {"target": target_of(name), "chunk_bytes": how["chunk_bytes"]}
    check(dynamic_slice, [base, *at], {**attrs, "limits": limits, "steps": steps}, **how)


def draw_moved(data, starts):
    """(positions, attributes): a part of `starts` along some axes as positions."""
    axes = tuple(data.draw(st.permutations(range(len(starts)))))[: data.draw(st.integers(0, len(starts)))]
    at = {axis: data.draw(st.integers(0, starts[axis])) for axis in axes}
    left = tuple(start - at.get(axis, 0) for axis, start in enumerate(starts))
    return [np.array(at[axis]) for axis in axes], {"starts": left, "axes": axes}


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("dtype", ALL, ids=str)
@pytest.mark.parametrize("op", MOVES, ids=lambda op: op.name)
def test_large(name, dtype, op):
    if op is scatter_add and dtype is bool_:
        return
    arrays, attrs = large(op, np.random.default_rng(1), dtype)
    kernel = check(op, arrays, attrs, target=target_of(name))
    ((_, chunks),) = kernel.phases
    assert chunks > 1 and (kernel.private_bytes > 0) == (op is scatter_add and dtype in (f16, bf16))


@pytest.mark.parametrize("shape", [(200_003,), (3, 70_001), (2, 3, 40_000), (50_000, 5)], ids=str)
@pytest.mark.parametrize("op", MOVES, ids=lambda op: op.name)
def test_cut_along_any_axis(shape, op):
    rng = np.random.default_rng(2)
    x = random(rng, shape, f32)
    every_other = random(rng, tuple(2 * size for size in shape), f32)[tuple(slice(None, None, -2) for _ in shape)]
    for axis in range(len(shape)):
        indices = rng.integers(0, shape[axis], (37,) if math.prod(shape) // shape[axis] > 100 else (900,))
        every = tuple(2 if i == axis else 1 for i in range(len(shape)))
        half = x[tuple(slice(None, size // 2 if i == axis else None) for i, size in enumerate(shape))]
        around = tuple(2 if i == axis else 0 for i in range(len(shape)))
        updates = random(rng, (*shape[:axis], indices.size, *shape[axis + 1 :]), f32)
        operands, attrs = {
            gather: ([x, indices], {"axis": axis}),
            scatter: ([x, indices, updates], {"axis": axis}),
            scatter_add: ([x, indices, updates], {"axis": axis}),
            update_slice: ([x, half], {"starts": tuple(int(i == axis) for i in range(len(shape))), "steps": every}),
            dynamic_slice: (
                [every_other, np.array(1)],
                {"starts": (0,) * len(shape), "limits": half.shape, "steps": (1,) * len(shape), "axes": (axis,)},
            ),
            pad: ([every_other], {"low": around, "high": around, "interior": (0,) * len(shape), "value": -1.0}),
            concat: ([x, every_other, x], {"axis": axis}),
        }[op]
        ((_, chunks),) = check(op, operands, attrs).phases
        assert chunks > 1 or op is gather


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_transposed_operands(name, dtype):
    rng = np.random.default_rng(10)
    x = random(rng, (2, 3, 70, 101), dtype).transpose(0, 3, 2, 1)  # contiguous along axis 1
    y = random(rng, (2, 70, 3, 101), dtype).transpose(0, 3, 2, 1)
    for chunk_bytes in (index_loops.CHUNK_BYTES, 4096):
        how = {"target": target_of(name), "chunk_bytes": chunk_bytes}
        check(concat, [y, y[..., :1, :]], {"axis": 2}, **how)
        check(pad, [x], {"low": (0, 1, 1, 0), "high": (0, 1, 0, 0), "interior": (0,) * 4, "value": 0.0}, **how)
        check(concat, [x[0, :, :, 0], x[1, :, :, 2]], {"axis": 0}, **how)


def test_small_results_are_one_chunk_and_empty_ones_none():
    x = np.arange(12.0, dtype=np.float32).reshape(3, 4)
    assert check(gather, [x, np.array([2, 0])], {"axis": 0}).phases == (("k", 1),)
    assert check(gather, [x, np.zeros((0,), np.int64)], {"axis": 0}).phases == (("k", 0),)
    assert check(concat, [x[:0], x[:0]], {"axis": 0}).phases == (("k", 0),)


# The generated code and its interface


@pytest.mark.parametrize("op", MOVES, ids=lambda op: op.name)
def test_code_is_small_whatever_the_shape(op):
    target = Target.host()
    arrays, attrs = large(op, np.random.default_rng(8), f32)
    _, module, _ = emit(op, arrays, attrs, target)
    assert module.text().count("\n") < 400


@pytest.mark.parametrize("op", MOVES, ids=lambda op: op.name)
def test_code_for_arm(op):
    target = Target.named("neon")
    for dtype in (f32, f16, u8):
        arrays, attrs = large(op, np.random.default_rng(9), dtype)
        _, module, _ = emit(op, arrays, attrs, target)
        assert "ret" in emit_assembly(module.text(), target)


def test_every_op_of_the_family_has_code():
    assert INDEX.ops == index_kernel._MOVES.keys() | index_kernel._UPDATES.keys() | SCANS


def test_what_does_not_fit_is_refused():
    target = Target.host()
    x = np.zeros((2, 3), np.float32)
    operand = operand_of(x)
    module = Module(target.attributes)
    joined = node_of(concat, [x, x], {"axis": 0})
    whole = Buffer.contiguous(f32, (4, 3))
    with pytest.raises(CompileError, match=r"the result cannot take the place"):
        emit_kernel(module, "a", kernel_of(joined, [operand] * 2, [whole], in_place=True), target)
    with pytest.raises(CompileError, match=r"must be row-major"):
        emit_kernel(module, "b", kernel_of(joined, [operand] * 2, [Buffer(f32, (4, 3), (1, 4))]), target)
