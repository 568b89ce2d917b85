"""Python numbers among the arguments: inputs of the graph once they vary, unless Python needs their value."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import tinytorch as tt

X = tt.tensor([1.0, 2.0, 3.0])
FLOATS = [0.0, 0.5, -0.0, 1.5, 1e-30, math.nan, math.inf, -math.inf]


def graphs(function: Callable[..., Any], calls: Sequence[Any], backend: str = "llvm") -> int:
    """How many graphs the calls need; all give what eager calls give, dtypes included."""
    compiled = tt.compile(function, backend=backend)  # pyright: ignore[reportArgumentType]
    seen: set[int] = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for value in calls:
            result, expected = compiled(X, value), function(X, value)
            assert result.dtype == expected.dtype
            np.testing.assert_allclose(result.numpy(), expected.numpy(), rtol=1e-6, err_msg=f"for {value!r}")
            seen.add(id(compiled.traced_graph))
    return len(seen)


COMPUTES: dict[str, Callable[..., Any]] = {
    "product": lambda x, k: x * k,
    "either side": lambda x, k: (k - x) + (x - k) + k * x + x / 2.0,
    "chain of numbers": lambda x, k: (k * 2 + 1 - x) / 3 + (-k) / 4,
    "divisor": lambda x, k: x / k,
    "of integers": lambda x, k: x.long() * k,
    "of f64": lambda x, k: x.double() * k,
    "of f16": lambda x, k: x.cast("f16") * k + k,
    "in place": lambda x, k: x.clone().add_(k).mul_(k),
    "in a container": lambda x, k: x * [k, 1.0][0],
    "isinstance": lambda x, k: x * k if isinstance(k, float) else x,
}


@pytest.mark.parametrize("backend", ["llvm", "interpreter"])
@pytest.mark.parametrize("what", COMPUTES)
def test_numbers_that_are_computed_with_become_inputs(what: str, backend: str) -> None:
    assert graphs(COMPUTES[what], FLOATS, backend) == 2


@pytest.mark.parametrize("backend", ["llvm", "interpreter"])
def test_integers_become_inputs_too(backend: str) -> None:
    assert graphs(lambda x, k: x * k + k / 7, range(8), backend) == 2
    assert graphs(lambda x, k: x.long() * k - 3 * k, range(8), backend) == 2


NEEDS_THE_VALUE: dict[str, Callable[..., Any]] = {
    "range": lambda x, k: sum([x for _ in range(int(k))], x),
    "condition": lambda x, k: x if k > 2 else -x,
    "exponent": lambda x, k: x**k,
    "size": lambda x, k: tt.zeros(int(k) + 1) + x[:1],
    "math": lambda x, k: x * math.sqrt(k),
    "largest": lambda x, k: x * max(k, 0.5),
    "text": lambda x, k: x * len(f"{k}"),
    "key": lambda x, k: x * {k: 2.0}[k],
    "attribute": lambda x, k: x * k.real,
    "divided by it": lambda x, k: x * (1.0 / k),
}


@pytest.mark.parametrize("what", NEEDS_THE_VALUE)
def test_numbers_whose_value_python_needs_stay_static(what: str) -> None:
    assert graphs(NEEDS_THE_VALUE[what], [1.0, 2.0, 3.0, 2.0]) == 3


def test_numbers_that_come_back_or_stay_in_an_attribute() -> None:
    compiled = tt.compile(lambda x, k: (x * k, k, {"k": [k]}))
    for k in (1.5, 2.5, 3.5):
        product, same, nested = compiled(X, k)
        assert (product[0].item(), type(same), same, nested) == (k, float, k, {"k": [k]})

    class Keeps(tt.Module):
        def forward(self, x: Any, k: float) -> Any:
            self.last = k
            return x * k

    module = Keeps()
    compiled = tt.compile(module)
    for k in (1.5, 2.5, 3.5):
        assert compiled(X, k)[0].item() == k and type(module.last) is float and module.last == k


def test_huge_integers_and_bools_stay_static() -> None:
    assert graphs(lambda x, k: x * k, [1, 2, 2**70, 3]) == 3
    assert graphs(lambda x, k: x * k, [True, False, True]) == 2


def test_gradients_with_a_varying_number() -> None:
    compiled = tt.compile(lambda x, k: (x * k).sum())
    x = tt.tensor([1.0, 2.0], requires_grad=True)
    for k in (1.0, 2.0, 3.0):
        x.grad = None
        compiled(x, k).backward()
        assert x.grad is not None and x.grad.tolist() == [k, k]


def test_a_third_compilation_for_one_reason_is_a_warning_that_names_it() -> None:
    compiled = tt.compile(lambda x: x + 1, backend="interpreter")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for n in (1, 2, 3):
            compiled(tt.ones(n))
    with pytest.warns(RuntimeWarning, match="3rd time for one reason: another shape or dtype") as caught:
        compiled(tt.ones(4))
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compiled(tt.ones(5))
