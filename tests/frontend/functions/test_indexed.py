"""Elements read, replaced and joined at places."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tests.against_torch import Case, check, check_compiled
from tinytorch.ir.errors import TinyTorchError, TraceError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 5)).astype(np.float32)
X[1, 2] = 0
Y = RNG.normal(size=(4, 5)).astype(np.float32)
Y[0, 1] = Y[2, 3] = 0
ROWS = np.array([[0, 3, 1, 1, 2], [0, 0, 2, 1, 3]])
VECTOR = np.array([3, 0, 3])
MASK = RNG.random((4, 5)) < 0.4
ARRAYS = (X, Y, ROWS, VECTOR, MASK)

# m is the module, x and y floats, rows and v indices, mask bools
CASES: dict[str, Case] = {
    "gather": lambda m, x, y, rows, v, mask: [x.gather(0, rows), m.gather(x, 1, rows[:, :3]), x[0].gather(0, v)],
    "scatter": lambda m, x, y, rows, v, mask: [
        x.scatter(0, rows[:1], y[:1]), m.scatter(x, 1, rows[:, :1], 2.5),
        x.detach().scatter(0, rows, 2, reduce="multiply"),
        x.detach().scatter(0, rows, y[:2].detach(), reduce="add"),
    ],
    "scatter_add": lambda m, x, y, rows, v, mask: [x.scatter_add(0, rows, y[:2]), x[0].scatter_add(0, v, y[0, :3])],
    "sum": lambda m, x, y, rows, v, mask: x.scatter_reduce(0, rows, y[:2], "sum", include_self=False),
    "prod": lambda m, x, y, rows, v, mask: [
        x.scatter_reduce(0, rows, y[:2], "prod"), x.scatter_reduce(1, rows % 2, y[:2], "prod", include_self=False),
    ],
    "mean": lambda m, x, y, rows, v, mask: [
        x.scatter_reduce(0, rows, y[:2], "mean"), x.scatter_reduce(0, rows, y[:2], "mean", include_self=False),
    ],
    "amax": lambda m, x, y, rows, v, mask: [
        x.scatter_reduce(0, rows, y[:2].round(), "amax"), x.scatter_reduce(0, rows, y[:2], "amax", include_self=False),
    ],
    "amin": lambda m, x, y, rows, v, mask: [
        x.scatter_reduce(0, rows, y[:2], "amin"), x.scatter_reduce(0, rows, y[:2].round(), "amin", include_self=False),
    ],
    "index_add": lambda m, x, y, rows, v, mask: [
        x.index_add(0, v, y[:3], alpha=2), m.index_add(x, 1, v, y[:, :3]), rows.index_add(1, v, rows[:, :3]),
    ],
    "index_copy": lambda m, x, y, rows, v, mask: x.index_copy(0, v[:2], y[:2]),
    "index_fill": lambda m, x, y, rows, v, mask: [x.index_fill(1, v, 7), x.index_fill(0, v, y[1, 1])],
    "index_reduce": lambda m, x, y, rows, v, mask: [
        x.index_reduce(0, v, y[:3], "prod"), x.index_reduce(1, v, y[:, :3], "amax", include_self=False),
    ],
    "index_put": lambda m, x, y, rows, v, mask: [
        x.index_put((v[:2],), y[:2]), x.index_put((v, v), y[0, :3], accumulate=True),
        m.index_put(x, (mask,), m.tensor(1.0)),
    ],
    "put": lambda m, x, y, rows, v, mask: [x.put(v[:2] - 4, y[0, :2]), x.put(v, y[0, :3], accumulate=True)],
    "take": lambda m, x, y, rows, v, mask: [x.take(rows - 4), m.take(x, v)],
    "take_along_dim": lambda m, x, y, rows, v, mask: [m.take_along_dim(x, rows[:1, :2], 1), x.take_along_dim(rows)],
    "masked_fill": lambda m, x, y, rows, v, mask: [
        x.masked_fill(mask, -1e9), m.masked_fill(x, mask[0], y[0, 0]), rows.masked_fill(mask[:2], 9),
    ],
    "masked_scatter": lambda m, x, y, rows, v, mask: x.masked_scatter(mask, y),
    "where": lambda m, x, y, rows, v, mask: [m.where(mask, x, 0.0), x.where(mask, y)],
    "in place": lambda m, x, y, rows, v, mask: [
        x.clone().scatter_(0, rows[:1], y[:1]), x.clone().scatter_add_(1, rows, y[:2]),
        x.clone().index_add_(0, v, y[:3]),
        x.clone().masked_fill_(mask, 0.0), x.clone().index_fill_(0, v, 1.0), x.clone().put_(v[:2], y[0, :2]),
        x.clone().index_put_((v[:2],), y[0]), x.clone().scatter_reduce_(0, rows, y[:2], "amax"),
    ],
}  # fmt: skip
EAGER: dict[str, Case] = {
    "masked_select": lambda m, x, y, rows, v, mask: [x.masked_select(mask), m.masked_select(x, mask[0])],
    "nonzero": lambda m, x, y, rows, v, mask: [mask.nonzero(), m.nonzero(rows, as_tuple=True), m.where(mask)],
    "argwhere": lambda m, x, y, rows, v, mask: [m.argwhere(mask), m.argwhere(m.tensor(3.0))],
}


@pytest.mark.parametrize("name", [*CASES, *EAGER])
def test_values_and_gradients_are_those_of_torch(name: str) -> None:
    check((CASES | EAGER)[name], ARRAYS)


def test_compiled_as_eagerly() -> None:
    check_compiled(CASES, ARRAYS)


def test_values() -> None:
    x, i = tt.tensor([[1.0, 2.0], [3.0, 4.0]]), tt.tensor([[1, 1]])
    assert x.gather(0, i).tolist() == [[3, 4]]
    assert x.scatter_add(0, i, tt.tensor([[10.0, 20.0]])).tolist() == [[1, 2], [13, 24]]
    assert x.scatter_reduce(0, i, x, "prod").tolist() == [[1, 2], [3, 8]]
    assert x.masked_fill(x > 2, 0).tolist() == [[1, 2], [0, 0]]
    assert tt.nonzero(x > 1).tolist() == [[0, 1], [1, 0], [1, 1]]
    assert x.masked_select(x > 2).tolist() == [3, 4]


@pytest.mark.parametrize("name", EAGER)
def test_what_depends_on_values_is_refused_in_a_trace(name: str) -> None:
    with pytest.raises(TraceError, match=r"depends on values.*\n.*test_indexed.py"):
        tt.compile(lambda *xs: EAGER[name](tt, *xs))(*map(tt.tensor, ARRAYS))


OUT_OF_RANGE: dict[str, Callable[[tt.Tensor, tt.Tensor], Any]] = {
    "gather": lambda x, i: x.gather(0, i.reshape(1, 1)),
    "scatter": lambda x, i: x.scatter(0, i.reshape(1, 1), 1.0),
    "scatter_add": lambda x, i: x.scatter_add(0, i.reshape(1, 1), x),
    "scatter_reduce": lambda x, i: x.scatter_reduce(0, i.reshape(1, 1), x, "amax"),
    "index_add": lambda x, i: x.index_add(0, i, x[:1]),
    "index_copy": lambda x, i: x.index_copy(0, i, x[:1]),
    "index_fill": lambda x, i: x.index_fill(0, i, 0.0),
    "index_reduce": lambda x, i: x.index_reduce(0, i, x[:1], "prod"),
    "take": lambda x, i: x.take(i),
    "put": lambda x, i: x.put(i, x[0, :1]),
    "take_along_dim": lambda x, i: x.take_along_dim(i.reshape(1, 1), 0),
    "masked_scatter": lambda x, i: x.masked_scatter(i < 100, x[0]),
}


@pytest.mark.parametrize("name", OUT_OF_RANGE)
def test_an_index_out_of_range_names_function_and_line(name: str) -> None:
    x, index = tt.tensor(X), tt.tensor([20])
    for function in (OUT_OF_RANGE[name], tt.compile(OUT_OF_RANGE[name])):
        with pytest.raises(IndexError, match=rf"{name}: index \d+ is out of range for size \d+\n.*test_indexed.py"):
            function(x, index)


WRONG: list[tuple[str, Callable[[tt.Tensor], Any]]] = [
    ("index is a tensor of integers", lambda x: x.gather(0, x)),
    ("an index of .* has the rank of", lambda x: x.gather(0, tt.tensor([0]))),
    ("no sparse gradients", lambda x: x.gather(0, tt.tensor([[0]]), sparse_grad=True)),
    ("src has the dtype", lambda x: x.scatter(0, tt.tensor([[0]]), tt.tensor([[0]]))),
    ("either src or value", lambda x: x.scatter(0, tt.tensor([[0]]))),
    ('reduce is "sum"', lambda x: x.scatter_reduce(0, tt.tensor([[0]]), x, "max")),
    ("the mask is a tensor of bool", lambda x: x.masked_fill(x, 0)),
    ("does not hold a value of f32", lambda x: tt.tensor([1]).masked_fill(tt.tensor([True]), 0.5)),
    ("the source is f32", lambda x: x.index_add(0, tt.tensor([0]), x)),
    ("index is a vector", lambda x: x.index_fill(0, tt.tensor([[0]]), 1.0)),
    ("a tuple of tensors", lambda x: x.index_put(tt.tensor([0]), x)),
    ("out of range for rank 2", lambda x: x.gather(2, tt.tensor([[0]]))),
    ("shape .* not", lambda x: x[0].masked_fill_(x > 0, 0)),
]


@pytest.mark.parametrize(("message", "call"), WRONG)
def test_what_does_not_fit_is_an_error(message: str, call: Callable[[tt.Tensor], Any]) -> None:
    with pytest.raises(TinyTorchError, match=message):
        call(tt.tensor(X))
