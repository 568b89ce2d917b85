"""A graph as code of a backend: scheduled, generated or taken from the disk cache, and loaded."""

from __future__ import annotations

from tinytorch.ir.graph import Graph
from tinytorch.ir.kernels.form import check_form
from tinytorch.ir.kernels.index_ranges import guard_indices
from tinytorch.ir.system.collector import paused
from tinytorch.ir.text.printer import print_graph
from tinytorch.runtime import cache
from tinytorch.runtime.backend import Backend, Binding, Call
from tinytorch.runtime.schedule import Schedule, schedule


class Executable:
    """What a backend makes of a graph of kernels (what `fuse` makes). `key` is that of its code on disk; who knows it
    has the graph of such an executable, whose indices are guarded."""

    def __init__(self, graph: Graph, backend: Backend, key: str | None = None) -> None:
        self.graph = guard_indices(graph) if key is None else graph
        self.backend = backend
        self._schedule: Schedule | None = None
        self.key = self._key() if key is None else key
        self.from_cache = True  # whether the code was on disk
        code = cache.fetch(self.key, self._lower)
        self.code_bytes = len(code.object_code)
        self.program = backend.load(code)

    def _key(self) -> str:
        text = print_graph(self.graph, elide=True)  # large constants are read through pointers: the code is the same
        return cache.key(cache.source_digest(), self.backend.name, self.backend.key, text)

    @property
    def schedule(self) -> Schedule:
        """Waves and buffers; made when code is generated or somebody looks."""
        if self._schedule is None:  # no cached_property, whose lock in Python 3.11 is one for all executables
            self._schedule = schedule(self.graph)
        return self._schedule

    @property
    def arena_bytes(self) -> int:
        """The memory that a call needs beside inputs, outputs and constants."""
        return self.program.arena_bytes

    @paused()
    def _lower(self) -> cache.Entry:
        self.from_cache = False
        check_form(self.graph, self.backend.families)
        return self.backend.lower(self.schedule)

    def bind(self, binding: Binding) -> tuple[Call, Call]:
        """(fast, careful) functions of the arguments; see `backend.Program.bind`."""
        return self.program.bind(self.graph, binding)
