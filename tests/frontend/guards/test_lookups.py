"""Attributes of modules, objects and classes: what a lookup finds after a change is seen, wherever it lies."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

import tinytorch as tt
from tests.frontend.guards.cases import Case, check

CASES: list[Callable[[], Case]] = []


def case(make: Callable[[], Case]) -> Callable[[], Case]:
    CASES.append(make)
    return make


@case
def class_attribute_shadowed() -> Case:

    class M(tt.Module):
        scale = 1.0

        def forward(self, x):
            return x * self.scale

    m = M()
    return (m, lambda: setattr(m, "scale", 5.0))


@case
def class_attribute_of_a_module() -> Case:

    class M(tt.Module):
        scale = 1.0

        def forward(self, x):
            return x * self.scale

    m = M()
    return (m, lambda: setattr(M, "scale", 5.0))


@case
def method_of_a_base_overridden() -> Case:

    class A(tt.Module):
        def mul(self, x):
            return x * 1

    class B(A):
        def forward(self, x):
            return self.mul(x)

    m = B()
    return (m, lambda: setattr(B, "mul", lambda s, x: x * 5))


@case
def method_replaced_on_the_instance() -> Case:

    class B(tt.Module):
        def mul(self, x):
            return x * 1

        def forward(self, x):
            return self.mul(x)

    m = B()
    return (m, lambda: setattr(m, "mul", lambda x: x * 5))


@case
def method_replaced_on_the_class() -> Case:

    class B(tt.Module):
        def forward(self, x):
            return x * 1

    m = B()
    return (m, lambda: setattr(B, "forward", lambda s, x: x * 5))


@case
def attribute_deleted() -> Case:

    class B(tt.Module):
        s = 5.0

        def forward(self, x):
            return x * self.s

    m = B()
    m.s = 1.0
    return (m, lambda: delattr(m, "s"))


@case
def getattr_takes_over() -> Case:

    class B(tt.Module):
        def __getattr__(self, n):
            if n == "s":
                return 5.0
            raise AttributeError(n)

        def forward(self, x):
            return x * self.s

    m = B()
    m.s = 1.0
    return (m, lambda: delattr(m, "s"))


@case
def computed_name() -> Case:

    class K(tt.Module):
        def __init__(self):
            super().__init__()
            self.layer0 = lambda x: x * 1

        def forward(self, x):
            return getattr(self, f"layer{0}")(x)

    m = K()
    return (m, lambda: setattr(m, "layer0", lambda x: x * 5))


@case
def computed_name_of_an_object() -> Case:

    class K:
        def __init__(self):
            self.layer0 = 1.0

    m = K()
    return (lambda x: x * getattr(m, f"layer{0}"), lambda: setattr(m, "layer0", 5.0))


@case
def computed_name_of_a_class() -> Case:

    class K:
        layer0 = 1.0

    return (lambda x: x * getattr(K, f"layer{0}"), lambda: setattr(K, "layer0", 5.0))


@case
def computed_name_of_a_namespace() -> Case:
    k = SimpleNamespace(layer0=1.0)
    return (lambda x: x * getattr(k, f"layer{0}"), lambda: setattr(k, "layer0", 5.0))


@case
def dict_of_attributes_read() -> Case:

    class K(tt.Module):
        def forward(self, x):
            return x * self.__dict__["s"]

    m = K()
    m.s = 1.0
    return (m, lambda: setattr(m, "s", 5.0))


@case
def dict_of_attributes_written() -> Case:

    class K(tt.Module):
        def forward(self, x):
            return x * self.s

    m = K()
    m.s = 1.0
    return (m, lambda: m.__dict__.update(s=5.0))


@case
def vars_of_an_object() -> Case:

    class K:
        pass

    m = K()
    m.s = 1.0
    return (lambda x: x * vars(m)["s"], lambda: setattr(m, "s", 5.0))


@case
def attribute_through_type() -> Case:

    class A(tt.Module):
        s = 1.0

        def forward(self, x):
            return x * type(self).s

    def ch():
        A.s = 5.0

    return (A(), ch)


@case
def class_of_an_object() -> Case:

    class A:
        def f(self, x):
            return x * 1

    class B:
        def f(self, x):
            return x * 5

    a = A()

    def ch():
        a.__class__ = B

    return (lambda x: a.f(x), ch)


@case
def class_of_a_tt_module() -> Case:

    class A(tt.Module):
        def forward(self, x):
            return x * 1

    class B(tt.Module):
        def forward(self, x):
            return x * 5

    a = A()

    def ch():
        a.__class__ = B

    return (lambda x: a(x), ch)


@case
def a_child_more() -> Case:

    class A(tt.Module):
        def __init__(self):
            super().__init__()
            self.a = tt.Identity()

        def forward(self, x):
            for c in self.children():
                x = c(x)
            return x

    class F(tt.Module):
        def forward(self, x):
            return x * 5

    a = A()
    return (a, lambda: setattr(a, "b", F()))


@case
def a_layer_more() -> Case:

    class F(tt.Module):
        def forward(self, x):
            return x * 5

    a = tt.Sequential(tt.Identity())
    return (a, lambda: a.append(F()))


@case
def attribute_that_was_not_there() -> Case:

    class K:
        pass

    k = K()
    return (lambda x: x * (k.v if hasattr(k, "v") else 1.0), lambda: setattr(k, "v", 5.0))


@case
def attribute_that_a_namespace_had_not() -> Case:
    k = SimpleNamespace()
    return (lambda x: x * getattr(k, "v", 1.0), lambda: setattr(k, "v", 5.0))


@case
def class_with_a_metaclass() -> Case:

    class M(type):
        pass

    class K(metaclass=M):
        v = 1.0

    return (lambda x: x * K.v, lambda: setattr(K, "v", 5.0))


@pytest.mark.parametrize("backend", ["interpreter", "llvm"])
@pytest.mark.parametrize("make", CASES, ids=lambda c: c.__name__)
def test_a_change_between_calls_is_seen(make: Callable[[], Case], backend: Any) -> None:
    check(make, backend)
