"""Parameters that modules compute of others, as by torch.nn.utils.parametrize."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.module import Module, Parameter
from tinytorch.frontend.module.containers import ModuleDict, ModuleList
from tinytorch.frontend.module.parameter_functions import own_parameter
from tinytorch.frontend.module.tracked import compute, compute_no_more
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import grad_mode
from tinytorch.frontend.tensor.mode import mode
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.types import TensorType

__all__ = ["ParametrizationList", "cached", "is_parametrized", "register_parametrization", "remove_parametrizations"]

AnyModule = TypeVar("AnyModule", bound=Module)


class ParametrizationList(ModuleList):
    """Modules that compute a parameter, one after the other: the first of `original`, or of `original0`, `original1`,
    …, where its `right_inverse` gives several tensors."""

    def __init__(self, parametrization: Module, given: Tensor) -> None:
        super().__init__([parametrization])
        with grad_mode(False):
            inverse = getattr(parametrization, "right_inverse", None)
            found = given if inverse is None else inverse(given)
        if isinstance(found, Tensor):
            if found is not given:
                given.replace_storage(np.array(found))
            self.original = given
            return
        for i, part in enumerate(found):
            setattr(self, f"original{i}", Parameter(part, given.requires_grad))

    def originals(self) -> list[Tensor]:
        return self.parameters(recurse=False)

    def forward(self) -> Tensor:
        first, *others = self
        value = first(*self.originals())
        for parametrization in others:
            value = parametrization(value)
        return value

    def right_inverse(self, value: Any) -> None:
        """Set the originals to what gives `value`; AttributeError if a module has no `right_inverse`."""
        with grad_mode(False):
            for parametrization in reversed(list[Any](self)):
                value = parametrization.right_inverse(value)
            for original, new in zip(self.originals(), (value,) if isinstance(value, Tensor) else value, strict=True):
                if new.shape != original.shape:
                    raise ShapeError(f"a parameter is computed of {original.type}, got {new.type}", user_loc())
                original.copy_(new)


@dataclass(frozen=True)
class _Parametrized:
    """A parameter of the module's that a `ParametrizationList` computes."""

    name: str

    def value(self, owner: Module) -> Tensor:
        parts = _known(owner)[self.name]
        if not _cache.depth:
            return parts()
        known = _cache.values.setdefault(parts, {})
        world = id(mode.trace), mode.grad
        if world not in known:
            known[world] = mode.trace, parts()  # with the trace, so that no other one gets its id
        return known[world][1]

    def assign(self, owner: Module, value: Any) -> None:
        parts = _known(owner)[self.name]
        _cache.values.pop(parts, None)
        parts.right_inverse(value)


class _Cache(threading.local):
    """The computed parameters within `cached` in this thread: by what computes them, the trace, and whether gradients
    are recorded."""

    depth = 0

    def __init__(self) -> None:
        self.values: dict[ParametrizationList, dict[tuple[int, bool], tuple[Any, Tensor]]] = {}


_cache = _Cache()


@contextmanager
def cached() -> Generator[None, None, None]:
    """Compute each parametrized parameter once in the block, when it is first read, as for a weight that every step of
    a recurrent network reads. It does not see what changes in the block, but for assignments to the parameter."""
    _cache.depth += 1
    try:
        yield
    finally:
        _cache.depth -= 1
        if not _cache.depth:
            _cache.values.clear()


def _known(module: Module) -> Any:
    """By name of a parameter, the list of modules that compute it."""
    return getattr(module, "parametrizations", {})


def current(what: str, module: Module, name: str) -> Tensor:
    """A parameter of the module itself, or what is computed in its place."""
    return getattr(module, name) if is_parametrized(module, name) else own_parameter(what, module, name)


def register_parametrization(
    module: AnyModule, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> AnyModule:
    """Have a parameter computed by the module `parametrization`, each time that it is read: of what the parameter is
    now, or of what `parametrization.right_inverse` makes of that, a tensor or several. Further ones compute it of the
    result of those before. Returns the module.

    Assigning to the parameter sets what it is computed of, where all have a `right_inverse`. ShapeError if it changes
    shape or dtype, unless `unsafe`.
    """
    what = "register_parametrization"
    arguments.instance(what, "parametrization", parametrization, Module)
    parametrization.train(module.training)
    given = current(what, module, tensor_name)
    if is_parametrized(module, tensor_name):
        _check(tensor_name, given.type, None if unsafe else parametrization(given))
        _known(module)[tensor_name].append(parametrization)
        return module
    kind = given.type
    parts = ParametrizationList(parametrization, given)
    _check(tensor_name, kind, None if unsafe else parts())
    compute(module, tensor_name, _Parametrized(tensor_name))
    if not is_parametrized(module):
        module.add_module("parametrizations", ModuleDict())
    _known(module)[tensor_name] = parts
    return module


def _check(name: str, kind: TensorType, found: Tensor | None) -> None:
    if found is not None and found.type != kind:
        raise ShapeError(f"register_parametrization: {name} is {kind}, would be {found.type}", user_loc())


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether a parameter of the module itself, or any one of them, is computed by a parametrization."""
    known = _known(module)
    return bool(len(known)) if tensor_name is None else tensor_name in known


def remove_parametrizations(module: AnyModule, tensor_name: str, leave_parametrized: bool = True) -> AnyModule:
    """Make a computed parameter an ordinary one again, with the value that it has, or else with that of the one tensor
    it is computed of. That tensor itself becomes the parameter; where there are several, it is a new one."""
    what = "remove_parametrizations"
    if not is_parametrized(module, tensor_name):
        raise arguments.wrong_value(what, "tensor_name", "that of a parameter with parametrizations", tensor_name)
    originals = _known(module)[tensor_name].originals()
    if len(originals) > 1 and not leave_parametrized:
        raise arguments.wrong_value(what, "leave_parametrized", "True for a parameter of several tensors", False)
    kept = originals[0]
    if leave_parametrized:
        with grad_mode(False):
            value = getattr(module, tensor_name)
        if len(originals) > 1:
            kept = Parameter(value, any(original.requires_grad for original in originals))
        else:
            kept.replace_storage(np.array(value))
    del _known(module)[tensor_name]
    if not is_parametrized(module):
        delattr(module, "parametrizations")
    compute_no_more(module, tensor_name)
    module.register_parameter(tensor_name, kept)
    return module
