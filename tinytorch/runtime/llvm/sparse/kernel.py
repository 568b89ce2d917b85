"""Products by sparse weights with what follows them: x is brought into lines, then threads claim groups of columns.

Sums run over a block of k in order, and blocks are added up in order, whatever threads run the chunks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tinytorch.ir.graph import Node
from tinytorch.ir.ops.sparse import BLOCK_ROWS, GROUP, layout_of, sparse_matmul
from tinytorch.runtime.llvm.contract.epilogue import STORE_SUMS, Epilogue, epilogue_of
from tinytorch.runtime.llvm.kernel import Kernel, KernelCode, Phase
from tinytorch.runtime.llvm.sparse import columns, rows
from tinytorch.runtime.llvm.sparse.items import Sums, items_of, pointer
from tinytorch.runtime.llvm.sparse.lines import Lines
from tinytorch.runtime.llvm.sparse.semi_structured import MOST_ROWS, panels_of, write_panels
from tinytorch.runtime.llvm.sparse.slabs import Slabs
from tinytorch.runtime.llvm.text.builder import Function, Module, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I64, PTR

WriteItem = Callable[[Function, Register, Register, Register, Register], None]  # (fn, lines, own, tile, group)


def emit(module: Module, name: str, kernel: Kernel, target: Target) -> KernelCode:
    """Write the kernel of a product by a sparse weight and what follows it in the body. x has any strides."""
    first = next(n for n in kernel.body.nodes if n.op.kind == "contract")
    order, epilogue = epilogue_of(kernel, first)
    if 0 in kernel.results[0].shape:
        return KernelCode((), order)
    write = _write_sparse if first.op is sparse_matmul else _write_semi_structured
    return replace(write(module, name, kernel, target, first, epilogue or STORE_SUMS), order=order)


def _write_sparse(
    module: Module, name: str, kernel: Kernel, target: Target, first: Node, epilogue: Epilogue
) -> KernelCode:
    layout = layout_of([v.type for v in first.inputs], first.attrs["columns"])
    x = kernel.operands[kernel.body.inputs.index(first.inputs[0])]
    # A slab of one place suits both ways; more rows than a tile of the first has are worth being transposed.
    along_rows = layout.places == 1 and (x.shape[0] > columns.MOST_ROWS or layout.lanes == 1)
    if along_rows:
        tile = rows.tile_of(x.shape[0], layout.lanes, layout.dtype, target)
    else:
        tile = _even_tile(x.shape[0], columns.MOST_ROWS)
    lines = Lines(x, tile, layout.blocks, layout.block_depth, BLOCK_ROWS, target)
    sums = Sums(module, target, layout.dtype, epilogue, kernel.results, tile, layout.width)
    write = rows.write_group if along_rows else columns.write_group
    frame = epilogue.frame(3)
    own_bytes = (rows if along_rows else columns).scratch_bytes(sums)

    def item(fn: Function, at: Register, own: Register, tile: Register, group: Register) -> None:
        further = len(frame.buffers) - 3
        arrays = [pointer(fn, i) for i in (1, further, further + 1, further + 2)]
        write(fn, Slabs(fn, layout, *arrays), lines, sums, at, own, tile, group)

    read = layout.steps * (layout.lanes * layout.dtype.size + layout.places)
    return _phases(module, name, lines, layout.groups, len(frame.buffers), own_bytes, first.flops, read, item)


def _write_semi_structured(
    module: Module, name: str, kernel: Kernel, target: Target, first: Node, epilogue: Epilogue
) -> KernelCode:
    x, values = (kernel.operands[kernel.body.inputs.index(v)] for v in first.inputs[:2])
    panels, groups, _, lanes = values.shape
    tile = _even_tile(x.shape[0], MOST_ROWS)
    count = panels_of(panels, tile)
    lines = Lines(x, tile, 1, x.shape[1], groups * GROUP, target)
    sums = Sums(module, target, x.dtype, epilogue, kernel.results, tile, count * lanes)
    frame = epilogue.frame(1)
    own_bytes = 2 * sums.bytes + target.vector_bytes  # the last panels may begin within the sums

    def item(fn: Function, at: Register, own: Register, tile: Register, group: Register) -> None:
        arrays = pointer(fn, 1), pointer(fn, len(frame.buffers) - 1)
        write_panels(fn, (arrays, values), lines, sums, at, own, tile, group)

    read = first.inputs[1].type.bytes + first.inputs[2].type.bytes
    across = -(-panels // count)
    return _phases(module, name, lines, across, len(frame.buffers), own_bytes, first.flops, read, item)


def _even_tile(rows: int, most: int) -> int:
    """Rows of the tiles that they are cut into."""
    return -(-rows // -(-rows // most))


def _phases(
    module: Module,
    name: str,
    lines: Lines,
    groups: int,
    buffers: int,
    own_bytes: int,
    flops: int,
    read: int,
    item: WriteItem,
) -> KernelCode:
    """The phase that brings x into lines, and the one of the sums. The groups of a tile follow each other."""
    first = lines.write(module, f"{name}_lines", buffers)
    items = items_of(lines.tiles * groups, flops, read * lines.tiles)
    fn = module.function(name, [PTR, I64])
    shared, own = pointer(fn, buffers), pointer(fn, buffers + 1)

    def one(number: Register) -> None:
        tile, group = number // groups, number % groups
        item(fn, fn.at(shared, tile * lines.tile_bytes), own, tile, group)

    items.loop(fn, one)
    fn.ret()
    phases = (first, Phase(name, items.chunks))
    return KernelCode(phases, (), lines.bytes, own_bytes)
