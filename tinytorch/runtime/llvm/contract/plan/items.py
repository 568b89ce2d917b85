"""How much work a chunk should have, and the items that the rows, the columns or k of a product are cut into."""

from __future__ import annotations

import math

from tinytorch.runtime.llvm.contract.operands.layout import Product
from tinytorch.runtime.llvm.contract.plan.cut import Tile
from tinytorch.runtime.llvm.contract.shares import share, two_threads
from tinytorch.runtime.llvm.contract.sums import MANY
from tinytorch.runtime.llvm.kernel import Buffer
from tinytorch.runtime.llvm.text.target import Target

_CHUNK_FLOPS = 2 << 20  # some 20 µs on one core: far above what claiming a chunk costs
_CHUNK_BYTES = 512 << 10
_STREAM_BYTES = 256 << 10  # of products of few rows: some 3 µs from a cache
FEW_ROWS = 4  # with which a product does little else than read
_MOST_CHUNKS = 48
_FEW_CHUNKS = 8
_PACKED_ROWS = 512  # rows per item that repay packing b's panels again for it
ITEM_COLUMNS = 128  # columns per item that repay reading its rows of a again for it
_PACKED_COLUMNS = 512  # columns per item that repay packing its rows of a again for it
GROUP_ROWS = 48  # rows that make reading a transposed a whole cache lines at a time
REUSED = 48  # rows that repay packing b
UNEVEN = 1.1  # times an even split: what two threads may take
_FAR_LARGER = 32  # elements of operands for each sum
_SUMS_AGAIN = 8  # elements of operands that repay storing a sum of a part and adding it up


def wanted_chunks(product: Product) -> int:
    """As many as the operations or the bytes of a product repay, within limits."""
    bytes_ = sum(_footprint(x) for x in (product.a, product.b, *product.results, *product.inputs))
    chunk = _STREAM_BYTES if product.m <= FEW_ROWS else _CHUNK_BYTES
    return max(1, min(_MOST_CHUNKS, max(product.flops // _CHUNK_FLOPS, bytes_ // chunk)))


def _footprint(x: Buffer) -> int:
    return math.prod(size for size, stride in zip(x.shape, x.strides, strict=True) if stride) * x.dtype.size


def item_size(product: Product, tile: Tile, panel: int, pack_a: str, pack_b: str, most_columns: int) -> tuple[int, int]:
    """(rows, columns) of an item: enough items for the wanted chunks, but as little packed twice as may be.

    Where a is read in place, columns are cut first: its rows are fetched ahead, so reading them again costs next to
    nothing, where packing b again does. Where a is packed, rows are. Cuts that would pack more than a few percent again
    are made only where a few threads would be left idle.
    """
    wanted = -(-wanted_chunks(product) // product.batches)
    few, rows, columns = min(wanted, _FEW_CHUNKS), product.m, product.n
    most = -(-product.n // most_columns)

    def cut(wanted: int, rows_least: int, columns_least: int) -> tuple[int, int]:
        if pack_a != "panels":
            columns = share(product.n, max(most, wanted), columns_least, panel)
            rows = share(product.m, -(-wanted // -(-product.n // columns)), rows_least, tile.rows)
        else:
            rows = share(product.m, wanted, rows_least, tile.rows)
            columns = share(product.n, max(most, -(-wanted // -(-product.m // rows))), columns_least, panel)
        return rows, min(columns, most_columns)

    if product.m < REUSED and most == 1:
        return cut(wanted, _PACKED_ROWS if pack_b != "none" else 1, 1 if pack_a == "none" else _PACKED_COLUMNS)
    packed = pack_b != "none" or product.panels > 0  # or read from memory again
    if pack_a != "panels":
        again = 1 if pack_a == "none" else 2  # what is copied costs more to read again
        least = (_PACKED_ROWS * again if packed else GROUP_ROWS, ITEM_COLUMNS * again)
    else:
        least = (_PACKED_ROWS if packed else GROUP_ROWS, _PACKED_COLUMNS // 2)
    found: list[tuple[int, int]] = []
    for part, enough in ((1, few * 5 // 8), (2, few // 2), (4, few // 4), (8, 0)):
        rows, columns = cut(wanted if part == 1 else few, least[0] // part, least[1] // part)
        if -(-product.m // rows) * -(-product.n // columns) >= max(min(2, few), enough):
            if few == 1 or two_threads(product.m, product.n, product.batches, (rows, columns)) <= UNEVEN:
                return rows, columns
            found.append((rows, columns))
    return min(
        found,
        key=lambda item: round(20 * two_threads(product.m, product.n, product.batches, item)),
        default=(rows, columns),
    )


def part_of_k(product: Product, k_block: int, target: Target) -> int:
    """Steps of k of each of a few parts, if that repays adding their sums up, else 0: cut otherwise, items would read
    operands that no cache holds again. The sums of a part take half of L2, or all of it where operands are so much
    larger that reading them again would cost more."""
    size, sums, operands = product.compute.size, product.m * product.n, (product.m + product.n) * product.k
    room = target.l2_bytes if operands >= _FAR_LARGER * sums else target.l2_bytes // 2
    fits = product.batches == 1 and sums * size <= room and operands * size >= 2 * target.l2_bytes
    if not fits or product.pairs != "none" or product.panels:
        return 0
    most = min(_FEW_CHUNKS, operands // (_SUMS_AGAIN * sums))
    part = share(product.k, most, 1, k_block)
    return part if part < product.k and part <= MANY * k_block else 0
