"""LaneEmitter on forced targets against numpy: every op, every conversion, masks and strides."""

import ctypes
import itertools

import numpy as np
import pytest

from tinytorch.ir.types import DTYPES, bf16, bool_, f16, f32, f64, i8, i32, i64, u8
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.text.builder import Module
from tinytorch.runtime.llvm.text.jit import compile_object, emit_assembly, load_object
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import PTR

X86 = Target.host().triple.startswith("x86_64")
TARGETS = ["host", "avx2", "sse2"] if X86 else ["host"]


def target_of(name):
    return Target.host() if name == "host" else Target.named(name)


def emit_map(body, operands, results, count, target, lanes):
    """A module with `f(operand pointers…, result pointers…)` that maps `body(emitter, *lanes)` over the elements."""
    module = Module(target.attributes)
    fn = module.function("f", [PTR] * (len(operands) + len(results)))
    emitter = LaneEmitter(fn, target, lanes)
    sources, sinks = fn.params[: len(operands)], fn.params[len(operands) :]

    def step(i, live=None):
        mask = None if live is None else fn.lane_mask(lanes, live)
        args = [emitter.load(p, d, i * d.size, mask=mask) for p, d in zip(sources, operands, strict=True)]
        for lane, pointer, dtype in zip(body(emitter, *args), sinks, results, strict=True):
            assert lane.dtype is dtype
            emitter.store(lane, pointer, i * dtype.size, mask=mask)

    main = count // lanes * lanes
    fn.loop(main, [], step, step=lanes)
    if count - main:
        step(fn.const(main), count - main)
    fn.ret()
    return module.text()


def run_map(body, arrays, results, target, lanes):
    operands = [DTYPES[d] for d in (next(k for k, v in DTYPES.items() if v.numpy == a.dtype) for a in arrays)]
    count = arrays[0].size
    code = load_object(compile_object(emit_map(body, operands, results, count, target, lanes), target))
    outputs = [np.zeros(count, d.numpy) for d in results]
    pointers = [a.ctypes.data for a in [*arrays, *outputs]]
    ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * len(pointers))(code.address("f"))(*pointers)
    return outputs


def floats(dtype, count=203, seed=0):
    special = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, np.inf, -np.inf, np.nan, 1e-40, 8388609.0, -3.7]
    rng = np.random.default_rng(seed)
    values = np.concatenate([special, rng.standard_normal(count - len(special)) * 10])
    rng.shuffle(values)
    with np.errstate(over="ignore"):
        return values.astype(dtype.numpy)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("dtype", [f32, f64])
def test_float_ops(name, dtype):
    target = target_of(name)
    a, b = floats(dtype), floats(dtype, seed=1)
    unary = {"neg": np.negative, "abs": np.abs, "floor": np.floor, "ceil": np.ceil, "trunc": np.trunc, "rint": np.rint}
    binary = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "rem": np.fmod}
    binary |= {"min": np.minimum, "max": np.maximum}

    def body(e, x, y):
        yield from (e.unary(op, x) for op in unary)
        yield from (e.binary(op, x, y) for op in binary)
        yield e.copysign(x, y)
        yield e.unary("sqrt", x)
        yield e.binary("max", x, e.const(0.0, dtype))

    expected = [f(a) for f in unary.values()]
    with np.errstate(all="ignore"):
        expected += [f(a, b) for f in binary.values()]
        expected += [np.copysign(a, b), np.sqrt(a), np.maximum(a, np.asarray(0, a.dtype))]
    labels = [*unary, *binary, "copysign", "sqrt", "relu"]
    for lanes in (1, target.lanes(dtype)):
        got = run_map(body, [a, b], [dtype] * len(expected), target, lanes)
        for label, x, y in zip(labels, got, expected, strict=True):
            np.testing.assert_array_equal(x, y, err_msg=label)
            if label in unary:
                np.testing.assert_array_equal(np.signbit(x), np.signbit(y), err_msg=label)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("dtype", [i8, u8, i32, i64])
def test_integer_ops(name, dtype):
    target = target_of(name)
    rng = np.random.default_rng(2)
    info = np.iinfo(dtype.numpy)
    a = rng.integers(info.min, info.max, 77, dtype.numpy, endpoint=True)
    b = rng.integers(1, 5, 77, dtype.numpy)

    def body(e, x, y):
        yield from (x + y, x - y, x * y, x.min(y), x.max(y), x & y, x | y, x ^ y, x << y, -x, x.abs(), ~x)
        yield e.binary("ashr", x, y)
        divisor = y.max(1)  # masked-off lanes read 0
        yield e.binary("div", x, divisor)
        yield e.binary("rem", x, divisor)

    with np.errstate(all="ignore"):
        quotient = np.trunc(a.astype(np.longdouble) / b).astype(dtype.numpy)
        expected = [a + b, a - b, a * b, np.minimum(a, b), np.maximum(a, b), a & b, a | b, a ^ b, a << b]
        expected += [-a, np.abs(a), ~a, a >> b, quotient, a - quotient * b]
    for lanes in (1, target.lanes(i32)):
        for x, y in zip(run_map(body, [a, b], [dtype] * len(expected), target, lanes), expected, strict=True):
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("dtype", [f32, bf16, i32, u8])
def test_compare_and_select(name, dtype):
    target = target_of(name)
    if dtype.is_float:
        a, b = floats(dtype), floats(dtype, seed=3)
    else:
        rng = np.random.default_rng(4)
        a, b = rng.integers(0, 250, 60).astype(dtype.numpy), rng.integers(0, 250, 60).astype(dtype.numpy)
    predicates = ("eq", "ne", "lt", "le", "gt", "ge")
    functions = (np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal)

    def body(e, x, y):
        conditions = [e.compare(p, x, y) for p in predicates]
        yield from conditions
        yield ~conditions[0] & conditions[2]
        yield e.select(conditions[2], x, y)

    with np.errstate(invalid="ignore"):
        expected = [f(a, b) for f in functions]
    expected += [~expected[0] & expected[2], np.where(expected[2], a, b)]
    got = run_map(body, [a, b], [bool_] * 7 + [dtype], target, target.lanes(f32))
    for x, y in zip(got, expected, strict=True):  # through f64, for numpy does not see bf16's NaN
        np.testing.assert_array_equal(x.astype(np.float64), y.astype(np.float64))


def same_bits(x, y):
    """Equal bit for bit, but that any NaN equals any other."""
    with np.errstate(invalid="ignore"):  # signaling NaN
        nan = np.isnan(y.astype(np.float64))
        np.testing.assert_array_equal(np.isnan(x.astype(np.float64)), nan)
    bits = f"u{x.itemsize}"
    np.testing.assert_array_equal(x.view(bits)[~nan], y.view(bits)[~nan])


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("dtype", [f16, bf16])
def test_narrow_floats_widen_exactly(name, dtype):
    target = target_of(name)
    every = np.arange(65536, dtype=np.uint16).view(dtype.numpy)
    wide, wider = run_map(lambda e, x: (x.cast(f32), x.cast(f64)), [every], [f32, f64], target, target.lanes(f32))
    with np.errstate(invalid="ignore"):
        expected, expected_wider = every.astype(np.float32), every.astype(np.float64)
    same_bits(wide, expected)
    same_bits(wider, expected_wider)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("dtype", [f16, bf16])
def test_rounding_to_narrow_floats(name, dtype):
    target = target_of(name)
    values = np.arange(65536, dtype=np.uint16).view(dtype.numpy).astype(np.float32)
    bits = values.view(np.uint32)
    half = 0x1000 if dtype is f16 else 0x8000
    near = np.concatenate([bits, bits + np.uint32(half), bits + np.uint32(half - 1), bits + np.uint32(half + 1)])
    random = np.random.default_rng(5).integers(0, 2**32, 4096, dtype=np.uint32)
    x = np.concatenate([near, random]).view(np.float32)
    (got,) = run_map(lambda e, lane: (lane.cast(dtype),), [x], [dtype], target, target.lanes(f32))
    with np.errstate(all="ignore"):
        same_bits(got, x.astype(dtype.numpy))


@pytest.mark.parametrize("name", TARGETS)
def test_f64_to_f16_rounds_once(name):
    target = target_of(name)
    rng = np.random.default_rng(6)
    ties = (1024 + rng.integers(0, 1024, 500) + 0.5) * 2.0 ** rng.integers(-30, 6, 500)
    x = np.concatenate([ties, ties * (1 + 2**-45), ties * (1 - 2**-45), -ties, [np.inf, -np.inf, np.nan, 1e300, 0.0]])
    (got,) = run_map(lambda e, lane: (lane.cast(f16),), [x], [f16], target, target.lanes(f32))
    with np.errstate(all="ignore"):
        same_bits(got, x.astype(np.float16))


@pytest.mark.parametrize("name", TARGETS)
def test_casts_between_all_dtypes(name):
    target = target_of(name)
    values = np.random.default_rng(7).integers(0, 100, 53)
    sinks = list(DTYPES.values())

    def cast_to_all(emitter, x):
        return [x.cast(dtype) for dtype in sinks]

    for source in DTYPES.values():
        a = values.astype(source.numpy)
        got = run_map(cast_to_all, [a], sinks, target, target.lanes(f32))
        for x, d in zip(got, sinks, strict=True):
            np.testing.assert_array_equal(x, a.astype(d.numpy), err_msg=f"{source} to {d}")
    negative = -values.astype(np.int8)
    got = run_map(lambda e, x: (x.cast(i64), x.cast(f32)), [negative], [i64, f32], target, target.lanes(f32))
    np.testing.assert_array_equal(got[0], negative.astype(np.int64))
    np.testing.assert_array_equal(got[1], negative.astype(np.float32))


@pytest.mark.parametrize("name", TARGETS)
def test_narrow_float_arithmetic_rounds_like_numpy(name):
    target = target_of(name)
    a, b = floats(f16), floats(f16, seed=8)
    got = run_map(lambda e, x, y: (x + y, x * y, x / y, e.unary("sqrt", x.abs())), [a, b], [f16] * 4, target, 4)
    with np.errstate(all="ignore"):
        expected = [a + b, a * b, a / b, np.sqrt(np.abs(a))]
    for x, y in zip(got, expected, strict=True):
        same_bits(x, y)


def test_fma_is_fused_only_where_the_target_has_it():
    a = np.array([1 + 2**-12], np.float32)
    c = np.array([-(1 + 2**-11)], np.float32)

    def body(e, x, y):
        return (e.fma(x, x, y),)

    fused = np.float32(2.0**-24)
    for name in TARGETS:
        target = target_of(name)
        (got,) = run_map(body, [a, c], [f32], target, 1)
        assert got[0] == (fused if target.has_fma else 0.0)


@pytest.mark.parametrize("stride", [-3, -1, 0, 1, 2])
@pytest.mark.parametrize("live", [1, 3, 4])
def test_strided_lanes(stride, live):
    target = Target.host()
    module = Module(target.attributes)
    fn = module.function("f", [PTR, PTR])
    emitter = LaneEmitter(fn, target, 4)
    mask = fn.lane_mask(4, live)
    lane = emitter.load_strided(fn.params[0], f32, stride, mask=mask)
    emitter.store_strided(lane, fn.params[1], stride or 1, mask=mask)
    fn.ret()
    code = load_object(compile_object(module.text(), target))
    a = np.arange(32, dtype=np.float32)
    out = np.full(32, -1, np.float32)
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(code.address("f"))
    call(a[16:].ctypes.data, out[16:].ctypes.data)
    expected = np.full(32, -1, np.float32)
    for lane_index in range(live):
        expected[16 + lane_index * (stride or 1)] = a[16 + lane_index * stride]
    np.testing.assert_array_equal(out, expected)


def test_bitcast_keeps_bits():
    target = Target.host()
    a = floats(f32)
    got = run_map(lambda e, x: (x.bitcast(i32), x.bitcast(i32).bitcast(f32)), [a], [i32, f32], target, 4)
    np.testing.assert_array_equal(got[0], a.view(np.int32))
    np.testing.assert_array_equal(got[1].view(np.int32), a.view(np.int32))


def test_no_target_calls_a_library_for_conversions_or_rounding():
    def body(e, x):
        yield from (x.cast(f16), x.cast(bf16), x.cast(f16).cast(f32), x.cast(f64).cast(bf16), e.fma(x, x, x))
        yield from (e.unary(op, x) for op in ("floor", "ceil", "trunc", "rint"))

    sinks = [f16, bf16, f32, bf16, f32, f32, f32, f32, f32]
    for name, lanes in itertools.product(("avx512", "avx2", "sse2", "neon"), (1, 4)):
        target = Target.named(name)
        assembly = emit_assembly(emit_map(body, [f32], sinks, 16, target, lanes), target)
        assert not [line for line in assembly.splitlines() if "call" in line or line.strip().startswith("bl\t")]
