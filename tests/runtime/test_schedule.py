"""The memory plan: who runs when, and who lies where."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinytorch as tt
from tests.execution import kernels
from tests.graphs import graphs
from tinytorch.frontend.losses import CrossEntropyLoss
from tinytorch.ir.graph import Graph, Value
from tinytorch.ir.kernels.layout import layouts
from tinytorch.ir.ops.core import kernel
from tinytorch.ir.text.parser import parse_graph
from tinytorch.runtime.arena import Interval, place
from tinytorch.runtime.schedule import ALIGNMENT, Argument, Call, Place, Schedule, schedule

INTERVALS = st.lists(
    st.builds(
        lambda first, length, size: Interval(first, first + length, size),
        st.integers(0, 12),
        st.integers(0, 6),
        st.sampled_from([0, 1, 4, 60, 64, 65, 128, 1000]),
    ),
    max_size=20,
)


# The arena.
@given(INTERVALS, st.sampled_from([1, 16, 64]))
def test_live_buffers_do_not_overlap(intervals: list[Interval], alignment: int) -> None:
    offsets, size = place(intervals, alignment)
    assert size % alignment == 0
    for i, (a, at) in enumerate(zip(intervals, offsets, strict=True)):
        assert at % alignment == 0
        assert at + a.bytes <= size
        for b, other in zip(intervals[:i], offsets[:i], strict=True):
            together = a.first <= b.last and b.first <= a.last
            apart = at + a.bytes <= other or other + b.bytes <= at
            assert apart or not together or not a.bytes or not b.bytes


@given(INTERVALS)
def test_the_arena_is_no_larger_than_all_buffers(intervals: list[Interval]) -> None:
    assert place(intervals, 64)[1] <= sum(-(-i.bytes // 64) * 64 for i in intervals)


def test_space_is_used_again() -> None:
    chain = [Interval(i, i + 1, 1 << 20) for i in range(10)]
    assert place(chain, 64)[1] == 2 << 20


# The schedule.
def spans(argument: Argument) -> tuple[int, int]:
    """The bytes of its buffer, from the first to behind the last, that a kernel touches."""
    type = argument.value.type
    ends = [(d - 1) * s for d, s in zip(type.shape, argument.strides, strict=True)]
    low = argument.offset + sum(min(e, 0) for e in ends)
    high = argument.offset + sum(max(e, 0) for e in ends) + 1
    return low * type.dtype.size, high * type.dtype.size


def memory(argument: Argument) -> tuple[object, int, int] | None:
    """(which memory, from, to) of an argument; None if it has no elements."""
    if argument.value.type.size == 0:
        return None
    low, high = spans(argument)
    if argument.place.kind == "arena":
        return "arena", argument.place.index + low, argument.place.index + high
    return argument.place, low, high


def overlap(a: Argument, b: Argument) -> bool:
    x, y = memory(a), memory(b)
    return x is not None and y is not None and x[0] == y[0] and x[1] < y[2] and y[1] < x[2]


def check_data_flow(plan: Schedule) -> None:
    """Run the plan on paper: every byte that a kernel reads was written last by the value that it wants."""
    known = layouts(plan.graph)
    owner: dict[object, Value] = {("input", i): v for i, v in enumerate(plan.graph.inputs)}
    written: list[tuple[Argument, Value]] = []
    for wave in plan.waves:
        for call in wave:
            for operand, value in zip(call.operands, call.node.inputs, strict=True):
                base = known[value].base if value in known else value
                last = next((v for a, v in reversed(written) if overlap(a, operand)), None)
                if last is None and operand.place.kind != "constant" and operand.value.type.size:
                    assert owner[operand.place.kind, operand.place.index] is base
                elif last is not None:
                    assert last is base, f"{operand.value} is read after {last} was written over it"
        for call in wave:
            written += [(result, value) for result, value in zip(call.results, call.node.outputs, strict=True)]


def check_waves(plan: Schedule) -> None:
    """In a wave, no kernel writes what another one reads or writes."""
    for wave in plan.waves:
        for i, a in enumerate(wave):
            for j, b in enumerate(wave):
                if i != j:
                    assert not any(overlap(r, o) for r in a.results for o in (*b.operands, *b.results))


def check_in_place(call: Call) -> None:
    """A kernel writes over an operand only where it reads at the index that it writes, or where it updates it."""
    first = call.body.nodes[0]
    updated = call.body.inputs.index(first.inputs[0]) if first.op.kind == "update" else None
    for result in call.results:
        for i, operand in enumerate(call.operands):
            if overlap(result, operand):
                assert (result.place, result.offset, result.strides) == (operand.place, operand.offset, operand.strides)
                assert call.family in ("loop", "contract") or i == updated


def check_places(plan: Schedule) -> None:
    graph = plan.graph
    state = {o: i for i, o in graph.state}
    calls = [call for wave in plan.waves for call in wave]
    assert sum(node.op is kernel for node in graph.nodes) <= len(calls)
    final = {result.place for call in calls for result in call.results}
    for i in range(len(graph.outputs)):
        assert any((p.kind, p.index) == (("input", state[i]) if i in state else ("output", i)) for p in final)
    for call in calls:
        for result in call.results:
            assert result.place.kind != "constant"
            if result.place.kind == "input":
                assert result.place.index in state.values()
            if result.place.kind == "arena":
                assert result.place.index % ALIGNMENT == 0
                assert result.place.index + result.value.type.bytes <= plan.arena_bytes


@settings(max_examples=200)
@given(graphs())
def test_plans_of_random_graphs(graph: Graph) -> None:
    plan = schedule(kernels(graph))
    check_places(plan)
    check_waves(plan)
    check_data_flow(plan)
    for wave in plan.waves:
        for call in wave:
            check_in_place(call)


def plan_of(text: str) -> Schedule:
    return schedule(kernels(parse_graph(text)))


def test_independent_kernels_share_a_wave() -> None:
    plan = plan_of("""graph @wide(%x: f32[8,4], %y: f32[4,8]) -> (%a, %b) {
      %a = matmul(%x, %y) : f32[8,8]
      %b = matmul(%y, %x) : f32[4,4]
    }""")
    assert [len(wave) for wave in plan.waves] == [2]


def test_state_is_updated_in_place() -> None:
    plan = plan_of("""graph @sgd(%w: f32[64] = state, %g: f32[64]) -> (%n => %w) {
      %n = sub(%w, %g) : f32[64]
    }""")
    ((call,),) = plan.waves
    assert call.results[0].place.kind == "input" and plan.arena_bytes == 0


def in_place(plan: Schedule) -> list[bool]:
    """For each update in order, whether it writes over what it updates."""
    calls = [call for wave in plan.waves for call in wave if call.body.nodes[0].op.kind == "update"]
    return [call.operands[0].place == call.results[0].place for call in calls]


def test_updates_of_state_write_only_their_parts() -> None:
    plan = plan_of("""graph @cache(%k: f32[64,8] = state, %a: f32[1,8], %b: f32[2,8], %i: i64[2]) -> (%n => %k) {
      %0 = update_slice(%k, %a) : f32[64,8] {starts=(3, 0), steps=(1, 1)}
      %1 = scatter(%0, %i, %b) : f32[64,8] {axis=0}
      %n = update_slice(%1, %b) : f32[64,8] {starts=(9, 0), steps=(5, 1)}
    }""")
    assert in_place(plan) == [True] * 3 and plan.arena_bytes == 0
    assert all(call.results[0].place.kind == "input" for wave in plan.waves for call in wave)


def test_updates_of_what_dies_write_only_their_parts() -> None:
    plan = plan_of("""graph @fresh(%x: f32[64,8], %a: f32[1,8], %b: f32[2,8]) -> (%y) {
      %e = exp(%x) : f32[64,8]
      %0 = update_slice(%e, %a) : f32[64,8] {starts=(3, 0), steps=(1, 1)}
      %1 = update_slice(%0, %b) : f32[64,8] {starts=(9, 0), steps=(5, 1)}
      %t = permute(%1) : f32[8,64] {axes=(1, 0)}
      %y = matmul(%t, %1) : f32[8,8]
    }""")
    assert in_place(plan) == [True, True] and plan.arena_bytes == 64 * 8 * 4


def test_updates_keep_what_is_read_later() -> None:
    kept = plan_of("""graph @kept(%k: f32[8,8] = state, %a: f32[1,8]) -> (%s, %n => %k) {
      %n = update_slice(%k, %a) : f32[8,8] {starts=(3, 0), steps=(1, 1)}
      %t = permute(%n) : f32[8,8] {axes=(1, 0)}
      %s = matmul(%k, %t) : f32[8,8]
    }""")
    assert in_place(kept) == [False]
    itself = plan_of("""graph @itself(%k: f32[8,8] = state) -> (%n => %k) {
      %h = slice(%k) : f32[4,8] {starts=(0, 0), limits=(4, 8), steps=(1, 1)}
      %n = update_slice(%k, %h) : f32[8,8] {starts=(2, 0), steps=(1, 1)}
    }""")
    assert in_place(itself) == [False]
    between = plan_of("""graph @between(%k: f32[8,8] = state, %a: f32[1,8]) -> (%s, %n => %k) {
      %m = update_slice(%k, %a) : f32[8,8] {starts=(3, 0), steps=(1, 1)}
      %s = sum(%m) : f32[1,8] {axes=(0,)}
      %n = update_slice(%m, %a) : f32[8,8] {starts=(5, 0), steps=(1, 1)}
    }""")
    assert in_place(between) == [True, True] and len(between.waves) == 3


def test_a_guard_runs_before_any_state_changes() -> None:
    plan = plan_of("""graph @lookup(%t: f32[9,2], %i: i64[3], %n: f32[] = state) -> (%r, %m => %n) {
      %one = constant() : f32[] {value=f32[](1.0)}
      %c = checked_index(%i) : i64[3] {size=9}
      %r = gather(%t, %c) : f32[3,2] {axis=0}
      %m = add(%n, %one) : f32[]
    }""")
    guard = next(i for i, wave in enumerate(plan.waves) if any(call.guarded for call in wave))
    update = next(
        i for i, wave in enumerate(plan.waves) for call in wave if any(r.place.kind == "input" for r in call.results)
    )
    assert guard < update


def test_a_kernel_with_a_guard_writes_no_state() -> None:
    """Some of its chunks may have run when one finds an index that is out of range."""
    plan = plan_of("""graph @note(%i: i64[3], %n: i64[3] = state) -> (%m => %n) {
      %c = checked_index(%i) : i64[3] {size=9}
      %m = add(%n, %c) : i64[3]
    }""")
    guarded = [call for wave in plan.waves for call in wave if call.guarded]
    assert [node.op.name for node in guarded[0].body.nodes] == ["checked_index", "add"]
    assert all(result.place.kind == "arena" for result in guarded[0].results)
    assert [result.place for result in plan.waves[-1][0].results] == [Place("input", 1)]


def test_state_beside_a_guard_stays_where_the_guard_fails() -> None:
    """A mask that the loss needs too, in the kernel that checks the classes."""
    seen, loss = tt.Tensor(np.zeros(70_000, np.bool_)), CrossEntropyLoss(reduction="none")
    classes = np.ones(70_000, np.int64)

    @tt.compile
    def step(x: tt.Tensor, y: tt.Tensor) -> tt.Tensor:
        seen.copy_(y != -100)
        return loss(x, y)

    x = tt.Tensor(np.zeros((70_000, 3), np.float32))
    classes[-1] = 3
    with pytest.raises(IndexError, match="index 3 is out of range for size 3"):
        step(x, tt.Tensor(classes))
    assert not seen.numpy().any()
    classes[-1] = -100
    step(x, tt.Tensor(classes))
    assert seen.numpy().tolist() == (classes != -100).tolist()


def test_a_long_chain_runs_in_two_buffers() -> None:
    steps = "\n".join(f"%{i + 1} = matmul(%{i}, %w) : f32[64,64]" for i in range(12))
    plan = plan_of(f"graph @chain(%0: f32[64,64], %w: f32[64,64]) -> (%12) {{\n{steps}\n}}")
    assert plan.arena_bytes == 2 * 64 * 64 * 4
    assert len(plan.waves) == 12


def test_constants_are_kept_row_major() -> None:
    graph = parse_graph("""graph @c(%x: f32[2,2]) -> (%y) {
      %c = constant() : f32[2,2] {value=f32[2,2](1.0, 2.0, 3.0, 4.0)}
      %t = permute(%c) : f32[2,2] {axes=(1, 0)}
      %y = matmul(%x, %t) : f32[2,2]
    }""")
    assert all(c.flags.c_contiguous for c in schedule(kernels(graph)).constants)
    assert all(isinstance(c, np.ndarray) for c in schedule(kernels(graph)).constants)
