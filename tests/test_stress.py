"""Forks, threads, interruptions and exits while graphs are compiled and run: a minute of them here.

`pytest tests/test_stress.py tests/frontend/training/test_interrupts.py --stress 20` tries twenty times as many.
"""

from __future__ import annotations

import copy
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.frontend.losses import CrossEntropyLoss
from tinytorch.frontend.optimizers import AdamW
from tinytorch.ir.system import locks
from tinytorch.runtime import thread_count
from tinytorch.runtime.llvm.text import library
from tinytorch.runtime.llvm.threads import pool

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")


@pytest.fixture
def times(request: pytest.FixtureRequest) -> int:
    """How many times as long the tests run."""
    return request.config.getoption("--stress")


def script(code: str, *args: object, cache: Path | None = None, timeout: float = 120) -> str:
    """What a program of its own prints; it must end well."""
    env = {**os.environ, "PYTHONFAULTHANDLER": "1"} | ({} if cache is None else {"TT_CACHE_DIR": str(cache)})
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code, *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=env)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def at_once(*tasks: Callable[[], object]) -> None:
    """Run the tasks in threads that start together; an error of one is raised here."""
    start, errors = threading.Barrier(len(tasks)), []

    def run(task: Callable[[], object]) -> None:
        start.wait()
        try:
            task()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive(), "a thread hangs"
    if errors:
        raise errors[0]


# Forks.
FORKS = """
import faulthandler, os, random, sys, threading, time
import numpy as np
import tinytorch as tt

compiling = True

def function(number):
    return tt.compile(lambda x: (x * number + x.exp() @ x).sum())

def right():
    value = function(2)(tt.ones(8, 8)).item()
    return abs(value - (128 + 512 * np.e)) < 1e-2

def compile_for_ever():
    number = random.random()
    while compiling:
        number += 1
        function(number)(tt.ones(8, 8))

rng = random.Random(int(sys.argv[1]))
thread = threading.Thread(target=compile_for_ever)
thread.start()
for turn in range(int(sys.argv[2])):
    time.sleep(rng.random() * (0.4 if turn == 0 else 0.03))  # the first falls into imports
    pid = os.fork()
    if pid == 0:
        faulthandler.dump_traceback_later(60, exit=True)
        os._exit(0 if right() else 1)
    assert os.waitpid(pid, 0)[1] == 0
compiling = False
thread.join()
assert right()
"""


@needs_fork
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_fork_while_another_thread_compiles(seed: int, times: int, tmp_path: Path) -> None:
    script(FORKS, seed, 8 * times, cache=tmp_path, timeout=120 + 60 * times)


def test_the_lock_of_llvm_is_found() -> None:
    """Under a private name, which a later llvmlite may change."""
    library.llvm()
    assert library.global_lock() is not None
    assert library.global_lock() in locks._held


@needs_fork
def test_a_fork_while_another_thread_traces() -> None:
    """The child compiles the function that the other thread has just begun."""
    inside, go_on = threading.Event(), threading.Event()

    @tt.compile
    def function(x: tt.Tensor) -> tt.Tensor:
        if threading.current_thread() is not threading.main_thread():
            inside.set()
            go_on.wait(60)
        return x * 3

    thread = threading.Thread(target=function, args=(tt.ones(4),))
    thread.start()
    inside.wait(60)
    pid = os.fork()
    if pid == 0:
        os._exit(0 if function(tt.ones(4)).numpy().tolist() == [3] * 4 else 1)
    deadline = time.monotonic() + 60
    while not (done := os.waitpid(pid, os.WNOHANG))[0] and time.monotonic() < deadline:
        time.sleep(0.01)
    go_on.set()
    thread.join()
    if not done[0]:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert done == (pid, 0)


# Threads.
def step_of(model: tt.Module) -> tuple[Callable[..., Any], AdamW]:
    optimizer, loss_fn = AdamW(model.parameters(), lr=0.01), CrossEntropyLoss()

    def step(x: tt.Tensor, y: tt.Tensor) -> tt.Tensor:
        loss = loss_fn(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step, optimizer


def batch() -> tuple[tt.Tensor, tt.Tensor]:
    rng = np.random.default_rng(0)
    return tt.Tensor(rng.normal(size=(8, 4)).astype(np.float32)), tt.Tensor(np.arange(8) % 3)


@pytest.mark.parametrize("backend", ["llvm", "interpreter"])
def test_threads_that_call_a_training_step_for_the_first_time(backend: Any, times: int) -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    x, y = batch()
    try:
        for _ in range(4 * times):
            model = tt.Sequential(tt.Linear(4, 8), tt.ReLU(), tt.Dropout(0.3), tt.Linear(8, 3))
            step, optimizer = step_of(model)
            compiled = tt.compile(step, backend=backend)
            outer = tt.compile(lambda x, y, compiled=compiled: compiled(x, y) * 2, backend=backend)
            at_once(*[lambda compiled=compiled: compiled(x, y)] * 3)
            made = sum(len(items) for items in compiled._known.values())
            assert made <= 2  # the second where there are gradients that the first call left
            at_once(*[lambda outer=outer: outer(x, y), lambda compiled=compiled: compiled(x, y)] * 2)
            steps = {int(state["step"].item()) for state in optimizer.state}
            assert steps == {7} if backend == "llvm" else max(steps) <= 7  # numpy reads, lets others run, and writes
    finally:
        sys.setswitchinterval(interval)


def test_a_trace_keeps_nobody_waiting_who_needs_none() -> None:
    inside, go_on = threading.Event(), threading.Event()

    @tt.compile
    def function(x: tt.Tensor) -> tt.Tensor:
        if x.shape == (5,):
            inside.set()
            assert go_on.wait(60)
        return x + 1

    known = [tt.ones(3)]
    listed = tt.compile(lambda items: function(items[0]))
    function(known[0])
    listed(known)
    thread = threading.Thread(target=function, args=(tt.ones(5),))
    thread.start()
    assert inside.wait(60)
    try:
        assert function(tt.zeros(3)).numpy().tolist() == [1] * 3
        assert listed([tt.zeros(3)]).numpy().tolist() == [1] * 3  # in a container, by the general call
        assert tt.compile(lambda x: x * 2)(tt.ones(3)).numpy().tolist() == [2] * 3
    finally:
        go_on.set()
        thread.join()


@pytest.mark.parametrize("backend", ["llvm", "interpreter"])
def test_a_copy_of_a_compiled_model_has_weights_of_its_own(backend: Any) -> None:
    x, _ = batch()
    model = tt.compile(tt.Sequential(tt.Linear(4, 8), tt.ReLU(), tt.Linear(8, 3)), backend=backend)
    before = model(x).numpy().copy()
    twin = copy.deepcopy(model)
    with tt.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    assert twin(x).numpy().tolist() == np.zeros((8, 3)).tolist()
    np.testing.assert_array_equal(model(x).numpy(), before)
    with tt.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1.0)
    assert twin(x).numpy().tolist() == np.zeros((8, 3)).tolist()
    assert not np.array_equal(model(x).numpy(), before)


# Signals.
class Alarm(Exception):
    pass


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers")
def test_signals_at_any_time_leave_a_pool_that_works(times: int) -> None:
    """They come while it is made smaller and larger, while workers start, wake and run."""
    function = tt.compile(lambda x: (x * 2).exp().sum())
    x = tt.zeros(1 << 18)
    function(x)
    threads = thread_count.get_num_threads()

    def ring(_number: int, _frame: object) -> None:
        raise Alarm

    before = signal.signal(signal.SIGALRM, ring)
    alarms = 0
    try:
        for turn in range(150 * times):
            try:
                signal.setitimer(signal.ITIMER_REAL, 1e-4 + 2e-5 * (turn % 70))
                for number in range(20):
                    thread_count.set_num_threads(2 + (turn + number) % 3)
                    function(x)
            except Alarm:
                alarms += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            thread_count.set_num_threads(2 + turn % 3)
            assert function(x).item() == 1 << 18
            assert pool.shared_pool().num_workers == 1 + turn % 3
        assert alarms > 140 * times  # Python itself swallows those that meet the end of an object
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        thread_count.set_num_threads(threads)


# Exits.
EXIT = """
import os, sys, threading, time
import tinytorch as tt

tt.set_num_threads(3)
how = sys.argv[1]
function = tt.compile(lambda x: (x @ x).exp().sum())
function(tt.zeros(256, 256))

def run_for_ever():
    number = 0.0
    while True:
        if how == "compiling":
            number += 1
            tt.compile(lambda x: (x * number).sum())(tt.ones(4))
        else:
            function(tt.zeros(256, 256))

for _ in range(2):
    threading.Thread(target=run_for_ever, daemon=True).start()
time.sleep(float(sys.argv[2]))
if how == "error":
    sys.exit(3)
if how == "forked":
    pid = os.fork()
    if pid == 0:
        function(tt.zeros(256, 256))
        sys.exit()
    sys.exit(os.waitpid(pid, 0)[1])
"""


@pytest.mark.parametrize("how", ["running", "compiling", "error", pytest.param("forked", marks=needs_fork)])
def test_exits_while_other_threads_run_and_compile(how: str, times: int) -> None:
    for turn in range(2 * times):
        command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", EXIT, how, str(0.01 + 0.013 * (turn % 9))]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert (done.returncode, done.stderr) == (3 if how == "error" else 0, "")
