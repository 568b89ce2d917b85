"""Which operands of a product are packed, and how long the blocks of k are that are packed at once."""

from __future__ import annotations

from tinytorch.runtime.llvm.contract.operands.layout import Product
from tinytorch.runtime.llvm.contract.plan.cut import PackA, PackB
from tinytorch.runtime.llvm.contract.plan.items import REUSED
from tinytorch.runtime.llvm.text.target import Target

PAGE = 4096  # bytes
_DOT_ROWS = 40  # with more rows than this, transposing b is always repaid


def packing_of_b(product: Product, target: Target) -> PackB:
    """Pack b where it cannot be read as vectors, or where its rows lie too far apart for the caches."""
    b = product.b
    if b.strides[-1] != 1:
        if product.m <= 4:
            return "none"
        return "transpose" if b.strides[-2] == 1 and product.k >= target.lanes(product.compute) else "copy"
    reused = product.m >= REUSED
    far = product.k * abs(b.row_bytes) > target.l2_bytes // 2
    colliding = b.row_bytes % PAGE == 0 and product.k > 32
    convert = b.dtype is not product.compute
    return "copy" if reused and (far or colliding or convert) else "none"


def packing_of_a(product: Product, panel: int) -> PackA:
    """Pack a where several panels read it and its elements lie apart, or must be converted."""
    a = product.a
    if product.n <= panel or product.m < 4 or product.pairs == "widen":
        return "none"
    convert = a.dtype is not product.compute
    if abs(a.row_bytes) < abs(a.column_bytes):
        return "panels" if convert or product.k * abs(a.column_bytes) > 16 * PAGE else "none"
    return "rows" if convert else "none"


def rows_collide(product: Product, panel: int) -> bool:
    """Whether rows of a lie whole pages apart, so in the same sets of L1, and are read often: panels of two cache lines
    or less leave little time to fetch them again."""
    a, narrow = product.a, panel * product.compute.size <= 128
    return narrow and a.row_bytes % PAGE == 0 and a.strides[-1] == 1 and product.n >= 16 * panel


def sums_along_k(product: Product, lanes: int) -> bool:
    """Whether both operands are contiguous along k and there is too little reuse to repay transposing b.

    Transposing costs about half a step per element of b; a dot product adds some eight steps across lanes to each
    sum, and a further row reads b again.
    """
    a, b = product.a, product.b
    contiguous = a.strides[-1] == 1 and b.strides[-2] == 1 and (b.strides[-1] != 1 or product.n == 1)
    return contiguous and product.k >= lanes and product.m <= max(4, min(_DOT_ROWS, product.k // 12))


def k_block_of(product: Product, panel: int, lanes: int, target: Target) -> int:
    """All of k, or equal blocks of it such that b's panel takes at most half of L2."""
    return even_blocks(product.k, max(lanes, target.l2_bytes // 2 // (panel * product.compute.size)), lanes)


def even_blocks(k: int, most: int, lanes: int) -> int:
    """The length of equal blocks of k of about `most` steps at most."""
    blocks = max(1, -(-k // most))
    if blocks == 1:
        return max(1, k)
    block = -(-k // blocks // lanes) * lanes
    while 0 < k % block < lanes:  # a transposed panel needs a whole square
        block += lanes
    return block
