"""What kernels are called, and the phases of a training step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn
from tinytorch.ir.graph import Graph, Node
from tinytorch.ir.text.parser import parse_graph
from tinytorch.ir.text.printer import print_graph
from tinytorch.ir.text.titles import PHASE_COLORS, PHASES, kernel_title, phase_of
from tinytorch.samples import SAMPLES


def kernels(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if node.op.kind == "kernel"]


def shown(graph: Graph) -> list[tuple[str, str, str]]:
    return [(phase_of(n), n.loc.scope if n.loc else "", kernel_title(n)) for n in kernels(graph)]


def compiled(step: Callable[..., Any], *args: Any) -> Any:
    found = tt.compile(step)
    found(*args)
    return found


def test_the_kernels_of_a_training_step_say_what_they_are_for() -> None:
    sample = SAMPLES["mlp"]()
    found = shown(compiled(sample.step, *sample.args).graph)
    first, second, update = "Sequential.0", "Sequential.2", ("update", "", "SGD")
    assert found[0] == ("forward", first, "matmul + bias + relu")
    assert [f for f in found if f[1] == second] == [
        ("forward", second, "matmul + bias"),
        ("backward", second, "sum"),
        ("backward", second, "matmul + relu′"),
        ("backward", second, "matmul + SGD"),
    ]
    assert found.count(update) == 2  # of the biases
    assert ("forward", "CrossEntropyLoss", "cross_entropy + cross_entropy′") in found
    assert set(PHASES) == set(PHASE_COLORS)


def test_phases_come_through_text() -> None:
    sample = SAMPLES["perceptron"]()
    traced = compiled(sample.step, *sample.args).traced_graph
    read = parse_graph(print_graph(traced, locs=True))
    assert [n.loc for n in read.nodes] == [n.loc for n in traced.nodes]
    assert {phase_of(n) for n in read.nodes} == set(PHASES)


def by_hand(w: tt.Tensor) -> Callable[[tt.Tensor], tt.Tensor]:
    momentum = tt.zeros(3)

    def step(x: tt.Tensor) -> tt.Tensor:
        loss = (x * w).tanh().sum()
        loss.backward()
        assert w.grad is not None
        with tt.no_grad():
            momentum.mul_(0.9).add_(w.grad)
            w.sub_(0.1 * momentum)
        w.grad = None
        return loss

    return step


def functional(w: tt.Tensor) -> Callable[[tt.Tensor], Any]:
    def step(x: tt.Tensor) -> Any:
        loss = (x * w).tanh().sum()
        (gradient,) = tt.autograd.grad(loss, [w])
        return loss, w.detach() - 0.1 * gradient

    return step


def clipped(w: tt.Tensor) -> Callable[[tt.Tensor], tt.Tensor]:
    optimizer = tt.optim.AdamW([w], lr=0.1)

    def step(x: tt.Tensor) -> tt.Tensor:
        optimizer.zero_grad()
        loss = (x * w).tanh().sum()
        loss.backward()
        nn.utils.clip_grad_norm_([w], 1.0)
        optimizer.step()
        return loss

    return step


@pytest.mark.parametrize("make", [by_hand, functional, clipped])
def test_updates_are_told_from_the_backward_pass(make: Callable[[tt.Tensor], Callable[[tt.Tensor], Any]]) -> None:
    graph: Graph = compiled(make(tt.ones(3, requires_grad=True)), tt.ones(3)).traced_graph
    lines: dict[str, set[str]] = {phase: set() for phase in PHASES}
    for node in graph.nodes:
        if node.inputs and node.op.name not in ("broadcast", "detach") and node.loc:  # which only prepare operands
            lines[phase_of(node)].add(node.loc.describe())
    assert all("tanh" in line or "backward" in line for line in lines["forward"])
    assert all(any(word in line for word in ("tanh", "backward", "grad(")) for line in lines["backward"])
    words = {by_hand: ("momentum",), functional: ("0.1 *",), clipped: ("clip", "step")}[make]
    assert all(any(f"{word}" in line for word in words) for line in lines["update"])
    assert all(lines.values())


def test_a_second_forward_pass_in_a_step_is_forward() -> None:
    """As a GAN has: what reads updated weights, or comes after a backward pass, is no update for that."""
    first, second = nn.Linear(3, 3), nn.Linear(3, 1)
    one, two = tt.optim.SGD(first.parameters(), lr=0.1), tt.optim.SGD(second.parameters(), lr=0.1)

    def step(x: tt.Tensor) -> tt.Tensor:
        one.zero_grad()
        two.zero_grad()
        first(x).square().mean().backward()
        one.step()
        again = second(first(x)).sigmoid().mean()
        again.backward()
        two.step()
        return again

    graph: Graph = compiled(step, tt.tensor(np.ones((2, 3), np.float32))).traced_graph
    (sigmoid,) = [n for n in graph.nodes if n.op.name == "sigmoid"]
    products = [phase_of(n) for n in graph.nodes if n.op.name == "matmul"]
    assert phase_of(sigmoid) == "forward"
    assert products.count("forward") == 3 and "update" not in products


def test_long_titles_are_cut_and_kept_composites_named() -> None:
    def chain(x: tt.Tensor) -> tt.Tensor:
        return ((x.sin() + 1.0).exp() * x.cos()).tanh().abs().sqrt()

    assert [kernel_title(n) for n in kernels(compiled(chain, tt.ones(64)).graph)] == ["sin + add + exp + cos + 4 more"]
    softmax = compiled(lambda x: nn.functional.layer_norm(tt.softmax(x, 1), (8,)), tt.ones(4, 8)).graph
    assert all(title.startswith(("softmax", "layer_norm", "layernorm")) for _, _, title in shown(softmax))
