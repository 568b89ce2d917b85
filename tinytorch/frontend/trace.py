# pyright: reportPrivateUsage=false
"""Tracing: running a Python function once with traced tensors, and keeping what it did as a graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol

import numpy as np

from tinytorch.frontend.arrays import Meeting, Meetings
from tinytorch.frontend.numbers import NeedsValue, Number
from tinytorch.frontend.storage import Steps, Storage, along, is_view, overlap, owner, put
from tinytorch.frontend.tensor import Consumed, Tensor, alias_of, base_of, layout_of, memory_of, mode, storage_of
from tinytorch.frontend.tracked import record
from tinytorch.frontend.tree import flatten, parts
from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError, TraceError
from tinytorch.ir.graph import Builder, Expr, Graph, Value
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array, Attrs, Op
from tinytorch.ir.types import dtype_of


class TraceAgain(Exception):
    """Raised in a trace by code that had to prepare Python state before anything else, and has: start over."""


class Joined(Exception):
    """Raised where captured tensors in one storage depend on each other: start over with it as one input."""

    def __init__(self, storage: int) -> None:
        self.storage = storage


class Gradients(Protocol):
    """The autodiff pass: appends the backward nodes of what a builder holds so far."""

    def __call__(self, builder: Builder, seeds: Mapping[Value, Value], wrt: Sequence[Value]) -> list[Value | None]: ...


@dataclass(eq=False)
class _Memory:
    """What a storage holds in the course of a trace: the value of the tensor at its root, and how often it changed."""

    value: Expr
    input: Value | None  # that value on entry, if the memory comes from outside
    version: int = 0
    overwritten: Tensor | None = None  # another input, which overlaps this memory and has been changed


@dataclass(eq=False)
class _Root:
    """A tensor with a history of gradients of its own, `steps` away from the root of its memory.

    `expr` is its value when the memory was at `version`, `history` the one that gradients are asked for.
    """

    tensor: Tensor
    memory: _Memory
    steps: Steps
    expr: Expr
    history: Expr
    version: int


@dataclass
class _Grad:
    """What the trace did to the `grad` of a leaf."""

    leaf: Tensor
    initial: Tensor | Consumed | None
    now: Tensor | Consumed | None
    read: bool = False  # before anything was written
    written: bool = False
    used: tuple[Tensor, Expr] | None = None  # and the value that it had then


_UNCHANGED: Attrs = {"backward": lambda ct: [ct]}  # of a custom_grad: the cotangent of its result
Leaf = Tensor | int  # a captured tensor, or the position of an argument


@dataclass(frozen=True)
class Effects:
    """What a call does beyond its results: gradients dropped, used up, or left behind (by output index), and leaves
    that require grad from now on, or no more."""

    dropped: tuple[Leaf, ...]
    consumed: tuple[Leaf, ...]
    kept: tuple[tuple[Leaf, int], ...]
    flags: tuple[tuple[Leaf, bool], ...]


@dataclass(frozen=True)
class Result:
    """A tensor among the results: `steps` (views) away from output `source` or input `~source`, whose memory it
    shares. With `differentiable`, backward() outside may ask for its gradient; otherwise it has none."""

    source: int
    steps: Steps
    differentiable: bool


@dataclass(frozen=True)
class Traced:
    """A traced function.

    The graph's inputs are `arguments` arguments and then the `captured` tensors; its outputs are the results,
    gradients that are kept, and new values of state. `result` is the nested container that the function returned,
    with a slot for each of `results`. `layouts` are the inputs whose strides the function's meaning depends on, and
    `variables` the values by which inputs are differentiated that the function made leaves.
    """

    graph: Graph
    arguments: int
    captured: tuple[Tensor, ...]
    result: Any
    results: tuple[Result, ...]
    effects: Effects
    grad_guards: tuple[tuple[Leaf, Tensor | Consumed | None], ...]
    layouts: tuple[tuple[int, tuple[int, ...] | None], ...]
    joined: tuple[tuple[Tensor, Storage], ...]  # captured tensors that are computed from another one's memory
    arrays: tuple[Meeting, ...]  # numpy arrays among the captured inputs
    variables: Mapping[int, Value]


@dataclass
class Trace:
    """The world of a running trace; `gradients_pass` is the autodiff pass. Storages in `joined` are inputs as a whole,
    of which captured views are taken in the graph."""

    gradients_pass: Gradients
    joined: frozenset[int] = frozenset()
    builder: Builder = field(default_factory=Builder)
    roots: dict[int, _Root] = field(default_factory=dict[int, _Root])
    inputs: dict[int, Tensor] = field(default_factory=dict[int, Tensor])  # in the order of the builder's
    owners: dict[int, list[_Root]] = field(default_factory=dict[int, "list[_Root]"])  # of the inputs' memory
    made: dict[int, Tensor] = field(default_factory=dict[int, Tensor])  # of data, in the trace
    leaves: dict[int, Tensor] = field(default_factory=dict[int, Tensor])
    grads: dict[int, _Grad] = field(default_factory=dict[int, _Grad])
    flags: dict[int, tuple[Tensor, bool]] = field(default_factory=dict[int, tuple[Tensor, bool]])  # as they were
    layouts: set[int] = field(default_factory=set[int])
    members: dict[int, Tensor] = field(default_factory=dict[int, Tensor])  # captured, in joined storages
    arguments: int = 0
    meetings: Meetings = field(default_factory=Meetings)
    needed: frozenset[int] = frozenset()  # places of numbers whose values the function has asked for
    went_backward: bool = False  # then the tape is used up, as it would be in eager mode

    # Tensors from outside.
    def argument(self, tensor: Tensor, name: str) -> None:
        """Make an argument an input."""
        self._input(tensor, name)
        self.arguments += 1

    def _input(self, tensor: Tensor, name: str) -> _Root:
        value = self.builder.input(tensor.type, name)
        expr = Expr(self.builder, value)
        root = self.roots[id(tensor)] = _Root(tensor, _Memory(expr, value), (), expr, expr, 0)
        self.inputs[id(tensor)] = tensor
        neighbours = self.owners.setdefault(id(owner(tensor._data)), [])
        changed = [n for n in neighbours if n.memory.version and overlap(n.tensor._data, tensor._data)]
        root.memory.overwritten = changed[0].tensor if changed else None
        neighbours.append(root)
        if tensor.requires_grad:
            self.leaf(tensor)
        return root

    def _capture(self, tensor: Tensor) -> _Root:
        base, steps = memory_of(tensor) if id(tensor._storage) in self.joined else (tensor, ())
        if base is tensor:
            return self._input(tensor, tensor.name or "state")
        self.members[id(tensor)] = tensor
        memory = self.root(base).memory
        expr = along(steps, memory.value)
        root = self.roots[id(tensor)] = _Root(tensor, memory, steps, expr, expr, memory.version)
        if tensor.requires_grad:
            self.leaf(tensor)
        return root

    def is_outside(self, tensor: Tensor) -> bool:
        """Whether `tensor` was not made in this trace."""
        return expr_of(tensor) is None and id(tensor) not in self.made

    def holds(self, tensor: Tensor) -> bool:
        """Whether the value of a tensor without an expression of its own is only known when the graph runs: it comes
        from outside, or was made in the trace and overwritten since."""
        self.meetings.note_read(tensor)
        return id(tensor) not in self.made or self.roots[id(tensor)].memory.version > 0

    def array(self, array: Array) -> Tensor:
        """A numpy array as an operand: an input, read where it lies, unless its dtype does not allow that."""
        met = self.meetings.meet(array, self._met)
        if met is None:
            return self.constant(np.asarray(array, dtype_of(array.dtype).numpy))
        return self._wrap(self.lift(met.tensor))

    def _met(self, tensor: Tensor) -> Value:
        return self._input(tensor, "").expr.value

    def created(self, tensor: Tensor, source: Array | None = None) -> None:
        """A tensor made of data while tracing is a constant; made of the array `source`, it is that input, in whose
        memory it may lie."""
        met = None if source is None else self.meetings.meet(source, self._met)
        if met is None:
            memory = _Memory(Expr(self.builder, self.builder.constant(np.array(tensor._data))), None)
        else:
            self.meetings.sources[id(tensor)] = met
            expr, memory = self.lift(met.tensor), self.roots[id(met.tensor)].memory
            if not np.may_share_memory(tensor._data, met.tensor._data):
                memory = _Memory(expr, None)
        self.roots[id(tensor)] = _Root(tensor, memory, (), memory.value, memory.value, memory.version)
        self.made[id(tensor)] = tensor

    def constant(self, array: Array) -> Tensor:
        return self._wrap(Expr(self.builder, self.builder.constant(array)))

    @staticmethod
    def _wrap(expr: Expr) -> Tensor:
        return Tensor.wrap(None, expr)  # pyright: ignore[reportArgumentType]

    # Values.
    def root(self, tensor: Tensor) -> _Root:
        """The record of a tensor that is no view."""
        known = self.roots.get(id(tensor))
        if known is not None:
            return known
        expr = expr_of(tensor)
        if expr is None:
            return self._capture(tensor)
        root = self.roots[id(tensor)] = _Root(tensor, _Memory(expr, None), (), expr, expr, 0)
        return root

    def value(self, root: _Root) -> Expr:
        """The value of a root now. Changes of its memory that were not its own have no part in its gradient."""
        memory = root.memory
        if memory.overwritten is not None:
            self._conflict(root.tensor, memory.overwritten)
        if root.version != memory.version:
            root.version, root.expr = memory.version, along(root.steps, memory.value)
            if root.tensor._requires_grad:
                root.expr = root.expr.apply_op(ops.core.custom_grad, (root.expr, root.history), _UNCHANGED)
        return root.expr

    def lift(self, tensor: Tensor) -> Expr:
        """The current expression of any tensor; one from outside becomes an input."""
        expr = expr_of(tensor)
        if expr is not None and expr.builder is not self.builder:
            raise TraceError("a value of another trace is used; it ended when that function returned", user_loc())
        base, steps = self._base(tensor)
        if base is tensor:
            return expr if expr is not None and id(tensor) not in self.roots else self.value(self.root(tensor))
        if expr is None:
            self.members[id(tensor)] = tensor
            return along(steps, self.value(self.root(base)))
        self.refresh(tensor)
        return tensor._expr

    def refresh(self, tensor: Tensor) -> None:
        """Take a traced view anew if its base has another value since."""
        alias = tensor._alias
        now = None if alias is None or alias.cut else self.lift(alias.base)
        if now is not None and alias is not None and alias.seen is not now:
            tensor._expr, alias.seen = along(alias.steps, now), now
            tensor._requires_grad = alias.base.requires_grad

    def _base(self, tensor: Tensor) -> tuple[Tensor, Steps]:
        """The root that a tensor is a view of, and the way from there; an input is no view."""
        outside = expr_of(tensor) is None and id(tensor._storage) not in self.joined
        return (tensor, ()) if outside or id(tensor) in self.roots else base_of(tensor)

    def apply(self, op: Op, operands: Sequence[Tensor], attrs: Attrs) -> Tensor:
        from tinytorch.frontend.module import scope

        exprs = [self.lift(o) for o in operands]
        self.builder.loc = user_loc(scope())
        expr = Expr(self.builder, self.builder.append(op, [e.value for e in exprs], attrs).output)
        grad = expr.type.dtype.is_float and op is not ops.core.detach and any(o.requires_grad for o in operands)
        if grad and not mode.grad:
            expr, grad = expr.detach(), False
        out = self._wrap(expr)
        out._requires_grad = grad
        if op.put is not None and self._is_view(op, operands[0], attrs):
            self._alias(out, operands[0], op, attrs)
        return out

    def _is_view(self, op: Op, operand: Tensor, attrs: Attrs) -> bool:
        if op is ops.view.reshape:
            base, _ = memory_of(operand, self.inputs)
            if id(base) in self.inputs:
                self.layouts.add(id(base))
        return is_view(op, layout_of(operand), attrs)

    def _alias(self, out: Tensor, operand: Tensor, op: Op, attrs: Attrs) -> None:
        """Note that `out` lies in the memory of `operand`."""
        out._storage = storage_of(operand)
        out._alias = alias = alias_of(operand, op, attrs, self.inputs)
        if alias.cut:
            memory = self.root(alias.base).memory
            expr = out._expr
            self.roots[id(out)] = _Root(out, memory, alias.steps, expr, expr, memory.version)
        else:
            alias.seen = self.lift(alias.base)

    def differentiate(self, tensor: Tensor, wanted: bool) -> None:
        """Have gradients recorded of a leaf from now on, or no more; what was computed of it before stays as it is."""
        now = self.lift(tensor).detach()
        if self.is_outside(tensor):
            self.flags.setdefault(id(tensor), (tensor, not wanted))
        elif id(tensor) not in self.roots:
            self._own_history(tensor, now)
        root = self.root(tensor)
        root.expr, root.version = now, root.memory.version
        if wanted and id(tensor) in self.leaves:
            root.expr = now.apply_op(ops.core.custom_grad, (now, root.history), _UNCHANGED)
        elif wanted:
            root.history = now
            self.leaf(tensor)
        tensor._requires_grad = wanted

    def _own_history(self, tensor: Tensor, expr: Expr) -> None:
        """A view of a traced tensor becomes a leaf in its memory."""
        if tensor._alias is None:
            return
        tensor._alias = alias = alias_of(tensor, ops.core.detach, {}, self.inputs)
        memory = self.root(alias.base).memory
        self.roots[id(tensor)] = _Root(tensor, memory, alias.steps, expr, expr, memory.version)

    def cuts(self, tensor: Tensor, base: Tensor) -> bool:
        """Whether a tensor in the memory of `base` has a history of its own, as the result of detach()."""
        return tensor is not base and id(tensor) not in self.inputs and self._base(tensor)[0] is not base

    # State.
    def update(self, tensor: Tensor, value: Tensor) -> None:
        """Write `value` over a tensor: a new value of its root, and of the memory that the root lies in."""
        tracked = mode.grad and (tensor.requires_grad or value.requires_grad)
        new = self.lift(value)
        self.builder.loc = user_loc()
        base, steps = self._base(tensor)
        root = self.root(base)
        old = self.value(root)
        if tracked and self.is_outside(base):
            raise TraceError(
                f"{_called(base)} comes from outside of the compiled function and cannot get a history of gradients "
                "in it; change it under tt.no_grad(), or write a detach()ed value",
                user_loc(),
            )
        whole = put(steps, old if tracked or not steps else old.detach(), new)
        memory = root.memory
        written = whole.detach() if tracked or value.requires_grad else whole
        memory.value = put(root.steps, memory.value.detach(), written) if root.steps else written
        memory.version += 1
        if tracked:
            root.expr = root.history = whole
            root.version, base._requires_grad = memory.version, True
        self._overwrite(base)

    def _overwrite(self, tensor: Tensor) -> None:
        """Inputs that overlap memory which has been changed have no value any more."""
        base, _ = memory_of(tensor, self.inputs)
        if id(base) not in self.inputs:
            return
        for other in self.owners[id(owner(base._data))]:
            if other.tensor is not base and overlap(other.tensor._data, base._data):
                other.memory.overwritten = base

    def _conflict(self, tensor: Tensor, changed: Tensor) -> NoReturn:
        """`tensor` is needed, but `changed`, another input with the same memory, was changed before."""
        arguments = list(self.inputs)[: self.arguments]
        if {id(tensor), id(changed)}.isdisjoint(arguments) and memory_of(tensor)[0] is memory_of(changed)[0]:
            raise Joined(id(tensor._storage))
        raise TraceError(
            f"{_called(tensor)} shares memory with {_called(changed)}, which the compiled function has changed before; "
            "pass only one of them and take views of it inside",
            user_loc(),
        )

    # Gradients.
    def leaf(self, tensor: Tensor) -> None:
        self.lift(tensor)
        self.leaves[id(tensor)] = tensor

    def is_leaf(self, tensor: Tensor) -> bool:
        return id(tensor) in self.leaves

    def gradients(self, output: Tensor, wrt: Sequence[Tensor], seed: Tensor, create_graph: bool) -> list[Tensor | None]:
        """d(output)/d(wrt) in the direction of `seed`, as traced tensors, with a history if `create_graph`."""
        values = [self._history(t).value for t in wrt]
        outputs = {self.lift(output).value: self.lift(seed).value}
        self.builder.loc = user_loc()
        found = self.gradients_pass(self.builder, outputs, values)
        return [None if v is None else self._gradient(Expr(self.builder, v), create_graph) for v in found]

    def _gradient(self, expr: Expr, with_history: bool) -> Tensor:
        gradient = self._wrap(expr if with_history else expr.detach())
        gradient._requires_grad = with_history
        return gradient

    def _history(self, tensor: Tensor) -> Expr:
        self.lift(tensor)
        root = self.roots.get(id(tensor))
        return self.lift(tensor) if root is None else root.history

    def backward(self, tensor: Tensor, grad: Tensor, create_graph: bool) -> None:
        self.went_backward = True
        wrt = [leaf for leaf in self.leaves.values() if leaf.requires_grad]
        for leaf, cotangent in zip(wrt, self.gradients(tensor, wrt, grad, create_graph), strict=True):
            if cotangent is None:
                continue
            if expr_of(leaf) is None and not leaf.is_leaf:
                raise TraceError(
                    f"backward() in a compiled function reaches {_called(leaf)}, which was computed outside of it; "
                    "compute it inside, detach() it, or call backward() on the result outside",
                    user_loc(),
                )
            leaf.accumulate_grad(cotangent)

    def _grad(self, tensor: Tensor) -> _Grad:
        known = self.grads.get(id(tensor))
        if known is None:
            grad = raw_grad(tensor)
            known = self.grads[id(tensor)] = _Grad(tensor, grad, grad)
        return known

    def read_grad(self, tensor: Tensor) -> Tensor | Consumed | None:
        record = self._grad(tensor)
        record.read = record.read or not record.written
        return record.now

    def write_grad(self, tensor: Tensor, grad: Tensor | None) -> None:
        record = self._grad(tensor)
        record.now, record.written = grad, True

    def use_grad(self, tensor: Tensor) -> None:
        record = self._grad(tensor)
        record.used = (record.now, self.lift(record.now)) if isinstance(record.now, Tensor) else None

    # The end.
    def restore(self) -> None:
        """Leave the flags of tensors from outside as they were; a call sets them among its effects."""
        for tensor, was in self.flags.values():
            tensor._requires_grad = was

    def build(self, result: Any) -> Traced:
        """Close the trace with what the function returned."""
        if self.needed:  # it has caught that error
            raise NeedsValue(self.needed)
        with record(None):
            return Closing(self).build(result)


class Closing:
    """What becomes of tensors and gradients when a traced function returns."""

    def __init__(self, running: Trace) -> None:
        self.trace = running
        self.arguments = {key: i for i, key in enumerate(running.inputs) if i < running.arguments}
        self.outputs: list[Value] = []
        self.kept: list[tuple[Tensor, Tensor]] = []
        self.dropped: list[Tensor] = []
        self.consumed: list[Tensor] = []

    def build(self, result: Any) -> Traced:
        running = self.trace
        with_history, mode.grad = mode.grad, False
        try:
            self._sort_grads()
        finally:
            mode.grad = with_history
        arrays = running.meetings.finish(running.builder, [r.tensor for r in running.roots.values()])
        for meeting in running.meetings:
            if meeting not in arrays:
                del running.inputs[id(meeting.tensor)]
        found: list[Tensor] = []
        spec = flatten(result, found, self._is_result)
        _refuse_iterators(spec)
        results = self._results(found, [grad for _, grad in self.kept])
        state = self._state()
        count = running.arguments
        graph = running.builder.build(self.outputs, state)
        inputs = list(running.inputs.values())
        return Traced(
            graph,
            count,
            tuple(inputs[count:]),
            spec,
            tuple(results[: len(found)]),
            Effects(
                tuple(map(self._leaf, self.dropped)),
                tuple(map(self._leaf, self.consumed)),
                tuple(
                    (self._leaf(leaf), r.source) for (leaf, _), r in zip(self.kept, results[len(found) :], strict=True)
                ),
                tuple(
                    (self._leaf(t), t._requires_grad)
                    for t, was in running.flags.values()
                    if t._requires_grad is not was
                ),
            ),
            tuple((self._leaf(r.leaf), r.initial) for r in running.grads.values() if r.read and self._outside(r.leaf)),
            tuple((i, strides_of(t)) for i, t in enumerate(inputs) if id(t) in running.layouts),
            tuple((t, storage_of(t)) for t in running.members.values()),
            arrays,
            {i: running.roots[id(t)].history.value for i, t in enumerate(inputs) if id(t) in running.flags},
        )

    def _outside(self, tensor: Tensor) -> bool:
        return self.trace.is_outside(tensor)

    def _is_result(self, x: Any) -> bool:
        """Whether a part of the result is a tensor of this call, not one that was there before."""
        return isinstance(x, Tensor) and (id(x) in self.arguments or not self._outside(x))

    def _leaf(self, tensor: Tensor) -> Leaf:
        return self.arguments.get(id(tensor), tensor)

    def _sort_grads(self) -> None:
        """Leaves whose gradient is dropped, used up, or kept; a gradient that was there before is updated in place."""
        running = self.trace
        for known in list(running.grads.values()):
            final = known.now
            as_before = final is known.initial and (known.read or not known.written)
            if not self._outside(known.leaf) or as_before or isinstance(final, Consumed):
                continue
            if final is None:
                self.dropped.append(known.leaf)
            elif known.read and isinstance(known.initial, Tensor):
                running.update(known.initial, final)
            elif known.used is not None and final is known.used[0] and running.lift(final) is known.used[1]:
                self.consumed.append(known.leaf)
            else:
                self.kept.append((known.leaf, final))

    def _results(self, tensors: Sequence[Tensor], grads: Sequence[Tensor]) -> list[Result]:
        """Where each result and each kept gradient comes from; tensors that share memory come from one output."""
        running = self.trace
        places = [memory_of(t, running.inputs) for t in (*tensors, *grads)]
        members: dict[int, set[int]] = {}
        for (base, _), tensor in zip(places, (*tensors, *grads), strict=True):
            members.setdefault(id(base), set()).add(id(tensor))
        known: dict[int, int] = {}
        inputs = {key: i for i, key in enumerate(running.inputs)}
        results: list[Result] = []
        for tensor, (base, steps) in zip((*tensors, *grads), places, strict=True):
            differentiable = tensor.requires_grad and not running.went_backward
            if running.cuts(tensor, base):
                steps = (*steps, (ops.core.detach, {}))
            shared = len(members[id(base)]) > 1 and self._follows(tensor, base)
            if id(base) in inputs and self._follows(tensor, base) and id(tensor) not in map(id, grads):
                own = tensor.requires_grad and id(tensor) not in inputs
                results.append(Result(~inputs[id(base)], steps, own))
                continue
            source, steps = (base, steps) if shared else (tensor, ())
            if id(source) not in known:
                known[id(source)] = len(self.outputs)
                self.outputs.append(running.lift(source).value)
            results.append(Result(known[id(source)], steps, differentiable))
        return results

    def _follows(self, tensor: Tensor, base: Tensor) -> bool:
        """Whether the history of a tensor in the memory of `base` is none, or that of `base`."""
        return tensor is base or not tensor.requires_grad or self.trace._base(tensor)[0] is base

    def _state(self) -> list[tuple[int, int]]:
        """(input, output) of memory from outside that has a new value."""
        running = self.trace
        state: list[tuple[int, int]] = []
        for i, key in enumerate(running.inputs):
            memory = running.roots[key].memory
            if memory.version and memory.value.value is not memory.input:
                state.append((i, len(self.outputs)))
                self.outputs.append(memory.value.value)
        return state


def _refuse_iterators(spec: Any) -> None:
    """TraceError for a result that could be read only once; a number of the trace is needed itself."""
    if type(spec) is Number:
        raise NeedsValue(spec.places)
    if isinstance(spec, Iterator):
        raise TraceError(
            f"a compiled function cannot return a {type(spec).__name__}; return a list or tuple", user_loc()
        )
    for part in parts(spec):
        _refuse_iterators(part)


def _called(tensor: Tensor) -> str:
    return tensor.name or f"a tensor of {tensor.type}"


def strides_of(tensor: Tensor) -> tuple[int, ...] | None:
    """The strides of a tensor with values; None for one in row-major order."""
    return None if tensor._data.flags.c_contiguous else tensor._data.strides


def expr_of(tensor: Tensor) -> Expr | None:
    """The expression of a traced tensor, None for one with values."""
    return tensor._expr


def raw_grad(tensor: Tensor) -> Tensor | Consumed | None:
    """`grad` without the question whether it may be read."""
    return tensor._grad


def set_raw_grad(tensor: Tensor, grad: Tensor | Consumed | None) -> None:
    tensor._grad = grad


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
    inputs. Errors of the function pass through; no tensor from outside is changed, nor its gradient."""
    if mode.trace is not None:
        raise TraceError("a trace is running already", user_loc())
    joined: frozenset[int] = frozenset()
    grad = mode.grad
    while True:
        mode.trace = running = Trace(gradients, joined, Builder(name))
        try:
            for tensor, hint in zip(tensors, names, strict=True):
                running.argument(tensor, hint)
            return running.build(function(*args, **kwargs))
        except Joined as again:
            joined |= {again.storage}
        except ShapeError as error:
            raise error if error.loc else ShapeError(str(error), user_loc()) from None
        finally:
            mode.trace, mode.grad = None, grad
            running.restore()
