"""Convolutions of bytes, and of 16-bit floats, whose result is what the sums are kept in."""

import numpy as np
import pytest

import tinytorch as tt
import tinytorch.nn.functional as F
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.ops.convolution import conv2d
from tinytorch.ir.types import TensorType, bf16, f32, i8, i32, u8

BYTES = [(u8, i8), (i8, i8), (u8, u8), (i8, u8)]
ATTRS = {"stride": (1, 1), "low": (1, 1), "high": (1, 1), "dilation": (1, 1), "groups": 1}


def drawn(rng, shape, dtype):
    """With the extremes often."""
    info = np.iinfo(dtype.numpy)
    x = rng.integers(info.min, info.max, shape, endpoint=True)
    return np.where(rng.random(shape) < 0.3, rng.choice([info.min, info.max], shape), x).astype(dtype.numpy)


@pytest.mark.parametrize("backend", ["eager", "interpreter", "llvm"])
@pytest.mark.parametrize("pair", BYTES, ids=str)
def test_sums_of_bytes(pair, backend):
    rng = np.random.default_rng(1)
    x, w = drawn(rng, (2, 6, 7, 5), pair[0]), drawn(rng, (4, 3, 3, 3), pair[1])
    bias = drawn(rng, (4,), i8).astype(np.int32)

    def function(x, w, bias):
        return F.conv2d(x, w, bias, stride=(2, 1), padding=1, groups=2, dtype="i32")

    run = function if backend == "eager" else tt.compile(function, backend=backend)
    found = run(tt.tensor(x), tt.tensor(w), tt.tensor(bias))
    wide = function(*(tt.tensor(a.astype(np.int32)) for a in (x, w, bias)))
    assert found.dtype is i32
    np.testing.assert_array_equal(found.numpy(), wide.numpy())


def test_every_rank_and_a_single_place():
    rng = np.random.default_rng(2)
    for name, size in (("conv1d", (9,)), ("conv2d", (4, 5)), ("conv3d", (3, 4, 5))):
        for kernel in (1, 2):
            x, w = drawn(rng, (2, 3, *size), u8), drawn(rng, (4, 3, *[kernel] * len(size)), i8)
            function = getattr(F, name)
            wide = function(tt.tensor(x.astype(np.int32)), tt.tensor(w.astype(np.int32))).numpy()
            asked = (tt.tensor(x), tt.tensor(w))
            np.testing.assert_array_equal(function(*asked, dtype=i32).numpy(), wide)
            compiled = tt.compile(lambda x, w, f=function: f(x, w, dtype="i32"))
            np.testing.assert_array_equal(compiled(*asked).numpy(), wide)


def test_long_sums_are_exact_and_wrap():
    """In what f32 does not hold, then in what i32 does not hold."""
    x, w = np.full((1, 2, 1, 700), 255, np.uint8), np.full((2, 1, 700, 2), 127, np.int8)
    w[0, 0, 0] = 126
    attrs = {**ATTRS, "low": (0, 0), "high": (0, 0), "dtype": i32}
    for evaluate in (conv2d.eval, conv2d.fast):
        assert (evaluate(x, w, **attrs) == 255 * (127 * 1400 - 1)).all()
    x, w = np.full((1, 1, 1, 140_000), -128, np.int8), np.full((1, 1, 140_000, 1), -128, np.int8)
    for evaluate in (conv2d.eval, conv2d.fast):
        assert evaluate(x, w, **attrs).item() == np.array(140_000 << 14).astype(np.int32)


def test_errors_name_the_user_line():
    x, w = tt.zeros(1, 2, 4, 4).cast(u8), tt.zeros(3, 2, 3, 3).cast(i8)
    with pytest.raises(ShapeError, match="conv2d: input and weight have one numeric dtype"):
        F.conv2d(x, w)
    for dtype in ("i8", "f32", "i64"):
        with pytest.raises(ShapeError, match=f"sums of u8 by i8 are not kept in {dtype}.*\n.*test_byte_convolutions"):
            F.conv2d(x, w, dtype=dtype)
    with pytest.raises(ShapeError, match=r"bias is i32\[3\]"):
        F.conv2d(x, w, tt.zeros(3), dtype="i32")
    with pytest.raises(ShapeError, match="conv2d: sums of u8 by f32 are not kept in i32"):
        conv2d.infer(TensorType(u8, (1, 4, 4, 2)), TensorType(f32, (3, 3, 2, 3)), **ATTRS, dtype=i32)


@pytest.mark.parametrize("backend", ["eager", "interpreter", "llvm"])
def test_gradients_of_narrow_operands(backend):
    rng = np.random.default_rng(3)
    x, w, seed = (rng.normal(size=s).astype(np.float32) for s in ((2, 3, 5, 5), (4, 3, 3, 3), (2, 4, 3, 3)))

    def gradients(x, w, seed):
        return tt.grad(lambda x, w: (F.conv2d(x, w, dtype=f32) * seed).sum(), argnums=(0, 1))(x, w)

    run = gradients if backend == "eager" else tt.compile(gradients, backend=backend)
    narrow = [tt.tensor(a).cast(bf16) for a in (x, w)]
    found = run(*narrow, tt.tensor(seed))
    wide = [a.cast(f32) for a in narrow]
    expected = tt.grad(lambda x, w: (F.conv2d(x, w) * tt.tensor(seed)).sum(), argnums=(0, 1))(*wide)
    for gradient, exact in zip(found, expected, strict=True):
        assert gradient.dtype is bf16
        np.testing.assert_allclose(gradient.numpy().astype(np.float32), exact.numpy(), rtol=2**-8, atol=1e-5)
