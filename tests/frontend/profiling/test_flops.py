"""Operations of a forward against hand counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinytorch as tt

profiler = tt.Profiler(repeats=5, warmup=1)


def flops(model: Any, *shape: Any, **options: Any) -> int:
    return profiler.count_flops(model, shape, **options)


def test_a_linear_layer_multiplies_and_adds_its_bias() -> None:
    assert flops(tt.Linear(5, 7, bias=False), 3, 5) == 2 * 3 * 5 * 7
    assert flops(tt.Linear(5, 7), 3, 5) == 2 * 3 * 5 * 7 + 3 * 7
    assert flops(tt.Linear(5, 7, bias=False), 2, 3, 5) == 2 * 6 * 5 * 7


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        # batch · outputs · window · channels / groups, each a multiply and an add
        (tt.Conv2d(3, 8, 3, bias=False), (2, 3, 10, 9), 2 * 2 * (8 * 8 * 7) * 9 * 3),
        (tt.Conv2d(3, 8, 3, padding=1, bias=False), (2, 3, 10, 9), 2 * 2 * (8 * 10 * 9) * 9 * 3),
        (tt.Conv2d(3, 8, 3, padding=1), (2, 3, 10, 9), 2 * 2 * (8 * 10 * 9) * 9 * 3 + 2 * 8 * 10 * 9),
        (tt.Conv2d(4, 6, (3, 5), stride=2, padding=(1, 2), bias=False), (1, 4, 8, 8), 2 * (6 * 4 * 4) * 15 * 4),
        (tt.Conv2d(8, 12, 3, padding=1, groups=4, bias=False), (1, 8, 6, 6), 2 * (12 * 36) * 9 * 2),
        (tt.Conv2d(8, 8, 3, padding=1, groups=8, bias=False), (1, 8, 6, 6), 2 * (8 * 36) * 9),
        (tt.Conv2d(4, 4, 3, dilation=2, bias=False), (1, 4, 9, 9), 2 * (4 * 25) * 9 * 4),
        # batch · inputs · window · channels out / groups: each input meets the whole window
        (tt.ConvTranspose2d(4, 6, 3, bias=False), (2, 4, 5, 7), 2 * 2 * (4 * 5 * 7) * 9 * 6),
        (tt.ConvTranspose2d(4, 6, 3, stride=2, bias=False), (2, 4, 5, 7), 2 * 2 * (4 * 5 * 7) * 9 * 6),
        (tt.ConvTranspose2d(4, 6, 4, stride=2, padding=1, groups=2, bias=False), (1, 4, 5, 5), 2 * 100 * 16 * 3),
    ],
)
def test_convolutions(layer: tt.Module, shape: tuple[int, ...], expected: int) -> None:
    assert profiler.count_flops(layer, shape) == expected


def test_convolutions_count_as_in_pytorch() -> None:
    torch = pytest.importorskip("torch")
    from torch.utils.flop_counter import FlopCounterMode

    rng = np.random.default_rng(0)
    for _ in range(12):
        groups, stride, dilation = (int(n) for n in rng.integers(1, 4, 3))
        channels = [groups * int(n) for n in rng.integers(1, 4, 2)]
        options = {"stride": stride, "groups": groups, "bias": False, "padding": int(rng.integers(0, 2))}
        for name in ("Conv2d", "ConvTranspose2d"):
            more = options | ({"dilation": dilation} if name == "Conv2d" else {})
            size = (int(rng.integers(1, 4)), channels[0], 11, 8)
            with FlopCounterMode(display=False) as counter:
                getattr(torch.nn, name)(*channels, 3, **more)(torch.zeros(size))
            assert profiler.count_flops(getattr(tt, name)(*channels, 3, **more), size) == counter.get_total_flops()


def test_products_of_any_rank() -> None:
    assert profiler.count_flops(lambda a, b: a @ b, [(4, 5), (5, 6)]) == 2 * 4 * 5 * 6
    assert profiler.count_flops(lambda a, b: a @ b, [(2, 3, 4, 5), (2, 3, 5, 6)]) == 2 * 6 * 4 * 5 * 6
    assert profiler.count_flops(lambda a, b: a @ b, [(2, 3, 4, 5), (5, 6)]) == 2 * 6 * 4 * 5 * 6
    assert profiler.count_flops(lambda a, b: a @ b, [(5,), (5,)]) == 2 * 5


@pytest.mark.parametrize(("causal", "pairs"), [(False, 7 * 7), (True, 7 * 8 // 2)])
def test_attention(causal: bool, pairs: int) -> None:
    """Scores and sums over values for each pair of a query and a key that it sees; five for its softmax."""

    def attend(q: tt.Tensor, k: tt.Tensor, v: tt.Tensor) -> tt.Tensor:
        return tt.scaled_dot_product_attention(q, k, v, is_causal=causal)

    found = profiler.count_flops(attend, [(2, 3, 7, 8), (2, 3, 7, 8), (2, 3, 7, 4)])
    assert found == 2 * 3 * pairs * (2 * 8 + 2 * 4 + 5)


def test_embeddings_look_up() -> None:
    """One for each index, whose range is checked."""
    assert flops(tt.Embedding(10, 4), 2, 3) == 6
    assert flops(tt.Sequential(tt.Embedding(10, 4), tt.Linear(4, 5, bias=False)), 2, 3) == 6 + 2 * 6 * 4 * 5


def test_a_gpt_by_hand() -> None:
    """Products and attention of two layers, and the tied head."""
    batch, length, dim, layers, vocabulary = 2, 8, 16, 2, 11
    model = tt.GPT(vocabulary, dim, layers, 2, context_length=length, bias=False)
    found = flops(model, batch, length)
    tokens = batch * length
    products = 2 * tokens * (layers * 12 * dim * dim + vocabulary * dim)
    attention = layers * batch * 2 * (length * (length + 1) // 2) * (4 * 8 + 5)
    assert found.ops["matmul"] == products and found.ops["attention"] == attention
    others = found - products - attention
    assert 0 < others < 100 * layers * tokens * dim  # norms, activations, residuals


def test_modules_have_the_operations_of_what_is_below_them() -> None:
    inner = tt.Sequential(tt.Linear(4, 6, bias=False), tt.ReLU(), tt.Linear(6, 4, bias=False))
    model = tt.Sequential(inner, tt.Linear(4, 2, bias=False))
    found = flops(model, 3, 4)
    assert isinstance(found, int) and found == found.modules[""] == 2 * 3 * (24 + 24 + 8) + 18
    expected = {"0": 2 * 3 * 48 + 18, "0.0": 2 * 3 * 24, "0.1": 18, "0.2": 2 * 3 * 24, "1": 2 * 3 * 8}
    assert {name: n for name, n in found.modules.items() if name} == expected
    assert found.ops == {"matmul": 2 * 3 * 56, "relu": 18} or sum(found.ops.values()) == found
    assert "0.2" in found.table() and "100.0%" in found.table()


def test_a_module_that_runs_twice_counts_twice() -> None:
    layer = tt.Linear(4, 4, bias=False)
    found = flops(tt.Sequential(layer, layer), 3, 4)
    assert found == 2 * 2 * 3 * 16


def test_compiled_models_count_like_their_own() -> None:
    model = tt.Sequential(tt.Linear(4, 6), tt.GELU())
    compiled = tt.compile(model, freeze=True)
    assert flops(compiled, 3, 4) == flops(model, 3, 4)
    assert flops(compiled, 3, 4).modules == flops(model, 3, 4).modules


def test_nothing_runs_and_nothing_changes() -> None:
    model = tt.Sequential(tt.Conv2d(3, 4, 3), tt.BatchNorm2d(4), tt.Dropout(0.5))
    before = {name: t.numpy().copy() for name, t in model.state_dict().items()}
    seed = tt.get_rng_state().numpy().copy() if hasattr(tt, "get_rng_state") else None
    flops(model, 2, 3, 8, 8)
    assert model.training and all(m.training for m in model.modules())
    assert all(np.array_equal(t.numpy(), before[name]) for name, t in model.state_dict().items())
    assert seed is None or np.array_equal(seed, tt.get_rng_state().numpy())


def test_what_inputs_may_be() -> None:
    class Two(tt.Module):
        def forward(self, x: tt.Tensor, y: tt.Tensor) -> tt.Tensor:
            return x @ y

    assert profiler.count_flops(Two(), [(2, 3), (3, 4)]) == 48
    assert profiler.count_flops(Two(), [tt.zeros(2, 3), np.zeros((3, 4), np.float32)]) == 48
    assert profiler.count_flops(Two(), [(2, 3), (3, 4)], dtype="f64") == 48
    assert profiler.count_flops(lambda x, i: x[i], [(5, 3), (4,)], dtype=[None, tt.i64]) == 4
    assert profiler.count_flops(tt.Embedding(5, 2), (3,), dtype=tt.i32).ops["checked_index"] == 3


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        ("3x4", {}, "a shape"),
        ((3, -4), {}, "not negative"),
        ((3, 4.0), {}, "a shape"),
        ((3, True), {}, "a shape"),
        ([(3, 4), None], {}, "a shape"),
        ((3, 4), {"dtype": ["f32", "f32"]}, "one for each of 1 inputs"),
        ((3, 5), {}, "Linear"),
    ],
)
def test_bad_inputs(given: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(tt.TinyTorchError, match=message):
        profiler.count_flops(tt.Linear(4, 2), given, **options)


def test_bad_models() -> None:
    with pytest.raises(tt.TinyTorchError, match="model is a function"):
        profiler.count_flops(3, (2, 2))  # pyright: ignore[reportArgumentType]
    with pytest.raises(tt.TinyTorchError, match="model is a Module"):
        profiler.count_parameters(lambda x: x)  # pyright: ignore[reportArgumentType]

    def differentiates(x: tt.Tensor) -> tt.Tensor:
        return tt.grad(lambda y: (y * y).sum())(x)

    with pytest.raises(tt.TraceError, match="counts a forward"):
        profiler.count_flops(differentiates, (3,))
