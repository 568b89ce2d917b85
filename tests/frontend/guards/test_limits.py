"""What guards leave alone, what they refuse, and arrays that are inputs of the graph."""

from __future__ import annotations

import collections
import copy
import dataclasses
import enum
import functools
import itertools
import logging
import random
import re
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

import tinytorch as tt
from tests.frontend.guards.cases import ones, recompiles
from tinytorch.frontend.module.tracked import epoch
from tinytorch.ir.errors import TraceError
from tinytorch.ir.types import f32

step_number = 0
compile_ = functools.partial(tt.compile, backend="interpreter")


# What was not read does not compile anew. Each case gives a function of the number of the call.
class Model(tt.Module):
    seen: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.layer = tt.Linear(1, 1)
        self.log: list[int] = []

    def forward(self, x: Any) -> Any:
        return self.layer(x) + sum((p * p).sum() for p in self.parameters())


def training_step(model: Any, optimizer: Any) -> Callable[[Any], Any]:
    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = model(x).sum()
        loss.backward()
        optimizer.step()
        return loss

    return step


def attributes_of_a_model() -> Callable[[int], Any]:
    model = Model()
    compiled = compile_(model)

    def call(number: int) -> None:
        model.epoch = model.layer.note = number
        model.log.append(number)
        Model.seen = number
        compiled(tt.ones(1, 1))

    return call


def a_copied_sequence() -> Callable[[int], Any]:
    model = copy.deepcopy(tt.Sequential(tt.Linear(1, 1), tt.ReLU()))
    compiled = compile_(model)

    def call(number: int) -> None:
        model.epoch = model[0].note = str(number)
        compiled(tt.ones(1, 1))

    return call


def a_global_named_like_a_method() -> Callable[[int], Any]:
    model = tt.Linear(1, 1)
    compiled = compile_(training_step(model, tt.Adam(model.parameters(), lr=0.1)))

    def call(number: int) -> None:
        globals().update(step_number=number, sum=sum, backward=number)
        compiled(tt.ones(1, 1))

    return call


def attributes_of_a_trainer() -> Callable[[int], Any]:
    class Trainer:
        def __init__(self) -> None:
            self.step, self.history = 0, [0]
            self.model = tt.Linear(1, 1)
            self.optimizer = tt.SGD(self.model.parameters(), lr=0.1)

        def train(self, x: Any) -> Any:
            return training_step(self.model, self.optimizer)(x)

    trainer = Trainer()
    compiled = compile_(trainer.train)

    def call(number: int) -> None:
        trainer.step = number
        trainer.history.append(number)
        trainer.optimizer.lr = 0.1 / (number + 1)
        compiled(tt.ones(1, 1))

    return call


def an_equal_list_in_its_place() -> Callable[[int], Any]:
    config = SimpleNamespace(scales=[1.0])
    compiled = compile_(lambda x: x * config.scales[0])

    def call(number: int) -> None:
        config.scales = [float(f"{1.0}")]
        compiled(ones())

    return call


def things_without_state() -> Callable[[int], Any]:
    log, pattern, path, lock = logging.getLogger(__name__), re.compile("a"), Path("/tmp"), threading.Lock()

    def function(x: Any) -> Any:
        with lock:
            log.info("%s %s", pattern.match("a"), path / "x")
        return x * 1

    compiled = compile_(function)
    return lambda number: compiled(ones())


def generators_that_others_draw_from() -> Callable[[int], Any]:
    scale = np.random.default_rng(0).normal(size=1).astype(np.float32)
    compiled = compile_(lambda x: x * scale)
    return lambda number: (np.random.rand(), random.random(), compiled(ones()))


UNREAD = [
    attributes_of_a_model, a_copied_sequence, a_global_named_like_a_method, attributes_of_a_trainer,
    an_equal_list_in_its_place, things_without_state, generators_that_others_draw_from,
]  # fmt: skip


@pytest.mark.parametrize("make", UNREAD, ids=lambda c: c.__name__)
def test_what_was_not_read_does_not_compile_anew(make: Any, capfd: Any, monkeypatch: Any) -> None:
    lines = recompiles(make(), 4, capfd, monkeypatch)
    assert len(lines) == 1 and lines[0].endswith("the first call")


def test_an_equal_list_is_watched_in_its_place() -> None:
    config = SimpleNamespace(scales=[1.0, [1.0]])
    compiled = compile_(lambda x: x * config.scales[1][0])
    compiled(ones())
    config.scales = [1.0, [1.0]]
    assert compiled(ones()).item() == 1
    config.scales[1][0] = 5.0
    assert compiled(ones()).item() == 5


# Static arguments.
@dataclasses.dataclass(frozen=True)
class Frozen:
    size: int = 1
    parts: tuple[Any, ...] = (1, 2.0)


class Color(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    LOW = 1


Pair = collections.namedtuple("Pair", "first second")


class Maker:
    def method(self, x: Any) -> Any:
        return x


MAKER = Maker()
STATIC: dict[str, Callable[[], Any]] = {
    "numpy scalars": lambda: [np.float32(2), np.int64(3), np.bool_(True)],
    "slices": lambda: (slice(1, 3), slice(np.int64(1), None, -1), ...),
    "ranges": lambda: range(3),
    "frozen dataclasses": lambda: {"a": [Frozen(parts=(Frozen(), (3,)))]},
    "enums": lambda: (Color.RED, Level.LOW),
    "dtypes and types": lambda: (np.dtype("f4"), f32, int, np.float32, len, None),
    "sets": lambda: (frozenset({1, (2, 3)}), {4}),
    "named tuples": lambda: Pair(1, [2]),
    "a deque": lambda: collections.deque([1]),
    "a method": lambda: MAKER.method,
    "a partial": lambda: functools.partial(len, 3),
    "strings and numbers": lambda: ("a", b"b", 1 + 2j, float("nan"), -0.0),
}


@pytest.mark.parametrize("what", STATIC)
def test_equal_static_arguments_compile_once(what: str, capfd: Any, monkeypatch: Any) -> None:
    compiled = compile_(lambda x, k: x * 1)
    assert len(recompiles(lambda _: compiled(ones(), STATIC[what]()), 4, capfd, monkeypatch)) == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [(1, True), (0.0, -0.0), (1, 1.0), (np.float32(1), np.float64(1)), (slice(1, 2), slice(1, 3)),
     (Frozen(), Frozen(2)), ((1,), [1]), (frozenset({1}), {1}), (range(3), range(4)), (Pair(1, 2), (1, 2))],
)  # fmt: skip
def test_other_static_arguments_compile_anew(first: Any, second: Any, capfd: Any, monkeypatch: Any) -> None:
    compiled = compile_(lambda x, k: x * 1)
    lines = recompiles(lambda number: compiled(ones(), (first, second)[number % 2]), 4, capfd, monkeypatch)
    assert len(lines) == 2


def test_containers_of_an_optimizer_are_watched(capfd: Any, monkeypatch: Any) -> None:
    first, second = (tt.tensor([1.0], requires_grad=True) for _ in range(2))
    optimizer = tt.SGD([first], lr=1.0, momentum=0.0)

    def step() -> None:
        optimizer.zero_grad()
        (first + second).sum().backward()
        optimizer.step()

    compiled = compile_(step)
    compiled()
    assert (first.item(), second.item()) == (0, 1)
    optimizer.param_groups[0]["params"][0] = second
    first.grad = None
    assert recompiles(lambda _: compiled(), 1, capfd, monkeypatch)[0].endswith("ParamGroup.params changed")
    assert (first.item(), second.item()) == (0, 0)


# What is refused.
class Holder:
    def __init__(self, value: Any) -> None:
        self.value = value


class Drawing(tt.Module):
    def __init__(self) -> None:
        super().__init__()
        self.generator = random.Random(0)

    def forward(self, x: Any) -> Any:
        return x * self.generator.random()


def using(value: Any, use: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: x * use(value)


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "count": (lambda: using(itertools.count(), next), "value is a count"),
    "generator": (lambda: using((i for i in range(3)), next), "cannot watch"),
    "iterator": (lambda: using(iter([1, 2]), next), "cannot watch"),
    "zip": (lambda: using(zip([1], [2], strict=True), next), "cannot watch"),
    "memoryview": (lambda: using(memoryview(bytearray(b"a")), lambda k: k[0]), "cannot watch"),
    "random": (lambda: lambda x: x * random.random(), "draws random numbers from `random`"),
    "np.random": (lambda: lambda x: x * np.random.rand(), "draws random numbers from `np.random`"),
    "np.random.normal": (lambda: using(np.random.normal, lambda f: f()), "draws random numbers from `np.random`"),
    "np Generator": (lambda: using(np.random.default_rng(0), lambda g: g.random()), "draws random numbers from value"),
    "RandomState": (lambda: using(np.random.RandomState(0), lambda g: g.rand()), "draws random numbers from value"),
    "an object's": (lambda: using(Holder(np.random.default_rng(0)), lambda h: h.value.random()), r"Holder\.value"),
    "a module's": (Drawing, r"random numbers from Drawing\.generator"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_state_that_cannot_be_watched_is_refused(what: str) -> None:
    make, match = REFUSED[what]
    with pytest.raises(TraceError, match=match) as caught:
        compile_(make())(ones())
    assert "test_limits.py:" in str(caught.value) or isinstance(make(), tt.Module)


def counts(holder: Any) -> Any:
    holder.value += 1
    return holder.value


def replaces(holder: Any) -> int:
    holder.value = [1, 2]
    return 1


def appends(items: list[int]) -> int:
    items.append(1)
    return len(items)


def writes(array: Any) -> float:
    array[0] += 1
    return float(array[0])


class Counting(tt.Module):
    count: ClassVar[int] = 0

    def forward(self, x: Any) -> Any:
        type(self).count += 1
        return x * self.count


def test_counting_in_a_class_is_refused() -> None:
    with pytest.raises(TraceError, match=r"Counting\.count changed"):
        compile_(Counting())(ones())


@pytest.mark.parametrize(
    ("value", "use"),
    [(Holder(0), counts), (SimpleNamespace(value=0), counts), (Holder(None), replaces), ([], appends),
     (np.ones(1), writes)],
)  # fmt: skip
def test_changing_what_was_read_is_refused(value: Any, use: Callable[[Any], Any]) -> None:
    with pytest.raises(TraceError, match="changes Python state"):
        compile_(using(value, use))(ones())


# What a trace may write.
def test_objects_made_in_the_trace_may_change() -> None:
    class State:
        def __init__(self) -> None:
            self.sum, self.parts = 0, [0]

        def add(self, value: Any) -> State:
            self.sum = self.sum + value
            self.parts.append(value)
            return copy.copy(self)

    @dataclasses.dataclass
    class Record:
        value: Any = 0

    def function(x: Any) -> Any:
        state, record, module = State().add(x).add(x), Record(), tt.Sequential()
        record.value = record.value + x
        module.count = 1
        module.count += 1
        return state.sum + record.value * module.count + sum(state.parts)

    compiled = compile_(function)
    assert [compiled(ones()).item() for _ in range(2)] == [6, 6]


def test_plain_values_written_first_are_written_in_every_call() -> None:
    class Shaped(tt.Module):
        def forward(self, x: Any) -> Any:
            self.size = x.shape[0] * 1000
            return x * self.size

    model = Shaped()
    compiled = tt.compile(model)
    for size in (3, 2, 3):
        compiled(tt.ones(size))
        assert model.size == size * 1000
    before = epoch.now
    compiled(tt.ones(3))
    assert epoch.now == before


def test_tensors_written_first_are_of_the_trace() -> None:
    class Keeping(tt.Module):
        def __init__(self) -> None:
            super().__init__()
            self.hidden = None

        def forward(self, x: Any) -> Any:
            self.hidden = x * 2
            return self.hidden + 1

    model = Keeping()
    compiled = compile_(model)
    assert [compiled(ones()).item() for _ in range(2)] == [3, 3]
    with pytest.raises(TraceError):
        model.hidden.numpy()  # pyright: ignore[reportOptionalMemberAccess]


def test_another_thread_is_not_recorded_nor_disturbed() -> None:
    """A thread sets and reads attributes of the same class, and draws random numbers, while this one traces."""
    shared, stop = Holder(1), threading.Event()

    def work() -> None:
        while not stop.is_set():
            other = Holder(0)
            other.value += 1
            assert other.value == 1
            random.random()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(20):
            assert compile_(lambda x: x * shared.value)(ones()).item() == 1
    finally:
        stop.set()
        thread.join()
    assert not {"__getattribute__", "__setattr__", "__delattr__"} & vars(Holder).keys()
    assert "__getattribute__" not in vars(tt.Module)
