"""Functions of tensors, as they are called in special.

Made from the table of names by `pytest tests/frontend/test_names.py --bless`.
"""

from tinytorch.frontend.tensor import Tensor

__all__: list[str] = ["erf", "expit", "expm1", "log1p", "log_softmax", "logsumexp", "round", "softmax"]

def erf(input: Tensor) -> Tensor: ...
def expit(input: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""

def expm1(input: Tensor) -> Tensor: ...
def log1p(input: Tensor) -> Tensor: ...
def log_softmax(input: Tensor, dim: int = -1, *, axis: int = -1) -> Tensor:
    """x - log(sum(exp(x))) along `dim`, shifted by the maximum so that nothing overflows."""

def logsumexp(input: Tensor, dim: int = -1, keepdim: bool = False, *, axis: int = -1, keepdims: bool = False) -> Tensor:
    """log(sum(exp(x))) along `dim`, shifted by the maximum."""

def round(input: Tensor) -> Tensor: ...
def softmax(input: Tensor, dim: int = -1, *, axis: int = -1) -> Tensor:
    """exp(x) / sum(exp(x)) along `dim`."""
