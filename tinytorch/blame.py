"""Where the ways to run a graph part: the trace, a pass, a kernel, or their order; and a reproducer of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from tinytorch import backend_names
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.storage import Storage
from tinytorch.ir.arrays.reference import evaluate
from tinytorch.ir.arrays.words import described, first_place, number, operands_in_words
from tinytorch.ir.errors import TinyTorchError, VerifyError
from tinytorch.ir.graph import Graph, Node, Value
from tinytorch.ir.kernels.costs import Precision
from tinytorch.ir.kernels.liveness import MemoryLimit
from tinytorch.ir.op import Array
from tinytorch.ir.text.parser import parse_graph
from tinytorch.ir.text.printer import Names, print_graph, print_node
from tinytorch.ir.types import dtype_of
from tinytorch.ir.verify import verify
from tinytorch.passes.dce import dce
from tinytorch.passes.freeze import freeze_inputs
from tinytorch.passes.pipeline import PassRecord, kernel_passes, run_passes, to_kernels
from tinytorch.runtime.backend import Backend, Binding
from tinytorch.runtime.executable import Executable
from tinytorch.runtime.measure import alone
from tinytorch.runtime.schedule import liveness

# Largest difference, relative to a number plus the largest of its array: sums are added up in another order.
TOLERANCES: Mapping[str, float] = {"f64": 1e-10, "f32": 1e-4, "f16": 1e-2, "bf16": 5e-2}

_SCRIPT = '''"""Runs the graph in graph.ir on arrays.npz by the reference after each pass, and compiled."""

from pathlib import Path

from tinytorch.blame import reproduce

print(reproduce(Path(__file__).parent{arguments}))
'''


# Comparing.
@dataclass(frozen=True)
class Comparison:
    """How far two ways of running differ in one output: `error` is relative, and 0 for equal numbers."""

    ways: str
    index: int
    output: str
    error: float
    tolerance: float

    @property
    def agrees(self) -> bool:
        return self.error <= self.tolerance

    def __str__(self) -> str:
        verdict = "agrees" if self.agrees else "DIFFERS"
        return f"{self.ways}: {self.output} {verdict} (error {self.error:.1e}, tolerance {self.tolerance:.0e})"


def error_of(a: Array, b: Array) -> float:
    """The largest difference of `b` from `a`, relative to the number plus the largest one of `a`; infinite where one
    is not finite and the other is something else."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return float("inf")
    if a.dtype.kind in "biu" or not a.size:
        return 0.0 if np.array_equal(a, b) else float("inf")
    x, y = a.astype(np.float64), b.astype(np.float64)
    finite = np.isfinite(x)
    if not np.array_equal(x[~finite], y[~finite], equal_nan=True) or not np.isfinite(y[finite]).all():
        return float("inf")
    x, y = np.abs(x[finite]), np.abs(x[finite] - y[finite])
    return float(np.max(y / (x + (np.max(x) or 1.0)))) if x.size else 0.0


def compare(ways: str, outputs: Sequence[str], a: Sequence[Array | None], b: Sequence[Array]) -> list[Comparison]:
    """Output by output; None is not compared."""
    return [
        Comparison(ways, i, name, error_of(x, y), _tolerance(y))
        for i, (name, x, y) in enumerate(zip(outputs, a, b, strict=True))
        if x is not None
    ]


def _tolerance(array: Array) -> float:
    return TOLERANCES.get(dtype_of(array.dtype).name, 0.0)


def _first_bad(comparisons: Sequence[Comparison]) -> Comparison | None:
    return next((c for c in comparisons if not c.agrees), None)


# Running.
@dataclass(frozen=True)
class Lockstep:
    """What `tt.verify` returns when all agree; `passes` are those that ran, in order."""

    name: str
    nodes: int
    kernels: int
    comparisons: tuple[Comparison, ...]
    passes: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.nodes} nodes traced, {len(self.passes)} passes, {self.kernels} kernels"]
        for ways in dict.fromkeys(c.ways for c in self.comparisons):
            errors = [c.error for c in self.comparisons if c.ways == ways]
            lines.append(f"{ways} agree in {len(errors)} arrays, largest relative error {max(errors):.1e}")
        return "\n  ".join(lines)


@dataclass(frozen=True)
class _Difference:
    """Where two ways part: what is to blame, in words, its node, and a graph with inputs that shows it. With `whole`
    the graph is the traced one, which is frozen as the check's is."""

    reason: str
    node: Node | None
    graph: Graph
    inputs: Sequence[Array]
    expected: Sequence[Array | None] = ()  # what eager execution gave, where that is what differs
    whole: bool = True


def reproduce(
    folder: Path,
    arguments: int | None = None,
    backend: Backend | None = None,
    memory_limit: int | None = None,
    precision: Precision = "fast",
) -> Lockstep:
    """Check the graph of a reproducer again, with all but its first `arguments` inputs frozen if that is given, on a
    backend (by default, machine code for this machine), with a limit of its arena; VerifyError where it still differs.
    """
    graph, arrays = _read(folder)
    with np.load(folder / "arrays.npz") as saved:
        eager = [
            saved[f"expected{i}"].view(v.type.dtype.numpy) if f"expected{i}" in saved else None
            for i, v in enumerate(graph.outputs)
        ]
    names = [f"output {i}" for i in range(len(graph.outputs))]
    return Check(graph, arrays, names, None, backend or backend_names.llvm(), arguments, memory_limit, precision).run(
        eager
    )


def _read(folder: Path) -> tuple[Graph, list[Array]]:
    """The graph of a reproducer, and its inputs."""
    graph = parse_graph((folder / "graph.ir").read_text(encoding="utf-8"))
    with np.load(folder / "arrays.npz") as saved:
        return graph, [saved[f"input{i}"].view(v.type.dtype.numpy) for i, v in enumerate(graph.inputs)]


def reproduce_nan(folder: Path) -> str:
    """Run the op that made a NaN again, as TT_NANS=1 left it in `folder`: what it makes, by the reference and as
    machine code."""
    graph, arrays = _read(folder)
    (node,) = graph.nodes
    backend = backend_names.llvm()
    compiled, _ = run_passes(graph, kernel_passes(backend.costs, backend.families))
    results = {"the reference": evaluate(graph, arrays), backend.name: run_kernels(compiled, arrays, backend)}
    lines = [_text(node), *([node.loc.describe()] if node.loc else []), operands_in_words(arrays)]
    lines += [f"  {way}: {', '.join(map(described, made))}" for way, made in results.items()]
    return "\n".join(lines)


def run_kernels(graph: Graph, inputs: Sequence[Array], backend: Backend) -> list[Array]:
    """All outputs of a graph of kernels, new values of state among them; the inputs are not changed."""
    tensors = [Tensor.wrap(np.array(array, order="C")) for array in inputs]
    binding = Binding(len(tensors), (), Tensor, Tensor.wrap, "_storage", Storage, on_status=_guard_failed)
    _, call = Executable(graph, backend).bind(binding)
    result = call(*tensors)
    results = iter(result if isinstance(result, tuple) else (result,))
    state = {output: index for index, output in graph.state}
    return [(tensors[state[i]] if i in state else next(results)).data for i in range(len(graph.outputs))]


def _guard_failed(status: int) -> object:
    raise VerifyError(f"compiled code reports a failed guard (status {status}), which the reference does not")


@dataclass(frozen=True)
class Check:
    """The runs of one traced graph. `folder` is where a reproducer goes, if anywhere. With `arguments`, all inputs but
    that many are frozen, and the passes are those of a frozen graph. With `memory_limit`, `rematerialize` runs too."""

    graph: Graph
    inputs: Sequence[Array]
    outputs: Sequence[str]
    folder: Path | None
    backend: Backend
    arguments: int | None = None
    memory_limit: int | None = None
    precision: Precision = "fast"

    def run(self, eager: Sequence[Array | None]) -> Lockstep:
        """Compare eager execution with the traced graph, each pass with the graph before it, and what the backend makes
        with the graph after the last pass. VerifyError names the first that is wrong."""
        traced = evaluate(self.graph, self.inputs)
        found: list[Comparison] = []
        if any(x is not None for x in eager):
            found += self._expect("eager and traced", eager, traced, lambda bad: self._blame_trace(bad, eager))
        watched = _Watched(self, traced)
        graph, records = self._passed(watched)
        found += compare("traced and interpreter", self.outputs, traced, watched.results)
        compiled = run_kernels(graph, watched.inputs, self.backend)
        ways = f"interpreter and {self.backend.name}"
        found += self._expect(ways, watched.results, compiled, lambda _: self._blame_kernel(graph, watched.inputs))
        kernels = sum(node.op.kind == "kernel" for node in graph.nodes)
        names = tuple(record.name for record in records)
        return Lockstep(self.graph.name, len(self.graph.nodes), kernels, tuple(found), names)

    def _passed(self, watched: _Watched) -> tuple[Graph, list[PassRecord]]:
        """The graph after the passes that a call would run, each of which is watched."""
        memory = None if self.memory_limit is None else MemoryLimit(self.memory_limit, liveness)
        passes = kernel_passes(
            self.backend.costs,
            self.backend.families,
            frozen=self.arguments is not None,
            memory=memory,
            precision=self.precision,
        )
        if self.arguments is None:
            return run_passes(self.graph, passes, after=watched.after)
        constants = dict(list(zip(self.graph.inputs, self.inputs, strict=True))[self.arguments :])
        frozen = freeze_inputs(self.graph, constants)
        watched.inputs = self.inputs[: self.arguments]
        watched.after("freeze_inputs", 0, self.graph, frozen)
        return run_passes(frozen, passes, after=watched.after)

    def expect_pass(self, name: str, number: int, before: _Ran, after: _Ran) -> None:
        """Raise unless the graphs before and after a pass give the same."""

        def blame(bad: Comparison) -> _Difference:
            node, words = _first_changed(before, after, bad.index)
            what = f"the pass {name} (number {number}) changed {bad.output}: the first node that differs is"
            return _Difference(f"{what} {_text(node)}{words}", node, self.graph, self.inputs)

        self._expect(f"before and after {name}", before.results, after.results, blame)

    def _expect(
        self,
        ways: str,
        a: Sequence[Array | None],
        b: Sequence[Array],
        blame: Callable[[Comparison], _Difference],
    ) -> list[Comparison]:
        comparisons = compare(ways, self.outputs, a, b)
        bad = _first_bad(comparisons)
        if bad is not None:
            self._fail(str(bad), blame(bad))
        return comparisons

    def fail_pass(self, name: str, number: int, error: str) -> NoReturn:
        """Raise because the graph after a pass breaks a rule, or does not run."""
        reason = f"after the pass {name} (number {number}) the graph is not valid: {error}"
        self._fail(f"before and after {name}", _Difference(reason, None, self.graph, self.inputs))

    def _fail(self, what: str, difference: _Difference) -> NoReturn:
        """Write the reproducer and raise."""
        text = f"{self.graph.name}: {what}\n{difference.reason}"
        if self.folder is not None:
            try:
                _write(self.folder, difference, self if difference.whole else None)
                text += f"\nreproduce with: python {self.folder / 'reproduce.py'}"
            except OSError as error:
                text += f"\nno script that reproduces it: cannot write {self.folder}: {error.strerror or error}"
        raise VerifyError(text, difference.node.loc if difference.node else None)

    def _blame_trace(self, bad: Comparison, eager: Sequence[Array | None]) -> _Difference:
        node = self.graph.producers().get(self.graph.outputs[bad.index])
        reason = (
            f"the trace holds something else than the function did when it ran: {_text(node)}. Does it depend on what "
            "a trace cannot see, such as random numbers of numpy, the time, a file, or objects that it changes?"
        )
        return _Difference(reason, node, self.graph, self.inputs, eager)

    def _blame_kernel(self, compiled: Graph, inputs: Sequence[Array]) -> _Difference:
        """The first kernel that gives something else on the reference's operands, and the first node in it."""
        known = _all_values(compiled, inputs)
        for node in compiled.nodes:
            if node.op.kind != "kernel":
                continue
            own = alone(compiled, node)
            operands = [known[v] for v in own.inputs]
            if _differs(own, operands, [known[v] for v in node.outputs], self.backend):
                return _first_node(node, [known[v] for v in node.inputs], own, operands, self.backend)
        reason = "every kernel is right alone: the order of the kernels, or the place of a buffer, is wrong"
        return _Difference(reason, None, self.graph, self.inputs)


# Passes.
@dataclass(frozen=True)
class _Ran:
    """A graph, its inputs and its outputs by the reference."""

    graph: Graph
    inputs: Sequence[Array]
    results: Sequence[Array]


class _Watched:
    """Looks at the graph after each pass; `results` are those of the last one, on `inputs`."""

    def __init__(self, check: Check, results: Sequence[Array]) -> None:
        self._check = check
        self.inputs = check.inputs
        self._last = _Ran(check.graph, check.inputs, results)

    @property
    def results(self) -> Sequence[Array]:
        return self._last.results

    def after(self, name: str, number: int, before: Graph, after: Graph) -> None:
        """Called with the name and the number of a pass that ran, and the graphs before and after it."""
        if after is before:
            return
        try:
            verify(after)
            now = _Ran(after, self.inputs, evaluate(after, self.inputs))
        except (ValueError, TypeError, KeyError, IndexError, TinyTorchError) as error:
            self._check.fail_pass(name, number, f"{type(error).__name__}: {error}")
        self._check.expect_pass(name, number, self._last, now)
        self._last = now


def _all_values(graph: Graph, inputs: Sequence[Array]) -> dict[Value, Array]:
    """What every value of a graph is."""
    values = [*graph.inputs, *(v for node in graph.nodes for v in node.outputs)]
    everything = Graph("all", graph.inputs, graph.nodes, tuple(values))
    return dict(zip(values, evaluate(everything, inputs), strict=True))


def _first_changed(before: _Ran, after: _Ran, index: int) -> tuple[Node | None, str]:
    """The first node of the graph after a pass, on the way to output `index`, that gives other numbers than it did
    before, and what these are. Values that the pass left standing are compared, and outputs in their places."""
    was, now = _all_values(before.graph, before.inputs), _all_values(after.graph, after.inputs)
    was[after.graph.outputs[index]] = before.results[index]
    for node in dce(Graph("way", after.graph.inputs, after.graph.nodes, (after.graph.outputs[index],))).nodes:
        for inner in _inside(node, now):
            for v in inner.outputs:
                if v in was and error_of(was[v], now[v]) > _tolerance(now[v]):
                    return inner, _in_words(was[v], now[v], [now[u] for u in inner.inputs])
    return None, ""


def _inside(node: Node, now: dict[Value, Array]) -> Sequence[Node]:
    """The nodes of a kernel's body, whose values are added to `now`, and the node itself."""
    if node.op.kind != "kernel":
        return [node]
    body: Graph = node.attrs["body"]
    now.update(_all_values(body, [now[v] for v in node.inputs]))
    return [*body.nodes, node]


# Kernels.
def _differs(kernels: Graph, inputs: Sequence[Array], expected: Sequence[Array], backend: Backend) -> bool:
    names = [""] * len(expected)
    return _first_bad(compare("", names, expected, run_kernels(kernels, inputs, backend))) is not None


def _first_node(
    kernel: Node, operands: Sequence[Array], own: Graph, own_inputs: Sequence[Array], backend: Backend
) -> _Difference:
    """The first node of a kernel's body that differs when the body ends with it."""
    body: Graph = kernel.attrs["body"]
    for i, node in enumerate(body.nodes):
        prefix = Graph("prefix", body.inputs, body.nodes[: i + 1], node.outputs)
        compiled, _ = run_passes(prefix, (dce, *to_kernels(backend.families)))
        expected, got = evaluate(prefix, operands), run_kernels(compiled, operands, backend)
        bad = _first_bad(compare("", [""] * len(expected), expected, got))
        if bad is not None:
            known = _all_values(body, operands)
            words = _in_words(expected[bad.index], got[bad.index], [known[v] for v in node.inputs])
            reason = f"the first node that differs is {_text(node)}{words}"
            return _Difference(reason, node, dce(prefix), operands, whole=False)
    reason = f"its nodes are right one by one, but not fused into the {kernel.attrs['family']} kernel {_text(kernel)}"
    return _Difference(reason, kernel, own, own_inputs, whole=False)


def _in_words(expected: Array, got: Array, operands: Sequence[Array]) -> str:
    """Both results of a node where they are farthest apart, and its operands."""
    if expected.shape != got.shape or not got.size:
        return f"\n  expected {described(expected)}, got {described(got)}\n{operands_in_words(operands)}"
    a, b = expected.astype(np.float64), got.astype(np.float64)
    with np.errstate(invalid="ignore"):
        far = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b))
    far = np.where(np.isnan(far), np.inf, far)
    place = first_place(far == far.max())
    numbers = f"expected {number(expected[place].item())}, got {number(got[place].item())}"
    return f"\n  at {list(place)}: {numbers}\n{operands_in_words(operands, place)}"


def _text(node: Node | None) -> str:
    return "an input" if node is None else print_node(node, Names()).split("\n")[0]


def _write(folder: Path, difference: _Difference, check: Check | None) -> None:
    """The files of a reproducer; one of a whole graph runs the passes that `check` did."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "graph.ir").write_text(print_graph(difference.graph, locs=True) + "\n", encoding="utf-8")
    arrays: dict[str, Any] = {f"input{i}": array for i, array in enumerate(difference.inputs)}
    arrays |= {f"expected{i}": array for i, array in enumerate(difference.expected) if array is not None}
    np.savez(folder / "arrays.npz", **arrays)
    options: dict[str, Any] = {}
    if check is not None:
        options = {name: getattr(check, name) for name in ("arguments", "memory_limit")}
        options["precision"] = None if check.precision == "fast" else check.precision
    given = "".join(f", {name}={value!r}" for name, value in options.items() if value is not None)
    (folder / "reproduce.py").write_text(_SCRIPT.replace("{arguments}", given), encoding="utf-8")
