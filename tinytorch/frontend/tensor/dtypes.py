"""The dtypes under the names of PyTorch and numpy, and questions about them."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from tinytorch.frontend.arguments import wrong_type
from tinytorch.ir.operators.promotion import RANK, promote
from tinytorch.ir.types import DType, TensorType, bf16, bool_, dtype_of, f16, f32, f64, i8, i32, i64, u8

__all__ = [
    "bfloat16",
    "can_cast",
    "double",
    "dtype",
    "finfo",
    "float16",
    "float32",
    "float64",
    "get_default_dtype",
    "half",
    "iinfo",
    "int8",
    "int32",
    "int64",
    "long",
    "promote_types",
    "result_type",
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


class finfo:
    """The limits of a float dtype (f32 by default), or of a float tensor's, as Python floats: `eps` is the distance
    from 1 to the next number, `smallest_normal` (also `tiny`) the smallest with all its bits."""

    def __init__(self, type: Any = f32) -> None:
        self.dtype = dtype_of(getattr(type, "dtype", type))
        if not self.dtype.is_float:
            raise wrong_type("finfo", "type", "a float dtype", self.dtype)
        known: Any = ml_dtypes.finfo(self.dtype.numpy)
        self.bits: int = self.dtype.bits
        self.eps, self.max, self.min = float(known.eps), float(known.max), float(known.min)
        self.smallest_normal = self.tiny = float(known.smallest_normal)
        self.resolution = float(known.resolution)

    def __repr__(self) -> str:
        return f"finfo(eps={self.eps}, max={self.max}, min={self.min}, tiny={self.tiny}, dtype={self.dtype})"


class iinfo:
    """The limits of an integer dtype, or of an integer tensor's."""

    def __init__(self, type: Any) -> None:
        self.dtype = dtype_of(getattr(type, "dtype", type))
        if self.dtype.kind not in ("int", "uint"):
            raise wrong_type("iinfo", "type", "an integer dtype", self.dtype)
        self.bits = self.dtype.bits
        self.min, self.max = self.dtype.limits

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"


def get_default_dtype() -> DType:
    """The dtype of Python floats: f32."""
    return f32


def promote_types(type1: Any, type2: Any) -> DType:
    """The dtype that holds both, for tensors with axes."""
    return promote(TensorType(dtype_of(type1), (1,)), TensorType(dtype_of(type2), (1,)))


def result_type(tensor1: Any, tensor2: Any) -> DType:
    """The dtype of `tensor1 + tensor2`, tensors or Python numbers."""
    if not hasattr(tensor1, "type") and hasattr(tensor2, "type"):
        tensor1, tensor2 = tensor2, tensor1
    one = _type(tensor1)
    if not hasattr(tensor2, "type"):
        two = _type(tensor2)
        return one.dtype if RANK[two.dtype.kind] <= RANK[one.dtype.kind] else two.dtype
    return promote(one, _type(tensor2))


def _type(value: Any) -> TensorType:
    if isinstance(getattr(value, "type", None), TensorType):
        return value.type
    if not isinstance(value, (bool, int, float, np.generic)):
        raise wrong_type("result_type", "an operand", "a tensor or a number", value)
    return TensorType(bool_ if isinstance(value, (bool, np.bool_)) else f32 if isinstance(value, float) else i64, ())


def can_cast(from_: Any, to: Any) -> bool:
    """Whether an operation in place may convert so: not from floats to integers, nor from numbers to bools."""
    return RANK[dtype_of(from_).kind] <= RANK[dtype_of(to).kind]
