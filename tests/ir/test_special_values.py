"""Values at the edges: zeros of both signs, infinities, NaN, subnormals, the ends of integers. Eager, interpreter and
machine code agree to the bit, and mean what PyTorch means."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import tinytorch as tt
from tests.graphs import same_bits
from tinytorch.frontend import functional as F
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import TinyTorchError

INF, NAN = math.inf, math.nan
HERE = "test_special_values.py"
Case = tuple[Callable[..., Any], list[Any], Any]


def f32(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def i8(*values: int) -> np.ndarray:
    return np.array(values, np.int8)


def u8(*values: int) -> np.ndarray:
    return np.array(values, np.uint8)


def i64(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


# Values: function, operands, what it gives.
X = f32(0.0, -0.0, 2.0, -2.0, INF, -INF, NAN)
ZEROS = f32(0.0, -0.0, 0.0, -0.0), f32(0.0, 0.0, -0.0, -0.0)
VALUES: dict[str, Case] = {
    "relu": (lambda x: x.relu(), [X], f32(0, -0.0, 2, 0, INF, 0, NAN)),
    "relu of integers": (lambda x: x.relu(), [i8(-128, 0, 5)], i8(0, 0, 5)),
    "sign": (lambda x: x.sign(), [X], f32(0, 0, 1, -1, 1, -1, 0)),
    "abs": (lambda x: abs(x), [X], f32(0, 0, 2, 2, INF, INF, NAN)),
    "clamp": (lambda x: x.clamp(0, 1), [X], f32(0, -0.0, 1, 0, 1, 0, NAN)),
    "clamp above": (lambda x: x.clamp(max=-0.0), [X], f32(0.0, -0.0, -0.0, -2, -0.0, -INF, NAN)),
    "clamp the wrong way round": (lambda x: x.clamp(2, 1), [f32(0, 5)], f32(1, 1)),
    "clamp integers by a float": (lambda x: x.clamp(0.5), [i64(0, 3)], f32(0.5, 3)),
    "elu": (lambda x: F.elu(x), [X], f32(0, -0.0, 2, math.expm1(-2), INF, -1, NAN)),
    "maximum": (lambda a, b: a.maximum(b), list(ZEROS), ZEROS[1]),
    "minimum": (lambda a, b: a.minimum(b), list(ZEROS), ZEROS[1]),
    "maximum with 0": (lambda x: x.maximum(0.0), [f32(0.0, -0.0)], f32(0, 0)),
    "minimum with -0": (lambda x: x.minimum(-0.0), [f32(0.0, -0.0)], f32(-0.0, -0.0)),
    "amax of zeros": (lambda x: x.amax(0), [np.stack(ZEROS)], f32(0, 0, 0, 0)),
    "amin of zeros": (lambda x: x.amin(0), [np.stack(ZEROS)], f32(0, 0, 0, 0)),
    "round": (lambda x: x.round(), [f32(0.5, -0.5, 1.5, -0.0)], f32(0, -0.0, 2, -0.0)),
    "trunc": (lambda x: x.trunc(), [f32(0.5, -0.5, -INF, -0.0)], f32(0, -0.0, -INF, -0.0)),
    "remainder": (
        lambda a, b: a % b,
        [f32(0.0, -0.0, -6, 6, 5, -5, 1, -1, INF, 1), f32(-1, 1, 3, -3, -3, 3, INF, INF, 2, 0)],
        f32(0.0, -0.0, -0.0, 0.0, -1, 1, 1, INF, NAN, NAN),
    ),
    "floor division": (
        lambda a, b: a // b,
        [f32(5, -5, 1, -1, 0, 1, INF), f32(3, 3, 0, INF, -3, -INF, 2)],
        f32(1, -2, INF, -1, -0.0, -1, NAN),
    ),
    "integers divided by zero": (lambda a: (a // 0) + (a % 0), [i8(1, -1)], i8(0, 0)),
    "square root as a power": (lambda x: x**0.5, [f32(4, -0.0, -INF, INF)], f32(2, -0.0, NAN, INF)),
    "powers of tensors": (
        lambda a, b: a**b,
        [f32(-0.0, -INF, -2, NAN, 1), f32(0.5, 0.5, 3, 0, NAN)],
        f32(0, INF, -8, 1, 1),
    ),
    "integer powers": (lambda x: x**7, [i8(2, -2, 3, 0)], i8(-128, -128, -117, 0)),
    "integer powers of tensors": (
        lambda a, b: a**b, [i64(2, 3, 0, 1, -1, -1, 7, 5), i64(62, 40, 0, -5, -5, -4, -1, 0)],
        i64(2**62, 3**40 - 2**64 if 3**40 >= 2**63 else 3**40, 1, 1, -1, 1, 0, 1),
    ),
    "powers of a number": (lambda b: 3**b, [u8(0, 1, 5, 255)], u8(1, 3, 243, 3**255 % 256)),
    "float powers of integers": (lambda x: x**2.0, [i64(3)], f32(9)),
    "shift left": (lambda a, b: a << b, [i8(1, 1, 1, 1, -1), i8(0, 7, 8, -1, 100)], i8(1, -128, 0, 0, 0)),
    "shift right": (lambda a, b: a >> b, [i8(-128, -128, 64, 64), i8(7, 100, -1, 6)], i8(-1, -1, 0, 1)),
    "shift right without a sign": (lambda a: a >> 8, [u8(255, 1)], u8(0, 0)),
    "shift of a number": (lambda b: 1 << b, [i64(0, 62, 63, 64)], i64(1, 2**62, -(2**63), 0)),
    "negation wraps": (lambda x: -x, [u8(0, 1, 255)], u8(0, 255, 1)),
    "abs of a negated unsigned": (lambda x: abs(-x), [u8(0, 1, 200)], u8(0, 255, 56)),
    "the smallest integer": (lambda x: abs(x), [i8(-128)], i8(-128)),
    "unsigned and negative": (lambda x: (x > -1) & (x != -1) & (x < 300), [u8(0, 255)], np.array([True, True])),
    "log of sigmoid": (lambda x: (x.sigmoid().log() * 100).round(), [f32(-100)], f32(-9998)),
    "log of sigmoid, f64": (lambda x: x.sigmoid().log().round(), [np.array([-100.0, -700])], np.array([-100.0, -700])),
    "logsigmoid": (lambda x: F.logsigmoid(x), [f32(-1000, INF, -INF, NAN)], f32(-1000, 0, -INF, NAN)),
    "sigmoid": (lambda x: x.sigmoid(), [f32(-200, 200, INF, -INF, NAN, -0.0)], f32(0, 1, 1, 0, NAN, 0.5)),
    "cumsum": (lambda x: tt.cumsum(x, 0), [f32(1, INF, 1, -INF, 2)], f32(1, INF, INF, NAN, NAN)),
    "cumsum of NaN": (lambda x: tt.cumsum(x, 0), [f32(-0.0, 2, NAN, 1)], f32(0, 2, NAN, NAN)),
    "cumsum of bytes": (lambda x: tt.cumsum(x, 0), [u8(200, 100, 255)], i64(200, 300, 555)),
    "cumsum of bools": (lambda x: x.cumsum(0), [np.array([True, False, True])], i64(1, 1, 2)),
    "cumsum of columns": (lambda x: x.cumsum(0), [np.array([[1, INF], [2, 3]])], np.array([[1, INF], [3, INF]])),
    "erf of rank 0": (lambda x: x.erf() * 0 + 1, [np.array(0.5)], np.array(1.0)),
    "variance of too few": (lambda x: x.var(1, correction=2), [np.array([[1.0, 2], [3, 3]])], np.array([INF, NAN])),
    "variance of fewer": (lambda x: x.var(1, correction=3), [np.array([[1.0, 2], [3, 3]])], np.array([INF, NAN])),
    "variance, biased": (lambda x: x.var(False), [f32(1, 3)], f32(1)[0]),
    "deviation, biased": (lambda x: x.std(0, False), [f32(1, 3)], f32(1)[0]),
    "halves by a number out of range": (lambda x: x / 70000 * 1e5, [np.float16([0, 7, INF])], np.float16([0, 10, INF])),
    "halves times a number between": (lambda x: x * 1.01, [np.float16([20, -2.5])], np.float16([20.2, -2.525])),
    "maximum by another name": (lambda a, b: a.max(b), [f32(1, 5), f32(3, 2)], f32(3, 5)),
    "max of an axis": (lambda x: x.max(0).values, [np.array([[1, NAN], [-0.0, 2]])], np.array([1, NAN])),
    "where max is": (lambda x: x.max(1).indices, [f32(1, 3, 3, NAN, NAN, 0, 0, 0, -0.0).reshape(3, 3)], i64(1, 0, 0)),
    "min of bools": (lambda x: x.min(0)[1], [np.array([True, False, False])], i64(1)[0]),
}  # fmt: skip

# Of nothing.
NOTHING = np.zeros((2, 0), np.float32)
VALUES |= {
    "all of nothing": (lambda x: x.all(1), [NOTHING], np.array([True, True])),
    "any of nothing": (lambda x: x.any(1, keepdim=True), [NOTHING], np.array([[False], [False]])),
    "all of nothing at all": (lambda x: x.all(), [NOTHING], np.array(True)),
    "sum of nothing": (lambda x: x.sum(1), [NOTHING], f32(0, 0)),
    "mean of nothing": (lambda x: x.mean(1), [NOTHING], f32(NAN, NAN)),
    "variance of nothing": (lambda x: x.var(1), [NOTHING], f32(NAN, NAN)),
    "softmax of nothing": (lambda x: x.softmax(1), [NOTHING], NOTHING),
    "softmax of no rows": (lambda x: x.softmax(0), [NOTHING], NOTHING),
    "log_softmax of nothing": (lambda x: x.log_softmax(1), [NOTHING], NOTHING),
    "logsumexp of nothing": (lambda x: x.logsumexp(1), [NOTHING], f32(-INF, -INF)),
    "cumsum of nothing": (lambda x: x.cumsum(1), [NOTHING], NOTHING),
}


# Tensors without axes have one that may be named, as in PyTorch.
ONE = np.array(2.0)
VALUES |= {
    "sum of one": (lambda x: x.sum(0), [ONE], ONE),
    "mean of one": (lambda x: x.mean(-1, keepdim=True), [ONE], ONE),
    "variance of one": (lambda x: x.var(0, correction=0), [ONE], np.array(0.0)),
    "amin of one": (lambda x: x.amin((0,)), [ONE], ONE),
    "max of one": (lambda x: x.max(0, keepdim=True).values, [ONE], ONE),
    "where max of one is": (lambda x: x.max(-1).indices, [ONE], np.array(0)),
    "min of one integer": (lambda x: x.min(0).values, [np.array(7)], np.array(7)),
    "argmax of one": (lambda x: x.argmax(-1, keepdim=True), [ONE], np.array(0)),
    "any of one": (lambda x: x.any(0), [ONE], np.array(True)),
    "softmax of one": (lambda x: x.softmax(0), [ONE], np.array(1.0)),
    "log_softmax of one": (lambda x: x.log_softmax(), [ONE], np.array(0.0)),
    "logsumexp of one": (lambda x: x.logsumexp(0, keepdim=True), [ONE], ONE),
    "squeeze of one": (lambda x: x.squeeze(0), [ONE], ONE),
}

# Dtypes of mixed operands.
VALUES |= {
    "integers by an f64": (lambda a, b: a / b, [i64(1, 2), np.array(3.0)], np.array([1 / 3, 2 / 3])),
    "integers by halves": (lambda a, b: a / b, [i64(1, 3), np.float16([2, 2])], np.float16([0.5, 1.5])),
    "a half by integers": (lambda a, b: a / b, [np.float16(3), i8(2)], np.float16([1.5])),
    "bools shifted": (lambda a, b: a << b, [np.array([True, False]), i8(3, 3)], i8(8, 0)),
    "bools shifted by a number": (lambda x: x << 3, [np.array([True, False])], i64(8, 0)),
    "floats plus scaled bytes": (lambda a, b: a.clone().add_(b, alpha=2), [f32(1, 1), u8(200, 3)], f32(401, 7)),
    "floats minus scaled bytes": (lambda a, b: a.clone().sub_(b, alpha=2), [f32(1, 1), u8(200, 3)], f32(-399, -5)),
    "f32 plus scaled halves": (
        lambda a, b: a.clone().add_(b, alpha=1.0009765625), [f32(0), np.float16([1.0009765625])], f32(1.0009765625**2)
    ),
}  # fmt: skip


def results(cases: dict[str, Case], backend: str) -> list[np.ndarray]:
    """What the functions give, those of a compiling backend in one graph."""

    def together(*operands: Tensor) -> list[Tensor]:
        rest = iter(operands)
        return [function(*(next(rest) for _ in arrays)) for function, arrays, _ in cases.values()]

    run = together if backend == "eager" else tt.compile(together, backend=backend)
    return [t.numpy() for t in run(*(Tensor(a) for _, arrays, _ in cases.values() for a in arrays))]


@pytest.mark.parametrize("backend", ["eager", "interpreter", "llvm"])
def test_values(backend: str) -> None:
    for name, found in zip(VALUES, results(VALUES, backend), strict=True):
        wanted = np.asarray(VALUES[name][2])
        assert found.dtype == wanted.dtype and found.shape == wanted.shape, name
        near = name == "elu" and np.allclose(found, wanted, rtol=1e-6, equal_nan=True)
        assert near or same_bits(found, wanted), f"{name}: {found} is not {wanted}"


# Gradients of the sum, or with the seed 1, 2, 3 …
GRADIENTS: dict[str, Case] = {
    "relu": (lambda x: x.relu(), [X], f32(0, 0, 1, 0, 1, 0, 1)),
    "abs": (lambda x: abs(x), [X], f32(0, 0, 1, -1, 1, -1, 0)),
    "elu": (lambda x: F.elu(x, 3.0), [f32(0, -0.0, 1)], f32(3, 3, 1)),
    "leaky": (lambda x: F.leaky_relu(x, 0.5), [f32(0, -0.0, 1)], f32(0.5, 0.5, 1)),
    "clamp": (lambda x: x.clamp(0, 6), [f32(-1, 0, 3, 6, 7)], f32(0, 1, 1, 1, 0)),
    "clamp below": (lambda x: x.clamp(min=1), [f32(0, 1, 2)], f32(0, 1, 1)),
    "clamp NaN": (lambda x: x.clamp(max=1), [f32(NAN, 1)], f32(0, 1)),
    "limit of NaN": (lambda x: tt.tensor([NAN, 1.0, 3.0]).clamp(min=x), [f32(0, NAN, 5)], f32(0, 0, 1)),
    "upper limit of NaN": (lambda x: tt.tensor([NAN, 1.0, 3.0]).clamp(max=x), [f32(0, NAN, 2)], f32(0, 0, 1)),
    "max of one": (lambda x: x.sum().max(0).values, [f32(5)], f32(1)),
    "softmax of one": (lambda x: x.sum().softmax(0), [f32(5)], f32(0)),
    "maximum at a tie": (lambda x: x.maximum(1.0), [f32(0, 1, 2, NAN)], f32(0, 0.5, 1, 1)),
    "minimum at a tie": (lambda x: x.minimum(1.0), [f32(0, 1, 2, NAN)], f32(1, 0.5, 0, 1)),
    "sqrt": (lambda x: x.sqrt(), [f32(0, 4)], f32(INF, 0.25)),
    "power 0": (lambda x: x**0, [f32(0, 2)], f32(0, 0)),
    "power of 0": (lambda e: 0.0**e, [f32(0, 1, 2)], f32(0, 0, 0)),
    "negative power of 0": (lambda e: 0.0**e, [f32(-1)], f32(-INF)),
    "deviation of constants": (lambda x: x.std(), [f32(2, 2, 2)], f32(0, 0, 0)),
    "deviation": (lambda x: x.std(correction=0), [f32(1, 3)], f32(-0.5, 0.5)),
    "variance of fewer": (lambda x: x.var(correction=5), [f32(1, 3)], f32(-INF, INF)),
    "normalize a row of zeros": (lambda x: F.normalize(x, dim=0) * 0, [f32(0, 0)], f32(0, 0)),
    "amax of a row with NaN": (lambda x: x.reshape(2, 2).amax(1), [f32(1, NAN, 1, 1)], f32(NAN, NAN, 0.5, 0.5)),
    "max takes the first": (lambda x: x.reshape(2, 2).max(1).values, [f32(1, NAN, 2, 2)], f32(0, 1, 1, 0)),
    "where, NaN elsewhere": (lambda x: tt.where(x > 0, x.maximum(0.5).log(), 0.0), [f32(-1, 2)], f32(0, 0.5)),
    "cumsum": (lambda x: x.cumsum(0), [f32(1, INF, 3)], f32(3, 2, 1)),
    "rsqrt": (lambda x: x.rsqrt(), [f32(4, INF)], f32(-1 / 16, -0.0)),
}  # fmt: skip


def gradient(function: Callable[..., Any], x: np.ndarray, backend: str) -> np.ndarray:
    leaf = Tensor(x, requires_grad=True)

    def step(y: Tensor) -> Tensor:
        out = function(y)
        out.backward(tt.ones(out.shape))
        return out

    (step if backend == "eager" else tt.compile(step, backend=backend))(leaf)
    assert leaf.grad is not None
    return leaf.grad.numpy()


@pytest.mark.parametrize("backend", ["eager", "interpreter", "llvm"])
@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name: str, backend: str) -> None:
    function, (x,), wanted = GRADIENTS[name]
    np.testing.assert_allclose(gradient(function, x, backend), wanted, rtol=1e-6)


# Rounding.
@pytest.mark.parametrize("backend", ["eager", "interpreter", "llvm"])
def test_casts_to_16_bits_round_once(backend: str) -> None:
    tie = 1 + 2.0**-8  # halfway between two numbers of bf16, to the lower of which it would go
    f64s = np.array([tie, tie + 2.0**-40, -tie - 2.0**-40, 1 + 2.0**-11 + 2.0**-40, 1e300])
    tie_of_i64 = (2**62) + 2**54
    i64s = i64(tie_of_i64, tie_of_i64 + 1, -tie_of_i64 - 1, 2**31 + 2**23 + 1)
    found = results(
        {
            "bf16": (lambda x: x.cast("bf16"), [f64s], None),
            "f16": (lambda x: x.cast("f16"), [f64s], None),
            "i64": (lambda x: x.cast("bf16"), [i64s], None),
        },
        backend,
    )
    up = 1 + 2.0**-7
    np.testing.assert_array_equal(found[0].astype(float), [1, up, -up, 1, INF])
    np.testing.assert_array_equal(found[1].astype(float), [1 + 2.0**-8, 1 + 2.0**-8, -1 - 2.0**-8, 1 + 2.0**-10, INF])
    np.testing.assert_array_equal(found[2].astype(float), [2**62, 2**62 * up, -(2**62) * up, 2**31 * up])


def test_making_a_tensor_of_16_bits_rounds_once() -> None:
    value = 1 + 2.0**-8 + 2.0**-40
    makers = [tt.tensor(value, dtype="bf16"), tt.full((1,), value, dtype="bf16"), tt.zeros(1, dtype="bf16") + value]
    makers += [tt.tensor(np.array([value]), dtype="bf16"), tt.as_tensor(np.array([value]), dtype="bf16")]
    assert [float(t.item()) for t in makers] == [1 + 2.0**-7] * 5


@pytest.mark.parametrize("backend", ["eager", "llvm"])
@pytest.mark.parametrize(("shape", "dim"), [((3_000_000, 2), 0), ((2, 1_000_000, 2), 1), ((2000, 1000, 2), (0, 1))])
def test_long_sums_are_accurate(backend: str, shape: tuple[int, ...], dim: Any) -> None:
    x = tt.full(shape, 0.1)

    def function(x: Tensor) -> tuple[Tensor, Tensor]:
        return x.mean(dim), x.var(dim)

    mean, variance = (function if backend == "eager" else tt.compile(function))(x)
    np.testing.assert_allclose(mean.numpy(), np.float32(0.1), rtol=1e-4)
    np.testing.assert_array_equal(variance.numpy(), 0)


def test_sums_wrap_in_i64() -> None:
    assert tt.tensor([2**63 - 1, 1]).sum().item() == -(2**63)
    assert tt.tensor([2**31 - 1, 1], dtype="i32").sum().item() == 2**31


# Byte order.
def test_arrays_of_the_other_byte_order_are_operands() -> None:
    big, index = np.arange(3, dtype=">f4"), np.array([2, 0], ">i8")
    x = tt.tensor([1.0, 2.0, 3.0])
    cases = [x + big, big + x, x.maximum(big), tt.where(x > 1, big, x), x[index], tt.compile(lambda v: v + big)(x)]
    wanted = [[1, 3, 5], [1, 3, 5], [1, 2, 3], [1, 1, 2], [3, 1], [1, 3, 5]]
    assert [t.tolist() for t in cases] == wanted and all(t.numpy().dtype.isnative for t in cases)
    x[:] = big
    assert x.tolist() == [0, 1, 2]


# Indexing.
MATRIX = np.arange(6.0).reshape(2, 3)
INDICES = [True, False, np.True_, np.array(False), [], [[]], (None, True), (True, 0), (..., True), (False, 1),
           (True, slice(None), [0, 1]), ([True, False], slice(1, 3)), (0, [True, False, True]),
           MATRIX % 2 == 0, np.zeros((2, 3), bool), (slice(None), [False] * 3)]  # fmt: skip


@pytest.mark.parametrize("backend", ["eager", "interpreter", "llvm"])
def test_integers_are_no_index_arrays(backend: str) -> None:
    """Beside arrays they take their axis away first, as in PyTorch; numpy puts the axis of the array in front here."""
    array, new = np.arange(8.0).reshape(2, 2, 2), np.array([[10.0, 20.0], [30.0, 40.0]])
    for index in ((0, slice(None), [0, 1]), (0, ..., [0, 1]), (tt.tensor(0), slice(None), np.array([0, 1]))):

        def swap(x: Tensor, y: Tensor, index: Any = index) -> Tensor:
            old = x[index] * 1
            x[index] = y
            return old

        x = Tensor(array)
        run = swap if backend == "eager" else tt.compile(swap, backend=backend)
        assert run(x, Tensor(new)).tolist() == [[0, 1], [2, 3]]
        assert x.tolist() == [[[10, 20], [30, 40]], [[4, 5], [6, 7]]]


@pytest.mark.parametrize("index", INDICES, ids=repr)
def test_bools_index_as_in_numpy(index: Any) -> None:
    wanted = MATRIX[np.array(index, int)] if isinstance(index, list) else MATRIX[index]
    for found in (tt.tensor(MATRIX)[index], tt.compile(lambda x: x[index])(tt.tensor(MATRIX))):
        np.testing.assert_array_equal(found.numpy(), wanted)
        assert found.shape == wanted.shape


@pytest.mark.parametrize(
    "mask", [[True], [True, False, True], np.ones((2, 2), bool), np.ones((3, 2), bool), (0, [True, False])], ids=repr
)
def test_masks_of_the_wrong_shape_are_refused(mask: Any) -> None:
    with pytest.raises(IndexError, match="mask of shape") as caught:
        tt.tensor(MATRIX)[mask]
    assert HERE in str(caught.value)


def test_indices_out_of_range_are_named() -> None:
    with pytest.raises(IndexError, match="index 5 is out of range for size 3") as caught:
        tt.tensor(MATRIX)[0, [0, 5]]
    assert HERE in str(caught.value)


# Arguments that are not what they look like.
Y = tt.tensor(MATRIX)
SLIPS: dict[str, Callable[[], Any]] = {
    "sum(True)": lambda: Y.sum(True),
    "mean(dim=True)": lambda: Y.mean(dim=True),
    "softmax(True)": lambda: Y.softmax(True),
    "softmax(1.0)": lambda: Y.softmax(1.0),  # pyright: ignore[reportArgumentType]
    "argmax(True)": lambda: Y.argmax(True),
    "cumsum(False)": lambda: Y.cumsum(False),
    "reshape(True, 6)": lambda: Y.reshape(True, 6),
    "permute(True, 0)": lambda: Y.permute(True, 0),
    "transpose(0, True)": lambda: Y.transpose(0, True),
    "sum(0, 1)": lambda: Y.sum(0, 1),  # pyright: ignore[reportArgumentType]
    "max(True)": lambda: Y.max(True),
    "max((0, 1))": lambda: Y.max((0, 1)),
    "var(0, 1)": lambda: Y.var(0, 1),  # pyright: ignore[reportArgumentType]
    "clamp()": lambda: Y.clamp(),
    "split(True)": lambda: F.split(Y, True),
    "dropout(True)": lambda: F.dropout(Y, True),
    "pad by a number": lambda: F.pad(Y, (1, 1), 5.0),  # pyright: ignore[reportArgumentType]
    "pad mode": lambda: F.pad(Y, (1, 1), "mirror"),
    "one_hot(True)": lambda: F.one_hot(tt.tensor([0]), True),
    "max(dim) of a float": lambda: Y.max(0.0),
    "integers ** -1": lambda: tt.tensor([1, 2]) ** -1,
    "out of range": lambda: tt.tensor([1], dtype="u8") + 300,
    "amax of nothing": lambda: tt.zeros(2, 0).amax(1),
}


@pytest.mark.parametrize("what", SLIPS)
def test_slips_are_errors_with_the_line(what: str) -> None:
    with pytest.raises(TinyTorchError) as caught:
        SLIPS[what]()
    assert HERE in str(caught.value)


def test_what_is_no_number_and_what_is_not_known() -> None:
    assert (Y == None) is False and (Y != "a") is True  # noqa: E711
    for call in (lambda: Y.maximum("a"), lambda: Y.clamp(min="a"), lambda: Y + None, lambda: Y.sum(bananas=3)):  # pyright: ignore
        with pytest.raises(TypeError):
            call()


# PyTorch over every pair of special values.
FLOATS = [0.0, -0.0, 1, -1, 0.5, -0.5, 2, -2, -2.5, 3, 6, 88, -88.7, 1e-3, INF, -INF, NAN, 1e4, -1e4]
UNARY = ["relu", "sign", "abs", "floor", "ceil", "trunc", "round", "isnan", "isinf", "isfinite", "square"]
PAIRS: dict[str, Callable[..., Any]] = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "%": lambda a, b: a % b,
    "<": lambda a, b: a < b, ">=": lambda a, b: a >= b, "==": lambda a, b: a == b, "!=": lambda a, b: a != b,
}  # fmt: skip
INTEGER_PAIRS: dict[str, Callable[..., Any]] = {
    **{n: PAIRS[n] for n in ("+", "-", "*", "<", ">=", "==", "!=")},
    "<<": lambda a, b: a << b, ">>": lambda a, b: a >> b, "**": lambda a, b: a**b,
    "&": lambda a, b: a & b, "^": lambda a, b: a ^ b,
}  # fmt: skip
DTYPES = {"f64": np.float64, "f32": np.float32, "f16": np.float16, "bf16": ml_dtypes.bfloat16,
          "i64": np.int64, "i32": np.int32, "i8": np.int8, "u8": np.uint8}  # fmt: skip


def specials(dtype: str) -> np.ndarray:
    if "f" in dtype:
        return np.array(FLOATS).astype(DTYPES[dtype])
    info = np.iinfo(DTYPES[dtype])
    values = {0, 1, 2, 3, 7, 8, 31, 63, 64, info.max, info.max - 1, info.min, info.min + 1, -1, -2, -3, -64}
    return np.array(sorted(v for v in values if info.min <= v <= info.max), DTYPES[dtype])


@pytest.mark.parametrize("backend", ["eager", "interpreter", "llvm"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_elementwise_functions_are_torchs(dtype: str, backend: str) -> None:
    torch = pytest.importorskip("torch")

    def theirs(array: np.ndarray) -> Any:
        return torch.tensor(array.astype(np.float32)).bfloat16() if dtype == "bf16" else torch.tensor(array)

    x = specials(dtype)
    grid = [np.ascontiguousarray(g.reshape(-1)) for g in np.meshgrid(x, x, indexing="ij")]
    pairs = {**PAIRS, "maximum": None, "minimum": None} if "f" in dtype else INTEGER_PAIRS
    cases: dict[str, Case] = {n: (lambda t, n=n: getattr(t, n)(), [x], getattr(theirs(x), n)()) for n in UNARY}
    for name, function in pairs.items():
        wanted = getattr(torch, name)(*map(theirs, grid)) if function is None else function(*map(theirs, grid))
        cases[name] = (function or (lambda a, b, n=name: getattr(a, n)(b)), grid, wanted)
    for name, found in zip(cases, results(cases, backend), strict=True):
        wanted = cases[name][2]
        wanted = wanted.float().numpy().astype(DTYPES["bf16"]) if wanted.dtype == torch.bfloat16 else wanted.numpy()
        assert found.dtype == wanted.dtype, name
        assert same_bits(found, wanted), f"{name}: {found[found != wanted][:5]} is not {wanted[found != wanted][:5]}"
