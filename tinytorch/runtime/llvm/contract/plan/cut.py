"""The records of a cut: a tile, streams, the plan itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TALLEST = 16  # rows of a tile
Form = Literal["outer", "dot"]
Order = Literal["rows", "columns"]  # what the outer one of an item's loops runs over
PackA = Literal["none", "rows", "panels"]
PackB = Literal["none", "copy", "transpose"]


@dataclass(frozen=True)
class Tile:
    """What one microkernel call computes: `rows` × (`vectors` of lanes); for dot products `vectors` columns."""

    rows: int
    vectors: int


@dataclass(frozen=True)
class Streams:
    """Dot products whose tile has columns that are evenly spread over a panel: each is one of a few long streams
    through memory. `unroll` vectors of k are added up side by side."""

    unroll: int


@dataclass(frozen=True)
class ProductPlan:
    """The cut. `form` says along which axis vectors run: `outer` along n, `dot` along k.

    `pack_a`: `rows` copies (and converts) rows of a, `panels` interleaves the rows of each tile; of `group` rows at
    once. `pack_b`: `copy` a row of the panel at a time, `transpose` squares where k is contiguous; `none` reads b in
    place. `fetch_rows`: how many of the next tile's rows are fetched while a panel is computed.
    """

    form: Form
    order: Order
    lanes: int
    tile: Tile
    streams: Streams | None
    panel: int
    pack_a: PackA
    pack_b: PackB
    k_block: int
    group: int
    fetch_rows: int
    item_rows: int
    item_columns: int
    items_per_chunk: int
    items: int
    apart: int = 1  # panels that a tile reads side by side: so many streams, evenly spread over the item
    k_part: int = 0  # steps of k of an item, whole blocks, where k is cut as well (`split_k`); else 0

    @property
    def chunks(self) -> int:
        return -(-self.items // self.items_per_chunk)

    @property
    def parts(self) -> int:
        """Of k."""
        return self.items if self.k_part else 1
