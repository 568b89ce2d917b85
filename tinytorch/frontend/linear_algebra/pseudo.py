"""What stands for an inverse where there is none: pseudo-inverses, least squares, ranks."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tinytorch.frontend.arguments import choice
from tinytorch.frontend.functions.creation import zeros
from tinytorch.frontend.linear_algebra.calls import batched, by_numpy, known, matrices, same_dtype
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array
from tinytorch.ir.types import i64


class LeastSquares(NamedTuple):
    """What `lstsq` gives."""

    solution: Any
    residuals: Any
    rank: Any
    singular_values: Any


def _threshold(values: Array, shape: tuple[int, ...], atol: Any, rtol: Any) -> Array:
    """Below which singular values count as 0: max(atol, rtol * the largest), one for each matrix."""
    absolute, relative = (None if t is None else np.asarray(t, np.float64) for t in (atol, rtol))
    if relative is None:
        usual = max(shape[-2:]) * float(np.finfo(values.dtype).eps)
        relative = np.asarray(usual) if absolute is None else np.where(absolute > 0, 0.0, usual)
    largest = values.max(-1, initial=0)
    return np.maximum(0.0 if absolute is None else absolute, relative * largest)[..., None]


def _number(what: str, name: str, value: Any) -> Any:
    """A tolerance: a number, or a tensor of one for each matrix."""
    if isinstance(value, Tensor):
        if not value.dtype.is_float:
            raise ShapeError(f"{what}: {name} is a number or a float tensor, got {value.type}", user_loc())
        return known(what, value)
    return value


@spelled(space="linalg", method=False)
def matrix_rank(A: Tensor, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None) -> Tensor:
    """How many singular values (sizes of eigenvalues, if `hermitian`) are above max(atol, rtol * the largest), as i64;
    `rtol` is max(m, n) * eps by default, and 0 where there is an `atol`. Calls numpy, in eager mode only."""
    matrices("matrix_rank", square=hermitian, A=A)
    low = _number("matrix_rank", "atol", atol if tol is None else tol)
    relative = _number("matrix_rank", "rtol", rtol)
    a = known("matrix_rank", A)
    values = np.abs(np.linalg.eigvalsh(a)) if hermitian else np.linalg.svd(a, compute_uv=False)
    if tol is not None:
        relative = 0.0
    return Tensor.wrap(np.asarray((values > _threshold(values, A.shape, low, relative)).sum(-1), np.int64))


@spelled(space="linalg", method=False)
def pinv(A: Tensor, rcond: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None) -> Tensor:
    """The pseudo-inverse [..., n, m] of A [..., m, n] (Moore, Penrose): singular values up to max(atol, rtol * the
    largest) count as 0; `rtol` (also `rcond`) is max(m, n) * eps by default, and 0 where there is an `atol`. If
    `hermitian`, A is symmetric. Calls numpy, in eager mode only."""
    matrices("pinv", square=hermitian, A=A)
    absolute = _number("pinv", "atol", atol)
    relative = _number("pinv", "rtol", rtol if rcond is None else rcond)

    def compute(a: Array) -> Array:
        if hermitian:
            lower = np.tril(a)
            a = lower + np.swapaxes(np.tril(a, -1), -1, -2)
        u, s, vh = np.linalg.svd(a, False)
        kept = s > _threshold(s, a.shape, absolute, relative)
        inverse = np.where(kept, 1 / np.where(kept, s, 1), 0).astype(a.dtype)
        return (np.swapaxes(vh, -1, -2) * inverse[..., None, :]) @ np.swapaxes(u, -1, -2)

    def rule(cts: list[Tensor], results: list[Tensor]) -> list[Tensor]:
        return [_pinv_cotangent(cts[0], results[0], A)]

    return by_numpy("pinv", compute, rule, A)[0]


def _pinv_cotangent(g: Tensor, P: Tensor, A: Tensor) -> Tensor:
    """From the derivative of P at constant rank (Golub and Pereyra, "The differentiation of pseudo-inverses and
    nonlinear least squares problems whose variables separate", 1973), in an order that keeps products small."""
    turned, gt = P.mT, g.mT
    if A.shape[-2] <= A.shape[-1]:
        k = gt.matmul(P)
        kp = k.matmul(turned)
        return -P.matmul(k).mT + kp - A.matmul(P).matmul(kp) + turned.matmul(P).matmul(gt - k.matmul(A))
    k = P.matmul(gt)
    pk = turned.matmul(k)
    return -k.matmul(P).mT + (gt - A.matmul(k)).matmul(P).matmul(turned) + pk - pk.matmul(P).matmul(A)


@spelled()
def pinverse(input: Tensor, rcond: float = 1e-15) -> Tensor:
    """`linalg.pinv` with singular values up to `rcond` * the largest counted as 0."""
    return pinv(input, rcond)


@spelled(space="linalg", method=False)
def lstsq(A: Tensor, B: Tensor, rcond: float | None = None, *, driver: str | None = None) -> LeastSquares:
    """X with the smallest |A @ X - B|, and the smallest |X| among them, of A [..., m, n] and B [..., m, k] or a vector
    for each matrix.

    Also, as PyTorch gives them: the sums of squares of the columns of A @ X - B (where m > n and the rank is n, and the
    `driver` is not "gelsy", the default), the rank (for "gelsy", "gelsd" and "gelss"; empty for "gels") and the
    singular values (for the last two). The gradient is that of pinv(A) @ B. Calls numpy, in eager mode only.
    """
    matrices("lstsq", A=A)
    same_dtype("lstsq", A=A, B=B)
    name = choice("lstsq", "driver", "gelsy" if driver is None else driver, "gels", "gelsy", "gelsd", "gelss")
    vector = B.ndim == 1 or (B.ndim == A.ndim - 1 and B.shape == A.shape[:-1])
    right = B.unsqueeze(-1) if vector else B
    if right.ndim < 2 or right.shape[-2] != A.shape[-2]:
        raise ShapeError(f"lstsq: A {A.type} and B {B.type} do not fit", user_loc())
    a, b = batched("lstsq", A, right)
    rows, columns = a.shape[-2:]
    values = np.linalg.svd(known("lstsq", a), compute_uv=False)
    relative = float(np.finfo(values.dtype).eps) * max(rows, columns) if rcond is None else rcond
    X = pinv(a, relative).matmul(b)
    rank = (values > relative * values.max(-1, initial=0)[..., None]).sum(-1)
    empty = zeros(0, dtype=a.dtype)
    residuals = empty
    if rows > columns and name != "gelsy" and bool((rank == columns).all()):
        residuals = (a.matmul(X) - b).square().sum(-2)
    return LeastSquares(
        X.squeeze(-1) if vector else X,
        residuals,
        zeros(0, dtype=i64) if name == "gels" else Tensor.wrap(np.asarray(rank, np.int64)),
        Tensor.wrap(values) if name in ("gelsd", "gelss") else empty,
    )
