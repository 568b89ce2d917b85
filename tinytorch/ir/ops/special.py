"""Special functions of floats: around erf and the normal distribution, and around the gamma function."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinytorch.ir import lanemath as lm
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.lanes.emitter import Emitter, Lane
from tinytorch.ir.lanes.numpy_emitter import by_lanes
from tinytorch.ir.op import Op, Rule, Spelled, apply, define
from tinytorch.ir.ops.core import computed_in_f32, filled, one_per_result, where, zeros_like
from tinytorch.ir.ops.elementwise import define_elementwise, exp, ge, le, log
from tinytorch.ir.types import TensorType

_TWO_OVER_ROOT_PI = 1.1283791670955126


def _of_one(doc: str, lane: Any, rule: Rule, *names: str) -> Op:
    name = names[0].rpartition(".")[2]
    return define_elementwise(name, doc, by_lanes(lane, fused=False), lane, (rule,), "float", spelled=Spelled(names))


# Around erf. g is the cotangent of the result, n the application.
erfc = _of_one(
    "1 - erf(x), accurate where that is small", lm.erfc,
    lambda g, n: g * -_TWO_OVER_ROOT_PI * apply(exp, -n.inputs[0] * n.inputs[0]), "erfc", "special.erfc",
)  # fmt: skip
erfcx = _of_one(
    "exp(x**2) * erfc(x)", lm.erfcx, lambda g, n: g * (n.inputs[0] * 2.0 * n.output - _TWO_OVER_ROOT_PI),
    "special.erfcx",
)  # fmt: skip
erfinv = _of_one(
    "What erf takes to x; infinite at -1 and 1, NaN beyond", lm.erfinv,
    lambda g, n: g * (1 / _TWO_OVER_ROOT_PI) * apply(exp, n.output * n.output), "erfinv", "special.erfinv",
)  # fmt: skip
ndtri = _of_one(
    "What the normal distribution function takes to x; infinite at 0 and 1, NaN beyond", lm.ndtri,
    lambda g, n: g * math.sqrt(2 * math.pi) * apply(exp, n.output * n.output * 0.5), "special.ndtri",
)  # fmt: skip
log_ndtr = _of_one(
    "Logarithm of the normal distribution function, accurate in both tails", lm.log_ndtr,
    lambda g, n: g * math.sqrt(2 / math.pi) / apply(erfcx, n.inputs[0] * -math.sqrt(0.5)), "special.log_ndtr",
)  # fmt: skip


def _entr(x: Any) -> Any:
    return np.where(x > 0, -x * np.log(x), np.where(x == 0, x.dtype.type(0), np.where(x < 0, -math.inf, x)))


def _entr_lane(e: Emitter, x: Lane) -> Lane:
    edge = e.select(x.eq(0.0), e.const(0.0, x.dtype), e.select(x < 0.0, e.const(-math.inf, x.dtype), x))
    return e.select(x > 0.0, -x * lm.log(e, x), edge)


entr = define_elementwise(
    "entr", "-x * log(x): 0 at 0, -inf below", lambda x: _entr(x).astype(x.dtype), _entr_lane,
    (lambda g, n: -g * (apply(log, n.inputs[0]) + 1.0),), "float", spelled=Spelled(("special.entr",)),
)  # fmt: skip


def _logit_rule(g: Any, n: Any) -> Any:
    """g / (x (1 - x)); NaN outside of [0, 1]."""
    (x,) = n.inputs
    inside = apply(ge, x, zeros_like(x)) & apply(le, x, filled(x, 1.0, x.type))
    return apply(where, inside, g / (x * (1.0 - x)), filled(x, math.nan, x.type))


def _logit_lane(e: Emitter, x: Lane) -> Lane:
    return lm.log(e, x / (1.0 - x))


logit = define_elementwise(
    "logit", "log(x / (1 - x))", lambda x: np.log(x / (1 - x)), _logit_lane, (_logit_rule,), "float"
)

# Around gamma.
lgamma = _of_one(
    "Logarithm of |gamma(x)|", lm.lgamma, lambda g, n: g * apply(digamma, n.inputs[0]), "lgamma", "special.gammaln"
)
digamma = _of_one(
    "The derivative of log gamma(x)", lm.digamma, lambda g, n: g * apply(polygamma, n.inputs[0], n=1), "digamma",
    "special.digamma", "special.psi",
)  # fmt: skip


def _polygamma_type(x: TensorType, *, n: int) -> TensorType:
    if not x.dtype.is_float or not 1 <= n <= 100:
        raise ShapeError(f"polygamma: needs a float dtype and n from 1 to 100, got {x} and {n}")
    return x


polygamma = define(Op(
    "polygamma", "elementwise", "The n-th derivative of digamma, n >= 1", _polygamma_type,
    computed_in_f32(by_lanes(lm.polygamma, fused=False)),
    (lambda g, n: g * apply(polygamma, n.inputs[0], n=n.attrs["n"] + 1),), one_per_result, lm.polygamma,
))  # fmt: skip
