"""What ends a trace ends it in functions that catch errors, too: eagerly they would meet none."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tests.frontend.guards.cases import ones
from tinytorch.ir.errors import TraceError

compile_ = functools.partial(tt.compile, backend="interpreter")


def by_value(x: Any) -> Any:
    try:
        return x * float(x.sum())
    except Exception:
        return x * 0


def by_branch(x: Any) -> Any:
    with contextlib.suppress(Exception):
        if x.sum() > 0:
            return x * 2
    return x * 0


def at_last(x: Any) -> Any:
    try:
        x = x * x.item()
    finally:
        return x  # noqa: B012


def as_another_error(x: Any) -> Any:
    try:
        return x * int(x)
    except Exception as error:
        raise ValueError("no number") from error


def of_a_generator(x: Any) -> Any:
    def numbers() -> Any:
        try:
            yield float(x)
        except TraceError:
            yield 0.0

    return x * sum(numbers())


def of_what_is_read(x: Any) -> Any:
    try:
        return x * next(HOLDER.items)
    except Exception:
        return x * 0


class Holder:
    items: Any


HOLDER = Holder()


@pytest.mark.parametrize("function", [by_value, by_branch, at_last, as_another_error, of_a_generator, of_what_is_read])
def test_an_error_of_the_trace_is_not_caught(function: Callable[[Any], Any]) -> None:
    HOLDER.items = iter([2.0, 2.0])
    assert function(ones()).item() > 0
    with pytest.raises(TraceError) as error:
        compile_(function)(ones())
    assert "test_caught.py:" in str(error.value)


def test_errors_of_the_function_itself_are_caught() -> None:
    def function(x: Any, y: Any) -> Any:
        try:
            return x @ y
        except ValueError:
            return x.sum() + y.sum()

    compiled = compile_(function)
    for shape in ((3, 2), (2, 3), (3, 2)):
        expected = function(tt.ones(2, 3), tt.ones(*shape))
        np.testing.assert_array_equal(compiled(tt.ones(2, 3), tt.ones(*shape)).numpy(), expected.numpy())


def test_a_layer_that_learns_its_sizes_in_a_function_that_catches_all() -> None:
    layer = tt.nn.LazyLinear(2, bias=False)

    def function(x: Any) -> Any:
        try:
            return layer(x)
        except BaseException:
            return x * 0

    compiled = compile_(function)
    assert compiled(tt.ones(1, 3)).shape == compiled(tt.ones(1, 3)).shape == (1, 2)


def test_the_first_step_of_an_optimizer_in_a_function_that_catches_errors() -> None:
    """It makes state of its own for the parameters that step, and starts the trace again."""

    def trained(world: Callable[[Any], Any]) -> list[float]:
        first, second = (tt.tensor([1.0], requires_grad=True) for _ in range(2))
        optimizer = tt.Adam([first, second], lr=0.5)

        def step(both: bool) -> None:
            optimizer.zero_grad()
            (first * second if both else first * 1).sum().backward()
            with contextlib.suppress(Exception):
                optimizer.step()

        called = world(step)
        for both in (True, False, True):
            called(both)
        return [first.item(), second.item()]

    np.testing.assert_allclose(trained(compile_), trained(lambda step: step), rtol=1e-5)


def test_views_of_one_memory_in_a_function_that_catches_errors() -> None:
    whole = tt.zeros(4)
    low, high = whole[:3], whole[1:]

    def function(x: Any) -> Any:
        low.add_(x)
        try:
            return high * 1
        except Exception:
            return x * 0

    compiled = compile_(function)
    assert [compiled(ones()).tolist() for _ in range(2)] == [[1, 1, 0], [2, 2, 0]]


# What a function would leave behind in its thread.
def leaves_gradients_off(x: Any) -> Any:
    tt.set_grad_enabled(False)
    return x * 2


def leaves_an_autocast(x: Any) -> Any:
    tt.autocast("cpu", dtype=tt.bf16).__enter__()
    return x * 2


@pytest.mark.parametrize("function", [leaves_gradients_off, leaves_an_autocast])
def test_switches_that_a_function_leaves_are_refused(function: Callable[[Any], Any]) -> None:
    with pytest.raises(TraceError, match="switched to something else"):
        compile_(function)(ones())
    assert tt.is_grad_enabled() and not tt.is_autocast_enabled()


def test_switches_that_are_put_back_are_none() -> None:
    def function(x: Any) -> Any:
        tt.set_grad_enabled(False)
        y = x * 2
        tt.set_grad_enabled(True)
        return x * 3 + y

    x = tt.tensor([1.0], requires_grad=True)
    compile_(function)(x).backward()
    assert x.grad is not None and x.grad.tolist() == [3]


@pytest.mark.parametrize("seeds", [lambda: tt.Generator(), lambda: tt.Generator(1).seed()], ids=["new", "again"])
def test_a_fresh_seed_is_refused(seeds: Callable[[], Any]) -> None:
    def function(x: Any) -> Any:
        found = seeds()
        return x + tt.rand(1, generator=found if isinstance(found, tt.Generator) else None)

    with pytest.raises(TraceError, match="seed of the operating system"):
        compile_(function)(ones())
    seeded = compile_(lambda x: x * tt.rand(1, generator=tt.Generator(3)))
    assert seeded(ones()).item() == seeded(ones()).item() == tt.rand(1, generator=tt.Generator(3)).item()
