"""The reference runtime: numpy, one op at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinytorch.ir.arrays.reference import evaluate
from tinytorch.ir.graph import Graph
from tinytorch.ir.op import Array
from tinytorch.runtime.backend import Binding, Call
from tinytorch.runtime.python_call import python_call


class Interpreter:
    """Runs a graph node by node; what the compiled kernels are compared with. It can name the node that makes a NaN.

    It takes graphs of any ops, not schedules of kernels, and so is no backend; its calls are those of one.
    """

    def __init__(self, graph: Graph, check_nans: bool = False) -> None:
        self.graph = graph
        self._check_nans = check_nans
        self._state = {output: index for index, output in graph.state}
        self._constants = [n.attrs["value"] for n in graph.nodes if n.op.name == "constant"]

    def bind(self, binding: Binding) -> tuple[Call, Call]:
        """(fast, careful) functions of the arguments."""
        return python_call(self.graph, self.run, binding)

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """The outputs that are not state, in arrays of their own; new values of state are written into their inputs,
        all at the end, so that an error on the way leaves them as they were."""
        taken = {id(a) for a in (*inputs, *self._constants)}
        outputs: list[Array] = []
        for array in evaluate(self.graph, inputs, self._check_nans):
            shared = id(array) in taken or array.base is not None
            outputs.append(np.array(array) if shared else array)
            taken.add(id(array))
        for i, index in self._state.items():
            np.copyto(inputs[index], outputs[i])
        return [a for i, a in enumerate(outputs) if i not in self._state]
