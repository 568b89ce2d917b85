"""Tensors filled anew: with a number, or at random in place."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.ir.errors import ShapeError, TinyTorchError

# (change in place, its distribution function at x)
DRAWS: dict[str, tuple[Callable[[tt.Tensor], Any], float, float]] = {
    "uniform": (lambda x: x.uniform_(-1, 3), 0.5, 0.375),
    "normal": (lambda x: x.normal_(2, 3), 5.0, 0.84134),
    "log_normal": (lambda x: x.log_normal_(0, 1), 1.0, 0.5),
    "exponential": (lambda x: x.exponential_(2), 0.5, 1 - math.exp(-1)),
    "cauchy": (lambda x: x.cauchy_(1, 2), 3.0, 0.75),
    "geometric": (lambda x: x.geometric_(0.25), 2.5, 1 - 0.75**2),
    "bernoulli": (lambda x: x.bernoulli_(0.3), 0.5, 0.7),
    "random": (lambda x: x.random_(2, 10), 3.5, 0.25),
    "random, one end": (lambda x: x.random_(4), 0.5, 0.25),
    "random, whole": (lambda x: x.random_(), 2.0**22, 0.25),
}
COUNT = 20_000


@pytest.mark.parametrize("name", DRAWS)
def test_draws_are_so_distributed_and_compiled_ones_are_the_same(name: str) -> None:
    draw, at, share = DRAWS[name]

    def program(x: tt.Tensor) -> tt.Tensor:
        assert draw(x) is x
        return x

    tt.manual_seed(1)
    found = program(tt.zeros(COUNT)).numpy()
    assert abs((found <= at).mean() - share) < 4 * math.sqrt(share * (1 - share) / COUNT)
    assert np.isfinite(found).all()
    tt.manual_seed(1)
    np.testing.assert_allclose(tt.compile(program)(tt.zeros(COUNT)).numpy(), found, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [tt.float64, tt.float16, tt.bfloat16, tt.int64, tt.int32, tt.int8, tt.uint8, tt.bool])
def test_random_reaches_what_the_dtype_holds(dtype: Any) -> None:
    x = tt.zeros(2000, dtype=dtype).random_().to(tt.float64)
    most = {"f64": 2**53, "f16": 2**11, "bf16": 2**8, "i64": 2**63, "i32": 2**31, "i8": 2**7, "u8": 2**8, "bool": 2}
    top = most[dtype.name]
    assert (x >= 0).all() and (x < top).all() and abs(x.mean().item() / (top - 1) - 0.5) < 0.05


def test_normal_of_tensors_and_numbers() -> None:
    tt.manual_seed(0)
    mean, std = tt.tensor([0.0, 100.0]), tt.tensor([[1.0], [0.0]])
    found = tt.normal(mean, std)
    assert found.shape == (2, 2) and found[1].tolist() == [0, 100] and abs(found[0, 1].item() - 100) < 6
    assert tt.normal(0.0, tt.ones(3)).shape == tt.normal(tt.zeros(3)).shape == (3,)
    assert tt.normal(1.0, 0.0, size=(2, 3)).tolist() == [[1.0] * 3] * 2
    with pytest.raises(TinyTorchError, match="a size"):
        tt.normal(0.0, 1.0)


def test_in_place_draws_keep_the_rules_of_changes_in_place() -> None:
    leaf = tt.zeros(3, requires_grad=True)
    with pytest.raises(TinyTorchError, match="uniform_ on a leaf that requires grad"):
        leaf.uniform_()
    x = leaf * 2
    x[:2].uniform_(1, 2)
    x.sum().backward()
    assert leaf.grad is not None and leaf.grad.tolist() == [0, 0, 2]


def test_new_memory() -> None:
    x = tt.empty_strided((2, 3), (1, 2))
    assert x.stride() == (1, 2) and x.tolist() == [[0] * 3] * 2
    assert tt.zeros(1, dtype=tt.int8).new_empty_strided((2,), (3,)).dtype == tt.int8
    assert tt.empty_permuted((2, 3, 4), (0, 2, 1)).stride() == (12, 1, 3)
    y = tt.tensor([1.0, 2.0], requires_grad=True)
    tt.fill(y, y.sum()).sum().backward()
    assert (
        tt.fill(y, 3).tolist() == [3, 3] and y.tolist() == [1, 2] and y.grad is not None and y.grad.tolist() == [2, 2]
    )


def test_like() -> None:
    x = tt.zeros(2, 3, dtype=tt.float64)
    for made in (tt.rand_like(x), tt.randn_like(x), tt.randint_like(x, 3), tt.randint_like(x, 1, 3)):
        assert made.shape == (2, 3) and made.dtype == tt.float64
    assert tt.rand_like(x, dtype=tt.float32, requires_grad=True, device="cpu").requires_grad
    assert tt.randint(5, (2, 2), device="cpu").shape == tt.randint(low=1, high=5, size=(2, 2)).shape == (2, 2)
    assert sorted(tt.randperm(5, dtype=tt.int32, device="cpu").tolist()) == [0, 1, 2, 3, 4]
    assert tt.unravel_index(tt.tensor([5, 0]), (2, 3))[0].tolist() == [1, 0]


# What integers become of numbers that are put into them: from all digits, towards zero, the nearest that they hold.
LARGE = 2.0**24 + 1
KEPT: dict[str, Callable[[tt.Tensor], tt.Tensor]] = {
    "full": lambda x: tt.full((1,), LARGE, dtype=x.dtype),
    "full_like": lambda x: tt.full_like(x, LARGE),
    "new_full": lambda x: x.new_full((1,), LARGE),
    "fill_": lambda x: x.clone().fill_(LARGE),
    "copy_": lambda x: x.clone().copy_(LARGE),
    "scatter": lambda x: x.scatter(0, tt.tensor([0]), value=LARGE),
    "tensor": lambda x: tt.tensor([LARGE], dtype=x.dtype),
    "as_tensor": lambda x: tt.as_tensor(np.array([LARGE]), dtype=x.dtype),
}


@pytest.mark.parametrize("name", KEPT)
def test_integers_keep_all_digits_of_numbers_and_the_nearest_of_what_they_do_not_hold(name: str) -> None:
    for dtype, kept in ((tt.int64, 2**24 + 1), (tt.int32, 2**24 + 1), (tt.int8, 127), (tt.uint8, 255)):
        found = KEPT[name](tt.zeros(1, dtype=dtype))
        assert found.dtype == dtype and found.tolist() == [kept]


def test_items_keep_all_digits_of_numbers_compiled_too() -> None:
    def program(x: tt.Tensor, number: float) -> list[tt.Tensor]:
        y = x.clone()
        y[1:] = number
        return [y, tt.full((2,), LARGE, dtype=x.dtype), x.clone().fill_(number + 1)]

    compiled = tt.compile(program)
    for number in (LARGE, LARGE + 2, -2.75):  # from the second one on an input of the graph
        whole = int(number)
        for found in (program, compiled):
            assert [y.tolist() for y in found(tt.zeros(2, dtype=tt.int64), number)] == [
                [0, whole], [int(LARGE)] * 2, [int(number + 1)] * 2
            ]  # fmt: skip


@pytest.mark.filterwarnings("error")
def test_numbers_out_of_range_make_no_warning() -> None:
    assert tt.tensor([math.nan, -1.5, 300.7], dtype=tt.uint8).tolist() == [0, 0, 255]
    assert tt.full((2,), math.nan, dtype=tt.int32).tolist() == [0, 0]
    assert tt.tensor(1e6, dtype=tt.float16).item() == tt.full((), 1e6, dtype=tt.float16).item() == math.inf
    assert tt.logspace(3, 12, 2, dtype=tt.int32).tolist() == [1000, 2**31 - 1]
    assert tt.tensor([-1], dtype=tt.uint8).tolist() == [255]


WRONG: list[tuple[str, Callable[[], Any]]] = [
    ("needs a tensor of floats", lambda: tt.zeros(2, dtype=tt.int64).normal_()),
    ("needs from <= to", lambda: tt.zeros(2).uniform_(3, 1)),
    ("std is a number that is not negative", lambda: tt.zeros(2).normal_(0, -1)),
    ("lambd is a positive number", lambda: tt.zeros(2).exponential_(0)),
    ("p is a number between 0 and 1", lambda: tt.zeros(2).geometric_(1.5)),
    ("p is a probability", lambda: tt.zeros(2).bernoulli_(2.0)),
    ("needs low < high", lambda: tt.zeros(2).random_(3, 3)),
    ("is not an order of 2 axes", lambda: tt.empty_permuted((2, 3), (0, 0))),
    ("runs on the CPU only", lambda: tt.rand_like(tt.zeros(2), device="cuda")),
    ("no integers of 16 bits", lambda: tt.zeros(2).short()),
    ("randint: 0 to 299 do not fit dtype u8", lambda: tt.randint(300, (2,), dtype=tt.uint8)),
    ("full: -9 does not fit dtype u8", lambda: tt.full((2,), -9, dtype=tt.uint8)),
    ("full_like: 300 does not fit dtype i8", lambda: tt.full_like(tt.zeros(2, dtype=tt.int8), 300)),
    ("where: -1 does not fit dtype u8", lambda: tt.where(tt.tensor([True]), tt.zeros(1, dtype=tt.uint8), -1)),
    ("tensor: 300 does not fit dtype u8", lambda: tt.tensor([1, 300], dtype=tt.uint8)),
    (f"tensor: {2**70} does not fit dtype i64", lambda: tt.tensor([2**70])),
    (f"tensor: {2**63} does not fit dtype i64", lambda: tt.tensor(2**63)),
]


@pytest.mark.parametrize(("message", "call"), WRONG)
def test_what_means_nothing_is_an_error_with_the_line(message: str, call: Callable[[], Any]) -> None:
    with pytest.raises(TinyTorchError, match=f"(?s){message}.*test_filling.py"):
        call()


@pytest.mark.parametrize(
    ("shape", "wrap"), [((3, 3), False), ((7, 3), False), ((7, 3), True), ((3, 7), True), ((2, 2, 2), False)]
)
def test_fill_diagonal_is_numpys(shape: tuple[int, ...], wrap: bool) -> None:
    expected = np.zeros(shape, np.float32)
    np.fill_diagonal(expected, 5, wrap)
    np.testing.assert_array_equal(tt.zeros(*shape).fill_diagonal_(5.0, wrap=wrap).numpy(), expected)
    with pytest.raises(ShapeError, match="fill_diagonal"):
        tt.zeros(2, 3, 2).fill_diagonal_(1.0)


def test_lists_with_tensors_in_them() -> None:
    """Compiled as eagerly: copies without a history, of the dtype that numbers would have."""

    def made(x: tt.Tensor, i: tt.Tensor) -> list[tt.Tensor]:
        grows = tt.tensor(x.sum(), requires_grad=True)
        lists = [[x[0], x[1] * 2], [[x.sum(), 1], [2, i[0]]], [i[0], True], [x, x], [i.bool()]]
        return [grows, tt.tensor(x), tt.tensor([x[0], 1], dtype=tt.float64), *map(tt.tensor, lists)]

    given = tt.tensor([1.0, 2.0], requires_grad=True), tt.tensor([3, 0])
    for ours, expected in zip(tt.compile(made)(*given), made(*given), strict=True):
        assert ours.type == expected.type and ours.tolist() == expected.tolist()
        assert ours.requires_grad is expected.requires_grad and ours.is_leaf
    with pytest.raises(tt.TinyTorchError, match="does not fit"):
        tt.compile(lambda x: tt.tensor([x, [x, x]]))(given[0])
