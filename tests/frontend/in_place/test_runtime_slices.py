"""Indices with integers that are known when the graph runs: eager, interpreter, machine code and torch agree."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinytorch as tt
from tests.graphs import same_bits
from tinytorch.ir.expr import Expr
from tinytorch.ir.graph import Builder
from tinytorch.ir.operators.linear import difference
from tinytorch.ir.types import DTYPES, TensorType, i32, i64, u8

Array = np.ndarray[Any, Any]
Draw = Any
BACKENDS = ["llvm", "interpreter"]


def numbers(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Array:
    return rng.integers(0, 2 if dtype == "bool" else 100, shape).astype(DTYPES[dtype].numpy)


def compiled(function: Callable[..., Any], backend: str) -> Any:
    return tt.compile(function, backend=backend)


# At random.
class Item:
    """One item of an index: what it is for a list of positions."""

    def __init__(self, kind: str, size: int, draw: Draw, positions: list[int]) -> None:
        self.kind, self.number = kind, len(positions)
        if kind == "static":
            self.item: Any = draw(st.sampled_from([slice(None), slice(1, None), slice(None, None, -1), slice(0, 0)]))
        elif kind == "integer":
            self.item = draw(st.integers(-size, size - 1))
        elif kind == "runtime integer":
            positions.append(draw(st.integers(-size, size - 1)))
        else:
            self.step = draw(st.sampled_from([None, 1, 2]))
            self.before, self.length = draw(st.integers(0, 2)), draw(st.integers(0, size))
            low = draw(st.sampled_from([0, 0, -size])) if self.length < size else 0
            start = draw(st.integers(low, size - self.length if low == 0 else -self.length - 1))
            positions.append(start - self.before)

    def of(self, positions: Sequence[Any]) -> Any:
        if self.kind in ("static", "integer"):
            return self.item
        at = positions[self.number]
        if self.kind == "runtime integer":
            return at
        return slice(at + self.before, at + (self.before + self.length), self.step)


@st.composite
def cases(draw: Draw) -> tuple[Array, list[int], Callable[[Sequence[Any]], Any], Array]:
    """(x, positions, index of positions, value): an index with at least one runtime item, and others around it."""
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=4)))
    axes = draw(st.integers(1, len(shape)))
    kinds = ["runtime slice", "runtime slice", "runtime integer", "static", "integer"]
    positions: list[int] = []
    items: list[Any] = [Item(draw(st.sampled_from(kinds)), size, draw, positions) for size in shape[:axes]]
    if not positions:
        items[0] = Item("runtime slice", shape[0], draw, positions)
    if draw(st.booleans()):
        items.append(...)
    if draw(st.booleans()):
        items.insert(draw(st.integers(0, len(items))), None)

    def index(at: Sequence[Any]) -> Any:
        return tuple(item.of(at) if isinstance(item, Item) else item for item in items)

    rng = np.random.default_rng(draw(st.integers(0, 999)))
    dtype = draw(st.sampled_from(["f32", "f64", "f16", "bf16", "i64", "u8", "bool"]))
    x = numbers(rng, shape, dtype)
    region = x[index(positions)].shape
    own = tuple(draw(st.sampled_from([d, 1])) for d in region[draw(st.integers(0, len(region))) :])
    return x, positions, index, numbers(rng, own, dtype)


def read(x: Any, index: Any) -> Any:
    return x[index]


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=60, deadline=None)
@given(case=cases(), as_numbers=st.booleans())
def test_reads_and_writes_are_those_of_numpy(case: Any, as_numbers: bool, backend: str) -> None:
    x, positions, index, value = case
    wanted = x.copy()
    wanted[index(positions)] = value

    def step(x: Any, v: Any, *at: Any) -> Any:
        old = x[index(at)].clone()
        x[index(at)] = v
        return old, x[index(at)].clone()

    for run in (step, compiled(step, backend)):
        for _ in range(2 if as_numbers else 1):  # a number is an input from its second value on
            given_at: list[Any] = positions if as_numbers else [tt.tensor(p) for p in positions]
            tensor = tt.Tensor(x)
            old, new = run(tensor, tt.Tensor(value), *given_at)
            assert same_bits(old.numpy(), x[index(positions)])
            assert same_bits(new.numpy(), wanted[index(positions)])
            assert same_bits(tensor.numpy(), wanted)


@settings(max_examples=60, deadline=None)
@given(case=cases())
def test_reads_and_writes_are_those_of_torch(case: Any) -> None:
    torch = pytest.importorskip("torch")
    x, positions, index, value = case
    if x.dtype.name == "bfloat16" or any(isinstance(i, slice) and (i.step or 1) < 0 for i in index(positions)):
        return
    there, at = torch.tensor(x), [torch.tensor(p) for p in positions]
    old = there[index(at)].clone()
    there[index(at)] = torch.tensor(value)

    @tt.compile
    def step(x: Any, v: Any, *at: Any) -> Any:
        old = x[index(at)].clone()
        x[index(at)] = v
        return old

    tensor = tt.Tensor(x)
    assert same_bits(step(tensor, tt.Tensor(value), *map(tt.tensor, positions)).numpy(), old.numpy())
    assert same_bits(tensor.numpy(), there.numpy())


# Out of range.
WRITES: dict[str, Callable[[Any, Any], Any]] = {
    "integer": lambda x, t: x[t],
    "slice": lambda x, t: x[t : t + 3],
    "slice of steps": lambda x, t: x[:, 1:][t : t + 5 : 2],
    "narrow": lambda x, t: x.narrow(0, t, 3),
    "second axis": lambda x, t: x[0, t - 3 : t],
}


def outcome(function: Callable[..., Any], x: Array, t: Any) -> Any:
    try:
        return function(tt.Tensor(x), t).numpy()
    except IndexError as error:
        assert __file__.rsplit("/", 1)[-1] in str(error) or "range for axis" in str(error)
        return "IndexError"


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("what", WRITES)
def test_a_position_out_of_range_is_an_error_or_what_eager_code_gives(what: str, backend: str) -> None:
    x = np.arange(48.0).reshape(8, 6)
    take = WRITES[what]

    def function(x: Any, t: Any) -> Any:
        return take(x, t) * 2.0

    with_tensor, with_number = compiled(function, backend), compiled(function, backend)
    errors = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for t in range(-10, 11):
            eager = outcome(function, x, t)
            number, found = outcome(with_number, x, t), outcome(with_tensor, x, tt.tensor(t))
            assert number is eager or np.array_equal(number, eager), t
            errors += found is not eager and isinstance(found, str)
            assert isinstance(found, str) or np.array_equal(found, eager), t
    cut_short = {"integer": 0, "narrow": 0, "slice": 10, "slice of steps": 14, "second axis": 14}
    assert errors == cut_short[what]  # by Python: such a slice has another shape, so that a tensor must not ask for it


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_error_comes_before_any_change_and_names_the_line(backend: str) -> None:
    cache, count, table = tt.zeros(4, 8), tt.tensor(0), tt.zeros(8)

    @(lambda f: compiled(f, backend))
    def step(t: Any, v: Any) -> Any:
        table[t] = 1.0
        count.add_(1)
        cache[:, t : t + 2] = v  # the line
        return cache.sum()

    step(tt.tensor(5), tt.ones(4, 2))
    for wrong in (7, 8, -1, -2, -9, 2**62):
        with pytest.raises(IndexError, match=r"test_runtime_slices\.py:\d+: (cache\[:, t : t|table\[t\])"):
            step(tt.tensor(wrong), tt.ones(4, 2))
    assert count.item() == 1 and cache.numpy().sum() == 8 and table.numpy().tolist() == [0] * 5 + [1] + [0] * 2
    step(tt.tensor(-3), tt.ones(4, 2))
    assert count.item() == 2 and table.numpy().tolist() == [0] * 5 + [1] + [0] * 2
    np.testing.assert_array_equal(cache.numpy()[0], [0, 0, 0, 0, 0, 1, 1, 0])


# What must be known.
@pytest.mark.parametrize(
    ("take", "message"),
    [
        (lambda x, t: x[:t], r"x\[t:t \+ n\]"),
        (lambda x, t: x[t:], r"x\[t:t \+ n\]"),
        (lambda x, t: x[t : t * 2], r"x\[t:t \+ n\]"),
        (lambda x, t: x[t : t - 1], r"x\[t:t \+ n\]"),
        (lambda x, t: x[t + 3 : t : -1], r"x\[t:t \+ n\]"),
        (lambda x, t: x[t : t + 9], r"9 elements of an axis of size 8"),
    ],
)
def test_slices_of_unknown_length_are_refused_or_static(take: Any, message: str) -> None:
    x = tt.Tensor(np.arange(8.0))
    with pytest.raises(tt.TraceError, match=message):
        tt.compile(lambda x, t: take(x, t).sum())(x, tt.tensor(2))
    step = tt.compile(lambda x, t: take(x, t).sum())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for t in range(5):
            assert step(x, t).item() == take(x.numpy(), t).sum()


def test_lengths_that_are_known() -> None:
    builder = Builder("g")
    t, n, small = (Expr(builder, builder.input(TensorType(d, ()))) for d in (i64, i32, u8))

    def apart(a: Any, b: Any) -> int | None:
        return difference(builder, a.value, b.value)

    assert apart(t + 3, t) == 3 and apart(t - 1, t + 2) == -3 and apart(1 + t, 0 - (-t)) == 1
    assert (
        apart((t + 1) * 4, t * 4) == 4 and apart(t * 2, t + t) == 0 and apart(t + n.cast(i64) + 5, t + n.cast(i64)) == 5
    )
    assert apart(t * 2, t) is None and apart(t * t, t * t) is None and apart(t + 1, n.cast(i64)) is None
    assert apart(n + 2, n) == 2 and apart((n + 2).cast(i64), n.cast(i64)) == 2
    assert apart(small + 2, small) is None  # it may wrap around
    long = t
    for _ in range(1000):
        long = long + long
    assert apart(long, long) == 0 and apart(long + 1, t) is None


@pytest.mark.parametrize("backend", BACKENDS)
def test_batches_by_a_number_take_one_graph_and_one_for_the_rest(backend: str) -> None:
    data = tt.Tensor(np.arange(44.0).reshape(22, 2))

    def batch(i: int) -> Any:
        return data[i * 4 : (i + 1) * 4].sum(0)

    step = compiled(batch, backend)
    graphs: set[int] = set()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            for i in range(6):
                np.testing.assert_array_equal(step(i).numpy(), batch(i).numpy())
                graphs.add(id(step.traced_graph))
    assert len(graphs) == 3  # with the first number, with any, and with the last one, whose batch is smaller


# Views.
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_runtime_slice_is_a_view(backend: str) -> None:
    def through_views(x: Any, t: Any) -> Any:
        part = x[1:, t : t + 3]
        part.mul_(2)
        row = part[0]
        row[1:] = -1.0
        x.narrow(0, t, 1).add_(0.5)
        x[t : t + 2][1, t : t + 2].copy_(tt.tensor([7.0, 8.0]))
        return part.sum(), row.clone(), x.t()[t : t + 1].reshape(-1).sum()

    base = np.arange(30.0).reshape(5, 6)
    for t in (0, 2, 3):
        eager, there = tt.Tensor(base), tt.Tensor(base)
        wanted = through_views(eager, t)
        step = compiled(through_views, backend)
        for got, want in zip(step(there, tt.tensor(t)), wanted, strict=True):
            np.testing.assert_array_equal(got.numpy(), want.numpy())
        np.testing.assert_array_equal(there.numpy(), eager.numpy())


def test_results_at_a_runtime_position_share_no_memory() -> None:
    x = tt.Tensor(np.arange(6.0))
    with pytest.raises(tt.TraceError, match=r"return its clone\(\)"):
        tt.compile(lambda x, t: x[t : t + 2])(x, tt.tensor(1))
    assert tt.compile(lambda x, t: (x * 2)[t : t + 2])(x, tt.tensor(1)).tolist() == [2, 4]
    step = tt.compile(lambda x, t: x[t : t + 2])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for t in range(4):  # as a number it is static, and the result a view
            view = step(x, t)
            view.add_(1)
            assert view.tolist() == x[t : t + 2].tolist()


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_position_is_that_of_the_time(backend: str) -> None:
    """A view stays where it was taken when the position moves on."""
    x, t = tt.zeros(6), tt.tensor(1)

    @(lambda f: compiled(f, backend))
    def step() -> Any:
        view = x[t : t + 2]
        t.add_(2)
        view.fill_(5)
        x[t] = 9
        return x.sum()

    assert step().item() == 19 and x.tolist() == [0, 5, 5, 9, 0, 0] and t.item() == 3


# Gradients.
@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients(backend: str) -> None:
    rng = np.random.default_rng(0)
    x, v, w = rng.normal(size=(5, 6)), rng.normal(size=(2, 3)), rng.normal(size=(5, 6))

    def loss(x: Any, v: Any, t: Any) -> Any:
        y = x * 1.0
        y[t : t + 2, 2 * t : 2 * t + 3] = v * v
        return (y * tt.Tensor(w)).sum() + (y[t, 1:] ** 3).sum() + (x.narrow(1, t, 2) * v[0, 0]).sum()

    found: list[list[Array]] = []
    for run, t in ((loss, 1), (compiled(loss, backend), tt.tensor(1)), (compiled(loss, backend), 1)):
        a, b = tt.Tensor(x, requires_grad=True), tt.Tensor(v, requires_grad=True)
        run(a, b, t).backward()
        assert a.grad is not None and b.grad is not None
        found.append([a.grad.numpy(), b.grad.numpy()])
    for grads in found[1:]:
        for got, want in zip(grads, found[0], strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-12)


def test_index_copy() -> None:
    x = tt.Tensor(np.zeros((2, 5, 3)))

    def write(x: Any, at: Any, v: Any) -> Any:
        return x.index_copy_(1, at, v).sum()

    v = np.arange(12.0).reshape(2, 2, 3)
    wanted = np.zeros((2, 5, 3))
    wanted[:, [3, 0]] = v
    for run in (write, tt.compile(write)):
        x.zero_()
        assert run(x, tt.tensor([3, 0]), tt.Tensor(v)).item() == v.sum()
        np.testing.assert_array_equal(x.numpy(), wanted)
    with pytest.raises(tt.ShapeError, match=r"index_copy_: .*the source is f64\[2, 2, 3\], got f64\[2,3,3\]"):
        x.index_copy_(1, tt.tensor([3, 0]), tt.zeros(2, 3, 3, dtype="f64"))


def test_narrow() -> None:
    x = tt.Tensor(np.arange(12.0).reshape(2, 6))
    assert x.narrow(1, 2, 3).tolist() == x.narrow(-1, -4, 3).tolist() == [[2, 3, 4], [8, 9, 10]]
    assert x.narrow(1, 6, 0).shape == x.narrow(1, -6, 0).shape == (2, 0)
    assert x.narrow(0, tt.tensor(1), 1).tolist() == [[6, 7, 8, 9, 10, 11]]
    x.narrow(1, 0, 1).zero_()
    assert x[:, 0].tolist() == [0, 0]
    for start, length in [(4, 3), (-2, 3), (7, 0), (-7, 1), (0, -1)]:
        with pytest.raises(IndexError, match="narrow"):
            x.narrow(1, start, length)
