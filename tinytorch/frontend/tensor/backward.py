"""The tape read backwards: from a tensor to the gradients of the leaves that it depends on."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from tinytorch.frontend.tensor import kernels
from tinytorch.frontend.tensor.autocasting import autocast_mode
from tinytorch.frontend.tensor.evaluation import wants_nan_checks
from tinytorch.frontend.tensor.gradient_hooks import Afterwards, GradientHook, Hook, Keep, apply_hooks
from tinytorch.frontend.tensor.mode import mode
from tinytorch.frontend.tensor.storage import version_of
from tinytorch.frontend.tensor.tape import Record, TapeInput, history_of, hooked, records
from tinytorch.ir.arrays.nans import NewNanError
from tinytorch.ir.errors import TinyTorchError, TraceError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.vjp import pullback


def leaf_of(tensor: Any) -> Any:
    """The tensor itself, whatever has happened to its values."""
    return tensor._known()


def key_of(tensor: Any) -> Hashable:
    """What names a value on the tape: the node that made it, or the leaf."""
    node = history_of(tensor)
    return id(leaf_of(tensor)) if node is None else node.key


def tape_of(root: Any) -> list[Record]:
    """The records that `root` was computed by, in order."""
    return records(TapeInput(root, history_of(root), version_of(root), True))


def leaf_gradients(root: Any, seed: Any, retain: bool, record: bool) -> list[tuple[Any, Any]]:
    """(leaf, cotangent) for every leaf that `root` depends on."""
    tape = tape_of(root)
    cotangents: dict[Any, Any] = {key_of(root): seed}
    before, mode.grad = mode.grad, record
    entered = _Entered()
    try:
        entered.enter = hooked(tape, cotangents)
        enter = entered if wants_nan_checks() else entered.enter
        with autocast_mode(None):  # cotangents are in the dtypes that values were computed in
            pullback(tape, cotangents, active=lambda x: x.requires_grad, key=key_of, at_once=at_once, enter=enter)
    except NewNanError as error:
        raise entered.told(error) from None
    finally:
        mode.grad = before
    leaves = {key_of(x): leaf_of(x) for r in tape for x in r.inputs if x.requires_grad and x.is_leaf}
    if root.is_leaf:
        leaves[key_of(root)] = root
    apply_hooks({key: leaf._hooks or [] for key, leaf in leaves.items()}, leaves, cotangents)
    if not retain:
        for r in tape:
            r.node.free()
    return [(leaf, cotangents[key]) for key, leaf in leaves.items() if key in cotangents]


@dataclass
class _Entered:
    """Knows which record's rules run, for an error in them."""

    enter: Callable[[Record], None] | None = None
    record: Record | None = None

    def __call__(self, record: Record) -> None:
        self.record = record
        if self.enter is not None:
            self.enter(record)

    def told(self, error: NewNanError) -> NewNanError:
        """The error with the op whose gradient it is, and its line."""
        if self.record is None:
            return error
        node = self.record.node
        line = "" if node.loc is None else f", {node.loc.describe()}"
        return NewNanError(f"{error.message}\n  in the gradient of {node.op.name}{line}", error.loc)


def at_once(cts: Sequence[Any], record: Record, indices: tuple[int, ...]) -> Sequence[Any] | None:
    """The cotangents of these operands, if a kernel gives them; gradients of gradients need the rules."""
    handed = kernels.slot.handed
    if handed is None or mode.grad or mode.reference or not kernels.large([x.type for x in record.inputs]):
        return None
    return handed.cotangents(cts, record, indices)


class CallsHooks:
    """What users register with tensors, for a backward pass to call."""

    __slots__ = ()

    _hooks: list[Hook] | None  # of a leaf

    def register_hook(self: Any, hook: Callable[[Any], Any]) -> GradientHook:
        """Call `hook(gradient)` when `backward()` has the gradient of this tensor; what it returns, if not None, takes
        the gradient's place. Eagerly only: TraceError in a compiled function. The handle removes it."""
        if mode.trace is not None:
            raise TraceError("hooks of gradients run in eager mode only; do this outside of tt.compile", user_loc())
        if not self.requires_grad:
            raise TinyTorchError("register_hook: this tensor does not require grad", user_loc())
        return self._with_hook(hook)

    def register_post_accumulate_grad_hook(self: Any, hook: Callable[[Any], Any]) -> GradientHook:
        """Call `hook(self)` whenever `backward()` has added to `grad` of this leaf, also in compiled functions. The
        handle removes it."""
        if mode.trace is not None:
            raise TraceError("hooks are registered outside of tt.compile", user_loc())
        if not (self.requires_grad and self.is_leaf):
            what = f"{self.type} is none" if self.is_leaf else f"{self.type} was computed"
            raise TinyTorchError(
                f"register_post_accumulate_grad_hook: for leaves that require grad, and {what}", user_loc()
            )
        return self._with_hook(Afterwards(hook))

    def _with_hook(self: Any, hook: Callable[[Any], Any]) -> GradientHook:
        node = history_of(self)
        if node is None:
            self._hooks = self._hooks or []
            found = self._hooks
        else:
            base = node if node.of is None else node.of
            base.hooks = base.hooks or {}
            found = base.hooks.setdefault(node.key, [])
        found.append(hook)
        handle = GradientHook(found, hook, id(self) if node is None else None)
        handle.tell()
        return handle

    def call_afterwards(self: Any, record: bool) -> None:
        """Call the hooks that wait for `grad`, of which gradients are recorded only if those of gradients are."""
        hooks: list[Hook] = self._hooks or []
        for hook in tuple(hooks):
            if isinstance(hook, Afterwards):
                before, mode.grad = mode.grad, record
                try:
                    hook.function(self)
                finally:
                    mode.grad = before

    def retain_grad(self: Any) -> None:
        """Have `backward()` leave the gradient of this tensor in `grad`, though it is no leaf."""
        if not self.is_leaf:
            self.register_hook(Keep(self))
