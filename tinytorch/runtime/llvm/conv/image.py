"""Padded copies of images in scratch memory: zeros where a convolution reads outside of the image."""

from __future__ import annotations

from dataclasses import dataclass

from tinytorch.ir.types import DType
from tinytorch.runtime.llvm.contract.parts import over_vectors
from tinytorch.runtime.llvm.conv.layout import Convolution, ImageLayout
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.text.builder import Function, Module, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I64, PTR


@dataclass(frozen=True)
class Part:
    """What an item reads: which images, channels and rows of outputs, and how many of each; all that does not fit the
    images is zeros."""

    image: Register
    images: Register
    channel: Register
    channels: int
    row: Register
    rows: Register


def read_images(
    fn: Function,
    conv: Convolution,
    layout: ImageLayout,
    part: Part,
    images: Register,
    scratch: Register | None,
    target: Target,
) -> Register:
    """Where a part's first output begins to read: in the images themselves, or in a copy that is made here."""
    steps = [s * conv.images.dtype.size for s in conv.images.strides]
    start = fn.at(images, part.image * steps[0] + part.channel * steps[3])
    first = part.row * conv.stride[0] - conv.low[0]
    if not layout.copied:
        return fn.at(start, first * steps[1] - conv.low[1] * steps[2])
    assert scratch is not None, "a copy needs memory"
    rows = part.rows * conv.stride[0] + (conv.reach(0, 1) - conv.stride[0])
    copy = _copy_function(fn.module, conv, layout, part.channels, target)
    fn.call(copy, [start, scratch, first, rows, part.images])
    return scratch


def _copy_function(module: Module, conv: Convolution, layout: ImageLayout, channels: int, target: Target) -> Function:
    """`(from, to, first, rows, images)`: rows `first`, which may lie outside, and following of so many images.

    `from` is the first image's element [0, 0] of the first of the channels.
    """

    def build(name: str) -> Function:
        fn = module.function(name, [PTR, PTR, I64, I64, I64], internal=True, noinline=True)
        _Copy(fn, conv, layout, channels, target).write()
        fn.ret()
        return fn

    key = ("images", conv.images, conv.outputs[1], conv.window, conv.stride, conv.low, conv.dilation)
    return module.shared((*key, layout, channels, target), build)


class _Copy:
    def __init__(self, fn: Function, conv: Convolution, layout: ImageLayout, channels: int, target: Target) -> None:
        self.fn = fn
        self.conv = conv
        self.layout = layout
        self.emitter = LaneEmitter(fn, target, target.lanes(conv.compute))
        x = conv.images
        self.channels = channels
        self.planar = layout.channel > layout.column
        self.steps = [s * x.dtype.size for s in x.strides]
        columns = conv.reach(1, conv.outputs[1])
        self.left = min(columns, max(0, conv.low[1]))
        self.begin = max(0, -conv.low[1])  # the first column of the image that is read
        self.middle = max(0, min(columns - self.left, x.shape[2] - self.begin))
        self.right = columns - self.left - self.middle

    def write(self) -> None:
        fn, height = self.fn, self.conv.images.shape[1]
        source, to, first, rows, images = fn.params

        def one(n: Register) -> None:
            def row(r: Register) -> None:
                y = first + r
                start = fn.at(fn.at(source, n * self.steps[0]), y * self.steps[1] + self.begin * self.steps[2])
                end = fn.at(fn.at(to, n * self.layout.image), r * self.layout.row)
                exists = fn.compare("ult", y, fn.const(height))
                fn.if_(exists, lambda: self._row(start, end), lambda: self._row(None, end))

            fn.loop(rows, [], row)

        fn.loop(images, [], one)

    def _row(self, source: Register | None, to: Register) -> None:
        """One row, of all channels; zeros without a source."""
        if not self.planar:
            self._line(source, to, self.channels)
            return

        def plane(c: Register) -> None:
            start = None if source is None else self.fn.at(source, c * self.steps[3])
            self._line(start, self.fn.at(to, c * self.layout.channel), 1)

        self.fn.loop(self.channels, [], plane)

    def _line(self, source: Register | None, to: Register, width: int) -> None:
        """Columns side by side, each of `width` elements, with zeros on both sides."""
        column = self.layout.column
        pitch = column // self.conv.compute.size
        if source is None:
            self._zeros(to, (self.left + self.middle + self.right) * pitch)
            return
        self._zeros(to, self.left * pitch)
        self._columns(source, self.fn.at(to, self.left * column), width)
        self._zeros(self.fn.at(to, (self.left + self.middle) * column), self.right * pitch)

    def _columns(self, source: Register, to: Register, width: int) -> None:
        x, pitch = self.conv.images, self.layout.column // self.conv.compute.size
        step = x.strides[2] if width == 1 else x.strides[3]
        if width == pitch and (width == 1 or (x.strides[3] == 1 and x.strides[2] == width)):
            self._run(source, to, self.middle * width, step)
            return

        def column(i: Register) -> None:
            start = self.fn.at(source, i * self.steps[2])
            self._run(start, self.fn.at(to, i * self.layout.column), width, step)

        self.fn.loop(self.middle, [], column)

    def _run(self, source: Register, to: Register, count: int, step: int) -> None:
        """Elements `step` apart, put side by side."""
        dtype: DType = self.conv.images.dtype

        def vector(i: Register, mask: Register | None = None) -> None:
            start = self.fn.at(source, i * (step * dtype.size))
            lane = self.emitter.load_strided(start, dtype, step, mask=mask)
            self.emitter.store(lane.cast(self.conv.compute), to, i * self.conv.compute.size, mask=mask)

        over_vectors(self.fn, count, self.emitter.lanes, vector)

    def _zeros(self, to: Register, count: int) -> None:
        zero = self.emitter.const(0, self.conv.compute)

        def vector(i: Register, mask: Register | None = None) -> None:
            self.emitter.store(zero, to, i * self.conv.compute.size, mask=mask)

        over_vectors(self.fn, count, self.emitter.lanes, vector)
