"""One application of an op, with what it should give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinytorch.ir.op import Array, Op
from tinytorch.ir.types import TensorType, dtype_of


@dataclass(frozen=True, eq=False)
class Sample:
    """One application of an op.

    tolerance: how far a result may be from `eval`, in units of its dtype's epsilon times its largest finite value
    (`relative`: times each value); 0 means equal. smooth: the op is twice differentiable there, in f64.
    """

    op: Op
    arrays: tuple[Array, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    tolerance: float = 0
    relative: bool = True
    smooth: bool = False

    @property
    def types(self) -> list[TensorType]:
        return [TensorType(dtype_of(a.dtype), a.shape) for a in self.arrays]

    @property
    def results(self) -> tuple[Array, ...]:
        with np.errstate(all="ignore"):
            return self.op.evaluate(self.arrays, self.attrs)

    @property
    def expected(self) -> Array:
        """The only result."""
        (result,) = self.results
        return result

    def __repr__(self) -> str:
        attrs = ", ".join(f"{k}={v!r}" for k, v in self.attrs.items() if not callable(v))
        return f"{self.op.name}({', '.join(map(str, self.types))}{', ' if attrs else ''}{attrs})"
