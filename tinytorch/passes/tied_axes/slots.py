"""Slots: indices of axes, of which some must go together. What `tied_axes` collects, and how it is solved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tinytorch.ir.op import Array


@dataclass
class _Product:
    """Slots of an axis that stands for several at once: each goes if the slot of any factor goes. Factors are in the
    order of a reshape, the one that varies slowest first."""

    whole: Array
    factors: list[Array]
    solved: bool = False


@dataclass
class Slots:
    """Numbers from 0 on, each for an index of an axis, and what is known of them: which are one and the same, which
    are fixed, so that they cannot go, and which are products of others."""

    count: int = 0
    _labels: Array = field(default_factory=lambda: np.arange(0))  # the classes as far as they are known
    _edges: list[tuple[Array, Array]] = field(default_factory=list[tuple[Array, Array]])
    _fixed: list[tuple[Array, str]] = field(default_factory=list[tuple[Array, str]])
    _products: list[_Product] = field(default_factory=list[_Product])

    def fresh(self, count: int) -> Array:
        """New slots."""
        self.count += count
        return np.arange(self.count - count, self.count)

    def unite(self, a: Array, b: Array) -> None:
        """Pairs of slots that go together."""
        self._edges.append((a, b))

    def fix(self, slots: Array, reason: str) -> None:
        """These slots stay."""
        self._fixed.append((slots, reason))

    def product(self, whole: Array, factors: Sequence[Array]) -> None:
        """Slot i of `whole` goes if slot i of any of `factors` does."""
        self._products.append(_Product(whole, list(factors)))

    def solve(self) -> tuple[Array, dict[int, str]]:
        """The class of every slot, as the smallest slot in it, and why classes stay that do.

        Of a product with several factors that could go, the slowest does, and the others stay: heads of attention go as
        a whole, and so do the groups of a convolution.
        """
        while True:
            labels = self._classes()
            stays, reasons = self._stay(labels)
            if self._settle(labels, stays, reasons):
                continue
            pending = next((p for p in self._products if not p.solved), None)
            if pending is None:
                return labels, reasons
            free = [f for f in pending.factors if not stays[labels[f]].all()]
            for factor in free[1:]:
                self.fix(factor, "it is the inner part of an axis, whose outer part goes as a whole")

    def _classes(self) -> Array:
        """The smallest slot that each is connected with."""
        labels = self._labels = np.concatenate([self._labels, np.arange(len(self._labels), self.count)])
        if not self._edges:
            return labels
        a, b = (labels[np.concatenate(side)] for side in zip(*self._edges, strict=True))
        self._edges = []
        while True:
            least = np.minimum(labels[a], labels[b])
            before = labels.copy()
            for side in (a, b):
                np.minimum.at(labels, before[side], least)
                np.minimum.at(labels, side, least)
            labels = labels[labels]
            if np.array_equal(labels, before):
                self._labels = labels
                return labels

    def _stay(self, labels: Array) -> tuple[Array, dict[int, str]]:
        """Which classes stay, as flags by label, and the first reason for each."""
        stays = np.zeros(self.count, np.bool_)
        reasons: dict[int, str] = {}
        for slots, reason in self._fixed:
            for label in np.unique(labels[slots]).tolist():
                reasons.setdefault(label, reason)
            stays[labels[slots]] = True
        return stays, reasons

    def _settle(self, labels: Array, stays: Array, reasons: dict[int, str]) -> bool:
        """Draw conclusions from products; whether there were any."""
        found = False
        for product in self._products:
            whole = stays[labels[product.whole]]
            for factor in product.factors:
                held = whole & ~stays[labels[factor]]
                if held.any():
                    self.fix(factor[held], reasons[int(labels[product.whole[held]][0])])
                    found = True
            if product.solved:
                continue
            free = [f for f in product.factors if not stays[labels[f]].all()]
            if len(free) <= 1 and not found:
                product.solved = found = True
                if free:
                    self.unite(product.whole, free[0])
                else:
                    self.fix(product.whole, reasons[int(labels[product.factors[0][0]])])
        return found
