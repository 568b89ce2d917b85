"""Structured pruning: the channels, neurons and heads that matter least go, and the model is smaller."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.compression.channels import ChannelGroup, Ties, arguments_of, named_tensors, ties_of
from tinytorch.frontend.compression.shrinking import Unit, without, zeroed
from tinytorch.frontend.compression.targets import listed
from tinytorch.frontend.module import Module
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import grad_mode
from tinytorch.frontend.tree import flatten
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc, warn
from tinytorch.ir.op import Array

__all__ = ["prune_channels"]

AnyModule = TypeVar("AnyModule", bound=Module)
_WHAT = "prune_channels"
_FAILURES = (  # of a user's forward that meets other sizes than it was written for
    ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TinyTorchError, TypeError, ValueError,
)  # fmt: skip


def prune_channels(
    model: AnyModule,
    example: Any,
    sparsity: float = 0.5,
    *,
    per_layer: bool = True,
    multiple_of: int = 1,
    parameters: Iterable[str] | None = None,
    exclude: Iterable[str] = (),
) -> AnyModule:
    """A new model without a share `sparsity` of its channels, neurons and heads: the same modules with smaller
    parameters, which run eagerly, compiled and in training as before. The given one is unchanged.

    `example` is a tensor, or a tuple of arguments, that forward takes; its graph says what can go, and what goes
    together, as `channel_groups` lists: channels that meet in a residual, concatenations, batch norms, the columns of a
    Linear behind a flattened image, heads, groups of grouped and depthwise convolutions. What a layer norm sums over,
    inputs and outputs stay, and so do rows and columns of embeddings and of heads that are tied to them where the
    residual stream is normed. Masks of `magnitude_prune` shrink with their parameters.

    From each group goes the share with the smallest norm, of all weights that would go; at least one unit stays. With
    `per_layer=False` the share is of all groups together, norms in units of the group's mean. What stays is rounded up
    to a `multiple_of`, for kernels that like such numbers. `parameters` chooses groups by the names of parameters in
    them, `exclude` leaves some out.

    The result is what the given model computes with the same channels set to 0, which is checked on the example: a
    group with which forward fails or differs, such as one whose size is a literal in a user's forward, stays, and a
    warning names it. Attributes of the package's modules follow (`out_channels`, `num_heads` …), those of a user's
    module where it is clear what they count; `Module.resized` can say the rest. What forward computes in training alone
    is not seen. With `per_layer`, layers that are alike keep as many heads each, as a `KVCache` needs them, and shapes
    depend on `sparsity` alone: a fresh model that is pruned alike takes the state dict of this one.

    TinyTorchError where `sparsity` is not in [0, 1), nothing can go, a name is unknown, or a weight is NaN or infinite.
    Sources: Li et al. 2017 ("Pruning filters for efficient ConvNets"), Michel et al. 2019 (heads), Fang et al. 2023
    ("DepGraph": norms over all that goes together).
    """
    share = arguments.number(_WHAT, "sparsity", sparsity, lambda x: 0 <= x < 1, "a number of at least 0 and below 1")
    arguments.flag(_WHAT, "per_layer", per_layer)
    step = arguments.integer(_WHAT, "multiple_of", multiple_of, 1)
    ties = ties_of(_WHAT, model, example)
    groups = _chosen(model, ties, parameters, exclude)
    norms = [_norms(model, group, ties) for group in groups]
    counts = [round(share * len(n)) for n in norms] if per_layer else _counts(norms, share)
    gone = [
        [group.units[i] for i in np.argsort(n, kind="stable")[: _rounded(len(n), count, step)]]
        for group, n, count in zip(groups, norms, counts, strict=True)
    ]
    trial = _Trial(model, arguments_of(example), ties)
    fitting, failed = trial.sieve([(g, units) for g, units in zip(groups, gone, strict=True) if units])
    for group, reason in failed:
        warn(f"{_WHAT}: {group.name} keeps its channels: {reason}", RuntimeWarning)
    return without(model, [unit for _, units in fitting for unit in units], ties)


def _chosen(model: Module, ties: Ties, parameters: Iterable[str] | None, exclude: Iterable[str]) -> list[ChannelGroup]:
    """The groups that are to be pruned; TinyTorchError if there are none."""
    known = named_tensors(model)
    left_out = set(listed(_WHAT, "exclude", exclude, known))
    wanted = known if parameters is None else set(listed(_WHAT, "parameters", parameters, known))
    groups = [
        group
        for group in ties.groups()
        if any(name in wanted for name, _ in group.places) and not any(name in left_out for name, _ in group.places)
    ]
    if not groups:
        kept = "\n  ".join(str(group) for group in ties.kept()[:6])
        raise TinyTorchError(f"{_WHAT}: {type(model).__name__} has no channels that could go\n  {kept}", user_loc())
    return groups


def _norms(model: Module, group: ChannelGroup, ties: Ties) -> Array:
    """The norm of the weights of each unit, of all places together."""
    tensors = named_tensors(model)
    squares = np.zeros(len(group.units))
    for name, axis in group.places:
        if name in ties.weights:
            array = tensors[name].numpy().astype(np.float64)
            if not np.isfinite(array).all():
                raise TinyTorchError(f"{_WHAT}: {name} has weights that are NaN or infinite", user_loc())
            along = (array**2).sum(axis=tuple(a for a in range(array.ndim) if a != axis))
            squares += [along[unit[name, axis]].sum() for unit in group.units]
    return np.sqrt(squares)


def _counts(norms: Sequence[Array], share: float) -> list[int]:
    """How many units of each group are among the share with the smallest norms of all."""
    scaled = [n / n.mean() if n.any() else n for n in norms]
    limit = round(share * sum(map(len, norms)))
    owner = np.concatenate([np.full(len(n), i) for i, n in enumerate(norms)])
    first = owner[np.argsort(np.concatenate(scaled), kind="stable")[:limit]]
    return [int((first == i).sum()) for i in range(len(norms))]


def _rounded(size: int, count: int, step: int) -> int:
    """How many of `size` units go: at most `count`, such that a multiple of `step` stays, or all do."""
    stays = max(1, size - count)
    return size - min(size, -(-stays // step) * step)


Chosen = tuple[ChannelGroup, list[Unit]]


class _Trial:
    """Runs pruned models on the example, and compares them with what their results should be."""

    def __init__(self, model: Module, args: tuple[Any, ...], ties: Ties) -> None:
        self.model, self.args, self.ties = model, args, ties

    def sieve(self, chosen: Sequence[Chosen]) -> tuple[list[Chosen], list[tuple[ChannelGroup, str]]]:
        """The groups with which the model works, and the others, with the reason why it does not."""
        reason = self._failure(chosen)
        if reason is None:
            return list(chosen), []
        if len(chosen) == 1:
            return [], [(chosen[0][0], reason)]
        half = len(chosen) // 2
        first, second = self.sieve(chosen[:half]), self.sieve(chosen[half:])
        together, failed = [*first[0], *second[0]], [*first[1], *second[1]]
        reason = self._failure(together) if failed or len(together) < len(chosen) else reason
        if reason is None:
            return together, failed
        return first[0], [*failed, *((group, reason) for group, _ in second[0])]

    def _failure(self, chosen: Sequence[Chosen]) -> str | None:
        """What is wrong with the model without these units; None if nothing is."""
        units = [unit for _, units in chosen for unit in units]
        if not units:
            return None
        wanted = self._run(zeroed(self.model, units))
        try:
            found = self._run(without(self.model, units, self.ties))
        except _FAILURES as error:
            return f"forward fails without some ({str(error).splitlines()[0]})"
        alike = len(found) == len(wanted) and all(map(_close, found, wanted))
        return None if alike else "without some, results are others than with these set to 0"

    def _run(self, model: Module) -> list[Array]:
        model.eval()
        with grad_mode(False):
            result = model(*self.args)
        tensors: list[Tensor] = []
        flatten(result, tensors, lambda x: isinstance(x, Tensor))
        return [t.numpy() for t in tensors]


def _close(found: Array, wanted: Array) -> bool:
    """Equal but for rounding: sums of fewer terms are added in another order."""
    if found.shape != wanted.shape or found.dtype != wanted.dtype:
        return False
    a, b = found.astype(np.float64), wanted.astype(np.float64)
    fine = {2: 2e-2, 4: 1e-4, 8: 1e-9}.get(found.dtype.itemsize, 0.0)
    return np.allclose(a, b, rtol=fine, atol=fine * float(np.abs(b).max(initial=0)), equal_nan=True)
