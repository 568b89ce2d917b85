"""Whether the ways to run a program agree, and where not."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.programs.run import USED_UP, Leaf, Moment, has_torch, play
from tests.programs.whole import Program
from tinytorch.ir.errors import TinyTorchError

TOLERANCES = {"float32": 2e-4, "float64": 1e-9}

# What a compiled function may refuse although it could be run eagerly. The state is then as it was before the call.
REFUSALS = {
    "a value that Python needs": r"needs the value of a tensor that is being traced",
    "memory shared partly": r"share(s)? memory|overlap",
    "a gradient of what was computed outside": r"reaches a tensor of .*, which was computed outside",
    "a captured tensor that would get a history": r"cannot get a history of gradients",
    "a gradient that a compiled step used up": r"used this gradient up",
    "an operand of a gradient that was changed": r"was changed in place since",
}
# What eager execution refuses: operands of any op that were changed, where torch keeps only those that it needs, and
# a graph of values never overwrites any.
LOST = r"changed in place since|tape has been freed"
# What eager execution refuses, and torch does in some of its ways to write.
SPREAD = r"the storage of this tensor is read-only"
# What torch refuses: memory written and read at once, item assignment that would convert, views across no_grad, and
# the gradient of pooling whose indices, a result, were changed since.
STRICTER = (
    r"unsupported operation: some elements of the input tensor and the written-to tensor refer"
    r"|Index put requires the source and destination dtypes match"
    r"|A view was created in no_grad mode and its base"
    r"|modified by an inplace operation: \[torch\.LongTensor"
)
_EXPECTED = (TinyTorchError, IndexError, TypeError, ValueError, RuntimeError)


class Mismatch(AssertionError):
    """Two ways to run a program that do not agree."""


@dataclass
class Counts:
    """How many programs were run, by party, and how many raised or were refused, by reason."""

    programs: int = 0
    runs: dict[str, int] = field(default_factory=dict)
    raised: int = 0
    refused: dict[str, int] = field(default_factory=dict)

    @property
    def refusals(self) -> int:
        return sum(self.refused.values())


def check(program: Program, counts: Counts) -> None:
    """Run a program in every way; Mismatch with its source where they part."""
    counts.programs += 1
    eager = play(program, "eager")
    counts.raised += eager[-1].error is not None
    # A flip is a view, and in torch a copy.
    reference = play(program, "torch") if has_torch() and ".flip(" not in program.setup else None
    refused: str | None = None
    for party in ("interpreter", "llvm") if program.machine else ("interpreter",):
        counts.runs[party] = counts.runs.get(party, 0) + 1
        refused = _Pair(program, party, eager, play(program, party), reference).compare() or refused
    if refused is not None:
        counts.refused[refused] = counts.refused.get(refused, 0) + 1
    if reference is not None:
        counts.runs["torch"] = counts.runs.get("torch", 0) + 1
        _Pair(program, "torch", eager, reference, None).compare()


@dataclass(frozen=True)
class _Pair:
    """Eager execution and another one, moment by moment."""

    program: Program
    party: str
    eager: list[Moment]
    other: list[Moment]
    reference: list[Moment] | None

    def compare(self) -> str | None:
        """The reason of a refusal, or None."""
        for i, (a, b) in enumerate(zip(self.eager, self.other, strict=False)):
            if a.error is None and b.error is None:
                self._same(i, a, b)
            elif a.error is not None and b.error is not None:
                return self._both_raised(i, b.error)
            elif b.error is not None:
                return self._refused(i, b)
            else:
                return self._not_raised(i, a, b)
        return None

    def _both_raised(self, i: int, error: Exception) -> None:
        if not isinstance(error, _EXPECTED):
            self._fail(i, f"raises {type(error).__name__}: {error}")

    def _refused(self, i: int, b: Moment) -> str | None:
        if self.party == "torch" and re.search(STRICTER, str(b.error)):
            return None
        error = f"{type(b.error).__name__}: {b.error}"
        reason = next((name for name, pattern in REFUSALS.items() if re.search(pattern, str(b.error))), None)
        if self.party == "torch" or not isinstance(b.error, TinyTorchError) or reason is None:
            self._fail(i, f"raises {error}")
        if self.program.segments[i - 1].call:
            self._same_state(i, self.eager[i - 1], b, "refuses, and changes ")
        return reason or ""

    def _not_raised(self, i: int, a: Moment, b: Moment) -> None:
        """Where eager execution raises, torch may be less strict, and then says what is right."""
        lost = re.search(LOST, str(a.error)) is not None
        reference = self.reference
        if self.party == "torch" and (lost or re.search(SPREAD, str(a.error))):
            return
        if reference is not None and len(reference) > i and reference[i].error is None:
            _Pair(self.program, f"{self.party} (against torch)", reference, self.other, None)._same(i, reference[i], b)
        elif not lost:
            self._fail(i, f"does not raise {type(a.error).__name__}: {a.error}")

    def _same(self, i: int, a: Moment, b: Moment) -> None:
        for path, x, y in _parts(a.result, b.result):
            self._same_leaf(i, f"out{path}", x, y)
        self._same_state(i, a, b, "")

    def _same_state(self, i: int, a: Moment, b: Moment, what: str) -> None:
        for name in a.state:
            self._same_leaf(i, what + name, a.state[name], b.state[name])
            if USED_UP not in (a.gradients[name], b.gradients[name]):
                self._same_leaf(i, f"{what}{name}.grad", a.gradients[name], b.gradients[name])

    def _same_leaf(self, i: int, name: str, a: Any, b: Any) -> None:
        difference = _difference(a, b, self._compared)
        if difference:
            self._fail(i, f"{name}: {difference}")

    @property
    def _compared(self) -> tuple[str, ...]:
        """What is compared of a tensor beside its values. torch says of views of leaves made under no_grad that they
        require grad."""
        if "torch" not in self.party:
            return ("dtype", "requires_grad", "same")
        return ("dtype", "same") if self._quiet else ("dtype", "requires_grad", "same")

    @property
    def _quiet(self) -> bool:
        """Whether a call ran under no_grad."""
        return any(segment.call and "no_grad" in segment.text for segment in self.program.segments)

    def _fail(self, i: int, what: str) -> None:
        head = "the setup" if i == 0 else self.program.segments[i - 1].text
        raise Mismatch(f"{self.party} {what}\nafter: {head}\n\n{self.program.source()}")


def _parts(a: Any, b: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """The parts of two results that are at the same place; whole where their containers differ."""
    if isinstance(a, tuple) and isinstance(b, tuple) and a[0] == b[0] and len(a[1]) == len(b[1]):
        if isinstance(a[1], dict) and a[1].keys() == b[1].keys():
            return [each for key in a[1] for each in _parts(a[1][key], b[1][key], f"{path}[{key!r}]")]
        if isinstance(a[1], list):
            return [each for i, x in enumerate(a[1]) for each in _parts(x, b[1][i], f"{path}[{i}]")]
    return [(path, a, b)]


def _difference(a: Any, b: Any, compared: tuple[str, ...]) -> str:
    """What differs between two leaves, or nothing."""
    if not (isinstance(a, Leaf) and isinstance(b, Leaf)):
        return "" if a == b else f"eager {_short(a)}, here {_short(b)}"
    for what in compared:
        if getattr(a, what) != getattr(b, what):
            return f"{what} is {getattr(a, what)} eagerly, here {getattr(b, what)}"
    if a.array.shape != b.array.shape:
        return f"shape {a.array.shape} eagerly, here {b.array.shape}"
    return "" if _near(a.array, b.array) else f"eager {_short(a)}, here {_short(b)}"


def _near(a: np.ndarray, b: np.ndarray) -> bool:
    if a.dtype.kind != "f" or not a.size:
        return np.array_equal(a, b)
    tolerance = TOLERANCES[str(a.dtype)]
    scale = np.max(np.abs(a[np.isfinite(a)]), initial=1.0)
    return np.allclose(b, a, rtol=tolerance, atol=tolerance * scale, equal_nan=True)


def _short(item: Any) -> str:
    return str(item.array.tolist()) if isinstance(item, Leaf) else str(item)
