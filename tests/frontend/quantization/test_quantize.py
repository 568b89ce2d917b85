"""`quantize`: models of floats as models of bytes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn


def mlp(seed: int = 0) -> tt.Sequential:
    generator = tt.Generator(seed)
    return tt.Sequential(
        tt.Linear(12, 32, generator=generator), tt.ReLU(), tt.Linear(32, 5, bias=False, generator=generator)
    )


def cnn(seed: int = 0) -> tt.Sequential:
    generator = tt.Generator(seed)
    return tt.Sequential(
        tt.Conv2d(3, 8, 3, padding=1, generator=generator), tt.BatchNorm2d(8), tt.ReLU(), tt.MaxPool2d(2),
        tt.Conv2d(8, 16, 3, padding=1, generator=generator), tt.MaxPool2d(2), tt.BatchNorm2d(16), tt.ReLU(),
        tt.Flatten(), tt.Linear(64, 10, generator=generator),
    )  # fmt: skip


def numbers(*shape: int, seed: int = 0) -> tt.Tensor:
    return tt.tensor(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def difference(found: tt.Tensor, wanted: tt.Tensor) -> float:
    a, b = found.detach().numpy(), wanted.detach().numpy()
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


@pytest.mark.parametrize("options", [{}, {"scheme": "symmetric"}, {"weight_bits": 7, "activation_bits": 7}])
@pytest.mark.parametrize("static", [False, True])
def test_an_mlp(options: dict[str, Any], static: bool) -> None:
    model, x = mlp(), numbers(50, 12)
    wanted, before = model(x), {name: p.numpy().copy() for name, p in model.named_parameters()}
    quantized = tt.quantize(model, x if static else None, **options)
    assert model.training and not quantized.training and isinstance(model[0], tt.Linear)
    assert all(np.array_equal(p.numpy(), before[name]) for name, p in model.named_parameters())
    assert isinstance(quantized[0], tt.QuantizedLinear) and quantized[0].is_static == static
    assert not quantized.parameters()
    assert difference(quantized(x), wanted) < (0.03 if options.get("weight_bits") == 7 or options else 0.02)
    results = [tt.compile(quantized, freeze=f)(x).numpy() for f in (False, True)]
    assert all(np.array_equal(quantized(x).numpy(), result) for result in results)


@pytest.mark.parametrize("method", ["minmax", "percentile", "mse"])
def test_a_cnn(method: str) -> None:
    model, x = cnn(), numbers(16, 3, 8, 8)
    model(x)  # statistics of the norms
    model.eval()
    quantized = tt.quantize(model, [x[:8], x[8:]], method=method)
    assert isinstance(quantized[1], tt.Identity) and isinstance(quantized[6], tt.BatchNorm2d)
    assert difference(quantized(x), model(x)) < 0.05
    with tt.no_grad():
        assert np.array_equal(quantized(x).numpy(), tt.compile(quantized, freeze=True)(x).numpy())
    assert difference(tt.quantize(model)(x), model(x)) < 0.05


def test_a_gpt_and_its_shared_head() -> None:
    for tied in (True, False):
        model = tt.GPT(40, 32, 2, 4, 16, tied=tied).eval()
        tokens = tt.tensor(np.random.default_rng(0).integers(0, 40, (3, 16)))
        quantized = tt.quantize(model)
        names = {row.name: row.form for row in quantized.sensitivity}
        assert names["blocks.0.attention.query"] == names["blocks.1.feed_forward.down"] == "int8, dynamic"
        assert names["token_embedding"] == "int8" and ("head" in names) is not tied
        assert difference(quantized(tokens), model(tokens)) < 0.05
        with tt.no_grad():
            assert difference(tt.compile(quantized)(tokens), quantized(tokens)) < 0.01  # softmax and norms are floats
        static = tt.quantize(model, [(tokens, None)])
        assert static.blocks[0].attention.query.is_static
        assert difference(static(tokens), model(tokens)) < 0.1
        assert quantized.generate([1, 2, 3], 8, temperature=0)[:3] == [1, 2, 3]


@pytest.mark.parametrize("dtype", ["f64", "f16", "bf16"])
def test_models_of_other_floats(dtype: str) -> None:
    model = tt.GPT(20, 16, 1, 2, 8).eval().to(dtype)
    tokens = tt.tensor([[1, 2, 3, 4]])
    bound = {"f64": 0.05, "f16": 0.05, "bf16": 0.08}[dtype]
    for options in ({}, {"weight_only": "int4", "group_size": 8, "max_error": 0.5}):
        quantized = tt.quantize(model, **options)
        found, wanted = (m(tokens) for m in (quantized, model))
        assert found.dtype is wanted.dtype
        assert difference(found.float(), wanted.float()) < bound * (4 if options else 1)
        assert difference(quantized.to(dtype)(tokens).float(), found.float()) < 0.05  # scales, too


@pytest.mark.parametrize("widths", [{}, {"kdim": 6, "vdim": 10}])
def test_attention_in_the_layout_of_pytorch(widths: dict[str, int]) -> None:
    layer = nn.MultiheadAttention(8, 2, batch_first=True, **widths).eval()
    operands = [numbers(2, 5, size, seed=size) for size in (8, widths.get("kdim", 8), widths.get("vdim", 8))]

    def forward(model: Any, batch: Any) -> Any:
        return model(*batch)

    wanted = layer(*operands)
    for data in (None, [operands]):
        quantized = tt.quantize(layer, data, forward=forward)
        names = ["out_proj", "projections.0", "projections.1", "projections.2"]
        assert sorted(row.name for row in quantized.sensitivity if row.form.startswith("int8")) == names
        for found, other in zip(quantized(*operands), wanted, strict=True):
            assert difference(found, other) < 0.05
        restored = tt.load_quantized(layer, quantized.state_dict())
        assert np.array_equal(restored(*operands)[0].numpy(), quantized(*operands)[0].numpy())
    assert layer.in_proj_weight is not None or widths


def test_no_gradient_comes_through_integers() -> None:
    x = tt.ones(2, 12, requires_grad=True)
    for options in ({}, {"weight_only": "int4", "group_size": 8}):
        assert not tt.quantize(mlp(), **options)(x).requires_grad


def test_layers_that_share_weights_go_on_sharing_them() -> None:
    model = tt.Sequential(tt.Linear(4, 4), tt.Linear(4, 4))
    model[1].weight = model[0].weight
    model.append(model[0])
    quantized = tt.quantize(model)
    assert quantized[0].weight_int8 is quantized[1].weight_int8 and quantized[0] is quantized[2]
    assert quantized[0].bias is not quantized[1].bias


def test_choices_by_layer_and_the_table() -> None:
    model = tt.Sequential(
        tt.Linear(6, 8), tt.ReLU(), tt.Linear(8, 8), tt.Conv1d(8, 4, 1), tt.Flatten(), tt.Linear(4, 2)
    )
    table = tt.quantize(model, layers={"0": None, "2": {"weight_bits": 7}}).sensitivity
    assert [(row.name, row.form, row.reason) for row in table] == [
        ("0", "fp32", "as asked for"), ("2", "int8, dynamic, W7A8", ""), ("3", "fp32", "no integer form"),
        ("5", "int8, dynamic", ""),
    ]  # fmt: skip
    assert table["2"].bytes_before == 4 * 72 and table["2"].bytes_after == 64 + 3 * 4 * 8 + 2
    text = str(table)
    assert "as asked for" in text and "Conv1d" in text and text.count("\n") == 7
    assert tt.quantize(model, layers={"2": {"weight_bits": 7}})[2].weight_int8.numpy().max() <= 63


def test_what_hurts_stays_in_floats() -> None:
    model = mlp()
    with tt.no_grad():
        model[2].weight[:, 0] = 1e3  # beside it, all other weights of a row are rounded away,
        model[0].bias[0] = -1e3  # and nothing ever comes in there
    x = numbers(20, 12)
    quantized = tt.quantize(model, x, max_error=0.01)
    row = quantized.sensitivity["2"]
    assert row.form == "fp32" and "above 1.00%" in row.reason and row.error is not None and row.error > 0.01
    assert isinstance(quantized[2], tt.Linear)
    assert isinstance(tt.quantize(model, x, max_error=math.inf)[2], tt.QuantizedLinear)


def test_measured_times_decide() -> None:
    quantized = tt.quantize(mlp(), numbers(20, 12), measure=True)
    for row in quantized.sensitivity:
        assert row.seconds_fp32 is not None and row.seconds_int8 is not None
        assert (row.form == "fp32") == (row.seconds_int8 > row.seconds_fp32)
        assert (row.reason == "int8 is slower") == (row.form == "fp32")
    assert "µs" in str(quantized.sensitivity)


AUTO = {"weight_bits": "auto", "activation_bits": "auto", "measure": True}
BITS = ("W8A8", "W8A7", "W7A8", "W7A7")


@pytest.mark.parametrize(
    ("seconds", "max_error", "form"),
    [
        ((9, 8, 7, 5, 6), 0.1, "int8, static, W7A8"),
        ((9, 5.2, 7, 5, 6), 0.1, "int8, static"),  # nearly as fast, and more precise
        ((9, 8, 7, 5, 6), 0.009, "int8, static"),  # the others round too much
        ((4, 8, 7, 5, 6), 0.1, "fp32"),
    ],
)
def test_the_fastest_numbers_of_bits(
    monkeypatch: pytest.MonkeyPatch, seconds: tuple[float, ...], max_error: float, form: str
) -> None:
    def seconds_of(layers: tuple[tt.Module, ...], x: tt.Tensor) -> list[float]:
        known = dict(zip(BITS, seconds[1:], strict=True))
        return [known.get(getattr(layer, "precision", ""), seconds[0]) for layer in layers]

    monkeypatch.setattr("tinytorch.frontend.quantization.conversion.seconds_of", seconds_of)
    model, x = tt.Sequential(tt.Linear(12, 30, generator=tt.Generator(0))), numbers(50, 12)
    row = tt.quantize(model, x, **AUTO, max_error=max_error).sensitivity["0"]
    assert (row.form, row.seconds_fp32) == (form, seconds[0])
    assert row.error is not None and row.error <= max_error
    fixed = tt.quantize(model, x, measure=True, layers={"0": {"weight_bits": 7, "activation_bits": 7}}).sensitivity["0"]
    assert fixed.seconds_int8 == 6  # what is asked for is not tried in other forms


def test_numbers_of_bits_are_measured_and_kept_in_files(tmp_path: Path) -> None:
    model, x = mlp(), numbers(50, 12)
    automatic = tt.quantize(model, x, **AUTO, layers={"0": {"activation_bits": 7}})
    assert all(row.seconds_fp32 is not None for row in automatic.sensitivity)
    for data in (x, None):
        layers = {"0": {"activation_bits": 7}, "2": {"weight_bits": 7}}
        quantized = tt.quantize(model, data, scheme="symmetric", layers=layers)
        tt.save(quantized.state_dict(), tmp_path / "q")
        restored = tt.load_quantized(model, tt.load(tmp_path / "q"))
        assert [restored[i].precision for i in (0, 2)] == ["W8A7", "W7A8"] and restored[0].scheme == "symmetric"
        assert np.array_equal(restored(10 * x).numpy(), quantized(10 * x).numpy())
    state = quantized.state_dict()
    del state["0.input_bits"]
    with pytest.raises(tt.TinyTorchError, match=r"no number 0\.input_bits"):
        tt.load_quantized(model, state)


def test_what_calibration_does_not_reach_is_named() -> None:
    class Model(tt.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.other = tt.Linear(3, 3), [tt.Linear(3, 3)]

        def forward(self, x: tt.Tensor) -> tt.Tensor:
            return self.used(x)

    table = tt.quantize(Model(), numbers(4, 3)).sensitivity
    assert [(row.name, row.reason) for row in table] == [("used", ""), ("other.0", "calibration did not reach it")]


def test_calibration_on_zeros_shows_no_range() -> None:
    table = tt.quantize(mlp(), tt.zeros(4, 12)).sensitivity
    assert [(row.form, row.reason) for row in table] == [
        ("fp32", "its input was 0 throughout calibration"), ("int8, static", ""),
    ]  # fmt: skip


FORMS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "dynamic": (mlp, None, {"weight_bits": 7}),
    "static": (mlp, numbers(6, 12), {"layers": {"0": None}}),
    "four bits": (mlp, None, {"weight_only": "int4", "group_size": 8}),
    "images": (lambda seed=0: cnn(seed).eval(), numbers(6, 3, 8, 8), {"layers": {"9": None}}),
    "a layer": (lambda seed=0: mlp(seed)[0], numbers(6, 12), {}),
}


@pytest.mark.parametrize("name", FORMS)
def test_states_in_files(name: str, tmp_path: Path) -> None:
    make, x, options = FORMS[name]
    quantized = tt.quantize(make(), x, **options)
    tt.save(quantized.state_dict(), tmp_path / "q")
    model = make(1)
    restored = tt.load_quantized(model, tt.load(tmp_path / "q"))
    x = numbers(6, 12) if x is None else x
    assert np.array_equal(restored(x).numpy(), quantized(x).numpy())
    assert repr(restored) == repr(quantized) and not any("int" in key for key in model.state_dict())
    other = tt.quantize(make(1), None if name in ("dynamic", "four bits") else x, **options)
    other.load_state_dict(tt.load(tmp_path / "q"))
    assert np.array_equal(other(x).numpy(), quantized(x).numpy())


def test_states_of_other_models_are_refused() -> None:
    state = tt.quantize(mlp()).state_dict()
    with pytest.raises(tt.TinyTorchError, match="no quantized layer"):
        tt.load_quantized(mlp(), mlp().state_dict())
    with pytest.raises(tt.TinyTorchError, match="does not fit"):
        tt.load_quantized(tt.Sequential(tt.Linear(12, 3), tt.ReLU(), tt.Linear(3, 5)), state)
    wrong = tt.quantize(mlp(), weight_only="int4").state_dict()
    wrong["0.weight_scale"] = tt.zeros(2, 3)
    with pytest.raises(tt.TinyTorchError, match="do not fit each other"):
        tt.load_quantized(mlp(), wrong)


def test_printed() -> None:
    text = repr(tt.quantize(mlp(), numbers(6, 12)))
    assert "QuantizedLinear(in_features=12, out_features=32, bias=True, static, weights of 8 bits" in text


@pytest.mark.parametrize("count", [0, 1])
def test_small_batches(count: int) -> None:
    model = tt.quantize(cnn().eval(), numbers(4, 3, 8, 8))
    x = numbers(count, 3, 8, 8)
    assert model(x).shape == tt.compile(model)(x).shape == (count, 10)


BAD = {
    "no batch": (lambda m: tt.quantize(m, []), "empty"),
    "an empty batch": (lambda m: tt.quantize(m, tt.zeros(0, 12)), "empty"),
    "another shape": (lambda m: tt.quantize(m, [numbers(2, 12), numbers(2, 7)]), r"batch 1 of .*data, f32\[2,7\]"),
    "a number": (lambda m: tt.quantize(m, 3), "calibration_data is a tensor, or batches"),
    "a text batch": (lambda m: tt.quantize(m, [("a",)]), "batch 0 of calibration_data"),
    "NaN in data": (lambda m: tt.quantize(m, tt.full((2, 12), float("nan"))), "the input of 0 in calibration has NaN"),
    "no model": (lambda m: tt.quantize(3), "model is a Module"),
    "compiled": (lambda m: tt.quantize(tt.compile(m)), "is compiled"),
    "static without data": (lambda m: tt.quantize(m, mode="static"), "needs calibration_data"),
    "measure without data": (lambda m: tt.quantize(m, measure=True), "needs calibration_data"),
    "no such layer": (lambda m: tt.quantize(m, layers={"7": None}), "no layer '7'"),
    "no such setting": (lambda m: tt.quantize(m, layers={"0": {"bits": 3}}), "setting of layer '0'"),
    "bits": (lambda m: tt.quantize(m, weight_bits=5), "8 or 7"),
    "automatic bits without time": (lambda m: tt.quantize(m, weight_bits="auto"), "needs measure=True"),
    "automatic bits of training": (lambda m: tt.prepare_qat(m, weight_bits="auto"), "weight_bits is an integer"),
    "method": (lambda m: tt.quantize(m, method="kl"), "method is"),
    "percentile": (lambda m: tt.quantize(m, percentile=40), "above 50"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_quantize_refuses(name: str) -> None:
    call, message = BAD[name]
    with pytest.raises(tt.TinyTorchError, match=message):
        call(mlp())


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(bad: float) -> None:
    model = mlp()
    with tt.no_grad():
        model[2].weight[1, 1] = bad
    with pytest.raises(tt.TinyTorchError, match="weight of 2 has"):
        tt.quantize(model)
