"""Kernels run from memory that is dirty and guarded, chunks in a random order."""

import ctypes
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.runtime.llvm.index.kernels import Guarded, operand_of, type_of
from tinytorch.ir.graph import Builder, Graph
from tinytorch.ir.text.printer import print_graph
from tinytorch.runtime.llvm.index import loops as index_loops
from tinytorch.runtime.llvm.kernel import Buffer, Kernel
from tinytorch.runtime.llvm.text.builder import Module
from tinytorch.runtime.llvm.text.jit import compile_object, load_object


def execute(module, kernel, arrays, target, seed=0, threads=1):
    """Compile, and run each phase's chunks in a random order, dealt out to the threads, all scratch dirty."""
    code = load_object(compile_object(module.text(), target))
    shared, private = Guarded(kernel.shared_bytes), [Guarded(kernel.private_bytes) for _ in range(threads)]
    frames = []
    for own in private:
        scratch = [shared] if kernel.shared_bytes else []
        pointers = [x.ctypes.data for x in (*arrays, *(m.inside for m in (*scratch, own)))]
        frames.append((ctypes.c_void_p * len(pointers))(*pointers))
    rng = np.random.default_rng(seed)
    for name, chunks in kernel.phases:
        call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(code.address(name))

        def work(thread, order, call=call):
            for chunk in order[thread::threads]:
                call(ctypes.addressof(frames[thread]), int(chunk))

        order = rng.permutation(chunks)
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, range(threads), [order] * threads))
    assert shared.is_whole() and all(own.is_whole() for own in private), "wrote outside of the scratch"


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
