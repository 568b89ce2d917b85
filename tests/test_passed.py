"""Graphs after the passes on disk: who starts again runs no pass, and gets the same; what differs is passed anew."""

from __future__ import annotations

import numpy as np
import pytest

import tinytorch as tt
from tests.numpy_backend import NumpyBackend
from tinytorch.compiled import calls
from tinytorch.ir.text.fingerprint import fingerprint
from tinytorch.ir.text.parser import parse_graph
from tinytorch.runtime import cache

X = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """The graphs that passes have run on, with a disk cache that is empty."""
    monkeypatch.setenv("TT_CACHE_DIR", str(tmp_path / "cache"))
    seen, run = [], calls.run_passes

    def noted(graph, passes, **options):
        seen.append(graph.name)
        return run(graph, passes, **options)

    monkeypatch.setattr(calls, "run_passes", noted)
    return seen


def step_of(model, optimizer, backend="llvm"):
    def step(x):
        loss = (tt.nn.functional.dropout(model(x), 0.25) ** 2).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return tt.compile(step, backend=backend)


def trained(backend="llvm"):
    """Three steps of a small model: the compiled step, its losses and weights."""
    tt.manual_seed(3)
    model = tt.Sequential(tt.Linear(4, 8), tt.GELU(), tt.LayerNorm(8), tt.Linear(8, 2))
    step = step_of(model, tt.AdamW(model.parameters(), lr=0.1), backend)
    losses = [step(tt.Tensor(X)).item() for _ in range(3)]
    return step, losses, [p.numpy().copy() for p in model.parameters()]


@pytest.mark.parametrize("backend", ["llvm", NumpyBackend("passed")], ids=["llvm", "numpy"])
def test_an_equal_program_runs_no_pass(runs, backend):
    first, losses, weights = trained(backend)
    again, losses_again, weights_again = trained(backend)
    assert runs == ["step"]
    assert losses == losses_again
    assert all(np.array_equal(a, b) for a, b in zip(weights, weights_again, strict=True))
    assert str(again.graph) == str(first.graph)
    assert again.passes == first.passes
    assert [n.loc for n in again.graph.nodes] == [n.loc for n in first.graph.nodes]
    assert again.executable.schedule.arena_bytes == first.executable.schedule.arena_bytes
    if backend == "llvm":
        assert "contract" in str(again.explain())


def test_code_that_is_gone_is_generated_anew(runs):
    first, losses, _ = trained()
    (cache.code_folder().path / f"{first.executable.key}.ttc").unlink()
    assert trained()[1] == losses
    assert runs == ["step"]


def test_a_damaged_entry_counts_for_nothing(runs):
    losses = trained()[1]
    for path in cache.code_folder().path.glob("*.ttc"):
        path.write_bytes(path.read_bytes()[:-7])
    assert trained()[1] == losses
    assert runs == ["step", "step"]


def test_what_may_change_the_graph_is_passed_anew(runs, monkeypatch):
    def compiled(value, backend="llvm", freeze=False):
        table = tt.Tensor(np.full((3, 4), 2.0, np.float32))

        def scaled(x):
            return x * value + table

        return tt.compile(scaled, backend=backend, freeze=freeze)(tt.Tensor(X)).numpy()

    np.testing.assert_array_equal(compiled(2.0), X * 2 + 2)
    np.testing.assert_array_equal(compiled(2.0), X * 2 + 2)
    assert len(runs) == 1
    np.testing.assert_array_equal(compiled(1.0), X + 2)  # a constant of another value
    np.testing.assert_array_equal(compiled(2.0, NumpyBackend("other")), X * 2 + 2)
    assert len(runs) == 3
    for _ in range(2):  # weights of a frozen graph would be kept twice
        np.testing.assert_array_equal(compiled(2.0, freeze=True), X * 2 + 2)
    assert len(runs) == 5
    monkeypatch.setenv("TT_VERIFY", "1")  # who sets it wants to have passes verified
    np.testing.assert_array_equal(compiled(2.0), X * 2 + 2)
    assert len(runs) == 6


def test_a_check_of_indices_survives(runs):
    table, good, bad = tt.Tensor(X), tt.Tensor(np.array([2, 0])), tt.Tensor(np.array([2, 3]))
    for _ in range(2):
        rows = tt.compile(lambda i: table[i])
        np.testing.assert_array_equal(rows(good).numpy(), X[[2, 0]])
        with pytest.raises(IndexError):
            rows(bad)
    assert len(runs) == 1


GRAPH = """graph @f(%x: f32[2,3]) -> (%z) {
  %c = constant() : f32[2,3] {value=f32[2,3](1.0, 2.0, 3.0, 4.0, 5.0, 6.0)}
  %y = add(%x, %c) : f32[2,3]
  %z = sum(%y) : f32[2,1] {axes=(1,)}
}"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("6.0", "7.0"),
        ("1.0, 2.0", "-0.0, 2.0"),
        ("add(%x, %c)", "add(%c, %x)"),
        ("add", "sub"),
        ("-> (%z)", "-> (%y)"),
        ("@f", "@g"),
        ("%x", "%other"),
        ("-> (%z)", "-> (%z, %y)"),
    ],
)
def test_graphs_that_differ_have_different_fingerprints(old, new):
    one, other = fingerprint(parse_graph(GRAPH)), fingerprint(parse_graph(GRAPH.replace(old, new)))
    assert one is not None and other is not None
    assert one != other
    assert one == fingerprint(parse_graph(GRAPH.replace("%y", "%inner")))


def test_attributes_without_a_text_have_no_fingerprint():
    graph = parse_graph(GRAPH)
    for value in (len, object(), (1, print), {"a": 1}):
        graph.nodes[2].attrs["axes"] = value
        assert fingerprint(graph) is None
    texts = []
    for value in (1, True, 1.0, "1", np.float32(1), (1,), [1], np.ones(1), np.ones((1, 1))):
        graph.nodes[2].attrs["axes"] = value
        texts.append(fingerprint(graph))
    assert len(set(texts)) == len(texts)
