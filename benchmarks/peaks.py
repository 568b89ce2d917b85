"""What the machine can do at best: a loop of fused multiply-adds, a copy, and a sum that reads; all generated code."""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.registry import Case, Workload
from tinytorch.ir.types import f32
from tinytorch.runtime.llvm.text.builder import Module, Register
from tinytorch.runtime.llvm.text.jit import LoadedCode, compile_object, load_object
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import F32, I64, PTR

FMA_TRIPS = 1 << 21  # of the loop in one call: milliseconds, so that waking threads does not count
COPY_SECONDS_AT_LEAST = 1e-2
_SLOWEST_COPY = 40e9  # bytes/s, read + written: only fixes how often a copy is repeated


@functools.cache
def _code() -> tuple[LoadedCode, int]:
    """The loaded functions `fma`, `copy` and `read`, and the flops of one trip of the loop in `fma`."""
    target = Target.host()
    module = Module(target.attributes)
    lanes = target.lanes(f32)
    # More chains than latency × ports of any core so far, and no spills.
    chains = 24 if target.vector_registers >= 32 else 12
    _write_fma(module, lanes, chains, target.has_fma)
    _write_copy(module, lanes)
    _write_read(module, lanes)
    return load_object(compile_object(module.text(), target)), 2 * chains * lanes


def _write_fma(module: Module, lanes: int, chains: int, fused: bool) -> None:
    """fma(out, trips): each chain is x ← x/2 + 1, which stays near 2."""
    f = module.function("fma", [PTR, I64])
    out, trips = f.params
    vec = F32.widen(lanes)
    half, one = f.const(0.5, vec), f.const(1.0, vec)
    starts = [f.const(1.0 + i / 64, vec) for i in range(chains)]

    def body(_: Register, *chain: Register) -> list[Register]:
        return [f.fma(x, half, one) if fused else x * half + one for x in chain]

    for position, x in enumerate(f.loop(trips, starts, body)):
        f.store(x, out, position * vec.bytes)
    f.ret()


def _write_copy(module: Module, lanes: int) -> None:
    """copy(target, source, bytes, repeats), with ordinary loads and stores; bytes in steps of four vectors."""
    f = module.function("copy", [PTR, PTR, I64, I64])
    target, source, size, repeats = f.params
    vec = F32.widen(lanes)

    def chunk(offset: Register) -> None:
        for part in range(4):
            at = offset + part * vec.bytes
            f.store(f.load(source, vec, at, align=vec.bytes), target, at, align=vec.bytes)

    def once(_: Register) -> None:
        f.loop(size, [], chunk, step=4 * vec.bytes)

    f.loop(repeats, [], once)
    f.ret()


def _write_read(module: Module, lanes: int) -> None:
    """read(out, source, bytes, repeats): sums of eight vectors at a time; bytes in steps of those."""
    f = module.function("read", [PTR, PTR, I64, I64])
    out, source, size, repeats = f.params
    vec, chains = F32.widen(lanes), 8

    def chunk(offset: Register, *sums: Register) -> list[Register]:
        return [x + f.load(source, vec, offset + i * vec.bytes, align=vec.bytes) for i, x in enumerate(sums)]

    def once(_: Register, *sums: Register) -> list[Register]:
        return f.loop(size, list(sums), chunk, step=chains * vec.bytes)

    for position, x in enumerate(f.loop(repeats, [f.const(0.0, vec)] * chains, once)):
        f.store(x, out, position * vec.bytes)
    f.ret()


def _aligned(size: int) -> NDArray[Any]:
    """`size` bytes, written to, so that they are there, and aligned for any vector."""
    raw = np.ones(size + 4096, np.uint8)
    return raw[-raw.ctypes.data % 4096 :][:size]


def _on_threads(calls: list[Callable[[], object]]) -> Callable[[], None]:
    """All calls at once, one thread each; ctypes lets go of the interpreter lock. Each thread keeps to a core of its
    own: after a pause, Linux lets two of them share one for longer than a turn lasts."""
    if len(calls) == 1:
        return lambda: (calls[0](), None)[1]
    cores = list(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else []

    def keep_to_core() -> None:
        if cores:
            os.sched_setaffinity(0, {cores.pop()})

    pool = ThreadPoolExecutor(len(calls), initializer=keep_to_core)

    def run() -> None:
        for future in [pool.submit(call) for call in calls]:
            future.result()

    return run


def fma_case(threads: int, flops: float) -> Case:
    """Runs at the machine's peak; counted in units of `flops`."""
    code, flops_per_trip = _code()
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(code.address("fma"))
    outs = [_aligned(4096) for _ in range(threads)]
    calls = [functools.partial(function, out.ctypes.data, FMA_TRIPS) for out in outs]
    done = flops_per_trip * FMA_TRIPS * threads
    keep = (code, outs)
    return Case(_on_threads(calls), lambda: {"alive": np.array(len(keep))}, units=done / flops)


def copy_case(threads: int, traffic: float) -> Case:
    """Copies arrays of half of `traffic` bytes, so that reading and writing make up all of it; the threads share it."""
    code, _ = _code()
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(
        code.address("copy")
    )
    share = int(traffic / 2 / threads) // 256 * 256
    repeats = max(1, round(COPY_SECONDS_AT_LEAST * _SLOWEST_COPY / traffic))
    source, target = _aligned(share * threads), _aligned(share * threads)
    calls = [
        functools.partial(function, target.ctypes.data + i * share, source.ctypes.data + i * share, share, repeats)
        for i in range(threads)
    ]
    keep = (code, source, target)
    return Case(_on_threads(calls), lambda: {"alive": np.array(len(keep))}, units=repeats)


def read_case(threads: int, traffic: float) -> Case:
    """Reads `traffic` bytes, of which each thread has a share of its own."""
    code, _ = _code()
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(
        code.address("read")
    )
    share = int(traffic / threads) // 512 * 512
    repeats = max(1, round(COPY_SECONDS_AT_LEAST * _SLOWEST_COPY / traffic))
    source = _aligned(share * threads)
    source.view(np.float32)[:] = 1.0
    outs = [_aligned(4096) for _ in range(threads)]
    calls = [
        functools.partial(function, out.ctypes.data, source.ctypes.data + i * share, share, repeats)
        for i, out in enumerate(outs)
    ]
    keep = (code, source, outs)
    return Case(_on_threads(calls), lambda: {"alive": np.array(len(keep))}, units=repeats)


def limit_case(workload: Workload, threads: int) -> Case:
    """The fastest that this machine could do the workload's arithmetic, or its memory traffic."""
    if workload.limit == "fma":
        return fma_case(threads, workload.flops)
    return (copy_case if workload.limit == "copy" else read_case)(threads, workload.bytes)
