"""LU with partial pivoting: numpy solves with it, but does not show it, so it is computed here, column by column."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from tinytorch.frontend.functions.basic import cat, tril, triu
from tinytorch.frontend.functions.creation import eye, zeros
from tinytorch.frontend.linear_algebra.calls import batched, by_numpy, known, matrices
from tinytorch.frontend.linear_algebra.solving import solve_triangular
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array
from tinytorch.ir.types import i32


class PLU(NamedTuple):
    """A = P @ L @ U."""

    P: Any
    L: Any
    U: Any


class Factors(NamedTuple):
    """L below the diagonal and U on and above it in one matrix; row i was exchanged with row `pivots[i]`, counted from
    1."""

    LU: Any
    pivots: Any


class FactorsAndInfo(NamedTuple):
    """`Factors` with the number of the first zero on the diagonal of U, counted from 1; 0 if there is none."""

    LU: Any
    pivots: Any
    info: Any


def _eliminated(a: Array) -> tuple[Array, Array]:
    """(L and U in one, pivots from 0) of each matrix."""
    rows, columns = a.shape[-2:]
    count = min(rows, columns)
    flat = a.astype(np.float64).reshape(math.prod(a.shape[:-2]), rows, columns)
    pivots = np.zeros((len(flat), count), np.int64)
    for m, chosen in zip(flat, pivots, strict=True):
        for k in range(count):
            p = k + int(np.argmax(np.abs(m[k:, k])))
            chosen[k] = p
            m[[k, p]] = m[[p, k]]
            if m[k, k] != 0:
                m[k + 1 :, k] /= m[k, k]
                m[k + 1 :, k + 1 :] -= np.outer(m[k + 1 :, k], m[k, k + 1 :])
    return flat.reshape(a.shape).astype(a.dtype), pivots.reshape((*a.shape[:-2], count))


def _rows_of(pivots: Array, rows: int) -> Array:
    """Which row of A stands where in P^T A."""
    flat = pivots.reshape(math.prod(pivots.shape[:-1]), pivots.shape[-1])
    order = np.tile(np.arange(rows), (len(flat), 1))
    for row, chosen in zip(order, flat, strict=True):
        for k, p in enumerate(chosen):
            row[[k, p]] = row[[p, k]]
    return order.reshape((*pivots.shape[:-1], rows))


def _permutation(pivots: Array, rows: int, dtype: Any) -> Array:
    """P, with a one in each row and column."""
    order = _rows_of(pivots, rows)
    return np.swapaxes(np.eye(rows, dtype=dtype)[order], -1, -2)


def _parts(a: Array) -> tuple[Array, Array, Array, Array]:
    packed, pivots = _eliminated(a)
    count = pivots.shape[-1]
    lower = np.tril(packed[..., :count], -1) + np.eye(a.shape[-2], count, dtype=a.dtype)
    return (
        _permutation(pivots, a.shape[-2], a.dtype),
        lower,
        np.triu(packed[..., :count, :]),
        (pivots + 1).astype(np.int32),
    )


def _factored(what: str, A: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(P, L, U, pivots). With A = P L U square, the cotangent of A is
    P L^-T [tril(L^T gL, -1) + triu(gU U^T)] U^-T; what a rectangular A has beyond it depends on one of them alone."""
    rows, columns = A.shape[-2:]
    size = min(rows, columns)

    def rule(cts: list[Tensor], results: list[Tensor]) -> list[Tensor]:
        P, L, U, _ = results
        gL, gU = cts[1], cts[2]
        below, beyond = L.mT.matmul(gL), gU.matmul(U.mT)
        if rows > columns:  # L's rows below the square: U^T from the right
            top = L[..., :size, :].mT.matmul(gL[..., :size, :])
            inner = tril(top, -1) + triu(beyond - L[..., size:, :].mT.matmul(gL[..., size:, :]))
            square = L[..., :size, :]
        elif columns > rows:
            right, its = U[..., size:], gU[..., size:]
            inner = tril(below - its.matmul(right.mT), -1) + triu(gU[..., :size].matmul(U[..., :size].mT))
            square = L
        else:
            inner, square = tril(below, -1) + triu(beyond), L
        upper = U[..., :size]
        middle = solve_triangular(upper.mT, inner, upper=False, left=False)
        found = solve_triangular(square.mT, middle, upper=True, unitriangular=True)
        if rows > columns:
            rest = solve_triangular(upper.mT, gL[..., size:, :], upper=False, left=False)
            found = cat([found, rest], -2)
        elif columns > rows:
            found = cat([found, solve_triangular(L.mT, gU[..., size:], upper=True, unitriangular=True)], -1)
        return [P.detach().matmul(found)]

    P, L, U, pivots = by_numpy(what, _parts, rule, A)
    return P.detach(), L, U, pivots


@spelled(space="linalg", name="lu", method=False)
def linalg_lu(A: Tensor, *, pivot: bool = True) -> PLU:
    """(P, L, U) with A = P @ L @ U [..., m, n]: a permutation, a lower triangle with ones on its diagonal, an upper
    triangle. `pivot` is True. In eager mode only."""
    matrices("lu", A=A)
    _pivoting("lu", pivot)
    P, L, U, _ = _factored("lu", A)
    return PLU(P, L, U)


def _pivoting(what: str, pivot: bool) -> None:
    if not pivot:
        raise TinyTorchError(f"{what}: pivot is True: without it, the result may be far off", user_loc())


@spelled(space="linalg", method=False)
def lu_factor(A: Tensor, *, pivot: bool = True) -> Factors:
    """(L and U in one matrix, pivots as i32) for `lu_solve`. In eager mode only."""
    matrices("lu_factor", A=A)
    _pivoting("lu_factor", pivot)
    _, L, U, pivots = _factored("lu_factor", A)
    rows, columns = A.shape[-2:]
    size = min(rows, columns)
    below = tril(L, -1).pad([(0, 0)] * (A.ndim - 1) + [(0, columns - size)])
    above = U.pad([(0, 0)] * (A.ndim - 2) + [(0, rows - size), (0, 0)])
    return Factors(below + above, pivots)


@spelled(space="linalg", method=False)
def lu_factor_ex(A: Tensor, *, pivot: bool = True, check_errors: bool = False) -> FactorsAndInfo:
    """`lu_factor` with the number of the first zero on the diagonal of U for each matrix, 0 if there is none."""
    LU, pivots = lu_factor(A, pivot=pivot)
    zero = np.diagonal(known("lu_factor_ex", LU), axis1=-2, axis2=-1) == 0
    first = np.argmax(zero, -1) + 1 if zero.shape[-1] else np.zeros(zero.shape[:-1])
    info = np.where(zero.any(-1), first, 0).astype(np.int32)
    if check_errors and info.any():
        raise TinyTorchError("lu_factor_ex: A is singular", user_loc())
    return FactorsAndInfo(LU, pivots, Tensor.wrap(info))


@spelled()
def lu(input: Tensor, pivot: bool = True, get_infos: bool = False) -> Any:
    """`linalg.lu_factor`, with a third result, which is all 0, if `get_infos`."""
    LU, pivots = lu_factor(input, pivot=pivot)
    return (LU, pivots, zeros(*input.shape[:-2], dtype=i32)) if get_infos else (LU, pivots)


@spelled(method=False)
def lu_unpack(LU_data: Tensor, LU_pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True) -> PLU:
    """(P, L, U) of what `lu_factor` gives; what is not unpacked is empty."""
    if LU_data.ndim < 2:
        raise ShapeError(f"lu_unpack: LU_data has at least two axes, got {LU_data.type}", user_loc())
    if LU_pivots.dtype != i32:
        raise ShapeError(f"lu_unpack: LU_pivots is i32, as lu_factor gives it, got {LU_pivots.type}", user_loc())
    rows, size = LU_data.shape[-2], min(LU_data.shape[-2:])
    empty = zeros(0, dtype=LU_data.dtype)
    order = known("lu_unpack", LU_pivots) - 1
    return PLU(
        _permuting(order, rows, LU_data) if unpack_pivots else empty,
        tril(LU_data[..., :size], -1) + eye(rows, size, dtype=LU_data.dtype) if unpack_data else empty,
        triu(LU_data[..., :size, :]) if unpack_data else empty,
    )


def _permuting(order: Array, rows: int, like: Tensor) -> Tensor:
    return Tensor.wrap(np.ascontiguousarray(_permutation(order, rows, like.dtype.numpy)))


@spelled(space="linalg", name="lu_solve", method=False)
def linalg_lu_solve(LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True, adjoint: bool = False) -> Tensor:
    """X with A @ X = B, or X @ A = B unless `left`, of A as `lu_factor` gives it, or of its transpose if `adjoint`."""
    matrices("lu_solve", square=True, LU=LU)
    matrices("lu_solve", B=B)
    if B.shape[-2 if left else -1] != LU.shape[-1] or pivots.shape != LU.shape[:-1]:
        raise ShapeError(f"lu_solve: LU {LU.type}, pivots {pivots.type} and B {B.type} do not fit", user_loc())
    if not left:
        return linalg_lu_solve(LU, pivots, B.mT, adjoint=not adjoint).mT.clone()
    order = known("lu_solve", pivots) - 1
    P, _ = batched("lu_solve", _permuting(order, LU.shape[-1], LU), B)
    if adjoint:
        half = solve_triangular(LU.mT, B, upper=False)
        return _times(P, solve_triangular(LU.mT, half, upper=True, unitriangular=True))
    half = solve_triangular(LU, _times(P.mT, B), upper=False, unitriangular=True)
    return solve_triangular(LU, half, upper=True)


def _times(a: Tensor, b: Tensor) -> Tensor:
    x, y = batched("lu_solve", a, b)
    return x.matmul(y)


@spelled()
def lu_solve(input: Tensor, LU_data: Tensor, LU_pivots: Tensor) -> Tensor:
    """`linalg.lu_solve(LU_data, LU_pivots, input)`."""
    return linalg_lu_solve(LU_data, LU_pivots, input)
