"""Object files for programs without Python: what their functions take, and what a backend that writes them gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from tinytorch.ir.op import Array
from tinytorch.ir.types import TensorType
from tinytorch.runtime.backend import Program


@dataclass(frozen=True)
class Parameter:
    """An array that a caller passes: a pointer to its elements in row-major order. `changed`: the graph updates it in
    place."""

    name: str
    type: TensorType
    changed: bool = False


@dataclass(frozen=True)
class Interface:
    """The functions of an object file, whose names begin with `prefix`, for a graph of the function `title`.

    Its inputs are `inputs`, which callers pass, then `state`, which lies in one buffer of the caller's; its outputs are
    `outputs`, then the new values of what is changed.
    """

    prefix: str
    title: str
    inputs: tuple[Parameter, ...]
    outputs: tuple[Parameter, ...]
    state: tuple[Parameter, ...]


class ObjectProgram(Program, Protocol):
    """Code that is not loaded, but written to files."""

    def object_file(self, constants: Sequence[Array], state: Sequence[Array]) -> bytes:
        """The object file, with the graph's constants and the first values of its state."""
        ...

    def header(self, name: str) -> str:
        """The C header, for a file of that name."""
        ...


def as_objects(program: Program) -> ObjectProgram:
    """The program of a backend that writes object files."""
    return cast("ObjectProgram", program)
