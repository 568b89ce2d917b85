"""Products of bytes with weights that are laid out for the target: exact over random shapes, on every target."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinytorch as tt
from tests.runtime.llvm.contract.test_accumulators import drawn, product
from tests.runtime.llvm.contract.test_kernel import FORCED, operand_of, target_of
from tests.runtime.llvm.running import execute
from tinytorch.ir.errors import CompileError, ShapeError
from tinytorch.ir.expr import Expr
from tinytorch.ir.graph import Builder, Graph
from tinytorch.ir.op import apply
from tinytorch.ir.ops.byte_panels import byte_panel_matmul
from tinytorch.ir.ops.contract import matmul
from tinytorch.ir.ops.core import constant
from tinytorch.ir.ops.elementwise import minimum
from tinytorch.ir.types import DType, TensorType, f32, i8, i32, u8
from tinytorch.passes.fold import fold_weights
from tinytorch.passes.products.lay_out_products import lay_out_products
from tinytorch.runtime.llvm.backend import LlvmBackend
from tinytorch.runtime.llvm.contract.epilogue import Epilogue
from tinytorch.runtime.llvm.contract.kernel import emit_byte_panel_matmul
from tinytorch.runtime.llvm.text.builder import Module
from tinytorch.runtime.llvm.text.jit import emit_assembly
from tinytorch.runtime.llvm.text.target import Target

HOST = Target.host()
NAMES = ["host", *FORCED, *(["avx512"] if HOST.name == "avx512" else [])]
PAIRS = [(u8, i8), (i8, i8), (i8, u8), (u8, u8)]


def targets() -> dict[str, Target]:
    found = {name: target_of(name) for name in NAMES}
    if HOST.has_vnni and HOST.name == "avx512":  # its vectors of 256 bits, as those of AVX-VNNI
        avx2 = Target.named("avx2")
        features = f"{avx2.features}+avx512vnni,+avx512vl"
        found["vnni in 256 bits"] = replace(avx2, has_vnni=True, features=features)
    return found


TARGETS = targets()


def graph_of(left: DType, w: np.ndarray, m: int, limit: int = 255) -> Graph:
    """A product with constant weights, of a left operand that is at most `limit`."""
    builder = Builder()
    x = Expr(builder, builder.input(TensorType(left, (m, w.shape[0])), "x"))
    weights = Expr(builder, builder.append(constant, [], {"value": w}).output)
    if limit < 255:
        x = apply(minimum, x, Expr(builder, builder.constant(np.full(x.type.shape, limit, left.numpy))))
    return builder.build([apply(matmul, x, weights, dtype=i32).value])


def laid_out(left: DType, w: np.ndarray, m: int, target: Target, limit: int = 255) -> tuple[np.ndarray, dict[str, int]]:
    """The panels that the pass makes, and the attributes."""
    graph = fold_weights(lay_out_products(graph_of(left, w, m, limit), costs=target.costs))
    *_, node = graph.nodes
    assert node.op is byte_panel_matmul
    return graph.producers()[node.inputs[1]].attrs["value"], {k: v for k, v in node.attrs.items() if k != "columns"}


def run_bytes(a, w, target, limit=255, epilogue=None, out=None, seed=0):
    """The product of the kernel; chunks in a random order, scratch dirty."""
    left = {np.dtype(np.int8): i8, np.dtype(np.uint8): u8}[a.dtype]
    panels, known = laid_out(left, w, a.shape[0], target, limit)
    out = np.full((a.shape[0], w.shape[1]), -1, np.int32) if out is None else out
    module = Module(target.attributes)
    kernel = emit_byte_panel_matmul(module, "mm", *map(operand_of, (a, panels, out)), target, epilogue, **known)
    execute(module, kernel, (a, panels, out), target, seed)
    return out


rows = st.one_of(st.integers(1, 9), st.integers(10, 130))


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from(sorted(TARGETS)), st.sampled_from(PAIRS), rows, st.integers(4, 300), st.integers(8, 1300),
    st.sampled_from("CFS"), st.booleans(),
)  # fmt: skip
def test_any_shape_is_exact(name, pair, m, n, k, order, small_cache):
    """In every layout of the left operand, also where k is cut into blocks."""
    rng = np.random.default_rng(m * n + k)
    target = replace(TARGETS[name], l2_bytes=8 << 10) if small_cache else TARGETS[name]
    a, w = drawn(rng, (m, 2 * k), pair[0]), drawn(rng, (k, n), pair[1])
    a = a[:, ::2] if order == "S" else np.asarray(a[:, :k], order=order)
    np.testing.assert_array_equal(run_bytes(a, w, target), product(a, w))


@pytest.mark.parametrize("name", sorted(TARGETS))
@pytest.mark.parametrize(("limit", "low", "high"), [(255, -64, 64), (127, -64, 64), (127, -127, 127), (255, -128, 127)])
def test_ranges_never_saturate(name, limit, low, high):
    """The instruction that adds up in 16 bits is taken where the weights' range allows it, and only there."""
    rng = np.random.default_rng(limit + low)
    w = rng.choice(np.array([low, high, high - 1], np.int8), (131, 40))
    w[:, 0], w[:, 1] = low, high
    for m in (1, 7, 33):
        a = rng.choice(np.array([0, limit, limit - 1], np.uint8), (m, 131))
        a[0] = limit
        np.testing.assert_array_equal(run_bytes(a, w, TARGETS[name], limit), product(a, w))
    _, known = laid_out(u8, w, 7, Target.named("avx2"), limit)
    most = max(limit * high / (2**15 - 1), -limit * low / 2**15)
    assert known.get("in_16_bits", 0) == (4 if 4 * most <= 1 else 2 if 2 * most <= 1 else 0)


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_epilogues_and_sums_that_wrap(name):
    a, w = np.full((3, 140_000), 255, np.uint8), np.full((140_000, 17), -128, np.int8)
    found = run_bytes(a, w, TARGETS[name])
    assert (found == np.array(140_000 * 255 * -128).astype(np.int32)).all()
    scale = Epilogue("scale", lambda context: context.store(0, context.sums[0].cast(f32) * 0.5))
    rng = np.random.default_rng(1)
    a, w = drawn(rng, (20, 70), u8), drawn(rng, (70, 33), i8)
    found = run_bytes(a, w, TARGETS[name], epilogue=scale, out=np.zeros((20, 33), np.float32))
    np.testing.assert_array_equal(found, product(a, w).astype(np.float32) * 0.5)


@pytest.mark.parametrize(
    ("name", "pair", "limit", "instruction"),
    [
        ("avx512_vnni", (u8, i8), 127, "vpdpbusd"), ("avx512_vnni", (i8, i8), 127, "vpdpbusd"),
        ("avx_vnni", (u8, i8), 127, "vpdpbusd"), ("avx2", (u8, i8), 127, "vpmaddubsw"),
        ("avx2", (u8, i8), 255, "vpmaddubsw"), ("avx2", (i8, i8), 127, "vpmaddwd"), ("sse2", (u8, i8), 127, "pmaddwd"),
        ("neon_dot", (i8, i8), 127, "sdot"), ("neon_dot", (u8, i8), 127, "udot"), ("neon", (i8, i8), 127, "mla"),
    ],
)  # fmt: skip
def test_instructions(name, pair, limit, instruction):
    target = Target.named(name)
    w = np.random.default_rng(0).integers(-63, 64, (70, 90)).astype(pair[1].numpy)
    panels, known = laid_out(pair[0], w, 9, target, limit)
    module = Module(target.attributes)
    operands = [
        operand_of(np.zeros((9, 70), pair[0].numpy)),
        operand_of(panels),
        operand_of(np.zeros((9, 90), np.int32)),
    ]
    emit_byte_panel_matmul(module, "mm", *operands, target, **known)
    assembly = emit_assembly(module.text(), target)
    assert instruction in assembly and "vpdpbusds" not in assembly


def test_what_does_not_fit_is_refused():
    with pytest.raises(ShapeError, match="needs i8 or u8"):
        byte_panel_matmul.infer(TensorType(f32, (2, 4)), TensorType(i8, (1, 1, 16, 4)), columns=9)
    with pytest.raises(ShapeError, match="17 columns"):
        byte_panel_matmul.infer(TensorType(u8, (2, 4)), TensorType(i8, (1, 1, 16, 4)), columns=17)
    with pytest.raises(CompileError, match="sse2 does not multiply u8 by i8 in groups of 4"):
        operands = (operand_of(np.zeros(s, d)) for s, d in (((2, 4), "u1"), ((1, 1, 16, 4), "i1"), ((2, 9), "i4")))
        emit_byte_panel_matmul(Module(), "mm", *operands, Target.named("sse2"))


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_frozen_weights_are_laid_out_and_say_so(name):
    rng = np.random.default_rng(2)
    w, scale = tt.tensor(drawn(rng, (70, 50), i8)), tt.tensor(rng.random(50).astype(np.float32))

    def layer(x):
        return ((x.matmul(w, dtype="i32").cast(f32) * scale).relu() * 0.01).round().cast(u8)

    square = tt.tensor(drawn(rng, (50, 50), i8))

    def network(x):
        x = layer(x)
        for _ in range(2):
            x = ((x.matmul(square, dtype="i32").cast(f32) * scale).relu() * 0.01 + 7.0).round().cast(u8)
        return x

    frozen = tt.compile(network, freeze=True, backend=LlvmBackend(TARGETS[name]))
    for m in (1, 5, 40):
        x = tt.tensor(drawn(rng, (m, 70), u8))
        np.testing.assert_array_equal(frozen(x).numpy(), network(x).numpy())
    assert "byte_panel_matmul" in str(frozen.explain())
    kernels = [n for n in frozen.graph.nodes if n.op.name == "kernel"]
    assert len(kernels) == 3 and all(n.outputs[0].type.dtype is u8 for n in kernels), "nothing but bytes is stored"


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_activations_are_quantized_once(name):
    """On the fly, in a kernel in front of the product, which turns the sums back itself: to the bit as eagerly."""
    rng = np.random.default_rng(3)
    w, scale, bias = (
        drawn(rng, (70, 200), i8),
        rng.random(200).astype(np.float32),
        rng.normal(size=200).astype(np.float32),
    )
    weights, scales, biases, sums = map(tt.tensor, (w, scale, bias, w.astype(np.int32).sum(0, dtype=np.int32)))

    def layer(x):
        bound = x.abs().amax((1,), keepdim=True).maximum(1e-30)
        q = ((x * (127.0 / bound)).round() + 128.0).cast(u8)
        out = (q.matmul(weights, dtype="i32") - sums * 128).cast(f32) * (bound / 127.0) * scales + biases
        return out.relu()

    frozen = tt.compile(layer, freeze=True, backend=LlvmBackend(TARGETS[name]))
    for m in (1, 33):
        x = tt.tensor(rng.normal(size=(m, 70)).astype(np.float32))
        np.testing.assert_array_equal(frozen(x).numpy(), layer(x).numpy())
        families = [n.attrs["family"] for n in frozen.graph.nodes if n.op.name == "kernel"]
        assert families == ["loop", "contract"]
