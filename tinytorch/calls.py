# pyright: reportPrivateUsage=false
"""From a traced graph to something to call: passes, machine code or the interpreter, bound to tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tinytorch.frontend.storage import Storage, overlaps
from tinytorch.frontend.tensor import Tensor, wants_nan_checks
from tinytorch.frontend.trace import Traced
from tinytorch.ir import locks
from tinytorch.ir.errors import CompileError
from tinytorch.ir.graph import Builder, Graph
from tinytorch.passes.autodiff import append_gradients
from tinytorch.passes.convolutions import convolutions
from tinytorch.passes.cse import cse
from tinytorch.passes.fold import fold_weights
from tinytorch.passes.fold_batch_norm import fold_batch_norm
from tinytorch.passes.freeze import freeze_inputs
from tinytorch.passes.fuse import fuse
from tinytorch.passes.layout import layout
from tinytorch.passes.materialize import materialize
from tinytorch.passes.pipeline import CLEAN, DEFAULT_PASSES, Pass, PassRecord, run_passes
from tinytorch.passes.pooling import pooling
from tinytorch.passes.simplify import simplify
from tinytorch.passes.winograd import winograd
from tinytorch.runtime.interpreter import Interpreter
from tinytorch.runtime.llvm.pycall_spec import MISMATCH

_LEAVE_WEIGHTS = (CLEAN, layout, winograd)  # passes after which there may be something to compute of weights
PIPELINE = (*DEFAULT_PASSES, layout, fold_batch_norm, pooling, convolutions, winograd, simplify, cse, materialize, fuse)
FROZEN_PIPELINE = tuple(
    step for each in PIPELINE for step in ((each, fold_weights) if each in _LEAVE_WEIGHTS else (each,))
)


def frozen_graph(traced: Traced) -> Graph:
    """The graph with captured tensors as constants."""
    graph, arguments = traced.graph, traced.arguments
    changed = next((traced.captured[i - arguments] for i, _ in graph.state if i >= arguments), None)
    if changed is not None:
        what = changed.name or f"a tensor of {changed.type}"
        advice = "compile without freeze, or after eval()"
        raise CompileError(f"{graph.name}: freeze=True, but the function changes {what}; {advice}")
    tensors = zip(graph.inputs[arguments:], traced.captured, strict=True)
    return freeze_inputs(graph, {value: tensor.data for value, tensor in tensors})


def make_calls(
    graph: Graph,
    arguments: int,
    captured: Sequence[Tensor],
    backend: str,
    pipeline: Sequence[Pass | Sequence[Pass]] = PIPELINE,
) -> Calls:
    """Compile a graph, and bind all but its first inputs to tensors."""
    check_nans = wants_nan_checks()
    interpreted = backend == "interpreter" or check_nans
    passed, records = run_passes(graph, DEFAULT_PASSES if interpreted else pipeline)
    if interpreted:
        interpreter = Interpreter(passed, check_nans)
        return Calls(passed, records, interpreter, *_interpreted(interpreter, captured))
    with locks.importing:
        from tinytorch.runtime.executable import Executable

    executable = Executable(passed)
    bound = executable.bind(arguments, captured, Tensor, Tensor.wrap, "_storage", Storage, on_status=_failed)
    return Calls(passed, records, executable, *bound)


@dataclass(frozen=True)
class Calls:
    """A compiled graph, what the passes did, and its fast and its careful call."""

    graph: Graph
    passes: list[PassRecord]
    executable: Any
    fast: Callable[..., Any]
    careful: Callable[..., Any]


def _failed(status: int) -> object:
    """A guard in the graph failed: nothing has changed, and the reference will say what is wrong."""
    return MISMATCH


def _interpreted(interpreter: Interpreter, captured: Sequence[Tensor]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The interpreter behind the interface of a native call: the fast call wants written memory for itself."""

    types = [v.type for v in interpreter.graph.inputs]
    written = {i for i, _ in interpreter.graph.state}

    def fast(*args: Tensor) -> Any:
        return MISMATCH if overlaps([t._data for t in (*args, *captured)], written) else careful(*args)

    def careful(*args: Tensor) -> Any:
        tensors = [*args, *captured]
        if [t.type for t in tensors] != types:
            return MISMATCH
        results = tuple(map(Tensor.wrap, interpreter.run([t._data for t in tensors])))
        for index in written:
            tensors[index].touch()
        return results[0] if len(results) == 1 else results or None

    return fast, careful


def gradient_call(graph: Graph, index: int, wrt: Sequence[int], backend: str) -> Callable[..., tuple[Tensor, ...]]:
    """The compiled vjp of output `index` with respect to the inputs `wrt`, as a function of inputs and cotangent."""
    builder = Builder(f"{graph.name}_vjp", list(graph.inputs), list(graph.nodes))
    output = graph.outputs[index]
    ct = builder.input(output.type, "ct")
    variables = [graph.inputs[i] for i in wrt]
    found = append_gradients(builder, {output: ct}, variables)
    calls = make_calls(builder.build([v for v in found if v is not None]), len(builder.inputs), (), backend)

    def call(*tensors: Tensor) -> tuple[Tensor, ...]:
        result = calls.fast(*tensors)
        result = calls.careful(*tensors) if result is MISMATCH else result
        some = iter(result if isinstance(result, tuple) else (result,))
        return tuple(None if v is None else next(some) for v in found)  # pyright: ignore[reportReturnType]

    return call
