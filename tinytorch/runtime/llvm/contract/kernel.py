"""Matrix products, batched, in any layout, with the elementwise work that follows them: one kernel per product.

`emit_matmul` writes a function `void name(ptr frame, i64 chunk)`, whose frame is `grid.Frame`: pointers to element
[0, …, 0] of each operand, whose layout is compiled in, and to scratch memory of the calling thread. The result is the
same to the bit whatever threads run the chunks.

Sums run over k in order, in blocks (`sums`), in the dtype of `accumulator`. The cut is `plan`'s, the loops
inside of an item are those of `rows_first` or `columns_first`, and what these do to a tile is `work`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tinytorch.ir.op import Op
from tinytorch.ir.ops.byte_panels import byte_panel_matmul
from tinytorch.ir.ops.contract import matmul, panel_matmul
from tinytorch.ir.ops.int4 import int4_matmul
from tinytorch.runtime.llvm.contract.bytes.groups import Groups, grouped, groups_of, groups_of_panels
from tinytorch.runtime.llvm.contract.bytes.plan import plan_of_byte_panels
from tinytorch.runtime.llvm.contract.epilogue import STORE_SUMS, Epilogue, batch_offset, epilogue_of
from tinytorch.runtime.llvm.contract.int4.kernel import emit_int4
from tinytorch.runtime.llvm.contract.operands.float_pairs import paired, pairs_of_panels
from tinytorch.runtime.llvm.contract.operands.layout import (
    Pairs,
    Product,
    product_of,
    product_of_byte_panels,
    product_of_panels,
)
from tinytorch.runtime.llvm.contract.orders.columns_first import columns_first
from tinytorch.runtime.llvm.contract.orders.rows_first import rows_first
from tinytorch.runtime.llvm.contract.orders.split_k import emit_total, part_bytes
from tinytorch.runtime.llvm.contract.orders.work import Block, Work
from tinytorch.runtime.llvm.contract.parts import least
from tinytorch.runtime.llvm.contract.plan.product import plan_product
from tinytorch.runtime.llvm.kernel import Buffer, Kernel, KernelCode, Phase
from tinytorch.runtime.llvm.text.builder import Module, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I64, PTR


def emit(module: Module, name: str, kernel: Kernel, target: Target) -> KernelCode:
    """Write the kernel of a matrix product and what follows it in the body."""
    first = next(n for n in kernel.body.nodes if n.op in _WRITERS)
    order, epilogue = epilogue_of(kernel, first)
    operands = (kernel.operands[kernel.body.inputs.index(v)] for v in first.inputs)
    known = {name: first.attrs[name] for name in _ATTRS.get(first.op, ()) if name in first.attrs}
    code = _WRITERS[first.op](module, name, *operands, kernel.results[0], target, epilogue, **known)
    return replace(code, order=order)


def emit_matmul(
    module: Module, name: str, a: Buffer, b: Buffer, out: Buffer, target: Target, epilogue: Epilogue | None = None
) -> KernelCode:
    """Write the kernel of `out = epilogue(a @ b)`; a [batch…, M, K], b [batch…, K, N], out [batch…, M, N].

    Any dtypes but bool, with the same accumulator for a and b; without an epilogue the sums are rounded or wrapped to
    out's dtype. Any strides; batch axes of a and b are equal (broadcast ones have stride 0). Empty axes are allowed:
    an empty K gives zeros. CompileError if shapes or dtypes do not fit.
    """
    ends = epilogue or STORE_SUMS
    single = product_of(a, b, (out, *ends.outputs), ends.operands)
    groups = groups_of(single, target)
    return _emit(module, name, single, grouped(single, groups) if groups else single, groups, target, epilogue)


def emit_panel_matmul(
    module: Module, name: str, a: Buffer, b: Buffer, out: Buffer, target: Target, epilogue: Epilogue | None = None
) -> KernelCode:
    """The same for a [M, K], out [M, N], and b in row-major panels [count, K, width] of whole vectors or not, or
    [count, K / 2, width, 2] of pairs of bf16."""
    ends = epilogue or STORE_SUMS
    pairs: Pairs = "none"
    if len(b.shape) == 4:
        a, b, pairs = pairs_of_panels(a, b, target)
    product = replace(product_of_panels(a, b, (out, *ends.outputs), ends.operands), pairs=pairs)
    return _emit(module, name, product, product, None, target, epilogue)


def emit_byte_panel_matmul(
    module: Module,
    name: str,
    a: Buffer,
    b: Buffer,
    out: Buffer,
    target: Target,
    epilogue: Epilogue | None = None,
    *,
    moved: int = 0,
    in_16_bits: int = 0,
) -> KernelCode:
    """The same of bytes, with b in panels [count, K / size, width, size], see `byte_panel_matmul`; CompileError for
    groups that the target does not multiply."""
    ends = epilogue or STORE_SUMS
    groups = groups_of_panels(a.dtype, b, moved, in_16_bits, target)
    if groups is None:
        b = replace(b, shape=b.shape[:3], strides=b.strides[:3])
        return emit_panel_matmul(module, name, a, b, out, target, epilogue)
    single, product = product_of_byte_panels(a, b, (out, *ends.outputs), ends.operands)
    return _emit(module, name, single, product, groups, target, epilogue)


_WRITERS: dict[Op, Callable[..., KernelCode]] = {
    matmul: emit_matmul,
    panel_matmul: emit_panel_matmul,
    byte_panel_matmul: emit_byte_panel_matmul,
    int4_matmul: emit_int4,
}
_ATTRS = {byte_panel_matmul: ("moved", "in_16_bits")}


def _emit(
    module: Module,
    name: str,
    single: Product,
    product: Product,
    groups: Groups | None,
    target: Target,
    epilogue: Epilogue | None,
) -> KernelCode:
    """`single` with its steps of k as elements, `product` with those that are multiplied at once."""
    buffers = (epilogue or STORE_SUMS).frame().buffers
    fn = module.function(name, [PTR, I64])
    if not (single.batches and single.m and single.n):
        fn.ret()
        return KernelCode((), buffers)
    product = product if groups else paired(product, target)
    plan = (
        plan_of_byte_panels(product, groups, target)
        if groups and product.panels
        else plan_product(product, target, groups is not None)
    )
    work = Work(module, fn, single, product, groups, plan, target, epilogue)
    _items(work)
    fn.ret()
    sums = Phase(name, plan.chunks)
    if not plan.k_part:
        return KernelCode((sums,), buffers, private_bytes=work.scratch_bytes)
    total = emit_total(module, f"{name}_total", product, plan.parts, plan.lanes, target, epilogue)
    return KernelCode((sums, total), buffers, plan.parts * part_bytes(product), work.scratch_bytes)


def _items(work: Work) -> None:
    """The items of the chunk that the function was called for."""
    fn, plan, chunk = work.fn, work.plan, work.fn.params[1]
    count = plan.items_per_chunk
    if plan.chunks == 1:
        fn.loop(plan.items, [], lambda item: _item(work, item))
        return
    first = chunk * count
    last = least(first + count, plan.items) if plan.items % count else first + count
    if count == 1:
        _item(work, chunk)
    else:
        fn.loop(last, [], lambda item: _item(work, item), start=first)


def _item(work: Work, item: Register) -> None:
    """Item number `item`: column blocks run fastest, so that neighbours share rows of a."""
    fn, plan, product = work.fn, work.plan, work.product
    across, down = -(-product.n // plan.item_columns), -(-product.m // plan.item_rows)
    column = item % across * plan.item_columns
    row = item // across % down * plan.item_rows
    batch = part = item // (across * down)
    to = work.out
    if plan.k_part:
        batch, to = fn.const(0), fn.at(work.out, part * part_bytes(product))
    rows = least(product.m - row, plan.item_rows) if product.m % plan.item_rows else fn.const(plan.item_rows)
    columns = (
        least(product.n - column, plan.item_columns) if product.n % plan.item_columns else fn.const(plan.item_columns)
    )
    out = work.sums
    block = Block(
        fn.at(work.a, batch_offset(batch, product.batch, product.a.batch_bytes) + row * product.a.row_bytes),
        fn.at(work.b, batch_offset(batch, product.batch, product.b.batch_bytes)),
        fn.at(to, batch_offset(batch, product.batch, out.batch_bytes) + row * out.row_bytes),
        batch,
        row,
        rows,
        column,
        columns,
        part * plan.k_part if plan.k_part else fn.const(0),
    )
    (rows_first if plan.order == "rows" else columns_first)(work, block)
