"""Products whose result is what the sums are kept in: bytes in i32, 16-bit floats in f32, operands of two dtypes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tests.runtime.llvm.contract.test_kernel import FORCED, run, target_of
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.expr import Expr
from tinytorch.ir.graph import Builder, Graph
from tinytorch.ir.op import apply
from tinytorch.ir.ops.contract import matmul
from tinytorch.ir.ops.core import cast
from tinytorch.ir.text.parser import parse_graph
from tinytorch.ir.text.printer import print_graph
from tinytorch.ir.types import DType, TensorType, bf16, f16, f32, i8, i32, u8
from tinytorch.ir.verify import verify
from tinytorch.passes.simplify.algebra import simplify
from tinytorch.runtime.llvm.contract.kernel import Epilogue, emit_matmul
from tinytorch.runtime.llvm.kernel import Buffer
from tinytorch.runtime.llvm.text.builder import Module
from tinytorch.runtime.llvm.text.jit import emit_assembly
from tinytorch.runtime.llvm.text.target import Target

BYTES = [(i8, i8), (u8, i8), (i8, u8), (u8, u8), (i8, i32), (i32, u8)]
SHAPES = [
    (1, 1, 1),
    (3, 5, 2),
    (1, 40, 33),
    (33, 1, 40),
    (5, 33, 7),
    (7, 70, 65),
    (65, 10, 23),
    (70, 130, 301),
    (50, 64, 1301),
    (2, 3, 0),
    *((m, n, k) for m, n in ((8, 16), (13, 35)) for k in (16, 17, 18, 19, 64)),
]
TARGETS = ["host", *FORCED, *(["avx512"] if Target.host().name == "avx512" else [])]


def drawn(rng: np.random.Generator, shape: tuple[int, ...], dtype: DType) -> np.ndarray:
    """With the extremes often."""
    if dtype.is_float:
        return rng.normal(size=shape).astype(np.float32).astype(dtype.numpy)
    info = np.iinfo(dtype.numpy)
    x = rng.integers(info.min, info.max, shape, dtype.numpy, endpoint=True)
    return np.where(rng.random(shape) < 0.3, rng.choice([info.min, info.max], shape), x).astype(dtype.numpy)


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a.astype(np.int32) @ b.astype(np.int32)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("pair", BYTES, ids=str)
@pytest.mark.parametrize("layout", ["NN", "NT", "TN", "TT"])
def test_integer_products_are_exact(layout: str, pair: tuple[DType, DType], name: str) -> None:
    rng = np.random.default_rng(0)
    for m, n, k in SHAPES:
        a = drawn(rng, (k, m), pair[0]).T if layout[0] == "T" else drawn(rng, (m, k), pair[0])
        b = drawn(rng, (n, k), pair[1]).T if layout[1] == "T" else drawn(rng, (k, n), pair[1])
        out = np.full((m, n), -1, np.int32)
        run(a, b, out, target=target_of(name))
        np.testing.assert_array_equal(out, product(a, b), f"{m} {n} {k}")


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("pair", BYTES[:4], ids=str)
def test_extremes_neither_saturate_nor_overflow(pair: tuple[DType, DType], name: str) -> None:
    low = [np.iinfo(d.numpy).min for d in pair]
    high = [np.iinfo(d.numpy).max for d in pair]
    for x in (low[0], high[0]):
        for y in (low[1], high[1]):
            a, b = np.full((9, 1001), x, pair[0].numpy), np.full((1001, 37), y, pair[1].numpy)
            out = np.zeros((9, 37), np.int32)
            run(a, b, out, target=target_of(name))
            assert (out == int(x) * int(y) * 1001).all()


@pytest.mark.parametrize("strides", ["reversed", "strided", "repeated", "batched"])
def test_integer_products_of_any_strides(strides: str) -> None:
    rng = np.random.default_rng(1)
    a, b = drawn(rng, (3, 40, 130), u8), drawn(rng, (3, 130, 120), i8)
    if strides == "reversed":
        a, b = a[:, ::-1, ::-1], b[:, ::-1, ::-1]
    elif strides == "strided":
        a, b = a[:, ::2, ::3], b[:, ::3, ::2][:, :44]
    elif strides == "repeated":
        a, b = np.broadcast_to(a[:, :1], a.shape), np.broadcast_to(b[:, :, :1], b.shape)
    out = np.zeros((3, a.shape[1], b.shape[2]), np.int32)
    run(a, b, out)
    np.testing.assert_array_equal(out, product(a, b))


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("pair", BYTES[:4], ids=str)
def test_many_blocks_of_k(pair: tuple[DType, DType], name: str) -> None:
    """A small cache makes many, the last of which ends inside a group."""
    target = replace(target_of(name), l2_bytes=8 << 10)
    rng = np.random.default_rng(5)
    for layout in ("N", "T"):
        a = drawn(rng, (20, 1003), pair[0])
        b = drawn(rng, (1003, 75), pair[1]) if layout == "N" else drawn(rng, (75, 1003), pair[1]).T
        out = np.zeros((20, 75), np.int32)
        run(a, b, out, target=target)
        np.testing.assert_array_equal(out, product(a, b))


def test_sums_wrap() -> None:
    a, b = np.full((9, 140_000), -128, np.int8), np.full((140_000, 20), -128, np.int8)
    out = np.zeros((9, 20), np.int32)
    run(a, b, out)
    wrapped = np.array(140_000 << 14).astype(np.int32)
    assert (out == wrapped).all()
    assert matmul.fast is not None
    for evaluate in (matmul.eval, matmul.fast):
        assert (evaluate(a, b, dtype=i32) == wrapped).all()
        np.testing.assert_array_equal(evaluate(a[:, :35], b[:35]), np.int32(35 << 14).astype(np.int8))


def test_epilogues_and_narrow_results() -> None:
    rng = np.random.default_rng(6)
    a, b = drawn(rng, (33, 70), i8), drawn(rng, (70, 50), u8)
    out = np.zeros((33, 50), np.float32)
    scale = Epilogue("scale", lambda context: context.store(0, context.sums[0].cast(f32) * 0.5))
    run(a, b, out, epilogue=scale)
    np.testing.assert_array_equal(out, product(a, b).astype(np.float32) * 0.5)
    narrow = np.zeros((33, 50), np.int8)
    run(a, b, narrow)
    np.testing.assert_array_equal(narrow, product(a, b).astype(np.int8))


@pytest.mark.parametrize(
    ("target", "instruction"),
    [("vnni", "vpdpbusd"), ("avx512", "vpmaddwd"), ("avx2", "vpmaddwd"), ("sse2", "pmaddwd"), ("neon", "mla")],
)
def test_instructions(target: str, instruction: str) -> None:
    machine = Target.named("avx512" if target == "vnni" else target)
    if target == "vnni":
        machine = replace(machine, has_vnni=True, features="+avx512vnni")
    for left, right in ((i8, i8), (u8, i8), (i8, u8), (u8, u8)):
        module = Module(machine.attributes)
        a, b = Buffer.contiguous(left, (50, 70)), Buffer.contiguous(right, (70, 90))
        emit_matmul(module, "mm", a, b, Buffer.contiguous(i32, (50, 90)), machine)
        assembly = emit_assembly(module.text(), machine)
        assert instruction in assembly
        assert "maddubs" not in assembly and "vpdpbusds" not in assembly, "these saturate"


def graph_of(left: TensorType, right: TensorType, function: Any) -> Graph:
    builder = Builder()
    a, b = (Expr(builder, builder.input(t, name)) for t, name in ((left, "a"), (right, "b")))
    return builder.build([function(a, b).value])


@pytest.mark.parametrize("pair", [*BYTES, (bf16, bf16), (f16, bf16), (f32, bf16)], ids=str)
def test_text_and_types(pair: tuple[DType, DType]) -> None:
    wide = f32 if pair[0].is_float else i32
    types = TensorType(pair[0], (2, 3)), TensorType(pair[1], (3, 4))
    graph = graph_of(*types, lambda a, b: apply(matmul, a, b, dtype=wide))
    verify(graph)
    assert graph.outputs[0].type == TensorType(wide, (2, 4))
    assert print_graph(parse_graph(print_graph(graph))) == print_graph(graph)
    assert f"{{dtype={wide}}}" in print_graph(graph)


@pytest.mark.parametrize(
    ("left", "right", "dtype"), [(i8, i8, f32), (i8, bf16, i32), (bf16, bf16, bf16), (i8, i8, i8), (f32, f32, bf16)]
)
def test_other_accumulators_are_refused(left: DType, right: DType, dtype: DType) -> None:
    with pytest.raises(ShapeError, match="matmul: sums of"):
        matmul.infer(TensorType(left, (2, 3)), TensorType(right, (3, 2)), dtype=dtype)
    with pytest.raises(ShapeError, match="one numeric dtype"):
        matmul.infer(TensorType(i8, (2, 3)), TensorType(u8, (3, 2)))


@pytest.mark.parametrize("pair", [*BYTES, (bf16, bf16), (f16, f16), (f32, bf16), (f16, bf16)], ids=str)
def test_a_product_of_casts_becomes_one_product(pair: tuple[DType, DType]) -> None:
    """The rule gives the very bits of what it replaces."""
    wide = f32 if pair[0].is_float else i32
    types = TensorType(pair[0], (5, 70)), TensorType(pair[1], (70, 9))
    graph = graph_of(*types, lambda a, b: apply(matmul, apply(cast, a, dtype=wide), apply(cast, b, dtype=wide)))
    after = simplify(graph)
    assert [node.op.name for node in after.nodes] == ["matmul"] and after.nodes[0].attrs == {"dtype": wide}
    rng = np.random.default_rng(2)
    a, b = (drawn(rng, t.shape, t.dtype) for t in types)
    expected = matmul.eval(a.astype(wide.numpy), b.astype(wide.numpy))
    np.testing.assert_array_equal(matmul.eval(a, b, dtype=wide), expected)


@pytest.mark.parametrize(("narrow", "target"), [(i8, f32), (f32, f16), (i32, f32)], ids=str)
def test_other_casts_stay(narrow: DType, target: DType) -> None:
    types = TensorType(narrow, (5, 7)), TensorType(narrow, (7, 9))
    graph = graph_of(*types, lambda a, b: apply(matmul, apply(cast, a, dtype=target), apply(cast, b, dtype=target)))
    assert [node.op.name for node in simplify(graph).nodes] == ["cast", "cast", "matmul"]


@pytest.mark.parametrize("backend", ["eager", "interpreter", "llvm"])
def test_tensors(backend: str) -> None:
    rng = np.random.default_rng(3)
    a, b = drawn(rng, (4, 33, 70), u8), drawn(rng, (70, 21), i8)

    def function(a: Tensor, b: Tensor) -> Tensor:
        return (a.matmul(b, dtype="i32") + 1) * 2

    run_ = function if backend == "eager" else tt.compile(function, backend=backend)
    found = run_(tt.tensor(a), tt.tensor(b))
    assert found.dtype is i32
    np.testing.assert_array_equal(found.numpy(), (product(a, b) + 1) * 2)


@pytest.mark.parametrize("backend", ["eager", "interpreter", "llvm"])
def test_gradients_of_narrow_operands(backend: str) -> None:
    rng = np.random.default_rng(4)
    a, b = (tt.tensor(drawn(rng, s, f32)).cast(bf16) for s in ((5, 8), (8, 3)))
    seed = tt.tensor(drawn(rng, (5, 3), f32))

    def gradients(a: Tensor, b: Tensor, seed: Tensor) -> Any:
        return tt.grad(lambda a, b: (a.matmul(b, dtype=f32) * seed).sum(), argnums=(0, 1))(a, b)

    run_ = gradients if backend == "eager" else tt.compile(gradients, backend=backend)
    found = run_(a, b, seed)
    wide = [x.numpy().astype(np.float32) for x in (a, b, seed)]
    for gradient, expected in zip(found, (wide[2] @ wide[1].T, wide[0].T @ wide[2]), strict=True):
        assert gradient.dtype is bf16
        np.testing.assert_allclose(gradient.numpy().astype(np.float32), expected, rtol=2**-8)
