"""One measured call: when each piece of each kernel ran, on which thread.

The graph runs on copies of what it reads and writes, and on made-up arguments, so nothing of the program changes.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np

from tinytorch.insight.record import Chunk, Result
from tinytorch.insight.subject import Subject
from tinytorch.ir.graph import Graph
from tinytorch.ir.op import Array
from tinytorch.ir.text.printer import Names
from tinytorch.runtime.backend import Backend, DeviceArray, Inspectable, TimedCall
from tinytorch.runtime.measure import filled, made_up, measure
from tinytorch.runtime.schedule import Call, Schedule

_SECONDS, _FEWEST, _MOST = 0.2, 3, 50  # of calling: how long, and how many calls; the fastest counts
_SAMPLE = 1024  # elements of each result that are kept, and of how many results
_RESULTS = 64


@dataclass(frozen=True)
class MeasuredCall:
    """What was measured. `kernels` has the seconds of the call that each kernel takes: a wave's time is shared among
    its kernels as the time is that threads spend in them. `how` says what was done."""

    how: str
    seconds: float | None = None
    chunks: tuple[Chunk, ...] = ()
    kernels: Mapping[int, float] = field(default_factory=dict[int, float])
    arguments: str = ""
    results: tuple[Result, ...] = ()


def measured_call(subject: Subject) -> MeasuredCall:
    """Call the graph of a subject a few times, and tell about the fastest call."""
    schedule, backend = subject.schedule, subject.backend
    if schedule is None or backend is None:
        return MeasuredCall("the interpreter runs nodes one by one in Python, so there are no kernels to measure")
    timer = backend.timer(schedule) if isinstance(backend, Inspectable) else None
    if timer is None:
        return _alone(schedule, backend)
    run = _Run(subject, schedule, backend)
    found: list[TimedCall] = []
    start = perf_counter()
    while len(found) < _FEWEST or (len(found) < _MOST and perf_counter() - start < _SECONDS):
        run.renew()
        found.append(timer.run(run.buffers, run.constants))
        if found[-1].status:
            return MeasuredCall("not measured: a check in the graph failed on made-up arguments")
    best = min(found, key=lambda call: call.seconds)
    waves = [wave for wave, calls in enumerate(schedule.waves) for _ in calls]
    chunks = tuple(Chunk(c.call, c.thread, waves[c.call], c.begin, c.end) for c in best.chunks)
    how = (
        f"the fastest of {len(found)} calls on copies and made-up arguments, in a build that takes the time of each "
        "piece of a kernel, which adds some tens of nanoseconds to each"
    )
    return MeasuredCall(how, best.seconds, chunks, _shares(chunks, len(waves)), run.arguments, run.results())


class _Run:
    """The memory of a graph's inputs and outputs, apart from the program's."""

    def __init__(self, subject: Subject, schedule: Schedule, backend: Backend) -> None:
        self.graph, self.backend = schedule.graph, backend
        captured = subject.captured
        given = len(self.graph.inputs) - len(captured)
        made = [made_up(value.type) for value in self.graph.inputs[:given]]
        self.given = [*made, *(np.ascontiguousarray(tensor.data) for tensor in captured)]
        self.arguments = _digest(self.graph, made)
        self.state = {output: index for index, output in self.graph.state}
        self.outputs = [i for i in range(len(self.graph.outputs)) if i not in self.state]
        inputs = [filled(backend, array) for array in self.given]
        self.buffers: list[DeviceArray] = [
            *inputs,
            *(backend.allocate(self.graph.outputs[i].type) for i in self.outputs),
        ]
        self.constants = [filled(backend, array) for array in schedule.constants]

    def renew(self) -> None:
        """Put the state back to what it was."""
        for index in self.state.values():
            self.backend.copy(self.given[index], self.buffers[index])

    def results(self) -> tuple[Result, ...]:
        """Results and new state of the last call, or some elements of them."""
        names = Names()
        for value in self.graph.inputs:
            names[value]  # the first to have their names
        places = {output: len(self.graph.inputs) + i for i, output in enumerate(self.outputs)} | self.state
        found: list[Result] = []
        for i, value in enumerate(self.graph.outputs[:_RESULTS]):
            array: Array = self.buffers[places[i]].ravel()
            some = array[:: max(1, -(-array.size // _SAMPLE))].astype(np.float64)
            name = f"new {names[self.graph.inputs[self.state[i]]]}" if i in self.state else f"result {i}"
            values = tuple(x if math.isfinite(x) else None for x in some.tolist())
            found.append(Result(name, str(value.type), values))
        return tuple(found)


def _digest(graph: Graph, arrays: Sequence[Array]) -> str:
    """The same for the same arguments."""
    digest = hashlib.sha256()
    for value, array in zip(graph.inputs, arrays, strict=False):
        digest.update(f"{value.type}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def _shares(chunks: Sequence[Chunk], count: int) -> dict[int, float]:
    """The seconds of the call that each of `count` kernels takes."""
    busy = [0.0] * count
    waves: dict[int, list[Chunk]] = {}
    for chunk in chunks:
        busy[chunk.kernel] += chunk.end - chunk.begin
        waves.setdefault(chunk.wave, []).append(chunk)
    found = dict.fromkeys(range(count), 0.0)
    for inside in waves.values():
        wall = max(c.end for c in inside) - min(c.begin for c in inside)
        ran = dict.fromkeys(c.kernel for c in inside)
        total = sum(busy[kernel] for kernel in ran)
        found.update((kernel, wall * busy[kernel] / total if total else 0.0) for kernel in ran)
    return found


def _alone(schedule: Schedule, backend: Backend) -> MeasuredCall:
    """Each kernel timed by itself, and placed behind the one before: what can be had from any backend."""
    calls = [(wave, call) for wave, calls in enumerate(schedule.waves) for call in calls]
    times = [_time_alone(schedule.graph, call, backend) for _, call in calls]
    chunks: list[Chunk] = []
    now = 0.0
    for number, ((wave, _), seconds) in enumerate(zip(calls, times, strict=True)):
        chunks.append(Chunk(number, 0, wave, now, now + seconds))
        now += seconds
    how = "each kernel was timed alone, with its data in the caches, and placed behind the one before"
    return MeasuredCall(how, now, tuple(chunks), dict(enumerate(times)))


def _time_alone(graph: Graph, call: Call, backend: Backend) -> float:
    return measure(graph, call.node, backend, call.overwritten)
