"""What a matrix product is asked to do: operand layouts, and the product brought to its simplest equivalent form."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from tinytorch.ir.errors import CompileError
from tinytorch.ir.ops.contract import accumulator
from tinytorch.ir.types import DType, Shape
from tinytorch.runtime.llvm.contract.grid import Grid
from tinytorch.runtime.llvm.kernel import Buffer

Pairs = Literal["none", "dot", "widen"]


@dataclass(frozen=True)
class Product:
    """`results[0] = a @ b` per batch entry, with the epilogue's further results and inputs in the same coordinates.

    `a` is [batch…, m, k], `b` [batch…, k, n], the others [batch…, m, n].
    """

    a: Buffer
    b: Buffer
    results: tuple[Buffer, ...]
    inputs: tuple[Buffer, ...]
    transposed: bool = False  # rows and columns stand for the caller's columns and rows
    panels: int = 0  # columns of a panel, if b lies in panels [count, k, columns]
    pairs: Pairs = "none"  # where not, a step of k takes two numbers of each operand (`float_pairs`)

    @property
    def batch(self) -> Shape:
        return self.a.batch

    @property
    def batches(self) -> int:
        return math.prod(self.batch)

    @property
    def m(self) -> int:
        return self.a.shape[-2]

    @property
    def k(self) -> int:
        return self.a.shape[-1]

    @property
    def n(self) -> int:
        return self.b.shape[-1]

    @property
    def compute(self) -> DType:
        return accumulator(self.a.dtype)

    @property
    def grid(self) -> Grid:
        """What an epilogue sees."""
        return Grid(self.batch, self.m, self.n, self.compute, self.results, self.inputs)

    @property
    def flops(self) -> int:
        return 2 * self.batches * self.m * self.n * self.k * (1 if self.pairs == "none" else 2)


def product_of(a: Buffer, b: Buffer, results: Sequence[Buffer], inputs: Sequence[Buffer]) -> Product:
    """The product, checked and simplified; CompileError if the operands do not fit.

    Batch axes that are rows of one taller matrix become rows, the others are merged where their strides allow, and
    a product with a single column is transposed, since the lanes of a vector run along columns.
    """
    product = Product(a, b, tuple(results), tuple(inputs))
    _check(product)
    product = _merge_batches(product)
    while product.batch and _is_taller(product):
        product = _stack(product)
    product = _drop_unit_batches(product)
    return _transposed(product) if product.n == 1 and product.m > 1 else product


def product_of_panels(a: Buffer, panels: Buffer, results: Sequence[Buffer], inputs: Sequence[Buffer]) -> Product:
    """The product of a [m, k] and the columns of b in row-major panels [count, k, width]; those of pairs are f32."""
    width = panels.shape[2]
    b = Buffer(panels.dtype, (panels.shape[1], results[0].shape[-1]), (width, 1))
    product = Product(a, b, tuple(results), tuple(inputs), panels=width)
    _check(product)
    return product


def product_of_byte_panels(
    a: Buffer, panels: Buffer, results: Sequence[Buffer], inputs: Sequence[Buffer]
) -> tuple[Product, Product]:
    """The product of bytes [m, k] and the columns of row-major panels [count, k / size, width, size]: with single
    steps of k, then with one for each group."""
    _, steps, width, size = panels.shape
    m, k = a.shape
    row, column = a.strides
    b = Buffer(panels.dtype, (steps, results[0].shape[-1]), (width * size, size))
    groups = Buffer(a.dtype, (m, steps), (row, column * size))
    product = Product(groups, b, tuple(results), tuple(inputs), panels=width)
    _check(product)
    return Product(a, Buffer(b.dtype, (k, b.shape[1]), (0, 0)), tuple(results), tuple(inputs), panels=width), product


def _check(product: Product) -> None:
    a, b = product.a, product.b
    expected = (*product.batch, product.m, product.n)
    if accumulator(a.dtype) is not accumulator(b.dtype):
        raise CompileError(f"matmul kernel: operands are {a.dtype} and {b.dtype}; cast one of them first")
    if b.shape != (*product.batch, product.k, product.n):
        raise CompileError(f"matmul kernel: operand shapes {a.shape} and {b.shape} do not fit")
    for operand in (*product.results, *product.inputs):
        if operand.shape != expected:
            raise CompileError(f"matmul kernel: epilogue operand has shape {operand.shape}, the result {expected}")


def _is_taller(product: Product) -> bool:
    """Whether the last batch axis continues the rows of every operand, and b is the same along it."""
    follows = all(
        x.strides[-3] == x.shape[-2] * x.strides[-2] or product.m == 1
        for x in (product.a, *product.results, *product.inputs)
    )
    return follows and product.b.strides[-3] == 0


def _stack(product: Product) -> Product:
    """The last batch axis as further rows."""

    def taller(x: Buffer) -> Buffer:
        *batch, count, rows, columns = x.shape
        *outer, step, row, column = x.strides
        return Buffer(x.dtype, (*batch, count * rows, columns), (*outer, step if rows == 1 else row, column))

    b = product.b
    shorter = Buffer(b.dtype, (*b.shape[:-3], *b.shape[-2:]), (*b.strides[:-3], *b.strides[-2:]))
    return Product(taller(product.a), shorter, tuple(map(taller, product.results)), tuple(map(taller, product.inputs)))


def _drop_unit_batches(product: Product) -> Product:
    axes = [axis for axis, size in enumerate(product.batch) if size != 1]
    return _map_batches(product, lambda x: _with_batch(x, axes))


def _with_batch(x: Buffer, axes: Sequence[int]) -> Buffer:
    return x.reordered((*axes, len(x.shape) - 2, len(x.shape) - 1))


def _merge_batches(product: Product) -> Product:
    """Merge neighbouring batch axes where every operand steps through them as through one."""
    product = _drop_unit_batches(product)
    axis = len(product.batch) - 2
    while axis >= 0:
        operands = (product.a, product.b, *product.results, *product.inputs)
        if all(x.strides[axis] == x.strides[axis + 1] * x.shape[axis + 1] for x in operands):
            product = _map_batches(product, lambda x, at=axis: _merged(x, at))
        axis -= 1
    return product


def _merged(x: Buffer, axis: int) -> Buffer:
    shape = (*x.shape[:axis], x.shape[axis] * x.shape[axis + 1], *x.shape[axis + 2 :])
    return Buffer(x.dtype, shape, (*x.strides[:axis], *x.strides[axis + 1 :]))


def _map_batches(product: Product, change: Callable[[Buffer], Buffer]) -> Product:
    return Product(
        change(product.a), change(product.b), tuple(map(change, product.results)), tuple(map(change, product.inputs))
    )


def _transposed(product: Product) -> Product:
    """(a @ b)ᵀ = bᵀ @ aᵀ."""
    return Product(
        product.b.transposed(),
        product.a.transposed(),
        tuple(x.transposed() for x in product.results),
        tuple(x.transposed() for x in product.inputs),
        transposed=True,
    )
