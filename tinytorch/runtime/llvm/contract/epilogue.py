"""What becomes of the sums of a contraction: elementwise work over tiles that are still in cache."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

from tinytorch.ir.graph import Node, Value
from tinytorch.ir.lanes.emitter import Lane
from tinytorch.ir.types import DType
from tinytorch.runtime.llvm.contract.grid import Frame, Grid
from tinytorch.runtime.llvm.contract.parts import LINE
from tinytorch.runtime.llvm.kernel import Buffer, Kernel
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.lanes.node import computed, node_lane
from tinytorch.runtime.llvm.text.builder import Function, Module, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I64, PTR, memory_type

WindowPointers = tuple[Buffer, list[Register]]  # a buffer, and pointers to a vector of it at each place of a window


class EpilogueContext:
    """One vector of columns, inside of an epilogue's body.

    `sums` are in the dtype of the sums: f32 for 16-bit floats, i32 for bytes. There is one vector of them, or, where
    windows of the results are pooled, one for each place of a window, row by row.
    """

    def __init__(
        self,
        emitter: LaneEmitter,
        sums: list[Lane],
        mask: Register | None,
        inputs: list[WindowPointers],
        results: list[WindowPointers],
    ) -> None:
        self.emitter = emitter
        self.sums = sums
        self._mask = mask
        self._inputs = inputs
        self._results = results

    def window(self, index: int) -> list[Lane]:
        """The epilogue's operand `index` in its own dtype: at each place of the window, or at the pooled element."""
        operand, pointers = self._inputs[index]
        step = operand.strides[-1]
        return [self.emitter.load_strided(p, operand.dtype, step, mask=self._mask) for p in pointers]

    def dtype(self, index: int) -> DType:
        """Of result `index`."""
        return self._results[index][0].dtype

    def store(self, index: int, lane: Lane) -> None:
        """Result `index`: 0 is the contraction's own, then the epilogue's outputs. The dtypes must agree."""
        operand, (pointer,) = self._results[index]
        assert lane.dtype is operand.dtype, f"epilogue stores {lane.dtype} to a buffer of {operand.dtype}"
        self.emitter.store_strided(lane, pointer, operand.strides[-1], mask=self._mask)


@dataclass(frozen=True)
class Epilogue:
    """What to do with the sums. `body` must be a function of `key` alone, since code is shared by key.

    `operands` are read by `ctx.window(i)`, broadcast by strides of 0; `outputs` are written by `ctx.store(1 + i, …)`
    beside the contraction's own result, `ctx.store(0, …)`. All have the result's shape. Every element is read before it
    is written and seen once, so an output may be the buffer of an operand with the same layout.
    """

    key: Hashable
    body: Callable[[EpilogueContext], None] = field(compare=False)
    operands: tuple[Buffer, ...] = ()
    outputs: tuple[Buffer, ...] = ()
    pooled: tuple[int, int] | None = None  # windows of a convolution's outputs, each of which gives one element

    def frame(self, further: int = 0) -> Frame:
        """The frame of a kernel that ends so."""
        return Frame(1 + len(self.outputs), len(self.operands), further)


def _store_sums(context: EpilogueContext) -> None:
    context.store(0, context.sums[0].cast(context.dtype(0)))


STORE_SUMS = Epilogue("store sums", _store_sums)  # rounded to the result's dtype: nothing follows

Results = Sequence[list[Lane]]  # of a node, each at the places of a window
Others = Callable[[Node, LaneEmitter, list[Lane]], Results]  # of nodes that are not elementwise


def epilogue_of(
    kernel: Kernel, first: Node, others: Others | None = None, done: Node | None = None
) -> tuple[tuple[int, ...], Epilogue | None]:
    """What a kernel's frame holds, and what its nodes make of the result of `first`, or of `done`, which has been
    computed from it, if there are others.

    The frame is [a, b, *results, *operands of the epilogue, *further operands of `first`]. `others` gives the lanes of
    nodes that are neither elementwise nor literals.
    """
    body, nodes = kernel.body, [n for n in kernel.body.nodes if n is not first and n is not done]
    a, b, *further = (body.inputs.index(v) for v in first.inputs)
    read = {v for n in nodes for v in n.inputs}
    used = [i for i, v in enumerate(body.inputs) if v in read]  # a and b too, should the epilogue read them
    results = range(len(body.inputs), len(body.inputs) + len(body.outputs))
    order = (a, b, *results, *used, *further)
    if not nodes:
        return order, None
    inputs = {body.inputs[i]: place for place, i in enumerate(used)}

    def run(context: EpilogueContext) -> None:
        # A value has a lane for each place of a window before it is pooled, else one.
        sums = (done or first).outputs[0]
        known: dict[Value, list[Lane]] = {sums: [x.cast(computed(sums.type.dtype)) for x in context.sums]}

        def lanes(value: Value) -> list[Lane]:
            if value not in known:
                known[value] = [x.cast(computed(value.type.dtype)) for x in context.window(inputs[value])]
            return known[value]

        for node in nodes:
            found = _lanes_of(node, [lanes(v) for v in node.inputs], context.emitter, others)
            known.update(zip(node.outputs, found, strict=True))
        for i, value in enumerate(body.outputs):
            context.store(i, lanes(value)[0].cast(value.type.dtype))

    window = next((n.attrs["window"] for n in nodes if "window" in n.attrs), None)
    operands = tuple(kernel.operands[i] for i in used)
    return order, Epilogue(kernel.text, run, operands, kernel.results[1:], window)


def _lanes_of(node: Node, operands: list[list[Lane]], emitter: LaneEmitter, others: Others | None) -> Results:
    if node.op.name == "broadcast":  # of a literal: every lane holds it
        return operands[:1]
    if node.op.kind != "elementwise" and node.inputs:
        assert others is not None, f"{node.op.name} cannot follow a contraction"
        return others(node, emitter, operands[0])
    dtype, places = computed(node.output.type.dtype), max(map(len, operands), default=1)
    return [[node_lane(emitter, node, [x[i % len(x)] for x in operands]).cast(dtype) for i in range(places)]]


def epilogue_function(
    module: Module, grid: Grid, epilogue: Epilogue, lanes: int, pitch: int, target: Target
) -> Function:
    """The shared function `(frame, sums, rows, columns, row, column, batch)` that runs the epilogue over a block.

    `sums` has rows of `pitch` elements; the block begins at `row`, `column` of batch entry `batch`. Only at the
    right edge of the result may `columns` not be a multiple of the lanes.
    """

    def build(name: str) -> Function:
        fn = module.function(name, [PTR, PTR, I64, I64, I64, I64, I64], internal=True, noinline=True)
        _, sums, rows, columns, row, column, batch = fn.params
        buffers = (*grid.results, *grid.inputs)
        bases = [
            fn.at(
                epilogue.frame().result(fn, place),
                batch_offset(batch, grid.batch, x.batch_bytes) + row * x.row_bytes + column * x.column_bytes,
            )
            for place, x in enumerate(buffers)
        ]
        write = EpilogueWriter(LaneEmitter(fn, target, lanes), epilogue, grid.compute, buffers, grid.columns % lanes)

        def each_row(i: Register) -> None:
            starts = [[fn.at(base, i * x.row_bytes)] for x, base in zip(buffers, bases, strict=True)]
            write([fn.at(sums, i * (pitch * grid.compute.size))], starts, columns)

        fn.loop(rows, [], each_row)
        fn.ret()
        return fn

    layouts = (grid.results, grid.inputs, grid.batch, grid.columns % lanes, grid.compute)
    return module.shared(("epilogue", epilogue.key, layouts, lanes, pitch, target), build)


@dataclass(frozen=True)
class EpilogueWriter:
    """Writes an epilogue along columns: vectors, then the `rest` of them that is left at the right edge.

    `buffers` are the results, then the epilogue's operands.
    """

    emitter: LaneEmitter
    epilogue: Epilogue
    compute: DType
    buffers: tuple[Buffer, ...]
    rest: int

    def __call__(self, sums: Sequence[Register], starts: Sequence[Sequence[Register]], columns: Register) -> None:
        """`sums` are pointers to those of each place of a window, `starts` for each buffer to its elements there."""
        fn, lanes, results = self.emitter.fn, self.emitter.lanes, 1 + len(self.epilogue.outputs)
        kind = memory_type(self.compute, lanes)

        def vector(j: Register, mask: Register | None = None) -> None:
            here = [
                (x, [fn.at(start, j * x.column_bytes) for start in places])
                for x, places in zip(self.buffers, starts, strict=True)
            ]
            window = [self.emitter.lane(fn.load(at, kind, j * self.compute.size), self.compute) for at in sums]
            self.epilogue.body(EpilogueContext(self.emitter, window, mask, here[results:], here[:results]))

        whole = columns // lanes * lanes
        fn.loop(whole, [], vector, step=lanes)
        if self.rest:
            mask = fn.lane_mask(lanes, self.rest)
            fn.if_(fn.compare("ne", columns, whole), lambda: vector(whole, mask))


def batch_offset(batch: Register, shape: tuple[int, ...], strides: tuple[int, ...]) -> Register:
    """The byte offset of batch entry number `batch`, counted in row-major order."""
    offset = batch.fn.const(0)
    rest = batch
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        offset = offset + rest % size * stride
        rest = rest // size
    return offset


def fetch_function(module: Module, grid: Grid, epilogue: Epilogue, rows: int, columns: int) -> Function | None:
    """The shared function `(frame, row, column, batch)` that fetches what the epilogue reads and writes of a block of
    that size, so that it need not wait for memory once the sums are there; None where rows are not contiguous."""
    buffers = [*grid.results, *grid.inputs]
    whole = {place: x for place, x in enumerate(buffers) if x.strides[-1] == 1 and x.strides[-2]}
    if not whole:
        return None

    def build(name: str) -> Function:
        fn = module.function(name, [PTR, I64, I64, I64], internal=True, noinline=True)
        _, row, column, batch = fn.params
        for place, x in whole.items():
            offset = batch_offset(batch, grid.batch, x.batch_bytes) + row * x.row_bytes + column * x.column_bytes
            start, size = fn.at(epilogue.frame().result(fn, place), offset), columns * x.dtype.size
            lines = [*range(0, size, LINE), *([size - 1] if x.row_bytes % LINE else [])]
            for i in range(rows):
                at = fn.at(start, i * x.row_bytes)
                for line in lines:
                    fn.prefetch(at, line, write=place < len(grid.results))
        fn.ret()
        return fn

    return module.shared(("fetch", tuple(buffers), len(grid.results), grid.batch, rows, columns), build)
