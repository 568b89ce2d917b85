"""The ways in which users run a function: what the fixture `world` of `conftest.py` is, and small tensors for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tinytorch as tt

World = Callable[[Any], Any]  # of a function or a module: itself, or compiled


def tensor(*values: float) -> tt.Tensor:
    return tt.tensor([float(v) for v in values])


def param(*values: float) -> tt.Tensor:
    return tensor(*values).requires_grad_()
