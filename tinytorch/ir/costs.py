"""What passes ask about the machine that a graph will run on."""

from __future__ import annotations

from dataclasses import dataclass

from tinytorch.ir.types import DType


@dataclass(frozen=True)
class Costs:
    """Vectors of `vector_bytes`, and what the choices of the passes cost there; a backend gives it for its target.

    Times are in multiply-adds of vectors. The defaults were measured on AVX-512; they count instructions for a vector,
    of which narrower vectors need more, each as long.
    """

    vector_bytes: int = 64
    winograd_transform: float = 60  # what a vector of images or sums takes
    winograd_weights: float = 200  # what a vector of weights takes, with its way to memory and back
    winograd_gain: float = 0.85  # of the time, at most: what is saved must be worth the rounding errors

    def lanes(self, dtype: DType) -> int:
        """Elements of `dtype` in one vector."""
        return max(1, self.vector_bytes // dtype.size)


DEFAULT_COSTS = Costs()  # where no target is known
