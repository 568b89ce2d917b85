"""Attention and its gradient: one node of operands from outside."""

from __future__ import annotations

from functools import partial

from tinytorch.ir.families.index import check_alone
from tinytorch.ir.family import Family
from tinytorch.ir.ops.attention import attention

_OPS = frozenset({attention})
ATTENTION = Family("attention", partial(check_alone, ops=_OPS), ops=_OPS, orders=True)
