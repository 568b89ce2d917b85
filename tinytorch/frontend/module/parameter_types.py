"""What `device` and `dtype` of a module mean."""

from __future__ import annotations

from tinytorch.frontend.functions.random import require_cpu
from tinytorch.ir.types import DType, dtype_of, f32


def parameter_dtype(device: object, dtype: object) -> DType:
    """The dtype of a module's parameters, f32 by default; TinyTorchError if `device` is not the CPU."""
    require_cpu(device)
    return f32 if dtype is None else dtype_of(dtype)
