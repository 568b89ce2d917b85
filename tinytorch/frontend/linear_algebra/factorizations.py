"""Cholesky and QR."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tinytorch.frontend.arguments import choice
from tinytorch.frontend.functions.basic import cat, tril, triu
from tinytorch.frontend.functions.creation import zeros
from tinytorch.frontend.linear_algebra.calls import by_numpy, matrices
from tinytorch.frontend.linear_algebra.solving import solve_triangular
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array
from tinytorch.ir.types import i32


class CholeskyAndInfo(NamedTuple):
    """What `cholesky_ex` gives; `info` is 0 where the matrix is positive definite."""

    L: Any
    info: Any


class QR(NamedTuple):
    """What `qr` gives."""

    Q: Any
    R: Any


class Reflections(NamedTuple):
    """What `geqrf` gives."""

    a: Any
    tau: Any


# Cholesky.
def _cholesky(A: Tensor) -> Tensor:
    """L with A = L L^T, from the lower triangle. With P = tril(L^T g), its diagonal halved, the cotangent of A is the
    symmetric part of L^-T P L^-1 (Murray, "Differentiation of the Cholesky decomposition", 2016)."""

    def rule(cts: list[Tensor], results: list[Tensor]) -> list[Tensor]:
        L = results[0]
        product = L.mT.matmul(cts[0])
        half = (tril(product) + tril(product, -1)) * 0.5
        left = solve_triangular(L.mT, half, upper=True)
        full = solve_triangular(L, left, upper=False, left=False)
        return [(full + full.mT) * 0.5]

    try:
        return by_numpy("cholesky", np.linalg.cholesky, rule, A)[0]
    except TinyTorchError as error:
        if "positive" not in str(error):
            raise
        raise TinyTorchError("cholesky: A is not positive definite", user_loc()) from None


@spelled(space="linalg", name="cholesky", method=False)
def linalg_cholesky(A: Tensor, *, upper: bool = False) -> Tensor:
    """L, a lower triangle with A = L L^T, or its transpose (A = U^T U) if `upper`, of positive definite matrices, of
    which only that triangle is read. Calls numpy, in eager mode only."""
    matrices("cholesky", square=True, A=A)
    return _cholesky(A.mT).mT if upper else _cholesky(A)


@spelled()
def cholesky(input: Tensor, upper: bool = False) -> Tensor:
    """`linalg.cholesky`."""
    return linalg_cholesky(input, upper=upper)


@spelled(space="linalg", method=False)
def cholesky_ex(A: Tensor, *, upper: bool = False, check_errors: bool = False) -> CholeskyAndInfo:
    """`linalg.cholesky` with a number for each matrix, 0; a matrix that is not positive definite is an error."""
    return CholeskyAndInfo(linalg_cholesky(A, upper=upper), zeros(*A.shape[:-2], dtype=i32))


# QR.
@spelled(space="linalg", name="qr", method=False)
def linalg_qr(A: Tensor, mode: str = "reduced") -> QR:
    """(Q, R): Q with orthonormal columns, R an upper triangle, Q @ R = A [..., m, n].

    `mode`: "reduced" (Q has min(m, n) columns), "complete" (m columns) or "r" (an empty Q). The gradient needs the
    first min(m, n) columns of A to be independent; it is not there for "r", nor for "complete" with m > n. Calls numpy,
    in eager mode only.
    """
    matrices("qr", A=A)
    choice("qr", "mode", mode, "reduced", "complete", "r")
    rows, columns = A.shape[-2:]

    def rule(cts: list[Tensor], results: list[Tensor]) -> list[Tensor]:
        if mode == "r" or (mode == "complete" and rows > columns):
            raise TinyTorchError(f'qr: mode "{mode}" of {A.type} has no gradient; use "reduced"', user_loc())
        return [_qr_cotangent(cts[0], cts[1], results[0], results[1], A)]

    def compute(a: Array) -> tuple[Array, Array]:
        if mode == "r":
            return np.zeros((0,), a.dtype), np.asarray(np.linalg.qr(a, "r"))
        q, r = np.linalg.qr(a, "reduced" if mode == "reduced" else "complete")
        return q, r

    return QR(*by_numpy("qr", compute, rule, A))


def _qr_cotangent(gQ: Tensor, gR: Tensor, Q: Tensor, R: Tensor, A: Tensor) -> Tensor:
    """[gQ + Q sym(triu(gR R^T - Q^T gQ))] R^-T of as many columns as Q has; further columns B of A are Q times those of
    R, so that they have Q g, and add B g^T to gQ (Walter and Lehmann, "Algorithmic differentiation of linear algebra
    functions with application in optimum experimental design", 2010)."""
    size = Q.shape[-1]
    if A.shape[-1] > size:
        beyond = gR[..., size:]
        first = _qr_cotangent(gQ + A[..., size:].matmul(beyond.mT), gR[..., :size], Q, R[..., :size], A[..., :size])
        return cat([first, Q.matmul(beyond)], -1)
    upper = triu(gR.matmul(R.mT) - Q.mT.matmul(gQ))
    inner = gQ + Q.matmul(upper + triu(upper, 1).mT)
    return solve_triangular(R.mT, inner, upper=False, left=False)


@spelled()
def qr(input: Tensor, some: bool = True) -> QR:
    """`linalg.qr`, reduced if `some`, else complete."""
    return linalg_qr(input, "reduced" if some else "complete")


@spelled()
def geqrf(input: Tensor) -> Reflections:
    """(R above the diagonal and the vectors of reflections below it, their factors): see `linalg.householder_product`.
    Calls numpy, in eager mode only; no gradient."""
    matrices("geqrf", input=input)
    if input.requires_grad:
        raise ShapeError("geqrf: has no gradient; use linalg.qr", user_loc())

    def compute(a: Array) -> tuple[Array, Array]:
        h, tau = np.linalg.qr(a, "raw")
        return np.swapaxes(h, -1, -2), tau

    return Reflections(*by_numpy("geqrf", compute, None, input))
