"""Containers, objects of data and numpy arrays: what changes in them between calls is seen."""

from __future__ import annotations

import argparse
import array
import collections
import dataclasses
import enum
import functools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

import tinytorch as tt
from tests.frontend.guards.cases import Case, check

CASES: list[Callable[[], Case]] = []


def case(make: Callable[[], Case]) -> Callable[[], Case]:
    CASES.append(make)
    return make


class MyDict(dict):
    def __getattr__(self, n):
        return self[n]


class MyList(list):
    pass


@dataclasses.dataclass
class D:
    v: float = 1.0


@dataclasses.dataclass(slots=True)
class DS:
    v: float = 1.0


@dataclasses.dataclass(frozen=True)
class DF:
    v: float = 1.0


@case
def containers_in_containers() -> Case:
    k = SimpleNamespace(a={"b": [collections.deque([(1, {"z": [1.0]})])]})
    return (lambda x: x * k.a["b"][0][0][1]["z"][0], lambda: k.a["b"][0][0][1]["z"].__setitem__(0, 5.0))


@case
def a_deque() -> Case:
    k = collections.deque([1.0])
    return (lambda x: x * k[0], lambda: (k.pop(), k.append(5.0)))


@case
def array_in_containers() -> Case:
    k = {"a": [np.ones(1, np.float32)]}
    return (lambda x: x * k["a"][0], lambda: k["a"][0].__setitem__(0, 5))


@case
def array_read_by_python() -> Case:
    k = np.ones(3)
    return (lambda x: x * float(k[1]), lambda: k.__setitem__(1, 5))


@case
def array_read_by_python_and_by_a_tensor() -> Case:
    k = np.ones(1, np.float32)
    return (lambda x: x * k * float(k[0]) / float(k[0]), lambda: k.__setitem__(0, 5))


@case
def array_under_another_name() -> Case:
    k = np.ones(1, np.float32)

    def f(x):
        m = k
        return x * m

    return (f, lambda: k.__setitem__(0, 5))


@case
def array_computed_with() -> Case:
    k = np.ones(1, np.float32)
    return (lambda x: x * (k * 2 - 1), lambda: k.__setitem__(0, 3))


@case
def mask_in_where() -> Case:
    k = np.zeros(1, bool)
    return (lambda x: tt.where(k, x * 5, x), lambda: k.__setitem__(0, True))


@case
def array_as_index() -> Case:
    k = np.zeros(1, np.int64)
    t = tt.tensor([1.0, 5.0])
    return (lambda x: t[k] * x, lambda: k.__setitem__(0, 1))


@case
def boolean_mask() -> Case:
    k = np.array([True, False])
    t = tt.tensor([1.0, 5.0])
    return (lambda x: t[k] * x, lambda: k.__setitem__(slice(None), [False, True]))


@case
def array_made_a_tensor() -> Case:
    k = np.ones(1, np.float32)
    return (lambda x: x * tt.tensor(k), lambda: k.__setitem__(0, 5))


@case
def array_shared_with_a_tensor() -> Case:
    k = np.ones(1, np.float32)
    return (lambda x: x * tt.from_numpy(k), lambda: k.__setitem__(0, 5))


@case
def array_that_no_name_leads_to() -> Case:
    tab = np.ones(1, np.float32)
    get = functools.lru_cache(lambda: tab)
    return (lambda x: x * get(), lambda: tab.__setitem__(0, 5))


@case
def user_dict() -> Case:
    k = MyDict(v=1.0)
    return (lambda x: x * k.v, lambda: k.update(v=5.0))


@case
def user_list() -> Case:
    k = MyList([1.0])
    return (lambda x: x * k[0], lambda: k.__setitem__(0, 5.0))


@case
def attribute_of_a_list() -> Case:
    k = MyList([1.0])
    k.v = 1.0
    return (lambda x: x * k.v, lambda: setattr(k, "v", 5.0))


@case
def dict_of_collections() -> Case:
    k = collections.UserDict(v=1.0)
    return (lambda x: x * k["v"], lambda: k.update(v=5.0))


@case
def keyword_default() -> Case:
    d = {"v": 1.0}

    def f(x, *, k=d):
        return x * k["v"]

    return (f, lambda: d.update(v=5.0))


@case
def partial_function() -> Case:
    k = [1.0]
    p = functools.partial(lambda s, x: x * s[0], k)
    return (p, lambda: k.__setitem__(0, 5.0))


@case
def partial_called() -> Case:
    k = SimpleNamespace(v=1.0)
    p = functools.partial(lambda x, s: x * s.v, s=k)
    return (lambda x: p(x), lambda: setattr(k, "v", 5.0))


@case
def function_in_a_dict() -> Case:
    d = {"f": lambda x: x * 1}
    return (lambda x: d["f"](x), lambda: d.update(f=lambda x: x * 5))


@case
def namespace_handed_on() -> Case:
    k = SimpleNamespace(v=1.0)

    def helper(c, x):
        return x * c.v

    return (lambda x: helper(k, x), lambda: setattr(k, "v", 5.0))


@case
def namespace_in_a_module() -> Case:

    class K(tt.Module):
        def __init__(self):
            super().__init__()
            self.cfg = argparse.Namespace(v=1.0)

        def forward(self, x):
            c = self.cfg
            return h(c, x)

    def h(c, x):
        return x * c.v

    m = K()
    return (m, lambda: setattr(m.cfg, "v", 5.0))


@case
def a_dataclass() -> Case:
    k = D()
    return (lambda x: x * k.v, lambda: setattr(k, "v", 5.0))


@case
def a_dataclass_with_slots() -> Case:
    k = DS()
    return (lambda x: x * k.v, lambda: setattr(k, "v", 5.0))


@case
def a_frozen_dataclass_forced() -> Case:
    k = DF()
    return (lambda x: x * k.v, lambda: object.__setattr__(k, "v", 5.0))


@case
def an_enum() -> Case:

    class E(enum.Enum):
        A = 1.0
        B = 5.0

    h = {"e": E.A}
    return (lambda x: x * h["e"].value, lambda: h.update(e=E.B))


@case
def a_set() -> Case:
    k = {1.0}
    return (lambda x: x * max(k), lambda: k.add(5.0))


@case
def array_of_the_standard_library() -> Case:
    k = array.array("d", [1.0])
    return (lambda x: x * k[0], lambda: k.__setitem__(0, 5.0))


@case
def a_bytearray() -> Case:
    k = bytearray([1])
    return (lambda x: x * k[0], lambda: k.__setitem__(0, 5))


@case
def a_defaultdict() -> Case:
    k = collections.defaultdict(lambda: 1.0)
    k["a"] = 1.0
    return (lambda x: x * k["a"], lambda: k.update(a=5.0))


@case
def a_counter() -> Case:
    k = collections.Counter(a=1)
    return (lambda x: x * k["a"], lambda: k.update(a=4))


@case
def order_of_keys() -> Case:
    k = collections.OrderedDict(a=1, b=5)
    return (lambda x: x * next(iter(k.values())), lambda: k.move_to_end("a"))


@case
def a_chainmap() -> Case:
    k = collections.ChainMap({}, {"v": 1.0})
    return (lambda x: x * k["v"], lambda: k.update(v=5.0))


@case
def dict_of_a_class() -> Case:

    class K:
        reg: ClassVar = {"v": 1.0}

        @classmethod
        def get(cls):
            return cls.reg["v"]

    return (lambda x: x * K.get(), lambda: K.reg.update(v=5.0))


@case
def object_in_a_set() -> Case:

    class K:
        pass

    k = K()
    k.v = 1.0
    s = {k}
    return (lambda x: x * next(iter(s)).v, lambda: setattr(k, "v", 5.0))


@case
def a_namedtuple() -> Case:
    P = collections.namedtuple("P", "a")
    h = {"p": P([1.0])}
    return (lambda x: x * h["p"].a[0], lambda: h["p"].a.__setitem__(0, 5.0))


@pytest.mark.parametrize("backend", ["interpreter", "llvm"])
@pytest.mark.parametrize("make", CASES, ids=lambda c: c.__name__)
def test_a_change_between_calls_is_seen(make: Callable[[], Case], backend: Any) -> None:
    check(make, backend)
