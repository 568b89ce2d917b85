"""A record of one signature of a compiled function: all parts of it, collected."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tinytorch.insight.history import history
from tinytorch.insight.kernels import kernels
from tinytorch.insight.lines import lines
from tinytorch.insight.memory import memory_plan
from tinytorch.insight.record import Outside, Record
from tinytorch.insight.subject import Subject
from tinytorch.insight.timeline import MeasuredCall, measured_call
from tinytorch.ir.graph import Graph
from tinytorch.passes.cost import cost
from tinytorch.runtime.backend import Inspectable, Listings
from tinytorch.runtime.executable import Executable
from tinytorch.runtime.thread_count import get_num_threads

_PACKAGES = ("tinytorch", "numpy", "llvmlite")


def collect(subject: Subject, measure: bool) -> Record:
    """The record of a subject; with `measure`, the graph is called a few times, on copies."""
    executable = subject.item.calls.executable
    ran = executable if isinstance(executable, Executable) else None
    backend = None if ran is None else ran.backend
    peaks = None if backend is None else backend.peaks()
    past = history(subject)
    listings: Listings | None = None
    if isinstance(backend, Inspectable) and subject.schedule is not None:
        listings = backend.listings(subject.schedule)
    calls = subject.calls
    call = measured_call(subject) if measure else MeasuredCall("not measured")
    found = kernels(calls, peaks, listings, call.kernels)
    plan = None if ran is None else memory_plan(ran)
    costs = lines([call for _, call in calls], found)
    return Record(
        title=subject.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=_versions(),
        target=_target(subject),
        backend="interpreter" if backend is None else backend.name,
        peaks=peaks,
        flops=cost(subject.graph).flops,
        files=_files(subject.traced),
        compilations=subject.compilations,
        passes=past.passes,
        first_graph=past.first_graph,
        last_graph=past.last_graph,
        kernels=found,
        refusals=past.refusals,
        buffers=() if plan is None else plan.buffers,
        arena_bytes=0 if plan is None else plan.arena_bytes,
        peak=None if plan is None else plan.peak,
        outside=Outside() if plan is None else plan.outside,
        timeline=call.chunks,
        timeline_how=call.how,
        call_seconds=call.seconds,
        lines=costs,
        arguments=call.arguments,
        results=call.results,
    )


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
    return {path: source for path in sorted(paths) if (source := _source(path)) is not None}


def _source(path: str) -> tuple[str, ...] | None:
    if not os.path.isfile(path):
        return None
    try:
        return tuple(Path(path).read_text(errors="replace").splitlines())
    except OSError:
        return None
