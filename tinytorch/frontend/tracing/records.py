"""What a trace keeps of memory, of tensors with a history of their own, of the gradients of leaves, and of the state of
optimizers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.mode import Consumed
from tinytorch.frontend.tensor.storage import Steps, memory_of
from tinytorch.ir.errors import TraceError
from tinytorch.ir.expr import Expr
from tinytorch.ir.graph import Value
from tinytorch.ir.loc import user_loc


@dataclass(eq=False)
class Memory:
    """What a storage holds in the course of a trace: the value of the tensor at its root, and how often it changed."""

    value: Expr
    input: Value | None  # that value on entry, if the memory comes from outside
    version: int = 0
    overwritten: Tensor | None = None  # another input, which overlaps this memory and has been changed


@dataclass(eq=False)
class Root:
    """A tensor with a history of gradients of its own, `steps` away from the root of its memory.

    `expr` is its value when the memory was at `version`, `history` the one that gradients are asked for.
    """

    tensor: Tensor
    memory: Memory
    steps: Steps
    expr: Expr
    history: Expr
    version: int
    rebased: int = 0  # how often a change has given it another history


@dataclass
class LeafGrad:
    """What the trace did to the `grad` of a leaf."""

    leaf: Tensor
    initial: Tensor | Consumed | None
    now: Tensor | Consumed | None
    read: bool = False  # before anything was written
    written: bool = False
    used: tuple[Tensor, Expr] | None = None  # and the value that it had then


@dataclass
class Held:
    """Tensors in the state of optimizers, in whose place others are while the trace runs: by dict and key."""

    entries: dict[tuple[int, str], tuple[dict[str, Any], Tensor]] = field(
        default_factory=dict[tuple[int, str], "tuple[dict[str, Any], Tensor]"]
    )

    def keep(self, state: dict[str, Any], key: str, tensor: Tensor) -> None:
        """Have what will be under `key` at the end written into `tensor`, which is there before."""
        self.entries.setdefault((id(state), key), (state, tensor))

    def write(self, inputs: Mapping[int, Tensor]) -> None:
        """Write what is in their place into the tensors; TraceError for what is none of their type, or lies in memory
        of the `inputs`: eagerly it would follow those."""
        for (_, key), (state, tensor) in self.entries.items():
            value = state.get(key)
            if value is tensor:
                continue
            if not isinstance(value, Tensor) or value.type != tensor.type or id(memory_of(value, inputs)[0]) in inputs:
                raise TraceError(
                    f"{key!r} in the state of an optimizer is {tensor.type}, and cannot become something else, or a "
                    "view of another tensor, in a compiled function; clone() what takes its place",
                    user_loc(),
                )
            tensor.copy_(value)

    def restore(self) -> None:
        """Put the tensors back into their places."""
        for (_, key), (state, tensor) in self.entries.items():
            dict.__setitem__(state, key, tensor)
