"""`Compiled.explain`: what each pass did, and each kernel against the machine's roofline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from tinytorch.insight.work import predicted, work_of
from tinytorch.ir.graph import Graph, Node
from tinytorch.passes.cost import cost
from tinytorch.passes.sparsity import choices
from tinytorch.report import KernelReport, Report
from tinytorch.runtime.backend import Backend
from tinytorch.runtime.executable import Executable
from tinytorch.runtime.measure import measure as time_of
from tinytorch.runtime.roofline import Peaks
from tinytorch.runtime.schedule import Call

_NOT_NAMED = ("constant", "broadcast")  # in the list of a kernel's ops: they cost nothing


def explain(compiled: Any, measure: bool = False) -> Report:
    """The report of the last call of a compiled function; with `measure`, each kernel is also timed alone.

    The first report on a machine measures its peaks, which takes a fraction of a second.
    """
    graph: Graph = compiled.graph
    totals = cost(graph)
    ran = compiled.executable if isinstance(compiled.executable, Executable) else None  # the interpreter
    peaks = None if ran is None else ran.backend.peaks()
    return Report(
        name=graph.name,
        backend="interpreter" if ran is None else ran.backend.name,
        passes=tuple(compiled.passes),
        nodes_traced=len(compiled.traced_graph.nodes),
        nodes=len(graph.nodes),
        kernels=() if ran is None or peaks is None else tuple(_kernels(ran, peaks, measure)),
        flops=totals.flops,
        arena_bytes=0 if ran is None else ran.arena_bytes,
        parameters=totals.parameters,
        parameter_bytes=totals.parameter_bytes,
        peaks=peaks,
        sparsity=() if ran is None else tuple(choices(graph, ran.backend.costs)),
    )


def _kernels(ran: Executable, peaks: Peaks, measure: bool) -> list[KernelReport]:
    times = ran.backend if measure else None
    return [
        _kernel(ran.schedule.graph, call, wave, peaks, times)
        for wave, calls in enumerate(ran.schedule.waves)
        for call in calls
    ]


def _kernel(graph: Graph, call: Call, wave: int, peaks: Peaks, times: Backend | None) -> KernelReport:
    """With `times`, a backend, the kernel is also measured there."""
    node = call.node
    work = work_of(call)
    return KernelReport(
        wave=wave,
        family=call.family,
        ops=_ops(call.body.nodes),
        result=", ".join(dict.fromkeys(str(v.type) for v in node.outputs)),
        flops=work.flops,
        bytes_read=work.bytes_read,
        bytes_written=work.bytes_written,
        predicted=predicted(call, work, peaks),
        measured=None if times is None else time_of(graph, node, times, call.overwritten),
    )


def _ops(nodes: Sequence[Node]) -> str:
    """`matmul add maximum`; repeated ops are counted: `mul×3`."""
    counts = Counter(node.op.name for node in nodes if node.op.name not in _NOT_NAMED)
    return " ".join(name if count == 1 else f"{name}×{count}" for name, count in counts.items())
