"""Reverse-mode differentiation over any record of applied ops: an eager tape or a graph."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
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
) -> None:
    """Walk `records` (op, inputs, output, attrs; in topological order) backwards and add to `cotangents`,
    which starts with the seeds, the cotangent of every `active` operand that the seeds depend on.

    The rules are written in ops over the operands, so the result can be differentiated again.
    (Reverse accumulation: Griewank & Walther, Evaluating Derivatives, 2008, ch. 3.)
    """
    for record in reversed(records):
        ct = cotangents.get(key(record.output))
        if ct is None:
            continue
        for index, operand in enumerate(record.inputs):
            if not active(operand):
                continue
            contribution = record.op.cotangent(ct, record, index)
            if contribution is not None:
                known = cotangents.get(key(operand))
                cotangents[key(operand)] = contribution if known is None else known + contribution
