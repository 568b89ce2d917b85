"""tt.verify: agreement, state left alone, and faults found where they are."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.blame import error_of
from tinytorch.frontend.functions.random import get_state
from tinytorch.ir.errors import VerifyError
from tinytorch.ir.graph import Graph
from tinytorch.ir.op import OPS
from tinytorch.ir.text.parser import parse_graph
from tinytorch.samples import mlp, perceptron


def test_a_training_step_agrees_and_changes_nothing() -> None:
    sample = mlp()
    before = [p.numpy().copy() for p in sample.model.parameters()]
    report = tt.verify(sample.step, *sample.args)
    assert report.kernels > 0
    assert report.passes[:4] == ("simplify", "fold", "cse", "dce")
    assert report.passes[-4:] == ("materialize", "fuse", "write_permuted", "share_literals")
    assert {c.output for c in report.comparisons} >= {"result 0", "the new %weight", "the new %bias.momentum"}
    assert {c.ways for c in report.comparisons} == {
        "eager and traced",
        "traced and interpreter",
        "interpreter and llvm",
    }
    assert all(np.array_equal(a, p.numpy()) for a, p in zip(before, sample.model.parameters(), strict=True))
    assert all(p.grad is None for p in sample.model.parameters())


def test_the_next_step_is_as_if_nothing_had_been_verified() -> None:
    first, second = perceptron(), perceptron()
    tt.verify(second.step, *second.args)
    for _ in range(2):
        assert float(first.step(*first.args)) == float(second.step(*second.args))


def test_state_that_a_step_begins_is_put_back() -> None:
    class Averaged(tt.optim.Optimizer):
        @tt.no_grad()
        def step(self, closure: object = None) -> None:
            for p in self.param_groups[0]["params"]:
                if len(self.state[p]) == 0:
                    self.state[p] = {"step": 0, "mean": tt.zeros_like(p)}
                state = self.state[p]
                state["step"] += 1
                state["mean"] = 0.9 * state["mean"] + p.grad
                p.sub_(state["mean"] / state["step"])

    p = tt.tensor([1.0, 2.0], requires_grad=True)
    optimizer = Averaged([p], {})

    def step() -> None:
        optimizer.zero_grad()
        (p * p).sum().backward()
        optimizer.step()

    assert tt.verify(step).kernels > 0 and dict(optimizer.state[0]) == {}
    step()
    assert p.tolist() == [-1.0, -2.0] and optimizer.state[0]["step"] == 1


def test_random_numbers_attributes_and_gradients_are_put_back() -> None:
    model = tt.Sequential(tt.Linear(4, 8), tt.Dropout(0.5), tt.Linear(8, 3))
    x = tt.ones(2, 4)

    def backward() -> None:
        model(x).sum().backward()

    backward()
    state = get_state().numpy().copy()
    grads = [(p.grad, np.array(p.grad.numpy())) for p in model.parameters() if p.grad is not None]
    tt.verify(backward)
    assert np.array_equal(get_state().numpy(), state)
    assert len(grads) == 4
    for p, (grad, values) in zip(model.parameters(), grads, strict=True):
        assert p.grad is grad and np.array_equal(grad.numpy(), values)


def test_arrays_containers_and_compiled_functions_are_taken() -> None:
    def pair(inputs: dict[str, tt.Tensor], scale: float) -> tuple[tt.Tensor, list[tt.Tensor]]:
        return inputs["a"] @ inputs["b"], [inputs["a"] * scale]

    arrays = {"a": np.ones((2, 3), np.float32), "b": np.ones((3, 4), np.float32)}
    assert len(tt.verify(tt.compile(pair), arrays, scale=2.0).comparisons) == 6


def test_a_wrong_lowering_is_named_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TT_CACHE_DIR", str(tmp_path / "cache"))  # the wrong code must not be kept
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))
    sqrt = OPS["sqrt"]
    right = sqrt.scalar
    object.__setattr__(sqrt, "scalar", lambda e, x: x + x)
    try:
        with pytest.raises(VerifyError, match=r"first node that differs is .* = sqrt") as error:
            tt.verify(lambda x: ((x * 2.0 + 1.0).sqrt() - 1.0).sum(), tt.rand(5, 7), folder=str(tmp_path / "found"))
        assert error.value.loc is not None and error.value.loc.file == __file__
        assert re.search(r"\n  at \[.*\]: expected \S+, got \S+\n  operand 0: f32\[5,7\] from \S+ to", str(error.value))
    finally:
        object.__setattr__(sqrt, "scalar", right)
    graph: Graph = parse_graph((tmp_path / "found" / "graph.ir").read_text())
    assert [node.op.name for node in graph.nodes if node.op.name in ("sqrt", "sub", "sum")] == ["sqrt"]
    script = tmp_path / "found" / "reproduce.py"
    monkeypatch.setenv("TT_CACHE_DIR", str(tmp_path / "other"))  # with the lowering repaired, all agree
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert "interpreter and llvm agree in 1 arrays" in done.stdout


def test_what_a_trace_cannot_see_is_found(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    with pytest.raises(VerifyError, match=r"eager and traced: result 0 DIFFERS") as error:
        tt.verify(lambda x: x * generator.random(), tt.ones(3), folder=str(tmp_path))
    assert "random numbers of numpy" in str(error.value)
    done = subprocess.run(
        [sys.executable, tmp_path / "reproduce.py"],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(Path(__file__).parent.parent), "PATH": "", "TT_CACHE_DIR": str(tmp_path)},
    )
    assert done.returncode == 1 and "output 0 DIFFERS" in done.stderr


def test_a_difference_is_told_where_its_script_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    generator = np.random.default_rng(0)
    with pytest.raises(VerifyError, match=r"no script that reproduces it: cannot write .*below: Not a directory"):
        tt.verify(lambda x: x * generator.random(), tt.ones(3), folder=str(tmp_path / "file" / "below"))


@pytest.mark.parametrize(
    ("a", "b", "error"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0),
        ([1.0, 4.0], [1.0, 4.8], 0.1),
        ([0.0, 4.0], [0.4, 4.0], 0.1),
        ([np.nan, np.inf], [np.nan, np.inf], 0.0),
        ([np.nan, 1.0], [0.0, 1.0], np.inf),
        ([1.0, 1.0], [1.0, np.inf], np.inf),
        ([np.inf, 1.0], [-np.inf, 1.0], np.inf),
    ],
)
def test_errors_are_relative_and_keep_nan_apart(a: list[float], b: list[float], error: float) -> None:
    assert error_of(np.array(a), np.array(b)) == pytest.approx(error)


def test_integers_and_types_must_be_equal() -> None:
    assert error_of(np.array([1, 2]), np.array([1, 2])) == 0
    assert error_of(np.array([1, 2]), np.array([1, 3])) == np.inf
    assert error_of(np.array([1.0]), np.array([1.0], np.float32)) == np.inf
    assert error_of(np.zeros(0), np.zeros(0)) == 0
