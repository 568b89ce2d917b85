"""Keys and values that are kept: decoding with them equals computing the whole sequence anew, row by row."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinytorch as tt
from tests.test_key_value_cache import plan_of_compiled, written_in_place

Array = np.ndarray[Any, Any]
Forward = Callable[[Any], Any]
VOCABULARY = 29


class Attention(tt.Module):
    """Of `heads` heads that share `groups` keys and values."""

    def __init__(self, width: int, heads: int, groups: int) -> None:
        super().__init__()
        self.heads, self.groups, self.size = heads, groups, width // heads
        self.query = tt.Linear(width, width)
        self.key, self.value = (tt.Linear(width, groups * self.size) for _ in range(2))

    def forward(self, x: Any, cache: Any, layer: int) -> Any:
        parts = ((self.query, self.heads), (self.key, self.groups), (self.value, self.groups))
        q, k, v = (f(x).reshape(*x.shape[:2], count, self.size).transpose(1, 2) for f, count in parts)
        if cache is not None:
            made = tt.attention_with_cache(q, k, v, cache, layer)
        else:
            made = attend(q, *(repeated(y, self.heads // self.groups) for y in (k, v)))
        return made.transpose(1, 2).reshape(x.shape)


def repeated(x: Any, times: int) -> Any:
    batch, groups, length, size = x.shape
    return (
        x.unsqueeze(2).broadcast_to((batch, groups, times, length, size)).reshape(batch, groups * times, length, size)
    )


def attend(q: Any, k: Any, v: Any) -> Any:
    """Causal attention where query i stands at key i."""
    seen = tt.arange(k.shape[-2]) <= tt.arange(q.shape[-2]).unsqueeze(1)
    return tt.where(seen, q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]), -math.inf).softmax(-1) @ v


class Model(tt.Module):
    def __init__(self, layers: int, width: int, heads: int, groups: int, most: int) -> None:
        super().__init__()
        self.tokens, self.places = (tt.Parameter(tt.randn(count, width)) for count in (VOCABULARY, most))
        self.layers = [Attention(width, heads, groups) for _ in range(layers)]
        self.head = tt.Linear(width, VOCABULARY)

    def forward(self, indices: Any, cache: Any = None) -> Any:
        length = indices.shape[1]
        start = tt.zeros(1, dtype="i64") if cache is None else cache.begin()
        x = self.tokens[indices] + self.places[start.unsqueeze(1) + tt.arange(length)]
        for i, layer in enumerate(self.layers):
            x = x + layer(x, cache, i)
        if cache is not None:
            cache.advance(length)
        return self.head(x)


def compiled(backend: str | None) -> Callable[[Forward], Forward]:
    return (lambda f: f) if backend is None else (lambda f: tt.compile(f, backend=backend))


def padded(prompts: list[list[int]]) -> Any:
    longest = max(map(len, prompts))
    return tt.Tensor(np.array([p + [0] * (longest - len(p)) for p in prompts]))


def generated(model: Model, cache: Any, prompts: list[list[int]], steps: int, wrap: Any) -> tuple[Any, Array]:
    """Each prompt with what follows it, and the logits of each token that was chosen, [steps, batch, vocabulary]."""
    forward = wrap(lambda x: model(x, cache=cache))
    rows, found = [list(p) for p in prompts], []
    logits = forward(padded(prompts)).numpy()
    cache.truncate(tt.Tensor(np.array([len(p) for p in prompts])))
    last = np.stack([logits[b, len(p) - 1] for b, p in enumerate(prompts)])
    for _ in range(steps):
        found.append(last)
        for row, token in zip(rows, last.argmax(1), strict=True):
            row.append(int(token))
        last = forward(tt.Tensor(last.argmax(1)[:, None])).numpy()[:, 0]
    return rows, np.stack(found)


def recomputed(model: Model, prompt: list[int], steps: int) -> tuple[list[int], Array]:
    """The same of one row alone, from the whole sequence each time."""
    row, found = list(prompt), []
    for _ in range(steps):
        found.append(model(tt.Tensor(np.array([row]))).numpy()[0, -1])
        row.append(int(found[-1].argmax()))
    return row, np.stack(found)


def cache_of(model: Model, batch: int, most: int) -> tt.KVCache:
    first = model.layers[0]
    width = first.heads * first.size
    return tt.KVCache(batch, most, len(model.layers), width, num_heads=first.heads, num_kv_heads=first.groups)


@pytest.mark.parametrize("backend", [None, "interpreter", "llvm"])
@pytest.mark.parametrize(
    ("prompts", "groups"), [([[3, 1, 4]], 4), ([[3, 1, 4, 1, 5], [9], [2, 6]], 4), ([[5, 3, 5], [8, 9], [7]], 2)]
)
def test_with_a_cache_and_without(prompts: list[list[int]], groups: int, backend: str | None) -> None:
    tt.manual_seed(0)
    model, steps = Model(2, 16, 4, groups, 12), 7
    with tt.no_grad():
        rows, found = generated(model, cache_of(model, len(prompts), 12), prompts, steps, compiled(backend))
        for b, prompt in enumerate(prompts):
            row, wanted = recomputed(model, prompt, steps)
            assert rows[b] == row
            np.testing.assert_allclose(found[:, b], wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backend", [None, "llvm"])
def test_a_row_never_depends_on_its_neighbours(backend: str | None) -> None:
    """To the bit, whatever they hold, infinities as well."""
    tt.manual_seed(0)
    model = Model(2, 16, 4, 2, 12)
    with tt.no_grad():
        found: list[Array] = []
        for other in ([9, 2], [1]):
            cache = cache_of(model, 2, 12)
            for kept in (*cache.keys, *cache.values):
                kept.fill_(math.nan if len(other) == 1 else 0.0)
            forward = compiled(backend)(lambda x, cache=cache: model(x, cache=cache))
            forward(padded([[3, 1, 4, 1], other]))
            cache.truncate(tt.Tensor(np.array([4, len(other)])))
            found.append(np.stack([forward(tt.Tensor(np.array([[t], [len(other) + t]]))).numpy()[0] for t in range(5)]))
    np.testing.assert_array_equal(*found)
    assert np.isfinite(found[0]).all()


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_appending_in_any_pieces_is_attention_over_all(data: st.DataObject) -> None:
    batch, groups, times, size = (data.draw(st.integers(1, 3)) for _ in range(4))
    counts = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=4))
    total, layers = sum(counts), data.draw(st.integers(1, 2))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    q = rng.normal(size=(batch, groups * times, total, size)).astype(np.float32)
    k, v = (rng.normal(size=(batch, groups, total, size)).astype(np.float32) for _ in range(2))
    cache = tt.KVCache(
        batch, max(1, total) + data.draw(st.integers(0, 2)), layers, groups * times * size,
        num_heads=groups * times, num_kv_heads=groups,
    )  # fmt: skip
    ends = np.cumsum(counts)[:-1]
    layer = layers - 1
    pieces = zip(*(np.split(x, ends, 2) for x in (q, k, v)), strict=True)
    made = [tt.attention_with_cache(*map(tt.Tensor, piece), cache, layer).numpy() for piece in pieces]
    wanted = attend(tt.Tensor(q), *(repeated(tt.Tensor(x), times) for x in (k, v))).numpy()
    np.testing.assert_allclose(np.concatenate(made, 2), wanted, rtol=1e-4, atol=1e-5)
    for kept, given_ in zip(cache.get(layer), (k, v), strict=True):
        np.testing.assert_array_equal(kept.numpy(), given_)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=4), st.lists(st.integers(0, 3), max_size=3))
def test_rows_of_different_lengths(lengths: list[int], counts: list[int]) -> None:
    """What `get` gives, against lists of rows."""
    rng, most = np.random.default_rng(0), 5 + sum(counts)
    cache = tt.KVCache(len(lengths), most, 1, 4)

    def new(count: int) -> Array:
        return rng.normal(size=(len(lengths), count, 4)).astype(np.float32)

    x = new(5)
    cache.update(0, tt.Tensor(x), tt.Tensor(-x))
    cache.advance(tt.Tensor(np.array(lengths)))
    rows = [[*x[b, :n]] for b, n in enumerate(lengths)]
    for count in counts:
        x = new(count)
        cache.update(0, tt.Tensor(x), tt.Tensor(-x))
        rows = [[*row, *x[b]] for b, row in enumerate(rows)]
    keys, values = (x.numpy() for x in cache.get(0))
    assert keys.shape == values.shape == (len(rows), max(map(len, rows)), 4)
    for b, row in enumerate(rows):
        np.testing.assert_array_equal(keys[b, : len(row)], np.array(row).reshape(-1, 4))
        np.testing.assert_array_equal(values[b, : len(row)], -np.array(row).reshape(-1, 4))
        assert not keys[b, len(row) :].any() and not values[b, len(row) :].any()


def test_forms_of_keys_and_values() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 3, 5, 4)).astype(np.float32)  # batch, heads, length, size
    flat = np.ascontiguousarray(x.transpose(0, 2, 1, 3)).reshape(2, 5, 12)
    cache = tt.KVCache(2, 8, 3, 12)
    keys, values, positions = cache.update(1, tt.Tensor(x), tt.Tensor(2 * x))
    assert keys.shape == values.shape == (2, 3, 8, 4) and positions.tolist() == [0, 0]
    np.testing.assert_array_equal(keys.numpy()[:, :, :5], x)
    np.testing.assert_array_equal(cache.get(1)[1].numpy(), 2 * x)
    assert cache.get(0)[0].shape == (2, 3, 0, 4)
    keys, values, positions = cache.update(1, tt.Tensor(flat[:, :2]), tt.Tensor(flat[:, :2]))
    assert keys.shape == (2, 8, 12) and positions.tolist() == [5, 5]
    np.testing.assert_array_equal(cache.get(1)[0].numpy(), np.concatenate([flat, flat[:, :2]], 1))


def test_one_head_without_its_axis() -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    cache = tt.KVCache(2, 8, 1, 4)
    found = [tt.attention_with_cache(*[tt.Tensor(x[:, t : t + 1])] * 3, cache, 0).numpy() for t in range(3)]
    np.testing.assert_allclose(np.concatenate(found, 1), attend(*[tt.Tensor(x)] * 3).numpy(), rtol=1e-5, atol=1e-6)


def test_against_a_formula() -> None:
    """Two keys whose scores differ by ln 3: weights of 1/4 and 3/4."""
    cache = tt.KVCache(1, 4, 1, 1)
    one = tt.ones(1, 1, 1)
    assert tt.attention_with_cache(one, one * 0, one, cache, 0).item() == 1
    found = tt.attention_with_cache(one, one * math.log(3), one * 5, cache, 0, scale=1.0)
    assert found.item() == pytest.approx(0.25 * 1 + 0.75 * 5, rel=1e-6)


def test_gradients_stop() -> None:
    x = tt.ones(1, 1, 4).requires_grad_()
    cache = tt.KVCache(1, 4, 1, 4)
    tt.attention_with_cache(x * 2, x, x, cache, 0).sum().backward()
    assert not any(y.requires_grad for y in (*cache.keys, *cache.values, *cache.get(0)))


@pytest.mark.parametrize("dtype", ["bf16", "f16", "f64"])
def test_dtypes(dtype: str) -> None:
    cache = tt.KVCache(1, 4, 1, 4, dtype=dtype)
    x = tt.randn(1, 2, 4).cast(dtype)
    assert tt.attention_with_cache(x, x, x, cache, 0).dtype == cache.keys[0].dtype == x.dtype
    with pytest.raises(
        tt.ShapeError, match=rf"key and value are {dtype}\[1, heads.*got f32\[1,2,4\].*\n.*cache\.update"
    ):
        cache.update(0, tt.ones(1, 2, 4), tt.ones(1, 2, 4))


# What a step does.
def test_one_executable_serves_every_step_and_copies_nothing() -> None:
    model = Model(3, 12, 3, 3, 4096)
    cache = cache_of(model, 2, 4096)
    forward = tt.compile(lambda x: model(x, cache=cache))
    graphs: set[int] = set()
    with tt.no_grad():
        for _ in range(3):
            forward(tt.zeros(2, 1, dtype="i64"))
            graphs.add(id(forward.traced_graph))
    assert len(graphs) == 1 and cache.positions.tolist() == [3, 3]
    assert written_in_place(plan_of_compiled(forward)) == [True] * 6


def test_a_cache_among_the_arguments() -> None:
    tt.manual_seed(0)
    model = Model(2, 16, 4, 4, 12)
    forward = tt.compile(model)
    graphs: set[int] = set()
    with tt.no_grad():
        cache, eager = cache_of(model, 1, 12), cache_of(model, 1, 12)
        for token in range(4):
            x = tt.Tensor(np.array([[token]]))
            found, wanted = forward(x, cache=cache).numpy(), model(x, cache=eager).numpy()
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
            graphs.add(id(forward.traced_graph))
    assert len(graphs) == 1 and cache.positions.tolist() == [4]


# Failures.
@pytest.mark.parametrize("backend", [None, "interpreter", "llvm"])
def test_a_full_cache(backend: str | None) -> None:
    model = Model(2, 16, 4, 4, 32)
    cache = cache_of(model, 2, 6)
    forward = compiled(backend)(lambda x: model(x, cache=cache))
    with tt.no_grad():
        forward(tt.zeros(2, 5, dtype="i64"))
        cache.truncate(tt.Tensor(np.array([5, 2])))
        forward(tt.ones(2, 1, dtype="i64"))
        kept = [x.numpy().copy() for x in cache.buffers()]
        with pytest.raises(
            IndexError, match=r"KVCache of 6 tokens is full: 1 more from position 6 .*\n.*attention_with_cache"
        ):
            forward(tt.ones(2, 1, dtype="i64"))
    assert cache.positions.tolist() == [6, 3]
    for mine, other in zip(cache.buffers(), kept, strict=True):
        np.testing.assert_array_equal(mine.numpy()[..., 0], other[..., 0])


def test_more_tokens_than_there_is_room_for() -> None:
    cache = tt.KVCache(1, 4, 2, 4)
    with pytest.raises(IndexError, match=r"KVCache of 4 tokens is full: 5 tokens are more.*\n.*cache\.update"):
        cache.update(0, tt.ones(1, 5, 4), tt.ones(1, 5, 4))
    with pytest.raises(IndexError, match=r"KVCache of 4 tokens is full: a length 5 .*\n.*cache\.advance"):
        cache.advance(5)
    with pytest.raises(IndexError, match=r"a length -1 .*\n.*cache\.truncate"):
        cache.truncate(tt.tensor(-1))
    assert cache.positions.tolist() == [0]


def test_a_forward_that_fails_halfway() -> None:
    """The next one finds the cache as it was."""
    tt.manual_seed(0)
    model = Model(2, 16, 4, 4, 12)
    cache, twin = cache_of(model, 1, 12), cache_of(model, 1, 12)
    first, second = (tt.Tensor(np.array(x)) for x in ([[1, 2, 3]], [[4]]))
    whole = model.layers[1]
    with tt.no_grad():
        model(first, cache=cache)
        model.layers[1] = tt.Linear(16, 16)  # takes no cache
        with pytest.raises(TypeError):
            model(second, cache=cache)
        model.layers[1] = whole
        assert cache.positions.tolist() == [3]
        found = model(second, cache=cache).numpy()
        for x in (first, second):
            wanted = model(x, cache=twin).numpy()
    np.testing.assert_array_equal(found, wanted)
    assert cache.positions.tolist() == twin.positions.tolist() == [4]


def test_reset_and_truncate() -> None:
    cache = tt.KVCache(2, 4, 1, 1)
    x = tt.Tensor(np.arange(8, dtype=np.float32).reshape(2, 4, 1))
    cache.update(0, x, x)
    assert cache.get(0)[0].shape == (2, 4, 1)
    cache.advance(4)
    cache.truncate(tt.Tensor(np.array([1, 9 - 5])))
    assert cache.positions.tolist() == [1, 4]
    cache.truncate(2)
    assert cache.positions.tolist() == [1, 2] and cache.get(0)[0].tolist() == [[[0], [0]], [[4], [5]]]
    cache.reset()
    assert cache.positions.tolist() == [0, 0] and cache.get(0)[1].shape == (2, 0, 1)
    cache.update(0, x[:, 1:2], x[:, 1:2])
    assert cache.get(0)[0].tolist() == [[[1]], [[5]]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 4, 1, 4), "max_batch_size is a positive integer"),
        ((1, 4.0, 1, 4), "max_seq_len is a positive integer"),
        ((1, 4, True, 4), "num_layers is a positive integer"),
        ((1, 4, 1, 4, 3), "embed_dim 4 is no multiple of num_heads 3"),
        ((1, 4, 1, 4, 4, 3), "4 heads do not share 3"),
        ((1, 4, 1, 4, None, 2), "num_kv_heads needs num_heads"),
        ((1, 4, 1, 4, 2, 2, 0), "head_dim is a positive integer"),
        ((1, 4, 1, 4, 2, 2, 2, "i32"), "dtype is a float dtype"),
    ],
)
def test_caches_that_make_no_sense(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(tt.TinyTorchError, match=rf"KVCache: {message}(.|\n)*tt\.KVCache"):
        tt.KVCache(*arguments)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ((3, 4, 1, 2), (3, 4, 1, 2)),  # of another batch size
        ((1, 4, 1, 2), (1, 4, 1, 2)),
        ((2, 2, 1, 2), (2, 2, 1, 2)),  # heads
        ((2, 2, 1, 4), (2, 2, 1, 4)),
        ((2, 4, 1, 3), (2, 4, 1, 3)),
        ((2, 4, 1, 2), (2, 4, 2, 2)),
        ((2, 8), (2, 8)),
    ],
)
def test_keys_that_do_not_fit(key: tuple[int, ...], value: tuple[int, ...]) -> None:
    cache = tt.KVCache(2, 4, 1, 8, num_heads=4)
    with pytest.raises(tt.ShapeError, match=r"key and value are f32\[2, 4, length, 2\], or .*got .*\n.*cache\.update"):
        cache.update(0, tt.ones(*key), tt.ones(*value))
    assert not cache.get(0)[0].numel()


def test_layers_that_do_not_exist() -> None:
    cache = tt.KVCache(1, 4, 2, 4)
    with pytest.raises(IndexError, match=r"update: layer_idx 2 is out of range for 2 layers\n.*cache\.update"):
        cache.update(2, tt.ones(1, 1, 4), tt.ones(1, 1, 4))
    with pytest.raises(tt.TinyTorchError, match=r"get: layer_idx is an integer that is not negative.*\n.*cache\.get"):
        cache.get(-1)


def test_what_fits_no_cache() -> None:
    cache, x = tt.KVCache(2, 4, 1, 4, num_heads=2), tt.ones(2, 2, 1, 2)
    for q, k in ((x, tt.ones(2, 1, 4)), (tt.ones(2, 3, 1, 2), x), (tt.ones(2, 2, 2, 2), x), (x.double(), x)):
        with pytest.raises(tt.ShapeError, match=r"do not fit each other\n.*attention_with_cache"):
            tt.attention_with_cache(q, k, k, cache, 0)
    with pytest.raises(tt.TinyTorchError, match=r"cache is a KVCache"):
        tt.attention_with_cache(x, x, x, None, 0)  # pyright: ignore[reportArgumentType]
    for count in (tt.ones(2), tt.zeros(3, dtype="i64")):
        with pytest.raises(tt.ShapeError, match=r"needs i64\[2\].*\n.*cache\.advance"):
            cache.advance(count)


def test_the_valid_part_is_not_known_in_a_trace() -> None:
    cache = tt.KVCache(1, 4, 1, 4)
    with pytest.raises(tt.TraceError, match=r"KVCache\.get: .*\n.*cache\.get"):
        tt.compile(lambda: cache.get(0)[0])()


def test_what_a_state_dict_holds() -> None:
    cache, other = tt.KVCache(1, 4, 2, 4), tt.KVCache(1, 4, 2, 4)
    cache.update(1, tt.ones(1, 3, 4), tt.ones(1, 3, 4))
    cache.advance(3)
    assert sorted(cache.state_dict()) == ["keys.0", "keys.1", "positions", "values.0", "values.1"]
    other.load_state_dict(cache.state_dict())
    np.testing.assert_array_equal(other.get(1)[0].numpy(), cache.get(1)[0].numpy())
    assert not list(cache.parameters()) and other.positions.tolist() == [3]
