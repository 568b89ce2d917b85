"""Recurrent layers in f64, their weights, and the ways in which they run."""

from __future__ import annotations

from typing import Any

import numpy as np

import tinytorch as tt

BACKENDS = ["eager", "interpreter", "llvm"]
KINDS = ["LSTM", "GRU", "RNN"]
Array = np.ndarray


def compiled(function: Any, backend: str) -> Any:
    return function if backend == "eager" else tt.compile(function, backend=backend)


def as_doubles(module: Any, seed: int = 0) -> Any:
    """The module in f64, with parameters that tell one from another."""
    rng = np.random.default_rng(seed)
    module.double()
    module.load_state_dict({name: rng.normal(size=t.shape) * 0.4 for name, t in module.state_dict().items()})
    return module


def weights_of(module: Any, suffix: str = "") -> dict[str, Array]:
    return {name.removesuffix(suffix): t.numpy() for name, t in module.state_dict().items() if name.endswith(suffix)}
