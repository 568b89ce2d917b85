"""Which parameters of a model are pruned."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.embeddings import Embedding, PositionalEncoding
from tinytorch.frontend.embeddings.modules import EmbeddingBag
from tinytorch.frontend.layers import LayerNorm, RMSNorm
from tinytorch.frontend.module import Module
from tinytorch.frontend.spatial.conv_layers import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.mode import mode
from tinytorch.ir.errors import TinyTorchError, TraceError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array

_KEPT = (LayerNorm, RMSNorm, Embedding, EmbeddingBag, PositionalEncoding)  # their matrices are no weights of products
_TRANSPOSED = (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)


def weights_of(what: str, model: Any, names: Any = None, exclude: Any = ()) -> dict[str, Tensor]:
    """Name -> weight of every product and convolution of a model, each once: parameters with two axes or more, but for
    those of norms and embeddings. `names` chooses among all parameters instead; `exclude` leaves some out.

    TinyTorchError where that is none, where a name is unknown, or where a weight is NaN or infinite.
    """
    if mode.trace is not None:
        raise TraceError(f"{what}: a compiled function cannot prune; call it between steps", user_loc())
    arguments.instance(what, "model", model, Module)
    known = {name: p for name, p in model.named_parameters(remove_duplicate=False) if p.dtype.is_float}
    left_out = {id(known[name]) for name in listed(what, "exclude", exclude, known)}
    chosen = prunable(model) if names is None else listed(what, "parameters", names, known)
    found: dict[str, Tensor] = {}
    for name in chosen:
        if id(known[name]) not in left_out:
            left_out.add(id(known[name]))  # once, whatever names it has
            found[name] = known[name]
    if not found:
        raise TinyTorchError(f"{what}: {type(model).__name__} has no weights to prune", user_loc())
    for name, weight in found.items():
        if not np.isfinite(weight.numpy().astype(np.float64)).all():
            raise TinyTorchError(f"{what}: {name} has weights that are NaN or infinite", user_loc())
    return found


def prunable(model: Module) -> list[str]:
    """The names of the weights of products and convolutions, each once."""
    kept = {id(p) for module in model.modules() if isinstance(module, _KEPT) for p in module.parameters(recurse=False)}
    named = model.named_parameters()
    return [name for name, p in named if p.ndim >= 2 and p.dtype.is_float and id(p) not in kept]


def listed(what: str, argument: str, names: Any, known: Iterable[str]) -> Sequence[str]:
    """Names of parameters, of which each is known."""
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise arguments.wrong_type(what, argument, "a list of names of parameters", names)
    found: list[Any] = list(cast("Iterable[Any]", names))
    for name in found:
        if name not in known:
            raise arguments.wrong_value(what, argument, f"among {', '.join(known) or 'no names'}", name)
    return found


def input_axes(model: Module) -> dict[int, int]:
    """By id of a weight, the axis of its inputs where that is not axis 1: transposed convolutions begin with it."""
    layers = (module for module in model.modules() if isinstance(module, _TRANSPOSED))
    return {id(layer.weight): 0 for layer in layers}


def magnitudes(weight: Tensor) -> Array:
    """|w| in f64; 0 where a mask has pruned it."""
    return np.abs(weight.numpy().astype(np.float64))
