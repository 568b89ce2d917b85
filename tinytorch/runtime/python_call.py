"""Calls of a graph that runs in Python, on numpy arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tinytorch.ir.arrays.memory import overlaps
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.graph import Graph
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array
from tinytorch.runtime.backend import MISMATCH, Binding, Call


def python_call(
    graph: Graph, run: Callable[[Sequence[Array]], Sequence[Array] | int], binding: Binding
) -> tuple[Call, Call]:
    """The (fast, careful) calls of `run`: it takes the arrays of all inputs, writes new values of state into theirs,
    and returns the other outputs in arrays of their own, or the number of an error before which it has written nothing.

    The fast call wants written memory for itself, and arguments in row-major order.
    """
    types = [v.type for v in graph.inputs]
    written = {i for i, _ in graph.state}
    slot, states = binding.data_slot, tuple(binding.states)

    def fast(*args: Any) -> Any:
        arrays: list[Array] = [getattr(t, slot) for t in (*args, *states)]
        plain = all(a.flags.c_contiguous for a in arrays[: len(args)])
        return careful(*args) if plain and not overlaps(arrays, written) else MISMATCH

    def careful(*args: Any) -> Any:
        tensors = [*args, *states]
        if [t.type for t in tensors] != types:
            return MISMATCH
        arrays: list[Array] = [getattr(t, slot) for t in tensors]
        for index in written:
            if not arrays[index].flags.writeable:
                name = graph.inputs[index].name
                raise TinyTorchError(f"{name} is read-only, but the compiled graph updates it in place", user_loc())
        results = run(arrays)
        if isinstance(results, int):
            return binding.on_status(results)
        for index in written:
            tensors[index].touch()
        wrapped = tuple(map(binding.wrap, results))
        return wrapped[0] if len(wrapped) == 1 else wrapped or None

    return fast, careful
