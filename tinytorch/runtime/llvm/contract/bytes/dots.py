"""How convolutions of bytes multiply: the ways of `instructions`, as one record for each.

An operand is a vector of groups of four bytes, one group for each lane of the sums: four elements, or two that were
widened to 16 bits. A missing element is 0. All ways are exact, and sums wrap, so results do not depend on the target.

An instruction that wants another signedness gets images that are moved by 128, which flips the highest bit of a byte.
The sums are then off by 128 times those of the weights, `ByteDot.off`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tinytorch.ir.types import DType, i8, i32, u8
from tinytorch.runtime.llvm.contract.bytes.instructions import add_16_bits, pair, quad, quad_in_16_bits
from tinytorch.runtime.llvm.text.builder import Function, Register
from tinytorch.runtime.llvm.text.target import Target

Form = Literal["quads", "sixteen", "pairs", "apart"]  # "sixteen" adds up in 16 bits, "apart" has no instruction
GROUP_BYTES = 4
_SIXTEEN = (1 << 15) - 1


@dataclass(frozen=True)
class ByteDot:
    """One of these ways, on a target, for groups of `size` elements.

    `images` and `weights` are the dtypes that it multiplies. `chain`: the dot products of so many groups are added up
    in 16 bits before they are added to a sum.
    """

    form: Form
    size: int
    images: DType
    weights: DType
    target: Target
    chain: int = 1

    @property
    def in_place(self) -> bool:
        """Whether an instruction adds products to a sum, so that they need no register of their own."""
        return self.form == "quads"

    def moves(self, images: DType) -> bool:
        """Whether images of a dtype must be moved by 128."""
        return images is not self.images

    def off(self, images: DType) -> int:
        """What to multiply the sum of the weights with, and add to the sums, for images of a dtype."""
        return (-128 if images is i8 else 128) if self.moves(images) else 0

    def add(self, fn: Function, total: Register, groups: Sequence[tuple[Register, Register]]) -> Register:
        """total + the dot products of groups (images, weights), `chain` of them at most, in i32 lanes."""
        assert 1 <= len(groups) <= self.chain, "a longer chain may saturate"
        if self.form == "sixteen":
            sums = [quad_in_16_bits(fn, *((x, y) if self.images is u8 else (y, x))) for x, y in groups]
            together = sums[0]
            for following in sums[1:]:
                together = together + following
            return add_16_bits(fn, total, together)
        ((x, y),) = groups
        if self.form == "quads":
            return quad(fn, self.target, total, x, y, self.images, self.weights)
        if self.form == "pairs":
            return pair(fn, total, x, y)
        for i in range(self.size):
            total = total + self._part(fn, x, self.images, i) * self._part(fn, y, self.weights, i)
        return total

    def _part(self, fn: Function, x: Register, dtype: DType, index: int) -> Register:
        """Element `index` of each group, widened."""
        bits = 8 * GROUP_BYTES // self.size
        first = x << (32 - bits - bits * index)
        signed = self.size == 2 or dtype is i8
        return fn.binary("ashr" if signed else "lshr", first, fn.const(32 - bits, x.type))


def byte_dot(target: Target, lanes: int, images: DType, weights: DType, size: int, most: tuple[int, int]) -> ByteDot:
    """The best way to multiply groups of `size` (2 or 4) elements of images by weights, bytes of these dtypes whose
    magnitudes are at most `most`, in so many lanes of sums."""
    dots = target.byte_dots if lanes == target.lanes(i32) else "none"
    if size == 2:
        return ByteDot("pairs" if target.is_x86 and dots != "none" else "apart", 2, images, weights, target)
    if dots == "quad":
        return ByteDot("quads", 4, _taken(target, images, weights), weights, target)
    other = i8 if images is u8 else u8
    taken = other if images is weights else images
    largest = most[0] if taken is images else 128 if taken is i8 else 255
    chain = _SIXTEEN // (2 * largest * max(1, most[1]))
    if chain and dots != "none" and target.has_sums_of_16_bits:
        return ByteDot("sixteen", 4, taken, weights, target, min(chain, 2))
    return ByteDot("apart", 4, images, weights, target)


def _taken(target: Target, images: DType, weights: DType) -> DType:
    """The images that meet weights of a dtype in one instruction."""
    if target.has_vnni:
        return u8 if weights is i8 else i8
    return images if target.has_mixed_dot else weights
