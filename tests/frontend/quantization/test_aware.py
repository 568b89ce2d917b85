"""Training that gets used to integers: gradients, ranges, and what becomes of it."""

from __future__ import annotations

import numpy as np
import pytest

import tinytorch as tt
from tests.frontend.quantization.test_quantize import difference, mlp, numbers
from tinytorch.frontend.quantization.aware import fake_quantize, fake_quantize_rows


def test_gradients_go_straight_through_within_the_range() -> None:
    x = tt.tensor([-2.0, -1.0, -0.3, 0.0, 0.62, 1.5], requires_grad=True)
    y = fake_quantize(x, tt.tensor(-1.0), tt.tensor(1.0), 8, symmetric=False)
    (y * tt.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])).sum().backward()
    assert x.grad.tolist() == [0, 2, 3, 4, 5, 0]
    scale = 2 / 255
    integers = y.detach().numpy() / scale
    assert np.allclose(integers, np.rint(integers), atol=1e-3)
    assert np.abs(y.detach().numpy()[1:5] - x.detach().numpy()[1:5]).max() <= scale * 0.501
    assert y.tolist()[0] == y.tolist()[1] and abs(y.tolist()[5] - 1) < scale
    w = tt.tensor([[1.0, -0.504], [0.0, 0.0]], requires_grad=True)
    rows = fake_quantize_rows(w, 7)
    rows.sum().backward()
    assert w.grad.tolist() == [[1, 1], [1, 1]]
    assert np.allclose(rows.detach().numpy(), [[1, -32 / 63], [0, 0]])


def test_symmetric_ranges() -> None:
    x = tt.tensor([-2.0, -0.5, 0.25], requires_grad=True)
    y = fake_quantize(x, tt.tensor(-0.5), tt.tensor(1.0), 8, symmetric=True)
    y.sum().backward()
    assert x.grad.tolist() == [0, 1, 1]
    assert np.allclose(y.detach().numpy(), [-1 - 1 / 127, -64 / 127, 32 / 127])


@pytest.mark.parametrize("compiled", [False, True])
def test_training_then_integers(compiled: bool) -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(256, 12)).astype(np.float32)
    labels = (x[:, :5] * x[:, 5:10]).argmax(1)
    model = tt.prepare_qat(mlp(), weight_bits=7)
    before = model[0].weight.numpy().copy()
    trainer = tt.Trainer(model, tt.SGD(model.parameters(), lr=0.1), tt.CrossEntropyLoss(), compile=compiled)
    loader = tt.DataLoader(tt.TensorDataset(x, labels), 64)
    first, last = trainer.train_epoch(loader), [trainer.train_epoch(loader) for _ in range(8)][-1]
    assert last.loss < first.loss and not np.array_equal(before, model[0].weight.numpy())
    low, high = model[0].input_range
    assert -5 < low < -2 and 2 < high < 5
    model.eval()
    quantized = tt.quantize(model)
    assert quantized[0].is_static and quantized[0].weight_bits == 7
    assert difference(quantized(tt.tensor(x)), model(tt.tensor(x))) < 1e-2
    assert [row.form for row in quantized.sensitivity] == ["int8, static, W7A8"] * 2


def test_norms_behind_prepared_layers_are_folded() -> None:
    model = tt.Sequential(tt.Conv2d(3, 4, 3), tt.BatchNorm2d(4), tt.ReLU())
    aware = tt.prepare_qat(model)
    x = numbers(4, 3, 6, 6)
    for _ in range(3):
        aware(x)
    aware.eval()
    quantized = tt.quantize(aware)
    assert isinstance(quantized[1], tt.Identity)
    assert difference(quantized(x), aware(x)) < 1e-2


def test_what_is_refused() -> None:
    with pytest.raises(tt.TinyTorchError, match="has not run in training mode"):
        tt.quantize(tt.prepare_qat(mlp()))
    with pytest.raises(tt.TinyTorchError, match="no Linear or Conv2d"):
        tt.prepare_qat(tt.ReLU())
