"""A step of a cell, lane by lane: the definition that expansions have, written for vectors of hidden features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tinytorch.ir.expr import Expr
from tinytorch.ir.graph import Builder, Graph, Value
from tinytorch.ir.lanes.emitter import Lane
from tinytorch.ir.ops.recurrent import Cell
from tinytorch.ir.types import DType, TensorType
from tinytorch.runtime.llvm.contract.parts import over_vectors
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.lanes.node import node_lane
from tinytorch.runtime.llvm.text.builder import Function, Register
from tinytorch.runtime.llvm.text.target import Target


@dataclass(frozen=True)
class Rows:
    """Rows of hidden features in memory: the pointer to the first one, and the bytes from row to row and from feature
    to feature."""

    pointer: Register
    row: int
    column: int


Parts = Sequence[Rows]
Stores = Sequence[tuple[Value, Rows]]


@dataclass(frozen=True)
class Step:
    """A graph of numbers, and its inputs and outputs in groups."""

    graph: Graph
    inputs: tuple[tuple[Value, ...], ...]
    outputs: tuple[tuple[Value | None, ...], ...]


def forward_step(cell: Cell, dtype: DType) -> Step:
    """(x, z without its bias, that bias, states before) -> (states, kept)."""

    def step(x: Sequence[Expr], z: Sequence[Expr], bias: Sequence[Expr], before: Sequence[Expr]) -> object:
        return cell.forward(x, [a + b for a, b in zip(z, bias, strict=True)], before)

    return _traced(step, dtype, (cell.gates, cell.gates, cell.gates, cell.states))


def backward_step(cell: Cell, dtype: DType) -> Step:
    """(cotangents, what later steps add to them, states before and after, kept) -> (of x, of z, of the states). A
    hidden state that is projected has been added up before."""
    skip = int(cell.projected)

    def step(
        g: Sequence[Expr], later: Sequence[Expr], before: Sequence[Expr], after: Sequence[Expr], kept: Sequence[Expr]
    ) -> object:
        sums = [*g[:skip], *(a + b for a, b in zip(g[skip:], later, strict=True))]
        return cell.backward(sums, before, after, kept)

    states = cell.states
    return _traced(step, dtype, (states, states - skip, states, states, cell.kept))


def sum_step(dtype: DType) -> Step:
    """(a, b) -> (a + b)."""
    return _traced(lambda a, b: ([a[0] + b[0]],), dtype, (1, 1))


def _traced(step: Callable[..., object], dtype: DType, counts: Sequence[int]) -> Step:
    builder = Builder("step")
    groups = [[Expr(builder, builder.input(TensorType(dtype, ()))) for _ in range(count)] for count in counts]
    results: Sequence[Sequence[Expr | None]] = step(*groups)  # pyright: ignore[reportAssignmentType]
    outputs = tuple(tuple(None if x is None else x.value for x in group) for group in results)
    graph = builder.build([value for group in outputs for value in group if value is not None])
    return Step(graph, tuple(tuple(x.value for x in group) for group in groups), outputs)


def write_step(
    fn: Function, target: Target, step: Step, size: tuple[Register, int], read: Sequence[Parts], stores: Stores
) -> None:
    """The step for (rows, features): inputs are read as they are needed, each before anything of its row and vector is
    stored, so that a result may lie where an input does."""
    (rows, features), dtype = size, step.graph.inputs[0].type.dtype
    emitter = LaneEmitter(fn, target, target.lanes(dtype))
    places = {v: at for group, parts in zip(step.inputs, read, strict=True) for v, at in zip(group, parts, strict=True)}

    def row(i: Register) -> None:
        def vector(j: Register, mask: Register | None = None) -> None:
            def load(value: Value) -> Lane:
                at = places[value]
                pointer = fn.at(at.pointer, i * at.row + j * at.column)
                return emitter.load_strided(pointer, dtype, at.column // dtype.size, mask=mask)

            lanes = _lanes(emitter, step.graph, [value for value, _ in stores], load)
            for lane, (_, at) in zip(lanes, stores, strict=True):
                emitter.store(lane, fn.at(at.pointer, i * at.row + j * at.column), mask=mask)

        over_vectors(fn, features, emitter.lanes, vector)

    fn.loop(rows, [], row)


def _lanes(emitter: LaneEmitter, graph: Graph, wanted: Sequence[Value], load: Callable[[Value], Lane]) -> list[Lane]:
    """The lanes of these values; only what they depend on is read and computed."""
    needed = set(wanted)
    for node in reversed(graph.nodes):
        if node.output in needed:
            needed.update(node.inputs)
    known = {value: load(value) for value in graph.inputs if value in needed}
    for node in graph.nodes:
        if node.output in needed:
            known[node.output] = node_lane(emitter, node, [known[v] for v in node.inputs])
    return [known[value] for value in wanted]
