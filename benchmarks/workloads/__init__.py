"""One file per family of workloads; each registers its rows when it is imported."""

from __future__ import annotations

import importlib

# In the order of the table.
FAMILIES = (
    *("perceptron", "mlp", "gemm", "rows", "elementwise", "optimizers", "cnn", "whitened", "convolution", "networks"),
    *("gpt", "gpt_char", "gpt_inference", "attention", "recurrent", "compression"),
)


def load() -> None:
    """Register all workloads."""
    for family in FAMILIES:
        importlib.import_module(f"{__name__}.{family}")
