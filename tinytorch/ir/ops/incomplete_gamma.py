"""The incomplete gamma functions P(a, x) and Q(a, x) = 1 - P(a, x), and the zeta function of Hurwitz: sums over an axis
of points or terms, in f64.

P or Q, whichever is the smaller, is the integral of the gamma distribution's density over the tail in which x lies, by
the rule of Gauss and Legendre: over 40 lengths in which the density falls by e, or what is left of the distribution. Of
small a and x, a is increased by 20 first (Abramowitz & Stegun 6.5.21), since the density is infinite at 0 for a < 1.
Largest error found: 2e-14 up to a = 200, 4e-13 up to a = 1e6; the smaller of P and Q keeps a relative accuracy of 1e-11
at least.

zeta: the first terms are added up, and the rest is given by the formula of Euler and Maclaurin (Johansson, "Rigorous
high-precision computation of the Hurwitz zeta function", 2015).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinytorch.ir.errors import ShapeError
from tinytorch.ir.lanemath.core import BERNOULLI
from tinytorch.ir.op import NONDIFF, Array, Nondiff, Op, Rule, Spelled, apply
from tinytorch.ir.ops.composite import define_composite
from tinytorch.ir.ops.core import cast, filled, require_same, where, zeros_like
from tinytorch.ir.ops.elementwise import abs_, eq, exp, floor, log, log1p, maximum, minimum, ne, sqrt, trunc
from tinytorch.ir.ops.reduce import sum_
from tinytorch.ir.ops.special import lgamma
from tinytorch.ir.ops.view import broadcast, reshape
from tinytorch.ir.types import TensorType, f64

_LARGE, _SMALL_X, _SHIFT, _NODES = 20.0, 3.0, 20, 48
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188)  # of log gamma(a + 1), in odd powers of 1/a
_TERMS = 9  # of zeta, added up


def _define(
    doc: str, definition: Callable[[Any, Any], Any], rules: tuple[Rule | None, ...] | Nondiff, either: bool, *names: str
) -> Op:
    name = names[0].rpartition(".")[2]

    def infer(a: TensorType, b: TensorType) -> TensorType:
        out = require_same(name, a, b)
        if not out.dtype.is_float:
            raise ShapeError(f"{name}: needs a float dtype, got {out.dtype}")
        return out

    def in_f64(a: Any, b: Any) -> Any:
        found = definition(apply(cast, a, dtype=f64), apply(cast, b, dtype=f64))
        return apply(cast, found, dtype=a.type.dtype)

    spelled = Spelled(names, 2, in_place=not either, either=either)
    return define_composite(name, doc, infer, in_f64, rules, spelled=spelled)


def _value(like: Any, number: float) -> Any:
    return filled(like, number, like.type)


def _chosen(condition: Any, a: Any, b: Any) -> Any:
    """`where`, of tensors or numbers of which one is a tensor."""
    like = b if isinstance(a, float) else a
    a, b = (_value(like, v) if isinstance(v, float) else v for v in (a, b))
    return apply(where, condition, a, b)


def _larger(a: Any, b: Any) -> Any:
    return apply(maximum, a, _value(a, b) if isinstance(b, float) else b)


def _smaller(a: Any, b: Any) -> Any:
    return apply(minimum, a, _value(a, b) if isinstance(b, float) else b)


def _over(x: Any, count: int) -> Any:
    """x repeated along a new last axis."""
    shape = x.type.shape
    return apply(broadcast, apply(reshape, x, shape=(*shape, 1)), shape=(*shape, count))


def _row(x: Any, values: Array) -> Any:
    """`values` along a new last axis of what has the shape of x."""
    return apply(broadcast, x.constant(values), shape=(*x.type.shape, len(values)))


def _total(x: Any) -> Any:
    last = x.type.rank - 1
    return apply(reshape, apply(sum_, x, axes=(last,)), shape=x.type.shape[:-1])


# P and Q.
def _tails(a: Any, x: Any) -> tuple[Any, Any]:
    large, left = a >= _LARGE, x < a - 1.0
    shifted = ~large & (x < _larger(_smaller(a, _LARGE) + 1.0, _SMALL_X))
    low_is_smaller = shifted | (large & left)
    safe = _chosen(shifted, a + float(_SHIFT), a)  # P(a) = P(a + 20) and 20 terms
    part = _integral(_larger(safe, 1e-300), x, low_is_smaller, shifted | large)
    terms = _chosen(shifted, _first_terms(a, x), 0.0)
    smaller = part + terms
    other = 1.0 - smaller
    low, high = (_chosen(low_is_smaller, p, q) for p, q in ((smaller, other), (other, smaller)))
    never, always = (a == math.inf) | (x == 0.0), (x == math.inf) | (a == 0.0)
    low = _chosen(always, 1.0, _chosen(never, 0.0, low))
    high = _chosen(always, 0.0, _chosen(never, 1.0, high))
    valid = (a >= 0.0) & (x >= 0.0) & ~(never & always)
    return _chosen(valid, low, math.nan), _chosen(valid, high, math.nan)


def _first_terms(a: Any, x: Any) -> Any:
    """The sum of x**(a + k) exp(-x) / gamma(a + k + 1) over k < 20."""
    power = _over(_smaller(a, _LARGE), _SHIFT) + _row(a, np.arange(float(_SHIFT)))
    wide = _over(x, _SHIFT)
    return _total(apply(exp, power * apply(log, wide) - wide - apply(lgamma, power + 1.0)))


@functools.cache
def _rule_of_gauss() -> tuple[Array, Array]:
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return (1 + nodes) / 2, weights / 2


def _integral(a: Any, x: Any, left: Any, by_peak: Any) -> Any:
    """The integral of t**(a - 1) exp(-t) / gamma(a) from x to the left or to the right; `by_peak` where a is so large
    that the density is best taken relative to that at its peak, m = a - 1."""
    m = _chosen(by_peak, a - 1.0, 1.0)
    width, distance = apply(sqrt, m), x - _chosen(by_peak, m, a - 1.0)
    falls = x * 40.0 / _larger(apply(abs_, distance), 1e-300)
    below = _smaller(_smaller(falls, width * 10.0), x)
    reach = apply(sqrt, _larger(a - 1.0, 0.0)) * 10.0 + 40.0  # near the peak
    above = _smaller(falls, _chosen(by_peak, width * 18.0, reach))
    length = _chosen(left, -below, above)
    points, weights = _rule_of_gauss()
    steps = _over(length, _NODES) * _row(x, points)
    d = _over(x - m, _NODES) + steps
    wide = _over(m, _NODES)
    around = wide * apply(log1p, _larger(d / wide, -1.0)) - d
    t = _over(x, _NODES) + steps
    plain = _over(a - 1.0, _NODES) * apply(log, t) - t
    exponent = apply(where, apply(broadcast, _column(by_peak), shape=t.type.shape), around, plain)
    inverse = 1.0 / m
    rest = _polynomial(inverse * inverse, _STIRLING) * inverse
    peak = -rest - apply(log, width * math.sqrt(2 * math.pi))
    scale = _chosen(by_peak, peak, -apply(lgamma, a))
    total = _total(apply(exp, exponent + _over(scale, _NODES)) * _row(x, weights))
    return total * apply(abs_, length)


def _column(condition: Any) -> Any:
    return apply(reshape, condition, shape=(*condition.type.shape, 1))


def _polynomial(x: Any, coefficients: tuple[float, ...]) -> Any:
    value = _value(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        value = value * x + coefficient
    return value


def _density(n: Any) -> Any:
    """x**(a - 1) exp(-x) / gamma(a)."""
    a, x = n.inputs
    return apply(exp, (a - 1.0) * apply(log, x) - x - apply(lgamma, a))


# The derivative in a is written in no functions that are known here.
igamma = _define(
    "Regularized lower incomplete gamma function P(input, other)", lambda a, x: _tails(a, x)[0],
    (None, lambda g, n: g * _density(n)), False, "igamma", "special.gammainc",
)  # fmt: skip
igammac = _define(
    "Regularized upper incomplete gamma function Q(input, other) = 1 - P(input, other)", lambda a, x: _tails(a, x)[1],
    (None, lambda g, n: -g * _density(n)), False, "igammac", "special.gammaincc",
)  # fmt: skip


# Zeta.
def _zeta(s: Any, q: Any) -> Any:
    """Infinite where s is 1 or q an integer up to 0; NaN where s is below 1, or q below 0 and s no integer.

    Below 0, terms with a negative base are those of two other sums: with f = q - floor(q), the sum over them is
    zeta(s, 1 - f) - zeta(s, 1 - q), negated where s is odd.
    """
    negative, fraction = q < 0.0, q - apply(floor, q)
    right = _zeta_right(s, _chosen(negative, fraction, q))
    left = _zeta_right(s, 1.0 - fraction) - _zeta_right(s, _chosen(negative, 1.0 - q, 1.0))
    half = s * 0.5
    left = apply(where, apply(ne, apply(trunc, half), half), -left, left)
    value = apply(where, negative, right + left, right)
    value = _chosen(negative & apply(ne, apply(trunc, s), s), math.nan, value)
    pole = (s == 1.0) | ((q <= 0.0) & apply(eq, fraction, zeros_like(fraction)))
    value = _chosen(pole, math.inf, value)
    return _chosen((s >= 1.0) & (q == q), value, math.nan)


def _power(base: Any, s: Any) -> Any:
    """base**-s."""
    return _chosen(base == 1.0, 1.0, apply(exp, -s * apply(log, base)))


def _zeta_right(s: Any, q: Any) -> Any:
    """zeta(s, q) of q > 0."""
    bases = _over(q, _TERMS) + _row(q, np.arange(float(_TERMS)))
    end = q + float(_TERMS)
    last = _power(end, s)
    total = _total(_power(bases, _over(s, _TERMS))) + last * (end / (s - 1.0) + 0.5)
    inverse = 1.0 / end
    factor = last * s * inverse  # s (s + 1) … (s + 2k - 2) end**-(s + 2k - 1)
    for k, bernoulli in enumerate(BERNOULLI, 1):
        total = total + factor * (bernoulli / math.factorial(2 * k))
        factor = factor * (s + (2.0 * k - 1)) * inverse * (s + 2.0 * k) * inverse
    return apply(where, last == 0.0, _power(q, s), total)


zeta = _define("The sum of (other + k)**-input over k >= 0 (Hurwitz)", _zeta, NONDIFF, True, "special.zeta")
