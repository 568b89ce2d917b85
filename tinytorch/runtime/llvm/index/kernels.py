"""Kernels that move elements: gather, the scatters, update_slice, pad, concat, running sums and max pooling.

`emit_index` writes functions `void name(ptr frame, i64 chunk)`. `frame` is an array of pointers

    [*operands, *wanted results, scratch]

each to element [0, …, 0] of its operand, whose layout is compiled in: any strides, in elements, for operands;
row-major results. `scratch`, where a kernel asks for some, is memory of the calling thread, 64-byte aligned. Chunks
write disjoint parts of the results and may run in any order, on any thread; the result is the same to the bit.

What the kernels share is in `index_loops` (strided blocks, chunks), `index_runs` (copies, fills),
`index_region` (elements spread over a region) and `index_pool_windows` (windows of an image).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tinytorch.ir.errors import CompileError
from tinytorch.ir.graph import Node
from tinytorch.ir.op import Op
from tinytorch.ir.ops.index import gather, scatter, scatter_add, update_slice
from tinytorch.ir.ops.pooling import max_pool2d, max_pool2d_take, max_unpool2d
from tinytorch.ir.ops.scan import cumsum
from tinytorch.ir.ops.view import concat, pad
from tinytorch.ir.ops.winograd import winograd_weights
from tinytorch.runtime.llvm.contract.layout import Operand
from tinytorch.runtime.llvm.conv.winograd import write_winograd_weights
from tinytorch.runtime.llvm.index.concat import write_concat
from tinytorch.runtime.llvm.index.gather import write_gather
from tinytorch.runtime.llvm.index.loops import Extent
from tinytorch.runtime.llvm.index.pad import write_pad
from tinytorch.runtime.llvm.index.scan import write_cumsum
from tinytorch.runtime.llvm.index.scatter import write_scatter, write_scatter_add
from tinytorch.runtime.llvm.index.update import write_update_slice
from tinytorch.runtime.llvm.pooling.search import write_max_pool, write_max_pool_take
from tinytorch.runtime.llvm.pooling.unpool import write_max_unpool
from tinytorch.runtime.llvm.text.builder import Function, Module
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I64, PTR

__all__ = ["INDEX_KERNELS", "IndexKernel", "emit_index"]

Results = Sequence[Operand | None]  # None for one of several that nobody wants
Write = Callable[[Function, Node, Sequence[Operand], Results, Target, bool], Extent]
WriteSeveral = Callable[[Function, Node, Sequence[Operand], Results, Target], Extent]
WriteOne = Callable[[Function, Node, Sequence[Operand], Operand, Target], Extent]
WriteUpdate = Callable[[Function, Node, Sequence[Operand], Operand, Target, bool], Extent]


def _several(write: WriteSeveral) -> Write:
    """A kernel of a node with several results."""
    return lambda fn, node, operands, results, target, in_place: write(fn, node, operands, results, target)


def _alone(write: WriteOne) -> Write:
    """A kernel of a node with one result."""
    return lambda fn, node, operands, results, target, in_place: write(fn, node, operands, _only(results), target)


def _update(write: WriteUpdate) -> Write:
    """The same, which may write over its first operand."""
    return lambda fn, node, operands, results, target, in_place: write(
        fn, node, operands, _only(results), target, in_place
    )


def _only(results: Results) -> Operand:
    (result,) = results
    assert result is not None
    return result


INDEX_KERNELS: dict[Op, Write] = {
    gather: _alone(write_gather),
    scatter: _update(write_scatter),
    scatter_add: _update(write_scatter_add),
    update_slice: _update(write_update_slice),
    pad: _alone(write_pad),
    concat: _alone(write_concat),
    max_pool2d: _several(write_max_pool),
    max_unpool2d: _alone(write_max_unpool),
    max_pool2d_take: _alone(write_max_pool_take),
    cumsum: _alone(write_cumsum),
    winograd_weights: _alone(write_winograd_weights),
}


@dataclass(frozen=True)
class IndexKernel:
    """An emitted kernel: run each phase's function for each of its chunks, one phase after the other. Every thread
    needs `scratch_bytes` of memory."""

    phases: tuple[tuple[str, int], ...]
    scratch_bytes: int


def emit_index(
    module: Module,
    name: str,
    node: Node,
    operands: Sequence[Operand],
    results: Results,
    target: Target,
    *,
    in_place: bool = False,
) -> IndexKernel:
    """Write the kernel of a node. Operands and results lie in memory as told, in the order in which the node has them;
    what is no wanted result, None, is not computed. `in_place`, for ops that update: the result has the very buffer of
    the first operand, and keeps what is not updated.

    Indices must be in range, as `checked_index` leaves them; those of max_unpool2d and max_pool2d_take need not be.
    CompileError if there is no kernel for an op, if operands or results are missing, or if a result is not row-major.
    """
    if node.op not in INDEX_KERNELS:
        raise CompileError(f"there is no index kernel for {node.op.name}; there is one for {_known_names()}")
    wanted = [result for result in results if result is not None]
    if len(operands) != len(node.inputs) or len(results) != len(node.outputs) or not wanted:
        raise CompileError(
            f"{node.op.name} kernel: got {len(operands)} operands and {len(wanted)} results, "
            f"the node has {len(node.inputs)} and {len(node.outputs)}"
        )
    for result in wanted:
        if not _same_layout(result, _row_major(result)):
            raise CompileError(f"{node.op.name} kernel: the result must be row-major, its strides are {result.strides}")
    if in_place and (node.op.kind != "update" or not _same_layout(operands[0], _row_major(wanted[0]))):
        raise CompileError(f"{node.op.name} kernel: the result cannot take the place of {operands[0]}")
    fn = module.function(name, [PTR, I64])
    empty = 0 in wanted[0].shape
    laid = [None if result is None else _row_major(result) for result in results]
    extent = Extent(0) if empty else INDEX_KERNELS[node.op](fn, node, operands, laid, target, in_place)
    fn.ret()
    return IndexKernel(((name, extent.chunks),), extent.scratch_bytes)


def _row_major(result: Operand) -> Operand:
    return Operand.contiguous(result.dtype, result.shape)


def _known_names() -> str:
    return ", ".join(op.name for op in INDEX_KERNELS)


def _same_layout(a: Operand, b: Operand) -> bool:
    """Whether the elements lie alike; along axes of size 1 strides do not matter."""
    return 0 in a.shape or all(d == 1 or s == t for d, s, t in zip(a.shape, a.strides, b.strides, strict=True))
