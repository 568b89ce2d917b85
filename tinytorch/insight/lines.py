"""What each line of the user's program costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tinytorch.insight.record import KernelRecord, LineCost
from tinytorch.ir.graph import Graph, Node
from tinytorch.ir.loc import Loc
from tinytorch.passes.cost import cost
from tinytorch.runtime.schedule import Call

_Key = tuple[str, int]


@dataclass
class _Sum:
    seconds: float = 0.0
    flops: int = 0
    bytes: int = 0
    kernels: dict[int, None] = field(default_factory=dict[int, None])


def lines(calls: Sequence[Call], records: Sequence[KernelRecord]) -> tuple[LineCost, ...]:
    """The costs of all kernels by line, the dearest first; the sums are those of the kernels.

    A node's operations belong to its line. The traffic of a kernel, and its time (measured, or else predicted), are
    shared among its lines as their operations are, or evenly where it has none.
    """
    sums: dict[_Key, _Sum] = {}
    for call, record in zip(calls, records, strict=True):
        _add(sums, call.body.nodes, call.node, record)
    timed = any(_seconds(record) is not None for record in records)
    found = [
        LineCost(file, line, x.seconds if timed else None, x.flops, x.bytes, tuple(x.kernels))
        for (file, line), x in sums.items()
    ]
    return tuple(sorted(found, key=lambda x: (-(x.seconds or 0.0), -x.flops, x.file, x.line)))


def lines_of_nodes(graph: Graph) -> tuple[LineCost, ...]:
    """The costs of a graph that is run node by node, where there are no kernels."""
    sums: dict[_Key, _Sum] = {}
    for row in cost(graph).rows:
        found = sums.setdefault(_key(row.node.loc), _Sum())
        found.flops += row.flops
        found.bytes += row.bytes_read + row.bytes_written
    ordered = sorted(sums.items(), key=lambda item: -item[1].flops)
    return tuple(LineCost(*key, None, x.flops, x.bytes, ()) for key, x in ordered)


def _seconds(record: KernelRecord) -> float | None:
    return record.predicted if record.measured is None else record.measured


def _add(sums: dict[_Key, _Sum], nodes: Sequence[Node], kernel: Node, record: KernelRecord) -> None:
    flops: dict[_Key, int] = {}
    for node in nodes:
        key = _key(node.loc or kernel.loc)
        flops[key] = flops.get(key, 0) + node.flops
    total, seconds, moved = sum(flops.values()), _seconds(record) or 0.0, record.bytes_read + record.bytes_written
    left, rest = moved, record.flops - total
    for number, (key, own) in enumerate(flops.items(), 1):
        share = own / total if total else 1 / len(flops)
        bytes = left if number == len(flops) else min(left, round(moved * share))
        left -= bytes
        found = sums.setdefault(key, _Sum())
        found.seconds += seconds * share
        found.flops += own + (rest if number == 1 else 0)
        found.bytes += bytes
        found.kernels[record.id] = None


def _key(loc: Loc | None) -> _Key:
    return ("", 0) if loc is None else (loc.file, loc.line)
