"""The rules that every graph keeps, checked."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Sequence
from inspect import Parameter
from typing import NoReturn

from tinytorch.ir.attributes import check_attributes
from tinytorch.ir.errors import TinyTorchError, VerifyError
from tinytorch.ir.expr import Expr
from tinytorch.ir.graph import Builder, Graph, Node, Value
from tinytorch.ir.kernels.family import FormError
from tinytorch.ir.kernels.form import check_form, has_kernels
from tinytorch.ir.op import OPS, Attrs, Op, as_tuple
from tinytorch.ir.text.printer import Names, print_node
from tinytorch.ir.types import MAX_BYTES, TensorType


def verify(graph: Graph) -> None:
    """Raise VerifyError unless each value is defined once and before its use, every node has attributes of their kinds
    and results of the types that its op infers, the outputs exist, state pairs fit, and the bodies of kernels keep the
    same rules. A graph with kernels of a family has the form that code is generated for (`kernels/form.py`)."""
    defined: set[Value] = set()
    for value in graph.inputs:
        if value in defined:
            raise VerifyError(f"graph {graph.name}: input {value} is listed twice")
        if value.type.bytes > MAX_BYTES:
            raise VerifyError(f"graph {graph.name}: input {value} is larger than any memory")
        defined.add(value)
    for node in graph.nodes:
        _check_node(graph, node, defined)
        defined.update(node.outputs)
    for index, value in enumerate(graph.outputs):
        if value not in defined:
            raise VerifyError(f"graph {graph.name}: output {index}, {value}, is not defined")
    _check_state(graph)
    if has_kernels(graph):
        try:
            check_form(graph)
        except FormError as error:
            if error.node is not None:
                _reject(graph, error.node, error.message)
            raise VerifyError(f"graph {graph.name}: {error.message}") from None


def _check_node(graph: Graph, node: Node, defined: set[Value]) -> None:
    for value in node.inputs:
        if value not in defined:
            _reject(graph, node, f"operand {value} is used before it is defined")
    for i, value in enumerate(node.outputs):
        if value in defined or value in node.outputs[:i]:
            _reject(graph, node, f"result {value} is defined twice")
    if OPS.get(node.op.name) is not node.op:
        _reject(graph, node, f"op {node.op.name} is not the registered one")
    _check_types(graph, node)
    if node.op.kind == "kernel":
        _check_body(graph, node, node.attrs["body"])


def inferred_types(op: Op, types: Sequence[TensorType], attrs: Attrs) -> tuple[TensorType, ...]:
    """The types of the results; VerifyError where the op does not take these operands and attributes."""
    number = _operands_of(op)
    if number is not None and len(types) != number:
        raise VerifyError(f"{op.name}: wrong number of operands: {len(types)} instead of {number}")
    check_attributes(op, types, attrs)
    try:
        found = op.result_types(types, attrs)
        if op.expand is not None and _expanded(op, types, attrs) != found:
            raise VerifyError(f"{op.name}: its definition gives something else than {_join(found)}")
    except TinyTorchError as error:
        raise VerifyError(str(error)) from None
    except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError) as error:
        raise VerifyError(f"{op.name} does not take these operands and attributes: {error}") from None
    return found


@functools.cache
def _operands_of(op: Op) -> int | None:
    """How many operands an op has, where `infer` alone does not say: one for each rule of its vjp, or as many as a
    lane of it takes besides the emitter."""
    if isinstance(op.vjp, tuple):
        return len(op.vjp)
    kinds = [p.kind for p in inspect.signature(op.infer).parameters.values()]
    if op.scalar is None or Parameter.VAR_POSITIONAL not in kinds:
        return None
    lane = [p.kind for p in inspect.signature(op.scalar).parameters.values()]
    return None if Parameter.VAR_POSITIONAL in lane else lane.count(Parameter.POSITIONAL_OR_KEYWORD) - 1


def _expanded(op: Op, types: Sequence[TensorType], attrs: Attrs) -> tuple[TensorType, ...]:
    """What the definition of a composite gives, which alone knows all of its attributes."""
    assert op.expand is not None
    builder = Builder()
    results = op.expand(*(Expr(builder, builder.input(t)) for t in types), **attrs)
    return tuple(x.type for x in as_tuple(results))


def _check_types(graph: Graph, node: Node) -> None:
    try:
        inferred = inferred_types(node.op, [v.type for v in node.inputs], node.attrs)
    except VerifyError as error:
        _reject(graph, node, str(error))
    stated = tuple(v.type for v in node.outputs)
    if inferred != stated:
        _reject(graph, node, f"{node.op.name} gives {_join(inferred)}, the node says {_join(stated)}")


def _check_body(graph: Graph, node: Node, body: Graph) -> None:
    try:
        check_operands(node)
        verify(body)
    except VerifyError as error:
        _reject(graph, node, str(error))


def check_operands(node: Node) -> None:
    """VerifyError unless the operands of a kernel are what its body takes."""
    expected, given = [v.type for v in node.attrs["body"].inputs], [v.type for v in node.inputs]
    if expected != given:
        raise VerifyError(f"the body takes {_join(expected)}, the node gives {_join(given)}")


def _check_state(graph: Graph) -> None:
    inputs: set[int] = set()
    outputs: set[int] = set()
    for position, (i, o) in enumerate(graph.state):
        where = f"graph {graph.name}: state pair {position}, input {i} with output {o},"
        if not (0 <= i < len(graph.inputs) and 0 <= o < len(graph.outputs)):
            raise VerifyError(f"{where} is out of range")
        if graph.inputs[i].type != graph.outputs[o].type:
            raise VerifyError(f"{where} has types {graph.inputs[i].type} and {graph.outputs[o].type}")
        if i in inputs or o in outputs:
            raise VerifyError(f"{where} uses an input or output that another pair has")
        inputs.add(i)
        outputs.add(o)


def _join(types: Iterable[object]) -> str:
    return ", ".join(map(str, types)) or "nothing"


def _reject(graph: Graph, node: Node, message: str) -> NoReturn:
    """The error names the node as the printed graph does."""
    names = Names()
    for value in graph.inputs:
        names[value]
    for other in graph.nodes:
        print_node(other, names)
        if other is node:
            break
    raise VerifyError(f"graph {graph.name}: {message}\n  {print_node(node, names)}", node.loc)
