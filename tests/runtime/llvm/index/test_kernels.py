"""Index kernels against numpy: dtypes, layouts, targets, odd and empty shapes, chunks in any order."""

import ctypes
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinytorch.ir.errors import CompileError
from tinytorch.ir.families.index import INDEX, SCANS
from tinytorch.ir.graph import Builder, Graph
from tinytorch.ir.ops.index import dynamic_slice, gather, scatter, scatter_add, update_slice
from tinytorch.ir.ops.scan import cumsum
from tinytorch.ir.ops.view import concat, pad
from tinytorch.ir.printer import print_graph
from tinytorch.ir.types import DTYPES, TensorType, bf16, bool_, f16, f32, f64, i8, i32, u8
from tinytorch.runtime.llvm.index import concat as index_concat
from tinytorch.runtime.llvm.index import kernel as index_kernel
from tinytorch.runtime.llvm.index import loops as index_loops
from tinytorch.runtime.llvm.index.kernel import emit as emit_kernel
from tinytorch.runtime.llvm.kernel import Buffer, Kernel
from tinytorch.runtime.llvm.text.builder import Module
from tinytorch.runtime.llvm.text.jit import compile_object, emit_assembly, load_object
from tinytorch.runtime.llvm.text.target import Target

X86 = Target.host().triple.startswith("x86_64")
TARGETS = ["host", "avx2", "sse2"] if X86 else ["host"]
GUARD = 64  # bytes around results and scratch that must stay as they were
ALL = list(DTYPES.values())
MOVES = [gather, scatter, scatter_add, update_slice, dynamic_slice, pad, concat]
UPDATES = [scatter, scatter_add, update_slice]
NUMBERS = [d for d in ALL if d is not bool_]


def target_of(name):
    return Target.host() if name == "host" else Target.named(name)


def dtype_of(array):
    return next(d for d in ALL if d.numpy == array.dtype)


def type_of(array):
    return TensorType(dtype_of(array), array.shape)


def operand_of(array):
    return Buffer(dtype_of(array), array.shape, tuple(s // array.itemsize for s in array.strides))


def node_of(op, arrays, attrs):
    builder = Builder()
    return builder.append(op, [builder.input(type_of(a)) for a in arrays], attrs)


def kernel_of(node, operands, results, in_place=False):
    """The kernel of a node alone."""
    body = Graph("body", tuple(dict.fromkeys(node.inputs)), (node,), node.outputs)
    return Kernel(body, print_graph(body), tuple(operands), tuple(results), in_place)


class Guarded:
    """Memory with marked bytes around it."""

    def __init__(self, bytes_):
        self.raw = np.full(bytes_ + 64 + 2 * GUARD, 0xA5, np.uint8)
        start = GUARD + -(self.raw.ctypes.data + GUARD) % 64
        self.inside = self.raw[start : start + bytes_]
        self.outside = [self.raw[:start], self.raw[start + bytes_ :]]

    def is_whole(self):
        return all((x == 0xA5).all() for x in self.outside)


def emit(op, arrays, attrs, target, chunk_bytes=index_loops.CHUNK_BYTES, in_place=False):
    """(node, module, kernel), cut as if chunks of `chunk_bytes` paid."""
    node = node_of(op, arrays, attrs)
    module = Module(target.attributes)
    operands, result = (
        [operand_of(a) for a in arrays],
        Buffer.contiguous(node.output.type.dtype, node.output.type.shape),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_loops, "CHUNK_BYTES", chunk_bytes)
        return node, module, emit_kernel(module, "k", kernel_of(node, operands, [result], in_place), target)


def run(op, arrays, attrs, *, target=None, seed=0, in_place=False, chunk_bytes=index_loops.CHUNK_BYTES):
    """Emit, compile and run all chunks in a random order, scratch and result dirty; (result, kernel)."""
    target = target or Target.host()
    node, module, kernel = emit(op, arrays, attrs, target, chunk_bytes, in_place)
    shape, dtype = node.output.type.shape, node.output.type.dtype
    code = load_object(compile_object(module.text(), target))
    result, scratch = Guarded(math.prod(shape) * dtype.size), Guarded(kernel.private_bytes)
    pointers = [a.ctypes.data for a in arrays]
    if in_place:
        result.inside[:] = np.ascontiguousarray(arrays[0]).reshape(-1).view(np.uint8)
        pointers[0] = result.inside.ctypes.data
    pointers += [result.inside.ctypes.data, scratch.inside.ctypes.data]
    frame = (ctypes.c_void_p * len(pointers))(*pointers)
    rng = np.random.default_rng(seed)
    for name, chunks in kernel.phases:
        call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(code.address(name))
        for chunk in rng.permutation(chunks):
            call(ctypes.addressof(frame), int(chunk))
    assert result.is_whole(), "wrote outside of the result"
    assert scratch.is_whole(), "wrote outside of the scratch"
    return result.inside.view(dtype.numpy).reshape(shape), kernel


def check(op, arrays, attrs, **how):
    with np.errstate(all="ignore"):
        expected = op.eval(*arrays, **attrs)
    result, kernel = run(op, arrays, attrs, **how)
    assert result.shape == expected.shape
    np.testing.assert_array_equal(bits(result), bits(expected))
    return kernel


def bits(array):
    return np.ascontiguousarray(array).reshape(array.shape).view(f"u{array.itemsize}")


def random(rng, shape, dtype):
    if dtype.is_float:
        return rng.standard_normal(shape).astype(dtype.numpy)
    if dtype is bool_:
        return rng.integers(0, 2, shape).astype(np.bool_)
    info = np.iinfo(dtype.numpy)
    return rng.integers(info.min, info.max, shape, endpoint=True, dtype=dtype.numpy)


def laid_out(rng, shape, layout, make):
    """An array of that shape from `make(shape)`; per axis `layout` draws a step (0 repeats), then the axes' order."""
    steps, order = layout
    order = [axis for axis in order if axis < len(shape)]
    steps = [steps[axis] for axis in range(len(shape))]
    whole = [1 if step == 0 else size * abs(step) for size, step in zip(shape, steps, strict=True)]
    base = make(tuple(whole[axis] for axis in order)).transpose(np.argsort(order))
    view = base[tuple(slice(None) if step == 0 else slice(None, None, step) for step in steps)]
    return np.broadcast_to(view, shape)


RANK = 4
LAYOUTS = st.tuples(
    st.lists(st.sampled_from([1, 1, 1, 2, -1, -2, 0]), min_size=8, max_size=8), st.permutations(range(8))
)
PLAIN = ([1] * 8, list(range(8)))
LAYOUT = st.one_of(st.just(PLAIN), LAYOUTS)
SIZES = st.sampled_from([0, 1, 1, 2, 3, 5, 8, 17, 33])
SHAPES = st.lists(SIZES, max_size=RANK).map(tuple)
FEW = settings(max_examples=30, deadline=None, derandomize=True)
CHUNKS = st.sampled_from([index_loops.CHUNK_BYTES, 1024, 128, 16])
SEEDS = st.integers(0, 2**16)


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


# Every dtype at sizes with several chunks


def large(op, rng, dtype):
    """(operands, attrs) of a result of some chunks."""
    x = random(rng, (700, 131), dtype)
    rows = rng.integers(0, 700, (1900,))
    if op is gather:
        return [x, rows], {"axis": 0}
    if op in (scatter, scatter_add):
        return [x, rows, random(rng, (1900, 131), dtype)], {"axis": 0}
    if op is update_slice:
        return [np.concatenate([x, x]), random(rng, (600, 50), dtype)], {"starts": (7, 3), "steps": (1, 2)}
    if op is dynamic_slice:
        attrs = {"starts": (0, 3), "limits": (1330, 104), "steps": (1, 1), "axes": (0, 1)}
        return [np.concatenate([x, x]), np.array(70), np.array(20)], attrs
    if op is pad:
        return [x], {"low": (3, 1), "high": (0, 200), "interior": (1, 0), "value": 1.0}
    return [x, random(rng, (700, 400), dtype), x[:, ::-1]], {"axis": 1}


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


# What each op promises


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
