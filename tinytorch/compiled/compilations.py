"""Why a function was compiled, each time: logged, counted, and kept for reports."""

from __future__ import annotations

import os
import warnings
from collections import Counter, deque
from dataclasses import dataclass
from time import perf_counter

from tinytorch.compiled.specialization import Specialization
from tinytorch.ir.characters import printable
from tinytorch.ir.loc import user_loc

TOLERATED = 3  # compilations for one reason; then a warning names it, once
KEPT = 64  # compilations, the last ones, that reports know of


@dataclass(frozen=True)
class Compilation:
    """One compilation of a function, counted from 1: for which arguments, why it was needed, how long it took, from the
    trace to code that is loaded, and whether the code came from the disk cache."""

    number: int
    signature: str
    reason: str
    seconds: float
    from_cache: bool


class Compilations:
    """Those of the function `name`. `kept` are the last ones, as reports show them."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._reasons: Counter[str] = Counter()
        self.kept = deque[Compilation](maxlen=KEPT)

    def announce(self, reason: str, again: bool) -> None:
        """Log a compilation that begins, `again` if not the first, and warn where there are many for one reason."""
        if "recompiles" in os.environ.get("TT_LOGS", "").split(","):
            print(printable(f"[tinytorch] compiling {self._name}: {reason}"), flush=True)
        self._reasons[reason] += again
        loc = user_loc()
        if self._reasons[reason] == TOLERATED and loc is not None:
            text = f"{self._name} is compiled for the {TOLERATED}rd time for one reason: {reason}"
            warnings.warn_explicit(text, RuntimeWarning, loc.file, loc.line)

    def keep(self, made: Specialization, reason: str, start: float) -> None:
        """Keep one that is done, and began at `start` by `perf_counter`."""
        number = self.kept[-1].number + 1 if self.kept else 1
        from_cache = getattr(made.calls.executable, "from_cache", False)
        self.kept.append(Compilation(number, made.signature, reason, perf_counter() - start, from_cache))
