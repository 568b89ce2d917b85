"""Bessel functions, Airy's and orthogonal polynomials: known values, and torch where it is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import TinyTorchError, TraceError

# Exact values (25 digits, rounded to f64) at these points.
POINTS = [0.5, 3.5, 9.0, 30.0]
KNOWN = {
    "i0": [1.0634833707413236, 7.3782034322254795, 1093.5883545113747, 781672297823.9775],
    "i1": [0.2578943053908963, 6.205834922258365, 1030.9147225169565, 768532038938.957],
    "i0e": [0.6450352704491501, 0.22280243801077917, 0.134959524581723, 0.0731459464822373],
    "i1e": [0.1564208031848717, 0.18739997660305, 0.1272249839358912, 0.07191633059864755],
    "modified_bessel_k0": [0.9244190712276659, 0.01959889717036849, 5.0881312956459246e-05, 2.1324774964630563e-14],
    "modified_bessel_k1": [1.656441120003301, 0.022239392925923834, 5.363701637945195e-05, 2.1677320018915495e-14],
    "scaled_modified_bessel_k0": [1.5241093857739094, 0.6490263376886884, 0.4122955492314181, 0.22788666561625373],
    "scaled_modified_bessel_k1": [2.731009708211786, 0.7364675480289125, 0.4346252453474347, 0.2316541293777118],
    "bessel_j0": [0.9384698072408129, -0.3801277399872634, -0.09033361118287614, -0.08636798358104021],
    "bessel_j1": [0.2422684576748739, 0.1373775273623272, 0.24531178657332528, -0.11875106261662294],
    "bessel_y0": [-0.44451873350670656, 0.1890219439208265, 0.24993669828502468, -0.11729573168666403],
    "bessel_y1": [-1.471472392670243, 0.41018841788751187, 0.10431457519671589, 0.08442557066174723],
    "airy_ai": [0.23169360648083348, 0.002584098786989635, 2.47116843087249e-09, 3.2082175915504954e-49],
}


@pytest.mark.parametrize("backend", ["eager", "llvm"])
def test_known_values(backend: str) -> None:
    def together(x: Tensor) -> list[Tensor]:
        return [getattr(tt.special, name)(x) for name in KNOWN]

    run = together if backend == "eager" else tt.compile(together)
    for dtype, rtol in ((np.float64, 6e-14), (np.float32, 1e-7)):
        for name, found in zip(KNOWN, run(Tensor(np.array(POINTS, dtype))), strict=True):
            np.testing.assert_allclose(found.numpy(), np.array(KNOWN[name], dtype), rtol=rtol, err_msg=name)


def test_bessel_functions_on_the_left_and_at_the_edges() -> None:
    x = Tensor([-3.5, 0.0, np.inf, np.nan])
    edges = {
        "i0": [7.3782034, 1, np.inf, np.nan], "i1": [-6.205835, 0, np.inf, np.nan],
        "i1e": [-0.187399977, 0, 0, np.nan], "bessel_j1": [-0.13737753, 0, np.nan, np.nan],
        "bessel_y0": [np.nan, -np.inf, np.nan, np.nan], "bessel_y1": [np.nan, -np.inf, np.nan, np.nan],
        "modified_bessel_k0": [np.nan, np.inf, 0, np.nan], "spherical_bessel_j0": [-0.1002238, 1, 0, np.nan],
    }  # fmt: skip
    for name, wanted in edges.items():
        np.testing.assert_allclose(getattr(tt.special, name)(x).numpy(), wanted, rtol=3e-7, err_msg=name)
    assert tt.special.modified_bessel_i0 is tt.i0 is tt.special.i0
    np.testing.assert_allclose(
        tt.special.airy_ai(Tensor([-20.0, -3.0, -0.5])).numpy(), [-0.17640613, -0.3788143, 0.4757281], rtol=1e-6
    )


# Polynomials: a column of coefficients for each degree.
SERIES: dict[str, Callable[..., Any]] = {
    "chebyshev_polynomial_t": np.polynomial.chebyshev.chebval,
    "hermite_polynomial_h": np.polynomial.hermite.hermval,
    "hermite_polynomial_he": np.polynomial.hermite_e.hermeval,
    "laguerre_polynomial_l": np.polynomial.laguerre.lagval,
    "legendre_polynomial_p": np.polynomial.legendre.legval,
}
X = np.array([-1.5, -1.0, -0.3, 0.0, 0.7, 1.0, 2.0])


@pytest.mark.parametrize("name", SERIES)
def test_polynomials_are_numpys(name: str) -> None:
    function = getattr(tt.special, name)
    wanted = np.stack([SERIES[name](X, np.eye(9)[n]) for n in range(9)])
    together = tt.compile(lambda x: [function(x, n) for n in range(9)])
    for n, found in enumerate(together(Tensor(X))):
        np.testing.assert_allclose(found.numpy(), wanted[n], rtol=1e-12, atol=1e-13)
    degrees = Tensor(np.arange(-1, 9)[:, None])
    every = np.concatenate([np.zeros((1, 7)), wanted])
    np.testing.assert_allclose(function(Tensor(X), degrees).numpy(), every, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(function(0.5, Tensor([2.7])).numpy(), [SERIES[name](0.5, np.eye(3)[2])], rtol=1e-6)


def test_the_other_chebyshev_polynomials() -> None:
    angle = np.array([0.3, 1.1, 2.5])
    x, n = Tensor(np.cos(angle)), 5
    kinds = {
        "u": np.sin((n + 1) * angle) / np.sin(angle),
        "v": np.cos((n + 0.5) * angle) / np.cos(angle / 2),
        "w": np.sin((n + 0.5) * angle) / np.sin(angle / 2),
    }
    for kind, wanted in kinds.items():
        found = getattr(tt.special, f"chebyshev_polynomial_{kind}")(x, n)
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-12)
    for kind in "tuvw":
        shifted = getattr(tt.special, f"shifted_chebyshev_polynomial_{kind}")((x + 1) / 2, n)
        plain = getattr(tt.special, f"chebyshev_polynomial_{kind}")(x, n)
        np.testing.assert_allclose(shifted.numpy(), plain.numpy(), rtol=1e-11)


def test_degrees_must_be_known() -> None:
    with pytest.raises(TraceError, match="degrees"):
        tt.compile(lambda x, n: tt.special.legendre_polynomial_p(x, n))(Tensor(X), tt.tensor([2]))
    with pytest.raises(TinyTorchError, match="at most"):
        tt.special.legendre_polynomial_p(Tensor(X), 10**9)


# The incomplete gamma functions and zeta: exact values (30 digits, rounded to f64).
A = np.array([0.25, 0.25, 3, 3, 12.5, 30, 500])
POINTS_OF_A = np.array([0.125, 4, 1, 9, 20, 20, 600])
LOWER = [0.6401572060830841, 0.9984573178033608, 0.08030139707139419, 0.9937678048936227, 0.9708356043768477,
         0.02181821752555739, 0.9999877440576693]  # fmt: skip
UPPER = [0.35984279391691587, 0.0015426821966391857, 0.9196986029286058, 0.006232195106377317, 0.0291643956231523,
         0.9781817824744427, 1.2255942330622905e-05]  # fmt: skip
S, Q = np.array([2, 1.5, 7, 3, 2]), np.array([1, 0.25, 3.5, -2.5, -0.75])
ZETA = [1.6449340668482264, 10.213055360466601, 0.0001921640382639378, 0.0541020258208637, 18.975106932284888]


@pytest.mark.parametrize("backend", ["eager", "llvm"])
def test_incomplete_gamma_and_zeta(backend: str) -> None:
    def together(a: Tensor, x: Tensor, s: Tensor, q: Tensor) -> list[Tensor]:
        return [tt.igamma(a, x), tt.special.gammaincc(a, x), tt.special.zeta(s, q)]

    run = together if backend == "eager" else tt.compile(together)
    for dtype, rtol in ((np.float64, 1e-12), (np.float32, 1e-7)):
        found = run(*(Tensor(v.astype(dtype)) for v in (A, POINTS_OF_A, S, Q)))
        for one, wanted in zip(found, (LOWER, UPPER, ZETA), strict=True):
            np.testing.assert_allclose(one.numpy(), np.array(wanted, dtype), rtol=rtol)


def test_edges_of_incomplete_gamma_and_zeta() -> None:
    a, x = Tensor([0.0, 0.0, 2.0, np.inf, 2.0, -1.0, np.inf]), Tensor([1.0, 0.0, 0.0, 3.0, np.inf, 1.0, np.inf])
    np.testing.assert_array_equal(tt.igamma(a, x).numpy(), np.array([1, np.nan, 0, 0, 1, np.nan, np.nan], np.float32))
    np.testing.assert_array_equal(tt.igammac(a, x).numpy(), np.array([0, np.nan, 1, 1, 0, np.nan, np.nan], np.float32))
    s, q = Tensor([1.0, 2.0, 2.0, 0.5, 1.5]), Tensor([1.0, 0.0, -3.0, 1.0, -0.5])
    np.testing.assert_array_equal(
        tt.special.zeta(s, q).numpy(), np.array([np.inf, np.inf, np.inf, np.nan, np.nan], np.float32)
    )
    np.testing.assert_allclose(tt.special.zeta(2, Tensor([1.0])).numpy(), [np.pi**2 / 6], rtol=1e-6)


def test_gradients_of_incomplete_gamma_in_their_second_operand() -> None:
    x = Tensor(np.array([0.5, 2.0]), requires_grad=True)
    (tt.igamma(Tensor(np.array([1.0, 3.0])), x) + tt.igammac(Tensor(np.array([2.0, 2.0])), x)).sum().backward()
    assert x.grad is not None
    wanted = [np.exp(-0.5) - 0.5 * np.exp(-0.5), np.exp(-2) * 4 / 2 - 2 * np.exp(-2)]
    np.testing.assert_allclose(x.grad.numpy(), wanted, rtol=1e-12, atol=1e-15)
