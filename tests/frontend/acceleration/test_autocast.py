"""`tt.autocast`: dtypes by kind, against the rules and against PyTorch's, and gradients through casts."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn
from tinytorch.nn import functional as F

HAS_TORCH = importlib.util.find_spec("torch") is not None

# What of tensors `a` and `b` [4, 4], the image and weight `i` [2, 3, 5, 5] and `w` [4, 3, 3, 3], `bias` [4], `q` [1, 2,
# 4, 4] and the classes `y` [4]; the dtype here; and whether it is PyTorch's on a CPU, too. All are f32.
Case = tuple[str, Callable[[Any, Any, dict[str, Any]], Any], str, bool]
CASES: list[Case] = [
    ("matmul", lambda t, F, x: x["a"] @ x["b"], "low", True),
    ("mm", lambda t, F, x: t.mm(x["a"], x["b"]), "low", True),
    ("mixed operands", lambda t, F, x: t.mm(t.mm(x["a"], x["b"]), x["b"]), "low", True),
    ("bmm", lambda t, F, x: t.bmm(x["a"][None], x["b"][None]), "low", True),
    ("addmm", lambda t, F, x: t.addmm(x["a"], x["a"], x["b"]), "low", True),
    ("einsum", lambda t, F, x: t.einsum("ij,jk->ik", x["a"], x["b"]), "low", True),
    ("linear", lambda t, F, x: F.linear(x["a"], x["b"], x["bias"]), "low", True),
    ("conv2d", lambda t, F, x: F.conv2d(x["i"], x["w"], x["bias"]), "low", True),
    ("conv_transpose2d", lambda t, F, x: F.conv_transpose2d(x["w"], x["i"].transpose(0, 1)), "low", True),
    ("attention", lambda t, F, x: F.scaled_dot_product_attention(x["q"], x["q"], x["q"]), "low", True),
    ("relu of a product", lambda t, F, x: F.relu(x["a"] @ x["b"]), "low", True),
    ("gelu of a product", lambda t, F, x: F.gelu(x["a"] @ x["b"]), "low", True),
    ("product and number", lambda t, F, x: (x["a"] @ x["b"]) * 0.5, "low", True),
    ("product and f32", lambda t, F, x: (x["a"] @ x["b"]) + x["a"], "f32", True),
    ("cat", lambda t, F, x: t.cat([x["a"] @ x["b"], x["a"]]), "f32", True),
    ("pooling", lambda t, F, x: F.max_pool2d(F.conv2d(x["i"], x["w"]), 2), "low", True),
    ("relu", lambda t, F, x: F.relu(x["a"]), "f32", True),
    ("cross_entropy", lambda t, F, x: F.cross_entropy(x["a"] @ x["b"], x["y"]), "f32", True),
    ("mse_loss", lambda t, F, x: F.mse_loss(x["a"] @ x["b"], x["a"]), "f32", True),
    ("l1_loss", lambda t, F, x: F.l1_loss(x["a"] @ x["b"], x["a"] @ x["b"]), "f32", True),
    ("smooth_l1_loss", lambda t, F, x: F.smooth_l1_loss(x["a"] @ x["b"], x["a"]), "f32", True),
    ("bce", lambda t, F, x: F.binary_cross_entropy_with_logits(x["a"] @ x["b"], x["a"]), "f32", True),
    ("kl_div", lambda t, F, x: F.kl_div(x["a"] @ x["b"], x["a"], reduction="sum"), "f32", True),
    ("prod", lambda t, F, x: (x["a"] @ x["b"]).prod(), "f32", True),
    # PyTorch's rules for GPUs; on a CPU these keep the dtype of their operand.
    ("softmax", lambda t, F, x: F.softmax(x["a"] @ x["b"], -1), "f32", False),
    ("log_softmax", lambda t, F, x: F.log_softmax(x["a"] @ x["b"], -1), "f32", False),
    ("layer_norm", lambda t, F, x: F.layer_norm(x["a"] @ x["b"], (4,), x["bias"], x["bias"]), "f32", False),
    ("group_norm", lambda t, F, x: F.group_norm(x["a"] @ x["b"], 2, x["bias"], x["bias"]), "f32", False),
    ("sum", lambda t, F, x: (x["a"] @ x["b"]).sum(), "f32", False),
    ("cumsum", lambda t, F, x: (x["a"] @ x["b"]).cumsum(0), "f32", False),
    ("exp", lambda t, F, x: (x["a"] @ x["b"]).exp(), "f32", False),
    ("pow", lambda t, F, x: (x["a"] @ x["b"]) ** 3, "f32", False),
    ("f64", lambda t, F, x: x["a"].double() @ x["b"].double(), "f64", True),
]


def operands(t: Any) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    shapes = {"a": (4, 4), "b": (4, 4), "i": (2, 3, 5, 5), "w": (4, 3, 3, 3), "bias": (4,), "q": (1, 2, 4, 4)}
    found = {name: t.tensor(rng.random(shape, np.float32) + 0.5) for name, shape in shapes.items()}
    return {**found, "y": t.tensor(np.array([0, 3, 1, 2]))}


@pytest.mark.parametrize("dtype", [tt.bfloat16, tt.float16])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_dtypes(case: Case, dtype: Any) -> None:
    """By the rules, eagerly and compiled, with equal values to 16 bits; and as PyTorch's CPU has them."""
    _, run, wanted, as_torch = case
    x = operands(tt)
    with tt.autocast("cpu", dtype=dtype):
        eager = run(tt, F, x)
    compiled = tt.compile(lambda x: run(tt, F, x), backend="interpreter")
    with tt.autocast("cpu", dtype=dtype):
        traced = compiled(x)
    named = {"low": dtype, "f32": tt.float32, "f64": tt.float64}[wanted]
    assert (eager.dtype, traced.dtype) == (named, named)
    full = run(tt, F, x).numpy()
    for got in (eager, traced):
        np.testing.assert_allclose(got.double().numpy(), full, rtol=0.06, atol=0.06 * np.abs(full).max())
    if as_torch and HAS_TORCH:
        import torch

        low = torch.bfloat16 if dtype == tt.bfloat16 else torch.float16
        with torch.autocast("cpu", dtype=low):
            theirs = run(torch, torch.nn.functional, operands(torch))
        assert theirs.dtype == {"low": low, "f32": torch.float32, "f64": torch.float64}[wanted]


def small() -> nn.Sequential:
    tt.manual_seed(3)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))


@pytest.mark.parametrize("backend", ["eager", "interpreter", "llvm"])
def test_gradients_flow_through_casts(backend: Any) -> None:
    """To f32 parameters in f32, near those of f32; backward inside of the block or behind it."""
    tt.manual_seed(4)
    x, y = tt.randn(6, 1, 4, 4), tt.tensor([0, 1, 2, 0, 1, 2])
    model = small()

    def gradients(narrow: bool, inside: bool) -> Any:
        model.zero_grad()
        with tt.autocast("cpu", enabled=narrow):
            loss = F.cross_entropy(model(x), y)
            if inside:
                loss.backward()
        if not inside:
            loss.backward()
        return [p.grad for p in model.parameters()]

    step = gradients if backend == "eager" else tt.compile(gradients, backend=backend)
    full, inside, behind = (
        [g.numpy().copy() for g in step(*how)] for how in ((False, True), (True, True), (True, False))
    )
    for f, i, b in zip(full, inside, behind, strict=True):
        assert f.dtype == i.dtype == np.float32
        np.testing.assert_allclose(i, b, rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(i, f, atol=0.03 * max(1.0, np.abs(f).max()))
    assert any((f != i).any() for f, i in zip(full, inside, strict=True))


def test_the_pass_computes_what_the_block_does() -> None:
    model, x = small().eval(), tt.randn(2, 1, 4, 4)
    compiled = tt.compile(model, autocast=tt.bfloat16)
    with tt.no_grad():
        wide, narrow = model(x), compiled(x)
        with tt.autocast():
            expected = model(x)
    assert narrow.dtype is tt.float32 and expected.dtype is tt.bfloat16
    np.testing.assert_allclose(narrow.numpy(), expected.float().numpy(), rtol=0.02, atol=0.02)
    assert (narrow.numpy() != wide.numpy()).any()
    assert "bf16" in str(compiled.traced_graph)


def test_the_pass_keeps_state_and_gradients_in_f32() -> None:
    model, x, y = small(), tt.randn(6, 1, 4, 4), tt.tensor([0, 1, 2, 0, 1, 2])
    optimizer = tt.SGD(model.parameters(), lr=0.1)

    def step() -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    narrow = tt.compile(step, autocast=tt.bfloat16)
    losses = [float(narrow()) for _ in range(8)]
    assert losses[-1] < losses[0] - 0.1
    assert all(p.dtype is tt.float32 for p in model.parameters())
    model.eval().zero_grad()
    outside = tt.compile(lambda x: model(x).float().pow(2).sum(), autocast=tt.bfloat16)
    outside(x).backward()
    assert all(p.grad is not None and p.grad.dtype is tt.float32 for p in model.parameters())


def test_blocks_nest_decorate_and_end() -> None:
    a = tt.ones(2, 2)

    @tt.autocast("cpu", dtype=tt.float16)
    def product() -> Any:
        with tt.autocast(enabled=False):
            inner = a @ a
        return inner.dtype, (a @ a).dtype, tt.get_autocast_dtype()

    assert product() == (tt.float32, tt.float16, tt.float16) == product()
    with tt.autocast("cpu"), tt.autocast("cuda", dtype=tt.float32, enabled=False):
        assert (a @ a).dtype is tt.float32
    assert not tt.is_autocast_enabled() and tt.get_autocast_dtype() is tt.bfloat16
    with pytest.raises(KeyError), tt.amp.autocast("cpu"):
        raise KeyError
    assert (a @ a).dtype is tt.float32
    compiled = tt.compile(lambda: a @ a)
    assert compiled().dtype is tt.float32
    with tt.autocast():
        assert compiled().dtype is tt.bfloat16
    assert compiled().dtype is tt.float32


def test_layers_over_time_and_checkpoints() -> None:
    cell, x = nn.LSTM(4, 4), tt.randn(3, 2, 4)
    with tt.autocast():
        out, _ = cell(x)
    assert out.dtype is tt.float32  # states are; products of the inputs are not
    layer, x = nn.Linear(4, 4), tt.randn(2, 4)
    with tt.autocast():
        expected = layer(x)
        again = tt.checkpoint(layer, x)
    again.float().sum().backward()
    np.testing.assert_array_equal(again.float().numpy(), expected.float().numpy())
    assert layer.weight.grad is not None


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: tt.autocast("cuda"), 'the only device is "cpu"'),
        (lambda: tt.autocast(tt.bfloat16), "device_type"),  # pyright: ignore[reportArgumentType]
        (lambda: tt.autocast("cpu", dtype=tt.float32), "tt.bfloat16 or tt.float16"),
        (lambda: tt.autocast("cpu", enabled=1), "True or False"),  # pyright: ignore[reportArgumentType]
        (lambda: tt.compile(lambda x: x, autocast=tt.float64), "tt.float16 or None"),
    ],
)
def test_wrong_arguments(make: Callable[[], Any], text: str) -> None:
    with pytest.raises(tt.TinyTorchError, match=text):
        make()
