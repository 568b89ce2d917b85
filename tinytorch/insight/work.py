"""What a kernel computes and moves: what tables, reports and the roofline count."""

from __future__ import annotations

from dataclasses import dataclass

from tinytorch.ir.ops.index import indices_of
from tinytorch.runtime.roofline import Peaks
from tinytorch.runtime.schedule import Argument, Call


@dataclass(frozen=True)
class Work:
    """Operations, and the bytes that are read and written if every operand is read once."""

    flops: int
    bytes_read: int
    bytes_written: int

    @property
    def bytes(self) -> int:
        return self.bytes_read + self.bytes_written

    @property
    def intensity(self) -> float:
        """Operations per byte of traffic."""
        return self.flops / self.bytes if self.bytes else 0.0


def work_of(call: Call) -> Work:
    """The work of one kernel of a schedule."""
    return Work(call.node.flops, *_moved(call))


def predicted(call: Call, work: Work, peaks: Peaks) -> float:
    """The roofline's time of a kernel, in seconds."""
    return peaks.seconds(work.flops, work.bytes, call.node.outputs[0].type.dtype.size)


def _moved(call: Call) -> tuple[int, int]:
    """The bytes that a kernel reads and writes: where an index says which, or an update replaces them, as many as that
    takes, and not the whole operand."""
    first = call.body.nodes[0]
    base = call.body.inputs.index(first.inputs[0]) if first.op.kind in ("index", "update") else None
    others = sum(traffic(operand) for i, operand in enumerate(call.operands) if i != base)
    written = sum(map(traffic, call.results))
    if base is not None and call.overwritten == base:  # the update has its dtype, and as many elements as are written
        dtype = call.operands[base].value.type.dtype
        alike = [o for i, o in enumerate(call.operands) if i != base and o.value.type.dtype == dtype]
        return others, max(map(traffic, alike), default=0)
    types, results = [v.type for v in first.inputs], [v.type for v in first.outputs]
    if base is not None and indices_of(first.op, types, results, first.attrs):
        return others + written, written
    return sum(map(traffic, call.operands)), written


def traffic(argument: Argument) -> int:
    """The bytes that an operand shows: along a stride of 0 they are the same ones."""
    elements = 1
    for size, stride in zip(argument.value.type.shape, argument.strides, strict=True):
        elements *= size if stride else min(size, 1)
    return elements * argument.value.type.dtype.size
