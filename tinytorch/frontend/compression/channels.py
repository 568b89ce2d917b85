"""Which channels, neurons and heads of a model can go, and what goes with each."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, cast

import numpy as np

from tinytorch.compile import tied_axes
from tinytorch.frontend import arguments
from tinytorch.frontend.module import Module
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import grad_mode
from tinytorch.frontend.tracing import trace
from tinytorch.frontend.tree import flatten
from tinytorch.ir.errors import TraceError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array

__all__ = ["ChannelGroup", "channel_groups"]

Place = tuple[str, int]  # the name of a parameter or buffer, and one of its axes


@dataclass(frozen=True)
class ChannelGroup:
    """Channels (neurons, heads, groups) that are alike: each is a unit, which goes as a whole, and takes with it the
    indices `units[i][place]` of an axis for every place, a pair (name of a parameter or buffer, axis).

    `name` is that of the first parameter. A group without units stays as it is, for the `reason` given.
    """

    name: str
    places: tuple[Place, ...]
    units: tuple[Mapping[Place, Array], ...] = field(repr=False)
    reason: str = ""

    def __str__(self) -> str:
        what = ", ".join(f"{name} axis {axis}" for name, axis in self.places)
        return f"{self.name}: {len(self.units) or 'no'} units ({what})" + (f"; {self.reason}" if self.reason else "")


def channel_groups(model: Module, example: Any) -> list[ChannelGroup]:
    """What structured pruning can take out of a model, and what it must keep, found on the graph of its forward, in
    evaluation mode, for an `example`: a tensor, or a tuple of arguments.

    A unit is what one index of an axis is tied to through the whole graph: a channel of a convolution with its bias,
    its batch norm, the same channel of all convolutions that it is added to, and their inputs behind; all columns of a
    Linear that a flattened channel reaches; a head of attention with its rows of queries, keys and values and its
    columns behind (with the query heads that share it); a whole group of a grouped convolution. Groups are in the order
    of `named_parameters`; those that stay come last, with a reason.
    """
    ties = ties_of("channel_groups", model, example)
    return [*ties.groups(), *ties.kept()]


@dataclass(frozen=True)
class Ties:
    """For every axis of the parameters and buffers of a model, which indices go together, and why others stay."""

    classes: Mapping[Place, Array]
    reasons: Mapping[Place, str]
    weights: frozenset[str]  # parameters with several axes
    computed: Sequence[tuple[str, tuple[Array, ...]]]

    def groups(self) -> list[ChannelGroup]:
        """Units that could go, with others of the same places."""
        units: dict[int, dict[Place, Array]] = defaultdict(dict)
        for place, classes in self.classes.items():
            for label in np.unique(classes[classes >= 0]).tolist():
                units[label][place] = np.flatnonzero(classes == label)
        alike: dict[tuple[Place, ...], list[Mapping[Place, Array]]] = defaultdict(list)
        for unit in units.values():
            weighs = any(name in self.weights for name, _ in unit)
            if weighs and all(len(index) < len(self.classes[place]) for place, index in unit.items()):
                alike[tuple(unit)].append(unit)
        groups = (ChannelGroup(self._name(places), places, tuple(found)) for places, found in alike.items())
        return [group for group in groups if len(group.units) > 1]

    def _name(self, places: tuple[Place, ...]) -> str:
        return next(name for name, _ in places if name in self.weights)

    def kept(self) -> list[ChannelGroup]:
        """Axes of weights, of inputs and outputs, that stay as they are."""
        return [
            ChannelGroup(place[0], (place,), (), f"it stays: {reason}")
            for place, classes in self.classes.items()
            if place[0] in self.weights and place[1] < 2 and (reason := self._why(place, classes))
        ]

    def _why(self, place: Place, classes: Array) -> str:
        if (classes < 0).all():
            return self.reasons[place]
        return "its indices all go together" if len(np.unique(classes)) == 1 else ""


def ties_of(what: str, model: Any, example: Any) -> Ties:
    """Trace a copy of the model, and see what goes together."""
    arguments.instance(what, "model", model, Module)
    args = arguments_of(example)
    tensors: list[Tensor] = []
    flatten(args, tensors, lambda x: isinstance(x, Tensor))
    tensors = list({id(t): t for t in tensors}.values())
    if not tensors:
        raise arguments.wrong_type(what, "example", "a tensor, or a tuple of arguments with tensors", example)
    traced_model = copy.deepcopy(model).eval()
    with grad_mode(False):
        traced = trace(traced_model, args, {}, tensors, ["x"] * len(tensors), _no_gradients, type(model).__name__)
    names = {id(tensor): name for name, tensor in named_tensors(traced_model).items()}
    inputs = traced.graph.inputs[traced.arguments :]
    known = {v: names[id(t)] for v, t in zip(inputs, traced.captured, strict=True) if id(t) in names}
    found = tied_axes(traced.graph, list(known))
    order = {name: i for i, name in enumerate(names.values())}
    rows = sorted(known.items(), key=lambda item: order[item[1]])
    return Ties(
        {(name, axis): x for value, name in rows for axis, x in enumerate(found.classes[value])},
        {(name, axis): text for value, name in rows for axis, text in enumerate(found.reasons[value])},
        frozenset(name for name, p in model.named_parameters() if p.ndim > 1),
        found.computed,
    )


def _no_gradients(builder: object, seeds: object, wrt: object) -> NoReturn:
    raise TraceError("structured pruning looks at a forward without backward()", user_loc())


def arguments_of(example: Any) -> tuple[Any, ...]:
    """An example as the arguments of forward."""
    return tuple(cast("tuple[Any, ...]", example)) if isinstance(example, tuple) else (example,)


def named_tensors(model: Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, each once."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}
