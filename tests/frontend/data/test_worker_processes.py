"""The processes of loaders: how many there are, what they share with the program, and that none outlives it."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tests.frontend.data.items import PIXELS, Items, indices
from tinytorch.utils import data

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.usefixtures("nothing_is_left"),
]


def worker_pids(loader: Any) -> set[int]:
    return {int(pid) for batch in loader for pid in batch[2]}


def test_loops_side_by_side_and_in_each_other() -> None:
    loader = data.DataLoader(Items(6, lambda i: os.getpid()), 2, num_workers=2, persistent_workers=True)
    outer: list[Any] = []
    for batch in loader:
        outer.append((batch[1].tolist(), indices(loader)))
    assert outer == [(part, [[0, 1], [2, 3], [4, 5]]) for part in [[0, 1], [2, 3], [4, 5]]]
    first, second = iter(loader), iter(loader)
    assert [int(next(i)[1][0]) for i in (first, second, first, second)] == [0, 0, 2, 2]
    del first, second
    kept = worker_pids(loader)
    assert kept == worker_pids(loader) and len(kept) == 2 and os.getpid() not in kept
    loader.persistent_workers = False
    once = data.DataLoader(Items(6, lambda i: os.getpid()), 2, num_workers=2)
    assert worker_pids(once).isdisjoint(worker_pids(once))


def test_leaving_early_ends_the_workers() -> None:
    def begun(**more: Any) -> Any:
        iterator = iter(data.DataLoader(data.TensorDataset(PIXELS, np.arange(12)), 2, num_workers=2, **more))
        next(iterator)
        assert len(multiprocessing.active_children()) == 2
        return iterator

    for _ in begun():
        break
    assert not multiprocessing.active_children()
    with pytest.raises(ZeroDivisionError):
        for _ in begun():
            print(1 // 0)
    iterator = begun(persistent_workers=True)
    del iterator
    gc.collect()
    assert not multiprocessing.active_children()


def test_workers_stay_within_their_lead(tmp_path: Path) -> None:
    def act(index: int) -> None:
        (tmp_path / str(index)).touch()

    iterator = iter(data.DataLoader(Items(40, act), 1, num_workers=2, prefetch_factor=3))
    next(iterator)
    deadline = time.monotonic() + 5
    while len(os.listdir(tmp_path)) < 7 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.02)
    assert sorted(map(int, os.listdir(tmp_path))) == [*range(7)]  # one handed out, six waiting


def test_workers_compute_on_one_thread() -> None:
    def act(index: int) -> int:
        return tt.get_num_threads() * 1000 + int(tt.compile(lambda x: (x @ x).sum())(tt.ones(64, 64)).item() == 64**3)

    tt.compile(lambda x: (x @ x).sum())(tt.ones(64, 64))  # threads are there, and no such thing is forked
    assert {int(batch[2]) for batch in data.DataLoader(Items(3, act), 1, num_workers=1)} == {1001}


def test_other_signals_and_locks_of_the_program_are_not_those_of_workers() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        for _ in data.DataLoader(Items(4, lambda i: time.sleep(0.01)), 1, num_workers=2):
            for child in multiprocessing.active_children():
                os.kill(child.pid or 0, signal.SIGINT)  # as Ctrl-C in a terminal does
    finally:
        signal.signal(signal.SIGTERM, before)
    assert not heard


def test_a_fork_goes_on_alone() -> None:
    iterator = iter(data.DataLoader(Items(12), 2, shuffle=True, num_workers=2))
    next(iterator)
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(write, repr([b[1].tolist() for b in iterator]).encode())
        finally:
            os._exit(0)
    rest = [b[1].tolist() for b in iterator]
    os.waitpid(child, 0)
    assert os.read(read, 10000).decode() == repr(rest) and len(rest) == 5
    os.close(read)
    os.close(write)


PROGRAM = """
    import os, sys, time
    import numpy as np
    from tinytorch.utils import data

    class Slow(data.Dataset):
        def __len__(self): return 1000
        def __getitem__(self, index):
            time.sleep(0.01)
            return np.zeros(50000, np.float32), os.getpid()

    if __name__ == "__main__":
        loop = iter(data.DataLoader(Slow(), 1, num_workers={workers}, {more}))
        print(*sorted(int(next(loop)[1]) for _ in range({workers})), flush=True)
        {then}
"""


def gone(pid: int, seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except (OSError, IndexError):
            return True
        time.sleep(0.02)
    return False


def test_a_loop_whose_workers_are_ended_with_the_program_says_nothing() -> None:
    loader = data.DataLoader(Items(), 1, num_workers=1, persistent_workers=True)
    loop = iter(loader)
    next(loop)
    assert loader._kept is not None
    loader._kept.close()
    with pytest.raises(SystemExit):  # which a thread does not report
        list(loop)


@pytest.mark.parametrize("end", ["interrupt", "kill"])
def test_nothing_outlives_the_program(end: str) -> None:
    more = "persistent_workers=True"
    program = PROGRAM.format(workers=2, more=more, then="list(loop)")
    command = [sys.executable, "-c", textwrap.dedent(program)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        pids = list(map(int, process.stdout.readline().split()))
        if end == "interrupt":
            os.killpg(process.pid, signal.SIGINT)
        elif end == "kill":
            process.kill()
        code, errors = process.wait(30), process.stderr.read() if end != "kill" else ""
    assert all(gone(pid) for pid in pids) and len(pids) == 2
    assert code == {"interrupt": -signal.SIGINT, "kill": -signal.SIGKILL}[end]
    assert errors.count("Traceback") == (end == "interrupt"), errors


def test_processes_that_are_started_anew_and_end_with_the_program(tmp_path: Path) -> None:
    program = PROGRAM.format(
        workers=1,
        more='multiprocessing_context="spawn", timeout=60',
        then="print(os.getpid(), len(list(zip(loop, range(3)))))",
    )
    (tmp_path / "program.py").write_text(textwrap.dedent(program))
    result = subprocess.run(
        [sys.executable, str(tmp_path / "program.py")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert (result.returncode, result.stderr) == (0, "")
    worker, program_itself, batches = result.stdout.split()
    assert worker != program_itself and batches == "3" and gone(int(worker))
