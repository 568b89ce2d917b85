"""A compiled object is what it was made of: a module among modules, a method of its class, a function to copy, pickle
and inspect; and one thread sees nothing of another one's trace."""

from __future__ import annotations

import copy
import gc
import inspect
import pickle
import threading
import weakref

import numpy as np
import pytest

import tinytorch as tt
from tests.worlds import World


class Net(tt.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = tt.Linear(2, 2)
        self.scale = 1.0
        self.drop = tt.Dropout(0.5)
        self.register_buffer("shift", tt.zeros(2))

    def forward(self, x):
        return self.drop(self.layer(x)) * self.scale + self.shift

    @tt.compile
    def total(self, x):
        """The sum of what the layer gives."""
        return self.layer(x).sum() * self.scale

    @property
    @tt.compile
    def norm(self):
        return self.layer.weight.square().sum()


class Twice(Net):
    @tt.compile
    def total(self, x):
        return super().total(x) * 2


X = tt.ones(3, 2)


def net() -> Net:
    tt.manual_seed(0)
    model = Net()
    model.eval()
    return model


def same(a: tt.Tensor, b: tt.Tensor) -> bool:
    return a.dtype == b.dtype and np.allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-6)


# Modules.
def test_a_module_inside_another(world: World) -> None:
    inner = net()
    called = world(inner)
    outer = tt.Sequential(called, tt.Linear(2, 1))
    names = ["0.layer.weight", "0.layer.bias", "1.weight", "1.bias"]
    assert [name for name, _ in outer.named_parameters()] == names
    assert list(outer.state_dict()) == ["0.shift", *names]
    assert len(list(outer.parameters())) == 4
    for mode in (True, False):
        outer.train(mode)
        assert inner.training is inner.drop.training is called.training is mode
    assert isinstance(called, tt.Module) and "Linear" in repr(outer)
    optimizer = tt.SGD(outer.parameters(), lr=0.5)
    before = inner.layer.weight.numpy().copy()
    outer(X).sum().backward()
    optimizer.step()
    assert inner.layer.weight.grad is not None and not np.array_equal(before, inner.layer.weight.numpy())
    assert same(called(X), inner(X))


def test_attributes_are_those_of_the_module(world: World) -> None:
    inner = net()
    called = world(inner)
    called(X)
    called.scale = 2.0
    assert inner.scale == 2.0 and same(called(X), inner.layer(X) * 2)
    inner.scale = 3.0
    assert called.scale == 3.0 and same(called(X), inner.layer(X) * 3)
    called.layer = tt.Linear(2, 2)
    assert inner.layer is called.layer and same(called(X), inner.layer(X) * 3)
    del called.scale
    assert not hasattr(inner, "scale")


def test_compiled_inside_compiled_sees_the_inner_one(world: World) -> None:
    inner = net()
    outer = tt.Sequential(world(inner), tt.Identity())
    called = world(outer)
    for scale in (1.0, 2.0, 2.0, 3.0):
        inner.scale = scale
        assert same(called(X), inner.layer(X) * scale)
    inner.drop.p = 0.0
    for mode in (True, False, True):
        called.train(mode)
        assert inner.drop.training is mode and same(called(X), inner.layer(X) * 3)


def test_other_dtypes_after_the_first_call(world: World) -> None:
    model = net()
    called = world(model)
    called(X)
    for cast, x, dtype in (("double", X.double(), tt.f64), ("float", X, tt.f32)):
        getattr(model, cast)()
        found = called(x)
        assert found.dtype == dtype and same(found, model.layer(x))
    model.register_buffer("shift", tt.ones(2, dtype=tt.f64))
    assert called(X).dtype == tt.f64
    assert same(called(X), model.layer(X).double() + 1)


def test_copies_and_pickles_of_modules(world: World) -> None:
    called = world(net())
    known = called(X).tolist()
    twin = copy.deepcopy(called)
    with tt.no_grad():
        twin.layer.weight.zero_()
    assert called(X).tolist() == known != twin(X).tolist()
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(called, protocol))
        assert type(again) is type(called) and again(X).tolist() == known
    holder = tt.Sequential(called, tt.Identity())
    other = copy.deepcopy(holder)
    with tt.no_grad():
        other[0].layer.bias.add_(1)
    assert holder(X).tolist() == known
    np.testing.assert_allclose(other(X).numpy(), np.array(known) + 1, rtol=1e-6)


def test_a_shallow_copy_shares_the_parameters(world: World) -> None:
    called = world(net())
    twin = copy.copy(called)
    with tt.no_grad():
        called.layer.weight.zero_()
        called.layer.bias.fill_(2)
    assert twin(X).tolist() == called(X).tolist() == [[2, 2]] * 3


def test_state_dicts_load_into_either(world: World) -> None:
    a, b = net(), Net()
    b.eval()
    called = world(b)
    called(X)
    called.load_state_dict(a.state_dict())
    assert same(called(X), a(X))


# Methods.
def test_a_compiled_method() -> None:
    a, b = net(), net()
    with tt.no_grad():
        b.layer.weight.zero_()
    for scale in (1.0, 5.0):
        a.scale = scale
        assert same(a.total(X), a.layer(X).sum() * scale)
        assert same(b.total(X), b.layer(X).sum())
    assert same(a.norm, a.layer.weight.square().sum())
    assert Net.total.__doc__ == "The sum of what the layer gives."


def test_a_compiled_method_of_a_subclass() -> None:
    model = Twice()
    for scale in (1.0, 3.0):
        model.scale = scale
        assert same(model.total(X), model.layer(X).sum() * scale * 2)
    model.norm, Net().total(X)


def test_copies_and_pickles_of_an_object_with_compiled_methods() -> None:
    model = net()
    known = model.total(X).item()
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), copy.copy(model)):
        assert twin.total(X).item() == pytest.approx(known)
    twin = copy.deepcopy(model)
    with tt.no_grad():
        twin.layer.weight.zero_()
    assert same(twin.total(X), twin.layer.bias.sum() * 3) and model.total(X).item() == pytest.approx(known)
    shallow = copy.copy(model)
    shallow.scale = 2.0
    assert shallow.total(X).item() == pytest.approx(2 * known) and model.total(X).item() == pytest.approx(known)


def test_an_object_with_a_compiled_method_is_not_kept() -> None:
    model = net()
    model.total(X)
    known = weakref.ref(model)
    del model
    gc.collect()
    assert known() is None


class Slotted:
    __slots__ = ("factor",)

    def __init__(self) -> None:
        self.factor = 2.0

    @tt.compile
    def method(self, x):
        return x * self.factor

    @classmethod
    @tt.compile
    def of_class(cls, x):
        return x * 3

    @staticmethod
    @tt.compile
    def static(x):
        return x * 4


def test_slots_class_methods_and_static_methods() -> None:
    a, one = Slotted(), tt.ones(1)
    assert a.method(one).tolist() == [2]
    a.factor = 5.0
    assert (a.method(one).tolist(), Slotted.of_class(one).tolist(), a.static(one).tolist()) == ([5], [3], [4])


# Functions.
FACTOR = 2.0


@tt.compile
def doubled(x):
    """Two times."""
    return x * 2


@tt.compile
def scaled(x):
    return x * FACTOR


@tt.compile
def more(x):
    return scaled(x) + 1


def test_a_function_is_itself() -> None:
    assert (doubled.__name__, doubled.__doc__, str(inspect.signature(doubled))) == ("doubled", "Two times.", "(x)")
    assert pickle.loads(pickle.dumps(doubled)) is doubled
    assert doubled.__wrapped__(3) == doubled.function(3) == 6
    assert copy.deepcopy(doubled)(tt.ones(1)).tolist() == copy.copy(doubled)(tt.ones(1)).tolist() == [2]


def test_globals_of_an_inner_function(monkeypatch: pytest.MonkeyPatch) -> None:
    assert more(tt.ones(1)).tolist() == [3]
    monkeypatch.setitem(globals(), "FACTOR", 3.0)
    assert more(tt.ones(1)).tolist() == [4]


# Threads.
def test_another_thread_sees_no_gradient_of_a_trace() -> None:
    w = tt.tensor([1.0, 2.0], requires_grad=True)
    traced, seen = threading.Event(), threading.Event()

    def step(x):
        loss = (w * x).sum()
        loss.backward()
        traced.set()
        assert seen.wait(30)
        return loss

    thread = threading.Thread(target=lambda: tt.compile(step)(tt.tensor([3.0, 4.0])))
    thread.start()
    assert traced.wait(30)
    gradient = w.grad
    seen.set()
    thread.join()
    assert gradient is None and w.grad is not None and w.grad.tolist() == [3, 4]
