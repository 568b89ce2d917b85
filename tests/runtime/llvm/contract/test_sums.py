"""Long sums of products: how far kernels and the reference are from float64, whatever the length, layout and target."""

from dataclasses import replace

import numpy as np
import pytest

import tinytorch as tt
from tests.convolutions import Case
from tests.convolutions import run as run_convolution
from tests.runtime.llvm.contract.test_kernel import FORCED, run, target_of
from tinytorch.ir.ops.contract import matmul
from tinytorch.ir.ops.convolution import conv2d, conv2d_weight_grad
from tinytorch.ir.types import bf16, f16, f64
from tinytorch.runtime.llvm.contract.sums import CHAIN

EPS = np.finfo(np.float32).eps
MOST = 20  # eps, of sums of positive numbers
LONG = [1, 7, 512, 4096, 65536, 1 << 20, 1 << 22]
SHAPES = [(1, 1), (3, 5), (1, 33), (17, 1), (6, 40), (50, 70)]


def drawn(m, n, k, layout, dtype=np.float32):
    rng = np.random.default_rng([m, n, k])
    a = rng.random((k, m) if layout[0] == "T" else (m, k), np.float32).astype(dtype)
    b = rng.random((n, k) if layout[1] == "T" else (k, n), np.float32).astype(dtype)
    return a.T if layout[0] == "T" else a, b.T if layout[1] == "T" else b


def exact_product(a, b):
    """In float64, whose own error is far below an eps of f32."""
    return a.astype(np.float64) @ b.astype(np.float64)


def error(found, exact, eps=EPS):
    """The largest, in eps of the exact values, which are positive."""
    return float(np.max(abs(found.astype(np.float64) - exact) / (eps * exact)))


@pytest.mark.parametrize("name", ["host", *FORCED])
@pytest.mark.parametrize("layout", ["NN", "NT", "TN", "TT"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_products_of_any_length(shape, layout, name):
    m, n = shape
    for k in LONG:
        if (m + n) * k > 1 << 22 and m * n > 1:
            continue
        a, b = drawn(m, n, k, layout)
        exact = exact_product(a, b)
        out = np.full((m, n), np.nan, np.float32)
        run(a, b, out, target=target_of(name))
        assert error(out, exact) < MOST, k
        assert error(matmul.eval(a, b), exact) < MOST, f"reference, {k}"


@pytest.mark.parametrize("name", ["host", *FORCED])
def test_four_million_equal_numbers(name):
    """All additions round the same way while the exponent stays, so errors of a chain do not cancel: they are a
    quarter of an eps for each."""
    most = CHAIN / 4
    a, b = np.full((3, 1 << 22), 0.1, np.float32), np.full((1 << 22, 5), 0.1, np.float32)
    out = np.full((3, 5), np.nan, np.float32)
    run(a, b, out, target=target_of(name))
    exact = float(np.float32(0.1)) ** 2 * (1 << 22)
    assert error(out, np.full((3, 5), exact)) < most
    assert error(matmul.eval(a, b), np.full((3, 5), exact)) < most


@pytest.mark.parametrize("layout", ["NN", "NT", "TN"])
@pytest.mark.parametrize("name", ["host", *FORCED])
def test_many_packed_blocks_of_k(name, layout):
    """A small cache makes many blocks, whose sums wait between them."""
    target = replace(target_of(name), l2_bytes=8 << 10)
    a, b = drawn(50, 70, 40_000, layout)
    b = np.asfortranarray(b)
    out = np.full((50, 70), np.nan, np.float32)
    run(a, b, out, target=target)
    assert error(out, exact_product(a, b)) < 6


def test_dtypes():
    for dtype, eps in [(f64, np.finfo(np.float64).eps), (f16, 2.0**-10), (bf16, 2.0**-7)]:
        a, b = drawn(3, 20, 1 << 16, "NN", dtype.numpy)
        if dtype is f16:
            a = (a.astype(np.float32) / 64).astype(np.float16)
        out = np.zeros((3, 20), dtype.numpy)
        run(a, b, out)
        wide = np.longdouble if dtype is f64 else np.float64
        exact = (a.astype(wide)[:, :, None] * b.astype(wide)[None]).sum(1)
        bound = MOST if dtype is f64 else 0.51  # rounded once
        assert float(np.max(abs(out.astype(wide) - exact) / (eps * exact))) < bound, dtype


@pytest.mark.parametrize("k", [700, 40_000, 70_000])
@pytest.mark.parametrize("name", ["host", *FORCED])
def test_what_is_not_finite_stays_so(name, k):
    a, b = np.ones((3, k), np.float32), np.ones((k, 20), np.float32)
    a[0, 5] = a[0, k - 1] = np.inf
    a[1, 600] = np.nan
    b[3, 2] = -np.inf
    out = np.zeros((3, 20), np.float32)
    run(a, b, out, target=target_of(name))
    assert np.isposinf(np.delete(out[0], 2)).all() and np.isnan(out[0, 2])
    assert np.isnan(out[1]).all()
    assert np.isneginf(out[2, 2]) and (np.delete(out[2], 2) == k).all()


def test_integers_wrap():
    a, b = np.full((2, 100_000), 2**30, np.int32), np.full((100_000, 3), 3, np.int32)
    out = np.zeros((2, 3), np.int32)
    run(a, b, out)
    assert (out == np.array(100_000 * 3 * 2**30).astype(np.int32)).all()


def test_threads_do_not_change_the_bits():
    a, b = (tt.tensor(x) for x in drawn(5, 600, 5000, "NN"))
    step = tt.compile(lambda x, y: x @ y)
    found = []
    before = tt.get_num_threads()
    try:
        for threads in (1, 2):
            tt.set_num_threads(threads)
            found.append(step(a, b).numpy().copy())
    finally:
        tt.set_num_threads(before)
    np.testing.assert_array_equal(*found)
    assert error(found[0], exact_product(a.numpy(), b.numpy())) < MOST


CONVOLUTIONS = {
    "many channels": Case(batch=1, size=(4, 5), channels=3000, columns=20),
    "few columns": Case(batch=1, size=(4, 5), channels=5000, columns=2),
    "a large window": Case(batch=1, size=(70, 72), channels=3, columns=5, window=(64, 66)),
    "depthwise": Case(batch=1, size=(90, 92), groups=20, channels=1, columns=1, window=(80, 81)),
    "padded": Case(batch=1, size=(5, 5), channels=700, columns=33, low=(1, 1), high=(1, 1)),
}


@pytest.mark.parametrize("name", ["host", *FORCED])
@pytest.mark.parametrize("which", CONVOLUTIONS)
def test_convolutions(which, name):
    case = CONVOLUTIONS[which]
    rng = np.random.default_rng(1)
    x, w = rng.random(case.image_shape, np.float32), rng.random(case.weight_shape, np.float32)
    out, _ = run_convolution(case, conv2d, x, w, target=target_of(name))
    wide = (v.astype(np.float64) for v in (x, w))
    exact = conv2d.eval(*wide, high=case.high, **case.attrs)
    assert error(out, exact) < MOST


GRADIENTS = {
    "large images": Case(batch=2, size=(150, 160), channels=2, columns=5),
    "many images": Case(batch=20_000, size=(3, 3), channels=2, columns=3),
    "padded images": Case(batch=3000, size=(6, 6), channels=1, columns=17, low=(1, 1), high=(1, 1)),
    "depthwise": Case(batch=300, size=(16, 16), groups=20, channels=1, columns=1),
    "groups": Case(batch=300, size=(16, 16), groups=2, channels=3, columns=3),
}


@pytest.mark.parametrize("name", ["host", *FORCED])
@pytest.mark.parametrize("which", GRADIENTS)
def test_gradients_of_weights(which, name):
    case = GRADIENTS[which]
    rng = np.random.default_rng(2)
    x, g = rng.random(case.image_shape, np.float32), rng.random(case.result_shape, np.float32)
    out, _ = run_convolution(case, conv2d_weight_grad, x, g, target=target_of(name))
    wide = [v.astype(np.float64) for v in (x, g)]
    exact = conv2d_weight_grad.eval(*wide, window=case.window, **case.attrs)
    assert error(out, exact) < MOST
    assert error(conv2d_weight_grad.eval(x, g, window=case.window, **case.attrs), exact) < MOST


def test_gradients_of_many_visits():
    """A run of images long enough that what is rounded off is kept."""
    case = Case(batch=16 * 40_000, size=(1, 1), channels=1, columns=2, window=(1, 1))
    rng = np.random.default_rng(3)
    x, g = rng.random(case.image_shape, np.float32), rng.random(case.result_shape, np.float32)
    out, kernel = run_convolution(case, conv2d_weight_grad, x, g)
    exact = x.reshape(-1).astype(np.float64) @ g.reshape(-1, 2).astype(np.float64)
    assert error(out.reshape(2), exact) < 4
    assert kernel.shared_bytes == kernel.phases[0][1] * 2 * 64  # a sum and its rest for each part
