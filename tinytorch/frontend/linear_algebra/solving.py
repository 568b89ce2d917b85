"""Systems of equations, inverses, determinants."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import numpy as np

from tinytorch.frontend.arguments import wrong_value
from tinytorch.frontend.functions.basic import tril, triu, where
from tinytorch.frontend.functions.creation import eye, full, zeros
from tinytorch.frontend.linear_algebra.calls import batched, by_numpy, column, known, matrices, same_dtype
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array
from tinytorch.ir.operators.promotion import integer, normalize_axis
from tinytorch.ir.types import i32


class InverseAndInfo(NamedTuple):
    """What `inv_ex` gives; `info` is 0 where the matrix has an inverse."""

    inverse: Any
    info: Any


class ResultAndInfo(NamedTuple):
    """What `solve_ex` gives; `info` is 0 where the matrix has an inverse."""

    result: Any
    info: Any


class SignAndLogarithm(NamedTuple):
    """What `slogdet` gives."""

    sign: Any
    logabsdet: Any


class SolutionAndCoefficients(NamedTuple):
    """What `triangular_solve` gives."""

    solution: Any
    cloned_coefficient: Any


# Solving.
def solved(A: Tensor, B: Tensor) -> Tensor:
    """X with A @ X = B, of square matrices and equal batches. The cotangent of B is Y with A^T Y = g, that of A
    -Y X^T."""

    def rule(cts: list[Tensor], results: list[Tensor]) -> list[Tensor]:
        right = solved(A.mT, cts[0])
        return [-right.matmul(results[0].mT), right]

    return by_numpy("solve", np.linalg.solve, rule, A, B)[0]


@spelled(space="linalg", method=False)
def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """X with A @ X = B, or X @ A = B unless `left`, of square A [..., n, n] and B [..., n, k]; B may be a vector for
    each matrix. Calls numpy, in eager mode only."""
    matrices("solve", square=True, A=A)
    same_dtype("solve", A=A, B=B)
    if B.ndim == 0:
        raise ShapeError(f"solve: B has at least one axis, got {B.type}", user_loc())
    vector = B.ndim == 1 or (B.ndim == A.ndim - 1 and B.shape == A.shape[:-1])
    if vector and not left:
        raise ShapeError(f"solve: left is True where B is a vector, got B {B.type}", user_loc())
    right = B.unsqueeze(-1) if vector else B
    right = right if left else right.mT
    if right.shape[-2] != A.shape[-1]:
        raise ShapeError(f"solve: A {A.type} and B {B.type} do not fit", user_loc())
    found = solved(*batched("solve", A if left else A.mT, right))
    return found.squeeze(-1) if vector else found if left else found.mT


@spelled(space="linalg", method=False)
def solve_ex(A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False) -> ResultAndInfo:
    """`solve` with a number for each matrix that says whether it was solved: always 0, since a singular matrix is an
    error here. Calls numpy, in eager mode only."""
    return ResultAndInfo(solve(A, B, left=left), zeros(*A.shape[:-2], dtype=i32))


@spelled(space="linalg", method=False)
def solve_triangular(A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Tensor:
    """X with A @ X = B, or X @ A = B unless `left`, where of A only the `upper` or lower triangle counts, and its
    diagonal as ones where `unitriangular`. Calls numpy, in eager mode only."""
    matrices("solve_triangular", square=True, A=A)
    matrices("solve_triangular", B=B)
    same_dtype("solve_triangular", A=A, B=B)
    if B.shape[-2 if left else -1] != A.shape[-1]:
        raise ShapeError(f"solve_triangular: A {A.type} and B {B.type} do not fit", user_loc())
    if not left:
        return solve_triangular(A.mT, B.mT, upper=not upper, unitriangular=unitriangular).mT
    part = triangle(A, upper, unitriangular)
    return _triangular(*batched("solve_triangular", part, B), upper)


def triangle(A: Tensor, upper: bool, unit: bool) -> Tensor:
    """The triangle of A that counts, with ones on the diagonal if `unit`."""
    cut = 1 if unit else 0
    part = triu(A, cut) if upper else tril(A, -cut)
    return part + eye(A.shape[-1], dtype=A.dtype) if unit else part


def _triangular(A: Tensor, B: Tensor, upper: bool) -> Tensor:
    def rule(cts: list[Tensor], results: list[Tensor]) -> list[Tensor]:
        right = _triangular(A.mT, cts[0], not upper)
        return [-right.matmul(results[0].mT), right]

    return by_numpy("solve_triangular", lambda a, b: _substituted(a, b, upper), rule, A, B)[0]


def _substituted(a: Array, b: Array, upper: bool) -> Array:
    """Row by row, from the row with one unknown on. A zero on the diagonal makes infinities, as in PyTorch."""
    x = b.astype(np.float64)
    wide = a.astype(np.float64)
    rows = range(a.shape[-1])
    for i in reversed(rows) if upper else rows:
        done = slice(i + 1, None) if upper else slice(0, i)
        x[..., i, :] -= (wide[..., i : i + 1, done] @ x[..., done, :])[..., 0, :]
        x[..., i, :] /= wide[..., i, i][..., None]
    return x.astype(b.dtype)


@spelled()
def triangular_solve(
    input: Tensor, A: Tensor, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> SolutionAndCoefficients:
    """(X with A @ X = `input`, a copy of A), where A is triangular, or its transpose. See `linalg.solve_triangular`."""
    matrices("triangular_solve", square=True, A=A)
    matrices("triangular_solve", input=input)
    side = A.mT if transpose else A
    found = solve_triangular(side, input, upper=upper is not transpose, unitriangular=unitriangular)
    lead = found.shape[:-2]
    return SolutionAndCoefficients(found, A.broadcast_to((*lead, *A.shape[-2:])).clone())


@spelled()
def cholesky_solve(input: Tensor, L: Tensor, upper: bool = False) -> Tensor:
    """X with A @ X = `input`, where A = L L^T with a lower triangle L, or L^T L with an `upper` one. The gradient of L
    is that of the product, as if L were any matrix. Calls numpy, in eager mode only."""
    matrices("cholesky_solve", square=True, L=L)
    matrices("cholesky_solve", input=input)
    same_dtype("cholesky_solve", input=input, L=L)
    if input.shape[-2] != L.shape[-1]:
        raise ShapeError(f"cholesky_solve: input {input.type} and L {L.type} do not fit", user_loc())
    return _by_triangles(*batched("cholesky_solve", input, L), upper)


def _by_triangles(B: Tensor, L: Tensor, upper: bool) -> Tensor:
    def compute(b: Array, triangle: Array) -> Array:
        lower = np.swapaxes(triangle, -1, -2) if upper else triangle
        return _substituted(np.swapaxes(lower, -1, -2), _substituted(lower, b, False), True)

    def rule(cts: list[Tensor], results: list[Tensor]) -> list[Tensor]:
        right = _by_triangles(cts[0], L, upper)
        product = right.matmul(results[0].mT)
        both = product + product.mT
        return [right, -L.matmul(both) if upper else -both.matmul(L)]

    return by_numpy("cholesky_solve", compute, rule, B, L)[0]


@spelled()
def cholesky_inverse(input: Tensor, upper: bool = False) -> Tensor:
    """The inverse of A = L L^T with the lower triangle `input`, or of L^T L with an `upper` one."""
    matrices("cholesky_inverse", square=True, input=input)
    return cholesky_solve(eye(input.shape[-1], dtype=input.dtype).broadcast_to(input.shape), input, upper)


# Inverses.
@spelled("linalg.inv", name="inverse")
def inv(A: Tensor) -> Tensor:
    """The inverse of each square matrix [..., n, n]. Calls numpy, in eager mode only."""
    matrices("inv", square=True, A=A)

    def rule(cts: list[Tensor], results: list[Tensor]) -> list[Tensor]:
        other = results[0].mT
        return [-other.matmul(cts[0]).matmul(other)]

    return by_numpy("inv", np.linalg.inv, rule, A)[0]


@spelled(space="linalg", method=False)
def inv_ex(A: Tensor, *, check_errors: bool = False) -> InverseAndInfo:
    """`inv` with a number for each matrix that says whether it has an inverse; here it has, since a singular matrix is
    an error. Calls numpy, in eager mode only."""
    return InverseAndInfo(inv(A), zeros(*A.shape[:-2], dtype=i32))


@spelled(space="linalg", method=False)
def tensorinv(A: Tensor, ind: int = 2) -> Tensor:
    """The inverse of A as a map from its last axes to its first `ind` ones, whose sizes have one product."""
    if integer("tensorinv", "ind", ind) <= 0:
        raise wrong_value("tensorinv", "ind", "a positive integer", ind)
    size = math.prod(A.shape[ind:])
    if math.prod(A.shape[:ind]) != size:
        raise ShapeError(f"tensorinv: ind {ind} parts A {A.type} into axes of different sizes", user_loc())
    return inv(A.reshape((size, size))).reshape((*A.shape[ind:], *A.shape[:ind]))


@spelled(space="linalg", method=False)
def tensorsolve(A: Tensor, B: Tensor, dims: Any = None) -> Tensor:
    """X with tensordot(A, X, X.ndim) = B; `dims` are axes of A that are moved to the end first."""
    if dims is not None:
        moved = [normalize_axis("tensorsolve: dims", d, A.ndim) for d in dims]
        return tensorsolve(A.permute([*(i for i in range(A.ndim) if i not in moved), *moved]), B)
    rest = A.shape[B.ndim :]
    if math.prod(rest) != B.numel() or math.prod(A.shape[: B.ndim]) != B.numel():
        raise ShapeError(f"tensorsolve: A {A.type} does not lead to B {B.type}", user_loc())
    return solve(A.reshape((B.numel(), math.prod(rest))), B.reshape((B.numel(),))).reshape(rest)


# Determinants.
@spelled("linalg.det")
def det(A: Tensor) -> Tensor:
    """The determinant of each square matrix [..., n, n]. Calls numpy, in eager mode only."""
    matrices("det", square=True, A=A)

    def rule(cts: list[Tensor], results: list[Tensor]) -> list[Tensor]:
        if (known("det", results[0]) != 0).all():
            return [column(cts[0] * results[0]) * inv(A).mT]
        return [column(cts[0]) * by_numpy("det", _cofactors, bend, A)[0]]

    def bend(cts: list[Tensor], results: list[Tensor]) -> list[Tensor]:
        return by_numpy("det", _along_cofactors, None, A, cts[0])

    return by_numpy("det", np.linalg.det, rule, A)[0]


def _cofactors(a: Array) -> Array:
    """The derivative of the determinant, also of singular matrices: det(U V) U diag(products of the other singular
    values) V."""
    u, s, vh = np.linalg.svd(a.astype(np.float64))
    others = np.stack([np.prod(np.delete(s, i, -1), -1) for i in range(s.shape[-1])], -1)
    sign = np.linalg.det(u) * np.linalg.det(vh)
    return (sign[..., None, None] * (u * others[..., None, :]) @ vh).astype(a.dtype)


def _along_cofactors(a: Array, g: Array) -> Array:
    """The derivative of the sum of the cofactors times g, also of singular matrices. In the bases of the singular
    vectors it is the sum over i != j of (g[i, i] a[j, j] - g[i, j] a[j, i]) times the other singular values."""
    u, s, vh = np.linalg.svd(a.astype(np.float64))
    turned = np.swapaxes(u, -1, -2) @ g @ np.swapaxes(vh, -1, -2)
    size = s.shape[-1]
    others = np.zeros(turned.shape)
    for i, j in itertools.permutations(range(size), 2):
        others[..., i, j] = np.prod(np.delete(s, (i, j), -1), -1)
    found = -np.swapaxes(others * turned, -1, -2)
    found[..., range(size), range(size)] = (others * np.diagonal(turned, 0, -2, -1)[..., :, None]).sum(-2)
    sign = np.linalg.det(u) * np.linalg.det(vh)
    return (sign[..., None, None] * (u @ found @ vh)).astype(a.dtype)


@spelled("linalg.slogdet")
def slogdet(A: Tensor) -> SignAndLogarithm:
    """(The sign, the logarithm of the absolute value) of each determinant. Calls numpy, in eager mode only."""
    matrices("slogdet", square=True, A=A)

    def rule(cts: list[Tensor], results: list[Tensor]) -> list[Tensor]:
        return [column(cts[1]) * inv(A).mT]

    return SignAndLogarithm(*by_numpy("slogdet", lambda a: tuple(np.linalg.slogdet(a)), rule, A))


@spelled()
def logdet(A: Tensor) -> Tensor:
    """The logarithm of each determinant; NaN of negative ones. Calls numpy, in eager mode only."""
    sign, logabsdet = slogdet(A)
    return where(sign < 0, full((), math.nan, A.dtype), logabsdet)
