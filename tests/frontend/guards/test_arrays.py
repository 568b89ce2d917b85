"""Numpy arrays in compiled functions: inputs of the graph, read where they lie, or compared before each call."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tests.frontend.guards.cases import ones
from tinytorch.frontend.guards.lookups import same_bits

compile_ = functools.partial(tt.compile, backend="interpreter")


def test_arrays_that_only_meet_tensors_are_not_compared() -> None:
    table = np.arange(12, dtype=np.float32).reshape(3, 4)

    class Reading(tt.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mask = np.ones(4, bool)

        def forward(self, index: Any) -> Any:
            return tt.where(self.mask, tt.tensor(table)[index] + table, -1.0)

    model = Reading()
    compiled = tt.compile(model)
    index = tt.tensor([2, 1, 0])
    compiled(index)
    graph = compiled.traced_graph
    assert [str(v.type) for v in graph.inputs] == ["i64[3]", "f32[3,4]", "bool[4]"]
    model.mask[1] = False
    table[2] = 100.0
    np.testing.assert_array_equal(compiled(index).numpy(), model(index).numpy())
    assert compiled.traced_graph is graph


def test_arrays_made_in_the_trace_are_constants() -> None:
    def function(x: Any) -> Any:
        a = np.zeros(3, np.float32)
        y = x * a
        a[0] = 1
        return y + x * a + np.arange(3)

    compiled = tt.compile(function)
    assert [compiled(tt.ones(3)).tolist() for _ in range(2)] == [[1, 1, 2], [1, 1, 2]]
    assert len(compiled.traced_graph.inputs) == 1


def test_an_index_array_is_checked_when_it_is_used() -> None:
    index, table = np.array([0, 1]), tt.tensor([1.0, 5.0])
    compiled = tt.compile(lambda x: table[index] * x)
    assert compiled(tt.ones(2)).tolist() == [1, 5]
    index[1] = 7
    with pytest.raises(IndexError, match="out of range"):
        compiled(tt.ones(2))
    index[1] = -2
    assert compiled(tt.ones(2)).tolist() == [1, 1]


def test_an_array_is_compared_where_a_branch_might_read_it() -> None:
    array, flags = np.ones(1, np.float32), [False]

    def function(x: Any) -> Any:
        y = x * array
        return y * float(array[0]) if flags[0] else y

    compiled = compile_(function)
    assert compiled(ones()).item() == 1
    array[0] = 3
    assert compiled(ones()).item() == 3
    flags[0] = True
    assert compiled(ones()).item() == 9
    array[0] = 2
    assert compiled(ones()).item() == 4


def test_frozen_graphs_compare_arrays() -> None:
    array = np.ones(1, np.float32)
    compiled = tt.compile(lambda x: x * array, freeze=True)
    assert compiled(ones()).item() == 1
    array[0] = 5
    assert compiled(ones()).item() == 5


def test_an_array_in_place_through_a_tensor_of_the_trace() -> None:
    array = np.ones(1, np.float32)

    def shared(x: Any) -> Any:
        return x * tt.from_numpy(array).add_(1)

    called = compile_(shared)
    assert [called(ones()).item() for _ in range(3)] == [2, 3, 4] and array[0] == 4
    array[0] = 1
    copied = compile_(lambda x: x * tt.tensor(array).add_(1))
    assert [copied(ones()).item() for _ in range(2)] == [2, 2] and array[0] == 1


@pytest.mark.parametrize("dtype", ["f8", "i4", "u1", ">f4", "f2"])
def test_dtypes_of_arrays(dtype: str) -> None:
    array = np.array([1, 2], dtype)
    compiled = tt.compile(lambda x: x * array)
    for _ in range(2):
        got, expected = compiled(tt.ones(2)), tt.ones(2) * array.astype(array.dtype.newbyteorder("="))
        assert got.dtype == expected.dtype and got.tolist() == expected.tolist()
        array[0] = 7


@pytest.mark.parametrize("shape", [(5,), (70_001,), (300, 401), (3, 50_000)])
def test_arrays_are_compared_bit_by_bit(shape: tuple[int, ...]) -> None:
    whole = np.zeros((*shape[:-1], 2 * shape[-1]), np.float32)
    for array in (whole[..., ::2], np.ascontiguousarray(whole[..., ::2]), whole.reshape(-1)[1:][: 2 * shape[-1]]):
        saved = array.copy()
        assert same_bits(array, saved)
        for place in ((0,) * array.ndim, (-1,) * array.ndim):
            array[place] = -0.0
            assert not same_bits(array, saved)
            array[place] = 0.0
    nan = np.full(shape, np.nan)
    assert same_bits(nan, nan.copy())
