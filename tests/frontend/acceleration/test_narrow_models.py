"""Whole models in 16-bit floats: a step of an MLP, a residual block of convolutions and a block of a GPT, eagerly,
interpreted and as machine code; and generation with such weights."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.runtime.backend import MISMATCH

HAS_TORCH = importlib.util.find_spec("torch") is not None


def mlp(t: Any) -> Any:
    nn = t.nn
    return nn.Sequential(nn.Linear(12, 16), nn.GELU(), nn.Linear(16, 3))


def residual(t: Any) -> Any:
    nn, F = t.nn, t.nn.functional

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.c1, self.b1 = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
            self.c2, self.b2 = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
            self.pool, self.head = nn.MaxPool2d(2), nn.Linear(4, 3)

        def forward(self, x: Any) -> Any:
            h = self.b2(self.c2(F.relu(self.b1(self.c1(x)))))
            return self.head(self.pool(F.relu(h + x)).mean((2, 3)))

    return Residual()


def transformer(t: Any) -> Any:
    nn, F = t.nn, t.nn.functional

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.n1, self.n2 = nn.LayerNorm(8), nn.LayerNorm(8)
            self.qkv, self.out = nn.Linear(8, 24), nn.Linear(8, 8)
            self.up, self.down, self.head = nn.Linear(8, 32), nn.Linear(32, 8), nn.Linear(8, 3)

        def forward(self, x: Any) -> Any:
            q, k, v = (part.reshape(2, 5, 2, 4).transpose(1, 2) for part in self.qkv(self.n1(x)).split(8, dim=-1))
            a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(a.transpose(1, 2).reshape(2, 5, 8))
            x = x + self.down(F.gelu(self.up(self.n2(x))))
            return self.head(x).mean(1)

    return Block()


MODELS: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    "mlp": (mlp, (2, 12)),
    "residual": (residual, (2, 4, 6, 6)),
    "transformer": (transformer, (2, 5, 8)),
}


def step_of(t: Any, model: Any, dtype: Any, state: dict[str, Any], x: Any, compiled: str | None) -> list[Any]:
    """The loss and the gradients of a step, in f32."""
    model.load_state_dict({k: t.tensor(v) for k, v in state.items()})
    model.to(dtype)
    optimizer = t.optim.SGD(model.parameters(), lr=0.1)
    targets = t.tensor(np.array([0, 2]))

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = t.nn.functional.cross_entropy(model(x), targets)
        loss.backward()
        optimizer.step()
        return loss

    run = step if compiled is None else tt.compile(step, backend=compiled)  # pyright: ignore[reportArgumentType]
    loss = run(t.tensor(x).to(dtype))
    assert loss.dtype == dtype and all(p.dtype == dtype for p in model.parameters())
    return [float(loss.detach()), *(p.detach().to(t.float32).numpy() for p in model.parameters())]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", MODELS)
def test_a_training_step(name: str, dtype: str) -> None:
    """Every way of running it is near that of f32, as near as PyTorch's is to a factor."""
    make, shape = MODELS[name]
    tt.manual_seed(1)
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    state = {k: v.numpy().copy() for k, v in make(tt).state_dict().items()}
    exact = step_of(tt, make(tt), tt.float32, state, x, None)
    limit = {"bfloat16": 2.0**-6, "float16": 2.0**-9}[dtype]

    def off(found: list[Any]) -> float:
        return max(float(np.abs(a - b).max() / max(1.0, np.abs(b).max())) for a, b in zip(found, exact, strict=True))

    for how in (None, "interpreter", "llvm"):
        assert off(step_of(tt, make(tt), getattr(tt, dtype), state, x, how)) < limit, how
    if HAS_TORCH:
        import torch

        theirs = step_of(torch, make(torch), getattr(torch, dtype), state, x, None)
        assert off(theirs) < limit
        ours = step_of(tt, make(tt), getattr(tt, dtype), state, x, None)
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, atol=2 * limit)


@pytest.mark.parametrize("dtype", [tt.bfloat16, tt.float16])
def test_generation(dtype: Any) -> None:
    """With a cache and without, the same tokens; logits near those of f32; frozen as well."""
    tt.manual_seed(2)
    wide = tt.GPT(30, 16, 2, 2).eval()
    indices = tt.tensor(np.random.default_rng(0).integers(0, 30, (1, 9)))
    with tt.no_grad():
        exact = wide(indices).numpy()
        model = wide.to(dtype)
        found = [model(indices), tt.compile(model)(indices), tt.compile(model, freeze=True)(indices)]
    for logits in found:
        assert logits.dtype is dtype
        np.testing.assert_allclose(logits.float().numpy(), exact, atol=0.02 if dtype is tt.bfloat16 else 0.003)
    tokens = model.generate([3, 1, 4], 12, temperature=0)
    assert tokens == model.generate([3, 1, 4], 12, temperature=0, cache=tt.KVCache(1, 32, 2, 16, dtype=dtype))
    with pytest.raises(tt.ShapeError, match="make the cache with dtype"):
        model.generate([3, 1, 4], 12, cache=tt.KVCache(1, 32, 2, 16))


def test_generation_under_autocast() -> None:
    tt.manual_seed(2)
    model = tt.GPT(30, 16, 2, 2).eval()
    with tt.autocast():
        tokens = model.generate([3, 1, 4], 12, temperature=0)
        assert tokens == model.generate([3, 1, 4], 12, temperature=0, cache=tt.KVCache(1, 32, 2, 16, dtype=tt.bfloat16))


@pytest.mark.parametrize("dtype", [tt.bfloat16, tt.float16])
def test_narrow_weights_meet_wide_activations(dtype: Any) -> None:
    """Promoted in the program, read as they are by the graph: constants of 16 bits, and results that only the rounding
    of weights has changed."""
    tt.manual_seed(0)
    layer = tt.nn.Linear(128, 96)
    x, w = tt.randn(2, 128), layer.weight.to(dtype).detach()
    exact = x.numpy() @ w.float().numpy().T + layer.bias.detach().numpy()
    frozen = tt.compile(lambda x: tt.nn.functional.linear(x, w, layer.bias.detach()), freeze=True)
    automatic = tt.compile(layer, freeze=True, autocast=dtype)
    with tt.no_grad():
        np.testing.assert_allclose(frozen(x).numpy(), exact, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(automatic(x).numpy(), exact, atol=0.02)
    for compiled in (frozen, automatic):
        kept = [n for n in compiled.graph.nodes if n.op.name == "constant" and n.output.type.size >= 128 * 96]
        assert [n.output.type.dtype for n in kept] == [dtype]


@pytest.mark.parametrize("dtype", [tt.float32, tt.bfloat16, tt.float16])
def test_converted_parameters_are_read_where_they_lie(dtype: Any) -> None:
    """In plain arrays, which the quick call of a compiled function takes: any other would be copied in each call."""
    layer = tt.nn.Linear(8, 4).to(dtype)
    assert all(type(p.numpy()) is np.ndarray and p.numpy().flags.c_contiguous for p in layer.parameters())
    x = tt.ones(2, 8, dtype=dtype)
    compiled = tt.compile(layer)
    with tt.no_grad():
        compiled(x)
        last = compiled._last  # pyright: ignore[reportPrivateUsage]
        assert last is not None and last.calls.fast(x) is not MISMATCH
