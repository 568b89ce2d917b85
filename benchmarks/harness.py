"""Rounds: every contestant in a process of its own, one at a time, in turn, again and again."""

from __future__ import annotations

import multiprocessing
import os
import signal
import statistics
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.registry import LIMIT, OURS, Workload
from benchmarks.worker import Digest, serve
from tinytorch.ir.system.processes import interrupts_wait

_THREAD_VARIABLES = ("TT_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
UNSET = ("OPENBLAS_CORETYPE", "MKL_DEBUG_CPU_TYPE")  # they choose worse kernels than the machine can run
TARGET = "BENCHMARK_TARGET"  # instructions that all contestants keep to, where set
NARROWER = {  # how libraries are told so
    "avx2": {
        "OPENBLAS_CORETYPE": "Haswell",
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
    }
}
_PAUSE = 0.05  # seconds for spinning threads to fall asleep, where processes cannot be stopped


@dataclass
class Timing:
    """The rounds of one contestant on one workload: seconds per step each."""

    contestant: str
    rounds: list[float] = field(default_factory=list)
    build_seconds: float = 0.0

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)


@dataclass
class Row:
    """One workload at one number of threads."""

    workload: Workload
    threads: int
    timings: dict[str, Timing] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    agreed_with: list[str] = field(default_factory=list)  # peers whose numbers ours match
    done: float | None = None  # operations of products and convolutions that a step of ours really does


class WorkerError(Exception):
    """What a worker answered instead of a result."""


class Contestant:
    """The parent's end of a worker: a process that stands still except while it is asked for something."""

    def __init__(self, name: str, threads: int) -> None:
        self.name, self._threads = name, threads
        self._begin()

    def _begin(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, self.name, self._threads), daemon=True)
        with environment(self._threads), interrupts_wait(context):  # for ever: they are ended with this process
            self._process.start()
        theirs.close()

    def drop(self, workload: str) -> None:
        """Forget a case, for what comes next; a process that died is started again."""
        try:
            self.ask("drop", workload)
        except WorkerError:
            self.close()
            self._begin()
            self.ask("start")

    def ask(self, command: str, *arguments: Any) -> Any:
        """The worker's answer to a command; WorkerError if it failed or died."""
        self._signal("SIGCONT")
        try:
            self._connection.send((command, *arguments))
            fine, answer = self._connection.recv()
        except (EOFError, OSError) as error:
            raise WorkerError(f"the process ended (exit code {self._process.exitcode})") from error
        self._signal("SIGSTOP")
        if not fine:
            raise WorkerError(answer)
        return answer

    def close(self) -> None:
        self._process.kill()
        self._process.join()
        self._connection.close()

    def _signal(self, name: str) -> None:
        """Idle thread pools spin for a while: a stopped process cannot disturb the others."""
        if not hasattr(signal, name):
            time.sleep(_PAUSE)
        elif self._process.pid is not None and self._process.is_alive():
            os.kill(self._process.pid, getattr(signal, name))


@contextmanager
def environment(threads: int) -> Iterator[None]:
    """The environment that workers inherit: `threads` threads, and no variable that slows a peer down. OpenVINO sends
    out that it is imported, from a process of its own, unless it believes to be tested."""
    before = dict(os.environ)
    os.environ["CI"] = "true"
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(threads)))
    if threads == 1:
        os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    for name in UNSET:
        os.environ.pop(name, None)
    for name, value in NARROWER.get(os.environ.get(TARGET, ""), {}).items():
        also = os.environ.get(name, "") if name == "XLA_FLAGS" else ""
        os.environ[name] = f"{also} {value}".strip()
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def run(
    workloads: Sequence[Workload],
    contestants: Sequence[str],
    threads: int,
    rounds: int,
    seconds: float,
    console: Console,
) -> tuple[list[Row], dict[str, str]]:
    """Time all workloads; the rows, and the versions of the contestants that could be started."""
    with ExitStack() as stack:
        running: list[Contestant] = []
        versions: dict[str, str] = {}
        wanted = {LIMIT}.union(*(workload.builders for workload in workloads))
        for name in filter(wanted.__contains__, (*contestants, LIMIT)):
            contestant = Contestant(name, threads)
            stack.callback(contestant.close)
            try:
                versions[name] = contestant.ask("start")
                running.append(contestant)
            except WorkerError as error:
                console.print(f"[yellow]skipped {name}: {error}")
        rows: list[Row] = []
        with console.status("") as status:
            for workload in workloads:
                status.update(f"{workload.name}, {threads} thread{'s' * (threads > 1)}: building")
                row = Row(workload, threads)
                ready = _build(row, running)
                for number in range(rounds):
                    status.update(
                        f"{workload.name}, {threads} thread{'s' * (threads > 1)}: round {number + 1}/{rounds}"
                    )
                    ready = _round(row, ready, number, seconds)
                for contestant in running:
                    contestant.drop(workload.name)
                rows.append(row)
                for note in row.notes:
                    console.print(f"[yellow]{workload.name}: {note}")
        return rows, versions


def _build(row: Row, running: Iterable[Contestant]) -> list[Contestant]:
    """Build the case of every contestant; those whose numbers agree with the others' take part."""
    workload = row.workload
    ready: list[Contestant] = []
    results: dict[str, Mapping[str, Digest]] = {}
    for contestant in running:
        if contestant.name not in workload.builders and not (contestant.name == LIMIT and workload.limit):
            continue
        try:
            seconds, numbers, done = contestant.ask("build", workload.name)
        except WorkerError as error:
            row.notes.append(f"{contestant.name} not timed: {error}")
            continue
        row.timings[contestant.name] = Timing(contestant.name, build_seconds=seconds)
        if contestant.name == OURS:
            row.done = done
        ready.append(contestant)
        if contestant.name != LIMIT:
            results[contestant.name] = numbers
    for name in outvoted(row, results):
        row.notes.append(f"{name} not timed: its numbers differ from the others'")
        ready = [contestant for contestant in ready if contestant.name != name]
        del row.timings[name]
    return ready


def outvoted(row: Row, results: Mapping[str, Mapping[str, Digest]]) -> list[str]:
    """Contestants that agree with fewer others than not; a wrong answer is not timed. Notes what ours agrees with."""
    wrong: list[str] = []
    for name, numbers in results.items():
        agreeing = [
            other for other, theirs in results.items() if other != name and agree(numbers, theirs, row.workload)
        ]
        if len(agreeing) < (len(results) - 1) / 2:
            wrong.append(name)
        if name == OURS:
            row.agreed_with = agreeing
    if OURS in results and len(results) == 1:
        row.notes.append(f"no peer to check {OURS} against")
    return wrong


def agree(ours: Mapping[str, Digest], theirs: Mapping[str, Digest], workload: Workload) -> bool:
    """The same names and shapes, and numbers within the workload's tolerance."""
    if ours.keys() != theirs.keys():
        return False
    for key, a in ours.items():
        b = theirs[key]
        tolerance = workload.atol + workload.rtol * max(a.spread, b.spread)
        if a.shape != b.shape or not abs(a.mean - b.mean) <= tolerance:  # so written, NaN does not agree
            return False
        if not np.allclose(a.sample, b.sample, rtol=workload.rtol, atol=workload.atol):
            return False
    return True


def _round(row: Row, ready: list[Contestant], number: int, seconds: float) -> list[Contestant]:
    """One turn for each, beginning with another one each round."""
    alive = list(ready)
    first = number % max(1, len(ready))
    for contestant in ready[first:] + ready[:first]:
        try:
            timing = row.timings[contestant.name]
            timing.rounds.append(contestant.ask("round", row.workload.name, seconds))
        except WorkerError as error:
            row.notes.append(f"{contestant.name} not timed: {error}")
            del row.timings[contestant.name]
            alive.remove(contestant)
    return alive
