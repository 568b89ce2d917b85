"""Where the sums of a contraction belong, and the pointers that its kernel is called with."""

from __future__ import annotations

from dataclasses import dataclass

from tinytorch.ir.types import DType, Shape
from tinytorch.runtime.llvm.kernel import Buffer
from tinytorch.runtime.llvm.text.builder import Function, Register
from tinytorch.runtime.llvm.text.types import PTR


@dataclass(frozen=True)
class Grid:
    """`rows` by `columns` sums in the dtype `compute` for each entry of `batch`; the results that are made of them, and
    what is read for that, lie in memory as [*batch, rows, columns]."""

    batch: Shape
    rows: int
    columns: int
    compute: DType
    results: tuple[Buffer, ...]
    inputs: tuple[Buffer, ...]


@dataclass(frozen=True)
class Frame:
    """A frame of a contraction: pointers to a, b, the results, what the epilogue reads, further operands, scratch."""

    results: int
    inputs: int
    further: int = 0

    @property
    def buffers(self) -> tuple[int, ...]:
        """The numbers of the pointers to buffers."""
        return tuple(range(2 + self.results + self.inputs + self.further))

    def result(self, fn: Function, index: int) -> Register:
        """Result `index`, then what the epilogue reads."""
        return _pointer(fn, 2 + index)

    def further_operand(self, fn: Function) -> Register:
        return _pointer(fn, 2 + self.results + self.inputs)

    def scratch(self, fn: Function, index: int = 0) -> Register:
        """The first area of scratch memory, or the second."""
        return _pointer(fn, len(self.buffers) + index)


def left(fn: Function) -> Register:
    """The first operand."""
    return _pointer(fn, 0)


def right(fn: Function) -> Register:
    """The second operand."""
    return _pointer(fn, 1)


def _pointer(fn: Function, index: int) -> Register:
    """The frame is the first parameter of every function that gets one."""
    return fn.load(fn.params[0], PTR, index * 8)
