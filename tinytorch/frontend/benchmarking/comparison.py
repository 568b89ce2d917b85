"""What a comparison found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tinytorch.frontend.benchmarking.intervals import Interval, Verdict
from tinytorch.frontend.benchmarking.metrics import METRICS, TIMED, Metric
from tinytorch.frontend.profiling.tables import in_columns
from tinytorch.ir.characters import printable
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.text.units import duration


@dataclass(frozen=True)
class Result:
    """One model: its figure for each metric (None where there is none), the seconds of its rounds, the interval of
    their median, how many times as fast as the baseline it is, and what that says."""

    name: str
    figures: Mapping[str, float | None]
    times: tuple[float, ...] = ()
    latency: Interval | None = None
    speedup: Interval | None = None
    verdict: Verdict | None = None

    def shown(self, metric: Metric) -> str:
        """The figure as text, a latency with its interval."""
        value = self.figures[metric.name]
        if value is None:
            return "–"
        text = metric.show(value)
        if metric.name == "latency" and self.latency is not None:
            text += f" [{duration(self.latency.low)}, {duration(self.latency.high)}]"
        return text

    @property
    def shown_verdict(self) -> str:
        """`2.31× [2.25, 2.40] faster`."""
        if self.speedup is None or self.verdict is None:
            return "–"
        ratio = self.speedup
        return f"{ratio.median:.2f}× [{ratio.low:.2f}, {ratio.high:.2f}] {self.verdict}"


@dataclass(frozen=True)
class Comparison:
    """All models, in the order in which they were given; `baseline` names the one that the others are compared with.
    `samples` are those of the call that was timed, `rounds` its turns, `confidence` that of the intervals. Printed, it
    is a table."""

    results: tuple[Result, ...]
    metrics: tuple[Metric, ...]
    baseline: str
    samples: int
    rounds: int
    notes: tuple[str, ...] = ()
    confidence: float = 0.95

    def __getitem__(self, name: str) -> Result:
        """What was found of the model of that name."""
        for result in self.results:
            if result.name == name:
                return result
        known = ", ".join(result.name for result in self.results)
        raise TinyTorchError(f"there is no model {name!r}; there are {known}", user_loc())

    def front(self, x: str, y: str) -> tuple[Result, ...]:
        """The Pareto frontier of two metrics: the models that no other one is at least as good as in both and better
        in one, by x."""
        for name in (x, y):
            if name not in {metric.name for metric in self.metrics}:
                measured = ", ".join(metric.name for metric in self.metrics)
                raise TinyTorchError(f"front: {name!r} was not measured; there are {measured}", user_loc())
        return pareto_front(self.results, METRICS[x], METRICS[y])

    def joined(self, other: Comparison) -> Comparison:
        """The figures of both, where models are measured in two ways: such as accuracy on windows of a text, and times
        of a step that makes one token. Of what both have, times among it, those of `other` count. The models, by their
        names, must be the same."""
        names, others = ([result.name for result in each.results] for each in (self, other))
        if names != others:
            raise TinyTorchError(f"joined: the models are {', '.join(names)} and {', '.join(others)}", user_loc())
        metrics = {metric.name: metric for metric in (*self.metrics, *other.metrics)}
        results = [
            replace(b if b.times else a, figures={**a.figures, **b.figures})
            for a, b in zip(self.results, other.results, strict=True)
        ]
        timed = other if any(result.times for result in other.results) else self
        return replace(
            timed,
            results=tuple(results),
            metrics=tuple(metrics[name] for name in METRICS if name in metrics),
            notes=(*self.notes, *other.notes),
        )

    @property
    def head(self) -> list[str]:
        """The columns of the table."""
        timed = any(metric.name in TIMED for metric in self.metrics)
        return ["model", *(metric.name for metric in self.metrics), *([f"against {self.baseline}"] if timed else [])]

    @property
    def rows(self) -> list[list[str]]:
        """A row for each model."""
        timed = any(metric.name in TIMED for metric in self.metrics)
        return [
            [r.name, *(r.shown(metric) for metric in self.metrics), *([r.shown_verdict] if timed else [])]
            for r in self.results
        ]

    def __str__(self) -> str:
        return printable("\n".join([in_columns(self.head, self.rows), *self.notes]))

    __repr__ = __str__

    def as_json(self) -> dict[str, Any]:
        """Everything as numbers that JSON holds."""
        return {
            "baseline": self.baseline,
            "samples": self.samples,
            "rounds": self.rounds,
            "confidence": self.confidence,
            "models": [
                {
                    "name": r.name,
                    "figures": dict(r.figures),
                    "times": list(r.times),
                    "latency": None if r.latency is None else vars(r.latency),
                    "speedup": None if r.speedup is None else vars(r.speedup),
                    "verdict": r.verdict,
                }
                for r in self.results
            ],
            "notes": list(self.notes),
        }


def pareto_front(results: Sequence[Result], x: Metric, y: Metric) -> tuple[Result, ...]:
    """The Pareto frontier: the results that no other one is at least as good as in both metrics and better in one. Of
    results with equal figures, all are in it. Sorted by x, the worst first; results without one of the figures are left
    out."""

    def place(result: Result) -> tuple[float, float] | None:
        """Both figures, more of each being better."""
        a, b = result.figures[x.name], result.figures[y.name]
        return None if a is None or b is None else (a if x.more_is_better else -a, b if y.more_is_better else -b)

    placed = [(result, where) for result in results if (where := place(result)) is not None]
    best = [
        (result, where)
        for result, where in placed
        if not any(o != where and o[0] >= where[0] and o[1] >= where[1] for _, o in placed)
    ]
    return tuple(result for result, _ in sorted(best, key=lambda pair: pair[1]))
