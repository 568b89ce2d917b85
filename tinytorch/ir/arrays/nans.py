"""TT_NANS=1: which op makes the first NaN, and of what; with a reproducer that holds that op alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinytorch.ir.arrays.words import described, first_place, operands_in_words
from tinytorch.ir.body import Body, Node, Value
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import Loc
from tinytorch.ir.op import Array, Attrs, Op
from tinytorch.ir.text.printer import print_graph
from tinytorch.ir.types import TensorType, dtype_of

FOLDER = Path("tt-nans")  # of the reproducer, in the current folder
_SCRIPT = '''"""Runs the op in graph.ir on the operands in arrays.npz, by the reference and as machine code."""

from pathlib import Path

from tinytorch.blame import reproduce_nan

print(reproduce_nan(Path(__file__).parent))
'''


class NewNanError(TinyTorchError):
    """An op made a NaN of operands that hold none."""


def refuse_new_nans(
    op: Op, operands: Sequence[Array], attrs: Attrs, results: Sequence[Array | None], loc: Loc | None
) -> None:
    """NewNanError if `op` made a NaN of operands that hold none; the folder `tt-nans` then holds a reproducer.
    `results` that are not known are None."""
    if any(map(_has_nan, results)) and not any(map(_has_nan, operands)):
        text = f"{op.name} made the first NaN, from operands without any\n{nans_in_words(operands, results)}"
        script = _write(op, operands, attrs, loc)
        raise NewNanError(text if script is None else f"{text}\n  reproduce with: python {script}", loc)


def nans_in_words(operands: Sequence[Array], results: Sequence[Array | None]) -> str:
    """Where the first NaN of the results is, and what the operands are, there and as a whole."""
    index = next(i for i, array in enumerate(results) if _has_nan(array))
    result = results[index]
    assert result is not None
    place = first_place(np.isnan(result))
    name = "result" if len(results) == 1 else f"result {index}"
    at = f", the first at {list(place)}" if place else ""
    return f"  {name}: {described(result)}{at}\n{operands_in_words(operands, place)}"


def _has_nan(array: Array | None) -> bool:
    return array is not None and dtype_of(array.dtype).is_float and bool(np.isnan(array).any())


def _write(op: Op, operands: Sequence[Array], attrs: Attrs, loc: Loc | None) -> Path | None:
    """The script of the reproducer; None where it cannot be written, or the op holds a function of the user's."""
    if any(callable(value) for value in attrs.values()):
        return None
    inputs = [Value(TensorType(dtype_of(a.dtype), a.shape), f"x{i}") for i, a in enumerate(operands)]
    made = tuple(Value(type) for type in op.result_types([v.type for v in inputs], attrs))
    graph = Body("first_nan", tuple(inputs), (Node(op, tuple(inputs), attrs, made, loc),), made)
    try:
        FOLDER.mkdir(exist_ok=True)
        (FOLDER / "graph.ir").write_text(print_graph(graph, locs=True) + "\n", encoding="utf-8")
        arrays: dict[str, Any] = {f"input{i}": array for i, array in enumerate(operands)}
        np.savez(FOLDER / "arrays.npz", **arrays)
        (FOLDER / "reproduce.py").write_text(_SCRIPT, encoding="utf-8")
    except OSError:
        return None
    return FOLDER / "reproduce.py"
