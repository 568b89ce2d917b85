"""Kernels that move elements: gather, the scatters, slices and their updates, pad, concat, scans.

Each is one function; its frame and its rules are those of `index.moves`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tinytorch.ir.families.index import SCANS
from tinytorch.ir.graph import Node
from tinytorch.ir.op import Op
from tinytorch.ir.ops.index import dynamic_slice, gather, scatter, scatter_add, scatter_reduce, update_slice
from tinytorch.ir.ops.view import concat, pad
from tinytorch.runtime.llvm.index.concat import write_concat
from tinytorch.runtime.llvm.index.gather import write_gather
from tinytorch.runtime.llvm.index.loops import Extent
from tinytorch.runtime.llvm.index.moves import Results, emit_moves, only
from tinytorch.runtime.llvm.index.pad import write_pad
from tinytorch.runtime.llvm.index.scan import write_scan
from tinytorch.runtime.llvm.index.scatter import write_scatter, write_scatter_add, write_scatter_reduce
from tinytorch.runtime.llvm.index.update import write_dynamic_slice, write_update_slice
from tinytorch.runtime.llvm.kernel import Buffer, Kernel, KernelCode
from tinytorch.runtime.llvm.text.builder import Function, Module
from tinytorch.runtime.llvm.text.target import Target

_MOVES: dict[Op, Callable[[Function, Node, Sequence[Buffer], Buffer, Target], Extent]] = {
    gather: write_gather,
    dynamic_slice: write_dynamic_slice,
    pad: write_pad,
    concat: write_concat,
}
# These may write over their first operand.
_UPDATES: dict[Op, Callable[[Function, Node, Sequence[Buffer], Buffer, Target, bool], Extent]] = {
    scatter: write_scatter,
    scatter_add: write_scatter_add,
    scatter_reduce: write_scatter_reduce,
    update_slice: write_update_slice,
}


def emit(module: Module, name: str, kernel: Kernel, target: Target) -> KernelCode:
    """Write the kernel of one node. Indices and positions must be in range, as `checked_index`
    leaves them."""
    (node,) = kernel.body.nodes

    def write(fn: Function, operands: Sequence[Buffer], results: Results) -> Extent:
        if node.op in SCANS:
            return write_scan(fn, node, operands, results, target)
        if node.op in _UPDATES:
            return _UPDATES[node.op](fn, node, operands, only(results), target, kernel.in_place)
        return _MOVES[node.op](fn, node, operands, only(results), target)

    return emit_moves(module, name, kernel, write)
