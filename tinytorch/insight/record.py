"""What a report holds: plain data, which JSON can hold as well.

A place in the user's program is text, `path:line`, and "" where there is none; `files` has the lines of each path that
could be read. Nodes are named by their first result (`%h`), under the same name from the first graph to the last one.
Kernels are numbered in the order of the schedule, and that number is the *instant* in which a kernel runs. Times are in
seconds, sizes in bytes; None is what was not measured.
"""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from tinytorch.compiled.compilations import Compilation
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.system.files import write_text
from tinytorch.ir.text.units import count, duration, size
from tinytorch.runtime.roofline import Peaks


@dataclass(frozen=True)
class GraphLine:
    """One line of a graph's text, and what it belongs to. `phase` is "forward", "backward", "update" or ""."""

    text: str
    node: str
    loc: str
    module: str
    phase: str
    op: str
    shape: str
    dtype: str


@dataclass(frozen=True)
class Rewrite:
    """How often a rule was applied in a pass, where, and one example. What a pass without rules changed stands under
    the name of the pass."""

    rule: str
    count: int
    where: tuple[str, ...]
    before: str
    after: str


@dataclass(frozen=True)
class PassStep:
    """One run of a pass. `diff` are lines (kind, text, node) against the graph before: kind " " is kept, "-" gone, "+"
    new, "@" the head of a piece."""

    name: str
    seconds: float
    nodes_before: int
    nodes_after: int
    changed: bool
    rewrites: tuple[Rewrite, ...] = ()
    diff: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True)
class KernelRecord:
    """One kernel, `node` in the last graph. `ir` is its body, `lines` which lines of that (from 1) come from a line of
    the user's. `llvm` and `assembly` are what the backend made of it. A kernel that is `alike` to an earlier
    one shares its code, and has none here. `predicted` is the roofline's time, `measured` the time of one call that it
    takes."""

    id: int
    node: str
    title: str
    family: str
    wave: int
    phase: str
    module: str
    result: str
    locs: tuple[str, ...]
    flops: int
    bytes_read: int
    bytes_written: int
    intensity: float
    predicted: float | None
    measured: float | None
    ir: str
    llvm: str
    assembly: str
    lines: dict[str, tuple[int, ...]]
    alike: int | None


@dataclass(frozen=True)
class Refusal:
    """Why a node that reads the result of another is not in the same kernel; `loc` is that of the reader. `bytes` go
    through memory for it, all `times` together that it happens to alike nodes."""

    producer: str
    consumer: str
    reason: str
    loc: str
    bytes: int
    times: int


@dataclass(frozen=True)
class Lifetime:
    """What lies at `offset` of the arena from the instant `first` to `last`, both included, and the kernel that makes
    it."""

    name: str
    offset: int
    bytes: int
    first: int
    last: int
    loc: str
    kernel: int


@dataclass(frozen=True)
class Peak:
    """The first instant in which the most bytes of the arena are in use."""

    instant: int
    bytes: int


@dataclass(frozen=True)
class Outside:
    """Bytes beside the arena: state (parameters, moments, counters), other inputs, results, constants, and what
    kernels need for themselves."""

    state: int = 0
    inputs: int = 0
    results: int = 0
    constants: int = 0
    scratch: int = 0


@dataclass(frozen=True)
class Chunk:
    """A piece of a kernel on one thread, in seconds from the start of the call. Thread 0 is the caller."""

    kernel: int
    thread: int
    wave: int
    begin: float
    end: float


@dataclass(frozen=True)
class LineCost:
    """What one line of the user's program costs: its share of the kernels that hold nodes of it. An empty `file` stands
    for what no line asked for."""

    file: str
    line: int
    seconds: float | None
    flops: int
    bytes: int
    kernels: tuple[int, ...]


@dataclass(frozen=True)
class Result:
    """A result of the measured call, or a new value of state: some of its elements, evenly spread, to compare. None is
    what is no finite number."""

    name: str
    type: str
    values: tuple[float | None, ...]


@dataclass(frozen=True)
class Record:
    """What is known of one signature of a compiled function; `Compiled.report` collects it."""

    title: str
    created: str
    versions: dict[str, str]
    target: dict[str, str | int]
    backend: str
    peaks: Peaks | None
    flops: int
    files: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    compilations: tuple[Compilation, ...] = ()
    passes: tuple[PassStep, ...] = ()
    first_graph: tuple[GraphLine, ...] = ()
    last_graph: tuple[GraphLine, ...] = ()
    kernels: tuple[KernelRecord, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    buffers: tuple[Lifetime, ...] = ()
    arena_bytes: int = 0
    peak: Peak | None = None
    outside: Outside = field(default_factory=Outside)
    timeline: tuple[Chunk, ...] = ()
    timeline_how: str = ""
    call_seconds: float | None = None
    lines: tuple[LineCost, ...] = ()
    arguments: str = ""  # identifies what the measured call was given
    results: tuple[Result, ...] = ()

    def __repr__(self) -> str:
        """In a line: all of it would fill a screen for each kernel."""
        facts = [f"{len(self.first_graph)} lines traced", f"{len(self.kernels)} kernels on {self.backend}"]
        if self.call_seconds is not None:
            facts.append(f"{duration(self.call_seconds)} a call")
        facts.append(f"{count(self.flops)} FLOPs, arena {size(self.arena_bytes)}")
        return f"Record({self.title}: {', '.join(facts)})"

    def as_dict(self) -> dict[str, Any]:
        """The record as JSON has it, under the names of its fields."""
        return _plain(self)

    def save(self, path: str | PathLike[str]) -> None:
        """Write it as JSON, for `load_record` and `tt.compare_reports`. TinyTorchError where that cannot be done."""
        write_text(path, json.dumps(self.as_dict(), separators=(",", ":")))


def load_record(path: str | PathLike[str]) -> Record:
    """The record in a file that `Record.save` wrote. TinyTorchError where the file holds something else."""
    try:
        return record_of(json.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise TinyTorchError(f"{path} holds no report: {error}", user_loc()) from None


def record_of(data: Mapping[str, Any]) -> Record:
    """The record that `as_dict` gave this for."""
    return _read(Record, data)


_NAMES: dict[type, tuple[str, ...]] = {}  # of the fields of the dataclasses here


def _plain(value: Any) -> Any:
    """As JSON has it. `dataclasses.asdict` would copy every text, which takes seconds for large graphs."""
    kind: type = type(value)
    if kind is str or value is None:
        return value
    if kind is tuple:
        return [_plain(x) for x in value]
    if kind is dict:
        return {key: _plain(x) for key, x in value.items()}
    if not dataclasses.is_dataclass(kind):
        return value
    if kind not in _NAMES:
        _NAMES[kind] = tuple(field.name for field in dataclasses.fields(kind))
    return {name: _plain(getattr(value, name)) for name in _NAMES[kind]}


def _read(wanted: Any, data: Any) -> Any:
    """`data`, as JSON has it, as what the annotation `wanted` says."""
    if dataclasses.is_dataclass(wanted):
        types = typing.get_type_hints(wanted)
        kinds = {f.name: types[f.name] for f in dataclasses.fields(wanted)}
        made: Any = wanted
        return made(**{name: _read(kind, data[name]) for name, kind in kinds.items()})
    origin, inner = typing.get_origin(wanted), typing.get_args(wanted)
    if origin is tuple and inner[-1] is Ellipsis:
        return tuple(_read(inner[0], x) for x in data)
    if origin is tuple:
        return tuple(_read(kind, x) for kind, x in zip(inner, data, strict=True))
    if origin is dict:
        return {key: _read(inner[1], x) for key, x in data.items()}
    optional = [kind for kind in inner if dataclasses.is_dataclass(kind)]
    return _read(optional[0], data) if optional and data is not None else data
