"""Matrix product kernels against numpy: layouts, dtypes, targets, epilogues, chunks in any order."""

import numpy as np
import pytest

from tests.runtime.llvm.running import execute
from tinytorch.ir.errors import CompileError
from tinytorch.ir.types import DTYPES, bf16, f16, f32, f64, i8, i32, i64, u8
from tinytorch.runtime.llvm.contract.epilogue import Epilogue
from tinytorch.runtime.llvm.contract.kernel import emit_matmul
from tinytorch.runtime.llvm.contract.operands.layout import product_of
from tinytorch.runtime.llvm.contract.plan.product import plan_product
from tinytorch.runtime.llvm.kernel import Buffer
from tinytorch.runtime.llvm.text.builder import Module
from tinytorch.runtime.llvm.text.jit import emit_assembly
from tinytorch.runtime.llvm.text.target import Target

X86 = Target.host().triple.startswith("x86_64")
FORCED = ["avx2", "sse2"] if X86 else []


def target_of(name):
    return Target.host() if name == "host" else Target.named(name)


def dtype_of(array):
    return next(d for d in DTYPES.values() if d.numpy == array.dtype)


def operand_of(array):
    return Buffer(dtype_of(array), array.shape, tuple(s // array.itemsize for s in array.strides))


def run(a, b, out, *, target=None, epilogue=None, outputs=(), operands=(), seed=0):
    """Emit, compile and run all chunks in a random order, each with the scratch dirty; the kernel."""
    target = target or Target.host()
    module = Module(target.attributes)
    kernel = emit_matmul(module, "mm", operand_of(a), operand_of(b), operand_of(out), target, epilogue)
    execute(module, kernel, (a, b, out, *outputs, *operands), target, seed)
    return kernel


def chunks_of(kernel):
    return sum(phase.chunks for phase in kernel.phases)


def random(rng, shape, dtype):
    if dtype.is_float:
        return rng.standard_normal(shape).astype(dtype.numpy)
    info = np.iinfo(dtype.numpy)
    return rng.integers(max(info.min, -(2**31)), min(info.max, 2**31), shape).astype(dtype.numpy)


def matrix(rng, batch, rows, columns, dtype, layout):
    """A [*batch, rows, columns] array of that layout."""
    if layout == "transposed":
        return random(rng, (*batch, columns, rows), dtype).swapaxes(-1, -2)
    if layout == "reversed":
        return random(rng, (*batch, rows, columns), dtype)[..., ::-1, ::-1]
    if layout == "strided":
        return random(rng, (*batch, rows * 2, columns * 3), dtype)[..., ::2, 1::3]
    return random(rng, (*batch, rows, columns), dtype)


def reference(a, b):
    """In float64, or wrapping in int64; what the sums would be without rounding."""
    if a.dtype.kind in "iu":
        return a.astype(np.int64) @ b.astype(np.int64)
    return a.astype(np.float64) @ b.astype(np.float64)


def check(out, a, b):
    expected = reference(a, b)
    dtype = dtype_of(out)
    if not dtype.is_float:
        np.testing.assert_array_equal(out, expected.astype(out.dtype))
        return
    # |error| of a sum of k products is at most k eps times the sum of magnitudes, in the dtype of the sums.
    eps = np.finfo(np.float64 if dtype is f64 else np.float32).eps
    bound = np.abs(a.astype(np.float64)) @ np.abs(b.astype(np.float64)) * eps * (a.shape[-1] + 1)
    rounding = {f16: 2.0**-11, bf16: 2.0**-8}.get(dtype, 0.0)
    error = np.abs(out.astype(np.float64) - expected)
    assert (error <= bound + np.abs(expected) * rounding * 1.01 + 1e-30).all(), float(np.max(error - bound))


SHAPES = [
    (1, 1, 1),
    (5, 3, 2),
    (13, 35, 17),
    (1, 40, 33),
    (33, 1, 40),
    (2, 1, 64),
    (64, 1, 2),
    (3, 70, 129),
    (65, 10, 24),
]
LAYOUTS = ["plain", "transposed", "reversed", "strided"]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("left", LAYOUTS)
@pytest.mark.parametrize("right", LAYOUTS)
def test_layouts(shape, left, right):
    m, n, k = shape
    rng = np.random.default_rng(1)
    a, b = matrix(rng, (), m, k, f32, left), matrix(rng, (), k, n, f32, right)
    out = np.full((m, n), np.nan, np.float32)
    run(a, b, out)
    check(out, a, b)


@pytest.mark.parametrize("name", FORCED)
@pytest.mark.parametrize("shape", [(13, 35, 17), (1, 40, 33), (33, 1, 40), (65, 10, 24)], ids=str)
@pytest.mark.parametrize("left", ["plain", "transposed"])
@pytest.mark.parametrize("right", ["plain", "transposed", "strided"])
def test_forced_targets(name, shape, left, right):
    m, n, k = shape
    rng = np.random.default_rng(2)
    a, b = matrix(rng, (), m, k, f32, left), matrix(rng, (), k, n, f32, right)
    out = np.full((m, n), np.nan, np.float32)
    run(a, b, out, target=target_of(name))
    check(out, a, b)


@pytest.mark.parametrize("name", ["host", *FORCED])
@pytest.mark.parametrize("dtype", [f64, f16, bf16, i8, u8, i32, i64], ids=str)
@pytest.mark.parametrize("form", ["NN", "NT", "TN", "TT"])
def test_dtypes(name, dtype, form):
    rng = np.random.default_rng(3)
    layouts = {"N": "plain", "T": "transposed"}
    for m, n, k in [(70, 50, 37), (2, 19, 70)]:
        a = matrix(rng, (), m, k, dtype, layouts[form[0]])
        b = matrix(rng, (), k, n, dtype, layouts[form[1]])
        out = np.zeros((m, n), dtype.numpy)
        run(a, b, out, target=target_of(name))
        check(out, a, b)


@pytest.mark.parametrize("form", ["NN", "NT", "TN", "TT"])
@pytest.mark.parametrize("shape", [(200, 130, 700), (97, 1030, 64), (640, 65, 300), (60, 200, 1500)], ids=str)
def test_packed_and_chunked(form, shape):
    m, n, k = shape
    rng = np.random.default_rng(4)
    layouts = {"N": "plain", "T": "transposed"}
    a = matrix(rng, (), m, k, f32, layouts[form[0]])
    b = matrix(rng, (), k, n, f32, layouts[form[1]])
    out = np.full((m, n), np.nan, np.float32)
    kernel = run(a, b, out)
    assert chunks_of(kernel) > 1
    check(out, a, b)
    again = np.zeros_like(out)
    run(a, b, again, seed=1)
    np.testing.assert_array_equal(again, out)


@pytest.mark.parametrize("name", ["host", *FORCED])
@pytest.mark.parametrize("m", [1, 2, 3, 4, 9])
@pytest.mark.parametrize(
    "n,k,dtype", [(384, 384, f32), (65, 200, f32), (643, 128, f32), (3, 9000, f32), (65, 200, f64), (65, 517, bf16)]
)
def test_streams(name, m, n, k, dtype):
    """Few rows, b contiguous along k: columns that are read together lie far apart, a panel has a rest of them, and k
    one of its own; with a bias in the epilogue and without."""
    rng = np.random.default_rng(10)
    a, b = matrix(rng, (), m, k, dtype, "plain"), matrix(rng, (), k, n, dtype, "transposed")
    target, bias = target_of(name), random(rng, (n,), f32)
    plan = plan_product(product_of(operand_of(a), operand_of(b), [Buffer.contiguous(dtype, (m, n))], []), target)
    assert plan.streams is not None or k < 8 * plan.lanes
    sums = np.zeros((m, n), np.float64 if dtype is f64 else np.float32)
    run(a, b, sums, target=target)
    check(sums, a, b)
    if dtype is f32:
        epilogue = Epilogue("bias", _add_bias, (Buffer(f32, (m, n), (0, 1)),))
        out = np.full((m, n), np.nan, np.float32)
        run(a, b, out, target=target, epilogue=epilogue, operands=(bias,))
        np.testing.assert_array_equal(out, sums + bias)


def _add_bias(context):
    context.store(0, context.sums[0] + context.window(0)[0])


@pytest.mark.parametrize("name", ["host", *FORCED])
def test_blocks_of_k(name):
    rng = np.random.default_rng(5)
    a, b = random(rng, (50, 9001), f32), random(rng, (9001, 70), f32)
    out = np.full((50, 70), np.nan, np.float32)
    run(a, b, out, target=target_of(name))
    check(out, a, b)
    half = np.zeros((50, 70), np.float16)
    a, b = (a / 100).astype(np.float16), b.astype(np.float16)
    run(a, b, half, target=target_of(name))
    check(half, a, b)


@pytest.mark.parametrize("m,n,k", [(0, 4, 3), (4, 0, 3), (4, 5, 0), (0, 0, 0), (1, 1, 0)])
def test_empty_axes(m, n, k):
    out = np.full((m, n), np.nan, np.float32)
    kernel = run(np.ones((m, k), np.float32), np.ones((k, n), np.float32), out)
    assert not out.any() and chunks_of(kernel) == (1 if m and n else 0)
    empty = run(np.ones((0, 2, 3), np.float32), np.ones((0, 3, 2), np.float32), np.ones((0, 2, 2), np.float32))
    assert chunks_of(empty) == 0


@pytest.mark.parametrize(
    "left,right",
    [((3, 2), (3, 2)), ((3, 2), (1, 1)), ((1, 2), (3, 1)), ((1, 1), (3, 2)), ((3, 1), (3, 2)), ((7, 1), (1, 1))],
    ids=str,
)
@pytest.mark.parametrize("form", ["NN", "NT"])
def test_batches_broadcast(left, right, form):
    rng = np.random.default_rng(6)
    batch = np.broadcast_shapes(left, right)
    a = matrix(rng, left, 9, 20, f32, "plain")
    b = matrix(rng, right, 20, 21, f32, "plain" if form == "NN" else "transposed")
    a, b = np.broadcast_to(a, (*batch, 9, 20)), np.broadcast_to(b, (*batch, 20, 21))
    out = np.full((*batch, 9, 21), np.nan, np.float32)
    run(a, b, out)
    check(out, a, b)


def test_many_small_products_share_chunks():
    rng = np.random.default_rng(7)
    a, b = random(rng, (500, 33, 16), f32), random(rng, (500, 16, 40), f32)
    out = np.full((500, 33, 40), np.nan, np.float32)
    kernel = run(a, b, out)
    assert 1 < chunks_of(kernel) < 50
    check(out, a, b)


def test_vectors_in_a_batch_become_one_product():
    rng = np.random.default_rng(8)
    a, b = random(rng, (6, 5, 1, 24), f32), np.broadcast_to(random(rng, (24, 31), f32), (6, 5, 24, 31))
    out = np.full((6, 5, 1, 31), np.nan, np.float32)
    assert chunks_of(run(a, b, out)) == 1
    check(out, a, b)


def bias_relu(ctx):
    ctx.store(0, (ctx.sums[0] + ctx.window(0)[0]).max(0.0))


@pytest.mark.parametrize("name", ["host", *FORCED])
@pytest.mark.parametrize("shape", [(70, 100, 30), (1, 37, 50), (37, 1, 50), (3, 50, 64)], ids=str)
@pytest.mark.parametrize("kind", ["row", "column", "scalar", "full"])
def test_epilogue_operands_broadcast(name, shape, kind):
    m, n, k = shape
    rng = np.random.default_rng(9)
    a, b = random(rng, (m, k), f32), random(rng, (k, n), f32)
    bias = random(rng, {"row": (n,), "column": (m, 1), "scalar": (1, 1), "full": (m, n)}[kind], f32)
    bias = np.broadcast_to(bias, (m, n))
    out = np.full((m, n), np.nan, np.float32)
    epilogue = Epilogue("bias relu", bias_relu, operands=(operand_of(bias),))
    run(a, b, out, target=target_of(name), epilogue=epilogue, operands=[bias])
    np.testing.assert_allclose(out, np.maximum(reference(a, b) + bias, 0), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", ["host", *FORCED])
@pytest.mark.parametrize("shape", [(70, 150, 1100), (19, 130, 3001), (40, 200, 40000)], ids=str)
def test_sums_of_all_panels_wait_where_blocks_of_k_come_first(name, shape):
    m, n, k = shape
    rng = np.random.default_rng(10)
    a, b = matrix(rng, (), m, k, f32, "transposed") / np.float32(8), random(rng, (k, n), f32)
    out, bias = np.full((m, n), np.nan, np.float32), random(rng, (m, n), f32)
    product = product_of(operand_of(a), operand_of(b), [operand_of(out)], [])
    plan = plan_product(product, target_of(name))
    assert plan.order == "rows" and plan.k_block < k
    run(a, b, out, target=target_of(name))
    check(out, a, b)
    epilogue = Epilogue("bias relu", bias_relu, operands=(operand_of(bias),))
    run(a, b, out, target=target_of(name), epilogue=epilogue, operands=[bias])
    np.testing.assert_allclose(out, np.maximum(reference(a, b) + bias, 0), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("shape", [(70, 100, 30), (784, 128, 64), (90, 33, 9001)], ids=str)
def test_epilogue_updates_several_buffers_in_place(shape):
    m, n, k = shape
    rng = np.random.default_rng(10)
    x, y = random(rng, (k, m), f32).T, random(rng, (k, n), f32)
    velocity, weight = random(rng, (m, n), f32), random(rng, (m, n), f32)
    rate = np.broadcast_to(np.float32(0.1), (m, n))
    expected_velocity = 0.9 * velocity.astype(np.float64) + reference(x, y)
    expected_weight = weight - 0.1 * expected_velocity

    def momentum(ctx):
        moved = ctx.emitter.fma(ctx.window(0)[0], ctx.emitter.const(0.9, f32), ctx.sums[0])
        ctx.store(0, moved)
        ctx.store(1, ctx.window(1)[0] - ctx.window(2)[0] * moved)

    layouts = tuple(map(operand_of, (velocity, weight, rate)))
    epilogue = Epilogue("momentum", momentum, operands=layouts, outputs=(operand_of(weight),))
    run(x, y, velocity, epilogue=epilogue, outputs=[weight], operands=[velocity, weight, rate])
    np.testing.assert_allclose(velocity, expected_velocity, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(weight, expected_weight, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("shape", [(20, 35, 8), (35, 1, 8), (1, 35, 40), (2, 21, 40)], ids=str)
def test_epilogue_operands_of_each_place_and_batch(shape):
    m, n, k = shape
    rng = np.random.default_rng(11)
    a, b = random(rng, (3, m, k), f32), random(rng, (3, k, n), f32)
    scale = np.broadcast_to(random(rng, (3, 1, 1), f32), (3, m, n))
    out, twice = np.full((3, m, n), np.nan, np.float32), np.full((3, m, n), np.nan, np.float16)

    def body(ctx):
        scaled = ctx.sums[0] * ctx.window(0)[0]
        ctx.store(0, scaled + ctx.window(1)[0])
        ctx.store(1, (scaled + scaled).cast(f16))

    place = np.broadcast_to((np.arange(m)[:, None] * 1000.0 + np.arange(n)).astype(np.float32), (3, m, n))
    layouts = (operand_of(scale), operand_of(place))
    epilogue = Epilogue("place", body, operands=layouts, outputs=(operand_of(twice),))
    run(a, b, out, epilogue=epilogue, outputs=[twice], operands=[scale, place])
    scaled = reference(a, b) * scale
    np.testing.assert_allclose(out, scaled + place, rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(twice, 2 * scaled, rtol=2e-3, atol=2e-3)


def test_result_dtype_may_differ():
    rng = np.random.default_rng(12)
    a, b = random(rng, (20, 30), i8), random(rng, (30, 40), i8)
    out = np.zeros((20, 40), np.int32)
    run(a, b, out)
    np.testing.assert_array_equal(out, a.astype(np.int32) @ b.astype(np.int32))


def test_nan_and_infinity_survive():
    a, b = np.ones((20, 16), np.float32), np.ones((16, 20), np.float32)
    a[3, 5], b[2, 7], a[9, 0], b[0, 11] = np.nan, np.inf, np.inf, 0.0
    out = np.zeros((20, 20), np.float32)
    run(a, b, out)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(out, a @ b)


def test_alike_products_share_microkernels():
    module = Module(Target.host().attributes)
    for name in ("first", "second"):
        x = Buffer.contiguous(f32, (64, 64))
        emit_matmul(module, name, x, x, x, Target.host())
    alone = Module(Target.host().attributes)
    emit_matmul(alone, "first", x, x, x, Target.host())
    assert len(module.functions) == len(alone.functions) + 1


@pytest.mark.parametrize("name,instruction", [("avx512", "zmm"), ("avx2", "ymm"), ("sse2", "mulps"), ("neon", "fmla")])
def test_every_target_assembles(name, instruction):
    target = Target.named(name)
    for dtype in (f32, f16):
        module = Module(target.attributes)
        a, b = Buffer.contiguous(dtype, (50, 70)), Buffer(dtype, (70, 90), (1, 70))
        emit_matmul(module, "mm", a, b, Buffer.contiguous(dtype, (50, 90)), target)
        assembly = emit_assembly(module.text(), target)
        assert instruction in assembly
        assert "fmaf" not in assembly and "__" not in assembly.replace("__const", "")


@pytest.mark.parametrize("right", [Buffer.contiguous(f32, (3, 4)), Buffer.contiguous(f64, (5, 4))])
def test_mismatched_operands(right):
    with pytest.raises(CompileError, match="matmul kernel: operand"):
        left, out = Buffer.contiguous(f32, (2, 5)), Buffer.contiguous(f32, (2, 4))
        emit_matmul(Module(), "mm", left, right, out, Target.host())


@pytest.mark.parametrize("kind,fetched", [("row", 1), ("full", 2)])
def test_the_lines_that_an_epilogue_reads_and_writes_are_fetched(kind, fetched):
    """Those of the result, and of an operand unless it is the same for all rows."""
    m, n, k, target = 96, 96, 128, Target.host()
    bias = np.broadcast_to(np.zeros((n,) if kind == "row" else (m, n), np.float32), (m, n))
    epilogue = Epilogue(f"fetched {kind}", bias_relu, operands=(operand_of(bias),))
    module = Module(target.attributes)
    a, b, out = (Buffer.contiguous(f32, shape) for shape in ((m, k), (k, n), (m, n)))
    tile = plan_product(product_of(a, b, [out], [operand_of(bias)]), target).tile
    emit_matmul(module, "mm", a, b, out, target, epilogue)
    plain = Module(target.attributes)
    emit_matmul(plain, "mm", a, b, out, target, Epilogue("stored", lambda ctx: ctx.store(0, ctx.sums[0])))
    written, alone = (text.text().count("@llvm.prefetch.p0(ptr %") for text in (module, plain))
    lines = -(-tile.vectors * 4 * target.lanes(f32) // 64)
    assert alone >= tile.rows * lines
    assert written >= alone + (fetched - 1) * tile.rows * lines
    assert (written == alone) == (fetched == 1)
