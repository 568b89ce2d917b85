"""Batch normalisation behind a layer, multiplied into its weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from tinytorch.frontend.layers import Identity, Linear
from tinytorch.frontend.module import Module, Parameter
from tinytorch.frontend.module.containers import Sequential
from tinytorch.frontend.quantization.places import is_quantizable
from tinytorch.frontend.spatial import BatchNorm1d, BatchNorm2d, Conv2d
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.conversions import as_array

_PAIRS: tuple[tuple[type[Module], type[Module]], ...] = ((Linear, BatchNorm1d), (Conv2d, BatchNorm2d))


def fold_norms(model: Module) -> None:
    """Multiply each batch normalisation that follows a `Linear` or `Conv2d` in a `Sequential` into the weights of that,
    in place, and put `Identity` in its place: (x wᵀ + b) s + t == x (s w)ᵀ + (s b + t), but for rounding.

    Those with the statistics of the batch stay, and so do layers that stand in several places, or have hooks.
    """
    for container, _, layer, norm in list(foldable_norms(model)):
        _fold(container.get_submodule(layer), container.get_submodule(norm))
        setattr(container, norm, Identity())


def foldable_norms(model: Module) -> Iterator[tuple[Module, str, str, str]]:
    """The container, its path, and in it the names of the layer and of the norm behind it."""
    places = Counter(id(child) for module in model.modules() for child in module.children())
    for path, container in model.named_modules():
        if isinstance(container, Sequential):
            for (first, layer), (second, norm) in pairwise(list(container.named_children())):
                fits = any(isinstance(layer, kind) and type(norm) is other for kind, other in _PAIRS)
                alone = places[id(layer)] == places[id(norm)] == 1 and not (layer.has_hooks or norm.has_hooks)
                known = getattr(norm, "running_mean", None) is not None
                if fits and alone and known and is_quantizable(layer):
                    yield container, path, first, second


def _fold(layer: Any, norm: Any) -> None:
    mean, variance = (as_array(t).astype(np.float64) for t in (norm.running_mean, norm.running_var))
    scale = 1.0 / np.sqrt(variance + norm.eps)
    scale = scale if norm.weight is None else scale * as_array(norm.weight).astype(np.float64)
    shift = -mean * scale if norm.bias is None else as_array(norm.bias).astype(np.float64) - mean * scale
    weight = as_array(layer.weight)
    folded = weight.astype(np.float64) * scale.reshape(-1, *(1,) * (weight.ndim - 1))
    bias = shift if layer.bias is None else as_array(layer.bias).astype(np.float64) * scale + shift
    layer.weight = Parameter(Tensor(folded.astype(weight.dtype)))
    layer.bias = Parameter(Tensor(bias.astype(weight.dtype)))
