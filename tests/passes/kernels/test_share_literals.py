"""Kernels that differ in their numbers alone are generated once, and give the same bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tests.execution import expected
from tinytorch.frontend.tensor.storage import Storage
from tinytorch.frontend.tracing import trace
from tinytorch.ir.graph import Graph
from tinytorch.ir.ops.core import kernel
from tinytorch.ir.verify import verify
from tinytorch.passes.autodiff import append_gradients
from tinytorch.passes.kernels.share_literals import MANY, share_literals
from tinytorch.passes.pipeline import kernel_passes, run_passes
from tinytorch.runtime.backend import Binding
from tinytorch.runtime.executable import Executable
from tinytorch.runtime.llvm.backend import LlvmBackend
from tinytorch.runtime.llvm.lower import lower
from tinytorch.runtime.llvm.text.target import Target

BODIES: dict[str, Callable[[Any, float], Any]] = {
    "scale": lambda x, c: x * c,
    "affine": lambda x, c: (x * c + (1.0 - c)).tanh(),
    "power": lambda x, c: x.abs() ** (c + 2.5),
    "divide": lambda x, c: c / (x * x + c),
    "clamp": lambda x, c: x.clamp(-c, c) * 2.0,
    "rows": lambda x, c: (x * c).softmax(-1),
    "mean": lambda x, c: (x - c).mean(0),
    "choice": lambda x, c: tt.where(x > c, x, c * 3.0),
    "special": lambda x, c: x * (float("nan") if c < 0.2 else -c) + (0.0 if c < 0.3 else float("inf")),
}


def traced(function: Callable[..., Any], *arguments: Any) -> Graph:
    names = [f"x{i}" for i in range(len(arguments))]
    return trace(function, arguments, {}, list(arguments), names, append_gradients, "f").graph


def ran(graph: Graph, arguments: list[Any]) -> tuple[int, list[Any]]:
    """How many kernels were generated, and what the graph of kernels gives."""
    executable = Executable(graph, LlvmBackend())

    def failed(status: int) -> Any:
        raise AssertionError(status)

    binding = Binding(len(arguments), (), tt.Tensor, tt.Tensor.wrap, "_storage", Storage, on_status=failed)
    fast, _ = executable.bind(binding)
    generated = lower(executable.schedule, Target.host(), 1).kernels
    return generated, [np.array(t.data) for t in fast(*arguments)]


@pytest.mark.parametrize("dtype", ["f32", "f64", "bf16", "f16"])
@pytest.mark.parametrize("name", BODIES)
def test_one_kernel_and_the_same_bits(name: str, dtype: str) -> None:
    x = tt.tensor(np.random.default_rng(0).normal(size=(12, 9, 37)).astype(np.float32)).to(dtype)
    numbers = [0.1 + 0.17 * i for i in range(12)]
    graph = traced(lambda x: [BODIES[name](x[i], c) for i, c in enumerate(numbers)], x)
    apart = run_passes(graph, kernel_passes()[:-1])[0]
    together = share_literals(apart)
    verify(together)
    many, wanted = ran(apart, [x])
    few, found = ran(together, [x])
    assert many == len(numbers) and few == 1 if name != "special" else few < many
    for a, b in zip(found, wanted, strict=True):
        assert a.tobytes() == b.tobytes()
    for a, b in zip(expected(together, [x.data]), expected(apart, [x.data]), strict=True):
        assert a.tobytes() == b.tobytes()


def kernels_of(function: Callable[..., Any], *arguments: Any) -> Graph:
    return run_passes(traced(function, *arguments), kernel_passes())[0]


def test_few_stay_apart() -> None:
    x = tt.ones(3, 5)
    few = kernels_of(lambda x: [x * (0.1 + i) for i in range(MANY - 1)], x)
    assert all(node.op is kernel for node in few.nodes)
    many = kernels_of(lambda x: [x * (0.1 + i) for i in range(MANY)], x)
    assert not all(node.op is kernel for node in many.nodes)


def test_what_is_the_same_stays_in_the_code() -> None:
    """Only the number that differs is read: 0.5 and 1.0 are literals."""
    graph = kernels_of(lambda x: [(x * (0.1 + i) + 1.0).tanh() * 0.5 for i in range(8)], tt.ones(3, 5))
    bodies = [node.attrs["body"] for node in graph.nodes if node.op is kernel]
    assert len(bodies) == 8
    for body in bodies:
        assert len(body.inputs) == 2
        assert {float(n.attrs["value"]) for n in body.nodes if n.op.name == "constant"} == {0.5, 1.0}


def test_equal_kernels_are_not_different_ones() -> None:
    graph = kernels_of(lambda x: [x[i] * (0.1 if i % 2 else 0.7) for i in range(20)], tt.ones(20, 5))
    assert not any(len(node.inputs) > 1 for node in graph.nodes)


def test_compiled() -> None:
    x = tt.randn(16, 64)
    compiled = tt.compile(lambda x: [x * (0.1 * (i + 1)) for i in range(500)])
    for i, result in enumerate(compiled(x)):
        np.testing.assert_array_equal(result.data, x.data * np.float32(0.1 * (i + 1)))
    assert lower(compiled.executable.schedule, Target.host(), 1).kernels <= 3  # some numbers are 1.0, or powers of two
