"""The backend whose programs are object files for C, and do not run here."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NoReturn

from tinytorch.ir.errors import CompileError
from tinytorch.ir.graph import Graph
from tinytorch.ir.op import Array
from tinytorch.ir.types import type_of
from tinytorch.runtime.ahead import Interface
from tinytorch.runtime.backend import Binding, Call, DeviceArray
from tinytorch.runtime.cache import Entry
from tinytorch.runtime.llvm.ahead.header import header_text
from tinytorch.runtime.llvm.ahead.interface import MARKER_BYTES, data_text, messages, write_interface
from tinytorch.runtime.llvm.ahead.memory import MAX_THREADS, Packed, Workspace
from tinytorch.runtime.llvm.backend import LlvmBackend
from tinytorch.runtime.llvm.lower import write_graph
from tinytorch.runtime.llvm.text import jit
from tinytorch.runtime.llvm.text.builder import Module
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.threads.code import write_pool
from tinytorch.runtime.schedule import Schedule

_ENTRY = "entry"
_MOST_BYTES = 1 << 30  # of an object's data: code reaches 2 GiB


class ObjectBackend(LlvmBackend):
    """Writes the code of a graph as LLVM text; its programs compile that to object files. `source` tells apart graphs
    whose lines differ, which messages name."""

    name = "llvm objects"

    def __init__(self, target: Target, interface: Interface, source: str) -> None:
        super().__init__(target)
        if "windows" in target.triple:
            raise CompileError("export writes object files for systems with POSIX threads, and Windows has none")
        self.interface = interface
        self._source = hashlib.sha256(source.encode()).hexdigest()

    @property
    def key(self) -> str:
        return f"{self.target.key}/{self.interface}/{self._source}"

    def lower(self, schedule: Schedule) -> Entry:
        module = Module(self.target.attributes)
        areas, _ = write_graph(module, schedule, self.target, MAX_THREADS, _ENTRY)
        write_pool(module, self.target)
        workspace = Workspace.of(areas)
        constants = Packed.of([type_of(c.dtype, c.shape) for c in schedule.constants])
        checks = [str(c.node.loc) for wave in schedule.waves for c in wave if c.guarded and c.node.loc is not None]
        write_interface(module, self.interface, _ENTRY, constants, workspace, checks, self.target)
        facts = {"arena_bytes": areas.bytes, "base": workspace.base, "each": workspace.each, "checks": checks}
        return Entry(facts, module.text().encode())

    def load(self, code: Entry) -> ObjectCode:
        return ObjectCode(code, self.target, self.interface)


class ObjectCode:
    """The code of a graph, to be written to a file."""

    def __init__(self, code: Entry, target: Target, interface: Interface) -> None:
        self.arena_bytes: int = code.metadata["arena_bytes"]
        self._code, self._target, self._interface = code, target, interface

    def object_file(self, constants: Sequence[Array], state: Sequence[Array]) -> bytes:
        """The object file. Its data are zeros to LLVM, and put in afterwards: as text they would be four times as
        long."""
        arrays = [*constants, *state]
        packed = Packed.of([type_of(array.dtype, array.shape) for array in arrays])
        if packed.bytes > _MOST_BYTES:
            raise CompileError(f"export: weights of {packed.bytes:,} bytes are more than an object's {_MOST_BYTES:,}")
        marker = hashlib.sha256(self._code.object_code).hexdigest()
        text = f"{data_text(marker, packed.bytes)}\n{self._code.object_code.decode()}"
        made = bytearray(jit.compile_object(text, self._target, relocatable=True))
        start = made.find(marker.encode())
        if arrays and (start < 0 or made.find(marker.encode(), start + 1) >= 0):
            raise CompileError("export: the object's data are not where they were put")
        for array, offset in zip(arrays, packed.offsets, strict=True):
            at = start + MARKER_BYTES + offset
            made[at : at + array.nbytes] = array.tobytes()
        return bytes(made)

    def header(self, name: str) -> str:
        facts: dict[str, Any] = self._code.metadata
        workspace = Workspace(facts["base"], facts["each"])
        machine = f"{self._target.triple}, {self._target.name} ({self._target.cpu})"
        return header_text(self._interface, machine, workspace, messages(facts["checks"]), name)

    def bind(self, graph: Graph, binding: Binding) -> tuple[Call, Call]:
        self._refuse()

    def measure(self, buffers: Sequence[DeviceArray], constants: Sequence[DeviceArray]) -> float:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise CompileError("an object file for C does not run in Python")
