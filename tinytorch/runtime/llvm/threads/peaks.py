"""What this machine can do at best, measured and kept: the rate of fused multiply-adds, and the bandwidth of a plain
copy of a working set of a given size. Both are generated loops that run on the threads of the pool."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import inf
from time import perf_counter, time
from typing import Any

import numpy as np

from tinytorch.ir.types import f32
from tinytorch.runtime import cache
from tinytorch.runtime.llvm.text import jit
from tinytorch.runtime.llvm.text.builder import Module, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import F32, I64, PTR
from tinytorch.runtime.llvm.threads.pool import Pool, shared_pool
from tinytorch.runtime.roofline import Peaks

WORKING_SETS = (16 << 10, 256 << 10, 4 << 20, 64 << 20)  # bytes, of all threads: the caches, then memory
_SECONDS = 5e-3  # of one measurement: starting the threads does not count
_ROUNDS = 4  # the best one counts
_MEASUREMENTS = 4  # by processes of their own, before what they found is taken for the machine's best
_LASTS = 24 * 3600.0  # seconds after which one more is made
_ARGUMENTS = np.dtype([("buffers", np.uint64), ("bytes", np.int64), ("repeats", np.int64)])


def peaks(again: bool = False) -> Peaks:
    """The peaks of this machine with the threads that are set; kept in the cache of compiled code.

    The machine may have been busy, and its clock low, so the better of several measurements counts: each of the first
    few processes that ask measures once more, and so does one on a later day. With `again` they are measured anyway.
    """
    pool, target = shared_pool(), Target.host()
    key = cache.key(cache.source_digest(), "peaks", target.key, str(pool.num_threads))
    known = _here.get(key) or _stored(key)
    if again or (key not in _here and not known.is_settled):
        rates = _measure(pool, target)["rates"]
        known = _Record(tuple(map(max, known.rates or rates, rates)), known.count + 1, time())
        cache.store(key, cache.Entry(asdict(known), b""))
    _here[key] = known
    return _peaks(pool, known.rates)


def peaks_now() -> Peaks:
    """The same as they are now, not kept: a run is held against the clock of its own hour."""
    pool = shared_pool()
    return _peaks(pool, _measure(pool, Target.host())["rates"])


def _peaks(pool: Pool, rates: Sequence[float]) -> Peaks:
    return Peaks(pool.num_threads, rates[0], tuple(zip(WORKING_SETS, rates[1:], strict=True)))


@dataclass(frozen=True)
class _Record:
    """The best rates of `count` measurements, the last of them at `last`, in seconds of the system's clock."""

    rates: tuple[float, ...] = ()
    count: int = 0
    last: float = 0.0

    @property
    def is_settled(self) -> bool:
        return self.count >= _MEASUREMENTS and 0 <= time() - self.last < _LASTS


_here: dict[str, _Record] = {}  # what this process has looked up


def _stored(key: str) -> _Record:
    """What the cache holds; nothing where that is none of these."""
    entry = cache.load(key)
    if entry is None:
        return _Record()
    try:
        rates = tuple(float(rate) for rate in entry.metadata["rates"])
        found = _Record(rates, int(entry.metadata["count"]), float(entry.metadata["last"]))
    except (LookupError, TypeError, ValueError):
        return _Record()
    return found if len(rates) == 1 + len(WORKING_SETS) and all(0 < rate < inf for rate in rates) else _Record()


def _measure(pool: Pool, target: Target) -> dict[str, Any]:
    module = Module(target.attributes)
    # More chains than latency × ports of any core so far, and no spills.
    chains = 24 if target.vector_registers >= 32 else 12
    _write_fma(module, target, chains)
    _write_copy(module, target)
    code = jit.load_object(jit.compile_object(module.text(), target))
    per_trip = 2 * chains * target.lanes(f32) * pool.num_threads
    rate = _rate(pool, code.address("peak_fma"), 0)
    copies = [2 * _rate(pool, code.address("peak_copy"), size) for size in WORKING_SETS]
    return {"rates": [rate * per_trip, *copies]}


def _rate(pool: Pool, function: int, working_set: int) -> float:
    """Trips per second of the fused multiply-adds, or bytes copied per second by all threads together."""
    threads = pool.num_threads
    share = max(working_set // 2 // threads // 4096, 1) * 4096 if working_set else 0  # the other half is the target
    buffers = np.ones(2 * share * threads + 8192, np.uint8)  # written to, so that they are there
    start = -(-buffers.ctypes.data // 4096) * 4096
    arguments = np.array([(start, share, 1)], _ARGUMENTS)
    unit = share * threads or 1

    def run(repeats: int) -> float:
        arguments["repeats"] = repeats
        before = perf_counter()
        pool.run(function, arguments.ctypes.data, threads)
        return perf_counter() - before

    run(1)  # starts the threads
    repeats = 1
    while run(repeats) < _SECONDS or run(repeats) < _SECONDS:  # twice: the first may have waited for a thread
        repeats *= 2
    return repeats * unit / min(run(repeats) for _ in range(_ROUNDS))


def _arguments(module: Module, name: str) -> tuple[Any, Register, Register, Register, Register]:
    """A chunk function and its buffers, bytes, repeats and chunk number."""
    f = module.function(name, [PTR, I64])
    frame, chunk = f.params
    return f, f.load(frame, PTR), f.load(frame, I64, 8), f.load(frame, I64, 16), chunk


def _write_fma(module: Module, target: Target, chains: int) -> None:
    """peak_fma(frame, chunk): each chain is x ← x/2 + 1, which stays near 2."""
    f, buffers, _, repeats, chunk = _arguments(module, "peak_fma")
    vec = F32.widen(target.lanes(f32))
    half, one = f.const(0.5, vec), f.const(1.0, vec)
    starts = [f.const(1.0 + i / 64, vec) for i in range(chains)]

    def body(_: Register, *chain: Register) -> list[Register]:
        return [f.fma(x, half, one) if target.has_fma else x * half + one for x in chain]

    results = f.loop(repeats, starts, body)
    total = results[0]
    for x in results[1:]:
        total = total + x
    f.store(total, f.at(buffers, chunk * vec.bytes))
    f.ret()


def _write_copy(module: Module, target: Target) -> None:
    """peak_copy(frame, chunk): copies bytes from one half of this chunk's buffer to the other, with ordinary loads
    and stores."""
    f, buffers, size, repeats, chunk = _arguments(module, "peak_copy")
    vec = F32.widen(target.lanes(f32))
    source = f.at(buffers, chunk * size * 2)
    goal = f.at(source, size)

    def step(offset: Register) -> None:
        for part in range(4):
            at = offset + part * vec.bytes
            f.store(f.load(source, vec, at, align=vec.bytes), goal, at, align=vec.bytes)

    def once(_: Register) -> None:
        f.loop(size, [], step, step=4 * vec.bytes)

    f.loop(repeats, [], once)
    f.ret()
