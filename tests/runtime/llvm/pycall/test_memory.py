"""The native call's references, memory and threads."""

from __future__ import annotations

import dataclasses
import functools
import gc
import sys
import threading
import time
import tracemalloc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.runtime.llvm.pycall.calls import BOTH, F4, Box, N, counting, floats, native, references, step_spec
from tinytorch.runtime.llvm.pycall.call import (
    MISMATCH,
    CallSpec,
    InputSpec,
    OutputSpec,
)


def test_no_reference_leaks() -> None:
    weight, x = Box(counting()), Box(counting())
    bad = Box(np.zeros(N))
    outputs = (OutputSpec(F4, (N,)), OutputSpec(F4, (2,), is_tensor=False), OutputSpec(F4, ()))
    good_call = native("nothing", step_spec(weight, outputs=outputs))
    none_call = native("nothing", step_spec(weight, outputs=()))
    fail_call = native("fail", step_spec(weight, on_status=lambda _status: "failed"))
    negative = Box(-1 - counting())
    held = [weight, x, bad, negative, weight._data, x._data, bad._data, F4, MISMATCH, Box, np.ndarray, x.name]

    def calls() -> None:
        for _ in range(300):
            assert len(good_call(x)) == 3
            assert none_call(x) is None
            assert good_call(bad) is MISMATCH
            assert fail_call(negative) == "failed"

    calls()
    before = references(held)
    none_before = sys.getrefcount(None)
    calls()
    assert references(held) == before
    assert abs(sys.getrefcount(None) - none_before) < 100


def test_no_memory_leaks() -> None:
    weight, x = Box(np.zeros(N, np.float32)), Box(counting())
    call = native("step", step_spec(weight))
    gc.collect()
    tracemalloc.start()
    try:
        for _ in range(200):
            call(x)
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(2000):
            call(x)
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert after - before < 2000


def test_the_call_keeps_what_it_needs_and_no_longer() -> None:
    weight = Box(counting())
    alive = weakref.ref(weight)
    call = native("step", step_spec(weight))
    del weight
    gc.collect()
    assert alive() is not None
    np.testing.assert_array_equal(call(Box(counting()))._data, counting() ** 2)
    del call
    gc.collect()
    assert alive() is None


def test_a_cycle_through_the_call_is_collected() -> None:
    weight = Box(counting())
    alive = weakref.ref(weight)
    weight.name = native("step", step_spec(weight))  # type: ignore[assignment]
    del weight
    gc.collect()
    assert alive() is None


def test_results_outlive_the_call() -> None:
    call = native("step", step_spec(Box(counting())))
    result = call(Box(counting()))
    del call
    gc.collect()
    np.testing.assert_array_equal(result._data, counting() ** 2)


def in_threads(*tasks: Callable[[], object]) -> None:
    threads = [threading.Thread(target=task) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)


def nap_spec(weight: Box, **changes: Any) -> CallSpec:
    return step_spec(weight, states=(InputSpec("w", F4, (N,)),), releases_gil=True, arena_bytes=64, **changes)


@BOTH
def test_calls_at_the_same_time_have_arenas_of_their_own(make: Callable[..., Any]) -> None:
    call = make("nap", nap_spec(Box(floats(*[2] * N))))
    results: dict[int, float] = {}

    def task(number: int) -> None:
        for _ in range(3):
            results[number] = float(call(Box(np.full(N, number, np.float32)))._data[0])

    in_threads(*(functools.partial(task, number) for number in range(4)))
    assert results == {number: 2.0 * number for number in range(4)}


@BOTH
def test_the_gil_is_released_only_if_asked(make: Callable[..., Any]) -> None:
    ticks = [0]
    stop = threading.Event()

    def tick() -> None:
        while not stop.wait(0.0005):
            ticks[0] += 1

    def ticks_during_a_call(releases_gil: bool) -> int:
        call = make("nap", dataclasses.replace(nap_spec(Box(counting())), releases_gil=releases_gil))
        x = Box(counting())
        before = ticks[0]
        call(x)
        return ticks[0] - before

    interval = sys.getswitchinterval()
    sys.setswitchinterval(100)  # so that a thread runs on until it waits
    ticking = threading.Thread(target=tick)
    ticking.start()
    try:
        assert ticks_during_a_call(True) > 0
        assert ticks_during_a_call(False) == 0
    finally:
        sys.setswitchinterval(interval)
        stop.set()
        ticking.join()


def test_arrays_live_while_the_graph_runs() -> None:
    """Another thread rebinds the state and the argument while the graph sleeps over their memory."""
    weight, x = Box(np.full(1 << 20, 3, np.float32)), Box(np.full(1 << 20, 5, np.float32))
    big = (1 << 20,)
    spec = nap_spec(weight, arguments=(InputSpec("x", F4, big),))
    call = native("nap", dataclasses.replace(spec, states=(InputSpec("w", F4, big),)))
    results: list[float] = []
    alive = weakref.ref(weight._data)
    thread = threading.Thread(target=lambda: results.append(float(call(x)._data[0])))
    thread.start()
    time.sleep(0.008)
    weight._data, x._data = np.zeros(1 << 20, np.float32), np.zeros(1 << 20, np.float32)
    thread.join()
    assert results == [15.0]
    assert alive() is None
