"""The kernels of sorting, by op."""

from __future__ import annotations

from collections.abc import Sequence

from tinytorch.runtime.llvm.index.loops import Extent
from tinytorch.runtime.llvm.index.moves import Results, emit_moves
from tinytorch.runtime.llvm.kernel import Buffer, Kernel, KernelCode
from tinytorch.runtime.llvm.sorting.rows import write_sort
from tinytorch.runtime.llvm.text.builder import Function, Module
from tinytorch.runtime.llvm.text.target import Target


def emit(module: Module, name: str, kernel: Kernel, target: Target) -> KernelCode:
    """Write the kernel of a node; either result may be one that nobody reads."""
    (node,) = kernel.body.nodes

    def write(fn: Function, operands: Sequence[Buffer], results: Results) -> Extent:
        return write_sort(fn, node, operands, results, target)

    return emit_moves(module, name, kernel, write)
