"""From a schedule to one LLVM module with one entry function for the whole graph.

The kernels are generated here, the entry function in `entry`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from tinytorch.ir.graph import Graph, Value
from tinytorch.ir.kernels.result_order import as_computed
from tinytorch.ir.ops.view import inverse
from tinytorch.ir.system import locks
from tinytorch.ir.text.printer import print_graph
from tinytorch.runtime.llvm.entry import MAX_SLOTS, Areas, write_entry
from tinytorch.runtime.llvm.kernel import Buffer, Kernel, KernelCode
from tinytorch.runtime.llvm.text.builder import Module
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.schedule import Argument, Call, Schedule


@dataclass(frozen=True)
class Lowered:
    """The text of a module whose function `entry` runs the graph, and how large an arena that needs."""

    text: str
    entry: str
    arena_bytes: int
    kernels: int


def lower(schedule: Schedule, target: Target, slots: int, entry: str = "entry") -> Lowered:
    """Generate every kernel of the schedule, alike ones once, and the entry function that runs the waves.

    At most `slots` threads have a scratch area at a time.
    """
    module = Module(target.attributes)
    areas, kernels = write_graph(module, schedule, target, slots, entry)
    return Lowered(module.text(), entry, areas.bytes, kernels)


def write_graph(
    module: Module,
    schedule: Schedule,
    target: Target,
    slots: int,
    entry: str,
    change: Callable[[Call, KernelCode], KernelCode] = lambda call, code: code,
) -> tuple[Areas, int]:
    """What `lower` writes, into a module; where in the arena what begins, and the number of kernels. What runs for a
    kernel of the schedule is `change(call, code)`."""
    generator = Generator(module, target)
    waves = [[(call, change(call, generator.kernel(call))) for call in wave] for wave in schedule.waves]
    areas = Areas(schedule, waves, min(slots, MAX_SLOTS))
    write_entry(module, schedule, waves, areas, entry)
    return areas, len(generator.known)


class Generator:
    """Generates kernels; the same body over the same layouts is generated once."""

    def __init__(self, module: Module, target: Target) -> None:
        self.module = module
        self.target = target
        self.known: dict[Hashable, KernelCode] = {}

    def kernel(self, call: Call) -> KernelCode:
        body, orders = as_computed(call.body)
        operands = tuple(map(_operand, call.operands))
        results = tuple(
            _operand(x) if axes is None else _operand(x).reordered(inverse(axes))
            for x, axes in zip(call.results, orders, strict=True)
        )
        in_place, covering = call.overwritten is not None, call.covering
        kernel = Kernel(body, print_graph(_without_names(body)), operands, results, in_place, covering)
        key = (call.family, kernel.text, operands, results, in_place, covering)
        if key not in self.known:
            name = f"{call.family}{len(self.known)}"
            self.known[key] = _emitter(call.family)(self.module, name, kernel, self.target)
        return self.known[key]


def _emitter(family: str) -> Callable[[Module, str, Kernel, Target], KernelCode]:
    """What writes kernels of a family: `emit` in the module `kernel` of the package that is called like it."""
    with locks.importing:
        return importlib.import_module(f"{__package__}.{family}.kernel").emit


def _operand(argument: Argument) -> Buffer:
    return Buffer(argument.value.type.dtype, argument.value.type.shape, argument.strides)


def _without_names(graph: Graph) -> Graph:
    """The same graph, its values numbered, so that alike bodies have one text."""
    known: dict[Value, Value] = {}

    def bare(value: Value) -> Value:
        return known.setdefault(value, Value(value.type))

    nodes = [type(n)(n.op, tuple(map(bare, n.inputs)), n.attrs, tuple(map(bare, n.outputs))) for n in graph.nodes]
    return Graph("body", tuple(map(bare, graph.inputs)), tuple(nodes), tuple(map(bare, graph.outputs)))
