"""Which layers of a model have an integer form, what is chosen for each, and putting others in their places."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from tinytorch.frontend.attention.pytorch import MultiheadAttention
from tinytorch.frontend.embeddings import Embedding
from tinytorch.frontend.embeddings import modules as embedding_modules
from tinytorch.frontend.layers import Linear
from tinytorch.frontend.module import Module
from tinytorch.frontend.module.tracked import attributes_of
from tinytorch.frontend.quantization.aware import QuantizationAwareConv2d, QuantizationAwareLinear
from tinytorch.frontend.spatial import Conv2d
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc

T = TypeVar("T")
_KINDS = (Linear, Conv2d, Embedding, QuantizationAwareLinear, QuantizationAwareConv2d)


def separate_projections(model: Module) -> None:
    """Make layers, in place, of what attention in PyTorch's layout has as rows of one matrix."""
    for module in list(model.modules()):
        if isinstance(module, MultiheadAttention):
            module.separate()


def is_quantizable(module: Module) -> bool:
    """Whether it is a layer with an integer form, which a subclass has not redefined, and whose weights are its own."""
    if module._computed:
        return False
    if isinstance(module, embedding_modules.Embedding):
        return type(module) is embedding_modules.Embedding and module.max_norm is None
    return any(type(module).forward is kind.forward for kind in _KINDS)


def quantizable_layers(model: Module) -> dict[str, Module]:
    return {name: module for name, module in model.named_modules() if is_quantizable(module)}


def is_other(module: Module, found: Mapping[str, Module]) -> bool:
    """Whether a module that is no layer with an integer form has weights of its own."""
    own = any(p.ndim > 1 and p.dtype.is_float for p in module.parameters(recurse=False))
    return own and not any(module is layer for layer in found.values())


def choices_of(
    what: str,
    found: Mapping[str, Module],
    chosen: Callable[[str, Mapping[str, Any]], T],
    layers: Mapping[str, Mapping[str, Any] | None],
) -> dict[str, T | None]:
    """For each layer, what is `chosen` for its name and the changes that `layers` has for it; None is None."""
    unknown = [name for name in layers if name not in found]
    if unknown:
        known = ", ".join(map(repr, found)) or "none"
        raise TinyTorchError(
            f"{what}: the model has no layer {unknown[0]!r} with an integer form; it has {known}", user_loc()
        )
    changes = {name: layers.get(name, {}) for name in found}
    return {name: None if each is None else chosen(name, each) for name, each in changes.items()}


def replaced(model: Module, made: Mapping[int, Module]) -> Any:
    """`model` with other modules in the place of some, by their identity; or what replaces it itself."""
    for module in list(model.modules()):
        for name, value in list(attributes_of(module).items()):
            new = _exchanged(value, made)
            if new is not value:
                setattr(module, name, new)
    return made.get(id(model), model)


def _exchanged(value: Any, made: Mapping[int, Module]) -> Any:
    if isinstance(value, Module):
        return made.get(id(value), value)
    if isinstance(value, (list, tuple)):
        items = [_exchanged(item, made) for item in cast("list[Any]", value)]
        changed = any(a is not b for a, b in zip(items, cast("list[Any]", value), strict=True))
        return type(value)(items) if changed else value
    if isinstance(value, dict):
        items = {key: _exchanged(item, made) for key, item in cast("dict[Any, Any]", value).items()}
        return items if any(items[key] is not value[key] for key in items) else cast("Any", value)
    return value
