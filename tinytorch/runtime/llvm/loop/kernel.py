"""The loop kernel family: elementwise chains, reductions, and row kernels such as softmax, of any layout and dtype.

A kernel is a body Graph of elementwise, reduce, broadcast, random and iota nodes over one iteration domain. The
innermost loop runs in vectors, along whichever axis the operands lie best; reductions run in stages, each a pass over
the reduced axes with what the earlier ones found; work is cut into chunks by shapes alone, so the results are the
same bits for any number of threads.
"""

from __future__ import annotations

from tinytorch.runtime.llvm.kernel import Kernel, KernelCode, Phase
from tinytorch.runtime.llvm.loop.columns import ColumnsWriter
from tinytorch.runtime.llvm.loop.cross import CrossWriter
from tinytorch.runtime.llvm.loop.phase import PhaseWriter, Scratch, phases_of
from tinytorch.runtime.llvm.loop.plan import LoopPlan, plan_loop
from tinytorch.runtime.llvm.loop.rows import RowsWriter
from tinytorch.runtime.llvm.text.builder import Module
from tinytorch.runtime.llvm.text.target import Target


def emit(module: Module, name: str, kernel: Kernel, target: Target) -> KernelCode:
    """Write the kernel of a body. All reductions must run along the same axes of the domain; CompileError where they do
    not, or a node has no place in a loop."""
    strides, ends = ([x.strides for x in buffers] for buffers in (kernel.operands, kernel.results))
    plan = plan_loop(kernel.body, strides, ends, target, kernel.covering)
    scratch = Scratch(plan)
    count = phases_of(plan)
    phases: list[Phase] = []
    for number in range(count if any(v.type.size for v in kernel.body.outputs) else 0):
        function = name if count == 1 else f"{name}_{number}"
        _writer(plan)(module, function, plan, scratch, number).write()
        parts = plan.division.parts if number < len(plan.stages) else 1
        phases.append(Phase(function, max(1, plan.division.groups) * parts))
    buffers = tuple(range(len(kernel.operands) + len(kernel.results)))
    return KernelCode(tuple(phases), buffers, scratch.bytes)


def _writer(plan: LoopPlan) -> type[PhaseWriter]:
    if not plan.values.across:
        return RowsWriter
    return ColumnsWriter if plan.values.cross is None else CrossWriter
