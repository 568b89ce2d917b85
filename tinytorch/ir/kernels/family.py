"""The record of a family of kernels, and the table of them: what graphs are cut into before code is generated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tinytorch.ir.errors import PassError, VerifyError
from tinytorch.ir.graph import Node
from tinytorch.ir.op import Kind, Op


class FormError(VerifyError):
    """A node, or the graph where there is none, that no code can be generated for."""

    def __init__(self, message: str, node: Node | None = None) -> None:
        super().__init__(message, node.loc if node else None)
        self.message, self.node = message, node


def in_epilogue(node: Node) -> bool:
    """Whether a node can be computed on the results of a contraction, which do not know their index."""
    return node.op.kind == "elementwise" and bool(node.inputs) and node.op.guard is None


Axes = Mapping[Op, tuple[int, ...]]  # operands of ops, by number


def _nothing(first: Node, node: Node) -> int:
    return 0


def _one(node: Node) -> int:
    return 1


def _none(node: Node) -> tuple[int, ...]:
    return ()


@dataclass(frozen=True)
class Family:
    """A family of kernels. Code is written for it by the package of a backend that is called like it.

    A kernel begins with a node of one of the `ops` (composites among them are kept whole), or of one of the `kinds`:
    then it runs lane by lane over one domain, and may hold several. Behind the result of an op in `epilogues`,
    elementwise nodes follow in the same kernel. `absorbs(first, node)` says whether another node may, and how often
    what stands before it is written out then (0: it may not). `weight` is about how many instructions a node takes
    for one vector. Operands in `vectors` are loaded as vectors along their last axis, those in `row_major` lie so, and
    those that `often` gives for a node are read so often that a copy, if vectors cannot be loaded, takes less time.
    With `orders`, results can be written in another order of their axes but the last, which a permute at the end of the
    body says (`result_order`). `check` raises a FormError unless a kernel's body, without those permutes, is one that
    code can be written for.
    """

    name: str
    check: Callable[[Node], None]
    kinds: frozenset[Kind] = frozenset()
    ops: frozenset[Op] = frozenset()
    epilogues: frozenset[Op] = frozenset()
    absorbs: Callable[[Node, Node], int] = _nothing
    weight: Callable[[Node], int] = _one
    vectors: Axes = field(default_factory=dict[Op, tuple[int, ...]])
    row_major: Axes = field(default_factory=dict[Op, tuple[int, ...]])
    often: Callable[[Node], tuple[int, ...]] = _none
    orders: bool = False

    @property
    def lanewise(self) -> bool:
        """Whether its nodes take their operands from registers, lane by lane."""
        return bool(self.kinds)


class Families:
    """The table: which family computes what."""

    def __init__(self, *families: Family) -> None:
        self._named = {family.name: family for family in families}
        self._by_op = {op: family for family in families for op in family.ops}
        self._by_kind = {kind: family for family in families for kind in family.kinds}

    @property
    def composites(self) -> frozenset[Op]:
        """The composites that have kernels of their own, and so are not expanded."""
        return frozenset(op for op in self._by_op if op.expand is not None)

    def of(self, node: Node) -> Family:
        """The family that computes a node; PassError if there is none."""
        found = self._by_op.get(node.op) or self._by_kind.get(node.op.kind)
        if found is None:
            raise PassError(f"no family of kernels computes {node.op.name}", node.loc)
        return found

    def named(self, name: object) -> Family | None:
        """The family with this name, if there is one."""
        return self._named.get(name) if isinstance(name, str) else None

    def vectors(self, node: Node) -> tuple[int, ...]:
        """The operands that a node's kernel loads as vectors, or reads so often that they should lie so."""
        family = self._by_op.get(node.op)
        return (*family.vectors.get(node.op, ()), *family.often(node)) if family else ()

    def row_major(self, op: Op) -> tuple[int, ...]:
        """The operands that kernels of an op need in row-major order."""
        family = self._by_op.get(op)
        return family.row_major.get(op, ()) if family else ()
