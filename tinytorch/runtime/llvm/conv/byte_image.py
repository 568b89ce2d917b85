"""Padded copies of images of bytes, as the instructions that multiply them want them: moved by 128, or widened."""

from __future__ import annotations

from tinytorch.ir.types import i8
from tinytorch.runtime.llvm.contract.dots import GROUP_BYTES
from tinytorch.runtime.llvm.conv.image_copy import ImageCopy
from tinytorch.runtime.llvm.conv.layout import Convolution, ImageLayout
from tinytorch.runtime.llvm.text.builder import Function, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I8, I16


class ByteCopy(ImageCopy):
    """Channels last, whatever the source's order; no masks, which bytes have on few targets."""

    def __init__(self, fn: Function, conv: Convolution, layout: ImageLayout, channels: int, target: Target) -> None:
        super().__init__(fn, conv, layout, channels, target)
        assert conv.packed is not None, "other images are copied in the dtype of the sums"
        self.planar = False
        dot = conv.packed.dot
        self.element = GROUP_BYTES // dot.size
        self.type = I8 if self.element == 1 else I16
        self.moved = dot.moves(conv.images.dtype)
        self.most = target.vector_bytes // self.element

    def line(self, source: Register | None, to: Register, width: int) -> None:
        fn, column = self.fn, self.layout.column
        if source is None:
            self._fill(to, (self.left + self.middle + self.right) * column)
            return
        self._fill(to, self.left * column)
        self._middle(source, fn.at(to, self.left * column), width)
        self._fill(fn.at(to, (self.left + self.middle) * column), self.right * column)

    def _middle(self, source: Register, to: Register, width: int) -> None:
        fn, strides, column = self.fn, self.conv.images.strides, self.layout.column
        together = strides[3] == 1 or width == 1
        if together and strides[2] == width and column == width * self.element:
            self._copy(source, to, self.middle * width)
            return

        def one(i: Register) -> None:
            start, end = fn.at(source, i * strides[2]), fn.at(to, i * column)
            if together:
                self._copy(start, end, width)
            else:
                fn.loop(width, [], lambda c: self._piece(fn.at(start, c * strides[3]), fn.at(end, c * self.element), 1))

        fn.loop(self.middle, [], one)

    def _copy(self, source: Register, to: Register, count: int) -> None:
        """So many bytes that lie together: whole vectors, then what is left in halves of them."""
        fn, most = self.fn, self.most
        whole = count // most * most
        fn.loop(whole, [], lambda i: self._piece(fn.at(source, i), fn.at(to, i * self.element), most), step=most)
        done = whole
        while done < count:
            size = 1 << ((count - done).bit_length() - 1)
            self._piece(fn.at(source, done), fn.at(to, done * self.element), size)
            done += size

    def _piece(self, source: Register, to: Register, count: int) -> None:
        fn = self.fn
        value = fn.load(source, I8.widen(count))
        if self.moved:
            value = value ^ -128
        widening = "sext" if self.conv.images.dtype is i8 else "zext"
        fn.store(fn.convert(widening, value, self.type.widen(count)), to)

    def _fill(self, to: Register, bytes: int) -> None:
        """Where the image has no elements, moved like those that it has."""
        self.fn.fill(to, -128 if self.moved else 0, bytes)
