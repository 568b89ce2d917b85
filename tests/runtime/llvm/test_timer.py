"""The build of a graph that takes the time of every chunk, and the code of kernels as text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.runtime.llvm.backend import LlvmBackend
from tinytorch.runtime.llvm.lower import Generator
from tinytorch.runtime.llvm.pycall.spec import aligned_empty
from tinytorch.runtime.llvm.text.builder import Module
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.timer import _read_together, _threads
from tinytorch.runtime.measure import filled, made_up

TARGETS = [Target.host(), *([Target.named("sse2")] if Target.host().is_x86 else [])]


def several(x: Any, w: Any) -> Any:
    """A product in many chunks, a kernel beside it in the same wave, and one behind them."""
    product = (x @ w).relu()
    return product.softmax(1), x.exp().sum(0)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_every_chunk_is_seen_once_and_results_are_those_of_the_plain_build(target: Target) -> None:
    backend = LlvmBackend(target)
    compiled = tt.compile(several, backend=backend)
    compiled(tt.ones(256, 128), tt.ones(128, 192))
    schedule = compiled.executable.schedule
    calls = [call for wave in schedule.waves for call in wave]
    generator = Generator(Module(target.attributes), target)
    expected = [sum(phase.chunks for phase in generator.kernel(call).phases) for call in calls]
    assert max(expected) > 1
    timer = backend.timer(schedule)
    assert timer is not None
    arguments = [made_up(value.type) for value in schedule.graph.inputs]
    outputs = [aligned_empty(v.type.bytes).view(np.float32).reshape(v.type.shape) for v in schedule.graph.outputs]
    for _ in range(2):
        found = timer.run([*(filled(backend, array) for array in arguments), *outputs], schedule.constants)
        assert found.status == 0
        assert [sum(c.call == number for c in found.chunks) for number in range(len(calls))] == expected
        assert all(0 <= c.begin <= c.end <= found.seconds for c in found.chunks)
        assert {c.thread for c in found.chunks} <= set(range(tt.get_num_threads()))
    for result, array in zip(compiled(*map(tt.Tensor, arguments)), outputs, strict=True):
        assert np.array_equal(result.numpy(), array)


def test_frames_of_one_stack_are_one_thread() -> None:
    stacks = [0x7F0000801000, 0x7F0000001000, 0x7F0001001000]
    frames = np.array([stacks[0] - 64, stacks[1] - 4000, stacks[1] - 80, stacks[2] - 700, stacks[0] - 2000])
    assert _threads(frames, stacks[0]) == [0, 1, 1, 2, 0]
    assert _threads(frames, stacks[1]) == [1, 0, 0, 2, 1]
    assert _threads(frames[:0], stacks[1]) == []


def test_the_counter_is_read_where_nothing_comes_between() -> None:
    now = 0.0

    def passes(seconds: float) -> float:
        nonlocal now
        now += seconds
        return now

    waits = iter([1.0, 4.0, 1.0, 0.25, 1.0, 2.0, 1.0, 9.0, 1.0, 1.0])  # in front of and within each of five readings
    ticks, seconds = _read_together(lambda: int(1000 * now), lambda: passes(next(waits)))
    assert (ticks, seconds) == (6000, 6.125)


def test_a_kernel_has_the_functions_that_it_calls_in_text_and_assembly() -> None:
    backend = LlvmBackend()
    compiled = tt.compile(lambda x: (x @ x).tanh() @ x, backend=backend)
    compiled(tt.ones(48, 48))
    listings = backend.listings(compiled.executable.schedule)
    assert listings.code_of == (0, 1) and len(listings.codes) == 2
    for code in listings.codes:
        names = [line.split("@")[1].split("(")[0] for line in code.text.split("\n") if line.startswith("define ")]
        assert names and all(f"{name}:" in code.assembly for name in names)
        assert "\tret" in code.assembly and ".cfi_" not in code.assembly
    first, second = (code.text for code in listings.codes)
    assert first != second and not set(_defined(first)) & set(_defined(second)) - set(_shared(first))


def _defined(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.startswith("define ")]


def _shared(text: str) -> list[str]:
    return [line for line in _defined(text) if "@shared" in line]
