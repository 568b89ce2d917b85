"""A process that runs one framework's cases on request; the parent makes sure that only one of them works at a time."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import workloads
from benchmarks.registry import BASELINE, LIMIT, OURS, WORKLOADS, Case

SAMPLE = 1 << 14  # numbers of an array that are compared one by one; of the rest, the sum

_MODULES = {
    "onnxruntime QDQ": "onnxruntime",
    "torch.compile": "torch",
    "torch channels_last": "torch",
    "tinytorch eager": "tinytorch",
    BASELINE: "tinytorch",
    LIMIT: "llvmlite",
}


@dataclass(frozen=True)
class Digest:
    """Enough of an array to tell whether another process computed the same."""

    shape: tuple[int, ...]
    sample: NDArray[Any]
    mean: float
    spread: float


def digest(array: NDArray[Any]) -> Digest:
    flat = np.asarray(array).reshape(-1)
    values = flat.astype(np.float64)
    step = max(1, flat.size // SAMPLE)
    return Digest(np.shape(array), flat[::step].copy(), float(values.mean()), float(np.abs(values).mean()))


class Worker:
    """The commands that the parent sends."""

    def __init__(self, contestant: str, threads: int) -> None:
        self.contestant = contestant
        self.threads = threads
        self.cases: dict[str, Case] = {}
        self.counts: dict[str, int] = {}

    def start(self) -> str:
        """Import the framework; its version."""
        if self.contestant in (OURS, BASELINE, LIMIT) and os.environ.get("BENCHMARK_TARGET"):
            _keep_to(os.environ["BENCHMARK_TARGET"])
        module = __import__(_MODULES.get(self.contestant, self.contestant))
        if module.__name__ == "torch":
            module.set_num_threads(self.threads)
        return str(getattr(module, "__version__", "unknown"))

    def build(self, name: str) -> tuple[float, dict[str, Digest], float | None]:
        """Make the case and run its first steps; seconds that this took, the numbers to compare, and the operations of
        a step where the case knows them."""
        workload = WORKLOADS[name]
        begin = time.perf_counter()
        if self.contestant == LIMIT:
            from benchmarks import peaks  # loads LLVM, which the other frameworks have no use for

            case = peaks.limit_case(workload, self.threads)
        else:
            case = workload.builders[self.contestant]()
        case.step()
        seconds = time.perf_counter() - begin
        for _ in range(workload.check_steps - 1):
            case.step()
        self.cases[name] = case
        numbers = {key: digest(array) for key, array in case.read().items()}
        return seconds, numbers, None if case.done is None else case.done()

    def round(self, name: str, seconds: float) -> float:
        """Run steps for about `seconds`, after a warm-up; the mean time of one unit of work."""
        case = self.cases[name]
        count = self.counts.get(name) or self._calibrate(name, case, seconds)
        step = case.step
        self._run(step, max(1, count // 10))
        begin = time.perf_counter()
        self._run(step, count)
        return (time.perf_counter() - begin) / count / case.units

    def _calibrate(self, name: str, case: Case, seconds: float) -> int:
        """Steps that take `seconds`: doubled until they take a fifth of it, then scaled."""
        count = 1
        while True:
            begin = time.perf_counter()
            self._run(case.step, count)
            taken = time.perf_counter() - begin
            if taken > seconds / 5:
                break
            count *= 2
        self.counts[name] = max(1, round(count * seconds / taken))
        return self.counts[name]

    @staticmethod
    def _run(step: Any, count: int) -> None:
        for _ in range(count):
            step()

    def peak_memory(self, name: str) -> int:
        """Bytes that the case needs, in a process that has done nothing else."""
        from benchmarks.peak_memory import peak_of

        return peak_of(WORKLOADS[name].builders[self.contestant])

    def drop(self, name: str) -> None:
        """Free the case."""
        self.cases.pop(name, None)
        gc.collect()


def _keep_to(name: str) -> None:
    """Generate code for a machine with just these instructions."""
    from tinytorch.runtime.llvm.text import target

    forced = target.Target.named(name)
    target._host = lambda: forced


def serve(connection: Connection, contestant: str, threads: int) -> None:
    """The process: answers (command, arguments) with (True, result) or (False, what went wrong) until told to stop."""
    _die_with_parent()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])
    workloads.load()
    worker = Worker(contestant, threads)
    gc.disable()  # a collection in the midst of a round would hit whoever has the turn
    while True:
        try:
            command, *arguments = connection.recv()
        except EOFError:
            return
        if command == "stop":
            return
        try:
            connection.send((True, getattr(worker, command)(*arguments)))
        except Exception as error:
            if os.environ.get("TT_LOGS"):
                traceback.print_exc()
            connection.send((False, f"{type(error).__name__}: {error}"))


def _die_with_parent() -> None:
    """A stopped process does not see that its parent has gone: let the kernel end it (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
