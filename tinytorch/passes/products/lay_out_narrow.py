"""Weights of 16-bit floats in the layout that kernels read: 16 bits in memory, widened in registers."""

from __future__ import annotations

from dataclasses import dataclass

from tinytorch.ir.graph import Node
from tinytorch.ir.kernels.costs import Costs
from tinytorch.ir.ops.contract import accumulator, panel_matmul
from tinytorch.ir.ops.view import pad, permute, reshape
from tinytorch.ir.rewrite import Term
from tinytorch.ir.types import bf16

_FEW_ROWS = 4  # which leave registers for both numbers of a pair
_SOME_ROWS = 64  # with more, widening weights once, while they are packed, costs less than in each tile of rows


@dataclass(frozen=True)
class NarrowLayout:
    """Panels of `width` columns, in bf16 with `pairs` of k side by side."""

    width: int
    pairs: bool


def narrow_layout(node: Node, costs: Costs) -> NarrowLayout | None:
    """How the weights of a matrix product of 16-bit floats are laid out, in panels as wide as those of f32; None where
    they stay as they are. Pairs are for products of pairs, and for few rows, which do little else than read: then a
    shift and a mask widen two vectors. With more rows they would take registers from the sums."""
    x, w = (v.type for v in node.inputs)
    width = costs.panel_vectors * costs.lanes(accumulator(w.dtype))
    if x.rank != 2 or not w.dtype.is_float or w.dtype.bits != 16 or not x.dtype.is_float or w.shape[1] < width:
        return None
    even = w.dtype is bf16 and w.shape[0] % 2 == 0
    rows = x.shape[0]
    if even and ((costs.multiplies_pairs and x.dtype is bf16) or rows <= _FEW_ROWS):
        return NarrowLayout(width, True)
    return NarrowLayout(width, False) if rows <= _SOME_ROWS else None


def in_narrow_panels(w: Term, layout: NarrowLayout) -> Term:
    """The columns of w [k, n] as [count, k, width], or with k in pairs as [count, k / 2, width, 2]."""
    (depth, columns), width = w.type.shape, layout.width
    count = -(-columns // width)
    if count * width != columns:
        absent = {"low": (0, 0), "high": (0, count * width - columns), "interior": (0, 0), "value": 0.0}
        w = w.apply_op(pad, [w], absent)
    shape, axes = ((depth // 2, 2, count, width), (2, 0, 3, 1)) if layout.pairs else ((depth, count, width), (1, 0, 2))
    cut = w.apply_op(reshape, [w], {"shape": shape})
    return cut.apply_op(permute, [cut], {"axes": axes})


def narrow_product(node: Node, x: Term, panels: Term) -> Term:
    """The product of `node` with its weights in panels."""
    return x.apply_op(panel_matmul, [x, panels], {"columns": node.output.type.shape[1], **node.attrs})
