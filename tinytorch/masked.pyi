"""Functions of tensors, as they are called in masked.

Made from the table of names by `pytest tests/frontend/test_names.py --bless`.
"""

from typing import Any

from tinytorch.frontend.tensor.tensor import Tensor

__all__: list[str] = [
    "amax",
    "amin",
    "argmax",
    "argmin",
    "cumprod",
    "cumsum",
    "log_softmax",
    "logaddexp",
    "logsumexp",
    "mean",
    "median",
    "norm",
    "normalize",
    "prod",
    "softmax",
    "softmin",
    "std",
    "sum",
    "var",
]

def amax(
    input: Tensor,
    dim: Any = None,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
    axis: Any = None,
    keepdims: bool = False,
) -> Tensor:
    """The largest of the elements that are left; of none, what no element is below."""

def amin(
    input: Tensor,
    dim: Any = None,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
    axis: Any = None,
    keepdims: bool = False,
) -> Tensor:
    """The smallest of the elements that are left; of none, what no element is above."""

def argmax(
    input: Tensor,
    dim: int | None = None,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
    axis: int | None = None,
    keepdims: bool = False,
) -> Tensor:
    """The index of the first of the largest elements that are left, in the input's dtype, as in
    PyTorch."""

def argmin(
    input: Tensor,
    dim: int | None = None,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
    axis: int | None = None,
    keepdims: bool = False,
) -> Tensor:
    """The index of the first of the smallest elements that are left, in the input's dtype, as in
    PyTorch."""

def cumprod(input: Tensor, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """Products of all elements up to each that are left."""

def cumsum(input: Tensor, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """Sums of all elements up to each that are left."""

def log_softmax(input: Tensor, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """The logarithm of the softmax of the elements that are left; -inf for the others."""

def logaddexp(
    input: Tensor, other: Tensor, *, dtype: Any = None, input_mask: Any = None, other_mask: Any = None
) -> Tensor:
    """log(exp(a) + exp(b)) of the elements that are left of both."""

def logsumexp(
    input: Tensor,
    dim: Any = None,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
    axis: Any = None,
    keepdims: bool = False,
) -> Tensor:
    """log(sum(exp(x))) of the elements that are left; of none, -inf."""

def mean(
    input: Tensor,
    dim: Any = None,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
    axis: Any = None,
    keepdims: bool = False,
) -> Tensor:
    """The mean of the elements that are left; of none, NaN."""

def median(
    input: Tensor,
    dim: int = -1,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
    axis: int = -1,
    keepdims: bool = False,
) -> Tensor:
    """The median of the elements that are left and no NaN; of none, NaN."""

def norm(
    input: Tensor,
    ord: Any = 2.0,
    dim: Any = None,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
    axis: Any = None,
    keepdims: bool = False,
) -> Tensor:
    """The vector norm of order `ord` of the elements that are left; of none, 0, or inf where `ord` is
    -inf."""

def normalize(input: Tensor, ord: Any, dim: int, *, eps: float = 1e-12, dtype: Any = None, mask: Any = None) -> Tensor:
    """The elements that are left over their norm of order `ord`, or over `eps` where that is larger; 0
    for others."""

def prod(
    input: Tensor,
    dim: Any = None,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
    axis: Any = None,
    keepdims: bool = False,
) -> Tensor:
    """The product of the elements that are left; of none, 1."""

def softmax(input: Tensor, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """exp(x) / sum(exp(x)) of the elements that are left; 0 for the others, NaN where there are only
    such."""

def softmin(input: Tensor, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """The softmax of the negative elements that are left."""

def std(
    input: Tensor,
    dim: Any = None,
    unbiased: Any = None,
    *,
    correction: Any = None,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
    axis: Any = None,
    keepdims: bool = False,
) -> Tensor:
    """The square root of the variance of the elements that are left."""

def sum(
    input: Tensor,
    dim: Any = None,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
    axis: Any = None,
    keepdims: bool = False,
) -> Tensor:
    """The sum of the elements that are left; of none, 0."""

def var(
    input: Tensor,
    dim: Any = None,
    unbiased: Any = None,
    *,
    correction: Any = None,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
    axis: Any = None,
    keepdims: bool = False,
) -> Tensor:
    """The variance of the elements that are left (see `Tensor.var`)."""
