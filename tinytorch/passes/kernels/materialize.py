"""Give a buffer to every value that needs one."""

from __future__ import annotations

from tinytorch.ir.graph import Builder, Graph, Value
from tinytorch.ir.kernels.family import Families
from tinytorch.ir.kernels.layout import Layout, of_view, own
from tinytorch.ir.ops.core import copy


def materialize(graph: Graph, families: Families) -> Graph:
    """Insert copies where a view cannot be expressed by strides, where a kernel could not read it as vectors or needs
    it in row-major order, and where an output would not have a row-major buffer of its own.

        reshape(permute(%x))  -->  reshape(copy(permute(%x)))
        outputs (%x, %y, %y)  -->  outputs (copy(%x), %y, copy(%y))
    """
    builder = Builder(graph.name, list(graph.inputs))
    known: dict[Value, Value] = {value: value for value in graph.inputs}
    layouts: dict[Value, Layout] = {value: own(value) for value in graph.inputs}
    moved: dict[Value, Value] = {}  # copies that views share; outputs have copies of their own

    def copied(value: Value) -> Value:
        node = builder.append(copy, [value], {}, [value.name])
        layouts[node.output] = own(node.output)
        return node.output

    for node in graph.nodes:
        builder.loc = node.loc
        inputs = [known[v] for v in node.inputs]
        layout = None
        if node.op.kind == "view":
            layout = of_view(node, layouts[inputs[0]])
            if layout is None:
                inputs = [moved.get(inputs[0]) or moved.setdefault(inputs[0], copied(inputs[0]))]
                layout = of_view(node, layouts[inputs[0]])
        unfit = {i for i in families.vectors(node) if not _runs_along_last(inputs[i], layouts[inputs[i]])}
        unfit |= {i for i in families.row_major(node.op) if not _is_row_major(inputs[i], layouts[inputs[i]])}
        for i in sorted(unfit):
            inputs[i] = moved.get(inputs[i]) or moved.setdefault(inputs[i], copied(inputs[i]))
        new = builder.append(node.op, inputs, node.attrs, [v.name for v in node.outputs])
        for old, value in zip(node.outputs, new.outputs, strict=True):
            known[old] = value
            layouts[value] = layout or own(value)

    produced = {value for node in builder.nodes if node.op.name != "constant" for value in node.outputs}
    taken: set[Value] = set()
    outputs: list[Value] = []
    for old in graph.outputs:
        value = known[old]
        if not _is_whole(value, layouts[value]) or layouts[value].base in taken or layouts[value].base not in produced:
            value = copied(value)
        taken.add(layouts[value].base)
        outputs.append(value)
    return builder.build(outputs, graph.state)


def _runs_along_last(value: Value, layout: Layout) -> bool:
    """Whether vectors of neighbours along the last axis can be loaded."""
    return value.type.shape[-1] == 1 or layout.strides[-1] == 1


def _is_row_major(value: Value, layout: Layout) -> bool:
    return layout.is_contiguous(value.type.shape)


def _is_whole(value: Value, layout: Layout) -> bool:
    """Whether a value is all of its buffer in row-major order, under whatever shape."""
    base = layout.base.type
    return layout.offset == 0 and value.type.size == base.size and layout.is_contiguous(value.type.shape)
