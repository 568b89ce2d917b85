"""`assign` against numpy's item assignment: shapes, items and values at random, eager and as graphs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.execution import assert_same, compiled, expected, interpreted
from tinytorch.compile import compile
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.expr import Expr
from tinytorch.ir.graph import Builder, Graph
from tinytorch.ir.operators.indexing import assign
from tinytorch.ir.types import DTYPES, TensorType, dtype_of

Draw = Any
Array = np.ndarray[Any, Any]
SIZES = [0, 1, 2, 3, 4, 5]


def selected(x: Array, index: tuple[Any, ...]) -> Array:
    """What an index names, as in PyTorch: integers make a view first; to numpy they are index arrays beside others."""
    first = [i if isinstance(i, int) or i is ... else slice(None) for i in index if i is not None]
    view = x[tuple(first if ... in first else [*first, ...])]
    return view[tuple(i for i in index if not isinstance(i, int))]


def wanted(x: Array, index: tuple[Any, ...], value: Array) -> Array:
    """Element by element in row-major order of the region, so that of repeated indices the last one counts."""
    places = selected(np.arange(x.size).reshape(x.shape), index)
    extra = max(0, value.ndim - places.ndim)
    assert all(d == 1 for d in value.shape[:extra])
    values = np.broadcast_to(value.reshape(value.shape[extra:]), places.shape)
    out = x.copy().reshape(-1)
    for place, new in zip(places.reshape(-1), values.reshape(-1), strict=True):
        out[place] = new
    return out.reshape(x.shape)


def numbers(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Array:
    return rng.integers(0, 2 if dtype == "bool" else 100, shape).astype(DTYPES[dtype].numpy)


def draw_slice(draw: Draw, size: int) -> slice:
    ends = st.one_of(st.none(), st.integers(-size - 2, size + 2))
    return slice(draw(ends), draw(ends), draw(st.sampled_from([None, 1, 2, 3, -1, -2, -3])))


def draw_integers(draw: Draw, size: int, shape: tuple[int, ...]) -> Array:
    """Indices of a shape that broadcasts to `shape`, negative ones too."""
    own = tuple(draw(st.sampled_from([1, d])) for d in shape[draw(st.integers(0, len(shape))) :])
    found = draw(st.lists(st.integers(-size, size - 1), min_size=math.prod(own), max_size=math.prod(own)))
    return np.array(found, np.int64).reshape(own)


@st.composite
def cases(draw: Draw, kinds: tuple[str, ...]) -> tuple[Array, tuple[Any, ...], Array]:
    """(x, index, value) that numpy accepts."""
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    shape = tuple(draw(st.lists(st.sampled_from(SIZES), max_size=4)))
    picked = tuple(draw(st.lists(st.integers(0, 3), max_size=2)))
    index: list[Any] = []
    for size in shape[: draw(st.integers(0, len(shape)))]:
        kind = draw(st.sampled_from(kinds if size else ("slice",)))
        if kind == "integer":
            index.append(draw(st.integers(-size, size - 1)))
        elif kind == "array":
            index.append(draw_integers(draw, size, picked))
        else:
            index.append(draw_slice(draw, size))
    if draw(st.booleans()):
        index.insert(len(index), ...)
        behind = draw(st.integers(0, len(shape) - len(index) + 1))
        index += [draw_slice(draw, size) for size in shape[len(shape) - behind :] if behind]
    for _ in range(draw(st.integers(0, 2))):
        index.insert(draw(st.integers(0, len(index))), None)
    dtype = draw(st.sampled_from(["f32", "f32", "f64", "bf16", "i32", "u8", "bool"]))
    x = numbers(rng, shape, dtype)
    region = selected(x, tuple(index)).shape
    own = region[draw(st.integers(0, len(region))) :]
    own = tuple(draw(st.sampled_from([d, d, 1])) for d in own)
    if len(own) == len(region):
        own = (1,) * draw(st.integers(0, 2)) + own
    return x, tuple(index), numbers(rng, own, draw(st.sampled_from([dtype, "f32"])))


def graph_of(x: Array, index: tuple[Any, ...], value: Array) -> tuple[Graph, list[Array]]:
    """The assignment to a state, as a graph of x, index arrays and value; and its inputs."""
    builder = Builder("assign")
    inputs: list[Array] = []

    def operand(array: Array) -> Expr:
        inputs.append(array)
        return Expr(builder, builder.input(TensorType(dtype_of(array.dtype), array.shape)))

    base = operand(x)
    items = tuple(operand(i) if isinstance(i, np.ndarray) else i for i in index)
    out = assign(base, items, operand(value))
    assert out.type == base.type
    return builder.build([out.value], [(0, 0)]), inputs


def check(x: Array, index: tuple[Any, ...], value: Array, result: Array) -> None:
    tensor = Tensor(x.copy())
    items = tuple(Tensor(i) if isinstance(i, np.ndarray) else i for i in index)
    found = assign(tensor, items, Tensor(value))
    assert_same([found.numpy()], [result])
    assert_same([tensor.numpy()], [x])
    graph, inputs = graph_of(x, index, value)
    assert_same(expected(graph, inputs), [result])
    assert_same(interpreted(graph, inputs), [result])
    assert_same(compiled(graph, inputs), [result])


@settings(max_examples=150)
@given(cases(("slice", "integer")))
def test_by_integers_and_slices(case: tuple[Array, tuple[Any, ...], Array]) -> None:
    check(*case, wanted(*case))


@settings(max_examples=250)
@given(cases(("slice", "integer", "array", "array")))
def test_by_index_arrays_among_them(case: tuple[Array, tuple[Any, ...], Array]) -> None:
    check(*case, wanted(*case))


@st.composite
def masked_cases(draw: Draw) -> tuple[Array, tuple[Any, ...], Array]:
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    shape = tuple(draw(st.lists(st.sampled_from(SIZES), max_size=4)))
    front = draw(st.integers(0, len(shape)))
    behind = draw(st.integers(front, len(shape)))
    dtype = draw(st.sampled_from(["f32", "bf16", "i32", "bool"]))
    lead = draw(st.sampled_from([[slice(None)] * front, [...]]))
    after = draw(st.integers(0, len(shape) - behind))
    rest: list[Any] = [slice(None)] * after
    if lead == [...]:
        rest = [slice(None, size, 1) for size in shape[behind:]]
    elif draw(st.booleans()):
        rest.append(...)
    own = [draw(st.sampled_from([d, 1])) for d in (*shape[:front], 1, *shape[behind:])]
    own[front] = 1
    own = own[draw(st.integers(0, front + 1)) :]
    mask = rng.random(shape[front:behind]) < 0.5
    return numbers(rng, shape, dtype), (*lead, mask, *rest), numbers(rng, tuple(own), dtype)


@settings(max_examples=150)
@given(masked_cases())
def test_by_masks(case: tuple[Array, tuple[Any, ...], Array]) -> None:
    x, index, value = case
    result = x.copy()
    result[index] = value
    check(x, index, value, result)


A = np.arange(24.0, dtype=np.float32).reshape(2, 3, 4)


@pytest.mark.parametrize(
    "index",
    [0, -1, slice(None, None, -2), (..., 1), None, (), [1, 0, 1], [], (slice(None), [2, 0]), ([0, 1], ..., [3, 3]),
     range(1), (slice(None), range(2, -1, -2)), (slice(None), (2, 0)), range(0),
     A > 7, A[:, :, 0] > 7, True, False, np.int64(1), np.array(1), np.bool_(True)],
    ids=repr,
)  # fmt: skip
def test_plain_items_and_numbers(index: Any) -> None:
    result = A.copy()
    result[index] = -1.5
    np.testing.assert_array_equal(assign(Tensor(A), index, -1.5).numpy(), result)
    builder = Builder()
    x = Expr(builder, builder.input(TensorType(DTYPES["f32"], A.shape)))
    graph = builder.build([assign(x, index, -1.5).value])
    assert_same(compiled(graph, [A]), [result])


def test_values_are_cast() -> None:
    x = Tensor(np.array([1, 2, 3], np.int32))
    assert assign(x, 0, 2.75).numpy().tolist() == [2, 2, 3]
    assert assign(x, [0, 2], Tensor([True, False])).numpy().tolist() == [1, 2, 0]
    assert assign(Tensor([True, False]), 1, 7).numpy().tolist() == [True, True]


def test_one_value_for_one_element() -> None:
    def write(x: Tensor) -> Tensor:
        x[0, 0] = x[1:2, 1]
        x[1, 2] = [[-3.0]]
        x[Tensor([0])[0], 3] = np.ones((1, 1), np.float32)
        return x.clone()

    wanted = [[5, 1, 2, 1], [4, 5, -3, 7]]
    assert write(Tensor(A[0, :2])).tolist() == compile(write)(Tensor(A[0, :2])).tolist() == wanted


@pytest.mark.parametrize(
    ("index", "value", "error", "message"),
    [
        ((0, 0, 0), np.ones(2), ShapeError, r"a value of shape \[2\] does not broadcast to \[\]"),
        (0, np.ones(3), ShapeError, r"a value of shape \[3\] does not broadcast to \[3, 4\]"),
        (A > 3, np.ones(5), ShapeError, "does not broadcast to"),
        (7, 1.0, IndexError, "index 7 is out of range for axis 0"),
        ((0, 0, 0, 0), 1.0, IndexError, "too many indices"),
        (np.array([5]), 1.0, IndexError, "index 5 is out of range"),
    ],
)
def test_an_item_that_does_not_fit_names_the_line_and_changes_nothing(
    index: Any, value: Any, error: type[Exception], message: str
) -> None:
    x = Tensor(A)
    with pytest.raises(error, match=message + r"(.*\n)+.*test_assign\.py"):
        x[index] = value
    np.testing.assert_array_equal(x.numpy(), A)


def test_in_a_trace() -> None:
    @compile
    def step(x: Tensor, i: Tensor, v: Tensor) -> Tensor:
        x = assign(x, (slice(None), i), v)
        x = assign(x, x > 20, 0.0)
        return assign(x, (0, slice(None, None, -1)), v[:3])

    v = np.arange(4, dtype=np.float32) * 10
    result = A.copy()
    result[:, [2, 0]] = v
    result[result > 20] = 0
    result[0, ::-1] = v[:3, None] * 0 + v
    got = step(Tensor(A), Tensor([2, 0]), Tensor(np.broadcast_to(v, (3, 4)).copy()[:1]))
    np.testing.assert_array_equal(got.numpy(), result)


def test_gradients() -> None:
    x, v = Tensor(A, requires_grad=True), Tensor(np.ones((2, 4), np.float32), requires_grad=True)
    weights = np.arange(24.0, dtype=np.float32).reshape(2, 3, 4) + 1
    out = assign(assign(x, (slice(None), 1), v), (0, [0, 2], [1, 3]), 5.0)
    (out * Tensor(weights)).sum().backward()
    left = weights.copy()
    left[:, 1] = 0
    left[0, [0, 2], [1, 3]] = 0
    assert x.grad is not None and v.grad is not None
    np.testing.assert_array_equal(x.grad.numpy(), left)
    np.testing.assert_array_equal(v.grad.numpy(), weights[:, 1])


@pytest.mark.parametrize(
    ("index", "value", "message"),
    [
        (0, np.zeros(3), r"a value of shape \[3\] does not broadcast to \[3, 4\]"),
        (0, np.zeros((2, 3, 4)), r"a value of shape \[2, 3, 4\] does not broadcast to \[3, 4\]"),
        ((slice(None), [0, 1]), np.zeros((3, 4)), r"does not broadcast to \[2, 2, 4\]"),
        (A > 3, np.zeros((2, 3, 4)), r"does not broadcast to"),
        ((slice(None), A[0, :, 0] > 3), np.zeros((3, 1, 4)), r"does not broadcast to \[2, 3, 4\]"),
    ],
)  # fmt: skip
def test_values_that_do_not_fit(index: Any, value: Array, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        assign(Tensor(A), index, Tensor(value))


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (2, "index 2 is out of range for axis 0"),
        ((0, 0, 0, 0), "too many indices"),
        ((..., ...), "an index has one ... at most"),
        ([2], "out of range"),
        (Tensor([0.5]), "an index needs an integer dtype"),
        ((A > 3, slice(None)), "too many indices"),
        ((A > 3, 0), "may stand alone or with full slices"),
        ((0, A[0] > 3), "may stand alone or with full slices"),
        ((slice(1), A[0] > 3), "may stand alone or with full slices"),
        ((None, A > 3), "may stand alone or with full slices"),
        ((A[:, 0, 0] > 3, [0, 1]), "may stand alone or with full slices"),
        ((A[:, 0, 0] > 3, A[0] > 3), "may stand alone or with full slices"),
        (A[:, :2] > 3, r"a mask of bool\[2,2,4\] does not fit axes 0 to 2 of f32\[2,3,4\]"),
        ((..., A[:, 0, 0] > 3), r"a mask of bool\[2\] does not fit axes 2 to 2"),
        ((..., A > 3, ...), "too many indices"),
    ],
)  # fmt: skip
def test_indices_that_do_not_fit(index: Any, message: str) -> None:
    with pytest.raises(IndexError, match=message):
        assign(Tensor(A), index, 0.0)


def test_values_that_depend_on_the_mask() -> None:
    with pytest.raises(IndexError, match=r"a value of shape \[5\] depends on how many elements the mask selects"):
        assign(Tensor(A), A > 18, Tensor(np.zeros(5, np.float32)))
    with pytest.raises(IndexError, match=r"a value of shape \[2, 4\] depends on how many"):
        assign(Tensor(A), A[:, :, 0] > 12, Tensor(np.zeros((2, 4), np.float32)))
