"""Graphs as text: `%h = matmul(%x, %w) : f32[64,128] {…}`; `parser.parse_graph` reads it back.

    graph @step(%x: f32[64,784], %w: f32[784,128] = state) -> (%loss, %w.1 => %w) {
      %h = matmul(%x, %w) : f32[64,128]
      …
    }

`= state` marks an input whose storage an output renews, and `%w.1 => %w` says which one does.
"""

from __future__ import annotations

import base64
import re
from typing import Any

import numpy as np

from tinytorch.ir.body import Body, Node, Value
from tinytorch.ir.loc import Loc
from tinytorch.ir.op import Array
from tinytorch.ir.types import DType, TensorType, dtype_of

INLINE_ELEMENTS = 16  # larger arrays are printed as base64, or elided
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*")
_INDENT = "  "


class Names:
    """A unique name for each value, from its hint; values without one are numbered."""

    def __init__(self) -> None:
        self._names: dict[Value, str] = {}
        self._taken: set[str] = set()
        self._next: dict[str, int] = {}

    def __getitem__(self, value: Value) -> str:
        if value not in self._names:
            name = self._fresh(value.name if _NAME.fullmatch(value.name) else "")
            self._names[value] = name
            self._taken.add(name)
        return f"%{self._names[value]}"

    def _fresh(self, hint: str) -> str:
        if hint and hint not in self._taken:
            return hint
        count = self._next.get(hint, 1 if hint else 0)
        while (name := f"{hint}.{count}" if hint else str(count)) in self._taken:
            count += 1
        self._next[hint] = count + 1
        return name


def print_graph(graph: Body, *, locs: bool = False, elide: bool = False, indent: str = "") -> str:
    """The text of `graph`; `locs` adds the user's lines. `elide` leaves out the contents of large arrays, for
    reading: such text cannot be parsed back."""
    names = Names()
    inner = indent + _INDENT
    renewed = {i for i, _ in graph.state}
    inputs = ", ".join(f"{names[v]}: {v.type}{' = state' if i in renewed else ''}" for i, v in enumerate(graph.inputs))
    lines = [inner + print_node(node, names, locs=locs, elide=elide, indent=inner) for node in graph.nodes]
    target = {o: f" => {names[graph.inputs[i]]}" for i, o in graph.state}
    outputs = ", ".join(names[v] + target.get(i, "") for i, v in enumerate(graph.outputs))
    name = graph.name if _NAME.fullmatch(graph.name) else repr(graph.name)
    return "\n".join([f"graph @{name}({inputs}) -> ({outputs}) {{", *lines, f"{indent}}}"])


def print_node(node: Node, names: Names, *, locs: bool = False, elide: bool = True, indent: str = "") -> str:
    """One line for `node`; its nested graphs continue on lines behind `indent`."""
    operands = ", ".join(names[v] for v in node.inputs)
    results = ", ".join(names[v] for v in node.outputs)
    types = ", ".join(str(v.type) for v in node.outputs)
    attrs = ", ".join(f"{key}={_literal(value, locs, elide, indent)}" for key, value in node.attrs.items())
    text = f"{results} = {node.op.name}({operands}) : {types}" + (f" {{{attrs}}}" if attrs else "")
    return text + (f" {_loc(node.loc)}" if locs and node.loc else "")


def _loc(loc: Loc) -> str:
    texts = [loc.scope, loc.phase, loc.part_of]
    while texts and not texts[-1]:
        texts.pop()
    return f"loc({', '.join([repr(loc.file), str(loc.line), *map(repr, texts)])})"


def _literal(value: Any, locs: bool, elide: bool, indent: str) -> str:
    """An attribute, written as in Python where Python has a literal for it."""
    match value:
        case None | bool() | int() | float() | str():  # repr of a float round-trips; inf and nan are words
            return repr(value)
        case np.generic():
            return _literal(value.item(), locs, elide, indent)
        case DType():
            return value.name
        case np.ndarray():
            return array_text(value, elide)
        case Body():
            return print_graph(value, locs=locs, elide=elide, indent=indent)
        case tuple() | list():
            items = [_literal(v, locs, elide, indent) for v in value]
            return f"({', '.join(items)}{',' if len(items) == 1 else ''})"
        case _:
            return "<function>" if callable(value) else f"<{type(value).__name__}>"


def array_text(array: Array, elide: bool = False) -> str:
    """`f32[2](0.5, 1.0)`; base64 of the row-major bytes where that is shorter, or decimals would lose bits."""
    type = TensorType(dtype_of(array.dtype), array.shape)
    if array.size <= INLINE_ELEMENTS:
        elements = [str(x) for x in array.ravel()]
        if array_of(type, elements).tobytes() == array.tobytes():
            return f"{type}({', '.join(elements)})"
    return f"{type}({'...' if elide else repr(base64.b64encode(array.tobytes()).decode())})"


def array_of(type: TensorType, elements: list[str]) -> Array:
    """The array of these decimals."""
    read = {"float": float, "bool": "True".__eq__}.get(type.dtype.kind, int)
    return np.array([read(e) for e in elements], type.dtype.numpy).reshape(type.shape)
