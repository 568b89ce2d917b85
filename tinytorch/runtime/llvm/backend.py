"""The backend that writes LLVM text: machine code for a CPU, called in this process."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np

from tinytorch.ir.families import FAMILIES
from tinytorch.ir.graph import Graph, Node
from tinytorch.ir.kernels.costs import Costs
from tinytorch.ir.kernels.family import Families
from tinytorch.ir.op import Array
from tinytorch.ir.ops.core import kernel
from tinytorch.ir.system import locks
from tinytorch.ir.types import TensorType
from tinytorch.runtime.backend import Binding, Call, Listings, Program, Timer
from tinytorch.runtime.cache import Entry
from tinytorch.runtime.llvm.pycall.call import CallSpec, InputSpec, OutputSpec, make_call, make_careful_call
from tinytorch.runtime.llvm.pycall.spec import aligned_empty
from tinytorch.runtime.llvm.text import jit
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.threads.pool import shared_pool
from tinytorch.runtime.roofline import Peaks
from tinytorch.runtime.schedule import Schedule, constants_of
from tinytorch.runtime.thread_count import get_num_threads

# A graph with less work, and less to move, keeps Python's global lock: giving it up would cost more.
SHORT_FLOPS = 200_000
SHORT_BYTES = 512 << 10  # some 50 µs from memory, some 10 from a cache
_ENTRY = "entry"  # the function that runs a graph


class LlvmBackend:
    """Runs graphs as machine code; for a target other than this machine, its code must run here too."""

    name = "llvm"
    interruptible = False  # the thread that is in machine code runs no Python

    def __init__(self, target: Target | None = None) -> None:
        self.target = target or Target.host()

    def __repr__(self) -> str:
        return f"LlvmBackend({self.target.name})"

    @property
    def key(self) -> str:
        return f"{self.target.key}/{_slots()}"

    @property
    def families(self) -> Families:
        return FAMILIES

    @property
    def costs(self) -> Costs:
        return self.target.costs

    def lower(self, schedule: Schedule) -> Entry:
        with locks.importing:
            from tinytorch.runtime.llvm.lower import lower  # the code generators, which a warm start does not need

        lowered = lower(schedule, self.target, _slots(), _ENTRY)
        code = jit.compile_object(lowered.text, self.target)
        return Entry({"arena_bytes": lowered.arena_bytes}, code)

    def load(self, code: Entry) -> Program:
        return LlvmProgram(code)

    def allocate(self, type: TensorType) -> Array:
        return aligned_empty(type.bytes).view(type.dtype.numpy).reshape(type.shape)

    def copy(self, array: Array, buffer: Array) -> None:
        np.copyto(buffer, array)

    def facts(self) -> Mapping[str, str | int]:
        return self.target.facts

    def listings(self, schedule: Schedule) -> Listings:
        with locks.importing:
            from tinytorch.runtime.llvm.listings import listings

        return listings(schedule, self.target)

    def timer(self, schedule: Schedule) -> Timer | None:
        with locks.importing:
            from tinytorch.runtime.llvm.timer import timer

        return timer(schedule, self.target, _slots())

    def peaks(self) -> Peaks:
        with locks.importing:
            from tinytorch.runtime.llvm.threads.peaks import peaks

        return peaks()


def _slots() -> int:
    """Threads that may have scratch memory at a time; their number may be raised later."""
    return max(get_num_threads(), os.cpu_count() or 1)


class LlvmProgram:
    """Machine code of a graph, and the threads that it shares its work with."""

    def __init__(self, code: Entry) -> None:
        self.arena_bytes: int = code.metadata["arena_bytes"]
        self._pool = shared_pool()
        self._code = jit.load_object(code.object_code)

    def bind(self, graph: Graph, binding: Binding) -> tuple[Call, Call]:
        """Calls as `pycall` makes them."""
        written = {index for index, _ in graph.state}
        renewed = {output for _, output in graph.state}
        operands = [
            InputSpec(v.name or f"input {i}", v.type.dtype.numpy, v.type.shape, written=i in written)
            for i, v in enumerate(graph.inputs)
        ]
        outputs = [
            OutputSpec(v.type.dtype.numpy, v.type.shape) for i, v in enumerate(graph.outputs) if i not in renewed
        ]
        constants = constants_of(graph)
        spec = CallSpec(
            arguments=tuple(operands[: binding.arguments]),
            states=tuple(operands[binding.arguments :]),
            state_objects=tuple(binding.states),
            outputs=tuple(outputs),
            tensor_type=binding.tensor_type,
            wrap=binding.wrap,
            constants=(self._pool.address, *(c.ctypes.data for c in constants)),
            arena_bytes=self.arena_bytes,
            releases_gil=takes_long(graph),
            on_status=binding.on_status,
            data_slot=binding.data_slot,
            storage_slot=binding.storage_slot,
            storage_type=binding.storage_type,
            references=(self._code, self._pool, constants),
        )
        entry = self._code.address(_ENTRY)
        fast = make_call(entry, spec)
        return fast, make_careful_call(entry, spec, fast)

    def measure(self, buffers: Sequence[Array], constants: Sequence[Array]) -> float:
        """Seconds of one call, without what Python adds."""
        with locks.importing:
            from tinytorch.runtime.llvm.repeat import seconds_per_call

        arena, status = aligned_empty(self.arena_bytes), np.zeros(1, np.int64)
        before = [array.ctypes.data for array in buffers]
        after = [array.ctypes.data for array in (*constants, arena, status)]
        frame = np.array([*before, self._pool.address, *after], np.uint64)
        return seconds_per_call(self._code.address(_ENTRY), frame)


def takes_long(graph: Graph) -> bool:
    """Whether other Python threads should run while a graph of kernels does."""
    flops = moved = 0
    for node in graph.nodes:
        flops += node.flops
        moved += _bytes_moved(node)
        if flops > SHORT_FLOPS or moved > SHORT_BYTES:
            return True
    return False


def _bytes_moved(node: Node) -> int:
    """The bytes that a kernel reads and writes; where an index says which, or an update replaces them, as many as that
    takes, and not the whole operand."""
    if node.op is not kernel:
        return 0  # a view
    body: Graph = node.attrs["body"]
    partly = {n.inputs[0] for n in body.nodes if n.op.kind in ("index", "update")}
    read = sum(v.type.bytes for v in body.inputs if v not in partly)
    updates = body.nodes[0].op.kind == "update"
    return read + (read if updates else sum(v.type.bytes for v in node.outputs))
