"""A compiled module: a module to all that surrounds it, whose calls run as machine code."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, Self

from tinytorch.compiled.function import Compiled
from tinytorch.frontend.module import Module
from tinytorch.frontend.tensor import Tensor

_OWN = frozenset(
    {
        "function",
        "compile_options",
        "_name",
        "_known",
        "_recent",
        "_hot",
        "_last",
        "_varying",
        "_compilations",
        "_lock",
    }
)


class CompiledModule(Compiled, Module):
    """Calls `function`, a module, compiled. Its parameters, buffers, submodules and attributes are those of the module,
    under the same names: in another module it stands for it, and setting an attribute sets the module's."""

    unwatched: ClassVar[frozenset[str]] = _OWN

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        return object.__new__(cls)  # without the attributes of a module

    def __getattr__(self, name: str) -> Any:
        if name in _OWN:
            raise AttributeError(name)
        return getattr(self.function, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _OWN:
            object.__setattr__(self, name, value)
        else:
            setattr(self.function, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self.function, name)

    @property
    def _module(self) -> Module:
        return self.function  # pyright: ignore[reportReturnType]

    @property
    def forward(self) -> Callable[..., Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._module.forward

    def _walk(self, prefix: str, seen: set[int]) -> Iterator[tuple[str, Module]]:
        return self._module._walk(prefix, seen)

    def _own(self, kind: str) -> Iterator[tuple[str, Tensor]]:
        return self._module._own(kind)

    def _names_of_tensors(self) -> dict[int, str]:
        tensors = (*self._module.named_parameters(), *self._module.named_buffers())
        return {id(tensor): name for name, tensor in tensors}

    def __dir__(self) -> Iterable[str]:
        return sorted({*super().__dir__(), *dir(self._module)})

    def __repr__(self) -> str:
        return f"Compiled({self._module!r}, backend={self.compile_options.backend!r}, signatures={len(self._known)})"


class CompiledContainer(CompiledModule):
    """A compiled module of a class that can be indexed, counted or iterated over, such as Sequential."""

    def __len__(self) -> int:
        return len(_items(self))

    def __bool__(self) -> bool:
        return bool(_items(self))

    def __iter__(self) -> Iterator[Any]:
        return iter(_items(self))

    def __contains__(self, item: object) -> bool:
        return item in _items(self)

    def __getitem__(self, index: Any) -> Any:
        return _items(self)[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        _items(self)[index] = value

    def __delitem__(self, index: Any) -> None:
        del _items(self)[index]


def stand_in_for(kind: type[Module]) -> type[CompiledModule]:
    """The class of compiled modules of a class."""
    names = ("__len__", "__iter__", "__contains__", "__getitem__")
    return CompiledContainer if any(hasattr(kind, name) for name in names) else CompiledModule


def _items(compiled: CompiledContainer) -> Any:
    return compiled.function


def _of_the_module(name: str) -> Callable[..., Any]:
    """A method of modules that calls the one of the module that is compiled, whose class may have its own. Where that
    returns itself, as `eval()` does, this returns the compiled module."""

    @functools.wraps(getattr(Module, name))
    def call(self: CompiledModule, *args: Any, **kwargs: Any) -> Any:
        result = getattr(self.function, name)(*args, **kwargs)
        return self if result is self.function else result

    return call


for _name in dir(Module):
    if not _name.startswith("_") and getattr(CompiledModule, _name) is getattr(Module, _name):
        setattr(CompiledModule, _name, _of_the_module(_name))
