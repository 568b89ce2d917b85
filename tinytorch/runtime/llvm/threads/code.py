"""The worker pool's machine code: claiming chunks, launching, and the life of a worker.

Memory order: a launch writes fn, frame and count before the ticket that a worker must have read to claim a chunk, and
sleepers are counted before they look at the word that a waker changes before it looks at the count, so no wake-up is
lost.
"""

from __future__ import annotations

from dataclasses import dataclass

from tinytorch.runtime.llvm.text.builder import Function, Module, Ordering, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I32, I64, PTR
from tinytorch.runtime.thread_count import MAX_THREADS

LAUNCH_SYMBOL = "tt_parallel_for"

# The pool's memory. What different threads write at different times has a cache line of its own.
_TICKET = 0  # i64: the launch's number << 32 | chunks not yet claimed
_DONE = 64  # i32: chunks finished
_CALLER_SLEEPS = 68  # i32
_FN = 128  # ptr
_FRAME = 136  # ptr
_COUNT = 144  # i64
EPOCH = 192  # i32: changes with every launch; idle workers watch it
STOP = 196  # i32
_SLEEPERS = 256  # i32: workers that need a wake-up call
_BUSY = 320  # i32: a launch owns the workers
WORKERS = 384  # i32: threads in the pool beside the caller
SPIN = 392  # i64: pauses in SPIN_SECONDS
START = 400  # ptr: Python function that begins to start the workers, null when there are none to start
WAKE = 408  # ptr: Python function that wakes a worker asleep in Python
AWAIT = 416  # ptr: Python function that calls tt_await without Python's lock
STARTING = 424  # i32: workers are being started
POOL_BYTES = 448

STOPPED = -1  # what the worker function returns when told to stop; otherwise the epoch it fell asleep in
_WAIT, _WAKE_UP = 128, 129  # FUTEX_WAIT and FUTEX_WAKE, both FUTEX_PRIVATE
_FUTEX_NUMBERS = {"x86_64": 202, "aarch64": 98, "riscv64": 98, "loongarch64": 98, "powerpc64le": 221, "s390x": 238}
# Hints that spin: x86 has one; on Arm an instruction barrier waits about as long, where `yield` is mostly a no-op.
_PAUSES: dict[str, tuple[str, int | None]] = {
    "x86_64": ("llvm.x86.sse2.pause", None),
    "aarch64": ("llvm.aarch64.isb", 15),
    "arm64": ("llvm.aarch64.isb", 15),
}
_MAX_CHUNKS = (1 << 31) - 1
_MAX_TURNS = 1 << 22  # of other threads, some seconds, while workers start: the launch can do without them


@dataclass(frozen=True)
class _System:
    """How threads wait on a target: the futex's system call number if there is one, the spin hint, sched_yield."""

    futex: int | None
    pause: tuple[str, int | None] | None  # an intrinsic and its operand
    has_yield: bool

    @staticmethod
    def of(target: Target) -> _System:
        machine = target.triple.split("-")[0]
        futex = _FUTEX_NUMBERS.get(machine) if "linux" in target.triple else None
        return _System(futex, _PAUSES.get(machine), "windows" not in target.triple)


def has_futex(target: Target) -> bool:
    """Whether idle workers sleep in machine code; else `tt_worker` returns, and its caller sleeps."""
    return _System.of(target).futex is not None


class _ThreadPoolWriter:
    """One function of the pool being written; `pool` is its first parameter."""

    def __init__(self, system: _System, f: Function) -> None:
        self.system = system
        self.f = f
        self.pool = f.params[0]

    def field(self, offset: int) -> Register:
        return self.f.at(self.pool, offset)

    def read(self, offset: int) -> Register:
        """An i32 field."""
        return self.f.atomic_load(self.field(offset), I32, "seq_cst")

    def write(self, offset: int, value: int, ordering: Ordering = "seq_cst") -> None:
        self.f.atomic_store(self.f.const(value, I32), self.field(offset), ordering)

    def add(self, offset: int, value: Register | int) -> Register:
        """The old value of an i32 field that `value` is added to."""
        amount = value if isinstance(value, Register) else self.f.const(value, I32)
        return self.f.atomic_rmw("add", self.field(offset), amount, "seq_cst")

    def differs(self, value: Register, other: Register | int) -> Register:
        right = other if isinstance(other, Register) else self.f.const(other, value.type)
        return self.f.compare("ne", value, right)

    def pause(self) -> None:
        if self.system.pause is not None:
            name, operand = self.system.pause
            self.f.call(name, [] if operand is None else [self.f.const(operand, I32)])

    def let_others_run(self) -> None:
        if self.system.has_yield:
            self.f.call("sched_yield", [], I32)
        else:
            self.pause()

    def futex(self, offset: int, operation: int, value: Register) -> None:
        """Sleep while the field holds `value`, or wake at most `value` sleepers."""
        f = self.f
        null = f.op("inttoptr i64 0 to ptr", PTR)
        number, word = f.const(self.system.futex or 0), f.convert("zext", value, I64)
        f.call("syscall", [number, self.field(offset), f.const(operation), word, null, null, f.const(0)], I64)

    def spin_while(self, offset: int, differs_from: Register | None = None, equals: Register | None = None) -> None:
        """Pause until the field has another relation to the value, for a bounded time."""
        f = self.f
        limit = f.load(self.field(SPIN), I64)
        predicate, value = ("ne", differs_from) if differs_from is not None else ("eq", equals)
        assert value is not None

        def waiting(spins: Register) -> Register:
            return f.compare(predicate, self.read(offset), value) & f.compare("ult", spins, limit)

        def once(spins: Register) -> list[Register]:
            self.pause()
            return [spins + 1]

        f.while_([f.const(0)], waiting, once)


def pool_text(target: Target) -> str:
    """LLVM text of the pool for the target's system: `tt_parallel_for`, `tt_worker` and what Python calls."""
    module = Module(target.attributes)
    write_pool(module, target)
    return module.text()


def write_pool(module: Module, target: Target) -> None:
    """Write the functions of the pool."""
    system = _System.of(target)
    drain = _write_drain(module, system)
    share = _write_share(module, system, drain)
    _write_parallel_for(module, share)
    _write_worker(module, system, drain)
    _write_stop(module, system)
    _write_spin(module, system)
    _write_await(module, system)


def _write_drain(module: Module, system: _System) -> Function:
    """drain(pool): claim chunks and run them until none is left to claim."""
    f = module.function("tt_drain", [PTR], internal=True, noinline=True)
    w = _ThreadPoolWriter(system, f)
    ticket_field = w.field(_TICKET)

    def unclaimed(ticket: Register) -> Register:
        return ticket & 0xFFFFFFFF

    def some_left(ticket: Register) -> Register:
        return w.differs(unclaimed(ticket), 0)

    def claim(ticket: Register) -> list[Register]:
        # Read before the swap: when the swap succeeds, no later launch can have replaced them.
        fn = f.atomic_load(w.field(_FN), PTR, "monotonic")
        frame = f.atomic_load(w.field(_FRAME), PTR, "monotonic")
        chunk = f.atomic_load(w.field(_COUNT), I64, "monotonic") - unclaimed(ticket)
        _, claimed = f.compare_exchange(ticket_field, ticket, ticket - 1)
        f.if_(claimed, lambda: run(fn, frame, chunk))
        return [f.atomic_load(ticket_field, I64)]

    def run(fn: Register, frame: Register, chunk: Register) -> None:
        f.call_pointer(fn, [frame, chunk])
        w.add(_DONE, 1)
        if system.futex is not None:
            f.if_(w.differs(w.read(_CALLER_SLEEPS), 0), lambda: w.futex(_DONE, _WAKE_UP, f.const(1, I32)))

    f.while_([f.atomic_load(ticket_field, I64)], some_left, claim)
    f.ret()
    return f


def _write_share(module: Module, system: _System, drain: Function) -> Function:
    """share(pool, fn, frame, count) -> 1 if the workers were free and the launch is done, else 0."""
    f = module.function("tt_share", [PTR, PTR, PTR, I64], I32, internal=True, noinline=True)
    w = _ThreadPoolWriter(system, f)
    _, fn, frame, count = f.params
    no, yes = f.const(0, I32), f.const(1, I32)
    f.if_(f.compare("eq", w.read(WORKERS), no), lambda: _write_start(w))

    def launch() -> list[Register]:
        wanted = f.convert("trunc", count, I32)
        f.atomic_store(fn, w.field(_FN), "monotonic")
        f.atomic_store(frame, w.field(_FRAME), "monotonic")
        f.atomic_store(count, w.field(_COUNT), "monotonic")
        w.write(_DONE, 0, "monotonic")
        ticket = w.field(_TICKET)
        number = (f.atomic_load(ticket, I64, "monotonic") >> 32) + 1
        f.atomic_store((number << 32) | count, ticket, "release")
        w.add(EPOCH, 1)
        f.if_(w.differs(w.read(_SLEEPERS), 0), lambda: _write_wake(w, wanted - 1))
        f.call(drain, [w.pool])
        w.spin_while(_DONE, differs_from=wanted)
        _write_wait_for_done(w, wanted)
        w.write(_BUSY, 0, "release")
        return [yes]

    def claim_workers() -> list[Register]:
        _, free = f.compare_exchange(w.field(_BUSY), no, yes)
        return f.if_(free, launch, lambda: [no])

    f.ret(f.if_(w.differs(w.read(WORKERS), no), claim_workers, lambda: [no])[0])
    return f


def _write_start(w: _ThreadPoolWriter) -> None:
    """Start the workers and wait for them, unless there are none to start or another caller does so."""
    f = w.f
    start = f.atomic_load(w.field(START), I64)

    def begin() -> None:
        w.write(STARTING, 1)
        f.call_pointer(f.convert("inttoptr", start, PTR), [])
        f.call_pointer(f.load(w.field(AWAIT), PTR), [])

    def take() -> None:
        _, taken = f.compare_exchange(w.field(START), start, f.const(0))
        f.if_(taken, begin)

    f.if_(w.differs(start, 0), take)


def _write_await(module: Module, system: _System) -> None:
    """tt_await(pool): wait, but not for ever, until workers are no longer being started."""
    f = module.function("tt_await", [PTR])
    w = _ThreadPoolWriter(system, f)

    def starting(turns: Register) -> Register:
        return w.differs(w.read(STARTING), 0) & f.compare("slt", turns, f.const(_MAX_TURNS))

    def once(turns: Register) -> list[Register]:
        w.let_others_run()
        return [turns + 1]

    f.while_([f.const(0)], starting, once)
    f.ret()


def _write_wake(w: _ThreadPoolWriter, limit: Register) -> None:
    """Wake at most `limit` sleeping workers."""
    f = w.f
    if w.system.futex is not None:
        w.futex(EPOCH, _WAKE_UP, limit)
        return
    sleepers = w.read(_SLEEPERS)
    few = f.compare("slt", sleepers, limit)
    count = f.if_(few, lambda: [sleepers], lambda: [limit])[0]
    wake = f.load(w.field(WAKE), PTR)

    def wake_one(_number: Register) -> None:
        f.call_pointer(wake, [])

    f.loop(f.convert("sext", count, I64), [], wake_one)


def _write_wait_for_done(w: _ThreadPoolWriter, wanted: Register) -> None:
    """The caller's wait after spinning: all that is left is a chunk that a worker is still running."""
    f = w.f

    def unfinished(done: Register) -> Register:
        return w.differs(done, wanted)

    def sleep(done: Register) -> list[Register]:
        w.futex(_DONE, _WAIT, done)
        return [w.read(_DONE)]

    def let_others_run(_done: Register) -> list[Register]:
        w.let_others_run()
        return [w.read(_DONE)]

    def wait() -> None:
        if w.system.futex is None:
            f.while_([w.read(_DONE)], unfinished, let_others_run)
            return
        w.write(_CALLER_SLEEPS, 1)
        f.while_([w.read(_DONE)], unfinished, sleep)
        w.write(_CALLER_SLEEPS, 0)

    f.if_(unfinished(w.read(_DONE)), wait)


def _write_parallel_for(module: Module, share: Function) -> None:
    """tt_parallel_for(pool, fn, frame, count): fn(frame, i) for i in 0 … count-1, in any order, on any thread."""
    f = module.function(LAUNCH_SYMBOL, [PTR, PTR, PTR, I64])
    pool, fn, frame, count = f.params
    several = f.compare("sgt", count, f.const(1)) & f.compare("sle", count, f.const(_MAX_CHUNKS))
    shared = f.if_(several, lambda: [f.call(share, [pool, fn, frame, count])], lambda: [f.const(0, I32)])[0]

    def run(chunk: Register) -> None:
        f.call_pointer(fn, [frame, chunk])

    def alone() -> None:
        f.loop(count, [], run)

    f.if_(f.compare("eq", shared, f.const(0, I32)), alone)
    f.ret()


def _write_worker(module: Module, system: _System, drain: Function) -> None:
    """tt_worker(pool, woken) -> STOPPED, or without a futex the epoch to sleep in; `woken` is 1 after such a sleep."""
    f = module.function("tt_worker", [PTR, I32], I64)
    w = _ThreadPoolWriter(system, f)
    going, stopped = f.const(-2), f.const(STOPPED)
    w.add(_SLEEPERS, f.const(0, I32) - f.params[1])

    def sleep(epoch: Register) -> list[Register]:
        w.add(_SLEEPERS, 1)
        if system.futex is not None:
            w.futex(EPOCH, _WAIT, epoch)
            w.add(_SLEEPERS, -1)
            return [going]
        return f.if_(w.differs(w.read(EPOCH), epoch), awake, lambda: [f.convert("zext", epoch, I64)])

    def awake() -> list[Register]:
        w.add(_SLEEPERS, -1)
        return [going]

    def idle(epoch: Register) -> list[Register]:
        w.spin_while(EPOCH, equals=epoch)
        return f.if_(w.differs(w.read(EPOCH), epoch), lambda: [going], lambda: sleep(epoch))

    def turn(_state: Register) -> list[Register]:
        epoch = w.read(EPOCH)
        f.call(drain, [w.pool])
        return f.if_(w.differs(w.read(STOP), 0), lambda: [stopped], lambda: idle(epoch))

    def is_going(state: Register) -> Register:
        return f.compare("eq", state, going)

    f.ret(f.while_([going], is_going, turn)[0])


def _write_stop(module: Module, system: _System) -> None:
    """tt_stop(pool): tell all workers to return."""
    f = module.function("tt_stop", [PTR])
    w = _ThreadPoolWriter(system, f)
    w.write(STOP, 1)
    w.add(EPOCH, 1)
    _write_wake(w, f.const(MAX_THREADS, I32))
    f.ret()


def _write_spin(module: Module, system: _System) -> None:
    """tt_spin(pool): spin for as long as the pool would, on a field that does not change."""
    f = module.function("tt_spin", [PTR])
    w = _ThreadPoolWriter(system, f)
    w.spin_while(STOP, equals=w.read(STOP))
    f.ret()
