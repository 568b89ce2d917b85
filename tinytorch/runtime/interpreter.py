"""The reference runtime: numpy, one op at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinytorch.ir.graph import Graph
from tinytorch.ir.op import Array
from tinytorch.ir.reference import evaluate


class Interpreter:
    """Runs a graph node by node; what the compiled kernels are compared with."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._state = {output: index for index, output in graph.state}

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """The outputs that are not state; new values of state are written into their inputs, all at the end, so
        that an error on the way leaves them as they were."""
        outputs = evaluate(self.graph, inputs)
        for i, index in self._state.items():
            np.copyto(inputs[index], outputs[i])
        aliases = {id(a) for a in inputs}
        results = [a for i, a in enumerate(outputs) if i not in self._state]
        return [np.array(a) if id(a) in aliases or a.base is not None else a for a in results]
