"""The microkernel: the sums of a tile of rows and panels. It takes all of k, so that groups are added up in order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from tinytorch.ir.lanes.emitter import Lane
from tinytorch.ir.ops.int4 import PANEL, RUN, ZERO
from tinytorch.ir.types import DType, f16, f32, i8, u8
from tinytorch.runtime.llvm.contract.bytes.instructions import add_16_bits, pair, quad, quad_in_16_bits
from tinytorch.runtime.llvm.contract.int4.product import X_BYTES, Int4Product, Tile
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.text.builder import Function, Module, Register
from tinytorch.runtime.llvm.text.types import F32, I32, I64, PTR, LLType

_BLOCK = 32  # steps of k whose products 16 bits hold: 8 · (15 + 15) · 128 < 2¹⁵
_LOW = 0x0F0F0F0F


def tile_function(module: Module, product: Int4Product, tile: Tile, pitch: int) -> Function:
    """`(x, packed, scales, to, apart, step)`: the sums of a tile, rows of `pitch` elements, of panels that are so far
    `apart`; those of a panel lie `step` bytes behind those of the one before."""

    def build(name: str) -> Function:
        fn = module.function(name, [PTR, PTR, PTR, PTR, I64, I64], internal=True, noinline=True)
        _Microkernel(fn, product, tile, pitch).write()
        fn.ret()
        return fn

    key = replace(product, columns=0, x=replace(product.x, shape=(), strides=()))
    return module.shared(("int4 tile", key, tile, pitch), build)


class _Microkernel:
    """Sums of f32 in registers, and within a group sums of what the form computes with."""

    def __init__(self, fn: Function, product: Int4Product, tile: Tile, pitch: int) -> None:
        self.fn, self.product, self.tile, self.pitch = fn, product, tile, pitch
        self.emitter = LaneEmitter(fn, product.target, product.lanes)
        self.places = [(p, v, i) for p in range(tile.panels) for v in range(product.vectors) for i in range(tile.rows)]
        self.block = math.gcd(product.group, _BLOCK)

    def write(self) -> None:
        fn, product = self.fn, self.product
        x, _, _, to, _, step_to = fn.params
        zeros = [fn.zero(F32.widen(product.lanes))] * len(self.places)
        panels, scales = self._panels(1, product.panel_bytes), self._panels(2, product.scale_bytes)

        def group(g: Register, *totals: Register) -> Sequence[Register]:
            step = product.group * X_BYTES[product.form]
            at = [fn.at(panel, g * (product.group * PANEL // 2)) for panel in panels]
            sums = self._group(fn.at(x, g * step), at, g)
            return self._scaled([fn.at(s, g * (PANEL * f16.size)) for s in scales], sums, totals)

        totals = fn.loop(product.groups, zeros, group)
        for total, (p, v, i) in zip(totals, self.places, strict=True):
            fn.store(total, fn.at(to, step_to * p), (i * self.pitch + v * product.lanes) * f32.size)

    def _panels(self, parameter: int, bytes_: int) -> list[Register]:
        """Where each panel begins in an operand."""
        apart = self.fn.params[4]
        return [self.fn.at(self.fn.params[parameter], apart * (i * bytes_)) for i in range(self.tile.panels)]

    def _group(self, x: Register, packed: Sequence[Register], g: Register) -> list[Register]:
        """The sums of a group."""
        fn, product = self.fn, self.product
        if product.form == "float":
            start = [fn.zero(F32.widen(product.lanes))] * len(self.places)
        else:
            begins = [
                fn.splat(fn.load(fn.params[0], I32, g * 4 + (i * product.row_bytes + product.sums_at)), product.lanes)
                for i in range(self.tile.rows)
            ]
            start = [begins[i] for _, _, i in self.places]
        if self.block == product.group:
            return self._block(x, packed, start)

        def block(k: Register, *sums: Register) -> Sequence[Register]:
            at = [fn.at(panel, k * (PANEL // 2)) for panel in packed]
            return self._block(fn.at(x, k * X_BYTES[product.form]), at, list(sums))

        return fn.loop(product.group, start, block, step=self.block)

    def _block(self, x: Register, packed: Sequence[Register], sums: list[Register]) -> list[Register]:
        """The sums after `block` steps of k, panel by panel so that few registers are live."""
        fn, product, rows = self.fn, self.product, self.tile.rows
        found: list[Register] = []
        for p in range(self.tile.panels):
            for v in range(product.vectors):
                first = len(found)
                here = sums[first : first + rows]
                narrow: list[Register | None] = [None] * rows
                for r in range(self.block // RUN):
                    at = (r * PANEL + v * product.lanes) * (RUN // 2)
                    word = fn.load(packed[p], I32.widen(product.lanes), at, align=1)
                    here, narrow = self._run(x, r, word, here, narrow)
                for i, total in enumerate(narrow):
                    found.append(here[i] if total is None else add_16_bits(fn, here[i], total))
        return found

    def _run(
        self, x: Register, r: int, word: Register, sums: list[Register], narrow: list[Register | None]
    ) -> tuple[list[Register], list[Register | None]]:
        """Eight steps of k for a vector of columns; `narrow` are the sums of 16 bits, if the form has any."""
        fn, product, form = self.fn, self.product, self.product.form
        if form in ("quad", "sixteen"):
            halves = [word & _LOW, (word >> 4) & _LOW]
            for half, nibbles in enumerate(halves):
                for i in range(self.tile.rows):
                    y = self._x(x, i, r * RUN + half * 4, I32)
                    if form == "quad":
                        sums[i] = quad(fn, product.target, sums[i], nibbles, y, *self._quad_dtypes)
                        continue
                    products, before = quad_in_16_bits(fn, nibbles, y), narrow[i]
                    narrow[i] = products if before is None else before + products
        elif form == "pair":
            for place, shift in enumerate((0, 8, 4, 12)):
                nibbles = (word >> shift if shift else word) & 0x000F000F
                for i in range(self.tile.rows):
                    sums[i] = pair(fn, sums[i], nibbles, self._x(x, i, (r * RUN + place * 2) * 2, I32))
        else:
            for step in range(RUN):
                shift = step % 4 * 8 + step // 4 * 4
                nibble = (word >> shift if shift else word) & 15
                sums = self._single(x, r * RUN + step, nibble, sums)
        return sums, narrow

    @property
    def _quad_dtypes(self) -> tuple[DType, DType]:
        """Nibbles are bytes of either kind."""
        return (u8, i8) if self.product.target.has_vnni else (i8, i8)

    def _single(self, x: Register, step: int, nibble: Register, sums: list[Register]) -> list[Register]:
        """One step of k."""
        fn, product, rows = self.fn, self.product, range(self.tile.rows)
        if product.form == "each":
            return [sums[i] + nibble * self._x(x, i, step * 4, I32) for i in rows]
        weight = self.emitter.lane(fn.convert("sitofp", nibble - ZERO, F32.widen(product.lanes)), f32)
        return [self._fma(self._x(x, i, step * 4, F32), weight, sums[i]) for i in rows]

    def _fma(self, x: Register, weight: Lane, total: Register) -> Register:
        lane = self.emitter.lane
        return self.emitter.value(self.emitter.fma(lane(x, f32), weight, lane(total, f32)))

    def _x(self, x: Register, row: int, offset: int, element: LLType) -> Register:
        """An element of a copied row in all lanes."""
        return self.fn.splat(self.fn.load(x, element, row * self.product.row_bytes + offset), self.product.lanes)

    def _scaled(
        self, scales: Sequence[Register], sums: Sequence[Register], totals: Sequence[Register]
    ) -> list[Register]:
        """The totals with the sums of a group, times their scales, added: two roundings, as the reference has them."""
        fn, product = self.fn, self.product
        found: list[Register] = []
        known: dict[tuple[int, int], Lane] = {}
        for value, total, (p, v, _) in zip(sums, totals, self.places, strict=True):
            if (p, v) not in known:
                known[p, v] = self.emitter.load(scales[p], f16, v * product.lanes * f16.size).cast(f32)
            if product.form == "float":
                found.append(self._fma(value, known[p, v], total))
                continue
            as_float = fn.convert("sitofp", value, F32.widen(product.lanes))
            found.append(total + self.emitter.value(known[p, v]) * as_float)
        return found
