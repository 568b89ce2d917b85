"""Kernels compiled alone, and run in any order of chunks on dirty memory."""

import ctypes
import math

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st

from tinytorch.ir.graph import Builder, Graph
from tinytorch.ir.ops.index import dynamic_slice, gather, scatter, scatter_add, update_slice
from tinytorch.ir.ops.view import pad
from tinytorch.ir.text.printer import print_graph
from tinytorch.ir.types import DTYPES, TensorType, bool_
from tinytorch.runtime.llvm.index import loops as index_loops
from tinytorch.runtime.llvm.index.kernel import emit as emit_kernel
from tinytorch.runtime.llvm.kernel import Buffer, Kernel
from tinytorch.runtime.llvm.text.builder import Module
from tinytorch.runtime.llvm.text.jit import compile_object, load_object
from tinytorch.runtime.llvm.text.target import Target

X86 = Target.host().triple.startswith("x86_64")
TARGETS = ["host", "avx2", "sse2"] if X86 else ["host"]
GUARD = 64  # bytes around results and scratch that must stay as they were
ALL = list(DTYPES.values())
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
