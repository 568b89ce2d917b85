"""Worker processes of a loader: they are started, given tasks, asked for batches in order, and ended."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import pickle
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

from tinytorch.frontend.arguments import choice
from tinytorch.frontend.data.channel import LoaderLink, Parcel, exchange, unpack
from tinytorch.frontend.data.making import Maker, Task
from tinytorch.frontend.data.worker import Done, Duty, Failure, WorkerError, work
from tinytorch.ir.loc import user_loc
from tinytorch.ir.system.processes import interrupts_wait

# How often a worker that says nothing is looked after: its socket closes as it ends, but for copies of that socket that
# other forks may have.
_POLL_SECONDS = 1.0
_LEAVE_SECONDS = 2.0  # for workers that are in the midst of a sample, before they are made to end

Context = Any  # of multiprocessing


def default_context() -> Context:
    """Forks where that is safe: a data set need not be pickled, and a worker is there in milliseconds."""
    forks = sys.platform != "darwin" and "fork" in multiprocessing.get_all_start_methods()
    return multiprocessing.get_context("fork" if forks else None)


def context_of(given: Any) -> Context:
    """A context of multiprocessing, by its name or itself; None for none."""
    if given is None or (hasattr(given, "Process") and hasattr(given, "get_start_method")):
        return given
    methods = multiprocessing.get_all_start_methods()
    return multiprocessing.get_context(choice("DataLoader", "multiprocessing_context", given, *methods))


@dataclass(frozen=True)
class Staff:
    """How many workers there are, and what they are told as they begin."""

    maker: Maker
    num_workers: int
    lead: int  # batches that each may be ahead
    timeout: float  # seconds that a batch may take; 0 for any time
    worker_init_fn: Callable[[int], None] | None
    context: Context


class _Worker:
    """A process, as its loader sees it."""

    def __init__(self, staff: Staff, number: int, first: Task) -> None:
        self.number = number
        self.over = False  # its iterable data set has no more in this epoch
        ours, theirs = socket.socketpair()
        self.link = LoaderLink(ours)
        duty = Duty(staff.maker, number, staff.num_workers, staff.worker_init_fn, first)
        self.process = staff.context.Process(
            target=work, args=(theirs, duty), name=f"tinytorch-loader-{number}", daemon=True
        )
        try:
            with interrupts_wait(staff.context):
                self.process.start()
        except BaseException:
            self.link.close()
            if self.process.pid is not None:  # Ctrl-C came meanwhile
                self.end(time.monotonic() + _LEAVE_SECONDS)
            raise
        finally:
            theirs.close()

    def is_there(self) -> bool:
        return not self.link.ended and self.process.is_alive()

    def end(self, deadline: float) -> None:
        self.process.join(max(0.0, deadline - time.monotonic()))
        for stop in (self.process.terminate, self.process.kill):
            if self.process.exitcode is None:
                stop()
                self.process.join(_LEAVE_SECONDS)


class Pool:
    """Workers, and what they are doing. One loop at a time asks it for batches."""

    def __init__(self, staff: Staff, first: Task) -> None:
        self.busy = False
        self._staff = staff
        self._pid = os.getpid()
        self._tickets = count()
        self._loop = 0  # the number of the loop that goes on
        self._results: dict[int, tuple[Done | Failure, Parcel, int | None]] = {}
        self._wanted: set[int] = set()
        self._workers: list[_Worker] = []
        try:
            for number in range(staff.num_workers):
                self._workers.append(_Worker(staff, number, first))
        except BaseException:
            self.close()
            raise
        atexit.register(self.close)

    def run(self, tasks: Iterator[Task]) -> Generator[Any]:
        """The batches of `tasks`, in order."""
        self.busy, pending = True, deque[tuple[int, _Worker, Task]]()
        self._loop += 1
        for worker in self._workers:
            worker.over = False
        turns = self._turns()
        try:
            self._assign(tasks, turns, pending)
            while pending:
                ticket, worker, task = pending.popleft()
                result = self._result(ticket, worker, task)
                self._assign(tasks, turns, pending)
                if result is not None:
                    yield self._content(worker, task, *result)
                    if os.getpid() != self._pid:
                        break
            if os.getpid() != self._pid:  # a fork has no workers of its own
                yield from self._alone([task for _, _, task in pending], tasks)
        finally:
            if os.getpid() == self._pid:
                self._forget()
                self.busy = False

    def is_whole(self) -> bool:
        return os.getpid() == self._pid and bool(self._workers) and all(w.is_there() for w in self._workers)

    def close(self) -> None:
        """End all workers, at once those without work."""
        if os.getpid() != self._pid:
            return
        workers, self._workers = self._workers, []
        deadline = time.monotonic() + _LEAVE_SECONDS
        for worker in workers:
            worker.link.close()
        for worker in workers:
            worker.end(deadline)
        self._forget()
        atexit.unregister(self.close)

    def _turns(self) -> Iterator[_Worker]:
        """Whose turn it is: one after the other, without those that have no more."""
        while True:
            ready = [worker for worker in self._workers if not worker.over]
            if not ready:
                return
            for worker in ready:
                if not worker.over:
                    yield worker

    def _assign(self, tasks: Iterator[Task], turns: Iterator[_Worker], pending: deque[Any]) -> None:
        """Hand out tasks until all workers have enough to do."""
        while len(pending) < self._staff.lead * len(self._workers):
            worker = next(turns, None)
            task = None if worker is None else next(tasks, None)
            if worker is None or task is None:
                return
            ticket = next(self._tickets)
            self._wanted.add(ticket)
            pending.append((ticket, worker, task))
            worker.link.send((ticket, self._loop, task))

    def _result(self, ticket: int, worker: _Worker, task: Task) -> Any:
        """What came of a task; None if its worker had no more."""
        began = time.monotonic()
        while ticket not in self._results:
            left = self._staff.timeout - (time.monotonic() - began) if self._staff.timeout else _POLL_SECONDS
            if left <= 0:
                raise WorkerError(
                    f"DataLoader: timed out after {self._staff.timeout:g} seconds: worker {worker.number} has not "
                    f"made batch {task.number}",
                    user_loc(),
                )
            there = worker.is_there()
            exchange((w.link for w in self._workers), min(left, _POLL_SECONDS) if there else 0.0)
            self._receive()
            if not self._workers:  # closed, as the program ends: a thread that has a loop then ends without a word
                raise SystemExit
            if not there and ticket not in self._results:
                raise self._gone(worker, task)
        self._wanted.discard(ticket)
        result = self._results.pop(ticket)
        if isinstance(result[0], Done) and result[0].over:
            worker.over = True
            return None
        return result

    def _receive(self) -> None:
        for worker in self._workers:
            for answer, parcel, file in worker.link.progress():
                if answer.ticket in self._wanted:
                    self._results[answer.ticket] = (answer, parcel, file)
                    worker.over |= isinstance(answer, Done) and answer.over
                elif file is not None:  # of a loop that was left
                    os.close(file)

    def _content(self, worker: _Worker, task: Task, answer: Done | Failure, parcel: Parcel, file: int | None) -> Any:
        if isinstance(answer, Done):
            return unpack(parcel, file)
        where = f"in worker {worker.number} of a DataLoader, batch {task.number}"
        try:
            error: BaseException | None = None if answer.error is None else pickle.loads(answer.error)
        except Exception:
            error = None
        if error is None:
            raise WorkerError(f"DataLoader: {answer.name} {where}\n\n{answer.text}", user_loc())
        error.add_note(where)
        raise error from _RemoteTraceback(answer.text)

    def _gone(self, worker: _Worker, task: Task) -> WorkerError:
        pid = worker.process.pid
        worker.process.join(_LEAVE_SECONDS)
        code = worker.process.exitcode
        how = f"ended with exit code {code}"
        if code is not None and code < 0:
            how = f"was killed by {_signal_name(-code)}"
        if code == -getattr(signal, "SIGKILL", 0):
            how += " (as the system does where memory runs out)"
        who = f"worker {worker.number} (process {pid})"
        return WorkerError(f"DataLoader: {who} {how}; it was to make batch {task.number}", user_loc())

    def _alone(self, pending: list[Task], tasks: Iterator[Task]) -> Iterator[Any]:
        if self._staff.maker.iterates:
            raise WorkerError(
                "DataLoader: a forked process cannot go on with a loop over an iterable data set: its samples are with "
                "the workers of the process that began it",
                user_loc(),
            )
        for task in (*pending, *tasks):
            yield self._staff.maker.make(task)

    def _forget(self) -> None:
        """Drop what workers made and nobody took."""
        for _, _, file in self._results.values():
            if file is not None:
                os.close(file)
        self._results.clear()
        self._wanted.clear()


class _RemoteTraceback(Exception):
    """The cause of an exception that a worker raised: its traceback there."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._text = text

    def __str__(self) -> str:
        return f'\n"""\n{self._text}"""'


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
