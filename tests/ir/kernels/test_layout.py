"""Layouts of views are the strides that numpy gives the same views."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tinytorch.ir.graph import Builder, Value
from tinytorch.ir.kernels.layout import Layout, layouts, of_view, own
from tinytorch.ir.op import OPS
from tinytorch.ir.ops import core, view
from tinytorch.ir.types import TensorType, f32

SHAPES = [(), (1,), (6,), (2, 3), (4, 1, 6), (3, 4, 2), (2, 2, 2, 3), (0, 3), (2, 0)]
Draw = Any


def _permute(draw: Draw, x: np.ndarray) -> tuple[Any, dict[str, Any], np.ndarray]:
    axes = tuple(draw(st.permutations(range(x.ndim))))
    return view.permute, {"axes": axes}, x.transpose(axes)


def _flip(draw: Draw, x: np.ndarray) -> tuple[Any, dict[str, Any], np.ndarray]:
    axes = tuple(a for a in range(x.ndim) if draw(st.booleans()))
    return view.flip, {"axes": axes}, np.flip(x, axes)


def _slice(draw: Draw, x: np.ndarray) -> tuple[Any, dict[str, Any], np.ndarray]:
    starts = tuple(draw(st.integers(0, max(d - 1, 0))) for d in x.shape)
    limits = tuple(draw(st.integers(a, d)) for a, d in zip(starts, x.shape, strict=True))
    steps = tuple(draw(st.integers(1, 3)) for _ in x.shape)
    window = tuple(map(slice, starts, limits, steps))
    return view.slice_, {"starts": starts, "limits": limits, "steps": steps}, x[window]


def _broadcast(draw: Draw, x: np.ndarray) -> tuple[Any, dict[str, Any], np.ndarray]:
    grown = tuple(draw(st.integers(2, 3)) if d == 1 and draw(st.booleans()) else d for d in x.shape)
    shape = (*draw(st.sampled_from([(), (2,), (1, 3)])), *grown)
    return view.broadcast, {"shape": shape}, np.broadcast_to(x, shape)


def _reshape(draw: Draw, x: np.ndarray) -> tuple[Any, dict[str, Any], np.ndarray]:
    size, shape = x.size, list[int]()
    if size == 0:
        shape = [0, draw(st.integers(1, 3))]
    while size > 1 and draw(st.booleans()):
        shape.append(draw(st.sampled_from([d for d in range(1, size + 1) if size % d == 0])))
        size //= shape[-1]
    new = tuple(shape) if x.size == 0 else (*shape, size)
    return view.reshape, {"shape": new}, x.reshape(new)


@st.composite
def chains(draw: Draw) -> tuple[Builder, Value, np.ndarray, np.ndarray]:
    """A chain of views in a graph, and the same in numpy: (builder, last value, source, view of the source)."""
    shape = draw(st.sampled_from(SHAPES))
    builder = Builder("chain")
    value = builder.input(TensorType(f32, shape), "x")
    source = np.arange(int(np.prod(shape)), dtype=np.float32).reshape(shape)
    array = source
    for _ in range(draw(st.integers(0, 6))):
        op, attrs, array = draw(st.sampled_from([_permute, _flip, _slice, _broadcast, _reshape]))(draw, array)
        value = builder.append(op, [value], attrs).output
    return builder, value, source, array


def elements(layout: Layout, shape: tuple[int, ...], buffer: np.ndarray) -> np.ndarray:
    """What a kernel reads through a layout."""
    where = np.full(shape, layout.offset)
    for axis, stride in enumerate(layout.strides):
        steps = np.arange(shape[axis]) * stride
        where += steps.reshape([-1 if a == axis else 1 for a in range(len(shape))])
    assert where.size == 0 or (where.min() >= 0 and where.max() < buffer.size)
    return buffer.reshape(-1)[where]


@settings(max_examples=400)
@given(chains())
def test_layouts_read_what_numpy_reads(chain: tuple[Builder, Value, np.ndarray, np.ndarray]) -> None:
    builder, value, source, array = chain
    graph = builder.build([value])
    found = layouts(graph)
    buffers = {graph.inputs[0]: source}
    at = source
    for node in graph.nodes:
        at = node.op.eval(at, **node.attrs)
        layout = found[node.output]
        if layout.base is node.output:  # it could not be a view: a buffer of its own
            buffers[node.output] = np.ascontiguousarray(at)
        np.testing.assert_array_equal(elements(layout, node.output.type.shape, buffers[layout.base]), at)
    np.testing.assert_array_equal(at, array)


@settings(max_examples=400)
@given(chains())
def test_strides_are_numpys_while_numpy_needs_no_copy(chain: tuple[Builder, Value, np.ndarray, np.ndarray]) -> None:
    builder, value, source, array = chain
    graph = builder.build([value])
    layout = layouts(graph)[value]
    if array.size == 0 or not np.shares_memory(array, source):
        return
    assert layout.base is graph.inputs[0]
    strides = [s // 4 for s, d in zip(array.strides, array.shape, strict=True) if d != 1]
    assert [s for s, d in zip(layout.strides, array.shape, strict=True) if d != 1] == strides
    first = array.__array_interface__["data"][0] - source.__array_interface__["data"][0]
    assert layout.offset == first // 4
    assert layout.is_contiguous(array.shape) == array.flags.c_contiguous


@settings(max_examples=200)
@given(chains())
def test_a_reshape_is_a_view_only_where_it_can_be(chain: tuple[Builder, Value, np.ndarray, np.ndarray]) -> None:
    builder, value, source, array = chain
    if array.size == 0 or not np.shares_memory(array, source) or layouts(builder.build([value]))[value].base is value:
        return
    flat = builder.append(view.reshape, [value], {"shape": (array.size,)}).output
    layout = layouts(builder.build([flat]))[flat]
    assert (layout.base is flat) == (not np.shares_memory(array.reshape(-1), source))


def test_what_computes_or_moves_has_a_buffer_of_its_own() -> None:
    builder = Builder("own")
    x = builder.input(TensorType(f32, (2, 3)), "x")
    padding = {"low": (1, 0), "high": (0, 0), "interior": (0, 0), "value": 0.0}
    for op, attrs in [(core.copy, {}), (view.pad, padding)]:
        value = builder.append(op, [x], attrs).output
        assert layouts(builder.build([value]))[value] == own(value)


def test_views_and_moves_are_told_apart_by_kind() -> None:
    """A view has a layout in its operand's buffer and can be written through; a move has neither."""
    builder = Builder("views")
    x = builder.input(TensorType(f32, (2, 3)), "x")
    attrs: dict[str, dict[str, Any]] = {
        "reshape": {"shape": (3, 2)},
        "permute": {"axes": (1, 0)},
        "broadcast": {"shape": (4, 2, 3)},
        "slice": {"starts": (0, 1), "limits": (2, 3), "steps": (1, 1)},
        "flip": {"axes": (1,)},
        "pad": {"low": (1, 0), "high": (0, 0), "interior": (0, 0), "value": 0.0},
        "concat": {"axis": 0},
        "after": {},
        "affine_view": {"shape": (2,), "starts": (0, 1), "strides": ((1, 1),)},
    }
    assert {op.name for op in OPS.values() if op.kind in ("view", "move")} == attrs.keys()
    for name, arguments in attrs.items():
        operands = [x, x] if name == "after" else [x]
        node, is_view = builder.append(OPS[name], operands, arguments), OPS[name].kind == "view"
        assert (of_view(node, own(x)) is not None) == (OPS[name].put is not None) == is_view


def test_contiguous_whatever_the_strides_of_size_one() -> None:
    value = Value(TensorType(f32, (2, 1, 3)), "x")
    assert Layout(value, 0, (3, 99, 1)).is_contiguous((2, 1, 3))
    assert not Layout(value, 0, (3, 3, -1)).is_contiguous((2, 1, 3))
    assert Layout(value, 0, (7, 7)).is_contiguous((0, 5))
