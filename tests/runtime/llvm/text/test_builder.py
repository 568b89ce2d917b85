"""The text builder: control flow, memory, atomics, errors; run through the JIT."""

import ctypes
import subprocess
import sys

import numpy as np
import pytest

from tinytorch.ir.errors import CompileError
from tinytorch.runtime.llvm.text.builder import Module
from tinytorch.runtime.llvm.text.jit import compile_object, emit_assembly, load_object
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import F32, I8, I32, I64, PTR

HOST = Target.host()


def function(params, ret, write):
    """Compile one function whose body is `write(fn, *params)`, which returns the Register to return."""
    module = Module(HOST.attributes)
    fn = module.function("f", params, ret)
    fn.ret(write(fn, *fn.params))
    kinds = {PTR: ctypes.c_void_p, I64: ctypes.c_int64, I32: ctypes.c_int32, F32: ctypes.c_float}
    code = load_object(compile_object(module.text(), HOST))
    call = ctypes.CFUNCTYPE(kinds[ret], *[kinds[p] for p in params])(code.address("f"))
    call.code = code
    return call


@pytest.mark.parametrize("start,stop,step", [(0, 0, 1), (5, 3, 1), (0, 1, 1), (2, 9, 3), (0, 10, 1), (3, 4, 7)])
def test_loop_sums_like_range(start, stop, step):
    def static(fn, _):
        return fn.loop(stop, [fn.const(0)], lambda i, total: [total + i], start=start, step=step)[0]

    def dynamic(fn, n):
        return fn.loop(n, [fn.const(0)], lambda i, total: [total + i], start=start, step=step)[0]

    expected = sum(range(start, stop, step))
    assert function([I64], I64, static)(0) == expected
    assert function([I64], I64, dynamic)(stop) == expected


def test_short_static_loops_have_no_branches():
    for stop in (0, 1):
        module = Module()
        fn = module.function("f", [PTR])
        fn.loop(stop, [], lambda i, fn=fn: fn.store(i, fn.params[0], i * 8))
        fn.ret()
        assert "br " not in module.text()
        assert ("store" in module.text()) == bool(stop)


def test_nested_loops_carry_values():
    def write(fn, n):
        def outer(i, total):
            return fn.loop(n, [total], lambda j, t: [t + i * j])

        return fn.loop(n, [fn.const(0)], outer)[0]

    assert function([I64], I64, write)(7) == 21 * 21


def test_while_and_if():
    def write(fn, n):
        def step(x, count):
            odd = fn.compare("eq", x & 1, fn.const(1))
            (following,) = fn.if_(odd, lambda: [x * 3 + 1], lambda: [x >> 1])
            return [following, count + 1]

        one = fn.const(1)
        return fn.while_([n, fn.const(0)], lambda x, _: fn.compare("ne", x, one), step)[1]

    assert function([I64], I64, write)(27) == 111  # the length of 27's Collatz sequence


def test_index_arithmetic_folds():
    module = Module()
    fn = module.function("f", [I64])
    x = fn.params[0]
    assert x + 0 is x and x * 1 is x and 0 + x is x
    assert (fn.const(6) * 7 + 1).literal == 43
    assert (fn.const(43) // 5).literal == 8 and (fn.const(43) % 5).literal == 3
    fn.ret()
    assert module.text().count("\n") <= 5


@pytest.mark.parametrize("live", range(9))
@pytest.mark.parametrize("dynamic", [False, True])
def test_masks(live, dynamic):
    def write(fn, source, target, n):
        mask = fn.lane_mask(8, n if dynamic else live)
        fn.store(fn.load(source, F32.widen(8), mask=mask) * 2.0, target, mask=mask)
        return n

    a = np.arange(1, 9, dtype=np.float32)
    out = np.full(8, -1, np.float32)
    function([PTR, PTR, I64], I64, write)(a.ctypes.data, out.ctypes.data, live)
    np.testing.assert_array_equal(out, np.where(np.arange(8) < live, a * 2, -1))


def test_one_lane_mask_guards_the_access():
    def write(fn, source, n):
        return fn.load(source, I64, mask=fn.lane_mask(1, n))

    call = function([PTR, I64], I64, write)
    assert call(None, 0) == 0
    assert call(np.array([5]).ctypes.data, 1) == 5


def test_gather_and_scatter():
    def write(fn, source, target):
        offsets = fn.constants([12, 0, 8, 4], I64.widen(4))
        fn.scatter(fn.gather(source, offsets, F32.widen(4)), target, fn.iota(I64.widen(4)) * 8)
        return fn.const(0)

    a, out = np.arange(4, dtype=np.float32), np.zeros(8, np.float32)
    function([PTR, PTR], I64, write)(a.ctypes.data, out.ctypes.data)
    np.testing.assert_array_equal(out[::2], a[[3, 0, 2, 1]])
    assert not out[1::2].any()


def test_reduce_shuffle_extract_insert():
    def write(fn, source):
        v = fn.load(source, F32.widen(8))
        v = fn.insert(fn.shuffle(v, None, range(7, -1, -1)), fn.extract(v, 0) * 100.0, 3)
        return fn.reduce(v, lambda a, b: a + b)

    a = np.arange(1, 9, dtype=np.float32)
    assert function([PTR], F32, write)(a.ctypes.data) == a.sum() - 5 + 100


def test_atomics():
    def write(fn, p):
        fn.atomic_rmw("add", p, fn.const(5))
        old, ok = fn.compare_exchange(p, fn.const(8), fn.const(20))
        missed, no = fn.compare_exchange(p, fn.const(8), fn.const(99))
        fn.fence()
        fn.atomic_store(fn.atomic_load(p, I64) + 1, p)
        bits = fn.convert("zext", ok, I64) * 1000 + fn.convert("zext", no, I64)
        return bits + old * 10 + missed

    cell = np.array([3])
    assert function([PTR], I64, write)(cell.ctypes.data) == 1000 + 80 + 20
    assert cell[0] == 21


def test_count_trailing_zeros():
    call = function([I64], I64, lambda fn, x: fn.count_trailing_zeros(x))
    assert [call(x) for x in (1, 40, -(2**63), 0)] == [0, 3, 63, 64]


def test_shared_functions_may_ask_for_others():
    module = Module(HOST.attributes)

    def leaf(name):
        inner = module.function(name, [I64], I64, internal=True)
        inner.ret(inner.params[0] + 1)
        return inner

    def twice(name):
        inner = module.function(name, [I64], I64, internal=True)
        once = inner.call(module.shared("leaf", leaf), inner.params)
        inner.ret(inner.call(module.shared("leaf", leaf), [once]))
        return inner

    fn = module.function("f", [I64], I64)
    fn.ret(fn.call(module.shared("twice", twice), fn.params))
    code = load_object(compile_object(module.text(), HOST))
    assert ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(code.address("f"))(5) == 7


def test_calls_share_functions_by_key():
    module = Module(HOST.attributes)
    built = []

    def build(name):
        built.append(name)
        inner = module.function(name, [I64], I64, internal=True, noinline=True)
        inner.ret(inner.params[0] * 3)
        return inner

    fn = module.function("f", [I64], I64)
    once = fn.call(module.shared("triple", build), fn.params)
    fn.ret(fn.call(module.shared("triple", build), [once]))
    code = load_object(compile_object(module.text(), HOST))
    assert ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(code.address("f"))(5) == 45
    assert len(built) == 1


def test_memory_helpers_and_globals():
    def write(fn, p):
        fn.module.constant("table", "[3 x i64] [i64 7, i64 8, i64 9]")
        local = fn.alloca(64)
        fn.fill(local, 1, 16)
        fn.prefetch(p, 0)
        fn.copy(p, fn.address("table"), 24)
        return fn.load(local, I64, 8) + fn.load(p, I64, 16)

    out = np.zeros(3, np.int64)
    assert function([PTR], I64, write)(out.ctypes.data) == 0x0101010101010101 + 9
    assert out.tolist() == [7, 8, 9]


def test_constants_round_and_wrap():
    assert I8.constant(200) == "-56" and I8.constant(-1) == "-1"
    assert F32.constant(0.1) == F32.constant(float(np.float32(0.1)))
    assert F32.constant(1e300) == F32.constant(float("inf"))
    assert F32.widen(4).constant(1.0) == "splat (float 0x3FF0000000000000)"


def test_rejected_text_names_the_line():
    with pytest.raises(CompileError, match="use of undefined value '%q'"):
        compile_object("define void @f() {\n  %x = load float, ptr %q\n  ret void\n}", HOST)


def test_missing_symbol_and_bad_object():
    module = Module()
    module.function("f", []).ret()
    code = load_object(compile_object(module.text(), HOST))
    with pytest.raises(CompileError, match="no function 'g'"):
        code.address("g")
    with pytest.raises(CompileError, match="not an object file"):
        load_object(b"not an object file")


@pytest.mark.parametrize("name,register", [("avx512", "%zmm"), ("avx2", "%ymm"), ("sse2", "%xmm"), ("neon", "fmla")])
def test_named_targets_use_their_vectors(name, register):
    target = Target.named(name)
    module = Module(target.attributes)
    fn = module.function("f", [PTR])
    type = F32.widen(target.vector_bytes // 4)
    x = fn.load(fn.params[0], type)
    fn.store(fn.fma(x, x, x) if target.has_fma else x * x + x, fn.params[0])
    fn.ret()
    assembly = emit_assembly(module.text(), target)
    assert register in assembly
    assert ("%zmm" in assembly) == (name == "avx512")


def test_unknown_target():
    with pytest.raises(CompileError, match="use avx512"):
        Target.named("mips")


def test_host_target_is_described():
    assert HOST.vector_bytes in (16, 32, 64) and HOST.vector_registers in (16, 32)
    assert 4 << 10 <= HOST.l1_bytes < HOST.l2_bytes
    assert Target.host() is HOST


def test_llvmlite_is_imported_lazily():
    check = (
        "import sys, tinytorch.runtime.llvm.text.jit, tinytorch.runtime.llvm.text.target\n"
        "assert 'llvmlite' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", check], check=True)
