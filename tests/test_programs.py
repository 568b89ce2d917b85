"""Random programs run alike eagerly, by the interpreter, as machine code, and by torch where it is installed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings

import tinytorch as tt
from tests.programs.compare import Counts, Mismatch, check
from tests.programs.features import FEATURES, MOODS, OFF
from tests.programs.whole import Program, Segment, programs

MAX_REFUSED = 0.05  # share of the programs that a compiled function may refuse
MAX_RAISED = 0.2  # share that may raise eagerly: such a program shows little
MIN_MACHINE = 0.5  # share that must run as machine code, too
PARTS = 4  # of the programs, each from a seed of its own: tests that processes can share


@pytest.mark.parametrize("part", range(PARTS))
def test_random_programs_run_alike(part: int, request: pytest.FixtureRequest) -> None:
    number = -(-request.config.getoption("--programs") // PARTS)
    counts = Counts()

    @seed(part)
    @settings(max_examples=number, suppress_health_check=list(HealthCheck))
    @given(programs())
    def run(program: Program) -> None:
        check(program, counts)

    run()
    print(counts)
    assert counts.programs >= number
    assert counts.runs["llvm"] >= MIN_MACHINE * counts.programs, counts
    assert counts.refusals <= MAX_REFUSED * counts.programs, counts
    assert counts.raised <= MAX_RAISED * counts.programs, counts


@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(programs())
def test_a_program_is_printed_as_a_script(program: Program) -> None:
    counts = Counts()
    check(program, counts)
    if not (counts.raised or counts.refusals):
        exec(compile(program.source(), "<script>", "exec"), {"__name__": __name__})


SMALL = Program(
    "x = tt.tensor([1.0, -2.0], requires_grad=True)\ndef f(x):\n    x.sum().backward()\n    return [x.detach() * 2.0]",
    (Segment("out = run(x)", call=True), Segment("out = run(x)", call=True)),
    ("x",),
    machine=True,
)


def wrong_value(f: Any) -> Any:
    return lambda x: [f(x)[0] + 1.0]


def wrong_container(f: Any) -> Any:
    return lambda x: tuple(f(x))


def wrong_type(f: Any) -> Any:
    return lambda x: [f(x)[0].to(tt.f64)]


def wrong_state(f: Any) -> Any:
    def run(x: tt.Tensor) -> Any:
        out = f(x)
        with tt.no_grad():
            x.add_(1.0)
        return out

    return run


def wrong_gradient(f: Any) -> Any:
    def run(x: tt.Tensor) -> Any:
        x.grad = None  # nothing is accumulated
        return f(x)

    return run


def wrong_error(f: Any) -> Any:
    return lambda x: x.nothing


def refusal_that_changes_state(f: Any) -> Any:
    def run(x: tt.Tensor) -> Any:
        with tt.no_grad():
            x.zero_()
        raise tt.TraceError("the arguments share memory")

    return run


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (wrong_value, r"interpreter out\[0\]: eager \[2.0, -4.0\], here \[3.0, -3.0\]"),
        (wrong_container, r"interpreter out: eager \('list'.*here \('tuple'"),
        (wrong_type, r"interpreter out\[0\]: dtype is float32 eagerly, here float64"),
        (wrong_state, r"interpreter x: eager \[1.0, -2.0\], here \[2.0, -1.0\]"),
        (wrong_gradient, r"interpreter x.grad: eager \[2.0, 2.0\], here \[1.0, 1.0\]"),
        (wrong_error, r"interpreter raises AttributeError"),
        (refusal_that_changes_state, r"interpreter refuses, and changes x: eager \[1.0, -2.0\], here \[0.0, 0.0\]"),
    ],
)
def test_what_is_wrong_is_a_mismatch(wrong: Any, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check(SMALL, Counts())
    monkeypatch.setattr(tt, "compile", lambda f, backend: wrong(f))
    with pytest.raises(Mismatch, match=message) as error:
        check(SMALL, Counts())
    assert "import tinytorch as tt" in str(error.value) and "run = tt.compile(f)\nout = run(x)" in str(error.value)


def test_an_error_that_is_not_raised_is_a_mismatch(monkeypatch: pytest.MonkeyPatch) -> None:
    program = Program(
        "x = tt.tensor([1.0])\ndef f(x):\n    return x.reshape(2)", (Segment("out = run(x)", True),), ("x",), False
    )
    check(program, Counts())
    monkeypatch.setattr(tt, "compile", lambda f, backend: lambda x: x)
    with pytest.raises(Mismatch, match=r"interpreter does not raise ShapeError: reshape"):
        check(program, Counts())


def test_refusals_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> Any:
        raise tt.TraceError("the arguments share memory")

    counts = Counts()
    monkeypatch.setattr(tt, "compile", lambda f, backend: refuse)
    check(SMALL, counts)
    assert counts.refused == {"memory shared partly": 1} and counts.refusals == 1


def test_the_table_names_features() -> None:
    assert OFF.keys() <= FEATURES.keys()
    assert frozenset().union(*MOODS) <= FEATURES.keys()
