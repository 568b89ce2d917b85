"""Products by sparse weights, and the elementwise work that follows them."""

from __future__ import annotations

from tinytorch.ir.families.contract import check_contraction
from tinytorch.ir.graph import Node
from tinytorch.ir.kernels.family import Family
from tinytorch.ir.ops.sparse import semi_structured_matmul, sparse_matmul

_OPS = frozenset({sparse_matmul, semi_structured_matmul})


def _check(kernel: Node) -> None:
    check_contraction(kernel, _OPS, SPARSE.absorbs)


SPARSE = Family(
    "sparse",
    _check,
    ops=_OPS,
    epilogues=_OPS,
    row_major={sparse_matmul: (1, 2, 3, 4), semi_structured_matmul: (1, 2)},
)
