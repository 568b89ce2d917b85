"""Sums, means and maxima of rows of a table, without the rows as a result."""

from __future__ import annotations

import math

from tinytorch.frontend import arguments
from tinytorch.frontend.functions.basic import where
from tinytorch.frontend.functions.creation import arange, full, ones, zeros
from tinytorch.frontend.layers.functions import embedding, padding_row
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import require_tensor
from tinytorch.frontend.tensor.mode import mode
from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import apply
from tinytorch.ir.types import i64

_NAME = "embedding_bag"


@spelled("embedding_bag", space="nn.functional")
def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The sum, mean or maximum of the rows of `weight` [count, features] that each bag names: [bags, features].

    `input` of integers is [bags, size], or one vector in which `offsets` [bags] say where each bag begins, the first
    at 0; with `include_last_offset` one more says where the last one ends. A bag of none gives zeros.
    `per_sample_weights`, of the shape of `input`, scale the rows of a sum. Indices `padding_idx` do not count. The rest
    is as in `embedding`.
    """
    arguments.choice(_NAME, "mode", mode, "sum", "mean", "max")
    if mode == "max" and scale_grad_by_freq:
        raise arguments.wrong_value(_NAME, "scale_grad_by_freq", 'False where mode is "max"', scale_grad_by_freq)
    bag, bags = _bags(require_tensor(_NAME, input), offsets, include_last_offset)
    places = input.reshape(input.numel())
    rows = embedding(places, weight, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse)
    if per_sample_weights is not None:
        if mode != "sum" or per_sample_weights.shape != input.shape or per_sample_weights.dtype != weight.dtype:
            raise ShapeError(
                f'{_NAME}: per_sample_weights are {weight.dtype}{list(input.shape)}, and mode is then "sum"; got '
                f'{per_sample_weights.type} and "{mode}"',
                user_loc(),
            )
        rows = rows * per_sample_weights.reshape(-1, 1)
    counted = ones(places.shape, dtype=weight.dtype)
    if padding_idx is not None:
        kept = places != padding_row(_NAME, padding_idx, weight.shape[0])
        rows = where(kept.unsqueeze(1), rows, -math.inf if mode == "max" else 0.0)
        counted = kept.cast(weight.dtype)
    shape = (bags, weight.shape[1])
    if mode == "sum":
        return apply(ops.index.scatter_add, zeros(shape, dtype=weight.dtype), bag, rows, axis=0)
    count = apply(ops.index.scatter_add, zeros(bags, dtype=weight.dtype), bag, counted, axis=0).unsqueeze(1)
    if mode == "mean":
        total = apply(ops.index.scatter_add, zeros(shape, dtype=weight.dtype), bag, rows, axis=0)
        return total / count.clamp(min=1)
    lowest = full(shape, -math.inf, dtype=weight.dtype)
    return where(count > 0, apply(ops.index.scatter_reduce, lowest, bag, rows, axis=0, reduce="max"), 0.0)


def _bags(input: Tensor, offsets: Tensor | None, with_last: bool) -> tuple[Tensor, int]:
    """The bag of each index, and how many there are."""
    arguments.flag(_NAME, "include_last_offset", with_last)
    if input.ndim == 2 and offsets is None:
        return arange(input.shape[0]).unsqueeze(1).broadcast_to(input.shape).reshape(input.numel()), input.shape[0]
    if input.ndim != 1 or offsets is None:
        raise ShapeError(
            f"{_NAME}: input is [bags, size], or a vector with offsets, got {input.type} and "
            f"{None if offsets is None else offsets.type}",
            user_loc(),
        )
    if require_tensor(_NAME, offsets).ndim != 1 or offsets.dtype.kind not in ("int", "uint"):
        raise ShapeError(f"{_NAME}: offsets are a vector of integers, got {offsets.type}", user_loc())
    bags = offsets.shape[0] - int(with_last)
    if bags < 0 or (not bags and input.numel()):
        raise ShapeError(f"{_NAME}: offsets {offsets.type} name no bag for {input.type}", user_loc())
    if mode.trace is None and bags and offsets.numpy()[0]:
        raise arguments.wrong_value(_NAME, "offsets", "0 at first", offsets.tolist())
    begins = offsets.cast(i64)[:bags].unsqueeze(1)
    bag = (begins <= arange(input.numel())).cast(i64).sum(0) - 1
    return apply(ops.elementwise.checked_index, bag, size=bags, wrap=False), bags
