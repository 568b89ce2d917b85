"""Layers of bytes: the bound of their errors, bit for bit alike however they run, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinytorch as tt
from tinytorch.frontend.quantization.affine import largest_weight, quantize_rows
from tinytorch.frontend.quantization.settings import Settings

ROWS = np.array([[0.5, -1.0, 0.25], [0.0, 0.0, 0.0], [3.0, 2.0, -6.35]], np.float32)


# Numbers as integers.
@given(st.lists(st.floats(-1e6, 1e6, width=32), max_size=20))
def test_quantize_int8_is_within_half_a_scale(numbers: list[float]) -> None:
    x = np.array(numbers, np.float32)
    q, scale, zero_point = tt.quantize_int8(tt.tensor(x, dtype="f32"))
    assert (q.dtype, scale.dtype, zero_point.dtype) == (tt.i8, tt.f32, tt.i32) and q.shape == x.shape
    back = scale.item() * (q.numpy().astype(np.float64) - zero_point.item())
    assert (np.abs(back - x) <= scale.item() * 0.5001 + 1e-6 * np.abs(x)).all()
    assert -128 <= zero_point.item() <= 127  # 0 is an integer itself


def test_quantize_int8_of_known_numbers() -> None:
    q, scale, zero_point = tt.quantize_int8(tt.tensor([-1.0, 0.0, 0.5, 1.55]))
    assert scale.item() == pytest.approx(0.01) and zero_point.item() == -28
    assert q.tolist() == [-128, -28, 22, 127]
    for same in (tt.zeros(2, 2), tt.zeros(0)):
        q, scale, zero_point = tt.quantize_int8(same)
        assert (q - zero_point).tolist() == same.cast("i32").tolist() and scale.item() == 1.0


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_quantize_int8_refuses(bad: float) -> None:
    with pytest.raises(tt.TinyTorchError, match="no integers stand for"):
        tt.quantize_int8(tt.tensor([1.0, bad]))
    with pytest.raises(tt.TinyTorchError, match="a tensor of floats"):
        tt.quantize_int8(tt.tensor([1, 2]))


@pytest.mark.parametrize("bits", [7, 8])
def test_rows_have_scales_of_their_own(bits: int) -> None:
    rows = quantize_rows(ROWS, bits)
    top = largest_weight(bits)
    assert np.abs(rows.integers).max(1).tolist() == [top, 0, top] and rows.scales[1] == 1.0
    assert (np.abs(rows.values - ROWS) <= rows.scales[:, None] * 0.5001).all()
    assert rows.sums.tolist() == rows.integers.astype(int).sum(1).tolist()
    long = np.random.default_rng(0).laplace(size=(1, 5000)).astype(np.float32)
    plain, best = (quantize_rows(long, bits, least) for least in (False, True))
    assert best.scales[0] < plain.scales[0]
    assert np.square(best.values - long).sum() < np.square(plain.values - long).sum()


# Layers.
def layer_of(kind: str, settings: Settings, generator: tt.Generator) -> Any:
    if kind == "linear":
        return tt.QuantizedLinear.from_float(tt.Linear(7, 5, generator=generator), settings)
    layer = tt.Conv2d(4, 6, (3, 2), stride=(1, 2), padding=1, groups=2, generator=generator)
    return tt.QuantizedConv2d.from_float(layer, settings)


def ways(layer: Any, x: tt.Tensor) -> list[np.ndarray]:
    """Eagerly, by the interpreter, as machine code, and as frozen machine code."""
    calls = [
        layer,
        tt.compile(layer, backend="interpreter"),
        tt.compile(layer),
        tt.compile(layer, freeze=True),
    ]
    with tt.no_grad():
        return [call(x).numpy() for call in calls]


def same_bits(results: list[np.ndarray]) -> bool:
    return all(np.array_equal(results[0].view(np.int32), other.view(np.int32)) for other in results[1:])


@settings(max_examples=12, deadline=None)
@given(
    rows=st.integers(0, 40),
    sizes=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    bits=st.tuples(st.sampled_from([7, 8]), st.sampled_from([7, 8])),
    scheme=st.sampled_from(["affine", "symmetric"]),
    limits=st.sampled_from([None, (0.0, 2.0), (-1.0, 3.0)]),
    seed=st.integers(0, 1 << 30),
)
def test_linear_layers_are_alike_in_every_bit(
    rows: int, sizes: tuple[int, int], bits: tuple[int, int], scheme: str, limits: Any, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    float_layer = tt.Linear(*sizes, generator=tt.Generator(seed))
    layer = tt.QuantizedLinear.from_float(float_layer, Settings(*bits, scheme), limits)
    x = generator.normal(size=(rows, sizes[0])).astype(np.float32) * generator.choice([1e-3, 1.0, 50.0])
    results = ways(layer, tt.tensor(x))
    assert same_bits(results) and results[0].shape == (rows, sizes[1])
    if limits is None:  # |error| <= Σ (|x| s_w / 2 + |w| s_x / 2 + s_x s_w / 4)
        weight, scale_w = float_layer.weight.numpy(), layer.weight_scale.numpy()
        top = {("affine", 8): 255, ("affine", 7): 127, ("symmetric", 8): 127, ("symmetric", 7): 63}[scheme, bits[1]]
        low, high = x.min(1, initial=0.0), x.max(1, initial=0.0)
        scale_x = (high - low if scheme == "affine" else np.maximum(high, -low)) / top
        a, w = np.abs(x).astype(np.float64).sum(1)[:, None], np.abs(weight).astype(np.float64).sum(1)
        sx = scale_x[:, None] * (1.0 if scheme == "affine" else 0.5)  # its zero point is rounded, too
        bound = a * scale_w / 2 + w * sx + sizes[0] * sx * scale_w / 2
        wanted = x.astype(np.float64) @ weight.T + float_layer.bias.numpy()
        assert (np.abs(results[0] - wanted) <= bound * 1.001 + 1e-5 * (1 + np.abs(wanted))).all()


@settings(max_examples=6, deadline=None)
@given(
    sizes=st.tuples(st.integers(0, 3), st.integers(3, 9), st.integers(3, 9)),
    channels=st.tuples(st.integers(1, 5), st.integers(1, 9)),
    groups=st.sampled_from([1, 2]),
    stride=st.sampled_from([1, (2, 1)]),
    padding=st.sampled_from([0, 1, "same"]),
    limits=st.sampled_from([None, (0.0, 2.0), (-1.0, 3.0)]),
    seed=st.integers(0, 1 << 30),
)
def test_convolutions_are_alike_in_every_bit(
    sizes: Any, channels: Any, groups: int, stride: Any, padding: Any, limits: Any, seed: int
) -> None:
    stride = 1 if padding == "same" else stride
    i, o = (groups * c for c in channels)
    float_layer = tt.Conv2d(i, o, (3, 2), stride, padding, groups=groups, generator=tt.Generator(seed))
    layer = tt.QuantizedConv2d.from_float(float_layer, Settings(), limits)
    x = tt.tensor(np.random.default_rng(seed).normal(size=(sizes[0], i, *sizes[1:])).astype(np.float32))
    results = ways(layer, x)
    assert same_bits(results)
    wanted = float_layer(x if limits is None else x.clamp(*limits)).detach().numpy()
    assert results[0].shape == wanted.shape
    if wanted.size:
        assert np.abs(results[0] - wanted).max() <= 0.05 * np.abs(wanted).max() + 0.02


def test_embeddings_and_their_scores() -> None:
    table = tt.Embedding(11, 6, generator=tt.Generator(0))
    layer = tt.QuantizedEmbedding.from_float(table)
    rows = tt.tensor([[0, 10], [3, 3]])
    assert np.abs((layer(rows) - table(rows)).detach().numpy()).max() <= layer.weight_scale.numpy().max() * 0.5001
    assert np.array_equal(layer(rows).numpy(), tt.compile(layer)(rows).numpy())
    x = tt.randn(3, 6, generator=tt.Generator(1))
    scores = layer.project(x).numpy()
    assert np.array_equal(scores, tt.compile(layer.project)(x).numpy())
    assert np.abs(scores - table.project(x).detach().numpy()).max() < 0.1
    with pytest.raises(IndexError):
        layer(tt.tensor([11]))


@pytest.mark.parametrize("dtype", ["f64", "f16", "bf16"])
def test_other_floats_come_out_as_they_went_in(dtype: str) -> None:
    layer = tt.QuantizedLinear.from_float(tt.Linear(4, 3, generator=tt.Generator(0)))
    x = tt.randn(2, 4, generator=tt.Generator(0))
    out = layer(x.cast(dtype))
    assert out.dtype is tt.Tensor(0.0, dtype=dtype).dtype
    assert np.abs((out.cast("f32") - layer(x)).numpy()).max() < 0.05


def test_nan_and_infinity_are_no_silent_numbers() -> None:
    generator = tt.Generator(0)
    for scheme in ("affine", "symmetric"):
        for bad in (np.nan, np.inf, -np.inf):
            x = tt.tensor(np.array([[1, 2], [bad, 1], [3, -4]], np.float32))
            results = ways(
                tt.QuantizedLinear.from_float(tt.Linear(2, 3, generator=generator), Settings(scheme=scheme)), x
            )
            for out in results:
                assert not np.isfinite(out[1]).any() and np.isfinite(out[[0, 2]]).all()
    for layer, x in (
        (tt.QuantizedLinear.from_float(tt.Linear(2, 3), None, (0.0, 1.0)), tt.ones(4, 2)),
        (tt.QuantizedConv2d.from_float(tt.Conv2d(2, 3, 3, padding=1), None, (-1.0, 1.0)), tt.ones(1, 2, 4, 4)),
    ):
        x = x.numpy().copy()
        x.reshape(-1)[-1] = np.nan
        for call in (
            layer,
            tt.compile(layer),
            tt.compile(layer, freeze=True),
            tt.compile(layer, backend="interpreter"),
        ):
            with tt.no_grad(), pytest.raises(ArithmeticError, match="NaN"):
                call(tt.tensor(x))


def test_rows_of_zeros_give_the_bias() -> None:
    layer = tt.QuantizedLinear.from_float(tt.Linear(3, 2, generator=tt.Generator(0)))
    assert layer(tt.zeros(2, 3)).tolist() == [layer.bias.tolist()] * 2


def test_layers_refuse() -> None:
    layer = tt.QuantizedLinear(3, 2)
    for wrong, message in ((tt.zeros(2, 4), r"\[..., 3\]"), (tt.zeros(2, 3, dtype="i32"), "float dtype")):
        with pytest.raises(tt.ShapeError, match=message):
            layer(wrong)
    with pytest.raises(tt.ShapeError, match="QuantizedConv2d: input is"):
        tt.QuantizedConv2d(3, 2, 1)(tt.zeros(1, 2, 4, 4))
    with pytest.raises(tt.TinyTorchError, match="8 or 7"):
        tt.QuantizedLinear(3, 2, weight_bits=4)
