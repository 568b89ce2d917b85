"""What programs for PyTorch call that has little to do here: constructors by dtype, and settings with one value."""

from __future__ import annotations

import math
from typing import Any

from tinytorch.frontend import arguments
from tinytorch.frontend.functions.creation import empty, tensor
from tinytorch.frontend.functions.random import default_generator
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.devices import device as Device
from tinytorch.frontend.tensor.devices import require_cpu
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.types import DType, bool_, dtype_of, f32, f64, i32, i64, u8

__all__ = [
    "BoolTensor",
    "ByteTensor",
    "DoubleTensor",
    "FloatTensor",
    "IntTensor",
    "LongTensor",
    "Size",
    "are_deterministic_algorithms_enabled",
    "e",
    "get_default_device",
    "get_float32_matmul_precision",
    "get_rng_state",
    "inf",
    "initial_seed",
    "nan",
    "newaxis",
    "pi",
    "seed",
    "set_default_device",
    "set_default_dtype",
    "set_float32_matmul_precision",
    "set_rng_state",
    "use_deterministic_algorithms",
]

pi, e, inf, nan = math.pi, math.e, math.inf, math.nan
newaxis = None
Size = tuple  # shapes are plain tuples


def seed() -> int:
    """Start the default generator again from a seed of the operating system, and return it."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed that the default generator started from."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """A copy of the state of the default generator, for `set_rng_state`."""
    return default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Go on from a state that `get_rng_state` gave."""
    default_generator.set_state(new_state)


def _constructor(name: str, dtype: DType) -> Any:
    def make(*given: Any) -> Tensor:
        if len(given) == 1 and not isinstance(given[0], int):
            return tensor(given[0], dtype=dtype)
        return empty(*(arguments.integer(name, "a size", size, 0) for size in given), dtype=dtype)

    make.__name__ = make.__qualname__ = name
    make.__doc__ = f"A tensor of {dtype} with a copy of the data; of sizes, zeros of that shape."
    return make


FloatTensor = _constructor("FloatTensor", f32)
DoubleTensor = _constructor("DoubleTensor", f64)
LongTensor = _constructor("LongTensor", i64)
IntTensor = _constructor("IntTensor", i32)
ByteTensor = _constructor("ByteTensor", u8)
BoolTensor = _constructor("BoolTensor", bool_)


def set_default_dtype(d: object) -> None:
    """Refused unless `d` is f32, which it always is."""
    if dtype_of(d) is not f32:
        raise TinyTorchError(f"set_default_dtype: it is f32, and stays so; pass dtype={d!r}", user_loc())


def set_default_device(device: object) -> None:
    """Nothing, where `device` is the CPU; every other one is refused."""
    require_cpu(device)


def get_default_device() -> Device:
    """The CPU."""
    return Device()


def set_float32_matmul_precision(precision: str) -> None:
    """Nothing: products of f32 are sums of f32 products, which "highest" asks for and the other words allow."""
    arguments.choice("set_float32_matmul_precision", "precision", precision, "highest", "high", "medium")


def get_float32_matmul_precision() -> str:
    return "highest"


def checked(condition: Any, message: str) -> None:
    """AssertionError with the message unless the condition, a bool or a tensor of one element, holds: torch._assert."""
    if not condition:
        raise AssertionError(message)


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Nothing: results are the same in every run, for any number of threads."""
    arguments.flag("use_deterministic_algorithms", "mode", mode)


def are_deterministic_algorithms_enabled() -> bool:
    return True
