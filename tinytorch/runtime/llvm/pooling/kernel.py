"""The kernels of pooling, by op. Places that max_unpool2d and max_pool2d_take are given need not be in range."""

from __future__ import annotations

from collections.abc import Sequence

from tinytorch.ir.ops.pooling import max_pool2d_take, max_unpool2d
from tinytorch.runtime.llvm.index.loops import Extent
from tinytorch.runtime.llvm.index.moves import Results, emit_moves, only
from tinytorch.runtime.llvm.kernel import Buffer, Kernel, KernelCode
from tinytorch.runtime.llvm.pooling.search import write_max_pool, write_max_pool_take
from tinytorch.runtime.llvm.pooling.unpool import write_max_unpool
from tinytorch.runtime.llvm.text.builder import Function, Module
from tinytorch.runtime.llvm.text.target import Target

_ALONE = {max_unpool2d: write_max_unpool, max_pool2d_take: write_max_pool_take}


def emit(module: Module, name: str, kernel: Kernel, target: Target) -> KernelCode:
    """Write the kernel of a node; of max_pool2d either result may be one that nobody reads."""
    (node,) = kernel.body.nodes

    def write(fn: Function, operands: Sequence[Buffer], results: Results) -> Extent:
        if node.op in _ALONE:
            return _ALONE[node.op](fn, node, operands, only(results), target)
        return write_max_pool(fn, node, operands, results, target)

    return emit_moves(module, name, kernel, write)
