"""RMSNorm and F.rms_norm: against the formula and torch; eager, interpreted and compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinytorch as tt
from tinytorch.ir.errors import TinyTorchError

BACKENDS = ["eager", "interpreter", "llvm"]


def with_gradients(backend: str, x: Any, weight: Any, g: Any, eps: float | None, axes: int = 1) -> list[Any]:
    """The result, and the gradients of x and of the weight, if there is one."""

    def run(x: Any, weight: Any, g: Any) -> Any:
        def total(x: Any, weight: Any) -> Any:
            out = tt.rms_norm(x, x.shape[x.ndim - axes :], weight, eps)
            return (out * g).sum(), out

        wrt = (0,) if weight is None else (0, 1)
        (_, out), found = tt.value_and_grad(total, argnums=wrt, has_aux=True)(x, weight)
        return (out, *found)

    return [t.numpy() for t in (run if backend == "eager" else tt.compile(run, backend=backend))(x, weight, g)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_rows_have_a_mean_square_of_one(backend: str) -> None:
    x, weight = tt.Tensor([[3.0, 4, 0, 0], [0, 0, 0, 0]]), tt.Tensor([1.0, 2, 3, 4])
    out, dx, dweight = with_gradients(backend, x, weight, tt.ones(2, 4), 1e-6)
    np.testing.assert_allclose(out, [[1.2, 3.2, 0, 0], [0, 0, 0, 0]], rtol=1e-6)
    np.testing.assert_allclose(dweight, [1.2, 1.6, 0, 0], rtol=1e-6)
    # (w - y mean(w y)) / rms, with y the row without its weight; 1 / sqrt(eps) where all is 0
    y = np.array([1.2, 1.6, 0, 0])
    np.testing.assert_allclose(dx[0], (np.array([1, 2, 3, 4]) - y * 1.1) / 2.5, rtol=1e-5)
    np.testing.assert_allclose(dx[1], np.array([1, 2, 3, 4]) * 1e3, rtol=1e-6)


@settings(max_examples=25, deadline=None)
@given(
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=3), axes=st.integers(1, 2), affine=st.booleans(),
    eps=st.sampled_from([None, 1e-5, 0.0]), dtype=st.sampled_from(["float64", "float32"]), seed=st.integers(0, 999),
)  # fmt: skip
def test_rms_norm_matches_torch(
    shape: list[int], axes: int, affine: bool, eps: float | None, dtype: str, seed: int
) -> None:
    torch = pytest.importorskip("torch")
    rng, axes = np.random.default_rng(seed), min(axes, len(shape))
    arrays = [rng.normal(size=s).astype(dtype) for s in (shape, shape[-axes:], shape)]
    x, weight, g = (torch.tensor(a, requires_grad=True) for a in arrays)
    wanted = torch.nn.functional.rms_norm(x, shape[-axes:], weight if affine else None, eps)
    (wanted * g).sum().backward()
    mine = [tt.Tensor(a) for a in arrays]
    found = with_gradients("eager", mine[0], mine[1] if affine else None, mine[2], eps, axes)
    rtol = 1e-10 if dtype == "float64" else 2e-4
    for a, b in zip(found, (wanted.detach(), x.grad, *([weight.grad] if affine else ())), strict=True):
        np.testing.assert_allclose(a, b.numpy(), rtol=rtol, atol=rtol)


@pytest.mark.parametrize("dtype", ["f16", "bf16", "f32"])
@pytest.mark.parametrize("affine", [True, False])
def test_compiled_as_eager(affine: bool, dtype: str) -> None:
    rng = np.random.default_rng(5)
    x, g = (tt.Tensor(rng.normal(size=(3, 5, 70)).astype(np.float32)).cast(dtype) for _ in range(2))
    weight = tt.Tensor(rng.normal(size=70).astype(np.float32)).cast(dtype) if affine else None
    wanted = with_gradients("eager", x, weight, g, None)
    for backend in ("interpreter", "llvm"):
        for a, b in zip(with_gradients(backend, x, weight, g, None), wanted, strict=True):
            tolerance = 1e-5 if dtype == "f32" else 2e-2
            np.testing.assert_allclose(a.astype(np.float64), b.astype(np.float64), rtol=tolerance, atol=tolerance)


def test_the_module() -> None:
    layer = tt.RMSNorm((2, 3), eps=1e-3)
    x = tt.randn(4, 2, 3)
    wanted = x.numpy() / np.sqrt((x.numpy() ** 2).mean((1, 2), keepdims=True) + 1e-3)
    np.testing.assert_allclose(layer(x).numpy(), wanted, rtol=1e-5)
    assert layer.weight is not None and layer.weight.shape == (2, 3) and len(layer.parameters()) == 1
    assert not tt.RMSNorm(3, elementwise_affine=False).parameters()
    small = tt.full((1, 4), 1e-3)  # of which the default eps is a part: that of f32, also for 16 bits
    assert abs(tt.RMSNorm(4)(small)[0, 0].item() - 1e-3 / (1e-6 + 2**-23) ** 0.5) < 1e-6
    assert abs(tt.RMSNorm(4)(small.cast("bf16"))[0, 0].float().item() - 0.945) < 0.01


def test_one_kernel_each_way() -> None:
    layer = tt.RMSNorm(32)

    @tt.compile
    def step(x: Any, g: Any) -> Any:
        assert layer.weight is not None
        return tt.value_and_grad(lambda x: (layer(x) * g).sum())(x)

    step(tt.randn(6, 32), tt.randn(6, 32))
    assert sum(node.op.name == "kernel" for node in step.graph.nodes) <= 3  # rows both ways, and the sum


def test_bad_arguments() -> None:
    for make, message in (
        (lambda: tt.rms_norm(tt.ones(3, 4), 3), r"the last axes of f32\[3,4\] are not \[3\]"),
        (lambda: tt.rms_norm(tt.ones(4).cast("i64"), 4), "needs a float dtype, got i64"),
        (lambda: tt.rms_norm(tt.ones(4), 4, tt.ones(3)), r"weight is f32\[4\], got f32\[3\]"),
        (lambda: tt.rms_norm(tt.ones(4), 4, tt.ones(4, dtype=tt.f64)), r"weight is f32\[4\], got f64"),
        (lambda: tt.rms_norm(tt.ones(4), 4, eps=-1.0), "eps is a number that is not negative"),
        (lambda: tt.RMSNorm(0), "normalized_shape is a positive integer"),
        (lambda: tt.RMSNorm(3, elementwise_affine=1), "elementwise_affine is True or False"),  # pyright: ignore[reportArgumentType]
    ):
        with pytest.raises(TinyTorchError, match=message) as error:
            make()
        assert "test_rms_norm.py:" in str(error.value)
