"""Smaller forms of a model: quantized, pruned and trained a little more, and both."""

from __future__ import annotations

import copy
import time
from typing import Any

import tinytorch as tt
from milestones.capstone_models import Subject
from milestones.common import console

FP32 = "fp32"


def variants_of(subject: Subject, quantization: dict[str, Any], sparsity: float) -> dict[str, Any]:
    """All forms by name; the first is the model as it is. `sparsity` of the weights are zeros in the pruned ones."""
    made = {FP32: subject.model}
    with Announced(f"{subject.name}: quantizing"):
        made["int8"] = tt.quantize(subject.model, **quantization)
    console.print(str(made["int8"].sensitivity), markup=False, soft_wrap=True)
    with Announced(f"{subject.name}: {sparsity:.0%} of the weights pruned, trained a little more"):
        sparse = tt.magnitude_prune(copy.deepcopy(subject.model), sparsity)
        subject.tune(sparse)
    made[f"{sparsity:.0%} zeros"] = sparse.eval()
    with Announced(f"{subject.name}: the pruned one quantized"):
        made[f"{sparsity:.0%} zeros, int8"] = tt.quantize(sparse, **quantization)
    return made


class Announced:
    """Say what is done, and how long it took."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __enter__(self) -> None:
        console.print(f"\n[bold]{self.what}[/]")
        self.start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        console.print(f"  {time.perf_counter() - self.start:,.0f} s")
