"""What a microkernel depends on: how it is told, so that products which agree in it share its code."""

from __future__ import annotations

from dataclasses import dataclass

from tinytorch.ir.ops.contract import accumulator
from tinytorch.ir.types import DType
from tinytorch.runtime.llvm.contract.bytes.dots import ByteDot
from tinytorch.runtime.llvm.contract.bytes.groups import Groups
from tinytorch.runtime.llvm.contract.operands.layout import Pairs
from tinytorch.runtime.llvm.contract.plan.cut import Streams, Tile
from tinytorch.runtime.llvm.contract.sums import Summation, steps_of, summation_of
from tinytorch.runtime.llvm.text.target import Target


@dataclass(frozen=True)
class Source:
    """Where a microkernel finds an operand: dtype, and byte steps along the result's axis and along k."""

    dtype: DType
    step: int
    k_step: int


@dataclass(frozen=True)
class Walk:
    """A fixed way through operands that no single step describes, in bytes: where each row of the tile begins in a
    and in the sums, and the loops over k, outermost first, as (count, step in a, step in b)."""

    rows: tuple[int, ...]
    to: tuple[int, ...]
    loops: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Ahead:
    """What a microkernel fetches into the caches for the next one: in each of `rows`, `apart` bytes from one another,
    as many elements, `step` bytes from one another, as there are steps of k; into L1 (locality 3) or L2 (2)."""

    rows: int
    apart: int
    step: int
    locality: int = 3


@dataclass(frozen=True)
class TileKey:
    """All that a microkernel depends on. `width` counts the columns that exist, `accumulates` whether it may add
    to what `to` holds: it does where its last argument is not 0. What that rounds off, the compensation, is stored
    `compensation_at` bytes after `to`, if not 0. With a `walk`, the stride and k are not read, and `summation` follows
    from it.

    Where it `packs`, the vectors of b are stored on the way, one step of k behind the other, at a further parameter;
    that many steps of k are fetched ahead. The last parameters are where each of `ahead` is fetched from. Where it
    `touches`, the places of the sums are fetched first."""

    form: str
    tile: Tile
    width: int
    lanes: int
    a: Source
    b: Source
    accumulates: bool
    target: Target
    walk: Walk | None = None
    summation: Summation = "chain"
    compensation_at: int = 0
    groups: Groups | None = None  # what a step of k takes, where it is not an element
    dot: ByteDot | None = None  # the same for convolutions of bytes
    pools: int = 1  # neighbouring rows of which the largest sums alone are stored, where `walk.to` has a place for each
    streams: Streams | None = None  # of dot products; without, columns side by side are read together
    packs: int = 0
    ahead: tuple[Ahead, ...] = ()
    touches: bool = False
    pairs: Pairs = "none"  # what is done where each lane of b holds two numbers of bf16
    panels: tuple[int, int] | None = None  # vectors in a panel of b, and bytes from one to the next; else one has all
    panel_sums: int = 0  # bytes from the sums of a panel to those of the next, where they are not neighbours

    @property
    def sums(self) -> Summation:
        """How the products of an element are added up."""
        if self.walk is None:
            return self.summation
        return summation_of(steps_of(self.walk.loops, self.lanes if self.form == "dot" else 1), self.compute)

    @property
    def compute(self) -> DType:
        return accumulator(self.a.dtype)
