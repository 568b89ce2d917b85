"""Blocks and GPT: every option and all gradients against formulas in torch; eager, interpreted and compiled."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.ir.errors import ShapeError, TinyTorchError

BACKENDS = ["eager", "interpreter", "llvm"]


def on(backend: str, function: Callable[..., Any]) -> Callable[..., Any]:
    return function if backend == "eager" else tt.compile(function, backend=backend)


def spread_out(model: Any, seed: int = 0) -> Any:
    """Parameters that are all different from 0, 1 and each other."""
    rng = np.random.default_rng(seed)
    with tt.no_grad():
        for parameter in model.parameters():
            values = rng.normal(size=parameter.shape) * 0.3 + (0.5 if parameter.ndim < 2 else 0)
            parameter.copy_(tt.Tensor(values).cast(parameter.dtype))
    return model


# The formulas, in torch, of the parameters by their names.
def norm(p: Any, name: str, x: Any) -> Any:
    F = pytest.importorskip("torch").nn.functional
    weight, bias = p[f"{name}.weight"], p.get(f"{name}.bias")
    if weight.rms:
        return F.rms_norm(x, x.shape[-1:], weight)
    return F.layer_norm(x, x.shape[-1:], weight, bias)


def linear(p: Any, name: str, x: Any) -> Any:
    out = x @ p[f"{name}.weight"].T
    return out + p[f"{name}.bias"] if f"{name}.bias" in p else out


def turned(x: Any, base: float = 10000.0) -> Any:
    torch = pytest.importorskip("torch")
    half = x.shape[-1] // 2
    angles = torch.arange(x.shape[-2])[:, None] * base ** (-torch.arange(half, dtype=x.dtype) / half)
    a, b = x.chunk(2, -1)
    return torch.cat([a * angles.cos() - b * angles.sin(), a * angles.sin() + b * angles.cos()], -1)


def block_of_torch(
    p: Any, name: str, x: Any, heads: int, activation: str = "gelu", causal: bool = False, rotary: bool = False,
    groups: int | None = None, first: Any = None,
) -> tuple[Any, Any]:  # fmt: skip
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    y, batch, length = norm(p, f"{name}norm1", x), *x.shape[:2]
    q, k, v = (
        linear(p, f"{name}attention.{part}", y).view(batch, length, count, -1).transpose(1, 2)
        for part, count in (("query", heads), ("key", groups or heads), ("value", groups or heads))
    )
    size = q.shape[-1]
    if (mix := p.get(f"{name}attention.value_mix")) is not None:
        v = mix[0] * v + mix[1] * first
    if (scale := p.get(f"{name}attention.qk_scale")) is not None:
        q, k = F.rms_norm(q, (size,)) * (scale * size**-0.5), F.rms_norm(k, (size,))
    if rotary:
        q, k = turned(q), turned(k)
    out = F.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=groups is not None)
    x = x + linear(p, f"{name}attention.output", out.transpose(1, 2).reshape(batch, length, -1))
    y = norm(p, f"{name}norm2", x)
    h = linear(p, f"{name}feed_forward.up", y)
    h = {
        "gelu": lambda: F.gelu(h), "gelu_tanh": lambda: F.gelu(h, approximate="tanh"), "relu": lambda: F.relu(h),
        "relu2": lambda: F.relu(h).square(), "swiglu": lambda: F.silu(linear(p, f"{name}feed_forward.gate", y)) * h,
    }[activation]()  # fmt: skip
    return x + linear(p, f"{name}feed_forward.down", h), v


def in_torch(model: Any) -> dict[str, Any]:
    torch = pytest.importorskip("torch")
    rms = {f"{name}.weight" for name, module in model.named_modules() if isinstance(module, tt.RMSNorm)}
    found = {name: torch.tensor(t.numpy(), requires_grad=True) for name, t in model.named_parameters()}
    for name, tensor in found.items():
        tensor.rms = name in rms
    return found


def assert_gradients(model: Any, p: dict[str, Any], tolerance: float = 1e-7) -> None:
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        wanted = p[name].grad.numpy()
        limit = tolerance * max(1, np.abs(wanted).max())
        np.testing.assert_allclose(parameter.grad.numpy(), wanted, rtol=tolerance, atol=limit, err_msg=name)


# Blocks.
BLOCKS: list[dict[str, Any]] = [
    {},
    {"activation": "gelu_tanh", "bias": False, "causal": True},
    {"activation": "relu", "norm": "rms", "num_kv_heads": 2, "mlp_ratio": 1.5},
    {"activation": "relu2", "norm": "rms", "bias": False, "qk_norm": True, "causal": True},
    {"activation": "swiglu", "num_kv_heads": 1, "mlp_ratio": 8 / 3},
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("options", BLOCKS, ids=str)
def test_a_block_matches_its_formula(options: dict[str, Any], backend: str) -> None:
    torch = pytest.importorskip("torch")
    block = spread_out(tt.TransformerBlock(12, 4, dtype=tt.f64, **options))
    rng = np.random.default_rng(1)
    x, g = rng.normal(size=(2, 20, 12)), rng.normal(size=(2, 20, 12))

    def step(x: Any, g: Any) -> Any:
        block.zero_grad()
        out = block(x)
        (out * g).sum().backward()
        return out

    found, p = on(backend, step)(tt.Tensor(x), tt.Tensor(g)), in_torch(block)
    wanted, _ = block_of_torch(
        p, "", torch.tensor(x), 4, options.get("activation", "gelu"), options.get("causal", False),
        groups=options.get("num_kv_heads"),
    )  # fmt: skip
    (wanted * torch.tensor(g)).sum().backward()
    np.testing.assert_allclose(found.numpy(), wanted.detach().numpy(), rtol=1e-9, atol=1e-9)
    assert_gradients(block, p)
    assert block.feed_forward.up.out_features == round(options.get("mlp_ratio", 4) * 12)


def test_a_block_takes_a_mask_and_drops_in_training() -> None:
    block = tt.TransformerBlock(8, 2, dropout=0.5)
    x, past = tt.randn(1, 5, 8), tt.tril(tt.ones(5, 5)).bool()
    assert (block(x) != block(x)).any().item()
    block.eval()
    changed = x.clone()
    changed[0, 4] = 7.0
    np.testing.assert_allclose(block(x, past)[0, :4].numpy(), block(changed, past)[0, :4].numpy(), rtol=1e-5, atol=1e-6)
    assert not np.allclose(block(x)[0, :4].numpy(), block(changed)[0, :4].numpy())


# GPT.
RECIPE: dict[str, Any] = {
    "positions": "rotary", "norm": "rms", "activation": "relu2", "bias": False, "qk_norm": True,
    "value_residual": True, "initialization": "identity",
}  # fmt: skip
MODELS: list[dict[str, Any]] = [
    {},
    {"tied": False, "bias": False, "activation": "gelu"},
    RECIPE,
    {"positions": "none", "activation": "swiglu", "num_kv_heads": 2, "norm": "rms", "tied": False},
]


def gpt_of_torch(model: Any, p: Any, tokens: Any, options: dict[str, Any]) -> Any:
    x = p["token_embedding.weight"][tokens]
    if "positions.weight" in p:
        x = x + p["positions.weight"][: tokens.shape[1]]
    first = None
    for i in range(len(model.blocks)):
        x, v = block_of_torch(
            p, f"blocks.{i}.", x, 4, options.get("activation", "gelu_tanh"), True, model.positions is None
            and options["positions"] == "rotary", options.get("num_kv_heads"), first,
        )  # fmt: skip
        first = v if first is None else first
    return norm(p, "norm", x) @ p.get("head.weight", p["token_embedding.weight"]).T


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("options", MODELS, ids=lambda o: "-".join(map(str, o)) or "gpt2")
def test_gpt_matches_its_formula(options: dict[str, Any], backend: str) -> None:
    torch = pytest.importorskip("torch")
    model = spread_out(tt.GPT(11, 16, 3, 4, context_length=24, dtype=tt.f64, **options))
    rng = np.random.default_rng(2)
    tokens, targets = rng.integers(0, 11, (2, 17)), rng.integers(0, 11, (2, 17))

    def step(tokens: Any, targets: Any) -> Any:
        model.zero_grad()
        loss = model(tokens, targets)
        loss.backward()
        return loss, model(tokens)

    loss, logits = on(backend, step)(tt.Tensor(tokens), tt.Tensor(targets))
    p = in_torch(model)
    wanted = gpt_of_torch(model, p, torch.tensor(tokens), options)
    other = torch.nn.functional.cross_entropy(wanted.flatten(0, 1), torch.tensor(targets).flatten())
    other.backward()
    np.testing.assert_allclose(logits.numpy(), wanted.detach().numpy(), rtol=1e-8, atol=1e-8)
    assert abs(loss.item() - other.item()) < 1e-10
    assert_gradients(model, p)


def test_the_parameters_of_gpt2() -> None:
    model = tt.GPT(50, 16, 2, 4, context_length=32)
    block = 12 * 16 * 16 + 13 * 16  # 4 d² + 8 d², biases 4 d + 5 d, norms 4 d
    assert sum(p.numel() for p in model.parameters()) == (50 + 32) * 16 + 2 * block + 2 * 16
    assert model.head is None and tt.GPT(50, 16, 2, 4, tied=False).head is not None
    weights = dict(model.named_parameters())
    assert not any(t.numpy().any() for name, t in weights.items() if name.endswith(".bias"))
    big = dict(tt.GPT(300, 128, 2, 4, generator=tt.Generator(0)).named_parameters())
    for name, deviation in (
        ("token_embedding.weight", 0.02), ("positions.weight", 0.02), ("blocks.1.attention.key.weight", 0.02),
        ("blocks.0.attention.output.weight", 0.01), ("blocks.1.feed_forward.down.weight", 0.01),
    ):  # fmt: skip
        assert abs(big[name].numpy().std() / deviation - 1) < 0.05, name


def test_the_recipe_begins_with_blocks_that_are_identities() -> None:
    model = tt.GPT(300, 128, 2, 4, context_length=16, **RECIPE)
    weights = dict(model.named_parameters())
    for name, deviation in (
        ("token_embedding.weight", 0.02), ("blocks.1.attention.query.weight", 128**-0.5),
        ("blocks.0.feed_forward.up.weight", 128**-0.5), ("blocks.1.attention.output.weight", 0),
        ("blocks.0.feed_forward.down.weight", 0),
    ):  # fmt: skip
        assert abs(weights[name].numpy().std() - deviation) < 0.05 * deviation + 1e-9, name
    assert [n for n in weights if "value_mix" in n] == ["blocks.1.attention.value_mix"]
    assert weights["blocks.0.attention.qk_scale"].item() == pytest.approx(math.sqrt(32))
    x = tt.randn(1, 3, 128)
    assert model.blocks[0](x).tolist() == x.tolist()
    apart = dict(tt.GPT(300, 128, 2, 4, **{**RECIPE, "tied": False}).named_parameters())
    assert not apart["head.weight"].numpy().any() and 0.9 < apart["token_embedding.weight"].numpy().std() < 1.1
    matrices = [p for p in model.blocks.parameters() if p.ndim == 2]
    assert len(matrices) == 2 * 6 and all(p.ndim < 2 for p in model.parameters() if not any(p is m for m in matrices)
        and p is not model.token_embedding.weight)  # fmt: skip


@pytest.mark.parametrize("options", [{}, RECIPE], ids=["gpt2", "recipe"])
def test_a_compiled_step_trains_as_an_eager_one(options: dict[str, Any]) -> None:
    losses: dict[str, list[float]] = {}
    rng = np.random.default_rng(3)
    tokens = tt.Tensor(rng.integers(0, 11, (2, 17)))
    for backend in ("eager", "llvm"):
        tt.manual_seed(4)
        model = tt.GPT(11, 16, 2, 4, context_length=16, dropout=0.1, **options)
        optimizer = tt.AdamW(model.parameters(), lr=0.02)

        def step(tokens: Any, model: Any = model, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            loss = model(tokens[:, :-1], tokens[:, 1:])
            loss.backward()
            optimizer.step()
            return loss

        run = on(backend, step)
        losses[backend] = [run(tokens).item() for _ in range(25)]
    np.testing.assert_allclose(losses["eager"], losses["llvm"], rtol=2e-3)
    assert losses["llvm"][-1] < 0.7 * losses["llvm"][0]


def test_dropout_of_the_embedding_is_its_own() -> None:
    tokens = tt.zeros(1, 4, dtype=tt.i64)
    none, some = (tt.GPT(5, 8, 1, 2, dropout=p, embedding_dropout=q) for p, q in ((0.0, 0.0), (0.0, 0.5)))
    assert (none(tokens) == none(tokens)).all().item() and (some(tokens) != some(tokens)).any().item()
    assert tt.GPT(5, 8, 1, 2, dropout=0.3).embedding_dropout == 0.3


def test_targets_that_do_not_count() -> None:
    model = tt.GPT(5, 8, 1, 2)
    tokens = tt.Tensor([[1, 2, 3]])
    part = model(tokens, tt.Tensor([[2, -100, -100]])).item()
    assert part == pytest.approx(-model(tokens).log_softmax(-1)[0, 0, 2].item(), rel=1e-5)


def test_models_are_saved_copied_and_pickled(tmp_path: Any) -> None:
    model = spread_out(tt.GPT(5, 8, 1, 2, context_length=8, **RECIPE))
    model.generate([1], 3)
    model.save(tmp_path / "gpt.safetensors")
    other = tt.GPT(5, 8, 1, 2, context_length=8, **RECIPE)
    other.load(tmp_path / "gpt.safetensors")
    for twin in (other, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert twin(tt.Tensor([[1, 2]])).tolist() == model(tt.Tensor([[1, 2]])).tolist()
        assert twin.generate([1], 6, seed=1) == model.generate([1], 6, seed=1)


def test_bad_models_and_tokens() -> None:
    make, model = tt.GPT, tt.GPT(5, 8, 1, 2, context_length=4)
    for call, kind, message in (
        (lambda: make(0, 8, 1, 2), TinyTorchError, "GPT: vocab_size is a positive integer"),
        (lambda: make(5, 8, 0, 2), TinyTorchError, "num_layers is a positive integer"),
        (lambda: make(5, 8, 1, 3), TinyTorchError, "embed_dim is a multiple of num_heads 3"),
        (lambda: make(5, 8, 1, 2, positions="rope"), TinyTorchError, 'positions is "learned", "sinusoidal", "rotary"'),
        (lambda: make(5, 8, 1, 2, norm="batch"), TinyTorchError, 'norm is "layer" or "rms"'),
        (lambda: make(5, 8, 1, 2, activation="tanh"), TinyTorchError, 'activation is "gelu"'),
        (lambda: make(5, 8, 1, 2, initialization="0"), TinyTorchError, 'initialization is "gpt2" or "identity"'),
        (lambda: make(5, 8, 1, 2, mlp_ratio=0), TinyTorchError, "mlp_ratio is a positive number"),
        (lambda: make(5, 8, 1, 2, dropout=-0.1), TinyTorchError, "dropout is a probability"),
        (lambda: make(5, 6, 1, 2, positions="rotary"), TinyTorchError, "head_dim is an even number, got 3"),
        (lambda: model(tt.Tensor([1, 2])), ShapeError, r"tokens are integers \[batch, length\], got i64\[2\]"),
        (lambda: model(tt.ones(1, 2)), ShapeError, r"tokens are integers \[batch, length\], got f32"),
        (lambda: model(tt.zeros(1, 5, dtype=tt.i64)), ShapeError, r"the context holds 1 to 4 tokens, got i64\[1,5\]"),
        (lambda: model(tt.zeros(1, 0, dtype=tt.i64)), ShapeError, "the context holds 1 to 4 tokens"),
        (lambda: model(tt.Tensor([[1]]), cache=tt.KVCache(3, 4, 1, 8, 2)), ShapeError, "has 1 rows, the cache 3"),
        (lambda: model(tt.Tensor([[5]])), IndexError, "5 is out of range for size 5"),
        (lambda: model(tt.Tensor([[1]]), tt.Tensor([1])), ShapeError, r"targets are \[1, 1\] integers, got i64\[1\]"),
    ):
        with pytest.raises(kind, match=message) as error:
            call()
        assert "test_transformers.py:" in str(error.value)
