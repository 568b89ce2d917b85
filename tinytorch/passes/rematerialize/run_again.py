"""Writing a graph in which segments of kernels run a second time."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tinytorch.ir.graph import Builder, Graph, Node, Value
from tinytorch.ir.ops.core import kernel
from tinytorch.ir.ops.view import after
from tinytorch.passes.dce import dce
from tinytorch.passes.rematerialize.segments import Peak, Segment


def run_again(peak: Peak, segments: Sequence[Segment]) -> Graph:
    """The graph with the kernels of `segments` a second time, each segment behind its trigger; readers after the peak
    take what these make."""
    return _Writer(peak, segments).run()


class _Writer:
    def __init__(self, peak: Peak, segments: Sequence[Segment]) -> None:
        self.peak = peak
        self.starts: dict[int, list[Segment]] = {}
        for segment in segments:
            self.starts.setdefault(segment.first, []).append(segment)
        self.producers = peak.graph.producers()
        self.known: dict[Value, Value] = {value: value for value in peak.graph.inputs}
        self.late: dict[Value, Value] = {}  # what is made again, and views of it
        self.builder = Builder(peak.graph.name, list(peak.graph.inputs))

    def run(self) -> Graph:
        graph, wave = self.peak.graph, -1
        for node in sorted(self.peak.kernels, key=self.peak.wave_of):
            if self.peak.wave_of(node) > wave:
                wave = self.peak.wave_of(node)
                for segment in self.starts.get(wave, ()):
                    self._repeat(segment)
            late = self.late if wave > self.peak.wave else {}
            inputs = tuple(self._view(v, late) if self.peak.base[v] in late else self._plain(v) for v in node.inputs)
            same = inputs == node.inputs
            self.builder.nodes.append(node if same else Node(node.op, inputs, node.attrs, node.outputs, node.loc))
            self.known.update((v, v) for v in node.outputs)
        return self.builder.build([self._plain(v) for v in graph.outputs], graph.state)

    def _repeat(self, segment: Segment) -> None:
        """Append the kernels of a segment; the first ones wait for the trigger."""
        copies: dict[Value, Value] = {}
        read = {v for node in segment.kernels for v in self.peak.operands(node)}
        for node in segment.kernels:
            wanted = [v for v in node.outputs if v in read or v in segment.dropped]
            body, places = _reduced(node, [node.outputs.index(v) for v in wanted])
            if len(body.outputs) == len(node.outputs):
                wanted = list(node.outputs)
            needed = [node.inputs[i] for i in places]
            own = [self.peak.base[v] in copies for v in needed]
            inputs = [self._view(v, copies) if o else self._plain(v) for v, o in zip(needed, own, strict=True)]
            self.builder.loc = node.loc
            if segment.trigger is not None and inputs and not any(own):
                inputs[0] = self.builder.append(after, [inputs[0], segment.trigger.outputs[0]], {}).output
            made = self.builder.append(kernel, inputs, {**node.attrs, "body": body}, [v.name for v in wanted])
            copies.update(zip(wanted, made.outputs, strict=True))
        self.late.update((v, made) for v, made in copies.items() if v in segment.dropped)

    def _plain(self, value: Value) -> Value:
        """`value` in the new graph, with the views and constants that lead to it."""
        for node in self._chain(value, self.known):
            for other in node.inputs[1:]:  # of `after`
                self._plain(other)
            self.builder.nodes.append(node)
            self.known[node.output] = node.output
        return value

    def _view(self, value: Value, copies: dict[Value, Value]) -> Value:
        """`value`, a view of something that was made again, as a view of that."""
        for node in self._chain(value, copies):
            others = [self._plain(other) for other in node.inputs[1:]]
            self.builder.loc = node.loc
            made = self.builder.append(node.op, [copies[node.inputs[0]], *others], node.attrs)
            copies[node.output] = made.output
        return copies[value]

    def _chain(self, value: Value, known: Collection[Value]) -> list[Node]:
        """The nodes that lead to a value from one that is known, in order."""
        found: list[Node] = []
        while value not in known:
            found.append(self.producers[value])
            if not found[-1].inputs:
                break
            value = found[-1].inputs[0]
        return found[::-1]


def _reduced(node: Node, outputs: Sequence[int]) -> tuple[Graph, list[int]]:
    """A kernel's body with some of its outputs alone, and which of its inputs these need; the whole body where what its
    family begins with is not among that."""
    body: Graph = node.attrs["body"]
    less = dce(body.with_nodes(body.nodes, [body.outputs[i] for i in outputs]))
    if node.attrs["family"] != "loop" and less.nodes[0] is not body.nodes[0]:
        return body, list(range(len(body.inputs)))
    read = {v for inner in less.nodes for v in inner.inputs}
    kept = [i for i, v in enumerate(body.inputs) if v in read]
    return Graph(less.name, tuple(body.inputs[i] for i in kept), less.nodes, less.outputs, less.state), kept
