"""How a function is compiled: what `tt.compile` was asked for, in one record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from tinytorch.backend_names import Choice
from tinytorch.ir.kernels.costs import Precision
from tinytorch.ir.types import DType

PRECISIONS = get_args(Precision)


@dataclass(frozen=True)
class Options:
    """The arguments of `tt.compile`, which says what they mean, once they have been checked. With `freeze`, the weights
    of a graph are constants; `memory_limit` is in bytes; `autocast` is a 16-bit float."""

    backend: Choice
    freeze: bool = False
    memory_limit: int | None = None
    precision: Precision = "fast"
    autocast: DType | None = None
