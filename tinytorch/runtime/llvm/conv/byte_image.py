"""Padded copies of images of bytes, as the instructions that multiply them want them: moved by 128, or widened."""

from __future__ import annotations

from collections.abc import Callable

from tinytorch.ir.types import i8
from tinytorch.runtime.llvm.contract.bytes.dots import GROUP_BYTES
from tinytorch.runtime.llvm.conv.image_copy import ImageCopy
from tinytorch.runtime.llvm.conv.layout import Convolution, ImageLayout
from tinytorch.runtime.llvm.text.builder import Function, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I8, I16

_FEW_PLANES = 8  # whose elements are put together in registers
_COLUMNS = 16  # at a time


class ByteCopy(ImageCopy):
    """Channels last, whatever the source's order; no masks, which bytes have on few targets."""

    def __init__(self, fn: Function, conv: Convolution, layout: ImageLayout, channels: int, target: Target) -> None:
        super().__init__(fn, conv, layout, channels, target)
        assert conv.packed is not None, "other images are copied in the dtype of the sums"
        self.planar = False
        dot, self.around = conv.packed.dot, conv.packed.around
        self.element = GROUP_BYTES // dot.size
        self.type = I8 if self.element == 1 else I16
        self.moved = dot.moves(conv.images.dtype)
        self.most = target.vector_bytes // self.element

    def line(self, source: Register | None, to: Register, width: int) -> None:
        fn, column = self.fn, self.layout.column
        if source is None:
            self._fill(to, self.left + self.middle + self.right)
            return
        self._fill(to, self.left)
        self._middle(source, fn.at(to, self.left * column), width)
        self._fill(fn.at(to, (self.left + self.middle) * column), self.right)

    def _middle(self, source: Register, to: Register, width: int) -> None:
        """The columns that the image has."""
        fn, strides, column = self.fn, self.conv.images.strides, self.layout.column
        together = strides[3] == 1 or width == 1
        if together and strides[2] == width and column == width * self.element:
            self._pieces(self.middle * width, lambda i, n: self._copy(fn.at(source, i), fn.at(to, i * self.element), n))
            return
        if strides[2] == 1 and width <= _FEW_PLANES:
            self._from_planes(source, to, width)
            return

        def one(i: Register) -> None:
            start, end = fn.at(source, i * strides[2]), fn.at(to, i * column)
            if together:
                self._pieces(width, lambda i, n: self._copy(fn.at(start, i), fn.at(end, i * self.element), n))
            else:
                fn.loop(width, [], lambda c: self._copy(fn.at(start, c * strides[3]), fn.at(end, c * self.element), 1))

        fn.loop(self.middle, [], one)

    def _from_planes(self, source: Register, to: Register, width: int) -> None:
        """A few columns from each channel's plane at a time."""
        fn, plane, column = self.fn, self.conv.images.strides[3], self.layout.column
        pitch = column // self.element

        def columns(i: Register, count: int) -> None:
            start, end = fn.at(source, i), fn.at(to, i * column)
            planes = [fn.load(start, I8.widen(count), c * plane) for c in range(width)]
            if count == 1:
                for c, value in enumerate(planes):
                    self._store(value, fn.at(end, c * self.element))
                return
            for first in range(0, pitch * count, count):
                places = [divmod(k, pitch) for k in range(first, first + count)]
                together = planes[0]
                for c, value in enumerate(planes):
                    kept = [k if place[1] < c else -1 for k, place in enumerate(places)]
                    taken = [count + place[0] if place[1] == c else k for k, place in zip(kept, places, strict=True)]
                    together = fn.shuffle(together, value, taken)
                self._store(together, fn.at(end, first * self.element))

        self._pieces(self.middle, columns, _COLUMNS)

    def _pieces(self, count: int, piece: Callable[[Register, int], None], most: int = 0) -> None:
        """`piece(first, size)` for `count` elements: whole vectors, then what is left in halves of them."""
        fn, most = self.fn, most or self.most
        whole = count // most * most
        fn.loop(whole, [], lambda i: piece(i, most), step=most)
        while whole < count:
            size = 1 << ((count - whole).bit_length() - 1)
            piece(fn.const(whole), size)
            whole += size

    def _copy(self, source: Register, to: Register, count: int) -> None:
        self._store(self.fn.load(source, I8.widen(count)), to)

    def _store(self, value: Register, to: Register) -> None:
        if self.moved:
            value = value ^ -128
        widening = "sext" if self.conv.images.dtype is i8 else "zext"
        self.fn.store(self.fn.convert(widening, value, self.type.widen(value.type.lanes)), to)

    def _fill(self, to: Register, columns: int) -> None:
        """Where the image has no elements, moved like those that it has."""
        fn, size = self.fn, self.element
        value = self.around ^ -128 if self.moved else self.around
        count = columns * self.layout.column // size
        self._pieces(count, lambda i, n: fn.store(fn.const(value, self.type.widen(n)), fn.at(to, i * size)))
