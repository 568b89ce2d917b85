# pyright: reportPrivateUsage=false
"""One signature of a compiled function: what was traced, what runs, and when that is still right."""

from __future__ import annotations

import types
import weakref
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Protocol

from tinytorch.compiled.calls import Calls, Vjp
from tinytorch.compiled.signature import NumberSlot
from tinytorch.frontend.guards import Guards
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import grad_mode
from tinytorch.frontend.tensor.mode import Consumed, mode
from tinytorch.frontend.tensor.storage import Storage, along, version_of
from tinytorch.frontend.tensor.tape import SPENT
from tinytorch.frontend.tracing.traced import Leaf, Result, Traced, raw_grad, set_raw_grad, strides_of
from tinytorch.frontend.tree import Fields, Slot, is_container, parts
from tinytorch.ir.arrays.memory import overlaps
from tinytorch.ir.ops.core import constant
from tinytorch.ir.types import DType
from tinytorch.runtime import memory

# Bytes of one node of a trace and what passes make of it, and of what LLVM keeps for each piece of code that is loaded.
# The code itself counts twice: as an object file and as what is mapped.
_NODE_BYTES, _CODE_BYTES = 2048, 128 << 10
CONSUMED = Consumed()  # in the place of a gradient that a call has used up
_LONGEST_STATIC = 40  # characters of a static argument in the text of a signature
_SPELLED = (str, bytes, int, float, complex, slice, range, types.NoneType, Enum, DType)  # those that are written out


class Owner(Protocol):
    """Who has specializations."""

    def forget(self, item: Specialization) -> None:
        """Let go of one of them."""
        ...


def is_single(traced: Traced) -> bool:
    """Whether what the machine code returns is the result of the call as it is."""
    plain = traced.results in ((Result(0, (), False),), (Result(0, (), False, spent=True),))
    return plain and traced.result == Slot(0) and not traced.effects.kept


def release_gradients(traced: Traced, known: Collection[int]) -> Traced:
    """`traced` without the tensors that it found in `grad` of leaves: each call looks there for those of its own. Only
    those that Python code reaches in another way too, and are `known` by id, are guarded by identity."""
    count = len(traced.grad_inputs)
    free = {id(grad) for grad in traced.captured[:count]}.difference(known)
    guards = tuple((leaf, grad) for leaf, grad in traced.grad_guards if id(grad) not in free)
    return replace(traced, captured=traced.captured[count:], grad_guards=guards)


def with_gradients(calls: Calls, leaves: Sequence[Leaf]) -> Calls:
    """Calls that take the arguments alone and add what is in `grad` of the leaves."""
    fast, careful = calls.fast, calls.careful
    return replace(
        calls,
        fast=lambda *args: fast(*args, *found_gradients(leaves, args)),
        careful=lambda *args: careful(*args, *found_gradients(leaves, args)),
    )


def tensor_at(leaf: Leaf, args: Sequence[Tensor]) -> Tensor:
    """A leaf of a call: an argument, by its number, or a captured tensor."""
    return args[leaf] if isinstance(leaf, int) else leaf


def found_gradients(leaves: Sequence[Leaf], args: Sequence[Tensor]) -> list[Any]:
    """What is in `grad` of each leaf."""
    # As `tensor_at` does, but without a call for each leaf: this is on the way of every call.
    return [(args[leaf] if isinstance(leaf, int) else leaf)._grad for leaf in leaves]


def tensor_of(result: Result, outputs: Sequence[Tensor], inputs: Sequence[Tensor]) -> Tensor:
    """A tensor among the results; a view shares memory with what it is a view of, as in eager mode."""
    made = outputs[result.source] if result.source >= 0 else inputs[~result.source]
    if result.steps:
        with grad_mode(result.differentiable):
            made = along(result.steps, made)
    if result.spent:
        made._node, made._requires_grad = SPENT, True
    return made.requires_grad_() if result.leaf else made


@dataclass(eq=False)
class Specialization:
    """One traced and compiled signature of a function; `traced` without the gradients that it found. `owner` has it,
    and lets go of it."""

    owner: weakref.ref[Owner]
    traced: Traced
    calls: Calls
    guards: Guards
    grad_mode: bool
    autocast: DType | None
    flags: tuple[bool, ...]  # which argument tensors required grad
    pinned: tuple[tuple[int, Tensor], ...]  # argument tensors that Python code reaches in another way too
    overlaps: frozenset[tuple[int, int]]  # inputs that shared memory, one of which is written: that was no obstacle
    frozen: tuple[tuple[Tensor, Storage, int], ...]  # captured tensors that are constants, as they were
    grad_flags: tuple[bool, ...]  # which gradients that the trace found required grad
    accepts: Any  # the arguments, with the numbers of inputs in the place of those
    gradients: dict[int, Vjp] = field(default_factory=dict[int, Vjp])  # by output

    def __post_init__(self) -> None:
        traced = self.traced
        captured = traced.captured
        self.captured = frozenset(map(id, captured))
        self.grad_guards = tuple((leaf, grad) for leaf, grad in traced.grad_guards if isinstance(leaf, Tensor))
        self.argument_guards = tuple((leaf, grad) for leaf, grad in traced.grad_guards if isinstance(leaf, int))
        state = {i for i, _ in traced.graph.state}
        watched = [
            t
            for i, t in enumerate(captured, traced.arguments + len(traced.grad_inputs))
            if t.dtype.is_float and (t.requires_grad or i not in state)
        ]
        views = [t for t in watched if t._alias is not None and not t._alias.cut]
        own = [t for t in watched if t._alias is None or t._alias.cut]
        self.active = tuple(t for t in own if t._requires_grad)
        self.passive = tuple(t for t in own if not t._requires_grad)
        self.views = tuple((t, t.requires_grad) for t in views)
        self.picky = bool(self.pinned or self.argument_guards or traced.grad_inputs) or any(self.flags)
        self.taken: tuple[tuple[int, ...], frozenset[int]] = ((), self.captured)  # ids of gradients, and of all tensors
        self.rare = bool(self.views or self.frozen or traced.joined or self.grad_guards)
        self.row_major = all(strides is None for _, strides in traced.layouts)
        effects = traced.effects
        self.single = is_single(traced)
        self.used_up = tuple(leaf for leaf in effects.consumed if isinstance(leaf, Tensor))
        used_arguments = len(self.used_up) < len(effects.consumed)
        self.does_more = bool(used_arguments or effects.dropped or effects.flags or self.guards.left)
        self.plain = self.single and not (effects.consumed or self.does_more)
        self.touch()

    def touch(self) -> None:
        """It is used now, if not by machine code, which takes note itself."""
        self._used = memory.tick()

    @property
    def used(self) -> int:
        """When it was used last, by the clock of `runtime/memory.py`."""
        return max(self._used, memory.last_use(self.calls.fast))

    @property
    def bytes(self) -> int:
        """What it keeps in memory: constants, among them frozen weights and what was folded, code, graphs, guards."""
        compiled = [self.calls, *(calls for vjp in self.gradients.values() for calls in vjp.all_calls())]
        graphs = [self.traced.graph, *(calls.graph for calls in compiled)]
        nodes = [node for graph in graphs for node in graph.nodes]
        constants = {id(node.attrs["value"]): node.attrs["value"].nbytes for node in nodes if node.op is constant}
        code = sum(2 * size + _CODE_BYTES for calls in compiled if (size := getattr(calls.executable, "code_bytes", 0)))
        return sum(constants.values()) + code + _NODE_BYTES * len(nodes) + self.guards.bytes

    def drop(self) -> None:
        """Have the owner let go of it."""
        owner = self.owner()
        if owner is not None:
            owner.forget(self)

    @property
    def signature(self) -> str:
        """What it takes, as text: `f32[64,784], i64[64], True`."""
        args, kwargs = self.accepts
        named = [f"{name}={self._described(item)}" for name, item in kwargs.items()]
        return ", ".join([*map(self._described, args), *named])

    def _described(self, item: Any) -> str:
        if isinstance(item, Slot):
            return str(self.traced.graph.inputs[item.index].type)
        if isinstance(item, NumberSlot):
            return item.kind.__name__
        if isinstance(item, Fields) or is_container(item):
            return f"({', '.join(map(self._described, parts(item)))})"
        text = repr(item) if isinstance(item, _SPELLED) else ""  # what is of another class may say anything, or raise
        return text if 0 < len(text) <= _LONGEST_STATIC else f"<{type(item).__name__}>"

    @property
    def differentiable(self) -> bool:
        """Whether backward() outside of the graph may ask for its gradient."""
        return any(r.differentiable and r.source >= 0 for r in self.traced.results)

    def takes(self, args: tuple[Any, ...]) -> bool:
        """Whether these are tensors that require grad as they did then; the call checks shapes and dtypes itself."""
        if len(args) != len(self.flags):
            return False
        for tensor, flag in zip(args, self.flags):  # noqa: B905 (the lengths are equal)
            if type(tensor) is not Tensor:
                return False
            wants = tensor._requires_grad if tensor._alias is None else tensor.requires_grad
            if wants is not flag:
                return False
        return not self.picky or self.fits(args)

    def inputs(self, args: Sequence[Tensor]) -> tuple[Any, ...]:
        """The inputs of the graph in a call."""
        return (*args, *found_gradients(self.traced.grad_inputs, args), *self.traced.captured)

    def leave(self, args: Sequence[Tensor]) -> None:
        """What a call does beside its results and the gradients that it keeps: flags, gradients that it drops or uses
        up, and attributes that the function sets."""
        effects = self.traced.effects
        for leaf, flag in effects.flags:
            tensor_at(leaf, args).requires_grad_(flag)
        for leaf in effects.dropped:
            set_raw_grad(tensor_at(leaf, args), None)
        for leaf in effects.consumed:
            set_raw_grad(tensor_at(leaf, args), CONSUMED)
        for owner, name, value in self.guards.left:
            if getattr(owner, name, None) is not value:
                setattr(owner, name, value)

    def fits(self, args: Sequence[Tensor]) -> bool:
        """Whether the arguments are different tensors; those that Python code reaches in another way are where they
        were, and only there; and there are gradients where the function found some."""
        ids = set(map(id, args))
        return (
            len(ids) == len(args)
            and (not self.traced.grad_inputs or self._finds_gradients(args))
            and self.taken[1].isdisjoint(ids)
            and all(args[i] is tensor for i, tensor in self.pinned)
            and not (self.traced.went_backward and any(t._requires_grad and (t._hooks or not t.is_leaf) for t in args))
            and all(raw_grad(args[i]) is grad for i, grad in self.argument_guards)
        )

    def _finds_gradients(self, args: Sequence[Tensor]) -> bool:
        """Whether the gradients that the function reads are there, require grad as they did, and are tensors that it
        reaches in no other way."""
        found = found_gradients(self.traced.grad_inputs, args)
        for grad, wanted in zip(found, self.grad_flags, strict=True):
            if not isinstance(grad, Tensor) or grad.requires_grad is not wanted:
                return False
            if wanted and self.traced.went_backward and not grad.is_leaf:
                return False
        ids = tuple(map(id, found))
        if ids != self.taken[0]:
            apart = len(set(ids)) == len(ids) and self.captured.isdisjoint(ids)
            self.taken = (ids, self.captured.union(ids)) if apart else self.taken
            return apart
        return True

    def lies(self, args: Sequence[Tensor]) -> bool:
        """Whether the inputs whose strides matter have those that they had."""
        inputs = self.inputs(args)
        return all(strides_of(inputs[i]) == strides for i, strides in self.traced.layouts)

    def shared(self, args: Sequence[Tensor]) -> frozenset[tuple[int, int]]:
        """Pairs of inputs that share memory now, of which the first is written."""
        written = {i for i, _ in self.traced.graph.state}
        return overlaps([t._data for t in self.inputs(args)], written)

    def typed(self, args: Sequence[Tensor]) -> bool:
        """Whether the captured tensors have the types that they had."""
        pairs = zip(self.inputs(args), self.traced.graph.inputs, strict=True)
        return bool(self.frozen) or all(t is not None and t.type == v.type for t, v in pairs)

    def outdated(self) -> str | None:
        """Which frozen tensor was changed, so that these constants will never be right again; or None."""
        changed = next((t for t, *was in self.frozen if [t._storage, version_of(t)] != was), None)
        return None if changed is None else f"a frozen tensor was changed: {changed.name or changed.type}"

    def current(self) -> bool:
        """Whether this is still right but for arguments, flags of gradients, and whether they are on: what Python holds
        and the captured tensors' types are as they were."""
        captured = zip(self.traced.captured[::-1], self.traced.graph.inputs[::-1], strict=False)
        return (
            self.outdated() is None
            and (self.guards.unchanged() or self.guards.changed() is None)
            and all(tensor.type == value.type for tensor, value in captured)
        )

    def valid(self, same: bool = False) -> bool:
        """The quick look at everything but the arguments. `same`: what Python holds was looked at already."""
        unchanged = self.guards.unchanged  # a function in an attribute: quicker in two steps than as a method
        if self.grad_mode is not mode.grad or self.autocast is not mode.autocast or not (same or unchanged()):
            return False
        for tensor in self.active:
            if not tensor._requires_grad:
                return False
        for tensor in self.passive:
            if tensor._requires_grad:
                return False
        return not self.rare or self._rarely_valid()

    def still_valid(self) -> bool:
        """The slow look at what Python holds: something was set, but maybe nothing that was read."""
        return not self.guards.unchanged() and self.guards.changed() is None and self.valid(same=True)

    def _rarely_valid(self) -> bool:
        """What most specializations do not depend on."""
        for tensor, storage, version in self.frozen:
            if tensor._storage is not storage or storage.version != version:
                return False
        return (
            all(t.requires_grad is wants for t, wants in self.views)
            and all(t._storage is storage for t, storage in self.traced.joined)
            and all(raw_grad(leaf) is grad for leaf, grad in self.grad_guards)
        )
