"""Embeddings, positions and rotations: against formulas and torch; eager, interpreted and compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinytorch as tt
from tinytorch.ir.errors import ShapeError, TinyTorchError

Array = np.ndarray[Any, Any]
BACKENDS = ["eager", "interpreter", "llvm"]


def on(backend: str, function: Callable[..., Any]) -> Callable[..., Any]:
    return function if backend == "eager" else tt.compile(function, backend=backend)


# Tokens.
@pytest.mark.parametrize("backend", BACKENDS)
def test_rows_and_their_gradient(backend: str) -> None:
    layer = tt.Embedding(5, 2)
    with tt.no_grad():
        layer.weight.copy_(tt.arange(10).reshape(5, 2).cast("f32"))

    def step(indices: Any, seed: Any) -> Any:
        layer.weight.grad = None
        out = layer(indices)
        (out * seed).sum().backward()
        return out

    seed = tt.Tensor([[[1.0, 2], [3, 4]], [[5, 6], [7, 8]], [[9, 10], [11, 12]]])
    out = on(backend, step)(tt.Tensor([[1, 4], [1, 0], [4, 1]]), seed)
    assert out.tolist() == [[[2, 3], [8, 9]], [[2, 3], [0, 1]], [[8, 9], [2, 3]]]
    assert layer.weight.grad is not None
    assert layer.weight.grad.tolist() == [[7, 8], [17, 20], [0, 0], [0, 0], [12, 14]]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("padding", [2, -3])
def test_padding_begins_as_zeros_and_gets_no_gradient(padding: int, backend: str) -> None:
    layer = tt.Embedding(5, 3, padding_idx=padding)
    assert layer.padding_idx == 2 and layer.weight[2].tolist() == [0, 0, 0] and (layer.weight[3] != 0).all().item()
    with tt.no_grad():
        layer.weight[2] = 7.0  # a row that is read all the same

    def step(indices: Any) -> Any:
        layer.weight.grad = None
        out = layer(indices)
        out.sum().backward()
        return out

    out = on(backend, step)(tt.Tensor([2, 0, 2, 0]))
    assert out[0].tolist() == [7, 7, 7] and layer.weight.grad is not None
    assert layer.weight.grad[:, 0].tolist() == [2, 0, 0, 0, 0]


def test_weights_begin_as_normal_numbers() -> None:
    weight = tt.Embedding(200, 300, generator=tt.Generator(1)).weight.numpy()
    assert abs(weight.mean()) < 0.02 and abs(weight.std() - 1) < 0.02
    np.testing.assert_array_equal(weight, tt.Embedding(200, 300, generator=tt.Generator(1)).weight.numpy())


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("token", [5, -1, 2**40])
def test_tokens_out_of_range_are_named(token: int, backend: str) -> None:
    layer = tt.Embedding(5, 2)
    run = on(backend, lambda indices: layer(indices))
    with pytest.raises(IndexError, match=rf"{token} is out of range for size 5") as error:
        run(tt.Tensor([[1, token]]))
    assert "test_embeddings.py:" in str(error.value)
    assert run(tt.Tensor([[1, 4]])).shape == (1, 2, 2)


@pytest.mark.parametrize("dtype", ["i8", "u8", "i32", "i64"])
def test_any_integers_are_tokens(dtype: str) -> None:
    layer = tt.Embedding(5, 2)
    found = layer(tt.Tensor([4, 0]).cast(dtype))
    np.testing.assert_array_equal(found.numpy(), layer.weight.numpy()[[4, 0]])
    assert layer(tt.zeros(0, 3, dtype=dtype)).shape == (0, 3, 2)


def test_bad_tables_and_tokens() -> None:
    for make, message in (
        (lambda: tt.Embedding(0, 2), "vocab_size is a positive integer"),
        (lambda: tt.Embedding(4, 2.0), "embed_dim is a positive integer"),  # pyright: ignore[reportArgumentType]
        (lambda: tt.Embedding(4, 2, padding_idx=4), "padding_idx is one of 4 rows, got 4"),
        (lambda: tt.Embedding(4, 2, padding_idx=-5), "padding_idx is one of 4 rows, got -5"),
        (lambda: tt.Embedding(4, 2)(tt.Tensor([1.0])), "embedding: needs integers and a matrix, got f32"),
        (lambda: tt.Embedding(4, 2)(tt.Tensor([True])), "embedding: needs integers"),
        (lambda: tt.embedding(tt.Tensor([1]), tt.ones(3)), "needs integers and a matrix"),
    ):
        with pytest.raises(TinyTorchError, match=message) as error:
            make()
        assert "test_embeddings.py:" in str(error.value)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 7), st.integers(1, 5), st.integers(0, 9), st.booleans(), st.integers(0, 2**32 - 1))
def test_embedding_matches_torch(rows: int, width: int, count: int, padded: bool, seed: int) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    weight, g = rng.normal(size=(rows, width)), rng.normal(size=(count, width))
    indices, padding = rng.integers(0, rows, count), int(rng.integers(rows)) if padded else None
    mine, other = tt.Tensor(weight, requires_grad=True), torch.tensor(weight, requires_grad=True)
    out = tt.embedding(tt.Tensor(indices), mine, padding)
    wanted = torch.nn.functional.embedding(torch.tensor(indices), other, padding)
    (out * tt.Tensor(g)).sum().backward()
    (wanted * torch.tensor(g)).sum().backward()
    np.testing.assert_array_equal(out.numpy(), wanted.detach().numpy())
    assert mine.grad is not None
    np.testing.assert_allclose(mine.grad.numpy(), other.grad.numpy(), rtol=1e-12, atol=1e-12)


# Positions.
@pytest.mark.parametrize("width", [6, 5, 1])
def test_sinusoids_follow_the_formula(width: int) -> None:
    layer = tt.PositionalEncoding(50, width, kind="sinusoidal", dtype=tt.f64)
    wanted = np.zeros((50, width))
    for t in range(50):
        for i in range(width):
            angle = t / 10000 ** ((i - i % 2) / width)
            wanted[t, i] = np.cos(angle) if i % 2 else np.sin(angle)
    np.testing.assert_allclose(layer(tt.zeros(2, 50, width, dtype=tt.f64)).numpy()[1], wanted, atol=1e-14)
    assert not layer.parameters() and not layer.state_dict()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", ["learned", "sinusoidal"])
def test_positions_are_added(kind: str, backend: str) -> None:
    layer = tt.PositionalEncoding(8, 4, kind=kind)
    x, places = tt.randn(2, 3, 4), tt.Tensor([[0, 1, 2], [5, 7, 6]])
    run = on(backend, lambda x, places=None: layer(x, places))
    table = layer.weight.numpy()
    np.testing.assert_allclose(run(x).numpy(), x.numpy() + table[:3], rtol=1e-6)
    np.testing.assert_allclose(run(x, places).numpy(), x.numpy() + table[places.numpy()], rtol=1e-6)
    assert len(layer.parameters()) == (kind == "learned")


def test_learned_positions_get_the_sum_over_the_batch() -> None:
    layer = tt.PositionalEncoding(4, 2)
    layer(tt.ones(3, 2, 2)).sum().backward()
    assert layer.weight.grad is not None and layer.weight.grad.tolist() == [[3, 3], [3, 3], [0, 0], [0, 0]]
    assert 0.005 < tt.PositionalEncoding(64, 64).weight.std().item() < 0.04


def test_dropout_behind_positions() -> None:
    layer = tt.PositionalEncoding(4, 1000, kind="sinusoidal", dropout=0.5)
    x = tt.full((1, 4, 1000), 10.0)
    dropped = (layer(x) == 0).cast(tt.f32).mean().item()
    assert 0.4 < dropped < 0.6
    assert (layer.eval()(x) != 0).all().item()


def test_bad_positions() -> None:
    layer = tt.PositionalEncoding(4, 2)
    for make, kind, message in (
        (lambda: layer(tt.ones(1, 5, 2)), ShapeError, "5 positions are more than the 4 that there are"),
        (lambda: layer(tt.ones(1, 3, 3)), ShapeError, r"x is \[\.\.\., length, 2\], got f32\[1,3,3\]"),
        (lambda: layer(tt.ones(1, 3, 2), tt.Tensor([0, 1])), ShapeError, r"positions are \[\.\.\., 3\], got i64\[2\]"),
        (lambda: layer(tt.ones(1, 2, 2), tt.Tensor([[0, 1], [1, 2]])), ShapeError, r"\[2, 2\] do not broadcast to x"),
        (lambda: layer(tt.ones(1, 2, 2), tt.Tensor([3, 4])), IndexError, "4 is out of range for size 4"),
        (lambda: tt.PositionalEncoding(4, 2, kind="none"), TinyTorchError, 'kind is "learned" or "sinusoidal"'),
        (lambda: tt.PositionalEncoding(0, 2), TinyTorchError, "max_seq_len is a positive integer"),
        (lambda: tt.RotaryEmbedding(3, 8), TinyTorchError, "head_dim is an even number, got 3"),
        (lambda: tt.RotaryEmbedding(4, 8, base=0.0), TinyTorchError, "base is a positive number"),
        (lambda: tt.RotaryEmbedding(4, 8)(tt.ones(9, 4)), ShapeError, "9 positions are more than the 8"),
        (lambda: tt.RotaryEmbedding(4, 8)(tt.ones(3, 2)), ShapeError, r"x is floats \[\.\.\., length, 4\]"),
        (lambda: tt.apply_rotary(tt.ones(3, 4), tt.ones(3, 4), tt.ones(3, 4)), ShapeError, r"are \[\.\.\., 2\], got"),
        (lambda: tt.apply_rotary(tt.ones(3, 4), tt.ones(5, 2), tt.ones(5, 2)), ShapeError, "broadcast"),
    ):
        with pytest.raises(kind, match=message) as error:
            make()
        assert "test_embeddings.py:" in str(error.value)


# Rotations.
def rotated(x: Array, positions: Array, base: float = 10000.0) -> Array:
    """By complex numbers: the pair (x[i], x[i + d / 2]) is one."""
    half = x.shape[-1] // 2
    angles = positions[..., None] * base ** (-np.arange(half) / half)
    turned = (x[..., :half] + 1j * x[..., half:]) * np.exp(1j * angles)
    return np.concatenate([turned.real, turned.imag], -1)


@pytest.mark.parametrize("backend", BACKENDS)
def test_rotary_embedding(backend: str) -> None:
    x = np.random.default_rng(1).normal(size=(2, 3, 5, 6))
    layer = tt.RotaryEmbedding(6, 16, base=100.0, dtype=tt.f64)
    run = on(backend, lambda x, places=None: layer(x, places))
    np.testing.assert_allclose(run(tt.Tensor(x)).numpy(), rotated(x, np.arange(5), 100), rtol=1e-12)
    one = np.array([3, 0, 15, 2, 2])
    np.testing.assert_allclose(run(tt.Tensor(x), tt.Tensor(one)).numpy(), rotated(x, one, 100), rtol=1e-12)
    each = np.array([[0, 1, 2, 3, 4], [11, 12, 13, 14, 15]])
    wanted = rotated(x, each[:, None], 100)
    np.testing.assert_allclose(run(tt.Tensor(x), tt.Tensor(each)).numpy(), wanted, rtol=1e-12)
    angles = np.arange(5)[:, None] * 100.0 ** (-np.arange(3) / 3)
    by_hand = tt.apply_rotary(tt.Tensor(x), tt.Tensor(np.cos(angles)), tt.Tensor(np.sin(angles)))
    np.testing.assert_allclose(by_hand.numpy(), rotated(x, np.arange(5), 100), rtol=1e-12)


def test_products_depend_on_the_distance_alone() -> None:
    rng, layer = np.random.default_rng(2), tt.RotaryEmbedding(8, 64, dtype=tt.f64)
    q, k = (tt.Tensor(np.repeat(rng.normal(size=(1, 8)), 64, 0)) for _ in range(2))
    products = (layer(q) @ layer(k).mT).numpy()
    for distance in (-20, 0, 7):
        np.testing.assert_allclose(np.diag(products, distance), np.diag(products, distance)[0], rtol=1e-9)
    assert not layer.parameters() and not layer.state_dict()


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients_are_turned_back(backend: str) -> None:
    rng, layer = np.random.default_rng(3), tt.RotaryEmbedding(6, 16, dtype=tt.f64)
    x, g, places = rng.normal(size=(2, 3, 4, 6)), rng.normal(size=(2, 3, 4, 6)), np.array([[2, 3, 4, 5], [0, 1, 2, 3]])

    def gradient(x: Any, g: Any, places: Any) -> Any:
        return tt.grad(lambda x: (layer(x, places) * g).sum())(x)

    found = on(backend, gradient)(tt.Tensor(x), tt.Tensor(g), tt.Tensor(places))
    np.testing.assert_allclose(found.numpy(), rotated(g, -places[:, None]), rtol=1e-12, atol=1e-12)


def test_tables_get_gradients_too() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(4)
    arrays = [rng.normal(size=s) for s in ((2, 3, 4), (3, 2), (3, 2), (2, 3, 4))]
    x, cos, sin, g = (tt.Tensor(a, requires_grad=True) for a in arrays)
    (tt.apply_rotary(x, cos, sin) * g).sum().backward()
    tx, tcos, tsin, tg = (torch.tensor(a, requires_grad=True) for a in arrays)
    a, b = tx.chunk(2, -1)
    (torch.cat([a * tcos - b * tsin, a * tsin + b * tcos], -1) * tg).sum().backward()
    for mine, other in ((x, tx), (cos, tcos), (sin, tsin), (g, tg)):
        assert mine.grad is not None
        np.testing.assert_allclose(mine.grad.numpy(), other.grad.numpy(), rtol=1e-10)


@pytest.mark.parametrize("dtype", ["f16", "bf16"])
def test_halves_are_turned_in_f32(dtype: str) -> None:
    x, layer = tt.randn(7, 8).cast(dtype), tt.RotaryEmbedding(8, 16)
    wanted = layer(x.float()).cast(dtype)
    assert layer(x).dtype == wanted.dtype
    np.testing.assert_array_equal(layer(x).float().numpy(), wanted.float().numpy())
