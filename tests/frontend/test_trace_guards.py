"""What a trace reads of Python: noticed when it changes, or refused."""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.ir.errors import TinyTorchError, TraceError

FACTOR = 1.0


def ones(n: int = 1) -> tt.Tensor:
    return tt.ones(n)


# Values of Python that change between calls. Each case: (function of a tensor, change), from 1.0 to 5.0.
Case = tuple[Callable[[Any], Any], Callable[[], Any]]


def closure_cell() -> Case:
    k = 1

    def change() -> None:
        nonlocal k
        k = 5

    return lambda x: x * k, change


def global_number() -> Case:
    globals()["FACTOR"] = 1.0
    return lambda x: x * FACTOR, lambda: globals().update(FACTOR=5.0)


def closure_list() -> Case:
    k = [1, 2]
    return lambda x: x * k[0], lambda: k.__setitem__(0, 5)


def closure_dict() -> Case:
    k = {"v": 1}
    return lambda x: x * k["v"], lambda: k.update(v=5)


def nested_containers() -> Case:
    k = {"v": [(1, [2])]}
    return lambda x: x * (k["v"][0][1][0] - 1), lambda: k["v"][0][1].__setitem__(0, 6)


def array() -> Case:
    k = np.ones(1, np.float32)
    return lambda x: x * k, lambda: k.__setitem__(0, 5)


def object_attribute() -> Case:
    k = types.SimpleNamespace(v=1)
    holder = Holder(k)
    return lambda x: x * holder.inner.v, lambda: setattr(k, "v", 5)


class Holder:
    scale = 1

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    @property
    def value(self) -> Any:
        return self.inner

    def times(self, x: Any) -> Any:
        return x * self.inner

    def __call__(self, x: Any) -> Any:
        return self.times(x)


def attribute() -> Case:
    k = Holder(1)
    return lambda x: x * k.inner, lambda: setattr(k, "inner", 5)


def a_property() -> Case:
    k = Holder(1)
    return lambda x: x * k.value, lambda: setattr(k, "inner", 5)


def bound_method() -> Case:
    k = Holder(1)
    return k.times, lambda: setattr(k, "inner", 5)


def callable_object() -> Case:
    k = Holder(1)
    return k, lambda: setattr(k, "inner", 5)


def class_attribute() -> Case:
    class Config:
        v = 1

    return lambda x: x * Config.v, lambda: setattr(Config, "v", 5)


def shadowed_class_attribute() -> Case:
    k = Holder(None)
    return lambda x: x * k.scale, lambda: setattr(k, "scale", 5)


@dataclasses.dataclass(slots=True)
class Slotted:
    v: int = 1


def slots() -> Case:
    k = Slotted()
    return lambda x: x * k.v, lambda: setattr(k, "v", 5)


def default_argument() -> Case:
    k = [1]

    def function(x: Any, s: Any = k) -> Any:
        return x * s[0]

    return function, lambda: k.__setitem__(0, 5)


def partial() -> Case:
    k = {"v": 1}
    return functools.partial(lambda s, x: x * s["v"], k), lambda: k.update(v=5)


def helper_function() -> Case:
    helpers: list[Callable[[Any], Any]] = [lambda x: x * 1]
    return lambda x: helpers[0](x), lambda: helpers.__setitem__(0, lambda x: x * 5)


def helper_that_reads_a_global() -> Case:
    globals()["FACTOR"] = 1.0
    return lambda x: _helper(x), lambda: globals().update(FACTOR=5.0)


def _helper(x: Any) -> Any:
    return x * FACTOR


def tensor_in_a_dict() -> Case:
    k = {"w": tt.tensor([1.0])}
    return lambda x: x * k["w"], lambda: k.update(w=tt.tensor([5.0]))


def tensor_in_a_list() -> Case:
    k = [tt.tensor([1.0])]
    return lambda x: x * k[0], lambda: k.__setitem__(0, tt.tensor([5.0]))


def tensor_rebound() -> Case:
    k = tt.tensor([1.0])

    def change() -> None:
        nonlocal k
        k = tt.tensor([5.0])

    return lambda x: x * k, change


def tensor_data() -> Case:
    k = tt.tensor([1.0])
    return lambda x: x * k, lambda: setattr(k, "data", np.array([5.0], np.float32))


def tensor_written() -> Case:
    k = tt.tensor([1.0])
    return lambda x: x * k, lambda: k.__setitem__(0, 5.0)


class Scaled(tt.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = 1.0
        self.mask = np.ones(1, np.float32)
        self.parts: list[Any] = [tt.Identity()]

    def forward(self, x: Any) -> Any:
        for part in self.parts:
            x = part(x)
        return self.scaled(x)

    def scaled(self, x: Any) -> Any:
        return x * self.scale * self.mask * FACTOR


class Fivefold(tt.Module):
    def forward(self, x: Any) -> Any:
        return x * 5


def module_attribute() -> Case:
    globals()["FACTOR"] = 1.0
    m = Scaled()
    return m, lambda: setattr(m, "scale", 5.0)


def module_array() -> Case:
    globals()["FACTOR"] = 1.0
    m = Scaled()
    return m, lambda: m.mask.__setitem__(0, 5)


def module_in_a_list() -> Case:
    globals()["FACTOR"] = 1.0
    m = Scaled()
    return m, lambda: m.parts.__setitem__(0, Fivefold())


def global_in_a_method() -> Case:
    globals()["FACTOR"] = 1.0
    return Scaled(), lambda: globals().update(FACTOR=5.0)


CASES = [
    closure_cell, global_number, closure_list, closure_dict, nested_containers, array, object_attribute, attribute,
    a_property, bound_method, callable_object, class_attribute, shadowed_class_attribute, slots, default_argument,
    partial, helper_function, helper_that_reads_a_global, tensor_in_a_dict, tensor_in_a_list, tensor_rebound,
    tensor_data, tensor_written, module_attribute, module_array, module_in_a_list, global_in_a_method,
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.__name__)
def test_a_change_between_calls_is_seen(case: Callable[[], Case]) -> None:
    function, change = case()
    compiled = tt.compile(function, backend="interpreter")
    assert [compiled(ones()).item() for _ in range(3)] == [1.0, 1.0, 1.0]
    change()
    assert [compiled(ones()).item() for _ in range(2)] == [5.0, 5.0]


@pytest.mark.parametrize("case", [closure_list, attribute, module_attribute], ids=lambda c: c.__name__)
def test_nothing_is_compiled_again_without_a_change(case: Callable[[], Case], capfd: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("TT_LOGS", "recompiles")
    function, change = case()
    compiled = tt.compile(function, backend="interpreter")
    for _ in range(4):
        compiled(ones())
    assert capfd.readouterr().out.count("compiling") == 1
    change()
    for _ in range(4):
        compiled(ones())
    out = capfd.readouterr().out
    assert out.count("compiling") == 1 and "changed" in out


def test_reasons_name_what_changed(capfd: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("TT_LOGS", "recompiles")
    m = tt.Sequential(tt.Linear(2, 2), tt.Dropout(0.5))
    compiled = tt.compile(m, backend="interpreter")
    compiled(tt.ones(1, 2))
    m.eval()
    compiled(tt.ones(1, 2))
    compiled(tt.ones(3, 2))
    lines = capfd.readouterr().out.splitlines()
    assert [line.split(": ")[-1].split(".")[-1] for line in lines] == [
        "the first call", "training changed", "another shape or dtype of an argument",
    ]  # fmt: skip


def test_static_arguments_are_compared_by_value() -> None:
    compiled = tt.compile(lambda x, k=3, *, s="a": x * k + len(s), backend="interpreter")
    assert compiled(ones()).item() == 4
    assert compiled(ones(), 4).item() == 5
    assert compiled(ones(), k=5, s="ab").item() == 7
    assert compiled(ones(), 4).item() == 5
    assert compiled(ones(), 4.5).item() == 5.5
    assert compiled(ones(), True).item() == 2
    product = tt.compile(lambda x, k: x * k)
    zeros = [product(ones(), k).item() for k in (0.0, -0.0)]
    assert [str(z) for z in zeros] == ["0.0", "-0.0"]


def test_attributes_of_a_static_argument_are_watched() -> None:
    k = Holder(1)
    compiled = tt.compile(lambda x, k: x * k.inner, backend="interpreter")
    assert compiled(ones(), k).item() == 1
    k.inner = 5
    assert compiled(ones(), k).item() == 5


# Tensors that are captured as well as passed.
def test_an_argument_that_is_captured_too() -> None:
    p = tt.tensor([2.0, 3.0])
    for first, second in [(p, tt.tensor([10.0, 10.0])), (tt.tensor([10.0, 10.0]), p)]:
        compiled = tt.compile(lambda x: x * p)
        for x in (first, second, first):
            np.testing.assert_array_equal(compiled(x).numpy(), x.numpy() * p.numpy())


@pytest.mark.parametrize("backend", ["llvm", "interpreter"])
def test_an_argument_that_is_captured_state_too(backend: Any) -> None:
    p = tt.tensor([2.0, 3.0])

    @functools.partial(tt.compile, backend=backend)
    def step(x: Any) -> Any:
        p.copy_(p + 1)
        return x * 1

    assert step(tt.tensor([10.0, 10.0])).tolist() == [10, 10]
    assert step(p).tolist() == p.tolist() == [4, 5]
    assert step(tt.tensor([7.0, 7.0])).tolist() == [7, 7]
    assert p.tolist() == [5, 6]


def test_the_same_tensor_twice() -> None:
    compiled = tt.compile(lambda a, b: a * b)
    x, y = tt.tensor([2.0, 3.0]), tt.ones(2)
    assert [compiled(a, b).tolist() for a, b in [(x, x), (x, y), (x, x)]] == [[4, 9], [2, 3], [4, 9]]


def test_freezing_a_captured_parameter() -> None:
    p, q = (tt.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    optimizer = tt.SGD([p, q], lr=0.1, momentum=0)

    @tt.compile
    def step(x: Any) -> None:
        optimizer.zero_grad()
        (p * q * x).sum().backward()
        optimizer.step()

    step(ones(2))
    before = p.tolist()
    p.requires_grad = False
    step(ones(2))
    assert p.tolist() == before
    p.requires_grad_()
    step(ones(2))
    assert p.tolist() != before


def test_gradients_of_arguments_go_to_the_arguments_of_the_call() -> None:
    compiled = tt.compile(lambda x: (x * x).sum().backward(), backend="interpreter")
    xs = [tt.tensor([float(i), 1.0], requires_grad=True) for i in range(4)]
    for x in xs:
        assert compiled(x) is None
    assert [x.grad.tolist() for x in xs if x.grad is not None] == [[2.0 * i, 2.0] for i in range(4)]
    compiled(xs[1])
    assert xs[1].grad is not None and xs[1].grad.tolist() == [4.0, 4.0]
    assert xs[2].grad is not None and xs[2].grad.tolist() == [4.0, 2.0]


# Python state that the function itself changes.
def test_changing_an_attribute_in_the_trace() -> None:
    class Counter(tt.Module):
        def __init__(self) -> None:
            super().__init__()
            self.calls = 0

        def forward(self, x: Any) -> Any:
            self.calls += 1
            return x * self.calls

    with pytest.raises(TraceError, match=r"Counter\.calls changed"):
        tt.compile(Counter())(ones())


def test_leaking_a_traced_tensor() -> None:
    seen: list[Any] = []

    def leak(x: Any) -> Any:
        seen.append(x * 2)
        return x

    with pytest.raises(TraceError, match="seen changed"):
        tt.compile(leak)(ones())
    with pytest.raises(TraceError, match="being traced"):
        seen[0].numpy()


def test_changing_a_global_in_the_trace() -> None:
    def count(x: Any) -> Any:
        global FACTOR
        FACTOR += 1
        return x * FACTOR

    with pytest.raises(TraceError, match="FACTOR changed"):
        tt.compile(count)(ones())


# Values that a trace does not have.
NEEDS_A_VALUE: dict[str, Callable[[Any], Any]] = {
    "if": lambda x: x if x.sum() > 0 else -x,
    "and": lambda x: (x.sum() > 0) and x,
    "while": lambda x: [x for _ in iter(lambda: bool(x.sum() > 0), False)],
    "float()": lambda x: x * float(x.sum()),
    "int()": lambda x: x * int(x.sum()),
    "item()": lambda x: x * x.sum().item(),
    "tolist()": lambda x: x.tolist(),
    "numpy()": lambda x: x.numpy(),
    "numpy array": lambda x: np.asarray(x),
    "index": lambda x: [1, 2, 3][x.sum().long()],
    "mask": lambda x: x[x > 0],
    "randperm": lambda x: x[tt.randperm(2)],
}


@pytest.mark.parametrize("what", NEEDS_A_VALUE)
def test_values_are_not_there_in_a_trace(what: str) -> None:
    with pytest.raises(TraceError) as caught:
        tt.compile(NEEDS_A_VALUE[what])(ones(2))
    assert "test_trace_guards.py:" in str(caught.value)
    assert caught.value.loc is not None and caught.value.loc.line in lambda_lines()


def lambda_lines() -> range:
    first = min(f.__code__.co_firstlineno for f in NEEDS_A_VALUE.values())
    return range(first, first + len(NEEDS_A_VALUE))


def test_captured_values_are_not_there_either() -> None:
    p = ones(2)
    with pytest.raises(TraceError):
        tt.compile(lambda x: x * p.numpy())(ones(2))


def test_data_is_the_tensor_without_its_history() -> None:
    w, count = tt.ones(3, requires_grad=True), tt.zeros(3)

    def step(x: Any) -> Any:
        count.data.add_(x.data * 2)
        y = (w * x).sum() + (w.data * x).sum()
        return y, count.data.sum()

    compiled = tt.value_and_grad(tt.compile(step), has_aux=True)
    (value, total), gradient = compiled(tt.tensor([1.0, 2.0, 3.0]))
    assert (value.item(), total.item(), gradient.tolist()) == (12.0, 12.0, [2.0, 2.0, 2.0])
    assert count.tolist() == [2.0, 4.0, 6.0]


def test_tensors_made_in_the_trace_have_values_until_they_are_overwritten() -> None:
    def made(x: Any) -> Any:
        t = tt.Tensor([1.0, 2.0])
        assert t.tolist() == [1, 2]
        t[0] = 5.0
        return x * t

    assert tt.compile(made)(ones(2)).tolist() == [5, 2]

    def overwritten(x: Any) -> Any:
        t = tt.Tensor([1.0, 2.0])
        t.copy_(x)
        return t

    compiled = tt.compile(overwritten)
    assert [compiled(ones(2) * k).tolist() for k in (1, 3)] == [[1, 1], [3, 3]]
    with pytest.raises(TraceError):
        tt.compile(lambda x: tt.Tensor([1.0, 2.0]).copy_(x).numpy())(ones(2))


def test_an_error_in_the_function_ends_the_trace() -> None:
    p = tt.tensor([1.0], requires_grad=True)

    def fails(x: Any) -> Any:
        (p * x).sum().backward()
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        tt.compile(fails)(ones())
    assert p.grad is None
    assert (ones() + 1).tolist() == [2]


def test_a_compiled_function_in_another_one() -> None:
    inner = tt.compile(lambda x: x * 2)
    outer = tt.compile(lambda x: inner(x) + 1)
    assert outer(ones()).tolist() == [3]
    assert inner(ones()).tolist() == [2]


def test_specializations_are_bounded_in_bytes(set_budget: Callable[[int], None]) -> None:
    compiled = tt.compile(lambda x, k: x * int(k), backend="interpreter")
    compiled(ones(), "0")
    set_budget(20 * compiled._shown.bytes)
    for k in range(1, 70):
        assert compiled(ones(), str(k)).item() == k
    assert 10 <= len(compiled._known) <= 21  # what was used last is not counted; calls want room as well


def test_what_cannot_be_compiled() -> None:
    with pytest.raises(TypeError, match="function or a model"):
        tt.compile(3)  # pyright: ignore[reportArgumentType]
    with pytest.raises(TinyTorchError, match="backend is one of"):
        tt.compile(abs, backend="cuda")  # pyright: ignore[reportArgumentType]
