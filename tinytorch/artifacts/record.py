# pyright: reportPrivateUsage=false
"""What is left of a compiled function without the Python that it was traced from."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tinytorch.compiled.options import Options
from tinytorch.compiled.specialization import Specialization
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tracing.traced import Result, Traced
from tinytorch.frontend.tree import Slot, flatten, unflatten
from tinytorch.ir.arrays.memory import overlaps
from tinytorch.ir.errors import CompileError, TinyTorchError
from tinytorch.ir.graph import Graph, Node, Value
from tinytorch.ir.loc import user_loc
from tinytorch.ir.ops.core import custom_grad, detach
from tinytorch.ir.text.fingerprint import fingerprint


@dataclass(frozen=True)
class SavedCall:
    """One signature. `accepts` are (args, kwargs) with a `Slot` or a `NumberSlot` for each of the first `arguments`
    inputs of the graph, which is as it was traced; the others are the `captured` tensors. `result` is the container
    that is returned, with a slot for each of `results`. `layouts` are arguments that must have these strides, None
    for row-major order. `grad_mode`: it was called where gradients were on."""

    accepts: Any
    graph: Graph
    arguments: int
    captured: tuple[Tensor, ...]
    result: Any
    results: tuple[Result, ...]
    layouts: tuple[tuple[int, tuple[int, ...] | None], ...]
    grad_mode: bool

    @property
    def written(self) -> list[Tensor]:
        """The captured tensors that a call changes."""
        return [self.captured[i - self.arguments] for i, _ in self.graph.state if i >= self.arguments]

    @property
    def returned(self) -> list[Value]:
        """The outputs that a call returns: those that are not state."""
        renewed = {output for _, output in self.graph.state}
        return [value for i, value in enumerate(self.graph.outputs) if i not in renewed]


@dataclass(frozen=True)
class SavedFunction:
    """Signatures that share their captured tensors, which have `names` by identity, and how they were compiled.
    `parameters` are what the function calls its first arguments, as far as that is known."""

    name: str
    parameters: tuple[str, ...]
    calls: tuple[SavedCall, ...]
    names: Mapping[int, str]
    options: Options


def up_to_date(known: Mapping[Any, Sequence[Specialization]], name: str) -> list[Specialization]:
    """The signatures of a compiled function, by their keys, that are right for what Python holds now: of those that
    take the same arguments, the one that was used last. CompileError where there is none."""
    latest: dict[Any, Specialization] = {}
    for key, entries in tuple(known.items()):
        for item in filter(Specialization.current, entries):
            alike = (key[:4], item.grad_mode, item.traced.layouts)
            if alike not in latest or latest[alike].used < item.used:
                latest[alike] = item
    if not latest:
        why = "what it was compiled for has changed since" if known else "it has not been called yet"
        raise CompileError(f"save: {name}: {why}; call it with example inputs first", user_loc())
    return list(latest.values())


def saved(
    name: str,
    function: Callable[..., Any],
    items: Sequence[Specialization],
    tensors: Mapping[int, str],
    options: Options,
) -> SavedFunction:
    """These signatures of a compiled function, whose tensors have such names by identity. TinyTorchError where one
    leaves or reads gradients, computes with what has no text, or changes memory that it also has under another name."""
    calls = tuple(_saved_call(item, name) for item in items)
    _check_memory(calls, name)
    names = names_of(calls, tensors)
    return SavedFunction(name, parameters_of(function), calls, names, options)


def parameters_of(function: Callable[..., Any]) -> tuple[str, ...]:
    """What a function, or a module's forward, calls its positional arguments."""
    try:
        known = inspect.signature(getattr(function, "forward", function)).parameters.values()
    except (TypeError, ValueError):  # a function in C has no names
        return ()
    return tuple(p.name for p in known if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD))


def _saved_call(item: Specialization, name: str) -> SavedCall:
    """A signature of the compiled function `name`."""
    traced = item.traced
    if traced.grad_inputs or traced.effects.kept:
        raise TinyTorchError(
            f"{name} {'reads' if traced.grad_inputs else 'leaves'} gradients in .grad of tensors, which are Python's; "
            "compile the whole step, from zero_grad() to optimizer.step()",
            user_loc(),
        )
    graph = without_rules(traced.graph)
    if fingerprint(graph) is None:
        raise TinyTorchError(f"{name} computes with a Python object that has no text", user_loc())
    inputs, captured, result, results = _with_outside(traced)
    return SavedCall(
        accepts=item.accepts,
        graph=replace(graph, inputs=inputs),
        arguments=traced.arguments,
        captured=captured,
        result=result,
        results=results,
        layouts=tuple((i, strides) for i, strides in traced.layouts if i < traced.arguments),
        grad_mode=item.grad_mode,
    )


def _with_outside(traced: Traced) -> tuple[tuple[Value, ...], tuple[Tensor, ...], Any, tuple[Result, ...]]:
    """The inputs of the graph, the captured tensors, and the results, where tensors that were there before the call and
    are returned as they are count as captured results."""
    inputs, captured = list(traced.graph.inputs), list(traced.captured)
    places = {id(tensor): i for i, tensor in enumerate(captured, traced.arguments)}
    leaves: list[Any] = []
    spec = flatten(traced.result, leaves, lambda x: isinstance(x, (Slot, Tensor)))
    results: list[Result] = []
    for leaf in leaves:
        if isinstance(leaf, Slot):
            found = traced.results[leaf.index]
            steps = tuple(step for step in found.steps if step[0] is not detach)
            results.append(Result(found.source, steps, False))
            continue
        if id(leaf) not in places:
            places[id(leaf)] = len(inputs)
            inputs.append(Value(leaf.type, leaf.name))
            captured.append(leaf)
        results.append(Result(~places[id(leaf)], (), False))
    return tuple(inputs), tuple(captured), unflatten(spec, list(map(Slot, range(len(leaves))))), tuple(results)


def without_rules(graph: Graph) -> Graph:
    """The graph without the gradient rules that users gave to parts of it, which are Python functions.

    %y = custom_grad(%x, %a) {backward=<function>}  -->  %x in the place of %y
    """
    known: dict[Value, Value] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        inputs = tuple(known.get(v, v) for v in node.inputs)
        if node.op is custom_grad:
            known[node.output] = inputs[0]
        else:
            nodes.append(replace(node, inputs=inputs, region=None))
    return Graph(graph.name, graph.inputs, tuple(nodes), tuple(known.get(v, v) for v in graph.outputs), graph.state)


def _check_memory(calls: Iterable[SavedCall], name: str) -> None:
    """TinyTorchError where a tensor that a call changes shares memory with another one: a file keeps them apart."""
    calls = tuple(calls)
    tensors = list({id(t): t for call in calls for t in call.captured}.values())
    changed = {id(t) for call in calls for t in call.written}
    written = {i for i, t in enumerate(tensors) if id(t) in changed}
    for i, j in overlaps([t.data for t in tensors], written):
        raise TinyTorchError(
            f"{name} changes {_called(tensors[i])}, which shares memory with {_called(tensors[j])}; in a file they "
            "would be two tensors. Capture one of them, and take views of it inside",
            user_loc(),
        )


def names_of(calls: Sequence[SavedCall], known: Mapping[int, str]) -> dict[int, str]:
    """A name for each captured tensor, by identity: the one that is `known`, its own, or that of the graph's input."""
    names: dict[int, str] = {}
    taken: set[str] = set()
    for call in calls:
        for tensor, value in zip(call.captured, call.graph.inputs[call.arguments :], strict=True):
            if id(tensor) in names:
                continue
            hint = known.get(id(tensor)) or tensor.name or value.name or "captured"
            name, number = hint, 0
            while name in taken:
                number += 1
                name = f"{hint}.{number}"
            taken.add(name)
            names[id(tensor)] = name
    return names


def _called(tensor: Tensor) -> str:
    return tensor.name or f"a tensor of {tensor.type}"
