"""What a compiled function draws: the graph that ran, in the waves of its schedule, with the time of each kernel."""

from __future__ import annotations

from tinytorch.insight.collect import ran
from tinytorch.insight.subject import Subject
from tinytorch.ir.body import Body
from tinytorch.ir.pictures.boxes import Cost, Facts
from tinytorch.ir.pictures.drawing import Depth, describe, draw
from tinytorch.ir.pictures.svg import Paint


def svg_of(subject: Subject, depth: Depth = "kernels", color: Paint = "phase", measure: bool = False) -> str:
    """The drawing of a signature; see `Compiled.save_svg`."""
    graph, facts = _known(subject, measure)
    return draw(graph, depth, color, facts)


def dot_of(subject: Subject, depth: Depth = "kernels", measure: bool = False) -> str:
    """The same in the language of Graphviz; see `Compiled.save_dot`."""
    graph, facts = _known(subject, measure)
    return describe(graph, depth, facts)


def _known(subject: Subject, measure: bool) -> tuple[Body, Facts]:
    """What is drawn, and what is known of it."""
    arguments = len(subject.traced.inputs) - len(subject.captured)
    schedule = subject.schedule
    if schedule is None:  # the interpreter: there are no kernels
        return subject.graph, Facts(arguments)
    known = set(schedule.graph.nodes)
    costs = {
        call.node: Cost(
            kernel.predicted if kernel.measured is None else kernel.measured,
            kernel.flops,
            kernel.bytes_read + kernel.bytes_written,
        )
        for (_, call), kernel in zip(subject.calls, ran(subject, measure).kernels, strict=True)
    }
    waves = {call.node: wave for wave, call in subject.calls}
    added = tuple(call.node for _, call in subject.calls if call.node not in known)
    how = "measured" if measure else "predicted by the roofline"
    return schedule.graph, Facts(arguments, waves, costs, added, how)
