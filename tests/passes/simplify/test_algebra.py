"""The rules of simplify, one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.graphs import SPECIAL, arrays, same_bits
from tests.passes.building import _FILLED, _scalar, assert_same, build, f, op_names
from tinytorch.ir.arrays.reference import evaluate
from tinytorch.ir.op import OPS, apply
from tinytorch.ir.ops import composite, core, elementwise, reduce
from tinytorch.ir.types import DTYPES, DType, TensorType, bf16, f32, f64, i32, i64
from tinytorch.passes.cse import cse
from tinytorch.passes.dce import dce
from tinytorch.passes.expand import expand
from tinytorch.passes.pipeline import run_passes
from tinytorch.passes.simplify.algebra import simplify

SIMPLIFIED: list[tuple[str, Callable[..., Any], list[str]]] = [
    ("x*1", lambda x, y: x * 1.0, []),
    ("1*x", lambda x, y: 1.0 * x, []),
    ("x*-1", lambda x, y: x * -1.0, ["neg"]),
    ("x/1", lambda x, y: x / 1.0, []),
    ("x/-1", lambda x, y: x / -1.0, ["neg"]),
    ("x/8", lambda x, y: x / 8.0, [*_FILLED, "mul"]),
    ("x/3", lambda x, y: x / 3.0, [*_FILLED, "div"]),
    ("x/inf", lambda x, y: x / np.inf, [*_FILLED, "div"]),
    ("x/2**-127", lambda x, y: x / 2.0**-127, [*_FILLED, "div"]),
    ("x/2**127", lambda x, y: x / 2.0**127, [*_FILLED, "div"]),
    ("x+0", lambda x, y: x + 0.0, [*_FILLED, "add"]),
    ("x+-0", lambda x, y: x + -0.0, []),
    ("x-0", lambda x, y: x - 0.0, []),
    ("x--0", lambda x, y: x - -0.0, [*_FILLED, "sub"]),
    ("0-x", lambda x, y: 0.0 - x, [*_FILLED, "sub"]),
    ("-0-x", lambda x, y: -0.0 - x, ["neg"]),
    ("x*0", lambda x, y: x * 0.0, [*_FILLED, "mul"]),
    ("x-x", lambda x, y: x - x, ["sub"]),
    ("neg neg", lambda x, y: x.__neg__().__neg__(), []),
    ("x+-y", lambda x, y: x + (-y), ["sub"]),
    ("-x+y", lambda x, y: (-x) + y, ["sub"]),
    ("x--y", lambda x, y: x - (-y), ["add"]),
    ("-x*-y", lambda x, y: (-x) * (-y), ["mul"]),
    ("-x/-y", lambda x, y: (-x) / (-y), ["div"]),
    ("abs neg abs", lambda x, y: abs(-abs(x)), ["abs"]),
    ("max", lambda x, y: x.maximum(x), []),
    ("where same", lambda x, y: apply(core.where, x > y, x, x), []),
    ("where not", lambda x, y: apply(core.where, ~(x > y), x, y), ["gt", "where"]),
    ("where true", lambda x, y: apply(core.where, x.constant(np.ones(x.shape, bool)), x, y), []),
    ("where false", lambda x, y: apply(core.where, x.constant(np.zeros(x.shape, bool)), x, y), []),
    ("not not", lambda x, y: ~~(x > y), ["gt"]),
    ("and true", lambda x, y: (x > y) & True, ["gt"]),
    ("or false", lambda x, y: (x > y) | False, ["gt"]),
    ("copy", lambda x, y: apply(core.copy, x).detach(), []),
    ("custom_grad", lambda x, y: apply(core.custom_grad, x, y, backward=lambda ct: [ct]), []),
    ("dropout 0", lambda x, y: apply(composite.dropout, x, x.constant(np.zeros(2, np.int64)), p=0.0), []),
    ("same dtype", lambda x, y: apply(core.cast, x, dtype=f32), []),
    ("there and back", lambda x, y: x.cast(f64).cast(f32), []),
    ("lossy", lambda x, y: x.cast(bf16).cast(f32), ["cast", "cast"]),
    ("twice", lambda x, y: x.cast(f64).cast(i32), ["cast"]),
    ("reshape", lambda x, y: x.reshape((3, 2)).reshape((6,)).reshape((2, 3)), []),
    ("permute", lambda x, y: x.permute((1, 0)).permute((1, 0)), []),
    ("permute ones", lambda x, y: x.reshape((1, 2, 1, 3)).permute((1, 2, 0, 3)), ["reshape"]),
    ("flip", lambda x, y: x.flip(0, 1).flip(1).flip(0), []),
    ("slice", lambda x, y: x[0:2, 1:3][:, ::2], ["slice"]),
    ("slice all", lambda x, y: apply(OPS["slice"], x, starts=(0, 0), limits=(2, 3), steps=(1, 1)), []),
    ("pad nothing", lambda x, y: x.pad([(0, 0), (0, 0)]), []),
    ("concat one", lambda x, y: apply(OPS["concat"], x, axis=0), []),
    ("slice of concat", lambda x, y: apply(OPS["concat"], x, y, axis=1)[:, 3:6], []),
    ("part of concat", lambda x, y: apply(OPS["concat"], x, y, axis=1)[:, 2:4], ["concat", "slice"]),
    ("broadcast twice", lambda x, y: x.broadcast_to((4, 2, 3)).broadcast_to((5, 4, 2, 3)), ["broadcast"]),
    ("broadcast reshape", lambda x, y: x.reshape((1, 2, 3)).broadcast_to((4, 2, 3)), ["broadcast"]),
    ("flip of broadcast", lambda x, y: x.broadcast_to((4, 2, 3)).flip(0), ["broadcast"]),
    ("slice of broadcast", lambda x, y: x.broadcast_to((4, 2, 3))[1:3], ["broadcast"]),
    ("permute of broadcast", lambda x, y: x.broadcast_to((4, 2, 3)).permute((1, 0, 2)), ["reshape", "broadcast"]),
    ("reshape of broadcast", lambda x, y: x.broadcast_to((4, 2, 3)).reshape((4, 6)), ["reshape", "broadcast"]),
    ("repeated in part", lambda x, y: x.broadcast_to((4, 2, 3)).reshape((8, 3)), ["broadcast", "reshape"]),
    ("scalars first", lambda x, y: _scalar(x, 2.0).exp() + y[0, 0], [*_FILLED, "exp", "slice", "reshape", "add"]),
    ("rows first", lambda x, y: x[0].broadcast_to((2, 3)).exp(), ["slice", "exp", "broadcast"]),
    ("outer", lambda x, y: x[:1].expand(2, 3) * y[:, :1].expand(2, 3), ["slice", "broadcast"] * 2 + ["mul"]),
    ("max of size 1", lambda x, y: apply(reduce.max_, x[:1], axes=(0, 1)), ["slice", "max"]),
    ("max of copies", lambda x, y: apply(reduce.max_, x.expand(4, 2, 3), axes=(0,)), [*_FILLED, "add", "reshape"]),
    ("empty axes", lambda x, y: apply(reduce.max_, x, axes=()), []),
    ("slice of elementwise", lambda x, y: (x * y)[0:1], ["slice", "slice", "mul"]),
    ("chain of reshapes", lambda x, y: (x.reshape((6,)).exp() * 2.0).reshape((2, 3)), [*_FILLED, "exp", "mul"]),
    ("view between", lambda x, y: x.exp().permute((1, 0)).sqrt(), ["permute", "exp", "sqrt"]),
    ("view of two uses", lambda x, y: (e := x.exp()) @ e.T.sqrt(), ["exp", "permute", "sqrt", "matmul"]),
    ("uniform", lambda x, y: x * x.constant(np.full((2, 3), 7, np.float32)), [*_FILLED, "mul"]),
]  # fmt: skip


@pytest.mark.parametrize(("function", "left"), [c[1:] for c in SIMPLIFIED], ids=[c[0] for c in SIMPLIFIED])
def test_simplify(function: Callable[..., Any], left: list[str]) -> None:
    graph = build(function, f(2, 3), f(2, 3))
    after = simplify(graph)
    assert sorted(op_names(after)) == sorted(left), after
    for seed in range(4):
        assert_same(graph, after, seed)


def test_reshapes_do_not_move_if_a_strided_view_would_be_copied() -> None:
    graph = build(lambda x, y: x.reshape((2, 3)) + y.permute((1, 0)), f(6), f(3, 2))
    assert op_names(simplify(graph)) == ["reshape", "permute", "add"]


def test_a_residual_stream_stays_in_rows() -> None:
    def block(x: Any, w: Any, b: Any) -> Any:
        return (x + (x @ w + b)).softmax(2)

    graph = expand(build(block, f(2, 5, 4), f(4, 4), f(4)))
    after = dce(cse(simplify(graph)))
    names = op_names(after)
    assert names.count("reshape") == 2 and names[0] == "reshape" and names[-1] == "reshape"
    for seed in range(3):
        values = [np.clip(np.nan_to_num(a), -3, 3).astype(a.dtype) for a in arrays(graph, seed)]
        np.testing.assert_allclose(evaluate(after, values)[0], evaluate(graph, values)[0], rtol=1e-6)


def test_dropout_chooses_by_the_order_of_elements() -> None:
    def drop(x: Any, s: Any) -> Any:
        return apply(composite.dropout, x.reshape((2, 3)), s, p=0.5)

    graph = build(drop, f(6), TensorType(i64, (2,)))
    after = simplify(graph)
    assert op_names(after) == ["dropout", "reshape"]
    values = [np.arange(6, dtype=np.float32), np.array([7, 11])]
    assert same_bits(evaluate(graph, values)[0], evaluate(after, values)[0])


@pytest.mark.parametrize(
    ("shape", "axes", "reduced"),
    [
        ((2, 3, 4), (2,), (1,)),
        ((2, 3, 4), (0, 1), (0,)),
        ((6, 1, 4), (0,), (0,)),
        ((2, 3, 4), (0,), None),
        ((24,), (0,), (0, 1)),
    ],
)
def test_reductions_move_in_front_of_reshapes(shape: tuple[int, ...], axes: tuple[int, ...], reduced: Any) -> None:
    graph = build(lambda x: apply(reduce.max_, x.reshape(shape), axes=axes), f(6, 4))
    after = simplify(graph)
    assert op_names(after) == (["reshape", "max"] if reduced is None else ["max", "reshape"])
    assert after.nodes[0 if reduced else 1].attrs["axes"] == (reduced or axes)
    assert_same(graph, after)


def test_a_bias_and_activation_lose_the_reshapes_around_them() -> None:
    def layer(x: Any, w: Any, b: Any, v: Any) -> Any:
        return ((x @ w) + b).tanh() @ v

    graph = build(layer, f(2, 5, 4), f(4, 3), f(3), f(3, 6))
    assert op_names(graph).count("reshape") == 4
    after = simplify(graph)
    assert op_names(after) == ["reshape", "matmul", "broadcast", "add", "tanh", "matmul", "reshape"]
    values = [np.round(4 * a) for a in (np.random.default_rng(0).normal(size=v.type.shape) for v in graph.inputs)]
    values = [a.astype(np.float32) for a in values]
    assert same_bits(evaluate(graph, values)[0], evaluate(after, values)[0])


def test_a_guarded_op_reports_all_its_lanes() -> None:
    index = TensorType(i64, (3,))
    graph = build(lambda i: apply(elementwise.checked_index, i, size=4)[0:1], index)
    assert op_names(simplify(graph)) == ["checked_index", "slice"]


def test_powers_are_products_and_quotients() -> None:
    x = np.array([*SPECIAL, 1.1, -1e-20, 3e19], np.float32)
    wide = x.astype(np.float64)
    with np.errstate(all="ignore"):
        for exponent, left, exact in [(0.0, 2, wide**0), (1.0, 0, wide), (2.0, 1, wide * wide), (-1.0, 3, 1 / wide)]:
            graph = build(lambda v, e=exponent: apply(elementwise.pow_, v, _scalar(v, e)), f(*x.shape))
            after = simplify(graph)
            assert len(after.nodes) == left and "pow" not in op_names(after)
            assert same_bits(evaluate(after, [x])[0], exact.astype(np.float32))
    for exponent in (0.5, 3.0, -2.0, -0.5):
        graph = build(lambda v, e=exponent: apply(elementwise.pow_, v, _scalar(v, e)), f(*x.shape))
        assert simplify(graph) is graph


def test_sums_of_copies_are_products() -> None:
    def total(x: Any) -> Any:
        return apply(reduce.sum_, x.broadcast_to((5, 7, 3)), axes=(0, 1, 2))

    graph = build(total, f(7, 1))
    after, _ = run_passes(graph)
    assert sorted(op_names(after)) == ["constant", "mul", "reshape", "sum"]
    assert max(v.type.size for node in after.nodes for v in node.outputs) <= 7
    x = np.arange(7, dtype=np.float32).reshape(7, 1)
    assert evaluate(after, [x])[0].tolist() == [[[15.0 * 21]]]
    halves = build(lambda x: apply(reduce.sum_, x.broadcast_to((257, 3)), axes=(0,)), TensorType(bf16, (3,)))
    assert simplify(halves) is halves  # 257 is no bf16
    empty = build(lambda x: apply(reduce.sum_, x.broadcast_to((0, 3)), axes=(0,)), f(3))
    assert np.array_equal(evaluate(simplify(empty), [np.full(3, np.inf, np.float32)])[0], [[0, 0, 0]])


@pytest.mark.parametrize("shape", [(1, 3), (7, 3), (7, 1)])
@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1)])
def test_sums_of_negative_zeros_are_zero(shape: tuple[int, int], axes: tuple[int, ...]) -> None:
    """Also where the sum is its only element, or a product."""
    values = np.full(shape, -0.0, np.float32)
    copies = build(lambda x: apply(reduce.sum_, x.broadcast_to(shape), axes=axes), f(1, 1))
    for graph, x in ((build(lambda x: apply(reduce.sum_, x, axes=axes), f(*shape)), values), (copies, values[:1, :1])):
        for simplified in (graph, simplify(graph)):
            assert not np.signbit(evaluate(simplified, [x])[0]).any()


@pytest.mark.parametrize("source", DTYPES.values(), ids=str)
@pytest.mark.parametrize("middle", DTYPES.values(), ids=str)
def test_casts_merge_only_where_that_changes_nothing(source: DType, middle: DType) -> None:
    if source.is_float:
        with np.errstate(over="ignore"):
            values = np.array([*SPECIAL, 300.7, -129.5, 65504, 2.0**31, -(2.0**63), 1e-40]).astype(source.numpy)
    elif source.kind == "bool":
        values = np.array([False, True])
    else:
        info = np.iinfo(source.numpy)
        values = np.array([info.min, info.max, 0, 1, 100, info.max // 3 * 2 + 1], source.numpy)
    for target in DTYPES.values():
        graph = build(
            lambda x, t=target: apply(core.cast, apply(core.cast, x, dtype=middle), dtype=t),
            TensorType(source, values.shape),
        )
        with np.errstate(all="ignore"):
            expected, found = evaluate(graph, [values]), evaluate(simplify(graph), [values])
        assert same_bits(expected[0], found[0]), f"{source} -> {middle} -> {target}"
