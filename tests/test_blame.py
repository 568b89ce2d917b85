"""tt.verify blames the pass that is wrong, wherever in the pipeline it stands, or else the kernel."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import blame
from tinytorch.ir.errors import CompileError, VerifyError
from tinytorch.ir.graph import Graph, Node, Value
from tinytorch.ir.op import OPS
from tinytorch.ir.ops import core, view
from tinytorch.ir.text.parser import parse_graph
from tinytorch.passes.images.fold_batch_norm import fold_batch_norm
from tinytorch.passes.pipeline import Pass, Passes, kernel_passes

Damage = Callable[[Node], list[Node]]
PIPELINES: dict[str, Passes] = {"plain": kernel_passes(), "frozen": kernel_passes(frozen=True)}


# Ways for a pass to be wrong: the last node of some kind becomes others that give its value.
def scale(node: Node) -> list[Node]:
    """A constant is twice what it was."""
    return [replace(node, attrs={"value": node.attrs["value"] * 2})]


def swap(node: Node) -> list[Node]:
    """An addition becomes a subtraction."""
    return [replace(node, op=OPS["sub"], attrs={})]


def reverse(node: Node) -> list[Node]:
    """An axis runs the other way."""
    made = Value(node.output.type)
    return [replace(node, outputs=(made,)), Node(view.flip, (made,), {"axes": (0,)}, node.outputs, node.loc)]


def drop(node: Node) -> list[Node]:
    """A relu, or the maximum that it expands to, lets everything pass."""
    x = next(v for v in node.inputs if v.type == node.output.type)
    return [Node(core.copy, (x,), {}, node.outputs, node.loc)]


TARGETS: dict[str, tuple[Damage, Callable[[Node], bool]]] = {
    "scale": (scale, lambda n: n.op is core.constant and n.output.type.dtype.is_float and n.attrs["value"].max() > 0.1),
    "swap": (swap, lambda n: n.op.name == "add"),
    "reverse": (
        reverse,
        lambda n: n.op.name in ("add", "mul") and n.output.type.rank > 0 and n.output.type.shape[0] > 1,
    ),
    "drop": (drop, lambda n: n.op.name in ("relu", "maximum")),
}


def damaged(nodes: Sequence[Node], make: Damage, fits: Callable[[Node], bool]) -> list[Node] | None:
    """The nodes with the last fitting one replaced, in a kernel's body too; None if none fits."""
    for i, node in reversed(list(enumerate(nodes))):
        new = None
        if node.op.kind == "kernel":
            body: Graph = node.attrs["body"]
            inner = damaged(body.nodes, make, fits)
            new = inner and [replace(node, attrs={**node.attrs, "body": body.with_nodes(inner)})]
        elif fits(node):
            new = make(node)
        if new:
            return [*nodes[:i], *new, *nodes[i + 1 :]]
    return None


def wrong(step: Pass, name: str, make: Damage, fits: Callable[[Node], bool], done: list[str]) -> Pass:
    """`step` with its result damaged, under another name."""

    @functools.wraps(step)
    def run(graph: Graph) -> Graph:
        result = step(graph)
        nodes = damaged(result.nodes, make, fits)
        if nodes is None:
            return result
        done.append(name)
        return result.with_nodes(nodes)

    run.__name__ = name
    return run


def places(pipeline: Passes) -> list[tuple[int, ...]]:
    return [
        place
        for i, each in enumerate(pipeline)
        for place in ([(i,)] if callable(each) else [(i, j) for j in range(len(each))])
    ]


def planted(pipeline: Passes, place: tuple[int, ...], make: Callable[[Pass], Pass]) -> Passes:
    """The pipeline with the pass at `place` replaced."""
    steps: list[Any] = list(pipeline)
    if len(place) == 1:
        steps[place[0]] = make(steps[place[0]])
    else:
        group = list(steps[place[0]])
        group[place[1]] = make(group[place[1]])
        steps[place[0]] = tuple(group)
    return tuple(steps)


def run_instead(monkeypatch: pytest.MonkeyPatch, steps: Passes) -> None:
    """Let tt.verify run these passes."""
    monkeypatch.setattr(blame, "kernel_passes", lambda *_, **__: steps)


class Net(tt.Module):
    """Something for every pass to work on."""

    def __init__(self) -> None:
        tt.manual_seed(0)
        self.conv = tt.Conv2d(3, 4, 3, padding=1)
        self.norm = tt.BatchNorm2d(4)
        self.norm.running_mean.copy_(tt.tensor([0.5, -1.0, 0.25, 2.0]))
        self.norm.running_var.copy_(tt.tensor([0.5, 2.0, 4.0, 1.5]))
        self.head = tt.Linear(4 * 4, 5)

    def forward(self, x: tt.Tensor) -> tt.Tensor:
        x = tt.MaxPool2d(2)(self.norm(self.conv(x)).relu())
        return self.head(x.flatten(1)) * 3.0 + x.mean()


def net() -> tuple[tt.Module, tt.Tensor]:
    model = Net().eval()
    return model, tt.tensor(np.random.default_rng(0).normal(size=(2, 3, 4, 4)).astype(np.float32))


CASES = [(name, place) for name, pipeline in PIPELINES.items() for place in places(pipeline)]


@pytest.mark.parametrize("way", TARGETS)
@pytest.mark.parametrize(("pipeline", "place"), CASES)
def test_a_wrong_pass_is_named_wherever_it_stands(
    pipeline: str, place: tuple[int, ...], way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    name = "wrong_" + "_".join(map(str, place))
    steps = planted(PIPELINES[pipeline], place, lambda step: wrong(step, name, *TARGETS[way], done))
    run_instead(monkeypatch, steps)
    model, x = net()
    with pytest.raises(VerifyError) as error:
        tt.verify(model, x, folder=str(tmp_path), freeze=pipeline == "frozen")
    assert done
    found = rf"the pass {name} \(number \d+\) changed result 0: the first node that differs is "
    if place[0] >= len(PIPELINES[pipeline]) - 3:  # in kernels, the rules of the IR allow little of this
        found += rf"|after the pass {name} \(number \d+\) the graph is not valid: "
    assert re.search(found, str(error.value))


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_all_passes_are_compared_and_right(pipeline: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    expect_pass = blame.Check.expect_pass

    def look(check: blame.Check, name: str, *rest: Any) -> None:
        seen.append(name)
        expect_pass(check, name, *rest)

    monkeypatch.setattr(blame.Check, "expect_pass", look)
    model, x = net()
    report = tt.verify(tt.compile(model, freeze=pipeline == "frozen"), x)
    flat = [step for each in PIPELINES[pipeline] for step in ((each,) if callable(each) else each)]
    assert set(report.passes) == {step.__name__ for step in flat}
    assert {"expand", "channels_last", "materialize", "fuse"} <= set(seen)
    frozen = {"freeze_inputs", "fold_batch_norm", "fold_weights"}
    assert frozen & set(seen) == (frozen if pipeline == "frozen" else set())


def test_a_frozen_fault_is_reproduced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = net()
    place = (PIPELINES["frozen"].index(fold_batch_norm),)
    steps = planted(PIPELINES["frozen"], place, lambda step: wrong(step, "wrong_fold", *TARGETS["swap"], []))
    with monkeypatch.context() as patch:
        run_instead(patch, steps)
        with pytest.raises(VerifyError, match="the pass wrong_fold"):
            tt.verify(tt.compile(model, freeze=True), x, folder=str(tmp_path))
        assert parse_graph((tmp_path / "graph.ir").read_text()).inputs[0].type == x.type
        with pytest.raises(VerifyError, match=r"the pass wrong_fold .* output 0"):
            blame.reproduce(tmp_path, arguments=1)
    script = (tmp_path / "reproduce.py").read_text()
    assert "reproduce(Path(__file__).parent, arguments=1)" in script
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run(
        [sys.executable, tmp_path / "reproduce.py"], capture_output=True, text=True, check=True, env=environment
    )
    assert "interpreter and llvm agree in 1 arrays" in done.stdout


def test_a_pass_whose_graph_is_not_valid_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forget(graph: Graph) -> Graph:
        return graph.with_nodes(graph.nodes[1:])

    run_instead(monkeypatch, (*PIPELINES["plain"][:4], forget, *PIPELINES["plain"][4:]))
    model, x = net()
    with pytest.raises(VerifyError, match=r"after the pass forget \(number \d+\) the graph is not valid"):
        tt.verify(model, x, folder=str(tmp_path))
    assert (tmp_path / "reproduce.py").exists()


def test_an_error_of_the_function_is_no_fault_of_a_pass() -> None:
    with pytest.raises(CompileError, match="freeze=True, but the function changes"):
        tt.verify(tt.BatchNorm1d(3), tt.ones(2, 3), freeze=True)


def test_two_faults_that_cancel_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def negate(graph: Graph) -> Graph:
        made = Node(OPS["neg"], (graph.outputs[0],), {}, (Value(graph.outputs[0].type),))
        return graph.with_nodes([*graph.nodes, made], [made.output])

    run_instead(monkeypatch, (*PIPELINES["plain"][:3], negate, negate, *PIPELINES["plain"][3:]))
    with pytest.raises(VerifyError, match=r"the pass negate .*: the first node that differs is .* = neg"):
        tt.verify(*net(), folder=str(tmp_path))


@pytest.mark.parametrize("freeze", [False, True])
def test_a_wrong_kernel_is_named_behind_right_passes(
    freeze: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TT_CACHE_DIR", str(tmp_path / "cache"))  # the wrong code must not be kept
    maximum = OPS["maximum"]
    right = maximum.scalar
    object.__setattr__(maximum, "scalar", lambda e, x, y: x)
    try:
        with pytest.raises(VerifyError, match=r"interpreter and llvm: .*\nthe first node that differs is .* = maximum"):
            tt.verify(*net(), folder=str(tmp_path / "found"), freeze=freeze)
    finally:
        object.__setattr__(maximum, "scalar", right)
    assert "arguments=" not in (tmp_path / "found" / "reproduce.py").read_text()
    graph = parse_graph((tmp_path / "found" / "graph.ir").read_text())
    assert graph.outputs == graph.nodes[-1].outputs and graph.nodes[-1].op is maximum
