"""Losses of numbers whose derivatives, written by hand, keep their digits where those of the definitions lose them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinytorch.ir.errors import ShapeError
from tinytorch.ir.op import Rule, apply
from tinytorch.ir.ops.composite import define_composite, sigmoid
from tinytorch.ir.ops.core import cast, filled
from tinytorch.ir.ops.elementwise import exp, log, log1p, maximum, minimum
from tinytorch.ir.types import TensorType, f32

_LOWEST_LOG = -100.0  # what the logarithm of a probability of 0 counts as
_LEAST_VARIANCE = 9.999999960041972e-13  # what p (1 - p) in a denominator counts as at least: PyTorch's 1e-12 in f32


def _one_float_type(name: str) -> Callable[..., TensorType]:
    def infer(*types: TensorType) -> TensorType:
        if not types[0].dtype.is_float or any(t != types[0] for t in types):
            raise ShapeError(f"{name}: needs operands of one float type, got {' and '.join(map(str, types))}")
        return types[0]

    return infer


def _rule(grad: Callable[..., Any]) -> Rule:
    """The rule `grad(ct, *operands)`, with half precision computed in f32 and rounded once, as the definition is."""

    def run(g: Any, n: Any) -> Any:
        dtype = g.type.dtype
        if dtype.bits > 16:
            return grad(g, *n.inputs)
        return apply(cast, grad(*(apply(cast, x, dtype=f32) for x in (g, *n.inputs))), dtype=dtype)

    return run


def _at_least(x: Any, limit: float) -> Any:
    return apply(maximum, x, filled(x, limit, x.type))


def _log(p: Any) -> Any:
    return _at_least(apply(log, p), _LOWEST_LOG)


def _log_of_rest(p: Any) -> Any:
    """log(1 - p)."""
    return _at_least(apply(log1p, -p), _LOWEST_LOG)


# Of the loss l = -(y log p + (1 - y) log(1 - p)): dl/dp = (p - y) / (p (1 - p)), dl/dy = log(1 - p) - log p.
binary_cross_entropy = define_composite(
    "binary_cross_entropy", "-(y log p + (1 - y) log(1 - p)) of probabilities p, targets y; logarithms at least -100",
    _one_float_type("binary_cross_entropy"),
    lambda p, y: (y - 1.0) * _log_of_rest(p) - y * _log(p),
    (
        _rule(lambda g, p, y: g * (p - y) / _at_least((1.0 - p) * p, _LEAST_VARIANCE)),
        _rule(lambda g, p, y: g * (_log_of_rest(p) - _log(p))),
    ),
    autocast="high",
)  # fmt: skip


def _below_zero(x: Any) -> Any:
    return apply(minimum, x, filled(x, 0, x.type))


def _tail(x: Any) -> Any:
    return apply(log1p, apply(exp, -abs(x)))


# Its definition has a corner at 0, which cancels out in the first derivative and not in the second.
softplus = define_composite(
    "softplus", "log(1 + exp(x)), as max(x, 0) + log(1 + exp(-|x|)), which does not overflow",
    _one_float_type("softplus"),
    lambda x: _at_least(x, 0) + _tail(x),
    (_rule(lambda g, x: g * apply(sigmoid, x)),),
    autocast="high",
)  # fmt: skip


def _log_sigmoid(x: Any) -> Any:
    return 0.0 - apply(softplus, -x)


def _logistic_loss(x: Any, a: Any, b: Any) -> Any:
    """a x - (a + b) log s, the small part of log s last, so that it is not lost beside x."""
    return a * x - (a + b) * _below_zero(x) + (a + b) * _tail(x)


# With s = sigmoid(x): log(1 - s) = log s - x, so dl/dx = (a + b) s - b, dl/da = x - log s, dl/db = -log s.
logistic_loss = define_composite(
    "logistic_loss", "-(b log s + a log(1 - s)), s = sigmoid(x), of logits x and the weights a, b of class 0 and 1",
    _one_float_type("logistic_loss"),
    _logistic_loss,
    (
        _rule(lambda g, x, a, b: g * ((a + b) * apply(sigmoid, x) - b)),
        _rule(lambda g, x, a, b: g * (x - _log_sigmoid(x))),
        _rule(lambda g, x, a, b: -g * _log_sigmoid(x)),
    ),
    autocast="high",
)  # fmt: skip
