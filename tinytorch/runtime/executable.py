"""A graph as machine code: scheduled, generated or taken from the disk cache, loaded, and bound to Python."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from tinytorch.ir import locks
from tinytorch.ir.collector import paused
from tinytorch.ir.graph import Graph, Node
from tinytorch.ir.index_ranges import guard_indices
from tinytorch.ir.kernel_form import check_form
from tinytorch.ir.op import Array
from tinytorch.ir.ops.core import kernel
from tinytorch.ir.printer import print_graph
from tinytorch.runtime import cache
from tinytorch.runtime.llvm.pycall.call import CallSpec, Operand, Output, make_call, make_careful_call
from tinytorch.runtime.llvm.text import jit
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.threads.pool import get_num_threads, shared_pool
from tinytorch.runtime.schedule import Schedule, constants_of, schedule

# A graph with less work, and less to move, keeps Python's global lock: giving it up would cost more.
SHORT_FLOPS = 200_000
SHORT_BYTES = 512 << 10  # some 50 µs from memory, some 10 from a cache


class Executable:
    """Machine code of a graph of kernels (what `fuse` makes)."""

    def __init__(self, graph: Graph, target: Target | None = None) -> None:
        self.graph = graph = guard_indices(graph)
        self._schedule: Schedule | None = None
        self.target = target or Target.host()
        slots = max(get_num_threads(), os.cpu_count() or 1)  # the number of threads may be raised later
        text = print_graph(graph, elide=True)  # large constants are read through pointers: the code is the same
        key = cache.key(cache.source_digest(), self.target.key, str(slots), text)
        entry = cache.fetch(key, lambda: self._compile(slots))
        self.arena_bytes: int = entry.metadata["arena_bytes"]
        self.kernels: int = entry.metadata["kernels"]
        self._pool = shared_pool()
        self._code = jit.load_object(entry.object_code)

    @property
    def schedule(self) -> Schedule:
        """Waves and buffers; made when code is generated or somebody looks."""
        if self._schedule is None:  # no cached_property, whose lock in Python 3.11 is one for all executables
            self._schedule = schedule(self.graph)
        return self._schedule

    @paused()
    def _compile(self, slots: int) -> cache.Entry:
        with locks.importing:
            from tinytorch.runtime.llvm.lower import lower  # the code generators, which a warm start does not need

        check_form(self.graph)
        lowered = lower(self.schedule, self.target, slots)
        code = jit.compile_object(lowered.text, self.target)
        return cache.Entry({"arena_bytes": lowered.arena_bytes, "kernels": lowered.kernels}, code)

    def bind(
        self,
        arguments: int,
        tensors: Sequence[object],
        tensor_type: type,
        wrap: Callable[[Array], object],
        storage_slot: str,
        storage_type: type,
        *,
        on_status: Callable[[int], object],
    ) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """(fast, careful) functions of the first `arguments` inputs; the other inputs are the values of `tensors`.

        The fast one answers MISMATCH to whatever is not exactly as compiled; see `pycall`.
        """
        graph = self.graph
        written = {index for index, _ in graph.state}
        renewed = {output for _, output in graph.state}
        operands = [
            Operand(v.name or f"input {i}", v.type.dtype.numpy, v.type.shape, written=i in written)
            for i, v in enumerate(graph.inputs)
        ]
        outputs = [Output(v.type.dtype.numpy, v.type.shape) for i, v in enumerate(graph.outputs) if i not in renewed]
        constants = constants_of(graph)
        spec = CallSpec(
            arguments=tuple(operands[:arguments]),
            states=tuple(operands[arguments:]),
            state_objects=tuple(tensors),
            outputs=tuple(outputs),
            tensor_type=tensor_type,
            wrap=wrap,
            constants=(self._pool.address, *(c.ctypes.data for c in constants)),
            arena_bytes=self.arena_bytes,
            releases_gil=takes_long(graph),
            storage_slot=storage_slot,
            storage_type=storage_type,
            keep=(self._code, self._pool, constants),
            on_status=on_status,
        )
        entry = self._code.address("entry")
        return make_call(entry, spec), make_careful_call(entry, spec)


def takes_long(graph: Graph) -> bool:
    """Whether other Python threads should run while a graph of kernels does."""
    flops = sum(n.op.flops([v.type for v in n.inputs], n.outputs[0].type, n.attrs) for n in graph.nodes)
    return flops > SHORT_FLOPS or sum(map(_bytes_moved, graph.nodes)) > SHORT_BYTES


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
