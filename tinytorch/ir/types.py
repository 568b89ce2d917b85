"""Types: dtypes, and tensors of a dtype and a static shape."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any, Literal

import ml_dtypes
import numpy as np

from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc

Shape = tuple[int, ...]
MAX_BYTES = 2**47  # the user half of a 48-bit address space: no larger buffer can exist


@dataclass(frozen=True)
class DType:
    """An element type: its name in IR text, what it is, and its width in bits."""

    name: str
    kind: Literal["float", "int", "uint", "bool"]
    bits: int
    numpy: np.dtype[np.generic]

    @property
    def size(self) -> int:
        """Bytes per element."""
        return self.numpy.itemsize

    @property
    def limits(self) -> tuple[int, int]:
        """The smallest and the largest value of an integer dtype."""
        low = -(1 << (self.bits - 1)) if self.kind == "int" else 0
        return low, low + (1 << self.bits) - 1

    @property
    def is_float(self) -> bool:
        return self.kind == "float"

    @property
    def is_floating_point(self) -> bool:
        """PyTorch's name for `is_float`."""
        return self.kind == "float"

    @property
    def itemsize(self) -> int:
        """PyTorch's name for `size`."""
        return self.size

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and unpickled ones are the same object: dtypes are compared with `is`."""
        return dtype_of, (self.name,)

    def __repr__(self) -> str:
        return self.name


f64 = DType("f64", "float", 64, np.dtype(np.float64))
f32 = DType("f32", "float", 32, np.dtype(np.float32))
f16 = DType("f16", "float", 16, np.dtype(np.float16))
bf16 = DType("bf16", "float", 16, np.dtype(ml_dtypes.bfloat16))
i64 = DType("i64", "int", 64, np.dtype(np.int64))
i32 = DType("i32", "int", 32, np.dtype(np.int32))
i8 = DType("i8", "int", 8, np.dtype(np.int8))
u8 = DType("u8", "uint", 8, np.dtype(np.uint8))
bool_ = DType("bool", "bool", 8, np.dtype(np.bool_))

DTYPES: dict[str, DType] = {d.name: d for d in (f64, f32, f16, bf16, i64, i32, i8, u8, bool_)}
_BY_NUMPY = {d.numpy: d for d in DTYPES.values()}


def dtype_of(dtype: object) -> DType:
    """The DType that `dtype` (a DType, its name, or anything numpy takes) means; ShapeError if none."""
    if isinstance(dtype, DType):
        return dtype
    if isinstance(dtype, np.dtype) and dtype in _BY_NUMPY:
        return _BY_NUMPY[dtype]
    if isinstance(dtype, str) and dtype in DTYPES:
        return DTYPES[dtype]
    try:
        found = _BY_NUMPY.get(np.dtype(dtype).newbyteorder("="))  # pyright: ignore[reportArgumentType, reportCallIssue, reportUnknownMemberType, reportUnknownArgumentType]
    except (TypeError, ValueError):
        found = None
    if found is None:
        raise ShapeError(f"dtype {_written(dtype)} is not supported; use one of {', '.join(DTYPES)}", user_loc())
    return found


def _written(dtype: object) -> str:
    text = str(dtype) if isinstance(dtype, np.dtype) else repr(dtype)
    return text if len(text) <= 60 and "\n" not in text else f"of a {type(dtype).__name__}"


_CONSTRUCTORS = {
    "f64": "Double", "f32": "Float", "f16": "Half", "bf16": "BFloat16", "i64": "Long", "i32": "Int", "i8": "Char",
    "u8": "Byte", "bool": "Bool",
}  # fmt: skip


@dataclass(frozen=True)
class TensorType:
    """A dtype and a static shape; equal where both are."""

    dtype: DType
    shape: Shape

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        return self.size * self.dtype.size

    def __call__(self, dtype: object = None, *_: object, **__: object) -> str:
        """PyTorch's `x.type()`, the name of a constructor; `x.type(dtype)` is an error, as `x.type` is this, which does
        not know x."""
        if dtype is None:
            return f"torch.{_CONSTRUCTORS[self.dtype.name]}Tensor"
        raise ShapeError("x.type is the dtype and the shape of a tensor; x.to(dtype) converts it", user_loc())

    def __str__(self) -> str:
        return f"{self.dtype.name}[{','.join(map(str, self.shape))}]"

    __repr__ = __str__


@functools.lru_cache(maxsize=4096)
def type_of(dtype: np.dtype[np.generic], shape: Shape) -> TensorType:
    """The type of an array, made once for each dtype and shape."""
    return TensorType(dtype_of(dtype), shape)


def contiguous_strides(shape: Shape) -> tuple[int, ...]:
    """Row-major strides of `shape`, in elements."""
    strides: list[int] = []
    step = 1
    for dim in reversed(shape):
        strides.append(step)
        step *= dim
    return tuple(reversed(strides))
