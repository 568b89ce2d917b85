"""What kernels of one function have in common: those that move elements, search windows or transform weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tinytorch.ir.errors import CompileError
from tinytorch.runtime.llvm.index.loops import Extent
from tinytorch.runtime.llvm.kernel import Buffer, Kernel, KernelCode, Phase
from tinytorch.runtime.llvm.text.builder import Function, Module
from tinytorch.runtime.llvm.text.types import I64, PTR

Results = Sequence[Buffer | None]
Write = Callable[[Function, Sequence[Buffer], Results], Extent]


def emit_moves(module: Module, name: str, kernel: Kernel, write: Write) -> KernelCode:
    """Write a function `void name(ptr frame, i64 chunk)`. `write` fills it, given the operands of the body's only node
    and its results, of which one that nobody reads is None.

    The frame is [*operands, *results, scratch]: operands of any strides, row-major results, and memory of the calling
    thread. The result is the same to the bit whatever threads run the chunks. CompileError where a result is not
    row-major, or cannot take the place of what it updates.
    """
    body, (node,) = kernel.body, kernel.body.nodes
    numbers = {value: i for i, value in enumerate(body.inputs)}
    order = [numbers[v] for v in node.inputs]  # one value may be several operands
    places = [body.outputs.index(v) for v in node.outputs if v in body.outputs]
    operands, results = [kernel.operands[i] for i in order], [kernel.results[i] for i in places]
    for result in results:
        if not _same_layout(result, _row_major(result)):
            raise CompileError(f"{name}: the result must be row-major, its strides are {result.strides}")
    if kernel.in_place and (node.op.kind != "update" or not _same_layout(operands[0], _row_major(results[0]))):
        raise CompileError(f"{name}: the result cannot take the place of {operands[0]}")
    fn = module.function(name, [PTR, I64])
    read = iter(map(_row_major, results))
    wanted = [next(read) if v in body.outputs else None for v in node.outputs]
    extent = Extent(0) if 0 in results[0].shape else write(fn, operands, wanted)
    fn.ret()
    frame = (*order, *(len(kernel.operands) + i for i in places))
    return KernelCode((Phase(name, extent.chunks),), frame, private_bytes=extent.scratch_bytes)


def _row_major(result: Buffer) -> Buffer:
    return Buffer.contiguous(result.dtype, result.shape)


def _same_layout(a: Buffer, b: Buffer) -> bool:
    """Whether the elements lie alike; along axes of size 1 strides do not matter."""
    return 0 in a.shape or all(d == 1 or s == t for d, s, t in zip(a.shape, a.strides, b.strides, strict=True))


def only(results: Results) -> Buffer:
    """The result of a node that has one."""
    (result,) = results
    assert result is not None, "somebody reads a kernel's only result"
    return result
