# pyright: reportPrivateUsage=false
"""What `tt.load` gives for a compiled function: signatures, each compiled for this machine when it is first called."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Any, NoReturn, cast

import numpy as np

from tinytorch import backend_names
from tinytorch.artifacts.record import SavedCall, SavedFunction
from tinytorch.artifacts.text import content, saved_function
from tinytorch.compiled.calls import Calls, make_calls
from tinytorch.compiled.reported import Reported
from tinytorch.compiled.signature import NumberSlot
from tinytorch.compiled.specialization import tensor_of
from tinytorch.frontend.guards import freeze
from tinytorch.frontend.module.weights import read_safetensors, safetensors_bytes
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.mode import mode
from tinytorch.frontend.tensor.sharing import over
from tinytorch.frontend.tracing.numbers import SMALL
from tinytorch.frontend.tracing.traced import Result, strides_of
from tinytorch.frontend.tree import Slot, unflatten
from tinytorch.ir.arrays.reference import evaluate
from tinytorch.ir.errors import CompileError, TinyTorchError, TraceError
from tinytorch.ir.graph import Graph
from tinytorch.ir.loc import user_loc
from tinytorch.ir.system import locks
from tinytorch.passes.freeze import freeze_inputs
from tinytorch.runtime.backend import MISMATCH

if TYPE_CHECKING:
    from tinytorch.insight.subject import Subject

_WHOLE = Result(0, (), False)  # the first output


class LoadedFunction(Reported):
    """A compiled function from a file: it takes the arguments of the calls that were saved, and gives the same results,
    on the same kind of machine bit for bit.

    There is no Python behind it, so it knows only those signatures; other arguments are an error that lists them.
    State (caches, running statistics, random generators, parameters under training) goes on from where it was saved,
    `state_dict()` has it, and `tt.save` saves it again. Results have no gradients. `graph`, `traced_graph`,
    `passes`, `executable`, `explain()` and `report()` are those of the last call, as of a compiled function.
    """

    def __init__(self, saved: SavedFunction) -> None:
        self._function = saved
        self._calls: dict[int, Calls] = {}  # by signature
        self._last: int | None = None
        self._hot: tuple[SavedCall, Calls, bool] | None = None  # of the last call, if machine code can check the next
        self.forget_parent()
        locks.renew_in_child(self)

    def forget_parent(self) -> None:
        """In a forked child, what another thread of the parent was compiling is compiled anew."""
        self._lock = threading.RLock()

    @property
    def name(self) -> str:
        """What the function was called."""
        return self._function.name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        hot = self._hot
        if hot is not None and hot[2] is mode.grad and not kwargs and mode.trace is None:
            call, calls, grad = hot
            if len(args) == call.arguments and not (grad and any(getattr(t, "requires_grad", False) for t in args)):
                try:
                    result = calls.fast(*args)
                except MemoryError:
                    raise calls.too_large() from None
                if result is not MISMATCH:
                    return _results(call, result, args)
        return self._call(args, kwargs)

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The general call: containers, arrays, other signatures."""
        if mode.trace is not None:
            raise TraceError(f"{self.name} was loaded from a file and cannot be traced; call it outside", user_loc())
        number, tensors = self._find(args, kwargs)
        call, calls = self._function.calls[number], self._compiled(number)
        if mode.grad and any(t.requires_grad for t in tensors):
            raise TinyTorchError(
                f"{self.name} was loaded from a file and gives no gradients: call it under tt.no_grad(), or pass "
                "detach()ed tensors",
                user_loc(),
            )
        self._last = number
        self._hot = (call, calls, mode.grad) if _is_plain(call) else None
        result = calls.call(tensors)
        result = calls.call(tensors, carefully=True) if result is MISMATCH else result
        if result is MISMATCH:  # a guard of the graph failed, and nothing has changed: the reference says which
            evaluate(call.graph, [t.data for t in (*tensors, *call.captured)])
            raise CompileError(f"{self.name}: its state no longer has the dtypes and shapes that it was saved with")
        return _results(call, result, tensors)

    def _find(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[int, list[Tensor]]:
        """The signature of a call, and the inputs of its graph; first among those that were saved for the present mode
        of gradients."""
        found: tuple[int, list[Tensor]] | None = None
        for number, call in enumerate(self._function.calls):
            tensors = _inputs(call, args, kwargs)
            if tensors is not None:
                if call.grad_mode is mode.grad:
                    return number, tensors
                found = found or (number, tensors)
        return found or self._refuse(args, kwargs)

    def _refuse(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> NoReturn:
        given = _described((args, kwargs), [])
        hint = "\nHow tensors lie in memory counts, and which are one and the same" if given in self.signatures else ""
        raise TinyTorchError(
            f"{self.name} was saved for other arguments than ({given}):"
            + "".join(f"\n  ({text})" for text in self.signatures)
            + hint,
            user_loc(),
        )

    def _compiled(self, number: int) -> Calls:
        with self._lock:
            if number not in self._calls:
                self._calls[number] = self._compile(self._function.calls[number])
            return self._calls[number]

    def _bound(self, call: SavedCall) -> tuple[Graph, Sequence[Tensor]]:
        """The graph of a call, and the tensors that its last inputs are."""
        if not self._function.options.freeze:
            return call.graph, call.captured
        tensors = zip(call.graph.inputs[call.arguments :], call.captured, strict=True)
        return freeze_inputs(call.graph, {value: tensor.data for value, tensor in tensors}), ()

    def _compile(self, call: SavedCall) -> Calls:
        options = self._function.options
        backend = backend_names.checked(os.environ.get("TT_BACKEND") or options.backend)
        graph, captured = self._bound(call)
        return make_calls(graph, call.arguments, captured, replace(options, backend=backend))

    # What it holds.
    @property
    def signatures(self) -> tuple[str, ...]:
        """The arguments of each call that was saved, in words."""
        calls = self._function.calls
        return tuple(_described(c.accepts, [v.type for v in c.graph.inputs]) for c in calls)

    def state_dict(self) -> dict[str, Tensor]:
        """The tensors that it reads and changes, by their names in the file: the tensors themselves."""
        names = self._function.names
        return {names[id(t)]: t for call in self._function.calls for t in call.captured}

    def _saved(self) -> SavedFunction:
        return self._function

    def __reduce__(self) -> Any:
        """Copies have state of their own."""
        return _copied, (b"".join(safetensors_bytes(*content(self._function))),)

    def export(self, path: str | PathLike[str], *args: Any, **options: Any) -> None:
        """Write an object file and a C header; see `Compiled.export`. Without `args`, of the last call, or of the only
        signature that there is."""
        from tinytorch.artifacts.export import export

        calls = self._function.calls
        number = self._find(args, {})[0] if args else 0 if len(calls) == 1 else self._last
        if number is None:
            raise CompileError(
                f"{self.name} has {len(calls)} signatures: export(path, *example) says which, by inputs", user_loc()
            )
        export(self._function, calls[number], path, **options)

    # Looking inside.
    def _shown(self) -> int:
        if self._last is None:
            raise CompileError(f"{self.name} has not been called yet, so there is no graph to show", user_loc())
        return self._last

    @property
    def _shown_calls(self) -> Calls:
        return self._compiled(self._shown())

    @property
    def traced_graph(self) -> Graph:
        """The graph of the last call, as it stands in the file."""
        return self._function.calls[self._shown()].graph

    def _subject(self, example: tuple[Any, ...] = ()) -> Subject:
        from tinytorch.insight.subject import Subject

        number = self._find(example, {})[0] if example else self._shown()
        bound, options = self._bound(self._function.calls[number]), self._function.options
        return Subject(self.name, *bound, self._compiled(number), options, ())

    def __repr__(self) -> str:
        lines = "".join(f"\n  ({text})" for text in self.signatures)
        return f"LoadedFunction {self.name}, {'frozen, ' if self._function.options.freeze else ''}for:{lines}"


def _copied(data: bytes) -> LoadedFunction:
    return LoadedFunction(saved_function(*read_safetensors(io.BytesIO(data)), "the copy"))


def _is_plain(call: SavedCall) -> bool:
    """Whether the arguments are the graph's, one by one, so that machine code finds out whether others fit as well."""
    accepts = (tuple(map(Slot, range(call.arguments))), {})
    changes = any(i < call.arguments for i, _ in call.graph.state)
    return call.accepts == accepts and not changes and all(strides is None for _, strides in call.layouts)


def _results(call: SavedCall, result: Any, tensors: Sequence[Tensor]) -> Any:
    """What a call returns, of what the program returned."""
    if call.result == Slot(0) and call.results == (_WHOLE,):
        return result
    outputs = [] if result is None else list(result) if isinstance(result, tuple) else [result]
    inputs = (*tensors, *call.captured)
    return unflatten(call.result, [tensor_of(r, outputs, inputs) for r in call.results])


# Arguments.
def _inputs(call: SavedCall, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor] | None:
    """The inputs of the graph among the arguments of a call; None if it is another signature's."""
    found: dict[int, Tensor] = {}
    if not _fits(call.accepts, (args, kwargs), found):
        return None
    tensors = [found[i] for i in range(call.arguments)]
    typed = all(t.type == v.type for t, v in zip(tensors, call.graph.inputs, strict=False))
    lies = typed and all(strides_of(tensors[i]) == strides for i, strides in call.layouts)
    apart = all(i >= call.arguments for i, _ in call.graph.state) or len({id(t) for t in tensors}) == len(tensors)
    return tensors if lies and apart else None


def _fits(accepts: Any, given: Any, found: dict[int, Tensor]) -> bool:
    """Whether a container is like that of the signature; its tensors and numbers are entered in `found`."""
    if isinstance(accepts, Slot):
        if not isinstance(given, (Tensor, np.ndarray)):
            return False
        tensor = given if isinstance(given, Tensor) else over(given)
        return found.setdefault(accepts.index, tensor) is tensor
    if isinstance(accepts, NumberSlot):
        if type(given) is not accepts.kind or (type(given) is int and abs(given) > SMALL):
            return False
        found[accepts.index] = Tensor.wrap(np.asarray(given, np.float64 if accepts.kind is float else np.int64))
        return True
    if type(accepts) is not type(given):
        return False
    if isinstance(accepts, dict):
        table, items = cast("dict[Any, Any]", accepts), cast("dict[Any, Any]", given)
        return table.keys() == items.keys() and all(_fits(table[key], items[key], found) for key in table)
    if isinstance(accepts, (list, tuple)):
        parts, others = cast("list[Any]", accepts), cast("list[Any]", given)
        return len(parts) == len(others) and all(_fits(*pair, found) for pair in zip(parts, others, strict=True))
    return freeze(accepts) == freeze(given)


def _described(tree: Any, types: Sequence[Any]) -> str:
    """Arguments as a call writes them, with types in the place of tensors."""
    args, kwargs = tree
    return ", ".join([*(_word(x, types) for x in args), *(f"{k}={_word(x, types)}" for k, x in kwargs.items())])


def _word(item: Any, types: Sequence[Any]) -> str:
    return "".join(_words(item, types))


def _words(item: Any, types: Sequence[Any]) -> Iterator[str]:
    if isinstance(item, Slot):
        yield str(types[item.index])
    elif isinstance(item, NumberSlot):
        yield f"any {item.kind.__name__}"
    elif isinstance(item, Tensor):
        yield str(item.type)
    elif isinstance(item, np.ndarray):
        yield f"array {item.dtype}{list(item.shape)}"
    elif isinstance(item, dict):
        table = cast("dict[Any, Any]", item)
        yield "{" + ", ".join(f"{key!r}: {_word(x, types)}" for key, x in table.items()) + "}"
    elif isinstance(item, (list, tuple)):
        inside = ", ".join(_word(x, types) for x in cast("list[Any]", item))
        yield f"[{inside}]" if isinstance(item, list) else f"({inside})"
    else:
        yield f"{item!r:.40}"
