"""Module 01: shapes, broadcasting, dtypes, indexing, exchange with numpy, errors."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest

from tinytorch.frontend import functional as F
from tinytorch.frontend.autograd import no_grad
from tinytorch.frontend.tensor import Tensor, from_dlpack, from_numpy
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.types import DTYPES

RNG = np.random.default_rng(5)
A = RNG.normal(size=(3, 4, 5))


# Construction.
@pytest.mark.parametrize(
    ("data", "dtype", "shape"),
    [
        (1.5, "f32", ()),
        (3, "i64", ()),
        (True, "bool", ()),
        ([1, 2.0], "f32", (2,)),
        ([[1, 2], [3, 4]], "i64", (2, 2)),
        ([], "f32", (0,)),
        (np.ones(3), "f64", (3,)),
        (np.float32(2), "f32", ()),
        (np.ones((2, 0), np.int8), "i8", (2, 0)),
        (range(3), "i64", (3,)),
    ],
)
def test_construction(data, dtype, shape):
    x = Tensor(data)
    assert (x.dtype.name, x.shape, x.ndim, x.numel()) == (dtype, shape, len(shape), math.prod(shape))


def test_construction_copies_and_nests():
    array = np.ones(3)
    x = Tensor(array)
    array[0] = 9
    assert x.tolist() == [1.0, 1.0, 1.0]
    assert Tensor([x, x * 2]).shape == (2, 3) and Tensor(x).tolist() == x.tolist()
    assert Tensor([1, 2], dtype="bf16").dtype.name == "bf16" and Tensor([1.0], requires_grad=True).requires_grad


@pytest.mark.parametrize("data", [[[1], [1, 2]], "text", None, object(), [1j], np.array(["a"])])
def test_construction_errors(data):
    with pytest.raises(ShapeError):
        Tensor(data)


def test_arrays_of_any_layout():
    for array in (A.T, A[::-1, ::2], np.asfortranarray(A), A[:, None, :, :1], A.astype(">f8")):
        np.testing.assert_array_equal((Tensor(array) * 1).numpy(), array)
        np.testing.assert_allclose(Tensor(array).sum(0).numpy(), array.sum(0))
    frozen = A.copy()
    frozen.flags.writeable = False
    x = from_numpy(frozen)
    assert (x + 1).shape == A.shape and np.shares_memory(x.numpy(), frozen)
    with pytest.raises(TinyTorchError, match="read-only"):
        x.zero_()


# Arithmetic.
BINARY = ["__add__", "__sub__", "__mul__", "__truediv__", "__floordiv__", "__mod__", "__pow__"]


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize(
    "shapes", [((3, 4), (3, 4)), ((3, 4), (4,)), ((3, 1), (1, 4)), ((2, 3, 4), ()), ((0, 4), (1, 4))]
)
def test_arithmetic_broadcasts_like_numpy(name, shapes):
    x, y = (np.asarray(RNG.uniform(0.5, 3, s)) for s in shapes)
    for a, b in ((x, y), (y, x)):
        expected = getattr(np.asarray(a), name)(np.asarray(b))
        np.testing.assert_allclose(getattr(Tensor(a), name)(Tensor(b)).numpy(), expected, rtol=1e-14)


def test_operators_with_numbers_and_arrays_on_both_sides():
    x = Tensor([1.0, 2.0])
    assert (1 + x).tolist() == [2, 3] and (1 - x).tolist() == [0, -1] and (2 / x).tolist() == [2, 1]
    assert (2**x).tolist() == [2, 4] and (5 // x).tolist() == [5, 2] and (5 % x).tolist() == [0, 1]
    assert (-x).tolist() == [-1, -2] and abs(-x).tolist() == [1, 2] and (+x).tolist() == [1, 2]
    array = np.array([10.0, 20.0], np.float32)
    for result in (array + x, x + array, np.float32(10) * x, x * np.float64(2)):
        assert isinstance(result, Tensor) and result.dtype.name == "f32"
    assert isinstance(array @ x, Tensor) and (array @ x).item() == 50
    x += 1
    assert x.tolist() == [2.0, 3.0]
    with pytest.raises(TypeError):
        x + "1"


def test_integer_arithmetic():
    x = Tensor([7, -7, 3])
    assert (x // 2).tolist() == [3, -4, 1] and (x % 3).tolist() == [1, 2, 0] and (x**2).tolist() == [49, 49, 9]
    assert (x / 2).dtype.name == "f32" and (x & 3).tolist() == [3, 1, 3] and (~x).tolist() == [-8, 6, -4]
    assert (x << 1).tolist() == [14, -14, 6] and (x >> 1).tolist() == [3, -4, 1]
    assert (Tensor([True, False]) | Tensor([False, False])).tolist() == [True, False]
    with pytest.raises(ShapeError, match="does not fit"):
        Tensor([1], dtype="u8") + 300


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (bool, r"a Python condition .* needs one element, got bool\[2\]; x.any\(\) says"),
        (float, r"float\(\) needs one element, got bool\[2\]"),
        (int, r"int\(\) needs one element"),
        (Tensor.item, r"item\(\) needs one element"),
    ],
)
def test_what_needs_one_element_says_so(use, message):
    with pytest.raises(ShapeError, match=message + r"(?s:.*test_tensor.py)"):
        use(Tensor([1, 2]) == Tensor([1, 3]))


def test_comparisons():
    x = Tensor([1.0, math.nan, 3.0])
    assert (x < 3).tolist() == [True, False, False] and (x == x).tolist() == [True, False, True]
    assert (x != 1).tolist() == [False, True, True] and (x <= 3).tolist() == [True, False, True]
    assert x.isnan().tolist() == [False, True, False] and Tensor([math.inf, 0]).isinf().tolist() == [True, False]


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("f32", "f64", "f64"), ("i64", "f32", "f32"), ("i64", "f16", "f16"), ("bf16", "f16", "f32"),
        ("i8", "u8", "i32"),
        ("bool", "i8", "i8"), ("i32", "i64", "i64"), ("bf16", "f32", "f32"), ("bool", "bool", "bool"),
    ],
)  # fmt: skip
def test_promotion(a, b, expected):
    for x, y in ((a, b), (b, a)):
        assert (F.ones(2, dtype=x) + F.ones(2, dtype=y)).dtype.name == expected


def test_numbers_and_rank_0_do_not_widen():
    for dtype in ("f16", "bf16", "f32"):
        assert (F.ones(2, dtype=dtype) * 2.5).dtype.name == dtype
        assert (F.ones(2, dtype=dtype) * F.full((), 2.5, "f64")).dtype.name == dtype
    assert (F.ones(2, dtype="i8") + 1).dtype.name == "i8" and (F.ones(2, dtype="i8") + 1.5).dtype.name == "f32"


@pytest.mark.parametrize("dtype", DTYPES)
def test_casts_follow_the_values(dtype):
    x = Tensor([0.0, 1.0, 2.75, 100.0]).to(dtype)
    expected = np.array([0.0, 1.0, 2.75, 100.0], np.float32).astype(DTYPES[dtype].numpy)
    assert x.numpy().tobytes() == expected.tobytes()
    assert Tensor([1e10, -1e10, math.nan]).to("i8").tolist() == [127, -128, 0]


# Matmul.
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((3, 4), (4, 5)), ((4,), (4,)), ((4,), (4, 5)), ((3, 4), (4,)), ((2, 3, 4), (4, 5)), ((2, 3, 4), (2, 4, 5)),
        ((6, 1, 3, 4), (2, 4, 5)), ((4,), (2, 4, 5)), ((2, 3, 4), (4,)), ((0, 4), (4, 5)), ((3, 0), (0, 5)),
        ((1, 1), (1, 1)),
    ],
)  # fmt: skip
def test_matmul_follows_numpy(a, b):
    x, y = RNG.normal(size=a), RNG.normal(size=b)
    p, q = Tensor(x, requires_grad=True), Tensor(y, requires_grad=True)
    out = p @ q
    assert out.shape == (x @ y).shape
    np.testing.assert_allclose(out.numpy(), x @ y, rtol=1e-12, atol=1e-14)
    out.sum().backward()
    assert p.grad.shape == a and q.grad.shape == b


def test_matmul_is_accurate_in_half_precision_and_exact_in_integers():
    x, y = RNG.normal(size=(2, 64, 64))
    for dtype, eps in (("f16", 2**-10), ("bf16", 2**-7)):
        half = Tensor(x).to(dtype) @ Tensor(y).to(dtype)
        exact = Tensor(x).to(dtype).double().numpy() @ Tensor(y).to(dtype).double().numpy()
        np.testing.assert_allclose(half.double().numpy(), exact, atol=eps * np.abs(exact).max())
    a, b = RNG.integers(-9, 9, (2, 8, 8))
    assert ((Tensor(a) @ Tensor(b)).numpy() == a @ b).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: F.ones(2, 784) @ F.ones(128, 10), "matmul: lhs axis 1 is 784, rhs axis 0 is 128"),
        (lambda: F.ones(2, 3, 4) @ F.ones(3, 4, 5), r"shapes \[2\] and \[3\] do not broadcast"),
        (lambda: F.ones(()) @ F.ones(3), "at least one axis"),
        (lambda: F.ones(3) + F.ones(4), r"add: shapes \[3\] and \[4\] do not broadcast: axis -1 is 3 and 4"),
        (lambda: F.ones(2, 3).reshape(4), "reshape"),
        (lambda: F.ones(2, 3).reshape(-1, 4), "does not divide"),
        (lambda: F.ones(2, 3).transpose(0, 2), "axis 2 is out of range for rank 2"),
        (lambda: F.ones(2, 3).sum(2), "out of range"),
        (lambda: F.ones(2, 3).sum((0, 0)), "twice"),
        (lambda: F.ones(0).max(), "empty axis"),
        (lambda: F.ones(2).broadcast_to(3), "does not broadcast"),
        (lambda: F.ones(2).permute(0, 1), "permute"),
        (lambda: F.ones(2).to("i32").exp() @ F.ones(3), "matmul"),
    ],
)
def test_shape_errors_name_the_axes_and_the_line(call, message):
    with pytest.raises(ShapeError, match=message) as error:
        call()
    assert "test_tensor.py" in str(error.value)


# Shapes.
def test_views():
    x = Tensor(A)
    np.testing.assert_array_equal(x.reshape(12, 5).numpy(), A.reshape(12, 5))
    np.testing.assert_array_equal(x.reshape((-1, 4)).numpy(), A.reshape(-1, 4))
    np.testing.assert_array_equal(x.transpose(0, -1).numpy(), A.swapaxes(0, 2))
    np.testing.assert_array_equal(x.permute(2, 0, 1).numpy(), A.transpose(2, 0, 1))
    np.testing.assert_array_equal(x.T.numpy(), A.T)
    np.testing.assert_array_equal(x.mT.numpy(), A.swapaxes(1, 2))
    np.testing.assert_array_equal(x.flip(0, 2).numpy(), A[::-1, :, ::-1])
    np.testing.assert_array_equal(x.flatten(1).numpy(), A.reshape(3, 20))
    np.testing.assert_array_equal(x.pad([(1, 0), (0, 0), (0, 2)], 7).numpy()[0], np.full((4, 7), 7))
    assert x.unsqueeze(1).shape == (3, 1, 4, 5) and x.unsqueeze(-1).squeeze().shape == A.shape
    assert F.ones(1, 3, 1).squeeze(0).shape == (3, 1) and F.ones(3).expand(2, -1).shape == (2, 3)
    assert len(x) == 3 and x.view(60).shape == (60,) and F.ones(()).flatten().shape == (1,)
    assert [row.shape for row in x] == [(4, 5)] * 3


def test_views_share_memory_and_broadcasting_takes_none():
    x = F.ones(1000, 1)
    assert np.shares_memory(x.reshape(10, 100).numpy(), x.numpy())
    assert np.shares_memory(x.T.numpy(), x.numpy())
    assert x.broadcast_to(1000, 1000).numpy().strides == (4, 0)


@pytest.mark.parametrize("dim", [None, 0, 1, -1, (0, 2)])
@pytest.mark.parametrize("keep", [False, True])
def test_reductions(dim, keep):
    x = Tensor(A)
    for name, reference in (("sum", np.sum), ("mean", np.mean), ("amax", np.max), ("amin", np.min)):
        ours = getattr(x, name)(dim, keep)
        np.testing.assert_allclose(ours.numpy(), reference(A, axis=dim, keepdims=keep), rtol=1e-12)
    for name in ("sum", "mean"):
        np.testing.assert_array_equal(
            getattr(x, name)(axis=dim, keepdims=keep).numpy(), getattr(x, name)(dim, keep).numpy()
        )
    variance, deviation = x.var(dim, keepdim=keep), x.std(dim, keepdim=keep, correction=0)
    np.testing.assert_allclose(variance.numpy(), A.var(axis=dim, keepdims=keep, ddof=1), rtol=1e-12)
    np.testing.assert_allclose(deviation.numpy(), A.std(axis=dim, keepdims=keep), rtol=1e-12)
    assert (x > -9).all(dim, keep).numpy().all() and not (x > 9).any(dim, keep).numpy().any()
    if not isinstance(dim, tuple):
        np.testing.assert_array_equal(x.argmax(dim, keep).numpy(), A.argmax(dim, keepdims=keep))
        np.testing.assert_array_equal(x.argmin(dim, keep).numpy(), A.argmin(dim, keepdims=keep))


def test_small_integers_do_not_overflow_in_sums():
    assert F.full((1000,), 100, "u8").sum().item() == 100_000
    assert F.ones(300, dtype="bool").sum().item() == 300
    assert F.ones(70_000, dtype="f16").mean().item() == 1.0


# Indexing.
INDICES = [
    0, -1, (1, 2, 3), slice(1, 3), slice(None, None, 2), slice(None, None, -1), slice(3, 0, -2), slice(5, 1),
    (slice(None), 1), (..., 2), (0, ..., slice(1, 4)), None, (None, 1, None), (slice(None), None, ..., -1), ...,
    [0, 2, 2], ([0, 1], [1, 3]), (slice(None), [3, 0]), ([0, 1], slice(None), [1, 2]), (..., [0, -1]),
    (np.array([[0, 1], [2, 0]]), 1), (1, [0, 2]), (slice(None), [0, 2], 1), np.array([True, False, True]),
    (slice(None), np.array([True, False, True, True])), np.array(2), (None, [0, 1]),
]  # fmt: skip


@pytest.mark.parametrize("index", INDICES, ids=repr)
def test_indexing_is_numpys(index):
    x = Tensor(A, requires_grad=True)
    got, expected = x[index], A[index]
    assert got.shape == expected.shape
    np.testing.assert_array_equal(got.numpy(), expected)
    weights = RNG.normal(size=expected.shape)
    (got * Tensor(weights)).sum().backward()
    gradient = np.zeros_like(A)
    np.add.at(gradient, index, weights)
    np.testing.assert_allclose(x.grad.numpy(), gradient, rtol=1e-14)


def test_indexing_by_tensors_and_masks():
    x = Tensor(A)
    np.testing.assert_array_equal(x[Tensor([0, 2])].numpy(), A[[0, 2]])
    np.testing.assert_array_equal(x[x > 0].numpy(), A[A > 0])
    np.testing.assert_array_equal(x.index_select(1, Tensor([1, 1])).numpy(), A[:, [1, 1]])
    assert [10, 20, 30][Tensor(1)] == 20


@pytest.mark.parametrize("index", [3, -4, (0, 4), (0, 0, 0, 0), [3], (slice(None), [-5]), (..., ...), 1.5, "a"])
def test_indexing_errors(index):
    with pytest.raises((IndexError, TypeError, ShapeError)):
        Tensor(A)[index]


def test_parts_of_data_have_the_methods_of_tensors():
    x = Tensor(A, requires_grad=True)
    x.data[1].zero_()
    x.data[:, 0].fill_(2)
    expected = A.copy()
    expected[1], expected[:, 0] = 0, 2
    np.testing.assert_array_equal(x.numpy(), expected)
    assert (x.data * 2).norm().item() == pytest.approx(2 * np.linalg.norm(expected))
    y = x * x
    x.data[0].zero_()
    with pytest.raises(TinyTorchError, match="changed in place"):
        y.sum().backward()


@pytest.mark.parametrize("requires_grad", [False, True])
@pytest.mark.parametrize("index", [range(2), (range(2), [1, 0]), (slice(None), (1, 0)), ((1, 0),), range(0)], ids=repr)
def test_ranges_and_tuples_are_index_arrays(index, requires_grad):
    x = Tensor(A, requires_grad=requires_grad) * 1
    expected = A.copy()
    np.testing.assert_array_equal(x[index].numpy(), expected[index])
    x[index] = -1.0
    expected[index] = -1.0
    np.testing.assert_array_equal(x.numpy(), expected)


def test_item_assignment():
    x, expected = Tensor(A), A.copy()
    for index, value in ((0, 1.0), ((slice(None), 1), np.arange(5.0)), (A > 1, -1), ([0, 2], Tensor(2.0))):
        x[index] = value
        expected[index] = value if not isinstance(value, Tensor) else value.numpy()
        np.testing.assert_array_equal(x.numpy(), expected)
    x[Tensor([1])] = 0
    assert not x.numpy()[1].any()
    with pytest.raises(TinyTorchError, match="requires grad"):
        F.ones(2, requires_grad=True)[0] = 1.0


# In place.
def test_in_place_changes_keep_identity_and_dtype():
    x = F.ones(2, 2)
    data = x.numpy()
    assert x.copy_(3) is x and x.add_(1, alpha=2).sub_(1).mul_(2) is x
    assert data is x.numpy() and x.tolist() == [[8.0, 8.0]] * 2
    x.copy_(np.array([1.9, 2.9]))
    assert x.dtype.name == "f32" and x.tolist()[1] == pytest.approx([1.9, 2.9])
    x.data = np.zeros((2, 2))
    assert x.dtype.name == "f32" and not x.numpy().any()
    with pytest.raises(ShapeError):
        x.data = np.zeros(3)
    with pytest.raises(ShapeError):
        x.copy_(np.zeros(3))
    leaf = F.ones(2, requires_grad=True)
    with pytest.raises(TinyTorchError, match="no_grad"):
        leaf.fill_(0)
    with no_grad():
        assert leaf.fill_(2).tolist() == [2.0, 2.0] and leaf.requires_grad


# Exchange.
def test_numpy_and_dlpack_share_memory():
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    x = from_numpy(array)
    array[0, 0] = 9
    assert x[0, 0].item() == 9 and np.shares_memory(np.asarray(x), array)
    assert np.shares_memory(np.from_dlpack(x), array) and np.shares_memory(from_dlpack(x).numpy(), array)
    assert np.array(x, dtype=np.float64).dtype == np.float64
    torch = pytest.importorskip("torch")
    assert torch.from_dlpack(x).data_ptr() == array.ctypes.data
    assert from_dlpack(torch.ones(3)).tolist() == [1.0] * 3
    with pytest.raises(ShapeError, match="byte order"):
        from_numpy(array.astype(">f4"))
    with pytest.raises(ShapeError, match="not supported"):
        from_numpy(np.zeros(2, np.complex64))


def test_numbers():
    assert (float(Tensor(1.5)), int(Tensor(3)), bool(Tensor([0.0])), Tensor([[2]]).item()) == (1.5, 3, False, 2)
    assert f"{Tensor(3.14159):.2f}" == "3.14" and Tensor(2.5, dtype="bf16").item() == 2.5
    with pytest.raises(ShapeError, match="one element"):
        F.ones(2).item()
    with pytest.raises((ShapeError, ValueError)):
        bool(F.ones(2))
    with pytest.raises(TypeError, match="integer"):
        [1, 2][Tensor(1.0)]
    with pytest.raises(TypeError, match="rank 0"):
        len(Tensor(1))


def test_repr():
    assert repr(Tensor([1.0, 2.5])) == "tensor([1.0000, 2.5000])" and repr(Tensor(3)) == "tensor(3)"
    x = F.ones(1, requires_grad=True)
    assert repr(x) == "tensor([1.], requires_grad=True)" and repr(x * 2) == "tensor([2.], grad_fn=<MulBackward>)"
    assert x.grad_fn is None and x.detach().grad_fn is None
    assert (
        repr(F.zeros(0, 3)) == "tensor([], size=(0, 3))" and repr(F.ones(1, dtype="f64")) == "tensor([1.], dtype=f64)"
    )
    assert repr(F.arange(2000)) == "tensor([   0,    1,    2,  ..., 1997, 1998, 1999])"
    assert repr(Tensor([[[1.0]], [[2.0]]])) == "tensor([[[1.]],\n\n        [[2.]]])"


PRINTED = [
    [1000.0, 1.5], [1.0, 20000.0], [1.0, 1e9], [1e-5, 1.0], [0.0, 1e-5], [1.0, 2e5, math.nan],
    [1.0, math.nan, math.inf],
    [], [True, False], 3.5, [-1, 20, 300], math.nan, RNG.normal(size=(3, 40)), RNG.normal(size=(2, 3, 4)) * 99,
    RNG.normal(size=(30, 10, 10)), np.arange(40).reshape(4, 10) - 7,
]  # fmt: skip


@pytest.mark.parametrize("data", PRINTED, ids=range(len(PRINTED)))
def test_tensors_print_as_in_torch(data):
    torch = pytest.importorskip("torch")
    array = np.array(data)
    array = array.astype(np.float32) if array.dtype.kind == "f" else array
    assert repr(Tensor(array)) == repr(torch.tensor(array))


def test_copies():
    x = F.ones(2, requires_grad=True)
    x.name = "w"
    for twin in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert twin.requires_grad and twin.tolist() == [1.0, 1.0] and not np.shares_memory(twin.numpy(), x.numpy())
    assert copy.deepcopy(x).name == "w"


def test_devices():
    x = F.ones(2)
    assert x.to("cpu") is x and x.cpu() is x and x.to("f64").dtype.name == "f64" and x.to(Tensor(1)).dtype.name == "i64"
    for call in (lambda: x.to("cuda"), lambda: x.cuda(), lambda: x.to("mps:0")):
        with pytest.raises(TinyTorchError, match="CPU only"):
            call()


def test_sums_are_accurate():
    x = RNG.uniform(size=1_000_000).astype(np.float32)
    np.testing.assert_allclose(Tensor(x).sum().item(), x.sum(dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(Tensor(x).mean().item(), x.mean(dtype=np.float64), rtol=1e-6)


def test_nan_and_infinity_pass_through():
    x = Tensor([math.nan, math.inf, -math.inf, 1.0])
    assert np.isnan(x.sum().item()) and np.isnan(x.max().item()) and np.isnan((x * 0).numpy()[:3]).all()
    assert x.clamp(-1, 1).tolist()[1:] == [1.0, -1.0, 1.0] and np.isnan(x.clamp(-1, 1).numpy()[0])
    assert Tensor([1.0]) / 0 == math.inf
