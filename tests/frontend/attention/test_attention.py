"""Attention: every option and all gradients against formulas and torch; eager, interpreted and compiled."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinytorch as tt
from tinytorch.frontend.attention.functions import attention_at
from tinytorch.ir.errors import ShapeError, TinyTorchError

Array = np.ndarray[Any, Any]
BACKENDS = ["eager", "interpreter", "llvm"]


def on(backend: str, function: Callable[..., Any]) -> Callable[..., Any]:
    return function if backend == "eager" else tt.compile(function, backend=backend)


def formula(q: Array, k: Array, v: Array, seen: Any = True, added: Any = 0.0, scale: float | None = None) -> Array:
    """Attention in f64, with zeros for queries that see nothing."""
    scores = q @ np.swapaxes(k, -1, -2) * (1 / math.sqrt(q.shape[-1]) if scale is None else scale) + added
    scores = np.where(seen, scores, -np.inf)
    top = scores.max(-1, keepdims=True)
    weights = np.exp(scores - np.where(np.isinf(top), 0, top))
    total = weights.sum(-1, keepdims=True)
    return weights / np.where(total == 0, 1, total) @ v


def triangle(queries: int, keys: int) -> Array:
    return np.arange(keys) <= np.arange(queries)[:, None]


def random_qkv(*shapes: tuple[int, ...], seed: int = 0) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape) for shape in shapes]


# The function.
@pytest.mark.parametrize("backend", BACKENDS)
def test_expected_values(backend: str) -> None:
    q, k, v = tt.Tensor([[0.0, 0.0], [2.0, 0.0]]), tt.Tensor([[1.0, 5.0], [0.0, 7.0]]), tt.Tensor([[1.0], [3.0]])
    attention = on(backend, lambda **options: tt.scaled_dot_product_attention(q, k, v, **options))
    share = 1 / (1 + math.exp(-(2**0.5)))
    np.testing.assert_allclose(attention().numpy(), [[2], [3 - 2 * share]], rtol=1e-6)
    np.testing.assert_allclose(attention(is_causal=True).numpy(), [[1], [3 - 2 * share]], rtol=1e-6)
    np.testing.assert_allclose(attention(scale=0.0).numpy(), [[2], [2]], rtol=1e-6)
    seen = tt.Tensor([[False, False], [False, True]])
    assert attention(mask=seen).tolist() == [[0], [3]]
    assert attention(mask=seen, is_causal=True).tolist() == [[0], [3]]


SHAPES = [
    ((3, 4), (5, 4), (5, 2)),
    ((2, 3, 4), (2, 5, 4), (2, 5, 4)),
    ((2, 3, 4, 6), (2, 3, 5, 6), (2, 3, 5, 2)),
    ((2, 3, 4, 6), (1, 5, 6), (3, 5, 2)),
    ((2, 1, 3, 2, 4), (2, 2, 3, 2, 4), (3, 2, 1)),
    ((2, 3, 1, 4), (2, 3, 9, 4), (2, 3, 9, 4)),
    ((0, 3, 4), (0, 2, 4), (0, 2, 4)),
    ((2, 0, 4), (2, 3, 4), (2, 3, 4)),
    ((2, 3, 4), (2, 0, 4), (2, 0, 4)),
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_shapes_broadcast(shapes: Any, backend: str) -> None:
    arrays = random_qkv(*shapes)
    found = on(backend, tt.scaled_dot_product_attention)(*map(tt.Tensor, arrays)).numpy()
    lead = np.broadcast_shapes(*(s[:-2] for s in shapes))
    assert found.shape == (*lead, shapes[0][-2], shapes[2][-1])
    if shapes[1][-2]:
        np.testing.assert_allclose(found, formula(*arrays), rtol=1e-10, atol=1e-10)
    else:
        assert not found.any()


def drawn_mask(kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> Array | None:
    """A mask that broadcasts to `shape`, and leaves each query the first key."""
    if kind == "none":
        return None
    own = tuple(1 if rng.random() < 0.3 else n for n in shape)[int(rng.integers(0, len(shape) - 1)) :]
    if kind == "float":
        return rng.normal(size=own) * 2
    mask = rng.random(own) < 0.6
    mask[..., 0] = True
    return mask


@settings(max_examples=60, deadline=None)
@given(
    lead=st.sampled_from([(), (2,), (2, 3), (2, 1, 3)]), queries=st.integers(1, 6), keys=st.integers(1, 6),
    d=st.integers(1, 5), dv=st.integers(1, 5), causal=st.booleans(), mask=st.sampled_from(["none", "bool", "float"]),
    scale=st.sampled_from([None, 0.3]), groups=st.sampled_from([None, 1, 2]), seed=st.integers(0, 9999),
    dtype=st.sampled_from(["float64", "float32"]),
)  # fmt: skip
def test_attention_and_gradients_match_torch(
    lead: tuple[int, ...], queries: int, keys: int, d: int, dv: int, causal: bool, mask: str, scale: float | None,
    groups: int | None, seed: int, dtype: str,
) -> None:  # fmt: skip
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    heads, gqa = lead, groups is not None
    if groups is not None:
        heads, lead = (*lead, groups), (*lead, groups * 2)
    arrays = [rng.normal(size=s).astype(dtype) for s in ((*lead, queries, d), (*heads, keys, d), (*heads, keys, dv))]
    drawn = drawn_mask(mask, (*lead, queries, keys), rng)
    drawn = drawn.astype(dtype) if mask == "float" and drawn is not None else drawn
    g = rng.normal(size=(*lead, queries, dv)).astype(dtype)
    mine = [tt.Tensor(a, requires_grad=True) for a in arrays]
    other = [torch.tensor(a, requires_grad=True) for a in arrays]
    own_mask = None if drawn is None else tt.Tensor(drawn, requires_grad=mask == "float")
    its_mask = None if drawn is None else torch.tensor(drawn, requires_grad=mask == "float")
    out = tt.scaled_dot_product_attention(*mine, own_mask, is_causal=causal, scale=scale, enable_gqa=gqa)
    both = its_mask
    if causal and its_mask is not None:  # which torch takes one of
        past = torch.ones(queries, keys, dtype=torch.bool).tril()
        both = its_mask & past if mask == "bool" else torch.where(past, its_mask, -math.inf)
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        wanted = torch.nn.functional.scaled_dot_product_attention(
            *other, attn_mask=both, is_causal=causal and its_mask is None, scale=scale, enable_gqa=gqa
        )
    (out * tt.Tensor(g)).sum().backward()
    (wanted * torch.tensor(g)).sum().backward()
    rtol = 1e-9 if dtype == "float64" else 1e-4
    pairs = [(out, wanted.detach()), *((a.grad, b.grad) for a, b in zip(mine, other, strict=True))]
    if mask == "float":
        assert own_mask is not None and its_mask is not None
        pairs.append((own_mask.grad, its_mask.grad))
    for a, b in pairs:
        assert a is not None
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=rtol, atol=rtol)


def with_gradients(backend: str, arrays: list[Any], g: Array, **options: Any) -> list[Array]:
    """The result, and the gradients of q, k, v and a mask of floats."""
    floats = [i for i, a in enumerate(arrays) if a is not None and a.dtype != bool]

    def run(q: Any, k: Any, v: Any, g: Any, mask: Any = None) -> Any:
        def total(*operands: Any) -> Any:
            out = tt.scaled_dot_product_attention(*operands, **options)
            return (out * g).sum(), out

        (_, out), found = tt.value_and_grad(total, argnums=tuple(floats), has_aux=True)(q, k, v, mask)
        return (out, *found)

    operands = [None if a is None else tt.Tensor(a) for a in (*arrays[:3], g, *arrays[3:])]
    return [t.numpy() for t in on(backend, run)(*operands)]


@pytest.mark.parametrize("mask", ["none", "bool", "float"])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_compiled_as_eager(dtype: str, causal: bool, mask: str) -> None:
    rng = np.random.default_rng(7)
    shapes = ((2, 4, 19, 8), (2, 2, 21, 8), (2, 2, 21, 5))
    arrays: list[Any] = [rng.normal(size=s).astype(dtype) for s in shapes]
    drawn = drawn_mask(mask, (2, 4, 19, 21), rng)
    arrays.append(drawn.astype(dtype) if mask == "float" and drawn is not None else drawn)
    g = rng.normal(size=(2, 4, 19, 5)).astype(dtype)
    options = {"is_causal": causal, "enable_gqa": True}
    wanted = with_gradients("eager", arrays, g, **options)
    rtol = 1e-10 if dtype == "float64" else 2e-5
    for backend in ("interpreter", "llvm"):
        for a, b in zip(with_gradients(backend, arrays, g, **options), wanted, strict=True):
            np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)


# Special rows and values.
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", ["bool", "float"])
def test_a_query_that_sees_nothing_gives_zeros_and_no_gradient(kind: str, backend: str) -> None:
    q, k, v, g = random_qkv((2, 3, 4), (2, 5, 4), (2, 5, 3), (2, 3, 3), seed=1)
    seen = np.ones((2, 3, 5), bool)
    seen[0, 1], seen[1] = False, False
    mask = seen if kind == "bool" else np.where(seen, 0.0, -np.inf)
    out, dq, dk, dv, *dmask = with_gradients(backend, [q, k, v, mask], g)
    np.testing.assert_allclose(out, formula(q, k, v, seen), rtol=1e-10, atol=1e-12)
    assert not out[0, 1].any() and not out[1].any() and out[0, 0].all()
    assert not dq[0, 1].any() and not dq[1].any() and not dk[1].any() and not dv[1].any()
    assert len(dmask) == (kind == "float") and all(np.isfinite(x).all() for x in (out, dq, dk, dv, *dmask))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("where", ["q", "k", "v"])
def test_a_nan_stays_one(where: str, backend: str) -> None:
    arrays = dict(zip("qkv", random_qkv((3, 4), (5, 4), (5, 3), seed=2), strict=True))
    arrays[where][1, 0] = np.nan
    out = on(backend, tt.scaled_dot_product_attention)(*map(tt.Tensor, arrays.values())).numpy()
    wanted = {"q": (slice(1, 2), slice(None)), "k": (slice(None), slice(None)), "v": (slice(None), slice(0, 1))}
    missing = np.zeros((3, 3), bool)
    missing[wanted[where]] = True
    np.testing.assert_array_equal(np.isnan(out), missing)


@pytest.mark.parametrize("backend", BACKENDS)
def test_causal_rows_begin_at_the_first_key(backend: str) -> None:
    for queries, keys in ((3, 6), (6, 3)):
        arrays = random_qkv((queries, 4), (keys, 4), (keys, 2))
        found = on(backend, lambda *x: tt.scaled_dot_product_attention(*x, is_causal=True))(*map(tt.Tensor, arrays))
        np.testing.assert_allclose(found.numpy(), formula(*arrays, triangle(queries, keys)), rtol=1e-10)


# Dropout.
@pytest.mark.parametrize("backend", BACKENDS)
def test_dropout_drops_weights_and_scales_the_others(backend: str) -> None:
    q, k = random_qkv((2, 3, 40, 8), (2, 3, 50, 8), seed=3)
    v = np.broadcast_to(np.eye(50), (2, 3, 50, 50))  # so that the result is the weights
    weights = formula(q, k, v)
    run = on(backend, lambda *x: tt.scaled_dot_product_attention(*x, dropout_p=0.25))
    tt.manual_seed(5)
    found = run(*map(tt.Tensor, (q, k, v))).numpy()
    kept = found != 0
    np.testing.assert_allclose(found[kept], weights[kept] / 0.75, rtol=1e-10)
    assert abs(kept.mean() - 0.75) < 0.01
    again = run(*map(tt.Tensor, (q, k, v))).numpy()
    assert (again != found).any()
    tt.manual_seed(5)
    eager = tt.scaled_dot_product_attention(*map(tt.Tensor, (q, k, v)), dropout_p=0.25).numpy()
    np.testing.assert_array_equal(eager != 0, kept)


def test_dropout_draws_from_its_generator() -> None:
    q, k, v = (tt.Tensor(a) for a in random_qkv((30, 4), (30, 4), (30, 4)))
    first, second = (
        tt.scaled_dot_product_attention(q, k, v, dropout_p=0.5, generator=tt.Generator(3)).numpy() for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
    assert not tt.scaled_dot_product_attention(q, k, v, dropout_p=1.0).numpy().any()


def test_gradients_under_dropout_are_those_of_the_weights_that_were_kept() -> None:
    q, k, v, g = random_qkv((6, 4), (7, 4), (7, 3), (6, 3), seed=4)

    def loss(*x: Any) -> Any:
        out = tt.scaled_dot_product_attention(*x, dropout_p=0.4, generator=tt.Generator(9))
        return (out * tt.Tensor(g)).sum()

    found = tt.grad(loss, argnums=(0, 1, 2))(*map(tt.Tensor, (q, k, v)))
    for i, (array, gradient) in enumerate(zip((q, k, v), found, strict=True)):
        step = np.zeros_like(array)
        step[1, 2] = 1e-6
        ends = [loss(*(tt.Tensor(a + s * step if j == i else a) for j, a in enumerate((q, k, v)))) for s in (1, -1)]
        assert abs((ends[0] - ends[1]).item() / 2e-6 - gradient.numpy()[1, 2]) < 1e-7


# At positions, over a cache.
@pytest.mark.parametrize("backend", BACKENDS)
def test_attention_at_positions_sees_only_what_is_valid(backend: str) -> None:
    q, k, v = random_qkv((2, 4, 2, 8), (2, 2, 9, 8), (2, 2, 9, 5), seed=6)
    positions = np.array([3, 6])
    k[0, :, 5:], v[0, :, 5:] = np.nan, np.inf  # never written
    found = on(backend, attention_at)(*map(tt.Tensor, (q, k, v, positions))).numpy()
    for row, position in enumerate(positions):
        count = position + 2
        keys, values = (np.repeat(x[row, :, :count], 2, 0) for x in (k, v))
        wanted = formula(q[row], keys, values, np.arange(count) <= position + np.arange(2)[:, None])
        np.testing.assert_allclose(found[row], wanted, rtol=1e-10)


# Errors.
def test_bad_operands() -> None:
    q, k = tt.ones(2, 3, 4), tt.ones(2, 5, 4)
    attention = tt.scaled_dot_product_attention
    for make, message in (
        (lambda: attention(q, tt.ones(2, 5, 3), k), r"K \[\.\.\., keys, d\] .* got f32\[2,3,4\], f32\[2,5,3\]"),
        (lambda: attention(q, k, tt.ones(2, 4, 4)), r"V \[\.\.\., keys, dv\]; got"),
        (lambda: attention(tt.ones(4), k, k), r"Q is \[\.\.\., queries, d\]"),
        (lambda: attention(q, k, k.double()), "of one float dtype, got f32.*f64"),
        (lambda: attention(q.cast("i64"), k.cast("i64"), k.cast("i64")), "of one float dtype"),
        (lambda: attention(q, tt.ones(3, 5, 4), tt.ones(3, 5, 4)), "broadcast"),
        (lambda: attention(q, k, k, tt.ones(3, 4).bool()), r"mask bool\[3,4\] does not broadcast to \[2, 3, 5\]"),
        (lambda: attention(q, k, k, tt.ones(3, 2, 3, 5).bool()), "does not broadcast"),
        (lambda: attention(q, k, k, tt.ones(3, 5).cast("i64")), r"a mask is bool .* or f32 .*, got i64"),
        (lambda: attention(q, k, k, tt.ones(3, 5).double()), "a mask is bool .* or f32 .*, got f64"),
        (lambda: attention(q, k, k, dropout_p=1.5), "dropout_p is a probability, got 1.5"),
        (lambda: attention(q, k, k, is_causal=1), "is_causal is True or False"),  # pyright: ignore[reportArgumentType]
        (lambda: attention(q, k, k, scale=math.nan), "scale is a finite number"),
        (lambda: attention(tt.ones(3, 3, 4), k, k, enable_gqa=True), "heads of Q are a multiple of those of K and V"),
        (lambda: attention(q[0], k[0], k[0], enable_gqa=True), r"\[\.\.\., heads, queries, d\]"),
        (lambda: attention(1, k, k), "got int"),  # pyright: ignore[reportArgumentType]
        (lambda: attention_at(q.unsqueeze(0), k.unsqueeze(0), k.unsqueeze(0), tt.Tensor([0, 1])), r"i64\[1\], got"),
    ):
        with pytest.raises(TinyTorchError, match=message) as error:
            make()
        assert "test_attention.py:" in str(error.value)


# The module.
def of_torch(layer: Any, embed_dim: int, heads: int) -> Any:
    """torch's module with the same weights."""
    torch = pytest.importorskip("torch")
    other = torch.nn.MultiheadAttention(embed_dim, heads, bias=layer.query.bias is not None, batch_first=True).double()
    parts = (layer.query, layer.key, layer.value)
    with torch.no_grad():
        other.in_proj_weight.copy_(torch.tensor(np.concatenate([p.weight.numpy() for p in parts])))
        other.out_proj.weight.copy_(torch.tensor(layer.output.weight.numpy()))
        if layer.query.bias is not None:
            other.in_proj_bias.copy_(torch.tensor(np.concatenate([p.bias.numpy() for p in parts])))
            other.out_proj.bias.copy_(torch.tensor(layer.output.bias.numpy()))
    return other


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("length", [5, 40])  # of few rows, which are three products, and of many, which are one
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("causal", [True, False])
def test_self_attention_matches_torch(causal: bool, bias: bool, length: int, backend: str) -> None:
    torch = pytest.importorskip("torch")
    layer = tt.MultiHeadAttention(12, 3, bias=bias, causal=causal, dtype=tt.f64)
    other = of_torch(layer, 12, 3)
    x, g = random_qkv((2, length, 12), (2, length, 12), seed=8)

    def step(x: Any, g: Any) -> Any:
        layer.zero_grad()
        out = layer(x)
        (out * g).sum().backward()
        return out

    found = on(backend, step)(tt.Tensor(x), tt.Tensor(g))
    mask = torch.ones(length, length, dtype=torch.bool).triu(1) if causal else None
    wanted = other(*[torch.tensor(x)] * 3, attn_mask=mask, need_weights=False)[0]
    (wanted * torch.tensor(g)).sum().backward()
    np.testing.assert_allclose(found.numpy(), wanted.detach().numpy(), rtol=1e-9, atol=1e-9)
    for name, wide in (("weight", other.in_proj_weight), ("bias", other.in_proj_bias)):
        if wide is not None:
            grads = [getattr(part, name).grad.numpy() for part in (layer.query, layer.key, layer.value)]
            np.testing.assert_allclose(np.concatenate(grads), wide.grad.numpy(), rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(layer.output.weight.grad.numpy(), other.out_proj.weight.grad.numpy(), rtol=1e-8)


@pytest.mark.parametrize("backend", BACKENDS)
def test_cross_attention_matches_torch(backend: str) -> None:
    torch = pytest.importorskip("torch")
    layer = tt.MultiHeadAttention(12, 3, dtype=tt.f64)
    other = of_torch(layer, 12, 3)
    x, key, value = random_qkv((2, 5, 12), (2, 30, 12), (2, 30, 12), seed=9)
    run = on(backend, lambda *x: layer(x[0], None, *x[1:]))
    for operands in ((x, key), (x, key, value)):
        found = run(*map(tt.Tensor, operands))
        wanted = other(*(torch.tensor(a) for a in (x, key, operands[-1])), need_weights=False)[0]
        np.testing.assert_allclose(found.numpy(), wanted.detach().numpy(), rtol=1e-9, atol=1e-9)


def test_masks_of_the_module() -> None:
    layer = tt.MultiHeadAttention(8, 2, dtype=tt.f64)
    x = tt.randn(3, 4, 8, dtype=tt.f64)
    seen = np.tril(np.ones((4, 4), bool))
    causal = tt.MultiHeadAttention(8, 2, causal=True, dtype=tt.f64)
    causal.load_state_dict(layer.state_dict())
    wanted = causal(x).numpy()
    for shape in ((4, 4), (1, 4, 4), (3, 4, 4), (3, 1, 4, 4), (1, 2, 4, 4), (3, 2, 4, 4)):
        mask = tt.Tensor(np.broadcast_to(seen, shape).copy())
        np.testing.assert_allclose(layer(x, mask).numpy(), wanted, rtol=1e-12)
    padding = tt.Tensor(np.arange(4) < np.array([[4], [2], [1]])).unsqueeze(1)  # which keys of each row there are
    np.testing.assert_allclose(layer(x, padding)[1].numpy(), _first(layer, x, 1, 2), rtol=1e-9)
    np.testing.assert_allclose(layer(x[0]).numpy(), layer(x[:1])[0].numpy(), rtol=1e-12)  # without a batch


def _first(layer: Any, x: Any, row: int, count: int) -> Array:
    """Attention of all positions of one row to its first ones."""
    return layer(x[row], key=x[row, :count]).numpy()


@pytest.mark.parametrize("backend", BACKENDS)
def test_heads_that_are_shared_normalised_and_turned(backend: str) -> None:
    """By the formula, with an own width of heads."""
    layer = tt.MultiHeadAttention(
        12, 4, bias=False, causal=True, num_kv_heads=2, head_dim=6, qk_norm=True, dtype=tt.f64,
        rotary=tt.RotaryEmbedding(6, 16, dtype=tt.f64), value_residual=True,
    )  # fmt: skip
    with tt.no_grad():
        layer.qk_scale.copy_(tt.tensor(1.75))
        layer.value_mix.copy_(tt.tensor([0.25, 0.75]))
    x, first = random_qkv((2, 5, 12), (2, 2, 5, 6), seed=10)
    found, value = on(backend, lambda x, v: layer(x, first_value=v, return_value=True))(*map(tt.Tensor, (x, first)))

    def heads(part: Any) -> Array:
        return (x @ part.weight.numpy().T).reshape(2, 5, -1, 6).swapaxes(1, 2)

    def unit(y: Array) -> Array:
        angles = np.arange(5)[:, None] * 10000.0 ** (-np.arange(3) / 3)
        y = y / np.sqrt((y**2).mean(-1, keepdims=True) + np.finfo(np.float64).eps) / math.sqrt(6)
        turned = (y[..., :3] + 1j * y[..., 3:]) * np.exp(1j * angles)
        return np.concatenate([turned.real, turned.imag], -1)

    mixed = 0.25 * heads(layer.value) + 0.75 * first
    q, k, v = unit(heads(layer.query)), *(np.repeat(y, 2, 1) for y in (unit(heads(layer.key)), mixed))
    out = formula(q, k, v, triangle(5, 5), scale=1.75)  # scores are cosines times 1.75
    wanted = out.swapaxes(1, 2).reshape(2, 5, 24) @ layer.output.weight.numpy().T
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(value.numpy(), mixed, rtol=1e-9)
    assert tt.MultiHeadAttention(12, 4, head_dim=9, qk_norm=True).qk_scale.item() == 3
    assert tt.MultiHeadAttention(12, 4, value_residual=True).value_mix.tolist() == [0.5, 0.5]


def test_dropout_of_the_module_follows_its_mode() -> None:
    layer = tt.MultiHeadAttention(8, 2, dropout=0.5, generator=tt.Generator(1))
    x = tt.randn(2, 6, 8)
    assert (layer(x) != layer(x)).any().item()
    layer.eval()
    np.testing.assert_array_equal(layer(x).numpy(), layer(x).numpy())


def test_each_projection_is_a_matrix_of_its_own() -> None:
    layer = tt.MultiHeadAttention(8, 4, num_kv_heads=2)
    shapes = {name: p.shape for name, p in layer.named_parameters() if p.ndim == 2}
    assert shapes == {
        "query.weight": (8, 8), "key.weight": (4, 8), "value.weight": (4, 8), "output.weight": (8, 8)
    }  # fmt: skip


def test_projections_are_one_product() -> None:
    layer = tt.MultiHeadAttention(8, 2)
    with tt.no_grad():
        compiled = tt.compile(lambda x: layer(x))
        compiled(tt.randn(2, 40, 8))
    shapes = [n.outputs[0].type.shape for n in compiled.traced_graph.nodes if n.op.name == "matmul"]
    assert shapes.count((80, 24)) + shapes.count((2, 40, 24)) == 1


def test_bad_modules_and_calls() -> None:
    make, x = tt.MultiHeadAttention, tt.ones(2, 3, 8)
    for call, message in (
        (lambda: make(8, 3), "embed_dim is a multiple of num_heads 3, got 8"),
        (lambda: make(8, 4, num_kv_heads=3), "num_kv_heads is a divisor of num_heads 4, got 3"),
        (lambda: make(8, 0), "num_heads is a positive integer"),
        (lambda: make(8, 2, dropout=2.0), "dropout is a probability"),
        (lambda: make(8, 2, causal=1), "causal is True or False"),  # pyright: ignore[reportArgumentType]
        (lambda: make(8, 2, rotary=tt.RotaryEmbedding(8, 4)), "rotary is of head_dim 4"),
        (lambda: make(8, 2)(tt.ones(2, 3, 7)), r"x is \[\.\.\., length, 8\], got f32\[2,3,7\]"),
        (lambda: make(8, 2)(x, key=tt.ones(2, 3, 4)), r"key is \[\.\.\., length, 8\]"),
        (lambda: make(8, 2)(x, value=x), "value comes with key"),
        (lambda: make(8, 2)(x, tt.ones(2, 4, 3).bool()), "does not broadcast"),
        (lambda: make(8, 2, value_residual=True)(x), r"first_value is f32\[2,2,3,4\], got None"),
        (lambda: make(8, 2, causal=True)(x[:1], cache=tt.KVCache(2, 4, 1, 8, 2)), "has 1 rows, the cache 2"),
        (lambda: make(8, 2)(x, cache=object()), "a cache is for causal self-attention"),  # pyright: ignore[reportArgumentType]
    ):
        with pytest.raises(TinyTorchError, match=message) as error:
            call()
        assert "test_attention.py:" in str(error.value)
    with pytest.raises(ShapeError, match="9 positions are more than the 4"):
        make(8, 2, rotary=tt.RotaryEmbedding(4, 4))(tt.ones(1, 9, 8))
