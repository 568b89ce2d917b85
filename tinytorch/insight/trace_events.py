"""One call in the trace event format, which Perfetto and Chrome's about:tracing read.

The format: "Trace Event Format" of the Chromium project. Complete events (`ph` X) are pieces of kernels, metadata (M)
names processes and threads, counters (C) are the bytes of the arena in use. Times are in microseconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from typing import Any

from tinytorch.insight.collect import ran
from tinytorch.insight.memory import MemoryPlan
from tinytorch.insight.record import Chunk, KernelRecord
from tinytorch.insight.subject import Subject
from tinytorch.ir.errors import CompileError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.system.files import write_text

_PROCESS = 1
Event = dict[str, Any]


def write_trace(subject: Subject, path: str | PathLike[str]) -> None:
    """Measure a call of a subject and write it. CompileError where that gives no times."""
    found = ran(subject, measure=True)
    if not found.call.chunks:
        why = found.call.how if found.call.seconds is None else "no kernel runs in a call"
        raise CompileError(f"{subject.name}: there is no time to trace: {why}", user_loc())
    events = trace_events(subject.name, found.kernels, found.call.chunks, subject.memory)
    content = {"traceEvents": events, "displayTimeUnit": "ns", "otherData": {"how": found.call.how}}
    write_text(path, json.dumps(content, separators=(",", ":")))


def trace_events(
    name: str, kernels: Sequence[KernelRecord], chunks: Sequence[Chunk], memory: MemoryPlan
) -> list[Event]:
    """The events: names first, then those of each thread by time, then the memory in use."""
    threads = sorted({chunk.thread for chunk in chunks})
    named = [_metadata("process_name", 0, name)]
    named += [_metadata("thread_name", t, "caller" if t == 0 else f"worker {t}") for t in threads]
    pieces = [_piece(chunk, kernels[chunk.kernel]) for chunk in sorted(chunks, key=lambda c: (c.thread, c.begin))]
    return [*named, *pieces, *_memory(chunks, memory)]


def _metadata(what: str, thread: int, name: str) -> Event:
    return {"ph": "M", "name": what, "pid": _PROCESS, "tid": thread, "args": {"name": name}}


def _piece(chunk: Chunk, kernel: KernelRecord) -> Event:
    facts = {"kernel": kernel.id, "wave": kernel.wave, "FLOPs": kernel.flops, "result": kernel.result}
    facts |= {"bytes": kernel.bytes_read + kernel.bytes_written, "lines": list(kernel.locs)}
    begin, length = chunk.begin * 1e6, max(0.0, chunk.end - chunk.begin) * 1e6
    where = {"pid": _PROCESS, "tid": chunk.thread, "ts": begin, "dur": length}
    return {"ph": "X", "name": kernel.title, "cat": kernel.phase or kernel.family, **where, "args": facts}


def _memory(chunks: Iterable[Chunk], memory: MemoryPlan) -> list[Event]:
    """The bytes in use from the first piece of each wave on."""
    first: dict[int, Chunk] = {}
    for chunk in chunks:
        known = first.get(chunk.wave)
        if known is None or chunk.begin < known.begin:
            first[chunk.wave] = chunk
    in_use = memory.in_use()
    found = sorted(first.values(), key=lambda chunk: chunk.begin)
    values: list[Mapping[str, int]] = [{"bytes": in_use[chunk.kernel]} for chunk in found]
    return [
        {"ph": "C", "name": "arena", "pid": _PROCESS, "tid": 0, "ts": chunk.begin * 1e6, "args": value}
        for chunk, value in zip(found, values, strict=True)
    ]
