"""Norms as they were at first: what their modules have in common."""

from __future__ import annotations

from typing import Any

from tinytorch.frontend.module import Module, init


class Norm(Module):
    """A module that may scale by a parameter `weight` and shift by a parameter `bias`."""

    def reset_parameters(self) -> None:
        """The scale 1 and the shift 0, as they were at first."""
        _fill(self, weight=1, bias=0)


class TrackedNorm(Norm):
    """A norm that may keep running statistics."""

    def reset_running_stats(self) -> None:
        """The running statistics as they were at first: mean 0, variance 1."""
        _fill(self, running_mean=0, running_var=1, num_batches_tracked=0)

    def reset_parameters(self) -> None:
        """The running statistics, the scale 1 and the shift 0, as they were at first."""
        self.reset_running_stats()
        super().reset_parameters()


def _fill(module: Any, **values: float) -> None:
    for name, value in values.items():
        if (tensor := getattr(module, name, None)) is not None:
            init.constant_(tensor, value)
