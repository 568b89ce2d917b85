"""Text that GPT makes: how tokens are chosen, prompts of different lengths, stopping, streaming, caches, errors; and
weights of GPT-2."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.frontend.transformers.sampling import draw, most_probable
from tinytorch.ir.errors import TinyTorchError

Array = np.ndarray[Any, Any]
BACKENDS = ["eager", "interpreter", "llvm"]


def on(backend: str, function: Callable[..., Any]) -> Callable[..., Any]:
    return function if backend == "eager" else tt.compile(function, backend=backend)


# Choosing.
def shares(logits: Array, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None) -> Array:
    """The probabilities of a row, by sorting."""
    weights = np.exp((logits - logits.max()) / temperature)
    order = np.argsort(-weights, kind="stable")
    if top_k is not None:
        weights[weights < weights[order[min(top_k, len(weights)) - 1]]] = 0
    if top_p is not None:
        sums = np.cumsum(weights[order])
        last = np.searchsorted(sums, top_p * sums[-1])
        weights[weights < weights[order[last]]] = 0
    return weights / weights.sum()


CHOICES: list[dict[str, Any]] = [
    {}, {"temperature": 0.3}, {"temperature": 5.0}, {"top_k": 1}, {"top_k": 4}, {"top_k": 99}, {"top_p": 0.5},
    {"top_p": 0.95}, {"top_p": 1e-6}, {"top_k": 6, "top_p": 0.7, "temperature": 1.5}, {"top_p": 0.0},
]  # fmt: skip


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("options", CHOICES, ids=str)
def test_tokens_are_drawn_by_their_probabilities(options: dict[str, Any], backend: str) -> None:
    rows = np.random.default_rng(1).normal(size=(3, 12)).astype(np.float32) * 3
    rows[1, 3:] = -np.inf
    rows[2, ::2] = rows[2, 0]  # which are equally probable
    count = 4001
    uniform = (np.arange(count, dtype=np.float32) + 0.5) / count
    limits = {name: tt.tensor(float(options[name])) for name in ("top_k", "top_p") if name in options}

    def run(logits: Any, uniform: Any, temperature: Any, limits: Any) -> Any:
        return draw(logits, uniform, temperature, limits.get("top_k"), limits.get("top_p"))

    for row in rows:
        logits = tt.Tensor(np.repeat(row[None], count, 0))
        drawn = on(backend, run)(logits, tt.Tensor(uniform), tt.tensor(options.get("temperature", 1.0)), limits)
        found = np.bincount(drawn.numpy(), minlength=12) / count
        wanted = shares(row.astype(np.float64), **options)
        np.testing.assert_allclose(found, wanted, atol=1.5 / count)
        assert not found[wanted == 0].any()


@pytest.mark.parametrize("backend", BACKENDS)
def test_rows_that_are_not_finite_are_marked(backend: str) -> None:
    logits = tt.Tensor([[1.0, float("nan")], [0.0, 2.0], [float("inf"), 1.0], [float("-inf")] * 2])
    one, half = tt.tensor(1.0), tt.full((4,), 0.5)
    assert on(backend, lambda x: draw(x, half, one, None, None))(logits).tolist() == [-1, 1, -1, -1]
    assert on(backend, most_probable)(logits).tolist()[:3] == [-1, 1, 0]


# A cache, as small as it can be.
class Cache(tt.Module):
    def __init__(self, batch: int, most: int, layers: int, groups: int, size: int) -> None:
        super().__init__()
        self.max_seq_len = most
        for name in ("keys", "values"):
            self.register_buffer(name, tt.zeros(layers, batch, most, groups, size))
        self.register_buffer("positions", tt.zeros(batch, dtype=tt.i64))
        self.register_buffer("pending", tt.zeros(layers, dtype=tt.i64))

    def begin(self) -> Any:
        return self.positions.clone()

    def update(self, layer_idx: int, key: Any, value: Any) -> Any:
        for kept, new in ((self.keys, key), (self.values, value)):
            for row in range(key.shape[0]):
                at = self.positions[row]
                kept[layer_idx, row, at : at + key.shape[2]] = new[row].transpose(0, 1)
        keys, values = (x[layer_idx].transpose(1, 2) for x in (self.keys, self.values))
        return keys, values, self.positions.clone()

    def advance(self, count: int) -> None:
        self.positions += count

    def truncate(self, lengths: Any) -> None:
        self.positions.copy_(tt.minimum(self.positions, lengths))

    def reset(self) -> None:
        self.positions.zero_()


NEW: dict[str, Any] = {
    "positions": "rotary", "norm": "rms", "activation": "relu2", "bias": False, "qk_norm": True,
    "value_residual": True, "num_kv_heads": 2,
}  # fmt: skip


def made(seed: int = 0, context_length: int = 24, **options: Any) -> Any:
    """A model whose next token depends on all before it."""
    model = tt.GPT(13, 16, 2, 4, context_length, dropout=0.2, **options)
    rng = np.random.default_rng(seed)
    with tt.no_grad():
        for parameter in model.parameters():
            values = rng.normal(size=parameter.shape) * 0.5 + (1.0 if parameter.ndim < 2 else 0.0)
            parameter.copy_(tt.Tensor(values.astype(np.float32)))
    return model


def by_hand(model: Any, prompt: Sequence[int], most: int) -> list[int]:
    """The most probable tokens, each by a forward of all before it."""
    model.eval()
    tokens = list(prompt)
    with tt.no_grad():
        while len(tokens) < most:
            tokens.append(int(model(tt.Tensor([tokens[-model.context_length :]]))[0, -1].argmax().item()))
    return tokens


# Generation.
PROMPTS = [[1, 2, 3], [4], [*range(12), 7, 7, 1, 0, 5]]


@pytest.mark.parametrize("options", [{}, NEW], ids=["gpt2", "new"])
def test_the_most_probable_tokens(options: dict[str, Any]) -> None:
    model = made(**options)
    cache = Cache(3, 24, 2, options.get("num_kv_heads", 4), 4)
    wanted = [by_hand(model, prompt, 24) for prompt in PROMPTS]
    assert len({tuple(row[-5:]) for row in wanted}) == 3
    assert model.generate(PROMPTS, 24, temperature=0) == wanted
    assert model.generate(PROMPTS, 24, temperature=0.7, top_k=1) == wanted
    assert [model.generate(prompt, 24, temperature=0) for prompt in PROMPTS] == wanted
    assert model.generate(PROMPTS, 24, temperature=0, cache=cache) == wanted
    assert model.generate(PROMPTS[::-1], 24, temperature=0, cache=cache) == wanted[::-1]  # it is emptied first
    assert model.generate(tt.Tensor([[1, 2, 3], [3, 2, 1]]), 6, 0)[0] == wanted[0][:6]


def test_the_context_moves_on() -> None:
    model = made(context_length=10)
    assert model.generate([1, 2, 3], 40, temperature=0) == by_hand(model, [1, 2, 3], 40)
    assert model.generate([[1, 2, 3], [5] * 9], 40, 0)[1] == by_hand(model, [5] * 9, 40)


@pytest.mark.parametrize("limits", [{}, {"top_k": 3}, {"top_p": 0.8}], ids=str)
def test_a_row_depends_on_its_prompt_and_seed_alone(limits: dict[str, Any]) -> None:
    model = made(**NEW)
    together = model.generate(PROMPTS, 20, 0.9, seed=5, **limits)
    assert together == model.generate(PROMPTS, 20, 0.9, seed=5, **limits)
    assert together != model.generate(PROMPTS, 20, 0.9, seed=6, **limits)
    for row, prompt in enumerate(PROMPTS):
        assert model.generate(prompt, 20, 0.9, seed=5 + row, **limits) == together[row]
        cache = Cache(1, 20, 2, 2, 4)
        assert model.generate(prompt, 20, 0.9, seed=5 + row, cache=cache, **limits) == together[row]
    assert model.generate(PROMPTS, 20, 0.9, seed=5, cache=Cache(3, 20, 2, 2, 4), **limits) == together


def test_what_draws_without_a_seed() -> None:
    model = made()
    tt.manual_seed(3)
    first = model.generate([[1], [1]], 20)
    assert first[0] != first[1] and first != model.generate([[1], [1]], 20)
    tt.manual_seed(3)
    assert first == model.generate([[1], [1]], 20)
    found = [model.generate([1], 20, generator=tt.Generator(8)) for _ in range(2)]
    assert found[0] == found[1]


def test_stopping_and_streaming() -> None:
    model, seen = made(), []
    full = model.generate([1, 2], 24, seed=1)
    stop = full[6]
    end = full.index(stop, 2) + 1
    assert model.generate([1, 2], 24, seed=1, stop=stop, callback=seen.append) == full[:end]
    assert seen == full[2:end]
    assert model.generate([1, 2], 24, seed=1, stop=[stop, 12])[-1] in (stop, 12)
    several: list[tuple[int, int]] = []
    rows = model.generate([[1, 2], [3]], 9, seed=1, stop=[stop], callback=lambda t, row: several.append((t, row)))
    assert [t for t, row in several if row == 0] == rows[0][2:] and [t for t, row in several if row] == rows[1][1:]
    alone = model.generate([3], 9, seed=2)
    assert rows[1] == (alone[: alone.index(stop, 1) + 1] if stop in alone[1:] else alone)
    assert model.generate([1, 2], 2) == [1, 2]


def test_the_mode_is_that_of_evaluation_and_then_as_before() -> None:
    model = made()
    model.blocks[0].eval()
    before = [module.training for module in model.modules()]
    assert model.generate([1], 20, 0) == model.generate([1], 20, 0)
    assert [module.training for module in model.modules()] == before and model.training
    with pytest.raises(ZeroDivisionError):
        model.generate([1], 20, callback=lambda token: 1 / 0)
    assert model.training and not any(p.grad is not None for p in model.parameters())


def test_new_weights_are_read() -> None:
    model, other = made(0), made(1)
    first = model.generate([1], 20, 0)
    model.load_state_dict(other.state_dict())
    assert model.generate([1], 20, 0) == other.generate([1], 20, 0) != first


def test_few_executables_serve_all_lengths() -> None:
    model, cache = made(context_length=64), Cache(1, 64, 2, 4, 4)
    for length in range(1, 30, 4):
        model.generate([1] * length, length + 5, seed=length, temperature=1 + length / 10)
        model.generate([1] * length, length + 5, seed=length, cache=cache)
    steps = model.steps
    assert len(steps._without) == 3  # of 16, 32 and 64 tokens
    assert len(steps._with) == 2  # of prompts, and of one token


def test_bad_calls() -> None:
    model = made(context_length=8)
    for call, message in (
        (lambda: model.generate([], 5), "the prompt is empty"),
        (lambda: model.generate([[1], []], 5), "the prompt is empty"),
        (lambda: model.generate("abc", 5), "prompt is a list of tokens"),
        (lambda: model.generate(["a"], 5), "token 0 of the prompt is an integer, got 'a'"),
        (lambda: model.generate([[1], 2], 5), "prompt 1 is a list of tokens, as the first one is, got 2"),
        (lambda: model.generate([np.array(1)], 5), "prompt 0 is a list of tokens"),
        (lambda: model.generate([1, 13], 5), r"token 1 of the prompt is in \[0, 13\), got 13"),
        (lambda: model.generate([[1], [0, -1]], 5), r"token 1 of the prompt is in \[0, 13\), got -1"),
        (lambda: model.generate([1] * 9, 12), "a prompt of 9 tokens is longer than the context, 8"),
        (lambda: model.generate([1, 2, 3], 2), "a prompt of 3 tokens is longer than max_length 2"),
        (lambda: model.generate([1], 0), "max_length is a positive integer"),
        (lambda: model.generate([1], 5, -1.0), "temperature is a number that is not negative"),
        (lambda: model.generate([1], 5, top_k=0), "top_k is a positive integer"),
        (lambda: model.generate([1], 5, top_p=1.5), "top_p is a number between 0 and 1"),
        (lambda: model.generate([1], 5, seed=0.5), "seed is an integer"),
        (lambda: model.generate([1], 5, stop=["a"]), "a token of stop is an integer"),
        (lambda: model.generate([1], 5, callback=3), "callback is a function or None"),
        (lambda: model.generate([1], 5, generator=3), "generator is a Generator or None"),
        (lambda: model.generate([1], 9, cache=Cache(1, 12, 2, 4, 4)), "max_length 9 is more than .* or the model's 8"),
        (lambda: model.generate([1], 7, cache=Cache(1, 6, 2, 4, 4)), "max_length 7 is more than the cache's 6"),
        (lambda: model.generate([1], 5, cache=Cache(2, 6, 2, 4, 4)), "1 prompts do not fit a cache of 2 rows"),
    ):
        with pytest.raises(TinyTorchError, match=message) as error:
            call()
        assert "test_generation.py:" in str(error.value)
    with tt.no_grad():
        model.norm.weight[0] = float("nan")
    for temperature in (0, 1):
        with pytest.raises(TinyTorchError, match="logits behind 2 tokens are not finite"):
            model.generate([1, 2], 5, temperature)


# Weights of GPT-2.
def published(d: int = 16, vocab: int = 11, context: int = 9, layers: int = 2, hidden: int = 40) -> dict[str, Array]:
    rng = np.random.default_rng(7)
    shapes: dict[str, tuple[int, ...]] = {"wte.weight": (vocab, d), "wpe.weight": (context, d)}
    parts = {"ln_f": (d,)}
    for i in range(layers):
        parts |= {f"h.{i}.ln_1": (d,), f"h.{i}.ln_2": (d,), f"h.{i}.attn.c_attn": (d, 3 * d)}
        parts |= {f"h.{i}.attn.c_proj": (d, d), f"h.{i}.mlp.c_fc": (d, hidden), f"h.{i}.mlp.c_proj": (hidden, d)}
        shapes[f"h.{i}.attn.bias"] = (1, 1, context, context)
    for name, shape in parts.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[-1:]}
    return {name: (rng.normal(size=shape) * 0.4).astype(np.float32) for name, shape in shapes.items()}


def gpt2(w: dict[str, Array], tokens: Array, heads: int) -> Array:
    """The formula in f64 numpy."""

    def norm(x: Array, name: str) -> Array:
        x = x - x.mean(-1, keepdims=True)
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5) * w[f"{name}.weight"] + w[f"{name}.bias"]

    def product(x: Array, name: str) -> Array:
        return x @ w[f"{name}.weight"].astype(np.float64) + w[f"{name}.bias"]

    x, length = w["wte.weight"][tokens].astype(np.float64) + w["wpe.weight"][: len(tokens)], len(tokens)
    for i in range(2):
        parts = product(norm(x, f"h.{i}.ln_1"), f"h.{i}.attn.c_attn").reshape(length, 3, heads, -1)
        q, k, v = parts.transpose(1, 2, 0, 3)
        scores = np.where(np.tri(length, dtype=bool), q @ k.swapaxes(1, 2) / np.sqrt(q.shape[-1]), -np.inf)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        out = (weights / weights.sum(-1, keepdims=True)) @ v
        x = x + product(out.swapaxes(0, 1).reshape(length, -1), f"h.{i}.attn.c_proj")
        y = product(norm(x, f"h.{i}.ln_2"), f"h.{i}.mlp.c_fc")
        y = 0.5 * y * (1 + np.tanh(np.sqrt(2 / np.pi) * (y + 0.044715 * y**3)))
        x = x + product(y, f"h.{i}.mlp.c_proj")
    return norm(x, "ln_f") @ w.get("lm_head.weight", w["wte.weight"]).T


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("prefix", ["", "transformer."])
@pytest.mark.parametrize("head", [None, "same", "own"])
def test_weights_of_gpt2(head: str | None, prefix: str, backend: str, tmp_path: Path) -> None:
    weights = published()
    if head is not None:
        weights["lm_head.weight"] = weights["wte.weight"] * (2 if head == "own" else 1)
    names = {name: name if name == "lm_head.weight" else prefix + name for name in weights}
    tt.save_safetensors({names[name]: array for name, array in weights.items()}, tmp_path / "model.safetensors")
    model = tt.GPT.from_safetensors(tmp_path / "model.safetensors", num_heads=4)
    assert (model.vocab_size, model.context_length, model.num_layers) == (11, 9, 2)
    assert (model.head is not None) == (head == "own")
    tokens = np.array([3, 0, 10, 7, 7, 1, 2])
    found = on(backend, lambda tokens: model(tokens))(tt.Tensor(tokens[None])).numpy()[0]
    np.testing.assert_allclose(found, gpt2(weights, tokens, 4), rtol=1e-4, atol=1e-4)


def test_heads_are_64_wide_by_default(tmp_path: Path) -> None:
    tt.save_safetensors(published(d=128), tmp_path / "wide.safetensors")
    assert tt.GPT.from_safetensors(tmp_path / "wide.safetensors").blocks[0].attention.num_heads == 2
    tt.save_safetensors(published(), tmp_path / "narrow.safetensors")
    with pytest.raises(TinyTorchError, match="vectors of 16, no multiple of 64; give num_heads"):
        tt.GPT.from_safetensors(tmp_path / "narrow.safetensors")


def test_files_that_are_not_of_gpt2(tmp_path: Path) -> None:
    path, good = tmp_path / "model.safetensors", published()

    def without(*names: str) -> dict[str, Array]:
        return {name: array for name, array in good.items() if name not in names}

    wrong = np.zeros((3, 3), np.float32)
    for weights, message in (
        (without("wte.weight"), "wte.weight is missing"),
        (without("h.0.mlp.c_fc.weight"), "h.0.mlp.c_fc.weight is missing"),
        (without("h.1.ln_2.bias", "ln_f.weight"), r"missing: ln_f.weight \[16\]\n.*missing: h.1.ln_2.bias \[16\]"),
        ({**good, "extra": wrong}, r"unknown: extra \[3, 3\]"),
        ({**good, "h.1.attn.c_proj.weight": wrong}, r"h.1.attn.c_proj.weight: \[16, 16\] is wanted, .* \[3, 3\]"),
        ({**good, "wpe.weight": np.zeros(3, np.float32)}, r"wpe.weight is \[3\], not a matrix"),
        ({**good, "ln_f.bias": np.zeros(16, np.int64)}, "ln_f.bias: floats are wanted, the file has int64"),
        ({name: a for name, a in good.items() if not name.startswith("h.")}, "h.0.mlp.c_fc.weight is missing"),
        ({name.replace("h.0.", "h.2."): a for name, a in good.items()}, "h.0.mlp.c_fc.weight is missing"),
        ({name.replace("h.1.", "h.999999999."): a for name, a in good.items()}, r"unknown: h.999999999.ln_1.weight"),
    ):
        tt.save_safetensors(weights, path)
        with pytest.raises(TinyTorchError, match=message) as error:
            tt.GPT.from_safetensors(path, 4)
        assert "test_generation.py:" in str(error.value)
    tt.save_safetensors(good, path)
    with pytest.raises(TinyTorchError, match="num_heads is a positive integer, got 0"):
        tt.GPT.from_safetensors(path, 0)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(TinyTorchError, match="not a whole safetensors file"):
        tt.GPT.from_safetensors(path, 4)
