"""The life of a worker: a process that makes batches for a loader, one task after the other."""

from __future__ import annotations

import os
import pickle
import random
import signal
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinytorch.frontend.data.channel import Link, close_inherited_ends, pack
from tinytorch.frontend.data.making import Maker, Task
from tinytorch.frontend.functions.random import get_state, manual_seed
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.system.processes import begin_to_help

_CHECK_SECONDS = 2.0  # how often a worker without work looks whether its loader's process is there


class WorkerError(TinyTorchError, RuntimeError):
    """A worker process ended, took too long, or raised what cannot be sent."""


@dataclass
class WorkerInfo:
    """Who a worker is, for data sets that share out their samples: the worker's number `id` of `num_workers`, the
    `seed` of what is drawn in it, and its copy of the data set."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


_info: WorkerInfo | None = None
_OVER = object()


def get_worker_info() -> WorkerInfo | None:
    """In a worker of a DataLoader, which one it is; None in any other process.

    Each worker has a copy of an iterable data set: its `__iter__` should give the samples of this worker only.
    """
    return _info


@dataclass(frozen=True)
class Duty:
    """What a worker is given as it begins."""

    maker: Maker
    number: int
    num_workers: int
    worker_init_fn: Callable[[int], None] | None
    first: Task  # whose seeds hold before there is any batch


@dataclass(frozen=True)
class Done:
    """What a worker says of a task: that it made the batch, or that an iterable data set has no more."""

    ticket: int
    over: bool = False


@dataclass(frozen=True)
class Failure:
    """An exception of a worker: pickled, if that can be done, and its traceback as text."""

    ticket: int
    error: bytes | None
    text: str
    name: str

    @classmethod
    def of(cls, ticket: int, error: BaseException) -> Failure:
        text = "".join(traceback.format_exception(error))
        try:
            data = pickle.dumps(error)
            pickle.loads(data)  # exceptions with arguments of their own can often be written and not read
        except Exception:
            data = None
        return cls(ticket, data if isinstance(error, Exception) else None, text, type(error).__name__)


class _Draws:
    """The generators that everybody shares: of Python, of numpy and of this package.

    They are seeded for each batch, so that batches do not depend on how many workers there are.
    """

    def __init__(self) -> None:
        self._generators: list[tuple[Callable[[], Any], Callable[[np.random.SeedSequence], None]]] = [
            (random.getstate, lambda s: random.seed(int.from_bytes(s.generate_state(4).tobytes(), "little"))),
            (_numpy_state, lambda s: np.random.seed(s.generate_state(4))),
            (lambda: get_state().tolist(), _seed_tensors),
        ]

    def seed(self, seeds: np.random.SeedSequence) -> None:
        for (_, seed), own in zip(self._generators, seeds.spawn(len(self._generators)), strict=True):
            seed(own)

    def leave_alone_what(self, changes: Callable[[], None]) -> None:
        """Run `changes`; generators that it seeds or draws from are the caller's from now on."""
        before = [state() for state, _ in self._generators]
        changes()
        self._generators = [g for g, state in zip(self._generators, before, strict=True) if g[0]() == state]


def _numpy_state() -> Any:
    state: Any = np.random.get_state(legacy=True)
    return (state[1].tobytes(), *state[2:])


def work(end: socket.socket, duty: Duty) -> None:
    """Make batches until the loader closes its end, or its process is gone."""
    _begin()
    link = Link(end)
    try:
        _Work(link, duty).run()
    except (EOFError, OSError):  # nobody waits for batches any more
        return


def _begin() -> None:
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the loader's process, which ends its workers
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    close_inherited_ends()
    begin_to_help()


class _Work:
    def __init__(self, link: Link, duty: Duty) -> None:
        self._link, self._duty, self._maker = link, duty, duty.maker
        self._draws = _Draws()
        self._broken: BaseException | None = None  # what worker_init_fn raised
        self._stream: tuple[int, Iterator[Any]] | None = None  # of an iterable data set, with the loop it is for
        self._parent = os.getppid()

    def run(self) -> None:
        try:
            self._introduce()
        except BaseException as error:
            self._broken = error
        while True:
            ticket, loop, task = self._next()
            answer, pieces = self._answer(ticket, loop, task)
            self._link.send(answer, pieces)

    def _answer(self, ticket: int, loop: int, task: Task) -> tuple[Done | Failure, list[Any]]:
        try:
            if self._broken is not None:
                raise self._broken
            batch = self._made(loop, task)
            return Done(ticket, over=batch is _OVER), pack(None if batch is _OVER else batch)
        except BaseException as error:
            return Failure.of(ticket, error), pack(None)

    def _next(self) -> tuple[int, int, Task]:
        while True:
            try:
                return self._link.receive(_CHECK_SECONDS)
            except TimeoutError:
                if os.getppid() != self._parent:
                    raise EOFError from None

    def _introduce(self) -> None:
        global _info
        duty = self._duty
        seeds = self._seeds(duty.first)
        _info = WorkerInfo(duty.number, duty.num_workers, _seed(seeds), self._maker.dataset)
        self._draws.seed(seeds)
        init = duty.worker_init_fn
        if init is not None:
            self._draws.leave_alone_what(lambda: init(duty.number))

    def _seeds(self, task: Task) -> np.random.SeedSequence:
        """Those of an epoch in this worker."""
        return np.random.SeedSequence(task.entropy, spawn_key=(task.epoch, 0, self._duty.number))

    def _made(self, loop: int, task: Task) -> Any:
        """The batch, or _OVER where an iterable data set has no more."""
        if not self._maker.iterates:
            self._draws.seed(task.draws(1))
            return self._maker.make(task)
        if self._stream is None or self._stream[0] != loop:  # epochs may come again: after errors, or loaded states
            seeds = self._seeds(task)
            if _info is not None:
                _info.seed = _seed(seeds)
            self._draws.seed(seeds)
            self._stream = loop, self._maker.stream()
        return next(self._stream[1], _OVER)


def _seed_tensors(seeds: np.random.SeedSequence) -> None:
    manual_seed(_seed(seeds))


def _seed(seeds: np.random.SeedSequence) -> int:
    return int(seeds.generate_state(1, np.uint64)[0] >> 1)
