"""Layers and activations: values, gradients, initial weights, errors."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.frontend import functional as F
from tinytorch.frontend.activations.activations import GELU, LogSoftmax, ReLU, Sigmoid, SiLU, Softmax, Tanh
from tinytorch.frontend.functions import random
from tinytorch.frontend.layers.layers import Dropout, Flatten, Identity, LayerNorm, Linear
from tinytorch.frontend.module import init
from tinytorch.frontend.module.containers import ModuleList, Sequential
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import ShapeError, TinyTorchError

RNG = np.random.default_rng(1)
ACTIVATIONS = [
    (Sigmoid(), "Sigmoid", {}),
    (Tanh(), "Tanh", {}),
    (ReLU(), "ReLU", {}),
    (SiLU(), "SiLU", {}),
    (GELU(), "GELU", {}),
    (GELU("tanh"), "GELU", {"approximate": "tanh"}),
    (Softmax(), "Softmax", {"dim": -1}),
    (Softmax(0), "Softmax", {"dim": 0}),
    (LogSoftmax(1), "LogSoftmax", {"dim": 1}),
]


@pytest.fixture(autouse=True)
def seeded():
    random.manual_seed(7)


# Activations.
@pytest.mark.parametrize(("activation", "name", "options"), ACTIVATIONS)
def test_activation_forward_and_backward_match_torch(activation, name, options):
    torch = pytest.importorskip("torch")
    values, grad = RNG.normal(size=(2, 4, 5)) * 3
    x = torch.tensor(values, requires_grad=True)
    y = getattr(torch.nn, name)(**options)(x)
    y.backward(torch.tensor(grad))
    np.testing.assert_allclose(activation(Tensor(values)).numpy(), y.detach().numpy(), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(activation.backward(Tensor(grad)).numpy(), x.grad.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("activation", [a for a, _, _ in ACTIVATIONS])
def test_activation_backward_is_what_autograd_does(activation):
    x, grad = Tensor(RNG.normal(size=(3, 4)), requires_grad=True), Tensor(RNG.normal(size=(3, 4)))
    activation(x).backward(grad)
    assert x.grad is not None
    np.testing.assert_array_equal(activation.backward(grad).numpy(), x.grad.numpy())


@pytest.mark.parametrize("activation", [Sigmoid(), Tanh(), Softmax(), LogSoftmax()])
def test_saturating_activations_do_not_overflow(activation):
    x = Tensor([-1e4, -100.0, 0.0, 100.0, 1e4])
    assert np.isfinite(activation(x).numpy()).all()
    assert np.isfinite(activation.backward(F.ones(5)).numpy()).all()


def test_activation_limits():
    assert Sigmoid()(Tensor([-math.inf, math.inf])).tolist() == [0.0, 1.0]
    assert ReLU()(Tensor([-math.inf, -0.0, 0.0, math.inf])).tolist() == [0.0, 0.0, 0.0, math.inf]
    assert np.isnan(ReLU()(Tensor([math.nan])).numpy()).all()
    assert Sigmoid()(Tensor([0, 1])).dtype.name == "f32"


def test_the_tanh_form_of_gelu_is_close_to_the_exact_one():
    x = Tensor(np.linspace(-8, 8, 20001))
    error = np.abs(GELU("tanh")(x).numpy() - GELU()(x).numpy()).max()
    assert 1e-4 < error < 5e-4


def test_activation_errors():
    with pytest.raises(TinyTorchError, match="forward has not been called"):
        ReLU().backward(F.ones(2))
    relu = ReLU()
    relu(F.ones(3))
    with pytest.raises(ShapeError, match="does not fit"):
        relu.backward(F.ones(2))
    with pytest.raises(TinyTorchError, match="approximate"):
        GELU("fast")
    with pytest.raises(TinyTorchError, match="expected a Tensor"):
        relu([1.0, 2.0])
    with pytest.raises(ShapeError, match="out of range"):
        Softmax(2)(F.ones(3))


# Layers.
def test_linear_matches_its_formula_for_any_batch_shape():
    layer = Linear(3, 5)
    assert layer.weight.shape == (5, 3) and [p.shape for p in layer.parameters()] == [(5, 3), (5,)]
    for shape in ((3,), (4, 3), (2, 4, 3), (0, 3)):
        x = RNG.normal(size=shape).astype(np.float32)
        expected = x @ layer.weight.numpy().T + layer.bias.numpy()
        np.testing.assert_allclose(layer(Tensor(x)).numpy(), expected, rtol=1e-5, atol=1e-6)
    assert len(Linear(3, 5, bias=False).parameters()) == 1


def test_linear_gradients_match_torch():
    torch = pytest.importorskip("torch")
    ours, theirs = Linear(3, 5), torch.nn.Linear(3, 5)
    theirs.load_state_dict({name: torch.tensor(t.numpy()) for name, t in ours.state_dict().items()})
    values = RNG.normal(size=(4, 3)).astype(np.float32)
    x, y = Tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    ours(x).square().sum().backward()
    theirs(y).square().sum().backward()
    for a, b in [(x, y), (ours.weight, theirs.weight), (ours.bias, theirs.bias)]:
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-5, atol=1e-5)


def test_a_state_that_is_assigned_lies_where_it_was():
    layer = tt.nn.Sequential(Linear(2, 2), tt.nn.BatchNorm1d(2))
    state = {
        name: t.detach().clone().to("f64" if name == "0.bias" else t.dtype) for name, t in layer.state_dict().items()
    }
    compiled, weight = tt.compile(lambda x: layer[0].weight * x), layer[0].weight
    weight.grad = tt.ones(2, 2)
    assert compiled(Tensor(1.0)).shape == (2, 2)
    layer.load_state_dict(state, assign=True)
    state["0.weight"][0, 0] = 7.0
    state["1.running_mean"].fill_(3.0)
    assert layer[0].weight is weight and weight.requires_grad and weight.grad is None
    assert weight[0, 0].item() == compiled(Tensor(1.0))[0, 0].item() == 7.0
    assert layer[0].bias.dtype == tt.float64 and layer[1].running_mean.tolist() == [3.0, 3.0]


def test_linear_initialization():
    n = 400
    default, xavier, he = (Linear(n, n, initialization=kind) for kind in ("default", "xavier", "he"))
    assert np.abs(default.weight.numpy()).max() <= 1 / math.sqrt(n) < 1.01 * np.abs(default.weight.numpy()).max()
    np.testing.assert_allclose(default.weight.numpy().var(), 1 / (3 * n), rtol=0.02)
    np.testing.assert_allclose(xavier.weight.numpy().var(), 1 / n, rtol=0.02)
    np.testing.assert_allclose(he.weight.numpy().var(), 2 / n, rtol=0.02)
    assert not he.bias.numpy().any() and default.bias.numpy().any()


@pytest.mark.parametrize(
    ("function", "variance"),
    [
        (init.xavier_uniform_, 2 / 500),
        (init.xavier_normal_, 2 / 500),
        (init.kaiming_uniform_, 2 / 300),
        (init.kaiming_normal_, 2 / 300),
    ],
)
def test_init_variances(function, variance):
    weight = F.zeros(200, 300)
    assert function(weight) is weight
    np.testing.assert_allclose(weight.numpy().var(), variance, rtol=0.03)
    np.testing.assert_allclose(weight.numpy().mean(), 0, atol=0.002)


def test_init_errors():
    with pytest.raises(ShapeError, match="two axes"):
        init.xavier_normal_(F.zeros(3))
    with pytest.raises(TinyTorchError, match="fan_in"):
        init.kaiming_normal_(F.zeros(3, 3), mode="sideways")
    with pytest.raises(TinyTorchError, match="leaky_relu"):
        init.kaiming_normal_(F.zeros(3, 3), nonlinearity="swish")


@pytest.mark.parametrize("bad", [0, -1, 2.5, "3", True])
def test_linear_rejects_sizes(bad):
    with pytest.raises(TinyTorchError, match="in_features is a positive integer"):
        Linear(bad, 2)


def test_linear_names_the_shapes_that_do_not_fit():
    with pytest.raises(ShapeError, match=r"f32\[4,784\].*f32\[10,128\]") as error:
        Linear(128, 10)(F.ones(4, 784))
    assert "test_layers.py" in str(error.value)


def test_dropout_drops_and_scales_in_training_only():
    x, layer = F.ones(100, 100), Dropout(0.3)
    y = layer(x).numpy()
    np.testing.assert_allclose((y == 0).mean(), 0.3, atol=0.02)
    np.testing.assert_allclose(y[y != 0], 1 / 0.7, rtol=1e-6)
    assert not np.array_equal(y, layer(x).numpy())
    assert layer(x, training=False) is x and layer.eval()(x) is x and Dropout(0.0)(x) is x
    assert not Dropout(1.0)(x).numpy().any()
    with pytest.raises(TinyTorchError, match="probability"):
        Dropout(1.5)


def test_dropout_gradient_has_the_mask_of_its_forward():
    x, layer = F.ones(20, 20).requires_grad_(), Dropout(0.5)
    y = layer(x)
    layer(x)
    y.sum().backward()
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.numpy(), y.numpy())


def test_a_seed_repeats_dropout():
    def sample() -> np.ndarray:
        random.manual_seed(3)
        return Dropout(0.5)(F.ones(50)).numpy()

    np.testing.assert_array_equal(sample(), sample())


def test_layer_norm_matches_torch():
    torch = pytest.importorskip("torch")
    for shape in (6, (5, 6)):
        ours, theirs = LayerNorm(shape), torch.nn.LayerNorm(shape)
        values = RNG.normal(size=(4, 5, 6)).astype(np.float32)
        x, y = Tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
        weights = RNG.normal(size=values.shape).astype(np.float32)
        out, other = ours(x), theirs(y)
        np.testing.assert_allclose(out.numpy(), other.detach().numpy(), rtol=1e-5, atol=1e-5)
        (out * Tensor(weights)).sum().backward()
        (other * torch.tensor(weights)).sum().backward()
        np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(ours.weight.grad.numpy(), theirs.weight.grad.numpy(), rtol=1e-4, atol=1e-5)
    assert LayerNorm(3, elementwise_affine=False).parameters() == []
    assert len(LayerNorm(3, bias=False).parameters()) == 1
    with pytest.raises(ShapeError, match="last axes"):
        LayerNorm(3)(F.ones(2, 4))


def test_containers():
    model = Sequential(Linear(2, 3), ReLU(), Sequential(Flatten(), Identity(), Linear(3, 1)))
    assert model(F.ones(4, 2)).shape == (4, 1)
    assert len(model) == 3 and isinstance(model[1], ReLU) and len(model[:2]) == 2 and model[-1] is model[2]
    assert model[0] is model[:1][0]
    assert [n for n, _ in model.named_parameters()] == ["0.weight", "0.bias", "2.2.weight", "2.2.bias"]
    assert len(Sequential([Linear(2, 2), ReLU()])) == 2 and Sequential()(3) == 3
    blocks = ModuleList(Linear(2, 2) for _ in range(3))
    blocks.append(ReLU())
    assert [type(m).__name__ for m in blocks] == ["Linear"] * 3 + ["ReLU"]
    with pytest.raises(TinyTorchError, match="expected a Module, got function"):
        Sequential(Linear(2, 2), lambda x: x)
