"""Arithmetic as functions: sums and products with factors, division in its kinds, rests, interpolation."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from typing import Any

from tinytorch.frontend.arguments import choice, wrong_type
from tinytorch.frontend.functions.basic import where
from tinytorch.frontend.functions.pointwise.operands import pair, tensor
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.operators.promotion import promote
from tinytorch.ir.ops.core import detach
from tinytorch.ir.ops.mathematics import fmod
from tinytorch.ir.types import bool_, f32, f64


def _times(what: str, x: Tensor, other: Any, alpha: Any) -> Any:
    """`alpha * other` as an operand beside x; `alpha` may be a tensor without axes, such as a learning rate."""
    if isinstance(alpha, Tensor) and alpha.shape == ():
        if alpha.dtype.is_float and not promote(x.type, x._like(other).type).is_float:
            raise wrong_type(what, "alpha", "an integer beside integers", alpha)
        return x._times(other, alpha)
    if type(alpha) is bool or not isinstance(alpha, (int, float)):
        if not (alpha is True or alpha is False) or promote(x.type, x._like(other).type) != bool_:
            raise wrong_type(what, "alpha", "a number", alpha)
    elif isinstance(alpha, float) and not promote(x.type, x._like(other).type).is_float:
        raise wrong_type(what, "alpha", "an integer beside integers", alpha)
    return x._times(other, alpha)


@spelled(in_place=True, standard="add")
def add(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """input + alpha * other; of bools, or."""
    x, y = pair("add", input, other, numbers="either")
    return x + _times("add", x, y, alpha)


@spelled("subtract", in_place=True, standard="subtract")
def sub(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """input - alpha * other."""
    x, y = pair("sub", input, other, numbers="either")
    return x - _times("sub", x, y, alpha)


@spelled()
def rsub(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """other - alpha * input."""
    x, y = pair("rsub", input, other)
    y = x._like(y)
    return y - _times("rsub", y, x, alpha)


@spelled("multiply", in_place=True, standard="multiply")
def mul(input: Any, other: Any) -> Tensor:
    """input * other; of bools, and."""
    x, y = pair("mul", input, other, numbers="either")
    return x * y


@spelled("divide", in_place=True, standard="divide")
def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """input / other, in floats; rounded down or towards zero, in the operands' dtype, if `rounding_mode` is "floor" or
    "trunc". Integers divided by zero give 0 then."""
    x, y = pair("div", input, other, numbers="either")
    if rounding_mode is None:
        return x / y
    if choice("div", "rounding_mode", rounding_mode, "floor", "trunc") == "floor":
        return x // y
    a, b = x._pair("div", y)
    return (a / b).trunc() if a.dtype.is_float else (a - a._apply(fmod, b)) // b


@spelled(in_place=True)
def true_divide(input: Any, other: Any) -> Tensor:
    """input / other, in floats."""
    return div(input, other)


@spelled(in_place=True, standard="floor_divide")
def floor_divide(input: Any, other: Any) -> Tensor:
    """input / other rounded down; integers divided by zero give 0."""
    x, y = pair("floor_divide", input, other, numbers="either")
    return x // y


@spelled(in_place=True, standard="remainder")
def remainder(input: Any, other: Any) -> Tensor:
    """input - floor(input / other) * other, with other's sign; integers modulo zero give 0."""
    x, y = pair("remainder", input, other, numbers="either")
    return x % y


@spelled("negative", in_place=True, standard="negative")
def neg(input: Tensor) -> Tensor:
    """-input."""
    return -input


@spelled(standard="positive")
def positive(input: Tensor) -> Tensor:
    """The input itself."""
    if input.dtype == bool_:
        raise wrong_type("positive", "input", "a tensor of numbers", input)
    return input


@spelled(in_place=True, standard="pow")
def pow(input: Any, exponent: Any) -> Tensor:
    """input ** exponent; integers to integer powers are integers, which wrap."""
    x, y = pair("pow", input, exponent, numbers="either")
    return x**y


@spelled(in_place=True)
def float_power(input: Any, exponent: Any) -> Tensor:
    """input ** exponent in f64."""
    x, y = pair("float_power", input, exponent, numbers="either")
    return x.cast(f64) ** (y.cast(f64) if isinstance(y, Tensor) else y)


@spelled(in_place=True)
def addcmul(input: Tensor, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Tensor:
    """input + value * tensor1 * tensor2."""
    x, one, two = _wide(input, tensor("addcmul", "tensor1", tensor1), tensor("addcmul", "tensor2", tensor2))
    return _narrow(add(x, mul(one, two), alpha=value), input)


@spelled(in_place=True)
def addcdiv(input: Tensor, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Tensor:
    """input + value * tensor1 / tensor2, of floats."""
    over, under = tensor("addcdiv", "tensor1", tensor1), tensor("addcdiv", "tensor2", tensor2)
    if not (over.dtype.is_float or under.dtype.is_float):
        raise wrong_type("addcdiv", "one of tensor1 and tensor2", "a tensor of floats", over.dtype)
    x, over, under = _wide(input, over, under)
    return _narrow(add(x, over / under, alpha=value), input)


@spelled(in_place=True)
def lerp(input: Tensor, end: Any, weight: Any) -> Tensor:
    """input + weight * (end - input), computed from the nearer end, so that weights of 0 and 1 give these exactly."""
    end = tensor("lerp", "end", end)
    for name, x in (("end", end), ("weight", weight)):
        if isinstance(x, Tensor) and x.dtype != input.dtype:
            raise ShapeError(f"lerp: {name} is {x.dtype}, the input {input.dtype}; cast one of them", user_loc())
    if not input.dtype.is_float:
        raise wrong_type("lerp", "input", "a tensor of floats", input.dtype)
    if hasattr(weight, "as_operand"):  # a number that is an input of the graph
        weight = input._like(weight)
    x, y = _wide(input, end)
    way = y - x
    if isinstance(weight, Tensor):
        (w,) = _wide(weight)
        first = w.abs() < 0.5
        return _narrow(where(first, x, y) + where(first, w, w - 1) * way, input)
    return _narrow(x + way * weight if abs(weight) < 0.5 else y - way * (1 - weight), input)


def _wide(*tensors: Tensor) -> list[Tensor]:
    """Tensors of one dtype; in f32 if that is a float of 16 bits, so that several steps round once."""
    is_half = all(x.dtype == tensors[0].dtype and x.dtype.is_float and x.dtype.bits == 16 for x in tensors)
    return [x.cast(f32) if is_half else x for x in tensors]


def _narrow(result: Tensor, like: Tensor) -> Tensor:
    """Back in the dtype of `like`, if `_wide` had widened that."""
    return result.cast(like.dtype) if like.dtype.bits == 16 and result.dtype == f32 else result


@spelled(in_place=True)
def heaviside(input: Any, values: Any) -> Tensor:
    """0 below zero, 1 above, `values` at zero."""
    x, at_zero = pair("heaviside", input, values, numbers="no")
    if x._like(at_zero).dtype != x.dtype:
        raise wrong_type("heaviside", "values", f"a tensor of {x.dtype}, as the input is", at_zero)
    x, at_zero = x._pair("heaviside", at_zero)
    return where(x == 0, at_zero, (x > 0).cast(x.dtype))._apply(detach)
