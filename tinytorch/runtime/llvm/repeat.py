"""The time of machine code, called again and again by machine code."""

from __future__ import annotations

import ctypes
from time import perf_counter

import numpy as np
import numpy.typing as npt

from tinytorch.runtime.llvm.text import jit
from tinytorch.runtime.llvm.text.builder import Module, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I64, PTR

_SECONDS = 2e-2  # of measuring
_ROUNDS = 5  # the best one counts


def seconds_per_call(entry: int, frame: npt.NDArray[np.uint64]) -> float:
    """How long the function at the address `entry` takes on a frame of addresses."""
    loaded = _repeater()
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(loaded.address("repeat"))

    def run(repeats: int) -> float:
        before = perf_counter()
        call(entry, frame.ctypes.data, repeats)
        return perf_counter() - before

    run(1)  # starts the threads
    repeats = 1
    while run(repeats) < _SECONDS / _ROUNDS or run(repeats) < _SECONDS / _ROUNDS:  # twice: the first may have waited
        repeats *= 2
    return min(run(repeats) for _ in range(_ROUNDS)) / repeats


def _repeater() -> jit.LoadedCode:
    """repeat(entry, frame, count): calls entry(frame) that often."""
    target = Target.host()
    module = Module(target.attributes)
    f = module.function("repeat", [PTR, PTR, I64])
    entry, frame, count = f.params

    def once(_: Register) -> None:
        f.call_pointer(entry, [frame])

    f.loop(count, [], once)
    f.ret()
    return jit.load_object(jit.compile_object(module.text(), target))
