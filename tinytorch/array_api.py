"""The Array API standard, 2024.12, over tensors: `xp = x.__array_namespace__()`, or `import tinytorch.array_api as xp`.

Functions come from the table of names wherever PyTorch means the same; the others are in `frontend/standard/`. Dtypes
that this library does not have are missing (int16, uint16, uint32, uint64 and complex numbers, so `imag` as well), and
`x.size` is PyTorch's method. Small integers are added up as i64, also unsigned ones, and where the standard promotes to
int16 the result is i32.
"""

from __future__ import annotations

import math

from tinytorch.frontend.standard.names import FUNCTIONS
from tinytorch.frontend.tensor.devices import device as Device
from tinytorch.ir.types import DType, f32, f64, i8, i32, i64, u8
from tinytorch.ir.types import bool_ as bool

__array_api_version__ = "2024.12"

float32, float64, int8, int32, int64, uint8 = f32, f64, i8, i32, i64, u8
e, inf, nan, pi, newaxis = math.e, math.inf, math.nan, math.pi, None

__all__ = [
    "DType",
    "Device",
    "bool",
    "e",
    "float32",
    "float64",
    "inf",
    "int8",
    "int32",
    "int64",
    "nan",
    "newaxis",
    "pi",
    "uint8",
]
__all__ += list(FUNCTIONS)  # pyright: ignore[reportUnsupportedDunderAll]

globals().update(FUNCTIONS)
