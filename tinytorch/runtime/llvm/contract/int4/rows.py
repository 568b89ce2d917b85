"""Rows of x, copied to scratch memory in the order in which the microkernel reads them: bytes as they are (for
instructions that take four to a lane), pairs of 16 bits in the order in which shifts bring the nibbles up, or one
number for each. Bytes are followed by what the sum of each group begins with, -8 times the sum of x there, since a
nibble holds its weight plus 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tinytorch.ir.ops.int4 import RUN, ZERO
from tinytorch.runtime.llvm.contract.int4.product import X_BYTES, Int4Product
from tinytorch.runtime.llvm.kernel import Buffer
from tinytorch.runtime.llvm.text.builder import Function, Module, Register
from tinytorch.runtime.llvm.text.types import F32, I8, I16, I32, I64, PTR, LLType

_ORDER = (0, 2, 1, 3, 4, 6, 5, 7)  # of the steps of a run in pairs


def copy_rows(module: Module, product: Int4Product) -> Function:
    """`(from, to, rows)`: rows of x in the order of the form, zeros behind k, and what their sums begin with."""
    x, form, k = product.x, product.form, product.x.shape[1]

    def build(name: str) -> Function:
        fn = module.function(name, [PTR, PTR, I64], internal=True, noinline=True)
        source, to, rows = fn.params

        def row(i: Register) -> None:
            start, end = fn.at(source, i * x.row_bytes), fn.at(to, i * product.row_bytes)
            if form == "float":
                _copy_plain(fn, start, end, x, F32)
                fn.fill(fn.at(end, 4 * k), 0, 4 * (product.depth - k))
                return
            if form in ("quad", "sixteen"):
                _copy_plain(fn, start, end, x, I8)
                fn.fill(fn.at(end, k), 0, product.depth - k)
            else:
                _copy_wide(fn, start, end, product)
            if product.groups:
                _copy_sums(fn, start, fn.at(end, product.sums_at), product)

        fn.loop(rows, [], row)
        fn.ret()
        return fn

    return module.shared(("int4 rows", replace(product, columns=0)), build)


def _copy_plain(fn: Function, start: Register, end: Register, x: Buffer, element: LLType) -> None:
    """k elements one behind the other."""
    k = x.shape[1]
    if x.strides[1] == 1:
        fn.copy(end, start, k * element.bytes)
        return
    fn.loop(k, [], lambda j: fn.store(fn.load(start, element, j * x.column_bytes), end, j * element.bytes))


def _copy_wide(fn: Function, start: Register, end: Register, product: Int4Product) -> None:
    """Elements widened to 16 or 32 bits, those of pairs in the order of the nibbles."""
    x, size = product.x, X_BYTES[product.form]
    element = I16 if size == 2 else I32
    order = _ORDER if product.form == "pair" else range(RUN)
    k = x.shape[1]

    def run(first: Register, live: int) -> None:
        for place, step in enumerate(order):
            value = fn.zero(element)
            if step < live:
                value = fn.convert("sext", fn.load(start, I8, (first + step) * x.column_bytes), element)
            fn.store(value, end, (first + place) * size)

    fn.loop(k // RUN * RUN, [], lambda first: run(first, RUN), step=RUN)
    for first in range(k // RUN * RUN, product.depth, RUN):
        run(fn.const(first), max(0, k - first))


def _copy_sums(fn: Function, start: Register, to: Register, product: Int4Product) -> None:
    """-8 times the sum of each group."""
    x, k, group = product.x, product.x.shape[1], product.group
    lanes = product.lanes

    def sum_of(first: Register, count: int) -> None:
        whole = count // lanes * lanes if x.strides[1] == 1 else 0

        def vector(j: Register, total: Register) -> Sequence[Register]:
            loaded = fn.load(start, I8.widen(lanes), first + j)
            return [total + fn.convert("sext", loaded, I32.widen(lanes))]

        def single(j: Register, total: Register) -> Sequence[Register]:
            return [total + fn.convert("sext", fn.load(start, I8, (first + j) * x.column_bytes), I32)]

        totals = fn.loop(whole, [fn.zero(I32.widen(lanes))], vector, step=lanes)
        totals = fn.loop(count, [fn.reduce(totals[0], lambda a, b: a + b)], single, start=whole)
        fn.store(totals[0] * -ZERO, to, first // group * 4)

    full = k // group
    fn.loop(full * group, [], lambda first: sum_of(first, group), step=group)
    if k % group:
        sum_of(fn.const(full * group), k % group)
