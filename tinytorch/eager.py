# pyright: reportPrivateUsage=false
"""Kernels for eager mode: large applications of ops that numpy is slow at run as machine code.

An application is compiled when its op first meets operands of such types, attributes and layouts, so that equal
applications give the same bits in every call: forward as a graph of that one op, backward as one graph of all its
cotangents, whose parts are fused. `eval` stays what the interpreter, constant folding and `tt.verify` run.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinytorch.compiled.calls import Calls, make_calls
from tinytorch.compiled.options import Options
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.evaluation import wants_nan_checks
from tinytorch.ir.attributes import attributes_key
from tinytorch.ir.errors import CompileError
from tinytorch.ir.expr import Expr
from tinytorch.ir.fast.memory import order_of
from tinytorch.ir.graph import Builder, Graph, Node, Value
from tinytorch.ir.lanes.cost import DIVISION, lane_cost
from tinytorch.ir.op import Array, Attrs, Op, apply
from tinytorch.ir.ops.view import broadcast, permute
from tinytorch.ir.types import TensorType, type_of
from tinytorch.passes.dce import dce
from tinytorch.runtime.backend import MISMATCH

FLOPS = 1 << 20  # from which on a kernel pays for being compiled
BYTES = 1 << 21  # read and written, the same
REUSE = 100  # FLOPs for each element of a contraction from which on BLAS keeps up with kernels
LAYOUTS = 64  # kernels of one op, forward and backward each; beyond, numpy: sizes that always differ do not pay

SOURCES = 1 << 14  # applications of which is kept whether kernels pay; beyond, it is found out each time


@dataclass(frozen=True)
class _Source:
    """What an application computes: a graph of the arrays at `used`, and which of the results that were asked for its
    outputs are."""

    graph: Graph
    used: tuple[int, ...]
    outputs: tuple[bool, ...]
    compiled: dict[Hashable, Calls | None]  # by the layouts of the arrays


class EagerKernels:
    """The kernels of a process; threads share them."""

    def __init__(self) -> None:
        self._sources: dict[Hashable, _Source | None] = {}
        self._counts: dict[Hashable, int] = {}

    def results(
        self, op: Op, arrays: Sequence[Array], types: Sequence[TensorType], attrs: Attrs
    ) -> Sequence[Array] | None:
        """See `frontend.kernels.Kernels`."""
        source = self._source((op, None), types, attrs, lambda: _forward(op, types, attrs))
        made = None if source is None else self._run(op, source, [arrays[i] for i in source.used])
        return None if made is None else [t._data for t in made]

    def cotangents(self, cts: Sequence[Any], record: Any, wanted: tuple[int, ...]) -> Sequence[Any] | None:
        """See `frontend.kernels.Kernels`."""
        op: Op = record.op
        given = tuple(i for i, ct in enumerate(cts) if ct is not None)
        outputs = [record.outputs[i] for i in range(op.results)] if _all_there(op) else []
        tensors = (*record.inputs, *outputs, *(cts[i] for i in given))
        types = [t.type for t in tensors]
        key, attrs = (op, wanted, given), record.attrs
        source = self._source(key, types, attrs, lambda: _backward(op, types, attrs, given, wanted))
        if source is None:
            return None
        made = self._run((op, "vjp"), source, [tensors[i]._data for i in source.used])
        if made is None:
            return None
        results = iter(made)
        return [next(results) if there else None for there in source.outputs]

    def _source(
        self, what: Hashable, types: Sequence[TensorType], attrs: Attrs, make: Callable[[], _Source | None]
    ) -> _Source | None:
        """What is computed, or None where numpy is as fast."""
        if os.environ.get("TT_BACKEND") == "interpreter" or wants_nan_checks():
            return None
        key = (what, tuple(types), attributes_key(attrs))
        if key in self._sources:
            return self._sources[key]
        made = make()
        return made if len(self._sources) >= SOURCES else self._sources.setdefault(key, made)

    def _run(self, what: Hashable, source: _Source, arrays: Sequence[Array]) -> Sequence[Tensor] | None:
        found = [laid(a) for a in arrays]
        layouts = tuple(layout for _, layout in found)
        if layouts not in source.compiled:
            source.compiled.setdefault(layouts, self._compile(what, source.graph, layouts))
        calls = source.compiled[layouts]
        if calls is None:
            return None
        tensors = [Tensor.wrap(array) for array, _ in found]
        result = calls.fast(*tensors)
        if result is MISMATCH:
            result = calls.careful(*tensors)
        if result is MISMATCH:  # a guard failed: numpy says what is wrong
            return None
        return result if isinstance(result, tuple) else (result,)

    def _compile(self, what: Hashable, graph: Graph, layouts: Sequence[Layout | None]) -> Calls | None:
        count = self._counts[what] = self._counts.get(what, 0) + 1
        if count > LAYOUTS:
            return None
        builder = Builder(graph.name)
        inputs = [operand_of(builder, v.type, layout) for v, layout in zip(graph.inputs, layouts, strict=True)]
        outputs = builder.inline(graph, inputs)
        try:
            return make_calls(builder.build(outputs), len(inputs), (), Options("llvm"))
        except CompileError:  # no machine code on this machine
            return None


# What is computed.
def _forward(op: Op, types: Sequence[TensorType], attrs: Attrs) -> _Source | None:
    builder = Builder(op.name)
    node = builder.append(op, [builder.input(t) for t in types], attrs)
    return _source_of(builder, node.outputs) if _all_there(op) and _pays(node) else None


def _all_there(op: Op) -> bool:
    """Whether the results come together, and not each when it is read."""
    return not isinstance(op.fast, tuple)


def _backward(
    op: Op, types: Sequence[TensorType], attrs: Attrs, given: Sequence[int], wanted: Sequence[int]
) -> _Source | None:
    """The cotangents of the operands `wanted`, given those of some results. The results are inputs; where reading one
    on the tape may compute it, they are found again."""
    builder = Builder(f"{op.name}_vjp")
    values = [builder.input(t) for t in types]
    inputs, rest = values[: len(values) - len(given)], values[len(values) - len(given) :]
    if _all_there(op):
        inputs, outputs = inputs[: -op.results], inputs[-op.results :]
    else:
        outputs = builder.append(op, inputs, attrs).outputs
    if not _pays(Node(op, tuple(inputs), attrs, tuple(outputs))):
        return None
    applied = _Applied([Expr(builder, v) for v in inputs], [Expr(builder, v) for v in outputs], attrs)
    cts = {i: Expr(builder, v) for i, v in zip(given, rest, strict=True)}
    all_cts = [cts.get(i) for i in range(op.results)]
    return _source_of(builder, [_value(ct) for ct in op.cotangents(all_cts, applied, wanted)])


def _value(found: Expr | None) -> Value | None:
    return None if found is None else found.value


@dataclass(frozen=True)
class _Applied:
    """An application as the rules see it."""

    inputs: Sequence[Expr]
    outputs: Sequence[Expr]
    attrs: Attrs

    @property
    def output(self) -> Expr:
        (result,) = self.outputs
        return result


def _source_of(builder: Builder, outputs: Sequence[Value | None]) -> _Source | None:
    graph = dce(builder.build([v for v in outputs if v is not None]))
    read = {*graph.outputs, *(v for node in graph.nodes for v in node.inputs)}
    used = tuple(i for i, v in enumerate(graph.inputs) if v in read)
    if not graph.outputs:
        return None
    graph = Graph(graph.name, tuple(graph.inputs[i] for i in used), graph.nodes, graph.outputs)
    return _Source(graph, used, tuple(v is not None for v in outputs), {})


# Whether a kernel pays.
def _pays(node: Node) -> bool:
    """Whether there is much to do, and numpy is slow at it."""
    op = node.op
    if op.put is not None or not node.outputs[0].type.size:
        return False
    if node.flops < FLOPS and sum(v.type.bytes for v in _values(node)) < BYTES:
        return False
    products = _products(node)
    if products is not None:
        return op.fast is not None and any(n.flops < REUSE * sum(v.type.size for v in _values(n)) for n in products)
    return op.kind != "elementwise" or lane_cost(node) > DIVISION


def _values(node: Node) -> tuple[Value, ...]:
    return (*node.inputs, *node.outputs)


def _products(node: Node) -> list[Node] | None:
    """The contractions that do all of the arithmetic, for BLAS to run; None if they do not."""
    if node.op.expand is None:
        return [node] if node.op.kind == "contract" else None
    builder = Builder()
    node.op.expand(*(Expr(builder, builder.input(v.type)) for v in node.inputs), **node.attrs)
    parts = [_products(n) for n in builder.nodes if n.flops]
    return None if None in parts else [n for part in parts for n in part or ()]


# How operands lie.
@dataclass(frozen=True)
class Layout:
    """An operand that is not row-major: its axes from the outermost in memory to the innermost, and those along which
    one element is repeated."""

    order: tuple[int, ...]
    repeated: frozenset[int]


def laid(array: Array) -> tuple[Array, Layout | None]:
    """The elements of an operand as they lie in memory, row-major, and how the operand is made of them; they are
    copied only where it leaves elements out."""
    if array.flags.c_contiguous:
        return array, None
    repeated = frozenset(i for i, (n, s) in enumerate(zip(array.shape, array.strides, strict=True)) if not s and n > 1)
    once = array[tuple(slice(0, 1) if i in repeated else slice(None) for i in range(array.ndim))]
    order = order_of(once)
    within = once.transpose(order)
    if not within.flags.c_contiguous:
        order, within = list(range(array.ndim)), np.ascontiguousarray(once)
    plain = order == sorted(order) and not repeated
    return within, None if plain else Layout(tuple(order), repeated)


def operand_of(builder: Builder, type: TensorType, layout: Layout | None) -> Value:
    """The operand of that type, made of an input of the graph."""
    if layout is None:
        return builder.input(type)
    once = [1 if i in layout.repeated else n for i, n in enumerate(type.shape)]
    lies = type_of(type.dtype.numpy, tuple(once[a] for a in layout.order))
    x = Expr(builder, builder.input(lies))
    x = apply(permute, x, axes=tuple(int(a) for a in np.argsort(layout.order)))
    return (apply(broadcast, x, shape=type.shape) if layout.repeated else x).value
