# pyright: reportPrivateUsage=false
"""From a traced graph to something to call: passed, compiled for a backend or interpreted, and bound to tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tinytorch import backend_names
from tinytorch.compiled.options import Options
from tinytorch.compiled.passed import Made, kept
from tinytorch.frontend.arguments import ArgumentMemoryError
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.evaluation import wants_nan_checks
from tinytorch.frontend.tensor.gradients import grad_mode
from tinytorch.frontend.tensor.mode import mode
from tinytorch.frontend.tensor.storage import Storage, version_of
from tinytorch.frontend.tensor.tape import SPENT
from tinytorch.frontend.tracing.traced import Traced
from tinytorch.ir import ops
from tinytorch.ir.errors import CompileError, TinyTorchError
from tinytorch.ir.graph import Builder, Graph, Value
from tinytorch.ir.kernels.liveness import MemoryLimit
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array
from tinytorch.ir.system.collector import paused
from tinytorch.ir.text.units import size
from tinytorch.passes.autodiff import append_gradients
from tinytorch.passes.freeze import freeze_inputs
from tinytorch.passes.pipeline import DEFAULT_PASSES, Passes, PassRecord, Watcher, kernel_passes, run_passes
from tinytorch.passes.rematerialize.segments import Peak
from tinytorch.runtime.backend import MISMATCH, Backend, Binding
from tinytorch.runtime.executable import Executable
from tinytorch.runtime.interpreter import Interpreter
from tinytorch.runtime.schedule import liveness

_TRIES = 4  # to meet a limit of memory
_SHOWN = 5  # values in the error


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
    options: Options,
    wrap: Callable[[Array], Tensor] = Tensor.wrap,
) -> Calls:
    """Compile a graph, and bind all but its first inputs to tensors; `wrap` makes tensors of results. With TT_NANS=1,
    the interpreter runs it. CompileError where a call would need more memory than the options allow."""
    check_nans = wants_nan_checks()
    found = None if check_nans else backend_names.find(options.backend)
    if found is None:
        passed, records = run_passes(graph, DEFAULT_PASSES)
        executable = Interpreter(passed, check_nans)
    else:
        passed, records, executable = made_by(found, graph, options)
    binding = Binding(arguments, captured, Tensor, wrap, "_storage", Storage, on_status=_failed)
    return Calls(passed, records, executable, *executable.bind(binding))


def passes_of(backend: Backend, options: Options, memory: MemoryLimit | None = None) -> Passes:
    """The passes to kernels of a backend."""
    frozen, precision = options.freeze, options.precision
    return kernel_passes(backend.costs, backend.families, frozen=frozen, memory=memory, precision=precision)


def made_by(backend: Backend, graph: Graph, options: Options, after: Watcher | None = None) -> Made:
    """What a backend makes of a graph; if that takes more memory than the options allow, with values computed again.
    `after` is told of passes (see `run_passes`)."""

    def make(memory: MemoryLimit | None) -> Made:
        passed, records = run_passes(graph, passes_of(backend, options, memory), after=after)
        return passed, records, Executable(passed, backend)

    limit = options.memory_limit
    if limit is None:
        return make(None) if options.freeze else kept(graph, backend, options.precision, lambda: make(None))
    scratch = 0  # what kernels need beside values; known when their code is there, and another for other kernels
    tried: list[Made] = []
    for _ in range(_TRIES):
        passed, _, executable = made = make(MemoryLimit(limit - scratch, liveness))
        if executable.arena_bytes <= limit:
            return made
        tried.append(made)
        between = liveness(passed).bytes
        if between > limit - scratch:  # no less was found
            break
        scratch = max(scratch + 1, executable.arena_bytes - between)
    least = min(tried, key=lambda made: made[2].arena_bytes)
    raise _too_little(limit, least[0], least[2].arena_bytes)


def run_again(graph: Graph, backend: Backend | None, options: Options, after: Watcher) -> None:
    """Run the passes that `make_calls` ran for a graph (without a backend: for the interpreter), and tell `after` of
    each. With a limit of memory they may run several times, each time from number 1."""
    if backend is None:
        run_passes(graph, DEFAULT_PASSES, after=after)
    elif options.memory_limit is None:
        run_passes(graph, passes_of(backend, options), after=after)
    else:
        made_by(backend, graph, options, after)


def _too_little(limit: int, graph: Graph, least: int) -> CompileError:
    """Say by how much a limit of memory cannot be met, and what takes it."""
    peak = Peak(graph, liveness(graph))
    alike: dict[str, list[int]] = {}
    for value in peak.live:
        loc = peak.makers[value].loc
        alike.setdefault(f"{value.type}" + ("" if loc is None else f"  {loc.describe()}"), []).append(value.type.bytes)
    largest = sorted(alike.items(), key=lambda item: -sum(item[1]))[:_SHOWN]
    return CompileError(
        f"{graph.name}: memory_limit is {limit:,}, but a call needs {least:,} bytes beside inputs, results and "
        f"constants, {least - limit:,} more, even if values are computed again. Allow that, or pass smaller batches. "
        "Most of it are, at once:"
        + "".join(f"\n  {sum(sizes):,} bytes in {len(sizes)} of {what}" for what, sizes in largest)
    )


@dataclass(frozen=True)
class Calls:
    """A compiled graph, what the passes did, and its fast and its careful call."""

    graph: Graph
    passes: list[PassRecord]
    executable: Executable | Interpreter
    fast: Callable[..., Any]
    careful: Callable[..., Any]

    def call(self, tensors: Sequence[Tensor], carefully: bool = False) -> Any:
        """The fast call, or the careful one; where there is too little memory, an error that says so."""
        try:
            return self.careful(*tensors) if carefully else self.fast(*tensors)
        except MemoryError:
            raise self.too_large() from None

    def too_large(self) -> ArgumentMemoryError:
        """The error where a call finds too little memory; nothing has been changed."""
        made = size(sum(value.type.bytes for value in self.graph.outputs))
        besides = size(getattr(self.executable, "arena_bytes", 0))
        what = f"a call takes {made} for results and {besides} besides, which do not fit into memory"
        return ArgumentMemoryError(f"{self.graph.name}: {what}", user_loc())


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

    def __init__(self, graph: Graph, index: int, variables: Sequence[Value], options: Options) -> None:
        builder = Builder(f"{graph.name}_vjp", list(graph.inputs), list(graph.nodes))
        output = graph.outputs[index]
        ct = builder.input(output.type, "ct")
        self._found = append_gradients(builder, {output: ct}, variables)
        self._graph = builder.build([v for v in self._found if v is not None])
        self._variables, self._ct = variables, ct
        self._options = replace(options, freeze=False)  # what the graph reads is among its inputs
        self._calls = make_calls(self._graph, len(builder.inputs), (), self._options)
        self._again: dict[tuple[int, bool], Vjp] = {}

    def __call__(self, inputs: Sequence[Tensor], wrt: Sequence[int], ct: Tensor, name: str) -> list[Tensor | None]:
        """The cotangents, for `inputs` of the graph of which those at `wrt` are differentiated by the variables."""
        tensors = (*inputs, ct)
        result = self._calls.call(tensors)
        result = self._calls.call(tensors, carefully=True) if result is MISMATCH else result
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
                self._again[key] = Vjp(self._graph, index, variables, self._options)
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
