"""Dtypes of the standard: conversions, questions, and what this library has."""

from __future__ import annotations

from typing import Any

from tinytorch.frontend.arguments import flag, wrong_type, wrong_value
from tinytorch.frontend.standard.shared import STANDARD, enter
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.devices import device as _Device
from tinytorch.frontend.tensor.devices import require_cpu
from tinytorch.frontend.tensor.dtypes import finfo, iinfo
from tinytorch.ir.operators.promotion import joined
from tinytorch.ir.types import DType, bool_, dtype_of, f32, f64, i8, i32, i64, u8

DTYPES = {"bool": bool_, "float32": f32, "float64": f64, "int8": i8, "int32": i32, "int64": i64, "uint8": u8}
_KINDS = {
    "bool": ("bool",),
    "signed integer": ("int",),
    "unsigned integer": ("uint",),
    "integral": ("int", "uint"),
    "real floating": ("float",),
    "complex floating": (),
    "numeric": ("int", "uint", "float"),
}

STANDARD.update(finfo=finfo, iinfo=iinfo)


@enter()
def astype(x: Tensor, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Tensor:
    """`x` converted to `dtype`: a copy, or `x` itself where it has that dtype and `copy` is False."""
    require_cpu(device)
    out = x.cast(dtype)
    return out.clone() if out is x and flag("astype", "copy", copy) else out


@enter()
def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether a dtype is `kind`: another dtype, "bool", "signed integer", "unsigned integer", "integral",
    "real floating", "complex floating" or "numeric"; or one of several in a tuple."""
    own = dtype_of(dtype)
    if isinstance(kind, tuple):
        return any(isdtype(own, k) for k in kind)
    if isinstance(kind, str) and kind in _KINDS:
        return own.kind in _KINDS[kind]
    if isinstance(kind, str):
        raise wrong_value("isdtype", "kind", f"a dtype or one of {', '.join(_KINDS)}", kind)
    return own == dtype_of(kind)


@enter()
def can_cast(from_: Any, to: Any, /) -> bool:
    """Whether `to` holds what a dtype, or that of a tensor, holds: whether both promote to `to`."""
    target = dtype_of(to)
    return joined([_dtype(from_), target]) == target


@enter()
def result_type(*arrays_and_dtypes: Any) -> DType:
    """The dtype that tensors and dtypes promote to; Python numbers among them only count by their kind."""
    dtypes = [_dtype(v) for v in arrays_and_dtypes if not isinstance(v, (bool, int, float))]
    if not dtypes:
        raise wrong_type("result_type", "an operand", "a tensor or a dtype, at least one", arrays_and_dtypes)
    out = joined(dtypes)
    for number in arrays_and_dtypes:
        if isinstance(number, float) and not out.is_float:
            out = f32
        elif isinstance(number, int) and not isinstance(number, bool) and out.kind == "bool":
            out = i64
    return out


def _dtype(value: Any) -> DType:
    return value.dtype if isinstance(value, Tensor) else dtype_of(value)


class Info:
    """What this library has of the standard."""

    def capabilities(self) -> dict[str, Any]:
        """Masks are indices; some functions have results whose shape depends on values; at most 64 axes, as numpy."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> _Device:
        return _Device()

    def devices(self) -> list[_Device]:
        return [_Device()]

    def default_dtypes(self, *, device: Any = None) -> dict[str, DType]:
        """The dtypes of Python's floats and integers, and of indices."""
        require_cpu(device)
        return {"real floating": f32, "integral": i64, "indexing": i64}

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, DType]:
        """The dtypes of the standard that are here, all or those of a `kind` as of `isdtype`."""
        require_cpu(device)
        return {name: d for name, d in DTYPES.items() if kind is None or isdtype(d, kind)}


@enter("__array_namespace_info__")
def info() -> Info:
    """What this library has of the standard: capabilities, devices, dtypes."""
    return Info()
