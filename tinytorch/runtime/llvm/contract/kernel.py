"""Matrix products, batched, in any layout, with the elementwise work that follows them: one kernel per product.

`emit_matmul` writes a function `void name(ptr frame, i64 chunk)`, whose frame is `grid.Frame`: pointers to element
[0, …, 0] of each operand, whose layout is compiled in, and to scratch memory of the calling thread. The result is the
same to the bit whatever threads run the chunks.

Sums run over k in order, in blocks (`sums`), in the dtype of `layout.accumulator`. The cut is `plan`'s, the
microkernels are `tile`'s, the copies `pack`'s, and what follows the sums is `epilogue`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from tinytorch.ir.ops.contract import matmul
from tinytorch.runtime.llvm.contract.epilogue import (
    STORE_SUMS,
    Epilogue,
    batch_offset,
    epilogue_function,
    epilogue_of,
)
from tinytorch.runtime.llvm.contract.grid import left, right
from tinytorch.runtime.llvm.contract.groups import Groups, grouped, groups_of, pack_column_groups, pack_row_groups
from tinytorch.runtime.llvm.contract.layout import Product, product_of
from tinytorch.runtime.llvm.contract.pack import (
    pack_columns,
    pack_panels,
    pack_rows,
    pack_transposed,
    panel_pitch,
    row_pitch,
)
from tinytorch.runtime.llvm.contract.parts import aligned, least, where_differ
from tinytorch.runtime.llvm.contract.plan import ProductPlan, Tile, plan_product
from tinytorch.runtime.llvm.contract.sums import MANY, summation_of
from tinytorch.runtime.llvm.contract.tile import Source, TileKey, tile_function
from tinytorch.runtime.llvm.kernel import Buffer, Kernel, KernelCode, Phase
from tinytorch.runtime.llvm.text.builder import Function, Module, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I64, PTR


def emit(module: Module, name: str, kernel: Kernel, target: Target) -> KernelCode:
    """Write the kernel of a matrix product and what follows it in the body."""
    first = next(n for n in kernel.body.nodes if n.op is matmul)
    order, epilogue = epilogue_of(kernel, first)
    a, b = (kernel.operands[i] for i in order[:2])
    return replace(emit_matmul(module, name, a, b, kernel.results[0], target, epilogue), order=order)


def emit_matmul(
    module: Module, name: str, a: Buffer, b: Buffer, out: Buffer, target: Target, epilogue: Epilogue | None = None
) -> KernelCode:
    """Write the kernel of `out = epilogue(a @ b)`; a [batch…, M, K], b [batch…, K, N], out [batch…, M, N].

    Any dtypes but bool, with the same accumulator for a and b; without an epilogue the sums are rounded or wrapped to
    out's dtype. Any strides; batch axes of a and b are equal (broadcast ones have stride 0). Empty axes are allowed:
    an empty K gives zeros. CompileError if shapes or dtypes do not fit.
    """
    ends = epilogue or STORE_SUMS
    product = product_of(a, b, (out, *ends.outputs), ends.operands)
    buffers = ends.frame().buffers
    fn = module.function(name, [PTR, I64])
    if not (product.batches and product.m and product.n):
        fn.ret()
        return KernelCode((), buffers)
    writer = _ProductWriter(module, fn, product, target, epilogue)
    writer.write()
    fn.ret()
    return KernelCode((Phase(name, writer.plan.chunks),), buffers, private_bytes=writer.scratch_bytes)


class _ProductWriter:
    """Writes the loops of `plan` around the microkernels."""

    def __init__(
        self,
        module: Module,
        fn: Function,
        product: Product,
        target: Target,
        epilogue: Epilogue | None,
    ) -> None:
        self.module = module
        self.fn = fn
        self.groups: Groups | None = groups_of(product, target)
        self.single = product  # whose steps of k are elements, where those of `product` are groups
        product = grouped(product, self.groups) if self.groups else product
        plan: ProductPlan = plan_product(product, target, self.groups is not None)
        self.product = product
        self.plan = plan
        self.target = target
        self.size = product.compute.size
        out = product.results[0]
        self.k_blocks = -(-max(1, product.k) // plan.k_block)
        # Where many blocks are added up, what is rounded off, the compensation, waits beside the sums.
        self.compensates = self.k_blocks > MANY and product.compute.is_float
        plain = out.dtype is product.compute and out.strides[-1] == 1 and not self.compensates
        self.epilogue = None if plain and epilogue is None else epilogue or STORE_SUMS
        self._lay_out_scratch()

    def _lay_out_scratch(self) -> None:
        """Scratch: packed a, packed panel of b, then the sums of a panel (or of all, if blocks of k are the outermost
        loop) that wait for further blocks of k, and what was rounded off them."""
        plan, product = self.plan, self.product
        rows = -(-plan.item_rows // plan.tile.rows) * plan.tile.rows
        a = 0
        if plan.pack_a == "rows":
            a = plan.item_rows * row_pitch(product.k, plan.lanes)
        elif plan.pack_a == "panels":
            a = rows // plan.tile.rows * panel_pitch(self.a_depth, plan.tile.rows, plan.lanes)
        b = -(-plan.k_block // plan.lanes) * plan.lanes * plan.panel if plan.pack_b != "none" else 0
        panels = -(-plan.item_columns // plan.panel) if plan.k_first else 1
        self.panel_sums = rows * plan.panel * self.size  # bytes
        waiting = panels * rows * plan.panel if self.epilogue is not None and self.k_blocks > 1 else 0
        self.b_at = aligned(a * self.size)
        self.sums_at = self.b_at + aligned(b * self.size)
        self.compensation_bytes = aligned(waiting * self.size) if self.compensates else 0
        self.scratch_bytes = self.sums_at + aligned(waiting * self.size) + self.compensation_bytes

    def write(self) -> None:
        fn, product = self.fn, self.product
        frame, chunk = fn.params
        self.frame = frame
        words = (self.epilogue or STORE_SUMS).frame()
        self.a, self.b = (right(fn), left(fn)) if product.transposed else (left(fn), right(fn))
        self.out = words.result(fn, 0)
        if self.scratch_bytes:
            self.scratch = words.scratch(fn)
        if self.epilogue is not None:
            self._prepare_epilogue(self.epilogue)
        count = self.plan.items_per_chunk
        if self.plan.chunks == 1:
            fn.loop(self.plan.items, [], self._item)
            return
        first = chunk * count
        last = least(first + count, self.plan.items) if self.plan.items % count else first + count
        if count == 1:
            self._item(chunk)
        else:
            fn.loop(last, [], self._item, start=first)

    def _prepare_epilogue(self, epilogue: Epilogue) -> None:
        plan = self.plan
        self.finish = epilogue_function(self.module, self.product.grid, epilogue, plan.lanes, plan.panel, self.target)
        self.sums = (
            self.fn.at(self.scratch, self.sums_at)
            if self.k_blocks > 1
            else self.fn.alloca(plan.tile.rows * plan.panel * self.size)
        )

    def _item(self, item: Register) -> None:
        """Item number `item`: column blocks run fastest, so that neighbours share rows of a."""
        fn, plan, product = self.fn, self.plan, self.product
        across, down = -(-product.n // plan.item_columns), -(-product.m // plan.item_rows)
        column = item % across * plan.item_columns
        row = item // across % down * plan.item_rows
        batch = item // (across * down)
        rows = least(product.m - row, plan.item_rows) if product.m % plan.item_rows else fn.const(plan.item_rows)
        columns = (
            least(product.n - column, plan.item_columns)
            if product.n % plan.item_columns
            else fn.const(plan.item_columns)
        )
        a = fn.at(self.a, batch_offset(batch, product.batch, product.a.batch_bytes) + row * product.a.row_bytes)
        b = fn.at(self.b, batch_offset(batch, product.batch, product.b.batch_bytes))
        out = fn.at(
            self.out,
            batch_offset(batch, product.batch, product.results[0].batch_bytes) + row * product.results[0].row_bytes,
        )
        block = _Block(a, b, out, batch, row, rows, column)
        depth = product.k
        if plan.k_first:

            def k_block(start: Register) -> None:
                count = least(depth - start, plan.k_block) if depth % plan.k_block else fn.const(plan.k_block)
                self._pack_a(block, start, count)
                self._panels(block, columns, lambda j, width: self._k_block(block, j, width, start, count))

            fn.loop(depth, [], k_block, step=plan.k_block)
        else:
            self._pack_a(block, fn.const(0), fn.const(depth))
            self._panels(block, columns, lambda j, width: self._panel(block, j, width))

    def _panels(self, block: _Block, columns: Register, panel: Callable[[Register, int], None]) -> None:
        """`panel(column, width)` for the panels of an item."""
        fn, width = self.fn, self.plan.panel
        whole = columns // width * width
        fn.loop(whole, [], lambda j: panel(block.column + j, width), step=width)
        rest = self.product.n % width
        if rest:
            where_differ(fn, columns, whole, lambda: panel(block.column + whole, rest))

    @property
    def a_depth(self) -> int:
        """Steps of k of the rows of a that are packed at once."""
        return self.plan.k_block if self.plan.k_first else self.product.k

    def _pack_a(self, block: _Block, start: Register, count: Register) -> None:
        plan, a = self.plan, self.product.a
        if self.groups:
            pack = pack_row_groups(self.module, self.single.a, self.groups, plan.lanes, self.target)
        elif plan.pack_a == "rows":
            pack = pack_rows(self.module, a, plan.lanes, self.target)
        elif plan.pack_a == "panels":
            pack = pack_panels(self.module, a, self.a_depth, plan.tile.rows, plan.lanes, self.target)
            source = self.fn.at(block.a, start * a.column_bytes)
            self.fn.call(pack, [source, self.scratch, block.rows, count])
            return
        else:
            return
        self.fn.call(pack, [block.a, self.scratch, block.rows])

    def _panel(self, block: _Block, column: Register, width: int) -> None:
        """All rows of the item for `width` columns from `column`."""
        plan, depth = self.plan, self.product.k

        def k_block(start: Register) -> None:
            count = least(depth - start, plan.k_block) if depth % plan.k_block else self.fn.const(plan.k_block)
            self._k_block(block, column, width, start, count)

        if self.k_blocks == 1:
            self._k_block(block, column, width, self.fn.const(0), self.fn.const(depth))
        else:
            self.fn.loop(depth, [], k_block, step=plan.k_block)

    def _k_block(self, block: _Block, column: Register, width: int, start: Register, count: Register) -> None:
        b = self._panel_of_b(block, column, width, start, count)
        self._rows(block, _Panel(column, width, start, count, b))

    def _panel_of_b(self, block: _Block, column: Register, width: int, start: Register, count: Register) -> Register:
        b = self.product.b
        source = self.fn.at(block.b, column * b.column_bytes + start * b.row_bytes)
        if self.plan.pack_b == "none":
            return source
        packed = self.fn.at(self.scratch, self.b_at)
        if self.groups:
            single, lanes = self.single.b, self.plan.lanes
            pack = pack_column_groups(self.module, single, self.groups, width, lanes, self.target)
            ends = self.fn.compare("eq", start + count, self.fn.const(self.product.k))
            self.fn.call(pack, [source, packed, count, self.fn.convert("zext", ends, I64)])
            return packed
        emit = pack_transposed if self.plan.pack_b == "transpose" else pack_columns
        self.fn.call(emit(self.module, b, width, self.plan.lanes, self.target), [source, packed, count])
        return packed

    def _rows(self, block: _Block, panel: _Panel) -> None:
        tall = self.plan.tile.rows
        whole = block.rows // tall * tall
        self.fn.loop(whole, [], lambda i: self._tile(block, panel, i, tall), step=tall)
        rest = self.product.m % tall
        if rest:
            where_differ(self.fn, block.rows, whole, lambda: self._tile(block, panel, whole, rest))

    def _tile(self, block: _Block, panel: _Panel, i: Register, tall: int) -> None:
        fn, plan = self.fn, self.plan
        if self.epilogue is None:
            out = self.product.results[0]
            to, stride = fn.at(block.out, i * out.row_bytes + panel.column * self.size), out.row_bytes
        else:
            stride = plan.panel * self.size
            at = i * stride
            if plan.k_first:
                at = at + (panel.column - block.column) // plan.panel * self.panel_sums
            to = self.sums if self.k_blocks == 1 else fn.at(self.sums, at)
        self._sums(self._tile_of_a(block, panel, i), panel, to, stride, tall)
        if self.epilogue is None:
            return
        args = [self.frame, to, fn.const(tall), fn.const(panel.width), block.row + i, panel.column, block.batch]

        def finish() -> None:
            fn.call(self.finish, args)

        if self.k_blocks == 1:
            finish()
        else:
            fn.if_(fn.compare("eq", panel.start + panel.count, fn.const(self.product.k)), finish)

    def _tile_of_a(self, block: _Block, panel: _Panel, i: Register) -> Register:
        fn, plan, a = self.fn, self.plan, self.product.a
        if plan.pack_a == "rows":
            return fn.at(self.scratch, (i * row_pitch(a.shape[-1], plan.lanes) + panel.start) * self.size)
        if plan.pack_a == "panels":
            pitch = panel_pitch(self.a_depth, plan.tile.rows, plan.lanes)
            start = fn.const(0) if plan.k_first else panel.start
            return fn.at(self.scratch, (i // plan.tile.rows * pitch + start * plan.tile.rows) * self.size)
        return fn.at(block.a, i * a.row_bytes + panel.start * a.column_bytes)

    def _sums(self, a: Register, panel: _Panel, to: Register, stride: int, tall: int) -> None:
        """Call the microkernel of one tile."""
        plan = self.plan
        if plan.form == "outer":
            vectors = -(-panel.width // plan.lanes)
            # Sums on their way to an epilogue may fill their last vector; stored results must not.
            width = panel.width if self.epilogue is None or plan.pack_b == "none" else vectors * plan.lanes
            self._call_tile(a, panel.b, to, stride, panel, Tile(tall, vectors), width)
            return
        self._call_tile(a, panel.b, to, stride, panel, Tile(tall, plan.tile.vectors), panel.width)

    def _call_tile(
        self, a: Register, b: Register, to: Register, stride: int, panel: _Panel, tile: Tile, width: int
    ) -> None:
        along = self.plan.lanes if self.plan.form == "dot" else 1
        key = TileKey(
            form=self.plan.form,
            tile=tile,
            width=width,
            lanes=self.plan.lanes,
            a=self._source_of_a(),
            b=self._source_of_b(panel.width),
            accumulates=self.k_blocks > 1,
            target=self.target,
            summation=summation_of(-(-self.plan.k_block // along), self.product.compute),
            compensation_at=self.compensation_bytes,
            groups=self.groups,
            streams=self.plan.streams,
        )
        function = tile_function(self.module, key)
        self.fn.call(function, [a, b, to, self.fn.const(stride), panel.count, panel.start])

    def _source_of_a(self) -> Source:
        plan, a = self.plan, self.product.a
        if plan.pack_a == "rows":
            return Source(self.product.compute, row_pitch(a.shape[-1], plan.lanes) * self.size, self.size)
        if plan.pack_a == "panels":
            return Source(self.product.compute, self.size, plan.tile.rows * self.size)
        return Source(a.dtype, a.row_bytes, a.column_bytes)

    def _source_of_b(self, width: int) -> Source:
        b = self.product.b
        if self.plan.pack_b == "none":
            return Source(b.dtype, b.column_bytes, b.row_bytes)
        return Source(self.product.compute, self.size, -(-width // self.plan.lanes) * self.plan.lanes * self.size)


@dataclass(frozen=True)
class _Block:
    """An item being computed: pointers to its first row of a and out, to its batch entry of b, its rows, and its first
    column."""

    a: Register
    b: Register
    out: Register
    batch: Register
    row: Register
    rows: Register
    column: Register


@dataclass(frozen=True)
class _Panel:
    """A panel of columns and a block of k, with the panel of b for them."""

    column: Register
    width: int
    start: Register
    count: Register
    b: Register
