"""Loop kernels compiled alone, and compared with numpy."""

from __future__ import annotations

import ctypes
import itertools
import math

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st

from tinytorch.ir.arrays.reference import evaluate
from tinytorch.ir.expr import Expr
from tinytorch.ir.graph import Builder
from tinytorch.ir.op import OPS, apply
from tinytorch.ir.text.printer import print_graph
from tinytorch.ir.types import TensorType, dtype_of, f32
from tinytorch.runtime.llvm.kernel import Buffer, Kernel
from tinytorch.runtime.llvm.loop.kernel import emit
from tinytorch.runtime.llvm.text.builder import Module
from tinytorch.runtime.llvm.text.jit import compile_object, load_object
from tinytorch.runtime.llvm.text.target import Target

X86 = Target.host().triple.startswith("x86_64")
TARGETS = ["host", "avx2", "sse2"] if X86 else ["host"]
each_target = pytest.mark.parametrize("name", TARGETS)
few = settings(max_examples=20, deadline=None, derandomize=True)


def target_of(name):
    return Target.host() if name == "host" else Target.named(name)


def op(name, *operands, **attrs):
    return apply(OPS[name], *operands, **attrs)


def along(x, shape):
    return op("broadcast", x, shape=shape)


def body_of(function, *types):
    """The graph of a function of Exprs, with composites expanded."""
    builder = Builder("body")
    results = function(*(Expr(builder, builder.input(t)) for t in types))
    graph = builder.build([r.value for r in (results if isinstance(results, tuple) else (results,))])
    while any(n.op.expand for n in graph.nodes):
        builder = Builder("body")
        known = {v: Expr(builder, builder.input(v.type)) for v in graph.inputs}
        for n in graph.nodes:
            operands = [known[v] for v in n.inputs]
            if n.op.expand:
                known[n.output] = n.op.expand(*operands, **n.attrs)
            else:
                known[n.output] = Expr(builder, builder.append(n.op, [o.value for o in operands], n.attrs).output)
        graph = builder.build([known[v].value for v in graph.outputs])
    return graph


def buffer(bytes_, shift=0):
    """`bytes_` of memory that starts `shift` bytes after a multiple of 64."""
    raw = np.full(bytes_ + 192, 0xCD, np.uint8)
    start = -raw.ctypes.data % 64 + shift
    return raw[start : start + bytes_]


def kernel_of(body, strides):
    operands = [Buffer(v.type.dtype, v.type.shape, along) for v, along in zip(body.inputs, strides, strict=True)]
    results = [Buffer.contiguous(v.type.dtype, v.type.shape) for v in body.outputs]
    return Kernel(body, print_graph(body), tuple(operands), tuple(results))


def overwritable(body, arrays):
    """(input, output): the pairs that the schedule lets be one buffer, of code without reductions."""
    if any(n.op.kind == "reduce" for n in body.nodes):
        return []
    pairs = itertools.product(range(len(arrays)), range(len(body.outputs)))
    whole = [(i, j) for i, j in pairs if body.inputs[i].type == body.outputs[j].type]
    states = {n.inputs[0] for n in body.nodes if n.op.kind == "random"}
    return [(i, j) for i, j in whole if arrays[i].flags.c_contiguous and body.inputs[i] not in states]


class Compiled:
    """A kernel in this process."""

    def __init__(self, body, strides, target):
        self.body = body
        module = Module(target.attributes)
        self.kernel = emit(module, "k", kernel_of(body, strides), target)
        self.code = load_object(compile_object(module.text(), target))

    def run(self, arrays, outputs, *, backwards=False):
        """Call every chunk of every phase; the fault word."""
        scratch, fault = buffer(max(64, self.kernel.shared_bytes)), np.zeros(1, np.int64)
        frame = (ctypes.c_void_p * (len(arrays) + len(outputs) + 2))(
            *(a.ctypes.data for a in (*arrays, *outputs, scratch, fault))
        )
        for phase in self.kernel.phases:
            function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(self.code.address(phase.function))
            for chunk in reversed(range(phase.chunks)) if backwards else range(phase.chunks):
                function(ctypes.addressof(frame), chunk)
        return int(fault[0])


def strides_of(arrays):
    return [tuple(s // a.itemsize for s in a.strides) for a in arrays]


def outputs_of(body, shift=0):
    return [buffer(v.type.bytes, shift).view(v.type.dtype.numpy).reshape(v.type.shape) for v in body.outputs]


def compare(result, expected, tolerance):
    if result.dtype.itemsize == 2 and result.dtype.kind in "fV":
        result, expected = result.astype(np.float32), expected.astype(np.float32)
    if tolerance and result.dtype.kind == "f":
        np.testing.assert_allclose(result, expected, rtol=tolerance, atol=tolerance)
    else:
        np.testing.assert_array_equal(result, expected)


def check(function, arrays, name="host", tolerance=0.0, aliases=True):
    """Compile, run, compare with numpy; again in the other chunk order, and with outputs in the place of inputs."""
    body = body_of(function, *(TensorType(dtype_of(a.dtype), a.shape) for a in arrays))
    compiled = Compiled(body, strides_of(arrays), target_of(name))
    expected = evaluate(body, arrays)
    outputs, again = outputs_of(body), outputs_of(body)
    assert compiled.run(arrays, outputs) == 0
    for result, exact in zip(outputs, expected, strict=True):
        compare(result, exact, tolerance)
    compiled.run(arrays, again, backwards=True)
    for a, b in zip(outputs, again, strict=True):
        assert a.tobytes() == b.tobytes()
    if aliases:
        for source, sink in overwritable(body, arrays):
            inputs, outputs = [a.copy() if i == source else a for i, a in enumerate(arrays)], outputs_of(body)
            outputs[sink] = inputs[source]
            compiled.run(inputs, outputs)
            for result, b in zip(outputs, again, strict=True):
                assert result.tobytes() == b.tobytes()
    return compiled


def values(rng, shape, dtype=f32):
    if dtype.kind == "bool":
        return np.asarray(rng.integers(0, 2, shape), bool)
    if dtype.is_float:
        return np.asarray(rng.standard_normal(shape)).astype(dtype.numpy)
    info = np.iinfo(dtype.numpy)
    return np.asarray(rng.integers(max(info.min, -100), min(info.max, 100), shape)).astype(dtype.numpy)


def rearranged(rng, shape, dtype=f32, repeats=0.2):
    """Random values of this shape in a random layout: axes in any order, steps, negative strides, and with
    probability `repeats` a broadcast axis."""
    rank = len(shape)
    order = rng.permutation(rank)
    steps = [int(s) for s in rng.choice([1, 1, 1, 2, -1, -2], rank)]
    whole = [shape[a] * abs(steps[a]) for a in order]
    array = values(rng, whole, dtype).transpose(np.argsort(order))
    array = array[(*(slice(None, None, s) for s in steps), ...)]
    if rank and rng.random() < repeats:
        axis = int(rng.integers(rank))
        one = tuple(slice(0, 1) if a == axis else slice(None) for a in range(rank))
        array = np.broadcast_to(array[one], shape)
    return array


shapes = st.lists(st.sampled_from([1, 2, 3, 5, 16, 17, 33, 70]), max_size=4).filter(lambda s: math.prod(s) <= 60_000)
