"""The worker pool: every chunk once, whatever threads, forks, nesting and exits do around it."""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from tinytorch.runtime import thread_count
from tinytorch.runtime.llvm.text import jit
from tinytorch.runtime.llvm.text.builder import Function, Module, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I32, I64, PTR
from tinytorch.runtime.llvm.threads import pool
from tinytorch.runtime.llvm.threads.code import pool_text
from tinytorch.runtime.llvm.threads.pool import Pool

FUTEX = Target.host()
NO_FUTEX = dataclasses.replace(FUTEX, triple=FUTEX.triple.replace("linux-gnu", "freebsd"))
SYSTEMS = pytest.mark.parametrize("target", [FUTEX, NO_FUTEX], ids=["futex", "no-futex"])


def resize(p: Pool, num_threads: int) -> None:
    """As `set_num_threads` has the pool of the process follow."""
    number = next(thread_count.requests)
    thread_count.unbroken(lambda: p.fulfil(num_threads, number))


def write_count(module: Module) -> Function:
    """count(counters, i): counters[i] += 1"""
    f = module.function("count", [PTR, I64])
    f.atomic_rmw("add", f.at(f.params[0], f.params[1] * 8), f.const(1))
    f.ret()
    return f


def write_meet(module: Module) -> None:
    """meet(arrivals, i): wait, but not for ever, until two chunks are being run; then arrivals[1 + i] = 1"""
    f = module.function("meet", [PTR, I64])
    arrivals, i = f.params
    f.atomic_rmw("add", arrivals, f.const(1))

    def alone(turns: Register) -> Register:
        return f.compare("slt", f.atomic_load(arrivals, I64), f.const(2)) & f.compare("slt", turns, f.const(1_000_000))

    def let_others_run(turns: Register) -> list[Register]:
        f.call("sched_yield", [], I32)
        return [turns + 1]

    f.while_([f.const(0)], alone, let_others_run)
    met = f.compare("sge", f.atomic_load(arrivals, I64), f.const(2))
    f.store(f.convert("zext", met, I64), arrivals, i * 8 + 8)
    f.ret()


def write_nested(module: Module, count: Function) -> None:
    """nested(frame = [pool, tt_parallel_for, counters …], i): launches 5 chunks of `count` from within a chunk"""
    f = module.function("nested", [PTR, I64])
    frame = f.params[0]
    args = [f.load(frame, PTR), f.address(count.name), f.at(frame, 16), f.const(5)]
    f.call_pointer(f.load(frame, PTR, 8), args)
    f.ret()


def write_nap(module: Module) -> None:
    """nap(counters, i): counters[i] += 1, chunks but the first after 300 µs"""
    f = module.function("nap", [PTR, I64])
    f.if_(f.compare("ne", f.params[1], f.const(0)), lambda: (f.call("usleep", [f.const(300, I32)], I32), None)[1])
    f.atomic_rmw("add", f.at(f.params[0], f.params[1] * 8), f.const(1))
    f.ret()


def write_interrupted(module: Module, count: Function) -> None:
    """interrupted(frame = [pool, tt_parallel_for, counters …], i): a signal comes, and then a launch of 5 chunks"""
    f = module.function("interrupted", [PTR, I64])
    frame = f.params[0]
    f.call("raise", [f.const(signal.SIGINT, I32)], I32)
    args = [f.load(frame, PTR), f.address(count.name), f.at(frame, 16), f.const(5)]
    f.call_pointer(f.load(frame, PTR, 8), args)
    f.ret()


@functools.cache
def chunk_functions() -> tuple[jit.LoadedCode, dict[str, int]]:
    """The addresses are looked up once."""
    module = Module()
    count = write_count(module)
    write_nested(module, count)
    write_interrupted(module, count)
    write_meet(module)
    write_nap(module)
    code = jit.load_object(jit.compile_object(module.text(), FUTEX))
    return code, {f.name: code.address(f.name) for f in module.functions}


def chunk(name: str) -> int:
    return chunk_functions()[1][name]


def count_once(p: Pool, chunks: int) -> None:
    """One launch; every chunk has run exactly once."""
    counters = np.zeros(max(chunks, 0) + 1, np.int64)
    p.run(chunk("count"), counters.ctypes.data, chunks)
    assert counters[:-1].tolist() == [1] * max(chunks, 0)
    assert counters[-1] == 0


@pytest.fixture
def two(target: Target) -> Iterator[Pool]:
    p = Pool(2, target)
    yield p
    p.close()


@SYSTEMS
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_every_chunk_once(target: Target, threads: int) -> None:
    p = Pool(threads, target)
    for chunks in (0, 1, -3, 2, 3, 7, 64, 1000):
        count_once(p, chunks)
    assert p.num_workers == threads - 1
    resize(p, 2)
    p.close()
    count_once(p, 10)
    assert p.num_workers == 0
    assert not any(type(thread) is threading._DummyThread for thread in threading.enumerate())


@SYSTEMS
def test_workers_start_with_the_first_launch(two: Pool) -> None:
    assert two.num_workers == 0
    count_once(two, 1)
    assert two.num_workers == 0
    count_once(two, 2)
    assert two.num_workers == 1


@SYSTEMS
def test_chunks_run_at_the_same_time(two: Pool) -> None:
    arrivals = np.zeros(3, np.int64)
    two.run(chunk("meet"), arrivals.ctypes.data, 2)
    assert arrivals.tolist() == [2, 1, 1]


@SYSTEMS
def test_stress(two: Pool) -> None:
    counters = np.zeros(64, np.int64)
    expected = np.zeros(64, np.int64)
    for turn in range(4000):
        two.run(chunk("count"), counters.ctypes.data, turn % 17)
        expected[: turn % 17] += 1
    assert counters.tolist() == expected.tolist()


@SYSTEMS
def test_sleeping_workers_wake(two: Pool) -> None:
    for _ in range(30):
        arrivals = np.zeros(3, np.int64)
        time.sleep(0.001)  # far beyond the spin
        two.run(chunk("meet"), arrivals.ctypes.data, 2)
        assert arrivals.tolist() == [2, 1, 1]


@SYSTEMS
def test_caller_sleeps_while_a_worker_is_busy(two: Pool) -> None:
    counters = np.zeros(2, np.int64)
    for _ in range(30):
        two.run(chunk("nap"), counters.ctypes.data, 2)
    assert counters.tolist() == [30, 30]


@SYSTEMS
def test_nested_launch_runs_alone(two: Pool) -> None:
    frame = np.zeros(7, np.int64)
    frame[:2] = two.address, two.launch_address
    for _ in range(200):
        two.run(chunk("nested"), frame.ctypes.data, 8)
    assert frame[2:].tolist() == [1600] * 5


@SYSTEMS
def test_a_signal_while_workers_start_or_wake_is_raised(two: Pool) -> None:
    """It comes in machine code, which then calls into Python: from there it could go nowhere."""
    frame = np.zeros(7, np.int64)
    frame[:2] = two.address, two.launch_address
    run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(chunk("interrupted"))
    for turn in range(1, 4):
        with pytest.raises(KeyboardInterrupt):
            run(frame.ctypes.data, 0)
        assert frame[2:].tolist() == [turn] * 5
        assert two.num_workers == 1
        time.sleep(0.002)  # so that the worker sleeps


@SYSTEMS
def test_a_signal_while_workers_stop_leaves_none_behind(two: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    count_once(two, 20)
    stop = two._stop_workers

    def interrupt() -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        time.sleep(0.05)
        stop()

    monkeypatch.setattr(two, "_stop_workers", interrupt)
    with pytest.raises(KeyboardInterrupt):
        resize(two, 3)
        time.sleep(60)
    assert two.num_workers == 1
    while two.num_threads != 3:  # the work goes on behind
        time.sleep(0.001)
    count_once(two, 20)
    assert (two.num_threads, two.num_workers) == (3, 2)


def launch_many(p: Pool, launches: int, totals: list[int]) -> None:
    counters = np.zeros(9, np.int64)
    for _ in range(launches):
        p.run(chunk("count"), counters.ctypes.data, 9)
    totals.append(int(counters.min()) if counters.min() == counters.max() else -1)


@SYSTEMS
def test_callers_on_several_threads(two: Pool) -> None:
    totals: list[int] = []
    callers = [threading.Thread(target=launch_many, args=(two, 1500, totals)) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert totals == [1500] * 3


@SYSTEMS
def test_resize_during_launches(two: Pool) -> None:
    totals: list[int] = []
    caller = threading.Thread(target=launch_many, args=(two, 4000, totals))
    caller.start()
    turn = 0
    while caller.is_alive():
        turn += 1
        resize(two, turn % 4 + 1)
        time.sleep(0.0005)
    caller.join()
    assert totals == [4000]
    resize(two, 3)
    count_once(two, 50)
    assert (two.num_threads, two.num_workers) == (3, 2)


def in_child(check: str, two: Pool) -> int:
    """The exit status of a forked child that used the pool: 0 if all was well."""
    pid = os.fork()
    if pid == 0:
        try:
            assert two.num_workers == 0
            count_once(two, 40)
            count_once(two, 41)
            assert two.num_workers == 1
            assert get_threads_after_fork() == check
            two.close()
            os._exit(0)
        except BaseException:  # a child must not return into pytest
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.fixture(autouse=True)
def compiled() -> None:
    chunk_functions()


def get_threads_after_fork() -> str:
    return str(thread_count.get_num_threads())


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
forks_with_threads = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")


@needs_fork
@forks_with_threads
@SYSTEMS
def test_forked_child_starts_its_own_workers(two: Pool) -> None:
    threads = get_threads_after_fork()
    for _ in range(5):
        count_once(two, 40)
        assert in_child(threads, two) == 0
    count_once(two, 40)
    assert two.num_workers == 1


@needs_fork
@forks_with_threads
@SYSTEMS
def test_fork_in_the_middle_of_another_launch(two: Pool) -> None:
    threads = get_threads_after_fork()
    totals: list[int] = []
    caller = threading.Thread(target=launch_many, args=(two, 20_000, totals))
    caller.start()
    statuses = [in_child(threads, two) for _ in range(5)]
    caller.join()
    assert statuses == [0] * 5
    assert totals == [20_000]


EXIT = """
import atexit, ctypes, sys, threading, time
from tinytorch.runtime import thread_count
from tinytorch.runtime.llvm.text import jit
from tinytorch.runtime.llvm.threads import pool
from tinytorch.runtime.llvm.text.builder import Module
from tinytorch.runtime.llvm.text.types import I64, PTR
from tinytorch.runtime.llvm.text.target import Target

module = Module()
f = module.function("nothing", [PTR, I64])
f.ret()
code = jit.load_object(jit.compile_object(module.text(), Target.host()))
nothing = code.address("nothing")
thread_count.set_num_threads(3)
shared = pool.shared_pool()
shared.run(nothing, 0, 100)
assert shared.num_workers == 2

def launch_for_ever():
    while True:
        shared.run(nothing, 0, 100)

def late():
    shared.run(nothing, 0, 100)
    print("late launch done")

how = sys.argv[1]
if how == "without-atexit":
    atexit.unregister(pool._close_all)
elif how == "busy":
    threading.Thread(target=launch_for_ever, daemon=True).start()
    time.sleep(0.02)
elif how == "late":
    atexit.unregister(pool._close_all)
    atexit.register(late)
    atexit.register(pool._close_all)
elif how == "asleep":
    time.sleep(0.02)
print("leaving")
"""


@pytest.mark.parametrize("how", ["plain", "without-atexit", "busy", "late", "asleep"])
def test_interpreter_exit(how: str) -> None:
    done = subprocess.run([sys.executable, "-c", EXIT, how], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split("\n")[0] == "leaving"
    assert ("late launch done" in done.stdout) == (how == "late")


def run_with_env(value: str | None, code: str) -> subprocess.CompletedProcess[str]:
    env = {name: text for name, text in os.environ.items() if name != "TT_NUM_THREADS"}
    if value is not None:
        env["TT_NUM_THREADS"] = value
    code = "from tinytorch.runtime import thread_count; from tinytorch.runtime.llvm.threads import pool; " + code

    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=env)


def test_environment_sets_the_number() -> None:
    code = "print(thread_count.get_num_threads(), pool.shared_pool().num_threads)"
    assert run_with_env("3", code).stdout.split() == ["3", "3"]


@pytest.mark.parametrize("value", ["0", "-2", "two", "1.5", "100000", "²"])
def test_environment_errors_are_clear(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TT_NUM_THREADS", value)
    monkeypatch.setattr(thread_count, "_setting", type(thread_count._setting)())
    with pytest.raises(ValueError, match=rf"TT_NUM_THREADS must be a whole number from 1 to 1024, got .*{value}"):
        thread_count.get_num_threads()


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system has no CPU affinity")
def test_default_is_the_affinity() -> None:
    code = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); print(thread_count.get_num_threads())"
    assert run_with_env(None, code).stdout.split() == ["1"]
    assert run_with_env("", "print(thread_count.get_num_threads())").stdout.split() == [
        str(len(os.sched_getaffinity(0)))
    ]


def test_set_num_threads_reaches_the_shared_pool() -> None:
    before = thread_count.get_num_threads()
    try:
        for threads in (3, 1, 2):
            thread_count.set_num_threads(threads)
            assert thread_count.get_num_threads() == pool.shared_pool().num_threads == threads
            count_once(pool.shared_pool(), 20)
            assert pool.shared_pool().num_workers == threads - 1
    finally:
        thread_count.set_num_threads(before)


@pytest.mark.parametrize("bad", [0, -1, 1025, 2.0, "2", True, None])
def test_bad_numbers_of_threads(bad: object) -> None:
    before = thread_count.get_num_threads()
    with pytest.raises(ValueError, match="num_threads must be a whole number"):
        thread_count.set_num_threads(bad)  # type: ignore[arg-type]
    assert thread_count.get_num_threads() == before


def test_without_threads_callers_run_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    p = Pool(4)
    with pytest.warns(RuntimeWarning, match="1 of 4 threads: can't start new thread") as caught:
        count_once(p, 10)
        count_once(p, 10)
    assert len(caught) == 1
    assert p.num_workers == 0


def test_compiled_code_finds_the_shared_pool_by_name() -> None:
    shared = pool.shared_pool()
    module = Module()
    count = write_count(module)
    f = module.function("entry", [PTR, PTR, I64])
    p, counters, chunks = f.params
    f.call("tt_parallel_for", [p, f.address(count.name), counters, chunks])
    f.ret()
    code = jit.load_object(jit.compile_object(module.text(), FUTEX))
    entry = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(code.address("entry"))
    counters_ = np.zeros(12, np.int64)
    entry(shared.address, counters_.ctypes.data, 12)
    assert counters_.tolist() == [1] * 12


@pytest.mark.parametrize(
    "triple", ["aarch64-unknown-linux-gnu", "arm64-apple-darwin", "x86_64-pc-windows-msvc", "riscv64-unknown-linux-gnu"]
)
def test_other_systems_compile(triple: str) -> None:
    base = Target.named("neon")
    if "64-" in triple and not triple.startswith(("aarch64", "arm64")):
        base = dataclasses.replace(base, cpu="", features="")
    target = dataclasses.replace(base, triple=triple)
    assembly = jit.emit_assembly(pool_text(target), target)
    assert "tt_parallel_for" in assembly
    assert ("syscall" in assembly) == ("linux" in triple)
