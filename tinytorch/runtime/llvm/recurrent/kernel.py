"""Recurrent layers: a chunk takes some rows of the batch through all steps, since no row depends on another one.

The weights of the hidden state are packed first, by phases of their own. A step is a product of the chunk's rows with
them, and the cell behind it, while the sums are in the caches; gradients are the other way round.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tinytorch.ir.ops.recurrent import BACKWARD, FORWARD, Cell
from tinytorch.runtime.arena import aligned
from tinytorch.runtime.llvm.contract.parts import least
from tinytorch.runtime.llvm.kernel import Buffer, Kernel, KernelCode, Phase
from tinytorch.runtime.llvm.recurrent.cell import Rows, Step, backward_step, forward_step, sum_step, write_step
from tinytorch.runtime.llvm.recurrent.product import Product, plan_product
from tinytorch.runtime.llvm.text.builder import Function, Module, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I64, PTR


def emit(module: Module, name: str, kernel: Kernel, target: Target) -> KernelCode:
    """Write the kernel of a layer or of its gradient. States are row-major, other operands of any strides; any result
    may be one that nobody reads."""
    (node,) = kernel.body.nodes
    if any(0 in buffer.shape for buffer in kernel.results):
        return KernelCode((), tuple(range(len(kernel.operands) + len(kernel.results))))
    return (_Backward if node.op in BACKWARD else _Forward)(module, name, kernel, target).write()


@dataclass(frozen=True)
class _Packed:
    """A product whose weights are operand number `operand`, and lie packed at `at` in shared scratch."""

    product: Product
    operand: int
    at: int


class _Writer:
    """What both directions share: the frame, scratch memory, and the phases."""

    def __init__(
        self, module: Module, name: str, kernel: Kernel, target: Target, cell: Cell, weights: Sequence[int]
    ) -> None:
        self.module, self.name, self.target, self.cell = module, name, target, cell
        (node,) = kernel.body.nodes
        self.node, body = node, kernel.body
        numbers = {value: i for i, value in enumerate(body.inputs)}
        inputs = [numbers[v] for v in node.inputs]
        self.operands = [kernel.operands[i] for i in inputs]
        read = [v for v in node.outputs if v in body.outputs]
        self.order = (*inputs, *(len(kernel.operands) + body.outputs.index(v) for v in read))
        self.places = {node.outputs.index(v): len(inputs) + i for i, v in enumerate(read)}  # in the frame
        self.dtype = self.operands[0].dtype
        self.size = self.dtype.size
        self.steps, self.batch, _ = self.operands[0].shape
        gates, of_hidden = self.operands[weights[0]].shape
        self.hidden = gates // cell.gates
        self.sizes = cell.sizes(self.hidden, of_hidden)
        self.private_bytes = 0
        self.products = self._products(weights)

    def _products(self, weights: Sequence[int]) -> list[_Packed]:
        found: list[_Packed] = []
        for operand in weights:
            b = self.right_operand(self.operands[operand])
            product = found[0].product.with_weights(b) if found else plan_product(b, self.batch, self.target)
            found.append(_Packed(product, operand, sum(x.product.packed_bytes for x in found)))
        return found

    def right_operand(self, weights: Buffer) -> Buffer:
        """The weights as a product reads them."""
        return weights

    def write(self) -> KernelCode:
        packings = [self._write_packing(number, x) for number, x in enumerate(self.products)]
        fn = self.fn = self.module.function(self.name, [PTR, I64])
        self.shared, self.private = (self._word(fn, len(self.order) + i) for i in range(2))
        rows = self.products[0].product.chunk_rows
        self.first = fn.params[1] * rows
        self.rows = least(self.batch - self.first, rows)
        self.write_steps()
        fn.ret()
        phases = (*packings, Phase(self.name, self.products[0].product.chunks))
        shared = sum(x.product.packed_bytes for x in self.products)
        return KernelCode(phases, self.order, shared, self.private_bytes)

    def _write_packing(self, number: int, x: _Packed) -> Phase:
        fn = self.module.function(f"{self.name}_pack{number}", [PTR, I64])
        to = fn.at(self._word(fn, len(self.order)), x.at)
        x.product.write_packing(fn, self._word(fn, x.operand), to)
        fn.ret()
        return Phase(fn.name, x.product.pack_chunks)

    def write_steps(self) -> None:
        raise NotImplementedError

    # Memory.
    @staticmethod
    def _word(fn: Function, index: int) -> Register:
        return fn.load(fn.params[0], PTR, index * 8)

    def operand(self, index: int, step: Register | None = None) -> Rows:
        """The chunk's rows of an operand [steps, batch, features], or [batch, features] without a step."""
        buffer = self.operands[index]
        pointer = self.fn.at(self._word(self.fn, index), self.first * buffer.row_bytes)
        if step is not None:
            pointer = self.fn.at(pointer, step * buffer.batch_bytes[0])
        return Rows(pointer, buffer.row_bytes, buffer.column_bytes)

    def result(self, index: int, features: int, step: Register | None = None) -> Rows | None:
        """The chunk's rows of a result, if somebody reads that."""
        if index not in self.places:
            return None
        row = features * self.size
        pointer = self.fn.at(self._word(self.fn, self.places[index]), self.first * row)
        if step is not None:
            pointer = self.fn.at(pointer, step * (self.batch * row))
        return Rows(pointer, row, self.size)

    def scratch(self, features: int) -> Rows:
        """New memory for the chunk's rows, of the calling thread."""
        row, at = features * self.size, self.private_bytes
        self.private_bytes += aligned(row * self.products[0].product.chunk_rows)
        return Rows(self.fn.at(self.private, at), row, self.size)

    def parts(self, rows: Rows, count: int) -> list[Rows]:
        """Blocks of hidden features side by side."""
        step = self.hidden * rows.column
        return [Rows(self.fn.at(rows.pointer, i * step), rows.row, rows.column) for i in range(count)]

    # Code.
    def step_number(self, number: Register) -> Register:
        """Where in the sequences the step of this number in time lies."""
        return self.steps - 1 - number if self.node.attrs["reverse"] else number

    def write_product(self, number: int, a: Rows, to: Rows, add: bool = False) -> None:
        x = self.products[number]
        packed = self.fn.at(self.shared, x.at)
        x.product.write(self.fn, self.rows, (a.pointer, a.row), packed, (to.pointer, to.row), add)

    def write_lanes(
        self, step: Step, read: Sequence[Sequence[Rows]], into: Sequence[Sequence[Rows | None]], features: int
    ) -> None:
        pairs = [pair for group in zip(step.outputs, into, strict=True) for pair in zip(*group, strict=True)]
        stores = [(value, at) for value, at in pairs if value is not None and at is not None]
        write_step(self.fn, self.target, step, (self.rows, features), read, stores)


class _Forward(_Writer):
    """(x, w, b, projection, *initial) -> (*states, kept)."""

    def __init__(self, module: Module, name: str, kernel: Kernel, target: Target) -> None:
        cell = FORWARD[kernel.body.nodes[0].op]
        super().__init__(module, name, kernel, target, cell, (1, 3)[: 1 + cell.projected])

    def right_operand(self, weights: Buffer) -> Buffer:
        return weights.transposed()

    def write_steps(self) -> None:
        fn, cell, states = self.fn, self.cell, range(self.cell.states)
        sums, step, bias = self.scratch(cell.gates * self.hidden), forward_step(cell, self.dtype), self._bias()
        large = self.scratch(self.hidden) if cell.projected else None
        own = [None if i in self.places else self.scratch(n) for i, n in enumerate(self.sizes)]

        def one(number: Register, *pointers: Register) -> Sequence[Register]:
            at = self.step_number(number)
            before = [Rows(p, n * self.size, self.size) for p, n in zip(pointers, self.sizes, strict=True)]
            after = [own[i] or self.result(i, n, at) for i, n in enumerate(self.sizes)]
            self.write_product(0, before[0], sums)
            kept = self.result(cell.states, cell.kept * self.hidden, at)
            read = [self.parts(x, cell.gates) for x in (self.operand(0, at), sums)]
            into = [None] * cell.kept if kept is None else self.parts(kept, cell.kept)
            self.write_lanes(step, [*read, bias, before], [[large or after[0], *after[1:]], into], self.hidden)
            if large is not None and after[0] is not None:
                self.write_product(1, large, after[0])
            return [x.pointer for x in after if x is not None]

        fn.loop(self.steps, [self.operand(cell.weights + 1 + i).pointer for i in states], one)

    def _bias(self) -> list[Rows]:
        column = self.operands[2].strides[0] * self.size
        return self.parts(Rows(self._word(self.fn, 2), 0, column), self.cell.gates)


class _Backward(_Writer):
    """(*cotangents, w, projection, *initial, *states, kept) -> (of x, of z if that differs, of the hidden states if
    they are projected, *of the initial states)."""

    def __init__(self, module: Module, name: str, kernel: Kernel, target: Target) -> None:
        cell = BACKWARD[kernel.body.nodes[0].op]
        super().__init__(module, name, kernel, target, cell, range(cell.states, cell.states + 1 + cell.projected))
        self.initial = cell.states + cell.weights - 1  # the number of the first operand that is an initial state
        self.after = self.initial + cell.states
        self.of_states = 1 + cell.splits + cell.projected  # of the first result that is a state's

    def write_steps(self) -> None:
        fn, cell, gates = self.fn, self.cell, self.cell.gates * self.hidden
        later = [self.result(self.of_states + i, n) or self.scratch(n) for i, n in enumerate(self.sizes)]
        of_z = None if cell.splits in self.places else self.scratch(gates)
        total = self.scratch(self.sizes[0]) if cell.projected else None
        large = self.scratch(self.hidden) if cell.projected else None
        step = backward_step(cell, self.dtype)
        for x in later:
            fn.fill(x.pointer, 0, self.rows * x.row)

        def one(left: Register) -> None:
            number = self.steps - 1 - left
            at, earlier = self.step_number(number), self.step_number(number - 1)
            into_z = of_z or self.result(cell.splits, gates, at)
            assert into_z is not None
            cotangents = [self.operand(i, at) for i in range(cell.states)]
            if total is not None and large is not None:
                self._write_projection(at, [cotangents[0], later[0]], total, large)
                cotangents[0] = large
            read = [
                cotangents,
                later[cell.projected :],
                [self._before(i, number, earlier) for i in range(cell.states)],
                [self.operand(self.after + i, at) for i in range(cell.states)],
                self.parts(self.operand(self.after + cell.states, at), cell.kept) if cell.kept else [],
            ]
            into_x = self.result(0, gates, at) if cell.splits else None
            of_gates = [None] * cell.gates if into_x is None else self.parts(into_x, cell.gates)
            self.write_lanes(step, read, [of_gates, self.parts(into_z, cell.gates), later], self.hidden)
            adds = step.outputs[2][0] is not None  # to what comes straight from the hidden state

            def back() -> None:
                self.write_product(0, into_z, later[0], adds)

            if self.of_states in self.places:
                back()
            else:  # nobody asks what comes before the first step
                fn.if_(fn.compare("ne", number, fn.const(0)), back)

        fn.loop(self.steps, [], one)

    def _write_projection(self, at: Register, terms: Sequence[Rows], total: Rows, large: Rows) -> None:
        """The cotangent of a hidden state, all terms together, and that of what was projected."""
        into = self.result(1 + self.cell.splits, self.sizes[0], at) or total
        self.write_lanes(sum_step(self.dtype), [[x] for x in terms], [[into]], self.sizes[0])
        self.write_product(1, into, large)

    def _before(self, state: int, number: Register, earlier: Register) -> Rows:
        """A state before a step: a result of the step before, or the initial one."""
        initial = self.operand(self.initial + state)
        first = self.fn.compare("eq", number, self.fn.const(0))
        # Before the first step lies nothing, so its address is not computed.
        before = self.operand(self.after + state, self.fn.select(first, self.fn.const(0), earlier))
        return Rows(self.fn.select(first, initial.pointer, before.pointer), before.row, before.column)
