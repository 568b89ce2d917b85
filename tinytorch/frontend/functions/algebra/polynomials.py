"""Orthogonal polynomials by their recurrences (Abramowitz & Stegun 22.7): `tt.special.hermite_polynomial_h(x, n)` …

The degree n is a number, or a tensor: then it must be known, since it says how many steps there are, so not under
tt.compile. A negative degree gives 0, one with a fraction is rounded towards zero.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np

from tinytorch.frontend.arguments import wrong_value
from tinytorch.frontend.functions.basic import where
from tinytorch.frontend.functions.creation import as_tensor
from tinytorch.frontend.functions.pointwise.operands import pair
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.operators.promotion import broadcast_shapes, promote
from tinytorch.ir.types import i64

Step = Callable[[int, Tensor, Tensor, Tensor], Tensor]  # (k, x, p_k, p_(k-1)) -> p_(k+1)

_MOST = 100_000


def _degrees(x: Tensor, first: Callable[[Tensor], Tensor], step: Step) -> Iterator[Tensor]:
    """The polynomials of degree 0, 1, 2, … at x."""
    before, now = x._like(1.0).cast(x.dtype).broadcast_to(x.shape), first(x)
    yield before
    k = 1
    while True:
        yield now
        before, now = now, step(k, x, now, before)
        k += 1


def _polynomial(what: str, input: Any, n: Any, first: Callable[[Tensor], Tensor], step: Step) -> Tensor:
    x, n = pair(what, input, n, numbers="either")
    if isinstance(n, (int, float, np.integer, np.floating)):
        return _of_degree(what, x._float(), int(n), first, step)
    degree = as_tensor(n)
    dtype = promote(x._float(degree).type, degree._float(x).type)
    shape = broadcast_shapes(what, x.shape, degree.shape)
    x = x.cast(dtype).broadcast_to(shape)
    known = degree.cast(i64)._concrete(f"{what}: a tensor of degrees")
    wanted = Tensor(np.broadcast_to(known, shape))
    out = x.detach() * 0.0
    out = where(wanted < 0, 0.0, out)
    for k, value in enumerate(islice(_degrees(x, first, step), _count(what, int(known.max(initial=-1))))):
        out = where(wanted == k, value, out)
    return out


def _of_degree(what: str, x: Tensor, n: int, first: Callable[[Tensor], Tensor], step: Step) -> Tensor:
    if n < 0:
        return x._like(0.0).cast(x.dtype).broadcast_to(x.shape)
    return next(islice(_degrees(x, first, step), _count(what, n) - 1, None))


def _count(what: str, n: int) -> int:
    if n > _MOST:
        raise wrong_value(what, "n", f"a degree of at most {_MOST}", n)
    return n + 1


def _chebyshev(k: int, x: Tensor, now: Tensor, before: Tensor) -> Tensor:
    return (x + x) * now - before


def _shifted(k: int, x: Tensor, now: Tensor, before: Tensor) -> Tensor:
    return _chebyshev(k, x + x - 1.0, now, before)


@spelled(space="special")
def chebyshev_polynomial_t(input: Any, n: Any) -> Tensor:
    """Chebyshev polynomial of the first kind: T_1 = x, T_(k+1) = 2 x T_k - T_(k-1)."""
    return _polynomial("chebyshev_polynomial_t", input, n, lambda x: x, _chebyshev)


@spelled(space="special")
def chebyshev_polynomial_u(input: Any, n: Any) -> Tensor:
    """Chebyshev polynomial of the second kind: U_1 = 2 x, U_(k+1) = 2 x U_k - U_(k-1)."""
    return _polynomial("chebyshev_polynomial_u", input, n, lambda x: x + x, _chebyshev)


@spelled(space="special")
def chebyshev_polynomial_v(input: Any, n: Any) -> Tensor:
    """Chebyshev polynomial of the third kind: V_1 = 2 x - 1, V_(k+1) = 2 x V_k - V_(k-1)."""
    return _polynomial("chebyshev_polynomial_v", input, n, lambda x: x + x - 1.0, _chebyshev)


@spelled(space="special")
def chebyshev_polynomial_w(input: Any, n: Any) -> Tensor:
    """Chebyshev polynomial of the fourth kind: W_1 = 2 x + 1, W_(k+1) = 2 x W_k - W_(k-1)."""
    return _polynomial("chebyshev_polynomial_w", input, n, lambda x: x + x + 1.0, _chebyshev)


@spelled(space="special")
def shifted_chebyshev_polynomial_t(input: Any, n: Any) -> Tensor:
    """`chebyshev_polynomial_t` of 2 x - 1."""
    return _polynomial("shifted_chebyshev_polynomial_t", input, n, lambda x: x + x - 1.0, _shifted)


@spelled(space="special")
def shifted_chebyshev_polynomial_u(input: Any, n: Any) -> Tensor:
    """`chebyshev_polynomial_u` of 2 x - 1."""
    return _polynomial("shifted_chebyshev_polynomial_u", input, n, lambda x: x * 4.0 - 2.0, _shifted)


@spelled(space="special")
def shifted_chebyshev_polynomial_v(input: Any, n: Any) -> Tensor:
    """`chebyshev_polynomial_v` of 2 x - 1."""
    return _polynomial("shifted_chebyshev_polynomial_v", input, n, lambda x: x * 4.0 - 3.0, _shifted)


@spelled(space="special")
def shifted_chebyshev_polynomial_w(input: Any, n: Any) -> Tensor:
    """`chebyshev_polynomial_w` of 2 x - 1."""
    return _polynomial("shifted_chebyshev_polynomial_w", input, n, lambda x: x * 4.0 - 1.0, _shifted)


@spelled(space="special")
def hermite_polynomial_h(input: Any, n: Any) -> Tensor:
    """Hermite polynomial of physics: H_1 = 2 x, H_(k+1) = 2 x H_k - 2 k H_(k-1)."""
    return _polynomial(
        "hermite_polynomial_h", input, n, lambda x: x + x, lambda k, x, now, before: (x + x) * now - before * (2 * k)
    )


@spelled(space="special")
def hermite_polynomial_he(input: Any, n: Any) -> Tensor:
    """Hermite polynomial of probability: He_1 = x, He_(k+1) = x He_k - k He_(k-1)."""
    return _polynomial("hermite_polynomial_he", input, n, lambda x: x, lambda k, x, now, before: x * now - before * k)


@spelled(space="special")
def laguerre_polynomial_l(input: Any, n: Any) -> Tensor:
    """Laguerre polynomial: L_1 = 1 - x, (k + 1) L_(k+1) = (2 k + 1 - x) L_k - k L_(k-1)."""
    return _polynomial(
        "laguerre_polynomial_l", input, n, lambda x: 1.0 - x,
        lambda k, x, now, before: (((2 * k + 1) - x) * now - before * k) / (k + 1),
    )  # fmt: skip


@spelled(space="special")
def legendre_polynomial_p(input: Any, n: Any) -> Tensor:
    """Legendre polynomial: P_1 = x, (k + 1) P_(k+1) = (2 k + 1) x P_k - k P_(k-1)."""
    return _polynomial(
        "legendre_polynomial_p", input, n, lambda x: x,
        lambda k, x, now, before: (x * (2 * k + 1) * now - before * k) / (k + 1),
    )  # fmt: skip
