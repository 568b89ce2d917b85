"""numpy's functions of tensors give what they give of arrays, as tensors, with gradients, also in a trace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import TinyTorchError, TraceError

A = np.array([[3.0, -1.0, 2.0], [0.5, 4.0, -2.5]], np.float32)
B = np.array([[1.0, 2.0, 2.0], [0.5, -4.0, 3.0]], np.float32)
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "exp": lambda x, y: np.exp(x),
    "absolute": lambda x, y: np.abs(x),
    "rint": lambda x, y: np.rint(x),
    "negative": lambda x, y: np.negative(x),
    "array first": lambda x, y: np.add(B, x),
    "array operator": lambda x, y: B - x,
    "array product": lambda x, y: B @ x.T,
    "array comparison": lambda x, y: x * (x > B),
    "numpy number": lambda x, y: np.float32(2.0) * x - np.float64(1.0),
    "number first": lambda x, y: np.subtract(1.0, x),
    "less": lambda x, y: np.where(np.less(1.0, x), x, y),
    "power": lambda x, y: np.power(x, 2),
    "maximum": lambda x, y: np.maximum(x, y),
    "isfinite": lambda x, y: x * np.isfinite(y),
    "sum": lambda x, y: np.sum(x, 0),
    "mean": lambda x, y: np.mean(x, axis=1, keepdims=True),
    "max": lambda x, y: np.max(x, axis=0),
    "amin": lambda x, y: np.amin(x),
    "std": lambda x, y: np.std(x, axis=0),
    "var": lambda x, y: np.var(x, ddof=1),
    "cumsum": lambda x, y: np.cumsum(x),
    "diff": lambda x, y: np.diff(x, axis=1),
    "concatenate": lambda x, y: np.concatenate([x, B, y], axis=1),
    "stack": lambda x, y: np.stack((x, y), axis=-1),
    "transpose": lambda x, y: np.transpose(x),
    "swapaxes": lambda x, y: np.swapaxes(x, 0, 1),
    "moveaxis": lambda x, y: np.moveaxis(x, 0, -1),
    "reshape": lambda x, y: np.reshape(x, (3, 2)),
    "ravel": lambda x, y: np.ravel(x),
    "expand_dims": lambda x, y: np.expand_dims(x, (0, 2)),
    "squeeze": lambda x, y: np.squeeze(x[:1]),
    "flip": lambda x, y: np.flip(x, 1),
    "broadcast_to": lambda x, y: np.broadcast_to(x, (2, 2, 3)),
    "clip": lambda x, y: np.clip(x, -1, 2),
    "dot": lambda x, y: np.dot(x, y.T),
    "matmul": lambda x, y: np.matmul(x, y.T),
    "tensordot": lambda x, y: np.tensordot(x, y, axes=([0, 1], [0, 1])),
    "outer": lambda x, y: np.outer(x, y),
    "einsum": lambda x, y: np.einsum("ij,kj->ik", x, y),
    "take": lambda x, y: np.take(x, np.array([[0, 2]]), axis=1),
    "tril": lambda x, y: np.tril(x, 1),
    "trunc": lambda x, y: np.fix(x),
    "round": lambda x, y: np.round(x),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_of_tensors_is_numpys(name: str) -> None:
    function = FUNCTIONS[name]
    x, y = tt.tensor(A, requires_grad=True), tt.tensor(B)
    found, expected = function(x, y), function(A, B)
    assert isinstance(found, tt.Tensor) and found.requires_grad
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-6)
    compiled = tt.compile(lambda x, y: function(x, y))(x, y)
    np.testing.assert_allclose(compiled.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_gradients_flow_through_numpys_functions() -> None:
    x = tt.tensor(A, requires_grad=True)
    np.sum(np.exp(x) * B).backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), np.exp(A) * B, rtol=1e-6)


def test_what_tensors_do_not_know_runs_on_the_arrays() -> None:
    x = tt.tensor(A)
    assert np.allclose(x, A) and np.shape(x) == (2, 3)
    np.testing.assert_array_equal(np.histogram(x, bins=3)[0], np.histogram(A, bins=3)[0])
    np.testing.assert_array_equal(np.add.reduce(x), A.sum(0))
    array = B.copy()
    array += x
    assert isinstance(array, np.ndarray)
    np.testing.assert_array_equal(array, A + B)


@pytest.mark.parametrize(
    "function, says",
    [
        (lambda x: np.histogram(x), r"np.histogram is no function of tensors that require grad.*x.detach\(\)"),
        (lambda x: np.multiply.accumulate(x), r"np.multiply.accumulate is no function"),
        (lambda x: np.exp(x, where=True), r"np.exp is no function .*: tt.exp is one"),
        (lambda x: np.sum(x, where=True), r"np.sum: got an unexpected keyword argument 'where'"),
        (lambda x: np.add(A, x, out=A.copy()), r"np.add: an array cannot hold what requires grad"),
    ],
)
def test_a_gradient_is_never_lost_silently(function: Callable[..., Any], says: str) -> None:
    with pytest.raises(TinyTorchError, match=says) as info:
        function(tt.tensor(A, requires_grad=True))
    assert "test_numpy_functions.py" in str(info.value)


def test_a_trace_refuses_what_needs_values() -> None:
    with pytest.raises(TraceError, match="needs the value"):
        tt.compile(lambda x: np.histogram(x)[0])(tt.tensor(A))
