"""What is no change compiles nothing anew; changes that a trace would make are refused."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

import tinytorch as tt
from tests.frontend.guards.cases import ones, recompiles
from tinytorch.ir.errors import TraceError


def test_equal_parts_do_not_compile_anew(capfd: Any, monkeypatch: Any) -> None:
    outer = {"a": [1.0, {"b": [2.0]}]}
    f = tt.compile(lambda x: x * outer["a"][1]["b"][0], backend="interpreter")
    f(ones())

    def call(number: int) -> None:
        outer["a"][1] = {"b": [2.0]}
        f(ones())
        outer["a"] = [1.0, {"b": [2.0]}]
        f(ones())

    assert recompiles(call, 3, capfd, monkeypatch) == []
    outer["a"][1]["b"][0] = 3.0
    assert f(ones()).item() == 3


def test_object_is_a_mark() -> None:
    missing = object()
    holder = SimpleNamespace(k=missing)
    f = tt.compile(lambda x: x if holder.k is missing else x * holder.k, backend="interpreter")
    assert f(ones()).item() == 1
    holder.k = 5.0
    assert f(ones()).item() == 5


def _counts_calls(x: Any) -> Any:
    _counts_calls.calls = getattr(_counts_calls, "calls", 0) + 1  # type: ignore[attr-defined]
    return x


def _sets_a_global(x: Any) -> Any:
    global _SET_BY_A_TEST
    _SET_BY_A_TEST = 3
    return x


@pytest.mark.parametrize("function", [_counts_calls, _sets_a_global])
def test_changes_of_state_are_refused(function: Callable[[Any], Any]) -> None:
    with pytest.raises(TraceError, match="changes Python state"):
        tt.compile(function, backend="interpreter")(ones())


def test_a_list_in_itself_is_refused() -> None:
    items: list[Any] = [1.0]
    items.append(items)
    with pytest.raises(TraceError, match="holds itself"):
        tt.compile(lambda x: x * items[1][0], backend="interpreter")(ones())


class Traced:
    scale = 2.0

    def __init__(self) -> None:
        self.k = 3.0


def test_a_trace_of_another_thread_compiles_nothing_anew(monkeypatch: Any) -> None:
    """Its hooks are in the classes that this thread's guards look at."""
    kept = Traced()
    inside, leave = threading.Event(), threading.Event()

    def waits(x: Any) -> Any:
        inside.set()
        leave.wait(60)
        return x * kept.k

    f = tt.compile(lambda x: x * kept.k * Traced().scale, backend="interpreter")
    assert f(ones()).item() == 6
    other = threading.Thread(target=tt.compile(waits, backend="interpreter"), args=(ones(),))
    other.start()
    inside.wait(60)
    try:
        monkeypatch.setattr(f, "_specialize", None)
        assert [f(ones()).item() for _ in range(3)] == [6, 6, 6]
    finally:
        leave.set()
        other.join()
    assert f(ones()).item() == 6
