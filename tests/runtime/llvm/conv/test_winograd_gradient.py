"""Gradients of 3×3 weights in fewer multiplications: near to the definition, and itself where a value is not finite."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest

import tinytorch as tt
from tests.execution import compiled
from tests.runtime.llvm.conv.infinities import check_infinities
from tinytorch.ir.expr import Expr
from tinytorch.ir.graph import Builder, Graph
from tinytorch.ir.kernels.costs import DEFAULT_COSTS, Costs
from tinytorch.ir.op import Op, apply
from tinytorch.ir.ops.convolution import conv2d_weight_grad
from tinytorch.ir.ops.winograd import winograd_weight_grad
from tinytorch.ir.types import DType, TensorType, bf16, f32, f64
from tinytorch.passes.images.winograd_convolutions import winograd_convolutions
from tinytorch.runtime.llvm.text.target import Target

Sizes = tuple[int, ...]
HERE = Target.host().name


def graph_of(
    op: Op, dtype: DType, images: Sizes, gradients: Sizes, low: tuple[int, int] = (1, 1), **more: Any
) -> Graph:
    b = Builder("weights")
    x, g = b.input(TensorType(dtype, images), "x"), b.input(TensorType(dtype, gradients), "g")
    attrs = {"window": (3, 3), "stride": (1, 1), "low": low, "dilation": (1, 1), "groups": 1, **more}
    return b.build([apply(op, Expr(b, x), Expr(b, g), **attrs).value])


def same_size(images: Sizes, columns: int, side: int) -> Graph:
    return graph_of(winograd_weight_grad, f32, images, (*images[:3], columns), side=side)


def operands(graph: Graph) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(v.type.shape).astype(v.type.dtype.numpy) for v in graph.inputs]


def defined(graph: Graph, arrays: list[np.ndarray]) -> np.ndarray:
    attrs = {key: value for key, value in graph.nodes[0].attrs.items() if key != "side"}
    return conv2d_weight_grad.eval(*arrays, **attrs)


def check(graph: Graph, target: Target | None = None) -> None:
    arrays = operands(graph)
    (found,) = compiled(graph, arrays, target)
    wide = [a.astype(np.float64) for a in arrays]
    wanted, magnitudes = defined(graph, wide), defined(graph, [np.abs(a) for a in wide])
    # Rounding errors of the transforms, which mix the magnitudes of a tile.
    bound = 6 * np.finfo(found.dtype).eps * magnitudes.max()
    assert (np.abs(found.astype(np.float64) - wanted) <= bound).all()


CASES = [
    ((2, 8, 8, 32), (2, 8, 8, 32), (1, 1)),
    ((3, 7, 9, 20), (3, 7, 9, 33), (1, 1)),  # odd sides, channels and columns that fill no vector
    ((1, 16, 5, 48), (1, 16, 5, 100), (2, 0)),
    ((2, 12, 10, 70), (2, 8, 7, 16), (-1, -2)),  # the border is cut off
    ((1, 40, 40, 40), (1, 38, 38, 24), (0, 0)),  # several strips, read in place
    ((33, 3, 4, 130), (33, 3, 4, 150), (1, 1)),  # images of one tile, runs of them
    ((2, 1, 1, 17), (2, 1, 1, 3), (1, 1)),
    ((0, 4, 5, 3), (0, 4, 5, 8), (1, 1)),  # nothing to add up
]


@pytest.mark.parametrize("side", [2, 4])
@pytest.mark.parametrize("dtype", [f32, f64], ids=str)
@pytest.mark.parametrize(("images", "gradients", "low"), CASES, ids=str)
def test_near_to_the_definition(dtype: DType, images: Sizes, gradients: Sizes, low: tuple[int, int], side: int) -> None:
    check(graph_of(winograd_weight_grad, dtype, images, gradients, low, side=side))


# A window, its stride, gradients for images of 13 × 18, and the sides of the tiles that there are.
PHASES = [
    ((4, 4), (2, 2), (7, 9), (3, 4)),
    ((3, 3), (2, 2), (7, 9), (3, 4)),  # a phase has four places, two of them two, one has one
    ((5, 5), (2, 2), (6, 8), (2, 4)),
    ((2, 2), (1, 1), (13, 18), (3, 4)),
    ((6, 4), (3, 2), (4, 9), (3, 4)),
]


@pytest.mark.parametrize(("window", "stride", "outputs", "sides"), PHASES, ids=str)
def test_phases_add_up_to_the_definition(
    window: tuple[int, int], stride: tuple[int, int], outputs: tuple[int, int], sides: tuple[int, ...]
) -> None:
    attrs: dict[str, Any] = {"window": window, "stride": stride}
    for dtype, channels, columns, side in ((f32, 20, 33, sides[0]), (f32, 40, 9, sides[1]), (f64, 17, 16, sides[1])):
        images, gradients = (3, 13, 18, channels), (3, *outputs, columns)
        check(graph_of(winograd_weight_grad, dtype, images, gradients, (1, 1), side=side, **attrs))


@pytest.mark.skipif(HERE not in ("avx512", "avx2"), reason="this machine runs no code for AVX2")
@pytest.mark.parametrize("name", ["avx2", "sse2"])
def test_phases_on_other_targets(name: Literal["avx2", "sse2"]) -> None:
    for window, stride, outputs, sides in PHASES[:3]:
        attrs: dict[str, Any] = {"window": window, "stride": stride}
        graph = graph_of(winograd_weight_grad, f32, (2, 13, 18, 17), (2, *outputs, 24), (0, 1), side=sides[1], **attrs)
        check(graph, Target.named(name))


def test_infinities_reach_only_what_meets_them_in_a_phase() -> None:
    for window, where, value in ((4, 0, np.inf), (3, 0, np.nan), (3, 1, np.inf), (4, 1, 3e38)):
        attrs: dict[str, Any] = {"window": (window, window), "stride": (2, 2)}
        graph = graph_of(winograd_weight_grad, f32, (3, 12, 14, 20), (3, 6, 7, 24), side=4, **attrs)
        arrays = operands(graph)
        arrays[where][1, 3, 4, 5] = value
        with np.errstate(all="ignore"):
            wanted = defined(graph, arrays)
        (found,) = compiled(graph, arrays)
        check_infinities(found, wanted, 1e-5)


@pytest.mark.skipif(HERE not in ("avx512", "avx2"), reason="this machine runs no code for AVX2")
@pytest.mark.parametrize("side", [2, 4])
@pytest.mark.parametrize("name", ["avx2", "sse2"])
def test_other_targets(name: Literal["avx2", "sse2"], side: int) -> None:
    for images, gradients, low in CASES[1:4]:
        check(graph_of(winograd_weight_grad, f32, images, gradients, low, side=side), Target.named(name))


@pytest.mark.parametrize("side", [2, 4])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 3e38])
@pytest.mark.parametrize("where", [0, 1], ids=["images", "gradients"])
def test_infinities_reach_only_what_meets_them(value: float, where: int, side: int) -> None:
    graph = same_size((9, 8, 9, 40), 80, side)
    arrays = operands(graph)
    arrays[where][4, 3, 4, 5] = value
    with np.errstate(all="ignore"):
        wanted = defined(graph, arrays)
    (found,) = compiled(graph, arrays)
    check_infinities(found, wanted, 1e-5)


def test_the_same_bits_for_any_number_of_threads() -> None:
    graph, before = same_size((8, 16, 16, 64), 64, 4), tt.get_num_threads()
    arrays = operands(graph)
    try:
        found: list[np.ndarray] = []
        for threads in (1, 2):
            tt.set_num_threads(threads)
            found += compiled(graph, arrays)
    finally:
        tt.set_num_threads(before)
    np.testing.assert_array_equal(found[0], found[1])


def test_where_it_is_taken() -> None:
    def taken(images: Sizes, columns: int, dtype: DType = f32, costs: Costs = DEFAULT_COSTS, **more: Any) -> bool:
        graph = graph_of(conv2d_weight_grad, dtype, images, (*images[:3], columns), **more)
        return any(node.op is winograd_weight_grad for node in winograd_convolutions(graph, costs=costs).nodes)

    assert taken((32, 32, 32, 64), 64)
    assert taken((32, 32, 32, 64), 64, f64)
    for name in ("avx512", "avx2"):
        assert taken((32, 16, 16, 128), 128, costs=Target.named(name).costs)
    assert not taken((32, 32, 32, 3), 64), "three channels leave nothing to gain"
    assert not taken((8, 1, 64, 64), 64), "one row fills a quarter of each tile"
    assert not taken((32, 32, 32, 64), 64, bf16), "the transforms would be rounded to eight bits"
    assert not taken((1, 4, 4, 64), 64), "transforming the sums takes longer than what it saves"
    assert not taken((8, 32, 32, 64), 64, window=(5, 5))
    assert taken((32, 32, 32, 64), 64, window=(2, 2))
