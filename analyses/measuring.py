"""Times and memory, so that what is compared is measured side by side."""

from __future__ import annotations

import importlib.util
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

from tinytorch.frontend.profiling import memory
from tinytorch.runtime.thread_count import get_num_threads

__all__ = ["medians", "peak_bytes", "torch_if_installed"]

_ROUNDS = 7
_LONG = 0.1
_PAUSE = 0.005  # seconds for the threads of another library to fall asleep: some spin for a while after a call


def medians(calls: Mapping[str, Callable[[], Any]], seconds: float = 0.2) -> dict[str, float]:
    """The median seconds of each call over rounds in which all have their turn, about `seconds` for each in all.

    Each is called before: the first call may compile, and the first one behind another library's waits for its threads;
    so every turn of short calls begins with one that is not timed.
    """
    counts: dict[str, int] = {}
    for name, call in calls.items():
        call()
        counts[name] = max(1, round(seconds / _ROUNDS / max(_shortest(call), 1e-7)))
    slow = any(count == 1 for count in counts.values())
    times: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    for i in range(3 if slow else _ROUNDS):
        first = i % len(names)
        for name in names[first:] + names[:first]:
            time.sleep(_PAUSE)
            if counts[name] > 1:
                calls[name]()
            times[name].append(_seconds(calls[name], counts[name]))
    return {name: statistics.median(found) for name, found in times.items()}


def _shortest(call: Callable[[], Any]) -> float:
    """The shortest of a few calls; of one, where that takes long."""
    found = _seconds(call, 1)
    for _ in range(0 if found > _LONG else 4):
        found = min(found, _seconds(call, 1))
    return found


def _seconds(call: Callable[[], Any], count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - start) / count


def peak_bytes(call: Callable[[], Any]) -> int:
    """The most bytes that Python and numpy held at one time during `call`, beyond what they held before; of a second
    call, so that nothing is compiled in it."""
    call()
    return memory.peak_bytes(call)


def torch_if_installed() -> Any:
    """PyTorch on as many threads as TinyTorch, or None."""
    if importlib.util.find_spec("torch") is None:
        return None
    import torch  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(get_num_threads())
    return torch
