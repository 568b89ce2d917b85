# pyright: reportPrivateUsage=false
"""Compiled functions and modules: the call, its specializations, and what may be asked about them."""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
import types
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from os import PathLike
from time import perf_counter
from typing import TYPE_CHECKING, Any, NoReturn

from tinytorch import backend_names
from tinytorch.compiled.calls import Calls, Vjp, differentiable, frozen_graph, make_calls, spent
from tinytorch.compiled.compilations import Compilations
from tinytorch.compiled.options import Options
from tinytorch.compiled.reported import Reported
from tinytorch.compiled.signature import Form, Signature, Varying
from tinytorch.compiled.specialization import (
    CONSUMED,
    Specialization,
    is_single,
    release_gradients,
    tensor_at,
    tensor_of,
    with_gradients,
)
from tinytorch.compiled.stand_in import StandIn
from tinytorch.frontend.guards import Guards, Watch
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.autocasting import autocast_mode
from tinytorch.frontend.tensor.evaluation import wants_nan_checks
from tinytorch.frontend.tensor.mode import TraceAgain, mode
from tinytorch.frontend.tensor.storage import storage_of, version_of
from tinytorch.frontend.tracing import trace
from tinytorch.frontend.tracing.numbers import NeedsValue
from tinytorch.frontend.tracing.traced import Traced, ViewOfRun, set_raw_grad
from tinytorch.frontend.tree import unflatten
from tinytorch.ir.arrays.reference import evaluate
from tinytorch.ir.errors import CompileError, TinyTorchError, TraceError
from tinytorch.ir.graph import Graph
from tinytorch.ir.loc import user_loc
from tinytorch.ir.ops.index import dynamic_slice
from tinytorch.ir.system import locks
from tinytorch.passes.autocast import autocast
from tinytorch.passes.autodiff import append_gradients
from tinytorch.runtime import memory
from tinytorch.runtime.backend import MISMATCH

if TYPE_CHECKING:
    from tinytorch.artifacts.record import SavedFunction
    from tinytorch.insight.subject import Subject

MAX_ALIKE = 8  # specializations of one signature: a call may have to look at the guards of each
_log = logging.getLogger("tinytorch")


class _Failed(Exception):
    """A trace with numbers as inputs raised an error: maybe because one of them is no Python number."""


class Compiled(StandIn, Reported):
    """A compiled function, with its name and signature. `graph` is the last graph that ran, after the passes;
    `traced_graph` the one before. In a class it is a method, compiled for each object. Copies compile anew."""

    def __init__(self, function: Callable[..., Any], options: Options) -> None:
        self.function = function
        self.compile_options = options
        self._name = getattr(function, "__name__", type(function).__name__)
        self._known: dict[Any, list[Specialization]] = {}
        self._recent: Any = None  # the key that was looked for last
        self._hot: tuple[Specialization, Form | None] | None = None  # for calls of that form; None: tensors by position
        self._last: Specialization | None = None
        self._varying = Varying()
        self._compilations = Compilations(self._name)
        self.forget_parent()
        locks.renew_in_child(self)
        if isinstance(function, types.FunctionType):
            functools.update_wrapper(self, function)

    def forget_parent(self) -> None:
        """In a forked child, what another thread of the parent was compiling is compiled anew."""
        self._lock = threading.RLock()  # held by the thread that traces and compiles

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        known = self._hot
        if known is not None and mode.trace is None:
            hot, form = known
            tensors = form.tensors_of(args, kwargs) if form is not None else args if not kwargs else None
            if tensors is not None and hot.takes(tensors) and (hot.valid() or hot.still_valid()):
                try:
                    result = hot.calls.fast(*tensors)
                except MemoryError:
                    raise hot.calls.too_large() from None
                if result is not MISMATCH:
                    return result if hot.plain else self._finish(hot, result, tensors)
        return self._call(args, kwargs)

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The general call: containers, arrays, new signatures."""
        if mode.trace is not None:
            return self._uncompiled(args, kwargs)
        call = Signature(args, kwargs, self._varying)
        try:
            return self._run(call)
        except NeedsValue as error:
            call.fix(error.places)
            guessed = False
        except IndexError:
            if not (call.numbers and self._last is not None and self._moves(self._last)):
                raise
            return self._with_values(call, args, kwargs)
        except _Failed:
            call.fix(call.numbers)
            guessed = True
        try:
            return self._call(args, kwargs)
        except Exception:
            if guessed:  # it was not for the numbers
                call.release(call.numbers)
            raise

    def _with_values(self, call: Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The call with its numbers as static values, this once: a slice that begins at one of them did not lie in its
        axis. It is shorter then, which takes another graph, or an error. Nothing has been changed."""
        call.fix(call.numbers)
        try:
            return self._call(args, kwargs)
        finally:
            call.release(call.numbers)

    def _run(self, call: Signature) -> Any:
        tensors = call.tensors
        found = self._last = self._ready(call)
        result = MISMATCH if self._runs_eagerly(found) else found.calls.call(tensors)
        if result is MISMATCH and found.shared(tensors) - found.overlaps:
            found = self._last = self._ready(call, apart=False)
        if self._runs_eagerly(found):
            _log.debug("%s runs eagerly: it changes state and its result is differentiated outside", self._name)
            return self._uncompiled(*call.arguments())
        form = call.form if found.row_major else None
        if form is not None:
            self._hot = (found, form if form.static or form.names else None)
        if result is MISMATCH:
            result = found.calls.call(tensors, carefully=True)
        if result is MISMATCH:
            self._explain_failure(found, tensors)
        return self._finish(found, result, tensors)

    def _uncompiled(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The function itself, in its own program or as a part of one that is traced."""
        with autocast_mode(self.compile_options.autocast or mode.autocast):
            return self.function(*args, **kwargs)

    def _moves(self, item: Specialization) -> bool:
        """Whether a graph was run that has slices at places which are known when it runs."""
        return not self._runs_eagerly(item) and any(
            n.op is dynamic_slice or "axes" in n.attrs
            for n in item.traced.graph.nodes
            if n.op.kind in ("index", "update")
        )

    @staticmethod
    def _runs_eagerly(item: Specialization) -> bool:
        return item.differentiable and bool(item.traced.graph.state)

    def _explain_failure(self, item: Specialization, args: Sequence[Tensor]) -> NoReturn:
        """Raise what the reference raises where a guard of the graph failed; nothing has been changed."""
        evaluate(item.traced.graph, [t.data for t in item.inputs(args)])
        raise CompileError(f"{self._name}: a captured tensor no longer has the dtype or shape that was compiled for")

    def _ready(self, call: Signature, apart: bool = True) -> Specialization:
        """The specialization for a call. Of several threads that need a new one, one makes it and the others wait;
        who needs one that is there does not."""
        found = self._find(call, apart)
        if isinstance(found, str):
            with self._lock:
                found = self._find(call, apart)
                if isinstance(found, str):
                    found = self._compiled_for(call, found)
        return found

    def _compiled_for(self, call: Signature, reason: str) -> Specialization:
        """A new specialization; why it was needed is kept for reports."""
        self._compilations.announce(reason, again=bool(self._known))
        start = perf_counter()
        made = self._specialize(call)
        self._compilations.keep(made, reason, start)
        return made

    def _find(self, call: Signature, apart: bool) -> Specialization | str:
        """A specialization for the call that fits what Python holds now; and where the inputs are not `apart` in
        memory, one that was made for that. Else the reason why there is none."""
        key, args = call.key, call.tensors
        reason = call.difference(self._recent) if self._recent is not None else "the first call"
        for item in tuple(self._known.get(key, ())):
            changed = item.outdated()
            if changed is None and not item.guards.unchanged():
                changed = item.guards.changed()
            if changed is None and not item.typed(args):
                changed = "a captured tensor has another dtype or shape"
            if changed is None and not (item.valid(same=True) and item.fits(args)):
                changed = "another tensor is captured or requires grad, or a gradient is there that was not"
            if changed is None and not (item.lies(args) and (apart or not item.shared(args) - item.overlaps)):
                changed = "the arguments lie elsewhere in memory"
            if changed is None:
                self._recent = key
                item.touch()
                return item
            reason = changed
        return reason

    def _specialize(self, call: Signature) -> Specialization:
        watch = Watch()
        args, kwargs, same = call.traced_arguments()
        names = [t.name or f"x{i}" for i, t in enumerate(call.tensors)]
        try:
            with watch.running(self.function, call.spec):
                traced = trace(self.function, args, kwargs, call.tensors, names, append_gradients, self._name)
        except TraceAgain:
            return self._specialize(call)
        except ViewOfRun as error:
            if call.numbers:
                raise _Failed from error
            raise
        except TinyTorchError:
            raise
        except Exception as error:
            if call.numbers:
                raise _Failed from error
            raise
        if self.compile_options.autocast is not None:
            narrow = autocast(traced.graph, self.compile_options.autocast, set(traced.variables.values()))
            traced = replace(traced, graph=narrow)
        if call.numbers and watch.asks_type:
            raise NeedsValue(call.numbers)
        if not same():
            raise TraceError(
                f"{self._name} changes a container among its arguments; compiled, that would change a copy. Return "
                "what is new instead"
            )
        found = self._build(traced, Guards(watch, traced.arrays, self.compile_options.freeze), call)
        entries = self._known.setdefault(call.key, [])
        for item in [item for item in entries if item.outdated() is not None]:
            self.forget(item)
        if len(entries) >= MAX_ALIKE:
            self.forget(min(entries, key=lambda item: item.used))
        self._known.setdefault(call.key, entries).append(found)
        self._recent = call.key
        memory.holdings.enter(found)
        return found

    def forget(self, item: Specialization) -> None:
        """Let go of a specialization; a call that needs it compiles anew."""
        for key, entries in tuple(self._known.items()):
            with contextlib.suppress(ValueError):  # another thread may have been faster
                entries.remove(item)
            if not entries:
                self._known.pop(key, None)
        if self._hot is not None and self._hot[0] is item:
            self._hot = None
        if self._last is item:
            self._last = None

    def _build(self, traced: Traced, guards: Guards, call: Signature) -> Specialization:
        args, options = call.tensors, self.compile_options
        wrap = spent if is_single(traced) and traced.results[0].spent else Tensor.wrap
        leaves = () if options.freeze else traced.grad_inputs
        grad_flags = tuple(t.requires_grad for t in traced.captured[: len(leaves)])
        if options.freeze:
            frozen = tuple((tensor, storage_of(tensor), version_of(tensor)) for tensor in traced.captured)
            calls = make_calls(frozen_graph(traced), len(args), (), options, wrap)
            traced = replace(traced, grad_inputs=())
        else:
            frozen = ()
            traced = release_gradients(traced, guards.tensors)
            calls = make_calls(traced.graph, len(args) + len(leaves), traced.captured, options, wrap)
            calls = with_gradients(calls, leaves) if leaves else calls
        pinned = tuple((i, t) for i, t in enumerate(args) if id(t) in guards.tensors)
        shared = frozenset[tuple[int, int]]()
        how = (mode.grad, mode.autocast, call.flags, pinned, shared, frozen, grad_flags, call.accepts)
        found = Specialization(weakref.ref(self), traced, calls, guards, *how)
        found.overlaps = found.shared(args)
        return found

    def _finish(self, item: Specialization, result: Any, args: Sequence[Any]) -> Any:
        """The nested result of a call, after its effects on gradients."""
        for leaf in item.used_up:
            leaf._grad = CONSUMED
        if item.single and not item.does_more:  # as most training steps
            return result
        traced = item.traced
        inputs = item.inputs(args)
        item.leave(args)
        if item.single:
            return result
        outputs = [] if result is None else list(result) if isinstance(result, tuple) else [result]
        for leaf, kept in traced.effects.kept:
            set_raw_grad(tensor_at(leaf, args), tensor_of(kept, outputs, inputs))
        for i in {r.source for r in traced.results if r.differentiable and r.source >= 0}:
            outputs[i] = self._differentiable(outputs[i], i, item, inputs)
        return unflatten(traced.result, [tensor_of(r, outputs, inputs) for r in traced.results])

    def _differentiable(self, output: Tensor, index: int, item: Specialization, inputs: Sequence[Any]) -> Tensor:
        """`output` on the tape: its cotangent goes through the compiled gradient of the traced graph."""
        wrt = [i for i, t in enumerate(inputs) if t.requires_grad]

        def vjp() -> Vjp:
            if index not in item.gradients:
                graph = item.traced.graph
                variables = [item.traced.variables.get(i, graph.inputs[i]) for i in wrt]
                item.gradients[index] = Vjp(graph, index, variables, self.compile_options)
                memory.holdings.enter(item)  # it is larger now
            return item.gradients[index]

        return differentiable(output, vjp, inputs, wrt, self._name)

    @property
    def interruptible(self) -> bool:
        """Whether Ctrl-C may end a call after it has changed some of the state, but not all."""
        found = backend_names.find(self.compile_options.backend)
        return found is None or found.interruptible or wants_nan_checks()

    # Outside of this process.
    def _saved(self, items: Sequence[Specialization] | None = None) -> SavedFunction:
        """What `tt.save` writes: the signatures that are right for what Python holds now, or those given."""
        from tinytorch.artifacts.record import saved, up_to_date

        chosen = up_to_date(self._known, self._name) if items is None else items
        return saved(self._name, self.function, chosen, self._names_of_tensors(), self.compile_options)

    def _names_of_tensors(self) -> dict[int, str]:
        """The names that tensors have in a state dict, by identity."""
        return {}

    def export(self, path: str | PathLike[str], *args: Any, **options: Any) -> None:
        """Write an object file for programs without Python, and a C header that declares its functions.

        It computes one signature: that of `args`, for which nothing is run, or else of the last call. Captured tensors
        are constants in it, as with `freeze`; those that the function changes are state, in a buffer of the caller's.
        The `header` is by default `path` with the suffix .h, `name` (what names in C begin with) by default that of the
        file. `target` is "host" (this machine), or one by name, such as "avx512", "avx2", "sse2" (any x86-64) or "neon"
        (any aarch64 with Linux).
        Both files appear whole or not at all.

        CompileError before the first call without `args`, and for other targets; TinyTorchError where the files cannot
        be written, or the function takes, returns or leaves what C has not, such as gradients.
        """
        from tinytorch.artifacts.export import export

        if not args and self._last is None:
            raise CompileError(
                f"{self._name} has not been called yet: export(path, *example) says by inputs what to write", user_loc()
            )
        saved = self._saved([self._for_example(args) if args else self._shown])
        export(saved, saved.calls[0], path, **options)

    # Looking inside.
    @property
    def _shown(self) -> Specialization:
        if self._last is None:
            why = (
                "has not been called yet; call it once with example tensors"
                if self._recent is None
                else "was dropped to make room for others; call it again"
            )
            raise CompileError(f"{self._name} {why}, so that there is a graph to show", user_loc())
        return self._last

    @property
    def _shown_calls(self) -> Calls:
        return self._shown.calls

    @property
    def traced_graph(self) -> Graph:
        """The graph of the last call, as it was traced."""
        return self._shown.traced.graph

    def _for_example(self, args: tuple[Any, ...]) -> Specialization:
        """What a call with these arguments would run. It is no call."""
        recent = self._recent
        item = self._ready(Signature(args, {}, self._varying))
        self._recent = recent
        return item

    def _subject(self, example: tuple[Any, ...] = ()) -> Subject:
        from tinytorch.insight.subject import Subject

        item = self._for_example(example) if example else self._shown
        graph, captured = item.traced.graph, item.traced.captured
        if self.compile_options.freeze:
            graph, captured = frozen_graph(item.traced), ()
        return Subject(self._name, graph, captured, item.calls, self.compile_options, tuple(self._compilations.kept))

    def __repr__(self) -> str:
        return f"Compiled({self._name}, backend={self.compile_options.backend!r}, signatures={len(self._known)})"
