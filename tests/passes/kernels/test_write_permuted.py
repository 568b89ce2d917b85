"""Results that are written in another order: the same numbers, and no copies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinytorch as tt


def heads_last(x: Any) -> Any:
    """[batch, heads, length, d] as [batch, length, heads * d]."""
    batch, heads, length, d = x.shape
    return x.transpose(1, 2).reshape(batch, length, heads * d)


PROGRAMS: dict[str, Callable[..., Any]] = {
    "elementwise": lambda x, y: heads_last(x * 2 + y),
    "a product": lambda x, y: heads_last(x @ y.mT @ y),
    "a product with work behind it": lambda x, y: heads_last((x @ y.mT @ y).tanh() + x),
    "rows": lambda x, y: heads_last(x.softmax(-1) * y),
    "columns": lambda x, y: heads_last(x - x.mean(0)) + heads_last(y.exp()),
    "two results": lambda x, y: (heads_last(x.exp()), (x.exp() + y).sum(1)),
    "read elsewhere, too": lambda x, y: (heads_last(x @ y.mT @ y), ((x @ y.mT @ y) * x).sum(-1)),
    "random": lambda x, y: heads_last(tt.dropout(x * y, 0.5, generator=tt.Generator(3))),
}


def copies(graph: Any) -> int:
    """Kernels that copy floats; the state of random numbers is copied into its place."""
    bodies = [n.attrs["body"] for n in graph.nodes if "body" in n.attrs]
    single = [b.nodes[0] for b in bodies if len(b.nodes) == 1]
    return sum(n.op.name == "copy" and n.output.type.dtype.is_float for n in single)


@pytest.mark.parametrize("dtype", ["f32", "f64", "bf16"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_numbers_are_those_of_eager_mode(name: str, dtype: str) -> None:
    rng = np.random.default_rng(0)
    for shape in ((2, 3, 5, 4), (1, 2, 33, 16), (3, 4, 17, 37), (2, 1, 3, 8)):
        x, y = (tt.Tensor(rng.normal(size=shape)).cast(dtype) for _ in range(2))
        compiled = tt.compile(PROGRAMS[name])
        found, wanted = compiled(x, y), PROGRAMS[name](x, y)
        pairs = zip(found, wanted, strict=True) if isinstance(found, tuple) else [(found, wanted)]
        for a, b in pairs:
            rtol = {"f32": 2e-4, "f64": 1e-12, "bf16": 0.02}[dtype]
            np.testing.assert_allclose(a.numpy().astype(float), b.numpy().astype(float), rtol=rtol, atol=rtol)
        assert copies(compiled.graph) == 0


@settings(max_examples=40, deadline=None)
@given(
    axes=st.permutations(range(3)),
    shape=st.tuples(*[st.integers(0, 5)] * 3, st.integers(1, 20)),
    name=st.sampled_from(["elementwise", "a product with work behind it", "rows"]),
)
def test_any_order_of_the_axes(axes: list[int], shape: tuple[int, ...], name: str) -> None:
    rng = np.random.default_rng(1)
    x, y = (tt.Tensor(rng.normal(size=shape).astype(np.float32)) for _ in range(2))

    def program(x: Any, y: Any) -> Any:
        made = {"elementwise": x * y, "rows": x.softmax(-1)}.get(name)
        made = (x @ y.mT @ y).exp() if made is None else made
        return made.permute(*axes, 3).reshape(-1, shape[3])

    np.testing.assert_allclose(tt.compile(program)(x, y).numpy(), program(x, y).numpy(), rtol=1e-4, atol=1e-5)


def test_a_state_is_written_permuted() -> None:
    kept, x = tt.zeros(4, 2, 3), tt.randn(2, 4, 3)

    @tt.compile
    def step(x: Any) -> Any:
        kept.copy_((x * 2).transpose(0, 1))
        return kept.sum()

    step(x)
    np.testing.assert_array_equal(kept.numpy(), x.numpy().transpose(1, 0, 2) * 2)
