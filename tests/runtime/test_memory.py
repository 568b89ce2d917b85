"""What is kept between calls: one arena for each call in flight, free results, compiled code, all within one budget.

`all_bytes` and `free_bytes` are the account that machine code keeps of arenas and large results; other memory is
measured by tracemalloc, which is told of them, too.
"""

from __future__ import annotations

import functools
import gc
import os
import pickle
import subprocess
import sys
import threading
import tracemalloc
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tests.runtime.llvm.pycall.calls import F4, Box, floats, step_spec
from tinytorch.frontend.tensor import kernels
from tinytorch.runtime import memory
from tinytorch.runtime.llvm.pycall.call import InputSpec, make_call
from tinytorch.runtime.llvm.text import jit
from tinytorch.runtime.llvm.text.builder import Module
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I64, PTR

PAGE = 4096
MIB = 1 << 20
BATCHES = (4, 32, 8, 20, 12, 28, 16, 24)
SetBudget = Callable[[int], None]


def pages(size: int) -> int:
    return -(-size // PAGE) * PAGE


class Account:
    """How many bytes there are more than at first."""

    def __init__(self) -> None:
        self._all = memory.word("all_bytes")

    @property
    def all(self) -> int:
        return memory.word("all_bytes") - self._all

    @property
    def free(self) -> int:
        return memory.word("free_bytes")


@pytest.fixture
def account(set_budget: SetBudget, monkeypatch: pytest.MonkeyPatch) -> Account:
    monkeypatch.setattr(kernels.slot, "handed", None)  # eager kernels hold memory of their own
    gc.collect()
    set_budget(0)
    set_budget(memory.BUDGET)
    assert memory.word("free_bytes") == 0
    return Account()


class Net(tt.Module):
    """A small CNN."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = tt.Conv2d(3, 16, 3, padding=1)
        self.pool = tt.MaxPool2d(2)
        self.last = tt.Linear(16 * 16 * 16, 10)

    def forward(self, x: tt.Tensor) -> tt.Tensor:
        return self.last(self.pool(tt.relu(self.conv(x))).flatten(1))


def training() -> tuple[tt.Compiled, Callable[[int], tuple[tt.Tensor, tt.Tensor]]]:
    model = Net()
    optimizer = tt.SGD(model.parameters(), lr=0.01)

    @tt.compile
    def step(x: tt.Tensor, y: tt.Tensor) -> tt.Tensor:
        loss = tt.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step, lambda batch: (tt.randn(batch, 3, 32, 32), tt.tensor(np.zeros(batch, np.int64)))


pytestmark = pytest.mark.filterwarnings("ignore:.*is compiled for the 3rd time")


# One arena for each call in flight.
def test_signatures_share_one_arena(account: Account) -> None:
    """Training with eight batch sizes holds the arena of the largest."""
    step, batch = training()
    largest = 0
    for size in BATCHES:
        step(*batch(size))
        largest = max(largest, pages(step.executable.arena_bytes))
    assert largest > MIB
    assert account.all == account.free == largest


def test_signatures_hold_little_else(account: Account) -> None:
    """By tracemalloc: all that Python, numpy and the arenas take for eight batch sizes is within a few MiB of the
    largest arena."""
    step, batch = training()
    step(*batch(2))
    gc.collect()
    tracemalloc.start()
    try:
        for size in BATCHES:
            step(*batch(size))
        gc.collect()
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    step(*batch(max(BATCHES)))
    arena = step.executable.arena_bytes
    assert arena < held < arena + 6 * MIB


def test_inference_holds_one_arena_and_what_its_caller_holds(account: Account, set_budget: SetBudget) -> None:
    model = Net()
    infer = tt.compile(lambda x: tt.relu(model.conv(x)))
    held: list[tt.Tensor] = []
    arena = 0
    for size in BATCHES:
        with tt.no_grad():
            held.append(infer(tt.randn(size, 3, 32, 32)))
        arena = max(arena, pages(infer.executable.arena_bytes))
    large = sum(pages(y.data.nbytes) for y in held if y.data.nbytes >= MIB)
    assert large > 5 * MIB
    assert account.all == arena + large
    assert account.free == arena
    held.clear()
    assert account.all == account.free == arena + large <= memory.BUDGET
    set_budget(0)
    assert account.all == 0


def free_blocks() -> None:
    """Free all blocks that nobody uses, and drop nothing that was compiled."""
    memory.set_word("budget", 0)
    memory.asked.trim(memory.tick())
    memory.set_word("budget", memory.BUDGET)


def test_a_larger_arena_takes_the_place_of_a_smaller_one(account: Account) -> None:
    """So a call takes no more at any time than it would alone."""
    step, batch = training()
    small, large = batch(16), batch(48)
    step(*large)
    most = pages(step.executable.arena_bytes)
    step(*small)
    least = pages(step.executable.arena_bytes)
    free_blocks()
    tracemalloc.start()
    try:
        step(*small)
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        step(*large)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert MIB < least < most
    assert peak - before < most - least + 0.1 * MIB
    assert account.all == most


def test_the_last_arena_stays_for_the_next_call_beyond_the_budget(account: Account) -> None:
    """Fresh pages in each step would cost more than much of its work; a large result that is dropped makes room."""
    step, batch = training()
    some, f = batch(16), double()
    step(*some)
    result = f(tt.zeros(MIB))
    memory.set_word("budget", memory.word("held_bytes") + MIB)
    step(*some)
    assert account.free == pages(step.executable.arena_bytes) > MIB
    del result
    assert account.free == 0


@functools.cache
def meeting() -> jit.LoadedCode:
    """meet: frame = [w, counter, wanted, arena, status]: count this call, and wait until as many have come"""
    module = Module()
    f = module.function("meet", [PTR])
    counter, wanted = (f.load(f.params[0], PTR, 8 * i) for i in (1, 2))
    f.atomic_rmw("add", counter, f.const(1))
    count = f.convert("ptrtoint", wanted, I64)
    f.while_([], lambda: f.compare("slt", f.atomic_load(counter, I64), count), list)
    f.ret()
    return jit.load_object(jit.compile_object(module.text(), Target.host()))


def test_calls_in_flight_have_an_arena_each_and_give_it_back(account: Account) -> None:
    counter = np.zeros(1, np.int64)
    operands = {"arguments": (), "states": (InputSpec("w", F4, (2,)),), "outputs": (), "releases_gil": True}

    def make(wanted: int, arena: int) -> Callable[..., Any]:
        constants = (counter.ctypes.data, wanted)
        spec = step_spec(
            Box(floats(1, 2)), **operands, constants=constants, arena_bytes=arena, references=(meeting(), counter)
        )
        return make_call(meeting().address("meet"), spec)

    three, later = make(3, MIB), make(4, PAGE)
    threads = [threading.Thread(target=three, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert counter[0] == 3
    assert account.all == account.free == 3 * MIB
    later()
    assert account.all == account.free == 3 * MIB


# Results.
def double(scale: float = 2.0) -> tt.Compiled:
    return tt.compile(lambda x: x * scale)


def test_what_the_caller_drops_serves_other_functions(account: Account) -> None:
    f, g = double(2.0), double(3.0)
    x = tt.randn(MIB)
    first = f(x)
    where, used = first.data.ctypes.data, account.all
    del first
    np.testing.assert_array_equal(g(x).data, x.data * 3)
    second = g(x)
    assert second.data.ctypes.data == where
    assert account.all == used
    assert where % PAGE == 0


def test_a_block_much_larger_than_a_result_does_not_serve_it(account: Account) -> None:
    f = double()
    f(tt.randn(2 * MIB))
    result = f(tt.randn(MIB))
    assert account.all - account.free == pages(result.data.nbytes)


def test_dropped_results_are_freed_beyond_the_budget(account: Account, set_budget: SetBudget) -> None:
    f = double()
    sizes = [(8 + i) * MIB for i in range(0, 12, 2)]
    held = [f(tt.zeros(size // 4)) for size in sizes]
    assert account.all - account.free == sum(sizes)
    memory.set_word("budget", memory.word("held_bytes") + 30 * MIB)
    held.clear()
    assert 18 * MIB <= account.free <= 30 * MIB
    assert account.all == account.free


def test_the_block_used_longest_ago_goes_first(account: Account) -> None:
    f = double()
    zeros = {size: tt.zeros(size * MIB // 4) for size in (8, 10, 12)}
    held = {size: f(x) for size, x in zeros.items()}
    where = {size: y.data.ctypes.data for size, y in held.items()}
    for size in (10, 8, 12):
        f(tt.zeros(4))  # time passes
        del held[size]
    memory.set_word("budget", memory.word("held_bytes") + account.free - MIB)
    memory.asked.trim(memory.tick())
    assert 20 * MIB <= account.free == account.all < 21 * MIB  # and an arena
    assert {size: f(zeros[size]).data.ctypes.data == where[size] for size in (8, 12)} == {8: True, 12: True}


def test_results_are_ordinary_arrays(account: Account) -> None:
    x = tt.Tensor(np.random.default_rng(0).standard_normal(MIB))
    y = double()(x)
    expected = x.data * 2
    assert y.numpy().flags.owndata
    assert y.numpy().base is None
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(y.data)), expected)
    array = y.numpy()
    del y
    array.resize(3 * MIB, refcheck=False)
    np.testing.assert_array_equal(array[:MIB], expected)
    assert not array[MIB:].any()
    array.resize(10, refcheck=False)
    np.testing.assert_array_equal(array, expected[:10])
    del array
    assert account.all == account.free


def test_a_result_may_be_dropped_by_another_thread_and_outlive_the_function(account: Account) -> None:
    f = double()
    held = [f(tt.ones(MIB))]
    del f
    assert held[0].data[-1] == 2
    thread = threading.Thread(target=held.clear)
    thread.start()
    thread.join(60)
    assert account.all - account.free == 0


@contextmanager
def without_collector() -> Generator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


# Dropped functions.
def test_a_dropped_function_takes_all_with_it(account: Account) -> None:
    asked = memory.word("largest_arena"), memory.word("largest_result")
    with without_collector():
        step, batch = training()
        for size in (8, 32):
            step(*batch(size))
        double_ = double()
        double_(tt.zeros(MIB))
        assert account.all > MIB
        shown = step._shown
        constants = [weakref.ref(x) for x in (step, shown, shown.calls.executable, shown.calls.fast, shown.traced)]
        del step, batch, shown, double_
        assert [x() for x in constants] == [None] * len(constants)
        assert (memory.word("largest_arena"), memory.word("largest_result")) == asked
        assert account.free <= sum(asked)


def test_a_dropped_frozen_function_frees_its_constants(account: Account) -> None:
    with without_collector():
        model = tt.Linear(512, 1024)
        infer = tt.compile(model, freeze=True)
        infer.eval()
        infer(tt.randn(4, 512))
        tracemalloc.start()
        try:
            other = tt.compile(model, freeze=True)
            other(tt.randn(4, 512))
            held = tracemalloc.get_traced_memory()[0]
            assert held > 2 * MIB
            del other
            left = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
    assert left < 0.5 * MIB


def test_a_gradient_function_is_counted_and_freed(account: Account) -> None:
    with without_collector():
        f = tt.compile(lambda x: (x * x).sum())
        x = tt.randn(MIB, requires_grad=True)
        loss = f(x)
        before = f._shown.bytes
        loss.backward()
        assert f._shown.bytes > before
        vjp = weakref.ref(next(iter(f._shown.gradients.values())))
        del f, loss
        assert vjp() is None


# What was compiled.
def test_signatures_beyond_the_budget_are_dropped(account: Account, set_budget: SetBudget) -> None:
    model = tt.Linear(256, 1024)
    infer = tt.compile(lambda x: model(x), freeze=True)
    infer(tt.randn(1, 256))
    each = infer._shown.bytes
    assert each > MIB
    set_budget(4 * each)
    for batch in range(2, 12):
        infer(tt.randn(batch, 256))
    assert 2 <= len(infer._known) <= 5
    assert memory.word("held_bytes") + account.free <= 4 * each


LONGEST_AGO = """
import tinytorch as tt
from tinytorch.runtime import memory

model = tt.Linear(128, 1024)
first, second, third = (tt.compile(lambda x, k=k: model(x) * k, freeze=True) for k in (1.0, 2.0, 3.0))
x = tt.randn(2, 128)
first(x)
memory.set_word("budget", first._shown.bytes * 3 // 2)
memory.holdings.make_room()
second(x)
for _ in range(3):
    first(x)
print("third", flush=True)
third(x)
first(x)
print("second", flush=True)
second(x)
"""


def test_the_signature_used_longest_ago_goes_first() -> None:
    """Also where only machine code takes note of a call. In a process of its own, since all functions count."""
    environment = {**os.environ, "TT_LOGS": "recompiles"}
    done = subprocess.run([sys.executable, "-c", LONGEST_AGO], capture_output=True, text=True, env=environment)
    assert not done.returncode, done.stderr
    before, behind = done.stdout.split("third\n")[1].split("second\n")
    assert before.count("compiling") == 1 and "the first call" in before
    assert behind.count("dropped to make room") == 1


def test_a_dropped_graph_is_not_shown(account: Account, set_budget: SetBudget) -> None:
    f, g = double(), double()
    f(tt.ones(4)), g(tt.ones(4))
    set_budget(0)
    with pytest.raises(tt.CompileError, match="dropped to make room"):
        _ = f.graph
    assert len(g.graph.nodes) > 0
    assert f(tt.ones(4)).tolist() == [2] * 4


def test_one_function_larger_than_the_budget_runs_without_compiling_anew(
    account: Account, set_budget: SetBudget, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TT_LOGS", "recompiles")
    set_budget(MIB)
    model = tt.Linear(1024, 1024)
    infer = tt.compile(lambda x: model(x), freeze=True)
    for _ in range(3):
        infer(tt.randn(2, 1024))
    assert capfd.readouterr().out.count("compiling") == 1


# Processes.
def test_a_forked_child_has_memory_of_its_own(account: Account) -> None:
    if not hasattr(os, "fork"):
        pytest.skip("no forks on this system")
    f = double()
    x = tt.ones(MIB)
    held = f(x)
    f(x)
    child = os.fork()
    if child == 0:
        results = [f(x) for _ in range(3)]
        fine = all((y.data == 2).all() for y in (*results, held))
        results.clear()
        del held
        os._exit(0 if fine and memory.word("all_bytes") == memory.word("free_bytes") else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (held.data == 2).all()


@pytest.mark.parametrize("held", ["y", "y.data", "y.data[3:]", "memoryview(y.data)"])
def test_the_process_ends_in_peace(held: str) -> None:
    program = f"import tinytorch as tt; f = tt.compile(lambda x: x * 2); y = f(tt.ones(1 << 20)); held = {held}; f(y)"
    root = Path(__file__).parent.parent.parent
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")


class Held:
    """Something that was compiled, in a cycle."""

    bytes = used = 1

    def __init__(self) -> None:
        self.itself = self

    def drop(self) -> None:
        self.itself = None


def test_what_the_collector_takes_while_room_is_made() -> None:
    """Whatever is left is counted, at any moment of the collector."""
    before, holdings = gc.get_threshold(), memory.holdings
    gc.collect()
    gc.disable()
    try:
        for _ in range(400):
            holdings.enter(Held())
        pairs = [(i, holdings) for i in range(4000)]  # so that none is left to be used again without being counted
        gc.set_threshold(gc.get_count()[0] + 200, 1, 1)  # when half of them have been looked at
        gc.enable()
        holdings.make_room()
        assert len(pairs) == 4000
    finally:
        gc.set_threshold(*before)
        gc.enable()
