"""What nodes are called where people read of them: the title of a kernel, and the phase that it belongs to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tinytorch.ir.body import Body, Node
from tinytorch.ir.loc import GRADIENT
from tinytorch.ir.ops.core import constant

PHASES = ("forward", "backward", "update")
PHASE_COLORS = {  # on light and on dark ground
    "forward": ("#2f6fb0", "#6ea8e0"),
    "backward": ("#b5532f", "#e08f6a"),
    "update": ("#4d8a3a", "#86bf6f"),
}
_BETWEEN = ("elementwise", "reduce", "view")  # kinds of ops that stand around what a kernel is for
_MOST_WORDS = 5  # of a title


def phase_of(node: Node) -> str:
    """The phase of a training step that a node belongs to, one of PHASES. A kernel has that of its main node."""
    return (node.loc.phase if node.loc is not None else "") or "forward"


def main_node(nodes: Sequence[Node]) -> Node:
    """What a kernel of these nodes is mainly for: the product, gather or other such op that it holds; else the last of
    those that compute most, in the module and phase that compute most."""
    totals: Counter[tuple[str, str]] = Counter()
    for node in nodes:
        totals[_origin(node)] += node.flops

    def weight(node: Node) -> tuple[bool, int, int]:
        return node.op.kind not in _BETWEEN and bool(node.inputs), totals[_origin(node)], node.flops

    return max(reversed(nodes), key=weight)


def _origin(node: Node) -> tuple[str, str]:
    return (node.loc.scope, node.loc.phase) if node.loc is not None else ("", "")


def kernel_title(node: Node) -> str:
    """`matmul + bias + relu`: the ops of a kernel in order, composites by their names, `relu′` for the gradient of one,
    `SGD` for an optimizer's update. Of other nodes it is the name of the op."""
    body = node.attrs.get("body") if node.op.kind == "kernel" else None
    if not isinstance(body, Body):
        return node.op.name
    counts: dict[str, int] = {}
    wholes: set[str] = set()  # words for several nodes each
    for each in body.nodes:
        if each.op.kind != "view" and each.op is not constant:
            word, whole = _word(each)
            counts[word] = counts.get(word, 0) + 1
            if whole:
                wholes.add(word)
    words = [word if n == 1 or word in wholes else f"{word}×{n}" for word, n in counts.items()]
    if len(words) > _MOST_WORDS:
        words[_MOST_WORDS - 1 :] = [f"{len(words) - _MOST_WORDS + 1} more"]
    return " + ".join(words)


def _word(node: Node) -> tuple[str, bool]:
    """How a title names a node, and whether it names more than that node so."""
    part_of = node.loc.part_of if node.loc is not None else ""
    if node.op.kind not in _BETWEEN or part_of.removesuffix(GRADIENT) in ("", node.op.name):
        biased = node.op.name == "add" and any(v.name.rsplit(".")[-1] == "bias" for v in node.inputs)
        return ("bias" if biased else node.op.name), False
    return part_of, True
