"""Pictures of a comparison: pairs of metrics with their Pareto frontiers, or bars where there is but one metric."""

from __future__ import annotations

import functools
import io
from typing import TYPE_CHECKING, Any

from tinytorch.frontend.benchmarking.comparison import Comparison, Result
from tinytorch.frontend.benchmarking.metrics import METRICS, Metric

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAIRS = (("size", "accuracy"), ("latency", "accuracy"), ("memory", "accuracy"), ("memory", "throughput"))
_SIZE = (7.2, 4.4)  # inches
_MARKERS = "osD^vPX*hp"
_WIDE = 4.0  # a range that is so many times its beginning has a logarithmic axis
_PREFIXES = (("", 1.0), ("k", 1e3), ("M", 1e6), ("G", 1e9), ("T", 1e12))
_UNITS = {  # by what metrics are counted in
    "share": [("%", 0.01)],
    "bytes": [("B", 1.0), ("KiB", 2.0**10), ("MiB", 2.0**20), ("GiB", 2.0**30)],
    "s": [("ns", 1e-9), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0)],
    "J": [("µJ", 1e-6), ("mJ", 1e-3), ("J", 1.0)],
}


def figures(comparison: Comparison) -> dict[str, Figure]:
    """One for each pair of metrics that were measured, by the name `x-y`; else one for each metric."""
    measured = {metric.name for metric in comparison.metrics}
    pairs = [pair for pair in PAIRS if measured.issuperset(pair)]
    if pairs:
        return {f"{x}-{y}": scatter(comparison, x, y) for x, y in pairs}
    return {metric.name: bars(comparison, metric) for metric in comparison.metrics}


def scatter(comparison: Comparison, x: str, y: str) -> Figure:
    """Each model at its two figures, and the frontier of those that no other one beats in both."""
    figure, axes = _figure()
    across, up = Scale(comparison, METRICS[x]), Scale(comparison, METRICS[y])
    front = comparison.front(x, y)
    for i, result in enumerate(comparison.results):
        place = (across.of(result), up.of(result))
        if None in place:
            continue
        color, marker = f"C{i % 10}", _MARKERS[i % len(_MARKERS)]
        if x == "latency" and result.latency is not None:
            ends = [end / across.factor for end in (result.latency.low, result.latency.high)]
            axes.hlines([place[1]], *ends, color=color, linewidth=1)
        face = color if result in front else "none"  # what another one beats is hollow
        axes.plot(*place, marker, color=color, markerfacecolor=face, markersize=8, label=_plain(result.name))
    places = [(across.of(result), up.of(result)) for result in front]
    if len(places) > 1:
        axes.plot(*zip(*places, strict=True), "--", color="gray", linewidth=1, zorder=0, label="frontier")
    figure.legend(loc="outside right upper", fontsize=8)
    across.label(axes, "x")
    up.label(axes, "y")
    axes.set_title(f"{y} against {x}")
    axes.margins(0.1)
    return figure


def bars(comparison: Comparison, metric: Metric) -> Figure:
    """A bar for each model that has the figure."""
    figure, axes = _figure()
    scale = Scale(comparison, metric)
    shown = [(result, value) for result in comparison.results if (value := scale.of(result)) is not None]
    names = [_plain(result.name) for result, _ in shown]
    axes.barh(range(len(shown)), [value for _, value in shown], color=[f"C{i % 10}" for i in range(len(shown))])
    axes.set_yticks(range(len(shown)), names)
    axes.invert_yaxis()
    axes.set_xlabel(scale.text)
    axes.set_title(metric.name)
    return figure


class Scale:
    """How the figures of a metric are drawn: in a unit that fits the smallest."""

    def __init__(self, comparison: Comparison, metric: Metric) -> None:
        self.metric = metric
        values = [value for r in comparison.results if (value := r.figures[metric.name]) is not None]
        self.values = [abs(value) for value in values if value]
        least = min(self.values, default=1.0)
        units = _UNITS.get(metric.unit) or [(f"{prefix} {metric.unit}".strip(), size) for prefix, size in _PREFIXES]
        unit, self.factor = next((u for u in reversed(units) if least >= u[1]), units[0])
        self.text = f"{metric.name}, {unit}"

    def of(self, result: Result) -> float | None:
        value = result.figures[self.metric.name]
        return None if value is None else value / self.factor

    def label(self, axes: Any, axis: str) -> None:
        axes.set(**{f"{axis}label": self.text})
        wide = len(self.values) > 1 and max(self.values) > _WIDE * min(self.values)
        if wide and self.metric.unit != "share":
            _logarithmic(axes, axis)


def _logarithmic(axes: Any, axis: str) -> None:
    """With numbers as people write them at 1, 2 and 5 of each decade."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set(**{f"{axis}scale": "log"})
    line = getattr(axes, f"{axis}axis")
    line.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    line.set_major_formatter("{x:g}")
    line.set_minor_formatter(NullFormatter())


def _plain(name: str) -> str:
    """A name as it is: between dollars matplotlib would read a formula."""
    return name.replace("$", r"\$")


def _figure() -> tuple[Figure, Any]:
    figure = empty_figure(*_SIZE)
    return figure, figure.subplots()


def empty_figure(width: float, height: float) -> Figure:
    """A figure of so many inches that shows itself in a notebook. It is made without pyplot, so that nothing is kept
    and no window opens."""
    return _picture()(figsize=(width, height), layout="constrained", facecolor="white")


@functools.cache
def _picture() -> type[Figure]:
    from matplotlib.figure import Figure

    class Picture(Figure):
        def _repr_svg_(self) -> str:
            return as_svg(self)

    return Picture


def as_svg(figure: Figure) -> str:
    """The picture as an SVG element; the same figures give the same text."""
    import matplotlib

    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "tinytorch"}):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    whole = text.getvalue()
    return whole[whole.index("<svg") :]
