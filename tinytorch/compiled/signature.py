"""What tells calls of a compiled function apart: the structure of the arguments, types of tensors, static values."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinytorch.frontend.guards import freeze
from tinytorch.frontend.guards.freeze import Identity
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.mode import mode
from tinytorch.frontend.tensor.sharing import over
from tinytorch.frontend.tracing.numbers import SMALL, Number
from tinytorch.frontend.tree import Slot, flatten, is_container, unflatten

_NUMBERS = (int, float)


_PARTS = (  # of a key
    "another structure of the arguments, or another static argument",
    "another number among the arguments, whose value Python needs",
    "another shape or dtype of an argument",
    "arguments that are one tensor, or no longer are",
    "an argument that requires grad, or no longer does",
    "gradients switched on or off",
    "another autocast",
)


def _is_number(x: Any) -> bool:
    return type(x) in _NUMBERS


def _is_leaf(x: Any) -> bool:
    return isinstance(x, (Tensor, np.ndarray)) or _is_number(x)


class Varying:
    """Which numbers among the arguments have had more than one value: they are inputs of the graph from then on, unless
    Python needs their value."""

    def __init__(self) -> None:
        self._first: dict[Hashable, float] = {}
        self._varies: set[Hashable] = set()
        self._fixed: set[Hashable] = set()

    def __call__(self, place: Hashable, value: float) -> bool:
        """Whether the number at `place`, which is `value` now, is an input."""
        if place in self._fixed or (type(value) is int and abs(value) > SMALL):
            return False
        if place not in self._varies and freeze(self._first.setdefault(place, value)) != freeze(value):
            self._varies.add(place)
        return place in self._varies

    def fix(self, place: Hashable) -> None:
        self._fixed.add(place)

    def release(self, place: Hashable) -> None:
        self._fixed.discard(place)


@dataclass(frozen=True)
class NumberSlot:
    """The place of a Python number of `kind` that is input `index` of the graph."""

    index: int
    kind: type


@dataclass(frozen=True)
class Form:
    """Calls with tensors at the same places and the very same objects beside them, such as a cache or True: nothing but
    the tensors has to be looked at."""

    positional: int
    names: tuple[str, ...]
    tensors: tuple[int, ...]
    static: tuple[tuple[int, Any], ...]

    def tensors_of(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...] | None:
        """What stands where tensors are; None for a call of another form."""
        given = (*args, *kwargs.values())
        if len(args) != self.positional or tuple(kwargs) != self.names:
            return None
        for place, thing in self.static:
            if given[place] is not thing:
                return None
        return tuple([given[place] for place in self.tensors])


def _form_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Form | None:
    """The form of a call, if it has one: its tensors are all different, and what stands beside them is told from others
    by identity, or cannot change."""
    given = [*enumerate((*args, *kwargs.values()))]
    tensors = tuple(place for place, x in given if isinstance(x, Tensor))
    static = tuple((place, x) for place, x in given if not isinstance(x, Tensor))
    if any(_is_leaf(x) or is_container(x) for _, x in static):
        return None
    if not all(type(x) in (bool, str, type(None)) or isinstance(freeze(x), Identity) for _, x in static):
        return None
    different = len({id(x) for _, x in given if type(x) is Tensor}) == len(tensors)
    return Form(len(args), tuple(kwargs), tensors, static) if different else None


class Signature:
    """The arguments of one call. `tensors` are the different ones among them, in the order of the graph's inputs; `key`
    is equal for calls that one trace may serve."""

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any], varying: Varying) -> None:
        self._given = (args, kwargs)
        self._leaves: list[Any] = []
        self._spec = flatten((args, kwargs), self._leaves, _is_leaf)
        self._frozen = freeze(self._spec)
        self._varying = varying
        self._operands = [self._operand(i, x) for i, x in enumerate(self._leaves)]
        operands = [x for x in self._operands if x is not None]
        self.tensors = list({id(t): t for t in operands}.values())
        index = {id(t): i for i, t in enumerate(self.tensors)}
        static = [x if t is None else None for x, t in zip(self._leaves, self._operands, strict=True)]
        self.flags = tuple(t.requires_grad for t in self.tensors)
        types = tuple(t.type for t in self.tensors)
        pattern = tuple(index[id(t)] for t in operands)
        self.key = (self._frozen, freeze(static), types, pattern, self.flags, mode.grad, mode.autocast)

    def _place(self, i: int) -> Hashable:
        return (self._frozen, i, type(self._leaves[i]))

    def _operand(self, i: int, leaf: Any) -> Tensor | None:
        """The input for a leaf, None for a static number."""
        if isinstance(leaf, Tensor):
            return leaf
        if not _is_number(leaf):
            return over(leaf)
        wanted = self._varying(self._place(i), leaf)
        return Tensor.wrap(np.asarray(leaf, np.float64 if type(leaf) is float else np.int64)) if wanted else None

    @property
    def form(self) -> Form | None:
        """How to tell further calls like this one quickly, if it is that simple."""
        return _form_of(*self._given)

    @property
    def spec(self) -> Any:
        """The containers, with slots in the place of tensors and numbers that are inputs."""
        return unflatten(self._spec, [x if t is None else Slot(i) for i, x, t in self._each()])

    @property
    def accepts(self) -> Any:
        """(args, kwargs) with the number of an input in the place of each tensor and of each number that is one."""
        places = {id(t): i for i, t in enumerate(self.tensors)}
        return unflatten(
            self._spec,
            [
                x if t is None else NumberSlot(places[id(t)], type(x)) if _is_number(x) else Slot(places[id(t)])
                for _, x, t in self._each()
            ],
        )

    def _each(self) -> list[tuple[int, Any, Tensor | None]]:
        return [(i, x, t) for i, (x, t) in enumerate(zip(self._leaves, self._operands, strict=True))]

    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """New containers with the values of the call; arrays as tensors."""
        values = [x if t is None or _is_number(x) else t for _, x, t in self._each()]
        return unflatten(self._spec, values)

    def traced_arguments(self) -> tuple[tuple[Any, ...], dict[str, Any], Callable[[], bool]]:
        """New containers to trace with, and whether they still hold the same."""
        given = [
            Number(t, type(x), frozenset({i})) if t is not None and _is_number(x) else x if t is None else t
            for i, x, t in self._each()
        ]
        args, kwargs = unflatten(self._spec, given)

        def same() -> bool:
            after: list[Any] = []
            spec = flatten((args, kwargs), after, lambda x: type(x) is Number or _is_leaf(x))
            alike = (x is y or (_is_number(x) and x == y) for x, y in zip(after, given, strict=False))
            return spec == self._spec and len(after) == len(given) and all(alike)

        return args, kwargs, same

    def difference(self, key: tuple[Any, ...]) -> str:
        """What tells this call from one with another key."""
        return next(
            (what for what, a, b in zip(_PARTS, self.key, key, strict=True) if a != b),
            "what was compiled has been dropped to make room",
        )

    @property
    def numbers(self) -> frozenset[int]:
        """The places of the numbers that are inputs."""
        return frozenset(i for i, x, t in self._each() if t is not None and _is_number(x))

    def fix(self, places: Iterable[int]) -> None:
        """Take these numbers as static from now on."""
        for i in places:
            self._varying.fix(self._place(i))

    def release(self, places: Iterable[int]) -> None:
        """These may be inputs again."""
        for i in places:
            self._varying.release(self._place(i))
