"""Modules 02 and 03: activations, Module, layers, weight files."""

from __future__ import annotations

import copy
import io
import math
import pickle

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.frontend import functional as F
from tinytorch.frontend.activations import GELU, LogSoftmax, ReLU, Sigmoid, SiLU, Softmax, Tanh
from tinytorch.frontend.functions import random
from tinytorch.frontend.layers import Dropout, Flatten, Identity, LayerNorm, Linear
from tinytorch.frontend.module import Module, Parameter, init
from tinytorch.frontend.module.containers import ModuleDict, ModuleList, ParameterDict, ParameterList, Sequential
from tinytorch.frontend.module.weights import load_safetensors, save_safetensors
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.types import DTYPES

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


# Modules.
class Net(Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = Parameter([1.0, 2.0])
        self.first = Linear(2, 2)
        self.shared = self.first
        self.layers = [Linear(2, 3), {"last": Linear(3, 1)}]
        self.register_buffer("mean", F.zeros(2))
        self.register_buffer("scratch", F.zeros(2), persistent=False)
        self.note = "no tensor"
        self.constant = F.ones(2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.shared(self.first(x * self.scale - self.mean))
        return self.layers[1]["last"](self.layers[0](x))


NAMES = ["scale", "first.weight", "first.bias"]
LISTED = ["layers.0.weight", "layers.0.bias", "layers.1.last.weight", "layers.1.last.bias"]


def test_names_of_parameters_buffers_and_modules():
    net = Net()
    assert [n for n, _ in net.named_parameters()] == NAMES + LISTED
    assert len(net.parameters()) == 7
    assert [n for n, _ in net.named_buffers()] == ["mean", "scratch"]
    assert [n for n, _ in net.named_modules()] == ["", "first", "layers.0", "layers.1.last"]
    assert [n for n, _ in net.named_children()] == ["first", "shared", "layers.0", "layers.1.last"]
    assert list(net.state_dict()) == ["scale", "mean", *NAMES[1:], *LISTED]
    assert net.scale.name == "scale" and net.first.weight.name == "weight"


def test_modules_need_no_super_init():
    class Bare(Module):
        def __init__(self) -> None:
            self.w = Parameter([1.0])

        def forward(self, x: Tensor) -> Tensor:
            return x * self.w

    assert Bare()(Tensor([2.0])).tolist() == [2.0] and len(Bare().parameters()) == 1


def test_a_frozen_parameter_stays_in_the_state():
    net = Net()
    net.scale.requires_grad_(False)
    net.layers[0].requires_grad_(False)
    assert [n for n, _ in net.named_parameters()] == NAMES + LISTED
    net.requires_grad_(False)
    assert list(net.state_dict()) == list(Net().state_dict())
    assert not any(p.requires_grad for p in net.parameters())


def test_replacing_and_deleting_attributes():
    net = Net()
    net.scale = None
    del net.first
    net.mean = Tensor([1.0, 1.0])
    assert [n for n, _ in net.named_parameters()] == ["shared.weight", "shared.bias", *LISTED]
    assert "mean" in net.state_dict()
    del net.mean
    assert "mean" not in net.state_dict()


def test_an_activation_kept_as_attribute_is_no_parameter():
    net = Net()
    net.hidden = net(F.ones(1, 2))
    assert net.hidden.requires_grad and len(net.parameters()) == 7


def test_train_and_eval_reach_all_modules():
    net = Net()
    assert all(m.training for m in net.modules())
    assert net.eval() is net and not any(m.training for m in net.modules())
    assert net.train() is net and all(m.training for m in net.modules())


def test_apply_visits_children_first():
    visited: list[Module] = []
    net = Sequential(Linear(1, 1), ReLU())
    net.apply(visited.append)
    assert visited[-1] is net and len(visited) == 3


def test_zero_grad():
    net = Net()
    net(F.ones(1, 2)).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())


def test_to_converts_in_place():
    net = Net()
    before = net.parameters()
    assert net.to("f64") is net and all(a is b for a, b in zip(before, net.parameters(), strict=True))
    assert {t.dtype.name for t in net.state_dict().values()} == {"f64"}
    assert net(F.ones(1, 2, dtype="f64")).dtype.name == "f64"
    assert net.to("cpu").float().scale.dtype.name == "f32"
    with pytest.raises(TinyTorchError, match="CPU only"):
        net.to("cuda")
    with pytest.raises(ShapeError, match="float dtype"):
        net.to("i32")


def test_repr_shows_the_tree():
    assert repr(Sequential(Linear(2, 3), Sequential(ReLU(), Dropout(0.1)))) == (
        "Sequential(  # 9 parameters\n"
        "  (0): Linear(in_features=2, out_features=3, bias=True)  # 9 parameters\n"
        "  (1): Sequential(  # 0 parameters\n"
        "    (0): ReLU()\n"
        "    (1): Dropout(p=0.1)\n"
        "  )\n"
        ")"
    )


def test_copies_are_independent_and_keep_what_is_shared():
    net = Net()
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert twin.first is twin.shared and list(twin.state_dict()) == list(net.state_dict())
        np.testing.assert_array_equal(twin(F.ones(1, 2)).numpy(), net(F.ones(1, 2)).numpy())
        twin.scale.data[:] = 9
        assert net.scale.tolist() == [1.0, 2.0]


def test_a_module_without_forward_says_so():
    with pytest.raises(TinyTorchError, match=r"Empty has no forward\(\)"):
        type("Empty", (Module,), {})()(1)
    with pytest.raises(TinyTorchError, match="not a name"):
        Net().register_buffer("a.b", F.zeros(1))


# State and files.
def test_state_dict_round_trip():
    a, b = Net(), Net()
    assert b.load_state_dict(a.state_dict()) == ([], [])
    np.testing.assert_array_equal(a(F.ones(1, 2)).numpy(), b(F.ones(1, 2)).numpy())
    b.load_state_dict({name: t.numpy() for name, t in Net().state_dict().items()})
    b.scale.data[:] = 5
    assert b.state_dict()["scale"].tolist() == [5.0, 5.0] and not b.state_dict()["scale"].requires_grad


def test_state_that_does_not_fit_changes_nothing():
    net = Net()
    before = {name: t.numpy().copy() for name, t in net.state_dict().items()}
    state = {name: np.full_like(array, 7) for name, array in before.items()}
    state["layers.0.bias"] = np.zeros(9, np.float32)
    state["extra"] = np.zeros(1)
    del state["mean"]
    with pytest.raises(TinyTorchError) as error:
        net.load_state_dict(state)
    for part in ("missing: mean f32[2]", "unexpected: extra", "layers.0.bias: the module has [3], the state [9]"):
        assert part in str(error.value)
    with pytest.raises(TinyTorchError, match=r"layers.0.bias"):
        net.load_state_dict(state, strict=False)
    for name, tensor in net.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), before[name])
    del state["layers.0.bias"]
    assert net.load_state_dict(state, strict=False) == (["mean", "layers.0.bias"], ["extra"])
    assert net.scale.tolist() == [7.0, 7.0]


def test_safetensors_round_trip_for_all_dtypes(tmp_path):
    state = {n: Tensor([[0, 1], [2, 3]], dtype=n) for n in DTYPES}
    state |= {"scalar": Tensor(3.0), "empty": F.zeros(0, 3), "view": Tensor(np.arange(6.0).reshape(2, 3).T)}
    path = tmp_path / "all.safetensors"
    save_safetensors(state, path)
    loaded = load_safetensors(path)
    assert set(loaded) == set(state)
    for name, tensor in state.items():
        assert loaded[name].type == tensor.type
        np.testing.assert_array_equal(loaded[name].numpy(), tensor.numpy())
    loaded["f32"].zero_()  # loaded tensors can be written to


def test_torch_reads_our_files(tmp_path):
    pytest.importorskip("torch")
    safetensors = pytest.importorskip("safetensors.torch")
    net = Linear(3, 2)
    net.save(tmp_path / "m.safetensors")
    loaded = safetensors.load_file(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(loaded["weight"].numpy(), net.weight.numpy())


def test_save_and_load(tmp_path):
    a, b = Net(), Net()
    a.save(tmp_path / "net.safetensors")
    b.load(tmp_path / "net.safetensors")
    np.testing.assert_array_equal(a(F.ones(1, 2)).numpy(), b(F.ones(1, 2)).numpy())
    assert [p.name for p in tmp_path.iterdir()] == ["net.safetensors"]


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:20], lambda b: b"", lambda b: b"\xff" * 64])
def test_a_damaged_file_is_an_error_and_changes_nothing(tmp_path, damage):
    net, path = Net(), tmp_path / "net.safetensors"
    Net().save(path)
    path.write_bytes(damage(path.read_bytes()))
    before = {name: t.numpy().copy() for name, t in net.state_dict().items()}
    with pytest.raises(TinyTorchError, match="not a whole safetensors file"):
        net.load(path)
    for name, tensor in net.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), before[name])


def test_files_that_cannot_be_read_or_written(tmp_path, monkeypatch):
    with pytest.raises(TinyTorchError, match="cannot read"):
        load_safetensors(tmp_path / "none.safetensors")
    with pytest.raises(TinyTorchError, match="cannot write"):
        save_safetensors({}, tmp_path / "no" / "folder.safetensors")
    path = tmp_path / "kept.safetensors"
    save_safetensors({"a": Tensor([1.0])}, path)
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(TinyTorchError, match="disk full"):
        save_safetensors({"a": Tensor([2.0])}, path)
    assert load_safetensors(path)["a"].tolist() == [1.0] and len(list(tmp_path.iterdir())) == 1


# Parameters and containers.
def test_a_parameter_is_a_tensor_of_its_own_class_and_stays_one_when_frozen():
    module = Module()
    source = Tensor([1.0, 2.0])
    module.w = Parameter(source)
    assert isinstance(module.w, Parameter) and isinstance(module.w, Tensor) and not isinstance(source, Parameter)
    source.copy_(Tensor([3.0, 4.0]))
    np.testing.assert_array_equal(module.w.numpy(), [3, 4])
    module.w.requires_grad_(False)
    assert [name for name, _ in module.named_parameters()] == ["w"] and type(module.w * 2) is Tensor
    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert isinstance(twin.w, Parameter) and not twin.w.requires_grad
    assert repr(module.w).startswith("Parameter containing:\n")


def test_a_module_dict_and_lists_of_parameters_hold_what_they_are_given():
    model = Module()
    model.parts = ModuleDict({"a": Linear(2, 3), "b": ReLU()})
    model.scales = ParameterList([Tensor([1.0]), Tensor([2.0])])
    model.table = ParameterDict({"gain": [1.0, 2.0]})
    model.parts["c"] = Linear(1, 1)
    assert list(model.parts) == ["a", "b", "c"] and "b" in model.parts and len(model.scales) == 2
    names = ["parts.a.weight", "parts.a.bias", "parts.c.weight", "parts.c.bias", "scales.0", "scales.1", "table.gain"]
    assert list(model.state_dict()) == names
    del model.parts["a"]
    assert [name for name, _ in model.named_children()] == ["parts", "scales", "table"]
    with pytest.raises(KeyError, match="no 'a' among b, c"):
        model.parts["a"]
    with pytest.raises(TinyTorchError, match="none that the class has"):
        model.parts["keys"] = ReLU()


def test_rows_of_modules_are_lists():
    row = ModuleList([Linear(1, 1), ReLU()])
    row.insert(0, Identity()).append(Tanh())
    row += [Sigmoid()]
    assert [type(m).__name__ for m in row] == ["Identity", "Linear", "ReLU", "Tanh", "Sigmoid"]
    del row[1]
    row[-1] = GELU()
    assert [name for name, _ in row.named_children()] == ["0", "1", "2", "3"] and isinstance(row.pop(), GELU)
    assert len(row[1:]) == 2 and len(row + row) == 6
    with pytest.raises(TinyTorchError, match="no item 5 among 3"):
        row[5]
    with pytest.raises(TinyTorchError, match=r"got ReLU; write ReLU\(\)"):
        Sequential(ReLU)


def test_a_sequential_of_names_runs_in_their_order():
    model = Sequential({"first": Linear(2, 3), "second": ReLU()})
    assert [name for name, _ in model.named_parameters()] == ["first.weight", "first.bias"]
    assert model(Tensor(np.ones((1, 2), np.float32))).shape == (1, 3) and isinstance(model[1], ReLU)


# Hooks.
def test_hooks_see_and_change_arguments_and_results_compiled_too():
    model, seen = Sequential(Linear(2, 2), ReLU()), []
    x = Tensor(np.ones((1, 2), np.float32))
    plain = model(x)
    handle = model[0].register_forward_hook(lambda module, args, result: result * 0 - 1)
    model[1].register_forward_pre_hook(lambda module, args: (args[0] + 3,))
    compiled = tt.compile(model)
    assert model(x).tolist() == compiled(x).tolist() == [[2.0, 2.0]]
    handle.remove()
    np.testing.assert_allclose(compiled(x).numpy(), model(x).numpy(), rtol=1e-6)
    assert model(x).tolist() != plain.tolist()
    with model.register_forward_hook(lambda m, a, k, r: seen.append((a, k)), with_kwargs=True):
        model(input=x)
    model(x)
    assert len(seen) == 1 and seen[0][0] == () and seen[0][1]["input"] is x


def test_names_reach_below_and_say_what_there_is():
    model = Sequential(Linear(2, 3), ReLU())
    assert model.get_parameter("0.bias") is model[0].bias and model.get_submodule("1") is model[1]
    with pytest.raises(AttributeError, match=r"no parameter '2.bias'; it has 0.weight, 0.bias"):
        model.get_parameter("2.bias")
    assert [n for n, _ in model.named_parameters(recurse=False)] == []
    assert list(model.state_dict(prefix="net.")) == ["net.0.weight", "net.0.bias"]
    assert model.half()[0].weight.dtype.name == "f16"
    state = {"0.weight": np.ones((3, 2)), "0.bias": np.zeros(3)}
    assert model.load_state_dict(state, assign=True) == ([], []) and model[0].weight.dtype.name == "f64"
    with pytest.raises(TinyTorchError, match="CPU only"):
        model.cuda()


# Saving.
def test_nested_state_comes_back_as_it_was(tmp_path):
    state = {
        "model": {"w": Tensor([[1.0, 2.0]]), "n": Tensor(3)}, "epoch": 4, "rate": [0.5, math.inf, None, True, "name"],
        "pair": (Tensor([1]), "x"), 7: np.arange(3), "dtype": DTYPES["bf16"],
    }  # fmt: skip
    for target in (tmp_path / "a.tt", io.BytesIO()):
        tt.save(state, target)
        if isinstance(target, io.BytesIO):
            target.seek(0)
        back = tt.load(target)
        assert back["model"]["w"].tolist() == [[1, 2]] and back["model"]["n"].item() == 3 and back["epoch"] == 4
        assert back["rate"] == state["rate"] and isinstance(back["pair"], tuple) and back["pair"][0].tolist() == [1]
        assert back[7].tolist() == [0, 1, 2] and back["dtype"] is DTYPES["bf16"]


def test_a_state_dict_is_a_plain_safetensors_file(tmp_path):
    model = Sequential(Linear(2, 3))
    tt.save(model.state_dict(), tmp_path / "m.safetensors")
    assert load_safetensors(tmp_path / "m.safetensors")["0.weight"].tolist() == model[0].weight.tolist()
    assert list(tt.load(tmp_path / "m.safetensors")) == ["0.weight", "0.bias"]
    tt.save(Tensor([1.0]), tmp_path / "t")
    assert tt.load(tmp_path / "t", map_location="cpu").tolist() == [1.0]


def test_what_cannot_be_saved_or_loaded_says_why(tmp_path):
    with pytest.raises(TinyTorchError, match=r"save its state_dict\(\)"):
        tt.save(Linear(1, 1), tmp_path / "x")
    with pytest.raises(TinyTorchError, match=r"\['a'\]\[1\] is a set"):
        tt.save({"a": [1, {2}]}, tmp_path / "x")
    assert not (tmp_path / "x").exists()
    (tmp_path / "z").write_bytes(b"PK\x03\x04 and more than that")
    with pytest.raises(TinyTorchError, match="as PyTorch writes"):
        tt.load(tmp_path / "z")


def test_a_summary_lists_modules_shapes_and_parameters():
    model = Sequential(Linear(4, 3), ReLU(), Sequential(Linear(3, 2, bias=False)))
    model[0].weight.requires_grad_(False)
    found = tt.summary(model, (5, 4))
    assert [(r.name, r.shapes, r.parameters) for r in found.rows] == [
        ("", ((5, 2),), 0), ("0", ((5, 3),), 15), ("1", ((5, 3),), 0), ("2", ((5, 2),), 0), ("2.0", ((5, 2),), 6),
    ]  # fmt: skip
    assert (found.parameters, found.trainable, found.bytes) == (21, 9, 84) and model.training
    assert "  (0) Linear      [5, 3]          15\n" in str(found)
    assert str(found).endswith("21 parameters, 12 of them frozen; 0.00 MiB")
