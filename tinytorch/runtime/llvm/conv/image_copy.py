"""The copying of images, with zeros around them, in the dtype of the sums."""

from __future__ import annotations

from tinytorch.ir.types import DType
from tinytorch.runtime.llvm.contract.parts import over_vectors
from tinytorch.runtime.llvm.conv.layout import Convolution, ImageLayout
from tinytorch.runtime.llvm.conv.plan import lanes_for
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.text.builder import Function, Register
from tinytorch.runtime.llvm.text.target import Target


class ImageCopy:
    """Writes a function `(from, to, first, rows, images)`, see `image.read_images`."""

    def __init__(self, fn: Function, conv: Convolution, layout: ImageLayout, channels: int, target: Target) -> None:
        self.fn = fn
        self.conv = conv
        self.layout = layout
        self.emitter = LaneEmitter(fn, target, target.lanes(conv.compute))
        self.short = LaneEmitter(fn, target, lanes_for(channels, conv, target))
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
            self.line(source, to, self.channels)
            return

        def plane(c: Register) -> None:
            start = None if source is None else self.fn.at(source, c * self.steps[3])
            self.line(start, self.fn.at(to, c * self.layout.channel), 1)

        self.fn.loop(self.channels, [], plane)

    def line(self, source: Register | None, to: Register, width: int) -> None:
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
            self._run(self.emitter, source, to, self.middle * width, step)
            return

        def column(i: Register) -> None:
            start = self.fn.at(source, i * self.steps[2])
            self._run(self.short, start, self.fn.at(to, i * self.layout.column), width, step)

        self.fn.loop(self.middle, [], column)

    def _run(self, emitter: LaneEmitter, source: Register, to: Register, count: int, step: int) -> None:
        """Elements `step` apart, put side by side."""
        dtype: DType = self.conv.images.dtype

        def vector(i: Register, mask: Register | None = None) -> None:
            start = self.fn.at(source, i * (step * dtype.size))
            lane = emitter.load_strided(start, dtype, step, mask=mask)
            emitter.store(lane.cast(self.conv.compute), to, i * self.conv.compute.size, mask=mask)

        over_vectors(self.fn, count, emitter.lanes, vector)

    def _zeros(self, to: Register, count: int) -> None:
        zero = self.emitter.const(0, self.conv.compute)

        def vector(i: Register, mask: Register | None = None) -> None:
            self.emitter.store(zero, to, i * self.conv.compute.size, mask=mask)

        over_vectors(self.fn, count, self.emitter.lanes, vector)
