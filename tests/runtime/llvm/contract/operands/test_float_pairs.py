"""Products of 16-bit floats, in pairs where the target multiplies such, else widened: equal sums to a stated bound."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runtime.llvm.contract.test_kernel import FORCED, operand_of, run, target_of
from tests.runtime.llvm.contract.test_panels import run_panels
from tinytorch.ir.types import DType, bf16, f16, f32
from tinytorch.runtime.llvm.contract.kernel import emit_matmul
from tinytorch.runtime.llvm.contract.operands.float_pairs import paired
from tinytorch.runtime.llvm.contract.operands.layout import product_of
from tinytorch.runtime.llvm.text.builder import Module
from tinytorch.runtime.llvm.text.jit import emit_assembly
from tinytorch.runtime.llvm.text.target import Target

HAS_PAIRS = Target.host().has_bf16
TARGETS = ["host", *FORCED, *(["avx512"] if Target.host().name == "avx512" else [])]
LEAST = 2.0**-126  # below it pairs count as 0


def bound(a: np.ndarray, b: np.ndarray, k: int) -> np.ndarray:
    """Of the difference between two orders of adding up, with products and sums below `LEAST` left out."""
    a, b = abs(a.astype(np.float64)), abs(b.astype(np.float64))
    flushed = LEAST * (2 * k + a.sum(-1, keepdims=True) + b.sum(-2, keepdims=True))
    return a @ b * (2.0**-24 * (8 + k**0.5)) + flushed


@st.composite
def products(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, str]:
    m, n, k = (draw(st.integers(1, most)) for most in (70, 90, 160))
    k = draw(st.sampled_from([k, k * 2, 512 + 2 * k]))
    batch = draw(st.sampled_from([(), (), (2,)]))
    dtype = draw(st.sampled_from([bf16, bf16, f16])).numpy
    rng = np.random.default_rng(draw(st.integers(0, 99)))

    def matrix(rows: int, columns: int) -> np.ndarray:
        """Row-major, transposed, reversed, with gaps, or repeated."""
        x = rng.standard_normal((*batch, 2 * rows, 2 * columns)).astype(dtype)
        layout = draw(
            st.sampled_from(["plain", "plain", "transposed", "transposed", "reversed", "gaps", "repeated", "odd"])
        )
        if layout == "transposed":
            x = np.ascontiguousarray(np.swapaxes(x[..., :rows, :columns], -1, -2))
            return np.swapaxes(x, -1, -2)
        if layout == "odd":
            return (
                np.ascontiguousarray(x[..., : columns | 1])[..., :rows, :columns]
                if columns | 1 <= 2 * columns
                else x[..., :rows, :columns]
            )
        if layout == "reversed":
            return np.ascontiguousarray(x[..., :rows, :columns])[..., ::-1, ::-1]
        if layout == "gaps":
            return x[..., ::2, ::2]
        if layout == "repeated":
            return np.broadcast_to(x[..., :1, :columns], (*batch, rows, columns))
        return np.ascontiguousarray(x[..., :rows, :columns])

    out = np.zeros((*batch, m, n), draw(st.sampled_from([np.dtype(np.float32), np.dtype(dtype)])))
    return matrix(m, k), matrix(k, n), out, draw(st.sampled_from(TARGETS))


@settings(max_examples=25, deadline=None)
@given(products())
def test_products_of_any_shape_layout_and_target(case: tuple[np.ndarray, np.ndarray, np.ndarray, str]) -> None:
    a, b, out, name = case
    run(a, b, out, target=target_of(name))
    exact = a.astype(np.float64) @ b.astype(np.float64)
    limit = bound(a, b, a.shape[-1])
    if out.dtype.itemsize == 2:
        limit = limit + abs(exact) * (2.0**-8 if out.dtype == bf16.numpy else 2.0**-10) + 2.0**-24
    assert (abs(out.astype(np.float64) - exact) <= limit).all()


@pytest.mark.skipif(not HAS_PAIRS, reason="this CPU does not multiply pairs of bf16")
@pytest.mark.parametrize("layout", ["NN", "NT", "TN", "TT"])
@pytest.mark.parametrize("shape", [(64, 48, 96), (2, 64, 256), (1, 3, 8)])
def test_pairs_are_multiplied_where_the_target_can(layout: str, shape: tuple[int, int, int]) -> None:
    m, n, k = shape
    a = np.zeros((k, m), bf16.numpy).T if layout[0] == "T" else np.zeros((m, k), bf16.numpy)
    b = np.zeros((n, k), bf16.numpy).T if layout[1] == "T" else np.zeros((k, n), bf16.numpy)
    out = np.zeros((m, n), np.float32)
    assert paired(product_of(operand_of(a), operand_of(b), [operand_of(out)], []), Target.host()).pairs
    for target, there in ((Target.host(), True), (Target.named("avx512"), False)):
        module = Module(target.attributes)
        emit_matmul(module, "mm", operand_of(a), operand_of(b), operand_of(out), target)
        assert ("vdpbf16ps" in emit_assembly(module.text(), target)) == there


@pytest.mark.parametrize("k", [7, 63])
def test_an_odd_k_is_widened(k: int) -> None:
    a, b = np.ones((20, k), bf16.numpy), np.ones((k, 40), bf16.numpy)
    out = np.zeros((20, 40), np.float32)
    run(a, b, out)
    assert (out == k).all()


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("transposed", [False, True])
def test_edges(transposed: bool, name: str) -> None:
    """NaN and infinities are in their rows and columns alone; subnormals count as themselves or as 0; overflow is
    infinite; products of two subnormals are 0."""
    rng = np.random.default_rng(0)
    a, b = (rng.random(shape).astype(np.float32).astype(bf16.numpy) for shape in ((9, 64), (64, 35)))
    a[2, 5], a[4, 7], b[9, 30] = np.nan, np.inf, -np.inf
    a[6], b[:, 20] = 3e38, 3e38
    tiny = np.float32(1e-39).astype(bf16.numpy)
    a[8] = tiny
    out = np.zeros((9, 35), np.float32)
    run(a, np.ascontiguousarray(b.T).T if transposed else b, out, target=target_of(name))
    if name == "host" and HAS_PAIRS:
        a[8] = 0  # what a subnormal counts as, also times an infinity
    with np.errstate(all="ignore"):
        expected = a.astype(np.float32) @ b.astype(np.float32)
        near = abs(out - expected) <= bound(np.nan_to_num(a), np.nan_to_num(b), 64) + 1e-6
    assert np.isnan(out[2]).all() and (np.isnan(out) == np.isnan(expected)).all()
    assert np.isposinf(out[4, :30]).all() and np.isneginf(out[0, 30]) and np.isposinf(out[6, 20])
    assert near[np.isfinite(expected)].all()


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(TARGETS), st.one_of(st.integers(1, 20), st.integers(90, 110)), st.integers(1, 300),
    st.integers(4, 700), st.sampled_from([(bf16, bf16), (f32, bf16), (f16, f16), (f32, f16)]), st.booleans(),
    st.booleans(),
)  # fmt: skip
def test_weights_in_panels_stay_narrow(
    name: str, m: int, n: int, k: int, dtypes: tuple[DType, DType], pairs: bool, transposed: bool
) -> None:
    """Any shape, in pairs or not, rows along k or across; with f32 nothing is flushed or rounded but sums."""
    pairs = pairs and dtypes[1] is bf16
    k = k // 2 * 2 if pairs else k
    rng = np.random.default_rng(m * n + k)
    a = rng.standard_normal((k, m) if transposed else (m, k)).astype(dtypes[0].numpy)
    a = a.T if transposed else a
    b = rng.standard_normal((k, n)).astype(dtypes[1].numpy)
    out = run_panels(a, b, target_of(name), pairs=pairs)
    exact = a.astype(np.float64) @ b.astype(np.float64)
    assert (abs(out - exact) <= bound(a, b, k)).all()
