"""Functions of tensors, as they are called in nn.functional.

Made from the table of names by `pytest tests/frontend/test_names.py --bless`.
"""

from tinytorch.frontend import functional as _functional
from tinytorch.frontend.functional import *
from tinytorch.frontend.random import Generator
from tinytorch.frontend.tensor import Tensor

__all__: list[str] = [
    "celu",
    "glu",
    "gumbel_softmax",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "mish",
    "pdist",
    "prelu",
    "relu6",
    "rrelu",
    "selu",
    "softmin",
    "softshrink",
    "softsign",
    "tanhshrink",
    "threshold",
]
__all__ += _functional.__all__

def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where it is positive, else alpha * (exp(x / alpha) - 1), whose slope at 0 is 1 (Barron
    2017)."""

def glu(input: Tensor, dim: int = -1, *, axis: int = -1) -> Tensor:
    """a sigmoid(b), where a and b are the halves of x along `dim` (Dauphin et al. 2016)."""

def gumbel_softmax(
    logits: Tensor,
    tau: float = 1,
    hard: bool = False,
    eps: float = 1e-10,
    dim: int = -1,
    *,
    generator: Generator | None = None,
    axis: int = -1,
) -> Tensor:
    """softmax((logits + noise) / tau), the noise drawn from the Gumbel distribution: a sample of
    categories that has a gradient (Jang et al. 2016, Maddison et al. 2016)."""

def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """0 from -lambd to lambd, x elsewhere."""

def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """(x + 3) / 6, limited to [0, 1]."""

def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """x (x + 3) / 6 from -3 to 3, 0 below, x above (Howard et al. 2019)."""

def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """x limited to [min_val, max_val]; the derivative is 1 between them, and 0 at them."""

def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """x tanh(log(1 + exp(x))) (Misra 2019)."""

def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """[n (n - 1) / 2]: the `p`-norms of the differences of rows i < j of a matrix [n, d]."""

def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x where it is positive, else weight * x: one weight, or one for each channel, axis 1 (He et al.
    2015)."""

def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """x limited to [0, 6] (Howard et al. 2017)."""

def rrelu(
    input: Tensor,
    lower: float = 0.125,
    upper: float = 0.3333333333333333,
    training: bool = False,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """x where it is positive, else x times a slope: in training one drawn for each element, uniformly
    between `lower` and `upper`, else their mean (Xu et al. 2015)."""

def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """scale * elu(x, alpha), with the two constants that keep mean 0 and variance 1 (Klambauer et al.
    2017)."""

def softmin(input: Tensor, dim: int | None = None, *, dtype: object = None, axis: int | None = None) -> Tensor:
    """softmax(-x) along `dim`, computed in `dtype` where that is given."""

def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x moved towards 0 by `lambd`, and 0 where that would pass it."""

def softsign(input: Tensor) -> Tensor:
    """x / (1 + |x|)."""

def tanhshrink(input: Tensor) -> Tensor:
    """x - tanh(x)."""

def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x above `threshold`, else `value`."""
