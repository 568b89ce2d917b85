"""Products by generated code: values, gradients, in compiled functions, errors."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import tinytorch as tt


@pytest.mark.parametrize(
    ("a", "b"),
    [((3, 4), (4, 5)), ((4,), (4,)), ((3, 4), (4,)), ((2, 3, 4), (4, 5)), ((2, 1, 3, 4), (5, 4, 2)), ((0, 4), (4, 5))],
)
@pytest.mark.parametrize("dtype", ["f32", "f64", "i32"])
def test_values_are_those_of_numpy(a: tuple[int, ...], b: tuple[int, ...], dtype: str) -> None:
    rng = np.random.default_rng(0)
    numpy = {"f32": np.float32, "f64": np.float64, "i32": np.int32}[dtype]
    x, y = ((10 * rng.normal(size=shape)).astype(numpy) for shape in (a, b))
    found = tt.vectorized_matmul(tt.tensor(x), tt.tensor(y)).numpy()
    assert found.dtype == numpy
    np.testing.assert_allclose(found, x @ y, rtol=1e-5, atol=1e-4)


def test_many_shapes_are_no_reason_to_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for n in range(1, 6):
            assert tt.vectorized_matmul(tt.ones(n, 2), tt.ones(2, n)).shape == (n, n)


def test_it_has_gradients_and_is_part_of_compiled_functions() -> None:
    a, b = tt.randn(3, 4, requires_grad=True), tt.randn(4, 2, requires_grad=True)
    tt.vectorized_matmul(a, b).sum().backward()
    np.testing.assert_allclose(a.grad.numpy(), np.tile(b.numpy().sum(1), (3, 1)), rtol=1e-5)
    np.testing.assert_allclose(b.grad.numpy(), np.tile(a.numpy().sum(0)[:, None], (1, 2)), rtol=1e-5)
    both = tt.compile(lambda x, y: tt.vectorized_matmul(x, y).relu())
    np.testing.assert_allclose(both(a, b).numpy(), np.maximum(a.numpy() @ b.numpy(), 0), rtol=1e-5)
    assert [n.op.name for n in both.graph.nodes] == ["kernel"]


def test_bad_operands() -> None:
    with pytest.raises(tt.ShapeError, match="matmul"):
        tt.vectorized_matmul(tt.ones(2, 3), tt.ones(2, 3))
    with pytest.raises(tt.TinyTorchError, match="vectorized_matmul: expected a Tensor"):
        tt.vectorized_matmul(np.ones((2, 2)), tt.ones(2, 2))
