"""Mixed precision, switched on and off."""

from __future__ import annotations

from contextlib import ContextDecorator
from typing import Any, Self

from tinytorch.frontend import arguments
from tinytorch.frontend.constructors import clearly_made
from tinytorch.frontend.tensor.mode import mode
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.types import DType, bf16, dtype_of, f16

__all__ = ["autocast", "get_autocast_dtype", "is_autocast_enabled"]


def narrow_dtype(what: str, dtype: object) -> DType:
    """The 16-bit float that `dtype` names, by default bf16; an error for any other dtype."""
    found = bf16 if dtype is None else dtype_of(dtype)
    if found not in (bf16, f16):
        raise arguments.wrong_value(what, "dtype", "tt.bfloat16 or tt.float16", found)
    return found


def check_device(what: str, device: Any, enabled: bool = True) -> None:
    """An error unless the device is the CPU, which is all that there is, or what it is for is not `enabled`."""
    if not isinstance(device, str):
        raise arguments.wrong_type(what, "device_type", 'the word "cpu"', device)
    if enabled and device.partition(":")[0] != "cpu":
        raise TinyTorchError(f'{what}: the only device is "cpu", got {device!r}', user_loc())


@clearly_made
class autocast(ContextDecorator):
    """Compute products, convolutions and attention in 16-bit floats, in the block or in the decorated function:
    `with tt.autocast("cpu", dtype=tt.bfloat16):`.

    Their operands that are f32 (or the other 16-bit float) become `dtype`, bf16 by default or f16, and so do their
    results; sums are kept in f32 inside. Norms, softmax, losses, sums, exponentials, logarithms, powers and the states
    of layers over time are f32. Everything else runs in the dtype that its operands have, the widest of several. f64
    stays f64. Gradients flow back through the casts, so those of f32 parameters are f32. These are PyTorch's rules as
    its GPUs have them; on its CPUs, softmax, norms and sums keep the dtype of their operand instead.

    The rules apply where ops are called, eagerly or while `tt.compile` traces, and belong to the thread; backward runs
    in the dtypes of forward, and may stand in the block or behind it. `enabled=False` switches them off inside of
    another block, on whatever device. `cache_enabled` is taken and has no effect: a compiled graph casts each weight
    once.
    """

    def __init__(
        self, device_type: str = "cpu", dtype: object = None, enabled: bool = True, cache_enabled: bool | None = None
    ) -> None:
        self._enabled = arguments.flag("autocast", "enabled", enabled)
        check_device("autocast", device_type, self._enabled)
        self.device, self.fast_dtype = device_type, narrow_dtype("autocast", dtype if self._enabled else None)
        if cache_enabled is not None:
            arguments.flag("autocast", "cache_enabled", cache_enabled)
        self._before: list[DType | None] = []

    def _recreate_cm(self) -> Self:
        return type(self)(self.device, self.fast_dtype, self._enabled)

    def __enter__(self) -> Self:
        self._before.append(mode.autocast)
        mode.autocast = self.fast_dtype if self._enabled else None
        return self

    def __exit__(self, *error: object) -> None:
        mode.autocast = self._before.pop()


def is_autocast_enabled(device_type: str = "cpu") -> bool:
    """Whether this runs under an autocast."""
    check_device("is_autocast_enabled", device_type)
    return mode.autocast is not None


def get_autocast_dtype(device_type: str = "cpu") -> DType:
    """What products are computed in under this autocast, or under one that says nothing else: bf16."""
    check_device("get_autocast_dtype", device_type)
    return mode.autocast or bf16
