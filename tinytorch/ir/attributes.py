"""What attributes may be: checked before an op sees them, since text and callers may say anything.

Attributes of one name mean one thing, whatever the op. How they fit the operands, `infer` says.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any, cast

import numpy as np

from tinytorch.ir.errors import VerifyError
from tinytorch.ir.graph import Graph
from tinytorch.ir.op import Attrs, Op
from tinytorch.ir.types import MAX_BYTES, DType, TensorType

_MOST_PARTS = 1 << 16  # that a composite falls into
_SPATIAL = ("window", "stride", "low", "dilation")  # of an op that searches windows, all or none


def check_attributes(op: Op, types: Sequence[TensorType], attrs: Attrs) -> None:
    """VerifyError where an attribute has not the type or the range of its name, or does not fit another one."""
    for name, value in attrs.items():
        wanted, fits = _KINDS.get(name, ("", _anything))
        if not fits(value):
            raise VerifyError(f"{op.name}: {name} is {wanted}, got {value!r:.80}")
    images = "stride" in attrs
    for name in ("stride", "dilation", "window", *(("low", "high") if images else ())):
        if name in attrs and len(attrs[name]) != 2:
            raise VerifyError(f"{op.name}: {name} is a pair, got {attrs[name]}")
    if isinstance(attrs.get("size"), tuple) and len(attrs["size"]) != 2:
        raise VerifyError(f"{op.name}: size is a pair, got {attrs['size']}")
    if "window" in attrs and not all(name in attrs for name in _SPATIAL):
        raise VerifyError(f"{op.name}: needs {', '.join(_SPATIAL)}, got {', '.join(attrs)}")
    if op.kind == "composite" and math.prod(attrs.get("stride", ())) > _MOST_PARTS:
        raise VerifyError(f"{op.name}: stride {attrs['stride']} is too large")
    if op.kind == "move" and "value" in attrs and types and not _is_number_of(types[0].dtype, attrs["value"]):
        raise VerifyError(f"{op.name}: {attrs['value']!r} is no {types[0].dtype}")
    if {"shape", "axis", "dtype"} <= attrs.keys():
        _check_counts(op, attrs["shape"], attrs["axis"], attrs["dtype"])


def attributes_key(attrs: Attrs) -> Hashable:
    """Equal only for attributes that mean the same, in any order."""
    return tuple((name, _attribute(attrs[name])) for name in sorted(attrs))


def _attribute(value: Any) -> Hashable:
    """Equal only for attributes that mean the same: 1, 1.0 and True differ, as do 0.0 and -0.0; NaN equals itself."""
    if isinstance(value, np.ndarray):
        return value.dtype, value.shape, value.tobytes()
    if isinstance(value, (tuple, list)):
        return tuple(map(_attribute, value))
    if isinstance(value, float):
        return float, repr(value)
    if value is None or isinstance(value, (bool, int, str)):
        return type(value), value
    return id(value)  # dtypes, bodies of kernels, functions


def _check_counts(op: Op, shape: Sequence[int], axis: int, dtype: DType) -> None:
    """The dtype must hold every index along the axis."""
    if axis < len(shape) and not dtype.is_float:
        most = 1 if dtype.kind == "bool" else dtype.limits[1]
        if shape[axis] - 1 > most:
            raise VerifyError(f"{op.name}: {dtype} does not hold the indices of {list(shape)} along axis {axis}")


def _is_number_of(dtype: DType, value: Any) -> bool:
    """Whether a scalar is a value of `dtype`."""
    if dtype.is_float:
        return True
    low, high = (0, 1) if dtype.kind == "bool" else dtype.limits
    return math.isfinite(value) and low <= value == int(value) <= high


# Kinds of attributes.
def _anything(value: Any) -> bool:
    return True


def _is_int(value: Any, least: int = -MAX_BYTES) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and least <= int(value) <= MAX_BYTES


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _ints(least: int) -> Callable[[Any], bool]:
    def fits(value: Any) -> bool:
        return isinstance(value, (tuple, list)) and all(_is_int(v, least) for v in cast("Sequence[Any]", value))

    return fits


def _steps(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and all(map(_ints(0), cast("Sequence[Any]", value)))


def _words(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(v, str) for v in cast("tuple[Any, ...]", value))


def _value(value: Any) -> bool:
    return isinstance(value, (bool, np.ndarray, np.generic)) or _is_number(value)


_LEAST = -MAX_BYTES
_NOT_NEGATIVE = ("integers that are not negative", _ints(0))
_POSITIVE = ("positive integers", _ints(1))
_NUMBER = ("a number", _is_number)
_BOOL = ("True or False", lambda value: isinstance(value, (bool, np.bool_)))
_KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "shape": _NOT_NEGATIVE,
    "starts": _NOT_NEGATIVE,
    "limits": _NOT_NEGATIVE,
    "interior": _NOT_NEGATIVE,
    "steps": _POSITIVE,
    "stride": _POSITIVE,
    "strides": ("steps along axes, for each axis", _steps),
    "dilation": _POSITIVE,
    "window": _POSITIVE,
    "axes": ("integers", _ints(_LEAST)),
    "low": ("integers", _ints(_LEAST)),
    "high": ("integers", _ints(_LEAST)),
    "axis": ("an integer that is not negative", lambda value: _is_int(value, 0)),
    "size": ("a size, or two", lambda value: _is_int(value, 0) or _ints(1)(value)),
    "groups": ("a positive integer", lambda value: _is_int(value, 1)),
    "word": ("an integer", _is_int),
    "dtype": ("a dtype", lambda value: isinstance(value, DType)),
    "value": ("a number or an array", _value),
    "eps": _NUMBER,
    "p": _NUMBER,
    "scale": _NUMBER,
    "fill": _NUMBER,
    "smoothing": _NUMBER,
    "approximate": _BOOL,
    "wrap": _BOOL,
    "causal": _BOOL,
    "zeros": _BOOL,
    "extras": ("words", _words),
    "body": ("a graph", lambda value: isinstance(value, Graph)),
    "family": ("a word", lambda value: isinstance(value, str)),
}
