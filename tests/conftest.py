"""Options of the test run, and random tests that draw the same examples in every run."""

from __future__ import annotations

import gc
from collections.abc import Callable, Generator

import pytest
from hypothesis import settings

import tinytorch as tt
from tests.worlds import World
from tinytorch.runtime import memory

settings.register_profile("fixed", derandomize=True, deadline=None)
settings.load_profile("fixed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--bless", action="store_true", help="rewrite what is made: golden graphs, stubs, lists in docs")
    parser.addoption("--stress", type=int, default=1, help="how many times as long the stress tests run")
    parser.addoption("--programs", type=int, default=4000, help="how many programs tests/test_programs.py draws")


def pytest_collection_finish() -> None:
    """All that was collected stays to the end: the garbage collector need not look through it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def set_budget() -> Generator[Callable[[int], None]]:
    """Changes how many bytes are kept between calls, until the end of the test; it begins with nothing free."""

    def keep(bytes: int) -> None:
        memory.set_word("budget", bytes)
        memory.holdings.make_room()

    keep(0)
    keep(memory.BUDGET)
    yield keep
    keep(memory.BUDGET)


@pytest.fixture(params=["eager", "llvm", "interpreter"])
def world(request: pytest.FixtureRequest) -> World:
    """Runs a function or a module eagerly, or compiled."""
    if request.param == "eager":
        return lambda function: function
    return lambda function: tt.compile(function, backend=request.param)
