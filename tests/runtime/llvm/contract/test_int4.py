"""Products with weights of four bits: against the reference over random shapes, on every target."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinytorch as tt
from tests.runtime.llvm.contract.test_kernel import FORCED, operand_of, target_of
from tests.runtime.llvm.running import execute
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.ops.int4 import int4_matmul, pack_int4, unpack_int4
from tinytorch.ir.types import TensorType, f16, f32, i8, u8
from tinytorch.runtime.llvm.contract.int4.kernel import emit_int4
from tinytorch.runtime.llvm.text.builder import Module
from tinytorch.runtime.llvm.text.jit import emit_assembly
from tinytorch.runtime.llvm.text.target import Target

TARGETS = ["host", *FORCED, *(["avx512"] if Target.host().name == "avx512" else [])]


def weights_of(rng, k, n, group):
    """Packed weights of every value, and scales."""
    depth = -(-k // group) * group
    q = np.zeros((depth, n), np.int64)
    q[:k] = rng.choice(np.arange(-8, 8), (k, n))
    packed = pack_int4(q)
    scales = rng.normal(size=(packed.shape[0], depth // group, 16)).astype(np.float16)
    return q, packed, scales


def run_int4(x, packed, scales, columns, target, seed=0):
    """The product; chunks in a random order, scratch dirty."""
    out = np.full((x.shape[0], columns), np.nan, np.float32)
    module = Module(target.attributes)
    kernel = emit_int4(module, "mm", *map(operand_of, (x, packed, scales, out)), target)
    execute(module, kernel, (x, packed, out, scales), target, seed)
    return out


rows = st.one_of(st.integers(1, 9), st.integers(10, 140))
groups = st.sampled_from([8, 16, 24, 32, 64, 96, 128])


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(TARGETS), rows, st.integers(1, 300), st.integers(1, 700), groups, st.sampled_from("CFS"))
def test_integer_sums_are_exact(name, m, n, k, group, order):
    """To the bit, in any layout of x."""
    rng = np.random.default_rng(m * n + k)
    _, packed, scales = weights_of(rng, k, n, group)
    x = rng.choice(np.array([-128, -127, 127, 3, -1, 50], np.int8), (m, 2 * k))
    x = x[:, ::2] if order == "S" else np.asarray(x[:, :k], order=order)
    found = run_int4(x, packed, scales, n, target_of(name))
    np.testing.assert_array_equal(found, int4_matmul.eval(x, packed, scales, columns=n))


@settings(max_examples=8, deadline=None)
@given(st.sampled_from(TARGETS), rows, st.integers(1, 200), st.integers(1, 500), groups)
def test_products_of_floats(name, m, n, k, group):
    rng = np.random.default_rng(m * n + k)
    q, packed, scales = weights_of(rng, k, n, group)
    x = rng.normal(size=(m, k)).astype(np.float32)
    found = run_int4(x, packed, scales, n, target_of(name))
    scale = np.repeat(scales.transpose(1, 0, 2).reshape(scales.shape[1], -1)[:, :n], group, axis=0)[:k].astype(float)
    bound = np.abs(x).astype(float) @ np.abs(q[:k] * scale) * 1.2e-7 * (k + 2) + 1e-30
    assert (np.abs(found - x.astype(float) @ (q[:k] * scale)) <= bound).all()
    assert (np.abs(int4_matmul.eval(x, packed, scales, columns=n) - found) <= 2 * bound).all()


def test_the_layout():
    q = np.arange(-8, 8).reshape(16, 1) + np.zeros((1, 17), int)
    packed = pack_int4(q)
    assert packed.shape == (2, 2, 16, 4) and packed.dtype == np.uint8
    assert packed[0, 0, 0].tolist() == [0x40, 0x51, 0x62, 0x73] and packed[0, 1, 5].tolist() == [0xC8, 0xD9, 0xEA, 0xFB]
    assert packed[1, 0, 1].tolist() == [0x88] * 4, "an absent column is 0"
    np.testing.assert_array_equal(unpack_int4(packed)[:, :17], q)
    with pytest.raises(ShapeError, match="from -8 to 7"):
        pack_int4(np.array([[8]]))


@pytest.mark.parametrize(
    ("x", "packed", "scales", "columns", "message"),
    [
        ((f16, (2, 16)), (u8, (1, 2, 16, 4)), (f16, (1, 1, 16)), 9, "f32 or i8"),
        ((f32, (2, 16)), (i8, (1, 2, 16, 4)), (f16, (1, 1, 16)), 9, "weights are u8"),
        ((f32, (2, 16)), (u8, (1, 2, 16, 4)), (f32, (1, 1, 16)), 9, "scales are f16"),
        ((f32, (2, 16)), (u8, (1, 2, 16, 4)), (f16, (1, 1, 16)), 17, "17 columns"),
        ((f32, (2, 24)), (u8, (1, 3, 16, 4)), (f16, (1, 2, 16)), 16, "2 groups do not divide 3 runs"),
        ((f32, (2, 8)), (u8, (1, 2, 16, 4)), (f16, (1, 2, 16)), 16, "lhs axis 1 is 8"),
    ],
)
def test_what_does_not_fit_is_refused(x, packed, scales, columns, message):
    with pytest.raises(ShapeError, match=message):
        int4_matmul.infer(*(TensorType(*t) for t in (x, packed, scales)), columns=columns)


@pytest.mark.parametrize(
    ("name", "instruction"),
    [("avx512_vnni", "vpdpbusd"), ("avx_vnni", "vpdpbusd"), ("avx2", "vpmaddubsw"), ("sse2", "pmaddwd"),
     ("neon_dot", "sdot"), ("neon", "mla")],
)  # fmt: skip
def test_instructions(name, instruction):
    target = Target.named(name)
    module = Module(target.attributes)
    shapes = ((i8, (3, 64)), (u8, (4, 8, 16, 4)), (f16, (4, 2, 16)), (f32, (3, 64)))
    operands = [operand_of(np.zeros(shape, dtype.numpy)) for dtype, shape in shapes]
    emit_int4(module, "mm", *operands, target)
    assert instruction in emit_assembly(module.text(), target)


@pytest.mark.parametrize("backend", ["eager", "interpreter", "llvm"])
def test_in_a_graph(backend):
    """With what follows it, in any dtype of x; nothing where there is nothing."""
    rng = np.random.default_rng(1)
    _, packed, scales = weights_of(rng, 64, 40, 32)
    bias = tt.randn(40)
    operands = tt.tensor(packed), tt.tensor(scales)

    def function(x):
        return tt.relu(x.apply_op(int4_matmul, [x, *operands], {"columns": 40}) * 0.5 + bias)

    call = function if backend == "eager" else tt.compile(function, backend=backend)
    for m in (3, 0):
        x = rng.integers(-128, 128, (m, 64), np.int8)
        expected = int4_matmul.eval(x, packed, scales, columns=40) * np.float32(0.5) + bias.numpy()
        np.testing.assert_array_equal(call(tt.tensor(x)).numpy(), np.maximum(expected, 0))
