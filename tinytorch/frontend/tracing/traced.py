# pyright: reportPrivateUsage=false
"""What a trace leaves: the graph, and all that a call does beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.mode import Consumed
from tinytorch.frontend.tensor.storage import Steps, Storage, settle
from tinytorch.frontend.tracing.arrays import Meeting
from tinytorch.ir.errors import TraceError
from tinytorch.ir.expr import Expr
from tinytorch.ir.graph import Graph, Value

Leaf = Tensor | int  # a captured tensor, or the position of an argument


class ViewOfRun(TraceError):
    """A result is a view at a place that is known when the graph runs; a number that it depends on can be static."""


@dataclass(frozen=True)
class Result:
    """A tensor among the results: `steps` (views) away from output `source` or input `~source`, whose memory it
    shares. With `differentiable`, backward() outside may ask for its gradient; otherwise it has none. A `leaf` was made
    in the function. The tape of a `spent` one was freed by a backward() in the function."""

    source: int
    steps: Steps
    differentiable: bool
    leaf: bool = False
    spent: bool = False


@dataclass(frozen=True)
class Effects:
    """What a call does beyond its results: gradients dropped, used up, or left behind, and leaves that require grad
    from now on, or no more."""

    dropped: tuple[Leaf, ...]
    consumed: tuple[Leaf, ...]
    kept: tuple[tuple[Leaf, Result], ...]
    flags: tuple[tuple[Leaf, bool], ...]


@dataclass(frozen=True)
class Traced:
    """A traced function.

    The graph's inputs are `arguments` arguments, then the `captured` tensors, of which the first are what the trace
    found in `grad` of the leaves `grad_inputs`; its outputs are the results, gradients that are kept, and new values of
    state. `result` is the nested container that the function returned,
    with a slot for each of `results`. `layouts` are the inputs whose strides the function's meaning depends on, and
    `variables` the values by which inputs are differentiated that the function made leaves.
    """

    graph: Graph
    arguments: int
    captured: tuple[Tensor, ...]
    grad_inputs: tuple[Leaf, ...]
    result: Any
    results: tuple[Result, ...]
    effects: Effects
    grad_guards: tuple[tuple[Leaf, Tensor | Consumed | None], ...]
    layouts: tuple[tuple[int, tuple[int, ...] | None], ...]
    joined: tuple[tuple[Tensor, Storage], ...]  # captured tensors that are computed from another one's memory
    arrays: tuple[Meeting, ...]  # numpy arrays among the captured inputs
    went_backward: bool  # backward() was called, which goes no further than leaves
    variables: Mapping[int, Value]


def strides_of(tensor: Tensor) -> tuple[int, ...] | None:
    """The strides of a tensor with values; None for one in row-major order, as it is then if it may be."""
    settle(tensor)
    return None if tensor._data.flags.c_contiguous else tensor._data.strides


def expr_of(tensor: Tensor) -> Expr | None:
    """The expression of a traced tensor, None for one with values."""
    return tensor._expr


def raw_grad(tensor: Tensor) -> Tensor | Consumed | None:
    """`grad` without the question whether it may be read."""
    return tensor._grad


def set_raw_grad(tensor: Tensor, grad: Tensor | Consumed | None) -> None:
    tensor._grad = grad
