"""Products and linear algebra against numpy, and their gradients against differences of values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import linalg

RNG = np.random.default_rng(0)
A, B, TALL = RNG.standard_normal((2, 4, 4)), RNG.standard_normal((2, 4, 3)), RNG.standard_normal((2, 5, 3))
POSITIVE = A @ A.swapaxes(-1, -2) + 4 * np.eye(4)
X, Y, V = RNG.standard_normal((3, 4)), RNG.standard_normal((4, 5)), RNG.standard_normal(4)

PRODUCTS: dict[str, tuple[Callable[..., Any], Callable[..., Any], tuple[Any, ...]]] = {
    "mm": (tt.mm, np.matmul, (X, Y)),
    "mv": (tt.mv, np.matmul, (X, V)),
    "bmm": (tt.bmm, np.matmul, (A, B)),
    "inner": (tt.inner, np.inner, (X, A)),
    "tensordot": (
        lambda a, b: tt.tensordot(a, b, dims=([1], [2])), lambda a, b: np.tensordot(a, b, ((1,), (2,))), (X, A),
    ),
    "kron": (tt.kron, np.kron, (X, Y)),
    "cross": (linalg.cross, np.cross, (B, B[::-1].copy())),
    "trace": (tt.trace, np.trace, (A[0],)),
    "multi_dot": (lambda *t: linalg.multi_dot(t), lambda *t: np.linalg.multi_dot(t), (V, Y, Y.T, V)),
    "matrix_power": (lambda a: linalg.matrix_power(a, 5), lambda a: np.linalg.matrix_power(a, 5), (A,)),
    "vander": (linalg.vander, lambda v: np.vander(v, increasing=True), (V,)),
    "addmm": (lambda a, b, c: tt.addmm(a, b, c, beta=2, alpha=3), lambda a, b, c: 2 * a + 3 * b @ c, (Y[0], X, Y)),
    "baddbmm": (tt.baddbmm, lambda a, b, c: a + b @ c, (B[0], A, B)),
    "addbmm": (tt.addbmm, lambda a, b, c: a + (b @ c).sum(0), (B[0], A, B)),
    "norm 3": (lambda a: linalg.vector_norm(a, 3, -1), lambda a: np.linalg.norm(a, 3, -1), (X,)),
    "norm inf": (lambda a: linalg.matrix_norm(a, np.inf), lambda a: np.linalg.norm(a, np.inf, (-2, -1)), (A,)),
    "cdist": (
        tt.cdist, lambda a, b: np.linalg.norm(a[..., None, :] - b[..., None, :, :], axis=-1), (TALL, B + 0.5),
    ),
    "einsum diagonal": (lambda a: tt.einsum("bii->bi", a), lambda a: np.einsum("bii->bi", a), (A,)),
    "einsum ...": (lambda a, b: tt.einsum("...ij,jk", [a, b]), lambda a, b: np.einsum("...ij,jk", a, b), (A, Y)),
    "irfft": (lambda a: tt.fft.irfft(a, 6), lambda a: np.fft.irfft(a, 6), (X,)),
    "irfftn": (tt.fft.irfftn, lambda a: np.fft.irfftn(a, axes=(0, 1, 2)), (A,)),
    "hfft": (tt.fft.hfft, np.fft.hfft, (X,)),
    "fftshift": (tt.fft.fftshift, np.fft.fftshift, (X,)),
}  # fmt: skip


def slope(function: Callable[..., tt.Tensor], arrays: tuple[Any, ...]) -> None:
    """The gradient along a random direction is the difference of values on both sides, divided."""
    rng = np.random.default_rng(1)
    tensors = [tt.tensor(a, requires_grad=True) for a in arrays]
    weights = tt.tensor(rng.standard_normal(function(*tensors).shape))

    def value(*given: tt.Tensor) -> tt.Tensor:
        return (function(*given) * weights).sum()

    value(*tensors).backward()
    steps = [rng.standard_normal(a.shape) for a in arrays]
    ahead, back = (
        value(*(tt.tensor(a + side * s) for a, s in zip(arrays, steps, strict=True))).item() for side in (1e-6, -1e-6)
    )
    along = sum(float((t.grad.numpy() * s).sum()) for t, s in zip(tensors, steps, strict=True))
    assert along == pytest.approx((ahead - back) / 2e-6, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_are_numpys_eagerly_and_compiled(name: str) -> None:
    function, expected, arrays = PRODUCTS[name]
    tensors = [tt.tensor(a) for a in arrays]
    wanted = expected(*arrays)
    for run in (function, tt.compile(function)):
        np.testing.assert_allclose(run(*tensors).numpy(), wanted, rtol=1e-9, atol=1e-11)
    slope(function, arrays)


def _sum_of(parts: Callable[..., Any], *pick: Callable[[Any], tt.Tensor]) -> Callable[..., tt.Tensor]:
    """What does not depend on the signs that vectors may have, side by side."""
    return lambda *given: tt.cat([p(parts(*given)).reshape((-1,)) for p in pick])


EAGER: dict[str, tuple[Callable[..., tt.Tensor], Callable[..., Any] | None, tuple[Any, ...]]] = {
    "solve": (linalg.solve, np.linalg.solve, (A, B)),
    "solve from the right": (lambda a, b: linalg.solve(a, b.mT, left=False), None, (A, B)),
    "inv": (linalg.inv, np.linalg.inv, (A,)),
    "det": (linalg.det, np.linalg.det, (A,)),
    "slogdet": (lambda a: linalg.slogdet(a).logabsdet, lambda a: np.linalg.slogdet(a)[1], (A,)),
    "cholesky": (lambda a: linalg.cholesky(a + a.mT), lambda a: np.linalg.cholesky(2 * a), (POSITIVE,)),
    "qr": (lambda a: tt.cat(list(linalg.qr(a)), -2), lambda a: np.concatenate(np.linalg.qr(a), -2), (TALL,)),
    "qr, wide": (lambda a: tt.cat(list(linalg.qr(a)), -1), None, (TALL.swapaxes(-1, -2).copy(),)),
    "svdvals": (linalg.svdvals, lambda a: np.linalg.svd(a, compute_uv=False), (TALL,)),
    "svd": (
        _sum_of(lambda a: linalg.svd(a, False), lambda s: s.U.abs(), lambda s: s.S, lambda s: s.Vh.abs()),
        None,
        (TALL,),
    ),
    "eigvalsh": (lambda a: linalg.eigvalsh(a + a.mT), lambda a: np.linalg.eigvalsh(2 * a), (POSITIVE,)),
    "eigh": (_sum_of(lambda a: linalg.eigh(a + a.mT), lambda e: e[0], lambda e: e[1].abs()), None, (A,)),
    "lu": (lambda a: tt.cat([linalg.lu(a).L, linalg.lu(a).U], -2), None, (TALL,)),
    "lu, wide": (lambda a: tt.cat([linalg.lu(a).L, linalg.lu(a).U], -1), None, (TALL.swapaxes(-1, -2).copy(),)),
    "lu_solve": (lambda a, b: linalg.lu_solve(*linalg.lu_factor(a), b), np.linalg.solve, (A, B)),
    "pinv": (linalg.pinv, np.linalg.pinv, (TALL,)),
    "lstsq": (
        lambda a, b: linalg.lstsq(a, b).solution, lambda a, b: np.linalg.pinv(a) @ b, (TALL, TALL[..., :2] + 0.5),
    ),
    "matrix_exp": (linalg.matrix_exp, None, (A,)),
    "nuclear norm": (lambda a: linalg.norm(a, "nuc"), lambda a: np.linalg.norm(a, "nuc"), (TALL[0],)),
}  # fmt: skip


@pytest.mark.parametrize("name", EAGER)
def test_factorizations_are_numpys_and_differentiable(name: str) -> None:
    function, expected, arrays = EAGER[name]
    if expected is not None:
        found = function(*map(tt.tensor, arrays)).numpy()
        np.testing.assert_allclose(found, expected(*arrays), rtol=1e-9, atol=1e-11)
    slope(function, arrays)
    with pytest.raises(tt.TraceError, match=r"linalg\..* works eagerly only"):
        tt.compile(function)(*map(tt.tensor, arrays))


@pytest.mark.parametrize("name", ["eigh", "eigvalsh", "svd", "svdvals", "lu", "qr"])
def test_factorizations_have_second_derivatives(name: str) -> None:
    function, _, arrays = EAGER[name]
    weights = tt.tensor(np.random.default_rng(2).standard_normal(function(*map(tt.tensor, arrays)).shape))
    slope(tt.grad(lambda a: (function(a) * weights).sum()), arrays)


@pytest.mark.parametrize("zeros", [1, 2, 3])
def test_determinants_of_singular_matrices_have_second_derivatives(zeros: int) -> None:
    array = np.random.default_rng(3).standard_normal((2, 3, 3))
    array[0, :zeros] = 0
    slope(tt.grad(lambda a: linalg.det(a).sum()), (array,))


def test_factors_make_the_matrix() -> None:
    a = tt.tensor(TALL)
    P, L, U = linalg.lu(a)
    U2, S, Vh = linalg.svd(a, False)
    for product in (P @ L @ U, (U2 * S.unsqueeze(-2)) @ Vh, linalg.qr(a).Q @ linalg.qr(a).R):
        np.testing.assert_allclose(product.numpy(), TALL, atol=1e-12)
    exponential = linalg.matrix_exp(tt.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=tt.float64)).numpy()
    np.testing.assert_allclose(exponential, [[np.cos(1), np.sin(1)], [-np.sin(1), np.cos(1)]], atol=1e-14)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x, y: tt.mm(x, x), "mm: input .* and mat2"),
        (lambda x, y: tt.bmm(x, y), "bmm: input is a batch"),
        (lambda x, y: tt.addmm(x, x, y), "addmm: input .* does not broadcast"),
        (lambda x, y: linalg.inv(x), "inv: A is a square matrix"),
        (lambda x, y: linalg.solve(y @ y.mT, x), "solve: A .* and B .* do not fit"),
        (lambda x, y: linalg.vector_norm(x, "fro"), "vector_norm: ord is a number"),
        (lambda x, y: linalg.inv(tt.zeros(2, 2)), "inv: singular matrix"),
        (lambda x, y: linalg.cholesky(-tt.eye(2)), "cholesky: A is not positive definite"),
        (lambda x, y: tt.einsum("ii", x), "einsum: 'i' in 'ii' is 3 and 4"),
        (lambda x, y: tt.fft.irfft(x, norm="none"), "irfft: norm is"),
    ],
)
def test_errors_name_the_argument(call: Callable[..., Any], words: str) -> None:
    with pytest.raises(tt.TinyTorchError, match=words):
        call(tt.tensor(X), tt.tensor(Y))
