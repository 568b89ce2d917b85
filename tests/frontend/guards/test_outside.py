"""Changes of what lies outside of a compiled function are seen in its next call."""

from __future__ import annotations

import abc
import contextvars
import dataclasses
import enum
import functools
import os
import sys
import threading
import types
import weakref
from collections import defaultdict
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

import tinytorch as tt
from tests.frontend.guards.cases import Case, check, ones

CASES: list[Callable[[], Case]] = []


class Kept:
    k: float


def case(make: Callable[[], Case]) -> Callable[[], Case]:
    CASES.append(make)
    return make


# Classes.
@case
def metaclass_attribute() -> Case:
    class Meta(type):
        k = 1.0

    class A(metaclass=Meta):
        pass

    return (lambda x: x * A.k, lambda: setattr(Meta, "k", 5.0))


@case
def metaclass_property() -> Case:
    class Meta(type):
        @property
        def k(cls) -> float:
            return cls.kept

    class A(metaclass=Meta):
        kept = 1.0

    return (lambda x: x * A.k, lambda: setattr(A, "kept", 5.0))


@case
def metaclass_getattr() -> Case:
    kept = {"k": 1.0}

    class Meta(type):
        def __getattr__(cls, name: str) -> float:
            return kept[name]

    class A(metaclass=Meta):
        pass

    return (lambda x: x * A.k, lambda: kept.update(k=5.0))


@case
def metaclass_instancecheck() -> Case:
    answer = [False]

    class Meta(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return answer[0]

    class A(metaclass=Meta):
        pass

    return (lambda x: x * (5 if isinstance(3, A) else 1), lambda: answer.__setitem__(0, True))


@case
def registered_with_an_abstract_class() -> Case:
    class A(abc.ABC):
        @abc.abstractmethod
        def kind(self) -> str: ...

    class B:
        pass

    b = B()
    return (lambda x: x * (5 if isinstance(b, A) else 1), lambda: A.register(B))


@case
def bases_replaced() -> Case:
    class A:
        k = 1.0

    class B(A):
        pass

    class Other:
        k = 5.0

    b = B()
    return (lambda x: x * b.k, lambda: setattr(B, "__bases__", (Other, A)))


@case
def attribute_of_an_enum_member() -> Case:
    class Mode(enum.Enum):
        A = 1

    Mode.A.weight = 1.0
    holder = SimpleNamespace(mode=Mode.A)
    return (lambda x: x * holder.mode.weight, lambda: setattr(Mode.A, "weight", 5.0))


@case
def method_of_an_enum() -> Case:
    class Mode(enum.Enum):
        A = 1

        def weight(self) -> float:
            return 1.0

    holder = SimpleNamespace(mode=Mode.A)
    return (lambda x: x * holder.mode.weight(), lambda: setattr(Mode, "weight", lambda self: 5.0))


# Objects that the trace makes.
@case
def constructor_reads_a_variable() -> Case:
    k = 1.0

    class A:
        def __init__(self) -> None:
            self.k = k

    def change() -> None:
        nonlocal k
        k = 5.0

    return (lambda x: x * A().k, change)


@case
def constructor_replaced() -> Case:
    class A:
        def __init__(self) -> None:
            self.k = 1.0

    def other(self: A) -> None:
        self.k = 5.0

    return (lambda x: x * A().k, lambda: setattr(A, "__init__", other))


@case
def default_factory_of_a_dataclass() -> Case:
    k = [1.0]

    @dataclasses.dataclass
    class A:
        k: float = dataclasses.field(default_factory=lambda: k[0])

    return (lambda x: x * A().k, lambda: k.__setitem__(0, 5.0))


@case
def single_instance() -> Case:
    class A:
        only: Any = None

        def __new__(cls) -> Any:
            if cls.only is None:
                cls.only = object.__new__(cls)
                cls.only.k = 1.0
            return cls.only

    kept: Any = A()
    return (lambda x: x * A().k, lambda: setattr(kept, "k", 5.0))


@case
def metaclass_call() -> Case:
    class Meta(type):
        def __call__(cls) -> Any:
            return made[0]

    class A(metaclass=Meta):
        pass

    made = [SimpleNamespace(k=1.0)]
    return (lambda x: x * A().k, lambda: made.__setitem__(0, SimpleNamespace(k=5.0)))


@case
def class_getitem() -> Case:
    class A:
        kept: ClassVar[dict[str, float]] = {"k": 1.0}

        def __class_getitem__(cls, name: str) -> float:
            return cls.kept[name]

    return (lambda x: x * A["k"], lambda: A.kept.update(k=5.0))


@case
def attribute_of_a_string() -> Case:
    class Name(str):
        weight = 1.0

    name = Name("name")
    return (lambda x: x * name.weight, lambda: setattr(name, "weight", 5.0))


def _kept(wrap: Callable[[Any], Any]) -> Case:
    """An object in something that only the trace finds."""

    class Inner:
        k = 0.0

    inner, outer = Inner(), Kept()
    inner.k = 1.0
    outer.part = wrap(inner)
    return (lambda x: x * outer.part.inner.k, lambda: setattr(inner, "k", 5.0))


@case
def object_in_a_namespace_in_an_object() -> Case:
    return _kept(lambda inner: SimpleNamespace(inner=inner))


@case
def object_in_a_class_in_an_object() -> Case:
    return _kept(lambda inner: type("Holder", (), {"inner": inner}))


@case
def object_in_a_module_in_an_object() -> Case:
    def wrap(inner: Any) -> types.ModuleType:
        module = types.ModuleType("holder")
        module.inner = inner
        return module

    return _kept(wrap)


# Containers.
@case
def a_part_replaced_by_an_equal_one_and_changed() -> Case:
    outer = {"a": [1.0]}

    def f(x: Any) -> Any:
        return x * sum(outer["a"])

    def change() -> None:
        outer["a"] = [1.0]
        assert tt.compile(f)(ones()).item() == 1
        outer["a"].append(4.0)

    return (f, change)


@case
def factory_of_a_defaultdict() -> Case:
    made: Any = defaultdict(lambda: 1.0)
    return (lambda x: x * made.default_factory(), lambda: setattr(made, "default_factory", lambda: 5.0))


@case
def list_in_an_object_array() -> Case:
    array = np.array([[1.0], None], object)
    return (lambda x: x * array[0][0], lambda: array[0].__setitem__(0, 5.0))


@case
def view_of_a_dict() -> Case:
    kept = {"a": 1.0}
    values = kept.values()
    return (lambda x: x * sum(values), lambda: kept.update(b=4.0))


@case
def read_only_mapping() -> Case:
    kept = {"a": 1.0}
    mapping = types.MappingProxyType(kept)
    return (lambda x: x * mapping["a"], lambda: kept.update(a=5.0))


@case
def object_of_a_weak_reference() -> Case:
    kept = Kept()
    kept.k = 1.0
    reference = weakref.ref(kept)
    return (lambda x: x * reference().k, lambda: setattr(kept, "k", 5.0))


# Variables of other kinds.
@case
def context_variable() -> Case:
    variable = contextvars.ContextVar("variable", default=1.0)
    return (lambda x: x * variable.get(), lambda: variable.set(5.0))


@case
def thread_local() -> Case:
    local = threading.local()
    local.k = 1.0
    return (lambda x: x * local.k, lambda: setattr(local, "k", 5.0))


@case
def attribute_of_a_function() -> Case:
    def helper(x: Any) -> Any:
        return x * helper.k

    helper.k = 1.0
    return (lambda x: helper(x), lambda: setattr(helper, "k", 5.0))


@case
def environment() -> Case:
    os.environ.pop("TT_TEST_GUARDS", None)

    def f(x: Any) -> Any:
        return x * float(os.environ.get("TT_TEST_GUARDS", "1"))

    return (f, lambda: os.environ.__setitem__("TT_TEST_GUARDS", "5"))


@case
def global_that_comes_back() -> Case:
    variables: dict[str, Any] = {}
    exec("def f(x):\n try: return x * k\n except NameError: return x", variables)
    return (variables["f"], lambda: variables.__setitem__("k", 5.0))


@case
def method_added_to_tensors() -> Case:
    tt.Tensor.scaled_for_a_test = lambda self: self * 1

    def change() -> None:
        tt.Tensor.scaled_for_a_test = lambda self: self * 5  # type: ignore[attr-defined]

    return (lambda x: x.scaled_for_a_test(), change)


@case
def single_dispatch() -> Case:
    @functools.singledispatch
    def scale(item: Any) -> float:
        return 1.0

    return (lambda x: x * scale(3), lambda: scale.register(int, lambda item: 5.0))


def _module(name: str) -> types.ModuleType:
    module = types.ModuleType(name)
    exec("k = 1.0\ndef scale(x): return x * k", vars(module))
    sys.modules[name] = module
    return module


@case
def variable_of_a_module_imported_inside() -> Case:
    module = _module("imported_inside_1")

    def f(x: Any) -> Any:
        import imported_inside_1  # pyright: ignore[reportMissingImports]

        return x * imported_inside_1.k

    return (f, lambda: setattr(module, "k", 5.0))


@case
def function_imported_inside() -> Case:
    module = _module("imported_inside_2")

    def f(x: Any) -> Any:
        from imported_inside_2 import scale as by  # pyright: ignore[reportMissingImports]

        return by(x)

    return (f, lambda: setattr(module, "k", 5.0))


@case
def another_module_imported_inside() -> Case:
    _module("imported_inside_3")

    def f(x: Any) -> Any:
        import imported_inside_3  # pyright: ignore[reportMissingImports]

        return x * imported_inside_3.k

    return (f, lambda: setattr(_module("imported_inside_3"), "k", 5.0))


@pytest.mark.parametrize("make", CASES, ids=lambda c: c.__name__)
def test_a_change_between_calls_is_seen(make: Callable[[], Case]) -> None:
    check(make, "interpreter")


def test_a_module_that_the_trace_imports(tmp_path: Any, monkeypatch: Any) -> None:
    (tmp_path / "imported_in_trace.py").write_text("k = 1.0\n")
    monkeypatch.syspath_prepend(tmp_path)

    @tt.compile
    def f(x: Any) -> Any:
        import imported_in_trace  # pyright: ignore[reportMissingImports]

        return x * imported_in_trace.k

    assert f(ones()).item() == 1
    sys.modules["imported_in_trace"].k = 5.0
    assert f(ones()).item() == 5
