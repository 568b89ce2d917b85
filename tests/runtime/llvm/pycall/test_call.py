"""The native call: what fits runs, what does not is refused and explained, and nothing leaks or dangles."""

from __future__ import annotations

import dataclasses
import functools
import gc
import itertools
import pickle
import sys
import threading
import time
import tracemalloc
import weakref
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import CompileError, TinyTorchError
from tinytorch.runtime.llvm.pycall import call as pycall
from tinytorch.runtime.llvm.pycall import layout as pycall_layout
from tinytorch.runtime.llvm.pycall.call import (
    MISMATCH,
    CallSpec,
    InputSpec,
    OutputSpec,
    explain_mismatch,
    make_call,
    make_careful_call,
)
from tinytorch.runtime.llvm.text import jit
from tinytorch.runtime.llvm.text.builder import Function, Module, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import F32, I32, PTR

N = 6
F4 = np.dtype(np.float32)


class Counter:
    """The least that a storage can be."""

    __slots__ = ("version",)

    def __init__(self) -> None:
        self.version = 0


class Box:
    """The least that a tensor can be."""

    __slots__ = ("__weakref__", "_data", "_storage", "name")

    def __init__(self, data: object, name: str = "", storage: Counter | None = None) -> None:
        self._data = data
        self._storage = storage
        self.name = name

    def __repr__(self) -> str:
        return f"Box({self._data})"


def pointers(f: Function, count: int) -> list[Register]:
    return [f.load(f.params[0], PTR, 8 * i) for i in range(count)]


def write_step(module: Module) -> None:
    """step: frame = [x, w, out …]: out = x * w, then w += 1, for N floats"""
    f = module.function("step", [PTR])
    x, w, out = pointers(f, 3)

    def body(i: Register) -> None:
        weight = f.load(w, F32, i * 4)
        f.store(f.load(x, F32, i * 4) * weight, out, i * 4)
        f.store(weight + 1.0, w, i * 4)

    f.loop(N, [], body)
    f.ret()


def write_nap(module: Module) -> None:
    """nap: frame = [x, w, out, arena]: write x[0] to the arena, sleep 20 ms, out[0] = the arena's value * w[0]"""
    f = module.function("nap", [PTR])
    x, w, out, arena = pointers(f, 4)
    f.store(f.load(x, F32), arena)
    f.call("usleep", [f.const(20_000, I32)], I32)
    f.store(f.load(arena, F32) * f.load(w, F32), out)
    f.ret()


def write_fail(module: Module) -> None:
    """fail: frame = [x, w, out, arena, status]: status = 7 if x[0] < 0"""
    f = module.function("fail", [PTR])
    x, _, _, _, status = pointers(f, 5)
    negative = f.compare("olt", f.load(x, F32), f.const(0.0, F32))
    f.store(f.select(negative, f.const(7), f.const(0)), status)
    f.ret()


def write_look(module: Module) -> None:
    """look: frame = [x, w, out of 8 i64, constant 0, constant 1, arena]: out = the frame's first words"""
    f = module.function("look", [PTR])
    f.copy(f.load(f.params[0], PTR, 16), f.params[0], 64)
    f.ret()


@functools.cache
def code() -> jit.LoadedCode:
    module = Module()
    for write in (write_step, write_nap, write_fail, write_look):
        write(module)
    nothing = module.function("nothing", [PTR])
    nothing.ret()
    return jit.load_object(jit.compile_object(module.text(), Target.host()))


def floats(*values: float) -> np.ndarray[Any, Any]:
    return np.array(values, np.float32)


def counting() -> np.ndarray[Any, Any]:
    return np.arange(N, dtype=np.float32)


def step_spec(weight: object, **changes: Any) -> CallSpec:
    given = {
        "arguments": (InputSpec("x", F4, (N,)),),
        "states": (InputSpec("w", F4, (N,), written=True),),
        "state_objects": (weight,),
        "outputs": (OutputSpec(F4, (N,)),),
        "tensor_type": Box,
        "wrap": Box,
        "storage_slot": "_storage",
        "storage_type": Counter,
        "references": (code(),),
    }
    return CallSpec(**(given | changes))


def native(name: str, spec: CallSpec) -> Callable[..., Any]:
    call = make_call(code().address(name), spec)
    assert type(call).__name__ == "builtin_function_or_method", "the native call must work on this interpreter"
    return call


def careful(name: str, spec: CallSpec) -> Callable[..., Any]:
    return make_careful_call(code().address(name), spec)


BOTH = pytest.mark.parametrize("make", [native, careful])


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


def read_only(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    array.flags.writeable = False
    return array


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


@pytest.mark.parametrize("case", CAREFUL)
def test_other_layouts_are_served_carefully(case: str) -> None:
    argument, reason = CAREFUL[case]
    weight = Box(counting())
    spec = step_spec(weight)
    assert native("step", spec)(argument) is MISMATCH
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(explain_mismatch(spec, (argument,)))
    expected = np.asarray(argument._data).astype(np.float32) * counting()
    result = careful("step", spec)(argument)
    np.testing.assert_array_equal(result._data, expected)
    np.testing.assert_array_equal(weight._data, counting() + 1)


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


def test_keywords_are_refused() -> None:
    with pytest.raises(TypeError):
        native("step", step_spec(Box(counting())))(x=Box(counting()))


@BOTH
def test_states_are_looked_up_in_every_call(make: Callable[..., Any]) -> None:
    weight = Box(floats(*[1] * N))
    call = make("step", step_spec(weight))
    x = Box(counting())
    call(x)
    old, weight._data = weight._data, np.full(N, 10, np.float32)
    np.testing.assert_array_equal(call(x)._data, counting() * 10)
    np.testing.assert_array_equal(weight._data, np.full(N, 11))
    np.testing.assert_array_equal(old, np.full(N, 2))
    for bad in (np.ones(N), np.ones(N + 1, np.float32), None, "text"):
        weight._data = bad
        assert call(x) is MISMATCH
    weight._data = old
    np.testing.assert_array_equal(call(x)._data, counting() * 2)


def test_shape_changed_in_place() -> None:
    weight, x = Box(counting()), Box(counting())
    call = native("step", step_spec(weight))
    assert call(x) is not MISMATCH
    x._data = x._data.reshape(2, 3)
    assert call(x) is MISMATCH
    weight._data.flags.writeable = False
    assert call(Box(counting())) is MISMATCH


def test_read_only_state() -> None:
    weight = Box(read_only(counting()))
    spec = step_spec(weight)
    x = Box(counting())
    assert native("step", spec)(x) is MISMATCH
    assert explain_mismatch(spec, (x,)) == "w is read-only, but the graph writes it"
    with pytest.raises(TinyTorchError, match="w is read-only"):
        careful("step", spec)(x)
    unwritten = dataclasses.replace(spec, states=(InputSpec("w", F4, (N,)),))
    assert native("nothing", unwritten)(x) is not MISMATCH


def test_strided_state_is_written_back() -> None:
    storage = np.zeros(2 * N, np.float32)
    weight = Box(storage[::2])
    spec = step_spec(weight)
    assert native("step", spec)(Box(counting())) is MISMATCH
    careful("step", spec)(Box(counting()))
    assert storage.tolist() == [1, 0] * N


def test_argument_that_shares_memory_with_a_written_state() -> None:
    storage = np.arange(2 * N, dtype=np.float32)
    weight = Box(storage[:N])
    spec = step_spec(weight)
    call = native("step", spec)
    for start in (0, 1, N - 1):
        x = Box(storage[start : start + N])
        assert call(x) is MISMATCH
        assert explain_mismatch(spec, (x,)) == "x shares memory with w, which is written"
    assert call(Box(storage[N:])) is not MISMATCH
    assert call(Box(storage[:N])) is MISMATCH  # also after a call that was fine
    expected = storage[1 : N + 1] * storage[:N]
    result = careful("step", spec)(Box(storage[1 : N + 1]))
    np.testing.assert_array_equal(result._data, expected)


def test_states_that_share_memory() -> None:
    a, b = Box(counting()), Box(counting())
    written = InputSpec("a", F4, (N,), written=True)
    spec = step_spec(None, states=(written, dataclasses.replace(written, name="b")), state_objects=(a, b))
    call = native("nothing", spec)
    x = Box(counting())
    assert call(x) is not MISMATCH
    separate, b._data = b._data, a._data
    assert call(x) is MISMATCH
    assert call(x) is MISMATCH
    assert explain_mismatch(spec, (x,)) == "b shares memory with a, which is written"
    with pytest.raises(TinyTorchError, match="a and b share memory"):
        careful("nothing", spec)(x)
    b._data = separate
    assert call(x) is not MISMATCH
    read = dataclasses.replace(spec, states=(InputSpec("a", F4, (N,)), InputSpec("b", F4, (N,))))
    b._data = a._data
    assert native("nothing", read)(Box(a._data)) is not MISMATCH  # nothing is written, so nothing can go wrong


def test_interleaved_states_do_not_share() -> None:
    storage = np.zeros((N, 2), np.float32)
    a, b = Box(storage[:, 0]), Box(storage[:, 1])
    written = InputSpec("a", F4, (N,), written=True)
    states = (written, dataclasses.replace(written, name="b"))
    spec = step_spec(None, states=states, state_objects=(a, b), arguments=(), outputs=(OutputSpec(F4, (N,)),))
    assert careful("step", spec)() is not MISMATCH  # frame: "x" is a, "w" is b
    np.testing.assert_array_equal(storage, np.tile(floats(0, 1), (N, 1)))


@BOTH
def test_versions(make: Callable[..., Any]) -> None:
    weight, other = Box(counting(), storage=Counter()), Box(counting(), storage=Counter())
    unseen = Box(counting())
    states = tuple(InputSpec(name, F4, (N,), written=name != "other") for name in ("w", "other", "unseen"))
    call = make("nothing", step_spec(None, states=states, state_objects=(weight, other, unseen)))
    count = weight._storage
    assert count is not None and other._storage is not None
    seen = {count.version}
    for _ in range(5):
        call(Box(counting()))
        count.version += 1
        seen |= {count.version - 1, count.version}
    assert len(seen) == 11
    assert other._storage.version == 0 and unseen._storage is None
    call = make("nothing", step_spec(weight, storage_slot=None))
    before = count.version
    call(Box(counting()))
    assert count.version == before


@BOTH
def test_status_is_reported(make: Callable[..., Any]) -> None:
    good, bad = Box(counting()), Box(-1 - counting())
    call = make("fail", step_spec(Box(counting())))
    assert type(call(good)) is Box
    with pytest.raises(CompileError, match="error 7"):
        call(bad)

    def explain(status: int) -> object:
        raise IndexError(f"status {status}")

    call = make("fail", step_spec(Box(counting()), on_status=explain))
    with pytest.raises(IndexError, match="status 7"):
        call(bad)
    assert type(call(good)) is Box
    assert make("fail", step_spec(Box(counting()), on_status=lambda status: status * 2))(bad) == 14


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


def references(objects: list[object]) -> list[int]:
    return [sys.getrefcount(item) for item in objects]


def test_no_reference_leaks() -> None:
    weight, x = Box(counting()), Box(counting())
    bad = Box(np.zeros(N))
    outputs = (OutputSpec(F4, (N,)), OutputSpec(F4, (2,), is_tensor=False), OutputSpec(F4, ()))
    good_call = native("nothing", step_spec(weight, outputs=outputs))
    none_call = native("nothing", step_spec(weight, outputs=()))
    fail_call = native("fail", step_spec(weight, on_status=lambda _status: "failed"))
    negative = Box(-1 - counting())
    held = [weight, x, bad, negative, weight._data, x._data, bad._data, F4, MISMATCH, Box, np.ndarray, x.name]

    def calls() -> None:
        for _ in range(300):
            assert len(good_call(x)) == 3
            assert none_call(x) is None
            assert good_call(bad) is MISMATCH
            assert fail_call(negative) == "failed"

    calls()
    before = references(held)
    none_before = sys.getrefcount(None)
    calls()
    assert references(held) == before
    assert abs(sys.getrefcount(None) - none_before) < 100


def test_no_memory_leaks() -> None:
    weight, x = Box(np.zeros(N, np.float32)), Box(counting())
    call = native("step", step_spec(weight))
    gc.collect()
    tracemalloc.start()
    try:
        for _ in range(200):
            call(x)
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(2000):
            call(x)
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert after - before < 2000


def test_the_call_keeps_what_it_needs_and_no_longer() -> None:
    weight = Box(counting())
    alive = weakref.ref(weight)
    call = native("step", step_spec(weight))
    del weight
    gc.collect()
    assert alive() is not None
    np.testing.assert_array_equal(call(Box(counting()))._data, counting() ** 2)
    del call
    gc.collect()
    assert alive() is None


def test_a_cycle_through_the_call_is_collected() -> None:
    weight = Box(counting())
    alive = weakref.ref(weight)
    weight.name = native("step", step_spec(weight))  # type: ignore[assignment]
    del weight
    gc.collect()
    assert alive() is None


def test_results_outlive_the_call() -> None:
    call = native("step", step_spec(Box(counting())))
    result = call(Box(counting()))
    del call
    gc.collect()
    np.testing.assert_array_equal(result._data, counting() ** 2)


def in_threads(*tasks: Callable[[], object]) -> None:
    threads = [threading.Thread(target=task) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)


def nap_spec(weight: Box, **changes: Any) -> CallSpec:
    return step_spec(weight, states=(InputSpec("w", F4, (N,)),), releases_gil=True, arena_bytes=64, **changes)


@BOTH
def test_calls_at_the_same_time_have_arenas_of_their_own(make: Callable[..., Any]) -> None:
    call = make("nap", nap_spec(Box(floats(*[2] * N))))
    results: dict[int, float] = {}

    def task(number: int) -> None:
        for _ in range(3):
            results[number] = float(call(Box(np.full(N, number, np.float32)))._data[0])

    in_threads(*(functools.partial(task, number) for number in range(4)))
    assert results == {number: 2.0 * number for number in range(4)}


@BOTH
def test_the_gil_is_released_only_if_asked(make: Callable[..., Any]) -> None:
    ticks = [0]
    stop = threading.Event()

    def tick() -> None:
        while not stop.wait(0.0005):
            ticks[0] += 1

    def ticks_during_a_call(releases_gil: bool) -> int:
        call = make("nap", dataclasses.replace(nap_spec(Box(counting())), releases_gil=releases_gil))
        x = Box(counting())
        before = ticks[0]
        call(x)
        return ticks[0] - before

    interval = sys.getswitchinterval()
    sys.setswitchinterval(100)  # so that a thread runs on until it waits
    ticking = threading.Thread(target=tick)
    ticking.start()
    try:
        assert ticks_during_a_call(True) > 0
        assert ticks_during_a_call(False) == 0
    finally:
        sys.setswitchinterval(interval)
        stop.set()
        ticking.join()


def test_arrays_live_while_the_graph_runs() -> None:
    """Another thread rebinds the state and the argument while the graph sleeps over their memory."""
    weight, x = Box(np.full(1 << 20, 3, np.float32)), Box(np.full(1 << 20, 5, np.float32))
    big = (1 << 20,)
    spec = nap_spec(weight, arguments=(InputSpec("x", F4, big),))
    call = native("nap", dataclasses.replace(spec, states=(InputSpec("w", F4, big),)))
    results: list[float] = []
    alive = weakref.ref(weight._data)
    thread = threading.Thread(target=lambda: results.append(float(call(x)._data[0])))
    thread.start()
    time.sleep(0.008)
    weight._data, x._data = np.zeros(1 << 20, np.float32), np.zeros(1 << 20, np.float32)
    thread.join()
    assert results == [15.0]
    assert alive() is None
