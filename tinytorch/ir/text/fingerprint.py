"""What tells graphs apart: a text that is equal only for graphs that every pass treats alike."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from tinytorch.ir.body import Body, Value
from tinytorch.ir.types import DType, TensorType

_PLAIN = (bool, int, float, str, type(None), DType)  # their repr tells them apart


def fingerprint(graph: Body) -> str | None:
    """All that a graph is, with the contents of its constants and the user's lines, but for the names of inner values.
    None where an attribute is of a kind whose text may not be all of it, such as a function."""
    numbers: dict[Value, int] = {value: i for i, value in enumerate(graph.inputs)}
    lines = [f"{graph.name!r} {[(v.name, v.type) for v in graph.inputs]}"]
    types: dict[TensorType, str] = {}
    try:
        for node in graph.nodes:
            operands = [numbers[v] for v in node.inputs]
            for value in node.outputs:
                numbers[value] = len(numbers)
                if value.type not in types:
                    types[value.type] = str(value.type)
            attributes = [f"{name}={_text(value)}" for name, value in node.attrs.items()]
            results = [types[v.type] for v in node.outputs]
            loc = node.loc
            place = "" if loc is None else f"{loc.file!r}:{loc.line}:{loc.scope!r}:{loc.phase}:{loc.part_of}"
            lines.append(f"{node.op.name} {operands} {attributes} {results} {place}")
    except _UnknownError:
        return None
    lines.append(f"{[numbers[v] for v in graph.outputs]} {graph.state}")
    return "\n".join(lines)


class _UnknownError(Exception):
    """A value that has no text."""


def _text(value: Any) -> str:
    if isinstance(value, _PLAIN):
        return repr(value)
    if isinstance(value, tuple | list):
        return f"{type(value).__name__}({','.join(map(_text, value))})"  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, np.ndarray | np.generic):
        array = np.ascontiguousarray(value)
        return f"{array.dtype.str}{array.dtype.name}{np.shape(value)}{hashlib.sha256(array.tobytes()).hexdigest()}"
    raise _UnknownError
