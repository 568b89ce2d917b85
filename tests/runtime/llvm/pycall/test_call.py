"""The native call: arguments, outputs, what it refuses, kinds of tensors."""

from __future__ import annotations

import dataclasses
import gc
import itertools
import pickle
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.runtime.llvm.pycall.calls import (
    BOTH,
    F4,
    Box,
    Counter,
    N,
    careful,
    code,
    counting,
    floats,
    native,
    quick,
    read_only,
    step_spec,
)
from tinytorch.frontend.tensor import Tensor
from tinytorch.runtime.llvm.pycall import call as pycall
from tinytorch.runtime.llvm.pycall import layout as pycall_layout
from tinytorch.runtime.llvm.pycall.call import (
    MISMATCH,
    CallSpec,
    InputSpec,
    OutputSpec,
    explain_mismatch,
    make_call,
)


@BOTH
@pytest.mark.parametrize("releases_gil", [False, True])
def test_runs_and_updates(make: Callable[..., Any], releases_gil: bool) -> None:
    weight = Box(np.full(N, 2, np.float32))
    call = make("step", step_spec(weight, releases_gil=releases_gil))
    storage = weight._data
    for turn in range(4):
        result = call(Box(counting()))
        assert type(result) is Box
        assert (result._storage, result.name) == (None, "")
        np.testing.assert_array_equal(result._data, counting() * (2 + turn))
    assert weight._data is storage
    np.testing.assert_array_equal(storage, np.full(N, 6))


@BOTH
def test_with_the_real_tensor(make: Callable[..., Any]) -> None:
    weight = Tensor(np.ones(N, np.float32))
    spec = step_spec(weight, tensor_type=Tensor, wrap=Tensor.wrap)
    call = make("step", spec)
    result = call(Tensor(counting()))
    assert type(result) is Tensor
    assert gc.is_tracked(result)
    np.testing.assert_array_equal(result.data, counting())
    assert (result + 1).tolist() == (counting() + 1).tolist()
    np.testing.assert_array_equal(weight.data, np.full(N, 2))
    assert call(Tensor(np.zeros(N))) is MISMATCH
    assert call(counting()) is MISMATCH


@BOTH
def test_outputs_none_one_several(make: Callable[..., Any]) -> None:
    x, weight = Box(counting()), Box(counting())
    specs = [
        OutputSpec(F4, (2, 0, 3)),
        OutputSpec(np.dtype(np.bool_), (), is_tensor=False),
        OutputSpec(np.dtype("i8"), (4, 5)),
    ]
    for count in range(4):
        result = make("nothing", step_spec(weight, outputs=tuple(specs[:count])))(x)
        results = [] if result is None else list(result) if count > 1 else [result]
        assert len(results) == count
        assert count < 2 or type(result) is tuple
        arrays = [r._data if type(r) is Box else r for r in results]
        assert [type(r) for r in results] == [Box, np.ndarray, Box][:count]
        assert [(a.dtype, a.shape) for a in arrays] == [(s.dtype, s.shape) for s in specs[:count]]
        assert all(a.flags.c_contiguous and a.flags.writeable and a.flags.owndata for a in arrays)


@BOTH
def test_frame(make: Callable[..., Any]) -> None:
    x, weight = Box(counting()), Box(counting())
    spec = step_spec(weight, outputs=(OutputSpec(np.dtype("i8"), (8,)),), constants=(123, 456), arena_bytes=100)
    words = make("look", spec)(x)._data
    assert words[:2].tolist() == [x._data.ctypes.data, weight._data.ctypes.data]
    assert words[2] == words.ctypes.data
    assert words[3:5].tolist() == [123, 456]
    assert words[5] % 64 == 0
    assert words[6] != 0


@BOTH
def test_bare_arrays(make: Callable[..., Any]) -> None:
    rate = counting()
    spec = step_spec(
        rate,
        arguments=(InputSpec("x", F4, (N,), is_tensor=False),),
        states=(InputSpec("rate", F4, (N,), is_tensor=False, written=True),),
        outputs=(OutputSpec(F4, (N,), is_tensor=False),),
    )
    call = make("step", spec)
    np.testing.assert_array_equal(call(counting()), counting() ** 2)
    np.testing.assert_array_equal(rate, counting() + 1)
    assert call(Box(counting())) is MISMATCH
    assert call([1.0] * N) is MISMATCH


TYPES = [
    (np.dtype(np.float64), ()),
    (np.dtype(np.float16), (3,)),
    (np.dtype(ml_dtypes.bfloat16), (2, 3)),
    (np.dtype(np.int8), (0, 4)),
    (np.dtype(np.bool_), (1, 2, 1, 3)),
    (np.dtype(np.uint8), (1,) * 40),
]


@pytest.mark.parametrize(("dtype", "shape"), TYPES)
def test_types(dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    spec = step_spec(Box(counting()), arguments=(InputSpec("x", dtype, shape),))
    call = native("nothing", spec)
    good = np.ones(shape, dtype)
    assert call(Box(good)) is not MISMATCH
    assert explain_mismatch(spec, (Box(good),)) is None
    for bad in (good.astype(np.int32), np.ones((*shape, 1), dtype), np.ones((9, *shape[1:]), dtype)):
        assert call(Box(bad)) is MISMATCH
        assert explain_mismatch(spec, (Box(bad),)) is not None


class Matrix(np.ndarray):
    pass


class Child(Box):
    __slots__ = ("more",)


REFUSED = {
    "no arguments": ((), "takes 1 operands, got 0"),
    "two arguments": ((Box(counting()), Box(counting())), "takes 1 operands, got 2"),
    "bare array": ((counting(),), "x is a ndarray, compiled for a Box"),
    "None": ((None,), "x is a NoneType, compiled for a Box"),
    "int": ((5,), "x is a int"),
    "holds None": ((Box(None),), "x holds no array"),
    "holds a list": ((Box([1.0] * N),), "x holds no array"),
    "holds a number": ((Box(np.float32(1)),), "x holds no array"),
    "dtype": ((Box(np.zeros(N)),), "x has dtype float64, compiled for float32"),
    "int of the size": ((Box(np.zeros(N, np.int32)),), "x has dtype int32, compiled for float32"),
    "length": ((Box(np.zeros(N + 1, np.float32)),), r"x has shape \[7\], compiled for \[6\]"),
    "rank": ((Box(np.zeros((N, 1), np.float32)),), r"x has shape \[6, 1\], compiled for \[6\]"),
    "scalar": ((Box(np.zeros((), np.float32)),), r"x has shape \[\]"),
}
CAREFUL = {
    "strided": (Box(np.arange(2 * N, dtype=np.float32)[::2]), "x is not contiguous in row-major order"),
    "reversed": (Box(np.arange(N, dtype=np.float32)[::-1]), r"x is not contiguous .*strides \[-4\]"),
    "broadcast": (Box(np.broadcast_to(floats(3), (N,))), "x is not contiguous"),
    "swapped": (Box(np.arange(N).astype(">f4")), "x has dtype >f4, not in this machine's byte order"),
    "subclass": (Box(counting().view(Matrix)), "x is in a Matrix, a subclass of ndarray"),
    "unaligned": (Box(np.frombuffer(bytes(range(4 * N + 1)), np.float32, N, 1)), "x is not aligned to 4 bytes"),
    "child": (Child(counting()), "x is a Child, a subclass of Box"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    arguments, reason = REFUSED[case]
    count = Counter()
    weight = Box(counting(), storage=count)
    spec = step_spec(weight)
    assert native("step", spec)(*arguments) is MISMATCH
    assert careful("step", spec)(*arguments) is MISMATCH
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(explain_mismatch(spec, arguments))
    np.testing.assert_array_equal(weight._data, counting())
    assert count.version == 0


@pytest.mark.parametrize("make", [careful, quick])
@pytest.mark.parametrize("case", CAREFUL)
def test_other_layouts_are_served_carefully(case: str, make: Callable[[str, CallSpec], Callable[..., Any]]) -> None:
    argument, reason = CAREFUL[case]
    weight = Box(counting())
    spec = step_spec(weight)
    assert native("step", spec)(argument) is MISMATCH
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(explain_mismatch(spec, (argument,)))
    expected = np.asarray(argument._data).astype(np.float32) * counting()
    result = make("step", spec)(argument)
    np.testing.assert_array_equal(result._data, expected)
    np.testing.assert_array_equal(weight._data, counting() + 1)


def test_arguments_of_other_layouts_are_copied_and_no_arena_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """The native call lends its arena; a new one in each call costs fresh pages."""
    monkeypatch.setattr("tinytorch.runtime.llvm.pycall.spec.aligned_empty", None)
    weight, x = Box(counting()), Box(np.arange(2 * N, dtype=np.float32)[::2])
    result = quick("step", step_spec(weight))(x)
    np.testing.assert_array_equal(result._data, 2 * counting() * counting())


def test_what_fits_in_any_case() -> None:
    spec = step_spec(Box(counting()))
    call = native("step", spec)
    foreign = np.ndarray((N,), F4, bytearray(4 * N + 4), 4)  # not its own memory, but aligned
    for array in (read_only(counting()), np.zeros((2, N), np.float32)[1], foreign):
        assert call(Box(array)) is not MISMATCH
        assert explain_mismatch(spec, (Box(array),)) is None


def test_equal_dtype_that_is_another_object() -> None:
    array = pickle.loads(pickle.dumps(counting()))
    spec = step_spec(Box(counting()))
    tagged = counting().view(np.dtype(np.float32, metadata={"unit": "m"}))
    assert tagged.dtype is not F4
    for same in (array, tagged):
        np.testing.assert_array_equal(native("step", step_spec(Box(counting())))(Box(same))._data, counting() ** 2)
        assert explain_mismatch(spec, (Box(same),)) is None


class Numbered(Box):
    """Every instance differs, so a wrapped array cannot be copied from a template."""

    __slots__ = ("number",)
    numbers = itertools.count()

    def __init__(self, data: object) -> None:
        super().__init__(data)
        self.number = 1000 + next(Numbered.numbers)


class Open(Box):
    """With a __dict__."""


@pytest.mark.parametrize("kind", [Numbered, Open, Child])
def test_tensor_types_that_are_more_than_slots(kind: type) -> None:
    weight = kind(counting())
    call = native("step", step_spec(weight, tensor_type=kind, wrap=kind))
    first, second = call(kind(counting())), call(kind(counting()))
    assert type(first) is type(second) is kind
    np.testing.assert_array_equal(first._data, counting() ** 2)
    if kind is Numbered:
        assert second.number == first.number + 2  # an argument was made in between


def test_wrap_that_fails() -> None:
    made = itertools.count()

    def wrap(array: object) -> object:
        if next(made) >= 2:
            raise ZeroDivisionError("no more")
        return Numbered(array)

    spec = step_spec(Box(counting()), wrap=wrap, outputs=(OutputSpec(F4, (N,)),) * 3)
    call = native("nothing", spec)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            call(Box(counting()))


class Hidden:
    """No slot to find."""

    def __init__(self, data: object) -> None:
        self._data = data


def test_unknown_layouts_go_the_careful_way(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = step_spec(Hidden(counting()), tensor_type=Hidden, wrap=Hidden, storage_slot=None)
    result = make_call(code().address("step"), spec)(Hidden(counting()))
    np.testing.assert_array_equal(result._data, counting() ** 2)
    monkeypatch.setattr(pycall, "find_layout", lambda: None)
    call = make_call(code().address("step"), step_spec(Box(counting())))
    assert type(call).__name__ == "function"
    np.testing.assert_array_equal(call(Box(counting()))._data, counting() ** 2)


def test_wrong_offsets_are_noticed() -> None:
    layout = pycall_layout.find_layout()
    assert layout is not None
    swapped = np.zeros((2, 3), ">f4")
    assert pycall_layout._holds(layout, swapped)
    for field in dataclasses.fields(layout):
        if field.name != "tuple_items":
            wrong = dataclasses.replace(layout, **{field.name: getattr(layout, field.name) + 4})
            assert not pycall_layout._holds(wrong, swapped), field.name


def test_no_memory_for_an_output() -> None:
    weight = Box(counting())
    outputs = (OutputSpec(F4, (N,)), OutputSpec(F4, (1 << 45,)))
    call = native("step", step_spec(weight, outputs=outputs))
    for _ in range(3):
        with pytest.raises(MemoryError):
            call(Box(counting()))
    np.testing.assert_array_equal(weight._data, counting())
