"""F.normalize of zeros, halves and special values, for every order: eager, interpreted and compiled."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.frontend import functional as F
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import ShapeError, TinyTorchError

BACKENDS = ["eager", "interpreter", "llvm"]
ORDERS = [2.0, 1.0, 3.0, 0.5, 1.5, math.inf, -math.inf, 0.0, 2, -1.0]
Array = np.ndarray


def with_gradient(backend: str, x: Tensor, seed: Array, **options: Any) -> tuple[Array, Array]:
    def both(x: Tensor, seed: Tensor) -> tuple[Tensor, Tensor]:
        def total(x: Tensor) -> tuple[Tensor, Tensor]:
            out = F.normalize(x, **options)
            return (out * seed).sum(), out

        (_, out), gradient = tt.value_and_grad(total, has_aux=True)(x)
        return out, gradient

    out, gradient = (both if backend == "eager" else tt.compile(both, backend=backend))(x, Tensor(seed).cast(x.dtype))
    return out.numpy(), gradient.numpy()


@pytest.mark.parametrize("backend", BACKENDS)
def test_rows_of_zeros(backend: str) -> None:
    x = np.array([[0, 0, 0], [0, 4, 3]], np.float64)
    for p in (2.0, 1.0, 3.0, 0.5, math.inf):
        out, gradient = with_gradient(backend, Tensor(x), np.ones((2, 3)), p=p)
        np.testing.assert_array_equal(out[0], np.zeros(3))
        np.testing.assert_allclose(gradient[0], np.full(3, 1e12), rtol=1e-12)
        assert np.isfinite(gradient).all()
        np.testing.assert_allclose(out[1], x[1] / {2: 5, 1: 7, 3: 91 ** (1 / 3), 0.5: (2 + 3**0.5) ** 2}.get(p, 4))
    out, gradient = with_gradient(backend, Tensor(x), np.array([[1.0, 0, 0]]), eps=0.5)
    np.testing.assert_allclose(gradient, [[2, 0, 0], [0.2, 0, 0]])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["f16", "bf16"])
def test_halves_do_not_overflow(dtype: str, backend: str) -> None:
    x = Tensor([[300.0, 400.0], [3e-4, 4e-4], [0.0, 0.0]]).cast(dtype)
    out, _ = with_gradient(backend, x, np.ones((3, 2)))
    wanted = Tensor([[0.6, 0.8], [0.6, 0.8], [0.0, 0.0]]).numpy()
    assert out.dtype == x.numpy().dtype
    np.testing.assert_allclose(out.astype(np.float32), wanted, rtol=2e-3 if dtype == "f16" else 1e-2)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_order_matches_torch(dtype: str, backend: str) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(5)
    x = rng.normal(size=(9, 4)) * 3
    x[1], x[2], x[3, 1:], x[4, :2] = 0, 1e-15, 0, 0
    x[5, 1], x[6, 2], x[7], x[8, 0] = math.inf, math.nan, 2.0, 1e15
    rtol = 1e-4 if dtype == "float32" else 1e-9
    for p in ORDERS:
        # A NaN on the way back reaches, with the largest magnitude, only the elements that have it; in PyTorch, all.
        x[5, 1], x[6, 2] = (1.0, 1.0) if math.isinf(p) else (math.inf, math.nan)
        for dim, array in ((1, x), (0, x.T), (-1, x.reshape(3, 3, 4))):
            given = torch.tensor(array.astype(dtype), requires_grad=True)
            seed = rng.normal(size=array.shape).astype(dtype)
            wanted = torch.nn.functional.normalize(given, p=p, dim=dim)
            wanted.backward(torch.tensor(seed))
            out, gradient = with_gradient(backend, Tensor(array.astype(dtype)), seed, p=p, dim=dim)
            what = f"p={p} dim={dim}"
            np.testing.assert_allclose(out, wanted.detach().numpy(), rtol=rtol, atol=rtol, err_msg=what)
            scale = np.abs(given.grad.numpy())
            np.testing.assert_allclose(
                gradient, given.grad.numpy(), rtol=rtol, atol=rtol * max(1, np.nanmedian(scale)), err_msg=what
            )


def test_bad_arguments() -> None:
    for options, message in (
        ({"p": "2"}, "p is a number, got '2'"), ({"p": math.nan}, "p is a number"), ({"p": True}, "p is a number"),
        ({"eps": -1.0}, "eps is a number that is not negative"),
    ):  # fmt: skip
        with pytest.raises(TinyTorchError, match=message) as error:
            F.normalize(Tensor([[1.0]]), **options)
        assert "test_norms.py:" in str(error.value)
    with pytest.raises(ShapeError, match="needs a float dtype, got i64"):
        F.normalize(Tensor([[1]]))
