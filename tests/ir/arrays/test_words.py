"""Arrays in the words of errors."""

from __future__ import annotations

import numpy as np

from tinytorch.ir.arrays.words import described


def test_whole_numbers_are_said_in_full() -> None:
    assert described(np.array([1, 2**53 + 1, -3])) == "i64[3] from -3 to 9007199254740993"
    assert described(np.array([0, 200], np.uint8), (1,)) == "u8[2] from 0 to 200, 200 at [1]"


def test_floats_have_six_digits_and_what_is_not_finite_is_counted() -> None:
    array = np.array([[1 / 3, np.inf], [np.nan, -2]], np.float32)
    assert described(array, (0, 1)) == "f32[2,2] from -2 to 0.333333, 1 infinite, 1 NaN, inf at [0, 1]"
    assert described(array, (5, 0)) == "f32[2,2] from -2 to 0.333333, 1 infinite, 1 NaN"
    assert described(np.full(2, np.nan)) == "f64[2], 2 NaN"


def test_large_arrays_are_read_in_parts() -> None:
    array = np.zeros((3, 100_000), np.float32)
    array[2, -1], array[0, 0], array[1, 5] = 7, np.inf, np.nan
    array[2, -2] = -1
    assert described(array) == described(np.asfortranarray(array)) == "f32[3,100000] from -1 to 7, 1 infinite, 1 NaN"
    assert described(array[:, ::-7]) == "f32[3,14286] from 0 to 7"


def test_one_element_none_and_truths() -> None:
    assert described(np.array([7])) == "i64[1] of 7"
    assert described(np.zeros((0, 3), np.float32)) == "f32[0,3]"
    assert described(np.array([True, False, True])) == "bool[3], 2 True"
