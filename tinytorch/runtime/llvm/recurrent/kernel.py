"""Recurrent layers: a chunk takes some rows of the batch through all steps, since no row depends on another one.

The weights of the hidden state are packed first, by a phase of its own. A step is a product of the chunk's rows with
them, and the cell behind it, while the sums are in the caches; gradients are the other way round.
"""

from __future__ import annotations

from collections.abc import Sequence

from tinytorch.ir.graph import Node
from tinytorch.ir.ops.recurrent import BACKWARD, FORWARD, Cell
from tinytorch.runtime.llvm.contract.parts import aligned, least
from tinytorch.runtime.llvm.kernel import Buffer, Kernel, KernelCode, Phase
from tinytorch.runtime.llvm.recurrent.cell import Rows, Step, backward_step, forward_step, write_step
from tinytorch.runtime.llvm.recurrent.product import plan_product
from tinytorch.runtime.llvm.text.builder import Function, Module, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I64, PTR


def emit(module: Module, name: str, kernel: Kernel, target: Target) -> KernelCode:
    """Write the kernel of a layer or of its gradient. States are row-major, other operands of any strides; any result
    may be one that nobody reads."""
    (node,) = kernel.body.nodes
    write = _Backward if node.op in BACKWARD else _Forward
    return write(module, name, kernel, node, target).write()


class _Writer:
    """What both directions share: the frame, scratch memory, and the loop over the steps of a chunk's rows."""

    weights: int  # which operand these are

    def __init__(self, module: Module, name: str, kernel: Kernel, node: Node, target: Target, cell: Cell) -> None:
        self.module, self.name, self.node, self.target, self.cell = module, name, node, target, cell
        body = kernel.body
        numbers = {value: i for i, value in enumerate(body.inputs)}
        inputs = [numbers[v] for v in node.inputs]
        self.operands = [kernel.operands[i] for i in inputs]
        read = [v for v in node.outputs if v in body.outputs]
        self.order = (*inputs, *(len(kernel.operands) + body.outputs.index(v) for v in read))
        self.places = {node.outputs.index(v): len(inputs) + i for i, v in enumerate(read)}  # in the frame
        self.dtype = self.operands[0].dtype
        self.size = self.dtype.size
        self.steps, self.batch, _ = self.operands[0].shape
        self.hidden = node.inputs[self.weights].type.shape[1]
        self.gates = cell.gates * self.hidden
        self.private_bytes = 0

    def right_operand(self, weights: Buffer) -> Buffer:
        """The weights as the product reads them."""
        return weights

    def write(self) -> KernelCode:
        if not self.batch or not self.hidden:
            return KernelCode((), self.order)
        self.product = plan_product(self.right_operand(self.operands[self.weights]), self.batch, self.target)
        packing = self.module.function(f"{self.name}_pack", [PTR, I64])
        source, packed = self._word(packing, self.weights), self._word(packing, len(self.order))
        self.product.write_packing(packing, source, packed)
        packing.ret()
        fn = self.fn = self.module.function(self.name, [PTR, I64])
        self.packed, self.private = (self._word(fn, len(self.order) + i) for i in range(2))
        self.first = fn.params[1] * self.product.chunk_rows
        self.rows = least(self.batch - self.first, self.product.chunk_rows)
        self.write_steps()
        fn.ret()
        phases = (Phase(packing.name, self.product.pack_chunks), Phase(self.name, self.product.chunks))
        return KernelCode(phases, self.order, self.product.packed_bytes, max(self.private_bytes, 64))

    def write_steps(self) -> None:
        raise NotImplementedError

    # Memory.
    @staticmethod
    def _word(fn: Function, index: int) -> Register:
        return fn.load(fn.params[0], PTR, index * 8)

    def operand(self, index: int, step: Register | None) -> Rows:
        """The chunk's rows of an operand [steps, batch, features], or [batch, features] without a step."""
        buffer = self.operands[index]
        pointer = self.fn.at(self._word(self.fn, index), self.first * buffer.row_bytes)
        if step is not None:
            pointer = self.fn.at(pointer, step * buffer.batch_bytes[0])
        return Rows(pointer, buffer.row_bytes, buffer.column_bytes)

    def result(self, index: int, step: Register | None, features: int) -> Rows | None:
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
        self.private_bytes += aligned(row * self.product.chunk_rows)
        return Rows(self.fn.at(self.private, at), row, self.size)

    def parts(self, rows: Rows, count: int) -> list[Rows]:
        """Blocks of hidden features side by side."""
        step = self.hidden * rows.column
        return [Rows(self.fn.at(rows.pointer, i * step), rows.row, rows.column) for i in range(count)]

    def step_number(self, number: Register) -> Register:
        """Where in the sequences the step of this number in time lies."""
        return self.steps - 1 - number if self.node.attrs["reverse"] else number

    def write_cell(self, step: Step, read: Sequence[Sequence[Rows]], into: Sequence[Sequence[Rows | None]]) -> None:
        pairs = [pair for group in zip(step.outputs, into, strict=True) for pair in zip(*group, strict=True)]
        stores = [(value, at) for value, at in pairs if value is not None and at is not None]
        write_step(self.fn, self.target, step, (self.rows, self.hidden), read, stores)


class _Forward(_Writer):
    """(x, w, b, *initial) -> (*states, kept)."""

    weights = 1

    def __init__(self, module: Module, name: str, kernel: Kernel, node: Node, target: Target) -> None:
        super().__init__(module, name, kernel, node, target, FORWARD[node.op])

    def right_operand(self, weights: Buffer) -> Buffer:
        return weights.transposed()

    def write_steps(self) -> None:
        fn, states = self.fn, range(self.cell.states)
        sums, step = self.scratch(self.gates), forward_step(self.cell, self.dtype)
        own = [None if i in self.places else self.scratch(self.hidden) for i in states]
        bias = self._bias()
        row = self.hidden * self.size

        def one(number: Register, *pointers: Register) -> Sequence[Register]:
            at = self.step_number(number)
            before = [Rows(pointer, row, self.size) for pointer in pointers]
            after = [own[i] or self.result(i, at, self.hidden) for i in states]
            self.product.write(fn, self.rows, (before[0].pointer, row), self.packed, (sums.pointer, sums.row))
            kept = self.result(self.cell.states, at, self.cell.kept * self.hidden)
            read = [self.parts(x, self.cell.gates) for x in (self.operand(0, at), sums)]
            into = [None] * self.cell.kept if kept is None else self.parts(kept, self.cell.kept)
            self.write_cell(step, [*read, bias, before], [after, into])
            return [x.pointer for x in after if x is not None]

        fn.loop(self.steps, [self.operand(3 + i, None).pointer for i in states], one)

    def _bias(self) -> list[Rows]:
        buffer = self.operands[2]
        column = buffer.strides[0] * self.size
        return self.parts(Rows(self._word(self.fn, 2), 0, column), self.cell.gates)


class _Backward(_Writer):
    """(*cotangents, w, *initial, *states, kept) -> (of x, of z if that differs, *of the initial states)."""

    def __init__(self, module: Module, name: str, kernel: Kernel, node: Node, target: Target) -> None:
        cell = BACKWARD[node.op]
        self.weights = cell.states
        super().__init__(module, name, kernel, node, target, cell)

    def write_steps(self) -> None:
        fn, cell, states = self.fn, self.cell, range(self.cell.states)
        of_states = 1 + cell.splits  # the number of the first result that is a state's
        later = [self.result(of_states + i, None, self.hidden) or self.scratch(self.hidden) for i in states]
        own = None if cell.splits in self.places else self.scratch(self.gates)
        step, row = backward_step(cell, self.dtype), self.hidden * self.size
        adds = step.outputs[2][0] is not None  # to what comes straight from the hidden state
        for x in later:
            fn.fill(x.pointer, 0, self.rows * row)

        def one(left: Register) -> None:
            number = self.steps - 1 - left
            at, earlier = self.step_number(number), self.step_number(number - 1)
            of_z = own or self.result(cell.splits, at, self.gates)
            of_x = self.result(0, at, self.gates) if cell.splits else None
            assert of_z is not None
            read = [
                [self.operand(i, at) for i in states],
                later,
                [self._before(i, number, earlier) for i in states],
                [self.operand(2 * cell.states + 1 + i, at) for i in states],
                self.parts(self.operand(3 * cell.states + 1, at), cell.kept) if cell.kept else [],
            ]
            of_gates = [None] * cell.gates if of_x is None else self.parts(of_x, cell.gates)
            self.write_cell(step, read, [of_gates, self.parts(of_z, cell.gates), later])

            def back() -> None:
                into = (later[0].pointer, row)
                self.product.write(fn, self.rows, (of_z.pointer, of_z.row), self.packed, into, adds)

            if of_states in self.places:
                back()
            else:  # nobody asks what comes before the first step
                fn.if_(fn.compare("ne", number, fn.const(0)), back)

        fn.loop(self.steps, [], one)

    def _before(self, state: int, number: Register, earlier: Register) -> Rows:
        """A state before a step: a result of the step before, or the initial one."""
        initial = self.operand(self.cell.states + 1 + state, None)
        first = self.fn.compare("eq", number, self.fn.const(0))
        # The address of the first step's is not read, and must not lie outside of what could be.
        before = self.operand(2 * self.cell.states + 1 + state, self.fn.select(first, self.fn.const(0), earlier))
        return Rows(self.fn.select(first, initial.pointer, before.pointer), before.row, before.column)
