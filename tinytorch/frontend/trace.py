"""Tracing: running a Python function once with traced tensors, and keeping what it did as a graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np

from tinytorch.frontend.tensor import Consumed, Tensor, mode
from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError, TraceError
from tinytorch.ir.graph import Builder, Expr, Graph, Value
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array, Attrs, Op


class Epoch:
    """Counts changes to attributes of modules and optimizers; compiled functions look for changes when it moves."""

    now = 0


class Tracked:
    """Base of modules and optimizers: a compiled function that read its attributes sees when they change.

    `unwatched` are attributes that no forward reads: `_last` is what a module keeps of its last call for backward().
    """

    unwatched: ClassVar[frozenset[str]] = frozenset({"_last"})

    def __setattr__(self, name: str, value: Any) -> None:
        Epoch.now += 1
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        Epoch.now += 1
        object.__delattr__(self, name)


class TraceAgain(Exception):
    """Raised in a trace by code that had to prepare Python state before anything else, and has: start over."""


# Nested containers of tensors.
@dataclass(frozen=True)
class Slot:
    """The place of leaf number `index` in a nested container."""

    index: int


def flatten(tree: Any, leaves: list[Any], is_leaf: Callable[[Any], bool]) -> Any:
    """`tree` with every leaf replaced by its Slot; the leaves are appended to `leaves`."""
    if is_leaf(tree):
        leaves.append(tree)
        return Slot(len(leaves) - 1)
    if isinstance(tree, dict):
        return {key: flatten(item, leaves, is_leaf) for key, item in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(flatten(item, leaves, is_leaf) for item in tree))
    if isinstance(tree, (list, tuple)):
        return type(tree)(flatten(item, leaves, is_leaf) for item in tree)
    return tree


def unflatten(spec: Any, leaves: Sequence[Any]) -> Any:
    """The inverse of `flatten`."""
    if isinstance(spec, Slot):
        return leaves[spec.index]
    if isinstance(spec, dict):
        return {key: unflatten(item, leaves) for key, item in spec.items()}
    if isinstance(spec, tuple) and hasattr(spec, "_fields"):
        return type(spec)(*(unflatten(item, leaves) for item in spec))
    if isinstance(spec, (list, tuple)):
        return type(spec)(unflatten(item, leaves) for item in spec)
    return spec


class Gradients(Protocol):
    """The autodiff pass: appends the backward nodes of what a builder holds so far."""

    def __call__(self, builder: Builder, seeds: Mapping[Value, Value], wrt: Sequence[Value]) -> list[Value | None]: ...


@dataclass
class _Known:
    """A tensor from outside of the trace (`input`: its value on entry) or made in it (`input` is None)."""

    tensor: Tensor
    input: Value | None
    expr: Expr
    overwritten: bool = False


@dataclass
class _Grad:
    """What the trace did to the `grad` of a leaf."""

    leaf: Tensor
    initial: Any
    read: bool = False  # before anything was written
    written: bool = False
    used: Tensor | Consumed | None = None


@dataclass(frozen=True)
class Effects:
    """What a call does beyond its results: gradients dropped, used up, or left behind (by output index)."""

    dropped: tuple[Tensor, ...]
    consumed: tuple[Tensor, ...]
    kept: tuple[tuple[Tensor, int], ...]


@dataclass(frozen=True)
class Traced:
    """A traced function.

    The graph's inputs are `inputs`, of which the first are the argument tensors and the others were captured; its
    outputs are the results, gradients that are kept, and new values of state. `result` is the nested container that
    the function returned; `sources` says for each of its slots which output (i) or argument (~i) it is.
    """

    graph: Graph
    inputs: tuple[Tensor, ...]
    result: Any
    sources: tuple[int, ...]
    differentiable: tuple[bool, ...]  # which of the results have a gradient that backward() outside may ask for
    effects: Effects
    grad_guards: tuple[tuple[Tensor, Any], ...]


@dataclass
class Trace:
    """The world of a running trace; `gradients` is the autodiff pass."""

    gradients_pass: Gradients
    builder: Builder = field(default_factory=Builder)
    known: dict[int, _Known] = field(default_factory=dict[int, _Known])
    leaves: list[Tensor] = field(default_factory=list[Tensor])
    grads: dict[int, _Grad] = field(default_factory=dict[int, _Grad])
    arguments: int = 0
    went_backward: bool = False  # then the tape is used up, as it would be in eager mode

    def argument(self, tensor: Tensor, name: str) -> None:
        """Make an argument an input."""
        value = self.builder.input(tensor.type, name)
        self.known[id(tensor)] = _Known(tensor, value, Expr(self.builder, value))
        self.arguments += 1
        if tensor.requires_grad:
            self.leaf(tensor)

    def holds(self, tensor: Tensor) -> bool:
        """Whether the value of a tensor without an expression of its own is only known when the graph runs: it comes
        from outside, or was made in the trace and overwritten since."""
        known = self.known.get(id(tensor))
        return self.is_outside(tensor) or (known is not None and known.overwritten)

    def is_outside(self, tensor: Tensor) -> bool:
        """Whether `tensor` was not made in this trace."""
        known = self.known.get(id(tensor))
        return expr_of(tensor) is None and (known is None or known.input is not None)

    def lift(self, tensor: Tensor) -> Expr:
        """The current expression of any tensor; one from outside becomes an input."""
        expr = expr_of(tensor)
        if expr is not None:
            if expr.builder is not self.builder:
                raise TraceError("a value of another trace is used; it ended when that function returned", user_loc())
            return expr
        known = self.known.get(id(tensor))
        if known is None:
            known = self._capture(tensor)
        return known.expr

    def _capture(self, tensor: Tensor) -> _Known:
        value = self.builder.input(tensor.type, tensor.name or "state")
        known = self.known[id(tensor)] = _Known(tensor, value, Expr(self.builder, value))
        if tensor.requires_grad:
            self.leaf(tensor)
        return known

    def created(self, tensor: Tensor) -> None:
        """A tensor made of data while tracing is a constant."""
        array = tensor._data  # pyright: ignore[reportPrivateUsage]
        expr = Expr(self.builder, self.builder.constant(np.array(array)))
        self.known[id(tensor)] = _Known(tensor, None, expr)

    def constant(self, array: Array) -> Tensor:
        return Tensor.wrap(None, Expr(self.builder, self.builder.constant(array)))  # pyright: ignore[reportArgumentType]

    def apply(self, op: Op, operands: Sequence[Tensor], attrs: Attrs) -> Tensor:
        from tinytorch.frontend.module import scope

        exprs = [self.lift(o) for o in operands]
        self.builder.loc = user_loc(scope())
        expr = Expr(self.builder, self.builder.append(op, [e.value for e in exprs], attrs).output)
        grad = expr.type.dtype.is_float and op is not ops.core.detach and any(o.requires_grad for o in operands)
        if grad and not mode.grad:
            expr, grad = expr.detach(), False
        out = Tensor.wrap(None, expr)  # pyright: ignore[reportArgumentType]
        out.requires_grad = grad
        return out

    # State.
    def update(self, tensor: Tensor, value: Tensor) -> None:
        expr = self.lift(value)
        if expr_of(tensor) is not None:
            set_expr(tensor, expr)
            return
        self.lift(tensor)
        known = self.known[id(tensor)]
        known.expr, known.overwritten = expr, True

    # Gradients.
    def leaf(self, tensor: Tensor) -> None:
        self.lift(tensor)
        if not any(leaf is tensor for leaf in self.leaves):
            self.leaves.append(tensor)

    def gradients(self, output: Tensor, wrt: Sequence[Tensor], seed: Tensor) -> list[Tensor | None]:
        """d(output)/d(wrt) in the direction of `seed`, as traced tensors."""
        values = [self.lift(t).value for t in wrt]
        self.builder.loc = user_loc()
        found = self.gradients_pass(self.builder, {self.lift(output).value: self.lift(seed).value}, values)
        return [None if v is None else Tensor.wrap(None, Expr(self.builder, v)) for v in found]  # pyright: ignore[reportArgumentType]

    def backward(self, tensor: Tensor, grad: Tensor) -> None:
        self.went_backward = True
        wrt = [leaf for leaf in self.leaves if leaf.requires_grad]
        for leaf, cotangent in zip(wrt, self.gradients(tensor, wrt, grad), strict=True):
            if cotangent is not None:
                leaf.accumulate_grad(cotangent)

    def _grad(self, tensor: Tensor) -> _Grad:
        return self.grads.setdefault(id(tensor), _Grad(tensor, raw_grad(tensor)))

    def read_grad(self, tensor: Tensor) -> None:
        record = self._grad(tensor)
        record.read = record.read or not record.written

    def write_grad(self, tensor: Tensor) -> None:
        self._grad(tensor).written = True

    def use_grad(self, tensor: Tensor) -> None:
        self._grad(tensor).used = raw_grad(tensor)

    def finish_grads(self) -> tuple[list[Tensor], list[Tensor], list[tuple[Tensor, Expr]]]:
        """Leaves whose gradient is dropped, used up, or kept; a gradient that was there before is updated in place."""
        dropped: list[Tensor] = []
        consumed: list[Tensor] = []
        kept: list[tuple[Tensor, Expr]] = []
        for record in self.grads.values():
            final = raw_grad(record.leaf)
            set_raw_grad(record.leaf, record.initial)
            if expr_of(record.leaf) is not None or final is record.initial or isinstance(final, Consumed):
                continue
            if final is None:
                dropped.append(record.leaf)
            elif record.read and isinstance(record.initial, Tensor):
                self.update(record.initial, final)
            elif final is record.used:
                consumed.append(record.leaf)
            else:
                kept.append((record.leaf, self.lift(final)))
        return dropped, consumed, kept

    def build(self, result: Any) -> Traced:
        """Close the trace with what the function returned."""
        dropped, consumed, kept = self.finish_grads()
        inputs = list(self.builder.inputs)
        arguments = [id(self.tensor_of(value)) for value in inputs[: self.arguments]]
        leaves: list[Tensor] = []
        spec = flatten(
            result, leaves, lambda x: isinstance(x, Tensor) and (id(x) in arguments or not self.is_outside(x))
        )
        outputs: list[Value] = []
        sources: list[int] = []
        for leaf in leaves:
            passed = id(leaf) in arguments
            sources.append(~arguments.index(id(leaf)) if passed else len(outputs))
            outputs += [] if passed else [self.lift(leaf).value]
        first_kept = len(outputs)
        outputs += [expr.value for _, expr in kept]
        state: list[tuple[int, int]] = []
        for known in self.known.values():
            if known.input is not None and known.expr.value is not known.input:
                state.append((self.builder.inputs.index(known.input), len(outputs)))
                outputs.append(known.expr.value)
        keep = tuple((leaf, first_kept + i) for i, (leaf, _) in enumerate(kept))
        return Traced(
            graph=self.builder.build(outputs, state),
            inputs=tuple(map(self.tensor_of, self.builder.inputs)),
            result=spec,
            sources=tuple(sources),
            differentiable=tuple(
                s >= 0 and leaf.requires_grad and not self.went_backward
                for s, leaf in zip(sources, leaves, strict=True)
            ),
            effects=Effects(tuple(dropped), tuple(consumed), keep),
            grad_guards=tuple((r.leaf, r.initial) for r in self.grads.values() if r.read),
        )

    def tensor_of(self, value: Value) -> Tensor:
        """The tensor whose value on entry an input is."""
        return next(k.tensor for k in self.known.values() if k.input is value)


def expr_of(tensor: Tensor) -> Expr | None:
    """The expression of a traced tensor, None for one with values."""
    return tensor._expr  # pyright: ignore[reportPrivateUsage]


def set_expr(tensor: Tensor, expr: Expr) -> None:
    tensor._expr = expr  # pyright: ignore[reportPrivateUsage]


def raw_grad(tensor: Tensor) -> Tensor | Consumed | None:
    """`grad` without the question whether it may be read."""
    return tensor._grad  # pyright: ignore[reportPrivateUsage]


def set_raw_grad(tensor: Tensor, grad: Tensor | Consumed | None) -> None:
    tensor._grad = grad  # pyright: ignore[reportPrivateUsage]


def trace(
    function: Callable[..., Any],
    args: Any,
    kwargs: Any,
    tensors: Sequence[Tensor],
    names: Sequence[str],
    gradients: Gradients,
    name: str,
) -> Traced:
    """Run `function(*args, **kwargs)` once; `tensors`, the argument tensors among its arguments, are the first
    inputs. Errors of the function pass through; gradients of leaves are as they were before."""
    if mode.trace is not None:
        raise TraceError("a trace is running already", user_loc())
    running = Trace(gradients, Builder(name))
    for tensor, hint in zip(tensors, names, strict=True):
        running.argument(tensor, hint)
    grad = mode.grad
    mode.trace = running
    try:
        result = function(*args, **kwargs)
        return running.build(result)
    except ShapeError as error:
        raise error if error.loc else ShapeError(str(error), user_loc()) from None
    finally:
        mode.trace, mode.grad = None, grad
        for record in running.grads.values():
            set_raw_grad(record.leaf, record.initial)
