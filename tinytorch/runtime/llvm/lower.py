"""From a schedule to one LLVM module with one entry function for the whole graph.

`void entry(ptr frame)`: `frame` holds pointers [*inputs, *outputs, pool, *constants, arena, status]: outputs without
those that are state, and the frame of `pycall.CallSpec` in all. The i64 status is 0 at the start, and not 0 where a
guard failed; no state has been changed then. The arena begins with the word of free scratch areas, then come the
schedule's buffers, memory that the kernels of a wave share among their chunks, and scratch areas of single threads.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from tinytorch.ir.emitter import Lane
from tinytorch.ir.graph import Graph
from tinytorch.ir.graph import Value as GraphValue
from tinytorch.ir.ops.pooling import max_pool2d, max_pool2d_index
from tinytorch.ir.printer import print_graph
from tinytorch.runtime.llvm.builder import Function, Module, Value
from tinytorch.runtime.llvm.contract import Epilogue, EpilogueContext, Operand
from tinytorch.runtime.llvm.contract_kernels import emit_contract
from tinytorch.runtime.llvm.conv_pool import PoolContext, largest
from tinytorch.runtime.llvm.index import emit_index
from tinytorch.runtime.llvm.lltypes import I1, I64, PTR
from tinytorch.runtime.llvm.loop import emit_loop
from tinytorch.runtime.llvm.loop_lane import computed, node_lane
from tinytorch.runtime.llvm.pool_code import LAUNCH_SYMBOL
from tinytorch.runtime.llvm.target import Target
from tinytorch.runtime.schedule import ALIGNMENT, Argument, Call, Place, Schedule

MAX_SLOTS = 64  # scratch areas of threads: one bit each in a word


@dataclass(frozen=True)
class Kernel:
    """A generated kernel: `phases` of (function, chunks), run one after the other.

    Its frame holds pointers to the buffers, operands then results in the given `order`, to scratch, and to the status
    word. `shared_bytes` of scratch belong to the whole kernel, `private_bytes` to each thread: one pointer to scratch,
    or two in this order.
    """

    phases: tuple[tuple[str, int], ...]
    order: tuple[int, ...]
    shared_bytes: int = 0
    private_bytes: int = 0


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
    areas = _Areas(plan, waves, min(slots, MAX_SLOTS))
    _Entry(module, plan, waves, areas, entry).write()
    return Lowered(module.text(), entry, areas.bytes, len(generator.known))


class _Areas:
    """Where in the arena what begins."""

    def __init__(self, plan: Schedule, waves: Sequence[Sequence[tuple[Call, Kernel]]], slots: int) -> None:
        self.slots = slots
        self.buffers = ALIGNMENT
        self.shared = self.buffers + _aligned(plan.arena_bytes)
        most = max((sum(_aligned(k.shared_bytes) for _, k in wave) for wave in waves), default=0)
        self.private = self.shared + most
        self.private_bytes = _aligned(max((k.private_bytes for wave in waves for _, k in wave), default=0))
        self.bytes = self.private + self.private_bytes * slots


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


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
        nodes = call.body.nodes
        order = [call.body.inputs.index(v) for v in nodes[0].inputs]  # one value may be several operands
        # Results come in the order of the body's outputs, the kernel wants them in that of its nodes.
        places = [call.body.outputs.index(n.output) for n in nodes]
        given = [results[i] for i in places]
        there = _updates_in_place(call)
        index = emit_index(self.module, name, nodes, [operands[i] for i in order], given, self.target, in_place=there)
        order += [len(operands) + i for i in places]
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
            if node.output is sums:
                continue
            operands = [lanes(v) for v in node.inputs]
            if node.op.name == "broadcast":  # of a literal: every lane holds it
                known[node.output] = operands[0]
            elif node.op in (max_pool2d, max_pool2d_index):
                known[node.output] = [largest(context.emitter, operands[0])[node.op is max_pool2d_index]]
            else:
                dtype, places = computed(node.output.type.dtype), max(map(len, operands), default=1)
                each = [[x[i % len(x)] for x in operands] for i in range(places)]
                known[node.output] = [node_lane(context.emitter, node, x).cast(dtype) for x in each]
        for i, value in enumerate(body.outputs):
            context.store(i, lanes(value)[0].cast(value.type.dtype))

    extra = tuple(operands[body.inputs.index(v)] for v in inputs)
    pooling = next((n for n in body.nodes if n.op in (max_pool2d, max_pool2d_index)), None)
    pool = pooling.attrs["window"] if pooling else None
    return Epilogue(print_graph(_without_names(body)), run, extra, tuple(results[1:]), pool)


@dataclass(frozen=True)
class _Launch:
    """One phase of a kernel with the frame that it runs on."""

    function: str
    chunks: int
    frame: Value
    kernel: Kernel


class _Entry:
    """Writes the entry function: addresses, frames, then wave after wave."""

    def __init__(
        self,
        module: Module,
        plan: Schedule,
        waves: Sequence[Sequence[tuple[Call, Kernel]]],
        areas: _Areas,
        name: str,
    ) -> None:
        self.module = module
        self.waves = waves
        self.areas = areas
        self.fn = module.function(name, [PTR])
        (self.frame,) = self.fn.params
        state = {output for _, output in plan.graph.state}
        outputs = [i for i in range(len(plan.graph.outputs)) if i not in state]
        inputs = len(plan.graph.inputs)
        self.outputs = {output: inputs + i for i, output in enumerate(outputs)}
        self.pool_at = inputs + len(outputs)
        last = self.pool_at + 1 + len(plan.constants)
        self.arena = self._word(last)
        self.status = self._word(last + 1)
        self.bases: dict[Place, Value] = {}

    def _word(self, index: int) -> Value:
        return self.fn.load(self.frame, PTR, index * 8)

    def write(self) -> None:
        fn = self.fn
        if self.areas.private_bytes:
            fn.store(fn.const((1 << self.areas.slots) - 1, I64), self.arena)
        launches = [self._launches(wave) for wave in self.waves]
        self._from(0, launches)
        fn.ret()

    def _from(self, first: int, launches: Sequence[Sequence[Sequence[_Launch]]]) -> None:
        """Run the waves from `first` on; behind a guard only if it held."""
        fn = self.fn
        for i in range(first, len(self.waves)):
            for phase in launches[i]:
                self._run(phase)
            if i + 1 < len(self.waves) and any(call.guarded for call, _ in self.waves[i]):
                held = fn.compare("eq", fn.load(self.status, I64), fn.const(0, I64))
                fn.if_(held, lambda: self._from(i + 1, launches))  # noqa: B023 (called at once)
                return

    def _launches(self, wave: Sequence[tuple[Call, Kernel]]) -> list[list[_Launch]]:
        """What runs at once, phase after phase."""
        frames: list[Value] = []
        shared = self.areas.shared
        for call, kernel in wave:
            frames.append(self._frame(call, kernel, shared))
            shared += _aligned(kernel.shared_bytes)
        most = max((len(kernel.phases) for _, kernel in wave), default=0)
        return [
            [
                _Launch(*kernel.phases[phase], frame, kernel)
                for (_, kernel), frame in zip(wave, frames, strict=True)
                if phase < len(kernel.phases) and kernel.phases[phase][1]
            ]
            for phase in range(most)
        ]

    def _frame(self, call: Call, kernel: Kernel, shared: int) -> Value:
        fn = self.fn
        arguments = [*call.operands, *call.results]
        pointers = [self._pointer(arguments[which]) for which in kernel.order]
        scratch = [shared] if kernel.shared_bytes else []
        scratch += [self.areas.private] if kernel.private_bytes or not scratch else []
        pointers += [*(fn.at(self.arena, at) for at in scratch), self.status]
        frame = fn.alloca(len(pointers) * 8, 8)
        for i, pointer in enumerate(pointers):
            fn.store(pointer, frame, i * 8)
        return frame

    def _pointer(self, argument: Argument) -> Value:
        return self.fn.at(self._base(argument.place), argument.offset * argument.value.type.dtype.size)

    def _base(self, place: Place) -> Value:
        if place not in self.bases:
            self.bases[place] = self._load_base(place)
        return self.bases[place]

    def _load_base(self, place: Place) -> Value:
        if place.kind == "input":
            return self._word(place.index)
        if place.kind == "output":
            return self._word(self.outputs[place.index])
        if place.kind == "constant":
            return self._word(self.pool_at + 1 + place.index)
        return self.fn.at(self.arena, self.areas.buffers + place.index)

    def _run(self, launches: Sequence[_Launch]) -> None:
        """Kernels of one piece run here; the others share one launch of the pool."""
        fn = self.fn
        for launch in launches:
            if launch.chunks == 1:
                fn.call(launch.function, [launch.frame, fn.const(0, I64)])
        split = [x for x in launches if x.chunks > 1]
        if split:
            function, frame = self._dispatcher(split)
            count = fn.const(sum(x.chunks for x in split), I64)
            fn.call(LAUNCH_SYMBOL, [self._word(self.pool_at), fn.address(function), frame, count])

    def _dispatcher(self, launches: Sequence[_Launch]) -> tuple[str, Value]:
        """A function that runs chunk i of several kernels, and its frame: [arena, frame of each kernel]."""
        if len(launches) == 1 and not launches[0].kernel.private_bytes:
            return launches[0].function, launches[0].frame
        fn = self.fn
        frame = fn.alloca((1 + len(launches)) * 8, 8)
        fn.store(self.arena, frame)
        for i, launch in enumerate(launches):
            fn.store(launch.frame, frame, (1 + i) * 8)
        key = ("dispatch", tuple((x.function, x.chunks) for x in launches))
        return self.module.shared(
            key, lambda name: _write_dispatcher(self.module, name, launches, self.areas)
        ).name, frame


def _write_dispatcher(module: Module, name: str, launches: Sequence[_Launch], areas: _Areas) -> Function:
    fn = module.function(name, [PTR, I64])
    frame, chunk = fn.params

    def run(i: int, first: int) -> None:
        launch = launches[i]
        if i == len(launches) - 1:
            _run_chunk(fn, frame, launch, i, chunk - first, areas)
            return
        beyond = first + launch.chunks
        inside = fn.compare("slt", chunk, fn.const(beyond, I64))
        fn.if_(inside, lambda: _run_chunk(fn, frame, launch, i, chunk - first, areas), lambda: run(i + 1, beyond))

    run(0, 0)
    fn.ret()
    return fn


def _run_chunk(fn: Function, frame: Value, launch: _Launch, i: int, chunk: Value, areas: _Areas) -> None:
    """Run one chunk; a kernel with private scratch gets a copy of its frame with the pointer to a free area."""
    own = fn.load(frame, PTR, (1 + i) * 8)
    if not launch.kernel.private_bytes:
        fn.call(launch.function, [own, chunk])
        return
    arena = fn.load(frame, PTR)
    slot = _claim(fn, arena)
    private = len(launch.kernel.order) + (launch.kernel.shared_bytes > 0)  # the place of the pointer
    copied = fn.alloca((private + 2) * 8, 8)
    fn.copy(copied, own, (private + 2) * 8)
    fn.store(fn.at(arena, slot * areas.private_bytes + areas.private), copied, private * 8)
    fn.call(launch.function, [copied, chunk])
    fn.atomic_rmw("or", arena, fn.const(1, I64) << slot)


def _claim(fn: Function, slots: Value) -> Value:
    """Take the lowest free slot; wait while there is none."""
    zero = fn.const(0, I64)
    one = fn.const(1, I64)

    def attempt(ok: Value, slot: Value) -> list[Value]:
        free = fn.atomic_load(slots, I64)
        lowest = fn.call("llvm.cttz.i64", [free, fn.const(0, I1)], I64) & 63
        wanted = (one << lowest) & free
        old = fn.atomic_rmw("and", slots, wanted ^ -1)
        return [old & wanted, lowest]

    return fn.while_([zero, zero], lambda ok, slot: fn.compare("eq", ok, zero), attempt)[1]
