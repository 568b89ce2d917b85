"""Modules: names, modes, copies, parameters, containers, hooks, summaries."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import tinytorch as tt
from tests.frontend.layers.networks import Net
from tinytorch.frontend import functional as F
from tinytorch.frontend.activations.activations import GELU, ReLU, Sigmoid, Tanh
from tinytorch.frontend.functions import random
from tinytorch.frontend.layers.layers import Dropout, Identity, Linear
from tinytorch.frontend.module import Module, Parameter
from tinytorch.frontend.module.containers import ModuleDict, ModuleList, ParameterDict, ParameterList, Sequential
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import ShapeError, TinyTorchError


@pytest.fixture(autouse=True)
def seeded():
    random.manual_seed(7)


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
SHAPES = {"weight": (2, 2), "bias": (2,)}


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


def test_hooks_change_a_state_before_it_is_loaded():
    """As where one matrix has taken the place of two."""

    class Joined(Linear):
        def __init__(self):
            super().__init__(2, 4)
            self._register_load_state_dict_pre_hook(self.join)

        def join(self, state, prefix, *others):
            for name in ("weight", "bias"):
                if f"{prefix}a.{name}" in state:
                    parts = [state.pop(f"{prefix}{part}.{name}") for part in "ab"]
                    state[f"{prefix}{name}"] = np.concatenate(parts)

    old = {f"0.{p}.{n}": np.full(s, i, np.float32) for i, p in enumerate("ab") for n, s in SHAPES.items()}
    model, given = copy.deepcopy(Sequential(Joined())), dict(old)
    assert model.load_state_dict(old) == ([], []) and old.keys() == given.keys()
    assert model[0].bias.tolist() == [0, 0, 1, 1] and model.state_dict().keys() == {"0.weight", "0.bias"}

    def told(module, state, prefix, local, strict, missing, unexpected, errors):
        errors.append(f"{prefix} no")

    with model.register_load_state_dict_pre_hook(told), pytest.raises(TinyTorchError, match=r"does not fit\n   no"):
        model.load_state_dict(old)
    assert model.load_state_dict(old) == ([], [])


def test_a_buffer_is_registered_where_it_is_assigned():
    module, values = Linear(3, 3), tt.ones(3)
    module.scale = tt.nn.Buffer(values, persistent=False)
    module.shift = tt.nn.Buffer([1.0, 2.0, 3.0])
    assert [name for name, _ in module.named_buffers()] == ["scale", "shift"] and len(module.parameters()) == 2
    assert "scale" not in module.state_dict() and "shift" in module.state_dict()
    values.fill_(2.0)
    assert tt.compile(lambda x: x * module.scale, backend="interpreter")(tt.ones(3)).tolist() == [2.0, 2.0, 2.0]
    with pytest.raises(tt.TraceError, match="outside of the compiled function"):
        tt.compile(lambda x: tt.nn.Buffer(x))(values)
    with pytest.raises(tt.TraceError, match="other memory"):
        tt.compile(lambda x: module.load_state_dict({"shift": x}, strict=False, assign=True))(values)


def test_names_reach_below_and_say_what_there_is():
    model = Sequential(Linear(2, 3), ReLU())
    assert model.get_parameter("0.bias") is model[0].bias and model.get_submodule("1") is model[1]
    model.set_submodule("1", tt.nn.Tanh())
    assert isinstance(model[1], tt.nn.Tanh)
    with pytest.raises(AttributeError, match="no module '7'"):
        model.set_submodule("7.0", tt.nn.Tanh())
    with pytest.raises(AttributeError, match=r"no parameter '2.bias'; it has 0.weight, 0.bias"):
        model.get_parameter("2.bias")
    assert [n for n, _ in model.named_parameters(recurse=False)] == []
    assert list(model.state_dict(prefix="net.")) == ["net.0.weight", "net.0.bias"]
    assert model.half()[0].weight.dtype.name == "f16"
    state = {"0.weight": np.ones((3, 2)), "0.bias": np.zeros(3)}
    assert model.load_state_dict(state, assign=True) == ([], []) and model[0].weight.dtype.name == "f64"
    assert str(model.load_state_dict(state)) == "<All keys matched successfully>"
    assert str(model.load_state_dict({}, strict=False)).startswith("Incompatible(missing_keys=['0.weight'")
    with pytest.raises(TinyTorchError, match="CPU only"):
        model.cuda()


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


def test_an_error_in_a_module_that_takes_a_list_of_tensors_is_told_as_it_is():
    class Joined(tt.Module):
        def forward(self, maps: list[tt.Tensor]) -> tt.Tensor:
            return tt.cat(maps, 1).no_such_method()

    with pytest.raises(AttributeError, match="no_such_method"):
        Joined()([tt.ones(1, 2), tt.ones(1, 3)])
