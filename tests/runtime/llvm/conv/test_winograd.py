"""Convolutions in fewer multiplications: near to the definition, which it is itself where a value is not finite."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest

import tinytorch as tt
from tests.execution import assert_same, compiled, expected, kernels
from tests.runtime.llvm.conv.infinities import check_infinities
from tinytorch.ir.expr import Expr
from tinytorch.ir.graph import Builder, Graph
from tinytorch.ir.kernels.costs import DEFAULT_COSTS, Costs, Precision
from tinytorch.ir.op import apply
from tinytorch.ir.ops.convolution import conv2d
from tinytorch.ir.ops.winograd import conv2d_winograd, winograd_weights
from tinytorch.ir.types import DType, TensorType, bf16, f32, f64, i32
from tinytorch.ir.windows import Pair
from tinytorch.passes.images.winograd_convolutions import winograd_convolutions
from tinytorch.runtime.llvm.text.target import Target

Pads = tuple[tuple[int, int], tuple[int, int]]
SAME: Pads = ((1, 1), (1, 1))


def graph_of(
    dtype: DType,
    images: tuple[int, ...],
    columns: int,
    pads: Pads = SAME,
    side: int = 2,
    costs: Costs = DEFAULT_COSTS,
    window: Pair = (3, 3),
    stride: Pair = (1, 1),
) -> Graph:
    b = Builder("conv")
    x = b.input(TensorType(dtype, images), "x")
    w = b.input(TensorType(dtype, (*window, images[3], columns)), "w")
    low, high = pads
    attrs = {"stride": stride, "low": low, "high": high, "dilation": (1, 1), "groups": 1}
    u = apply(winograd_weights, Expr(b, w), side=side, panel=costs.panel(dtype, columns), stride=stride)
    return b.build([apply(conv2d_winograd, Expr(b, x), Expr(b, w), u, **attrs).value])


def operands(graph: Graph, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(v.type.shape).astype(v.type.dtype.numpy) for v in graph.inputs]


def same_size(
    dtype: DType, images: tuple[int, ...], columns: int, groups: int = 1, window: int = 3, stride: int = 1
) -> Graph:
    """A convolution that keeps the size of its images, or divides it by the stride."""
    b, side = Builder("conv"), (window - 1) // 2
    x = b.input(TensorType(dtype, images), "x")
    w = b.input(TensorType(dtype, (window, window, images[3] // groups, columns)), "w")
    pads = {"low": (side, side), "high": (side, side)}
    out = apply(conv2d, Expr(b, x), Expr(b, w), stride=(stride, stride), dilation=(1, 1), groups=groups, **pads)
    return b.build([out.value])


def suits(
    dtype: DType,
    images: tuple[int, ...],
    columns: int,
    groups: int = 1,
    window: int = 3,
    costs: Costs = DEFAULT_COSTS,
    stride: int = 1,
) -> bool:
    """Whether the pass takes such a convolution."""
    graph = winograd_convolutions(same_size(dtype, images, columns, groups, window, stride), costs=costs)
    return any(node.op is conv2d_winograd for node in graph.nodes)


def exact(graph: Graph, arrays: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The result in f64, and the sum of the products' magnitudes behind each element."""
    wide = [a.astype(np.float64) for a in arrays]
    attrs = graph.nodes[-1].attrs
    return conv2d.eval(*wide, **attrs), conv2d.eval(*map(np.abs, wide), **attrs)


@pytest.mark.parametrize("side", [2, 4])
@pytest.mark.parametrize("dtype", [f32, f64], ids=str)
@pytest.mark.parametrize(
    ("images", "columns", "pads"),
    [
        ((2, 8, 8, 32), 32, SAME),
        ((3, 7, 9, 20), 33, SAME),  # odd sides, channels that fill no vector
        ((1, 16, 5, 48), 100, ((2, 0), (0, 2))),
        ((2, 12, 10, 64), 16, ((-1, -2), (0, 0))),  # the border is cut off
        ((1, 40, 40, 96), 64, ((0, 0), (0, 0))),  # several strips, read in place
        ((9, 3, 4, 40), 150, SAME),  # images of one tile, runs of them
    ],
    ids=str,
)
def test_near_to_the_definition(dtype: DType, images: tuple[int, ...], columns: int, pads: Pads, side: int) -> None:
    graph = graph_of(dtype, images, columns, pads, side)
    arrays = operands(graph)
    (found,) = compiled(graph, arrays)
    wanted, magnitudes = exact(graph, arrays)
    # Rounding errors of the sums and of some ten further additions in the transforms. The sums of a tile mix the
    # magnitudes of all of its outputs.
    bound = 10 * np.finfo(dtype.numpy).eps * magnitudes.max()
    assert (np.abs(found.astype(np.float64) - wanted) <= bound).all()


# A window, its stride, and the sides of the tiles that there are.
PHASES = [
    ((4, 4), (2, 2), (3, 4)),
    ((3, 3), (2, 2), (3, 4)),  # a phase has four places, two of them two, one has one
    ((5, 5), (2, 2), (2, 4)),
    ((2, 2), (1, 1), (3, 4)),
    ((5, 3), (2, 1), (2, 4)),
    ((6, 4), (3, 2), (3, 4)),
]


@pytest.mark.parametrize(("batch", "channels"), [(2, 0), (0, 3)])
def test_nothing_to_add_up(batch: int, channels: int) -> None:
    """Sums of nothing are 0; a graph that was read from text may ask for them."""
    graph = graph_of(f32, (batch, 4, 5, channels), 8)
    arrays = operands(graph)
    assert_same(compiled(graph, arrays), expected(graph, arrays))


@pytest.mark.parametrize(("window", "stride", "sides"), PHASES, ids=str)
def test_phases_add_up_to_the_definition(window: Pair, stride: Pair, sides: tuple[int, ...]) -> None:
    for dtype, images, columns, pads, side in (
        (f32, (2, 13, 18, 20), 33, ((1, 1), (1, 2)), sides[0]),
        (f32, (3, 9, 8, 5), 12, ((0, 2), (3, 0)), sides[1]),
        (f64, (1, 12, 14, 16), 16, ((0, 0), (0, 0)), sides[1]),  # read in place
    ):
        graph = graph_of(dtype, images, columns, pads, side, window=window, stride=stride)
        arrays = operands(graph)
        (found,) = compiled(graph, arrays)
        wanted, magnitudes = exact(graph, arrays)
        assert found.shape == wanted.shape
        bound = 10 * np.finfo(dtype.numpy).eps * magnitudes.max()
        assert (np.abs(found.astype(np.float64) - wanted) <= bound).all()


def test_where_it_is_taken_over_phases() -> None:
    for name in ("avx512", "avx2"):
        costs = Target.named(name).costs
        assert suits(f32, (32, 32, 32, 64), 128, window=4, stride=2, costs=costs)
        assert suits(f32, (32, 31, 31, 64), 64, window=5, stride=2, costs=costs)
        assert suits(f32, (32, 16, 16, 128), 64, window=2, costs=costs)
        assert not suits(f32, (32, 64, 64, 3), 64, window=4, stride=2, costs=costs), "12 channels leave nothing to gain"
        assert not suits(f32, (1, 4, 4, 64), 128, window=4, stride=2, costs=costs), "weights take longer than tiles"
        assert not suits(f32, (32, 32, 32, 64), 64, window=2, stride=2, costs=costs), "a phase has one place"
        assert not suits(f32, (32, 32, 32, 64), 64, window=7, stride=2, costs=costs), "a phase has four by four"


def test_where_it_is_taken() -> None:
    assert suits(f32, (8, 16, 16, 32), 64)
    assert suits(f32, (1, 13, 13, 48), 80)
    assert not suits(f32, (8, 32, 32, 3), 32), "three channels leave nothing to gain"
    assert not suits(f32, (8, 1, 16, 64), 64), "one row fills half of each tile"
    assert not suits(i32, (8, 16, 16, 32), 64), "halves are no integers"
    assert not suits(bf16, (8, 16, 16, 32), 64), "the transforms would be rounded to eight bits"
    assert not suits(f32, (1, 8, 8, 64), 128), "transforming the weights takes longer than what it saves"
    assert not suits(f32, (8, 16, 16, 64), 32, groups=2)
    assert not suits(f32, (8, 16, 16, 32), 64, window=5)


def test_it_is_taken_for_the_vectors_of_the_target() -> None:
    wide, narrow = Target.named("avx512").costs, Target.named("avx2").costs
    assert (wide.lanes(f32), narrow.lanes(f32), narrow.lanes(f64)) == (16, 8, 4)
    for costs in (wide, narrow, Target.named("sse2").costs):
        assert suits(f32, (8, 16, 16, 32), 64, costs=costs)
        assert not suits(f32, (8, 32, 32, 3), 32, costs=costs)
    assert not suits(f32, (8, 16, 16, 32), 8, costs=wide), "half a vector of columns: sums go along the channels"
    assert suits(f32, (8, 16, 16, 32), 8, costs=narrow), "which fill a vector of 32 bytes"
    dear = replace(narrow, winograd_transform={4: 1000, 6: 4000})
    assert not suits(f32, (8, 16, 16, 32), 64, costs=dear)


@pytest.mark.skipif(Target.host().name not in ("avx512", "avx2"), reason="this machine runs no code for AVX2")
@pytest.mark.parametrize("name", ["avx2", "sse2"])
@pytest.mark.parametrize("columns", [8, 20, 64])
def test_what_a_target_takes_is_right_there(name: Literal["avx2", "sse2"], columns: int) -> None:
    target = Target.named(name)
    graph = same_size(f32, (4, 12, 10, 32), columns)
    inside = {i.op for n in kernels(graph, target.costs).nodes if n.op.kind == "kernel" for i in n.attrs["body"].nodes}
    assert (conv2d_winograd in inside) == suits(f32, (4, 12, 10, 32), columns, costs=target.costs)
    arrays = operands(graph)
    (found,) = compiled(graph, arrays, target)
    wanted, magnitudes = exact(graph, arrays)
    assert (np.abs(found.astype(np.float64) - wanted) <= 10 * np.finfo(np.float32).eps * magnitudes.max()).all()


def test_precision_is_the_choice_of_the_user() -> None:
    rng = np.random.default_rng(1)
    image, window = (rng.standard_normal(s).astype(np.float32) for s in ((2, 16, 16, 64), (64, 64, 3, 3)))
    pads = {"stride": (1, 1), "low": (1, 1), "high": (1, 1), "dilation": (1, 1), "groups": 1}
    wide = image.astype(np.float64), window.transpose(2, 3, 1, 0).astype(np.float64)
    wanted = conv2d.eval(*wide, **pads)
    x, w = tt.Tensor(image, requires_grad=True), tt.Tensor(window)

    def run(x: tt.Tensor, w: tt.Tensor) -> tt.Tensor:
        return tt.conv2d(x.permute(0, 3, 1, 2), w, padding=1).permute(0, 2, 3, 1)

    def error(precision: Precision) -> float:
        """That of the result, relative; and gradients come in the same way."""
        function = tt.compile(run, precision=precision)
        found = function(x, w)
        ops = {i.op for n in function.graph.nodes if n.op.name == "kernel" for i in n.attrs["body"].nodes}
        assert (conv2d_winograd in ops) == (precision == "fast")
        found.sum().backward()
        return float(np.sqrt(((found.numpy() - wanted) ** 2).mean() / (wanted**2).mean()))

    assert error("exact") < 4e-7
    assert error("fast") < 1.2e-6, "more than the docstring of tt.compile says"
    with pytest.raises(tt.CompileError, match='precision is "fast" or "exact", got 3'):
        tt.compile(run, precision=3)  # pyright: ignore[reportArgumentType]


def test_frozen_weights_are_transformed_once() -> None:
    model = tt.Sequential(tt.Conv2d(3, 32, 3, padding=1), tt.ReLU(), tt.Conv2d(32, 64, 3, padding=1))
    frozen = tt.compile(model, freeze=True)
    x = tt.Tensor(np.random.default_rng(0).standard_normal((1, 3, 16, 16)).astype(np.float32))
    with tt.no_grad():
        found, wanted = frozen(x), model(x)
    inside = {i.op for n in frozen.graph.nodes if n.op.name == "kernel" for i in n.attrs["body"].nodes}
    assert conv2d_winograd in inside and winograd_weights not in inside
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), atol=1e-5)


@pytest.mark.parametrize("side", [2, 4])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 3e38])
@pytest.mark.parametrize("where", ["images", "weights"])
def test_infinities_reach_only_what_meets_them(value: float, where: str, side: int) -> None:
    """Bit for bit where they are: an infinity stays one, and neighbours that do not meet it are finite numbers."""
    graph = graph_of(f32, (2, 8, 9, 32), 48, side=side)
    x, w = operands(graph)
    if where == "images":
        x[1, 3, 4, 5] = value
    else:
        w[1, 2, 3, 7] = value
    with np.errstate(all="ignore"):
        wanted = conv2d.eval(x, w, **graph.nodes[-1].attrs)
    (found,) = compiled(graph, [x, w])
    check_infinities(found, wanted, 1e-4)


def test_infinities_reach_only_what_meets_them_in_a_phase() -> None:
    """Also where a place of the window is missing in its phase, and its weight, zero, meets an infinity."""
    for window, at, value in ((4, (1, 3, 4, 5), np.inf), (3, (1, 5, 5, 5), np.nan), (3, (0, 2, 7, 1), 3e38)):
        graph = graph_of(f32, (2, 12, 11, 24), 40, side=4, window=(window, window), stride=(2, 2))
        x, w = operands(graph)
        x[at] = value
        with np.errstate(all="ignore"):
            wanted = conv2d.eval(x, w, **graph.nodes[-1].attrs)
        (found,) = compiled(graph, [x, w])
        check_infinities(found, wanted, 1e-4)


@pytest.mark.skipif(Target.host().name not in ("avx512", "avx2"), reason="this machine runs no code for AVX2")
@pytest.mark.parametrize("name", ["avx2", "sse2"])
def test_phases_on_forced_targets(name: Literal["avx2", "sse2"]) -> None:
    rng, target = np.random.default_rng(len(name)), Target.named(name)
    for window, stride, sides in PHASES[:4]:
        batch, height, width = (int(rng.integers(1, most)) for most in (6, 14, 14))
        channels, columns = (int(rng.choice([1, 3, 8, 17, 64, 70])) for _ in range(2))
        low = (int(rng.integers(0, 3)), int(rng.integers(0, 3)))
        shape = (batch, height + 3, width + 3, channels)
        graph = graph_of(f32, shape, columns, (low, (2, 2)), int(rng.choice(sides)), target.costs, window, stride)
        arrays = operands(graph)
        (found,) = compiled(graph, arrays, target)
        wanted, magnitudes = exact(graph, arrays)
        error = np.abs(found.astype(np.float64) - wanted)
        assert (error <= 10 * np.finfo(np.float32).eps * magnitudes.max()).all()


@pytest.mark.parametrize(
    ("window", "stride", "padding", "more", "groups", "dilation"),
    [
        (4, 2, 1, 0, 1, 1),
        (3, 2, 1, 1, 1, 1),
        (5, 2, 2, 1, 2, 1),
    ],
)
def test_there_and_back_with_gradients(
    window: int, stride: int, padding: int, more: int, groups: int, dilation: int
) -> None:
    """A convolution and a transposed one, with the gradients of all operands, against those by the definition."""
    rng = np.random.default_rng(window)
    arrays = [rng.standard_normal(s).astype(np.float32) for s in ((4, 32, 15, 14), (48, 32 // groups, window, window))]
    arrays.append(rng.standard_normal((48, 24 // groups, window, window)).astype(np.float32))
    same: dict[str, int] = {"stride": stride, "padding": padding, "groups": groups, "dilation": dilation}

    def run(x: tt.Tensor, w: tt.Tensor, v: tt.Tensor) -> tt.Tensor:
        h = tt.conv2d(x.permute(0, 3, 1, 2), w, **same)
        return tt.conv_transpose2d(h * 0.05, v, output_padding=more, **same).permute(0, 2, 3, 1)

    def results(precision: Precision, backend: Literal["llvm", "interpreter"]) -> list[np.ndarray]:
        x, w, v = (tt.Tensor(a, requires_grad=True) for a in (arrays[0].transpose(0, 2, 3, 1).copy(), *arrays[1:]))
        out = tt.compile(run, precision=precision, backend=backend)(x, w, v)
        (out * out).mean().backward()
        return [out.numpy(), *(p.grad.numpy() for p in (x, w, v) if p.grad is not None)]

    found, wanted = results("fast", "llvm"), results("exact", "interpreter")
    assert len(found) == 4
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * np.abs(b).max())


@pytest.mark.skipif(Target.host().name not in ("avx512", "avx2"), reason="this machine runs no code for AVX2")
@pytest.mark.parametrize("side", [2, 4])
@pytest.mark.parametrize("name", ["avx2", "sse2"])
def test_drawn_shapes_on_forced_targets(name: Literal["avx2", "sse2"], side: int) -> None:
    rng, target = np.random.default_rng([side, len(name)]), Target.named(name)
    for _ in range(3):
        batch, height, width = (int(rng.integers(1, most)) for most in (8, 14, 14))
        channels, columns = (int(rng.choice([1, 3, 8, 17, 64, 70])) for _ in range(2))
        low = (int(rng.integers(0, 3)), int(rng.integers(0, 3)))
        pads = (low, (2, 2))
        graph = graph_of(f32, (batch, height, width, channels), columns, pads, side, target.costs)
        arrays = operands(graph)
        (found,) = compiled(graph, arrays, target)
        wanted, magnitudes = exact(graph, arrays)
        error = np.abs(found.astype(np.float64) - wanted)
        assert (error <= 10 * np.finfo(np.float32).eps * magnitudes.max()).all()
