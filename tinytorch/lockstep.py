"""`tt.verify`: eager execution, the interpreter and machine code in lockstep, and where they part."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinytorch.calls import PIPELINE
from tinytorch.compile import Compiled
from tinytorch.frontend.guards import tracked_in
from tinytorch.frontend.storage import Storage
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.trace import Leaf, Traced, raw_grad, set_raw_grad, trace
from tinytorch.frontend.tree import Slot, flatten, unflatten
from tinytorch.ir.errors import VerifyError
from tinytorch.ir.graph import Graph, Node
from tinytorch.ir.op import Array
from tinytorch.ir.parser import parse_graph
from tinytorch.ir.printer import Names, print_graph, print_node
from tinytorch.ir.reference import evaluate
from tinytorch.ir.types import dtype_of
from tinytorch.passes.autodiff import append_gradients
from tinytorch.passes.dce import dce
from tinytorch.passes.fuse import fuse
from tinytorch.passes.materialize import materialize
from tinytorch.passes.pipeline import DEFAULT_PASSES, run_passes
from tinytorch.runtime.executable import Executable
from tinytorch.runtime.measure import alone

# Largest difference, relative to a number plus the largest of its array: sums are added up in another order.
TOLERANCES: Mapping[str, float] = {"f64": 1e-10, "f32": 1e-4, "f16": 1e-2, "bf16": 5e-2}

_SCRIPT = '''"""Runs the graph in graph.ir on the arrays in arrays.npz by the reference and as machine code."""

from pathlib import Path

from tinytorch.lockstep import reproduce

print(reproduce(Path(__file__).parent))
'''


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


@dataclass(frozen=True)
class Lockstep:
    """What `tt.verify` returns when all agree."""

    name: str
    nodes: int
    kernels: int
    comparisons: tuple[Comparison, ...]

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.nodes} nodes traced, {self.kernels} kernels"]
        for ways in dict.fromkeys(c.ways for c in self.comparisons):
            errors = [c.error for c in self.comparisons if c.ways == ways]
            lines.append(f"{ways} agree in {len(errors)} arrays, largest relative error {max(errors):.1e}")
        return "\n  ".join(lines)


@dataclass(frozen=True)
class _Difference:
    """Where two ways part: what is to blame, in words, its node, and a graph with inputs that shows it."""

    reason: str
    node: Node | None
    graph: Graph
    inputs: Sequence[Array]
    expected: Sequence[Array | None] = ()  # what eager execution gave, where that is what differs


def verify(function: Callable[..., Any], *args: Any, folder: str | Path = "tt-verify", **kwargs: Any) -> Lockstep:
    """Run `function(*args, **kwargs)` eagerly, by the interpreter and as machine code, and compare all results, new
    values of state and gradients.

    Tensors, gradients and attributes of modules and optimizers are afterwards as they were. VerifyError names the
    first node that differs; `folder` then holds a reproducer: `graph.ir`, `arrays.npz`, and `reproduce.py`.
    """
    function = function.function if isinstance(function, Compiled) else function
    leaves: list[Any] = []
    spec = flatten((args, kwargs), leaves, lambda x: isinstance(x, (Tensor, np.ndarray)))
    tensors = [x if isinstance(x, Tensor) else Tensor.wrap(x) for x in leaves]
    unique = list({id(t): t for t in tensors}.values())
    args, kwargs = unflatten(spec, tensors)
    surroundings = _Surroundings(function, (args, kwargs))
    try:
        traced = _trace(function, args, kwargs, unique)
        tensors = [*unique, *traced.captured]
        surroundings.keep(tensors)
        inputs = [np.array(t.data) for t in tensors]
        eager = _eager_outputs(traced, tensors, function(*args, **kwargs))
    finally:
        surroundings.restore()
    return _Check(traced.graph, inputs, _output_names(traced), Path(folder)).run(eager)


def reproduce(folder: Path) -> Lockstep:
    """Check the graph of a reproducer again; VerifyError where it still differs."""
    graph = parse_graph((folder / "graph.ir").read_text())
    with np.load(folder / "arrays.npz") as saved:
        arrays = [saved[f"input{i}"].view(v.type.dtype.numpy) for i, v in enumerate(graph.inputs)]
        eager = [
            saved[f"expected{i}"].view(v.type.dtype.numpy) if f"expected{i}" in saved else None
            for i, v in enumerate(graph.outputs)
        ]
    return _Check(graph, arrays, [f"output {i}" for i in range(len(graph.outputs))], None).run(eager)


def _trace(function: Callable[..., Any], args: Any, kwargs: Any, tensors: Sequence[Tensor]) -> Traced:
    name = getattr(function, "__name__", type(function).__name__)
    names = [t.name or f"x{i}" for i, t in enumerate(tensors)]
    return trace(function, args, kwargs, tensors, names, append_gradients, name)


class _Surroundings:
    """What a run may change, to be put back: attributes, contents of tensors, and gradients."""

    def __init__(self, function: Callable[..., Any], arguments: Any) -> None:
        self.attributes = [(owner, dict(vars(owner))) for owner in tracked_in(function, arguments)]
        self.arrays: list[tuple[Tensor, Array]] = []
        self.gradients: list[tuple[Tensor, Any]] = []

    def keep(self, tensors: Sequence[Tensor]) -> None:
        """Add tensors, whose gradients are kept too."""
        for tensor in tensors:
            grad = raw_grad(tensor)
            self.arrays.append((tensor, np.array(tensor.data)))
            self.gradients.append((tensor, grad))
            if isinstance(grad, Tensor):
                self.arrays.append((grad, np.array(grad.data)))

    def restore(self) -> None:
        for owner, attributes in self.attributes:
            vars(owner).clear()
            vars(owner).update(attributes)
        for tensor, array in self.arrays:
            if not _same_bits(tensor.data, array):
                np.copyto(tensor.data, array)
                tensor.touch()
        for tensor, grad in self.gradients:
            set_raw_grad(tensor, grad)


def _same_bits(a: Array, b: Array) -> bool:
    return a.tobytes() == b.tobytes()


# What eager execution gave, in the order of the traced graph's outputs.
def _eager_outputs(traced: Traced, tensors: Sequence[Tensor], result: Any) -> list[Array | None]:
    """None where eager execution has nothing to compare."""
    found: list[Array | None] = [None] * len(traced.graph.outputs)
    slots: dict[int, Any] = {}
    _match(traced.result, result, slots)
    for slot, part in enumerate(traced.results):
        if part.source >= 0 and not part.steps and isinstance(slots.get(slot), Tensor):
            found[part.source] = np.array(slots[slot].data)

    def tensor(leaf: Leaf) -> Tensor:
        return tensors[leaf] if isinstance(leaf, int) else leaf

    for leaf, output in traced.effects.kept:
        grad = raw_grad(tensor(leaf))
        found[output] = np.array(grad.data) if isinstance(grad, Tensor) else None
    owners = {id(grad): tensor(leaf) for leaf, grad in traced.grad_guards if isinstance(grad, Tensor)}
    for index, output in traced.graph.state:
        state = tensors[index]
        now = raw_grad(owners[id(state)]) if id(state) in owners else state  # it may have been assigned anew
        found[output] = np.array(now.data) if isinstance(now, Tensor) else None
    return found


def _match(spec: Any, tree: Any, slots: dict[int, Any]) -> None:
    """Find what stands in `tree` where `spec` has slots."""
    if isinstance(spec, Slot):
        slots[spec.index] = tree
    elif isinstance(spec, dict):
        for key, item in spec.items():
            _match(item, tree[key], slots)
    elif isinstance(spec, (list, tuple)):
        for item, part in zip(spec, tree, strict=True):
            _match(item, part, slots)


def _output_names(traced: Traced) -> list[str]:
    names = ["?"] * len(traced.graph.outputs)
    labels = Names()
    inputs = [labels[v] for v in traced.graph.inputs]
    for slot, part in enumerate(traced.results):
        if part.source >= 0:
            names[part.source] = f"result {slot}"
    for leaf, output in traced.effects.kept:
        owner = inputs[leaf] if isinstance(leaf, int) else leaf.name or "a tensor"
        names[output] = f"the gradient of {owner}"
    for index, output in traced.graph.state:
        names[output] = f"the new {inputs[index]}"
    return names


# Comparing.
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
        Comparison(ways, i, name, error_of(x, y), TOLERANCES.get(dtype_of(y.dtype).name, 0.0))
        for i, (name, x, y) in enumerate(zip(outputs, a, b, strict=True))
        if x is not None
    ]


def _first_bad(comparisons: Sequence[Comparison]) -> Comparison | None:
    return next((c for c in comparisons if not c.agrees), None)


def run_machine_code(graph: Graph, inputs: Sequence[Array]) -> list[Array]:
    """All outputs of a graph of kernels, new values of state among them; the inputs are not changed."""
    executable = Executable(graph)
    tensors = [Tensor.wrap(np.array(array, order="C")) for array in inputs]
    _, call = executable.bind(len(tensors), (), Tensor, Tensor.wrap, "_storage", Storage, on_status=_guard_failed)
    result = call(*tensors)
    results = iter(result if isinstance(result, tuple) else (result,))
    state = {output: index for index, output in graph.state}
    return [(tensors[state[i]] if i in state else next(results)).data for i in range(len(graph.outputs))]


def _guard_failed(status: int) -> object:
    raise VerifyError(f"machine code reports a failed guard (status {status}), which the reference does not")


@dataclass(frozen=True)
class _Check:
    """The runs of one traced graph; `folder` is where a reproducer goes, if anywhere."""

    graph: Graph
    inputs: Sequence[Array]
    outputs: Sequence[str]
    folder: Path | None

    def run(self, eager: Sequence[Array | None]) -> Lockstep:
        traced = evaluate(self.graph, self.inputs)
        passed, _ = run_passes(self.graph, DEFAULT_PASSES)
        interpreted = evaluate(passed, self.inputs)
        compiled, _ = run_passes(self.graph, PIPELINE)
        found: list[Comparison] = []
        if any(x is not None for x in eager):
            found += self._expect("eager and traced", eager, traced, lambda bad: self._blame_trace(bad, eager))
        found += self._expect("traced and interpreter", traced, interpreted, self._blame_pass)
        machine = run_machine_code(compiled, self.inputs)
        found += self._expect("interpreter and JIT", interpreted, machine, lambda bad: self._blame_kernel(compiled))
        kernels = sum(node.op.kind == "kernel" for node in compiled.nodes)
        return Lockstep(self.graph.name, len(self.graph.nodes), kernels, tuple(found))

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
            difference = blame(bad)
            text = f"{self.graph.name}: {bad}\n{difference.reason}"
            if self.folder is not None:
                _write(self.folder, difference)
                text += f"\nreproduce with: python {self.folder / 'reproduce.py'}"
            raise VerifyError(text, difference.node.loc if difference.node else None)
        return comparisons

    def _blame_trace(self, bad: Comparison, eager: Sequence[Array | None]) -> _Difference:
        node = self.graph.producers().get(self.graph.outputs[bad.index])
        reason = (
            f"the trace holds something else than the function did when it ran: {_text(node)}. Does it depend on what "
            "a trace cannot see, such as random numbers of numpy, the time, a file, or objects that it changes?"
        )
        return _Difference(reason, node, self.graph, self.inputs, eager)

    def _blame_pass(self, bad: Comparison) -> _Difference:
        """The first pass after which the graph computes something else."""
        index = bad.index
        expected = evaluate(self.graph, self.inputs)[index]
        graph = self.graph
        flat = [step for each in DEFAULT_PASSES for step in ((each,) if callable(each) else (*each, *each))]
        for step in flat:
            graph = step(graph)
            if error_of(expected, evaluate(graph, self.inputs)[index]) > bad.tolerance:
                node = graph.producers().get(graph.outputs[index])
                name = getattr(step, "__name__", str(step))
                return _Difference(
                    f"the pass {name} changed {bad.output}: {_text(node)}", node, self.graph, self.inputs
                )
        return _Difference("the passes changed it only together", None, self.graph, self.inputs)

    def _blame_kernel(self, compiled: Graph) -> _Difference:
        """The first kernel that gives something else on the reference's operands, and the first node in it."""
        values = [*compiled.inputs, *(v for node in compiled.nodes for v in node.outputs)]
        everything = Graph("all", compiled.inputs, compiled.nodes, tuple(values))
        known = dict(zip(values, evaluate(everything, self.inputs), strict=True))
        for node in compiled.nodes:
            if node.op.kind != "kernel":
                continue
            own = alone(compiled, node)
            operands = [known[v] for v in own.inputs]
            if _differs(own, operands, [known[v] for v in node.outputs]):
                return _first_node(node, [known[v] for v in node.inputs], own, operands)
        reason = "every kernel is right alone: the order of the kernels, or the place of a buffer, is wrong"
        return _Difference(reason, None, self.graph, self.inputs)


def _differs(kernels: Graph, inputs: Sequence[Array], expected: Sequence[Array]) -> bool:
    names = [""] * len(expected)
    return _first_bad(compare("", names, expected, run_machine_code(kernels, inputs))) is not None


def _first_node(kernel: Node, operands: Sequence[Array], own: Graph, own_inputs: Sequence[Array]) -> _Difference:
    """The first node of a kernel's body that differs when the body ends with it."""
    body: Graph = kernel.attrs["body"]
    for i, node in enumerate(body.nodes):
        prefix = Graph("prefix", body.inputs, body.nodes[: i + 1], node.outputs)
        compiled, _ = run_passes(prefix, (dce, materialize, fuse))
        if _differs(compiled, operands, evaluate(prefix, operands)):
            small = dce(prefix)
            return _Difference(f"the first node that differs is {_text(node)}", node, small, operands)
    reason = f"its nodes are right one by one, but not fused into the {kernel.attrs['family']} kernel {_text(kernel)}"
    return _Difference(reason, kernel, own, own_inputs)


def _text(node: Node | None) -> str:
    return "an input" if node is None else print_node(node, Names()).split("\n")[0]


def _write(folder: Path, difference: _Difference) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "graph.ir").write_text(print_graph(difference.graph, locs=True) + "\n")
    arrays: dict[str, Any] = {f"input{i}": array for i, array in enumerate(difference.inputs)}
    arrays |= {f"expected{i}": array for i, array in enumerate(difference.expected) if array is not None}
    np.savez(folder / "arrays.npz", **arrays)
    (folder / "reproduce.py").write_text(_SCRIPT)
