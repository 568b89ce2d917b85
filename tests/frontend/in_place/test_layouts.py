"""How results lie in memory: in row-major order for who looks, eagerly as in a graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.frontend.autograd import no_grad
from tinytorch.frontend.tensor import Tensor


@pytest.mark.parametrize("requires_grad", [False, True])
def test_a_contiguous_copy_is_row_major(requires_grad: bool) -> None:
    x = Tensor(np.ones((2, 6, 5, 4), np.float32), requires_grad=requires_grad)
    y = (x @ x.mT).transpose(1, 2)
    assert not y.is_contiguous()
    for copied in (y.contiguous(), y.clone()):
        assert copied.is_contiguous()
        assert copied.view(2, 5, 30).shape == (2, 5, 30)


@pytest.mark.parametrize("requires_grad", [False, True])
def test_results_are_row_major_where_they_are_viewed(requires_grad: bool) -> None:
    y = Tensor(np.arange(24.0).reshape(2, 3, 4), requires_grad=requires_grad).transpose(0, 1)
    for result in (y.softmax(-1), y.masked_fill(y > 3, 0.0), y.sum(-1, keepdim=True), y * 2):
        twice = result + result  # which notes the version of the result, and shares nothing
        viewed = result.view(-1)
        np.testing.assert_array_equal(viewed.numpy() * 2, twice.numpy().reshape(-1))
        with no_grad():
            viewed += 3
        np.testing.assert_array_equal(result.numpy().reshape(-1), viewed.numpy())


@pytest.mark.parametrize(
    "look", ["", "y.numpy()", "y.add_(0)", "tt.nn.Parameter(y)", "y.detach()", "y.data", "y.touch()"]
)
def test_a_look_at_a_result_does_not_say_how_it_lies(look: str) -> None:
    y = Tensor(np.arange(12.0).reshape(3, 4)).t() * 2  # numpy keeps the order of its operand
    assert y.is_contiguous() and y.stride() == (3, 1) and y.storage_offset() == 0
    kept = eval(look, {"tt": tt, "y": y}) if look else None
    assert y.is_contiguous() and y.stride() == (3, 1)
    y.view(-1)[1] = -1
    assert y[0, 1] == -1 and (kept is None or kept[0, 1] == -1)


def test_results_lie_alike_in_a_graph() -> None:
    def layout(x: Tensor) -> Any:
        return [(y.is_contiguous(), y.stride()) for y in (x, x.t(), x.t() + 1, tt.cat([x.t(), x.t()]).exp()[1:])]

    def through_a_view(x: Tensor) -> Tensor:
        x.reshape(-1).add_(10)
        return x.sum()

    transposed = Tensor(np.arange(12.0).reshape(3, 4)).t()
    assert tt.compile(layout)(transposed + 1) == layout(transposed + 1)
    add = tt.compile(through_a_view)
    for _ in range(2):  # traced, and found again
        given, wanted = transposed + 1, transposed + 1
        assert add(given).item() == through_a_view(wanted).item()
        assert given.tolist() == wanted.tolist()
    captured = transposed + 1
    assert tt.compile(lambda: through_a_view(captured))().item() == captured.sum().item() == 198.0
