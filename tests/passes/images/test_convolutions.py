"""Passes for networks of convolutions: channels last, pooling, products, batch normalisation, and freezing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinytorch as tt
from tests.execution import compiled
from tests.gradients import differentiated
from tests.graphs import same_bits
from tinytorch.frontend.spatial.functions import batch_norm, conv2d, conv_transpose2d
from tinytorch.frontend.spatial.pooling import avg_pool2d, max_pool2d
from tinytorch.ir.arrays.reference import evaluate
from tinytorch.ir.errors import CompileError, PassError
from tinytorch.ir.expr import Expr
from tinytorch.ir.graph import Builder, Graph
from tinytorch.ir.kernels.costs import Costs
from tinytorch.ir.kernels.layout import layouts
from tinytorch.ir.op import apply
from tinytorch.ir.ops import contract, convolution, core, pooling, reduce, view
from tinytorch.ir.types import TensorType, f32, f64
from tinytorch.passes.fold import fold, fold_weights
from tinytorch.passes.freeze import freeze_inputs
from tinytorch.passes.images.channels_last import channels_last
from tinytorch.passes.images.relu_behind_pooling import relu_behind_pooling
from tinytorch.passes.images.winograd_convolutions import winograd_convolutions
from tinytorch.passes.pipeline import DEFAULT_PASSES, kernel_passes, run_passes, to_kernels

Draw = Callable[[st.SearchStrategy[Any]], Any]
BEFORE_FUSION = kernel_passes()[:-3]
FROZEN_BEFORE_FUSION = kernel_passes(frozen=True)[:-3]


def op_names(graph: Graph) -> list[str]:
    return [node.op.name for node in graph.nodes]


def copies(graph: Graph) -> list[tuple[int, ...]]:
    """Shapes of what a compiled graph copies."""
    return [node.output.type.shape for node in graph.nodes if node.op is core.copy]


def inputs(graph: Graph, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=v.type.shape).astype(v.type.dtype.numpy) for v in graph.inputs]


# Random networks of images, [batch, channels, height, width], as users write them.
LAST, FIRST = (0, 2, 3, 1), (0, 3, 1, 2)


def _convolved(draw: Draw, x: Expr, values: list[Expr]) -> Expr:
    groups = draw(st.sampled_from([g for g in (1, 2) if x.shape[1] % g == 0]))
    window, stride = draw(st.sampled_from([(1, 1), (3, 2), (1, 3)])), draw(st.sampled_from([(1, 1), (1, 1), (2, 1)]))
    shape = (*window, x.shape[1] // groups, 2 * draw(st.integers(1, 2)))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    weights = x.builder.input(TensorType(f64, shape), "w") if draw(st.booleans()) else None
    w = x.constant(rng.normal(size=shape)) if weights is None else Expr(x.builder, weights)
    low = tuple(k // 2 for k in window)
    images = x.permute(LAST)
    attrs = {"stride": stride, "low": low, "high": low, "dilation": (1, 1), "groups": groups}
    return apply(convolution.conv2d, images, w, **attrs).permute(FIRST)


def _pooled(draw: Draw, x: Expr, values: list[Expr]) -> Expr:
    if min(x.shape[2:]) < 2:
        return x
    stride = draw(st.sampled_from([(2, 2), (1, 1)]))
    pad = draw(st.sampled_from([(0, 0), (1, 1)]))
    attrs = {"window": (2, 2), "stride": stride, "low": pad, "high": (0, 0), "dilation": (1, 1)}
    return apply(pooling.max_pool2d, x.permute(LAST), **attrs)[0].permute(FIRST)


def _channels(x: Expr, seed: int) -> Expr:
    row = x.constant(np.random.default_rng(seed).normal(size=(x.shape[1], 1, 1)))
    return row.broadcast_to(x.shape)


def _normalized(draw: Draw, x: Expr, values: list[Expr]) -> Expr:
    return (x - x.mean((0, 2, 3), keepdim=True)) * _channels(x, draw(st.integers(0, 9)))


def _added(draw: Draw, x: Expr, values: list[Expr]) -> Expr:
    return x + draw(st.sampled_from([v for v in values if v.shape == x.shape]))


def _averaged(draw: Draw, x: Expr, values: list[Expr]) -> Expr:
    return x * x.mean((2, 3), keepdim=True).sigmoid()


def _regrouped(draw: Draw, x: Expr, values: list[Expr]) -> Expr:
    n, c, h, w = x.shape
    rows = x.reshape(n, c, h * w)
    return (rows - rows.amax(2, keepdim=True)).reshape(n, c, h, w)


def _flat(draw: Draw, x: Expr, values: list[Expr]) -> Expr:
    return x.reshape(x.shape[0], -1).tanh().reshape(x.shape)


def _windowed(draw: Draw, x: Expr, values: list[Expr]) -> Expr:
    axis = draw(st.integers(1, 3))
    starts = tuple(int(a == axis and d > 1) for a, d in enumerate(x.shape))
    part = x.apply_op(view.slice_, [x], {"starts": starts, "limits": x.shape, "steps": (1,) * 4})
    low = tuple(d - e for d, e in zip(x.shape, part.shape, strict=True))
    padding = {"low": low, "high": (0,) * 4, "interior": (0,) * 4, "value": 0.5}
    return part.flip((axis,)).apply_op(view.pad, [part], padding)


def _joined(draw: Draw, x: Expr, values: list[Expr]) -> Expr:
    return x.apply_op(view.concat, [x, x.tanh()], {"axis": draw(st.sampled_from([1, 2]))})


LAYERS = [_convolved, _convolved, _convolved, _pooled, _normalized, _added, _averaged, _regrouped, _flat, _windowed,
          _joined, lambda draw, x, values: x.relu(), lambda draw, x, values: x + _channels(x, 3)]  # fmt: skip


@st.composite
def networks(draw: Draw) -> Graph:
    """A loss, images, and the gradients with respect to the images and the weights."""
    builder = Builder("network")
    shape = (2, 2 * draw(st.integers(1, 2)), draw(st.integers(2, 5)), draw(st.integers(2, 5)))
    values = [Expr(builder, builder.input(TensorType(f64, shape), "x"))]
    for _ in range(draw(st.integers(2, 7))):
        values.append(draw(st.sampled_from(LAYERS))(draw, values[-1], values))
    graph = builder.build([(values[-1] * values[-1]).sum().value])
    graph = differentiated(graph, list(range(len(graph.inputs))))
    return Graph(graph.name, graph.inputs, graph.nodes, (*graph.outputs, values[-1].value))


@settings(max_examples=60)
@given(networks())
def test_networks_keep_their_values(graph: Graph) -> None:
    before, _ = run_passes(graph, DEFAULT_PASSES)
    after, _ = run_passes(graph, BEFORE_FUSION, verify=True)
    arrays = inputs(graph)
    for a, b in zip(evaluate(before, arrays), evaluate(after, arrays), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


@settings(max_examples=30)
@given(networks())
def test_frozen_networks_keep_their_values(graph: Graph) -> None:
    arrays = inputs(graph)
    weights = dict(zip(graph.inputs[1:], arrays[1:], strict=True))
    after, _ = run_passes(freeze_inputs(graph, weights), FROZEN_BEFORE_FUSION, verify=True)
    assert len(after.inputs) == 1
    for a, b in zip(evaluate(graph, arrays), evaluate(after, arrays[:1]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


@settings(max_examples=20)
@given(networks())
def test_networks_as_machine_code(graph: Graph) -> None:
    arrays = inputs(graph)
    for a, b in zip(evaluate(graph, arrays), compiled(graph, arrays), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


def converted(graph: Graph) -> int:
    """Elements of images that are copied, or read in an order in which they do not lie, but for outputs."""
    found = layouts(graph)
    total = sum(n.output.type.size for n in graph.nodes if n.op is core.copy and n.output not in graph.outputs)
    read = [n.inputs[0] for n in graph.nodes if "2d" in n.op.name]
    return total + sum(v.type.size for v in read if not found[v].is_contiguous(v.type.shape))


@settings(max_examples=60)
@given(networks())
def test_networks_convert_no_more_than_before(graph: Graph) -> None:
    before = run_passes(graph, (*DEFAULT_PASSES, to_kernels()[0]))[0]
    assert converted(run_passes(graph, BEFORE_FUSION)[0]) <= converted(before)


# Layout.
def _step(batch_norms: bool, pool: bool) -> tuple[Graph, Graph]:
    """A training step of a small network, as traced and before fusion."""
    rng = np.random.default_rng(0)

    def parameter(*shape: int) -> tt.Tensor:
        return tt.Tensor(rng.normal(size=shape).astype(np.float32) * 0.2, requires_grad=True)

    layers = [(parameter(8, 3, 3, 3), parameter(8)), (parameter(16, 8, 3, 3), parameter(16))]
    norms = [(tt.zeros(c), tt.ones(c), parameter(c), parameter(c)) for c in (8, 16)]
    head = parameter(10, 16 * (4 if pool else 64))

    def step(x: tt.Tensor, target: tt.Tensor) -> tt.Tensor:
        for (weight, bias), (mean, var, gain, shift) in zip(layers, norms, strict=True):
            x = conv2d(x, weight, bias, padding=1)
            x = batch_norm(x, mean, var, gain, shift, training=True) if batch_norms else x
            x = max_pool2d(x.relu(), 2) if pool else x.relu()
        loss = tt.cross_entropy(x.reshape(len(x), -1) @ head.mT, target)
        loss.backward()
        for p in [*(p for layer in layers for p in layer), head]:
            assert p.grad is not None
            with tt.no_grad():
                p.copy_(p - p.grad * 0.1)
            p.grad = None
        return loss

    run = tt.compile(step, backend="interpreter")
    run(tt.randn(4, 3, 8, 8), tt.Tensor(np.array([1, 2, 3, 4])))
    traced = run.traced_graph
    return traced, run_passes(traced, BEFORE_FUSION, verify=True)[0]


@pytest.mark.parametrize("batch_norms", [False, True])
@pytest.mark.parametrize("pool", [False, True])
def test_a_training_step_copies_no_images_between_convolutions(batch_norms: bool, pool: bool) -> None:
    traced, after = _step(batch_norms, pool)
    images = [shape for shape in copies(after) if shape[0] == 4]
    assert images == [(4, 16, 2, 2) if pool else (4, 16, 8, 8)]  # the last ones, where they are flattened
    convolved = [node for node in after.nodes if node.op.name in ("conv2d", "conv2d_winograd", "conv2d_weight_grad")]
    assert len(convolved) == 2 + 1 + 2  # forward, input gradient of the second, weight gradients
    moved = {node.output for node in after.nodes if node.op is view.permute}
    first = next(v for v in after.inputs if v.type.shape == (4, 3, 8, 8))
    producers = after.producers()
    read = {node.inputs[0] for node in convolved} & moved
    assert all(producers[value].inputs == (first,) for value in read)  # only what comes in channels-first
    arrays = [
        np.arange(4) if v.type.dtype.kind == "int" else a for v, a in zip(traced.inputs, inputs(traced), strict=True)
    ]
    arrays = [abs(a) for a in arrays]
    for a, b in zip(evaluate(traced, arrays), evaluate(after, arrays), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_pooled_activations_are_read_by_the_pool_alone() -> None:
    _, after = _step(batch_norms=False, pool=True)
    readers = after.users()
    sums = [node.output for node in after.nodes if node.op.name == "add" and node.output.type.shape == (4, 8, 8, 8)]
    assert [sorted(n.op.name for n in readers[v]) for v in sums] == [["max_pool2d"]]
    large = [n for n in after.nodes if n.op.name in ("maximum", "le", "where") and n.output.type.shape[1:3] == (8, 8)]
    assert not large
    reduced = [
        node.inputs[0].type.shape for node in after.nodes if node.op is reduce.sum_ and node.inputs[0].type.rank == 4
    ]
    assert sorted(reduced) == [(4, 2, 2, 16), (4, 4, 4, 8)]  # bias gradients, of what was pooled


def test_strided_and_transposed_convolutions_need_no_copies_around_relu() -> None:
    weights = [tt.randn(4, 3, 3, 3), tt.randn(4, 5, 3, 3), tt.randn(2, 5, 3, 3)]

    def network(x: tt.Tensor) -> tt.Tensor:
        x = conv2d(x, weights[0], stride=2, padding=1).relu()
        x = conv_transpose2d(x, weights[1], stride=2, padding=1).relu()
        return conv2d(avg_pool2d(x, 2), weights[2]).mean((2, 3))

    run = tt.compile(network, backend="interpreter")
    x = tt.randn(7, 3, 9, 9)
    expected = run(x)
    after = run_passes(run.traced_graph, BEFORE_FUSION, verify=True)[0]
    joined = (7, 5, 2, 5, 2, 5)  # the four phases of the transposed convolution, put in order
    assert [shape for shape in copies(after) if shape[0] == 7] == [joined]
    np.testing.assert_allclose(evaluate(after, [x.data, *(w.data for w in weights)])[0], expected.data, atol=1e-4)


def test_graphs_without_images_stay_as_they_are() -> None:
    builder = Builder("g")
    x = Expr(builder, builder.input(TensorType(f32, (2, 3, 4)), "x"))
    graph = builder.build([x.permute((2, 0, 1)).exp().value])
    assert channels_last(graph) is graph and relu_behind_pooling(graph) is graph


# Pooling.
SPECIAL = [0.0, 1.0, -1.0, 2.5, -3.0, np.inf, -np.inf, np.nan]


@pytest.mark.parametrize(
    ("window", "stride", "low"), [((2, 2), (2, 2), (0, 0)), ((3, 3), (2, 2), (1, 1)), ((3, 2), (1, 1), (0, 1))]
)
def test_relu_behind_pooling_is_exact(window: Any, stride: Any, low: Any) -> None:
    builder = Builder("g")
    x = Expr(builder, builder.input(TensorType(f32, (3, 6, 7, 4)), "x"))
    attrs = {"window": window, "stride": stride, "low": low, "high": low, "dilation": (1, 1)}
    loss = (apply(pooling.max_pool2d, x.relu(), **attrs)[0] * 3.0).sum()
    graph = run_passes(differentiated(builder.build([loss.value]), [0]))[0]
    after = relu_behind_pooling(graph)
    assert all(n.op is pooling.max_pool2d for n in after.users()[after.inputs[0]])
    rng = np.random.default_rng(0)
    for share in (0.0, 0.5, 0.9):  # of special numbers, which make ties and NaNs
        array = np.where(
            rng.random((3, 6, 7, 4)) < share, rng.choice(SPECIAL, (3, 6, 7, 4)), rng.normal(size=(3, 6, 7, 4))
        )
        (_, a), (_, b) = evaluate(graph, [array.astype(np.float32)]), evaluate(after, [array.astype(np.float32)])
        assert same_bits(a + 0.0, b + 0.0)


def test_windows_outside_of_the_image_keep_their_relu() -> None:
    builder = Builder("g")
    x = Expr(builder, builder.input(TensorType(f32, (1, 2, 2, 1)), "x"))
    attrs = {"window": (1, 1), "stride": (1, 1), "low": (1, 1), "high": (0, 0), "dilation": (1, 1)}
    graph = builder.build([apply(pooling.max_pool2d, x.relu(), **attrs)[0].value])
    graph = run_passes(graph)[0]
    assert relu_behind_pooling(graph) is graph


def test_sums_of_other_axes_stay() -> None:
    builder = Builder("g")
    x, g = (Expr(builder, builder.input(TensorType(f32, s), n)) for s, n in (((2, 4, 4, 3), "x"), ((2, 2, 2, 3), "g")))
    attrs = {"window": (2, 2), "stride": (2, 2), "low": (0, 0), "dilation": (1, 1)}
    _, index = apply(pooling.max_pool2d, x, high=(0, 0), **attrs)
    spread = apply(pooling.max_unpool2d, g, index, size=(4, 4), **attrs)
    graph = builder.build([apply(reduce.sum_, spread, axes=axes).value for axes in ((0, 1), (1, 2))])
    after = relu_behind_pooling(graph)
    assert [n.inputs[0].type.shape for n in after.nodes if n.op is reduce.sum_] == [(2, 4, 4, 3), (2, 2, 2, 3)]
    for a, b in zip(evaluate(graph, inputs(graph)), evaluate(after, inputs(graph)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


# Freezing.
def test_large_constants_are_folded_in_frozen_graphs_only() -> None:
    builder = Builder("g")
    x = Expr(builder, builder.input(TensorType(f32, (2, 300)), "x"))
    w = Expr(builder, builder.input(TensorType(f32, (200, 300)), "w"))
    graph = builder.build([(x @ w.mT).value])
    frozen = freeze_inputs(graph, {w.value: np.ones((200, 300), np.float32)})
    assert "permute" in op_names(fold(frozen))
    assert op_names(fold_weights(frozen)) == ["constant", "constant", "matmul"]
    with pytest.raises(PassError, match="state"):
        freeze_inputs(Graph("g", graph.inputs, graph.nodes, (w.value,), ((1, 0),)), {w.value: np.zeros(1)})


def _classifier() -> tuple[Callable[[tt.Tensor], tt.Tensor], list[tt.Tensor]]:
    tt.manual_seed(0)
    weight, head, bias = tt.randn(160, 3, 3, 3) * 0.2, tt.randn(10, 160 * 16) * 0.1, tt.randn(160)
    mean, var, gain, shift = tt.randn(160), tt.rand(160) + 0.5, tt.randn(160), tt.randn(160)

    def classify(x: tt.Tensor) -> tt.Tensor:
        x = batch_norm(conv2d(x, weight, bias, padding=1), mean, var, gain, shift)
        return max_pool2d(x.relu(), 2).reshape(len(x), -1) @ head.mT

    return classify, [weight, head, bias, mean, var, gain, shift]


def test_a_frozen_network_is_convolutions_of_constants() -> None:
    classify, tensors = _classifier()
    run = tt.compile(classify, backend="interpreter", freeze=True)
    x = tt.randn(2, 3, 8, 8)
    np.testing.assert_allclose(run(x).data, classify(x).data, rtol=1e-4, atol=1e-4)
    traced = run._shown.traced
    captured = {v: t.data for v, t in zip(traced.graph.inputs[1:], traced.captured, strict=True)}
    after = run_passes(freeze_inputs(traced.graph, captured), FROZEN_BEFORE_FUSION, verify=True)[0]
    assert len(captured) == len(tensors)
    used = [name for name in op_names(after) if name not in ("constant", "broadcast", "reshape")]
    assert used == ["permute", "conv2d", "add", "max_pool2d", "maximum", "matmul"]
    assert copies(after) == []
    np.testing.assert_allclose(evaluate(after, [x.data])[0], classify(x).data, rtol=1e-4, atol=1e-4)


def test_a_changed_frozen_tensor_compiles_anew(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TT_LOGS", "recompiles")
    weight = tt.randn(5, 4)
    weight.name = "head"
    run = tt.compile(lambda x: x @ weight.mT, freeze=True)
    x = tt.randn(3, 4)
    for _ in range(2):
        np.testing.assert_allclose(run(x).data, (x @ weight.mT).data, rtol=1e-6)
    assert capsys.readouterr().out.count("compiling") == 1
    weight.copy_(weight * 2.0)
    for _ in range(2):
        np.testing.assert_allclose(run(x).data, (x @ weight.mT).data, rtol=1e-6)
    assert capsys.readouterr().out == "[tinytorch] compiling <lambda>: a frozen tensor was changed: head\n"
    weight.data = np.zeros((5, 4), np.float32)
    assert not run(x).data.any()


def test_frozen_code_is_cached_without_its_weights(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TT_CACHE_DIR", str(tmp_path))
    x = tt.randn(3, 40)
    for seed in (1, 2):
        weight = tt.Tensor(np.random.default_rng(seed).normal(size=(50, 40)).astype(np.float32))
        run = tt.compile(lambda x, w=weight: x @ w.mT, freeze=True)
        np.testing.assert_allclose(run(x).data, (x @ weight.mT).data, rtol=1e-5, atol=1e-5)
        assert len([p for p in tmp_path.rglob("*") if p.is_file()]) == 1


def test_a_frozen_function_may_not_change_what_it_captures() -> None:
    weight = tt.ones(3)
    weight.name = "counter"

    def train(x: tt.Tensor) -> tt.Tensor:
        weight.copy_(weight + 1.0)
        return x * weight

    with pytest.raises(CompileError, match="train: freeze=True, but the function changes counter"):
        tt.compile(train, freeze=True)(tt.ones(3))
    assert weight.data.tolist() == [1, 1, 1]


def test_frozen_machine_code_agrees() -> None:
    classify, _ = _classifier()
    x = tt.randn(2, 3, 8, 8)
    np.testing.assert_allclose(tt.compile(classify, freeze=True)(x).data, classify(x).data, rtol=1e-3, atol=1e-3)


def test_linear_layers_take_up_batch_normalisation() -> None:
    weight, bias, mean, var, gain = tt.randn(6, 4), tt.randn(6), tt.randn(6), tt.rand(6) + 0.5, tt.randn(6)

    def layer(x: tt.Tensor) -> tt.Tensor:
        return batch_norm(x @ weight.mT + bias, mean, var, gain, bias)

    run = tt.compile(layer, freeze=True)
    x = tt.randn(3, 4)
    np.testing.assert_allclose(run(x).data, layer(x).data, rtol=1e-4, atol=1e-5)
    (kernel,) = (node for node in run.graph.nodes if node.op is core.kernel)
    assert op_names(kernel.attrs["body"]) == ["matmul", "add"]


def test_gradients_of_frozen_functions() -> None:
    weight = tt.randn(4, 4)
    run = tt.compile(lambda x: (x @ weight).tanh().sum(), freeze=True)
    x = tt.randn(2, 4).requires_grad_()
    run(x).backward()
    assert x.grad is not None
    found, x.grad = x.grad.data, None
    (x @ weight).tanh().sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(found, x.grad.data, rtol=1e-5, atol=1e-6)


def test_only_constants_are_multiplied_into_weights() -> None:
    """In training the scale depends on the batch, and it stays behind the convolution."""
    _, after = _step(batch_norms=True, pool=True)
    forward = [n for n in after.nodes if n.op is convolution.conv2d]
    assert all(after.producers()[n.inputs[1]].op in (core.copy, view.permute, view.flip) for n in forward)
    assert contract.matmul in {n.op for n in after.nodes}


def test_frozen_weights_from_memory_take_the_tiles_that_read_least() -> None:
    """Of 7 × 7 images: 16 products of 16 rows instead of 36 of 4; of 4 × 4 ones, all products of the definition."""

    def chosen(size: int, costs: Costs) -> list[object]:
        builder = Builder("g")
        x = Expr(builder, builder.input(TensorType(f32, (1, size, size, 512)), "x"))
        w = x.constant(np.zeros((3, 3, 512, 512), np.float32))
        y = apply(convolution.conv2d, x, w, stride=(1, 1), low=(1, 1), high=(1, 1), dilation=(1, 1), groups=1)
        nodes = winograd_convolutions(builder.build([y.value]), costs=costs).nodes
        return [n.attrs["side"] for n in nodes if "side" in n.attrs]

    near, far = Costs(l3_bytes=1 << 30), Costs(l3_bytes=1 << 20)
    assert (chosen(7, near), chosen(7, far)) == ([4], [2])
    assert chosen(4, far) == []


@pytest.mark.parametrize(("window", "stride"), [(3, 2), (1, 2), (2, 1)])
def test_windows_by_frozen_weights_are_products(window: int, stride: int) -> None:
    tt.manual_seed(0)
    weight = tt.randn(640, 640 // window, window, window)

    def layer(x: tt.Tensor) -> tt.Tensor:
        return conv2d(x.relu(), weight, stride=stride, padding=window // 2).relu()

    x = tt.randn(1, 640 // window, 5, 5)
    run = tt.compile(layer, freeze=True)
    np.testing.assert_allclose(run(x).data, layer(x).data, rtol=1e-4, atol=1e-3)
    inside = {name for n in run.graph.nodes if n.op is core.kernel for name in op_names(n.attrs["body"])}
    assert "conv2d" not in inside and "panel_matmul" in inside
