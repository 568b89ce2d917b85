"""What the loops of a product do to its parts: pack operands into scratch memory, compute a tile, finish it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tinytorch.runtime.arena import aligned
from tinytorch.runtime.llvm.contract.bytes.groups import Groups, groups_along_k, pack_column_groups, pack_row_groups
from tinytorch.runtime.llvm.contract.epilogue import STORE_SUMS, Epilogue, epilogue_function, fetch_function
from tinytorch.runtime.llvm.contract.grid import left, right
from tinytorch.runtime.llvm.contract.microkernel.tile import Ahead, Source, TileKey, tile_function
from tinytorch.runtime.llvm.contract.operands.layout import Product
from tinytorch.runtime.llvm.contract.operands.pack import (
    pack_columns,
    pack_panels,
    pack_rows,
    pack_transposed,
    panel_pitch,
    row_pitch,
)
from tinytorch.runtime.llvm.contract.parts import least, where_differ
from tinytorch.runtime.llvm.contract.plan.cut import ProductPlan, Tile
from tinytorch.runtime.llvm.contract.sums import CHAIN, MANY, summation_of
from tinytorch.runtime.llvm.kernel import Buffer
from tinytorch.runtime.llvm.text.builder import Function, Module, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I64

Fetched = Sequence[tuple[Register, Ahead]]  # what is fetched while a tile is computed, and from where

_TOUCHED = 64  # steps of k in a block that repay fetching the places of sums
_FUSED_AHEAD = 12  # rows of b that are fetched before a tile packs them: each lies on another page


@dataclass(frozen=True)
class Block:
    """An item being computed: pointers to its first row of a and out, to its batch entry of b, and where it lies."""

    a: Register
    b: Register
    out: Register
    batch: Register
    row: Register
    rows: Register
    column: Register
    columns: Register
    k: Register  # its first step


@dataclass(frozen=True)
class Depth:
    """A block of k."""

    start: Register
    count: Register


@dataclass(frozen=True)
class Panel:
    """Columns, as many as a tile is wide or the last ones, of b for a block of k."""

    column: Register
    width: int
    b: Register
    apart: int = 1  # from one panel of a tile to the next, in panels


class Work:
    """A product, its plan, and the function being written, with the pointers that it was called with.

    Scratch memory holds packed rows of a, packed panels of b, the sums that wait for further blocks of k if something
    follows them, and what was rounded off those.
    """

    def __init__(
        self,
        module: Module,
        fn: Function,
        single: Product,
        product: Product,
        groups: Groups | None,
        plan: ProductPlan,
        target: Target,
        epilogue: Epilogue | None,
    ) -> None:
        self.module = module
        self.fn = fn
        self.single = single  # whose steps of k are elements, where those of `product` are groups
        self.product = product
        self.groups = groups
        self.plan = plan
        self.target = target
        self.size = product.compute.size
        self.b_size = groups.size if groups else self.size  # bytes that a step of k takes in a column of a packed panel
        out = product.results[0]
        self.k_blocks = -(-max(1, plan.k_part or product.k) // plan.k_block)  # of an item
        # Where many blocks are added up, more than in one chain, what is rounded off waits beside the sums.
        many = self.k_blocks > MANY and self.k_blocks + plan.k_block > CHAIN
        self.compensates = many and product.compute.is_float
        plain = out.dtype is product.compute and out.strides[-1] == 1 and not self.compensates
        plain = plain and plan.apart == 1
        self.ends = epilogue or STORE_SUMS
        self.epilogue = None if plan.k_part or (plain and epilogue is None) else self.ends
        # Where sums are stored that no epilogue waits for: those of parts of k one part behind the other.
        self.sums = Buffer.contiguous(product.compute, (product.m, product.n)) if plan.k_part else out
        self._lay_out_scratch()
        self._read_frame()

    def _lay_out_scratch(self) -> None:
        plan = self.plan
        rows = -(-plan.item_rows // plan.tile.rows) * plan.tile.rows
        panels = -(-plan.item_columns // plan.panel) if plan.order == "rows" else 1
        a = 0
        if plan.pack_a == "rows":
            a = plan.group * row_pitch(self.a_depth, plan.lanes)
        elif plan.pack_a == "panels":
            a = -(-plan.group // plan.tile.rows) * panel_pitch(self.a_depth, plan.tile.rows, plan.lanes)
        packed = -(-plan.k_block // plan.lanes) * plan.lanes * plan.panel if plan.pack_b != "none" else 0
        self.panel_bytes = aligned(packed * self.b_size)
        self.panel_sums = rows * plan.panel * self.size  # bytes
        waiting = panels * self.panel_sums if self.epilogue is not None and self.k_blocks > 1 else 0
        self.pitch = plan.panel  # of sums that wait for the epilogue
        if plan.apart > 1:
            self.pitch = -(-plan.item_columns // self.product.panels) * self.product.panels
            waiting = plan.tile.rows * self.pitch * self.size
        self.b_at = aligned(a * self.size)
        self.sums_at = self.b_at + panels * self.panel_bytes
        self.compensation_bytes = aligned(waiting) if self.compensates else 0
        self.scratch_bytes = self.sums_at + aligned(waiting) + self.compensation_bytes

    def _read_frame(self) -> None:
        fn, plan, product = self.fn, self.plan, self.product
        self.frame = fn.params[0]
        words = self.ends.frame()
        self.a, self.b = (right(fn), left(fn)) if product.transposed else (left(fn), right(fn))
        self.out = words.scratch(fn) if plan.k_part else words.result(fn, 0)
        if self.scratch_bytes:
            self.scratch = words.scratch(fn, 1 if plan.k_part else 0)
        if self.epilogue is None:
            return
        self._finish = epilogue_function(self.module, product.grid, self.epilogue, plan.lanes, self.pitch, self.target)
        self._sums = (
            fn.at(self.scratch, self.sums_at)
            if self.k_blocks > 1 or plan.apart > 1
            else fn.alloca(plan.tile.rows * plan.panel * self.size)
        )

    @property
    def a_depth(self) -> int:
        """Steps of k of the rows of a that are packed at once."""
        return self.plan.k_block if self.plan.order == "rows" else self.product.k

    @property
    def _group(self) -> int:
        """Rows of a whose panels are packed by code without loops over them."""
        return self.plan.group if self.plan.order == "rows" else self.plan.tile.rows

    @property
    def fuses(self) -> bool:
        """Whether the first tile of rows packs b on its way: the copy hides behind its multiply-adds."""
        plan, product = self.plan, self.product
        last = product.m % plan.item_rows or plan.item_rows
        return plan.order == "rows" and plan.pack_b == "copy" and product.b.strides[-1] == 1 and last >= plan.tile.rows

    def over_k(self, block: Block, body: Callable[[Depth], None]) -> None:
        """`body` for each block of k of the item, in order."""
        fn, k, most, part = self.fn, self.product.k, self.plan.k_block, self.plan.k_part
        if self.k_blocks == 1 and not part:
            body(Depth(fn.const(0), fn.const(k)))
            return
        whole = k // most * most
        end = block.k + part if part else fn.const(whole)
        fn.loop(least(end, whole), [], lambda start: body(Depth(start, fn.const(most))), start=block.k, step=most)
        if k - whole:
            rest = Depth(fn.const(whole), fn.const(k - whole))
            if part:
                fn.if_(fn.compare("sgt", end, fn.const(whole)), lambda: body(rest))
            else:
                body(rest)

    def over_panels(self, block: Block, body: Callable[[Register, int], None]) -> None:
        """`body(column, width)` for the panels of an item."""
        fn, width = self.fn, self.plan.panel
        whole = block.columns // width * width
        fn.loop(whole, [], lambda j: body(block.column + j, width), step=width)
        rest = self.product.n % width
        if rest:
            where_differ(fn, block.columns, whole, lambda: body(block.column + whole, rest))

    def over_streams(self, block: Block, body: Callable[[Register, int, int], None]) -> None:
        """`body(column, width, apart)` for as many panels as are read side by side, each on a stream of its own through
        the item: one is as long as all that a stream reads of the item, since panels lie one behind the other."""
        fn, plan, width = self.fn, self.plan, self.product.panels
        whole, rest = divmod(self.product.n, plan.item_columns)

        def over(columns: int) -> None:
            apart, left = divmod(-(-columns // width), plan.apart)
            fn.loop(apart, [], lambda t: body(block.column + t * width, plan.panel, apart))
            if left:
                first = apart * plan.apart * width
                body(block.column + first, columns - first, 1)

        if not whole:
            over(rest)
        elif not rest:
            over(plan.item_columns)
        else:
            ends = fn.compare("eq", block.columns, fn.const(plan.item_columns))
            fn.if_(ends, lambda: over(plan.item_columns), lambda: over(rest))
        # Of few rows, the sums of an item wait: a call for each panel would take longer.
        size = [block.rows, block.columns]
        fn.call(self._finish, [self.frame, self._sums, *size, block.row, block.column, block.batch])

    def pack_a(self, block: Block, i: Register, rows: Register, depth: Depth) -> None:
        """Rows of the item from its row i on, for a block of k."""
        fn, plan, a, pairs = self.fn, self.plan, self.product.a, self.product.pairs == "dot"
        source = fn.at(block.a, i * a.row_bytes + depth.start * a.column_bytes)
        if self.groups:
            pack = pack_row_groups(self.module, self.single.a, self.groups, plan.lanes, self.target)
            fn.call(pack, [source, self.scratch, rows])
        elif plan.pack_a == "rows":
            pack = pack_rows(self.module, a, row_pitch(self.a_depth, plan.lanes), plan.lanes, self.target, pairs)
            fn.call(pack, [source, self.scratch, rows, depth.count])
        elif plan.pack_a == "panels":
            tall, group = plan.tile.rows, self._group
            pack = pack_panels(self.module, a, self.a_depth, tall, group, plan.lanes, self.target, pairs)
            fn.call(pack, [source, self.scratch, rows, depth.count])

    def tile_of_a(self, block: Block, i: Register, first: Register, depth: Depth) -> Register:
        """Where the tile of the item's row i begins; rows from `first` on have been packed, if any."""
        fn, plan, a = self.fn, self.plan, self.product.a
        start = depth.start if plan.order == "columns" else fn.const(0)
        if plan.pack_a == "rows":
            return fn.at(self.scratch, ((i - first) * row_pitch(self.a_depth, plan.lanes) + start) * self.size)
        if plan.pack_a == "panels":
            pitch = panel_pitch(self.a_depth, plan.tile.rows, plan.lanes)
            return fn.at(self.scratch, ((i - first) // plan.tile.rows * pitch + start * plan.tile.rows) * self.size)
        return fn.at(block.a, i * a.row_bytes + depth.start * a.column_bytes)

    def b_in_place(self, block: Block, column: Register, depth: Depth) -> Register:
        b, width = self.product.b, self.product.panels
        if width:
            return self.fn.at(block.b, column // width * (self.product.k * b.row_bytes) + depth.start * b.row_bytes)
        return self.fn.at(block.b, column * b.column_bytes + depth.start * b.row_bytes)

    def b_packed(self, block: Block, column: Register) -> Register:
        """Where the panel that begins with a column is packed."""
        at = self.fn.at(self.scratch, self.b_at)
        if self.plan.order == "columns":
            return at
        return self.fn.at(at, (column - block.column) // self.plan.panel * self.panel_bytes)

    def pack_b(self, block: Block, column: Register, width: int, depth: Depth) -> None:
        fn, plan = self.fn, self.plan
        args = [self.b_in_place(block, column, depth), self.b_packed(block, column), depth.count]
        if self.groups:
            pack = pack_column_groups(self.module, self.single.b, self.groups, width, plan.lanes, self.target)
            ends = fn.compare("eq", depth.start + depth.count, fn.const(self.product.k))
            args.append(fn.convert("zext", ends, I64))
        else:
            operand = self.module, self.product.b, width, plan.lanes, self.target
            across = plan.pack_b == "transpose"
            pack = pack_transposed(*operand) if across else pack_columns(*operand, self.product.pairs == "dot")
        fn.call(pack, args)

    def tile(
        self,
        block: Block,
        i: Register,
        tall: int,
        a: Register,
        panel: Panel,
        depth: Depth,
        packed: Register | None = None,
        ahead: Fetched = (),
    ) -> None:
        """The sums of `tall` rows from the item's row i on, and what follows them behind the last block of k.

        With `packed`, the panel is b in place, and is packed there on the way. `ahead` is what to fetch meanwhile.
        """
        fn, plan = self.fn, self.plan
        if self.epilogue is None:
            out = self.sums
            to, stride = fn.at(block.out, i * out.row_bytes + panel.column * self.size), out.row_bytes
        else:
            stride = plan.panel * self.size
            at = i * stride
            if plan.order == "rows":
                at = at + (panel.column - block.column) // plan.panel * self.panel_sums
            to = self._sums if self.k_blocks == 1 else fn.at(self._sums, at)
            if plan.apart > 1:
                to, stride = fn.at(self._sums, (panel.column - block.column) * self.size), self.pitch * self.size
        key = self._key(tall, panel, packed is not None, tuple(kind for _, kind in ahead))
        args = [a, panel.b, to, fn.const(stride), depth.count, depth.start - block.k]
        further = [*([] if packed is None else [packed]), *[at for at, _ in ahead]]
        self._fetch(block, i, panel, tall, depth)
        fn.call(tile_function(self.module, key), [*args, *further])
        if self.epilogue is None or plan.apart > 1:
            return
        size = [fn.const(tall), fn.const(panel.width)]

        def finish() -> None:
            fn.call(self._finish, [self.frame, to, *size, block.row + i, panel.column, block.batch])

        self._behind_last(depth, finish)

    def _behind_last(self, depth: Depth, body: Callable[[], None]) -> None:
        """`body` where this is the last block of k."""
        if self.k_blocks == 1:
            body()
        else:
            self.fn.if_(self.fn.compare("eq", depth.start + depth.count, self.fn.const(self.product.k)), body)

    def _fetch(self, block: Block, i: Register, panel: Panel, tall: int, depth: Depth) -> None:
        """Fetch what the epilogue reads and writes, while the sums that it waits for are computed."""
        fn, plan = self.fn, self.plan
        if self.epilogue is None or plan.order != "rows" or plan.apart > 1 or plan.k_block <= _TOUCHED:
            return
        function = fetch_function(self.module, self.product.grid, self.epilogue, tall, panel.width)
        if function is None:
            return

        def fetch() -> None:
            fn.call(function, [self.frame, block.row + i, panel.column, block.batch])

        self._behind_last(depth, fetch)

    def _key(self, tall: int, panel: Panel, packs: bool, ahead: tuple[Ahead, ...]) -> TileKey:
        plan, product, width = self.plan, self.product, panel.width
        panel_bytes = panel.apart * product.k * product.b.row_bytes
        panel_sums = panel.apart * product.panels * self.size if plan.apart > 1 else 0
        vectors = -(-width // plan.lanes) if plan.form == "outer" else plan.tile.vectors
        # Sums on their way to an epilogue may fill their last vector; stored results must not.
        filled = product.panels > 0 or (plan.pack_b != "none" and not packs)
        fills = plan.form == "outer" and self.epilogue is not None and filled
        along = plan.lanes if plan.form == "dot" else 1
        return TileKey(
            form=plan.form,
            tile=Tile(tall, vectors),
            width=vectors * plan.lanes if fills else width,
            lanes=plan.lanes,
            a=self._source_of_a(),
            b=self._source_of_b(width, packs),
            accumulates=self.k_blocks > 1,
            target=self.target,
            summation=summation_of(-(-plan.k_block // along), product.compute),
            compensation_at=self.compensation_bytes,
            pairs=product.pairs,
            groups=groups_along_k(product.a.dtype, product.b.dtype, self.target) if along > 1 else self.groups,
            streams=plan.streams,
            packs=_FUSED_AHEAD if packs else 0,
            ahead=ahead,
            panels=(product.panels // plan.lanes, panel_bytes) if product.panels else None,
            panel_sums=panel_sums,
            touches=plan.order == "rows" and plan.k_block > _TOUCHED and (self.epilogue is None or self.k_blocks > 1),
        )

    def _source_of_a(self) -> Source:
        plan, a = self.plan, self.product.a
        if plan.pack_a == "rows":
            return Source(self.product.compute, row_pitch(self.a_depth, plan.lanes) * self.size, self.size)
        if plan.pack_a == "panels":
            return Source(self.product.compute, self.size, plan.tile.rows * self.size)
        return Source(a.dtype, a.row_bytes, a.column_bytes)

    def _source_of_b(self, width: int, packs: bool) -> Source:
        b = self.product.b
        if self.plan.pack_b == "none" or packs:
            return Source(b.dtype, b.column_bytes, b.row_bytes)
        pitch = -(-width // self.plan.lanes) * self.plan.lanes * self.b_size
        return Source(b.dtype if self.groups else self.product.compute, self.b_size, pitch)
