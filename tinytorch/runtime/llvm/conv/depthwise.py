"""Depthwise convolution: each channel is convolved by itself, so vectors run along channels.

Images are read where they lie. A block is a few neighbouring outputs of a row, for a vector of channels: a column of
the image is loaded once for each row of the window and added to all outputs of the block that meet it. The sums stay in
registers until the epilogue has stored what becomes of them. Zeros around the image are never read: rows of the window
that lie outside are left out when the kernel runs, columns when it is written, so that blocks at the left and right
edges have code of their own. Weights that are not finite would make NaN of those zeros: items that have such are
computed output by output, zeros and all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import groupby
from operator import add

from tinytorch.runtime.llvm.contract.epilogue import STORE_SUMS, Epilogue, EpilogueContext
from tinytorch.runtime.llvm.contract.grid import left, right
from tinytorch.runtime.llvm.contract.parts import least, where_differ
from tinytorch.runtime.llvm.contract.shares import share
from tinytorch.runtime.llvm.conv.layout import Convolution
from tinytorch.runtime.llvm.index.loops import most
from tinytorch.runtime.llvm.kernel import Buffer, KernelCode, Phase
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.text.builder import Function, Module, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I64, PTR

_WIDEST = 16  # columns of a window: edges of wider ones would take much code
_HIGHEST = 32  # rows: sums are chains of all products
_BLOCK = 8  # outputs, whose sums leave registers for weights
_BODY = 64  # multiply-adds of a row of the window
_CHUNK_FLOPS = 200_000  # some 3 µs on one core
_MOST_CHUNKS = 48
_LEAST_VECTORS = 8  # of channels of an item: neighbours in memory

Taps = tuple[int, int]  # the first place of the window's row that is inside of the image, and the one behind the last


@dataclass(frozen=True)
class DepthwisePlan:
    """The cut: `part` outputs to a block; `rows` of outputs and `columns` (channels) to an item."""

    lanes: int
    part: int
    rows: int
    columns: int
    items: int
    items_per_chunk: int

    @property
    def chunks(self) -> int:
        return -(-self.items // self.items_per_chunk)


def suits_blocks(conv: Convolution, epilogue: Epilogue | None) -> bool:
    """Whether this kernel takes a convolution: depthwise, with channels side by side and nothing pooled."""
    pooled = epilogue is not None and epilogue.pooled is not None
    fits = conv.window[0] <= _HIGHEST and conv.window[1] <= _WIDEST
    return conv.depthwise and conv.images.strides[3] == 1 and fits and not pooled


def plan_depthwise(conv: Convolution, target: Target) -> DepthwisePlan:
    """Channels are cut first, so that images of few rows share well among threads."""
    lanes, (height, width) = target.lanes(conv.compute), conv.outputs
    blocks = -(-width // max(1, min(_BLOCK, _BODY // conv.window[1])))
    wanted = max(1, min(_MOST_CHUNKS, conv.flops // _CHUNK_FLOPS))
    batch = conv.images.shape[0]
    columns = share(conv.groups, wanted, _LEAST_VECTORS * lanes, lanes)
    across = -(-conv.groups // columns)
    rows = share(height, -(-wanted // (batch * across)), 1, 1)
    items = batch * -(-height // rows) * across
    return DepthwisePlan(
        lanes=lanes,
        part=-(-width // blocks),
        rows=rows,
        columns=columns,
        items=items,
        items_per_chunk=-(-items // wanted),
    )


def emit_depthwise(
    module: Module,
    name: str,
    conv: Convolution,
    weights: Buffer,
    out: Buffer,
    target: Target,
    epilogue: Epilogue | None = None,
) -> KernelCode:
    """Write the kernel of `out = epilogue(images * weights)`, operands as for `forward.emit_conv`; see
    `suits_blocks`."""
    ends = epilogue or STORE_SUMS
    buffers = ends.frame().buffers
    if 0 in out.shape:
        return KernelCode((), buffers)
    plan = plan_depthwise(conv, target)
    fn = module.function(name, [PTR, I64])
    writer = _Writer(module, fn, conv, weights, out, target, ends, plan)
    first = fn.params[1] * plan.items_per_chunk
    last = least(first + plan.items_per_chunk, plan.items)
    fn.loop(last, [], writer.item, start=first)
    fn.ret()
    return KernelCode((Phase(name, plan.chunks),), buffers)


@dataclass(frozen=True)
class _Run:
    """Blocks side by side, the first of them at output `first`, whose outputs meet the same places of the window."""

    first: int
    count: int
    taps: tuple[Taps, ...]


def _runs(conv: Convolution, part: int) -> Iterator[_Run]:
    """All blocks of a row."""
    stride, low, dilation, window, size = (
        conv.stride[1], conv.low[1], conv.dilation[1], conv.window[1], conv.images.shape[2],
    )  # fmt: skip
    width = conv.outputs[1]

    def taps(x: int) -> Taps:
        start = x * stride - low
        first, last = max(0, -(start // dilation)), min(window, -((start - size) // dilation))
        return (first, last) if first < last else (0, 0)

    def of_block(x: int) -> tuple[Taps, ...]:
        return tuple(map(taps, range(x, min(x + part, width))))

    for kind, blocks in groupby(range(0, width, part), of_block):
        starts = list(blocks)
        yield _Run(starts[0], len(starts), kind)


@dataclass(frozen=True)
class _Writer:
    module: Module
    fn: Function
    conv: Convolution
    weights: Buffer
    out: Buffer
    target: Target
    epilogue: Epilogue
    plan: DepthwisePlan

    def item(self, number: Register) -> None:
        """Item `number`: channels run fastest, then strips of rows, images."""
        fn, plan, (height, _) = self.fn, self.plan, self.conv.outputs
        across, down = -(-self.conv.groups // plan.columns), -(-height // plan.rows)
        column = number % across * plan.columns
        row = number // across % down * plan.rows
        image = number // (across * down)
        rows, end = least(height - row, plan.rows), least(column + plan.columns, self.conv.groups)

        def lines(runs: Sequence[_Run]) -> None:
            def line(i: Register) -> None:
                for run in runs:
                    where = [image, row + i, fn.const(run.first), fn.const(run.count), column, end]
                    fn.call(self._block_function(run.taps), [fn.params[0], *where])

            fn.loop(rows, [], line)

        def blocks() -> None:
            lines(list(_runs(self.conv, plan.part)))

        if self.conv.inside or not self.conv.compute.is_float:
            blocks()
        else:
            fn.if_(self._not_finite(column, end), lambda: lines([_Run(0, self.conv.outputs[1], ())]), blocks)

    def _not_finite(self, column: Register, end: Register) -> Register:
        """Whether a weight of these channels is NaN or infinite."""
        fn, weights, lanes, compute = self.fn, self.weights, self.plan.lanes, self.conv.compute
        emitter = LaneEmitter(fn, self.target, lanes)
        zero = emitter.const(0, compute)

        def vector(c: Register, bad: Register, mask: Register | None = None) -> list[Register]:
            at = fn.at(right(fn), c * weights.dtype.size)
            height, width = self.conv.window

            def row(y: Register, *found: Register) -> list[Register]:
                """Sums of each column of the window: the additions of neighbouring ones need not wait."""
                line = fn.at(at, y * weights.strides_bytes[0])
                loaded = (
                    emitter.load(line, weights.dtype, x * weights.strides_bytes[1], mask=mask) for x in range(width)
                )
                sums = zip(loaded, found, strict=True)
                return [emitter.value(emitter.fma(w.cast(compute), zero, emitter.lane(x, compute))) for w, x in sums]

            found = fn.loop(height, [emitter.value(zero)] * width, row)
            return [bad + reduce(add, found)]

        whole, rest = end // lanes * lanes, self.conv.groups % lanes
        (bad,) = fn.loop(whole, [emitter.value(zero)], vector, start=column, step=lanes)
        if rest:
            mask = fn.lane_mask(lanes, rest)
            (bad,) = fn.if_(fn.compare("ne", end, whole), lambda: vector(whole, bad, mask), lambda: [bad])
        total = fn.reduce(bad, lambda a, b: a + b)
        return fn.compare("uno", total, total)

    def _block_function(self, taps: tuple[Taps, ...]) -> Function:
        """`(frame, image, y, x, count, column, end)`: so many blocks side by side from output (y, x) on, for the
        channels from `column` to before `end`; without taps, so many outputs as they are defined."""

        def build(name: str) -> Function:
            fn = self.module.function(name, [PTR, *[I64] * 6], internal=True, noinline=True)
            writer = _Block(fn, self, taps)
            (writer.write if taps else writer.write_defined)()
            fn.ret()
            return fn

        buffers = (self.weights, self.out, self.epilogue.operands, self.epilogue.outputs)
        return self.module.shared(("depthwise", self.conv, buffers, self.epilogue.key, taps, self.target), build)


class _Block:
    """Writes the function of a kind of block."""

    def __init__(self, fn: Function, writer: _Writer, taps: tuple[Taps, ...]) -> None:
        self.fn = fn
        self.conv, self.weights, self.taps = writer.conv, writer.weights, taps
        self.epilogue = writer.epilogue
        self.emitter = LaneEmitter(fn, writer.target, writer.plan.lanes)
        self.buffers = (writer.out, *writer.epilogue.outputs, *writer.epilogue.operands)
        self.steps = writer.conv.images.strides_bytes

    def write(self) -> None:
        fn, conv = self.fn, self.conv
        _, image, y, x, _, _, _ = fn.params
        start = y * conv.stride[0] - conv.low[0]
        first, rows = self._rows_inside(start)
        corner = (start + first * conv.dilation[0]) * self.steps[1] + (x * conv.stride[1] - conv.low[1]) * self.steps[2]
        images = fn.at(left(fn), image * self.steps[0] + corner)
        weights = fn.at(right(fn), first * self.weights.strides_bytes[0])
        part = len(self.taps)

        def sums(i: Register, c: Register, mask: Register | None) -> list[Register]:
            a = fn.at(images, i * (part * conv.stride[1] * self.steps[2]))
            return self._sums(
                fn.at(a, c * conv.images.dtype.size), fn.at(weights, c * self.weights.dtype.size), rows, mask
            )

        self._blocks(part, sums)

    def write_defined(self) -> None:
        """Outputs one by one, of all places of the window; outside of the image there are zeros."""
        fn, conv, emitter, weights = self.fn, self.conv, self.emitter, self.weights
        _, image, y, x, _, _, _ = fn.params
        zero = emitter.value(emitter.const(0, conv.compute))
        size, (height, width) = conv.images.shape[1:3], conv.window

        def sums(i: Register, c: Register, mask: Register | None) -> list[Register]:
            start = fn.at(left(fn), image * self.steps[0] + c * conv.images.dtype.size)
            corner = [at * s - low for at, s, low in zip((y, x + i), conv.stride, conv.low, strict=True)]

            def place(n: Register, total: Register) -> list[Register]:
                k = n // width, n % width
                row, column = (at + k * d for at, k, d in zip(corner, k, conv.dilation, strict=True))
                inside = fn.compare("ult", row, fn.const(size[0])) & fn.compare("ult", column, fn.const(size[1]))

                def element() -> list[Register]:
                    at = fn.at(start, row * self.steps[1] + column * self.steps[2])
                    return [emitter.value(emitter.load(at, conv.images.dtype, mask=mask).cast(conv.compute))]

                (found,) = fn.if_(inside, element, lambda: [zero])
                offset = k[0] * weights.strides_bytes[0] + k[1] * weights.strides_bytes[1] + c * weights.dtype.size
                weight = emitter.load(fn.at(right(fn), offset), weights.dtype, mask=mask).cast(conv.compute)
                product = emitter.fma(emitter.lane(found, conv.compute), weight, emitter.lane(total, conv.compute))
                return [emitter.value(product)]

            return fn.loop(height * width, [zero], place)

        self._blocks(1, sums)

    def _rows_inside(self, start: Register) -> tuple[Register, Register]:
        """The first row of the window that lies inside of the image if row 0 is at `start`, and how many do."""
        fn, size, window, dilation = self.fn, self.conv.images.shape[1], self.conv.window[0], self.conv.dilation[0]
        if self.conv.low[0] <= 0 and self.conv.reach(0, self.conv.outputs[0]) - self.conv.low[0] <= size:
            return fn.const(0), fn.const(window)
        above, below = (fn.value(most(fn, n, 0)) + (dilation - 1) for n in (0 - start, size - start))
        first = above // dilation
        return first, least(below // dilation, window) - first

    def _blocks(self, part: int, sums: Callable[[Register, Register, Register | None], list[Register]]) -> None:
        """So many blocks of `part` outputs, vector by vector: `sums(block, channel, mask)` are those of a block."""
        fn, lanes, words = self.fn, self.emitter.lanes, self.epilogue.frame()
        _, image, y, x, count, column, end = fn.params
        bases: list[Register] = []
        for place, buffer in enumerate(self.buffers):
            steps = buffer.strides_bytes
            bases.append(fn.at(words.result(fn, place), image * steps[0] + y * steps[1] + x * steps[2]))

        def block(i: Register) -> None:
            to = [fn.at(at, i * (part * b.strides_bytes[2])) for at, b in zip(bases, self.buffers, strict=True)]

            def vector(c: Register, mask: Register | None = None) -> None:
                here = [fn.at(at, c * b.column_bytes) for at, b in zip(to, self.buffers, strict=True)]
                self._finish(sums(i, c, mask), here, mask)

            whole = end // lanes * lanes
            fn.loop(whole, [], vector, start=column, step=lanes)
            rest = self.conv.groups % lanes
            if rest:
                where_differ(fn, end, whole, lambda: vector(whole, fn.lane_mask(lanes, rest)))

        fn.loop(count, [], block)

    def _sums(self, a: Register, w: Register, count: Register, mask: Register | None) -> list[Register]:
        """Those of a block for a vector of channels: `count` rows of the window, from where a and w begin."""
        fn, zero = self.fn, self.emitter.value(self.emitter.const(0, self.conv.compute))

        def row(_: Register, a: Register, w: Register, *sums: Register) -> list[Register]:
            following = self._row(a, w, list(sums), mask)
            return [
                fn.at(a, self.conv.dilation[0] * self.steps[1]),
                fn.at(w, self.weights.strides_bytes[0]),
                *following,
            ]

        return fn.loop(count, [a, w, *[zero] * len(self.taps)], row)[2:]

    def _row(self, a: Register, w: Register, sums: list[Register], mask: Register | None) -> list[Register]:
        """The sums after a row of the window: each column of the image is loaded once."""
        emitter, conv, compute = self.emitter, self.conv, self.conv.compute
        met: dict[int, list[tuple[int, int]]] = {}  # by column: which outputs meet it, at which places
        for i, (first, last) in enumerate(self.taps):
            for k in range(first, last):
                met.setdefault(i * conv.stride[1] + k * conv.dilation[1], []).append((i, k))
        places = sorted({k for pairs in met.values() for _, k in pairs})
        step = self.weights.strides_bytes[1]
        held = {k: emitter.load(w, self.weights.dtype, k * step, mask=mask).cast(compute) for k in places}
        for column, pairs in sorted(met.items()):
            x = emitter.load(a, conv.images.dtype, column * self.steps[2], mask=mask).cast(compute)
            for i, k in pairs:
                sums[i] = emitter.value(emitter.fma(x, held[k], emitter.lane(sums[i], compute)))
        return sums

    def _finish(self, sums: Sequence[Register], to: Sequence[Register], mask: Register | None) -> None:
        """The epilogue of each output."""
        results = 1 + len(self.epilogue.outputs)
        for i, total in enumerate(sums):
            here = [(b, [self.fn.at(at, i * b.strides_bytes[2])]) for at, b in zip(to, self.buffers, strict=True)]
            lane = self.emitter.lane(total, self.conv.compute)
            self.epilogue.body(EpilogueContext(self.emitter, [lane], mask, here[results:], here[:results]))
