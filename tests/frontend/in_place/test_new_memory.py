"""Functions whose result is a tensor of its own, also where they have nothing to do: a change of the result in place
leaves the argument as it is. That these are the ones is compared with torch, where it is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.ir.op import Array

Case = Callable[[Any, Any], Any]  # (a module like torch, a tensor) -> a tensor
IMAGES = np.arange(1, 97, dtype=np.float32).reshape(2, 3, 4, 4)
MATRIX = np.array([[1.0, 2.0], [3.0, 5.0]], np.float32)
INTEGERS, BOOLS = MATRIX.astype(np.int64), MATRIX > 2


def functional(m: Any) -> Any:
    return m.nn.functional


CASES: dict[str, tuple[Array, Case]] = {
    "the same size, nearest": (IMAGES, lambda m, x: functional(m).interpolate(x, scale_factor=1)),
    "the same size, bilinear": (IMAGES, lambda m, x: functional(m).interpolate(x, size=(4, 4), mode="bilinear")),
    "the same size, area": (IMAGES, lambda m, x: functional(m).interpolate(x, size=(4, 4), mode="area")),
    "adaptive pooling by windows of 1": (IMAGES, lambda m, x: functional(m).adaptive_avg_pool2d(x, 4)),
    "mean of windows of 1": (IMAGES, lambda m, x: functional(m).avg_pool2d(x, 1)),
    "largest of windows of 1": (IMAGES, lambda m, x: functional(m).max_pool2d(x, 1)),
    "padded by none": (IMAGES, lambda m, x: functional(m).pad(x, (0, 0, 0, 0))),
    "mirrored by none": (IMAGES, lambda m, x: functional(m).pad(x, (0, 0, 0, 0), "reflect")),
    "repeated by none": (IMAGES, lambda m, x: functional(m).pad(x, (0, 0, 0, 0), "replicate")),
    "going on by none": (IMAGES, lambda m, x: functional(m).pad(x, (0, 0, 0, 0), "circular")),
    "cut off": (IMAGES, lambda m, x: functional(m).pad(x, (-1, 0))),
    "cut off and padded": (IMAGES, lambda m, x: functional(m).pad(x, (-1, 1, -2, 1), value=3.0)),
    "cut off and mirrored": (IMAGES, lambda m, x: functional(m).pad(x, (-1, 1, -2, 1), "reflect")),
    "squares of one pixel": (IMAGES, lambda m, x: functional(m).pixel_shuffle(x, 1)),
    "back from squares of one pixel": (IMAGES, lambda m, x: functional(m).pixel_unshuffle(x, 1)),
    "channels of one group": (IMAGES, lambda m, x: functional(m).channel_shuffle(x, 1)),
    "columns of one element": (IMAGES, lambda m, x: functional(m).fold(x.flatten(2), (4, 4), 1)),
    "columns of one element, padded": (IMAGES, lambda m, x: functional(m).fold(x.flatten(2), (2, 2), 1, padding=1)),
    "all dropped": (IMAGES, lambda m, x: functional(m).dropout(x, 1.0)),
    "floor": (INTEGERS, lambda m, x: x.floor()),
    "ceil": (INTEGERS, lambda m, x: x.ceil()),
    "trunc": (INTEGERS, lambda m, x: x.trunc()),
    "round": (INTEGERS, lambda m, x: x.round()),
    "nan_to_num": (INTEGERS, lambda m, x: x.nan_to_num()),
    "sign": (BOOLS, lambda m, x: x.sign()),
    "no differences": (MATRIX, lambda m, x: x.diff(n=0)),
    "sum of one number": (IMAGES[0, 0, 0, :1], lambda m, x: x[0].cumsum(0)),
    "product of one matrix": (MATRIX, lambda m, x: m.chain_matmul(x)),
    "first power": (MATRIX, lambda m, x: m.linalg.matrix_power(x, 1)),
    "powers of 0": (np.stack([MATRIX, MATRIX]), lambda m, x: m.linalg.matrix_power(x, 0)),
    "diagonals in other axes": (MATRIX, lambda m, x: m.diag_embed(x, 1, 0, 2)),
    "places of the second smallest": (IMAGES, lambda m, x: x.kthvalue(2, 1)[1]),
    "places of the largest": (IMAGES, lambda m, x: x.topk(2, 1)[1]),
}  # fmt: skip


def changed(m: Any, case: Case, x: Any) -> Any:
    """What a case gives, which lies in memory as it is read and is then written over."""
    made = case(m, x)
    found = made * 1
    made.view(-1).zero_()
    return found


def test_results_are_changed_and_arguments_are_not() -> None:
    """Eagerly, and in a trace of all."""
    eager: list[Array] = []
    for name, (given, case) in CASES.items():
        x = tt.tensor(given)
        eager.append(changed(tt, case, x).numpy())
        np.testing.assert_array_equal(x.numpy(), given, err_msg=name)

    def together(*xs: tt.Tensor) -> list[tt.Tensor]:
        return [changed(tt, case, x) for x, (_, case) in zip(xs, CASES.values(), strict=True)]

    xs = [tt.tensor(given) for given, _ in CASES.values()]
    for name, x, found, expected in zip(
        CASES, xs, tt.compile(together, backend="interpreter")(*xs), eager, strict=True
    ):
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6, err_msg=name)
        np.testing.assert_array_equal(x.numpy(), CASES[name][0], err_msg=name)


@pytest.mark.filterwarnings("ignore:torch.chain_matmul is deprecated")
def test_torch_has_the_same_results_in_new_memory() -> None:
    torch = pytest.importorskip("torch")
    for name, (given, case) in CASES.items():
        x = torch.tensor(given)
        expected = changed(torch, case, x).numpy()
        np.testing.assert_array_equal(x.numpy(), given, err_msg=name)
        np.testing.assert_allclose(changed(tt, case, tt.tensor(given)).numpy(), expected, rtol=1e-6, err_msg=name)
