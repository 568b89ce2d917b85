"""What models can be compared by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from tinytorch.frontend.arguments import wrong_type, wrong_value
from tinytorch.ir.text.units import count, duration, size


@dataclass(frozen=True)
class Metric:
    """A figure of a model: its unit, whether more of it is better, how it is written, and what it is."""

    name: str
    unit: str
    more_is_better: bool
    show: Callable[[float], str]
    doc: str


def _joules(value: float) -> str:
    return f"{value:.3g} J" if value >= 1 else f"{value * 1e3:.3g} mJ"


METRICS = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "share", True, lambda x: f"{x:.2%}", "share of the targets that the largest score names"),
        Metric("latency", "s", False, duration, "median seconds of a call"),
        Metric("throughput", "samples/s", True, lambda x: f"{count(x)}/s", "samples of a call over its seconds"),
        Metric("memory", "bytes", False, size, "weights, inputs, results of a call, and what it needs between"),
        Metric(
            "size", "bytes", False, size,
            "parameters and buffers as stored; of a tensor with many zeros, the other elements and a bit for each",
        ),
        Metric("parameters", "elements", False, count, "elements of all parameters"),
        Metric("flops", "operations", False, count, "operations of a call, as defined, a multiply-add being two"),
        Metric("energy", "J", False, _joules, "joules of the processor in a call, by its own counter (RAPL)"),
    )
}  # fmt: skip
TIMED = ("latency", "throughput")


def chosen_metrics(metrics: Any) -> tuple[Metric, ...]:
    """Those of these names, each once; an error for none, or for a name that there is not."""
    if isinstance(metrics, str) or not isinstance(metrics, (list, tuple)):
        raise wrong_type("compare_models", "metrics", "a list of names", metrics)
    names = list(dict.fromkeys(cast("Sequence[Any]", metrics)))
    if not names:
        raise wrong_value("compare_models", "metrics", f"a list of at least one of {', '.join(METRICS)}", metrics)
    for name in names:
        if name not in METRICS:
            raise wrong_value("compare_models", "metrics", f"of {', '.join(METRICS)}", name)
    return tuple(METRICS[name] for name in names)
