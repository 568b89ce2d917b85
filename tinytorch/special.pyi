"""Functions of tensors, as they are called in special.

Made from the table of names by `pytest tests/frontend/test_names.py --bless`.
"""

from typing import Any

from tinytorch.frontend.tensor.tensor import Tensor

__all__: list[str] = [
    "airy_ai",
    "bessel_j0",
    "bessel_j1",
    "bessel_y0",
    "bessel_y1",
    "chebyshev_polynomial_t",
    "chebyshev_polynomial_u",
    "chebyshev_polynomial_v",
    "chebyshev_polynomial_w",
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfcx",
    "erfinv",
    "exp2",
    "expit",
    "expm1",
    "gammainc",
    "gammaincc",
    "gammaln",
    "hermite_polynomial_h",
    "hermite_polynomial_he",
    "i0",
    "i0e",
    "i1",
    "i1e",
    "laguerre_polynomial_l",
    "legendre_polynomial_p",
    "log1p",
    "log_ndtr",
    "log_softmax",
    "logit",
    "logsumexp",
    "modified_bessel_i0",
    "modified_bessel_i1",
    "modified_bessel_k0",
    "modified_bessel_k1",
    "multigammaln",
    "ndtr",
    "ndtri",
    "polygamma",
    "psi",
    "round",
    "scaled_modified_bessel_k0",
    "scaled_modified_bessel_k1",
    "shifted_chebyshev_polynomial_t",
    "shifted_chebyshev_polynomial_u",
    "shifted_chebyshev_polynomial_v",
    "shifted_chebyshev_polynomial_w",
    "sinc",
    "softmax",
    "spherical_bessel_j0",
    "xlog1py",
    "xlogy",
    "zeta",
]

def airy_ai(input: Tensor) -> Tensor:
    """Airy function Ai."""

def bessel_j0(input: Tensor) -> Tensor:
    """Bessel function of the first kind, of order 0."""

def bessel_j1(input: Tensor) -> Tensor:
    """Bessel function of the first kind, of order 1."""

def bessel_y0(input: Tensor) -> Tensor:
    """Bessel function of the second kind, of order 0."""

def bessel_y1(input: Tensor) -> Tensor:
    """Bessel function of the second kind, of order 1."""

def chebyshev_polynomial_t(input: Any, n: Any) -> Tensor:
    """Chebyshev polynomial of the first kind."""

def chebyshev_polynomial_u(input: Any, n: Any) -> Tensor:
    """Chebyshev polynomial of the second kind."""

def chebyshev_polynomial_v(input: Any, n: Any) -> Tensor:
    """Chebyshev polynomial of the third kind."""

def chebyshev_polynomial_w(input: Any, n: Any) -> Tensor:
    """Chebyshev polynomial of the fourth kind."""

def digamma(input: Tensor) -> Tensor:
    """The derivative of log gamma(x)."""

def entr(input: Tensor) -> Tensor:
    """-x * log(x): 0 at 0, -inf below."""

def erf(input: Tensor) -> Tensor:
    """The error function of each element."""

def erfc(input: Tensor) -> Tensor:
    """1 - erf(x), accurate where that is small."""

def erfcx(input: Tensor) -> Tensor:
    """exp(x**2) * erfc(x)."""

def erfinv(input: Tensor) -> Tensor:
    """What erf takes to x; infinite at -1 and 1, NaN beyond."""

def exp2(input: Tensor) -> Tensor:
    """2**x."""

def expit(input: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""

def expm1(input: Tensor) -> Tensor:
    """`exp(x) - 1`, accurate near 0."""

def gammainc(input: Any, other: Any) -> Tensor:
    """Regularized lower incomplete gamma function P(input, other)."""

def gammaincc(input: Any, other: Any) -> Tensor:
    """Regularized upper incomplete gamma function Q(input, other) = 1 - P(input, other)."""

def gammaln(input: Tensor) -> Tensor:
    """Logarithm of |gamma(x)|."""

def hermite_polynomial_h(input: Any, n: Any) -> Tensor:
    """Hermite polynomial of physics."""

def hermite_polynomial_he(input: Any, n: Any) -> Tensor:
    """Hermite polynomial of probability."""

def i0(input: Tensor) -> Tensor:
    """Modified Bessel function of the first kind, of order 0."""

def i0e(input: Tensor) -> Tensor:
    """exp(-|x|) * i0(x)."""

def i1(input: Tensor) -> Tensor:
    """Modified Bessel function of the first kind, of order 1."""

def i1e(input: Tensor) -> Tensor:
    """exp(-|x|) * i1(x)."""

def laguerre_polynomial_l(input: Any, n: Any) -> Tensor:
    """Laguerre polynomial."""

def legendre_polynomial_p(input: Any, n: Any) -> Tensor:
    """Legendre polynomial."""

def log1p(input: Tensor) -> Tensor:
    """`log(1 + x)`, accurate near 0."""

def log_ndtr(input: Tensor) -> Tensor:
    """Logarithm of the normal distribution function, accurate in both tails."""

def log_softmax(input: Tensor, dim: int = -1, dtype: object = None, *, axis: int = -1) -> Tensor:
    """x - log(sum(exp(x))) along `dim`, shifted by the maximum so that nothing overflows."""

def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """log(x / (1 - x)), of x limited to [eps, 1 - eps] if there is an `eps`."""

def logsumexp(input: Tensor, dim: Any = -1, keepdim: bool = False, *, axis: Any = -1, keepdims: bool = False) -> Tensor:
    """log(sum(exp(x))) along `dim`, one axis or several, shifted by the maximum."""

def modified_bessel_i0(input: Tensor) -> Tensor:
    """Modified Bessel function of the first kind, of order 0."""

def modified_bessel_i1(input: Tensor) -> Tensor:
    """Modified Bessel function of the first kind, of order 1."""

def modified_bessel_k0(input: Tensor) -> Tensor:
    """Modified Bessel function of the second kind, of order 0."""

def modified_bessel_k1(input: Tensor) -> Tensor:
    """Modified Bessel function of the second kind, of order 1."""

def multigammaln(input: Tensor, p: int) -> Tensor:
    """Logarithm of the gamma function of `p` dimensions: p (p - 1) / 4 * log(pi) + the sum of lgamma(x
    - j / 2) over j < p."""

def ndtr(input: Tensor) -> Tensor:
    """The normal distribution function, erfc(-x / sqrt(2)) / 2."""

def ndtri(input: Tensor) -> Tensor:
    """What the normal distribution function takes to x; infinite at 0 and 1, NaN beyond."""

def polygamma(n: Any, input: Any) -> Tensor:
    """The n-th derivative of digamma; n is a number, which comes second where it is called as a
    method."""

def psi(input: Tensor) -> Tensor:
    """The derivative of log gamma(x)."""

def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """To the nearest number of that many decimals, halves to even; negative ones count from the point
    to the left."""

def scaled_modified_bessel_k0(input: Tensor) -> Tensor:
    """exp(x) * modified_bessel_k0(x)."""

def scaled_modified_bessel_k1(input: Tensor) -> Tensor:
    """exp(x) * modified_bessel_k1(x)."""

def shifted_chebyshev_polynomial_t(input: Any, n: Any) -> Tensor:
    """`chebyshev_polynomial_t` of 2 x - 1."""

def shifted_chebyshev_polynomial_u(input: Any, n: Any) -> Tensor:
    """`chebyshev_polynomial_u` of 2 x - 1."""

def shifted_chebyshev_polynomial_v(input: Any, n: Any) -> Tensor:
    """`chebyshev_polynomial_v` of 2 x - 1."""

def shifted_chebyshev_polynomial_w(input: Any, n: Any) -> Tensor:
    """`chebyshev_polynomial_w` of 2 x - 1."""

def sinc(input: Tensor) -> Tensor:
    """sin(pi x) / (pi x), 1 at 0."""

def softmax(input: Tensor, dim: int = -1, dtype: object = None, *, axis: int = -1) -> Tensor:
    """exp(x) / sum(exp(x)) along `dim`, computed in `dtype` where that is given."""

def spherical_bessel_j0(input: Tensor) -> Tensor:
    """sin(x) / x, 1 at 0; 0 at infinity."""

def xlog1py(input: Any, other: Any) -> Tensor:
    """input * log(1 + other), 0 where the input is."""

def xlogy(input: Any, other: Any) -> Tensor:
    """input * log(other), 0 where the input is."""

def zeta(input: Any, other: Any) -> Tensor:
    """The sum of (other + k)**-input over k >= 0 (Hurwitz)."""
