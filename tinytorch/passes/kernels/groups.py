"""Groups of nodes that become kernels: what may be in one, and how large it may get."""

from __future__ import annotations

from dataclasses import dataclass

from tinytorch.ir.graph import Node, Value
from tinytorch.ir.kernels.family import Family, in_epilogue
from tinytorch.ir.order import Vertex
from tinytorch.ir.types import Shape

Axes = tuple[int, ...]

# How large a kernel may be. LLVM's time for a kernel grows with its instructions, beyond some thousands faster than
# they do; registers and the loops of a reduction's stages grow with what it reads. The largest kernel of ordinary
# models, Adam's steps for scalars, weighs 330; a trip through memory costs about as much as ten instructions.
MAX_WEIGHT = 1024  # instructions for one vector
MAX_OPERANDS = 64  # values read from memory


class Group(Vertex):
    """Nodes that will be one kernel of a family. `domain` is what its loops run over, `axes` those of them that it
    reduces."""

    def __init__(self, family: Family, domain: Shape, axes: Axes | None, node: Node) -> None:
        super().__init__()
        self.family = family
        self.domain = domain
        self.axes = axes
        self.nodes = [node]
        self.first = node
        self.apart: list[Group] = []  # of what it needs, the groups read in memory, not lane by lane
        self.weight = family.weight(node)
        self.reads: set[Value] = set()  # from memory

    @property
    def ends(self) -> bool:
        """Whether it may have an epilogue."""
        return self.first.op in self.family.epilogues

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
    """What two groups together run over, and which of them says how."""

    lead: Group
    domain: Shape
    axes: Axes | None


def alone(node: Node, family: Family) -> Group:
    """The group of a single node."""
    if node.op.kind == "reduce":
        return Group(family, node.inputs[0].type.shape, tuple(node.attrs["axes"]), node)
    return Group(family, node.outputs[0].type.shape, None, node)


# Why two nodes are in two kernels, in the words of reports.
THROUGH_A_VIEW = "a view stands between, or it must wait: what is read lies in memory"
TOO_LARGE = f"one kernel would be larger than {MAX_WEIGHT} instructions a vector"
TOO_MANY = f"one kernel would read more than {MAX_OPERANDS} values"
IN_A_CIRCLE = "a kernel in between reads the one and is read by the other"
OWN_OPERANDS = "its family of kernels reads operands from memory"
NO_EPILOGUE = "kernels of this family end with their own op"
NOT_IN_EPILOGUE = "an epilogue takes elementwise ops of what is in registers, no others"
OTHER_SHAPE = "the loops have other shapes"
OTHER_AXES = "the reductions are over other axes"


def union(a: Group, b: Group) -> Union | str:
    """What both groups together run over; or why one kernel cannot hold both."""
    found = _common_domain(a, b)
    if isinstance(found, str):
        return found
    if any(g.root() is b for g in a.apart) or any(g.root() is a for g in b.apart):
        return THROUGH_A_VIEW
    return TOO_LARGE if a.weight + b.weight > MAX_WEIGHT else found


def _common_domain(a: Group, b: Group) -> Union | str:
    if a.ends != b.ends:
        a, b = (a, b) if a.ends else (b, a)
        if a.domain != b.domain:
            return OTHER_SHAPE
        fits = b.family.lanewise and b.axes is None and all(map(in_epilogue, b.nodes))
        return Union(a, a.domain, None) if fits else NOT_IN_EPILOGUE
    if not (a.family.lanewise and b.family.lanewise):
        return NO_EPILOGUE
    if a.domain == b.domain and (a.axes is None or b.axes is None or a.axes == b.axes):
        return Union(a, a.domain, a.axes if b.axes is None else b.axes)
    if a.axes is not None and b.axes is None and b.domain == a.reduced():
        return Union(a, a.domain, a.axes)
    if b.axes is not None and a.axes is None and a.domain == b.reduced():
        return Union(b, b.domain, b.axes)
    return OTHER_AXES if a.domain == b.domain else OTHER_SHAPE
