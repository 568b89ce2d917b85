"""Large results take over memory that nobody holds any more, and only such."""

from __future__ import annotations

import numpy as np
import pytest

import tinytorch as tt

ROWS, COLUMNS = 512, 1024  # 2 MiB


@pytest.fixture
def double() -> tt.Compiled:
    return tt.compile(lambda x: x * 2.0)


def address(x: tt.Tensor) -> int:
    return x.data.ctypes.data


def test_memory_is_used_again_once_the_result_is_dropped(double: tt.Compiled) -> None:
    x = tt.randn(ROWS, COLUMNS)
    double(x)
    before = address(double(x))
    assert address(double(x)) == before


@pytest.mark.parametrize("hold", [lambda y: y, lambda y: y.data, lambda y: y.data[3:5], lambda y: memoryview(y.data)])
def test_a_result_that_somebody_holds_stays_as_it_is(double: tt.Compiled, hold: object) -> None:
    assert callable(hold)
    x = tt.randn(ROWS, COLUMNS)
    double(x)
    held = hold(double(x))
    before = np.array(held.data if isinstance(held, tt.Tensor) else held)
    double(tt.zeros(ROWS, COLUMNS))
    np.testing.assert_array_equal(np.array(held.data if isinstance(held, tt.Tensor) else held), before)


def test_a_result_that_was_frozen_or_reshaped_is_not_used_again(double: tt.Compiled) -> None:
    x = tt.randn(ROWS, COLUMNS)
    double(x)
    double(x).numpy().flags.writeable = False
    again = double(x)
    assert again.data.flags.writeable
    again.numpy().resize((COLUMNS, ROWS), refcheck=False)
    del again
    np.testing.assert_array_equal(double(x).data, x.data * 2)
