"""Weights of 16-bit floats in panels: which layout they get by rows, dtypes and target, and that values stay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.graphs import same_bits
from tinytorch.ir.arrays.reference import evaluate
from tinytorch.ir.expr import Expr
from tinytorch.ir.graph import Builder, Graph
from tinytorch.ir.kernels.costs import DEFAULT_COSTS
from tinytorch.ir.op import apply
from tinytorch.ir.ops.contract import matmul, panel_matmul
from tinytorch.ir.types import DType, TensorType, bf16, f16, f32
from tinytorch.ir.verify import verify
from tinytorch.passes.products.lay_out_products import lay_out_products

PAIRS = replace(DEFAULT_COSTS, multiplies_pairs=True)


def product(rows: int, k: int, x: DType, w: DType, columns: int = 130) -> Graph:
    builder = Builder()
    weights = np.random.default_rng(0).standard_normal((k, columns)).astype(w.numpy)
    a, b = Expr(builder, builder.input(TensorType(x, (rows, k)))), Expr(builder, builder.constant(weights))
    out = apply(matmul, a, b, **({} if x is w else {"dtype": f32}))
    return builder.build([out.value])


@pytest.mark.parametrize(
    ("rows", "k", "x", "w", "pairs", "shape"),
    [
        (1, 128, bf16, bf16, False, (3, 64, 64, 2)),
        (4, 128, f32, bf16, False, (3, 64, 64, 2)),
        (5, 128, f32, bf16, False, (3, 128, 64)),
        (5, 128, bf16, bf16, False, (3, 128, 64)),
        (900, 128, bf16, bf16, True, (3, 64, 64, 2)),
        (900, 128, f32, bf16, True, None),
        (1, 129, bf16, bf16, True, (3, 129, 64)),
        (64, 128, f16, f16, True, (3, 128, 64)),
        (65, 128, f16, f16, False, None),
        (1, 8, bf16, bf16, True, None),  # so small that it stays in L1
    ],
)
def test_layouts(rows: int, k: int, x: DType, w: DType, pairs: bool, shape: tuple[int, ...] | None) -> None:
    graph = product(rows, k, x, w)
    laid_out = lay_out_products(graph, costs=PAIRS if pairs else DEFAULT_COSTS)
    verify(laid_out)
    found = [node.inputs[1].type for node in laid_out.nodes if node.op is panel_matmul]
    assert [(t.dtype, t.shape) for t in found] == ([] if shape is None else [(w, shape)])
    assert laid_out.outputs[0].type == graph.outputs[0].type
    a = np.random.default_rng(1).standard_normal((rows, k)).astype(x.numpy)
    assert all(map(same_bits, evaluate(laid_out, [a]), evaluate(graph, [a])))
