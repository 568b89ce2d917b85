"""What is measured: workloads, and for each framework a builder that makes one step of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]

OURS = "tinytorch"
BASELINE = "tinytorch fp32"  # our own frozen model in f32, which smaller forms are compared with
LIMIT = "limit"  # the contestant that runs at the machine's peak
FRAMEWORKS = {  # what `--peers` takes → the contestants it brings
    "tinytorch": (OURS, BASELINE),
    "eager": ("tinytorch eager",),
    "torch": ("torch", "torch channels_last", "torch.compile"),
    "jax": ("jax",),
    "numpy": ("numpy",),
    "onnxruntime": ("onnxruntime", "onnxruntime QDQ"),
    "openvino": ("openvino",),
}


@dataclass(frozen=True)
class Case:
    """One framework's version of a workload, ready to run.

    step: does the work once, end to end from Python, and has finished when it returns.
    read: the numbers that tell whether the work was right, as they are after the steps so far.
    units: how many times one call of `step` does the work.
    done: the operations of products and convolutions that a step really does, where that can be told; a convolution may
        need fewer than its definition has.
    """

    step: Callable[[], object]
    read: Callable[[], Arrays]
    units: float = 1.0
    done: Callable[[], float] | None = None


@dataclass(frozen=True)
class Targets:
    """How many times faster than a peer (or the best of all, or our own form in f32), and which part of the machine's
    limit, is aimed at; with `done`, that part of the limit by the operations really done is enough in the place of
    `best`."""

    best: float | None = None
    torch: float | None = None
    fp32: float | None = None
    limit: float | None = None
    done: float | None = None


@dataclass(frozen=True)
class Workload:
    """One row of the table.

    flops, bytes: arithmetic and unavoidable memory traffic (read + written) of one step.
    limit: what bounds the fastest possible step: the rate of fused multiply-adds, the bandwidth of a copy, that of
        reading, or nothing that is worth a comparison (steps of a few microseconds are bound by the call).
    check_steps: after how many steps from the start the contestants are compared.
    builders: contestant → a function that builds its case; it imports its framework itself.
    prepare: makes the numbers that the builders start from, once, where that should not count as building.
    """

    name: str
    builders: Mapping[str, Callable[[], Case]]
    flops: float = 0.0
    bytes: float = 0.0
    limit: Literal["fma", "copy", "read"] | None = None
    check_steps: int = 1
    rtol: float = 1e-4
    atol: float = 1e-5
    prepare: Callable[[], object] = lambda: None
    suites: tuple[str, ...] = ("core",)
    targets: Targets = field(default_factory=Targets)


WORKLOADS: dict[str, Workload] = {}


def register(workload: Workload) -> None:
    """Add a row; names are unique."""
    if workload.name in WORKLOADS:
        raise ValueError(f"workload {workload.name} is registered twice")
    WORKLOADS[workload.name] = workload


def random(*shape: int, seed: int = 0, scale: float = 1.0) -> NDArray[np.float32]:
    """The same normally distributed float32 numbers in every process."""
    return np.random.default_rng(seed).standard_normal(shape, np.float32) * np.float32(scale)
