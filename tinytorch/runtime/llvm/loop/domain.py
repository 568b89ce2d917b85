"""The iteration domain of a loop kernel: which loop axes there are, and how far each operand moves along them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

from tinytorch.ir.errors import CompileError
from tinytorch.ir.graph import Graph, Node, Value
from tinytorch.ir.ops.core import iota
from tinytorch.ir.ops.reduce import argmax, argmin
from tinytorch.ir.types import Shape, contiguous_strides

Walk = tuple[int, ...]  # what one step along each loop axis adds, in elements
Fold = tuple[tuple[int, int], tuple[int, int]]  # sizes of the two axes that one is made of, and steps along them
_SHORT = 64  # elements of a last axis that are too few for loops of their own, unless they fill vectors
_FULL = 16  # elements that fill the vectors of every target
_Map = tuple[int | None, ...]  # the domain axis behind each axis of a value; None where the value has size 1
_Link = tuple[Value, list[tuple[int, int]]]  # another value, and pairs of an own axis and one of its


@dataclass(frozen=True)
class LoopAxis:
    """A loop axis; `reduced` if the kernel's reductions run along it."""

    size: int
    reduced: bool


@dataclass(frozen=True)
class Domain:
    """Loop axes, kept ones first, each kind from the outermost in; the walks of inputs, of outputs, and of what iota,
    random and position nodes count; and the states of random nodes with the stride between their two words. States
    do not lie in the domain: they are read once, and their walk is zero. `folded` inputs do not step evenly along the
    last axis, which is made of two; their walk has the step along the second of these."""

    axes: tuple[LoopAxis, ...]
    inputs: tuple[Walk, ...]
    outputs: tuple[Walk, ...]
    counters: dict[Node, Walk]
    states: dict[Value, int]
    folded: dict[int, Fold]


def is_reduction(node: Node) -> bool:
    """Whether a node reduces, and not only along axes of size 1."""
    return node.op.kind == "reduce" and any(node.inputs[0].type.shape[a] != 1 for a in node.attrs["axes"])


def domain_of(
    body: Graph, strides: Sequence[Sequence[int]], ends: Sequence[Sequence[int]], *, fold: bool = False
) -> Domain:
    """The domain of `body`, whose inputs have these `strides` in elements, and whose outputs these `ends`; neighbouring
    axes that all operands step through evenly are one. With `fold`, so is a last axis that is short with the one before
    it, where that holds of all but some inputs. CompileError if the values do not lie in one domain."""
    random = {node.inputs[0] for node in body.nodes if node.op.kind == "random"}
    states = {v: own[0] for v, own in zip(body.inputs, strides, strict=True) if v in random}
    shape, maps = _map_axes(body, states)
    reduced = _reduced_axes(body, maps)

    def walk(value: Value, steps: Sequence[int]) -> Walk:
        step_of = dict(zip(maps[value], steps, strict=True))
        return tuple(step_of.get(axis, 0) for axis in range(len(shape)))

    still = (0,) * len(shape)
    inputs = [still if v in states else walk(v, own) for v, own in zip(body.inputs, strides, strict=True)]
    outputs = [walk(v, own) for v, own in zip(body.outputs, ends, strict=True)]
    counters = {node: walk(*counted) for node in body.nodes if (counted := _counted(node)) is not None}
    order = sorted((a for a in range(len(shape)) if shape[a] != 1), key=lambda a: (a in reduced, a))
    groups = _merge(order, shape, reduced, [*inputs, *outputs, *counters.values()])
    folded: dict[int, Fold] = {}
    if fold and not reduced:
        groups, folded = _fold(groups, shape, inputs, [*outputs, *counters.values()])

    def pick(whole: Walk) -> Walk:
        return tuple(whole[group[-1]] for group in groups)

    return Domain(
        tuple(LoopAxis(math.prod(shape[a] for a in group), group[0] in reduced) for group in groups),
        tuple(map(pick, inputs)),
        tuple(map(pick, outputs)),
        {node: pick(w) for node, w in counters.items()},
        states,
        folded,
    )


def _counted(node: Node) -> tuple[Value, Sequence[int]] | None:
    """What a node counts along: a value, and the count's step along each of its axes."""
    if node.op is iota or node.op in (argmax, argmin):
        value = node.output if node.op is iota else node.inputs[0]
        axis = node.attrs["axis"] if node.op is iota else node.attrs["axes"][0]
        return value, [int(i == axis) for i in range(value.type.rank)]
    if node.op.kind == "random":
        return node.output, contiguous_strides(node.output.type.shape)
    return None


def _map_axes(body: Graph, states: Container[Value]) -> tuple[Shape, dict[Value, _Map]]:
    """The domain's shape, which is that of the largest value, and the domain axes of every value.

    Maps spread from the largest value along the nodes in both directions; what they do not reach has its last axes
    on the domain's last axes, as in broadcasting.
    """
    values = [v for v in body.inputs if v not in states] + [v for node in body.nodes for v in node.outputs]
    largest = max(values, key=lambda v: (sum(d != 1 for d in v.type.shape), v.type.size))
    shape = largest.type.shape
    maps: dict[Value, _Map] = {}
    links = _links(body, states)
    for value in (largest, *values):
        if value not in maps:
            maps[value] = _last_axes(value, shape)
            _spread(value, links, maps)
    for value, axes in maps.items():
        if any(a is not None and shape[a] != d for a, d in zip(axes, value.type.shape, strict=True)):
            raise CompileError(f"loop kernel {body.name}: {value} does not lie in the domain {list(shape)}")
    return shape, maps


def _last_axes(value: Value, shape: Shape) -> _Map:
    lead = len(shape) - value.type.rank
    if any(d != 1 and lead + i < 0 for i, d in enumerate(value.type.shape)):
        raise CompileError(f"a loop kernel's value {value} has more axes than the domain {list(shape)}")
    return tuple(None if d == 1 else lead + i for i, d in enumerate(value.type.shape))


def _links(body: Graph, states: Container[Value]) -> dict[Value, list[_Link]]:
    """For each value, the operands and results that it shares a node with, and which axis is which."""
    found: dict[Value, list[_Link]] = {}
    for node in body.nodes:
        for value in node.inputs:
            if value not in states:
                pairs = _axis_pairs(node, value)
                found.setdefault(value, []).append((node.output, pairs))
                found.setdefault(node.output, []).append((value, [(b, a) for a, b in pairs]))
    return found


def _spread(start: Value, links: Mapping[Value, Sequence[_Link]], maps: dict[Value, _Map]) -> None:
    """From a value whose map is known to all that its axes lead to."""
    waiting = deque([start])
    while waiting:
        source = waiting.popleft()
        for target, pairs in links.get(source, ()):
            if target not in maps:
                _carry(maps, source, target, pairs)
                if target in maps:
                    waiting.append(target)


def _carry(maps: dict[Value, _Map], source: Value, target: Value, pairs: Sequence[tuple[int, int]]) -> None:
    """Give `target` the map of `source` through pairs of their axes, if those reach all its axes but size-1 ones."""
    axis_of = {b: maps[source][a] for a, b in pairs}
    sizes = target.type.shape
    if all(d == 1 or axis_of.get(i) is not None for i, d in enumerate(sizes)):
        maps[target] = tuple(None if d == 1 else axis_of[i] for i, d in enumerate(sizes))


def _axis_pairs(node: Node, value: Value) -> list[tuple[int, int]]:
    """Which axis of an operand is which axis of the result."""
    shape, result = value.type.shape, node.output.type.shape
    if node.op.kind == "reduce":
        return [(i, i) for i, d in enumerate(shape) if i not in node.attrs["axes"] or d == 1]
    if node.op.kind != "view":
        return [(i, i) for i in range(len(shape))]
    if node.op.name == "broadcast":
        return [(i, len(result) - len(shape) + i) for i, d in enumerate(shape) if d != 1]
    if node.op.name == "permute":
        return [(axis, i) for i, axis in enumerate(node.attrs["axes"])]
    long, short = ([i for i, d in enumerate(s) if d != 1] for s in (shape, result))
    if node.op.name != "reshape" or [shape[i] for i in long] != [result[i] for i in short]:
        raise CompileError(f"a loop kernel cannot hold {node.op.name} from {list(shape)} to {list(result)}")
    return list(zip(long, short, strict=True))


def _reduced_axes(body: Graph, maps: dict[Value, _Map]) -> frozenset[int]:
    """The domain axes that reductions run along: the same for all of them."""
    found: frozenset[int] = frozenset()
    for node in body.nodes:
        if is_reduction(node):
            axes = maps[node.inputs[0]]
            own = frozenset(a for i in node.attrs["axes"] if (a := axes[i]) is not None)
            if found and own != found:
                raise CompileError(f"loop kernel {body.name}: reductions over axes {sorted(own)} and {sorted(found)}")
            found = own
    return found


def _merge(order: Sequence[int], shape: Shape, reduced: frozenset[int], walks: Sequence[Walk]) -> list[list[int]]:
    """Neighbours in `order` of one kind joined where every walk steps evenly through both."""
    groups: list[list[int]] = []
    for axis in order:
        if groups:
            before = groups[-1][-1]
            same = (before in reduced) == (axis in reduced)
            if same and all(w[before] == w[axis] * shape[axis] for w in walks):
                groups[-1].append(axis)
                continue
        groups.append([axis])
    return groups


def _fold(
    groups: list[list[int]], shape: Shape, inputs: Sequence[Walk], even: Sequence[Walk]
) -> tuple[list[list[int]], dict[int, Fold]]:
    """The last two groups as one, and the inputs that do not step evenly through it, if all `even` walks do."""
    if len(groups) < 2:
        return groups, {}
    *before, outer, last = groups
    sizes = math.prod(shape[a] for a in outer), math.prod(shape[a] for a in last)

    def is_even(walk: Walk) -> bool:
        return walk[outer[-1]] == walk[last[-1]] * sizes[1]

    if sizes[1] >= _SHORT or sizes[1] % _FULL == 0 or not all(map(is_even, even)):
        return groups, {}
    steps = {o: (walk[outer[-1]], walk[last[-1]]) for o, walk in enumerate(inputs) if not is_even(walk)}
    return [*before, [*outer, *last]], {o: ((sizes[0], a), (sizes[1], b)) for o, (a, b) in steps.items()}
