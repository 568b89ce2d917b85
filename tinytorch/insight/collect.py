"""A record of one signature of a compiled function: all parts of it, collected."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from tinytorch.insight.history import History, history
from tinytorch.insight.kernels import kernels
from tinytorch.insight.lines import lines, lines_of_nodes
from tinytorch.insight.record import KernelRecord, LineCost, Record
from tinytorch.insight.subject import Subject
from tinytorch.insight.timeline import MeasuredCall, measured_call
from tinytorch.ir.graph import Graph, Node
from tinytorch.ir.loc import source_lines
from tinytorch.passes.cost import cost
from tinytorch.runtime.backend import Inspectable, Listings
from tinytorch.runtime.roofline import Peaks
from tinytorch.runtime.thread_count import get_num_threads

_PACKAGES = ("tinytorch", "numpy", "llvmlite")


@dataclass(frozen=True)
class Ran:
    """What is known of the kernels without running the passes again, or showing code."""

    peaks: Peaks | None
    call: MeasuredCall
    kernels: tuple[KernelRecord, ...]
    lines: tuple[LineCost, ...]


def ran(
    subject: Subject, measure: bool, listings: Listings | None = None, names: Mapping[Node, str] | None = None
) -> Ran:
    """Kernels and lines with their costs; with `measure`, the graph is called a few times, on copies. `listings` is the
    code of the kernels, `names` what nodes are called in the last graph."""
    peaks = None if subject.backend is None else subject.backend.peaks()
    call = measured_call(subject) if measure else MeasuredCall("not measured")
    found = kernels(subject.calls, peaks, call.kernels, listings, names)
    if subject.schedule is None:
        return Ran(peaks, call, (), lines_of_nodes(subject.graph))
    return Ran(peaks, call, found, lines([each for _, each in subject.calls], found))


def collect(subject: Subject, measure: bool) -> Record:
    """The record of a subject; with `measure`, the graph is called a few times, on copies."""
    backend, schedule = subject.backend, subject.schedule
    past = history(subject)
    listings = backend.listings(schedule) if isinstance(backend, Inspectable) and schedule is not None else None
    now = ran(subject, measure, listings, _names(subject, past))
    plan = subject.memory
    return Record(
        title=subject.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=_versions(),
        target=_target(subject),
        backend="interpreter" if backend is None else backend.name,
        peaks=now.peaks,
        flops=cost(subject.graph).flops,
        files=_files(subject.traced),
        compilations=subject.compilations,
        passes=past.passes,
        first_graph=past.first_graph,
        last_graph=past.last_graph,
        kernels=now.kernels,
        refusals=past.refusals,
        buffers=plan.buffers,
        arena_bytes=plan.arena_bytes,
        peak=plan.peak,
        outside=plan.outside,
        timeline=now.call.chunks,
        timeline_how=now.call.how,
        call_seconds=now.call.seconds,
        lines=now.lines,
        arguments=now.call.arguments,
        results=now.call.results,
    )


def _names(subject: Subject, past: History) -> dict[Node, str]:
    """What the kernels that run are called in the last graph, which has the same ones in the same order."""
    ran = () if subject.executable is None else subject.executable.graph.nodes
    kernels = [node for node in ran if node.op.kind == "kernel"]
    return dict(zip(kernels, past.kernels, strict=True)) if len(kernels) == len(past.kernels) else {}


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # a checkout that is not installed
            found[name] = "unknown"
    return found


def _target(subject: Subject) -> dict[str, str | int]:
    facts: Mapping[str, str | int] = {}
    if isinstance(subject.backend, Inspectable):
        facts = subject.backend.facts()
    return {"machine": platform.machine(), "system": platform.system(), **facts, "threads": get_num_threads()}


def _files(graph: Graph) -> dict[str, tuple[str, ...]]:
    """The lines of each file that a node names, where it can be read."""
    paths = {node.loc.file for node in graph.nodes if node.loc is not None}
    return {path: tuple(line.rstrip("\n") for line in lines) for path in sorted(paths) if (lines := source_lines(path))}
