"""`explain`: what each pass did, each kernel against the roofline, and where time and memory go, as tables."""

from __future__ import annotations

from tinytorch.insight.collect import ran
from tinytorch.insight.history import refusals
from tinytorch.insight.subject import Subject
from tinytorch.passes.cost import cost
from tinytorch.passes.products.sparsity import choices
from tinytorch.report import Report


def explain(subject: Subject, measure: bool = False) -> Report:
    """The report of a signature; with `measure`, kernels are also timed, in calls on copies.

    The first report on a machine measures its peaks, which takes a fraction of a second.
    """
    graph, backend = subject.graph, subject.backend
    totals, now = cost(graph), ran(subject, measure)
    return Report(
        name=graph.name,
        backend="interpreter" if backend is None else backend.name,
        passes=tuple(subject.made.passes),
        nodes_traced=len(subject.traced.nodes),
        nodes=len(graph.nodes),
        kernels=now.kernels,
        lines=now.lines,
        memory=subject.memory,
        refusals=refusals(subject),
        compilations=subject.compilations,
        flops=totals.flops,
        arena_bytes=subject.memory.allocated,
        parameters=totals.parameters,
        parameter_bytes=totals.parameter_bytes,
        peaks=now.peaks,
        sparsity=() if backend is None else tuple(choices(graph, backend.costs)),
        call_seconds=now.call.seconds,
    )
