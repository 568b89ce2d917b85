"""What each pass did: the passes run once more, and each graph is compared with the one before."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tinytorch.insight.graphs import Block, Writer, difference, loc_text, members, module_of
from tinytorch.insight.record import GraphLine, PassStep, Refusal, Rewrite
from tinytorch.insight.subject import Subject
from tinytorch.ir.graph import Graph, Node, Value
from tinytorch.ir.listening import Listener, listener
from tinytorch.ir.text.titles import kernel_title, phase_of
from tinytorch.passes.pipeline import PassRecord

_EXAMPLES = 3  # nodes that the example of a rewrite shows


@dataclass
class _Applied:
    """A rule in the pass that runs: the nodes that it replaced, and an example."""

    before: str
    after: str
    count: int = 0
    where: dict[str, None] = field(default_factory=dict[str, None])


@dataclass(frozen=True)
class History:
    """What a report has of the passes. `kernels` are the names of the kernels in the last graph, in its order."""

    passes: tuple[PassStep, ...]
    first_graph: tuple[GraphLine, ...]
    last_graph: tuple[GraphLine, ...]
    refusals: tuple[Refusal, ...]
    kernels: tuple[str, ...]


def refusals(subject: Subject) -> tuple[Refusal, ...]:
    """Why nodes were not fused: the passes run again, and nothing else is looked at."""
    found = _Refusals()
    with _heard(found):
        subject.run_passes_again(found.after)
    return found.refusals


def history(subject: Subject) -> History:
    """Run the passes of a subject again, and look at each. Of the graphs between, only the last one is kept."""
    watch = _Watch(subject.traced)
    with _heard(watch):
        subject.run_passes_again(watch.after)
    steps = _timed(watch.steps, subject.made.passes)
    names = tuple(b.name for b in watch.blocks if b.node is not None and b.node.op.kind == "kernel")
    return History(steps, watch.first, _lines(watch.blocks), watch.refusals, names)


@contextlib.contextmanager
def _heard(who: Listener) -> Generator[None]:
    token = listener.set(who)
    try:
        yield
    finally:
        listener.reset(token)


def _timed(steps: Sequence[PassStep], records: Sequence[PassRecord]) -> tuple[PassStep, ...]:
    """The steps with the times of the passes as they ran for the function, without what looking at them took."""
    if [step.name for step in steps] != [record.name for record in records]:
        return tuple(steps)
    return tuple(replace(step, seconds=record.seconds) for step, record in zip(steps, records, strict=True))


class _Refusals:
    """Is told of refused fusions."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str, str, str], list[int]] = {}  # bytes of each time

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """What was told, what costs most first."""
        found = [Refusal(*what, sum(sizes), len(sizes)) for what, sizes in self._told.items()]
        return tuple(sorted(found, key=lambda each: -each.bytes))

    def after(self, name: str, number: int, before: Graph, after: Graph) -> None:
        if number == 1:  # the passes may run again, with less memory
            self._told = {}

    def rewrote(self, rule: str, node: Node, results: Sequence[Value], producers: Mapping[Value, Node]) -> None:
        pass

    def refused(self, producer: Node, consumer: Node, reason: str) -> None:
        type = producer.outputs[0].type
        what = f"{kernel_title(producer)} {type}", kernel_title(consumer), reason, loc_text(consumer.loc)
        self._told.setdefault(what, []).append(type.bytes)


class _Watch(_Refusals):
    """Is told of rewrites, too, and compares the graphs."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph
        self._begin()
        self.first = _lines(self.blocks)

    def _begin(self) -> None:
        self.writer = Writer()
        self.blocks = self.writer.blocks(self.graph)
        self.steps: list[PassStep] = []
        self.applied: dict[str, _Applied] = {}

    def after(self, name: str, number: int, before: Graph, after: Graph) -> None:
        super().after(name, number, before, after)
        if number == 1 and self.steps:
            applied = self.applied
            self._begin()
            self.applied = applied
        blocks = self.blocks if after is before else self.writer.blocks(after)
        diff = () if after is before else difference(self.blocks, blocks)
        rewrites = tuple(Rewrite(rule, a.count, tuple(a.where), a.before, a.after) for rule, a in self.applied.items())
        if diff and not rewrites:
            rewrites = (_whole(name, self.blocks, blocks),)
        changed = bool(diff)
        counts = len(before.nodes), len(after.nodes)
        self.steps.append(PassStep(name, 0.0, *counts, changed, rewrites if changed else (), diff))
        self.blocks, self.applied = blocks, {}

    def rewrote(self, rule: str, node: Node, results: Sequence[Value], producers: Mapping[Value, Node]) -> None:
        found = self.applied.get(rule)
        if found is None:
            after = [self._replacement(node, v, producers) for v in results[:_EXAMPLES]]
            found = self.applied[rule] = _Applied(self.writer.application(node), ", ".join(after))
        found.count += 1
        found.where.setdefault(loc_text(node.loc))

    def _replacement(self, node: Node, value: Value, producers: Mapping[Value, Node]) -> str:
        """What stands for a result of `node`: a value that was there, or a new node."""
        names, maker = self.writer.names, producers.get(value)
        if maker is None or value in node.inputs or names.known(value) is not None:
            return names[value]
        return self.writer.application(maker)


def _whole(name: str, before: Sequence[Block], after: Sequence[Block]) -> Rewrite:
    """What a pass without rules did: the nodes that are gone, and those that are new."""
    was, now = {b.lines for b in before}, {b.lines for b in after}
    gone = [b for b in before if b.node is not None and b.lines not in now]
    new = [b for b in after if b.node is not None and b.lines not in was]
    where = dict.fromkeys(loc_text(b.node.loc) for b in (gone or new) if b.node is not None)
    return Rewrite(name, len(gone) or len(new), tuple(where), _example(gone), _example(new))


def _example(blocks: Sequence[Block]) -> str:
    return ", ".join(block.lines[0].split(" {")[0] for block in blocks[:_EXAMPLES])


def _lines(blocks: Sequence[Block]) -> tuple[GraphLine, ...]:
    """The graph one line after the other, those of kernels' bodies among them."""
    return tuple(
        _line(text, block, node) for block in blocks for text, node in zip(block.lines, members(block), strict=True)
    )


def _line(text: str, block: Block, node: Node | None) -> GraphLine:
    if node is None:
        op = block.lines[0].split(" ", 1)[0]  # input or output
        return GraphLine(text, block.name, "", "", "", op, *_typed(block.value))
    of = loc_text(node.loc), module_of(node), phase_of(node), node.op.name
    return GraphLine(text, block.name, *of, *_typed(node.outputs[0]))


def _typed(value: Value) -> tuple[str, str]:
    """Shape and dtype: `[64,128]`, `f32`."""
    return f"[{','.join(map(str, value.type.shape))}]", value.type.dtype.name
