"""Pruning of weights with small magnitudes: one by one, in blocks, or N of each M.

What a mask saves depends on its pattern. A product that reads w zeros less does w multiplications less, but must know
where the others are: unstructured zeros cost an index each, blocks one for each block, N:M a few bits for each group.
A kernel that skips single zeros is faster than a dense one only where most weights are zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.compression.targets import input_axes, magnitudes, weights_of
from tinytorch.frontend.module import Module
from tinytorch.frontend.module.masks import mask_of, set_mask
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array

__all__ = ["magnitude_prune", "prune_n_of_m", "remove_masks"]

AnyModule = TypeVar("AnyModule", bound=Module)


def magnitude_prune(
    model: AnyModule,
    sparsity: float = 0.9,
    *,
    per_layer: bool = False,
    block: Sequence[int] = (1, 1),
    parameters: Iterable[str] | None = None,
    exclude: Iterable[str] = (),
) -> AnyModule:
    """Set the weights of smallest magnitude to 0, in place, and keep them there: a share `sparsity` of all weights
    together, or with `per_layer` of each parameter. Returns the model.

    Weights are those of products and convolutions: parameters with two axes or more, not biases, norms and embeddings
    (nor heads that share an embedding's table). `parameters` names others instead, as `named_parameters` does, and
    `exclude` leaves some out; a parameter with several names is pruned once.

    With `block=(r, c)`, blocks of r outputs by c inputs go as a whole, those with the smallest root mean square first;
    of a convolution, inputs are the elements of its window, channel by channel. Blocks at the edges may be smaller.

    The number of zeros is `sparsity` times the number of weights, rounded, blocks aside; of equal magnitudes the first
    go first. No parameter is pruned away: its largest weight (or block) stays, and where many are small, a layer may
    have little more left, which `measure_sparsity` shows and `per_layer` avoids. What an earlier call has pruned counts
    and stays pruned, so calls with growing `sparsity` prune step by step.

    Masks hold through training with every optimizer, eager and compiled, are part of `state_dict()` as `<name>_mask`,
    and go with `remove_masks`; gradients are 0 where they are False. Assigning `data` and writing into a weight's array
    are not seen until the next step of an optimizer.

    TinyTorchError where `sparsity` is not in [0, 1), a weight is NaN or infinite, or a name is unknown; the model is
    then as it was. Source: Han et al. 2015 ("Learning both weights and
    connections"); globally, Frankle & Carbin 2019.
    """
    what = "magnitude_prune"
    share = arguments.number(what, "sparsity", sparsity, lambda x: 0 <= x < 1, "a number of at least 0 and below 1")
    rows, columns = _pair(what, "block", block)
    apart = arguments.flag(what, "per_layer", per_layer)
    weights = weights_of(what, model, parameters, exclude)
    scores = {name: _block_scores(weight, rows, columns) for name, weight in weights.items()}
    groups = [{name: score} for name, score in scores.items()] if apart else [scores]
    kept: dict[str, Array] = {}
    for group in groups:
        sizes = {name: _block_sizes(weights[name], rows, columns) for name in group}
        kept |= _largest(group, sizes, share)
    masks = {name: _repeated(k, weights[name], rows, columns) for name, k in kept.items()}
    _put(weights, masks)
    return model


def prune_n_of_m(
    model: AnyModule,
    n: int = 2,
    m: int = 4,
    *,
    parameters: Iterable[str] | None = None,
    exclude: Iterable[str] = (),
) -> AnyModule:
    """Keep the `n` largest of each `m` weights in a row along the axis of the inputs, and set the others to 0, in
    place. Returns the model.

    That is axis 1 of the weights of Linear and of convolutions (for each place of the window), axis 0 of transposed
    convolutions. The last group of an axis that `m` does not divide is smaller, and keeps its `n` largest too. Which
    parameters, how masks hold, and errors are as in `magnitude_prune`; what it has pruned stays pruned. Source: Mishra
    et al. 2021 ("Accelerating sparse deep neural networks"), whose pattern is 2:4.
    """
    what = "prune_n_of_m"
    arguments.integer(what, "n", n, 1)
    arguments.integer(what, "m", m, 1)
    if n > m:
        raise arguments.wrong_value(what, "n", f"at most m, which is {m}", n)
    weights = weights_of(what, model, parameters, exclude)
    axes = input_axes(model)
    for name, weight in weights.items():
        if weight.ndim < 2:
            raise TinyTorchError(f"{what}: {name} is {weight.type}, which has no axis of inputs", user_loc())
    masks = {name: n_of_m_mask(magnitudes(weight), n, m, axes.get(id(weight), 1)) for name, weight in weights.items()}
    _put(weights, masks)
    return model


def remove_masks(model: AnyModule, parameters: Iterable[str] | None = None) -> AnyModule:
    """Make pruning permanent: the zeros stay, as weights like all others, and training may change them. Of all
    parameters, or of those named. Returns the model."""
    arguments.instance("remove_masks", "model", model, Module)
    known = dict(model.named_parameters(remove_duplicate=False))
    names = list(known if parameters is None else parameters)
    for name in names:
        if name not in known:
            raise arguments.wrong_value("remove_masks", "parameters", f"among {', '.join(known)}", name)
    for name in names:
        set_mask(known[name], None)
    return model


def _pair(what: str, name: str, value: Any) -> tuple[int, int]:
    if not isinstance(value, (tuple, list)) or len(value) != 2:  # pyright: ignore[reportUnknownArgumentType]
        raise arguments.wrong_type(what, name, "a pair (outputs, inputs)", value)
    first, second = (arguments.integer(what, name, n, 1) for n in value)  # pyright: ignore[reportUnknownVariableType]
    return first, second


def _put(weights: Mapping[str, Tensor], masks: Mapping[str, Array]) -> None:
    """Set masks, beside those that are there."""
    for name, weight in weights.items():
        known = mask_of(weight)
        set_mask(weight, masks[name] if known is None else masks[name] & known.numpy())


# Scores of weights or blocks of them, and which of these are kept.
def kept_blocks(scores: Array, sizes: Array, spared: Sequence[int], share: float) -> Array:
    """Which of n blocks stay, bool[n], when those of smallest score go, as many as have together no more than `share`
    of all weights, rounded to a whole number of them.

    scores: f64[n]; of equal ones the first go first. sizes: i64[n], weights of each block. spared: blocks that stay.
    """
    order = np.argsort(scores, kind="stable")
    order = order[~np.isin(order, spared)]
    goes = np.cumsum(sizes[order]) <= round(share * int(sizes.sum()))
    kept = np.ones(len(scores), np.bool_)
    kept[order[goes]] = False
    return kept


def _matrix(array: Array) -> Array:
    """[outputs, inputs · window]; of a vector, one row."""
    return array.reshape(array.shape[0] if array.ndim > 1 else 1, -1)


def _sums(values: Array, rows: int, columns: int) -> Array:
    """Of each block."""
    if rows == columns == 1:
        return values
    down = np.add.reduceat(values, range(0, values.shape[0], rows), axis=0)
    return np.add.reduceat(down, range(0, values.shape[1], columns), axis=1)


def _block_sizes(weight: Tensor, rows: int, columns: int) -> Array:
    return _sums(np.ones_like(_matrix(weight.numpy()), np.int64), rows, columns)


def _block_scores(weight: Tensor, rows: int, columns: int) -> Array:
    """The root mean square of each block; -1 where a mask leaves nothing of it, so that it goes first."""
    values = _matrix(magnitudes(weight))
    scores = np.sqrt(_sums(values**2, rows, columns) / _block_sizes(weight, rows, columns))
    mask = mask_of(weight)
    if mask is None:
        return scores
    left = _sums(_matrix(mask.numpy()).astype(np.int64), rows, columns)
    return np.where(left > 0, scores, -1.0)


def _largest(scores: Mapping[str, Array], sizes: Mapping[str, Array], share: float) -> dict[str, Array]:
    """Which blocks of several parameters are kept when those of smallest score go, as long as they have no more
    weights than their share of all; the largest of each parameter stays."""
    flat, size = (np.concatenate([x.reshape(-1) for x in parts.values()]) for parts in (scores, sizes))
    ends = np.cumsum([x.size for x in scores.values()])
    starts = [0, *ends[:-1]]
    largest = [start + int(np.argmax(flat[start:end])) for start, end in zip(starts, ends, strict=True)]
    parts = np.split(kept_blocks(flat, size, largest, share), ends[:-1])
    return {name: part.reshape(x.shape) for (name, x), part in zip(scores.items(), parts, strict=True)}


def _repeated(kept: Array, weight: Tensor, rows: int, columns: int) -> Array:
    """A mask of weights from one of blocks."""
    height, width = _matrix(weight.numpy()).shape
    return kept.repeat(rows, 0)[:height].repeat(columns, 1)[:, :width].reshape(weight.shape)


def n_of_m_mask(values: Array, n: int, m: int, axis: int) -> Array:
    """True for the n largest of each m `values` along an axis, of equal ones the last; a bool array of that shape. The
    last group is shorter where m does not divide the length."""
    values = np.moveaxis(values, axis, -1)
    length = values.shape[-1]
    missing = -length % m
    padded = np.concatenate([values, np.full((*values.shape[:-1], missing), -1.0)], -1)
    groups = padded.reshape(*values.shape[:-1], -1, m)
    ranks = np.argsort(np.argsort(groups, -1, kind="stable"), -1, kind="stable")
    kept = (ranks >= m - n).reshape(padded.shape)[..., :length]
    return np.ascontiguousarray(np.moveaxis(kept, -1, axis))
