"""Module 06: Muon against singular value decompositions and torch.optim.Muon, in batches, in every backend."""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.frontend.optimizers.muon import orthogonalize
from tinytorch.frontend.tensor import Tensor

Array = np.ndarray
BACKENDS = ["eager", "interpreter", "llvm"]
RNG = np.random.default_rng(5)
SHAPES = [(6, 6), (6, 6), (3, 8), (8, 3), (3, 8), (1, 5), (5, 1), (8, 3), (4, 2, 3, 3), (7, 2, 2), (4, 18)]
STARTS = [RNG.normal(size=s) for s in SHAPES]
GRADS = [[RNG.normal(size=s) for s in SHAPES] for _ in range(12)]


def orthogonal(u: Array, coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315), steps: int = 5) -> Array:
    """What the iteration does to singular values, without a product of matrices but the last."""
    a, b, c = coefficients
    left, s, right = np.linalg.svd(u.reshape(len(u), -1), full_matrices=False)
    s = s / np.sqrt((s * s).sum())
    for _ in range(steps):
        s = a * s + b * s**3 + c * s**5
    return ((left * s) @ right).reshape(u.shape)


def expected(
    p: Array, grads: Sequence[Array], rates: Sequence[float], decay: float = 0.1, nesterov: bool = True
) -> Array:
    moment = np.zeros_like(p)
    ratio = math.sqrt(max(1.0, len(p) / math.prod(p.shape[1:])))
    for g, rate in zip(grads, rates, strict=True):
        moment = 0.95 * moment + 0.05 * g
        p = p - rate * decay * p - rate * ratio * orthogonal(0.95 * moment + 0.05 * g if nesterov else moment)
    return p


def stepper(backend: str, optimizer: Any, params: list[Tensor]) -> Callable[[list[Tensor]], None]:
    def step(grads: list[Tensor]) -> None:
        for p, g in zip(params, grads, strict=True):
            p.grad = g
        optimizer.step()
        optimizer.zero_grad()

    return step if backend == "eager" else tt.compile(step, backend=backend)


def tensors(arrays: Sequence[Array], dtype: str = "f64") -> list[Tensor]:
    return [Tensor(a, requires_grad=True, dtype=dtype) for a in arrays]


# Values.
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("nesterov", [True, False])
def test_directions_keep_singular_vectors(backend: str, nesterov: bool) -> None:
    """Matrices and filters of many shapes together, a rate that changes before every step, one compilation."""
    params = tensors(STARTS)
    optimizer = tt.Muon(params, lr=0.02, nesterov=nesterov)
    step = stepper(backend, optimizer, params)
    rates = [0.02 * 0.9**i for i in range(len(GRADS))]
    for rate, grads in zip(rates, GRADS, strict=True):
        optimizer.lr = rate
        step([Tensor(g) for g in grads])
    for i, p in enumerate(params):
        wanted = expected(STARTS[i], [grads[i] for grads in GRADS], rates, nesterov=nesterov)
        np.testing.assert_allclose(p.numpy(), wanted, rtol=0, atol=1e-11, err_msg=str(SHAPES[i]))
    if backend != "eager":
        assert len(list(itertools.chain(*step._known.values()))) == 1  # pyright: ignore


def test_one_step_by_hand() -> None:
    """A gradient of one singular value: 1 after the norm, so 0.701 after a step of the default polynomial."""
    p = Tensor([[1.0, 0.0], [0.0, 1.0]], requires_grad=True)
    p.grad = Tensor([[0.0, 7.0], [0.0, 0.0]])
    tt.Muon([p], lr=0.5, weight_decay=0.2, ns_steps=1).step()
    np.testing.assert_allclose(p.numpy(), [[0.9, -0.5 * 0.701], [0.0, 0.9]], rtol=1e-6)


def test_singular_values_end_near_1() -> None:
    for shape in ((40, 40), (20, 60), (60, 20)):
        p = Tensor(np.zeros(shape), requires_grad=True)
        p.grad = Tensor(RNG.normal(size=shape) * 1e-3)
        tt.Muon([p], lr=1.0, adjust_lr_fn="match_rms_adamw").step()
        values = np.linalg.svd(p.numpy() / (0.2 * math.sqrt(max(shape))), compute_uv=False)
        assert values.min() > 0.2 and values.max() < 1.3 and np.median(values) > 0.6


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_gradient_and_zeros_move_nothing_but_decay(backend: str) -> None:
    params = tensors(STARTS[:3])
    step = stepper(backend, tt.Muon(params, lr=0.1, weight_decay=0.5), params)
    step([Tensor(np.zeros(s)) for s in SHAPES[:3]])
    for p, start in zip(params, STARTS, strict=False):
        np.testing.assert_allclose(p.numpy(), 0.95 * start, rtol=1e-12)
    lone = tensors(STARTS[:2])
    lone[0].grad = Tensor(GRADS[0][0])
    tt.Muon(lone, lr=0.1).step()
    assert (lone[1].numpy() == STARTS[1]).all() and (lone[0].numpy() != STARTS[0]).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_nan_stays_in_its_matrix(backend: str) -> None:
    params = tensors(STARTS[:2])
    step = stepper(backend, tt.Muon(params, lr=0.1), params)
    bad = GRADS[0][0].copy()
    bad[2, 3] = np.nan
    step([Tensor(bad), Tensor(GRADS[0][1])])
    assert np.isnan(params[0].numpy()).all()
    np.testing.assert_allclose(params[1].numpy(), expected(STARTS[1], [GRADS[0][1]], [0.1]), rtol=1e-11)


def test_halves_keep_their_dtype_and_moments_in_f32() -> None:
    for dtype, tolerance in (("f32", 2e-6), ("f16", 2e-3), ("bf16", 2e-2)):
        start, grad = (np.array(x.astype("f4"), "f4") for x in (STARTS[2], GRADS[0][2]))
        (p,) = tensors([start], dtype)
        optimizer = tt.Muon([p], lr=0.1)
        p.grad = Tensor(grad, dtype=dtype)
        optimizer.step()
        assert p.dtype.name == dtype and optimizer.state[0]["momentum_buffer"].dtype.name == "f32"
        wanted = expected(start, [grad], [0.1])
        np.testing.assert_allclose(p.numpy().astype("f8"), wanted, rtol=tolerance, atol=tolerance)


# The compiled step.
def families(graph: Any, family: str) -> list[Any]:
    return [n for n in graph.nodes if n.op.kind == "kernel" and n.attrs["family"] == family]


def test_equal_shapes_are_one_product_each() -> None:
    """Three products a step of the iteration and a shape, which hold all sums and the rate; tall and wide matrices are
    transposed as operands; behind the last product each parameter is read and written once."""
    shapes = [(16, 16)] * 3 + [(24, 16)] * 2 + [(16, 24)]
    params = tensors([np.ones(s) for s in shapes], "f32")
    optimizer = tt.Muon(params, lr=0.1)
    step = stepper("llvm", optimizer, params)
    step([Tensor(RNG.normal(size=s), dtype="f32") for s in shapes])
    graph = step.graph  # pyright: ignore
    assert len(families(graph, "contract")) == 3 * 5 * 3
    assert len(families(graph, "index")) == 2, "matrices are gathered once for each shape of several"
    # Settings, the momentum of each matrix, the norms of each shape of several, and the moves of those matrices. The
    # norm of a matrix that is alone is taken with its momentum, and it moves behind its last product.
    assert len(families(graph, "loop")) == 1 + len(shapes) + 2 + 5


def test_long_matrices_are_read_in_few_products() -> None:
    """Twice by three steps at once and twice by two. The products between are of the shorter side: a square of the gram
    matrix in each of five steps, two for the next gram matrix in three of them, and one for the factor of several."""
    (p,) = tensors([np.ones((16, 64))], "f32")
    step = stepper("llvm", tt.Muon([p], lr=0.1), [p])
    step([Tensor(RNG.normal(size=(16, 64)), dtype="f32")])
    products = families(step.graph, "contract")  # pyright: ignore
    assert len(products) == 4 + 5 + 3 * 2 + 3
    assert sum((16, 64) in [v.type.shape for v in (*n.inputs, *n.outputs)] for n in products) == 4


# Rounding.
@pytest.mark.parametrize("shape", [(40, 200), (200, 40), (40, 50)], ids=str)
@pytest.mark.parametrize("rank", [1, 12, 40])
def test_rounding_stays_small_where_singular_values_are_zero(rank: int, shape: tuple[int, int]) -> None:
    """In f32: the formula's in a usual number of steps, and in the polynomial's range after many."""
    u = (RNG.normal(size=(shape[0], rank)) @ RNG.normal(size=(rank, shape[1]))).astype("f4")
    for coefficients, highest in (
        ((3.4445, -4.775, 2.0315), 1.21),
        ((1.875, -1.25, 0.375), 1.01),
        ((1.5, -0.5, 0), 1.01),
    ):
        for steps in (1, 5, 40):
            found = orthogonalize(Tensor(u), coefficients, steps, 1e-7).numpy()
            assert np.linalg.norm(found, 2) < highest, (coefficients, steps)
            if steps < 40:
                wanted = orthogonal(u.astype("f8"), coefficients, steps)
                assert np.linalg.norm(found - wanted, 2) < 4e-5, (coefficients, steps)


# Against PyTorch.
def test_names_and_defaults_are_those_of_torch() -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = (inspect.signature(m).parameters.values() for m in (tt.Muon, torch.optim.Muon))
    assert [(p.name, p.default) for p in ours] == [(p.name, p.default) for p in theirs]


OPTIONS: list[dict[str, Any]] = [
    {},
    {"lr": 0.05, "nesterov": False, "momentum": 0.6},
    {"lr": 0.02, "weight_decay": 0.0, "adjust_lr_fn": "original"},
    {"lr": 0.02, "adjust_lr_fn": "match_rms_adamw", "ns_steps": 3},
    {"lr": 0.02, "momentum": 0.0, "eps": 1e-3, "ns_coefficients": (1.875, -1.25, 0.375), "ns_steps": 9},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("exact", [True, False])
def test_steps_match_torch(options: dict[str, Any], exact: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the last digits where PyTorch does not round to bf16; and near it as it is."""
    torch = pytest.importorskip("torch")
    if exact:
        monkeypatch.setattr(torch.Tensor, "bfloat16", lambda t: t.clone())
    matrices = [i for i, s in enumerate(SHAPES) if len(s) == 2]
    params = tensors([STARTS[i] for i in matrices])
    others = [torch.tensor(STARTS[i], requires_grad=True) for i in matrices]
    optimizer, reference = tt.Muon(params, **options), torch.optim.Muon(others, **options)
    for grads in GRADS:
        for p, q, i in zip(params, others, matrices, strict=True):
            p.grad, q.grad = Tensor(grads[i]), torch.tensor(grads[i])
        optimizer.step()
        reference.step()
    for p, q, i in zip(params, others, matrices, strict=True):
        moved, wanted = p.numpy() - STARTS[i], q.detach().numpy() - STARTS[i]
        tolerance = 1e-10 if exact else 0.05 * np.abs(wanted).max()
        np.testing.assert_allclose(moved, wanted, rtol=0, atol=tolerance)


# State.
@pytest.mark.parametrize("backend", ["eager", "llvm"])
def test_a_resumed_run_is_bit_for_bit_the_same(backend: str) -> None:
    def run(params: list[Tensor], optimizer: Any, steps: range) -> None:
        step = stepper(backend, optimizer, params)
        for i in steps:
            step([Tensor(g, dtype="f32") for g in GRADS[i]])

    straight = tensors(STARTS, "f32")
    run(straight, tt.Muon(straight, lr=0.03), range(12))
    first = tensors(STARTS, "f32")
    optimizer = tt.Muon(first, lr=0.03)
    run(first, optimizer, range(5))
    second = [Tensor(p.numpy(), requires_grad=True) for p in first]
    resumed = tt.Muon(second, lr=0.7)
    resumed.load_state_dict(optimizer.state_dict())
    run(second, resumed, range(5, 12))
    assert all(p.numpy().tobytes() == q.numpy().tobytes() for p, q in zip(straight, second, strict=True))


def test_groups_have_their_own_settings() -> None:
    a, b = tensors([STARTS[0], STARTS[1]])
    optimizer = tt.Muon([{"params": [a], "lr": 0.5, "weight_decay": 0.0}, {"params": [b]}], lr=0.1)
    a.grad, b.grad = (Tensor(g) for g in GRADS[0][:2])
    optimizer.step()
    np.testing.assert_allclose(a.numpy(), expected(STARTS[0], [GRADS[0][0]], [0.5], 0.0), atol=1e-12)
    np.testing.assert_allclose(b.numpy(), expected(STARTS[1], [GRADS[0][1]], [0.1]), atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_matrices_and_the_rest_in_one_step(backend: str) -> None:
    """Muon for the matrices and Adam for the rest; each like alone."""
    x, y = Tensor(RNG.normal(size=(8, 6))), Tensor(RNG.normal(size=(8, 6)))
    weight, bias = tensors([STARTS[0], np.zeros(6)])
    muon, adam = tt.Muon([weight], lr=0.1), tt.Adam([bias], lr=0.01, betas=(0.9, 0.99), eps=1e-10)

    def step(x: Tensor, y: Tensor) -> Tensor:
        loss = ((x @ weight + bias - y) ** 2).mean()
        loss.backward()
        for optimizer in (muon, adam):
            optimizer.step()
            optimizer.zero_grad()
        return loss

    (step if backend == "eager" else tt.compile(step, backend=backend))(x, y)
    error = x.numpy() @ STARTS[0] - y.numpy()
    wanted = expected(STARTS[0], [x.numpy().T @ error * 2 / error.size], [0.1])
    np.testing.assert_allclose(weight.numpy(), wanted, atol=1e-10)
    np.testing.assert_allclose(bias.numpy(), -0.01 * np.sign(error.sum(0)), rtol=1e-6)


# Bad arguments.
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"momentum": 1.0}, "Muon: momentum is a number in"),
        ({"nesterov": 1}, "Muon: nesterov is True or False, got 1"),
        ({"ns_coefficients": (1.0, 2.0)}, "Muon: ns_coefficients is three numbers"),
        ({"ns_coefficients": 3.4}, "Muon: ns_coefficients is three numbers, got 3.4"),
        ({"ns_coefficients": (1.0, 2.0, math.nan)}, "Muon: ns_coefficients is a finite number, got nan"),
        ({"eps": 0.0}, "Muon: eps is a positive number"),
        ({"ns_steps": 0}, "Muon: ns_steps is a positive integer, got 0"),
        ({"ns_steps": 2.0}, "Muon: ns_steps is a positive integer, got 2.0"),
        ({"adjust_lr_fn": "adamw"}, 'adjust_lr_fn is "original" or "match_rms_adamw", got \'adamw\''),
        ({"weight_decay": -0.1}, "weight_decay is a number that is not negative"),
    ],
)
def test_bad_settings_are_refused_with_the_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(tt.TinyTorchError, match=message) as error:
        tt.Muon(tensors(STARTS[:1]), **options)
    assert "test_muon.py:" in str(error.value)


@pytest.mark.parametrize("shape", [(), (4,)])
def test_vectors_are_sent_to_adam_and_leave_the_optimizer_as_it_was(shape: tuple[int, ...]) -> None:
    vector = Tensor(np.zeros(shape), requires_grad=True)
    with pytest.raises(tt.ShapeError, match=r"Muon: .* matrix .*got f64.*give vectors to Adam or AdamW") as error:
        tt.Muon([*tensors(STARTS[:1]), vector])
    assert "test_muon.py:" in str(error.value)
    optimizer = tt.Muon(tensors(STARTS[:1]))
    with pytest.raises(tt.ShapeError, match="Adam"):
        optimizer.add_param_group({"params": [vector]})
    assert len(optimizer.param_groups) == len(optimizer.state) == 1


def test_matrices_without_elements_stay() -> None:
    params = tensors([np.zeros((0, 3)), np.zeros((3, 0))])
    for p in params:
        p.grad = Tensor(np.zeros(p.shape))
    tt.Muon(params).step()
    assert [p.shape for p in params] == [(0, 3), (3, 0)]
