"""Two reports side by side: what became slower or larger, what the graphs differ in, and how far results are apart."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from os import PathLike, fspath
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tinytorch.insight.common import common_lines
from tinytorch.insight.graphs import DiffLine, marked
from tinytorch.insight.page import read_page, write_comparison
from tinytorch.insight.record import GraphLine, KernelRecord, Record, Result, load_record, record_of
from tinytorch.insight.text import add, as_text, more, shortened, table
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.text.units import count, duration, size

_KERNELS, _RESULTS = 20, 12  # rows
_TITLE = 48  # characters
_NAME = re.compile(r"%[\w.]+")
_SHAPE = re.compile(r"\[[\d,]*\]")
_PAGES = (".html", ".htm")


@dataclass(frozen=True)
class Pair:
    """Kernels of the same title and shapes of results, by number; None where the other report has none."""

    title: str
    a: int | None
    b: int | None


@dataclass(frozen=True)
class Difference:
    """How far a result of both is apart: the largest difference of an element, and relative to the largest element of
    the first. Infinite where only one is a finite number."""

    name: str
    largest: float
    relative: float


@dataclass(frozen=True)
class Comparison:
    """Two records. `diff` are lines of the graphs behind the passes, as in `PassStep`; names of values do not count.
    `numerics` is None where the calls were not measured, or not on the same arguments."""

    a: Record
    b: Record
    kernels: tuple[Pair, ...]
    diff: tuple[DiffLine, ...]
    numerics: tuple[Difference, ...] | None

    @property
    def title(self) -> str:
        return self.a.title if self.a.title == self.b.title else f"{self.a.title} and {self.b.title}"

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        numerics = None if self.numerics is None else [asdict(each) for each in self.numerics]
        pairs = [asdict(pair) for pair in self.kernels]
        records = {"a": self.a.as_dict(), "b": self.b.as_dict()}
        return {"title": self.title, **records, "kernels": pairs, "diff": self.diff, "numerics": numerics}

    def save_html(self, path: str | PathLike[str]) -> None:
        """Write it as a page for the browser. TinyTorchError where the file cannot be written."""
        write_comparison(self, path)

    def __rich__(self) -> Group:
        parts: list[RenderableType] = [_totals_table(self), _kernels_table(self)]
        if self.numerics:
            parts.append(_numerics_table(self.numerics))
        return Group(*parts, Text(_summary(self)))

    def __str__(self) -> str:
        return as_text(self.__rich__())

    def __repr__(self) -> str:
        return str(self)


def compare_reports(a: Record | str | PathLike[str], b: Record | str | PathLike[str]) -> Comparison:
    """Two reports side by side: records that `Compiled.report` returned, or the files of such, pages that it wrote or
    JSON of `Record.save`. What it returns prints tables, and `save_html(path)` writes them as a page.

    Kernels are matched by title and by the shapes of their results. Results are compared where both calls were measured
    on the same arguments, which are made up by shape and dtype. TinyTorchError where a file holds no report.
    """
    first, second = _record(a), _record(b)
    pairs, diff = tuple(_pairs(first.kernels, second.kernels)), _graphs(first.last_graph, second.last_graph)
    same = first.arguments and first.arguments == second.arguments
    return Comparison(first, second, pairs, diff, _numerics(first.results, second.results) if same else None)


def _record(given: Record | str | PathLike[str]) -> Record:
    if isinstance(given, Record):
        return given
    try:
        if not fspath(given).lower().endswith(_PAGES):
            return load_record(given)
        return record_of(read_page(given))
    except (TypeError, LookupError, AttributeError) as error:
        raise TinyTorchError(f"{given!r} is no report, and no file of one: {error}", user_loc()) from None


def _pairs(a: Sequence[KernelRecord], b: Sequence[KernelRecord]) -> Iterator[Pair]:
    """Kernels in the order of `a`; those that only `b` has come last."""
    waiting: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for kernel in b:
        waiting[_title_and_shapes(kernel)].append(kernel.id)
    for kernel in a:
        found = waiting[_title_and_shapes(kernel)]
        yield Pair(kernel.title, kernel.id, found.pop(0) if found else None)
    left = {number for numbers in waiting.values() for number in numbers}
    yield from (Pair(kernel.title, None, kernel.id) for kernel in b if kernel.id in left)


def _title_and_shapes(kernel: KernelRecord) -> tuple[str, ...]:
    return (kernel.title, *_SHAPE.findall(kernel.result))


def _graphs(a: Sequence[GraphLine], b: Sequence[GraphLine]) -> tuple[DiffLine, ...]:
    """The differences of two graphs as text, whatever their values are called."""
    one, two = ([_NAME.sub("%", line.text) for line in lines] for lines in (a, b))
    return marked(a, b, common_lines(one, two), lambda line: [(line.text, line.node)])


def _numerics(a: Sequence[Result], b: Sequence[Result]) -> tuple[Difference, ...]:
    others = {result.name: result for result in b}
    pairs = [(x, others[x.name]) for x in a if x.name in others]
    return tuple(_apart(x, y) for x, y in pairs if len(x.values) == len(y.values))


def _apart(a: Result, b: Result) -> Difference:
    largest = max(map(_distance, a.values, b.values), default=0.0)
    scale = max((abs(x) for x in a.values if x is not None), default=0.0)
    return Difference(a.name, largest, largest / scale if scale else (0.0 if largest == 0 else math.inf))


def _distance(x: float | None, y: float | None) -> float:
    if x is None or y is None:
        return 0.0 if x is y else math.inf
    return abs(x - y)


# Tables.
def _totals_table(both: Comparison) -> Table:
    found = table("Both", [""], ["a", "b", "b / a"])
    rows = [_totals(record) for record in (both.a, both.b)]
    for (name, x, show), (_, y, _) in zip(*rows, strict=True):
        ratio = f"{y / x:.2f}" if x and y is not None else ""
        add(found, name, *("" if v is None else show(v) for v in (x, y)), ratio)
    return found


def _totals(record: Record) -> list[tuple[str, float | None, Any]]:
    predicted = sum(kernel.predicted or 0.0 for kernel in record.kernels) if record.kernels else None
    return [
        ("time of a call", record.call_seconds, duration),
        ("roofline of its kernels", predicted, duration),
        ("last compilation", record.compilations[-1].seconds if record.compilations else None, duration),
        ("FLOPs", record.flops, count),
        ("kernels", len(record.kernels), count),
        ("lines of the traced graph", len(record.first_graph), count),
        ("arena", record.arena_bytes, size),
        ("most of it in use", None if record.peak is None else record.peak.bytes, size),
        ("scratch", record.outside.scratch, size),
        ("state", record.outside.state, size),
        ("constants", record.outside.constants, size),
    ]


def _kernels_table(both: Comparison) -> Table:
    """The kernels whose times are furthest apart."""
    found = table("Kernels", ["kernel", "result"], ["a", "b", "b − a"])

    def time(record: Record, number: int | None) -> float:
        if number is None:
            return 0.0
        kernel = record.kernels[number]
        return (kernel.predicted or 0.0) if kernel.measured is None else kernel.measured

    timed = [(pair, time(both.a, pair.a), time(both.b, pair.b)) for pair in both.kernels]
    ordered = sorted(timed, key=lambda each: -abs(each[2] - each[1]))
    for pair, x, y in ordered[:_KERNELS]:
        kernel = both.b.kernels[pair.b or 0] if pair.a is None else both.a.kernels[pair.a]
        cells = ["" if pair.a is None else duration(x), "" if pair.b is None else duration(y)]
        sign = "+" if y >= x else "−"
        add(found, shortened(pair.title, _TITLE), kernel.result, *cells, f"{sign}{duration(abs(y - x))}")
    if len(ordered) > _KERNELS:
        more(found, f"{len(ordered) - _KERNELS} that differ less; save_html(path) shows all")
    return found


def _numerics_table(numerics: Sequence[Difference]) -> Table:
    found = table("Results on the same arguments", ["result"], ["largest difference", "relative"])
    ordered = sorted(numerics, key=lambda each: -each.relative)
    for each in ordered[:_RESULTS]:
        add(found, each.name, f"{each.largest:.3g}", f"{each.relative:.1e}")
    if len(ordered) > _RESULTS:
        more(found, f"{len(ordered) - _RESULTS} that differ less; save_html(path) shows all")
    return found


def _summary(both: Comparison) -> str:
    gone = sum(kind == "-" for kind, _, _ in both.diff)
    new = sum(kind == "+" for kind, _, _ in both.diff)
    matched = sum(pair.a is not None and pair.b is not None for pair in both.kernels)
    alone = [sum(getattr(pair, side) is None for pair in both.kernels) for side in "ba"]
    lines = [
        f"a: {both.a.title}, {both.a.created}; b: {both.b.title}, {both.b.created}",
        f"graphs: {gone} lines only in a, {new} only in b; kernels: {matched} in both, {alone[0]} only in a, "
        f"{alone[1]} only in b",
    ]
    if both.numerics is None:
        lines.append("results are not compared: they were not measured on the same arguments")
    return "\n".join(lines)
