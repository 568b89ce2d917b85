"""The native call's states: looked up, shared, written back, with versions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.runtime.llvm.pycall.calls import (
    BOTH,
    F4,
    Box,
    Counter,
    N,
    careful,
    counting,
    floats,
    native,
    read_only,
    step_spec,
)
from tinytorch.ir.errors import CompileError, TinyTorchError
from tinytorch.runtime.llvm.pycall.call import (
    MISMATCH,
    InputSpec,
    OutputSpec,
    explain_mismatch,
)


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
