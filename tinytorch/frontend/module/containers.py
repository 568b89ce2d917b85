"""Modules and parameters in order or by name; what they hold belongs to the module that holds them."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Generic, Self, TypeVar, cast, overload

from tinytorch.frontend import arguments
from tinytorch.frontend.module.module import Module
from tinytorch.frontend.module.parameter import Parameter
from tinytorch.frontend.module.tracked import parts_of
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc

__all__ = ["ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential"]

T = TypeVar("T", Module, Tensor)


class _Held(Module, Generic[T]):
    """Modules or parameters as attributes of this module."""

    kind: ClassVar[type] = Module

    def _accept(self, value: Any) -> Any:
        """A module, or a tensor made a parameter."""
        if self.kind is Tensor:
            return value if isinstance(value, Parameter) else Parameter(value)
        if not isinstance(value, Module):
            hint = f"; write {value.__name__}()" if isinstance(value, type) and issubclass(value, Module) else ""
            got = value.__name__ if isinstance(value, type) else type(value).__name__
            raise TinyTorchError(f"{type(self).__name__}: expected a Module, got {got}{hint}", user_loc())
        return value

    def _held(self) -> dict[str, T]:
        """What it holds, by name, in order."""
        return {name: value for name, value in parts_of(self).items() if isinstance(value, self.kind)}

    def _hold(self, held: Iterable[tuple[str, Any]]) -> None:
        """Hold these alone from now on."""
        found = [(name, self._accept(value)) for name, value in held]
        for name in list(self._held()):
            delattr(self, name)
        for name, value in found:
            setattr(self, name, value)

    def __len__(self) -> int:
        return len(self._held())


class _Row(_Held[T]):
    """What is held under the names 0, 1, …"""

    def __init__(self, held: Iterable[Any] = ()) -> None:
        super().__init__()
        self.extend(held)

    def _name(self, index: Any) -> str:
        names = list(self._held())
        at = arguments.integer(type(self).__name__, "index", index)
        if not -len(names) <= at < len(names):
            raise arguments.ArgumentIndexError(f"{type(self).__name__}: no item {at} among {len(names)}", user_loc())
        return names[at]

    def __iter__(self) -> Iterator[T]:
        return iter(self._held().values())

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: Any) -> Any:
        if not isinstance(index, slice):
            return self._held()[self._name(index)]
        part = type(self).__new__(type(self))
        part._hold(self._renamed(list(self._held().items())[index]))
        return part

    def _renamed(self, held: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
        """With numbers as names, where these are numbers."""
        return [(str(i) if name.isdigit() else name, value) for i, (name, value) in enumerate(held)]

    def __setitem__(self, index: int, value: Any) -> None:
        setattr(self, self._name(index), self._accept(value))

    def __delitem__(self, index: int | slice) -> None:
        held = list(self._held().items())
        gone = {name for name, _ in held[index]} if isinstance(index, slice) else {self._name(index)}
        self._hold(self._renamed([item for item in held if item[0] not in gone]))

    def append(self, value: Any) -> Self:
        setattr(self, str(len(self)), self._accept(value))
        return self

    def extend(self, values: Iterable[Any]) -> Self:
        for value in list(values):
            self.append(value)
        return self

    def insert(self, index: int, value: Any) -> Self:
        held = list(self._held().items())
        held.insert(operator.index(index), ("0", value))
        self._hold(self._renamed(held))
        return self

    def pop(self, index: int = -1) -> T:
        value = self[index]
        del self[index]
        return value

    def __iadd__(self, values: Iterable[Any]) -> Self:
        return self.extend(values)

    def __add__(self, values: Iterable[Any]) -> Self:
        joined = type(self).__new__(type(self))
        joined._hold((str(i), value) for i, value in enumerate([*self, *values]))
        return joined


class Sequential(_Row[Module]):
    """Each layer applied to the result of the one before it; layers are the arguments, a list, or a dict of names."""

    def __init__(self, *layers: Any) -> None:
        only = layers[0] if len(layers) == 1 else None
        named = isinstance(only, Mapping)
        super().__init__(() if named else only if isinstance(only, (list, tuple)) else layers)
        if named:
            self._hold(cast("Mapping[str, Any]", only).items())

    def forward(self, input: Any) -> Any:
        for layer in self:
            input = layer(input)
        return input


class ModuleList(_Row[Module]):
    """A list of modules, whose parameters belong to the module that holds it."""


class ParameterList(_Row[Tensor]):
    """A list of parameters; what is no tensor becomes one."""

    kind = Tensor


class _Named(_Held[T]):
    """What is held under names of its own."""

    def __init__(self, held: Mapping[str, Any] | Iterable[tuple[str, Any]] = ()) -> None:
        super().__init__()
        self.update(held)

    def __getitem__(self, name: str) -> T:
        try:
            return self._held()[name]
        except KeyError:
            raise KeyError(f"{type(self).__name__}: no {name!r} among {', '.join(self._held()) or 'none'}") from None

    def __setitem__(self, name: str, value: Any) -> None:
        if not isinstance(name, str) or not name or "." in name:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise arguments.wrong_value(type(self).__name__, "a name", "a string without dots", name)
        if name not in self._held() and hasattr(type(self), name):
            raise arguments.wrong_value(type(self).__name__, "a name", "none that the class has", name)
        setattr(self, name, self._accept(value))

    def __delitem__(self, name: str) -> None:
        self[name]
        delattr(self, name)

    def __contains__(self, name: object) -> bool:
        return name in self._held()

    def __iter__(self) -> Iterator[str]:
        return iter(self._held())

    def keys(self) -> Iterable[str]:
        return self._held().keys()

    def values(self) -> Iterable[T]:
        return self._held().values()

    def items(self) -> Iterable[tuple[str, T]]:
        return self._held().items()

    def update(self, held: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> None:
        for name, value in dict(held).items():
            self[name] = value

    def pop(self, name: str) -> T:
        value = self[name]
        del self[name]
        return value

    def clear(self) -> None:
        self._hold(())


class ModuleDict(_Named[Module]):
    """Modules by name."""


class ParameterDict(_Named[Tensor]):
    """Parameters by name; what is no tensor becomes one."""

    kind = Tensor

    def get(self, name: str, default: Any = None) -> Any:
        return self._held().get(name, default)
