"""Kernels of one function run from memory that is dirty and guarded."""

import ctypes

import numpy as np
import pytest

from tests.runtime.llvm.index.kernels import Guarded, operand_of, type_of
from tinytorch.ir.graph import Builder, Graph
from tinytorch.ir.printer import print_graph
from tinytorch.runtime.llvm.index import loops as index_loops
from tinytorch.runtime.llvm.kernel import Buffer, Kernel
from tinytorch.runtime.llvm.text.builder import Module
from tinytorch.runtime.llvm.text.jit import compile_object, load_object


def run_kernel(emit, op, arrays, attrs, *, target, seed=0, chunk_bytes=index_loops.CHUNK_BYTES, wanted=None):
    """Emit, compile and run all chunks in a random order, scratch and results dirty; (the `wanted` results, chunks)."""
    builder = Builder()
    node = builder.append(op, [builder.input(type_of(a)) for a in arrays], attrs)
    outputs = tuple(node.outputs[i] for i in (range(op.results) if wanted is None else wanted))
    module = Module(target.attributes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_loops, "CHUNK_BYTES", chunk_bytes)
        body = Graph("body", node.inputs, (node,), outputs)
        buffers = tuple(Buffer.contiguous(v.type.dtype, v.type.shape) for v in outputs)
        operands = tuple(operand_of(a) for a in arrays)
        kernel = emit(module, "k", Kernel(body, print_graph(body), operands, buffers), target)
    code = load_object(compile_object(module.text(), target))
    results, scratch = [Guarded(v.type.bytes) for v in outputs], Guarded(kernel.private_bytes)
    pointers = [*(a.ctypes.data for a in arrays), *(r.inside.ctypes.data for r in results), scratch.inside.ctypes.data]
    frame = (ctypes.c_void_p * len(pointers))(*pointers)
    ((name, chunks),) = kernel.phases
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(code.address(name))
    for chunk in np.random.default_rng(seed).permutation(chunks):
        call(ctypes.addressof(frame), int(chunk))
    assert all(r.is_whole() for r in results), "wrote outside of a result"
    assert scratch.is_whole(), "wrote outside of the scratch"
    views = [r.inside.view(v.type.dtype.numpy).reshape(v.type.shape) for r, v in zip(results, outputs, strict=True)]
    return views, chunks
