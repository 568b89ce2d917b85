"""A compiled module: a module to all that surrounds it, whose calls run as machine code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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

    def named_children(self) -> Iterator[tuple[str, Module]]:
        return self._module.named_children()

    def _walk(self, prefix: str, seen: set[int]) -> Iterator[tuple[str, Module]]:
        return self._module._walk(prefix, seen)

    def _own(self, kind: str) -> Iterator[tuple[str, Tensor]]:
        return self._module._own(kind)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        self._module.register_buffer(name, tensor, persistent)

    def _names_of_tensors(self) -> dict[int, str]:
        tensors = (*self._module.named_parameters(), *self._module.named_buffers())
        return {id(tensor): name for name, tensor in tensors}

    def __repr__(self) -> str:
        return f"Compiled({self._module!r}, backend={self.compile_options.backend!r}, signatures={len(self._known)})"
