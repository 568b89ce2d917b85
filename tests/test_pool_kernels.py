"""Pooling kernels against numpy: windows of all kinds, dtypes, layouts, targets, chunks in any order."""

import ctypes
import math

import numpy as np
import pytest

from tests.test_index_kernels import ALL, NUMBERS, TARGETS, Guarded, bits, operand_of, random, target_of, type_of
from tinytorch.ir.graph import Builder
from tinytorch.ir.ops.pooling import index_dtype, max_pool2d, max_pool2d_index, max_pool2d_take, max_unpool2d
from tinytorch.runtime.llvm import index_loops
from tinytorch.runtime.llvm.builder import Module
from tinytorch.runtime.llvm.contract_layout import Operand
from tinytorch.runtime.llvm.index import emit_index
from tinytorch.runtime.llvm.jit import compile_object, load_object
from tinytorch.runtime.llvm.target import Target

OPS = [max_pool2d, max_pool2d_index, max_pool2d_take, max_unpool2d]


def attrs_of(window, stride=None, low=(0, 0), high=None, dilation=(1, 1)):
    return {
        "window": window,
        "stride": stride or window,
        "low": low,
        "high": low if high is None else high,
        "dilation": dilation,
    }


def emit(ops, arrays, attrs, target, chunk_bytes=index_loops.CHUNK_BYTES):
    """(result types, module, kernel), cut as if chunks of `chunk_bytes` paid."""
    builder = Builder()
    inputs = [builder.input(type_of(a)) for a in arrays]
    nodes = [builder.append(op, inputs, attrs) for op in ops]
    types = [node.output.type for node in nodes]
    module = Module(target.attributes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_loops, "CHUNK_BYTES", chunk_bytes)
        results = [Operand.contiguous(t.dtype, t.shape) for t in types]
        return types, module, emit_index(module, "k", nodes, [operand_of(a) for a in arrays], results, target)


def run(ops, arrays, attrs, *, target=None, seed=0, chunk_bytes=index_loops.CHUNK_BYTES):
    """Emit, compile and run all chunks in a random order, results dirty; (results, chunks)."""
    target = target or Target.host()
    types, module, kernel = emit(ops, arrays, attrs, target, chunk_bytes)
    code = load_object(compile_object(module.text(), target))
    results = [Guarded(t.bytes) for t in types]
    pointers = [*(a.ctypes.data for a in arrays), *(r.inside.ctypes.data for r in results), 0]
    frame = (ctypes.c_void_p * len(pointers))(*pointers)
    ((name, chunks),) = kernel.phases
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(code.address(name))
    for chunk in np.random.default_rng(seed).permutation(chunks):
        call(ctypes.addressof(frame), int(chunk))
    assert all(r.is_whole() for r in results), "wrote outside of a result"
    return [r.inside.view(t.dtype.numpy).reshape(t.shape) for r, t in zip(results, types, strict=True)], chunks


def check(ops, arrays, attrs, **how):
    results, chunks = run(ops, arrays, attrs, **how)
    for op, result in zip(ops, results, strict=True):
        with np.errstate(all="ignore"):
            expected = op.eval(*arrays, **attrs)
        assert result.shape == expected.shape
        np.testing.assert_array_equal(bits(result), bits(expected), err_msg=op.name)
    return results, chunks


def without_high(attrs):
    return {key: value for key, value in attrs.items() if key != "high"}


def check_all(rng, x, attrs, laid=lambda a: a, **how):
    """The search alone and in one pass, and what puts its places to use, beside places out of range; (places, chunks
    of each kernel)."""
    check([max_pool2d], [x], attrs, **how)
    check([max_pool2d_index], [x], attrs, **how)
    (_, index), searched = check([max_pool2d, max_pool2d_index], [x], attrs, **how)
    check([max_pool2d_index, max_pool2d], [x], attrs, **how)
    wild = np.where(rng.random(index.shape) < 0.1, random(rng, index.shape, index_dtype(attrs["window"])), index)
    g = random(rng, index.shape, next(d for d in ALL if d.numpy == x.dtype))
    back = without_high(attrs)
    counts = [searched]
    for places in (index, wild):
        counts.append(check([max_pool2d_take], [x, laid(places)], back, **how)[1])
        counts.append(check([max_unpool2d], [laid(g), laid(places)], {**back, "size": x.shape[1:3]}, **how)[1])
    return index, counts


def with_ties(rng, shape, dtype):
    """Numbers of which many are equal, and for floats zeros of both signs, infinities and NaNs."""
    x = rng.integers(0, 5, shape).astype(dtype.numpy)
    if dtype.is_float:
        for value in (math.inf, -math.inf, math.nan, -0.0):
            x[rng.random(shape) < 0.08] = value
    return x


def arranged(rng, shape, kind, make):
    """An array of that shape in memory of another order, with steps, or with repeats."""
    if kind == "plain":
        return make(shape)
    if kind == "nchw":
        return make((shape[0], shape[3], *shape[1:3])).transpose(0, 2, 3, 1)
    if kind == "mirrored":
        return make(tuple(2 * d for d in shape))[::2, ::-2, ::2, ::-2]
    if kind == "channels in steps":
        return make((*shape[:3], 3 * shape[3]))[..., ::3]
    order = rng.permutation(4)
    base = make(tuple(1 if rng.random() < 0.3 else shape[axis] for axis in order))
    return np.broadcast_to(base.transpose(np.argsort(order)), shape)


LAYOUTS = ["plain", "plain", "nchw", "mirrored", "channels in steps", "repeated"]


def drawn_case(rng):
    """(shape, attrs) of a small image and windows of any kind that fit it."""
    while True:
        window, stride, low, high, dilation = (
            tuple(int(d) for d in rng.choice(choices, 2))
            for choices in ([1, 2, 2, 3, 3, 4, 6], [1, 1, 2, 2, 3, 5], [0, 0, 1, 2, 7], [0, 0, 1, 3], [1, 1, 1, 2, 3])
        )
        size = tuple(int(d) for d in rng.choice([1, 2, 4, 5, 8, 13, 19, 37], 2))
        reach = [(window[i] - 1) * dilation[i] + 1 for i in range(2)]
        outputs = [(size[i] + low[i] + high[i] - reach[i]) // stride[i] + 1 for i in range(2)]
        # The last window must start before the end of the image for its places to be put back.
        if min(outputs) > 0 and all((outputs[i] - 1) * stride[i] - low[i] < size[i] for i in range(2)):
            shape = (int(rng.choice([1, 2, 3])), *size, int(rng.choice([1, 2, 3, 5, 8, 16, 17, 24, 33, 70])))
            return shape, attrs_of(window, stride, low, high, dilation)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("seed", range(40))
def test_any_windows_of_any_layout(name, seed):
    rng = np.random.default_rng(seed)
    shape, attrs = drawn_case(rng)
    dtype = NUMBERS[seed % len(NUMBERS)]
    make = [random, with_ties][seed % 2]
    x = arranged(rng, shape, str(rng.choice(LAYOUTS)), lambda s: make(rng, s, dtype))
    other = str(rng.choice(LAYOUTS))

    def laid(array):
        if other == "repeated":
            return np.broadcast_to(array[:, :, :1], array.shape)
        return arranged(rng, array.shape, other, lambda s: np.resize(array, s))

    check_all(rng, x, attrs, laid, target=target_of(name), chunk_bytes=int(rng.choice([64 << 10, 2048, 64])))
