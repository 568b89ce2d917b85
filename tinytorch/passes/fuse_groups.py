"""Groups of nodes that become kernels: what may be in one, and how large it may get."""

from __future__ import annotations

from dataclasses import dataclass

from tinytorch.ir.graph import Node, Value
from tinytorch.ir.lanecost import lane_cost
from tinytorch.ir.order import Vertex
from tinytorch.ir.types import Shape

Axes = tuple[int, ...]
_WIDEST = 64  # places of a window that is pooled behind a convolution, where each of them has code of its own

# How large a kernel may be. LLVM's time for a kernel grows with its instructions, beyond some thousands faster than
# they do; registers and the loops of a reduction's stages grow with what it reads. The largest kernel of ordinary
# models, Adam's steps for scalars, weighs 330; a trip through memory costs about as much as ten instructions.
MAX_WEIGHT = 1024  # instructions for one vector
MAX_OPERANDS = 64  # values read from memory
_RANDOM = 120  # instructions of a block of random numbers
_REDUCE = 40  # of a loop of its own with its beginning and end


class Group(Vertex):
    """Nodes that will be one kernel. `domain` is what its loops run over, `axes` those of them that it reduces."""

    def __init__(
        self, family: str, domain: Shape, axes: Axes | None, nodes: list[Node], contracts: bool = False
    ) -> None:
        super().__init__()
        self.family = family
        self.domain = domain
        self.axes = axes
        self.nodes = nodes
        self.contracts = contracts  # it may have an epilogue
        self.apart: list[Group] = []  # of what it needs, the groups read in memory, not lane by lane
        self.weight = sum(map(weight_of, nodes))
        self.reads: set[Value] = set()  # from memory

    def reduced(self) -> Shape:
        return tuple(1 if i in (self.axes or ()) else d for i, d in enumerate(self.domain))

    def root(self) -> Group:
        """The group that this one has become a part of."""
        found = self.current()
        assert isinstance(found, Group)
        return found

    def needed(self) -> list[Group]:
        """The groups that must run before."""
        return [found for v in self.needs if isinstance(found := v.current(), Group)]


@dataclass(frozen=True)
class Union:
    """What two groups together run over."""

    family: str
    domain: Shape
    axes: Axes | None


def alone(node: Node) -> Group:
    """The group of a single node."""
    shape = node.outputs[0].type.shape
    if node.op.kind in ("elementwise", "random"):
        return Group("loop", shape, None, [node])
    if node.op.kind == "reduce":
        return Group("loop", node.inputs[0].type.shape, tuple(node.attrs["axes"]), [node])
    return Group(node.op.name, shape, None, [node], node.op.kind == "contract")


def weight_of(node: Node) -> int:
    """About how many instructions a node takes for one vector."""
    if node.op.kind == "reduce":
        return _REDUCE
    return _RANDOM if node.op.kind == "random" else max(1, lane_cost(node))


def union(a: Group, b: Group) -> Union | None:
    """What both groups together run over; None if one kernel cannot hold both, or would be too large."""
    found = _common_domain(a, b)
    if found is None or a.weight + b.weight > MAX_WEIGHT:
        return None
    return None if any(g.root() is b for g in a.apart) or any(g.root() is a for g in b.apart) else found


def _common_domain(a: Group, b: Group) -> Union | None:
    if a.contracts != b.contracts:
        a, b = (a, b) if a.contracts else (b, a)
        fits = a.domain == b.domain and b.family == "loop" and b.axes is None and all(map(in_epilogue, b.nodes))
        return Union(a.family, a.domain, None) if fits else None
    if a.family != "loop" or b.family != "loop":
        return None
    if a.domain == b.domain and (a.axes is None or b.axes is None or a.axes == b.axes):
        return Union("loop", a.domain, a.axes if b.axes is None else b.axes)
    if a.axes is not None and b.axes is None and b.domain == a.reduced():
        return Union("loop", a.domain, a.axes)
    if b.axes is not None and a.axes is None and a.domain == b.reduced():
        return Union("loop", b.domain, b.axes)
    return None


def in_epilogue(node: Node) -> bool:
    """Whether a node can be computed on the results of a contraction, which do not know their index."""
    return node.op.kind == "elementwise" and bool(node.inputs) and node.op.guard is None


def places(node: Node) -> int:
    """The places of a pooling's windows."""
    return node.attrs["window"][0] * node.attrs["window"][1]


def tiles(node: Node) -> bool:
    """Whether a pooling's windows lie side by side, cover its operand, and are not too large."""
    attrs, sizes = node.attrs, node.inputs[0].type.shape[1:3]
    whole = all(size % window == 0 for size, window in zip(sizes, attrs["window"], strict=True))
    plain = attrs["low"] == attrs["high"] == (0, 0) and attrs["dilation"] == (1, 1)
    return whole and plain and places(node) <= _WIDEST and attrs["stride"] == attrs["window"]
