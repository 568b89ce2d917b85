"""How many threads compiled graphs use: one number in a process, which pools of threads follow."""

from __future__ import annotations

import _thread
import itertools
import os
import threading
from collections.abc import Callable

from tinytorch.ir.errors import SettingError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.system import locks
from tinytorch.ir.system.processes import in_helpers

MAX_THREADS = 1024
requests = itertools.count(1)  # numbers of requests for a number of threads: an interrupted one may come late


class _Setting:
    """How many threads were asked for, and who has to know: `follow(num_threads, request)` functions."""

    def __init__(self) -> None:
        self.num_threads = 0  # 0 until asked for
        self.request = 0
        self.followers: list[Callable[[int, int], None]] = []
        self.forget_parent()
        locks.renew_in_child(self)

    def forget_parent(self) -> None:
        self.lock = threading.Lock()

    def fulfil(self, num_threads: int, number: int) -> None:
        """Use that many threads, unless a request with a higher number has been here before."""
        with self.lock:
            if number > self.request:
                self.request, self.num_threads = number, num_threads
                for follow in self.followers:
                    follow(num_threads, number)


_setting = _Setting()


def get_num_threads() -> int:
    """Threads that compiled graphs use, the caller included: what was set, else TT_NUM_THREADS, else the CPUs that this
    process may run on."""
    with _setting.lock:
        if not _setting.num_threads:
            _setting.num_threads = _default_num_threads()
        return _setting.num_threads


def set_num_threads(num_threads: int) -> None:
    """Use this many threads from the next call of a compiled graph on; results do not depend on it. ValueError unless
    1 to 1024."""
    check_num_threads(num_threads)
    number = next(requests)
    unbroken(lambda: _setting.fulfil(num_threads, number))


def follow_num_threads(follow: Callable[[int, int], None]) -> None:
    """From now on call `follow(num_threads, number)` with each number of threads that is set, and the number of the
    request, which grows; and at once with the last one, if any."""
    with _setting.lock:
        _setting.followers.append(follow)
        if _setting.request:
            follow(_setting.num_threads, _setting.request)


def check_num_threads(num_threads: object, name: str = "num_threads") -> int:
    """The same number; ValueError unless it is an int in 1 … MAX_THREADS."""
    if isinstance(num_threads, bool) or not isinstance(num_threads, int) or not 1 <= num_threads <= MAX_THREADS:
        raise SettingError(f"{name} must be a whole number from 1 to {MAX_THREADS}, got {num_threads!r}", user_loc())
    return num_threads


def _default_num_threads() -> int:
    text = os.environ.get("TT_NUM_THREADS", "").strip()
    if text:
        return check_num_threads(int(text) if text.isdecimal() else text, "TT_NUM_THREADS")
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(count, MAX_THREADS)


def unbroken(work: Callable[[], None]) -> None:
    """Run `work` in a thread of its own and wait for it. A signal may end the waiting, but never the work."""
    done = _thread.allocate_lock()
    done.acquire()

    def run() -> None:
        try:
            work()
        finally:
            done.release()

    try:
        _thread.start_new_thread(run, ())  # one call: a Thread's start() may be interrupted half-way
    except RuntimeError:  # the system has no more threads, or the interpreter is ending
        run()
    done.acquire()


# A process that loads batches has the others beside it, and the training step.
in_helpers(lambda: set_num_threads(1))
