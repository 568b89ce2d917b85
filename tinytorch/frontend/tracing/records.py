"""What a trace keeps of memory, of tensors with a history of their own, and of the gradients of leaves."""

from __future__ import annotations

from dataclasses import dataclass

from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.mode import Consumed
from tinytorch.frontend.tensor.storage import (
    Steps,
)
from tinytorch.ir.expr import Expr
from tinytorch.ir.graph import Value


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
