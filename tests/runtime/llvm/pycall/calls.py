"""Graphs as small as they can be, and calls of them."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinytorch.runtime.llvm.pycall.call import (
    CallSpec,
    InputSpec,
    OutputSpec,
    make_call,
    make_careful_call,
)
from tinytorch.runtime.llvm.text import jit
from tinytorch.runtime.llvm.text.builder import Function, Module, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import F32, I32, PTR

N = 6
F4 = np.dtype(np.float32)


class Counter:
    """The least that a storage can be."""

    __slots__ = ("version",)

    def __init__(self) -> None:
        self.version = 0


class Box:
    """The least that a tensor can be."""

    __slots__ = ("__weakref__", "_data", "_storage", "name")

    def __init__(self, data: object, name: str = "", storage: Counter | None = None) -> None:
        self._data = data
        self._storage = storage
        self.name = name

    def __repr__(self) -> str:
        return f"Box({self._data})"


def pointers(f: Function, count: int) -> list[Register]:
    return [f.load(f.params[0], PTR, 8 * i) for i in range(count)]


def write_step(module: Module) -> None:
    """step: frame = [x, w, out …]: out = x * w, then w += 1, for N floats"""
    f = module.function("step", [PTR])
    x, w, out = pointers(f, 3)

    def body(i: Register) -> None:
        weight = f.load(w, F32, i * 4)
        f.store(f.load(x, F32, i * 4) * weight, out, i * 4)
        f.store(weight + 1.0, w, i * 4)

    f.loop(N, [], body)
    f.ret()


def write_nap(module: Module) -> None:
    """nap: frame = [x, w, out, arena]: write x[0] to the arena, sleep 20 ms, out[0] = the arena's value * w[0]"""
    f = module.function("nap", [PTR])
    x, w, out, arena = pointers(f, 4)
    f.store(f.load(x, F32), arena)
    f.call("usleep", [f.const(20_000, I32)], I32)
    f.store(f.load(arena, F32) * f.load(w, F32), out)
    f.ret()


def write_fail(module: Module) -> None:
    """fail: frame = [x, w, out, arena, status]: status = 7 if x[0] < 0"""
    f = module.function("fail", [PTR])
    x, _, _, _, status = pointers(f, 5)
    negative = f.compare("olt", f.load(x, F32), f.const(0.0, F32))
    f.store(f.select(negative, f.const(7), f.const(0)), status)
    f.ret()


def write_look(module: Module) -> None:
    """look: frame = [x, w, out of 8 i64, constant 0, constant 1, arena]: out = the frame's first words"""
    f = module.function("look", [PTR])
    f.copy(f.load(f.params[0], PTR, 16), f.params[0], 64)
    f.ret()


@functools.cache
def code() -> jit.LoadedCode:
    module = Module()
    for write in (write_step, write_nap, write_fail, write_look):
        write(module)
    nothing = module.function("nothing", [PTR])
    nothing.ret()
    return jit.load_object(jit.compile_object(module.text(), Target.host()))


def floats(*values: float) -> np.ndarray[Any, Any]:
    return np.array(values, np.float32)


def counting() -> np.ndarray[Any, Any]:
    return np.arange(N, dtype=np.float32)


def step_spec(weight: object, **changes: Any) -> CallSpec:
    given = {
        "arguments": (InputSpec("x", F4, (N,)),),
        "states": (InputSpec("w", F4, (N,), written=True),),
        "state_objects": (weight,),
        "outputs": (OutputSpec(F4, (N,)),),
        "tensor_type": Box,
        "wrap": Box,
        "storage_slot": "_storage",
        "storage_type": Counter,
        "references": (code(),),
    }
    return CallSpec(**(given | changes))


def native(name: str, spec: CallSpec) -> Callable[..., Any]:
    call = make_call(code().address(name), spec)
    assert type(call).__name__ == "builtin_function_or_method", "the native call must work on this interpreter"
    return call


def careful(name: str, spec: CallSpec) -> Callable[..., Any]:
    return make_careful_call(code().address(name), spec)


def quick(name: str, spec: CallSpec) -> Callable[..., Any]:
    """The careful call that leaves what it laid out to the native one."""
    return make_careful_call(code().address(name), spec, native(name, spec))


BOTH = pytest.mark.parametrize("make", [native, careful])


def read_only(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    array.flags.writeable = False
    return array


def references(objects: list[object]) -> list[int]:
    return [sys.getrefcount(item) for item in objects]
