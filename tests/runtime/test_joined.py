"""Operands of a concatenation, written where they belong in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.runtime.schedule import schedule


def tall(*parts: Any) -> Any:
    """What reads the joined parts."""
    whole = tt.cat(parts, 1)
    return whole @ tt.ones(whole.shape[1], 3)


def heads_last(x: Any) -> Any:
    """[batch, heads, length, d] as [batch * length, heads * d]."""
    return x.transpose(1, 2).flatten(2).flatten(0, 1)


def attention(x: Any) -> Any:
    q = x.reshape(2, -1, 2, 64).transpose(1, 2)
    return heads_last(tt.scaled_dot_product_attention(q, q, q, is_causal=True))


WRITTEN: dict[str, Callable[..., Any]] = {
    "columns": lambda x, y: tall(x.exp(), y.relu(), x * y),
    "rows": lambda x, y: tt.cat([x.exp(), y.relu()], 0) @ tt.ones(x.shape[1], 3),
    "row kernels": lambda x, y: tall(x.softmax(1), y / y.norm(dim=1, keepdim=True)),
    "products": lambda x, y: tall(x @ y.mT, (y @ x.mT).relu()),
    "attention": lambda x, y: tall(attention(x), heads_last(y.reshape(2, -1, 2, 64).transpose(1, 2).exp())),
    "random numbers": lambda x, y: tall(tt.dropout(x, 0.3), y.exp()),
    "one in another": lambda x, y: tall(tt.cat([x.exp(), y.relu()], 1).sin(), y.cos()),
    "read once more within its kernel": lambda x, y: (tall(x.exp(), y.relu()), x.exp().sum(0)),
    "another dtype": lambda x, y: tt.cat([x.double().exp(), y.double().cos()], 1).sum(0),
}
COPIED: dict[str, Callable[..., Any]] = {
    "an input": lambda x, y: tall(x.exp(), y),
    "the same twice": lambda x, y: tall(x.exp(), x.exp()),
    "a result": lambda x, y: tt.cat([x.exp(), y.relu()], 1),
    "read elsewhere": lambda x, y: (tall(x.exp(), y.relu()), x.exp() @ y.mT),
    "short runs": lambda x, y: tt.cat([x.exp().reshape(-1, 4), y.exp().reshape(-1, 4)], 1) @ tt.ones(8, 3),
    "a part of one": lambda x, y: tall((x @ y.mT)[:, :64], y.exp()),
    "parts of one": lambda x, y: tall(*(x @ y.mT).chunk(2, 1)),
    "one of its rows": lambda x, y: tt.cat([x.softmax(1)[:1], y.exp(), x.softmax(1)[:1]], 0) @ tt.ones(x.shape[1], 3),
}


def concatenations(compiled: Any) -> int:
    """Those that run."""
    calls = [call for wave in schedule(compiled.graph).waves for call in wave]
    return sum(any(n.op.name == "concat" for n in call.body.nodes) for call in calls)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", [*WRITTEN, *COPIED])
def test_the_numbers_are_those_of_the_interpreter(name: str, threads: int) -> None:
    program = {**WRITTEN, **COPIED}[name]
    rng = np.random.default_rng(0)
    tt.set_num_threads(threads)
    compiled, interpreted = tt.compile(program), tt.compile(program, backend="interpreter")
    for rows, columns in ((300, 128), (130, 128)):
        x, y = (tt.Tensor(rng.normal(size=(rows, columns)).astype(np.float32)) for _ in range(2))
        for _ in range(2):
            results = []
            for call in (compiled, interpreted):
                tt.manual_seed(3)
                found = call(x, y)
                results.append(found if isinstance(found, tuple) else (found,))
            for a, b in zip(*results, strict=True):
                np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=2e-4, atol=2e-4)
        assert concatenations(compiled) == (name in COPIED)


def test_parts_share_the_memory_of_the_whole() -> None:
    compiled = tt.compile(WRITTEN["columns"])
    compiled(tt.ones(300, 128), tt.ones(300, 128))
    (wave, *_) = schedule(compiled.graph).waves
    parts = [result for call in wave for result in call.results]
    assert {part.offset for part in parts} == {0, 128, 256} and len({part.place for part in parts}) == 1
    assert {part.strides for part in parts} == {(384, 1)}
    alive = compiled.explain().memory.alive(0)
    assert [part.bytes for part in alive] == [300 * 128 * 4] * 3
