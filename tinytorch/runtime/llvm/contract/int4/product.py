"""A product with weights of four bits: its sizes, how it is computed, and its tile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tinytorch.ir.ops.int4 import PANEL
from tinytorch.ir.types import f16, i8
from tinytorch.runtime.arena import aligned
from tinytorch.runtime.llvm.kernel import Buffer
from tinytorch.runtime.llvm.text.target import Target

_MOST_ROWS = 8  # of a tile
_MOST_PANELS = 4  # that are read side by side

Form = Literal["quad", "sixteen", "pair", "each", "float"]  # how products are computed; "sixteen" adds up in 16 bits
X_BYTES: dict[Form, int] = {"quad": 1, "sixteen": 1, "pair": 2, "each": 4, "float": 4}  # of a copied element


@dataclass(frozen=True)
class Int4Product:
    """A product x [m, k] by weights of n columns in groups of `group` steps."""

    form: Form
    x: Buffer
    columns: int
    groups: int
    group: int
    lanes: int
    target: Target

    @property
    def depth(self) -> int:
        return self.groups * self.group

    @property
    def vectors(self) -> int:
        """In a panel."""
        return PANEL // self.lanes

    @property
    def sums_at(self) -> int:
        """Where a copied row has what its sums begin with."""
        return aligned(self.depth * X_BYTES[self.form])

    @property
    def row_bytes(self) -> int:
        """From one copied row to the next, no multiple of a page."""
        return self.sums_at + aligned(4 * self.groups) + 64

    @property
    def panel_bytes(self) -> int:
        return self.depth * PANEL // 2

    @property
    def scale_bytes(self) -> int:
        return self.groups * PANEL * f16.size


@dataclass(frozen=True)
class Tile:
    """Whose sums are held in registers at a time."""

    rows: int
    panels: int


def form_of(x: Buffer, target: Target) -> Form:
    """How products of the rows x are computed: bytes by the best instructions of the target, others in f32."""
    if x.dtype is not i8:
        return "float"
    if target.byte_dots == "pair" and target.has_sums_of_16_bits:
        return "sixteen"
    return "each" if target.byte_dots == "none" else target.byte_dots


def tile_of(m: int, product: Int4Product) -> Tile:
    """Half of the registers hold sums of f32, as many rows as they allow but evenly."""
    most = max(1, product.target.vector_registers // 2 // product.vectors)
    rows = -(-m // -(-m // min(_MOST_ROWS, most)))
    return Tile(rows, max(1, min(_MOST_PANELS, most // rows, -(-product.columns // PANEL))))
