"""Results that are only joined to a larger one: their kernels write them where they belong in it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate

from tinytorch.ir.families import FAMILIES
from tinytorch.ir.graph import Graph, Node, Value
from tinytorch.ir.kernels.layout import Layout, own, reshaped
from tinytorch.ir.ops.core import kernel
from tinytorch.ir.ops.view import concat

_RUN = 256  # bytes in a row that are worth writing apart from others: some cache lines


def joined(graph: Graph, layouts: Mapping[Value, Layout]) -> dict[Node, dict[Value, Layout]]:
    """The kernels of `concat` that need not run: of each, where in its result its operands' buffers lie.

    That may be where kernels that write by strides make the operands, each of them whole and in runs, and nothing else
    reads them; and where the result lies in the arena.
    """
    producers, users = graph.producers(), graph.users()
    outside = {layouts[v].base for v in (*graph.inputs, *graph.outputs)}
    found: dict[Node, dict[Value, Layout]] = {}
    for node in graph.nodes:
        body: Graph | None = node.attrs["body"] if node.op is kernel else None
        if body is None or body.nodes[0].op is not concat or node.output in outside:
            continue
        operands = dict(zip(body.inputs, node.inputs, strict=True))
        parts = _parts([operands[v] for v in body.nodes[0].inputs], node.output, body.nodes[0].attrs["axis"], layouts)
        if parts is not None and all(
            base not in outside and _writes_by_strides(producers.get(base)) and _is_read_by(base, node, users)
            for base in parts
        ):
            found[node] = parts
    return found


def _parts(
    operands: Sequence[Value], result: Value, axis: int, layouts: Mapping[Value, Layout]
) -> dict[Value, Layout] | None:
    """Where in the result of a `concat` the buffers of its operands lie; None where one is not a buffer of its own, or
    cannot lie there."""
    strides = own(result).strides
    starts = accumulate((v.type.shape[axis] for v in operands), initial=0)
    found: dict[Value, Layout] = {}
    for value, start in zip(operands, starts, strict=False):
        layout, shape = layouts[value], value.type.shape
        is_whole = layout.offset == 0 and layout.is_contiguous(shape) and value.type.size == layout.base.type.size
        run = math.prod(shape[axis:]) * value.type.dtype.size
        if not is_whole or run < _RUN or layout.base in found:
            return None
        place = reshaped(shape, Layout(result, start * strides[axis], strides), layout.base.type.shape)
        if place is None:
            return None
        found[layout.base] = place
    return found


def _writes_by_strides(maker: Node | None) -> bool:
    family = None if maker is None or maker.op is not kernel else FAMILIES.named(maker.attrs["family"])
    return family is not None and family.orders


def _is_read_by(value: Value, reader: Node, users: Mapping[Value, list[Node]]) -> bool:
    """Whether one node alone reads a value, through whatever views."""
    return all(
        node is reader or (node.op.kind == "view" and _is_read_by(node.output, reader, users))
        for node in users.get(value, ())
    )
