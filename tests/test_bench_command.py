"""`tinytorch bench module:callable`, and that all who count operations and bytes say the same. No times are tested."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import tinytorch as tt
from tinytorch.cli import app, bench

MODELS = """
import tinytorch as tt

class Net(tt.Module):
    def __init__(self):
        self.first, self.last = tt.Linear(6, 16), tt.Linear(16, 3)
    def forward(self, x):
        return self.last(self.first(x).relu())

model = Net()
optimizer = tt.SGD(model.parameters(), lr=0.1)

def step(x):
    optimizer.zero_grad()
    loss = (model(x) ** 2).mean()
    loss.backward()
    optimizer.step()
    return loss

weight = tt.ones(3)

@tt.compile
def product(a, b):
    return a @ b

def nothing():
    return weight + 1.0

def double(x):
    return x * 2.0
"""
# A product of [4, 6] @ [6, 16], biases, ReLU, a product of [4, 16] @ [16, 3], biases.
FLOPS = 2 * 4 * 6 * 16 + 4 * 16 + 4 * 16 + 2 * 4 * 16 * 3 + 4 * 3
QUICK = ("--rounds", "2", "--seconds", "1e-4")


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "benched.py").write_text(MODELS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "benched", raising=False)


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["bench", *arguments], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.output


def test_a_model_in_all_ways() -> None:
    before = tt.get_num_threads()
    tt.set_num_threads(2)
    try:
        output = run("benched:Net", "--input", "f32[4,6]", *QUICK, "--json", "r.json", "--md", "r.md")
        assert tt.get_num_threads() == 2
    finally:
        tt.set_num_threads(before)
    found, ways = json.loads(Path("r.json").read_text()), ["eager", "interpreter"]
    ways += ["compiled, 1 thread", "compiled, 2 threads"]
    assert [each["name"] for each in found["comparison"]["models"]] == ways
    assert [each["threads"] for each in found["comparison"]["models"]] == [None, None, 1, 2]
    assert found["flops"] == FLOPS and [peaks["threads"] for peaks in found["peaks"]] == [1, 2]
    for each in found["comparison"]["models"]:
        assert len(each["times"]) == 2 and each["flops_per_second"] == FLOPS / each["figures"]["latency"]
        assert (each["limit_seconds"] is None) == (each["threads"] is None)
    rows = [line for line in Path("r.md").read_text().splitlines() if line.startswith("|")]
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows[2:]] == ways
    assert {row.count("|") for row in rows} == {8}
    assert all(way in output for way in ways) and "written to r.json" in output and "written to r.md" in output


def test_a_training_step_and_what_is_compiled_already() -> None:
    run("benched:step", "--input", "f32[4,6]", *QUICK, "--json", "step.json")
    compiled = tt.compile(importlib.import_module("benched").step)
    compiled(tt.ones(4, 6))
    explained, found = compiled.explain(), json.loads(Path("step.json").read_text())
    assert found["flops"] == explained.flops > 2 * FLOPS
    assert found["kernels"] == [kernel.title for kernel in explained.kernels]
    run("benched:product", "--input", "f64[2,3]", "--input", "f64[3,4]", *QUICK, "--json", "product.json")
    assert json.loads(Path("product.json").read_text())["flops"] == 2 * 2 * 4 * 3


def test_without_arguments_and_with_a_number() -> None:
    for target, inputs, count in (("nothing", (), 3), ("double", ("--input", "f32[]"), 1)):
        run(f"benched:{target}", *inputs, *QUICK, "--json", "r.json")
        found = json.loads(Path("r.json").read_text())
        assert found["flops"] == count and found["comparison"]["samples"] == 1


def test_the_interpreter_is_left_out_where_it_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "_LONG", 0.0)
    output = run("benched:Net", "--input", "f32[4,6]", *QUICK)
    assert "interpreter was left out" in output and "compiled, 1 thread" in output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("benched:other",), "has no 'other'"),
        (("no_such:f",), "cannot import 'no_such'"),
        (("benched:Net",), "give the type of each with --input"),
        (("benched:Net", "--input", "f32[4,5]"), "ShapeError"),
        (("benched:product", "--input", "f32[1,1]", "--input", "f32[1,1]", "--md", "no/r.md"), "cannot write no/r.md"),
    ],
)
def test_what_cannot_be_benched_is_refused(arguments: tuple[str, ...], says: str) -> None:
    assert says in run(*arguments, *QUICK, code=2)


def test_all_count_alike() -> None:
    """`Profiler`, `Benchmark`, `explain`, the report and `tinytorch bench`, by hand counts and by each other."""
    run("benched:Net", "--input", "f32[4,6]", *QUICK, "--json", "r.json")
    benched = json.loads(Path("r.json").read_text())
    x: Any = tt.ones(4, 6)
    compiled = tt.compile(importlib.import_module("benched").Net())
    with tt.no_grad():
        compiled(x)
    profile = tt.Profiler(repeats=1, warmup=0).profile(compiled, (4, 6))
    compared = tt.Benchmark(example=x, rounds=2, seconds=1e-4).compare_models({"net": compiled}, ["flops", "memory"])
    explained, record = compiled.explain(), compiled.report(measure=False)
    counts = [profile.flops, compared["net"].figures["flops"], explained.flops, record.flops, benched["flops"]]
    counts += [sum(k.flops for k in kernels) for kernels in (explained.kernels, record.kernels)]
    counts += [sum(line.flops for line in lines) for lines in (explained.lines, record.lines)]
    assert set(counts) == {FLOPS}, counts
    names = [[kernel.title for kernel in each.kernels] for each in (explained, record)]
    assert names == [benched["kernels"]] * 2 and len(names[0]) == 2
    modules = [[kernel.module for kernel in each.kernels] for each in (explained, record)]
    assert modules == [[f"Net.{each.name}" for each in profile.modules if each.name]] * 2
    assert {explained.name, record.title, profile.as_dict()["title"]} == {"Net"}
    # The two products with what is fused to them: operands, weights, biases, results.
    moved = 4 * (4 * 6 + 6 * 16 + 16 + 4 * 16) + 4 * (4 * 16 + 16 * 3 + 3 + 4 * 3)
    for each in (explained, record):
        assert sum(k.bytes_read + k.bytes_written for k in each.kernels) == moved == benched["bytes"]
        assert sum(line.bytes for line in each.lines) == moved
    arenas = [profile.memory.forward, explained.arena_bytes, record.arena_bytes + record.outside.scratch]
    assert arenas == [benched["arena_bytes"]] * 3 and compiled.memory_plan().allocated == arenas[0] >= 4 * (4 * 16)
    held = 4 * (6 * 16 + 16 + 16 * 3 + 3) + 4 * (4 * 6) + 4 * (4 * 3) + arenas[0]  # weights, inputs, results, arena
    memory = {each["name"]: each["figures"]["memory"] for each in benched["comparison"]["models"]}
    assert compared["net"].figures["memory"] == profile.memory.inference == memory["compiled, 1 thread"] == held
