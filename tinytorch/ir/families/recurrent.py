"""Recurrent layers and their gradients, all steps in one kernel: one node of operands from outside."""

from __future__ import annotations

from functools import partial

from tinytorch.ir.families.index import check_alone
from tinytorch.ir.family import Family
from tinytorch.ir.ops.recurrent import BACKWARD, FORWARD

_OPS = frozenset({*FORWARD, *BACKWARD})
_FORWARD = {op: tuple(range(3, 3 + cell.states)) for op, cell in FORWARD.items()}  # the initial states
_BACKWARD = {op: tuple(range(cell.states + 1, 3 * cell.states + 1)) for op, cell in BACKWARD.items()}  # and all others
RECURRENT = Family("recurrent", partial(check_alone, ops=_OPS), ops=_OPS, row_major={**_FORWARD, **_BACKWARD})
