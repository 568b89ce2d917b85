"""Images stay channels-last between convolutions, whatever the order of axes in which a user writes."""

from __future__ import annotations

from dataclasses import dataclass

from tinytorch.ir.graph import Builder, Graph, Node, Value
from tinytorch.ir.op import Op
from tinytorch.ir.ops.contract import matmul
from tinytorch.ir.ops.convolution import conv2d, conv2d_weight_grad
from tinytorch.ir.ops.core import constant
from tinytorch.ir.ops.pooling import max_pool2d, max_pool2d_take, max_unpool2d
from tinytorch.ir.ops.view import broadcast, concat, flip, inverse, pad, permute, reshape, slice_
from tinytorch.ir.types import Shape
from tinytorch.passes.dce import dce
from tinytorch.passes.simplify.views import matching_axes, reshaped_source

Ints = tuple[int, ...]
_IMAGES = frozenset({conv2d, max_pool2d, max_pool2d_take, max_unpool2d})
_READERS = _IMAGES | {conv2d_weight_grad}
_DEEPEST = 100  # ops that a permute moves in front of: each is a nested call
_PER_AXIS = ("starts", "limits", "steps", "low", "high", "interior")  # attributes of views with one item per axis


def channels_last(graph: Graph) -> Graph:
    """Move permutes of what convolutions and pooling give down through elementwise ops, reductions and views, until
    they cancel against the permute in front of the next convolution, or meet an output, a product or a reshape that
    mixes the axes.

        %1 = conv2d(%x, %v)                            %1 = conv2d(%x, %v)
        %2 = permute(%1) {axes=(0, 3, 1, 2)}    -->    %3 = maximum(%1, %zeros)
        %3 = maximum(%2, %zeros)                       %5 = conv2d(%3, %w)
        %4 = permute(%3) {axes=(0, 2, 3, 1)}
        %5 = conv2d(%4, %w)

    An elementwise op moves if its other operands come in the same order, or cost nothing in it (broadcasts, literals);
    and if its result reaches a convolution, whatever they are: they are then read by strides, and the convolution
    needs no copy. In front of a convolution, a permute moves up through elementwise ops that nothing else reads.
    """
    if not any(node.op in _READERS for node in graph.nodes):
        return graph
    return dce(_PermuteMover(graph).run())


@dataclass(frozen=True)
class _Moved:
    """Says of a value that it is reshape(permute(source, axes), shape). `image`: what made it is channels-last."""

    source: Value
    axes: Ints
    shape: Shape
    image: bool

    @property
    def permuted(self) -> Shape:
        return tuple(self.source.type.shape[axis] for axis in self.axes)

    @property
    def is_permute(self) -> bool:
        """Whether no reshape is left."""
        return self.shape == self.permuted


class _PermuteMover:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.builder = Builder(graph.name, list(graph.inputs))
        self.producers = graph.producers()
        self.readers = graph.users()
        self.outputs = frozenset(graph.outputs)
        self.wanted = _reaching_images(graph)
        self.fixed = _constants(graph)
        self.known: dict[Value, Value] = {value: value for value in graph.inputs}
        self.moved: dict[Value, _Moved] = {}

    def run(self) -> Graph:
        for node in self.graph.nodes:
            self.builder.loc = node.loc
            found = self._move(node)
            if found is not None:
                self.moved[node.output] = found
                continue
            inputs = tuple(self._plain(v) for v in node.inputs)
            same = inputs == node.inputs
            self.builder.nodes.append(node if same else Node(node.op, inputs, node.attrs, node.outputs, node.loc))
            self.known.update((v, v) for v in node.outputs)
            if node.op in _IMAGES:
                self.moved.update((v, _whole(v, image=True)) for v in node.outputs)
        return self.builder.build([self._plain(v) for v in self.graph.outputs], self.graph.state)

    def _plain(self, value: Value) -> Value:
        """`value` in the order in which the graph has it."""
        if value not in self.known:
            moved = self.moved[value]
            self.known[value] = self._reshape(self._permute(moved.source, moved.axes), moved.shape)
        return self.known[value]

    def _move(self, node: Node) -> _Moved | None:
        """What the result of `node` is a permutation of; None if the node stays as it is."""
        first = self.moved.get(node.inputs[0]) if node.inputs else None
        if node.op is permute:
            return self._move_permute(node, first)
        if node.op.kind == "elementwise":
            return self._move_elementwise(node)
        if first is None or len(node.outputs) != 1:
            return None
        if node.op is reshape:
            return self._regrouped(first, node.attrs["shape"]) or _Moved(
                first.source, first.axes, node.attrs["shape"], first.image
            )
        if node.op is broadcast:
            return self._move_broadcast(node, first)
        if node.op is matmul:
            return self._move_matmul(node, first)
        if not first.is_permute or not first.image:
            return None
        if node.op is concat:
            return self._move_concat(node, first)
        return self._move_axes(node, first)

    # One op at a time.
    def _move_permute(self, node: Node, first: _Moved | None) -> _Moved:
        axes = node.attrs["axes"]
        if first is None or not first.is_permute:
            raised = self._raised(node.inputs[0], axes) if node.output in self.wanted else None
            if raised is not None:
                return _whole(raised, image=False)
            return _Moved(self._plain(node.inputs[0]), axes, node.output.type.shape, image=False)
        return _Moved(first.source, tuple(first.axes[a] for a in axes), node.output.type.shape, first.image)

    def _raised(self, value: Value, axes: Ints, depth: int = 0) -> Value | None:
        """permute(f(a, b)) as f(permute(a), permute(b)), where nothing else reads f(a, b)"""
        node = self.producers.get(value)
        alone = len(self.readers[value]) == 1 and value not in self.outputs
        if node is None or node.op.kind != "elementwise" or not node.inputs or not alone or depth == _DEEPEST:
            return None
        operands = [self._raised(v, axes, depth + 1) or self._permute(self._plain(v), axes) for v in node.inputs]
        return self._append(node, operands)

    def _move_elementwise(self, node: Node) -> _Moved | None:
        images = (self.moved[v] for v in node.inputs if v in self.moved and self.moved[v].image)
        to = next(images, None)
        if to is None:
            return None
        operands = [self._as(value, to) for value in node.inputs]
        costly = [value for value, x in zip(node.inputs, operands, strict=True) if x is None]
        if costly and not (node.output in self.wanted and all(to.is_permute or self._is_dense(v) for v in costly)):
            return None
        read = [self._permuted(v, to) if x is None else x for v, x in zip(node.inputs, operands, strict=True)]
        return _Moved(self._append(node, read), to.axes, to.shape, image=True)

    def _as(self, value: Value, to: _Moved) -> Value | None:
        """The x for which `value` is reshape(permute(x, to.axes), to.shape), if it costs nothing to have it."""
        own = self.moved.get(value)
        if own is not None and (own.axes, own.shape) == (to.axes, to.shape):
            return own.source
        node = self.producers.get(value)
        if node is not None and node.op is broadcast:
            source, target = node.inputs[0], to.source.type.shape
            if source.type.shape == ():
                return self._broadcast(self._plain(source), target)
            small = reshaped_source(source.type.shape, value.type.shape, to.permuted)
            if small is not None:
                permuted = self._permute(self._reshape(self._plain(source), small), inverse(to.axes))
                return self._broadcast(permuted, target)
        moves = [axis for axis in to.axes if to.source.type.shape[axis] != 1]
        free = value in self.fixed or moves == sorted(moves)
        return self._permuted(value, to) if free else None

    def _is_dense(self, value: Value) -> bool:
        """Whether a reshape of `value` surely is a view."""
        node = self.producers.get(value)
        while node is not None and node.op is reshape:
            value, node = node.inputs[0], self.producers.get(node.inputs[0])
        return value in self.known and (node is None or node.op.kind != "view")

    def _permuted(self, value: Value, to: _Moved) -> Value:
        """The x for which `value` is reshape(permute(x, to.axes), to.shape), as a view of `value`."""
        return self._permute(self._reshape(self._plain(value), to.permuted), inverse(to.axes))

    def _move_broadcast(self, node: Node, first: _Moved) -> _Moved | None:
        shape: Shape = node.attrs["shape"]
        lead = len(shape) - len(first.shape)
        axes, source = first.axes, first.source
        if (1,) * lead + first.shape != first.permuted:
            if not first.is_permute:
                return None
            source = self._reshape(source, (1,) * lead + source.type.shape)
            axes = (*range(lead), *(a + lead for a in axes))
        wide = self._broadcast(source, tuple(shape[i] for i in inverse(axes)))
        return _Moved(wide, axes, shape, first.image)

    def _move_axes(self, node: Node, first: _Moved) -> _Moved | None:
        """Ops whose attributes name axes, or give a number for each."""
        attrs = dict(node.attrs)
        if node.op.kind == "reduce" or node.op is flip:
            attrs["axes"] = tuple(sorted(first.axes[axis % len(first.axes)] for axis in attrs["axes"]))
        elif node.op in (slice_, pad):
            attrs |= {key: tuple(attrs[key][i] for i in inverse(first.axes)) for key in _PER_AXIS if key in attrs}
        else:
            return None
        made = self.builder.append(node.op, [first.source], attrs, [node.output.name])
        return _Moved(made.output, first.axes, node.output.type.shape, image=True)

    def _move_concat(self, node: Node, first: _Moved) -> _Moved | None:
        parts = [self.moved.get(value) for value in node.inputs]
        if any(p is None or p.axes != first.axes or not p.is_permute for p in parts):
            return None
        sources = [p.source for p in parts if p is not None]
        attrs = {"axis": first.axes[node.attrs["axis"] % len(first.axes)]}
        made = self.builder.append(concat, sources, attrs, [node.output.name])
        return _Moved(made.output, first.axes, node.output.type.shape, image=True)

    def _move_matmul(self, node: Node, first: _Moved) -> _Moved | None:
        """flatten(permute(x)) @ w == flatten(x) @ w', where the rows of w' are those of w in the order of x: worth it
        for constants, which are permuted once."""
        right = node.inputs[1]
        flat = len(first.shape) == 2 and first.axes[0] == 0 and first.shape[0] == first.permuted[0]
        if right not in self.fixed or not flat or first.is_permute:
            return None
        rows = self._reshape(self._plain(right), (*first.permuted[1:], right.type.shape[1]))
        order = tuple(axis - 1 for axis in inverse(first.axes)[1:])
        permuted = self._reshape(self._permute(rows, (*order, len(order))), right.type.shape)
        return _whole(self._append(node, [self._reshape(first.source, first.shape), permuted]), image=False)

    def _regrouped(self, x: _Moved, shape: Shape) -> _Moved | None:
        """reshape(permute(x)) as permute(reshape(x)), where the axes that merge are neighbours in x too."""
        if not x.is_permute or 0 in shape:
            return None
        sizes = x.source.type.shape
        places = {axis: i for i, axis in enumerate(a for a in range(len(sizes)) if sizes[a] != 1)}
        runs: list[tuple[int, range]] = []  # of new axes, and where in x they lie
        for old, new in matching_axes(x.shape, shape):
            found = [places[x.axes[i]] for i in old if x.shape[i] != 1]
            if found and found != list(range(found[0], found[0] + len(found))):
                return None
            runs.append((found[0] if found else -1, new))
        order = [axis for _, new in sorted(runs, key=lambda run: run[0]) for axis in new]
        source = self._reshape(x.source, tuple(shape[axis] for axis in order))
        return _Moved(source, inverse(tuple(order)), shape, x.image)

    # Views, where they change anything.
    def _append(self, node: Node, operands: list[Value]) -> Value:
        return self.builder.append(node.op, operands, node.attrs, [node.output.name]).output

    def _view(self, op: Op, x: Value, key: str, attr: Ints) -> Value:
        return self.builder.append(op, [x], {key: attr}, [x.name]).output

    def _permute(self, x: Value, axes: Ints) -> Value:
        return x if axes == tuple(range(len(axes))) else self._view(permute, x, "axes", axes)

    def _reshape(self, x: Value, shape: Shape) -> Value:
        return x if x.type.shape == shape else self._view(reshape, x, "shape", shape)

    def _broadcast(self, x: Value, shape: Shape) -> Value:
        return x if x.type.shape == shape else self._view(broadcast, x, "shape", shape)


def _whole(value: Value, image: bool) -> _Moved:
    return _Moved(value, tuple(range(value.type.rank)), value.type.shape, image)


def _reaching_images(graph: Graph) -> set[Value]:
    """The values that a convolution or pooling reads, if only through elementwise ops and views, but no reshape that
    leaves the four axes of images: what comes behind it may want another order."""
    found: set[Value] = set()
    for node in reversed(graph.nodes):
        through = node.op.kind in ("elementwise", "view", "move") and not found.isdisjoint(node.outputs)
        through = through and not (node.op is reshape and node.output.type.rank != 4)
        if through or node.op in _READERS:
            found.update(node.inputs)
    return found


def _constants(graph: Graph) -> set[Value]:
    """The values that depend on constants alone."""
    found: set[Value] = set()
    for node in graph.nodes:
        if node.op is constant or (node.inputs and found.issuperset(node.inputs)):
            found.update(node.outputs)
    return found
