"""Powers and the exponential of matrices."""

from __future__ import annotations

import numpy as np

from tinytorch.frontend.functions.algebra.products import power_of
from tinytorch.frontend.functions.basic import where
from tinytorch.frontend.functions.creation import eye
from tinytorch.frontend.linear_algebra.calls import column, known, matrices
from tinytorch.frontend.linear_algebra.solving import inv
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.views import own
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.operators.promotion import integer


@spelled("linalg.matrix_power")
def matrix_power(input: Tensor, n: int) -> Tensor:
    """The `n`-th power of each square matrix by squaring; of the inverse for negative n, in eager mode only."""
    if input.ndim < 2 or input.shape[-1] != input.shape[-2]:
        raise ShapeError(f"matrix_power: input is a square matrix or a batch of them, got {input.type}", user_loc())
    count = integer("matrix_power", "n", n)
    return power_of(inv(input), -count) if count < 0 else own(power_of(input, count).contiguous(), input)


_TERMS = 18  # of the series, for matrices of norm up to 1: the next is 1 / 19! of the first


@spelled("linalg.matrix_exp")
def matrix_exp(input: Tensor) -> Tensor:
    """The sum of A^k / k! of each square matrix: the series of A / 2^s, whose norm is at most 1, squared s times
    (Moler and Van Loan, "Nineteen dubious ways to compute the exponential of a matrix", 2003, method 3). The number of
    squarings depends on values, so it is for eager mode only."""
    matrices("matrix_exp", square=True, input=input)
    norms = np.abs(known("matrix_exp", input)).sum(-2).max(-1, initial=0)
    steps = np.maximum(0, np.ceil(np.log2(np.maximum(norms, 1)))).astype(np.int64)
    scaled = input * column(Tensor.wrap(np.asarray(0.5**steps, input.dtype.numpy)))
    total = unit = eye(input.shape[-1], dtype=input.dtype).broadcast_to(input.shape)
    for k in reversed(range(1, _TERMS + 1)):
        total = unit + scaled.matmul(total) * (1 / k)
    for s in range(int(steps.max(initial=0))):
        total = where(column(Tensor.wrap(np.asarray(steps > s))), total.matmul(total), total)
    return total
