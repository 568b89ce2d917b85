"""Reverse-mode differentiation over any record of applied ops: an eager tape or a graph."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from typing import Any

from tinytorch.ir.op import Applied, Op


class Record(Applied):
    """An application together with its op; `key` names a value in it."""

    op: Op


def pullback(
    records: Sequence[Any],
    cotangents: dict[Hashable, Any],
    active: Callable[[Any], bool],
    key: Callable[[Any], Hashable],
    *,
    wanted: Collection[Hashable] | None = None,
    enter: Callable[[Any], None] | None = None,
) -> None:
    """Walk `records` (op, inputs, output, attrs; in topological order) backwards and add to `cotangents`,
    which starts with the seeds, the cotangent of every `active` operand that the seeds depend on.

    The rules are written in ops over the operands, so the result can be differentiated again. With `wanted`, the
    cotangent of any other record's output is dropped once that record is done, which frees its memory. `enter` is
    called with each record before its rules.
    (Reverse accumulation: Griewank & Walther, Evaluating Derivatives, 2008, ch. 3.)
    """
    for record in reversed(records):
        name = key(record.output)
        ct = cotangents.get(name)
        if ct is None:
            continue
        if enter is not None:
            enter(record)
        for index, operand in enumerate(record.inputs):
            if not active(operand):
                continue
            contribution = record.op.cotangent(ct, record, index)
            if contribution is not None:
                known = cotangents.get(key(operand))
                cotangents[key(operand)] = contribution if known is None else known + contribution
        if wanted is not None and name not in wanted:
            del cotangents[name]
