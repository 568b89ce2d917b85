"""Python's global lock is given up by graphs that take long, by their work or by what they move, and by no others."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.runtime.llvm.backend import SHORT_BYTES, takes_long

SIDE = 1024  # of a matrix of 4 MiB


def matrix(side: int = SIDE) -> tt.Tensor:
    return tt.Tensor(np.zeros((side, side), np.float32))


def table() -> tt.Tensor:
    return tt.Tensor(np.zeros((1 << 20, 4), np.float32))


def rows() -> tt.Tensor:
    return tt.Tensor(np.array([3, 1, 2]))


MOVES: dict[str, tuple[Callable[..., Any], list[tt.Tensor], bool]] = {
    "transpose": (lambda x: x.transpose(0, 1).contiguous(), [matrix()], True),
    "small transpose": (lambda x: x.transpose(0, 1).contiguous(), [matrix(64)], False),
    "concat": (lambda x, y: tt.cat([x, y], 0), [matrix(), matrix()], True),
    "broadcast": (lambda x: x.reshape(SIDE, 1).expand(SIDE, SIDE).contiguous(), [tt.Tensor(np.zeros(SIDE))], True),
    "maximum": (lambda x: x.amax(), [tt.Tensor(np.zeros(SHORT_BYTES, np.uint8))], True),
    "product": (lambda x: x @ x, [matrix(64)], True),
    "few rows of a table": (lambda x, i: x[i], [table(), rows()], False),
    "many rows of a table": (lambda x, i: x[i], [table(), tt.Tensor(np.zeros(1 << 16, np.int64))], True),
    "sum of a few": (lambda x: x.sum(), [matrix(16)], False),
}


@pytest.mark.parametrize("name", MOVES)
def test_the_lock_is_given_up_for_long_graphs_only(name: str) -> None:
    function, arguments, long = MOVES[name]
    compiled = tt.compile(function)
    compiled(*arguments)
    assert takes_long(compiled.executable.graph) is long


def test_an_update_of_a_few_rows_keeps_the_lock() -> None:
    cache = table()

    @tt.compile
    def put(row: tt.Tensor) -> None:
        cache[5] = row

    put(tt.ones(4))
    assert cache.numpy()[5].tolist() == [1] * 4
    assert not takes_long(put.executable.graph)


def test_other_threads_run_while_bytes_are_moved() -> None:
    """Here a thread that wants to run gets the lock only where it is given up."""
    transpose = tt.compile(lambda x: x.transpose(0, 1).contiguous())
    x = matrix(4096)
    transpose(x)
    ticks, stop = [0], threading.Event()

    def tick() -> None:
        while not stop.is_set():
            ticks[0] += 1
            time.sleep(0.0005)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(100)
    ticking = threading.Thread(target=tick)
    ticking.start()
    try:
        before = ticks[0]
        for _ in range(5):
            transpose(x)
        assert ticks[0] > before
    finally:
        sys.setswitchinterval(interval)
        stop.set()
        ticking.join()
