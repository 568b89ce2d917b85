"""Modules: parameters, buffers and submodules under one name each; saving and loading them."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from os import PathLike
from typing import Any, NamedTuple, Self

from tinytorch.frontend import arguments
from tinytorch.frontend.conversions import as_array
from tinytorch.frontend.gradients import grad_mode
from tinytorch.frontend.mode import mode
from tinytorch.frontend.scopes import scopes
from tinytorch.frontend.storage import storage_of
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tracked import Tracked, attributes_of, parts_of, record
from tinytorch.frontend.weights import load_safetensors, save_safetensors
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.types import dtype_of


class Incompatible(NamedTuple):
    """What `load_state_dict(strict=False)` left out."""

    missing_keys: list[str]
    unexpected_keys: list[str]


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
        made._set_up(tensor._data)
        there = tensor if tensor.is_leaf and tensor._alias is None else tensor.detach()
        made._storage, made._alias = storage_of(there), there._alias
        made.name = tensor.name
        return made.requires_grad_(requires_grad)

    def __init__(self, *args: Any, **options: Any) -> None:
        pass  # __new__ has done it

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class Module(Tracked):
    """Base of everything with parameters: subclasses assign them and submodules as attributes and write `forward`.

    A leaf tensor that requires grad becomes a parameter when it is assigned, and stays one when it is frozen. Modules
    and parameters in lists, tuples and dicts count too, under names such as `layers.0`. Calling a module calls
    `forward`. `training` is True until `eval()`.
    """

    training: bool
    _registered: tuple[str, ...]
    _buffers: tuple[str, ...]
    _transient: tuple[str, ...]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        module = super().__new__(cls)
        # Here and not in __init__, so that a subclass that forgets super().__init__() works all the same.
        attributes_of(module).update(training=True, _registered=(), _buffers=(), _transient=())
        return module

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        known = attributes_of(self)["_registered"]
        others = tuple(n for n in known if n != name and not n.startswith(f"{name}."))
        mine = tuple(path for path, tensor in _tensors(name, value) if _is_parameter(tensor))
        if {*others, *mine} != {*known}:  # `+=` assigns what was there
            object.__setattr__(self, "_registered", others + mine)
        if isinstance(value, Tensor) and not value.name:
            value.name = name

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        for kind in ("_registered", "_buffers", "_transient"):
            kept = tuple(n for n in attributes_of(self)[kind] if n != name and not n.startswith(f"{name}."))
            object.__setattr__(self, kind, kept)

    def __getstate__(self) -> dict[str, Any]:
        return dict(attributes_of(self))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # object would take any arguments, as __new__ does: a module without settings must refuse them.
        if (args or kwargs) and type(self).__init__ is Module.__init__:
            given = ", ".join([*map(repr, args), *(f"{name}={value!r}" for name, value in kwargs.items())])
            raise TypeError(f"{type(self).__name__} takes no arguments, got {given}")
        super().__init__(*args, **kwargs)

    # Running.
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise TinyTorchError(f"{type(self).__name__} has no forward()", user_loc())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if mode.trace is None:
            return self.forward(*args, **kwargs)
        outermost = not scopes.paths
        if outermost:
            with record(None):
                scopes.names = {id(m): name for name, m in self.named_modules()}
        scopes.paths.append(self._scope(outermost))
        try:
            return self.forward(*args, **kwargs)
        finally:
            scopes.paths.pop()

    def _scope(self, outermost: bool) -> str:
        if outermost:
            return type(self).__name__
        name = scopes.names.get(id(self))
        return f"{scopes.paths[-1]}.{type(self).__name__}" if name is None else f"{scopes.paths[0]}.{name}"

    # What is inside.
    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Keep a tensor that is no parameter, such as a running mean; `persistent` ones are part of state_dict."""
        if not name or "." in name:
            raise TinyTorchError(f"register_buffer: {name!r} is not a name for a buffer", user_loc())
        setattr(self, name, tensor)
        object.__setattr__(self, "_buffers", (*(n for n in self._buffers if n != name), name))
        kept = tuple(n for n in self._transient if n != name)
        object.__setattr__(self, "_transient", kept if persistent else (*kept, name))

    def register_parameter(self, name: str, tensor: Tensor | None) -> None:
        setattr(self, name, tensor)

    def add_module(self, name: str, module: Module) -> None:
        setattr(self, name, module)

    def named_children(self) -> Iterator[tuple[str, Module]]:
        for name, value in parts_of(self).items():
            yield from _modules(name, value)

    def children(self) -> Iterator[Module]:
        return (child for _, child in self.named_children())

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module (under `prefix`, by default "") and all below it, each once."""
        return self._walk(prefix, set())

    def _walk(self, prefix: str, seen: set[int]) -> Iterator[tuple[str, Module]]:
        if id(self) in seen:
            return
        seen.add(id(self))
        yield prefix, self
        for name, child in self.named_children():
            yield from child._walk(_join(prefix, name), seen)

    def modules(self) -> Iterator[Module]:
        return (module for _, module in self.named_modules())

    def _own(self, kind: str) -> Iterator[tuple[str, Tensor]]:
        """Parameters or buffers of this module itself, shared ones under each name."""
        for name, value in parts_of(self).items():
            for path, tensor in _tensors(name, value):
                is_buffer = name in self._buffers
                is_parameter = not is_buffer and (path in self._registered or _is_parameter(tensor))
                if is_buffer if kind == "buffer" else is_parameter:
                    yield path, tensor

    def _named(self, kind: str, prefix: str) -> Iterator[tuple[str, Tensor]]:
        seen: set[int] = set()
        for path, module in self.named_modules(prefix):
            for name, tensor in module._own(kind):
                if id(tensor) not in seen:
                    seen.add(id(tensor))
                    yield _join(path, name), tensor

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """Every parameter once, under the first of its names."""
        return self._named("parameter", prefix)

    def parameters(self) -> list[Tensor]:
        """Every parameter once."""
        return [tensor for _, tensor in self.named_parameters()]

    def named_buffers(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        return self._named("buffer", prefix)

    def buffers(self) -> list[Tensor]:
        return [tensor for _, tensor in self.named_buffers()]

    # Changing all of it.
    def apply(self, function: Callable[[Module], Any]) -> Self:
        """Call `function` on every module below this one, then on this one."""
        for module in reversed(list(self.modules())):
            function(module)
        return self

    def train(self, training: bool = True) -> Self:
        for module in self.modules():
            if module.training != training:
                module.training = training
        return self

    def eval(self) -> Self:
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Freeze or unfreeze all parameters."""
        for tensor in self.parameters():
            tensor.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or with `set_to_none=False` fill them with zeros."""
        for tensor in self.parameters():
            tensor.clear_grad(set_to_none)

    def to(self, *where: Any, dtype: object = None) -> Self:
        """Convert floating-point parameters and buffers to `dtype` in place; the only device is "cpu"."""
        for item in where:
            if isinstance(item, str) and item.split(":")[0] in ("cpu", "cuda", "mps", "xpu", "gpu"):
                Tensor(0.0).to(item)
            else:
                dtype = item
        if dtype is None:
            return self
        target = dtype_of(dtype)
        if not target.is_float:
            raise ShapeError(f"to: parameters need a float dtype, got {target}", user_loc())
        for tensor in (*self.parameters(), *self.buffers()):
            if tensor.dtype.is_float:
                tensor.grad = None
                tensor.replace_storage(tensor.data.astype(target.numpy))
        return self

    def float(self) -> Self:
        return self.to("f32")

    def double(self) -> Self:
        return self.to("f64")

    # Saving and loading.
    def state_dict(self, prefix: str = "") -> dict[str, Tensor]:
        """Name -> tensor of every parameter and persistent buffer. The tensors share memory with the module's."""
        state: dict[str, Tensor] = {}
        for path, module in self.named_modules(prefix):
            for kind in ("parameter", "buffer"):
                for name, tensor in module._own(kind):
                    if name not in module._transient:
                        state[_join(path, name)] = tensor.detach()
        return state

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> Incompatible:
        """Copy the values of `state` (tensors or arrays) into the parameters and buffers of the same names.

        Everything is checked first: on any error nothing has been changed. With `strict` (the default), a missing
        or unexpected name is an error; shapes must always fit.
        """
        own = {
            name: tensor
            for path, module in self.named_modules()
            for kind in ("parameter", "buffer")
            for name, tensor in ((_join(path, n), t) for n, t in module._own(kind) if n not in module._transient)
        }
        missing = [name for name in own if name not in state]
        unexpected = [name for name in state if name not in own]
        problems = [f"missing: {name} {own[name].type}" for name in missing] if strict else []
        problems += [f"unexpected: {name}" for name in unexpected] if strict else []
        found = {name: value if isinstance(value, Tensor) else as_array(value) for name, value in state.items()}
        problems += [
            f"{name}: the module has {list(tensor.shape)}, the state {list(found[name].shape)}"
            for name, tensor in own.items()
            if name in found and tuple(found[name].shape) != tensor.shape
        ]
        if problems:
            listed = "\n  ".join(problems)
            raise TinyTorchError(f"load_state_dict: {type(self).__name__} does not fit\n  {listed}", user_loc())
        with grad_mode(False):
            for name, tensor in own.items():
                if name in found:
                    tensor.copy_(found[name])
        return Incompatible(missing, unexpected)

    def save(self, path: str | PathLike[str]) -> None:
        """Write `state_dict()` to a safetensors file, which appears whole or not at all."""
        save_safetensors(self.state_dict(), path)

    def load(self, path: str | PathLike[str], strict: bool = True) -> Incompatible:
        """Read a safetensors file into the parameters and buffers; on any error nothing has been changed."""
        return self.load_state_dict(load_safetensors(path), strict)

    # Printing.
    def extra_repr(self) -> str:
        """What stands between the parentheses of the printed module."""
        return ""

    def __repr__(self) -> str:
        lines = [f"({name}): {child!r}".replace("\n", "\n  ") for name, child in self.named_children()]
        extra = self.extra_repr()
        if not lines:
            return f"{type(self).__name__}({extra})"
        return "\n  ".join([f"{type(self).__name__}(", *([extra] if extra else []), *lines]) + "\n)"


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def _is_parameter(tensor: Tensor) -> bool:
    return isinstance(tensor, Parameter) or (tensor.requires_grad and tensor.is_leaf and not _is_traced(tensor))


def _is_traced(tensor: Tensor) -> bool:
    return tensor._expr is not None


def _parts(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The items of a container, under their names."""
    if isinstance(value, (list, tuple)):
        yield from ((f"{name}.{i}", item) for i, item in enumerate(value))
    elif isinstance(value, dict):
        yield from ((f"{name}.{key}", item) for key, item in value.items())


def _tensors(name: str, value: Any) -> Iterator[tuple[str, Tensor]]:
    """The tensors in an attribute: itself, or items of containers."""
    if isinstance(value, Tensor):
        yield name, value
    else:
        for path, item in _parts(name, value):
            yield from _tensors(path, item)


def _modules(name: str, value: Any) -> Iterator[tuple[str, Module]]:
    """The modules in an attribute: itself, or items of containers."""
    if isinstance(value, Module):
        yield name, value
    else:
        for path, item in _parts(name, value):
            yield from _modules(path, item)
