"""Values that are computed again where views of them are read: the same numbers, and fewer buffers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytorch as tt


def normalised(x: Any) -> Any:
    return x * (x * x).mean(-1, keepdim=True).add(1e-6).rsqrt()


def turned(x: Any) -> Any:
    """Normalised rows, their halves exchanged and mixed by a table, as rotary positions do."""
    y = normalised(x)
    angles = tt.arange(x.shape[-2], dtype=x.dtype).reshape(-1, 1) * tt.linspace(1, 0.1, x.shape[-1] // 2, dtype=x.dtype)
    return tt.apply_rotary(y, angles.cos(), angles.sin())


def heads_last(x: Any) -> Any:
    """[batch, heads, length, d] as [batch, length, heads * d]."""
    return x.transpose(1, 2).flatten(2)


PROGRAMS: dict[str, Callable[..., Any]] = {
    "rows that positions turn": lambda x, y: turned(x * 2) @ y.mT,
    "rows of heads": lambda x, y: heads_last(turned(x)) @ heads_last(y).mT,
    "both ways round": lambda x, y: (x * 3).flip(-1) * y + (x * 3),
    "read by a product, too": lambda x, y: ((x * 3).flip(-2) * y, (x * 3) @ y.mT),
    "a result, too": lambda x, y: ((x * 3).flip(-2) * y, x * 3),
    "sums of rows": lambda x, y: heads_last(normalised(x)) * heads_last(y * (x * y).sum(-1, keepdim=True)),
    "means of other axes": lambda x, y: (x - (x * y).mean((0, 2), keepdim=True)).transpose(0, 2) * 2,
}


def gradients(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(*arguments: Any) -> Any:
        inputs = [x.detach().requires_grad_(True) for x in arguments]
        found = function(*inputs)
        results = found if isinstance(found, tuple) else (found,)
        tt.autograd.backward([(r * r.detach().cos()).sum() for r in results])
        return (*results, *(x.grad for x in inputs))

    return run


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_numbers_and_gradients_are_those_of_eager_mode(name: str, dtype: str) -> None:
    rng = np.random.default_rng(0)
    run = gradients(PROGRAMS[name])
    compiled = tt.compile(run)
    for shape in ((2, 3, 5, 4), (1, 2, 33, 32), (2, 1, 3, 38), (2, 0, 3, 8)):
        x, y = (tt.Tensor(rng.normal(size=shape)).cast(dtype) for _ in range(2))
        for found, wanted in zip(compiled(x, y), run(x, y), strict=True):
            tolerance = {"f32": 2e-4, "f64": 1e-11}[dtype]
            np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=tolerance, atol=tolerance)


def kernels(compiled: Any) -> list[list[str]]:
    bodies = [n.attrs["body"].nodes for n in compiled.graph.nodes if "body" in n.attrs]
    return [[n.op.name for n in body if n.op.name not in ("constant", "broadcast")] for body in bodies]


def test_normalised_rows_that_positions_turn_are_not_stored() -> None:
    compiled = tt.compile(lambda x, cos, sin: tt.apply_rotary(normalised(x.transpose(1, 2)), cos, sin))
    compiled(tt.ones(2, 8, 4, 32), tt.ones(8, 16), tt.zeros(8, 16))
    made = [v for n in compiled.graph.nodes if "body" in n.attrs for v in n.outputs]
    assert [v.type.size for v in made].count(2 * 8 * 4 * 32) == 1


def test_gradients_of_normalised_heads_are_one_kernel() -> None:
    """The sum of a row and what is subtracted of it, though heads and positions change places between them."""

    def run(x: Any, g: Any) -> Any:
        x = x.detach().requires_grad_(True)
        tt.rms_norm(x.reshape(2, 8, 4, 16).transpose(1, 2), (16,)).backward(g)
        return x.grad

    compiled = tt.compile(run)
    compiled(tt.ones(2, 8, 64), tt.ones(2, 4, 8, 16))
    assert len(kernels(compiled)) == 1
