"""From a schedule to one LLVM module with one entry function for the whole graph.

The kernels are generated here, the entry function in `entry`.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from tinytorch.ir.emitter import Lane
from tinytorch.ir.graph import Graph
from tinytorch.ir.graph import Value as GraphValue
from tinytorch.ir.ops.pooling import max_pool2d
from tinytorch.ir.printer import print_graph
from tinytorch.runtime.llvm.contract.kernel import Epilogue, EpilogueContext, Operand
from tinytorch.runtime.llvm.contract.kernels import emit_contract
from tinytorch.runtime.llvm.conv.pool import PoolContext, largest
from tinytorch.runtime.llvm.entry import MAX_SLOTS, Areas, Kernel, write_entry
from tinytorch.runtime.llvm.index.kernels import emit_index
from tinytorch.runtime.llvm.lanes.node import computed, node_lane
from tinytorch.runtime.llvm.loop.kernel import emit_loop
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


def lower(plan: Schedule, target: Target, slots: int, entry: str = "entry") -> Lowered:
    """Generate every kernel of the schedule, alike ones once, and the entry function that runs the waves.

    At most `slots` threads have a scratch area at a time.
    """
    module = Module(target.attributes)
    generator = _Generator(module, target)
    waves = [[(call, generator.kernel(call)) for call in wave] for wave in plan.waves]
    areas = Areas(plan, waves, min(slots, MAX_SLOTS))
    write_entry(module, plan, waves, areas, entry)
    return Lowered(module.text(), entry, areas.bytes, len(generator.known))


class _Generator:
    """Generates kernels; the same body over the same layouts is generated once."""

    def __init__(self, module: Module, target: Target) -> None:
        self.module = module
        self.target = target
        self.known: dict[Hashable, Kernel] = {}

    def kernel(self, call: Call) -> Kernel:
        operands, results = [tuple(map(_operand, x)) for x in (call.operands, call.results)]
        text = print_graph(_without_names(call.body))
        key = (call.family, text, operands, results, _updates_in_place(call))
        if key not in self.known:
            self.known[key] = self._generate(call, operands, results, f"{call.family}{len(self.known)}")
        return self.known[key]

    def _generate(self, call: Call, operands: Sequence[Operand], results: Sequence[Operand], name: str) -> Kernel:
        everything = tuple(range(len(operands) + len(results)))
        if call.family == "loop":
            loop = emit_loop(self.module, name, call.body, [o.strides for o in operands], self.target)
            return Kernel(tuple((p.function, p.chunks) for p in loop.phases), everything, loop.scratch_bytes)
        if any(n.op.kind == "contract" for n in call.body.nodes):
            return self._contract(call.body, operands, results, name)
        (node,) = call.body.nodes
        positions = {value: i for i, value in enumerate(call.body.inputs)}
        order = [positions[v] for v in node.inputs]  # one value may be several operands
        # The kernel wants results in the order of the node's, of which the body may give a part, in any order.
        places = {v: i for i, v in enumerate(call.body.outputs)}
        given = [results[places[v]] if v in places else None for v in node.outputs]
        there = _updates_in_place(call)
        index = emit_index(self.module, name, node, [operands[i] for i in order], given, self.target, in_place=there)
        order += [len(operands) + places[v] for v in node.outputs if v in places]
        return Kernel(index.phases, tuple(order), private_bytes=index.scratch_bytes)

    def _contract(self, body: Graph, operands: Sequence[Operand], results: Sequence[Operand], name: str) -> Kernel:
        product = next(n for n in body.nodes if n.op.kind == "contract")  # the others are its epilogue
        a, b, *further = (body.inputs.index(v) for v in product.inputs)
        extra = list(range(len(operands)))  # every operand, should the epilogue read a or b as well
        used = [i for i in extra if any(body.inputs[i] in n.inputs for n in body.nodes if n is not product)]
        first = len(operands)
        order = (a, b, first, *range(first + 1, first + len(results)), *used, *further)
        plain = len(body.nodes) == 1
        epilogue = None if plain else _epilogue(body, product.output, [body.inputs[i] for i in used], operands, results)
        made = emit_contract(self.module, name, product, operands[a], operands[b], results[0], self.target, epilogue)
        return Kernel(made.phases, order, made.shared_bytes, made.private_bytes)


def _updates_in_place(call: Call) -> bool:
    """Whether the kernel of an op that updates its first operand writes over that operand's buffer."""
    node = call.body.nodes[0]
    return node.op.kind == "update" and (
        call.operands[call.body.inputs.index(node.inputs[0])].place == call.results[0].place
    )


def _operand(argument: Argument) -> Operand:
    return Operand(argument.value.type.dtype, argument.value.type.shape, argument.strides)


def _without_names(graph: Graph) -> Graph:
    """The same graph, its values numbered, so that alike bodies have one text."""
    known: dict[GraphValue, GraphValue] = {}

    def bare(value: GraphValue) -> GraphValue:
        return known.setdefault(value, GraphValue(value.type))

    nodes = [type(n)(n.op, tuple(map(bare, n.inputs)), n.attrs, tuple(map(bare, n.outputs))) for n in graph.nodes]
    return Graph("body", tuple(map(bare, graph.inputs)), tuple(nodes), tuple(map(bare, graph.outputs)))


def _epilogue(
    body: Graph, sums: GraphValue, inputs: Sequence[GraphValue], operands: Sequence[Operand], results: Sequence[Operand]
) -> Epilogue:
    """The elementwise nodes behind a product as a contract epilogue."""
    position = {value: i for i, value in enumerate(inputs)}

    def run(context: EpilogueContext | PoolContext) -> None:
        # A value has a lane for each place of a window before it is pooled, else one.
        known: dict[GraphValue, list[Lane]] = {sums: [x.cast(computed(sums.type.dtype)) for x in context.sums]}

        def lanes(value: GraphValue) -> list[Lane]:
            if value not in known:
                known[value] = [x.cast(computed(value.type.dtype)) for x in context.window(position[value])]
            return known[value]

        for node in body.nodes:
            if sums in node.outputs:
                continue
            operands = [lanes(v) for v in node.inputs]
            if node.op.name == "broadcast":  # of a literal: every lane holds it
                known[node.output] = operands[0]
            elif node.op is max_pool2d:
                found = largest(context.emitter, operands[0])
                known.update((v, [lane]) for v, lane in zip(node.outputs, found, strict=True))
            else:
                dtype, places = computed(node.output.type.dtype), max(map(len, operands), default=1)
                each = [[x[i % len(x)] for x in operands] for i in range(places)]
                known[node.output] = [node_lane(context.emitter, node, x).cast(dtype) for x in each]
        for i, value in enumerate(body.outputs):
            context.store(i, lanes(value)[0].cast(value.type.dtype))

    extra = tuple(operands[body.inputs.index(v)] for v in inputs)
    pooling = next((n for n in body.nodes if n.op is max_pool2d), None)
    pool = pooling.attrs["window"] if pooling else None
    return Epilogue(print_graph(_without_names(body)), run, extra, tuple(results[1:]), pool)
