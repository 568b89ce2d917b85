"""What sums of bytes begin with where images are moved by 128: 128 times the weights' sums, with the other sign."""

from __future__ import annotations

from collections.abc import Sequence

from tinytorch.runtime.llvm.conv.layout import Convolution
from tinytorch.runtime.llvm.kernel import Buffer
from tinytorch.runtime.llvm.text.builder import Function, Register
from tinytorch.runtime.llvm.text.types import I32

_ONES = 0x01010101


def starts_moved(conv: Convolution) -> bool:
    """Whether a convolution's images are moved, so that its sums do not begin at 0."""
    return conv.packed is not None and conv.packed.dot.moves(conv.images.dtype)


class PackedStarts:
    """The starts of a panel of columns, in the stack frame of the function that computes its outputs."""

    def __init__(self, conv: Convolution, weights: Buffer, lanes: int) -> None:
        assert conv.packed is not None
        self.dot, self.width, self.lanes = conv.packed.dot, conv.packed.width, lanes
        self.off = self.dot.off(conv.images.dtype)
        self.groups = weights.strides[0] // self.width
        self.memory: Register | None = None

    def write(self, fn: Function, b: Register) -> None:
        """Those of the panel at b."""
        type, vectors = I32.widen(self.lanes), self.width // self.lanes
        self.memory = self.memory or fn.alloca(4 * self.width)
        memory, ones = self.memory, fn.const(_ONES, type)

        def group(g: Register, *sums: Register) -> Sequence[Register]:
            row = fn.at(b, g * (4 * self.width))
            loaded = [fn.load(row, type, 4 * self.lanes * j) for j in range(vectors)]
            return [self.dot.add(fn, total, [(ones, x)]) for total, x in zip(sums, loaded, strict=True)]

        sums = fn.loop(self.groups, [fn.zero(type)] * vectors, group)
        for j, total in enumerate(sums):
            fn.store(total * self.off, memory, 4 * self.lanes * j)

    def put(self, fn: Function, to: Register, rows: int, stride: int) -> None:
        """Where so many rows of sums will be added, `stride` bytes apart."""
        assert self.memory is not None, "starts are written first"
        type = I32.widen(self.lanes)
        for j in range(0, 4 * self.width, 4 * self.lanes):
            value = fn.load(self.memory, type, j)
            for i in range(rows):
                fn.store(value, to, i * stride + j)
