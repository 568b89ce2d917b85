"""Recurrent layers and their gradients, all steps in one kernel: one node of operands from outside."""

from __future__ import annotations

from functools import partial

from tinytorch.ir.families.index import check_alone
from tinytorch.ir.kernels.family import Family
from tinytorch.ir.ops.recurrent import BACKWARD, FORWARD

_OPS = frozenset({*FORWARD, *BACKWARD})
# The states; not the sequences of gates, cotangents and weights, which are read as they lie.
_FORWARD = {op: tuple(range(c.weights + 1, c.weights + 1 + c.states)) for op, c in FORWARD.items()}
_BACKWARD = {op: tuple(range(c.weights - 1 + c.states, c.weights - 1 + 3 * c.states)) for op, c in BACKWARD.items()}
RECURRENT = Family("recurrent", partial(check_alone, ops=_OPS), ops=_OPS, row_major={**_FORWARD, **_BACKWARD})
