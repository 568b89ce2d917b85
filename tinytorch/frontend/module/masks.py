"""Masks of parameters: which elements are kept, while the others stay 0 through training.

A mask belongs to the tensor itself. Its gradient is masked as it arrives, and an optimizer's step writes zeros over
whatever momentum or decay have put where the mask is False; so a masked parameter is what it seems to be, in every
forward, without an operation more.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tinytorch.frontend.module.tracked import Tracked
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.conversions import as_array
from tinytorch.frontend.tensor.gradients import grad_mode, zeros_like
from tinytorch.ir import ops
from tinytorch.ir.op import Array, apply

SUFFIX = "_mask"  # of a parameter's name, in a state dict


class _Register(Tracked):
    """Counts parameters that have got or lost a mask: a compiled step that asked for masks is traced anew then."""

    def __init__(self) -> None:
        self.changes = 0


_register = _Register()


def note_masks() -> None:
    """Have the running trace depend on which parameters have masks."""
    _ = _register.changes


def mask_of(parameter: Tensor) -> Tensor | None:
    """bool of the shape of `parameter`, True where its elements are kept; None without a mask."""
    note_masks()
    return parameter._mask


def set_mask(parameter: Tensor, mask: Array | None) -> None:
    """Give a parameter a mask, and zeros where that is False; None takes the mask away and leaves the values."""
    known = parameter._mask
    if mask is None:
        _register.changes += known is not None
        parameter._mask = None
        return
    with grad_mode(False):
        if known is not None and known.shape == parameter.shape:
            known.copy_(mask)
        else:
            parameter._mask = Tensor.wrap(np.array(mask, np.bool_))
            parameter._mask.name = parameter.name + SUFFIX
            _register.changes += 1
    keep_masks([parameter])


def keep_masks(parameters: Iterable[Tensor]) -> None:
    """Write zeros where masks are False."""
    note_masks()
    with grad_mode(False):
        for p in parameters:
            if p._mask is not None:
                p.copy_(apply(ops.core.where, p._mask, p, zeros_like(p)))


def masks_in(named: Iterable[tuple[str, Tensor]]) -> dict[str, Tensor]:
    """The masks of named parameters, under the names that they have in a state dict."""
    return {name + SUFFIX: mask for name, tensor in named if (mask := mask_of(tensor)) is not None}


def masks_among(state: Mapping[str, Any], own: Mapping[str, Tensor]) -> dict[str, Array]:
    """The masks that a state dict has for the parameters `own`, by the names of these."""
    names = {name: name + SUFFIX for name in own}
    return {name: as_array(state[key]) for name, key in names.items() if key in state and key not in own}


def misfits(masks: Mapping[str, Array], own: Mapping[str, Tensor]) -> list[str]:
    """What is wrong with masks of a state dict."""
    return [
        f"{name}{SUFFIX}: a mask of {name} is bool{list(own[name].shape)}, the state has {mask.dtype}{list(mask.shape)}"
        for name, mask in masks.items()
        if mask.dtype != np.bool_ or mask.shape != own[name].shape
    ]
