"""Smaller forms of a model: quantized, pruned and trained a little more, and both."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import tinytorch as tt
from milestones.capstone_models import Subject
from milestones.common import console

FP32 = "fp32"


@dataclass(frozen=True)
class Recipe:
    """How a model is made smaller: options of `tt.quantize`; the share of its channels, neurons and heads that go, and
    what their numbers are multiples of; the share of its weights that are zeros in another form."""

    quantization: Mapping[str, Any]
    channels: float
    multiple_of: int
    sparsity: float


def variants_of(subject: Subject, recipe: Recipe) -> dict[str, Any]:
    """All forms by name; the first is the model as it is."""
    made = {FP32: subject.model, "int8": _quantized(subject.name, subject.model, recipe)}
    with Announced(f"{subject.name}: {recipe.channels:.0%} of the channels, neurons and heads go"):
        example = subject.calibration[:2]
        narrow = tt.prune_channels(subject.model, example, recipe.channels, multiple_of=recipe.multiple_of)
        subject.tune(narrow.train())
    name = f"{recipe.channels:.0%} narrower"
    made[name] = narrow.eval()
    made[f"{name}, int8"] = _quantized(f"{subject.name}, {name}", narrow, recipe)
    with Announced(f"{subject.name}: {recipe.sparsity:.0%} of the weights become zeros"):
        sparse = tt.magnitude_prune(copy.deepcopy(subject.model), recipe.sparsity)
        subject.tune(sparse.train())
    made[f"{recipe.sparsity:.0%} zeros"] = sparse.eval()
    return made


def _quantized(name: str, model: Any, recipe: Recipe) -> Any:
    with Announced(f"{name}: quantized"):
        made = tt.quantize(model, **recipe.quantization)
    console.print(str(made.sensitivity), markup=False, soft_wrap=True)
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
