"""Containers, objects and static arguments of calls of compiled functions."""

from __future__ import annotations

import copy
import pickle
from collections import OrderedDict, UserDict, defaultdict, deque, namedtuple
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tests.worlds import World, tensor
from tinytorch.ir.errors import TraceError

Pair = namedtuple("Pair", "first second")


@pytest.fixture(params=["llvm", "interpreter"])
def compiled(request: pytest.FixtureRequest) -> World:
    return lambda function: tt.compile(function, backend=request.param)


# Containers.
@dataclass
class Batch:
    inputs: Any
    extra: Any = None


@dataclass(frozen=True)
class Frozen:
    value: Any
    scale: float = 2.0


@dataclass(slots=True)
class Slotted(Batch):
    more: list[Any] = field(default_factory=list)


@dataclass
class Computed:
    value: Any
    double: Any = field(init=False)

    def __post_init__(self) -> None:
        self.double = self.value * 2


class Bag(dict):
    pass


class Names(list):
    pass


def test_containers_are_kept_as_they_are(world: World) -> None:
    makers: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
        "dataclass": (lambda x: Batch(x, {"k": [x]}), lambda r: r.extra["k"][0]),
        "frozen": (lambda x: Frozen(x), lambda r: r.value),
        "slots": (lambda x: Slotted(x, more=[x]), lambda r: r.more[0]),
        "computed": (lambda x: Computed(x), lambda r: r.double / 2),
        "dict subclass": (lambda x: Bag(x=x), lambda r: r["x"]),
        "list subclass": (lambda x: Names([x, None]), lambda r: r[0]),
        "OrderedDict": (lambda x: OrderedDict(b=1, a=x), lambda r: r["a"]),
        "defaultdict": (lambda x: defaultdict(list, x=x), lambda r: r["x"]),
        "named tuple": (lambda x: Pair(x, (x, "word")), lambda r: r.second[0]),
        "nested": (lambda x: [(Bag(p=Pair(None, Frozen(x))),)], lambda r: r[0][0]["p"].second.value),
    }
    for name, (make, get) in makers.items():
        called = world(lambda tree, make=make, get=get: make(get(tree) * 2))
        for value in (1.0, 3.0):
            result = called(make(tensor(value)))
            assert type(result) is type(make(0)), name
            assert get(result).tolist() == [2 * value], name
    assert world(lambda x: defaultdict(list, x=x))(tensor(1)).default_factory is list
    assert list(world(lambda x: OrderedDict(b=1, a=x))(tensor(1))) == ["b", "a"]
    assert world(Frozen)(tensor(1)).scale == 2.0


ONE_SHOT: dict[str, Callable[[Any], Any]] = {
    "generator": lambda x: (x * i for i in range(2)),
    "map": lambda x: {"a": map(x.__mul__, range(2))},
    "zip": lambda x: [zip([x], [x], strict=True)],
    "iter": lambda x: (x, iter([x])),
    "filter": lambda x: Batch(filter(None, [x])),
    "enumerate": lambda x: Frozen(enumerate([x])),
}


@pytest.mark.parametrize("name", ONE_SHOT)
def test_one_shot_iterators_are_no_results(compiled: World, name: str) -> None:
    with pytest.raises(TraceError, match="cannot return a"):
        compiled(ONE_SHOT[name])(tensor(1))


class Holder:
    def __init__(self, x: Any) -> None:
        self.x = x

    def method(self) -> Any:
        return self.x


def objects(x: Any) -> np.ndarray:
    array = np.empty(2, object)
    array[1] = x
    return array


OPAQUE: dict[str, Callable[[Any], Any]] = {
    "set": lambda x: {x, 1},
    "frozenset": lambda x: [frozenset([x * 2])],
    "deque": lambda x: deque([x * 2]),
    "UserDict": lambda x: {"k": UserDict(a=x * 2)},
    "view of a dict": lambda x: {"a": x * 2}.values(),
    "object": lambda x: (x, Holder(x)),
    "bound method": lambda x: Holder([x]).method,
    "closure": lambda x: lambda: x * 2,
    "default": lambda x: lambda y=x: y,
    "partial": lambda x: partial(print, x),
    "array of objects": objects,
    "inside a static part": lambda x: Batch(x * 2, {"k": [(1, deque([[x]]))]}),
}


@pytest.mark.parametrize("name", OPAQUE)
def test_objects_that_hold_tensors_are_no_results(compiled: World, name: str) -> None:
    with pytest.raises(TraceError, match=r"cannot return a .*holds tensors(?s:.*)test_call_containers\.py:"):
        compiled(OPAQUE[name])(tensor(1))


def test_objects_without_tensors_of_the_call_are_results(compiled: World) -> None:
    layer, old = tt.Linear(2, 1), Holder(tensor(1))
    called = compiled(lambda x: (layer, old, {1, 2}, deque([3]), tt.relu, layer(x)))
    for _ in range(2):
        results = called(tt.ones(1, 2))
        assert results[0] is layer and results[1] is old and results[2:4] == ({1, 2}, deque([3]))


def test_an_argument_that_is_changed_as_a_container(world: World) -> None:
    def f(items, x):
        items.append(x * 2)
        return x + 1

    items: list[Any] = []
    try:
        world(f)(items, tensor(1))
    except TraceError as error:
        assert "container" in str(error) and items == []
    else:
        assert items[0].tolist() == [2]


# Static arguments.
@pytest.mark.parametrize(
    "make",
    [
        lambda: np.float32(2), lambda: np.int64(2), lambda: np.bool_(True), lambda: slice(0, 2), lambda: range(2),
        lambda: Frozen(None, 3.0), lambda: (1, [2, {"k": "v"}]), lambda: Pair(1, slice(None, None, 2)),
        lambda: frozenset({1, 2}), lambda: 1 + 2j, lambda: None, lambda: b"bytes", lambda: tt.f32,
        lambda: np.dtype("f4"), lambda: float("nan"), lambda: -0.0,
    ],
)  # fmt: skip
def test_equal_static_arguments_compile_once(compiled: World, make: Any) -> None:
    runs: list[Any] = []

    def f(x, k):
        runs.append(k) if len(runs) < 0 else None
        return x * 2

    called = compiled(f)
    graphs = set()
    for _ in range(3):
        assert called(tensor(1, 2), make()).tolist() == [2, 4]
        graphs.add(id(called.graph))
    assert len(graphs) == 1


def test_dtypes_are_single_values(compiled: World) -> None:
    """One after the other as an argument; and a copy is the dtype itself."""
    called = compiled(lambda x, dtype: (x.cast(dtype) * 2, dtype is tt.f16))
    for dtype in (tt.f32, tt.bf16, tt.f16, tt.i64):
        out, narrow = called(tensor(1, 2), dtype)
        assert out.dtype is dtype and out.tolist() == [2, 4] and narrow is (dtype is tt.f16)
        assert copy.deepcopy(dtype) is dtype and pickle.loads(pickle.dumps(dtype)) is dtype


class Scale(tt.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor
        self.register_buffer("calls", tt.tensor(0))


def test_objects_beside_tensors(world: World) -> None:
    """Calls in turn with other objects, words and flags at the same places, by position and by name."""

    def f(x, scale, flag=False, *, name=None):
        scale.calls += 1
        y = x * scale.factor
        return y + 1 if flag else y - 1 if name == "less" else y

    step, first, second = world(f), Scale(2.0), Scale(3.0)
    x, y = tensor(1, 2), tensor(5, 7)
    for _ in range(3):
        assert step(x, first).tolist() == [2, 4] and step(y, first).tolist() == [10, 14]
        assert step(x, second).tolist() == [3, 6] and step(y, scale=second).tolist() == [15, 21]
        assert step(x, first, True).tolist() == [3, 5] and step(x, first, flag=True).tolist() == [3, 5]
        assert step(x, first, name="less").tolist() == [1, 3] and step(x, first, name=None).tolist() == [2, 4]
        assert step(scale=first, x=y).tolist() == [10, 14] and step(x, first, flag=False).tolist() == [2, 4]
    assert first.calls.item() == 24 and second.calls.item() == 6
    first.factor = 10.0
    assert step(x, first).tolist() == [10, 20] and step(x, second).tolist() == [3, 6]


def test_the_quick_call_takes_the_same_objects(compiled: World) -> None:
    """Not the general one, which looks at all that an object holds."""
    step, first, second = compiled(lambda x, scale, name: x * scale.factor), Scale(2.0), Scale(3.0)
    step(tensor(1), first, name="a")
    general, calls = step._call, []
    step._call = lambda args, kwargs: calls.append(args) or general(args, kwargs)
    step(tensor(2), first, name="a")
    assert not calls
    assert step(tensor(2), second, name="a").tolist() == [6] and len(calls) == 1


def test_static_arguments_that_differ(compiled: World) -> None:
    called = compiled(lambda x, k: x[k] if isinstance(k, slice) else x * k)
    x = tensor(1, 2, 3)
    for _ in range(2):
        assert called(x, slice(0, 1)).tolist() == [1]
        assert called(x, slice(1, 2)).tolist() == [2]
        assert called(x, np.float32(2)).tolist() == [2, 4, 6]
        assert called(x, np.float64(2)).tolist() == [2, 4, 6]
        assert called(x, 2).dtype == tt.f32
        assert called(tt.tensor([1]), 2).dtype == tt.i64
        assert called(tt.tensor([1]), 2.0).dtype == tt.f32
        assert called(tt.tensor([1]), True).tolist() == [1]
    sign = compiled(lambda x, k: x * 0 + (1 if str(k).startswith("-") else 2))
    assert sign(x, 0.0).tolist() == [2] * 3 and sign(x, -0.0).tolist() == [1] * 3
