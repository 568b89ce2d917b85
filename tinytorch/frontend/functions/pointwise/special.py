"""Special functions that are written in others: `tt.special`."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import math
from typing import Any

from tinytorch.frontend.arguments import integer, wrong_value
from tinytorch.frontend.functions.basic import where
from tinytorch.frontend.functions.pointwise.operands import tensor
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.ops import special


@spelled(space="special")
def ndtr(input: Tensor) -> Tensor:
    """The normal distribution function, erfc(-x / sqrt(2)) / 2."""
    return (input._float() * -math.sqrt(0.5))._apply(special.erfc) * 0.5


@spelled(space="special")
def spherical_bessel_j0(input: Tensor) -> Tensor:
    """sin(x) / x, 1 at 0; 0 at infinity."""
    x = input._float()
    flat = x == 0
    safe = where(flat | x.isinf(), 1.0, x)
    return where(flat, 1.0, where(x.isinf(), 0.0, safe.sin() / safe))


@spelled("special.polygamma")
def polygamma(n: Any, input: Any) -> Tensor:
    """The n-th derivative of digamma; n is a number, which comes second where it is called as a method."""
    if isinstance(n, Tensor):
        n, input = input, n
    order = integer("polygamma", "n", n, 0)
    x = tensor("polygamma", "input", input)._float()
    return x._apply(special.polygamma, n=order) if order else x._apply(special.digamma)


@spelled("special.multigammaln", in_place=True)
def mvlgamma(input: Tensor, p: int) -> Tensor:
    """Logarithm of the gamma function of `p` dimensions: p (p - 1) / 4 * log(pi) + the sum of lgamma(x - j / 2) over
    j < p."""
    count, x = integer("mvlgamma", "p", p, 1), input._float()
    if count > 2**10:  # each is an op
        raise wrong_value("mvlgamma", "p", "at most 1,024", p)
    out = x._apply(special.lgamma)
    for j in range(1, count):
        out = out + (x - 0.5 * j)._apply(special.lgamma)
    return out + count * (count - 1) / 4 * math.log(math.pi)
