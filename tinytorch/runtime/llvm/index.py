"""Kernels that move elements: gather, scatter-add, pad and concat.

`emit_index` writes functions `void name(ptr frame, i64 chunk)`. `frame` is an array of pointers

    [*operands, *results, scratch]

each to element [0, …, 0] of its operand, whose layout is compiled in: any strides, in elements, for operands;
row-major results. `scratch`, where a kernel asks for some, is memory of the calling thread, 64-byte aligned. Chunks
write disjoint parts of the results and may run in any order, on any thread; the result is the same to the bit.

What the kernels share is in `index_loops` (strided blocks, chunks) and `index_runs` (copies, fills); each has a file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tinytorch.ir.errors import CompileError
from tinytorch.ir.graph import Node
from tinytorch.ir.op import Op
from tinytorch.ir.ops.index import gather, scatter_add
from tinytorch.ir.ops.view import concat, pad
from tinytorch.runtime.llvm.builder import Function, Module
from tinytorch.runtime.llvm.contract_layout import Operand
from tinytorch.runtime.llvm.index_concat import write_concat
from tinytorch.runtime.llvm.index_gather import write_gather
from tinytorch.runtime.llvm.index_loops import Extent
from tinytorch.runtime.llvm.index_pad import write_pad
from tinytorch.runtime.llvm.index_scatter import write_scatter_add
from tinytorch.runtime.llvm.lltypes import I64, PTR
from tinytorch.runtime.llvm.target import Target

__all__ = ["INDEX_KERNELS", "IndexKernel", "emit_index"]

Write = Callable[[Function, Node, Sequence[Operand], Operand, Target], Extent]

INDEX_KERNELS: dict[Op, Write] = {
    gather: write_gather,
    scatter_add: write_scatter_add,
    pad: write_pad,
    concat: write_concat,
}


@dataclass(frozen=True)
class IndexKernel:
    """An emitted kernel: run each phase's function for each of its chunks, one phase after the other. Every thread
    needs `scratch_bytes` of memory."""

    phases: tuple[tuple[str, int], ...]
    scratch_bytes: int


def emit_index(
    module: Module, name: str, node: Node, operands: Sequence[Operand], results: Sequence[Operand], target: Target
) -> IndexKernel:
    """Write the kernel of `node`, whose operands and result lie in memory as told; operands in the node's order.

    Indices must be in range, as `checked_index` leaves them. CompileError if there is no kernel for the node's op,
    if operands are missing, or if the result is not row-major.
    """
    write = INDEX_KERNELS.get(node.op)
    if write is None:
        raise CompileError(f"there is no index kernel for {node.op.name}; there is one for {_known_names()}")
    if len(operands) != len(node.inputs) or len(results) != 1:
        raise CompileError(
            f"{node.op.name} kernel: got {len(operands)} operands and {len(results)} results, "
            f"the node has {len(node.inputs)} and 1"
        )
    result = Operand.contiguous(results[0].dtype, results[0].shape)
    if not _same_layout(results[0], result):
        raise CompileError(f"{node.op.name} kernel: the result must be row-major, its strides are {results[0].strides}")
    fn = module.function(name, [PTR, I64])
    empty = 0 in result.shape
    extent = Extent(0) if empty else write(fn, node, operands, result, target)
    fn.ret()
    return IndexKernel(((name, extent.chunks),), extent.scratch_bytes)


def _known_names() -> str:
    return ", ".join(op.name for op in INDEX_KERNELS)


def _same_layout(a: Operand, b: Operand) -> bool:
    """Whether the elements lie alike; along axes of size 1 strides do not matter."""
    return 0 in a.shape or all(d == 1 or s == t for d, s, t in zip(a.shape, a.strides, b.strides, strict=True))
