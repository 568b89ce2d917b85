"""What tests of guards share: cases are functions of a tensor, with a change that makes them from x into 5 * x."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tinytorch as tt

Case = tuple[Callable[..., Any], Callable[[], Any]]


def ones() -> tt.Tensor:
    return tt.ones(1)


def check(make: Callable[[], Case], backend: Any) -> None:
    """The compiled function sees the change, as the function itself does."""
    function, change = make()
    compiled = tt.compile(function, backend=backend)
    assert [compiled(ones()).item() for _ in range(3)] == [1, 1, 1]
    change()
    assert function(ones()).item() == 5
    assert [compiled(ones()).item() for _ in range(2)] == [5, 5]


def recompiles(call: Callable[[int], Any], times: int, capfd: Any, monkeypatch: Any) -> list[str]:
    """The lines that TT_LOGS=recompiles prints in calls number 0, 1 …"""
    monkeypatch.setenv("TT_LOGS", "recompiles")
    capfd.readouterr()
    for number in range(times):
        call(number)
    return [line for line in capfd.readouterr().out.splitlines() if "compiling" in line]
