"""Reverse-mode differentiation over any record of applied ops: an eager tape or a graph."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from typing import Any

from tinytorch.ir.op import Applied, Op


class Record(Applied):
    """An application together with its op."""

    op: Op
    names: Sequence[Hashable]  # of the results, among cotangents


def pullback(
    records: Sequence[Any],
    cotangents: dict[Hashable, Any],
    active: Callable[[Any], bool],
    key: Callable[[Any], Hashable],
    *,
    wanted: Collection[Hashable] | None = None,
    enter: Callable[[Any], None] | None = None,
    at_once: Callable[[Any, Any, tuple[int, ...]], Sequence[Any] | None] | None = None,
) -> None:
    """Walk `records` (in topological order) backwards and add to `cotangents`, which starts with the seeds, the
    cotangent of every `active` operand that the seeds depend on; `key` names an operand among them.

    The rules are written in ops over the operands, so the result can be differentiated again. With `wanted`, the
    cotangents of any other record's results are dropped once that record is done, which frees their memory. `enter` is
    called with each record before its rules, and may change the cotangents of its results. `at_once` may do the work of
    the rules: given the cotangents of the results, the record and the indices of its active operands, it gives the
    cotangents of those, or None for all. (Reverse accumulation: Griewank & Walther, Evaluating Derivatives, 2008, ch.
    3.)
    """
    for record in reversed(records):
        cts = [cotangents.get(name) for name in record.names]
        if cts[0] is None and all(ct is None for ct in cts):
            continue
        if enter is not None:
            enter(record)
            cts = [cotangents.get(name) for name in record.names]
        indices = tuple(i for i, operand in enumerate(record.inputs) if active(operand))
        found = None if at_once is None else at_once(cts, record, indices)
        if found is None:
            found = record.op.cotangents(cts, record, indices)
        for index, contribution in zip(indices, found, strict=True):
            operand = record.inputs[index]
            if contribution is not None:
                known = cotangents.get(key(operand))
                cotangents[key(operand)] = contribution if known is None else known + contribution
        if wanted is not None:
            for name in record.names:
                if name not in wanted:
                    cotangents.pop(name, None)
