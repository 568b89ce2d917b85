"""The functions that C calls, in machine code; `header` declares them.

    int PREFIX_run(inputs…, outputs…, [state,] workspace, threads)
    PREFIX_threads *PREFIX_start_threads(int count);  void PREFIX_stop_threads(PREFIX_threads *)
    void PREFIX_init_state(void *state);  const char *PREFIX_message(int status)

A pool of threads is the memory that `threads.code` describes, and behind it the threads' handles. Who passes none runs
on a pool of no workers, in which every chunk is the caller's.
"""

from __future__ import annotations

from collections.abc import Sequence

from tinytorch.runtime.ahead import Interface
from tinytorch.runtime.arena import ALIGNMENT
from tinytorch.runtime.llvm.ahead.memory import MAX_THREADS, Packed, Workspace
from tinytorch.runtime.llvm.text.builder import Function, Module, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I1, I32, I64, PTR
from tinytorch.runtime.llvm.threads.code import EPOCH, POOL_BYTES, SPIN, STOPPED, WAKE, WORKERS, has_futex

OK, NULL, NO_MEMORY, MISALIGNED, BROKEN = range(5)  # what PREFIX_run returns
NAMES = ("OK", "NULL", "NO_MEMORY", "MISALIGNED", "INDEX")  # in C
FUNCTIONS = ("run", "start_threads", "stop_threads", "init_state", "message")  # behind the prefix
DATA = "data"  # the object's constants, behind a marker
MARKER_BYTES = ALIGNMENT
_ALONE = "alone"  # a pool without workers, which is only read
_HANDLES = POOL_BYTES  # where in a pool those of its threads begin
_POOL_BYTES = POOL_BYTES + 8 * MAX_THREADS
_SPIN_NANOSECONDS = 30_000  # of an idle worker, as in `threads.pool`
_FIRST_SPINS = 500
_NAP = 50  # microseconds: how long workers sleep where the system has no futex


def messages(checks: Sequence[str]) -> tuple[str, ...]:
    """What each status means; `checks` are the lines whose indices are looked at."""
    where = " or ".join(dict.fromkeys(checks))
    return (
        "no error",
        "a pointer is null",
        "there is no memory for the workspace",
        f"the workspace is not aligned to {ALIGNMENT} bytes",
        "an index is out of range" + (f", at {where}" if where else "") + "; state is as it was",
    )


def write_interface(
    module: Module,
    interface: Interface,
    entry: str,
    constants: Packed,
    workspace: Workspace,
    checks: Sequence[str],
    target: Target,
) -> None:
    """Write the functions, of which those with the prefix alone are seen outside of the object."""
    prefix = interface.prefix
    module.constant(_ALONE, f"[{POOL_BYTES} x i8] zeroinitializer, align {ALIGNMENT}")
    _write_run(module, interface, entry, constants, workspace)
    _write_start(module, f"{prefix}_start_threads", _write_worker(module, target), target)
    _write_stop(module, f"{prefix}_stop_threads")
    _write_message(module, f"{prefix}_message", messages(checks))
    if interface.state:
        _write_init(module, interface, constants)
    module.hide_all_but([f"{prefix}_{name}" for name in FUNCTIONS])


def data_text(marker: str, size: int) -> str:
    """The object's data: a marker to find them by, and room, which LLVM must not take for the zeros that it holds."""
    types = f"[{MARKER_BYTES} x i8], [{size} x i8]"
    values = f'[{MARKER_BYTES} x i8] c"{marker}", [{size} x i8] zeroinitializer'
    kind = "internal externally_initialized constant"
    return f"@{DATA} = {kind} <{{ {types} }}> <{{ {values} }}>, align {ALIGNMENT}"


def _null(f: Function) -> Register:
    return Register("null", PTR, f)


def _is_null(f: Function, pointer: Register) -> Register:
    return f.compare("eq", pointer, _null(f))


def _status(f: Function, status: int) -> Register:
    return f.const(status, I32)


# Running.
def _write_run(module: Module, interface: Interface, entry: str, constants: Packed, workspace: Workspace) -> None:
    count = len(interface.inputs) + len(interface.outputs) + bool(interface.state)
    f = module.function(f"{interface.prefix}_run", [PTR] * (count + 2), I32)
    *arrays, given, threads = f.params
    passed = (*interface.inputs, *interface.outputs, *interface.state[:1])  # the last stands for all of the state
    needed = [pointer for pointer, array in zip(arrays, passed, strict=True) if array.type.bytes]
    missing = f.const(0, I1)
    for pointer in needed:
        missing = missing | _is_null(f, pointer)

    own = _is_null(f, given)
    memory = f.if_(own, lambda: [_new(f, _size(f, threads, workspace))], lambda: [given])[0]

    def run() -> list[Register]:
        inputs, outputs = arrays[: len(interface.inputs)], arrays[len(interface.inputs) :][: len(interface.outputs)]
        state = [f.at(arrays[-1], offset) for offset in Packed.of([p.type for p in interface.state]).offsets]
        pool = f.select(_is_null(f, threads), f.address(_ALONE), threads)
        data = [f.at(f.address(DATA), MARKER_BYTES + offset) for offset in constants.offsets]
        broken = f.alloca(8, 8)
        f.store(f.const(0), broken)
        words = [*inputs, *state, *outputs, pool, *data, memory, broken]
        frame = f.alloca(8 * len(words))
        for i, word in enumerate(words):
            f.store(word, frame, 8 * i)
        f.call(entry, [frame])
        return [f.select(f.compare("ne", f.load(broken, I64), f.const(0)), _status(f, BROKEN), _status(f, OK))]

    def in_memory() -> list[Register]:
        rest = f.convert("ptrtoint", memory, I64) & (ALIGNMENT - 1)
        return f.if_(f.compare("eq", rest, f.const(0)), run, lambda: [_status(f, MISALIGNED)])

    def with_memory() -> list[Register]:
        return f.if_(_is_null(f, memory), lambda: [_status(f, NO_MEMORY)], in_memory)

    status = f.if_(missing, lambda: [_status(f, NULL)], with_memory)[0]
    f.if_(own, lambda: _free(f, memory))
    f.ret(status)


def _new(f: Function, size: Register) -> Register:
    return f.call("aligned_alloc", [f.const(ALIGNMENT), size], PTR)


def _free(f: Function, memory: Register) -> None:
    f.call("free", [memory])


def _size(f: Function, threads: Register, workspace: Workspace) -> Register:
    """The bytes of a workspace for as many threads as the pool has."""
    workers = f.if_(_is_null(f, threads), lambda: [f.const(0, I32)], lambda: [f.load(threads, I32, WORKERS)])[0]
    return (f.convert("zext", workers, I64) + 1) * workspace.each + workspace.base


def _write_init(module: Module, interface: Interface, constants: Packed) -> None:
    """Its first values lie behind the constants, as they do in the caller's buffer."""
    f = module.function(f"{interface.prefix}_init_state", [PTR])
    size = Packed.of([p.type for p in interface.state]).bytes
    f.copy(f.params[0], f.at(f.address(DATA), MARKER_BYTES + constants.bytes), size)
    f.ret()


def _write_message(module: Module, name: str, texts: Sequence[str]) -> None:
    f = module.function(name, [I32], PTR)
    known = [_string(module, f, f"text{i}", text) for i, text in enumerate(texts)]
    found = _string(module, f, "unknown_text", "there is no such status")
    for status, text in enumerate(known):
        found = f.select(f.compare("eq", f.params[0], _status(f, status)), text, found)
    f.ret(found)


def _string(module: Module, f: Function, name: str, text: str) -> Register:
    data = text.encode() + b"\0"
    escaped = "".join(rf"\{byte:02X}" for byte in data)
    module.constant(name, f'[{len(data)} x i8] c"{escaped}"')
    return f.address(name)


# Threads.
def _write_worker(module: Module, target: Target) -> Function:
    """`void *worker(void *pool)`: a worker's life, for pthread_create."""
    f = module.function("worker", [PTR], PTR)
    (pool,) = f.params
    state = f.call("tt_worker", [pool, f.const(0, I32)], I64)
    if not has_futex(target):
        f.while_([state], lambda state: f.compare("ne", state, f.const(STOPPED)), lambda state: [_nap(f, pool, state)])
    f.ret(_null(f))
    return f


def _nap(f: Function, pool: Register, state: Register) -> Register:
    """Sleep until the epoch is no longer the one that the worker fell asleep in, and go on."""
    epoch = f.convert("trunc", state, I32)
    zero = f.const(0, I32)

    def asleep(_slept: Register) -> Register:
        return f.compare("eq", f.atomic_load(f.at(pool, EPOCH), I32, "seq_cst"), epoch)

    f.while_([zero], asleep, lambda _slept: [f.call("usleep", [f.const(_NAP, I32)], I32)])
    return f.call("tt_worker", [pool, f.const(1, I32)], I64)


def _write_start(module: Module, name: str, worker: Function, target: Target) -> None:
    """The pool, or null where `count` is not 1 to MAX_THREADS, or the system has no memory or threads."""
    f = module.function(name, [I32], PTR)
    (count,) = f.params
    fits = f.compare("sge", count, f.const(1, I32)) & f.compare("sle", count, f.const(MAX_THREADS, I32))

    def start(pool: Register) -> Register:
        f.fill(pool, 0, _POOL_BYTES)
        if not has_futex(target):
            f.store(f.address(_write_nothing(module).name), pool, WAKE)
        _calibrate(f, pool, target)
        wanted = f.convert("zext", count, I64) - 1

        def going(made: Register, failed: Register) -> Register:
            return f.compare("slt", made, wanted) & f.compare("eq", failed, f.const(0, I32))

        def make(made: Register, _failed: Register) -> list[Register]:
            handle = f.at(pool, made * 8 + _HANDLES)
            failed = f.call("pthread_create", [handle, _null(f), f.address(worker.name), pool], I32)
            return [f.select(f.compare("eq", failed, f.const(0, I32)), made + 1, made), failed]

        made, _ = f.while_([f.const(0), f.const(0, I32)], going, make)
        f.atomic_store(f.convert("trunc", made, I32), f.at(pool, WORKERS), "seq_cst")

        def give_up() -> list[Register]:
            f.call("stop", [pool])
            return [_null(f)]

        return f.if_(f.compare("eq", made, wanted), lambda: [pool], give_up)[0]

    def in_memory() -> list[Register]:
        pool = _new(f, f.const(_POOL_BYTES))
        return f.if_(_is_null(f, pool), lambda: [_null(f)], lambda: [start(pool)])

    f.ret(f.if_(fits, in_memory, lambda: [_null(f)])[0])


def _write_nothing(module: Module) -> Function:
    f = module.function("nothing", [])
    f.ret()
    return f


def _calibrate(f: Function, pool: Register, target: Target) -> None:
    """Set how often an idle worker looks before it sleeps, by the clock: processors pause for different times."""
    monotonic = f.const(6 if "apple" in target.triple else 1, I32)
    clock = f.alloca(16, 8)

    def now() -> Register:
        f.call("clock_gettime", [monotonic, clock], I32)
        return f.load(clock, I64) * 1_000_000_000 + f.load(clock, I64, 8)

    f.store(f.const(_FIRST_SPINS), pool, SPIN)

    def measure(_turn: Register, best: Register) -> list[Register]:
        before = now()
        f.call("tt_spin", [pool])
        taken = now() - before
        return [f.select(f.compare("slt", taken, best), taken, best)]

    best = f.loop(4, [f.const(1 << 40)], measure)[0]
    best = f.select(f.compare("sgt", best, f.const(1)), best, f.const(1))
    spins = f.const(_FIRST_SPINS * _SPIN_NANOSECONDS) // best
    f.store(f.select(f.compare("sgt", spins, f.const(1)), spins, f.const(1)), pool, SPIN)


def _write_stop(module: Module, name: str) -> None:
    """End the threads of a pool and give its memory back; null is none."""
    inner = module.function("stop", [PTR], noinline=True)
    (pool,) = inner.params
    workers = inner.convert("zext", inner.load(pool, I32, WORKERS), I64)
    inner.call("tt_stop", [pool])

    def join(number: Register) -> None:
        handle = inner.load(inner.at(pool, number * 8 + _HANDLES), I64)
        inner.call("pthread_join", [handle, _null(inner)], I32)

    inner.loop(workers, [], join)
    _free(inner, pool)
    inner.ret()
    f = module.function(name, [PTR])
    f.if_(f.compare("ne", f.params[0], _null(f)), lambda: _call_stop(f, inner))
    f.ret()


def _call_stop(f: Function, stop: Function) -> None:
    f.call(stop, [f.params[0]])
