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

_TICK = 5e-4  # seconds: calls that are quicker are timed several at a time


def medians(calls: Mapping[str, Callable[[], Any]], seconds: float = 0.2) -> dict[str, float]:
    """The median seconds of each call, all called in turns for about `seconds` each.

    Each is called twice before: the first call may compile, the second says how many of them make a round.
    """
    counts: dict[str, int] = {}
    estimates: dict[str, float] = {}
    for name, call in calls.items():
        call()
        estimates[name] = _seconds(call, 1)
        counts[name] = max(1, round(_TICK / max(estimates[name], 1e-7)))
    slowest = max(estimates[name] * counts[name] for name in calls)
    rounds = min(max(3, round(seconds / max(slowest, 1e-6))), 200)
    times: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    for i in range(rounds):
        first = i % len(names)
        for name in names[first:] + names[:first]:
            times[name].append(_seconds(calls[name], counts[name]))
    return {name: statistics.median(found) for name, found in times.items()}


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
