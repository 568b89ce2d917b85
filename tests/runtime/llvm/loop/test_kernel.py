"""Loop kernels: elementwise, rows, edges."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.runtime.llvm.loop.kernels import (
    Compiled,
    along,
    body_of,
    check,
    each_target,
    few,
    kernel_of,
    op,
    outputs_of,
    overwritable,
    rearranged,
    shapes,
    values,
)
from tinytorch.ir.errors import CompileError
from tinytorch.ir.op import OPS
from tinytorch.ir.types import DTYPES, TensorType, bf16, f16, f32, f64, u8
from tinytorch.runtime.llvm.loop.kernel import emit
from tinytorch.runtime.llvm.text.builder import Module
from tinytorch.runtime.llvm.text.jit import emit_assembly
from tinytorch.runtime.llvm.text.target import Target

# Elementwise


@each_target
@few
@given(shape=shapes, seed=st.integers(0, 2**32), data=st.data())
def test_elementwise_layouts(name, shape, seed, data):
    rng = np.random.default_rng(seed)
    arrays = [rearranged(rng, tuple(shape)) for _ in range(2)]
    small = tuple(d if rng.random() < 0.5 else 1 for d in shape)
    arrays.append(rearranged(rng, small))
    drop = data.draw(st.integers(0, len(shape)))
    arrays.append(rearranged(rng, tuple(shape[drop:])))

    def function(a, b, c, d):
        c, d = along(c, tuple(shape)), along(d, tuple(shape))
        total = a * b + c
        return op("where", total > d, total, op("abs", d - a)), c * d

    check(function, arrays, name)


@each_target
@pytest.mark.parametrize("size", [1, 2, 7, 16, 63, 64, 65, 1000, 50_000])
def test_elementwise_sizes(name, size):
    rng = np.random.default_rng(size)
    check(lambda x, y: (x * y + 1.0, op("maximum", x, y)), [values(rng, (size,)), values(rng, (size,))], name)


@each_target
@pytest.mark.parametrize("dtype", DTYPES.values(), ids=str)
@pytest.mark.parametrize("shape", [(37,), (3, 70), (5, 3)])
def test_dtypes_are_exact(name, dtype, shape):
    rng = np.random.default_rng(0)
    x, y = rearranged(rng, shape, dtype), values(rng, shape, dtype)

    def function(a, b):
        results = [op("maximum", a, b), a < b, op("cast", a, dtype=f32), op("max", a, axes=(0,))]
        results += [op("argmax", a, axes=(0,)), op("argmin", a, axes=(0,))]
        if dtype.kind != "bool":
            results += [a * b - a, op("sum", a * b, axes=(0,))] if not dtype.is_float else [a * b - a, a / b]
        return tuple(results)

    check(function, [x, y], name)


@each_target
@pytest.mark.parametrize("dtype", DTYPES.values(), ids=str)
@pytest.mark.parametrize("shape", [(64, 64), (33, 20), (3, 70, 19)])
def test_operands_that_lie_across_are_transposed(name, dtype, shape):
    rng = np.random.default_rng(19)
    across, along_ = values(rng, shape[::-1], dtype).T, values(rng, shape, dtype)
    rows, columns = values(rng, (shape[-2], 1), dtype), values(rng, shape[-1:], dtype)

    def function(a, b, r, c):
        r, c = along(r, shape), along(c, shape)
        return op("where", op("maximum", a, r) < c, a, b), a.apply_op(OPS["copy"], (a,), {})

    check(function, [across, along_, rows, columns], name)


@each_target
@pytest.mark.parametrize("dtype", [f32, u8, bf16], ids=str)
@pytest.mark.parametrize("shape", [(32, 16, 3, 3), (21, 7, 3, 3), (9, 40, 2, 3), (16, 5, 5, 5), (8, 3, 1, 1)])
def test_operands_that_lie_across_short_axes_are_transposed(name, dtype, shape):
    """As in the update of a convolution's weights, whose gradient comes with its first axis last in memory."""
    rng = np.random.default_rng(23)
    out, inputs, *window = shape
    gradient = values(rng, (*window, inputs, out), dtype).transpose(3, 2, 0, 1)
    flipped = values(rng, (*window, inputs, out), dtype)[::-1, ::-1].transpose(3, 2, 0, 1)
    weights = values(rng, shape, dtype)

    def function(g, w, f):
        return w - g, op("maximum", f, g)

    check(function, [gradient, weights, flipped], name)


@each_target
@pytest.mark.parametrize("dtype", [f16, bf16])
def test_narrow_floats_round_each_result(name, dtype):
    rng = np.random.default_rng(1)
    x, y = values(rng, (9, 50), dtype), values(rng, (9, 50), dtype)
    check(lambda a, b: op("sqrt", a * a + b * b) / (a - b), [x, y], name)
    tolerance = 0.01 if dtype is bf16 else 0.002
    check(lambda a, b: (op("tanh", a), op("exp", b), op("softmax", a, axis=1)), [x, y], name, tolerance)
    check(lambda a, b: op("sum", a, axes=(1,)), [x, y], name, tolerance)


@each_target
def test_functions(name):
    rng = np.random.default_rng(2)
    x, y = values(rng, (3000,)), np.abs(values(rng, (3000,)))
    check(
        lambda a, b: (op("gelu", a, approximate=True), op("gelu", a, approximate=False), op("log", b), op("sin", a)),
        [x, y], name, 1e-6,
    )  # fmt: skip


@each_target
def test_constants_iota_and_casts(name):
    def function(x, counts):
        rows = x.apply_op(OPS["iota"], (), {"shape": (6, 35), "axis": 0})
        columns = x.apply_op(OPS["iota"], (), {"shape": (6, 35), "axis": 1, "dtype": f32})
        seven = x.constant(np.array(7, np.int64))
        hot = op("eq", along(counts, (6, 35)), rows * along(seven, (6, 35)))
        return x * columns + op("cast", rows, dtype=f32), op("where", hot, x, columns), along(seven, (6, 35))

    rng = np.random.default_rng(3)
    check(function, [values(rng, (6, 35)), rng.integers(0, 40, (6, 1))], name)


@each_target
def test_random_bits_depend_on_the_linear_index_alone(name):
    state = np.array([12345, 67890], np.int64)
    x = values(np.random.default_rng(4), (7, 45))
    check(lambda s, a: op("random_bits", s, shape=(7, 45), word=2), [state, x], name)
    check(lambda s, a: op("dropout", a, s, p=0.3), [state, x.T.copy().T], name)
    check(lambda a, s: op("uniform", s, shape=(7, 45)) + a, [x, np.array([0, 1, 0, 2**40])[::2]], name)


@each_target
@pytest.mark.parametrize("shape", [(3, 64), (2, 200), (4, 384), (3, 65), (40, 3), (2, 3, 128), (130,)])
def test_dropped_elements_share_random_blocks(name, shape):
    """In rows, in columns, beside reductions and behind groups of 64."""
    state = np.array([-5, 2**32 - 9], np.int64)
    x, last = values(np.random.default_rng(5), shape), len(shape) - 1
    check(lambda s, a: op("dropout", a, s, p=0.3), [state, x], name)
    check(lambda s, a: op("sum", op("dropout", a, s, p=0.3), axes=(last,)), [state, x], name, 1e-5)
    check(lambda s, a: op("sum", op("dropout", a, s, p=0.3), axes=(0,)), [state, x], name, 1e-5)
    check(lambda s, a: op("dropout", a, s, p=0.003), [state, x], name)  # by more bits


@each_target
def test_guards_leave_their_number(name):
    def function(i, j, x):
        return op("checked_index", i, size=10), op("checked_index", j, size=5) + i, x + 1.0

    good = np.arange(-5, 5).repeat(9)
    x = np.ones(90, np.float32)
    compiled = check(function, [good, np.zeros(90, np.int64), x], name)
    bad = np.zeros(90, np.int64)
    bad[89] = 5
    assert compiled.run([good, bad, x], outputs_of(compiled.body)) == 2
    assert compiled.run([bad + 10, np.zeros(90, np.int64), x], outputs_of(compiled.body)) == 1


@each_target
def test_scalars_are_computed_once_in_their_own_dtype(name):
    """AdamW: the bias corrections are f64 scalars; the step count advances in the same kernel."""

    def function(p, m, v, g, t, lr):
        step = op("cast", t + 1, dtype=f64)
        first, second = 1.0 - op("pow", t.constant(np.float64(0.9)), step), 1.0 - op("pow", step * 0.0 + 0.999, step)
        rate = op("cast", lr / first, dtype=f32)
        root = op("cast", op("sqrt", second), dtype=f32)
        m = m * 0.9 + g * 0.1
        v = v * 0.999 + g * g * 0.001
        shape = p.type.shape
        return p - m * along(rate, shape) / (op("sqrt", v) / along(root, shape) + 1e-8), m, v, t + 1

    rng = np.random.default_rng(5)
    p, m, v, g = (values(rng, (50, 40)) for _ in range(4))
    arrays = [p, m, np.abs(v), g, np.array(3), np.array(1e-3)]
    compiled = check(function, arrays, name, 1e-6)
    assert {(0, 0), (1, 1), (2, 2)} <= set(overwritable(compiled.body, arrays))


# Rows


SHAPES = [(4, 6), (37, 50), (9, 64), (3, 1), (2, 3, 17), (5, 2000)]


@each_target
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("axis", [0, -1])
def test_row_kernels(name, shape, axis):
    rng = np.random.default_rng(8)
    axis %= len(shape)
    x, g, w = rearranged(rng, shape, repeats=0), values(rng, shape), values(rng, shape[-1:])

    def forward(x, g, w):
        return op("softmax", x, axis=axis), op("log_softmax", x, axis=axis), op("logsumexp", x, axis=axis)

    def normalized(x, g, w):
        return op("layernorm", x, axes=(axis,), eps=1e-5) * along(w, shape) + g

    def backward(x, g, w):
        y = op("softmax", x, axis=axis)
        return (g - along(op("sum", g * y, axes=(axis,)), shape)) * y

    for function in (forward, normalized, backward):
        check(function, [x, g, w], name, 3e-6)


@each_target
@pytest.mark.parametrize("rows", [1, 8, 70])
def test_cross_entropy(name, rows):
    rng = np.random.default_rng(9)
    logits, targets = values(rng, (rows, 10)), rng.integers(0, 10, rows)
    check(lambda x, t: op("cross_entropy", x, t, smoothing=0.1), [logits, targets], name, 2e-6)
    check(
        lambda x, t: (op("softmax", x, axis=1) - op("one_hot", t, size=10, dtype=f32)) * (1 / rows),
        [logits, targets], name, 2e-6,
    )  # fmt: skip
    compiled = check(lambda x, t: op("cross_entropy", x, t, smoothing=0.0), [logits, targets], name, 2e-6)
    targets[0] = 10
    assert compiled.run([logits, targets], outputs_of(compiled.body)) == 1


@each_target
@pytest.mark.parametrize(
    ("shape", "axis"), [((40, 70), 1), ((40, 70), 0), ((3, 6000), 1), ((2000, 130), 0), ((9, 4, 50), 1)]
)
def test_values_kept_between_stages_in_memory_of_their_own(name, shape, axis):
    """The weights of a softmax have no output of their dtype to wait in."""
    x = values(np.random.default_rng(20), shape)

    def function(a):
        y = op("softmax", a, axis=axis)
        return op("cast", y * 100.0, dtype=f64), op("sum", y * y, axes=(axis,))

    compiled = check(function, [x], name, 3e-6)
    assert (compiled.kernel.shared_bytes > 0) == (x.size > 4000)


@each_target
def test_one_long_row_runs_in_phases(name):
    x = values(np.random.default_rng(10), (150_000,))
    compiled = check(lambda a: op("softmax", a, axis=0), [x], name, 2e-6)
    assert [p.chunks > 1 for p in compiled.kernel.phases] == [True, True, True]
    check(lambda a: (op("layernorm", a, axes=(0,), eps=1e-5), op("max", a, axes=(0,))), [x], name, 3e-6)


@each_target
def test_reduction_of_a_broadcast_counts_every_element(name):
    row, column = values(np.random.default_rng(11), (1, 40)), values(np.random.default_rng(12), (30, 1))

    def function(r, c):
        product = along(r * 2.0, (30, 40)) * along(c, (30, 40))
        return op("sum", along(r, (30, 40)), axes=(0,)), op("sum", product, axes=(0,))

    check(function, [row, column], name, 3e-6)
    check(lambda r, c: op("sum", along(c, (30, 40)), axes=(1,)) + c, [row, column], name, 3e-6)


# Edges


@each_target
@pytest.mark.parametrize("shape", [(), (1,), (1, 1, 1), (0,), (0, 5), (5, 0), (3, 0, 4)])
def test_small_and_empty_domains(name, shape):
    x = values(np.random.default_rng(13), shape)
    check(lambda a: (a + 1.0, op("exp", a)), [x], name, 1e-6)
    for axes in itertools.chain.from_iterable(itertools.combinations(range(len(shape)), n) for n in (1, 2, 3)):
        check(lambda a, axes=axes: (op("sum", a, axes=axes), op("sum", a * a, axes=axes) + 1.0), [x], name, 1e-6)
        if all(shape[a] for a in axes):
            check(lambda a, axes=axes: op("max", a, axes=axes), [x], name)
    if shape and shape[-1] == 1:
        check(lambda a: (op("argmax", a, axes=(0,)), op("softmax", a, axis=0)), [x], name)


def test_inputs_may_be_outputs():
    x, y = values(np.random.default_rng(14), (100,)), values(np.random.default_rng(15), (100,))
    check(lambda a, b: (a + b, a, a, b), [x, y])


def test_values_between_views_of_size_one_axes():
    x = values(np.random.default_rng(16), (12, 20))

    def function(a):
        total = op("reshape", op("sum", a, axes=(1,)), shape=(12,))
        doubled = op("reshape", total * 2.0, shape=(12, 1))
        return a - along(doubled, (12, 20)), total, op("permute", a, axes=(1, 0))

    check(function, [x], tolerance=1e-5)


@pytest.mark.parametrize("shift", [0, 4])
def test_outputs_that_no_cache_holds(shift):
    """Streamed where the output is aligned and not an input; the values are the same everywhere."""
    x = values(np.random.default_rng(17), (1 << 23,))
    body = body_of(lambda a: a * 3.0 + 1.0, TensorType(f32, x.shape))
    module = Module(Target.host().attributes)
    emit(module, "k", kernel_of(body, [(1,)]), Target.host())
    assert "nontemporal" in module.text()
    compiled = Compiled(body, [(1,)], Target.host())
    (out,) = outputs_of(body, shift)
    compiled.run([x], [out])
    np.testing.assert_array_equal(out, x * np.float32(3) + np.float32(1))
    compiled.run([x], [x])
    np.testing.assert_array_equal(out, x)


def test_what_is_too_much_to_keep_is_computed_again():
    body = body_of(lambda a: op("cast", op("softmax", a, axis=1), dtype=f64), TensorType(f32, (64, 1 << 18)))
    assert emit(Module(), "k", kernel_of(body, [(1 << 18, 1)]), Target.host()).shared_bytes == 0


def test_chunks_depend_on_the_shape_alone():
    body = body_of(lambda a: op("softmax", a, axis=1), TensorType(f32, (4096, 1024)))
    compiled = Compiled(body, [(1024, 1)], Target.host())
    (phase,) = compiled.kernel.phases
    assert phase.chunks == 256
    assert compiled.kernel.shared_bytes == 0


def test_what_does_not_fit_is_refused():
    whole = TensorType(f32, (8, 9))
    mixed = body_of(lambda a: (op("sum", a, axes=(0,)), op("sum", a, axes=(1,))), whole)
    with pytest.raises(CompileError, match="reductions over axes"):
        emit(Module(), "k", kernel_of(mixed, [(9, 1)]), Target.host())
    other = body_of(lambda a: op("flip", a, axes=(0,)), whole)
    with pytest.raises(CompileError, match="cannot hold flip"):
        emit(Module(), "k", kernel_of(other, [(9, 1)]), Target.host())


def test_neon_assembles():
    target = Target.named("neon")
    for function in (
        lambda a: op("softmax", a, axis=1),
        lambda a: op("sum", a, axes=(0,)),
        lambda a: op("gelu", a, approximate=True),
    ):
        module = Module(target.attributes)
        emit(module, "k", kernel_of(body_of(function, TensorType(f32, (33, 50))), [(50, 1)]), target)
        assert ".4s" in emit_assembly(module.text(), target)
