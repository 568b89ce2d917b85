"""What passes ask about the machine that a graph will run on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tinytorch.ir.types import DType

Precision = Literal["fast", "exact"]  # whether sums may be computed in fewer products than their definition has


@dataclass(frozen=True)
class Costs:
    """Vectors of `vector_bytes` in so many registers, and what the choices of the passes cost there; a backend gives it
    for its target.

    Times are in multiply-adds of vectors. The defaults were measured on AVX-512; they count instructions for a vector,
    of which narrower vectors need more, each as long.
    """

    vector_bytes: int = 64
    panel_vectors: int = 4  # side by side in a panel of a weight that is laid out for products
    vector_registers: int = 32
    byte_dots: Literal["quad", "pair", "none"] = "none"  # how many bytes of k an instruction multiplies and adds up
    quad_pairs: frozenset[tuple[DType, DType]] = frozenset()  # the dtypes that those of four multiply
    sums_of_16_bits: bool = False  # whether another one adds up two products in 16 bits, which may be too few
    l2_bytes: int = 1 << 20  # of the caches of a core
    multiplies_pairs: bool = False  # of bf16, two of k in one instruction
    l3_bytes: int = 16 << 20  # of the last level of the caches
    memory: float = 12  # what a vector takes that comes from memory, beside which others are multiplied
    read: float = 4  # and one that comes from the last level of the caches
    read_near: float = 2.5  # and one that comes from L2
    winograd_transform: Mapping[int, float] = field(
        default_factory=lambda: {4: 60, 5: 175, 6: 240}
    )  # by points: a vector, n ways
    winograd_sums: float = 4  # a vector of sums, to begin and to store it
    winograd_weights: float = 12.5  # what a vector of transformed weights takes, with its way to memory
    winograd_gain: float = 0.85  # of the time, at most: what is saved must be worth the rounding errors
    byte_group: int = 0  # neighbouring bytes that one instruction multiplies and adds up exactly, 2 or 4; 0: none does
    small_byte_group: int = 0  # the same where two products fit in 16 bits

    def lanes(self, dtype: DType) -> int:
        """Elements of `dtype` in one vector."""
        return max(1, self.vector_bytes // dtype.size)

    def multiplies_bytes(self, left: DType, right: DType) -> bool:
        """Whether the instruction for four bytes multiplies such."""
        return (left, right) in self.quad_pairs

    def panel(self, dtype: DType, columns: int) -> int:
        """Columns of a matrix that lie together for the microkernels of products: whole vectors, as many as leave
        registers for the sums of some six rows, and split the columns evenly."""
        lanes = self.lanes(dtype)
        vectors, widest = -(-columns // lanes), max(1, self.vector_registers // 8)
        return -(-vectors // -(-vectors // widest)) * lanes


DEFAULT_COSTS = Costs()  # where no target is known
