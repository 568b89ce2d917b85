"""Random programs run alike eagerly, by the interpreter, as machine code, and by torch where it is installed."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from tests.programs.compare import Counts, check
from tests.programs.whole import Program, programs

MAX_REFUSED = 0.05  # share of the programs that a compiled function may refuse
MAX_RAISED = 0.25  # share that may raise eagerly: such a program shows little


def test_random_programs_run_alike(request: pytest.FixtureRequest) -> None:
    number = request.config.getoption("--programs")
    counts = Counts()

    @settings(max_examples=number, suppress_health_check=list(HealthCheck))
    @given(programs())
    def run(program: Program) -> None:
        check(program, counts)

    run()
    print(counts)
    assert counts.programs >= number
    assert counts.runs["llvm"] * 2 >= counts.programs
    assert counts.refusals <= MAX_REFUSED * counts.programs, counts
    assert counts.raised <= MAX_RAISED * counts.programs, counts
