"""The dtypes under the names of PyTorch and numpy."""

from __future__ import annotations

from tinytorch.ir.types import DType, bf16, bool_, f16, f32, f64, i8, i32, i64, u8

__all__ = [
    "bfloat16",
    "double",
    "dtype",
    "float16",
    "float32",
    "float64",
    "half",
    "int8",
    "int32",
    "int64",
    "long",
    "uint8",
]

dtype = DType
float64 = double = f64
float32 = f32
float16 = half = f16
bfloat16 = bf16
int64 = long = i64
int32 = i32
int8 = i8
uint8 = u8
NAMES = {"float": f32, "int": i32, "bool": bool_}  # which hide Python's own
