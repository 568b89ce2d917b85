"""Records of compiled functions: what passes did, kernels, memory, times, lines."""

from __future__ import annotations

import json
import linecache
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tests.numpy_backend import NumpyBackend
from tinytorch.frontend.module import Module
from tinytorch.insight.record import Record, load_record, record_of
from tinytorch.ir.errors import CompileError, TinyTorchError
from tinytorch.passes.kernels import groups

HERE = str(Path(__file__))


class Model(Module):
    """Two alike layers, and one of another size."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = tt.Linear(32, 32), tt.Linear(32, 32), tt.Linear(32, 4)

    def forward(self, x: Any) -> Any:
        x = self.first(x).relu()
        x = self.second(x).relu()
        return self.last(x)


def training_step() -> tuple[Model, Any]:
    tt.manual_seed(0)
    model = Model()
    optimizer = tt.SGD(model.parameters(), lr=0.1, momentum=0.9)

    @tt.compile
    def step(x: Any, y: Any) -> Any:
        loss = tt.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return model, step


ARGUMENTS = tt.ones(16, 32), tt.Tensor(np.arange(16) % 4)


@pytest.fixture(scope="module")
def step() -> Any:
    made = training_step()[1]
    made(*ARGUMENTS)
    return made


@pytest.fixture(scope="module")
def record(step: Any) -> Record:
    return step.report()


# The whole.
def test_json_holds_a_record(record: Record, tmp_path: Path) -> None:
    record.save(tmp_path / "record.json")
    assert load_record(tmp_path / "record.json") == record
    assert record_of(json.loads(json.dumps(record.as_dict()))) == record
    assert repr(record).startswith("Record(step: ") and len(repr(record)) < 200 and "kernels on llvm" in repr(record)
    (tmp_path / "other.json").write_text('{"title": 1}')
    for name in ("other.json", "none.json"):
        with pytest.raises(TinyTorchError, match="holds no report"):
            load_record(tmp_path / name)
    with pytest.raises(TinyTorchError, match="cannot write"):
        record.save(tmp_path / "none" / "record.json")


def test_operations_and_bytes_of_lines_add_up(step: Any, record: Record) -> None:
    flops = sum(node.flops for node in step.graph.nodes)
    assert record.flops == flops == sum(line.flops for line in record.lines) == sum(k.flops for k in record.kernels)
    moved = sum(k.bytes_read + k.bytes_written for k in record.kernels)
    assert moved == sum(line.bytes for line in record.lines) > 0


def test_every_place_is_a_line_of_the_users_file(record: Record) -> None:
    locs = {line.loc for line in (*record.first_graph, *record.last_graph)}
    locs |= {loc for kernel in record.kernels for loc in (*kernel.locs, *kernel.lines)}
    locs |= {refusal.loc for refusal in record.refusals} | {buffer.loc for buffer in record.buffers}
    locs |= {loc for step in record.passes for rewrite in step.rewrites for loc in rewrite.where}
    source = record.files[HERE]
    assert set(record.files) == {HERE} and source == tuple(Path(HERE).read_text().splitlines())
    named = {loc.rpartition(":") for loc in locs - {""}}
    assert {path for path, _, _ in named} == {HERE}
    assert any("self.second(x)" in source[int(line) - 1] for _, _, line in named)
    assert {line.file for line in record.lines} <= {HERE, ""}


def test_what_was_not_called_is_a_clear_error() -> None:
    made = training_step()[1]
    for ask in (made.report, made.explain, made.memory_plan, lambda: made.trace("nowhere.json")):
        with pytest.raises(CompileError, match="step has not been called yet"):
            ask()


def test_measuring_changes_nothing() -> None:
    model, step = training_step()
    plain_model, plain = training_step()
    for made in (step, plain):
        made(*ARGUMENTS)
    step.report()
    losses = [made(*ARGUMENTS).item() for made in (step, plain)]
    assert losses[0] == losses[1]
    for a, b in zip(model.parameters(), plain_model.parameters(), strict=True):
        assert np.array_equal(a.numpy(), b.numpy())


def test_sources_of_notebooks_are_there() -> None:
    """Their cells are no files; Python's own `linecache` has them."""
    name, source = "<cell 3>", "def double(x):\n    return (x + x).sum()\n"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    space: dict[str, Any] = {}
    exec(compile(source, name, "exec"), space)
    made = tt.compile(space["double"])
    made(tt.ones(3))
    record = made.report(measure=False)
    assert record.files == {name: ("def double(x):", "    return (x + x).sum()")}
    assert [(line.file, line.line) for line in record.lines] == [(name, 2)] and "(x + x).sum()" in str(made.explain())


def test_form_feeds_in_a_source_end_no_line(tmp_path: Path) -> None:
    file = tmp_path / "pages.py"
    file.write_text('"""A\x0cB."""\n\x0c\ndef double(x):\n    return (x + x).sum()\n')
    space: dict[str, Any] = {}
    exec(compile(file.read_text(), str(file), "exec"), space)
    made = tt.compile(space["double"])
    made(tt.ones(3))
    record = made.report(measure=False)
    (cost,) = record.lines
    assert record.files[cost.file][cost.line - 1] == "    return (x + x).sum()"


# Passes.
def test_differences_lead_from_the_first_graph_to_the_last(record: Record) -> None:
    count = len(record.first_graph)
    for each in record.passes:
        count += sum(kind == "+" for kind, _, _ in each.diff) - sum(kind == "-" for kind, _, _ in each.diff)
        assert each.changed == bool(each.diff) == bool(each.rewrites)
    assert count == len(record.last_graph)
    assert len(record.passes) == len({id(each) for each in record.passes}) > 20
    assert sum(each.seconds for each in record.passes) > 0


def test_rules_are_told_with_places_and_examples(record: Record) -> None:
    simplify = next(each for each in record.passes if each.name == "simplify")
    found = {rewrite.rule: rewrite for rewrite in simplify.rewrites}
    rewrite = found["detach(x) → x"]
    assert rewrite.count > 0 and rewrite.before.startswith("detach(%") and rewrite.after.startswith("%")
    assert any(loc.startswith(f"{HERE}:") for loc in rewrite.where)
    materialize = next(each for each in record.passes if each.name == "materialize")
    assert not materialize.changed  # it makes the graph anew, with the same nodes
    fuse = next(each for each in record.passes if each.name == "fuse")
    assert any(kind == "+" and "= kernel(" in text for kind, text, _ in fuse.diff)


def test_refusals_have_reasons(record: Record) -> None:
    reasons = {(r.producer.split()[0], r.consumer): r.reason for r in record.refusals}
    assert reasons["maximum", "matmul"] == groups.OWN_OPERANDS
    assert reasons["add", "max"] == groups.NOT_IN_EPILOGUE


@pytest.mark.parametrize(
    ("function", "pair", "reason"),
    [
        (lambda x: (x.sum(0) * 2.0).exp() @ x.T, ("exp", "matmul"), groups.OWN_OPERANDS),
        (lambda x: x.sum(0, keepdim=True) + x.sum(1, keepdim=True), ("sum", "add"), groups.OTHER_AXES),
        (lambda x: x.exp().sum(0).sum(), ("sum", "sum"), groups.OTHER_SHAPE),
        (lambda x: (s := x.sum(1, keepdim=True)).flip(0) + s, ("sum", "add"), groups.THROUGH_A_VIEW),
        (lambda x: (x @ x.T).relu().sum(1), ("maximum", "sum"), groups.NOT_IN_EPILOGUE),
        (lambda x: x.cumsum(0).sin(), ("cumsum", "sin"), groups.NO_EPILOGUE),
    ],
)
def test_why_nodes_are_apart(function: Any, pair: tuple[str, str], reason: str) -> None:
    made = tt.compile(function)
    made(tt.ones(4, 8))
    found = {(r.producer.split()[0], r.consumer): r.reason for r in made.explain().refusals}
    assert found.get(pair, "").startswith(reason), found


# Kernels.
def test_kernels_have_code_and_alike_ones_share_it(step: Any, record: Record) -> None:
    calls = [call for wave in step.executable.schedule.waves for call in wave]
    assert [kernel.id for kernel in record.kernels] == list(range(len(calls)))
    names = {line.node for line in record.last_graph if line.op == "kernel"}
    assert {kernel.node for kernel in record.kernels} == names and "" not in names
    alike = [kernel for kernel in record.kernels if kernel.alike is not None]
    assert alike and len(alike) < len(record.kernels)
    for kernel in record.kernels:
        first = record.kernels[kernel.id if kernel.alike is None else kernel.alike]
        assert "define " in first.llvm and ":" in first.assembly and first.ir.startswith("graph @")
        assert (kernel.llvm == "") == (kernel.alike is not None)
        lines = first.ir.split("\n")
        assert all(0 < number <= len(lines) for numbers in kernel.lines.values() for number in numbers)
    product = record.kernels[0]
    (numbers,) = [v for loc, v in product.lines.items() if "self.first" in _text(record, loc)]
    assert any("matmul" in product.ir.split("\n")[number - 1] for number in numbers)


def _text(record: Record, loc: str) -> str:
    path, _, line = loc.rpartition(":")
    return record.files[path][int(line) - 1]


# Memory.
def test_the_plan_is_there_before_the_first_call_and_is_what_is_allocated() -> None:
    made = training_step()[1]
    plan = made.memory_plan(*ARGUMENTS)
    with pytest.raises(CompileError, match="has not been called"):
        made.memory_plan()
    made(*ARGUMENTS)
    assert made.memory_plan() == plan
    assert plan.allocated == plan.arena_bytes + plan.outside.scratch == made.executable.program.arena_bytes
    assert plan.arena_bytes == made.executable.schedule.arena_bytes
    weights = sum(p.numpy().nbytes for p in training_step()[0].parameters())
    assert plan.outside.state == 2 * weights and plan.outside.results == 4
    assert plan.peak is not None and max(plan.in_use()) == plan.peak.bytes == plan.in_use()[plan.peak.instant]
    assert sum(buffer.bytes for buffer in plan.alive(plan.peak.instant)) == plan.peak.bytes <= plan.arena_bytes
    assert "Memory over time" in str(plan)


def test_buffers_that_live_at_one_time_lie_apart(record: Record) -> None:
    assert record.buffers
    for a, b in combinations(record.buffers, 2):
        together = a.first <= b.last and b.first <= a.last
        assert not together or a.offset + a.bytes <= b.offset or b.offset + b.bytes <= a.offset
    assert max(buffer.offset + buffer.bytes for buffer in record.buffers) <= record.arena_bytes
    assert all(0 <= b.first <= b.last < len(record.kernels) and b.first <= b.kernel for b in record.buffers)


# Times.
def test_times_add_up(record: Record) -> None:
    assert record.call_seconds is not None and record.timeline
    kernels = [kernel.measured for kernel in record.kernels]
    assert all(seconds is not None for seconds in kernels)
    total = sum(seconds or 0.0 for seconds in kernels)
    assert 0 < total <= record.call_seconds
    assert total == pytest.approx(sum(line.seconds or 0.0 for line in record.lines))
    ends: dict[int, float] = {}
    for chunk in record.timeline:
        assert 0 <= chunk.begin <= chunk.end <= record.call_seconds
        assert chunk.wave == record.kernels[chunk.kernel].wave
        ends[chunk.wave] = max(ends.get(chunk.wave, 0.0), chunk.end)
    begins = {wave: min(c.begin for c in record.timeline if c.wave == wave) for wave in ends}
    assert all(ends[a] <= begins[b] for a, b in pairwise(sorted(ends)))  # waves run one after the other
    assert {chunk.kernel for chunk in record.timeline} == set(range(len(record.kernels)))


def test_the_trace_file_is_one_that_viewers_read(step: Any, tmp_path: Path) -> None:
    step.trace(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    pieces = [event for event in events if event["ph"] == "X"]
    assert {event["args"]["name"] for event in events if event["name"] == "process_name"} == {"step"}
    assert {event["tid"] for event in pieces} == {e["tid"] for e in events if e["name"] == "thread_name"}
    for thread in {event["tid"] for event in pieces}:
        own = [(event["ts"], event["ts"] + event["dur"]) for event in pieces if event["tid"] == thread]
        assert all(a[1] <= b[0] + 1e-9 for a, b in pairwise(own))
    counters = [event for event in events if event["ph"] == "C"]
    assert max(event["args"]["bytes"] for event in counters) == max(step.memory_plan().in_use())
    with pytest.raises(TinyTorchError, match="cannot write"):
        step.trace(tmp_path / "none" / "trace.json")


# All kinds of functions.
def test_compilations_keep_their_reasons() -> None:
    made = tt.compile(lambda x, scale=1.0: (x * scale).sum())
    made(tt.ones(3))
    made(tt.ones(3))
    made(tt.ones(4, 2), scale=2.0)
    first, second = made.report(measure=False).compilations
    assert (first.number, first.signature, first.reason) == (1, "f32[3]", "the first call")
    assert (second.number, second.signature) == (2, "f32[4,2], scale=2.0")
    assert second.reason.startswith("another structure of the arguments")
    assert first.seconds > 0 and "another structure" in str(made.explain())


class Silent:
    """A static argument that cannot be written out."""

    factor = 2.0

    def __repr__(self) -> str:
        raise RuntimeError


def test_signatures_write_out_what_has_a_spelling_of_its_own() -> None:
    made = tt.compile(lambda x, *how: x * how[0].factor)
    assert np.array_equal(made(tt.ones(2), Silent(), tt.f32, None, "a", (1, slice(2))).numpy(), [2, 2])
    (only,) = made.report(measure=False).compilations
    assert only.signature == "f32[2], <Silent>, f32, None, 'a', (1, slice(None, 2, None))"


def test_the_interpreter_has_no_kernels_and_says_so(tmp_path: Path) -> None:
    made = tt.compile(lambda x: (x @ x).exp().sum(), backend="interpreter")
    made(tt.ones(4, 4))
    record = made.report()
    assert record.backend == "interpreter" and not record.kernels and record.first_graph and record.passes
    assert "no kernels" in record.timeline_how and record.call_seconds is None
    assert record.flops == sum(line.flops for line in record.lines) > 0
    with pytest.raises(CompileError, match=r"no time to trace.*no kernels"):
        made.trace(tmp_path / "trace.json")


def test_a_backend_that_shows_no_code_is_measured_kernel_by_kernel() -> None:
    made = tt.compile(lambda x: (x @ x).relu().sum(), backend=NumpyBackend("report"))
    made(tt.ones(8, 8))
    record = made.report()
    assert record.backend == "numpy" and all(k.measured and not k.llvm for k in record.kernels)
    assert record.call_seconds == pytest.approx(sum(k.measured or 0.0 for k in record.kernels))
    assert "timed alone" in record.timeline_how


def test_frozen_saved_and_quantized_functions_have_reports(tmp_path: Path) -> None:
    model = Model().eval()
    frozen = tt.compile(model, freeze=True)
    frozen(tt.ones(2, 32))
    record = frozen.report()
    assert record.outside.state == 0 < record.outside.constants and record.call_seconds
    tt.save(frozen, tmp_path / "model.tt")
    loaded = tt.load(tmp_path / "model.tt")
    loaded(tt.ones(2, 32))
    same = [[(k.family, k.result, k.flops, k.assembly) for k in r.kernels] for r in (loaded.report(), record)]
    assert same[0] == same[1]
    assert str(loaded.explain()).count("matmul") >= 3
    quantized = tt.compile(tt.quantize(model, tt.ones(2, 32)), freeze=True)
    quantized(tt.ones(2, 32))
    assert any("u8" in k.result or "i8" in k.result or "i8" in k.ir for k in quantized.report().kernels)


def test_a_limit_of_memory_shows_what_is_computed_again() -> None:
    def step_within(limit: int | None) -> tt.Compiled:
        layers = [tt.Linear(32, 32) for _ in range(6)]
        optimizer = tt.SGD([p for layer in layers for p in layer.parameters()], lr=0.05)

        def step(x: Any) -> Any:
            for layer in layers:
                x = layer(x).tanh()
            loss = x.square().mean()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            return loss

        made = tt.compile(step, memory_limit=limit)
        made(tt.ones(64, 32))
        return made

    limit = int(step_within(None).memory_plan().allocated * 0.7)
    record = step_within(limit).report(measure=False)
    again = next(each for each in record.passes if each.name == "rematerialize")
    assert again.changed and again.nodes_after > again.nodes_before
    assert record.arena_bytes + record.outside.scratch <= limit


def test_a_failed_check_is_told() -> None:
    """Made-up indices are 0, and so smaller than these may be."""
    made = tt.compile(lambda table, index: table[index - 9], backend="llvm")
    made(tt.ones(4, 2), tt.Tensor(np.array([7])))
    record = made.report()
    assert "a check in the graph failed" in record.timeline_how and not record.timeline
    assert all(kernel.measured is None for kernel in record.kernels)


def test_a_graph_of_thousands_of_nodes() -> None:
    """Each node's text is made once, and differences take n log n, so that large graphs are no problem."""

    def chain(x: Any) -> Any:
        for _ in range(700):
            x = (x + 1.0).sin() * x
        return x.sum()

    made = tt.compile(chain)
    made(tt.ones(8))
    record = made.report(measure=False)
    assert len(record.first_graph) > 2000 and record.kernels
