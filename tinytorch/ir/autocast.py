"""Mixed precision: which dtype an op is computed in, by its record.

Contractions and attention are most of the time and give as much in 16 bits: their sums are kept in f32 all the same.
What adds up many numbers (sums, norms, softmax, losses, the states of layers over time) or turns small errors into
large ones (exponentials, logarithms, powers) is computed in f32. All else takes floats as they come, the widest of
several (Micikevicius et al., "Mixed precision training", 2018). `Op.autocast` says which of these an op is, where its
kind does not.
"""

from __future__ import annotations

from collections.abc import Sequence

from tinytorch.ir.op import Op
from tinytorch.ir.types import DType, TensorType, f32


def autocast_dtype(op: Op, types: Sequence[TensorType], low: DType) -> DType | None:
    """What the floats among operands of these types become where `low` is the 16-bit float to compute in; None where
    they stay. f64 is nobody's accident: an op that meets it stays as it is."""
    precision = op.autocast or ("low" if op.kind == "contract" else None)
    if precision is None:
        return None
    floats = {t.dtype for t in types if t.dtype.is_float}
    wanted = low if precision == "low" else f32
    if not floats or floats == {wanted} or any(dtype.bits > 32 for dtype in floats):
        return None
    return wanted
