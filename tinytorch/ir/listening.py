"""What passes tell to whoever listens: each rewrite, and each fusion that was refused and why.

Nobody listens unless a report is made, and then only the thread that makes it is heard.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Protocol

from tinytorch.ir.body import Node, Value


class Listener(Protocol):
    """Somebody who is told what passes decide."""

    def rewrote(self, rule: str, node: Node, results: Sequence[Value], producers: Mapping[Value, Node]) -> None:
        """A rule replaced the results of `node` by `results`; `producers` has the nodes that give those."""
        ...

    def refused(self, producer: Node, consumer: Node, reason: str) -> None:
        """The nodes are in two kernels, though one reads what the other computes."""
        ...


listener: ContextVar[Listener | None] = ContextVar("listener", default=None)
