"""One node of a body on lanes."""

from __future__ import annotations

from collections.abc import Sequence

from tinytorch.ir.errors import CompileError
from tinytorch.ir.graph import Node
from tinytorch.ir.lanes.emitter import Lane
from tinytorch.ir.types import DType, f32
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter, is_narrow


def computed(dtype: DType) -> DType:
    """The dtype that values of `dtype` are computed in: 16-bit floats in f32, with each result rounded."""
    return f32 if is_narrow(dtype) else dtype


def node_lane(e: LaneEmitter, node: Node, operands: Sequence[Lane]) -> Lane:
    """The result of an elementwise or random node, rounded to its dtype; operands are `computed`, counters first."""
    if node.op.scalar is None:
        raise CompileError(f"a loop kernel cannot hold {node.op.name}: the op has no lane")
    return e.cast(node.op.scalar(e, *operands, **node.attrs), node.output.type.dtype)
