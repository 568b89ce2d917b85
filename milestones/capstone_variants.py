"""Smaller forms of a model: quantized, pruned and trained a little more, and both."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tinytorch as tt
from milestones.capstone_models import Subject
from milestones.common import console

FP32 = "fp32"


@dataclass(frozen=True)
class Recipe:
    """How a model is made smaller: options of `tt.quantize`; shares of its channels, neurons and heads that go, a form
    for each, and what their numbers are multiples of; and how some of its weights become zeros, with a name for it."""

    quantization: Mapping[str, Any]
    shares: Sequence[float]
    multiple_of: int
    zeros: tuple[str, Callable[[Any], Any]]


def variants_of(subject: Subject, recipe: Recipe) -> dict[str, Any]:
    """All forms by name; the first is the model as it is."""
    made = {FP32: subject.model, "int8": _quantized(subject.name, subject.model, recipe)}
    example = subject.calibration[:2]
    for share in recipe.shares:
        name = f"{share:.0%} narrower"
        with Announced(f"{subject.name}: {share:.0%} of the channels, neurons and heads go"):
            narrow = tt.prune_channels(subject.model, example, share, multiple_of=recipe.multiple_of)
            subject.tune(narrow.train())
        made[name] = narrow.eval()
        made[f"{name}, int8"] = _quantized(f"{subject.name}, {name}", narrow, recipe)
    name, prune = recipe.zeros
    with Announced(f"{subject.name}: {name}"):
        sparse = prune(copy.deepcopy(subject.model))
        subject.tune(sparse.train())
    made[name] = sparse.eval()
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
