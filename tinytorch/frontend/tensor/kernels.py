"""The place where the compiler hands kernels to eager mode; without them, every op runs in numpy.

The frontend imports no compiler: `compile.py` fills `kernels.handed`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from tinytorch.ir.op import Array, Attrs, Op
from tinytorch.ir.types import TensorType

LARGE = 1 << 14  # elements from which on it is worth asking


class Kernels(Protocol):
    """Machine code for ops that numpy is slow at. Both methods answer None where numpy shall compute."""

    def results(
        self, op: Op, arrays: Sequence[Array], types: Sequence[TensorType], attrs: Attrs
    ) -> Sequence[Array] | None:
        """What `op` gives for operands of these types, row-major, in memory of its own."""
        ...

    def cotangents(self, cts: Sequence[Any], record: Any, wanted: tuple[int, ...]) -> Sequence[Any] | None:
        """Those of the operands `wanted` of an application on the tape, as its rules give them for those of its
        results; None for an operand that no gradient flows to."""
        ...


class _Slot:
    """Where they are, once they are there."""

    handed: Kernels | None = None


slot = _Slot()


def large(operands: Sequence[Array] | Sequence[TensorType]) -> bool:
    """Whether one of them is so large that kernels may pay."""
    return max([operand.size for operand in operands], default=0) >= LARGE
