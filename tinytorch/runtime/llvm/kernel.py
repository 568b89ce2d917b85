"""What a family of kernels is asked to write, and the record of what it has written.

The package of a family has a module `kernel` with a function

    emit(module: Module, name: str, kernel: Kernel, target: Target) -> KernelCode

which writes functions into the module whose names begin with `name`; `lower` finds it by the family's name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from tinytorch.ir.graph import Graph
from tinytorch.ir.types import DType, Shape, contiguous_strides


@dataclass(frozen=True)
class Buffer:
    """A buffer seen as `[batch…, rows, columns]`; its pointer is that of element [0, …, 0].

    Strides are in elements, of any sign; 0 repeats an element along that axis (inputs only).
    """

    dtype: DType
    shape: Shape
    strides: tuple[int, ...]

    @staticmethod
    def contiguous(dtype: DType, shape: Shape) -> Buffer:
        return Buffer(dtype, shape, contiguous_strides(shape))

    @property
    def batch(self) -> Shape:
        return self.shape[:-2]

    @property
    def row_bytes(self) -> int:
        """From one row to the next."""
        return self.strides[-2] * self.dtype.size

    @property
    def column_bytes(self) -> int:
        """From one column to the next."""
        return self.strides[-1] * self.dtype.size

    @property
    def batch_bytes(self) -> tuple[int, ...]:
        return tuple(stride * self.dtype.size for stride in self.strides[:-2])

    @property
    def strides_bytes(self) -> tuple[int, ...]:
        return tuple(stride * self.dtype.size for stride in self.strides)

    def transposed(self) -> Buffer:
        """The same buffer with rows and columns exchanged."""
        return self.reordered((*range(len(self.shape) - 2), len(self.shape) - 1, len(self.shape) - 2))

    def reordered(self, axes: Sequence[int]) -> Buffer:
        """The same buffer with these axes, in this order."""
        return replace(self, shape=tuple(self.shape[i] for i in axes), strides=tuple(self.strides[i] for i in axes))


@dataclass(frozen=True)
class Kernel:
    """A kernel to be written: the body, and how the body's inputs and outputs lie in memory.

    `in_place`: the result of an update has the buffer of what is updated, and keeps what is not replaced.
    `covering`: the results that lie where an operand does, so that nothing else may be written there before them.
    """

    body: Graph
    text: str  # of the body, whatever its values are called: code is shared by it
    operands: tuple[Buffer, ...]
    results: tuple[Buffer, ...]
    in_place: bool = False
    covering: tuple[int, ...] = ()


class Phase(NamedTuple):
    """`void function(ptr frame, i64 chunk)`, to be called once for each chunk below `chunks`, in any order and on any
    threads, after all chunks of the phase before. Chunks write disjoint parts of the results."""

    function: str
    chunks: int


@dataclass(frozen=True)
class KernelCode:
    """A kernel that has been written: the phases, and the frame that they are called with.

    The frame is an array of pointers to the first elements of the buffers, operands then results in the given `order`;
    to scratch, aligned to 64 bytes; and to the i64 status word, which a guard that fails sets.
    `shared_bytes` of scratch belong to the whole kernel, `private_bytes` to each thread: one pointer to scratch, or two
    in this order.
    """

    phases: tuple[Phase, ...]
    order: tuple[int, ...]
    shared_bytes: int = 0
    private_bytes: int = 0

    @property
    def frame_bytes(self) -> int:
        """Of the frame: buffers, scratch, and the status word."""
        return (len(self.order) + max(1, (self.shared_bytes > 0) + (self.private_bytes > 0)) + 1) * 8

    @property
    def private_index(self) -> int:
        """Which pointer of the frame is to a thread's own scratch."""
        return len(self.order) + (self.shared_bytes > 0)
