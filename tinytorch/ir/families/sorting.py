"""Sorting along an axis: one node of operands from outside."""

from __future__ import annotations

from functools import partial

from tinytorch.ir.families.index import check_alone
from tinytorch.ir.kernels.family import Family
from tinytorch.ir.ops.sorting import sort

_OPS = frozenset({sort})
SORTING = Family("sorting", partial(check_alone, ops=_OPS), ops=_OPS)
