"""Running graphs every way there is: reference, interpreter, machine code for a target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from tests.graphs import same_bits
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.storage import Storage
from tinytorch.ir.arrays.reference import evaluate
from tinytorch.ir.graph import Graph
from tinytorch.ir.kernels.costs import DEFAULT_COSTS, Costs
from tinytorch.passes.pipeline import DEFAULT_PASSES, kernel_passes, run_passes
from tinytorch.runtime.backend import MISMATCH, Binding
from tinytorch.runtime.executable import Executable
from tinytorch.runtime.interpreter import Interpreter
from tinytorch.runtime.llvm.backend import LlvmBackend
from tinytorch.runtime.llvm.text.target import Target

Arrays = list[np.ndarray]


def _failed(status: int) -> NoReturn:
    raise IndexError(f"a guard of the graph failed with status {status}")


def kernels(graph: Graph, costs: Costs = DEFAULT_COSTS) -> Graph:
    """The graph as it is scheduled: verified after every pass."""
    return run_passes(graph, kernel_passes(costs), verify=True)[0]


def expected(graph: Graph, inputs: Sequence[np.ndarray]) -> Arrays:
    """All outputs, new values of state among them, op by op on the graph as it was traced."""
    with np.errstate(all="ignore"):
        return list(evaluate(graph, inputs))


def interpreted(graph: Graph, inputs: Sequence[np.ndarray]) -> Arrays:
    """The same from the interpreter, after the passes that it runs behind."""
    passed = run_passes(graph, DEFAULT_PASSES, verify=True)[0]
    copies = [np.array(a) for a in inputs]
    with np.errstate(all="ignore"):
        results = Interpreter(passed).run(copies)
    return _in_order(graph, inputs, results, copies)


def compiled(
    graph: Graph, inputs: Sequence[np.ndarray], target: Target | None = None, *, careful: bool = False
) -> Arrays:
    """The same from machine code; inputs that are no state must be left alone."""
    backend = LlvmBackend(target)
    binding = Binding(len(inputs), (), Tensor, Tensor.wrap, "_storage", Storage, on_status=_failed)
    calls = Executable(kernels(graph, backend.costs), backend).bind(binding)
    tensors = [Tensor.wrap(np.array(a)) for a in inputs]
    result: Any = calls[careful](*tensors)
    assert result is not MISMATCH
    results = () if result is None else result if isinstance(result, tuple) else (result,)
    return _in_order(graph, inputs, [t.data for t in results], [t.data for t in tensors])


def _in_order(
    graph: Graph, inputs: Sequence[np.ndarray], results: Sequence[np.ndarray], after: Sequence[np.ndarray]
) -> Arrays:
    """Results and new values of state in the order of the graph's outputs."""
    state = {output: index for index, output in graph.state}
    for i, (old, new) in enumerate(zip(inputs, after, strict=True)):
        assert i in state.values() or same_bits(np.asarray(old), new), f"input {i} was changed"
    rest = iter(results)
    return [after[state[i]] if i in state else next(rest) for i in range(len(graph.outputs))]


def assert_same(found: Sequence[np.ndarray], wanted: Sequence[np.ndarray]) -> None:
    """Equal in every bit, but that a NaN is a NaN."""
    for i, (a, b) in enumerate(zip(found, wanted, strict=True)):
        assert same_bits(a, b), f"output {i}: {a} is not {b}"


def assert_near(found: Sequence[np.ndarray], wanted: Sequence[np.ndarray]) -> None:
    """Floats near to rounding (numpy sums in another order), everything else equal."""
    for i, (a, b) in enumerate(zip(found, wanted, strict=True)):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        if a.dtype.kind in "fV":
            tolerance = 2e-5 if a.dtype.itemsize >= 4 else 2e-2
            np.testing.assert_allclose(
                a.astype(np.float64), b.astype(np.float64), rtol=tolerance, atol=tolerance, err_msg=f"output {i}"
            )
        else:
            assert_same([a], [b])
