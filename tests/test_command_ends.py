"""How commands begin and end: outputs that cannot hold every character, Ctrl-C, requests to end, outputs that nobody
reads or that are full, memory that runs out."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import pytest
import typer.main

import tinytorch as tt
from tinytorch.cli.program import Commands, exit_with, program
from tinytorch.ir.characters import printable

ROOT = Path(__file__).parent.parent
KEPT = "57.3 µs × 2 – ≥ 1.5 → x², √2 … é σ 今"
PLAIN = "57.3 us x 2 - >= 1.5 -> x2, sqrt 2 ... e ? ?"


def output(encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding, newline="\n")


def content(output: io.TextIOWrapper) -> str:
    output.flush()
    output.buffer.seek(0)
    return output.buffer.read().decode(output.encoding)


@pytest.mark.parametrize(
    ("encoding", "written"), [("ascii", PLAIN), ("utf-8", KEPT), ("latin-1", PLAIN.replace("us x", "µs ×"))]
)
def test_an_output_gets_characters_that_it_can_hold(
    encoding: str, written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stdout = output(encoding)
    monkeypatch.setattr(sys, "stdout", stdout)
    with program("it"):
        print(KEPT)
    if encoding == "latin-1":
        written = written.replace("x2", "x²").replace(" e ", " é ")
    assert content(stdout) == f"{written}\n"
    assert printable(KEPT) == written


def test_tables_and_logs_of_the_library_fit_the_output(monkeypatch: pytest.MonkeyPatch) -> None:
    stdout = output("ascii")
    monkeypatch.setattr(sys, "stdout", stdout)
    monkeypatch.setenv("TT_LOGS", "recompiles")

    def größer(x: Any) -> Any:
        return x + 1.0

    compiled = tt.compile(größer)
    compiled(tt.ones(2))
    print(compiled.memory_plan())
    model = tt.Linear(2, 2)
    print(tt.Profiler().count_flops(model, tt.ones(1, 2)).table(), tt.summary(model, (1, 2)))
    print(tt.quantize(model, [tt.ones(1, 2)]).sensitivity)
    text = content(stdout)
    assert "compiling gro?er" in text and "------" in text


@pytest.mark.parametrize(
    ("raised", "status", "said"),
    [
        (KeyboardInterrupt(), 130, "it: interrupted\n"),
        (MemoryError("3 TiB"), 2, "it: out of memory: 3 TiB\n"),
        (tt.TinyTorchError("wrong"), 2, "it: TinyTorchError: wrong\n"),
        (FileNotFoundError(2, "No such file", "data.bin"), 2, "it: data.bin: No such file\n"),
        (BrokenPipeError(32, "Broken pipe"), 1, ""),
        (SystemExit(3), 3, ""),
    ],
)
def test_an_end_is_told_in_a_line(
    raised: BaseException, status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def main() -> int:
        raise raised

    with pytest.raises(SystemExit) as caught:
        exit_with("it", main)
    assert caught.value.code == status and capsys.readouterr().err == said


def test_what_is_no_fault_of_the_user_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError), program("it"):
        _ = 1 / 0


def test_an_interrupted_command_of_typer_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    inner, outer = Commands("inner"), Commands("outer")

    @inner.command()
    def work() -> None:
        raise KeyboardInterrupt

    @outer.command()
    def start() -> None:
        inner([])

    with pytest.raises(SystemExit) as caught:
        outer([])
    assert caught.value.code == 130 and capsys.readouterr().err == "inner: interrupted\n"


def test_warnings_of_a_command_itself_are_told_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    app = Commands("it")

    @app.command()
    def work() -> None:
        warnings.warn_explicit("a cache", RuntimeWarning, typer.main.__file__, 1)
        warnings.warn("a program", RuntimeWarning, stacklevel=1)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, category, filename, *_: print(message, Path(filename).name)
        with pytest.raises(SystemExit):
            app([])
    said = capsys.readouterr()
    assert said.err == "it: a cache\n" and said.out == "a program test_command_ends.py\n"


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="a system without signals")
def test_requests_to_end_are_an_exit_that_puts_away_what_was_begun() -> None:
    for number in (signal.SIGTERM, signal.SIGHUP):
        put_away = False
        with pytest.raises(SystemExit) as caught, program("it"):
            try:
                signal.raise_signal(number)
            finally:
                put_away = True
                assert signal.getsignal(number) is signal.SIG_DFL  # a second one ends at once
        assert caught.value.code == 128 + number and put_away
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with program("it"):
            signal.raise_signal(signal.SIGHUP)  # nohup
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_programs_in_threads_leave_signals_alone() -> None:
    ended: list[Any] = []

    def work() -> None:
        with pytest.raises(SystemExit) as caught, program("it"):
            raise SystemExit(4)
        ended.append(caught.value.code)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ended == [4] and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a system without /dev/full")
@pytest.mark.parametrize("full", [True, False], ids=["full", "unread"])
def test_an_output_that_is_full_and_one_that_nobody_reads(
    full: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open("/dev/full" if full else writer, "w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        with pytest.raises(SystemExit) as caught, program("it"):
            print("x" * 100_000)
        monkeypatch.undo()
    told = "it: cannot write the output: No space left on device\n" if full else ""
    assert caught.value.code == (2 if full else 1) and capsys.readouterr().err == told
    if full:
        os.close(writer)


def test_all_commands_end_so() -> None:
    from benchmarks.__main__ import app as benchmarks
    from benchmarks.array_api.__main__ import app as array_api
    from benchmarks.convolution_limits import app as limits
    from benchmarks.ladder.__main__ import app as ladder
    from tinytorch.cli.bench import app as bench
    from tinytorch.cli.commands import app as commands
    from tito.cli import app as tito

    for app in (benchmarks, array_api, limits, ladder, bench, commands, tito):
        assert isinstance(app, Commands)
    for path in (ROOT / "milestones").glob("*.py"):
        _, begins, rest = path.read_text(encoding="utf-8").partition('if __name__ == "__main__":\n')
        assert not begins or rest == f'    exit_with("milestones.{path.stem}", main)\n'
