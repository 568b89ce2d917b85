"""Eigenvalues of symmetric matrices, and singular values."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tinytorch.frontend.arguments import choice, integer
from tinytorch.frontend.functions.basic import where
from tinytorch.frontend.functions.creation import eye, zeros
from tinytorch.frontend.linear_algebra.calls import by_numpy, matrices
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import zeros_like
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc


class Eigen(NamedTuple):
    """What `eigh` gives: values in ascending order, a vector in each column."""

    eigenvalues: Any
    eigenvectors: Any


class SVD(NamedTuple):
    """A = U @ diag(S) @ Vh, S in descending order."""

    U: Any
    S: Any
    Vh: Any


class OldSVD(NamedTuple):
    """A = U @ diag(S) @ V^T, S in descending order."""

    U: Any
    S: Any
    V: Any


def _quotient(x: Tensor, gaps: Tensor) -> Tensor:
    """x / gaps, but 0 where x is 0: equal values do no harm where nothing asks for their vectors. No quotient by 0 is
    taken, whose derivative would be NaN also where x is 0, as on the diagonals."""
    equal = gaps == 0
    undefined = where(x == 0, zeros_like(x), x.detach() * float("inf"))
    return where(equal, undefined, x / where(equal, 1.0, gaps))


def _on_diagonal(x: Tensor) -> Tensor:
    """[..., n, n] with the vectors on the diagonals."""
    return x.unsqueeze(-1) * eye(x.shape[-1], dtype=x.dtype)


# Eigenvalues.
@spelled(space="linalg", method=False)
def eigh(A: Tensor, UPLO: str = "L") -> Eigen:
    """(eigenvalues [..., n], eigenvectors [..., n, n] by columns) of symmetric matrices, of which only the lower ("L")
    or upper ("U") triangle is read. The gradient is symmetric, and needs different eigenvalues. Calls numpy, in eager
    mode only."""
    side = _triangle_name("eigh", A, UPLO)

    def rule(cts: list[Tensor], results: list[Tensor]) -> list[Tensor]:
        values, V = results
        gaps = values.unsqueeze(-2) - values.unsqueeze(-1)
        turned = V.mT.matmul(cts[1])
        off = _quotient(turned * (1 - eye(values.shape[-1], dtype=A.dtype)), gaps)
        found = V.matmul(off + _on_diagonal(cts[0])).matmul(V.mT)
        return [(found + found.mT) * 0.5]

    return Eigen(*by_numpy("eigh", lambda a: tuple(np.linalg.eigh(a, side)), rule, A))


@spelled(space="linalg", method=False)
def eigvalsh(A: Tensor, UPLO: str = "L") -> Tensor:
    """The eigenvalues [..., n] of symmetric matrices in ascending order. Calls numpy, in eager mode only."""
    side = _triangle_name("eigvalsh", A, UPLO)

    def rule(cts: list[Tensor], results: list[Tensor]) -> list[Tensor]:
        V = eigh(A, side).eigenvectors
        return [(V * cts[0].unsqueeze(-2)).matmul(V.mT)]

    return by_numpy("eigvalsh", lambda a: np.linalg.eigvalsh(a, side), rule, A)[0]


def _triangle_name(what: str, A: Tensor, UPLO: str) -> Any:
    matrices(what, square=True, A=A)
    return choice(what, "UPLO", UPLO, "L", "U", "l", "u").upper()


# Singular values.
@spelled(space="linalg", name="svd", method=False)
def linalg_svd(A: Tensor, full_matrices: bool = True) -> SVD:
    """(U, S, Vh) with A [..., m, n] = U @ diag(S) @ Vh, S in descending order; U and Vh are square, or have only
    min(m, n) columns and rows unless `full_matrices`. The gradient needs different singular values, no zeros where
    m != n, and does not know the further columns. Calls numpy, in eager mode only."""
    matrices("svd", A=A)
    size = min(A.shape[-2:])

    def rule(cts: list[Tensor], results: list[Tensor]) -> list[Tensor]:
        (gU, gS, gVh), (U, S, Vh) = cts, results
        narrow = (gU[..., :size], gS, gVh[..., :size, :], U[..., :size], S, Vh[..., :size, :])
        return [_svd_cotangent(*narrow)]

    return SVD(*by_numpy("svd", lambda a: tuple(np.linalg.svd(a, full_matrices)), rule, A))


def _svd_cotangent(gU: Tensor, gS: Tensor, gVh: Tensor, U: Tensor, S: Tensor, Vh: Tensor) -> Tensor:
    """U [(skew(U^T gU) / E) S + S (skew(V^T gV) / E) + diag(gS)] V^T with E[i, j] = S[j]^2 - S[i]^2, and what is
    orthogonal to U and V (Townsend, "Differentiating the singular value decomposition", 2016)."""
    gV, V = gVh.mT, Vh.mT
    left, right = U.mT.matmul(gU), V.mT.matmul(gV)
    across, down = S.unsqueeze(-2), S.unsqueeze(-1)
    gaps = (across - down) * (across + down)
    inner = _quotient(left - left.mT, gaps) * across + down * _quotient(right - right.mT, gaps)
    found = U.matmul(inner + _on_diagonal(gS)).matmul(Vh)
    if U.shape[-2] > U.shape[-1]:
        found = found + ((gU - U.matmul(left)) / across).matmul(Vh)
    if V.shape[-2] > V.shape[-1]:
        found = found + U.matmul(((gV - V.matmul(right)) / across).mT)
    return found


@spelled()
def svd(input: Tensor, some: bool = True, compute_uv: bool = True) -> OldSVD:
    """`linalg.svd` with V instead of its transpose, reduced if `some`; U and V are zeros unless `compute_uv`."""
    U, S, Vh = linalg_svd(input, not some)
    if compute_uv:
        return OldSVD(U, S, Vh.mT)
    rows, columns = input.shape[-2:]
    lead = input.shape[:-2]
    empty = zeros(1, 1, dtype=input.dtype)
    return OldSVD(empty.broadcast_to((*lead, rows, rows)), S, empty.broadcast_to((*lead, columns, columns)))


@spelled(space="linalg", method=False)
def svdvals(A: Tensor) -> Tensor:
    """The singular values [..., min(m, n)] in descending order. Calls numpy, in eager mode only."""
    matrices("svdvals", A=A)

    def rule(cts: list[Tensor], results: list[Tensor]) -> list[Tensor]:
        U, _, Vh = linalg_svd(A, False)
        return [(U * cts[0].unsqueeze(-2)).matmul(Vh)]

    return by_numpy("svdvals", lambda a: np.linalg.svd(a, compute_uv=False), rule, A)[0]


@spelled(method=False)
def svd_lowrank(A: Tensor, q: int | None = 6, niter: int | None = 2, M: Tensor | None = None) -> OldSVD:
    """(U, S, V) of the `q` largest singular values of A - M. It is exact here: `niter`, which says how often PyTorch
    refines a random guess, changes nothing. Calls numpy, in eager mode only."""
    count = _rank("svd_lowrank", A, 6 if q is None else q)
    U, S, V = svd(A if M is None else A - M)
    return OldSVD(*(part[..., :count].clone() for part in (U, S, V)))


@spelled(method=False)
def pca_lowrank(A: Tensor, q: int | None = None, center: bool = True, niter: int = 2) -> OldSVD:
    """`svd_lowrank` of A, from the columns of which their means are taken if `center`: the `q` (6 by default, or as
    many as A has) principal components are the columns of V."""
    matrices("pca_lowrank", A=A)
    count = min(6, *A.shape[-2:]) if q is None else q
    return svd_lowrank(A - A.mean(-2, True) if center else A, count, niter)


def _rank(what: str, A: Tensor, q: int) -> int:
    matrices(what, A=A)
    count = integer(what, "q", q, 0)
    if count > min(A.shape[-2:]):
        raise ShapeError(f"{what}: q is at most {min(A.shape[-2:])} of A {A.type}, got {count}", user_loc())
    return count
