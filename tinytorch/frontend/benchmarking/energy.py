"""The energy that the processor takes, by its own counters (RAPL), where the system shows them; else nothing is said.

Source: Linux, `Documentation/power/powercap/powercap.rst`. Most systems let only root read the counters, and virtual
machines have none.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COUNTERS = Path("/sys/class/powercap")
_SECONDS = 0.3  # of a measurement: the counter moves once in a millisecond


@dataclass(frozen=True)
class Counter:
    """The energy counter of one processor, in microjoules, which begins again at `wraps`."""

    path: Path
    wraps: int

    def read(self) -> int:
        return int(self.path.read_text())


def counters(folder: Path = COUNTERS) -> list[Counter]:
    """One for each processor; none where there are none, or they cannot be read."""
    found: list[Counter] = []
    for zone in sorted(folder.glob("intel-rapl:*")):
        if zone.name.count(":") > 1:  # a part of a processor
            continue
        try:
            if not (zone / "name").read_text().startswith("package"):
                continue
            counter = Counter(zone / "energy_uj", int((zone / "max_energy_range_uj").read_text()))
            counter.read()
        except (OSError, ValueError):
            continue
        found.append(counter)
    return found


def joules_per_call(call: Callable[[], Any], folder: Path = COUNTERS, seconds: float = _SECONDS) -> float | None:
    """Joules of all processors while `call` runs again and again for `seconds`, per call, whatever else runs meanwhile
    included; None where nothing can be read."""
    found = counters(folder)
    if not found:
        return None
    call()
    before = [counter.read() for counter in found]
    calls, end = 0, time.perf_counter() + seconds
    while not calls or time.perf_counter() < end:
        call()
        calls += 1
    after = [counter.read() for counter in found]
    used = sum((b - a) % c.wraps if b < a else b - a for a, b, c in zip(before, after, found, strict=True))
    return used / calls * 1e-6
