"""Kernels of recurrent layers against their definition: targets, sizes, layouts, results that nobody reads, threads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

import tinytorch as tt
from tests.execution import compiled, expected, kernels
from tests.runtime.llvm.index.kernels import TARGETS, target_of
from tinytorch.ir.expr import Expr
from tinytorch.ir.graph import Builder, Graph
from tinytorch.ir.op import OPS, apply
from tinytorch.ir.ops.core import filled
from tinytorch.ir.ops.recurrent import BACKWARD, FORWARD
from tinytorch.ir.ops.view import broadcast, flip, permute
from tinytorch.ir.types import TensorType, dtype_of
from tinytorch.runtime.llvm.lower import lower
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.schedule import schedule

CELLS = {op.name: cell for op, cell in FORWARD.items()}
Array = np.ndarray


def operands_of(name: str, size: tuple[int, int, int], dtype: str = "float32", grad: bool = False) -> list[Array]:
    """Those of the op, or of its gradient: whatever values, since each is a function of all of them."""
    cell, (steps, batch, hidden) = CELLS[name], size
    rng = np.random.default_rng([steps, batch, hidden])
    sizes = cell.sizes(hidden, -(-hidden // 3) if cell.projected else hidden)
    initial, states = [(batch, n) for n in sizes], [(steps, batch, n) for n in sizes]
    weights = (cell.gates * hidden, sizes[0])
    projection = [(sizes[0], hidden)] if cell.projected else []
    shapes = [(steps, batch, weights[0]), weights, weights[:1], *projection, *initial]
    if grad:
        kept = [(steps, batch, cell.kept * hidden)] if cell.kept else []
        shapes = [*states, weights, *projection, *initial, *states, *kept]
    return [(rng.normal(size=shape) * 0.3).astype(dtype) for shape in shapes]


def graph_of(name: str, arrays: Sequence[Array], reverse: bool, read: Sequence[int] | None = None) -> Graph:
    builder = Builder()
    inputs = [builder.input(TensorType(dtype_of(a.dtype), a.shape)) for a in arrays]
    node = builder.append(OPS[name], inputs, {"reverse": reverse})
    return builder.build([node.outputs[i] for i in (range(len(node.outputs)) if read is None else read)])


def check(graph: Graph, arrays: Sequence[Array], target: Target | None = None) -> None:
    families = [node.attrs.get("family") for node in kernels(graph).nodes]
    assert "recurrent" in families and "contract" not in families
    for found, wanted in zip(compiled(graph, arrays, target), expected(graph, arrays), strict=True):
        eps = float(np.finfo(wanted.dtype).eps)
        np.testing.assert_allclose(found, wanted, rtol=200 * eps, atol=100 * eps * abs(wanted).max(initial=1))


SIZES = [(1, 1, 1), (3, 2, 5), (4, 33, 17), (2, 5, 64), (3, 37, 100), (2, 16, 530)]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", CELLS)
def test_kernels_compute_their_definition(name: str, size: tuple[int, int, int], target: str) -> None:
    for grad in (False, True):
        arrays = operands_of(name, size, grad=grad)
        reverse = size[2] % 2 == 1
        check(graph_of(name + "_grad" * grad, arrays, reverse), arrays, target_of(target))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", CELLS)
def test_doubles(name: str, reverse: bool) -> None:
    for grad in (False, True):
        arrays = operands_of(name, (3, 18, 21), "float64", grad)
        check(graph_of(name + "_grad" * grad, arrays, reverse), arrays)


@pytest.mark.parametrize("name", [op.name for op in (*FORWARD, *BACKWARD)])
def test_results_that_nobody_reads(name: str) -> None:
    arrays = operands_of(name.removesuffix("_grad"), (4, 19, 24), grad=name.endswith("_grad"))
    count = OPS[name].results
    for read in ([i for i in range(count) if bits >> i & 1] for bits in range(1, 1 << count)):
        check(graph_of(name, arrays, False, read), arrays)


@pytest.mark.parametrize("name", CELLS)
def test_operands_of_any_layout(name: str) -> None:
    """Sequences permuted, flipped and repeated; weights transposed; cotangents that are one number."""
    cell = CELLS[name]
    x, w, b, *others = operands_of(name, (5, 18, 20))
    builder = Builder()
    laid = [x.transpose(1, 2, 0).copy(), w.T.copy(), b[:1].copy(), *(a.T.copy() for a in others)]
    inputs = [Expr(builder, builder.input(TensorType(dtype_of(a.dtype), a.shape))) for a in laid]
    operands = [
        apply(flip, apply(permute, inputs[0], axes=(2, 0, 1)), axes=(0,)),
        apply(permute, inputs[1], axes=(1, 0)),
        apply(broadcast, inputs[2], shape=b.shape),
        *(apply(permute, a, axes=(1, 0)) for a in inputs[3:]),
    ]
    made = apply(OPS[name], *operands, reverse=False)
    results = list(made) if isinstance(made, tuple) else [made]
    ones = [filled(x, 0.5, x.type) for x in results[: cell.states]]
    back = apply(OPS[f"{name}_grad"], *ones, operands[1], *operands[3:], *results, reverse=False)
    check(builder.build([*(r.value for r in results), *(r.value for r in back)]), laid)


@pytest.mark.parametrize("name", CELLS)
def test_a_row_does_not_depend_on_its_neighbours(name: str) -> None:
    arrays = operands_of(name, (4, 37, 70))
    whole = compiled(graph_of(name, arrays, False), arrays)
    for row in (0, 15, 16, 36):
        x, *others = arrays
        weights, initial = others[: CELLS[name].weights], others[CELLS[name].weights :]
        alone = [x[:, row : row + 1].copy(), *weights, *(s[row : row + 1].copy() for s in initial)]
        for found, one in zip(whole, compiled(graph_of(name, alone, False), alone), strict=True):
            np.testing.assert_array_equal(found[:, row], one[:, 0])


def test_threads_do_not_change_a_bit() -> None:
    before = tt.get_num_threads()
    try:
        for name in ("lstm", "gru_grad"):
            arrays = operands_of(name.removesuffix("_grad"), (6, 70, 96), grad=name.endswith("_grad"))
            graph = graph_of(name, arrays, False)
            tt.set_num_threads(1)
            one = compiled(graph, arrays)
            tt.set_num_threads(3)
            for a, b in zip(one, compiled(graph, arrays), strict=True):
                np.testing.assert_array_equal(a, b)
    finally:
        tt.set_num_threads(before)


def test_the_kernel_is_as_long_for_many_steps_as_for_few() -> None:
    """What is compiled does not grow with the sequence."""
    lengths: list[int] = []
    for steps in (2, 256):
        graph = graph_of("lstm", operands_of("lstm", (steps, 4, 32)), False)
        lengths.append(len(lower(schedule(kernels(graph)), Target.host(), slots=1).text))
    assert abs(lengths[0] - lengths[1]) < 0.01 * lengths[0]
