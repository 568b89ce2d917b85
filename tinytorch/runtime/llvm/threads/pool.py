"""The worker pool: threads parked in machine code, so that a kernel is split in a fraction of a microsecond.

A launch publishes (fn, frame, count) and a *ticket* holding how many chunks nobody has claimed yet. The caller and the
workers claim chunks from it by compare-and-swap, so the caller never waits for a worker that the system has not
scheduled, only for chunks that are being run. Who finds nothing to do spins for some `SPIN_SECONDS`, then sleeps: in a
futex where Linux has one, else in Python.

The rules that keep it safe:
- One launch at a time owns the workers. A second caller, or a chunk that launches in turn, runs its chunks alone.
- Workers start with the first launch that wants them, by a call from machine code back into Python.
- What machine code calls in Python runs no Python code in the thread that launches: that may be the main thread, in
  which Python handles signals between any two instructions, and an exception could go nowhere from there. A thread of
  its own starts the workers. For the same reason another thread changes the number of workers.
- A forked child has the memory of the pool and none of its threads: the memory is reset there, and the child's first
  launch starts workers of its own.
- A worker's Python frame keeps the pool alive, code and memory included, even in an interpreter that is shutting down.
"""

from __future__ import annotations

import _thread
import atexit
import ctypes
import functools
import threading
import time
import weakref
from queue import SimpleQueue

from tinytorch.ir.loc import warn
from tinytorch.ir.system import locks
from tinytorch.runtime import cache
from tinytorch.runtime.arena import aligned
from tinytorch.runtime.llvm.text import jit, library
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.threads import code
from tinytorch.runtime.llvm.threads.code import LAUNCH_SYMBOL
from tinytorch.runtime.thread_count import (
    check_num_threads,
    follow_num_threads,
    get_num_threads,
)

SPIN_SECONDS = 30e-6

_Launch = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
_Worker = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_int)
_Signal = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_Callback = ctypes.CFUNCTYPE(None)


def _address_of(callback: object) -> int | None:
    return ctypes.cast(callback, ctypes.c_void_p).value  # pyright: ignore[reportArgumentType]


@functools.cache
def _code(target: Target) -> jit.LoadedCode:
    def compile_() -> cache.Entry:
        return cache.Entry({}, jit.compile_object(code.pool_text(target), target))

    return jit.load_object(cache.fetch(cache.key(cache.source_digest(), "pool", target.key), compile_).object_code)


class Pool:
    """A pool of `num_threads` threads, the caller being one of them. Most code wants the one of `shared_pool`.

    `address` and `launch_address` are what machine code needs: tt_parallel_for(ptr pool, ptr fn, ptr frame, i64 count)
    calls fn(frame, i) for i in 0 … count-1 and returns when all are done. Both stay valid as long as the pool lives.
    """

    def __init__(self, num_threads: int, target: Target | None = None) -> None:
        self._num_threads = check_num_threads(num_threads)
        self._code = _code(target or Target.host())
        self.launch_address = self._code.address(LAUNCH_SYMBOL)
        # Looked up here: LLVM's lock must not be taken in a worker, where a fork could catch it held.
        self._launch = _Launch(self.launch_address)
        self._run_worker = _Worker(self._code.address("tt_worker"))
        self._signal_stop = _Signal(self._code.address("tt_stop"))
        self._await = _Signal(self._code.address("tt_await"))
        self._memory = ctypes.create_string_buffer(code.POOL_BYTES + 64)
        self.address = aligned(ctypes.addressof(self._memory))
        self._epoch = ctypes.c_uint32.from_address(self.address + code.EPOCH)
        self._stop = ctypes.c_uint32.from_address(self.address + code.STOP)
        self._active = ctypes.c_uint32.from_address(self.address + code.WORKERS)
        self._spin = ctypes.c_uint64.from_address(self.address + code.SPIN)
        self._start = ctypes.c_void_p.from_address(self.address + code.START)
        self._starting = ctypes.c_uint32.from_address(self.address + code.STARTING)
        self._closed = False
        self._request = 0
        self._spins = self._calibrate()
        self.reset()
        _pools.add(self)
        locks.renew_in_child(self)

    @property
    def num_threads(self) -> int:
        """Threads that a launch may use, the caller included."""
        return self._num_threads

    @property
    def num_workers(self) -> int:
        """Threads that are running beside the callers; 0 before the first launch that wants them."""
        return len(self._workers)

    def fulfil(self, num_threads: int, number: int) -> None:
        """Have that many threads, unless a request with a higher number has been here before. Running launches finish
        unharmed."""
        with self._lock:
            if number > self._request and num_threads != self._num_threads:
                self._stop_workers()
                self._num_threads = num_threads
                self._arm()
            self._request = max(number, self._request)

    def run(self, fn: int, frame: int, count: int) -> None:
        """tt_parallel_for from Python: `fn` and `frame` are addresses. The GIL is released meanwhile."""
        self._launch(self.address, fn, frame, count)

    def close(self) -> None:
        """Stop and join the workers; from then on callers run alone."""
        with self._lock:
            self._closed = True
            self._stop_workers()

    def _calibrate(self) -> int:
        """The pauses that fill SPIN_SECONDS: processors differ by a factor of ten, and virtual machines by more."""
        spin, pauses = _Signal(self._code.address("tt_spin")), 500
        self._spin.value = pauses
        best = float("inf")
        for _ in range(4):
            before = time.perf_counter()
            spin(self.address)
            best = min(best, time.perf_counter() - before)
        return max(1, int(pauses * SPIN_SECONDS / max(best, 1e-9)))

    def reset(self) -> None:
        """The state without workers."""
        self._lock = threading.Lock()
        self._alarms: SimpleQueue[None] = SimpleQueue()  # one for each worker to wake that sleeps in Python
        self._workers: list[threading.Lock] = []  # that each worker releases when it ends
        self._callbacks = {
            code.START: _Callback(functools.partial(_thread.start_new_thread, self._start_workers, ())),
            code.AWAIT: _Callback(functools.partial(self._await, self.address)),
            code.WAKE: _Callback(functools.partial(self._alarms.put, None)),
        }
        ctypes.memset(self.address, 0, code.POOL_BYTES)
        self._spin.value = self._spins
        for offset in (code.AWAIT, code.WAKE):
            ctypes.c_void_p.from_address(self.address + offset).value = _address_of(self._callbacks[offset])
        self._arm()

    def forget_parent(self) -> None:
        """In a forked child locks and threads of the parent mean nothing."""
        self.reset()

    def _arm(self) -> None:
        """Let the next launch start the workers, if there are any to start."""
        wanted = self._num_threads > 1 and not self._closed
        self._start.value = _address_of(self._callbacks[code.START]) if wanted else None

    def _start_workers(self) -> None:
        """The life of the thread that the first launch begins, and waits for."""
        try:
            with self._lock:
                if not (self._workers or self._closed):
                    self._start_each()
        finally:
            self._starting.value = 0

    def _start_each(self) -> None:
        try:
            for number in range(1, self._num_threads):
                ended = threading.Lock()
                ended.acquire()
                threading.Thread(target=self._work, args=(ended,), name=f"tinytorch-{number}", daemon=True).start()
                self._workers.append(ended)
        except RuntimeError as error:  # the system has no more threads, or the interpreter is ending
            self._start.value = None
            message = f"TinyTorch runs on {len(self._workers) + 1} of {self._num_threads} threads: {error}"
            warn(message, RuntimeWarning)
        self._active.value = len(self._workers)

    def _stop_workers(self) -> None:
        self._start.value = None
        self._active.value = 0
        if self._workers:
            self._signal_stop(self.address)
            for ended in self._workers:  # no join(), which gives a thread without a Thread one for ever
                ended.acquire()
            self._workers = []
            self._stop.value = 0

    def _work(self, ended: threading.Lock) -> None:
        """A worker's life: in machine code until stopped; without a futex it comes back here to sleep."""
        state = self._run_worker(self.address, 0)
        while state != code.STOPPED:
            while self._epoch.value == state:
                self._alarms.get()
            state = self._run_worker(self.address, 1)
        ended.release()


class _Shared:
    """The pool of this process, made when it is first needed."""

    def __init__(self) -> None:
        self.pool: Pool | None = None
        self.forget_parent()
        locks.renew_in_child(self)

    def forget_parent(self) -> None:
        self.lock = threading.Lock()


_pools: weakref.WeakSet[Pool] = weakref.WeakSet()
_shared = _Shared()


def shared_pool() -> Pool:
    """The pool of this process. Once it is made, loaded objects may call `tt_parallel_for` by that name."""
    threads = get_num_threads()
    with _shared.lock:
        if _shared.pool is None:
            pool = Pool(threads)
            library.llvm().add_symbol(LAUNCH_SYMBOL, pool.launch_address)
            follow_num_threads(pool.fulfil)
            _shared.pool = pool  # last: an interrupted call leaves no pool that loaded code would not find
        return _shared.pool


def _close_all() -> None:
    for pool in list(_pools):
        pool.close()


atexit.register(_close_all)
