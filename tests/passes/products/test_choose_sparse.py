"""Which weights lose their zeros, in which form, and that the results stay."""

from __future__ import annotations

import numpy as np
import pytest

import tinytorch as tt
from tests.execution import expected
from tests.runtime.llvm.sparse.test_kernels import pruned, two_of_four
from tinytorch.ir.graph import Builder, Graph
from tinytorch.ir.kernels.costs import DEFAULT_COSTS, Costs
from tinytorch.ir.ops.contract import matmul
from tinytorch.ir.ops.core import constant
from tinytorch.ir.text.parser import parse_graph
from tinytorch.ir.text.printer import print_graph
from tinytorch.ir.types import TensorType, dtype_of
from tinytorch.ir.verify import verify
from tinytorch.passes.products.choose_sparse import choose_sparse
from tinytorch.passes.products.sparsity import choice_of, has_zeros
from tinytorch.runtime.llvm.text.target import Target

Array = np.ndarray
TARGETS = {"avx512": DEFAULT_COSTS, "avx2": Target.named("avx2").costs, "neon": Target.named("neon").costs}


def product(w: Array, rows: int) -> Graph:
    builder = Builder()
    x = builder.input(TensorType(dtype_of(w.dtype), (rows, w.shape[0])))
    weight = builder.append(constant, [], {"value": w}).output
    return builder.build([builder.append(matmul, [x, weight], {}).output])


def chosen(w: Array, rows: int, costs: Costs = DEFAULT_COSTS) -> str:
    """The op that computes the product, once its graph was verified, printed and read, and gives the same results."""
    graph = product(w, rows)
    made = choose_sparse(graph, costs=costs)
    verify(made)
    read = parse_graph(print_graph(made))
    assert print_graph(read) == print_graph(made)
    x = np.random.default_rng(rows).normal(size=(rows, w.shape[0])).astype(w.dtype)
    (found,), (wanted,) = expected(read, [x]), expected(graph, [x])
    eps = float(np.finfo(w.dtype).eps)
    np.testing.assert_allclose(found, wanted, rtol=8 * eps, atol=8 * eps * float(abs(wanted).max(initial=1)))
    return made.nodes[-1].op.name


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_chosen(target: str) -> None:
    costs = TARGETS[target]
    for rows in (1, 32):
        assert chosen(pruned((300, 520), 0.08, (1, 1), "float32"), rows, costs) == "sparse_matmul"
        assert chosen(pruned((300, 520), 0.1, (1, 8), "float32"), rows, costs) == "sparse_matmul"
        assert chosen(pruned((300, 520), 0.8, (1, 1), "float32"), rows, costs) == "matmul"
        assert chosen(np.zeros((300, 520), np.float32), rows, costs) == "sparse_matmul"
    assert chosen(two_of_four((512, 600)), 1, costs) == "semi_structured_matmul"
    assert chosen(pruned((300, 130), 0.05, (1, 1), "float64"), 32, costs) == "sparse_matmul"


def test_weights_that_were_not_pruned_are_left_alone() -> None:
    graph = product(pruned((64, 64), 1, (1, 1), "float32"), 4)
    assert choose_sparse(graph) is graph
    assert not has_zeros(pruned((64, 64), 0.8, (1, 1), "float32"))
    assert not has_zeros(np.zeros((3, 3), np.float32))  # too small to be worth it
    half = np.ones((64, 128), np.float32)
    half[:, ::2] = 0
    assert has_zeros(half) and has_zeros(half.T.copy())


def test_larger_blocks_and_more_zeros_take_less() -> None:
    for rows in (1, 32):
        ratios = [choice_of(pruned((512, 1024), 0.1, (1, n), "float32"), rows, True, DEFAULT_COSTS) for n in (1, 4, 16)]
        assert sorted(ratios, key=lambda c: -c.ratio) == ratios
        assert [c.best.side_by_side for c in ratios[1:]] in ([4, 16], [4, 8])
    few, many = (choice_of(pruned((512, 512), s, (1, 1), "float32"), 1, True, DEFAULT_COSTS) for s in (0.02, 0.3))
    assert few.ratio < many.ratio and few.zeros > many.zeros


def model_of(*shares: float) -> tt.nn.Sequential:
    tt.manual_seed(0)
    layers = tt.nn.Linear(64, 320), tt.nn.Linear(320, 320)
    model = tt.nn.Sequential(layers[0], tt.nn.ReLU(), layers[1], tt.nn.GELU())
    for layer, share in zip(layers, shares, strict=True):
        weight = layer.weight
        weight.data[...] *= pruned((weight.shape[1], weight.shape[0]), share, (1, 1), "float32").T != 0
    return model


def test_frozen_models_get_them_without_a_word() -> None:
    """Weights are [out, in] there; bias and activation are in the same kernel, and the report says what was chosen."""
    model = model_of(0.05, 0.75)
    for rows in (1, 12, 40):
        x = tt.randn(rows, 64)
        frozen = tt.compile(model, freeze=True, backend="llvm")
        np.testing.assert_allclose(frozen(x).numpy(), model(x).numpy(), rtol=1e-5, atol=1e-6)
        kernels = [n.attrs["body"].nodes for n in frozen.graph.nodes if n.op.name == "kernel"]
        assert len(kernels) == 2 and kernels[0][0].op.name == "sparse_matmul" and len(kernels[0]) > 2
        (choice,) = frozen.explain().sparsity
        assert (choice.rows, choice.depth, choice.columns) == (rows, 64, 320) and 0.94 < choice.zeros < 0.96
        assert choice.form is not None and choice.ratio < 0.9
        assert "Weights with zeros" in str(frozen.explain()) and "95%" in str(frozen.explain())


def test_who_asks_for_exact_sums_gets_dense_products() -> None:
    """NaN · 0 is NaN there, and left out of a sparse sum."""
    model, x = model_of(0.05, 1.0), tt.ones(1, 64)
    x.data[0, 3] = np.nan
    exact = tt.compile(model, freeze=True, precision="exact", backend="llvm")(x)
    assert exact.isnan().all().item()
    hidden = tt.compile(model[:2], freeze=True, backend="llvm")(x).isnan().numpy()[0]
    weight = next(iter(model.parameters()))
    assert hidden[weight.numpy()[:, 3] != 0].all() and hidden.mean() < 0.5


def test_convolutions_of_one_place_and_empty_batches() -> None:
    first, second = tt.nn.Conv2d(3, 64, 3), tt.nn.Conv2d(64, 256, 1)
    second.weight.data[...] *= np.random.default_rng(0).random(second.weight.shape) < 0.05
    images, network = tt.randn(2, 3, 7, 7), tt.nn.Sequential(first, tt.nn.ReLU(), second)
    frozen = tt.compile(network, freeze=True, backend="llvm")
    np.testing.assert_allclose(frozen(images).numpy(), network(images).numpy(), rtol=1e-5, atol=1e-6)
    assert "sparse_matmul" in print_graph(frozen.graph, elide=True)
    model = model_of(0.05, 0.05)
    assert tt.compile(model, freeze=True, backend="llvm")(tt.zeros(0, 64)).shape == (0, 320)
