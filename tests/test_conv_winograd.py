"""Convolutions in fewer multiplications: near to the definition, which it is itself where a value is not finite."""

from __future__ import annotations

import numpy as np
import pytest
from ml_dtypes import finfo

from tests.execution import compiled
from tinytorch.ir.graph import Builder, Expr, Graph
from tinytorch.ir.op import apply
from tinytorch.ir.ops.convolution import conv2d
from tinytorch.ir.types import DType, TensorType, bf16, f32, f64, i32
from tinytorch.runtime.llvm.contract_layout import Operand
from tinytorch.runtime.llvm.conv_layout import Convolution
from tinytorch.runtime.llvm.conv_winograd import suits_winograd
from tinytorch.runtime.llvm.target import Target

Pads = tuple[tuple[int, int], tuple[int, int]]
SAME: Pads = ((1, 1), (1, 1))


def graph_of(dtype: DType, images: tuple[int, ...], columns: int, pads: Pads = SAME) -> Graph:
    b = Builder("conv")
    x = b.input(TensorType(dtype, images), "x")
    w = b.input(TensorType(dtype, (3, 3, images[3], columns)), "w")
    low, high = pads
    out = apply(conv2d, Expr(b, x), Expr(b, w), stride=(1, 1), low=low, high=high, dilation=(1, 1), groups=1)
    return b.build([out.value])


def operands(graph: Graph, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(v.type.shape).astype(v.type.dtype.numpy) for v in graph.inputs]


def suits(dtype: DType, images: tuple[int, ...], columns: int, groups: int = 1, window: int = 3) -> bool:
    conv = Convolution(
        Operand.contiguous(dtype, images), images[1:3], (window, window), (1, 1), (1, 1), (1, 1), groups, columns
    )
    return suits_winograd(conv, Target.host())


def exact(graph: Graph, arrays: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The result in f64, and the sum of the products' magnitudes behind each element."""
    node = graph.nodes[-1]
    wide = [a.astype(np.float64) for a in arrays]
    return node.op.eval(*wide, **node.attrs), node.op.eval(*map(np.abs, wide), **node.attrs)


@pytest.mark.parametrize("dtype", [f32, f64, bf16], ids=str)
@pytest.mark.parametrize(
    ("images", "columns", "pads"),
    [
        ((2, 8, 8, 32), 32, SAME),
        ((3, 7, 9, 20), 33, SAME),  # odd sides, channels that fill no vector
        ((1, 16, 5, 48), 100, ((2, 0), (0, 2))),
        ((2, 12, 10, 64), 16, ((-1, -2), (0, 0))),  # the border is cut off
        ((1, 40, 40, 96), 64, ((0, 0), (0, 0))),  # several strips, read in place
    ],
    ids=str,
)
def test_near_to_the_definition(dtype: DType, images: tuple[int, ...], columns: int, pads: Pads) -> None:
    graph = graph_of(dtype, images, columns, pads)
    arrays = operands(graph)
    (found,) = compiled(graph, arrays)
    wanted, magnitudes = exact(graph, arrays)
    # Rounding errors of the sums, of some ten further additions in the transforms, and of the result's own dtype. The
    # sums of a tile mix the magnitudes of all of its outputs.
    eps = np.finfo(np.float64 if dtype is f64 else np.float32).eps
    bound = 10 * eps * magnitudes.max() + float(finfo(dtype.numpy).eps) * np.abs(wanted)
    assert (np.abs(found.astype(np.float64) - wanted) <= bound).all()


def test_where_it_is_taken() -> None:
    assert suits(f32, (8, 16, 16, 32), 64)
    assert suits(f32, (1, 13, 13, 48), 80)
    assert not suits(f32, (8, 32, 32, 3), 32), "three channels leave nothing to gain"
    assert not suits(f32, (8, 1, 16, 64), 64), "one row fills half of each tile"
    assert not suits(i32, (8, 16, 16, 32), 64), "halves are no integers"
    assert not suits(f32, (8, 16, 16, 64), 32, groups=2)
    assert not suits(f32, (8, 16, 16, 32), 64, window=5)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 3e38])
@pytest.mark.parametrize("where", ["images", "weights"])
def test_infinities_reach_only_what_meets_them(value: float, where: str) -> None:
    """Bit for bit where they are: an infinity stays one, and neighbours that do not meet it are finite numbers."""
    graph = graph_of(f32, (2, 8, 9, 32), 48)
    x, w = operands(graph)
    if where == "images":
        x[1, 3, 4, 5] = value
    else:
        w[1, 2, 3, 7] = value
    node = graph.nodes[-1]
    with np.errstate(all="ignore"):
        wanted = node.op.eval(x, w, **node.attrs)
    (found,) = compiled(graph, [x, w])
    for kind in (np.isnan, np.isposinf, np.isneginf):
        np.testing.assert_array_equal(kind(found), kind(wanted))
    near = np.isfinite(wanted)
    scale = np.maximum(np.abs(wanted[near]), 100)
    assert (np.abs(found[near] - wanted[near]) <= 1e-4 * scale).all()
