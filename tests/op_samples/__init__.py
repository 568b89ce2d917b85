"""Samples of every op: operands and attributes that reach its corners, and points where it is differentiable.

`sample` says what a sample is, `running` runs samples on a backend, `operands` makes arrays; the other files have the
samples, cut as the rooms of ops are.
"""

from __future__ import annotations

from tests.op_samples import (
    attention,
    composites,
    contractions,
    convolutions,
    elementwise,
    indexing,
    normalizations,
    pooling,
    recurrent,
    reductions,
    scans,
    views,
)
from tests.op_samples.running import BACKENDS, apply_sample, check, run_sample, run_samples
from tests.op_samples.sample import Sample
from tinytorch.ir.op import Op

__all__ = ["BACKENDS", "SAMPLES", "Sample", "apply_sample", "check", "run_sample", "run_samples", "samples_of"]

SAMPLES: list[Sample] = [
    *elementwise.samples(), *views.samples(), *reductions.samples(), *contractions.samples(), *scans.samples(),
    *indexing.samples(), *composites.samples(), *attention.samples(), *convolutions.samples(), *pooling.samples(),
    *normalizations.samples(), *recurrent.samples(),
]  # fmt: skip


def samples_of(op: Op) -> list[Sample]:
    return [s for s in SAMPLES if s.op is op]
