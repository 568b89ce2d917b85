"""Tensors in the memory of arrays, and of what other libraries made."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch.frontend.arguments import wrong_type
from tinytorch.frontend.tensor.mode import mode
from tinytorch.frontend.tensor.storage import Storage, known_storage, show, storage_of
from tinytorch.frontend.tensor.tensor import Tensor
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array
from tinytorch.ir.types import dtype_of


def over(array: Array) -> Tensor:
    """A tensor in the memory of `array`, of any byte order."""
    tensor = Tensor.wrap(np.asarray(array))  # subclasses have operators of their own
    tensor._storage = known_storage(array) or Storage()
    return tensor


def from_numpy(array: Array) -> Tensor:
    """A tensor that shares the memory of `array`; ShapeError if the dtype is not supported."""
    if not isinstance(array, (np.ndarray, np.generic)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise wrong_type("from_numpy", "array", "an array of numpy's", array)
    if dtype_of(array.dtype).numpy != array.dtype:
        raise ShapeError(
            f"from_numpy: byte order {array.dtype.byteorder!r} cannot be shared; use Tensor(array)", user_loc()
        )
    tensor = over(array)
    show(array, storage_of(tensor))
    if mode.trace is not None:
        mode.trace.created(tensor, array)
    return tensor


def frombuffer(buffer: Any, *, dtype: object, count: int = -1, offset: int = 0, requires_grad: bool = False) -> Tensor:
    """A tensor [count] in the memory of an object with the buffer protocol, such as bytes or a memory map, from byte
    `offset` on; -1: all that fit. What is read-only there cannot be changed."""
    try:
        array = np.frombuffer(buffer, dtype_of(dtype).numpy, count, offset)
    except (TypeError, ValueError, BufferError) as error:
        raise TinyTorchError(f"frombuffer: {error}", user_loc()) from None
    return from_numpy(array).requires_grad_(requires_grad)


def from_dlpack(source: Any) -> Tensor:
    """A tensor that shares the memory of an object with `__dlpack__`."""
    if not hasattr(source, "__dlpack__"):
        raise wrong_type("from_dlpack", "source", "an object with __dlpack__", source)
    try:
        array = np.from_dlpack(source)
    except (BufferError, RuntimeError) as error:
        raise TinyTorchError(f"from_dlpack: its memory cannot be shared: {error}", user_loc()) from None
    return from_numpy(array)
