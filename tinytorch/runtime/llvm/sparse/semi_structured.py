"""Weights that keep two of four neighbours along k: vectors along the columns, and a shuffle of four elements of x."""

from __future__ import annotations

from collections.abc import Sequence

from tinytorch.ir.ops.sparse import GROUP, KEPT
from tinytorch.ir.types import DType
from tinytorch.runtime.llvm.kernel import Buffer
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter, register_type
from tinytorch.runtime.llvm.sparse.items import Sums
from tinytorch.runtime.llvm.sparse.lines import Lines
from tinytorch.runtime.llvm.text.builder import Function, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I32, LLType, vector

MOST_ROWS = 4  # of a tile
_SUMS = 4  # of panels that are read side by side, each a stream through memory, with the rows of a tile
_PERMUTES = {64: "llvm.x86.avx512.vpermilvar.ps.512", 32: "llvm.x86.avx.vpermilvar.ps.256"}


def panels_of(panels: int, tile: int) -> int:
    """How many panels are read side by side."""
    return max(1, min(panels, _SUMS // tile))


def write_panels(
    fn: Function,
    arrays: tuple[tuple[Register, Register], Buffer],
    lines: Lines,
    sums: Sums,
    x: Register,
    own: Register,
    tile: Register,
    group: Register,
) -> None:
    """The results of a tile of rows and of a group of panels; the arrays are the values and the positions, and the
    buffer of the values. The lines of the tile begin at `x`."""
    (values, positions), buffer = arrays
    panels, _, _, lanes = buffer.shape
    count = sums.width // lanes
    writer = _Panels(fn, buffer, lines, sums, x)
    # The last group takes panels again that the one before has had, where there are not enough of them.
    first = group * count
    last = panels - count
    start = fn.select(fn.compare("slt", first, fn.const(last)), first, fn.const(last)) if panels % count else first
    found = writer.sums(fn.at(values, start * writer.value_bytes), fn.at(positions, start * writer.position_bytes))
    shift = (first - start) * lanes
    for n, total in enumerate(found):
        panel, row = divmod(n, lines.tile)
        offset = (row * sums.pitch + panel * lanes) * buffer.dtype.size
        fn.store(total, fn.at(own, offset))
    sums.finish(fn, fn.at(own, shift * buffer.dtype.size), tile, group)


class _Panels:
    def __init__(self, fn: Function, values: Buffer, lines: Lines, sums: Sums, x: Register) -> None:
        self.fn, self.lines, self.x = fn, lines, x
        _, self.groups, _, self.lanes = values.shape
        self.dtype: DType = values.dtype
        self.target: Target = sums.target
        self.count = sums.width // self.lanes
        self.vectors = LaneEmitter(fn, sums.target, self.lanes)
        self.value_bytes = self.groups * KEPT * self.lanes * self.dtype.size
        self.position_bytes = self.groups * KEPT * self.lanes // GROUP

    def sums(self, values: Register, positions: Register) -> list[Register]:
        """Of each panel, those of each row."""
        fn, tile = self.fn, self.lines.tile
        type = register_type(self.dtype, self.lanes)
        step_values, step_positions = self.value_bytes // self.groups, self.position_bytes // self.groups

        def step(
            _: Register, x: Register, values: Register, positions: Register, *sums: Register
        ) -> Sequence[Register]:
            following: list[Register] = []
            fours = [self._four(x, row) for row in range(tile)]
            for panel in range(self.count):
                ws = fn.at(values, panel * self.value_bytes)
                bits = fn.at(positions, panel * self.position_bytes)
                part = list(sums[panel * tile : (panel + 1) * tile])
                for kept in range(KEPT):
                    w = self.vectors.load(ws, self.dtype, kept * self.lanes * self.dtype.size)
                    picks = self._positions(bits, kept)
                    for row in range(tile):
                        a = self.vectors.lane(self._picked(fours[row], picks), self.dtype)
                        total = self.vectors.lane(part[row], self.dtype)
                        part[row] = self.vectors.value(self.vectors.fma(a, w, total))
                following += part
            moved = [fn.at(x, GROUP * self.lines.line_bytes), fn.at(values, step_values)]
            return [*moved, fn.at(positions, step_positions), *following]

        zeros = [fn.zero(type)] * (self.count * tile)
        return fn.loop(self.groups, [self.x, values, positions, *zeros], step)[3:]

    def _four(self, x: Register, row: int) -> list[Register]:
        """Four elements of a row in all lanes: as one register of them again and again, or as one for each."""
        fn, size = self.fn, self.dtype.size
        scalar = register_type(self.dtype, 1)
        if self._permutes:
            if self.lines.tile == 1:
                four = fn.load(x, scalar.widen(GROUP))
            else:
                four = fn.load_strided(x, scalar.widen(GROUP), self.lines.line_bytes, row * size)
            return [fn.shuffle(four, None, [lane % GROUP for lane in range(self.lanes)])]
        loaded = [fn.load(x, scalar, k * self.lines.line_bytes + row * size) for k in range(GROUP)]
        return [fn.splat(element, self.lanes) for element in loaded]

    @property
    def _permutes(self) -> bool:
        """Whether the target has an instruction that picks among four neighbours by the lanes of a register."""
        x86 = self.target.triple.startswith(("x86_64", "amd64"))
        return x86 and self._register_bytes in _PERMUTES

    @property
    def _register_bytes(self) -> int:
        return min(self.target.vector_bytes, self.lanes * self.dtype.size)

    def _positions(self, bits: Register, kept: int) -> Register:
        """Of all lanes, in the lowest two bits of each."""
        fn, lanes = self.fn, self.lanes
        width = lanes // GROUP  # bytes
        type = I32.widen(lanes)
        shifts = fn.constants([2 * (lane % 16) for lane in range(lanes)], type)
        whole = fn.load(bits, vector(f"i{8 * min(width, 4)}", 1), kept * width, align=1)
        return fn.binary("lshr", fn.splat(_as_i32(fn, whole), lanes), shifts)

    def _picked(self, four: Sequence[Register], picks: Register) -> Register:
        fn = self.fn
        if len(four) == 1:
            return self._permuted(four[0], picks)
        zero = fn.zero(picks.type)
        odd = fn.compare("ne", picks & 1, zero)
        low, high = fn.select(odd, four[1], four[0]), fn.select(odd, four[3], four[2])
        return fn.select(fn.compare("ne", picks & 2, zero), high, low)

    def _permuted(self, four: Register, picks: Register) -> Register:
        """A register at a time."""
        fn, each = self.fn, self._register_bytes // self.dtype.size
        parts: list[Register] = []
        for first in range(0, self.lanes, each):
            a, at = (fn.shuffle(x, None, range(first, first + each)) for x in (four, picks))
            parts.append(fn.call(_PERMUTES[self._register_bytes], [a, at], a.type))
        while len(parts) > 1:
            pairs = zip(parts[::2], parts[1::2], strict=True)
            parts = [fn.shuffle(a, b, range(2 * a.type.lanes)) for a, b in pairs]
        return parts[0]


def _as_i32(fn: Function, value: Register) -> Register:
    type: LLType = value.type
    return value if type is I32 else fn.convert("zext", value, I32)
