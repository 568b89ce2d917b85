"""`tt.verify`: eager execution, the interpreter and machine code in lockstep, and where they part."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tinytorch import backend_names
from tinytorch.blame import Check, Lockstep
from tinytorch.compiled.calls import frozen_graph
from tinytorch.compiled.function import Compiled
from tinytorch.compiled.options import Options
from tinytorch.frontend.arguments import function as require_function
from tinytorch.frontend.guards import tracked_in
from tinytorch.frontend.module.tracked import TrackedDict, TrackedList
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.autocasting import autocast_mode
from tinytorch.frontend.tensor.mode import TraceAgain, mode, reference_mode
from tinytorch.frontend.tracing import trace
from tinytorch.frontend.tracing.traced import Leaf, Traced, raw_grad, set_raw_grad
from tinytorch.frontend.tree import Slot, flatten, unflatten
from tinytorch.ir.op import Array
from tinytorch.ir.text.printer import Names
from tinytorch.passes.autodiff import append_gradients


def verify(
    function: Callable[..., Any], *args: Any, folder: str | Path = "tt-verify", freeze: bool = False, **kwargs: Any
) -> Lockstep:
    """Run `function(*args, **kwargs)` eagerly (each op by its `eval`), by the interpreter after each pass, and as
    machine code, and compare all results, new values of state and gradients.

    The passes are those of `tt.compile(function, freeze=freeze)`; a compiled function brings its own, its memory limit,
    its precision, and its backend, if that is an object (`blame.reproduce` takes it, too). Tensors,
    gradients and attributes of modules and optimizers are afterwards as they were. VerifyError names what is wrong (the
    trace, a pass, a kernel) and the first node that differs; `folder` then holds a reproducer: `graph.ir`,
    `arrays.npz`, and `reproduce.py`. CompileError if a frozen function changes a captured tensor.
    """
    require_function("verify", "function", function)
    options = Options(backend_names.DEFAULT, freeze)
    if isinstance(function, Compiled):
        own = function.compile_options
        function, options = function.function, replace(own, freeze=freeze or own.freeze)
    narrow = options.autocast or mode.autocast
    leaves: list[Any] = []
    spec = flatten((args, kwargs), leaves, lambda x: isinstance(x, (Tensor, np.ndarray)))
    tensors = [x if isinstance(x, Tensor) else Tensor.wrap(x) for x in leaves]
    unique = list({id(t): t for t in tensors}.values())
    args, kwargs = unflatten(spec, tensors)
    surroundings = _Surroundings(function, (args, kwargs))
    try:
        with autocast_mode(narrow):
            traced = _trace(function, args, kwargs, unique)
        if options.freeze:
            frozen_graph(traced)  # refuses what it cannot freeze
        tensors = [*unique, *traced.captured]
        surroundings.keep(tensors)
        inputs = [np.array(t.data) for t in tensors]
        places = surroundings.places()
        with reference_mode(), autocast_mode(narrow):
            result = function(*args, **kwargs)
        eager = _eager_outputs(traced, tensors, result, places)
    finally:
        surroundings.restore()
    arguments = len(unique) if options.freeze else None
    names, judged = _output_names(traced), backend_names.find(options.backend) or backend_names.llvm()
    limit, precision = options.memory_limit, options.precision
    checked = Check(traced.graph, inputs, names, Path(folder), judged, arguments, limit, precision)
    return checked.run(eager)


def _trace(function: Callable[..., Any], args: Any, kwargs: Any, tensors: Sequence[Tensor]) -> Traced:
    name = getattr(function, "__name__", type(function).__name__)
    names = [t.name or f"x{i}" for i, t in enumerate(tensors)]
    while True:
        try:
            return trace(function, args, kwargs, tensors, names, append_gradients, name)
        except TraceAgain:  # Python state that is there now
            continue


class _Surroundings:
    """What a run may change, to be put back: attributes, contents of tensors, and gradients."""

    def __init__(self, function: Callable[..., Any], arguments: Any) -> None:
        self.attributes = [(owner, dict(vars(owner))) for owner in tracked_in(function, arguments)]
        values = (value for _, attributes in self.attributes for value in attributes.values())
        self.lists = [(found, list(found)) for found in values if isinstance(found, TrackedList)]
        self.states = [(state, dict(state)) for state in self._states()]
        self.arrays: list[tuple[Tensor, Array]] = []
        self.gradients: list[tuple[Tensor, Any]] = []

    def _states(self) -> Iterator[dict[str, Any]]:
        """The states of optimizers that are there now."""
        for found, _ in self.lists:
            yield from (item for item in found if isinstance(item, TrackedDict))

    def keep(self, tensors: Sequence[Tensor]) -> None:
        """Add tensors, whose gradients are kept too."""
        for tensor in tensors:
            grad = raw_grad(tensor)
            self.arrays.append((tensor, np.array(tensor.data)))
            self.gradients.append((tensor, grad))
            if isinstance(grad, Tensor):
                self.arrays.append((grad, np.array(grad.data)))

    def places(self) -> dict[int, tuple[dict[str, Any], str]]:
        """Where tensors stand in the states of optimizers, by id."""
        return {id(value): (state, key) for state in self._states() for key, value in state.items()}

    def restore(self) -> None:
        for owner, attributes in self.attributes:
            vars(owner).clear()
            vars(owner).update(attributes)
        for found, items in self.lists:
            found[:] = items
        for state, content in self.states:
            state.clear()
            state.update(content)
        for tensor, array in self.arrays:
            if not _same_bits(tensor.data, array):
                np.copyto(tensor.data, array)
                tensor.touch()
        for tensor, grad in self.gradients:
            set_raw_grad(tensor, grad)


def _same_bits(a: Array, b: Array) -> bool:
    return a.tobytes() == b.tobytes()


# What eager execution gave, in the order of the traced graph's outputs.
def _eager_outputs(
    traced: Traced, tensors: Sequence[Tensor], result: Any, places: Mapping[int, tuple[dict[str, Any], str]]
) -> list[Array | None]:
    """None where eager execution has nothing to compare."""
    found: list[Array | None] = [None] * len(traced.graph.outputs)
    slots: dict[int, Any] = {}
    _match(traced.result, result, slots)
    for slot, part in enumerate(traced.results):
        if part.source >= 0 and not part.steps and isinstance(slots.get(slot), Tensor):
            found[part.source] = np.array(slots[slot].data)

    def tensor(leaf: Leaf) -> Tensor:
        return tensors[leaf] if isinstance(leaf, int) else leaf

    for leaf, part in traced.effects.kept:
        grad = raw_grad(tensor(leaf))
        if part.source >= 0 and not part.steps:
            found[part.source] = np.array(grad.data) if isinstance(grad, Tensor) else None
    owners = {id(grad): tensor(leaf) for leaf, grad in traced.grad_guards if isinstance(grad, Tensor)}
    for index, output in traced.graph.state:
        state = tensors[index]
        now = raw_grad(owners[id(state)]) if id(state) in owners else state  # it may have been assigned anew
        if id(state) in places:
            holder, key = places[id(state)]
            now = holder[key]
        found[output] = np.array(now.data) if isinstance(now, Tensor) else None
    return found


def _match(spec: Any, tree: Any, slots: dict[int, Any]) -> None:
    """Find what stands in `tree` where `spec` has slots."""
    if isinstance(spec, Slot):
        slots[spec.index] = tree
    elif isinstance(spec, dict):
        for key, item in spec.items():
            _match(item, tree[key], slots)
    elif isinstance(spec, (list, tuple)):
        for item, part in zip(spec, tree, strict=True):
            _match(item, part, slots)


def _output_names(traced: Traced) -> list[str]:
    names = ["?"] * len(traced.graph.outputs)
    labels = Names()
    inputs = [labels[v] for v in traced.graph.inputs]
    for slot, part in enumerate(traced.results):
        if part.source >= 0:
            names[part.source] = f"result {slot}"
    for leaf, part in traced.effects.kept:
        owner = inputs[leaf] if isinstance(leaf, int) else leaf.name or "a tensor"
        if part.source >= 0:
            names[part.source] = f"the gradient of {owner}"
    for index, output in traced.graph.state:
        names[output] = f"the new {inputs[index]}"
    return names
