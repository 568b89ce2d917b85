"""numpy's ufuncs of tensors; and what tensors do not know, which runs on their arrays."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinytorch.frontend.spelling import names_in
from tinytorch.frontend.standard.names import FUNCTIONS
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.mode import mode
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc

# Ufuncs that are operators, with what Python calls these, and with operands exchanged.
_OPERATORS = {
    "add": ("__add__", "__radd__"),
    "bitwise_and": ("__and__", "__rand__"),
    "bitwise_or": ("__or__", "__ror__"),
    "bitwise_xor": ("__xor__", "__rxor__"),
    "divide": ("__truediv__", "__rtruediv__"),
    "equal": ("__eq__", "__eq__"),
    "floor_divide": ("__floordiv__", "__rfloordiv__"),
    "greater": ("__gt__", "__lt__"),
    "greater_equal": ("__ge__", "__le__"),
    "left_shift": ("__lshift__", "__rlshift__"),
    "less": ("__lt__", "__gt__"),
    "less_equal": ("__le__", "__ge__"),
    "matmul": ("__matmul__", "__rmatmul__"),
    "multiply": ("__mul__", "__rmul__"),
    "not_equal": ("__ne__", "__ne__"),
    "power": ("__pow__", "__rpow__"),
    "remainder": ("__mod__", "__rmod__"),
    "right_shift": ("__rshift__", "__rrshift__"),
    "subtract": ("__sub__", "__rsub__"),
}
_OTHER_NAMES = {
    "absolute": "abs",
    "arccos": "acos",
    "arccosh": "acosh",
    "arcsin": "asin",
    "arcsinh": "asinh",
    "arctan": "atan",
    "arctan2": "atan2",
    "arctanh": "atanh",
    "conjugate": "conj",
    "fabs": "abs",
    "invert": "bitwise_invert",
    "rint": "round",
}


# Ufuncs.
def apply_ufunc(self: Tensor, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
    """What numpy asks the tensor to do for `ufunc(*inputs)`."""
    target = None if method != "__call__" or options else _meaning(ufunc.__name__)
    if target is None:
        name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
        return on_arrays(name, getattr(ufunc, method), inputs, options if out is None else {**options, "out": out})
    result = target(*inputs)
    if out is None or result is NotImplemented:
        return result
    return _into(f"np.{ufunc.__name__}", out[0], result)


def _meaning(name: str) -> Callable[..., Any] | None:
    """The function of tensors that a ufunc is, if there is one."""
    if name in _OPERATORS:
        own, exchanged = _OPERATORS[name]
        return lambda a, b: getattr(a, own)(b) if isinstance(a, Tensor) else getattr(b, exchanged)(a)
    known = _OTHER_NAMES.get(name, name)
    found = FUNCTIONS.get(known) or names_in("").get(known)
    return None if found is None else _of_tensors(found)


def _of_tensors(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, given arrays and numbers as the tensor beside them takes them."""

    def call(*inputs: Any) -> Any:
        like = next(x for x in inputs if isinstance(x, Tensor))
        return function(*(like._like(x) for x in inputs))

    return call


def _into(what: str, out: Any, result: Tensor) -> Any:
    """`result` written into the array or tensor that the user gave as `out`."""
    if isinstance(out, Tensor):
        return out.copy_(result)
    if result.requires_grad:
        raise TinyTorchError(f"{what}: an array cannot hold what requires grad; write `a = a + x`", user_loc())
    out[...] = result.numpy()
    return out


# What tensors do not know.
def on_arrays(name: str, function: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """What numpy makes of the arrays; TinyTorchError where a gradient would be lost."""
    return function(*_arrays(name, args), **_arrays(name, options))


def _arrays(name: str, value: Any) -> Any:
    """Nested containers with arrays for tensors, for a function of numpy."""
    if isinstance(value, Tensor):
        if value.requires_grad and mode.grad:
            own = f"tt.{name} is one, and " if name in names_in("") else ""
            raise TinyTorchError(
                f"np.{name} is no function of tensors that require grad: {own}x.detach() gives it the values alone",
                user_loc(),
            )
        return value.numpy()
    if isinstance(value, dict):
        return {key: _arrays(name, each) for key, each in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_arrays(name, each) for each in value)
    return value
