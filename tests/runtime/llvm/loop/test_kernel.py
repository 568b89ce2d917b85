"""Loop kernels against the numpy evaluation of their bodies: layouts, reductions, row kernels, dtypes, targets."""

from __future__ import annotations

import ctypes
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinytorch.ir.errors import CompileError
from tinytorch.ir.expr import Expr
from tinytorch.ir.graph import Builder
from tinytorch.ir.op import OPS, apply
from tinytorch.ir.printer import print_graph
from tinytorch.ir.reference import evaluate
from tinytorch.ir.types import DTYPES, TensorType, bf16, dtype_of, f16, f32, f64, i64, u8
from tinytorch.runtime.llvm.kernel import Buffer, Kernel
from tinytorch.runtime.llvm.loop.kernel import emit
from tinytorch.runtime.llvm.text.builder import Module
from tinytorch.runtime.llvm.text.jit import compile_object, emit_assembly, load_object
from tinytorch.runtime.llvm.text.target import Target

X86 = Target.host().triple.startswith("x86_64")
TARGETS = ["host", "avx2", "sse2"] if X86 else ["host"]
each_target = pytest.mark.parametrize("name", TARGETS)
few = settings(max_examples=20, deadline=None, derandomize=True)


def target_of(name):
    return Target.host() if name == "host" else Target.named(name)


def op(name, *operands, **attrs):
    return apply(OPS[name], *operands, **attrs)


def along(x, shape):
    return op("broadcast", x, shape=shape)


def body_of(function, *types):
    """The graph of a function of Exprs, with composites expanded."""
    builder = Builder("body")
    results = function(*(Expr(builder, builder.input(t)) for t in types))
    graph = builder.build([r.value for r in (results if isinstance(results, tuple) else (results,))])
    while any(n.op.expand for n in graph.nodes):
        builder = Builder("body")
        known = {v: Expr(builder, builder.input(v.type)) for v in graph.inputs}
        for n in graph.nodes:
            operands = [known[v] for v in n.inputs]
            if n.op.expand:
                known[n.output] = n.op.expand(*operands, **n.attrs)
            else:
                known[n.output] = Expr(builder, builder.append(n.op, [o.value for o in operands], n.attrs).output)
        graph = builder.build([known[v].value for v in graph.outputs])
    return graph


def buffer(bytes_, shift=0):
    """`bytes_` of memory that starts `shift` bytes after a multiple of 64."""
    raw = np.full(bytes_ + 192, 0xCD, np.uint8)
    start = -raw.ctypes.data % 64 + shift
    return raw[start : start + bytes_]


def kernel_of(body, strides):
    operands = [Buffer(v.type.dtype, v.type.shape, along) for v, along in zip(body.inputs, strides, strict=True)]
    results = [Buffer.contiguous(v.type.dtype, v.type.shape) for v in body.outputs]
    return Kernel(body, print_graph(body), tuple(operands), tuple(results))


def overwritable(body, arrays):
    """(input, output): the pairs that the schedule lets be one buffer, of code without reductions."""
    if any(n.op.kind == "reduce" for n in body.nodes):
        return []
    pairs = itertools.product(range(len(arrays)), range(len(body.outputs)))
    whole = [(i, j) for i, j in pairs if body.inputs[i].type == body.outputs[j].type]
    states = {n.inputs[0] for n in body.nodes if n.op.kind == "random"}
    return [(i, j) for i, j in whole if arrays[i].flags.c_contiguous and body.inputs[i] not in states]


class Compiled:
    """A kernel in this process."""

    def __init__(self, body, strides, target):
        self.body = body
        module = Module(target.attributes)
        self.kernel = emit(module, "k", kernel_of(body, strides), target)
        self.code = load_object(compile_object(module.text(), target))

    def run(self, arrays, outputs, *, backwards=False):
        """Call every chunk of every phase; the fault word."""
        scratch, fault = buffer(max(64, self.kernel.shared_bytes)), np.zeros(1, np.int64)
        frame = (ctypes.c_void_p * (len(arrays) + len(outputs) + 2))(
            *(a.ctypes.data for a in (*arrays, *outputs, scratch, fault))
        )
        for phase in self.kernel.phases:
            function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(self.code.address(phase.function))
            for chunk in reversed(range(phase.chunks)) if backwards else range(phase.chunks):
                function(ctypes.addressof(frame), chunk)
        return int(fault[0])


def strides_of(arrays):
    return [tuple(s // a.itemsize for s in a.strides) for a in arrays]


def outputs_of(body, shift=0):
    return [buffer(v.type.bytes, shift).view(v.type.dtype.numpy).reshape(v.type.shape) for v in body.outputs]


def compare(result, expected, tolerance):
    if result.dtype.itemsize == 2 and result.dtype.kind in "fV":
        result, expected = result.astype(np.float32), expected.astype(np.float32)
    if tolerance and result.dtype.kind == "f":
        np.testing.assert_allclose(result, expected, rtol=tolerance, atol=tolerance)
    else:
        np.testing.assert_array_equal(result, expected)


def check(function, arrays, name="host", tolerance=0.0, aliases=True):
    """Compile, run, compare with numpy; again in the other chunk order, and with outputs in the place of inputs."""
    body = body_of(function, *(TensorType(dtype_of(a.dtype), a.shape) for a in arrays))
    compiled = Compiled(body, strides_of(arrays), target_of(name))
    expected = evaluate(body, arrays)
    outputs, again = outputs_of(body), outputs_of(body)
    assert compiled.run(arrays, outputs) == 0
    for result, exact in zip(outputs, expected, strict=True):
        compare(result, exact, tolerance)
    compiled.run(arrays, again, backwards=True)
    for a, b in zip(outputs, again, strict=True):
        assert a.tobytes() == b.tobytes()
    if aliases:
        for source, sink in overwritable(body, arrays):
            inputs, outputs = [a.copy() if i == source else a for i, a in enumerate(arrays)], outputs_of(body)
            outputs[sink] = inputs[source]
            compiled.run(inputs, outputs)
            for result, b in zip(outputs, again, strict=True):
                assert result.tobytes() == b.tobytes()
    return compiled


def values(rng, shape, dtype=f32):
    if dtype.kind == "bool":
        return np.asarray(rng.integers(0, 2, shape), bool)
    if dtype.is_float:
        return np.asarray(rng.standard_normal(shape)).astype(dtype.numpy)
    info = np.iinfo(dtype.numpy)
    return np.asarray(rng.integers(max(info.min, -100), min(info.max, 100), shape)).astype(dtype.numpy)


def rearranged(rng, shape, dtype=f32, repeats=0.2):
    """Random values of this shape in a random layout: axes in any order, steps, negative strides, and with
    probability `repeats` a broadcast axis."""
    rank = len(shape)
    order = rng.permutation(rank)
    steps = [int(s) for s in rng.choice([1, 1, 1, 2, -1, -2], rank)]
    whole = [shape[a] * abs(steps[a]) for a in order]
    array = values(rng, whole, dtype).transpose(np.argsort(order))
    array = array[(*(slice(None, None, s) for s in steps), ...)]
    if rank and rng.random() < repeats:
        axis = int(rng.integers(rank))
        one = tuple(slice(0, 1) if a == axis else slice(None) for a in range(rank))
        array = np.broadcast_to(array[one], shape)
    return array


shapes = st.lists(st.sampled_from([1, 2, 3, 5, 16, 17, 33, 70]), max_size=4).filter(lambda s: math.prod(s) <= 60_000)


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


# Reductions


@each_target
@few
@given(
    shape=shapes.filter(len), seed=st.integers(0, 2**32), data=st.data(),
    kind=st.sampled_from(["sum", "max", "min", "argmax", "argmin"]), dtype=st.sampled_from([f32, f64, i64]),
)  # fmt: skip
def test_reductions(name, shape, seed, data, kind, dtype):
    rng = np.random.default_rng(seed)
    axes = data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))
    axes = (min(axes),) if kind.startswith("arg") else tuple(sorted(axes))
    x = rearranged(rng, tuple(shape), dtype)
    tolerance = 1e-5 if kind == "sum" else 0.0
    check(lambda a: (op(kind, a * a - a, axes=axes), op(kind, a, axes=axes)), [x], name, tolerance)


@each_target
@pytest.mark.parametrize("shape", [(200_001,), (3, 50_000), (20_000, 9), (4, 9000, 5)])
def test_long_reductions_are_split_by_shape(name, shape):
    x = np.random.default_rng(6).random(shape).astype(np.float32)
    for axes in itertools.chain.from_iterable(itertools.combinations(range(len(shape)), n) for n in (1, 2, 3)):
        compiled = check(lambda a, axes=axes: op("sum", a, axes=axes), [x], name, 2e-6 * math.prod(x.shape))
        outputs = outputs_of(compiled.body)
        compiled.run([x], outputs)
        np.testing.assert_allclose(outputs[0], x.astype(np.float64).sum(axes, keepdims=True), rtol=1e-6)
    check(lambda a: (op("argmax", a, axes=(0,)), op("min", a, axes=(0,))), [x], name)


@each_target
@pytest.mark.parametrize(("shape", "chunks"), [((3_000_000,), 8), ((16, 40_000), 8), ((40_000, 16), 8)])
def test_long_sums_stay_accurate(name, shape, chunks):
    axes = (int(np.argmax(shape)),)
    body = body_of(lambda a: op("sum", a, axes=axes), TensorType(f32, shape))
    random = np.random.default_rng(18).random(shape).astype(np.float32)
    compiled = Compiled(body, strides_of([random]), target_of(name))
    assert max(p.chunks for p in compiled.kernel.phases) >= chunks
    for x, bound in ((random, 3e-7), (np.full(shape, 0.1, np.float32), 1e-6)):  # equal terms round to one side
        outputs = outputs_of(body)
        compiled.run([x], outputs)
        np.testing.assert_allclose(outputs[0], x.astype(np.float64).sum(axes, keepdims=True), rtol=bound)


@each_target
@pytest.mark.parametrize("shape", [(5, 37), (37, 5), (1, 200), (200_000,)])
def test_nan_and_infinity_keep_their_meaning(name, shape):
    x = np.random.default_rng(7).standard_normal(shape).astype(np.float32)
    x.flat[[3, 30, 100]] = np.nan, np.inf, np.nan
    worst = np.full(shape, -np.inf, np.float32)

    def function(a, b):
        last = len(shape) - 1
        extremes = [op(k, v, axes=(last,)) for k in ("max", "min", "argmax", "argmin") for v in (a, b)]
        return (*extremes, op("maximum", a, b), op("minimum", a, b))

    check(function, [x, worst], name)


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
