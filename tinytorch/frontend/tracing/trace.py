# pyright: reportPrivateUsage=false
"""The world of a running trace: what traced tensors are, and what becomes of tensors from outside."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol

import numpy as np

from tinytorch.frontend.module.backward_hooks import note_hooks_of_leaves
from tinytorch.frontend.module.masks import note_masks
from tinytorch.frontend.module.scopes import during, scope, scopes
from tinytorch.frontend.module.tracked import recording
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.autocasting import autocast_mode
from tinytorch.frontend.tensor.gradient_hooks import Afterwards
from tinytorch.frontend.tensor.mode import Consumed, mode
from tinytorch.frontend.tensor.storage import (
    Steps,
    alias_of,
    along,
    base_of,
    is_view,
    layout_of,
    memory_of,
    put,
    settle,
    storage_of,
)
from tinytorch.frontend.tensor.tape import FREED, between
from tinytorch.frontend.tracing.arrays import Meetings
from tinytorch.frontend.tracing.records import Held, LeafGrad, Memory, Root
from tinytorch.frontend.tracing.traced import expr_of, raw_grad
from tinytorch.ir import ops
from tinytorch.ir.arrays.memory import overlap, owner
from tinytorch.ir.arrays.reference import evaluate_one
from tinytorch.ir.errors import TinyTorchError, TraceError, remember
from tinytorch.ir.expr import Expr
from tinytorch.ir.graph import Builder, Region, Value
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array, Attrs, Op, unpacked
from tinytorch.ir.text.titles import phase_of
from tinytorch.ir.types import dtype_of


class Joined(BaseException):
    """Raised where captured tensors in one storage depend on each other: start over with it as one input. It is nothing
    that a function may catch."""

    def __init__(self, storage: int) -> None:
        super().__init__()
        self.storage = storage
        remember(self)


class Gradients(Protocol):
    """The autodiff pass: appends the backward nodes of what a builder holds so far."""

    def __call__(self, builder: Builder, seeds: Mapping[Value, Value], wrt: Sequence[Value]) -> list[Value | None]: ...


_UNCHANGED: Attrs = {"backward": lambda ct: [ct]}  # of a custom_grad: the cotangent of its result


@dataclass
class Trace:
    """The world of a running trace; `gradients_pass` is the autodiff pass. Storages in `joined` are inputs as a whole,
    of which captured views are taken in the graph."""

    gradients_pass: Gradients
    joined: frozenset[int] = frozenset()
    builder: Builder = field(default_factory=Builder)
    roots: dict[int, Root] = field(default_factory=dict[int, Root])
    inputs: dict[int, Tensor] = field(default_factory=dict[int, Tensor])  # in the order of the builder's
    owners: dict[int, list[Root]] = field(default_factory=dict[int, "list[Root]"])  # of the inputs' memory
    made: dict[int, Tensor] = field(default_factory=dict[int, Tensor])  # of data, in the trace
    leaves: dict[int, Tensor] = field(default_factory=dict[int, Tensor])
    grads: dict[int, LeafGrad] = field(default_factory=dict[int, LeafGrad])
    relays: set[Value] = field(default_factory=set[Value])  # what leaves are after changes that they have no part in
    freed: set[Value] = field(default_factory=set[Value])  # by backward()
    flags: dict[int, tuple[Tensor, bool]] = field(default_factory=dict[int, tuple[Tensor, bool]])  # as they were
    layouts: set[int] = field(default_factory=set[int])
    members: dict[int, Tensor] = field(default_factory=dict[int, Tensor])  # captured, in joined storages
    arguments: int = 0
    meetings: Meetings = field(default_factory=Meetings)
    needed: frozenset[int] = frozenset()  # places of numbers whose values the function has asked for
    held: Held = field(default_factory=Held)
    again: bool = False  # Python state has been prepared: when the function returns, start over
    went_backward: bool = False  # then the tape is used up, as it would be in eager mode

    # Tensors from outside.
    def argument(self, tensor: Tensor, name: str) -> None:
        """Make an argument an input."""
        self._input(tensor, name)
        self.arguments += 1

    def _input(self, tensor: Tensor, name: str) -> Root:
        settle(tensor)
        value = self.builder.input(tensor.type, name)
        expr = Expr(self.builder, value)
        root = self.roots[id(tensor)] = Root(tensor, Memory(expr, value), (), expr, expr, 0)
        self.inputs[id(tensor)] = tensor
        neighbours = self.owners.setdefault(id(owner(tensor._data)), [])
        changed = [n for n in neighbours if n.memory.version and overlap(n.tensor._data, tensor._data)]
        root.memory.overwritten = changed[0].tensor if changed else None
        neighbours.append(root)
        if tensor.requires_grad:
            self.leaf(tensor)
        return root

    def _capture(self, tensor: Tensor) -> Root:
        base, steps = memory_of(tensor) if id(tensor._storage) in self.joined else (tensor, ())
        if base is tensor:
            return self._input(tensor, tensor.name or "state")
        self.members[id(tensor)] = tensor
        memory = self.root(base).memory
        expr = along(steps, memory.value)
        root = self.roots[id(tensor)] = Root(tensor, memory, steps, expr, expr, memory.version)
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
            memory = Memory(Expr(self.builder, self.builder.constant(np.array(tensor._data))), None)
        else:
            self.meetings.sources[id(tensor)] = met
            expr, memory = self.lift(met.tensor), self.roots[id(met.tensor)].memory
            if not np.may_share_memory(tensor._data, met.tensor._data):
                memory = Memory(expr, None)
        self.roots[id(tensor)] = Root(tensor, memory, (), memory.value, memory.value, memory.version)
        self.made[id(tensor)] = tensor

    def constant(self, array: Array) -> Tensor:
        return self._wrap(Expr(self.builder, self.builder.constant(array)))

    @staticmethod
    def _wrap(expr: Expr) -> Tensor:
        return Tensor.wrap(None, expr)  # pyright: ignore[reportArgumentType]

    # Values.
    def root(self, tensor: Tensor) -> Root:
        """The record of a tensor that is no view."""
        known = self.roots.get(id(tensor))
        if known is not None:
            return known
        expr = expr_of(tensor)
        if expr is None:
            return self._capture(tensor)
        root = self.roots[id(tensor)] = Root(tensor, Memory(expr, None), (), expr, expr, 0)
        return root

    def value(self, root: Root) -> Expr:
        """The value of a root now. Changes of its memory that were not its own have no part in its gradient."""
        memory = root.memory
        if memory.overwritten is not None:
            self._conflict(root.tensor, memory.overwritten)
        if root.version != memory.version:
            root.version, root.expr = memory.version, along(root.steps, memory.value)
            if root.tensor._requires_grad:
                root.expr = self._relay(root, root.expr)
        return root.expr

    def _relay(self, root: Root, expr: Expr) -> Expr:
        """`expr` with the history of `root`."""
        expr = expr.apply_op(ops.core.custom_grad, (expr, root.history), _UNCHANGED)
        if id(root.tensor) in self.leaves:
            self.relays.add(expr.value)
        return expr

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
        """Take a traced view anew if the memory of its base has changed since. It follows the history of its base only
        if the change gave that another one."""
        alias = tensor._alias
        root = None if alias is None or alias.cut else self.roots.get(id(alias.base))
        if root is None or alias is None:
            return
        now, seen, alias.seen = self.value(root), alias.seen, (root.memory.version, root.rebased)
        if seen == alias.seen:
            return
        if seen[1] != root.rebased:
            tensor._expr, tensor._requires_grad = along(alias.steps, now), alias.base.requires_grad
            return
        expr = along(alias.steps, along(root.steps, root.memory.value))
        history = (expr, tensor._expr)
        tensor._expr = expr.apply_op(ops.core.custom_grad, history, _UNCHANGED) if tensor._requires_grad else expr

    def _base(self, tensor: Tensor) -> tuple[Tensor, Steps]:
        """The root that a tensor is a view of, and the way from there; an input is no view."""
        outside = expr_of(tensor) is None and id(tensor._storage) not in self.joined
        return (tensor, ()) if outside or id(tensor) in self.roots else base_of(tensor)

    def apply(self, op: Op, operands: Sequence[Tensor], attrs: Attrs) -> Any:
        exprs = [self.lift(o) for o in operands]
        self.builder.loc = user_loc(scope(), self._phase(operands, exprs), scopes.part_of)
        made = self.builder.append(op, [e.value for e in exprs], attrs)
        return unpacked([self._result(Expr(self.builder, value), op, operands, exprs, attrs) for value in made.outputs])

    def _phase(self, operands: Sequence[Tensor], exprs: Sequence[Expr]) -> str:
        """What a new node is for. An update that users write themselves is told by what it reads: gradients, or what
        was made of them, where no gradients are recorded."""
        recorded = mode.grad and any(o.requires_grad for o in operands)
        if scopes.phase or scope() or recorded:
            return scopes.phase
        if self.went_backward and not mode.grad:
            return "update"
        makers = (self.builder.maker(e.value) for e in exprs)
        return "update" if any(m is not None and m.inputs and phase_of(m) != "forward" for m in makers) else ""

    def _result(self, expr: Expr, op: Op, operands: Sequence[Tensor], exprs: Sequence[Expr], attrs: Attrs) -> Tensor:
        """A result of an application as a tensor; `exprs` are the operands as they are now."""
        grad = expr.type.dtype.is_float and op is not ops.core.detach and any(o.requires_grad for o in operands)
        if grad and not mode.grad:
            expr, grad = expr.detach(), False
        out = self._wrap(expr)
        out._requires_grad = grad
        if op.put is not None and self._is_view(op, operands[0], attrs):
            self._alias(out, operands[0], op, attrs, tuple(exprs[1:]))
        return out

    def _is_view(self, op: Op, operand: Tensor, attrs: Attrs) -> bool:
        if op is ops.view.reshape:
            base, _ = memory_of(operand, self.inputs)
            if id(base) in self.inputs:
                self.layouts.add(id(base))
        return is_view(op, layout_of(operand), attrs)

    def _alias(self, out: Tensor, operand: Tensor, op: Op, attrs: Attrs, others: tuple[Expr, ...]) -> None:
        """Note that `out` lies in the memory of `operand`."""
        out._storage = storage_of(operand)
        out._alias = alias = alias_of(operand, op, attrs, self.inputs, others)
        if alias.cut:
            memory = self.root(alias.base).memory
            expr = out._expr
            self.roots[id(out)] = Root(out, memory, alias.steps, expr, expr, memory.version)
        else:
            root = self.roots.get(id(alias.base))
            alias.seen = (0, 0) if root is None else (root.memory.version, root.rebased)

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
            root.expr = self._relay(root, now)
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
        self.roots[id(tensor)] = Root(tensor, memory, alias.steps, expr, expr, memory.version)

    def cuts(self, tensor: Tensor, base: Tensor) -> bool:
        """Whether a tensor in the memory of `base` has a history of its own, as the result of detach()."""
        return tensor is not base and id(tensor) not in self.inputs and self._base(tensor)[0] is not base

    def hold(self, state: dict[str, Any], key: str, tensor: Tensor) -> None:
        """Have what will be under `key` at the end of the call written into `tensor`, which is there before."""
        if self.is_outside(tensor):
            self.held.keep(state, key, tensor)

    def before_call(self, tensor: Tensor) -> Array | None:
        """What a traced tensor holds if the call begins now, in memory of its own. None if that depends on arguments or
        on random numbers, or if the tensor lies in memory from outside."""
        if id(memory_of(tensor, self.inputs)[0]) in self.inputs:
            return None
        pairs = list(zip(self.builder.inputs, self.inputs.values(), strict=True))[self.arguments :]
        found = evaluate_one(self.builder, self.lift(tensor).value, {value: t._data for value, t in pairs})
        return None if found is None else np.array(found)

    @contextmanager
    def region(self) -> Generator[None, None, None]:
        """What is computed in the block is computed again for gradients, not kept."""
        outer = self.builder.region
        self.builder.region = Region(outer)
        try:
            yield
        finally:
            self.builder.region = outer

    # State.
    def update(self, tensor: Tensor, value: Tensor) -> None:
        """Write `value` over a tensor: a new value of its root, and of the memory that the root lies in."""
        tracked = mode.grad and (tensor.requires_grad or value.requires_grad)
        new = self.lift(value)
        self.builder.loc = user_loc("", self._phase([value], [new]), scopes.part_of)
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
            root.rebased += 1
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
        self.builder.loc = user_loc(phase="backward")
        with autocast_mode(None):
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

    def backward(self, tensor: Tensor, grad: Tensor, retain_graph: bool, create_graph: bool) -> None:
        self.went_backward = True
        note_masks()
        note_hooks_of_leaves(self.leaves.values())
        self._spend(self.lift(tensor).value, retain_graph or create_graph)
        wrt = list(self.leaves.values())
        for leaf, cotangent in zip(wrt, self.gradients(tensor, wrt, grad, create_graph), strict=True):
            if cotangent is None:
                continue
            if expr_of(leaf) is None and not leaf.is_leaf:
                raise TraceError(
                    f"backward() in a compiled function reaches {_called(leaf)}, which was computed outside of it; "
                    "compute it inside, detach() it, or call backward() on the result outside",
                    user_loc(),
                )
            hooks = leaf._hooks or ()
            if hooks and id(leaf) in list(self.inputs)[: self.arguments]:
                raise TraceError(
                    f"backward() in a compiled function reaches {_called(leaf)}, an argument that has hooks; they run "
                    "in eager mode only",
                    user_loc(),
                )
            if not all(isinstance(hook, Afterwards) for hook in hooks):
                raise TraceError(
                    f"backward() in a compiled function reaches {_called(leaf)}, which has hooks of its gradient; they "
                    "run in eager mode only",
                    user_loc(),
                )
            with during("backward"):
                leaf.accumulate_grad(cotangent)
            recorder = recording.recorder
            for hook in hooks:
                if recorder is not None:
                    recorder.read(hook, "function")
            leaf.call_afterwards(create_graph)

    def _spend(self, output: Value, retain: bool) -> None:
        """Refuse what an earlier backward() has freed, as eager mode does, and free what `output` depends on."""
        ends = self.relays | {self.roots[key].history.value for key in self.leaves}
        tape = between(self.builder.nodes, ends, output)
        if not tape.isdisjoint(self.freed):
            raise TinyTorchError(FREED, user_loc())
        if not retain:
            self.freed |= tape

    def _grad(self, tensor: Tensor) -> LeafGrad:
        known = self.grads.get(id(tensor))
        if known is None:
            grad = raw_grad(tensor)
            known = self.grads[id(tensor)] = LeafGrad(tensor, grad, grad)
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
        """Leave the flags of tensors from outside as they were, which a call sets among its effects, and the state of
        optimizers."""
        for tensor, was in self.flags.values():
            tensor._requires_grad = was
        self.held.restore()


def _called(tensor: Tensor) -> str:
    return tensor.name or f"a tensor of {tensor.type}"
