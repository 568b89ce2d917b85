"""How far or near vectors are: along an axis, row by row, or every two rows of a matrix."""

from __future__ import annotations

import math

from tinytorch.frontend import arguments
from tinytorch.frontend.layers.norms import length
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.autocasting import high
from tinytorch.frontend.tensor.gradients import require_tensor
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.operators.promotion import broadcast_shapes, normalize_axis


@spelled("nn.functional.cosine_similarity", method=False)
@high
def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x1 · x2 / (|x1| |x2|) along `dim`, each length at least `eps`. The operands broadcast."""
    x1, x2 = _floats("cosine_similarity", x1, x2)
    least = arguments.not_negative("cosine_similarity", "eps", eps)
    shape = broadcast_shapes("cosine_similarity", x1.shape, x2.shape)
    axis = normalize_axis("cosine_similarity", dim, max(len(shape), 1))
    if not shape:
        return cosine_similarity(x1.reshape(1), x2.reshape(1), 0, eps)
    x1, x2 = x1.broadcast_to(shape), x2.broadcast_to(shape)
    return (_unit(x1, axis, least) * _unit(x2, axis, least)).sum(axis)


def _unit(x: Tensor, axis: int, least: float) -> Tensor:
    return x / length(x, 2.0, axis, keepdim=True).clamp(min=least)


@spelled("nn.functional.pairwise_distance", method=False)
@high
def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """The p-norm of x1 - x2 + eps along the last axis. The operands broadcast."""
    x1, x2 = _floats("pairwise_distance", x1, x2)
    shift = arguments.finite("pairwise_distance", "eps", eps)
    broadcast_shapes("pairwise_distance", x1.shape, x2.shape)
    difference = x1 - x2 + shift
    keep = arguments.flag("pairwise_distance", "keepdim", keepdim)
    if not difference.ndim:
        return length(difference.reshape(1), _order("pairwise_distance", p), 0, keepdim=keep)
    return length(difference, _order("pairwise_distance", p), -1, keepdim=keep)


def _order(what: str, p: float) -> float:
    return float(arguments.number(what, "p", p, lambda p: not math.isnan(p), "a number"))


def _floats(what: str, *given: Tensor) -> list[Tensor]:
    for x in given:
        if not require_tensor(what, x).dtype.is_float:
            raise ShapeError(f"{what}: needs a float dtype, got {x.type}; convert it, as in x.float()", user_loc())
    return list(given)
