"""Max pooling, its gradient, and the elements at its places: one node of operands from outside."""

from __future__ import annotations

from functools import partial

from tinytorch.ir.families.index import check_alone
from tinytorch.ir.kernels.family import Family
from tinytorch.ir.ops.pooling import max_pool2d, max_pool2d_take, max_unpool2d

_OPS = frozenset({max_pool2d, max_pool2d_take, max_unpool2d})
POOLING = Family("pooling", partial(check_alone, ops=_OPS), ops=_OPS)
