"""The names under which users call an op. Each is written once, as a function with PyTorch's signature; from that come
`tt.name(x)`, the method `x.name()`, `x.name_()`, which changes x in place, and the name in the Array API standard.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from tinytorch.frontend.creation import as_tensor
from tinytorch.frontend.tensor import Tensor

Function = TypeVar("Function", bound=Callable[..., Any])

_OTHER_WORDS = {"axis": "dim", "keepdims": "keepdim"}  # numpy's and the standard's for PyTorch's


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
    """Enter a function into the table, under its own name (or `name`) in `space`, and under `others`. Where its first
    parameter is a Tensor, what it gets there becomes one; `axis` and `keepdims` may stand for `dim` and `keepdim`."""

    def enter(function: Function) -> Function:
        own = name or function.__name__.rstrip("_")
        public = _public(function, own)
        known = f"{space}.{own}" if space else own
        _enter(Spelling(public, (known, *others), method and not space, in_place, standard))
        return public  # pyright: ignore[reportReturnType]

    return enter


def method(name: str, *others: str, in_place: bool = False, standard: str = "") -> Callable[..., Any]:
    """Enter a method of tensors, and give it as a function."""
    own = getattr(Tensor, name)

    @functools.wraps(own)
    def function(input: Any, /, *args: Any, **options: Any) -> Any:
        return own(input, *args, **options)

    signature = inspect.signature(own)
    first = inspect.Parameter("input", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation="Tensor")
    function.__signature__ = signature.replace(parameters=[first, *list(signature.parameters.values())[1:]])  # pyright: ignore[reportAttributeAccessIssue]
    function.__name__ = function.__qualname__ = name
    public = _public(function, name)
    _enter(Spelling(public, (name, *others), True, in_place, standard))
    return public


def _enter(spelling: Spelling) -> None:
    """Put it into the table, and what tensors do not have by themselves into their class."""
    TABLE.append(spelling)
    for each in spelling.names:
        if "." in each or not spelling.method:
            continue
        if not hasattr(Tensor, each):
            setattr(Tensor, each, spelling.function)
        if spelling.in_place and not hasattr(Tensor, each + "_"):
            setattr(Tensor, each + "_", _changing(each + "_", spelling.function))


def _public(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """The function as users call it."""
    parameters = inspect.signature(function).parameters
    words = {w: own for w, own in _OTHER_WORDS.items() if own in parameters and w not in parameters}
    first = next(iter(parameters), "")
    takes_tensor = bool(first) and parameters[first].annotation in (Tensor, "Tensor")

    @functools.wraps(function)
    def public(*args: Any, **options: Any) -> Any:
        if options:
            options = {words.get(k, k): v for k, v in options.items()}
            if not args and first in options:
                args = (options.pop(first),)
        if takes_tensor and args and not isinstance(args[0], Tensor):
            args = (as_tensor(args[0]), *args[1:])
        return function(*args, **options)

    public.__name__ = public.__qualname__ = name
    return public


def _changing(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The method that writes what `function` gives over the tensor."""

    def change(self: Tensor, *args: Any, **options: Any) -> Tensor:
        self._writable(name)
        return self._updated(name, function(self._before(*args, *options.values()), *args, **options))

    change.__name__ = change.__qualname__ = name
    change.__doc__ = f"`{name[:-1]}`, written over this tensor."
    change.__signature__ = inspect.signature(function)  # pyright: ignore[reportAttributeAccessIssue]
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
