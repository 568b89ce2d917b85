"""Modules: parameters, buffers and submodules under one name each; saving and loading them."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.binding import call_error, of_user
from tinytorch.frontend.module.backward_hooks import BackwardPass
from tinytorch.frontend.module.hooks import BackwardHook, Hook, Hooked
from tinytorch.frontend.module.parameter import Buffer, Parameters, is_parameter, join, parts, tensors_in
from tinytorch.frontend.module.scopes import scopes
from tinytorch.frontend.module.state import Incompatible, load_state, state_of
from tinytorch.frontend.module.tracked import Computed, attributes_of, parts_of, record
from tinytorch.frontend.module.weights import load_safetensors, save_safetensors
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.mode import mode
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array
from tinytorch.ir.ops.core import array_as
from tinytorch.ir.types import dtype_of


class Module(Hooked):
    """Base of everything with parameters: subclasses assign them and submodules as attributes and write `forward`.

    A leaf tensor that requires grad becomes a parameter when it is assigned, and stays one when it is frozen. Modules
    and parameters in lists, tuples and dicts count too, under names such as `layers.0`. Calling a module calls
    `forward`. `training` is True until `eval()`.
    """

    training: bool
    _computed: dict[str, Computed]
    _registered: tuple[str, ...]
    _buffers: tuple[str, ...]
    _transient: tuple[str, ...]
    _younger: ClassVar[tuple[str, ...]] = ()  # buffers that older files lack, which then stay as they are

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        module = super().__new__(cls)
        # Here and not in __init__, so that a subclass that forgets super().__init__() works all the same.
        lists = ("_hooks", "_load_hooks", "_registered", "_buffers", "_transient")
        attributes_of(module).update(training=True, _computed={}, **dict.fromkeys(lists, ()))
        return module

    if not TYPE_CHECKING:  # where it would make every name an attribute

        def __getattr__(self, name: str) -> Any:
            """An attribute that is not there: one that is computed, or Python's error."""
            how = attributes_of(self)["_computed"].get(name)
            return super().__getattribute__(name) if how is None else how.value(self)

    def __setattr__(self, name: str, value: Any) -> None:
        if (how := attributes_of(self)["_computed"].get(name)) is not None:
            how.assign(self, value)
            return
        if isinstance(value, Buffer):
            self.register_buffer(name, value.as_tensor(), value.persistent)
            return
        super().__setattr__(name, value)
        known = attributes_of(self)["_registered"]
        others = tuple(n for n in known if n != name and not n.startswith(f"{name}."))
        mine = tuple(path for path, tensor in tensors_in(name, value) if is_parameter(tensor))
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
            raise arguments.ArgumentTypeError(f"{type(self).__name__} takes no arguments, got {given}", user_loc())
        super().__init__(*args, **kwargs)

    # Running.
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise TinyTorchError(f"{type(self).__name__} has no forward()", user_loc())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if mode.trace is None:
            return self._call_impl(args, kwargs)
        outermost = not scopes.paths
        if outermost:
            with record(None):
                scopes.names = {id(m): name for name, m in self.named_modules()}
        scopes.paths.append(self._scope(outermost))
        try:
            return self._call_impl(args, kwargs)
        finally:
            scopes.paths.pop()

    def _call_impl(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """`forward`, between what hooks make of arguments and of the result."""
        hooks = self._hooks
        if not hooks:
            return self._forward(args, kwargs)
        for hook in hooks:
            if isinstance(hook, Hook) and hook.before:
                args, kwargs = hook.arguments(self, args, kwargs)
        gradients = [hook for hook in hooks if isinstance(hook, BackwardHook)]
        backward = BackwardPass(self, gradients) if gradients else None
        result = self._forward(args if backward is None else backward.arguments(args), kwargs)
        for hook in hooks:
            if isinstance(hook, Hook) and not hook.before:
                result = hook.result(self, args, kwargs, result)
        return result if backward is None else backward.result(result)

    def _forward(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """`forward`, with an error that says what is wrong with the arguments, if this module is the package's."""
        try:
            return self.forward(*args, **kwargs)
        except (AttributeError, TypeError) as error:
            self._refuse_arrays((*args, *kwargs.values()))
            if not self.forward.__module__.startswith("tinytorch.") or of_user(error):
                raise
            clear = call_error(self.forward, type(self).__name__, args, kwargs, error)
            if clear is error:
                raise
            raise clear from error

    def _refuse_arrays(self, given: tuple[Any, ...]) -> None:
        """An error if what was given are arrays or lists, which have no methods of tensors. A list of tensors, such as
        feature maps, is meant as one: what went wrong is something else."""
        for x in given:
            if isinstance(x, list) and any(isinstance(item, Tensor) for item in x):
                continue
            if isinstance(x, (np.ndarray, list)):
                what = "a numpy array" if isinstance(x, np.ndarray) else "a list"
                raise TinyTorchError(
                    f"{type(self).__name__}: got {what} where it needs a tensor; pass tt.tensor(x), or "
                    "tt.from_numpy(x), which shares the memory of an array",
                    user_loc(),
                ) from None

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

    def add_module(self, name: str, module: Module | None) -> None:
        setattr(self, name, module)

    register_module = add_module

    def get_submodule(self, target: str) -> Module:
        """The module below this one under a dotted name; AttributeError if there is none."""
        return self._found(target, dict(self.named_modules()), "module")

    def set_submodule(self, target: str, module: Module) -> None:
        """Put a module into the place of the one under a dotted name, or of none; AttributeError if there is none to
        hold it."""
        holder, _, name = target.rpartition(".")
        setattr(self.get_submodule(holder), name, module)

    def get_parameter(self, target: str) -> Tensor:
        """The parameter under a dotted name, also one that has others; AttributeError if there is none."""
        return self._found(target, dict(self.named_parameters(remove_duplicate=False)), "parameter")

    def get_buffer(self, target: str) -> Tensor:
        return self._found(target, dict(self.named_buffers(remove_duplicate=False)), "buffer")

    def _found(self, target: str, known: dict[str, Any], kind: str) -> Any:
        if target not in known:
            raise AttributeError(f"{type(self).__name__} has no {kind} {target!r}; it has {', '.join(known) or 'none'}")
        return known[target]

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
            yield from child._walk(join(prefix, name), seen)

    def modules(self) -> Iterator[Module]:
        return (module for _, module in self.named_modules())

    def _own(self, kind: str) -> Iterator[tuple[str, Tensor]]:
        """Parameters or buffers of this module itself, shared ones under each name."""
        for name, value in parts_of(self).items():
            for path, tensor in tensors_in(name, value):
                is_buffer = name in self._buffers
                counts = not is_buffer and (path in self._registered or is_parameter(tensor))
                if is_buffer if kind == "buffer" else counts:
                    yield path, tensor

    def _named(self, kind: str, prefix: str, recurse: bool, once: bool) -> Iterator[tuple[str, Tensor]]:
        seen: set[int] = set()
        for path, module in self.named_modules(prefix) if recurse else [(prefix, self)]:
            for name, tensor in module._own(kind):
                if id(tensor) not in seen or not once:
                    seen.add(id(tensor))
                    yield join(path, name), tensor

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Every parameter once, under the first of its names; without `recurse` those of this module alone."""
        return self._named("parameter", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Parameters:
        """Every parameter once."""
        return Parameters(tensor for _, tensor in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        return self._named("buffer", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> list[Tensor]:
        return [tensor for _, tensor in self.named_buffers(recurse=recurse)]

    # Changing all of it.
    def apply(self, function: Callable[[Module], Any]) -> Self:
        """Call `function` on every module below this one, then on this one."""
        for module in reversed(list(self.modules())):
            function(module)
        return self

    def train(self, mode: bool = True) -> Self:
        for module in self.modules():
            if module.training != mode:
                module.training = mode
        return self

    def eval(self) -> Self:
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Freeze or unfreeze all parameters."""
        for tensor in self.parameters():
            tensor.requires_grad_(requires_grad)
        return self

    def resized(self, kept: Mapping[str, tuple[Array, ...]]) -> None:
        """Told when pruning has taken indices out of the axes of parameters: `kept` has those that are left along each
        axis, of this module's own parameters and buffers by name. Modules with attributes that say sizes override it
        and bring these up to date."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or with `set_to_none=False` fill them with zeros."""
        for tensor in self.parameters():
            tensor.clear_grad(set_to_none)

    def to(self, *where: Any, device: Any = None, dtype: object = None, non_blocking: bool = False) -> Self:
        """Convert floating-point parameters and buffers to `dtype` in place; the only device is "cpu"; `non_blocking`
        has no effect."""
        for item in (*where, device):
            if isinstance(item, Tensor):
                dtype = item.dtype
            elif str(item).split(":")[0] in ("cpu", "cuda", "mps", "xpu", "gpu"):
                Tensor(0.0).to(item)
            elif item is not None and not isinstance(item, bool):  # a bool says how PyTorch copies
                dtype = item
        if dtype is None:
            return self
        target = dtype_of(dtype)
        if not target.is_float:
            raise ShapeError(f"to: parameters need a float dtype, got {target}", user_loc())
        for tensor in (*self.parameters(), *self.buffers()):
            if tensor.dtype.is_float:
                tensor.grad = None
                tensor.replace_storage(np.array(array_as(tensor.numpy(), target.numpy)))
        return self

    def float(self) -> Self:
        return self.to("f32")

    def double(self) -> Self:
        return self.to("f64")

    def half(self) -> Self:
        return self.to("f16")

    def bfloat16(self) -> Self:
        return self.to("bf16")

    def type(self, dst_type: object) -> Self:
        return self.to(dst_type)

    def cpu(self) -> Self:
        return self

    def cuda(self, device: object = None) -> Self:
        """Refused: TinyTorch runs on the CPU only."""
        return self.to("cuda")

    # Saving and loading.
    def state_dict(self, *, prefix: str = "", keep_vars: bool = False) -> dict[str, Tensor]:
        """Name -> tensor of every parameter and persistent buffer, and of masks of pruned parameters, such as
        `0.weight_mask`. The tensors share memory with the module's; with `keep_vars` they are the module's own."""
        return state_of(self, prefix, keep_vars)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Incompatible:
        """Copy the values of `state_dict` (tensors or arrays) into the parameters and buffers of the same names.

        Everything is checked first: on any error nothing has been changed. With `strict` (the default), a missing
        or unexpected name is an error; shapes must always fit. With `assign`, parameters and buffers lie in the
        memory of the tensors of `state_dict` from then on and have their dtypes, and gradients are forgotten. Masks of
        pruned parameters are set where `state_dict` has them, and stay where it has none: what is loaded is 0
        wherever it is masked.
        """
        arguments.instance("load_state_dict", "state_dict", state_dict, Mapping)
        return load_state(self, state_dict, strict, assign)

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
        """The tree of modules, with how many parameters each has."""
        from tinytorch.frontend.module.display import as_text  # only what prints needs it

        return as_text(self)

    def _repr_html_(self) -> str | None:
        from tinytorch.frontend.module.display import as_html  # only what prints needs it

        return as_html(self)


def _modules(name: str, value: Any) -> Iterator[tuple[str, Module]]:
    """The modules in an attribute: itself, or items of containers."""
    if isinstance(value, Module):
        yield name, value
    else:
        for path, item in parts(name, value):
            yield from _modules(path, item)
