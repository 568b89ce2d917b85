"""Layers with weights of four bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinytorch as tt
from tests.frontend.quantization.test_layers import same_bits, ways
from tests.frontend.quantization.test_quantize import cnn, difference, mlp, numbers


@settings(max_examples=8, deadline=None)
@given(
    rows=st.integers(0, 9),
    sizes=st.tuples(st.integers(1, 100), st.integers(1, 40)),
    group=st.sampled_from([8, 16, 32]),
    bias=st.booleans(),
    seed=st.integers(0, 1 << 30),
)
def test_layers_are_alike_in_every_bit(rows: int, sizes: Any, group: int, bias: bool, seed: int) -> None:
    layer = tt.Linear(*sizes, bias, generator=tt.Generator(seed))
    quantized = tt.Int4Linear.from_float(layer, group)
    x = numbers(rows, sizes[0], seed=seed)
    results = ways(quantized, x)
    assert same_bits(results) and results[0].shape == (rows, sizes[1])
    wanted = x.numpy() @ quantized.weight.numpy().T + (layer.bias.numpy() if layer.bias is not None else 0)
    assert np.abs(results[0] - wanted).max(initial=0) < 0.05
    weight = layer.weight.numpy()
    padded = np.pad(weight, ((0, 0), (0, -weight.shape[1] % group))).reshape(sizes[1], -1, group)
    bound = np.repeat(np.abs(padded).max(2), group, 1)[:, : sizes[0]]
    assert (np.abs(quantized.weight.numpy() - weight) <= 0.31 * bound).all()  # a third of the range is clipped at most


def test_models_of_four_bits() -> None:
    model, x = mlp(), numbers(20, 12)
    quantized = tt.quantize(model, x, weight_only="int4", group_size=8)
    assert [row.form for row in quantized.sensitivity] == ["int4, dynamic"] * 2
    assert quantized.sensitivity["0"].bytes_after < quantized.sensitivity["0"].bytes_before / 2
    assert difference(quantized(x), model(x)) < 0.2
    other = tt.quantize(mlp(1), weight_only="int4", group_size=8)
    other.load_state_dict(quantized.state_dict())
    assert np.array_equal(other(x).numpy(), quantized(x).numpy())
    table = tt.quantize(cnn(), weight_only="int4").sensitivity
    assert table["0"].reason == "only weights are quantized, of Linear layers" and table["9"].form == "int4, dynamic"


def test_edges() -> None:
    layer = tt.Linear(4, 2, generator=tt.Generator(0))
    with tt.no_grad():
        layer.weight.zero_()
    quantized = tt.Int4Linear.from_float(layer, 8)
    assert quantized(tt.ones(1, 4)).tolist() == [layer.bias.tolist()]
    for bad in (np.nan, np.inf):
        x = np.ones((2, 4), np.float32)
        x[1, 2] = bad
        for out in ways(tt.Int4Linear.from_float(tt.Linear(4, 2), 8), tt.tensor(x)):
            assert np.isfinite(out[0]).all() and not np.isfinite(out[1]).any()
    with pytest.raises(tt.TinyTorchError, match="a multiple of 8"):
        tt.quantize(mlp(), weight_only="int4", group_size=12)
    with pytest.raises(tt.TinyTorchError, match="weight_only is"):
        tt.quantize(mlp(), weight_only="int2")
    with pytest.raises(tt.ShapeError, match=r"\[..., 4\]"):
        quantized(tt.ones(1, 5))
