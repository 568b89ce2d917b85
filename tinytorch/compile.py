# pyright: reportPrivateUsage=false
"""`tt.compile`: joins trace, passes and runtime."""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import is_not
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import numpy as np

from tinytorch.calls import FROZEN_PIPELINE, Calls, frozen_graph, gradient_call, make_calls
from tinytorch.frontend.guards import Guards, Watch, freeze
from tinytorch.frontend.storage import Storage, along, overlaps
from tinytorch.frontend.tensor import Consumed, Tensor, mode, over, storage_of, version_of
from tinytorch.frontend.trace import Leaf, Result, TraceAgain, Traced, raw_grad, set_raw_grad, strides_of, trace
from tinytorch.frontend.tree import Slot, flatten, unflatten
from tinytorch.ir import ops
from tinytorch.ir.errors import CompileError, TinyTorchError, TraceError
from tinytorch.ir.graph import Graph
from tinytorch.ir.loc import user_loc
from tinytorch.ir.reference import evaluate
from tinytorch.passes.autodiff import append_gradients
from tinytorch.passes.pipeline import PassRecord
from tinytorch.runtime.llvm.pycall_spec import MISMATCH

if TYPE_CHECKING:
    from tinytorch.blame import Lockstep
    from tinytorch.explain import Report

Backend = Literal["llvm", "interpreter"]
BACKENDS = ("llvm", "interpreter")
MAX_SPECIALIZATIONS = 64  # per compiled function; the least recently used one is dropped
_CONSUMED = Consumed()
_log = logging.getLogger("tinytorch")


def compile(function: Callable[..., Any], *, backend: Backend | None = None, freeze: bool = False) -> Compiled:
    """A callable with the signature of `function` (a model, a function, a whole training step) that runs as one
    compiled graph.

    On the first call with new shapes, dtypes or static arguments, Python runs once with traced tensors; after that,
    the graph runs. `backend` is "llvm" (machine code) or "interpreter" (numpy); by default TT_BACKEND, or "llvm".
    With TT_NANS=1 the graph runs on the interpreter, which names the line that makes the first NaN.

    With `freeze`, for inference, captured tensors are constants of the graph: batch normalisation is folded into the
    weights, and those are laid out as the kernels want them, once. Changing such a tensor (`copy_`, an optimizer's
    step, assigning `data`) compiles anew in the next call; writing into its numpy array is not seen. CompileError if
    the function itself changes one.
    """
    chosen = backend or os.environ.get("TT_BACKEND") or "llvm"
    if chosen not in BACKENDS:
        raise CompileError(f"backend is one of {', '.join(BACKENDS)}, got {chosen!r}")
    if not callable(function):
        raise TypeError(f"tt.compile takes a function or a model, got {type(function).__name__}")
    return Compiled(function, chosen, freeze)


def verify(
    function: Callable[..., Any], *args: Any, folder: str = "tt-verify", freeze: bool = False, **kwargs: Any
) -> Lockstep:
    """Run `function(*args, **kwargs)` eagerly, by the interpreter after each pass of `tt.compile(function,
    freeze=freeze)`, and as machine code, and compare what they give.

    Everything is afterwards as it was. VerifyError names what is wrong (the trace, a pass, a kernel) and the first node
    that differs; a reproducer is in `folder`.
    """
    from tinytorch.lockstep import verify

    return verify(function, *args, folder=folder, freeze=freeze, **kwargs)


@dataclass
class Specialization:
    """One traced and compiled signature of a function."""

    traced: Traced
    calls: Calls
    guards: Guards
    grad_mode: bool
    flags: tuple[bool, ...]  # which argument tensors required grad
    pinned: tuple[tuple[int, Tensor], ...]  # argument tensors that Python code reaches in another way too
    overlaps: frozenset[tuple[int, int]]  # inputs that shared memory, one of which is written: that was no obstacle
    frozen: tuple[tuple[Tensor, Storage, int], ...]  # captured tensors that are constants, as they were
    gradients: dict[int, Callable[..., Any]] = field(default_factory=dict[int, Callable[..., Any]])

    def __post_init__(self) -> None:
        traced = self.traced
        captured = traced.captured
        self.captured = frozenset(map(id, captured))
        self.grad_guards = tuple((leaf, grad) for leaf, grad in traced.grad_guards if isinstance(leaf, Tensor))
        self.argument_guards = tuple((leaf, grad) for leaf, grad in traced.grad_guards if isinstance(leaf, int))
        state = {i for i, _ in traced.graph.state}
        watched = [
            t
            for i, t in enumerate(captured, traced.arguments)
            if t.dtype.is_float and (t.requires_grad or i not in state)
        ]
        self.active = tuple(t for t in watched if t.requires_grad)
        self.passive = tuple(t for t in watched if not t.requires_grad)
        self.picky = bool(self.pinned or self.argument_guards) or any(self.flags)
        self.row_major = all(strides is None for _, strides in traced.layouts)
        effects, only = traced.effects, traced.results == (Result(0, (), False),)
        self.single = traced.result == Slot(0) and only and not effects.kept
        self.plain = self.single and not (effects.dropped or effects.consumed or self.guards.left)

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

    def fits(self, args: Sequence[Tensor]) -> bool:
        """Whether the arguments are different tensors; those that Python code reaches in another way are where they
        were, and only there; and those whose gradient the function reads have the gradient that they had."""
        ids = set(map(id, args))
        return (
            len(ids) == len(args)
            and self.captured.isdisjoint(ids)
            and all(args[i] is tensor for i, tensor in self.pinned)
            and all(raw_grad(args[i]) is grad for i, grad in self.argument_guards)
        )

    def lies(self, args: Sequence[Tensor]) -> bool:
        """Whether the inputs whose strides matter have those that they had."""
        inputs = (*args, *self.traced.captured)
        return all(strides_of(inputs[i]) == strides for i, strides in self.traced.layouts)

    def shared(self, args: Sequence[Tensor]) -> frozenset[tuple[int, int]]:
        """Pairs of inputs that share memory now, of which the first is written."""
        written = {i for i, _ in self.traced.graph.state}
        return overlaps([t._data for t in (*args, *self.traced.captured)], written)

    def outdated(self) -> str | None:
        """Which frozen tensor was changed, so that these constants will never be right again; or None."""
        changed = next((t for t, *was in self.frozen if [t._storage, version_of(t)] != was), None)
        return None if changed is None else f"a frozen tensor was changed: {changed.name or changed.type}"

    def valid(self) -> bool:
        """The quick look at everything but the arguments."""
        if self.grad_mode is not mode.grad or not self.guards.unchanged():
            return False
        for tensor in self.active:
            if not tensor.requires_grad:
                return False
        for tensor in self.passive:
            if tensor.requires_grad:
                return False
        for tensor, storage, version in self.frozen:
            if tensor._storage is not storage or storage.version != version:
                return False
        for tensor, storage in self.traced.joined:
            if tensor._storage is not storage:
                return False
        guards = self.grad_guards
        return not guards or all(raw_grad(leaf) is grad for leaf, grad in guards)


class Compiled:
    """A compiled function. `graph` is the last graph that ran, after the passes; `traced_graph` the one before."""

    def __init__(self, function: Callable[..., Any], backend: Backend | str, frozen: bool = False) -> None:
        self.function = function
        self.backend = backend
        self.freezes = frozen
        self._name = getattr(function, "__name__", type(function).__name__)
        self._known: OrderedDict[Any, list[Specialization]] = OrderedDict()
        self._hot: Specialization | None = None
        self._last: Specialization | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        hot = self._hot
        if hot is not None and not kwargs and mode.trace is None and hot.takes(args) and hot.valid():
            result = hot.calls.fast(*args)
            if result is not MISMATCH:
                return result if hot.plain else self._finish(hot, result, args)
        return self._call(args, kwargs)

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The general call: containers, arrays, new signatures."""
        if mode.trace is not None:
            return self.function(*args, **kwargs)
        leaves: list[Any] = []
        spec = flatten((args, kwargs), leaves, _is_tensor)
        tensors = [x if isinstance(x, Tensor) else over(x) for x in leaves]
        unique = list({id(t): t for t in tensors}.values())
        index = {id(t): i for i, t in enumerate(unique)}
        pattern = tuple(index[id(t)] for t in tensors)
        flags = tuple(t.requires_grad for t in unique)
        key = (freeze(spec), pattern, tuple(t.type for t in unique), flags, mode.grad)
        found = self._find(key, unique) or self._specialize(key, spec, tensors, unique)
        result = MISMATCH if self._runs_eagerly(found) else found.calls.fast(*unique)
        if result is MISMATCH and found.shared(unique) - found.overlaps:
            found = self._find(key, unique, apart=False) or self._specialize(key, spec, tensors, unique)
        self._last = found
        if self._runs_eagerly(found):
            _log.debug("%s runs eagerly: it changes state and its result is differentiated outside", self._name)
            args, kwargs = unflatten(spec, tensors)
            return self.function(*args, **kwargs)
        if found.row_major and spec == (tuple(map(Slot, range(len(unique)))), {}) and len(unique) == len(leaves):
            self._hot = found if all(type(x) is Tensor for x in leaves) else self._hot
        if result is MISMATCH:
            result = found.calls.careful(*unique)
        if result is MISMATCH:
            self._explain_failure(found, unique)
        return self._finish(found, result, unique)

    @staticmethod
    def _runs_eagerly(item: Specialization) -> bool:
        return item.differentiable and bool(item.traced.graph.state)

    def _explain_failure(self, item: Specialization, args: Sequence[Tensor]) -> NoReturn:
        """Raise what the reference raises where a guard of the graph failed; nothing has been changed."""
        evaluate(item.traced.graph, [t.data for t in (*args, *item.traced.captured)])
        raise CompileError(f"{self._name}: a captured tensor no longer has the dtype or shape that was compiled for")

    def _find(self, key: Any, args: Sequence[Tensor], apart: bool = True) -> Specialization | None:
        """A specialization that fits the key, and what Python holds now; and where the inputs are not `apart` in
        memory, one that was made for that."""
        reason = "the first call" if not self._known else "a new signature"
        for item in tuple(self._known.get(key, ())):
            outdated = item.outdated()
            if outdated is not None:
                self._known[key].remove(item)
                reason = outdated
                continue
            changed = None if item.guards.unchanged() else item.guards.changed()
            if changed is None and not (item.valid() and item.fits(args)):
                changed = "another tensor is captured or requires grad, or a gradient is there that was not"
            if changed is None and not (item.lies(args) and (apart or not item.shared(args) - item.overlaps)):
                changed = "the arguments lie elsewhere in memory"
            if changed is None:
                self._known.move_to_end(key)
                return item
            reason = changed
        if "recompiles" in os.environ.get("TT_LOGS", "").split(","):
            print(f"[tinytorch] compiling {self._name}: {reason}", flush=True)
        return None

    def _specialize(self, key: Any, spec: Any, leaves: Sequence[Tensor], tensors: Sequence[Tensor]) -> Specialization:
        watch = Watch()
        args, kwargs = unflatten(spec, leaves)
        names = [t.name or f"x{i}" for i, t in enumerate(tensors)]
        try:
            with watch.running(self.function, spec):
                traced = trace(self.function, args, kwargs, tensors, names, append_gradients, self._name)
        except TraceAgain:
            return self._specialize(key, spec, leaves, tensors)
        after: list[Any] = []
        if flatten((args, kwargs), after, _is_tensor) != spec or any(map(is_not, after, leaves)):
            raise TraceError(
                f"{self._name} changes a container among its arguments; compiled, that would change a copy. Return "
                "what is new instead"
            )
        guards = Guards(watch, traced.arrays, self.freezes)
        found = self._build(traced, guards, tensors)
        entries = self._known.setdefault(key, [])
        entries.append(found)
        del entries[:-8]
        while len(self._known) > MAX_SPECIALIZATIONS:
            self._known.popitem(last=False)
        return found

    def _build(self, traced: Traced, guards: Guards, args: Sequence[Tensor]) -> Specialization:
        if self.freezes:
            frozen = tuple((tensor, storage_of(tensor), version_of(tensor)) for tensor in traced.captured)
            calls = make_calls(frozen_graph(traced), len(args), (), self.backend, FROZEN_PIPELINE)
        else:
            frozen = ()
            calls = make_calls(traced.graph, len(args), traced.captured, self.backend)
        flags = tuple(t.requires_grad for t in args)
        pinned = tuple((i, t) for i, t in enumerate(args) if id(t) in guards.tensors)
        found = Specialization(traced, calls, guards, mode.grad, flags, pinned, frozenset(), frozen)
        found.overlaps = found.shared(args)
        return found

    def _finish(self, item: Specialization, result: Any, args: Sequence[Any]) -> Any:
        """The nested result of a call, after its effects on gradients."""
        traced = item.traced
        effects = traced.effects

        def tensor(leaf: Leaf) -> Tensor:
            return args[leaf] if isinstance(leaf, int) else leaf

        for leaf in effects.dropped:
            set_raw_grad(tensor(leaf), None)
        for leaf in effects.consumed:
            set_raw_grad(tensor(leaf), _CONSUMED)
        for owner, name, value in item.guards.left:
            if vars(owner).get(name) is not value:
                setattr(owner, name, value)
        if item.single:
            return result
        outputs = [] if result is None else list(result) if isinstance(result, tuple) else [result]
        for leaf, i in effects.kept:
            set_raw_grad(tensor(leaf), outputs[i])
        inputs = (*args, *traced.captured)
        if mode.grad:
            for i in {r.source for r in traced.results if r.differentiable and r.source >= 0}:
                outputs[i] = self._differentiable(outputs[i], i, item, inputs)
        return unflatten(traced.result, [_result(r, outputs, inputs) for r in traced.results])

    def _differentiable(self, output: Tensor, index: int, item: Specialization, inputs: Sequence[Any]) -> Tensor:
        """`output` on the tape: its cotangent goes through the compiled gradient of the traced graph."""
        wrt = [i for i, t in enumerate(inputs) if t.requires_grad]
        if index not in item.gradients:
            item.gradients[index] = gradient_call(item.traced.graph, index, wrt, self.backend)
        call = item.gradients[index]

        versions = tuple(map(version_of, inputs))

        def backward(ct: Tensor) -> Sequence[Tensor | None]:
            if tuple(map(version_of, inputs)) != versions:
                raise TinyTorchError(f"backward: an input of {self._name} was changed in place since", user_loc())
            return call(*inputs, ct)

        return ops.core.apply(ops.core.custom_grad, output, *(inputs[i] for i in wrt), backward=backward)

    # Looking inside.
    @property
    def _shown(self) -> Specialization:
        if self._last is None:
            raise CompileError(f"{self._name} has not been called yet, so there is no graph to show")
        return self._last

    @property
    def graph(self) -> Graph:
        """The graph of the last call, after the passes."""
        return self._shown.calls.graph

    @property
    def traced_graph(self) -> Graph:
        """The graph of the last call, as it was traced."""
        return self._shown.traced.graph

    @property
    def passes(self) -> list[PassRecord]:
        """What each pass did to the graph of the last call."""
        return self._shown.calls.passes

    @property
    def executable(self) -> Any:
        """What ran in the last call."""
        return self._shown.calls.executable

    def explain(self, measure: bool = False) -> Report:
        """What each pass did to the graph of the last call, and each kernel against the roofline; see `Report`."""
        from tinytorch.explain import explain

        return explain(self, measure)

    def save_svg(self, path: str) -> None:
        """Draw the graph of the last call."""
        from tinytorch.ir.dot import save_svg

        save_svg(self.graph, path)

    def _repr_svg_(self) -> str:
        from tinytorch.ir.dot import to_svg

        return to_svg(self.graph)

    def __repr__(self) -> str:
        return f"Compiled({self._name}, backend={self.backend!r}, signatures={len(self._known)})"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.function, name)


def _is_tensor(x: Any) -> bool:
    return isinstance(x, (Tensor, np.ndarray))


def _result(result: Result, outputs: Sequence[Tensor], inputs: Sequence[Tensor]) -> Tensor:
    """A tensor among the results; a view shares memory with what it is a view of, as in eager mode."""
    base = outputs[result.source] if result.source >= 0 else inputs[~result.source]
    if not result.steps:
        return base
    recording, mode.grad = mode.grad, mode.grad and result.differentiable
    try:
        return along(result.steps, base)
    finally:
        mode.grad = recording
