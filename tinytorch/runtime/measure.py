"""The time of a single kernel of a graph, alone, on made-up data."""

from __future__ import annotations

import ctypes
from time import perf_counter

import numpy as np
import numpy.typing as npt

from tinytorch.ir.graph import Graph, Node, Value
from tinytorch.ir.op import Array
from tinytorch.runtime.llvm.lower import lower
from tinytorch.runtime.llvm.pycall.call import aligned_empty
from tinytorch.runtime.llvm.text import jit
from tinytorch.runtime.llvm.text.builder import Module
from tinytorch.runtime.llvm.text.builder import Value as Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I64, PTR
from tinytorch.runtime.llvm.threads.pool import get_num_threads, shared_pool
from tinytorch.runtime.schedule import schedule

_SECONDS = 2e-2  # of measuring one kernel
_ROUNDS = 5  # the best one counts


def alone(graph: Graph, node: Node) -> Graph:
    """`node` of `graph` as a graph of its own, with the views and constants that lead to its operands."""
    producers = graph.producers()
    nodes: list[Node] = []
    inputs: dict[Value, None] = {}

    def visit(value: Value) -> None:
        maker = producers.get(value)
        if maker is None or maker.op.kind == "kernel":
            inputs[value] = None
        elif maker not in nodes:
            for operand in maker.inputs:
                visit(operand)
            nodes.append(maker)

    for value in node.inputs:
        visit(value)
    return Graph("alone", tuple(inputs), (*nodes, node), node.outputs)


def measure(graph: Graph, node: Node, target: Target | None = None) -> float:
    """Seconds that the kernel `node` of a fused graph takes, called again and again on the same buffers.

    Floats are drawn from 0.1 to 1; integers and booleans are 0, which every index may be.
    """
    pool, target = shared_pool(), target or Target.host()
    plan = schedule(alone(graph, node))
    lowered = lower(plan, target, get_num_threads())
    code = jit.load_object(jit.compile_object(lowered.text, target))
    inputs = [_data(value) for value in plan.graph.inputs]
    outputs = [aligned_empty(value.type.bytes) for value in plan.graph.outputs]
    arena, status = aligned_empty(lowered.arena_bytes), np.zeros(1, np.int64)
    before = [array.ctypes.data for array in (*inputs, *outputs)]
    after = [array.ctypes.data for array in (*plan.constants, arena, status)]
    frame = np.array([*before, pool.address, *after], np.uint64)
    return _seconds_per_call(code.address(lowered.entry), frame)


def _data(value: Value) -> Array:
    type = value.type
    array = aligned_empty(type.bytes).view(type.dtype.numpy).reshape(type.shape)
    array[...] = np.random.default_rng(0).uniform(0.1, 1, type.shape) if type.dtype.is_float else 0
    return array


def _seconds_per_call(entry: int, frame: npt.NDArray[np.uint64]) -> float:
    loaded = _repeater()
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(loaded.address("repeat"))

    def run(repeats: int) -> float:
        before = perf_counter()
        call(entry, frame.ctypes.data, repeats)
        return perf_counter() - before

    run(1)  # starts the threads
    repeats = 1
    while run(repeats) < _SECONDS / _ROUNDS or run(repeats) < _SECONDS / _ROUNDS:  # twice: the first may have waited
        repeats *= 2
    return min(run(repeats) for _ in range(_ROUNDS)) / repeats


def _repeater() -> jit.LoadedCode:
    """repeat(entry, frame, count): calls entry(frame) that often."""
    target = Target.host()
    module = Module(target.attributes)
    f = module.function("repeat", [PTR, PTR, I64])
    entry, frame, count = f.params

    def once(_: Register) -> None:
        f.call_pointer(entry, [frame])

    f.loop(count, [], once)
    f.ret()
    return jit.load_object(jit.compile_object(module.text(), target))
