"""The state of a module: parameters, persistent buffers and masks by name, as files and checkpoints hold them."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from tinytorch.frontend.module.hooks import before_loading
from tinytorch.frontend.module.masks import SUFFIX, keep_masks, masks_among, masks_in, misfits, set_mask
from tinytorch.frontend.module.parameter import join
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.conversions import as_array
from tinytorch.frontend.tensor.gradients import grad_mode
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc


class Incompatible(NamedTuple):
    """What `load_state_dict(strict=False)` left out. Programs print it, where it says so if that is nothing."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not any(self):
            return "<All keys matched successfully>"
        return f"Incompatible(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


def state_of(module: Any, prefix: str, keep_vars: bool) -> dict[str, Tensor]:
    """The state of a module, with names below `prefix`; see `Module.state_dict`."""
    prefix = prefix.removesuffix(".")
    state = {**_kept(module.named_modules(prefix)), **masks_in(module.named_parameters(prefix))}
    return state if keep_vars else {name: tensor.detach() for name, tensor in state.items()}


def load_state(module: Any, given: Mapping[str, Any], strict: bool, assign: bool) -> Incompatible:
    """Copy a state into a module, or raise and change nothing; see `Module.load_state_dict`."""
    state, missed, not_ours, wrong = before_loading(given, module.named_modules(), strict)
    own = _kept(module.named_modules())
    younger = {join(path, name) for path, part in module.named_modules() for name in part._younger}
    missing = missed + [name for name in own if name not in state and name not in younger]
    masks = masks_among(state, own)
    unexpected = not_ours + [name for name in state if name not in own and name.removesuffix(SUFFIX) not in masks]
    found = {name: value if isinstance(value, Tensor) else as_array(value) for name, value in state.items()}
    problems = [f"missing: {name} {own[name].type if name in own else ''}" for name in missing] if strict else []
    problems += [f"unexpected: {name}" for name in unexpected] if strict else []
    problems += [
        f"{name}: the module has {list(tensor.shape)}, the state {list(found[name].shape)}"
        for name, tensor in own.items()
        if name in found and tuple(found[name].shape) != tensor.shape
    ]
    problems += [*misfits(masks, own), *wrong]
    if problems:
        listed = "\n  ".join(problems)
        raise TinyTorchError(f"load_state_dict: {type(module).__name__} does not fit\n  {listed}", user_loc())
    with grad_mode(False):
        for name, tensor in own.items():
            value = found.get(name)
            if assign and value is not None:
                tensor.grad = None
                tensor.lie_in(value if isinstance(value, Tensor) else Tensor(value))
            elif value is not None:
                tensor.copy_(value)
    for name, mask in masks.items():
        set_mask(own[name], mask)
    keep_masks(own.values())
    return Incompatible(missing, unexpected)


def _kept(modules: Iterable[tuple[str, Any]]) -> dict[str, Tensor]:
    """The parameters and persistent buffers of modules, which have paths; shared ones under each name."""
    return {
        join(path, name): tensor
        for path, module in modules
        for kind in ("parameter", "buffer")
        for name, tensor in module._own(kind)
        if name not in module._transient
    }
