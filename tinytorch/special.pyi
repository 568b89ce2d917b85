"""Functions of tensors, as they are called in special.

Made from the table of names by `pytest tests/frontend/test_names.py --bless`.
"""

from typing import Any

from tinytorch.frontend.tensor import Tensor

__all__: list[str] = [
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfcx",
    "erfinv",
    "exp2",
    "expit",
    "expm1",
    "gammaln",
    "log1p",
    "log_ndtr",
    "log_softmax",
    "logit",
    "logsumexp",
    "multigammaln",
    "ndtr",
    "ndtri",
    "polygamma",
    "psi",
    "round",
    "sinc",
    "softmax",
    "xlog1py",
    "xlogy",
]

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

def gammaln(input: Tensor) -> Tensor:
    """Logarithm of |gamma(x)|."""

def log1p(input: Tensor) -> Tensor:
    """`log(1 + x)`, accurate near 0."""

def log_ndtr(input: Tensor) -> Tensor:
    """Logarithm of the normal distribution function, accurate in both tails."""

def log_softmax(input: Tensor, dim: int = -1, dtype: object = None, *, axis: int = -1) -> Tensor:
    """x - log(sum(exp(x))) along `dim`, shifted by the maximum so that nothing overflows."""

def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """log(x / (1 - x)), of x limited to [eps, 1 - eps] if there is an `eps`."""

def logsumexp(input: Tensor, dim: int = -1, keepdim: bool = False, *, axis: int = -1, keepdims: bool = False) -> Tensor:
    """log(sum(exp(x))) along `dim`, shifted by the maximum."""

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

def sinc(input: Tensor) -> Tensor:
    """sin(pi x) / (pi x), 1 at 0."""

def softmax(input: Tensor, dim: int = -1, dtype: object = None, *, axis: int = -1) -> Tensor:
    """exp(x) / sum(exp(x)) along `dim`, computed in `dtype` where that is given."""

def xlog1py(input: Any, other: Any) -> Tensor:
    """input * log(1 + other), 0 where the input is."""

def xlogy(input: Any, other: Any) -> Tensor:
    """input * log(other), 0 where the input is."""
