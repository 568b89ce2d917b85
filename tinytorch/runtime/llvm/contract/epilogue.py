"""What becomes of the sums of a matrix product: an elementwise expression over tiles that are still in cache."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

from tinytorch.ir.emitter import Lane
from tinytorch.runtime.llvm.contract.layout import Operand, Product
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.text.builder import Function, Module, Value
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I64, PTR, memory_type


class EpilogueContext:
    """One vector of sums of one row, inside an epilogue's body.

    `acc` is in the dtype of the sums: f32 for 16-bit floats, i32 for bytes. `row` and `column` are the i64 indices,
    in the result, of the first lane; the lanes follow along columns, along rows where `along_rows`.
    """

    def __init__(
        self,
        emitter: LaneEmitter,
        acc: Lane,
        row: Value,
        column: Value,
        mask: Value | None,
        inputs: list[tuple[Operand, Value]],
        results: list[tuple[Operand, Value]],
        along_rows: bool,
    ) -> None:
        self.emitter = emitter
        self.acc = acc
        self.row = row
        self.column = column
        self.along_rows = along_rows
        self._mask = mask
        self._inputs = inputs
        self._results = results

    @property
    def sums(self) -> list[Lane]:
        """The sums at all places of a window, of which there is one here: see `conv_pool.PoolContext`."""
        return [self.acc]

    def window(self, index: int) -> list[Lane]:
        """The epilogue's operand `index` at those places."""
        return [self.load(index)]

    def load(self, index: int) -> Lane:
        """The epilogue's operand `index` at the same elements, in its own dtype."""
        operand, pointer = self._inputs[index]
        return self.emitter.load_strided(pointer, operand.dtype, operand.strides[-1], mask=self._mask)

    def store(self, index: int, lane: Lane) -> None:
        """Result `index`: 0 is the product's `out`, then the epilogue's outputs. The dtypes must agree."""
        operand, pointer = self._results[index]
        assert lane.dtype is operand.dtype, f"epilogue stores {lane.dtype} to a buffer of {operand.dtype}"
        self.emitter.store_strided(lane, pointer, operand.strides[-1], mask=self._mask)


@dataclass(frozen=True)
class Epilogue:
    """What to do with the sums. `body` must be a function of `key` alone, since code is shared by key.

    `operands` are read by `ctx.load(i)`, broadcast by strides of 0; `outputs` are written by `ctx.store(1 + i, …)`
    beside the product's own `out`, `ctx.store(0, …)`. All have the result's shape. Every element is read before it
    is written and seen once, so an output may be the buffer of an operand with the same layout.
    """

    key: Hashable
    body: Callable[[Any], None] = field(compare=False)
    operands: tuple[Operand, ...] = ()
    outputs: tuple[Operand, ...] = ()
    pool: tuple[int, int] | None = None  # windows of a convolution's outputs: `body` takes a `conv_pool.PoolContext`


def store_sums(context: EpilogueContext) -> None:
    """The epilogue of a plain product: round the sums to the result's dtype."""
    result = context._results[0][0]  # pyright: ignore[reportPrivateUsage]
    context.store(0, context.acc.cast(result.dtype))


def epilogue_function(
    module: Module, product: Product, epilogue: Epilogue, lanes: int, pitch: int, target: Target
) -> Function:
    """The shared function `(frame, sums, rows, columns, row, column, batch)` that runs the epilogue over a block.

    `sums` has rows of `pitch` elements; the block begins at `row`, `column` of batch entry `batch`. Only at the
    right edge of the result may `columns` not be a multiple of the lanes.
    """

    def build(name: str) -> Function:
        params = [PTR, PTR, I64, I64, I64, I64, I64]
        fn = module.function(name, params, internal=True, noinline=True)
        _Writer(fn, product, epilogue, lanes, pitch, target).write()
        fn.ret()
        return fn

    layouts = (product.results, product.inputs, product.batch, product.n % lanes, product.compute, product.turned)
    return module.shared(("epilogue", epilogue.key, layouts, lanes, pitch, target), build)


class _Writer:
    def __init__(
        self,
        fn: Function,
        product: Product,
        epilogue: Epilogue,
        lanes: int,
        pitch: int,
        target: Target,
    ) -> None:
        self.fn = fn
        self.product = product
        self.body = epilogue.body
        self.emitter = LaneEmitter(fn, target, lanes)
        self.pitch = pitch * product.compute.size

    def write(self) -> None:
        fn, lanes = self.fn, self.emitter.lanes
        frame, sums, rows, columns, row, column, batch = fn.params
        operands = [*self.product.results, *self.product.inputs]
        bases = [
            fn.at(
                fn.at(fn.load(frame, PTR, (2 + place) * 8), batch_offset(batch, self.product.batch, x.batch_bytes)),
                row * x.row_bytes + column * x.column_bytes,
            )
            for place, x in enumerate(operands)
        ]
        whole = columns // lanes * lanes

        def each_row(i: Value) -> None:
            starts = [fn.at(base, i * x.row_bytes) for x, base in zip(operands, bases, strict=True)]
            at = fn.at(sums, i * self.pitch)

            def vector(j: Value, mask: Value | None = None) -> None:
                self._vector(at, starts, row + i, column, j, mask)

            fn.loop(whole, [], vector, step=lanes)
            if self.product.n % lanes:
                mask = fn.lane_mask(lanes, self.product.n % lanes)
                fn.if_(fn.compare("ne", columns, whole), lambda: vector(whole, mask))

        fn.loop(rows, [], each_row)

    def _vector(
        self, sums: Value, starts: list[Value], row: Value, column: Value, j: Value, mask: Value | None
    ) -> None:
        fn, compute = self.fn, self.product.compute
        acc = fn.load(sums, memory_type(compute, self.emitter.lanes), j * compute.size)
        operands = [*self.product.results, *self.product.inputs]
        here = [(x, fn.at(start, j * x.column_bytes)) for x, start in zip(operands, starts, strict=True)]
        results = len(self.product.results)
        place = (row, column + j)
        row, column = reversed(place) if self.product.turned else place
        context = EpilogueContext(
            self.emitter,
            self.emitter.lane(acc, compute),
            row,
            column,
            mask,
            here[results:],
            here[:results],
            self.product.turned,
        )
        self.body(context)


def batch_offset(batch: Value, shape: tuple[int, ...], strides: tuple[int, ...]) -> Value:
    """The byte offset of batch entry number `batch`, counted in row-major order."""
    offset = batch.fn.const(0)
    rest = batch
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        offset = offset + rest % size * stride
        rest = rest // size
    return offset
