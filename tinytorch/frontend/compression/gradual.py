"""Pruning a little before each epoch of training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tinytorch.frontend import arguments
from tinytorch.frontend.compression.magnitude import magnitude_prune
from tinytorch.frontend.compression.targets import weights_of
from tinytorch.frontend.module import Module

__all__ = ["GradualPruning"]


def sparsity_at(epoch: float, begin: int, end: int, start: float, sparsity: float) -> float:
    """The share of zeros in an epoch: 0 before `begin`, from `start` there to `sparsity` from `end` on, by the cube of
    what is left to do."""
    if epoch < begin:
        return 0.0
    done = 1.0 if epoch >= end else (epoch - begin) / (end - begin)
    return sparsity + (start - sparsity) * (1 - done) ** 3


class GradualPruning:
    """Prunes a model by magnitude before each epoch, from a sparsity of `start` to `sparsity`, so that training makes
    up for each step; for `Trainer.fit(before_epoch=GradualPruning(model, …))`.

        sparsity + (start - sparsity) (1 - done)³,      done = (epoch - begin) / (end - begin) in [0, 1]

    counted from 0: nothing is pruned before epoch `begin`, and from epoch `end` on the sparsity is reached. Most goes
    early, where there is most to spare (Zhu & Gupta 2017, "To prune, or not to prune", equation 1). `options` are those
    of `magnitude_prune`. Weights get masks at once, of True at first, so that compiled steps are compiled once and
    checkpoints hold them. Early stopping that restores its best weights restores their masks, too.
    """

    def __init__(
        self,
        model: Module,
        sparsity: float = 0.9,
        *,
        begin: int = 0,
        end: int,
        start: float = 0.0,
        per_layer: bool = False,
        block: Sequence[int] = (1, 1),
        parameters: Iterable[str] | None = None,
        exclude: Iterable[str] = (),
    ) -> None:
        what = "GradualPruning"
        for name, share in (("sparsity", sparsity), ("start", start)):
            arguments.number(what, name, share, lambda x: 0 <= x < 1, "a number of at least 0 and below 1")
        if start > sparsity:
            raise arguments.wrong_value(what, "start", f"at most the sparsity at the end, {sparsity}", start)
        self.model, self.start, self.sparsity = model, start, sparsity
        self.begin = arguments.integer(what, "begin", begin, 0)
        self.end = arguments.integer(what, "end", end, self.begin)
        weights = weights_of(what, model, parameters, exclude)
        self._options: dict[str, Any] = {"per_layer": per_layer, "block": block, "parameters": list(weights)}
        magnitude_prune(model, 0.0, **self._options)  # which checks the options

    def sparsity_at(self, epoch: float) -> float:
        """The share of zeros in an epoch; 0 before `begin`."""
        return sparsity_at(epoch, self.begin, self.end, self.start, self.sparsity)

    def __call__(self, epoch: int) -> None:
        """Prune as far as this epoch asks for."""
        magnitude_prune(self.model, self.sparsity_at(epoch), **self._options)
