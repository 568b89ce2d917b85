"""One node of a body on lanes, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence

from tinytorch.ir.emitter import Lane
from tinytorch.ir.errors import CompileError
from tinytorch.ir.graph import Node
from tinytorch.ir.types import DType, f32, i64
from tinytorch.runtime.llvm.builder import Module, Value
from tinytorch.runtime.llvm.emit import LaneEmitter, is_narrow, register_type
from tinytorch.runtime.llvm.target import Target

_SLOW = {" fdiv ": 8, "llvm.sqrt": 8, " frem ": 60, " sdiv ": 25, " udiv ": 25, " srem ": 25, " urem ": 25}
_weights: dict[tuple[object, ...], int] = {}


def computed(dtype: DType) -> DType:
    """The dtype that values of `dtype` are computed in: 16-bit floats in f32, with each result rounded."""
    return f32 if is_narrow(dtype) else dtype


def node_lane(e: LaneEmitter, node: Node, operands: Sequence[Lane]) -> Lane:
    """The result of an elementwise or random node, rounded to its dtype; operands are `computed`, counters first."""
    if node.op.scalar is None:
        raise CompileError(f"a loop kernel cannot hold {node.op.name}: the op has no lane")
    return e.cast(node.op.scalar(e, *operands, **node.attrs), node.output.type.dtype)


def node_weight(node: Node, target: Target) -> int:
    """About how many instructions the node takes per vector; a division counts for several."""
    if node.op.scalar is None:
        return 0
    dtypes = tuple(v.type.dtype for v in node.inputs)
    key = (node.op, dtypes, node.output.type.dtype, target.name)
    if key not in _weights:
        _weights[key] = _measure(node, dtypes, target)
    return _weights[key]


def _measure(node: Node, dtypes: Sequence[DType], target: Target) -> int:
    fn = Module().function("measured", [])
    e = LaneEmitter(fn, target, 1)
    if node.op.kind == "random":
        dtypes = (i64, i64, i64)  # index, seed, offset
    elif not dtypes and node.op.name == "iota":
        dtypes = (i64,)
    operands = [Lane(e, d, Value("%x", register_type(d, 1), fn)) for d in map(computed, dtypes)]
    node_lane(e, node, operands)
    lines = fn.text().splitlines()[2:-1]
    return len(lines) + sum(cost for line in lines for word, cost in _SLOW.items() if word in line)
