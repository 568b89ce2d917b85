"""The loop kernel family: elementwise chains, reductions, and row kernels such as softmax, of any layout and dtype.

A kernel is a body Graph of elementwise, reduce, broadcast, random and iota nodes over one iteration domain. The
innermost loop runs in vectors, along whichever axis the operands lie best; reductions run in stages, each a pass over
the reduced axes with what the earlier ones found; work is cut into chunks by shapes alone, so the results are the
same bits for any number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tinytorch.ir.graph import Graph, Node
from tinytorch.runtime.llvm.loop.columns import ColumnsWriter
from tinytorch.runtime.llvm.loop.cross import CrossWriter
from tinytorch.runtime.llvm.loop.phase import PhaseWriter, Scratch, phases_of
from tinytorch.runtime.llvm.loop.plan import Plan, plan_loop
from tinytorch.runtime.llvm.loop.rows import RowsWriter
from tinytorch.runtime.llvm.loop.stages import Level
from tinytorch.runtime.llvm.text.builder import Module
from tinytorch.runtime.llvm.text.target import Target


@dataclass(frozen=True)
class Phase:
    """`void function(ptr frame, i64 chunk)`, to be called once for each chunk below `chunks`, in any order and on any
    threads, after all chunks of the phase before."""

    function: str
    chunks: int


@dataclass(frozen=True)
class LoopKernel:
    """A kernel in a module. Its frame is an array of pointers: the inputs' first elements, the outputs (contiguous),
    `scratch_bytes` of scratch aligned to 64, and, if there are `guards`, an i64 fault word that is zero before the call
    and holds one plus the index of a broken guard after it."""

    phases: tuple[Phase, ...]
    scratch_bytes: int
    in_place: frozenset[tuple[int, int]]  # (input, output) that may be one buffer
    guards: tuple[Node, ...]


def emit_loop(module: Module, name: str, body: Graph, strides: Sequence[Sequence[int]], target: Target) -> LoopKernel:
    """Write the kernel of `body` into `module`; `strides` are those of its inputs, in elements, of any sign.

    Functions are called `name`, or `name` and a number where there are several. All reductions must run along the
    same axes of the domain; CompileError where they do not, or a node has no place in a loop.
    """
    plan = plan_loop(body, strides, target)
    scratch = Scratch(plan)
    count = phases_of(plan)
    phases: list[Phase] = []
    for number in range(count if any(v.type.size for v in body.outputs) else 0):
        function = name if count == 1 else f"{name}_{number}"
        _writer(plan)(module, function, plan, scratch, number).write()
        parts = plan.division.parts if number < len(plan.stages) else 1
        phases.append(Phase(function, max(1, plan.division.groups) * parts))
    live = plan.values.live
    guards = tuple(n for n in body.nodes if n in live and n.op.guard is not None)
    return LoopKernel(tuple(phases), scratch.bytes, _in_place(plan), guards)


def _writer(plan: Plan) -> type[PhaseWriter]:
    if not plan.values.across:
        return RowsWriter
    return ColumnsWriter if plan.values.cross is None else CrossWriter


def _in_place(plan: Plan) -> frozenset[tuple[int, int]]:
    """Pairs of one layout, where every element is read for the last time no later than it is written."""
    values, body = plan.values, plan.body
    found: set[tuple[int, int]] = set()
    for o, source in enumerate(body.inputs):
        for j, result in enumerate(body.outputs):
            same = source.type == result.type and values.domain.inputs[o] == values.domain.outputs[j]
            if same and source not in values.words and _written_after_read(plan, o, j):
                found.add((o, j))
    return frozenset(found)


def _written_after_read(plan: Plan, o: int, j: int) -> bool:
    values = plan.values
    level = plan.store_level(j)
    walk = values.domain.outputs[j]
    if level == Level.FULL:
        if not all(walk[a] or values.sizes[a] == 1 for a in range(len(walk))):
            return False
        written = min(
            t for t, stage in enumerate(plan.stages) if any(_is_output(plan, k.operand, j) for k in stage.stores)
        )
        return _last_read(plan, o) <= written
    if plan.division.split is not None:
        return False
    if level == Level.UNIFORM:
        return plan.division.groups <= 1 and plan.division.items <= 1
    return all(walk[a] for a in range(len(walk)) if a not in values.reduced)


def _is_output(plan: Plan, operand: int, j: int) -> bool:
    return operand == len(plan.body.inputs) + j


def _last_read(plan: Plan, o: int) -> int:
    """The last stage that loads an input inside the reduced loops."""
    value, last = plan.body.inputs[o], 0
    for t, stage in enumerate(plan.stages):
        roots = {n.inputs[0] for n in stage.reductions} | {k.value for k in stage.stores}
        if value in roots or any(value in n.inputs for n in stage.nodes):
            last = t
    return last
