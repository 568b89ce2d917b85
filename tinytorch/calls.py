# pyright: reportPrivateUsage=false
"""From a traced graph to something to call: passed, compiled for a backend or interpreted, and bound to tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tinytorch import backends
from tinytorch.backends import Choice
from tinytorch.frontend.gradients import grad_mode
from tinytorch.frontend.mode import mode
from tinytorch.frontend.storage import Storage, version_of
from tinytorch.frontend.tape import SPENT
from tinytorch.frontend.tensor import Tensor, wants_nan_checks
from tinytorch.frontend.traced import Traced
from tinytorch.ir import ops
from tinytorch.ir.collector import paused
from tinytorch.ir.errors import CompileError, TinyTorchError
from tinytorch.ir.graph import Builder, Graph, Value
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array
from tinytorch.passes.autodiff import append_gradients
from tinytorch.passes.freeze import freeze_inputs
from tinytorch.passes.pipeline import DEFAULT_PASSES, PassRecord, kernel_passes, run_passes
from tinytorch.runtime.backend import MISMATCH, Binding
from tinytorch.runtime.executable import Executable
from tinytorch.runtime.interpreter import Interpreter


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


@paused()
def make_calls(
    graph: Graph,
    arguments: int,
    captured: Sequence[Tensor],
    backend: Choice,
    *,
    frozen: bool = False,
    wrap: Callable[[Array], Tensor] = Tensor.wrap,
) -> Calls:
    """Compile a graph, and bind all but its first inputs to tensors; `wrap` makes tensors of results. The weights of a
    `frozen` graph are constants. With TT_NANS=1, the interpreter runs it."""
    check_nans = wants_nan_checks()
    found = None if check_nans else backends.find(backend)
    if found is None:
        passed, records = run_passes(graph, DEFAULT_PASSES)
        executable = Interpreter(passed, check_nans)
    else:
        passed, records = run_passes(graph, kernel_passes(found.costs, found.families, frozen=frozen))
        executable = Executable(passed, found)
    binding = Binding(arguments, captured, Tensor, wrap, "_storage", Storage, on_status=_failed)
    return Calls(passed, records, executable, *executable.bind(binding))


@dataclass(frozen=True)
class Calls:
    """A compiled graph, what the passes did, and its fast and its careful call."""

    graph: Graph
    passes: list[PassRecord]
    executable: Executable | Interpreter
    fast: Callable[..., Any]
    careful: Callable[..., Any]


def spent(array: Array) -> Tensor:
    """A result that was computed from leaves, and whose tape a backward() in the function has freed."""
    tensor = Tensor.wrap(array)
    tensor._node, tensor._requires_grad = SPENT, True
    return tensor


def _failed(status: int) -> object:
    """A guard in the graph failed: nothing has changed, and the reference will say what is wrong."""
    return MISMATCH


class Vjp:
    """The compiled cotangents of `variables`, values in a graph, for that of output `index`. They can be
    differentiated again."""

    def __init__(self, graph: Graph, index: int, variables: Sequence[Value], backend: Choice) -> None:
        builder = Builder(f"{graph.name}_vjp", list(graph.inputs), list(graph.nodes))
        output = graph.outputs[index]
        ct = builder.input(output.type, "ct")
        self._found = append_gradients(builder, {output: ct}, variables)
        self._graph = builder.build([v for v in self._found if v is not None])
        self._variables, self._ct, self._backend = variables, ct, backend
        self._calls = make_calls(self._graph, len(builder.inputs), (), backend)
        self._again: dict[tuple[int, bool], Vjp] = {}

    def __call__(self, inputs: Sequence[Tensor], wrt: Sequence[int], ct: Tensor, name: str) -> list[Tensor | None]:
        """The cotangents, for `inputs` of the graph of which those at `wrt` are differentiated by the variables."""
        tensors = (*inputs, ct)
        result = self._calls.fast(*tensors)
        result = self._calls.careful(*tensors) if result is MISMATCH else result
        made = list(result) if isinstance(result, tuple) else [result] if self._graph.outputs else []
        if mode.grad:
            made = [self._differentiable(x, i, tensors, wrt, name) for i, x in enumerate(made)]
        some = iter(made)
        return [None if v is None else next(some) for v in self._found]

    def all_calls(self) -> Iterator[Calls]:
        """What was compiled: for this, and for gradients of it."""
        yield self._calls
        for vjp in self._again.values():
            yield from vjp.all_calls()

    def _differentiable(
        self, output: Tensor, index: int, tensors: Sequence[Tensor], wrt: Sequence[int], name: str
    ) -> Tensor:
        follows_ct = tensors[-1].requires_grad

        def again() -> Vjp:
            key = index, follows_ct
            if key not in self._again:
                variables = [*self._variables, self._ct] if follows_ct else self._variables
                self._again[key] = Vjp(self._graph, index, variables, self._backend)
            return self._again[key]

        return differentiable(output, again, tensors, [*wrt, len(tensors) - 1] if follows_ct else wrt, name)


def differentiable(
    output: Tensor, vjp: Callable[[], Vjp], inputs: Sequence[Tensor], wrt: Sequence[int], name: str
) -> Tensor:
    """`output` of a graph on the tape: its cotangent goes to the inputs at `wrt` through `vjp()`, asked for then."""
    versions = tuple(map(version_of, inputs))

    def backward(ct: Tensor) -> Sequence[Tensor | None]:
        if tuple(map(version_of, inputs)) != versions:
            raise TinyTorchError(f"backward: an input of {name} was changed in place since", user_loc())
        return vjp()(inputs, wrt, ct, name)

    with grad_mode(True):
        return ops.core.apply(ops.core.custom_grad, output, *(inputs[i] for i in wrt), backward=backward)
