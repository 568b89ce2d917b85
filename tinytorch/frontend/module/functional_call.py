"""A module called with other tensors in the place of its parameters and buffers, which are left as they are."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

from tinytorch.frontend import arguments
from tinytorch.frontend.functions.basic import stack
from tinytorch.frontend.module.module import Module
from tinytorch.frontend.module.parameter import join, tensors_in
from tinytorch.frontend.module.tracked import attributes_of, epoch, parts_of
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc

Tensors = Mapping[str, Tensor]


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: Tensors | Sequence[Tensors],
    args: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """`module(*args, **kwargs)` with the tensors of a dict, or of several, in the place of the parameters and buffers
    of these names. Gradients go to these tensors; the module's own stay as they were. `args` may be one argument that
    is no tuple.

    With `tie_weights`, a tensor that has several names in the module is replaced under all of them. TinyTorchError for
    a name that the module has not, for one that stands in two dicts, and with `strict` for one that is left out.
    """
    what = "functional_call"
    arguments.instance(what, "module", module, Module)
    given = _merged(parameter_and_buffer_dicts)
    own = dict(_tensors_of(module))
    unknown, missing = [n for n in given if n not in own], [n for n in own if n not in given]
    if unknown:
        raise arguments.wrong_value(
            what, "a name", f"that of a parameter or buffer of {type(module).__name__}", *unknown[:1]
        )
    if strict and missing and not (tie_weights and {id(own[n]) for n in missing} <= {id(own[n]) for n in given}):
        raise TinyTorchError(f"{what}: strict, but the dicts lack {', '.join(missing)}", user_loc())
    new = _tied(given, own) if tie_weights else given
    positional = () if args is None else args if isinstance(args, tuple) else (args,)
    with _in_place_of(module, new):
        return module(*positional, **(kwargs or {}))


def _merged(dicts: Tensors | Sequence[Tensors]) -> dict[str, Tensor]:
    """The tensors of all dicts, by name."""
    found: dict[str, Tensor] = {}
    for each in (dicts,) if isinstance(dicts, Mapping) else dicts:
        arguments.instance("functional_call", "parameter_and_buffer_dicts", each, Mapping)
        for name, tensor in each.items():
            if name in found:
                raise TinyTorchError(f"functional_call: two of the dicts have {name!r}", user_loc())
            arguments.instance("functional_call", name, tensor, Tensor)
            found[name] = tensor
    return found


def _tensors_of(module: Module) -> list[tuple[str, Tensor]]:
    return [*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False)]


def _tied(given: dict[str, Tensor], own: dict[str, Tensor]) -> dict[str, Tensor]:
    """The new tensors, under all names of those that they replace."""
    by_tensor: dict[int, Tensor] = {}
    for name, tensor in given.items():
        if by_tensor.setdefault(id(own[name]), tensor) is not tensor:
            raise TinyTorchError(
                f"functional_call: {name!r} has another name, under which another tensor is given; pass one of them, "
                "or tie_weights=False",
                user_loc(),
            )
    return {name: by_tensor[id(tensor)] for name, tensor in own.items() if id(tensor) in by_tensor}


@contextmanager
def _in_place_of(module: Module, new: dict[str, Tensor]) -> Generator[None, None, None]:
    """Put tensors into the attributes of a module until the block ends.

    A trace is told that the attributes are read, and not that they are written: what it finds later is what was there
    before.
    """
    changes: list[tuple[dict[str, Any], str, Any, Any]] = []
    for path, owner in module.named_modules():
        for name, value in list(parts_of(owner).items()):
            here = {p: new[join(path, p)] for p, _ in tensors_in(name, value) if join(path, p) in new}
            if here:
                changes.append((attributes_of(owner), name, getattr(owner, name), _replaced(name, value, here)))
    try:
        for attributes, name, _, other in changes:
            attributes[name] = other
        epoch.now += 1  # for compiled modules inside
        yield
    finally:
        for attributes, name, value, _ in changes:
            attributes[name] = value
        epoch.now += 1


def _replaced(path: str, value: Any, new: dict[str, Tensor]) -> Any:
    """An attribute, or a part of one, with other tensors in it; containers are new ones."""
    if isinstance(value, Tensor):
        return new.get(path, value)
    if isinstance(value, dict):
        items = cast("dict[Any, Any]", value).items()
        return {key: _replaced(f"{path}.{key}", item, new) for key, item in items}
    if isinstance(value, (list, tuple)):
        made = [_replaced(f"{path}.{i}", item, new) for i, item in enumerate(cast("Sequence[Any]", value))]
        return made if isinstance(value, list) else tuple(made)
    return value


def stack_module_state(models: Sequence[Module]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The parameters and the buffers of models of one class, those of each name stacked along a new first axis. The
    stacked parameters are leaves of their own, which require grad as those of the models do."""
    what = "stack_module_state"
    if not isinstance(models, (list, tuple)) or not models:
        raise arguments.wrong_value(what, "models", "a list of modules, at least one", models)
    for model in models:
        arguments.instance(what, "a model", model, Module)
        if type(model) is not type(models[0]) or model.training != models[0].training:
            raise TinyTorchError(f"{what}: the models are of one class and one mode, training or not", user_loc())
    parameters = [dict(model.named_parameters()) for model in models]
    buffers = [dict(model.named_buffers()) for model in models]
    return (
        {name: _stacked(name, [p[name] for p in parameters]) for name in parameters[0]},
        {name: _stacked(name, [b[name] for b in buffers]) for name in buffers[0]},
    )


def _stacked(name: str, tensors: list[Tensor]) -> Tensor:
    if len({(t.type, t.requires_grad) for t in tensors}) > 1:
        raise TinyTorchError(
            f"stack_module_state: {name} differs among the models in type, or in requires_grad", user_loc()
        )
    return stack([t.detach() for t in tensors]).requires_grad_(tensors[0].requires_grad)
