"""Attention and its gradient: one node of operands from outside."""

from __future__ import annotations

from functools import partial

from tinytorch.ir.families.index import check_alone
from tinytorch.ir.kernels.family import Family
from tinytorch.ir.ops.attention import attention, attention_grad

_OPS = frozenset({attention, attention_grad})
ATTENTION = Family("attention", partial(check_alone, ops=_OPS), ops=_OPS, orders=True)
