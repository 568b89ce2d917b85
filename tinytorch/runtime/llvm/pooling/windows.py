"""What the pooling kernels share: windows along an axis, the rows of a chunk, and runs of lanes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tinytorch.ir.types import DType, f32
from tinytorch.runtime.llvm.index.loops import Extent, Size, cut_evenly, least, most, region_of
from tinytorch.runtime.llvm.kernel import Buffer
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter, is_narrow
from tinytorch.runtime.llvm.text.builder import Function, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import LLType, vector

Range = tuple[Size, Size]  # from the first to before the last
LaneBody = Callable[[LaneEmitter, Size], None]


@dataclass(frozen=True)
class WindowAxis:
    """One spatial axis: `size` elements, and `windows` windows of `window` places. Place k of window i is at element
    i*stride + k*dilation - low, which may lie outside."""

    size: int
    windows: int
    window: int
    stride: int
    low: int
    dilation: int

    @property
    def reach(self) -> int:
        """From the first place of a window to the last, in elements."""
        return (self.window - 1) * self.dilation

    @property
    def whole(self) -> tuple[int, int]:
        """The windows that lie inside of the axis."""
        first = min(self.windows, -(-self.low // self.stride))
        last = (self.size - 1 - self.reach + self.low) // self.stride + 1
        return first, max(first, min(self.windows, last))

    @property
    def is_whole(self) -> bool:
        return self.whole == (0, self.windows)

    @property
    def may_miss(self) -> bool:
        """Whether a window has no place inside of the axis."""
        starts = [i * self.stride - self.low for i in range(self.windows)]
        return any(not any(0 <= s + k * self.dilation < self.size for k in range(self.window)) for s in starts)

    def places(self, fn: Function, index: Size) -> Range:
        """The places of window `index` that lie inside; from > to where there are none."""
        start = fn.value(index) * self.stride - self.low
        first = (most(fn, 0 - start, 0) + (self.dilation - 1)) // self.dilation
        last = (most(fn, self.size - start, 0) + (self.dilation - 1)) // self.dilation
        return first, least(fn, last, self.window)

    def border(self, fn: Function, number: Size) -> Size:
        """The window that is number `number` of those that reach outside."""
        first, last = self.whole
        if first == 0 or last == self.windows:
            return number + (last if first == 0 else 0)
        at = fn.value(number)
        return fn.select(fn.compare("slt", at, fn.const(first)), at, at + (last - first))


def image_rows(fn: Function, images: int, rows: int, row_bytes: int, body: Callable[[Size, Size], None]) -> Extent:
    """`body(image, row)` for each row of the chunk; a row is worth `row_bytes` bytes of traffic."""
    cut = cut_evenly((images, rows, 1), row_bytes)
    region = region_of(fn, fn.params[1], cut)
    first, last = region.first, region.first + region.count
    if cut.axis == 0:
        fn.loop(last, [], lambda n: fn.loop(rows, [], lambda y: body(n, y)), start=first)
    elif cut.axis == 1:
        fn.loop(last, [], lambda y: body(region.index[0], y), start=first)
    else:
        body(*region.index[:2])
    return Extent(cut.chunks)


def compared_dtype(dtype: DType) -> DType:
    """What elements are compared and summed as."""
    return f32 if is_narrow(dtype) else dtype


def place_type(dtype: DType, index: DType, lanes: int) -> LLType:
    """What places are in registers: as wide as the elements, so that the lanes of both take masks alike."""
    return vector(f"i{max(compared_dtype(dtype).bits, index.bits)}", lanes)


def load_places(emitter: LaneEmitter, pointer: Register, index: Buffer, axis: int, dtype: DType) -> Register:
    """Places at `pointer` in lanes along `axis`, beside lanes of `dtype`."""
    loaded = emitter.value(emitter.load_strided(pointer, index.dtype, index.strides[axis]))
    return emitter.fn.convert("zext", loaded, place_type(dtype, index.dtype, emitter.lanes))


def place_lanes(fn: Function, place: Size, type: LLType) -> Register:
    """One place in all lanes."""
    if not isinstance(place, Register):
        return fn.const(place, type)
    if place.literal is not None:
        return fn.const(place.literal, type)
    name = "trunc" if type.bits < 64 else "bitcast"
    return fn.splat(fn.convert(name, place, type.element), type.lanes)


def over_overlapping_lanes(fn: Function, target: Target, dtype: DType, size: int, body: LaneBody) -> None:
    """`body(emitter, i)` for elements from i on, as many as the emitter has lanes. The last lanes overlap the ones
    before where `size` is no multiple, so the body must give an element the same result every time."""
    if size <= 0:
        return
    lanes = min(target.lanes(compared_dtype(dtype)), 1 << (size.bit_length() - 1))
    emitter = LaneEmitter(fn, target, lanes)
    ragged = size % lanes != 0
    fn.loop(size, [], lambda i: body(emitter, least(fn, i, size - lanes) if ragged else i), step=lanes)
