"""Parameters, and the tensors that stand in the attributes of a module."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tinytorch.frontend import arguments
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.mode import mode
from tinytorch.frontend.tensor.storage import storage_of
from tinytorch.ir.errors import TraceError
from tinytorch.ir.loc import user_loc


class Parameter(Tensor):
    """A tensor that a module lists among its parameters, also while it is frozen. It lies in the memory of `data`, if
    that is a tensor; other data is copied."""

    __slots__ = ()

    def __new__(cls, data: Any = (), requires_grad: bool = True) -> Any:
        tensor = data if isinstance(data, Tensor) else Tensor(data)
        arguments.flag("Parameter", "requires_grad", requires_grad)
        if mode.trace is not None:
            return (tensor if tensor.is_leaf else tensor.detach()).requires_grad_(requires_grad)
        made = super().__new__(cls)
        there = tensor if tensor.is_leaf and tensor._alias is None else tensor.detach()
        storage = storage_of(there)
        made._set_up(there._data)
        made._storage, made._alias = storage, there._alias
        made.name = tensor.name
        return made.requires_grad_(requires_grad)

    def __init__(self, *args: Any, **options: Any) -> None:
        pass  # __new__ has done it

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class Buffer(Tensor):
    """A tensor that becomes a buffer of the module to whose attribute it is assigned: `register_buffer` in one line. It
    lies in the memory of `data`."""

    __slots__ = ("persistent",)

    persistent: bool

    def __new__(cls, data: Any = (), *, persistent: bool = True) -> Any:
        tensor = data if isinstance(data, Tensor) else Tensor(data)
        if mode.trace is not None:
            raise TraceError("Buffer: make it outside of the compiled function", user_loc())
        made = super().__new__(cls)
        made._set_up(None)
        made.lie_in(tensor)
        made.persistent = arguments.flag("Buffer", "persistent", persistent)
        return made

    def __init__(self, *args: Any, **options: Any) -> None:
        pass  # __new__ has done it

    def as_tensor(self) -> Tensor:
        """What the module holds."""
        return self.detach()


class UninitializedParameter(Parameter):
    """Stands for a parameter of a layer that does not know the size of its input yet. It has no elements."""

    __slots__ = ()


class Parameters(list[Tensor]):
    """The parameters of a module: a list, of which `next` gives one after the other, as of PyTorch's iterator."""

    _given = 0

    def __next__(self) -> Tensor:
        if self._given >= len(self):
            raise StopIteration
        self._given += 1
        return self[self._given - 1]


def join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def is_parameter(tensor: Tensor) -> bool:
    return isinstance(tensor, Parameter) or (tensor.requires_grad and tensor.is_leaf and not _is_traced(tensor))


def _is_traced(tensor: Tensor) -> bool:
    return tensor._expr is not None


def parts(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The items of a container, under their names."""
    if isinstance(value, (list, tuple)):
        yield from ((f"{name}.{i}", item) for i, item in enumerate(value))
    elif isinstance(value, dict):
        yield from ((f"{name}.{key}", item) for key, item in value.items())


def tensors_in(name: str, value: Any) -> Iterator[tuple[str, Tensor]]:
    """The tensors in an attribute: itself, or items of containers."""
    if isinstance(value, Tensor):
        yield name, value
    else:
        for path, item in parts(name, value):
            yield from tensors_in(path, item)
