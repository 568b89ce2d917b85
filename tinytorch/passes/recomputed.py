"""Regions whose inner values the backward nodes compute again: what `tt.checkpoint` is in a graph.

    %h = exp(%x)   in a region          %h = exp(%x)
    %y = sin(%h)   in a region          %y = sin(%h)
    …                            -->    …
                                        %x1 = after(%x, %ct)        with %ct, the cotangent of %y
                                        %h1 = exp(%x1)
                                        …  = mul(%ct, cos(%h1))

Behind `after`, nodes are not equal to the first ones, so `cse` leaves them, and the schedule runs them when the
backward pass has come there. Values from outside of the region, parameters among them, are read through `after`; so
random numbers are drawn again from the same state. New values of state are those of the first time alone.
"""

from __future__ import annotations

from tinytorch.ir.graph import Builder, Node, Region, Value
from tinytorch.ir.ops.view import after


class Recomputed:
    """What backward nodes that are appended to `builder` read instead of the values of its regions."""

    def __init__(self, builder: Builder) -> None:
        self.builder = builder
        self._nodes: dict[Region, list[Node]] = {}  # of each region, those of the ones inside it too
        for node in builder.nodes:
            for region in () if node.region is None else node.region.enclosing:
                self._nodes.setdefault(region, []).append(node)
        self._open = frozenset(() if builder.region is None else builder.region.enclosing)
        self._copies: dict[Region, dict[Value, Value]] = {}
        self._originals: dict[Value, Value] = {}

    def enter(self, region: Region | None, first: Value) -> None:
        """Append the nodes of a region once more, when the backward pass comes to the first of them: `first` is the
        cotangent that it brings. Those that nothing reads are dropped later, as dead code."""
        if region is None or region in self._open or region in self._copies:
            return
        self.enter(region.outer, first)
        nodes = self._nodes[region]
        own = {value for node in nodes for value in node.outputs}
        copies: dict[Value, Value] = {}
        for node in nodes:
            if not node.inputs:  # a constant is there anyway
                continue
            for value in node.inputs:
                if value not in own and value not in copies:
                    copies[value] = self._behind(self.seen(value, region.outer), first, value)
            self.builder.loc = None if node.loc is None else node.loc.during("backward", node.loc.part_of)
            made = self.builder.append(
                node.op, [copies.get(v, v) for v in node.inputs], node.attrs, [v.name for v in node.outputs]
            )
            copies.update(zip(node.outputs, made.outputs, strict=True))
            self._originals.update(zip(made.outputs, node.outputs, strict=True))
        self._copies[region] = copies

    def _behind(self, value: Value, first: Value, original: Value) -> Value:
        later = self.builder.append(after, [value, first], {}, [value.name]).output
        self._originals[later] = original
        return later

    def seen(self, value: Value, region: Region | None) -> Value:
        """What backward nodes of nodes in `region` read instead of `value`."""
        while region is not None:
            found = self._copies.get(region, {}).get(value)
            if found is not None:
                return found
            region = region.outer
        return value

    def original(self, value: Value) -> Value:
        """The value that `value` stands for."""
        return self._originals.get(value, value)
