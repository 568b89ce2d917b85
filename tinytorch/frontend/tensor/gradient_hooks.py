"""Functions that see, and may change, the gradient of a tensor on its way backwards, or are called when it is there."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any, Self

Hook = Callable[[Any], Any]
Hooks = dict[Hashable, list[Hook]]  # by what names the value among cotangents

on_leaves: list[Callable[[int], None]] = []  # told the id of a leaf that gets a hook or loses one


@dataclass(frozen=True)
class GradientHook:
    """A function that has been registered."""

    hooks: list[Hook]
    function: Hook
    leaf: int | None  # the id of the leaf, if it is a hook of one

    def remove(self) -> None:
        """Call the function no more."""
        if self.function in self.hooks:
            self.hooks.remove(self.function)
            self.tell()

    def tell(self) -> None:
        if self.leaf is not None:
            for told in on_leaves:
                told(self.leaf)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


@dataclass(frozen=True)
class Keep:
    """Adds a gradient to the `grad` of a tensor that is no leaf, as it is when all hooks have seen it."""

    tensor: Any

    def __call__(self, gradient: Any) -> None:
        self.tensor.accumulate_grad(gradient)


@dataclass(frozen=True, eq=False)
class Afterwards:
    """Calls a function with a leaf, once its gradient has been added to its `grad`; the gradient stays as it is."""

    function: Callable[[Any], Any]

    def __call__(self, gradient: Any) -> None:
        """As a hook of the gradient it does nothing."""


def apply_hooks(hooks: Hooks, names: Iterable[Hashable], cotangents: dict[Hashable, Any]) -> None:
    """Replace cotangents that are complete by what hooks make of them."""
    for name in names:
        for function in sorted(hooks.get(name, ()), key=lambda function: isinstance(function, Keep)):
            if cotangents.get(name) is not None:
                changed = function(cotangents[name])
                if changed is not None:
                    cotangents[name] = changed
