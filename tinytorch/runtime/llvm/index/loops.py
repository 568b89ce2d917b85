"""Loops over strided blocks of memory, and the cut of a row-major result into chunks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tinytorch.ir.types import Shape
from tinytorch.runtime.llvm.kernel import Buffer
from tinytorch.runtime.llvm.text.builder import Function, Register
from tinytorch.runtime.llvm.text.types import PTR

CHUNK_BYTES = 64 << 10  # of a chunk, at least: fork and join cost little beside moving as much
_ALIGNMENT = 64  # elements; where the last axis is cut, in whole cache lines of any dtype

Size = Register | int


@dataclass(frozen=True)
class Axis:
    """`size` indices; from one to the next every pointer moves by its own step, in bytes."""

    size: Size
    steps: tuple[int, ...]


def byte_steps(operand: Buffer) -> tuple[int, ...]:
    return tuple(stride * operand.dtype.size for stride in operand.strides)


def axes_of(shape: Sequence[Size], *steps: Sequence[int]) -> list[Axis]:
    """One axis per size; `steps` holds, for each pointer, its steps along them."""
    return [Axis(size, along) for size, along in zip(shape, zip(*steps, strict=True), strict=True)]


def coalesced(axes: Iterable[Axis]) -> list[Axis]:
    """The same indices in the same order with fewer axes: those of size 1 go, and neighbours that every pointer
    steps through as through one are merged. Only the first size may be unknown here."""
    merged: list[Axis] = []
    for axis in axes:
        size = settled(axis.size)
        if isinstance(size, int) and size == 1:
            continue
        if merged and isinstance(size, int) and _continues(merged[-1], axis, size):
            merged[-1] = Axis(merged[-1].size * size, axis.steps)
        else:
            merged.append(Axis(size, axis.steps))
    return merged


def _continues(outer: Axis, inner: Axis, size: int) -> bool:
    return all(a == b * size for a, b in zip(outer.steps, inner.steps, strict=True))


def sizes_of(axes: Iterable[Axis]) -> Shape:
    """The sizes, all of which are known."""
    sizes = [settled(axis.size) for axis in axes]
    assert all(isinstance(size, int) for size in sizes), "a size is known at run time only"
    return tuple(size for size in sizes if isinstance(size, int))


def nest(fn: Function, axes: Sequence[Axis], pointers: Sequence[Register], body: Callable[..., None]) -> None:
    """`body(*pointers)` at every index, the first axis outermost."""
    if not axes:
        body(*pointers)
        return
    first, *rest = axes
    fn.loop(first.size, [], lambda i: nest(fn, rest, moved(fn, pointers, i, first.steps), body))


def moved(fn: Function, pointers: Sequence[Register], index: Size, steps: Sequence[int]) -> list[Register]:
    """Each pointer, `index` steps further."""
    return [fn.at(p, index * step) if step else p for p, step in zip(pointers, steps, strict=True)]


# Sizes that may be known here or at run time only


def settled(size: Size) -> Size:
    """The number, where it is known."""
    return size.literal if isinstance(size, Register) and isinstance(size.literal, int) else size


def least(fn: Function, a: Size, b: Size) -> Size:
    return _extreme(fn, "slt", min, a, b)


def most(fn: Function, a: Size, b: Size) -> Size:
    return _extreme(fn, "sgt", max, a, b)


def _extreme(fn: Function, predicate: str, choose: Callable[[int, int], int], a: Size, b: Size) -> Size:
    a, b = settled(a), settled(b)
    if isinstance(a, int) and isinstance(b, int):
        return choose(a, b)
    x, y = fn.value(a), fn.value(b)
    return fn.select(fn.compare(predicate, x, y), x, y)


# Chunks


@dataclass(frozen=True)
class Cut:
    """A row-major block cut into chunks of consecutive memory: for each index of the axes before `axis`, `blocks`
    blocks of `block` indices along `axis` (the last may be shorter); the axes after it stay whole."""

    shape: Shape
    axis: int
    block: int
    blocks: int

    @property
    def chunks(self) -> int:
        return math.prod(self.shape[: self.axis]) * self.blocks


@dataclass(frozen=True)
class Region:
    """A chunk: `index` along the axes before the cut, then `count` indices from `first` on."""

    index: tuple[Size, ...]
    first: Size
    count: Size


def chunks_worth(bytes: int) -> int:
    """How many chunks pay for so much memory."""
    return max(1, bytes // CHUNK_BYTES)


def cut_evenly(shape: Shape, unit_bytes: int) -> Cut:
    """Chunks of about CHUNK_BYTES or more, for an element (or whatever `shape` counts) of `unit_bytes`. One chunk
    where all is smaller; where a unit is larger, each is a chunk and the cut lies behind the last axis."""
    if unit_bytes >= CHUNK_BYTES:
        return Cut(shape, len(shape), 1, 1)
    row = unit_bytes
    for axis in reversed(range(len(shape))):
        size = shape[axis]
        if row * size >= CHUNK_BYTES:
            block = -(-size // chunks_worth(row * size))
            if axis == len(shape) - 1:
                block = min(size, -(-block // _ALIGNMENT) * _ALIGNMENT)
            return Cut(shape, axis, block, -(-size // block))
        row *= size
    return Cut(shape, 0, shape[0] if shape else 1, 1)


def region_of(fn: Function, chunk: Register, cut: Cut) -> Region:
    """Where chunk number `chunk` lies."""
    rest: Size = chunk if cut.chunks > 1 else 0
    first: Size = 0
    count: Size = cut.block
    if cut.blocks > 1:
        size = cut.shape[cut.axis]
        first = rest % cut.blocks * cut.block
        rest = rest // cut.blocks
        if size % cut.block:
            count = least(fn, cut.block, size - first)
    index: list[Size] = []
    for axis in reversed(range(cut.axis)):
        outermost = all(size == 1 for size in cut.shape[:axis])
        index.append(0 if cut.shape[axis] == 1 else rest if outermost else rest % cut.shape[axis])
        if cut.shape[axis] > 1:
            rest = 0 if outermost else rest // cut.shape[axis]
    return Region(tuple(reversed(index)), first, count)


def enter(
    fn: Function, axes: Sequence[Axis], cut: Cut, region: Region, pointers: Sequence[Register]
) -> tuple[list[Axis], list[Register]]:
    """The axes that remain inside of the region, and the pointers to its first element."""
    for axis, index in zip(axes, region.index, strict=False):
        pointers = moved(fn, pointers, index, axis.steps)
    if cut.axis == len(axes):
        return [], list(pointers)
    first, *rest = axes[cut.axis :]
    return [Axis(region.count, first.steps), *rest], moved(fn, pointers, region.first, first.steps)


@dataclass(frozen=True)
class Extent:
    """How many chunks a kernel has, and how much memory each thread needs for them."""

    chunks: int
    scratch_bytes: int = 0


def frame_pointers(fn: Function, count: int) -> list[Register]:
    """The first `count` pointers of the frame."""
    return [fn.load(fn.params[0], PTR, 8 * i) for i in range(count)]
