"""A build of a graph that takes the time of every chunk, for reports.

Each phase of each kernel is called through a function that reads the processor's counter before and after, and writes
both into a log, with the number of the kernel and the address of its stack frame: frames of one thread lie close
together, those of two threads at least a stack apart. The code has the address of its log, and so is compiled for this
process alone. Two reads and a row of the log take some tens of nanoseconds for each chunk.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from time import perf_counter, sleep

import numpy as np

from tinytorch.ir.op import Array
from tinytorch.runtime.backend import TimedCall, TimedChunk
from tinytorch.runtime.llvm.kernel import KernelCode, Phase
from tinytorch.runtime.llvm.lower import write_graph
from tinytorch.runtime.llvm.pycall.spec import aligned_empty
from tinytorch.runtime.llvm.text import jit
from tinytorch.runtime.llvm.text.builder import Function, Module, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I32, I64, PTR
from tinytorch.runtime.llvm.threads.pool import shared_pool
from tinytorch.runtime.schedule import Call, Schedule

_ENTRY, _TIMED_ENTRY, _NOW = "entry", "timed_entry", "now"
_ROW = np.dtype([("call", np.int64), ("frame", np.int64), ("begin", np.int64), ("end", np.int64)])
_STACK = 16 << 10  # bytes: frames of one thread are less apart, smaller stacks than twice that are not made
_CALIBRATION = 5e-3  # seconds
_READINGS = 5  # at both ends of it
_ENTRY_ROW = 1  # of the log; row 0 counts the rows that are used


def timer(schedule: Schedule, target: Target, slots: int) -> GraphTimer | None:
    """The build for a schedule; None where the target has no counter that programs may read."""
    counter = _counter(target)
    return None if counter is None else GraphTimer(schedule, target, slots, counter)


def _counter(target: Target) -> str | None:
    """The intrinsic that reads a counter of constant rate."""
    if target.is_x86:
        return "llvm.readcyclecounter"
    return "llvm.readsteadycounter" if target.triple.startswith(("aarch64", "arm64")) else None


class GraphTimer:
    """A graph that can be called with the time taken; see `backend.Timer`."""

    def __init__(self, schedule: Schedule, target: Target, slots: int, counter: str) -> None:
        module = Module(target.attributes)
        writer = _Writer(module, counter)
        areas, _ = write_graph(module, schedule, target, slots, _ENTRY, writer.timed)
        self._log = np.zeros(_ENTRY_ROW + 1 + writer.chunks, _ROW)
        writer.finish(self._log.ctypes.data)
        self._pool = shared_pool()
        self._arena = aligned_empty(areas.bytes)
        self._code = jit.load_object(jit.compile_object(module.text(), target))
        self._entry = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self._code.address(_TIMED_ENTRY))
        self._rate = self._ticks_per_second()

    def _ticks_per_second(self) -> float:
        counter = ctypes.CFUNCTYPE(ctypes.c_int64)(self._code.address(_NOW))
        first, start = _read_together(counter, perf_counter)
        sleep(_CALIBRATION)
        last, end = _read_together(counter, perf_counter)
        return (last - first) / (end - start)

    def run(self, buffers: Sequence[Array], constants: Sequence[Array]) -> TimedCall:
        """Call the graph once, on buffers of the inputs, then the outputs."""
        status = np.zeros(1, np.int64)
        after = [array.ctypes.data for array in (*constants, self._arena, status)]
        frame = np.array([*(a.ctypes.data for a in buffers), self._pool.address, *after], np.uint64)
        self._log[0]["call"] = _ENTRY_ROW + 1
        self._entry(frame.ctypes.data)
        whole, rows = self._log[_ENTRY_ROW], self._log[_ENTRY_ROW + 1 : int(self._log[0]["call"])]
        rows = rows[np.argsort(rows["begin"], kind="stable")]
        threads = _threads(rows["frame"], int(whole["frame"]))
        length = whole["end"] - whole["begin"]  # counters of two cores may differ a little
        begin, end = (np.clip(rows[name] - whole["begin"], 0, length) / self._rate for name in ("begin", "end"))
        columns = rows["call"].tolist(), threads, begin.tolist(), end.tolist()
        chunks = tuple(TimedChunk(*row) for row in zip(*columns, strict=True))
        return TimedCall(float(length) / self._rate, chunks, int(status[0]))


def _read_together(counter: Callable[[], int], clock: Callable[[], float]) -> tuple[int, float]:
    """What both say at one time: of some readings the quickest, as the system may stop the thread within one."""
    found: list[tuple[float, int, float]] = []
    for _ in range(_READINGS):
        before, ticks, after = clock(), counter(), clock()
        found.append((after - before, ticks, (before + after) / 2))
    return min(found)[1:]


def _threads(frames: Array, own: int) -> list[int]:
    """The thread of each stack frame: 0 is that of the frame `own`, others by their stacks."""
    known = np.unique(np.append(frames, own))
    groups = np.cumsum(np.diff(known, prepend=known[:1]) > _STACK)
    mine = int(groups[np.searchsorted(known, own)])
    return [0 if g == mine else g + (g < mine) for g in groups[np.searchsorted(known, frames)].tolist()]


@dataclass
class _Pending:
    """A function whose body waits for the address of the log."""

    fn: Function
    phase: str
    number: int


class _Writer:
    """Writes the functions that take times."""

    def __init__(self, module: Module, counter: str) -> None:
        self.module, self.counter = module, counter
        self.calls = self.chunks = 0
        self.pending: list[_Pending] = []

    def timed(self, call: Call, code: KernelCode) -> KernelCode:
        """The code of the next kernel, with functions around its phases."""
        phases: list[Phase] = []
        for phase in code.phases:
            name = f"timed{len(self.pending)}"
            fn = self.module.function(name, [PTR, I64])
            self.pending.append(_Pending(fn, phase.function, self.calls))
            phases.append(Phase(name, phase.chunks))
            self.chunks += phase.chunks
        self.calls += 1
        return replace(code, phases=tuple(phases))

    def finish(self, log: int) -> None:
        """Write the bodies, the function around the entry, and one that reads the counter."""
        for each in self.pending:
            fn = each.fn
            begin = self._now(fn)
            fn.call(each.phase, fn.params)
            end = self._now(fn)
            base = self._address(fn, log)
            row = fn.atomic_rmw("add", base, fn.const(1, I64), "monotonic")
            self._store(fn, fn.at(base, row * _ROW.itemsize), fn.const(each.number, I64), begin, end)
            fn.ret()
        fn = self.module.function(_TIMED_ENTRY, [PTR])
        begin = self._now(fn)
        fn.call(_ENTRY, fn.params)
        end = self._now(fn)
        row = fn.at(self._address(fn, log), _ENTRY_ROW * _ROW.itemsize)
        self._store(fn, row, fn.const(-1, I64), begin, end)
        fn.ret()
        fn = self.module.function(_NOW, [], I64)
        fn.ret(self._now(fn))

    def _now(self, fn: Function) -> Register:
        return fn.call(self.counter, [], I64)

    def _address(self, fn: Function, address: int) -> Register:
        return fn.op(f"inttoptr i64 {address} to ptr", PTR)

    def _store(self, fn: Function, row: Register, number: Register, begin: Register, end: Register) -> None:
        frame = fn.convert("ptrtoint", fn.call("llvm.frameaddress.p0", [fn.const(0, I32)], PTR), I64)
        for i, value in enumerate((number, frame, begin, end)):
            fn.store(value, row, 8 * i)
