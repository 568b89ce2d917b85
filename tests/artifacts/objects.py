"""Exported object files in tests: their symbols, and their functions called as the header declares them."""

from __future__ import annotations

import ctypes
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np

from tinytorch.runtime.llvm.text import jit

ALLOWED = {  # of libc, libm and libpthread
    *("aligned_alloc", "free", "memcpy", "memmove", "memset", "clock_gettime", "sched_yield", "syscall"),
    *("pthread_create", "pthread_join", "fmod", "fmodf", "_GLOBAL_OFFSET_TABLE_"),
}
MACHINES = {62: "x86_64", 183: "aarch64"}
_C = {"void": None, "int": ctypes.c_int, "char": ctypes.c_char}


def symbols(data: bytes) -> tuple[str, set[str], set[str]]:
    """The machine of a 64-bit ELF object, the symbols that others see, and those that it needs."""
    assert data[:6] == b"\x7fELF\x02\x01" and struct.unpack_from("<H", data, 16)[0] == 1  # relocatable
    start, (size, count) = struct.unpack_from("<Q", data, 40)[0], struct.unpack_from("<HH", data, 58)
    sections = [struct.unpack_from("<IIQQQQIIQQ", data, start + i * size) for i in range(count)]
    table = next(s for s in sections if s[1] == 2)
    names = sections[table[6]]
    shown: set[str] = set()
    needed: set[str] = set()
    for at in range(table[4], table[4] + table[5], 24):
        name, info, _, section = struct.unpack_from("<IBBH", data, at)
        begin = names[4] + name
        text = data[begin : data.index(b"\0", begin)].decode()
        if info >> 4 and text:
            (shown if section else needed).add(text)
    return MACHINES[struct.unpack_from("<H", data, 18)[0]], shown, needed


class Linked:
    """An object file in this process, its functions typed by the header's declarations; `library` is a shared one made
    of it, or None for LLVM's linker."""

    def __init__(self, path: Path, library: Path | None = None) -> None:
        self.header = path.with_suffix(".h").read_text()
        self.prefix = re.search(r"int (\w+)_run\(", self.header)[1]
        self._code = jit.load_object(path.read_bytes()) if library is None else ctypes.CDLL(str(library))
        self.macros = dict(re.findall(rf"#define {self.prefix.upper()}_(\w+) (\d+)", self.header))
        found = re.findall(rf"^(const char \*|\w+ \*?){self.prefix}_(\w+)\(([^)]*)\);", self.header, re.MULTILINE)
        self.parameters = {name: self._split(text) for _, name, text in found}
        self.functions = {name: self._function(name, result, text) for result, name, text in found}

    @staticmethod
    def _split(text: str) -> list[tuple[str, str]]:
        return [tuple(part.strip().rsplit(" ", 1)) for part in text.split(",")]

    def _function(self, name: str, result: str, text: str) -> Any:
        types = [ctypes.c_void_p if "*" in p else _C[p.split()[0]] for p in text.split(",")]
        made = ctypes.c_char_p if "char" in result else ctypes.c_void_p if "*" in result else _C[result.strip()]
        full = f"{self.prefix}_{name}"
        if isinstance(self._code, ctypes.CDLL):
            function = getattr(self._code, full)
            function.restype, function.argtypes = made, types
            return function
        return ctypes.CFUNCTYPE(made, *types)(self._code.address(full))

    def workspace_bytes(self, threads: int) -> int:
        base, each = re.search(r"WORKSPACE_BYTES\(threads\) \(\(size_t\)(\d+) \+ \(size_t\)(\d+)", self.header).groups()
        return int(base) + int(each) * threads

    def state(self) -> np.ndarray:
        memory = aligned(int(self.macros["STATE_BYTES"]))
        self.functions["init_state"](memory.ctypes.data)
        return memory

    def run(self, *arrays: np.ndarray, workspace: int | None = None, pool: int | None = None) -> int:
        """The status of a call on these arrays: inputs, outputs, and the state if there is any."""
        return self.functions["run"](*(a.ctypes.data for a in arrays), workspace, pool)

    def message(self, status: int) -> str:
        return self.functions["message"](status).decode()


def aligned(size: int) -> np.ndarray:
    block = np.empty(size + 64, np.uint8)
    start = -block.ctypes.data % 64
    return block[start : start + size]
