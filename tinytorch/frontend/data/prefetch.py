"""Work ahead of a loop in a background thread, in order, without ever outliving the loop."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")

_JOIN_SECONDS = 5.0  # how long leaving a loop waits for an item that is being produced


@dataclass(frozen=True)
class _Failure:
    error: BaseException


class _Worker(Generic[T]):
    """A thread that produces items in order, at most `depth` ahead.

    Both queues are SimpleQueues, which are re-entrant: the garbage collector may close a forgotten loop at any
    point, even inside a queue operation.
    """

    def __init__(self, produce: Callable[[int], T], indices: range, depth: int) -> None:
        self._produce = produce
        self._indices = indices
        self._tickets: SimpleQueue[None] = SimpleQueue()  # one per item that may be produced
        self._items: SimpleQueue[T | _Failure] = SimpleQueue()
        self._stopped = False
        for _ in range(depth):
            self._tickets.put(None)
        self._thread = threading.Thread(target=self._work, name="tinytorch-prefetch", daemon=True)

    def start(self) -> None:
        """Begin; if this is interrupted, `close` still stops the thread."""
        self._thread.start()
        # A daemon thread that runs numpy while the interpreter goes down can abort the process: stop it before.
        atexit.register(self.close)

    def take(self) -> T:
        """The next item; an exception of the thread is raised here, with the thread's traceback."""
        item = self._items.get()
        if isinstance(item, _Failure):
            try:
                raise item.error
            finally:
                del item  # the traceback refers to this frame: no cycle through the exception
        self._tickets.put(None)
        return item

    def close(self) -> None:
        """Stop the thread; waits for the item in the making, but not for one that hangs."""
        self._stopped = True
        self._tickets.put(None)
        if threading.current_thread() is not self._thread and self._thread.is_alive():
            self._thread.join(_JOIN_SECONDS)
        atexit.unregister(self.close)

    def _work(self) -> None:
        try:
            for index in self._indices:
                self._tickets.get()
                if self._stopped:
                    return
                self._items.put(self._produce(index))
        except BaseException as error:  # whatever it is, the consumer must see it instead of waiting for ever
            self._items.put(_Failure(error))


def prefetched(produce: Callable[[int], T], indices: range, depth: int) -> Generator[T]:
    """`produce(i)` for each of `indices`, in order, up to `depth` items ahead of the consumer.

    depth 0 produces in the consumer's thread. Leaving the loop early (break, exception, garbage collection) stops
    the thread. In a forked child, which has no copy of the thread, production goes on in the child itself.
    """
    if depth == 0 or not indices:
        for index in indices:
            yield produce(index)
        return
    pid = os.getpid()
    worker = _Worker(produce, indices, depth)
    try:
        worker.start()
        for index in indices:
            yield worker.take() if os.getpid() == pid else produce(index)
    finally:
        if os.getpid() == pid:
            worker.close()
