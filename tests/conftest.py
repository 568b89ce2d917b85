"""Options of the test run, and random tests that draw the same examples in every run."""

from __future__ import annotations

import pytest
from hypothesis import settings

settings.register_profile("fixed", derandomize=True, deadline=None)
settings.load_profile("fixed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--bless", action="store_true", help="rewrite the expected halves of tests/passes/golden/**/*.ir")
    parser.addoption("--stress", type=int, default=1, help="how many times as long the stress tests run")
    parser.addoption("--programs", type=int, default=4000, help="how many programs tests/test_programs.py draws")
