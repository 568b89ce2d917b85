"""Less memory for more work: values are dropped after their first use and computed again before the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tinytorch.ir.graph import Graph, Node
from tinytorch.ir.kernels.liveness import Liveness, MemoryLimit
from tinytorch.passes.rematerialize.run_again import run_again
from tinytorch.passes.rematerialize.segments import Peak, Segment

# Operations for each byte that they save: elementwise code, then norms and softmax, small and large products.
LEVELS = (2, 16, 128, float("inf"))
COUNTS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)  # of segments, that are tried
PEAKS = 6  # that are made lower one after the other
FEW = 4  # divisions that cannot meet the limit at a peak, of which the best is a step towards it
MayRun = Callable[[Node], bool]
NEVER = ("index", "update")  # kinds of ops that check indices or replace parts of what may be large


def rematerialize(graph: Graph, limit: MemoryLimit) -> Graph:
    """A graph of kernels whose arena meets the limit, with as little work done twice as was found; where none is
    found, that with the smallest arena. The graph itself where its arena is not too large.

        %h = kernel(%x) {exp}                   %h = kernel(%x) {exp}
        %y = kernel(%h) {…}               -->   %y = kernel(%h) {…}
        …  (a peak of memory)                   …
        %z = kernel(%h, %c) {mul}               %x1 = after(%x, %c)
                                                %h1 = kernel(%x1) {exp}
                                                %z = kernel(%h1, %c) {mul}

    The same kernels run on the same values, so results are the same bits. Kernels are pure functions: random numbers
    are drawn again from the same state, and new values of state are those of the first run. What is cheap for the bytes
    that it saves goes first (LEVELS), products last.
    """
    found, bytes = _search(graph, limit)
    if bytes > limit.bytes:  # as far as it goes, which does not depend on the limit
        found, _ = _search(graph, MemoryLimit(0, limit.liveness))
    return found


def _search(graph: Graph, limit: MemoryLimit) -> tuple[Graph, int]:
    """Lower one peak after the other, until the limit is met or no less is found; the graph and the bytes it needs."""
    live = limit.liveness(graph)
    for _ in range(PEAKS):
        if live.bytes <= limit.bytes:
            break
        found, then = _lower_peak(graph, live, limit)
        if then.bytes >= live.bytes:
            break
        graph, live = found, then
    return graph, live.bytes


def _lower_peak(graph: Graph, live: Liveness, limit: MemoryLimit) -> tuple[Graph, Liveness]:
    """The graph after a search at its highest peak: one that meets the limit, or the one of fewest bytes."""
    peak = Peak(graph, live)
    best = graph, live
    hopeless: list[tuple[int, int, list[Segment]]] = []
    for level, count in _choices(peak):
        segments = peak.segments(count, level)
        dropped = sum(segment.bytes for segment in segments)
        if live.bytes - dropped > limit.bytes:  # no schedule needs to be made to know that this is too much
            largest = max((segment.bytes for segment in segments), default=0)
            hopeless.append((largest - dropped, len(hopeless), segments))
            continue
        made = run_again(peak, segments)
        then = limit.liveness(made)
        if then.bytes <= limit.bytes:
            return _least_work(peak, level, count, limit) or (made, then)
        if then.bytes < best[1].bytes:
            best = made, then
    for *_, segments in sorted(hopeless)[:FEW]:
        made = run_again(peak, segments)
        then = limit.liveness(made)
        if then.bytes < best[1].bytes:
            best = made, then
    return best


def _choices(peak: Peak) -> Iterator[tuple[MayRun, int]]:
    """What may run again, and into how many segments the program is divided; less work first."""
    known = 0
    for level in map(_costs_at_most, LEVELS):
        eligible = sum(map(level, peak.kernels))
        if eligible != known:
            yield from ((level, count) for count in COUNTS if count <= 2 * len(peak.crossing))
        known = eligible


def _least_work(peak: Peak, level: MayRun, count: int, limit: MemoryLimit) -> tuple[Graph, Liveness] | None:
    """Of the segments that meet the limit, and of smaller ones, as few as are needed: those that save most bytes for
    their work, of equal ones the first, which save them longest. None where one takes all of them."""
    found: list[tuple[int, Graph, Liveness]] = []
    for each in (count, 4 * count, 16 * count):
        order = sorted(peak.segments(each, level), key=lambda s: s.flops / s.bytes)
        low, high = 0, len(order)  # too few, enough
        while high - low > 1:
            middle = (low + high) // 2
            made = run_again(peak, order[:middle])
            then = limit.liveness(made)
            if then.bytes <= limit.bytes:
                high = middle
                found.append((sum(s.flops for s in order[:middle]), made, then))
            else:
                low = middle
    return min(found, key=lambda f: f[0])[1:] if found else None


def _costs_at_most(level: float) -> MayRun:
    def may_run(node: Node) -> bool:
        body: Graph = node.attrs["body"]
        if not node.inputs or any(n.op.kind in NEVER or n.op.guard is not None for n in body.nodes):
            return False
        written = sum(v.type.bytes for v in node.outputs)
        return written > 0 and node.flops <= level * written

    return may_run
