"""Functions, creation and random numbers against numpy and torch."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.frontend import functional as F
from tinytorch.frontend.functions import creation, random
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import ShapeError, TinyTorchError

RNG = np.random.default_rng(4)
A = RNG.normal(size=(3, 4))


@pytest.fixture(autouse=True)
def seeded():
    random.manual_seed(11)


# Creation.
@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        (F.zeros(2, 3), np.zeros((2, 3), np.float32)),
        (F.ones((2, 3), dtype="i8"), np.ones((2, 3), np.int8)),
        (F.empty([2]), np.zeros(2, np.float32)),
        (F.zeros(), np.zeros((), np.float32)),
        (F.full((2, 2), 7), np.full((2, 2), 7)),
        (F.full(3, True), np.full(3, True)),
        (F.full((), 0.5), np.array(0.5, np.float32)),
        (F.arange(5), np.arange(5)),
        (F.arange(2, 11, 3), np.arange(2, 11, 3)),
        (F.arange(5, 0, -2), np.arange(5, 0, -2)),
        (F.arange(0, 1, 0.25), np.arange(0, 1, 0.25, np.float32)),
        (F.arange(3, dtype="f64"), np.arange(3.0)),
        (F.linspace(-1, 1, 5), np.linspace(-1, 1, 5, dtype=np.float32)),
        (F.arange(0, 10.0, 4.0, dtype="i64"), np.array([0, 4, 8])),
        (F.arange(5, -1, -2, dtype="u8"), np.array([5, 3, 1], np.uint8)),
        (F.linspace(4.3, -3, 4, dtype="i64"), np.array([4, 1, 0, -3])),
        (F.linspace(Tensor(0.1), 2, 1, dtype="f64"), np.array([float(np.float32(0.1))])),
        (F.eye(3), np.eye(3, dtype=np.float32)),
        (F.eye(2, 4, dtype="i64"), np.eye(2, 4, dtype=np.int64)),
        (F.zeros_like(F.ones(2, dtype="f64")), np.zeros(2)),
        (F.ones_like(F.zeros(2), dtype="i32"), np.ones(2, np.int32)),
        (F.full_like(F.zeros(2), 3), np.full(2, 3, np.float32)),
        (F.tensor([[1, 2]]), np.array([[1, 2]])),
    ],
)
def test_creation(ours, expected):
    assert ours.numpy().dtype == expected.dtype
    np.testing.assert_array_equal(ours.numpy(), expected)


def test_as_tensor_shares_what_it_can():
    array = np.zeros(3, np.float32)
    assert np.shares_memory(F.as_tensor(array).numpy(), array)
    assert not np.shares_memory(F.tensor(array).numpy(), array)
    x = F.zeros(3)
    assert F.as_tensor(x) is x and F.as_tensor(x, "f64").dtype.name == "f64"
    assert F.zeros(2, requires_grad=True).requires_grad


@pytest.mark.parametrize(
    "call",
    [
        lambda: F.zeros(-1),
        lambda: F.ones(2.5),
        lambda: F.zeros(True),
        lambda: F.zeros("3"),
        lambda: F.zeros(2**40, 2**40),
        lambda: F.arange(0, 5, 0),
        lambda: F.arange(0, -3, 2),
        lambda: F.arange(5, 0),
        lambda: F.arange(0.1, 5, dtype="i32"),
        lambda: F.arange(0, 3, 0.5, dtype="i64"),
        lambda: F.arange(float("inf")),
        lambda: F.arange(float("nan")),
        lambda: F.linspace(Tensor([1.0, 2.0]), 3, 4),
        lambda: F.linspace(0, float("inf"), 1),
        lambda: F.linspace(-300, 3, 4, dtype="u8"),
        lambda: F.zeros(2, device="cuda"),
        lambda: F.tensor([1.0], device="mps:0"),
        lambda: F.zeros(2, dtype="complex64"),
        lambda: F.linspace(0, 1, -1),
        lambda: F.zeros(2, dtype="i32", requires_grad=True),
    ],
)
def test_creation_errors(call):
    with pytest.raises(TinyTorchError):
        call()


@pytest.mark.parametrize("dtype", ["u8", "bf16", "f16", "f32"])
def test_counting_down_in_a_trace(dtype):
    for backend in ("llvm", "interpreter"):
        assert tt.compile(lambda: F.arange(5, -1, -2, dtype=dtype), backend=backend)().tolist() == [5, 3, 1]


# Functions in prefix form.
@pytest.mark.parametrize(
    "name", ["exp", "expm1", "sin", "cos", "tanh", "floor", "ceil", "trunc", "round", "sign", "abs", "square"]
)
def test_prefix_functions_are_numpys(name):
    np.testing.assert_allclose(getattr(tt, name)(Tensor(A)).numpy(), getattr(np, name)(A), rtol=1e-14)


def test_prefix_functions_take_arrays_and_arguments():
    np.testing.assert_allclose(tt.sum(A, 0).numpy(), A.sum(0))
    np.testing.assert_allclose(tt.matmul(A, A.T).numpy(), A @ A.T)
    np.testing.assert_array_equal(tt.maximum(Tensor(A), A.T.T * 0).numpy(), np.maximum(A, 0))
    np.testing.assert_array_equal(tt.clamp(Tensor(A), -0.5, 0.5).numpy(), A.clip(-0.5, 0.5))
    assert tt.transpose(Tensor(A), 0, 1).shape == (4, 3) and tt.log.__name__ == "log"


# Joining and choosing.
def test_cat_and_stack():
    x, y = Tensor(A), Tensor(A[:2])
    np.testing.assert_array_equal(F.cat([x, y]).numpy(), np.concatenate([A, A[:2]]))
    np.testing.assert_array_equal(F.cat([x, x], -1).numpy(), np.concatenate([A, A], -1))
    for dim in (0, 1, 2, -1):
        np.testing.assert_array_equal(F.stack([x, x * 2], dim).numpy(), np.stack([A, A * 2], dim))
    assert F.cat([F.ones(2, dtype="i32"), F.ones(1)]).dtype.name == "f32"
    assert F.cat([F.ones(0), F.ones(1)]).shape == (1,)
    for bad in ([], F.ones(2), [F.ones(2), F.ones(2, 2)], [1.0]):
        with pytest.raises(TinyTorchError):
            F.cat(bad)
    with pytest.raises(ShapeError, match="one shape"):
        F.stack([F.ones(2), F.ones(3)])


def test_split_and_chunk():
    x = F.arange(10)
    assert [t.tolist() for t in F.split(x, 4)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert [t.shape for t in F.split(F.ones(2, 5), [1, 4], dim=1)] == [(2, 1), (2, 4)]
    assert [t.shape[0] for t in F.chunk(x, 3)] == [4, 4, 2]
    assert [t.shape for t in F.chunk(F.ones(2, 0), 3, dim=1)] == [(2, 0)] * 3
    for call in (lambda: F.split(x, [3, 3]), lambda: F.split(x, 0), lambda: F.chunk(x, 0)):
        with pytest.raises(ShapeError):
            call()


def test_index_select():
    x = F.arange(6).reshape(2, 3)
    assert x.index_select(1, Tensor([2, 0])).tolist() == [[2, 0], [5, 3]]
    assert x.index_select(-1, Tensor(1)).shape == (2, 1) and F.ones(()).index_select(0, [0]).shape == ()
    for bad in (Tensor([[0]]), Tensor([True, False]), Tensor([0.0]), Tensor([0.0]) > 0):
        with pytest.raises(ShapeError, match="vector of integers"):
            x.index_select(0, bad)


def test_shapes_that_would_grow_or_mean_nothing():
    x, w = F.ones(3), F.ones(4, 3)
    assert F.linear(x, w, F.ones(1)).tolist() == [4.0] * 4
    assert F.pad(Tensor([7]), [1, 1], value=1.5).tolist() == [1, 7, 1]
    assert F.one_hot(F.zeros(0, dtype="i64"), 3).shape == (0, 3)
    for call in (
        lambda: F.linear(x, w, F.ones(1, 4)),
        lambda: F.pad(Tensor([1]), [1, 1], value=math.nan),
        lambda: F.pad(F.ones(2, dtype="u8"), [1, 1], value=-0.5),
        lambda: F.one_hot(F.zeros(0, dtype="i64")),
        lambda: F.ones(2).expand(-1, 2),
        lambda: F.ones(2, 2, 2).t(),
        lambda: F.layer_norm(F.ones(2, 3), 3, F.ones(())),
        lambda: F.layer_norm(F.ones(2, 3), 3, F.ones(3), F.ones(2, 3)),
        lambda: F.layer_norm(F.ones(2, 3), 3, F.ones(3, dtype="f64")),
    ):
        with pytest.raises(ShapeError, match=r"test_functional\.py"):
            call()


def test_halves_are_normalised_by_wider_weights():
    x = Tensor(np.float16([[1, 3]]))
    assert F.layer_norm(x, 2, F.ones(2) * 2, F.ones(2), eps=0.0).numpy().dtype == np.float16
    assert F.layer_norm(x, 2, F.ones(2) * 2, F.ones(2), eps=0.0).tolist() == [[-1, 3]]
    with pytest.raises(TinyTorchError, match="eps"):
        F.layer_norm(x, 2, eps=-0.5)


def test_where():
    c = Tensor(A > 0)
    np.testing.assert_array_equal(F.where(c, Tensor(A), 0.0).numpy(), np.where(A > 0, A, 0))
    np.testing.assert_array_equal(F.where(c, 1, Tensor(A)).numpy(), np.where(A > 0, 1, A))
    assert F.where(c, 1.0, 0.0).dtype.name == "f32" and F.where(c, 1, 0).dtype.name == "i64"
    assert F.where(c, Tensor(A), 0.1).numpy()[A <= 0].tolist() == [0.1] * int((A <= 0).sum())
    assert F.where(c, F.ones(3, 4, dtype="i32"), 0.5).dtype.name == "f32"
    assert F.where(c, F.ones(4), F.zeros(3, 1)).shape == (3, 4)
    x = Tensor([math.nan, 1.0], requires_grad=True)
    F.where(Tensor([False, True]), x, 0.0).sum().backward()
    assert x.grad.tolist() == [0.0, 1.0]
    with pytest.raises(ShapeError, match="broadcast"):
        F.where(c, F.ones(5), 0.0)


def test_triangles():
    for k in (-1, 0, 2):
        np.testing.assert_array_equal(F.tril(Tensor(A), k).numpy(), np.tril(A, k))
        np.testing.assert_array_equal(F.triu(Tensor(A), k).numpy(), np.triu(A, k))
    assert F.tril(F.ones(2, 3, 3)).numpy().sum() == 12
    with pytest.raises(ShapeError, match="two axes"):
        F.tril(F.ones(3))


def test_products():
    u, v = Tensor(A[0]), Tensor(A[1])
    np.testing.assert_allclose(F.dot(u, v).item(), A[0] @ A[1])
    np.testing.assert_allclose(F.outer(u, v).numpy(), np.outer(A[0], A[1]))
    for dim in (0, 1, -1):
        np.testing.assert_allclose(tt.cumsum(Tensor(A), dim).numpy(), A.cumsum(dim), rtol=1e-12)
    for function in (F.dot, F.outer):
        with pytest.raises(ShapeError, match="two vectors"):
            function(u, Tensor(A))


@pytest.mark.parametrize(
    "equation",
    [
        "ij,jk->ik", "ij,kj->ik", "ij,jk", "bij,bjk->bik", "bqhd,bkhd->bhqk", "bhqk,bkhd->bqhd", "i,i->", "i,j->ij",
        "ij,ij->ij", "ij,j->i", "ij,kl->", "ijk,ilk->lj", "abc,cd,be->ade", "ij->ji", "ij->", "ijk->ki", "i,ij,j->",
    ],
)  # fmt: skip
def test_einsum(equation):
    sizes = dict(zip("abcdehijklq", (2, 3, 4, 5, 2, 3, 4, 5, 3, 2, 3), strict=True))
    arrays = [RNG.normal(size=[sizes[x] for x in term]) for term in equation.split("->")[0].split(",")]
    expected = np.einsum(equation, *arrays)
    np.testing.assert_allclose(F.einsum(equation, *map(Tensor, arrays)).numpy(), expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("equation", ["ij,j->ij", "j,ij->ij", "...,...->...", "i,j->ji", "ij,jk->ki", "ij,jk,i->kij"])
def test_einsum_that_moves_no_axis_can_be_viewed(equation):
    """Its result is row-major, as PyTorch's is: nothing but the product was asked for."""
    sizes = {"i": 2, "j": 3, "k": 4}
    terms = equation.split("->")[0].replace("...,...", "ij,j").split(",")
    arrays = [RNG.normal(size=[sizes[x] for x in term]) for term in terms]
    found = F.einsum(equation, *map(Tensor, arrays))
    np.testing.assert_allclose(found.view(-1).numpy(), np.einsum(equation, *arrays).reshape(-1), rtol=1e-12)


@pytest.mark.parametrize("equation", ["ii->i", "ij,jk->iz", "ij", "ij,jkl->il", "...i,i->i", "ij,ij->ii", "ij,ij->"])
def test_einsum_errors(equation):
    with pytest.raises(ShapeError, match="einsum"):
        F.einsum(equation, F.ones(2, 3), F.ones(4, 3))


def test_allclose_and_equal():
    x = Tensor([1.0, math.nan])
    assert F.allclose(F.ones(2), F.ones(2) + 1e-7) and not F.allclose(F.ones(2), F.ones(2) + 1e-3)
    assert F.allclose(x, x, equal_nan=True) and not F.allclose(x, x)
    assert F.allclose(F.ones(2, dtype="bf16"), 1.0)
    assert F.equal(F.ones(2), F.ones(2)) and not F.equal(F.ones(2), F.ones(3))
    with pytest.raises(ShapeError):
        F.allclose(F.ones(2), F.ones(3))


# Functions of networks.
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("relu", {}), ("silu", {}), ("gelu", {}), ("gelu", {"approximate": "tanh"}), ("leaky_relu", {}), ("elu", {}),
        ("elu", {"alpha": 0.3}), ("softplus", {}), ("logsigmoid", {}), ("softmax", {"dim": 0}),
        ("log_softmax", {"dim": 1}), ("normalize", {}), ("normalize", {"p": 3.0, "dim": 0}),
    ],
)  # fmt: skip
def test_activation_functions_match_torch(name, options):
    torch = pytest.importorskip("torch")
    weights = RNG.normal(size=A.shape)
    x, y = Tensor(A, requires_grad=True), torch.tensor(A, requires_grad=True)
    ours, theirs = getattr(F, name)(x, **options), getattr(torch.nn.functional, name)(y, **options)
    np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), rtol=1e-12, atol=1e-15)
    (ours * Tensor(weights)).sum().backward()
    (theirs * torch.tensor(weights)).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_extremes_do_not_overflow():
    x = Tensor([-1e4, 0.0, 1e4], requires_grad=True)
    for function in (F.softplus, F.logsigmoid, F.elu, F.silu, F.sigmoid):
        y = function(x)
        assert np.isfinite(y.numpy()).all()
        x.grad = None
        y.sum().backward()
        assert np.isfinite(x.grad.numpy()).all()
    np.testing.assert_allclose(F.softplus(x).numpy(), [0, math.log(2), 1e4], rtol=1e-6)


def test_one_hot_and_embedding():
    indices = Tensor([[0, 2], [1, 1]])
    np.testing.assert_array_equal(F.one_hot(indices).numpy(), np.eye(3)[[[0, 2], [1, 1]]])
    assert F.one_hot(indices, 5, dtype="f32").type == F.zeros(2, 2, 5).type
    table = Tensor(A, requires_grad=True)
    rows = F.embedding(indices, table)
    np.testing.assert_array_equal(rows.numpy(), A[[[0, 2], [1, 1]]])
    rows.sum().backward()
    assert table.grad.numpy()[:, 0].tolist() == [1.0, 2.0, 1.0]
    for bad in (-1, 3):
        with pytest.raises(IndexError, match="out of range"):
            F.one_hot(Tensor([bad]), 3)
    with pytest.raises(IndexError, match="out of range"):
        F.embedding(Tensor([3]), table)
    with pytest.raises(ShapeError, match="integers"):
        F.one_hot(F.ones(2), 3)
    with pytest.raises(ShapeError, match="integers"):
        F.embedding(F.ones(2), table)


def test_pad():
    x = F.ones(2, 3)
    assert F.pad(x, (1, 2)).shape == (2, 6) and F.pad(x, (1, 2, 0, 1), value=9.0).numpy()[2, 0] == 9
    with pytest.raises(ShapeError):
        F.pad(x, (1, 2, 3))


# Random numbers.
def test_a_seed_repeats_the_stream_and_states_resume_it():
    first = [random.rand(3).tolist(), random.randn(2).tolist(), random.randint(9, (4,)).tolist()]
    state = random.get_state()
    later = random.rand(5).tolist()
    random.manual_seed(11)
    assert [random.rand(3).tolist(), random.randn(2).tolist(), random.randint(9, (4,)).tolist()] == first
    random.set_state(state)
    assert random.rand(5).tolist() == later
    own = random.Generator(11)
    assert random.rand(3, generator=own).tolist() == first[0]
    assert random.rand(3).tolist() != random.rand(3).tolist()


def test_unseeded_generators_differ():
    a, b = random.Generator(), random.Generator()
    assert a.initial_seed() != b.initial_seed()
    assert random.rand(4, generator=a).tolist() != random.rand(4, generator=b).tolist()


@pytest.mark.parametrize("seed", [0, 1, 2**63, 2**64 - 1, -5])
def test_any_64_bit_seed(seed):
    random.manual_seed(seed)
    values = random.rand(1000).numpy()
    assert values.min() >= 0 and values.max() < 1 and abs(values.mean() - 0.5) < 0.05


def test_distributions():
    n = 40_000
    uniform, normal = random.rand(n).numpy(), random.randn(n).numpy()
    counts = np.histogram(uniform, 20, (0, 1))[0]
    assert ((counts - n / 20) ** 2 / (n / 20)).sum() < 45  # chi-squared of 19 degrees: 1 in 1000 is above 43.8
    np.testing.assert_allclose([normal.mean(), normal.std()], [0, 1], atol=0.02)
    np.testing.assert_allclose(np.mean(np.abs(normal) < 1.959964), 0.95, atol=0.005)
    assert abs(np.corrcoef(uniform[:-1], uniform[1:])[0, 1]) < 0.02
    integers = random.randint(-3, 4, (n,)).numpy()
    assert set(integers) == set(range(-3, 4)) and integers.dtype == np.int64
    assert abs(np.bincount(integers + 3) - n / 7).max() < 400
    assert random.randint(0, 2**31, (100,)).numpy().max() > 2**30
    chosen = random.bernoulli(F.full((n,), 0.3)).numpy()
    np.testing.assert_allclose(chosen.mean(), 0.3, atol=0.01)


def test_randperm():
    orders = {tuple(random.randperm(3).tolist()) for _ in range(100)}
    assert len(orders) == 6 and all(sorted(o) == [0, 1, 2] for o in orders)
    assert random.randperm(0).shape == (0,)


def test_dtypes_shapes_and_in_place():
    assert random.rand((2, 3), dtype="f64").dtype.name == "f64" and random.randn(2, requires_grad=True).requires_grad
    assert random.rand_like(F.zeros(3, dtype="f16")).dtype.name == "f16" and random.randn_like(F.zeros(2)).shape == (2,)
    x = F.zeros(1000).requires_grad_()
    assert random.uniform_(x, -2, 3) is x and -2 <= x.numpy().min() < -1.9 and 2.9 < x.numpy().max() < 3
    random.normal_(x, 5, 0.1)
    np.testing.assert_allclose([x.numpy().mean(), x.numpy().std()], [5, 0.1], atol=0.02)
    assert x.requires_grad and x.is_leaf
    half = F.zeros(100, dtype="bf16")
    assert random.normal_(half).dtype.name == "bf16" and half.numpy().any()


@pytest.mark.parametrize(
    "call",
    [
        lambda: random.rand(-1),
        lambda: random.rand(2, dtype="i32"),
        lambda: random.rand(2, device="cuda"),
        lambda: random.randint(5, 5, (2,)),
        lambda: random.randint(0, 2**32, (2,)),
        lambda: random.manual_seed(2**64),
        lambda: random.set_state(F.zeros(2)),
    ],
)
def test_random_errors(call):
    with pytest.raises(TinyTorchError):
        call()


def test_creation_is_reexported():
    assert F.zeros is creation.zeros and F.cat is tt.cat
    assert all(hasattr(F, name) for name in F.__all__)
