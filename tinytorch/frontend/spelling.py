"""The names under which users call an op. Each is written once, as a function with PyTorch's signature; from that come
`tt.name(x)`, the method `x.name()`, `x.name_()`, which changes x in place, and the name in the Array API standard.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from tinytorch.frontend.binding import public, signature_of
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.table_methods import TableMethods

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Spelling:
    """A function and the names it has.

    `names` are PyTorch's, of which the first is the function's own; dots name the namespace, as in "special.expit",
    "linalg.norm", "nn.functional.glu". `method`: names without a dot are methods of tensors, too; `in_place`: and
    with an underscore behind, they change the tensor. `standard` is the name in the Array API standard, if it has one.
    """

    function: Callable[..., Any]
    names: tuple[str, ...]
    method: bool
    in_place: bool
    standard: str


TABLE: list[Spelling] = []


def spelled(
    *others: str,
    space: str = "",
    name: str = "",
    method: bool = True,
    in_place: bool = False,
    standard: str = "",
) -> Callable[[Function], Function]:
    """Enter a function into the table, under its own name (or `name`) in `space`, and under `others`. What users
    pass is checked against its annotations, as far as these are Tensor, int, float, bool, str, or None; where it wants
    a Tensor, arrays and numbers become one. `axis` and `keepdims` may stand for `dim` and `keepdim`."""

    def enter(function: Function) -> Function:
        own = name or function.__name__.rstrip("_")
        called = public(function, own)
        known = f"{space}.{own}" if space else own
        _enter(Spelling(called, (known, *others), method and not space, in_place, standard))
        return called  # pyright: ignore[reportReturnType]

    return enter


def method(name: str, *others: str, in_place: bool = False, standard: str = "") -> Callable[..., Any]:
    """Enter a method that tensors have by themselves, and give it as a function. It takes `axis` for `dim`, too."""
    function = public(getattr(Tensor, name), name)
    _enter(Spelling(function, (name, *others), True, in_place, standard))
    parameters = signature_of(function).parameters
    if ("dim" in parameters and "axis" not in parameters) or ("keepdim" in parameters and "keepdims" not in parameters):
        setattr(Tensor, name, function)
    return function


def _enter(spelling: Spelling) -> None:
    """Put it into the table, and among the methods of tensors."""
    TABLE.append(spelling)
    for each in spelling.names:
        if "." in each or not spelling.method:
            continue
        setattr(TableMethods, each, spelling.function)
        if spelling.in_place:
            setattr(TableMethods, each + "_", _changing(each + "_", spelling.function))


def _changing(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The method that writes what `function` gives over the tensor."""

    @functools.wraps(function)
    def change(self: Tensor, *args: Any, **options: Any) -> Tensor:
        self._writable(name)
        return self._updated(name, function(self._before(*args, *options.values()), *args, **options))

    change.__name__ = change.__qualname__ = name
    change.__doc__ = f"`{name[:-1]}`, written over this tensor."
    return change


def names_in(space: str) -> dict[str, Callable[..., Any]]:
    """The functions of a namespace by name; "" is the package itself."""
    found: dict[str, Callable[..., Any]] = {}
    for spelling in TABLE:
        for each in spelling.names:
            where, _, last = each.rpartition(".")
            if where == space:
                found[last] = spelling.function
    return found


def standard_names() -> dict[str, Callable[..., Any]]:
    """The functions by their names in the Array API standard."""
    return {s.standard: s.function for s in TABLE if s.standard}
