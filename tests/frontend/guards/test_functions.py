"""Functions, methods, properties and the variables that they read: changes between calls are seen."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

import tinytorch as tt
from tests.frontend.guards.cases import Case, check

CASES: list[Callable[[], Case]] = []
G = 1.0


def case(make: Callable[[], Case]) -> Callable[[], Case]:
    CASES.append(make)
    return make


@case
def keyword_defaults_changed() -> Case:

    def f(x, *, k=1.0):
        return x * k

    return (f, lambda: f.__kwdefaults__.update(k=5.0))


@case
def defaults_replaced() -> Case:

    def f(x, k=1.0):
        return x * k

    def ch():
        f.__defaults__ = (5.0,)

    return (f, ch)


@case
def code_replaced() -> Case:

    def f(x):
        return x * 1

    def g(x):
        return x * 5

    def ch():
        f.__code__ = g.__code__

    return (lambda x: f(x), ch)


@case
def own_code_replaced() -> Case:

    def f(x):
        return x * 1

    def g(x):
        return x * 5

    def ch():
        f.__code__ = g.__code__

    return (f, ch)


@case
def method_code() -> Case:

    class K(tt.Module):
        def forward(self, x):
            return x * 1

    def g(self, x):
        return x * 5

    def ch():
        K.forward.__code__ = g.__code__

    return (K(), ch)


@case
def global_in_class_method() -> Case:
    globals()["G"] = 1.0

    class K:
        @classmethod
        def f(cls, x):
            return x * G

        @staticmethod
        def g(x):
            return K.f(x)

    return (lambda x: K.g(x), lambda: globals().update(G=5.0))


@case
def global_nested() -> Case:
    globals()["G"] = 1.0

    def f(x):

        def g(y):
            return sum(y * G for _ in range(1))

        return g(x)

    return (f, lambda: globals().update(G=5.0))


@case
def method_kept() -> Case:

    class K:
        v = 1.0

        def f(self, x):
            return x * self.v

    k = K()
    b = k.f
    return (lambda x: b(x), lambda: setattr(k, "v", 5.0))


@case
def property_reads_an_attribute() -> Case:

    class K:
        _v = 1.0

        @property
        def v(self):
            return self._v

    k = K()
    return (lambda x: x * k.v, lambda: setattr(k, "_v", 5.0))


@case
def prop_replaced() -> Case:

    class K:
        @property
        def v(self):
            return 1.0

    k = K()
    return (lambda x: x * k.v, lambda: setattr(K, "v", property(lambda s: 5.0)))


@case
def property_over_an_attribute() -> Case:

    class K:
        def __init__(self):
            self.v = 1.0

    k = K()
    return (lambda x: x * k.v, lambda: setattr(K, "v", property(lambda s: 5.0)))


@case
def function_in_an_attribute() -> Case:

    class K:
        pass

    k = K()
    k.f = lambda x: x * 1
    return (lambda x: k.f(x), lambda: setattr(k, "f", lambda x: x * 5))


@case
def attribute_of_a_function() -> Case:

    def f(x):
        return x * f.s

    f.s = 1.0
    return (f, lambda: setattr(f, "s", 5.0))


@case
def builtin_shadowed() -> Case:
    globals().pop("abs", None)
    return (lambda x: x * abs(-1), lambda: globals().update(abs=lambda v: 5))


@case
def attribute_of_a_python_module() -> Case:
    mod = types.ModuleType("mymod")
    mod.v = 1.0
    return (lambda x: x * mod.v, lambda: setattr(mod, "v", 5.0))


@case
def method_of_the_super_class() -> Case:

    class A(tt.Module):
        def forward(self, x):
            return x * 1

    class B(A):
        def forward(self, x):
            return super().forward(x)

    def ch():
        A.forward = lambda s, x: x * 5

    return (B(), ch)


@case
def call_replaced() -> Case:

    class K:
        def __call__(self, x):
            return x * 1

    k = K()

    def ch():
        K.__call__ = lambda s, x: x * 5

    return (lambda x: k(x), ch)


@case
def getitem_replaced() -> Case:

    class K:
        def __getitem__(self, i):
            return 1.0

    k = K()

    def ch():
        K.__getitem__ = lambda s, x: 5.0

    return (lambda x: x * k[0], ch)


@case
def decorated_function() -> Case:
    k = SimpleNamespace(v=1.0)

    def deco(f):

        @functools.wraps(f)
        def w(*a):
            return f(*a)

        return w

    @deco
    def f(x):
        return x * k.v

    return (f, lambda: setattr(k, "v", 5.0))


@case
def function_without_gradients() -> Case:
    k = SimpleNamespace(v=1.0)

    @tt.no_grad()
    def f(x):
        return x * k.v

    return (f, lambda: setattr(k, "v", 5.0))


@case
def cached_property_overwritten() -> Case:

    class K:
        s = 1.0

        @functools.cached_property
        def v(self):
            return self.s

    k = K()
    return (lambda x: x * k.v, lambda: setattr(k, "v", 5.0))


@case
def a_descriptor() -> Case:

    class Desc:
        def __init__(self):
            self.v = 1.0

        def __get__(self, o, t=None):
            return self.v

    class K:
        d = Desc()

    k = K()
    return (lambda x: x * k.d, lambda: setattr(vars(K)["d"], "v", 5.0))


@case
def own_getattribute() -> Case:

    class K:
        def __getattribute__(self, n):
            return object.__getattribute__(self, "_" + n) if not n.startswith("_") else object.__getattribute__(self, n)

    k = K()
    k._v = 1.0
    return (lambda x: x * k.v, lambda: setattr(k, "_v", 5.0))


@case
def compiled_function_called() -> Case:
    k = SimpleNamespace(v=1.0)
    inner = tt.compile(lambda x: x * k.v, backend="interpreter")
    return (lambda x: inner(x), lambda: setattr(k, "v", 5.0))


@case
def method_of_a_trainer() -> Case:

    class Trainer:
        def __init__(self):
            self.step = 0
            self.s = 1.0

        def run(self, x):
            return x * self.s

    t = Trainer()
    return (t.run, lambda: setattr(t, "s", 5.0))


@pytest.mark.parametrize("backend", ["interpreter", "llvm"])
@pytest.mark.parametrize("make", CASES, ids=lambda c: c.__name__)
def test_a_change_between_calls_is_seen(make: Callable[[], Case], backend: Any) -> None:
    check(make, backend)
