"""A second backend, which shows what the seam asks for: it runs the kernels of a schedule by the numpy reference.

Its code is text: the bodies of the kernels, as the printer writes them. What each call reads and writes stands in the
metadata, as the schedule has placed it: values lie in inputs, outputs, constants and one arena, and are seen through
offsets and strides. So it is right only if waves, buffers and guards are.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np

from tinytorch.ir.arrays.memory import overlaps
from tinytorch.ir.arrays.reference import evaluate
from tinytorch.ir.families import FAMILIES
from tinytorch.ir.graph import Graph
from tinytorch.ir.kernels.costs import Costs
from tinytorch.ir.op import Array
from tinytorch.ir.text.parser import parse_graph
from tinytorch.ir.text.printer import print_graph
from tinytorch.ir.types import TensorType
from tinytorch.runtime.backend import Binding, Call
from tinytorch.runtime.cache import Entry
from tinytorch.runtime.python_call import python_call
from tinytorch.runtime.roofline import Peaks
from tinytorch.runtime.schedule import Argument, Schedule, constants_of

GUARD_FAILED = 1
_ROUNDS = 3  # of measuring


@dataclass
class NumpyBackend:
    """`key` stands for what its code depends on; `lowered` and `loaded` count."""

    key: str = "1"
    costs: Costs = field(default_factory=lambda: Costs(vector_bytes=8))
    lowered: int = 0
    loaded: int = 0
    families = FAMILIES
    name = "numpy"
    interruptible = True

    def lower(self, schedule: Schedule) -> Entry:
        self.lowered += 1
        calls = [call for wave in schedule.waves for call in wave]
        arguments = [[_described(a) for a in (*call.operands, *call.results)] for call in calls]
        state = {output for _, output in schedule.graph.state}
        outputs = [i for i in range(len(schedule.graph.outputs)) if i not in state]
        bodies = [print_graph(call.body) for call in calls]
        metadata = {"arguments": arguments, "outputs": outputs, "arena_bytes": schedule.arena_bytes}
        return Entry(metadata, json.dumps(bodies).encode())

    def load(self, code: Entry) -> NumpyProgram:
        self.loaded += 1
        return NumpyProgram(code)

    def allocate(self, type: TensorType) -> Array:
        return np.empty(type.shape, type.dtype.numpy)

    def copy(self, array: Array, buffer: Array) -> None:
        np.copyto(buffer, array)

    def peaks(self) -> Peaks:
        return Peaks(1, 1e9, ((1 << 20, 1e9),))


def _described(argument: Argument) -> dict[str, Any]:
    dtype = argument.value.type.dtype
    return {
        "place": [argument.place.kind, argument.place.index],
        "offset": argument.offset * dtype.size,
        "strides": [stride * dtype.size for stride in argument.strides],
    }


class NumpyProgram:
    """The parsed kernels, in their order, and where their arguments lie."""

    def __init__(self, code: Entry) -> None:
        bodies = map(parse_graph, json.loads(code.object_code))
        self.calls = list(zip(bodies, code.metadata["arguments"], strict=True))
        self.outputs: list[int] = code.metadata["outputs"]
        self.arena_bytes: int = code.metadata["arena_bytes"]

    def bind(self, graph: Graph, binding: Binding) -> tuple[Call, Call]:
        constants = constants_of(graph)
        written = {index for index, _ in graph.state}

        def run(arrays: Sequence[Array]) -> list[Array] | int:
            apart = {i for pair in overlaps(arrays, written) for i in pair}
            ready = [
                a if a.flags.c_contiguous and i not in apart else np.array(a, order="C") for i, a in enumerate(arrays)
            ]
            made = [np.empty(v.type.shape, v.type.dtype.numpy) for v in (graph.outputs[i] for i in self.outputs)]
            if self.run(ready, made, constants):
                return GUARD_FAILED
            for i in written:
                if ready[i] is not arrays[i]:
                    np.copyto(arrays[i], ready[i])
            return made

        return python_call(graph, run, binding)

    def run(self, inputs: Sequence[Array], outputs: Sequence[Array], constants: Sequence[Array]) -> int:
        """Run the kernels where their arguments lie; not 0 where a guard fails, which ends the run."""
        arena = np.empty(self.arena_bytes, np.uint8)
        memory = {"input": dict(enumerate(inputs)), "constant": dict(enumerate(constants))}
        memory["output"] = dict(zip(self.outputs, outputs, strict=True))

        def seen(type: TensorType, argument: dict[str, Any]) -> Array:
            kind, index = argument["place"]
            base, offset = (arena, index) if kind == "arena" else (memory[kind][index], 0)
            flat = base.reshape(-1).view(np.uint8)
            if not type.size:
                return np.empty(type.shape, type.dtype.numpy)
            start = offset + argument["offset"]
            return np.ndarray(type.shape, type.dtype.numpy, flat, start, argument["strides"])

        for body, arguments in self.calls:
            values = [*body.inputs, *body.outputs]
            arrays = [seen(v.type, argument) for v, argument in zip(values, arguments, strict=True)]
            operands, results = arrays[: len(body.inputs)], arrays[len(body.inputs) :]
            try:
                made = evaluate(body, operands)
            except IndexError:
                return GUARD_FAILED
            for result, array in zip(results, made, strict=True):
                result[...] = array
        return 0

    def measure(self, buffers: Sequence[Array], constants: Sequence[Array]) -> float:
        inputs = len(buffers) - len(self.outputs)
        times: list[float] = []
        for _ in range(_ROUNDS):
            start = perf_counter()
            assert self.run(buffers[:inputs], buffers[inputs:], constants) == 0
            times.append(perf_counter() - start)
        return min(times)
