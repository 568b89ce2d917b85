"""Elements in other shapes: views that share memory, and copies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tests.against_torch import Case, check, check_compiled, leaves
from tinytorch.ir.errors import TinyTorchError, TraceError

RNG = np.random.default_rng(0)
ARRAYS = (RNG.normal(size=(4, 6)).astype(np.float32), RNG.normal(size=(2, 3, 4)).astype(np.float32), np.arange(3))

# m is the module, x and y floats of two and three axes, v a vector of integers
VIEWS: dict[str, Case] = {
    "select": lambda m, x, y, v: [x.select(0, -1), m.select(y, 1, 2), v.select(0, 1)],
    "unbind": lambda m, x, y, v: [x.unbind(), m.unbind(y, dim=-1)],
    "unfold": lambda m, x, y, v: [x.unfold(1, 3, 2), y.unfold(0, 1, 1), x.t().unfold(0, 2, 4)],
    "diagonal": lambda m, x, y, v: [
        x.diagonal(), m.diagonal(y, -1, 2, 0), x[::2, 1:].diagonal(1), m.linalg.diagonal(y), x.t().diagonal(-2),
    ],
    "movedim": lambda m, x, y, v: [y.movedim(0, -1), m.moveaxis(y, (0, 1), (2, 0)), m.movedim(y, (2, 0), (0, 1))],
    "swapaxes": lambda m, x, y, v: [m.swapaxes(y, 0, 1), y.swapdims(-1, 0)],
    "unflatten": lambda m, x, y, v: [x.unflatten(1, (2, -1)), m.unflatten(x, 0, (2, 2))],
    "ravel": lambda m, x, y, v: [y.ravel(), m.flatten(y, 1)],
    "matrices": lambda m, x, y, v: [y.mT, x.H, y.mH, y.adjoint(), x.T],
    "as": lambda m, x, y, v: [x[:1].expand_as(x), x.view_as(y), x.reshape_as(y), x.squeeze((0, 1))],
    "at least": lambda m, x, y, v: [m.atleast_1d(v[0]), m.atleast_2d(v), m.atleast_3d(v, x), m.atleast_3d(y)],
    "broadcast": lambda m, x, y, v: [m.broadcast_tensors(x[:, :1], x[0]), m.broadcast_to(v, (2, 3))],
    "meshgrid": lambda m, x, y, v: [m.meshgrid(v, v + 1, indexing="ij"), m.meshgrid(x[0], x[:, 1], indexing="xy")],
    "split": lambda m, x, y, v: [x.split(4, 1), m.split(x, (1, 3)), x.split_with_sizes([2, 2]), m.chunk(x, 4, 1)],
    "tensor_split": lambda m, x, y, v: [m.tensor_split(x, 4, 1), x.tensor_split((1, 3)), x.tensor_split([-2, 9, 2], 1)],
    "hsplit": lambda m, x, y, v: [x.hsplit(3), m.vsplit(x, [1]), y.dsplit(2), v.hsplit([1])],
    "as_strided": lambda m, x, y, v: [x.as_strided((2, 3), (6, 2), 1), m.as_strided(x, (3, 3), (1, 1))],
}  # fmt: skip
COPIES: dict[str, Case] = {
    "roll": lambda m, x, y, v: [x.roll(2), m.roll(y, (1, -1), (0, 2)), x.roll(7, 1), x.roll((1, 1), (0, 0))],
    "repeat": lambda m, x, y, v: [x.repeat(2, 1), x.repeat((1, 2, 1)), v.repeat(1), v.repeat(0), x[:1].repeat(3, 1)],
    "tile": lambda m, x, y, v: [m.tile(x, (2,)), v.tile(2, 2), m.tile(x, dims=(2, 1))],
    "repeat_interleave": lambda m, x, y, v: [
        x.repeat_interleave(2), m.repeat_interleave(x, 3, dim=1),
        y.repeat_interleave(v, dim=1, output_size=3), m.repeat_interleave(v, output_size=3),
    ],
    "diag": lambda m, x, y, v: [m.diag(x), x.diag(-1), v.diag(1), m.diagflat(x[:2, :2], -1)],
    "diag_embed": lambda m, x, y, v: [m.diag_embed(y), x.diag_embed(1, 0, 2), m.diag_embed(x, -1, 2, 0)],
    "flips": lambda m, x, y, v: [x.fliplr(), m.flipud(x), m.rot90(x), y.rot90(2, (0, 2)), y.rot90(-1, (2, 1))],
    "replaced": lambda m, x, y, v: [
        x.select_scatter(x[0, :4], 1, 2), m.slice_scatter(x, x[:, :2], 1, 1, 5, 2), m.diagonal_scatter(x, y[0, 1], 1),
        x.slice_scatter(x[:1], start=-1), y.diagonal_scatter(y[0, :2].t(), 0, 1, 0).select_scatter(x[:3, :4], 0, 1),
    ],
    "copies": lambda m, x, y, v: [
        m.permute_copy(y, (2, 0, 1)), m.unbind_copy(x, 1), m.narrow_copy(x, 0, 1, 2), m.expand_copy(v, (2, 3)),
    ],
    "stacks": lambda m, x, y, v: [
        m.hstack((x, x)), m.vstack((x[0], x)), m.row_stack([v, v]), m.dstack((x, x)), m.column_stack((v, v)),
        m.hstack([v, v]), m.triu_indices(4, 3, offset=-1), m.cat([v[:0], v]), m.cat([m.zeros(0), x], 1),
    ],
    "block_diag": lambda m, x, y, v: m.block_diag(x, v, y[0, 0, 0], x[:1]),
    "sets": lambda m, x, y, v: [
        m.cartesian_prod(v, v + 5), m.combinations(x[0], 3), m.combinations(v, with_replacement=True),
        m.combinations(x[0, :2], 3),
    ],
    "triangles": lambda m, x, y, v: [y.tril(-1), m.triu(y, 1), m.tril_indices(3, 4, 1)],
}  # fmt: skip


@pytest.mark.parametrize("name", [*VIEWS, *COPIES])
def test_values_and_gradients_are_those_of_torch(name: str) -> None:
    check((VIEWS | COPIES)[name], ARRAYS)


def test_compiled_as_eagerly() -> None:
    check_compiled(VIEWS | COPIES, ARRAYS)


@pytest.mark.parametrize("name", VIEWS)
def test_views_share_memory_and_are_changed_in_place(name: str) -> None:
    """Each view is multiplied in place: the tensor that it is a view of changes as torch's does, compiled too."""
    torch = pytest.importorskip("torch")

    def change(m: Any, *tensors: Any) -> list[Any]:
        kept = [t * 1 for t in tensors]
        for view in leaves(VIEWS[name](m, *kept)):
            if view.numel() and 0 not in view.stride():
                view.copy_(view.detach() * 2)
        return kept

    def usable(m: Any, *tensors: Any) -> list[Any]:
        return change(m, *tensors)

    expected = [t.detach().numpy() for t in change(torch, *map(torch.tensor, ARRAYS))]
    for function in (change, tt.compile(lambda *xs: usable(tt, *xs))):
        args = tuple(map(tt.tensor, ARRAYS))
        found = function(tt, *args) if function is change else function(*args)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a.numpy(), b, err_msg=name)


def test_views_are_views_without_torch() -> None:
    x = tt.zeros(3, 4)
    x.diagonal().fill_(1)
    x.unfold(1, 2, 2)[:, 1, 0].fill_(5)
    for row in x.unbind():
        row[3] = 7
    assert x.tolist() == [[1, 0, 5, 7], [0, 1, 5, 7], [0, 0, 5, 7]]


NOTHING_CHANGES: dict[str, Callable[[tt.Tensor], tt.Tensor]] = {
    "reshape": lambda x: x.reshape(-1), "view": lambda x: x.view(3), "flatten": lambda x: x.flatten(),
    "view of the same dtype": lambda x: x.view(tt.float32),
    "squeeze": lambda x: x.squeeze(), "expand": lambda x: x.expand(3), "t": lambda x: x.t(), "[:]": lambda x: x[:],
    "[...]": lambda x: x[...], "narrow": lambda x: x.narrow(0, 0, 3), "permute": lambda x: x.permute(0),
    "ravel": lambda x: x.ravel(), "chunk": lambda x: x.chunk(1)[0], "movedim": lambda x: x.movedim(0, 0),
}  # fmt: skip


@pytest.mark.parametrize("name", NOTHING_CHANGES)
def test_a_view_that_changes_nothing_is_another_tensor_in_the_same_memory(name: str) -> None:
    def change(x: tt.Tensor) -> tuple[tt.Tensor, tt.Tensor]:
        view = NOTHING_CHANGES[name](x)
        assert view is not x
        view.mul_(2)
        return x, view

    for function in (change, tt.compile(change)):
        x = tt.tensor([1.0, 2.0, 3.0])
        a, b = function(x)
        assert a is x and b is not x and a.tolist() == b.tolist() == [2, 4, 6]


@pytest.mark.parametrize(
    ("function", "shape"),
    [(tt.diag, (0,)), (lambda x: tt.diag(x, 2), (0,)), (tt.diag_embed, (2, 0)), (tt.diagflat, (0, 2))],
)
def test_matrices_of_empty_diagonals_have_gradients(function: Callable[[tt.Tensor], Any], shape: tuple[int]) -> None:
    def gradient(x: tt.Tensor) -> Any:
        x = x.detach().requires_grad_()
        function(x).sum().backward()
        return x.grad

    x = tt.zeros(shape)
    assert gradient(x).shape == tt.compile(gradient)(x).shape == shape


def test_facts_of_memory() -> None:
    x = tt.zeros(4, 6)
    assert x.size() == (4, 6) and x.size(-1) == 6 and x.stride() == (6, 1) and x.t().stride(0) == 1
    assert x[1:, ::2].stride() == (6, 2) and x[1:, 2:].storage_offset() == 8 and tt.zeros(0, 3).stride() == (3, 1)
    assert (x.element_size(), x.itemsize, x.nbytes, x.nelement(), x.ndimension()) == (4, 4, 96, 24, 2)
    found = tt.compile(lambda x: (x * 1)[1:3].as_strided((2,), (1,), 8) + 1)(x)
    assert found.tolist() == [1, 1]


WRONG: list[tuple[str, Callable[[tt.Tensor], Any]]] = [
    ("out of range for rank 2", lambda x: x.unbind(2)),
    ("windows of 7", lambda x: x.unfold(0, 7, 1)),
    ("names an axis twice", lambda x: x.diagonal(0, 1, 1)),
    ("names an axis twice", lambda x: x.movedim((0, 0), (0, 1))),
    ("not equally many", lambda x: x.movedim((0, 1), (0,))),
    ("do not multiply to axis 1", lambda x: x.unflatten(1, (4, 2))),
    ("needs a shift for each", lambda x: x.roll((1, 2), (0,))),
    ("numbers that are not negative", lambda x: x.repeat(2)),
    ("number that is not negative", lambda x: x.repeat_interleave(-1)),
    ("repeats is an integer for each of 6", lambda x: x.repeat_interleave(tt.tensor([1, 2]), dim=1)),
    ("does not divide into 4 equal parts", lambda x: x.hsplit(4)),
    ("needs vectors", lambda x: tt.meshgrid(x, x)),
    ('indexing is "ij" or "xy"', lambda x: tt.meshgrid(x[0], indexing="yx")),
    ("src has the shape of the slice", lambda x: x.select_scatter(x, 0, 0)),
    ("elements 0 to 29 do not lie in", lambda x: x.as_strided((5, 6), (6, 1))),
    ("row-major order", lambda x: x.t().as_strided((1,), (1,))),
    ("bits are not read", lambda x: x.view(tt.int32)),
    ("start_dim 1 lies behind end_dim 0", lambda x: x.flatten(1, 0)),
    ("do not broadcast", lambda x: tt.broadcast_shapes((2, 3), (4,))),
    ("needs a list of at least one tensor", lambda x: tt.hstack(x)),
    ("needs a vector", lambda x: tt.combinations(x)),
]


@pytest.mark.parametrize(("message", "call"), WRONG)
def test_what_does_not_fit_is_an_error_with_the_line(message: str, call: Callable[[tt.Tensor], Any]) -> None:
    with pytest.raises(TinyTorchError, match=f"(?s){message}.*test_shapes.py"):
        call(tt.tensor(ARRAYS[0]))


def test_an_index_out_of_range_names_function_and_line() -> None:
    with pytest.raises(IndexError, match=r"select: index 4 is out of range for axis 0 of f32\[4,6\]\n.*test_shapes.py"):
        tt.tensor(ARRAYS[0]).select(0, 4)


def test_repeats_of_values_are_refused_in_a_trace() -> None:
    with pytest.raises(TraceError, match="output_size"):
        tt.compile(lambda x, v: x.repeat_interleave(v))(tt.zeros(3), tt.tensor([1, 2, 3]))
