"""The seam between graphs and what runs them: all that the rest of the system asks of a backend.

A backend gets a schedule (kernels in waves, every value with its place in memory) and makes code of it; the code, kept
on disk or fresh, becomes a program in this process; the program is bound to tensors, which gives a function to call.
Nothing outside of a backend's own folder imports it, but for the table of names in `tinytorch/backend_names.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from tinytorch.ir.graph import Graph
from tinytorch.ir.kernels.costs import Costs
from tinytorch.ir.kernels.family import Families
from tinytorch.ir.op import Array
from tinytorch.ir.types import TensorType
from tinytorch.runtime.cache import Entry
from tinytorch.runtime.roofline import Peaks
from tinytorch.runtime.schedule import Schedule

Call = Callable[..., Any]
DeviceArray = Any  # memory of a backend that holds one tensor: a numpy array where kernels read the host's memory


class _Mismatch:
    """The type of MISMATCH."""

    def __repr__(self) -> str:
        return "MISMATCH"


MISMATCH = _Mismatch()  # what a call answers to operands that it does not take


@dataclass(frozen=True)
class Binding:
    """How a graph is called, and what tensors are.

    The first `arguments` inputs are passed in each call; the others are what the tensors `states` hold then. A tensor
    is a `tensor_type`, whose slot `data_slot` holds a numpy array; `wrap(array)` makes one of a result. The slot
    `storage_slot` of a tensor that the graph writes holds None or a `storage_type`, whose `version` then becomes a
    number that it never held. Where a guard of the graph fails, nothing has changed, `on_status` is called with a
    number other than 0, and what it returns is returned.
    """

    arguments: int
    states: Sequence[Any]
    tensor_type: type
    wrap: Callable[[Array], Any]
    storage_slot: str
    storage_type: type
    on_status: Callable[[int], object]
    data_slot: str = "_data"


class Program(Protocol):
    """Code that is loaded in this process."""

    @property
    def arena_bytes(self) -> int:
        """The memory that a call needs beside inputs, outputs and constants."""
        ...

    def bind(self, graph: Graph, binding: Binding) -> tuple[Call, Call]:
        """(fast, careful) functions of the arguments, for the graph that the code was made of.

        They return the only result, a tuple of them, or None. Constants are in the graph. The fast one answers MISMATCH
        to whatever it would rather not look at; the careful one only where the number, the dtypes or the shapes of the
        operands differ, and it raises TinyTorchError where one that the graph writes is read-only. A program whose
        code is a Python function of arrays has both from `python_call.python_call`.
        """
        ...

    def measure(self, buffers: Sequence[DeviceArray], constants: Sequence[DeviceArray]) -> float:
        """Seconds that one call takes, the best of many, on these buffers of the inputs, then the outputs."""
        ...


class Backend(Protocol):
    """Something that runs graphs of kernels; `tt.compile(function, backend=it)` uses it."""

    @property
    def name(self) -> str:
        """What it is called in reports; two backends that make different code have different names or keys."""
        ...

    @property
    def key(self) -> str:
        """All that the code depends on beside the graph and the sources of ir, passes and runtime: the target, its
        options, and the version of what is outside of these folders. It is part of the disk cache's key."""
        ...

    @property
    def costs(self) -> Costs:
        """What the passes ask about the target."""
        ...

    @property
    def interruptible(self) -> bool:
        """Whether a signal that Python handles may end a call after it has changed some of the state, but not all."""
        ...

    @property
    def families(self) -> Families:
        """The kernels that it writes, and what they hold: what `fuse` cuts graphs into."""
        ...

    def lower(self, schedule: Schedule) -> Entry:
        """Code for a schedule, of the form that `ir/kernels/form.py` describes. It holds no constants larger than
        what `print_graph(graph, elide=True)` shows: graphs that differ in those share it."""
        ...

    def load(self, code: Entry) -> Program:
        """The program of code that `lower` made, here or in a process before."""
        ...

    def allocate(self, type: TensorType) -> DeviceArray:
        """Memory for a tensor, with anything in it."""
        ...

    def copy(self, array: Array, buffer: DeviceArray) -> None:
        """Fill a buffer from an array of its type."""
        ...

    def peaks(self) -> Peaks:
        """What the target can do at best, for the roofline in reports."""
        ...


@dataclass(frozen=True)
class Listing:
    """The code of one kernel, for people: what the backend wrote, and the machine's instructions."""

    text: str
    assembly: str


@dataclass(frozen=True)
class Listings:
    """The code of a schedule's kernels: that of number i, in the order of the schedule, is `codes[code_of[i]]`."""

    code_of: tuple[int, ...]
    codes: tuple[Listing, ...]


@dataclass(frozen=True)
class TimedChunk:
    """A piece of kernel number `call`, in the order of the schedule, on a thread, where 0 is the caller. Seconds since
    the graph was called."""

    call: int
    thread: int
    begin: float
    end: float


@dataclass(frozen=True)
class TimedCall:
    """One call of a graph: how long it took, in seconds, its chunks by when they began, and a status other than 0 where
    a guard has failed."""

    seconds: float
    chunks: tuple[TimedChunk, ...]
    status: int


class Timer(Protocol):
    """A build of a graph that takes the time of each chunk."""

    def run(self, buffers: Sequence[DeviceArray], constants: Sequence[DeviceArray]) -> TimedCall:
        """Call the graph once, on these buffers of the inputs, then the outputs."""
        ...


@runtime_checkable
class Inspectable(Protocol):
    """What a backend may offer beside, for reports."""

    def facts(self) -> Mapping[str, str | int]:
        """The target in words: its processor, its vectors."""
        ...

    def listings(self, schedule: Schedule) -> Listings:
        """The code of each kernel."""
        ...

    def timer(self, schedule: Schedule) -> Timer | None:
        """A build that takes times; None where the target has no clock for it."""
        ...
