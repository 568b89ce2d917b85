"""Pooling kernels against numpy: windows of all kinds, dtypes, layouts, targets, chunks in any order."""

import ctypes
import math

import numpy as np
import pytest

from tests.runtime.llvm.index.kernels import (
    ALL,
    NUMBERS,
    TARGETS,
    Guarded,
    bits,
    operand_of,
    random,
    target_of,
    type_of,
)
from tinytorch.ir.graph import Builder, Graph
from tinytorch.ir.ops.pooling import index_dtype, max_pool2d, max_pool2d_take, max_unpool2d
from tinytorch.ir.text.printer import print_graph
from tinytorch.ir.types import bf16, f16, f32, f64, i8, i32, u8
from tinytorch.runtime.llvm.index import loops as index_loops
from tinytorch.runtime.llvm.kernel import Buffer, Kernel
from tinytorch.runtime.llvm.pooling import unpool as index_pool_put
from tinytorch.runtime.llvm.pooling.kernel import emit as emit_kernel
from tinytorch.runtime.llvm.text.builder import Module
from tinytorch.runtime.llvm.text.jit import compile_object, emit_assembly, load_object
from tinytorch.runtime.llvm.text.target import Target

OPS = [max_pool2d, max_pool2d_take, max_unpool2d]


def attrs_of(window, stride=None, low=(0, 0), high=None, dilation=(1, 1)):
    return {
        "window": window,
        "stride": stride or window,
        "low": low,
        "high": low if high is None else high,
        "dilation": dilation,
    }


def emit(op, arrays, attrs, target, chunk_bytes=index_loops.CHUNK_BYTES, wanted=(0, 1)):
    """(types of the `wanted` results, module, kernel), cut as if chunks of `chunk_bytes` paid."""
    builder = Builder()
    node = builder.append(op, [builder.input(type_of(a)) for a in arrays], attrs)
    types = [value.type if i in wanted else None for i, value in enumerate(node.outputs)]
    module = Module(target.attributes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_loops, "CHUNK_BYTES", chunk_bytes)
        results = [Buffer.contiguous(t.dtype, t.shape) for t in types if t]
        body = Graph("body", node.inputs, (node,), tuple(v for v, t in zip(node.outputs, types, strict=True) if t))
        kernel = Kernel(body, print_graph(body), tuple(operand_of(a) for a in arrays), tuple(results))
        kernel = emit_kernel(module, "k", kernel, target)
    return [t for t in types if t], module, kernel


def run(op, arrays, attrs, *, target=None, seed=0, chunk_bytes=index_loops.CHUNK_BYTES, wanted=(0, 1)):
    """Emit, compile and run all chunks in a random order, results dirty; (results, chunks)."""
    target = target or Target.host()
    types, module, kernel = emit(op, arrays, attrs, target, chunk_bytes, wanted)
    code = load_object(compile_object(module.text(), target))
    results = [Guarded(t.bytes) for t in types]
    pointers = [*(a.ctypes.data for a in arrays), *(r.inside.ctypes.data for r in results), 0]
    frame = (ctypes.c_void_p * len(pointers))(*pointers)
    ((name, chunks),) = kernel.phases
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(code.address(name))
    for chunk in np.random.default_rng(seed).permutation(chunks):
        call(ctypes.addressof(frame), int(chunk))
    assert all(r.is_whole() for r in results), "wrote outside of a result"
    return [r.inside.view(t.dtype.numpy).reshape(t.shape) for r, t in zip(results, types, strict=True)], chunks


def check(op, arrays, attrs, *, wanted=(0, 1), **how):
    results, chunks = run(op, arrays, attrs, wanted=wanted, **how)
    with np.errstate(all="ignore"):
        expected = [a for i, a in enumerate(op.evaluate(arrays, attrs)) if i in wanted]
    for result, other in zip(results, expected, strict=True):
        assert result.shape == other.shape
        np.testing.assert_array_equal(bits(result), bits(other), err_msg=op.name)
    return results, chunks


def without_high(attrs):
    return {key: value for key, value in attrs.items() if key != "high"}


def check_all(rng, x, attrs, laid=lambda a: a, **how):
    """Pooling, all of it and for one of its results, and what puts places to use, of which a few are out of range;
    (places, chunks of each kernel)."""
    check(max_pool2d, [x], attrs, wanted=(int(rng.integers(2)),), **how)
    (_, index), searched = check(max_pool2d, [x], attrs, **how)
    g = random(rng, index.shape, next(d for d in ALL if d.numpy == x.dtype))
    wild = random(rng, index.shape, index_dtype(attrs["window"]))
    places = laid(np.where(rng.random(index.shape) < 0.1, wild, index))
    back = without_high(attrs)
    _, taken = check(max_pool2d_take, [x, places], back, **how)
    _, put = check(max_unpool2d, [laid(g), places], {**back, "size": x.shape[1:3]}, **how)
    return index, (searched, taken, put)


def with_ties(rng, shape, dtype):
    """Numbers of which many are equal, and for floats zeros of both signs, infinities and NaNs."""
    x = rng.integers(0, 5, shape).astype(dtype.numpy)
    if dtype.is_float:
        for value in (math.inf, -math.inf, math.nan, -0.0):
            x[rng.random(shape) < 0.08] = value
    return x


def arranged(rng, shape, kind, make):
    """An array of that shape in memory of another order, with steps, or with repeats."""
    if kind == "plain":
        return make(shape)
    if kind == "nchw":
        return make((shape[0], shape[3], *shape[1:3])).transpose(0, 2, 3, 1)
    if kind == "mirrored":
        return make(tuple(2 * d for d in shape))[::2, ::-2, ::2, ::-2]
    if kind == "channels in steps":
        return make((*shape[:3], 3 * shape[3]))[..., ::3]
    order = rng.permutation(4)
    base = make(tuple(1 if rng.random() < 0.3 else shape[axis] for axis in order))
    return np.broadcast_to(base.transpose(np.argsort(order)), shape)


LAYOUTS = ["plain", "plain", "nchw", "mirrored", "channels in steps", "repeated"]


def drawn_case(rng):
    """(shape, attrs) of a small image and windows of any kind that fit it."""
    while True:
        window, stride, low, high, dilation = (
            tuple(int(d) for d in rng.choice(choices, 2))
            for choices in ([1, 2, 2, 3, 3, 4, 6], [1, 1, 2, 2, 3, 5], [0, 0, 1, 2, 7], [0, 0, 1, 3], [1, 1, 1, 2, 3])
        )
        size = tuple(int(d) for d in rng.choice([1, 2, 4, 5, 8, 13, 19, 37], 2))
        reach = [(window[i] - 1) * dilation[i] + 1 for i in range(2)]
        outputs = [(size[i] + low[i] + high[i] - reach[i]) // stride[i] + 1 for i in range(2)]
        # The last window must start before the end of the image for its places to be put back.
        if min(outputs) > 0 and all((outputs[i] - 1) * stride[i] - low[i] < size[i] for i in range(2)):
            shape = (int(rng.choice([1, 2, 3])), *size, int(rng.choice([1, 2, 3, 5, 8, 16, 17, 24, 33, 70])))
            return shape, attrs_of(window, stride, low, high, dilation)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("seed", range(40))
def test_any_windows_of_any_layout(name, seed):
    rng = np.random.default_rng(seed)
    shape, attrs = drawn_case(rng)
    dtype = NUMBERS[seed % len(NUMBERS)]
    make = [random, with_ties][seed % 2]
    x = arranged(rng, shape, str(rng.choice(LAYOUTS)), lambda s: make(rng, s, dtype))
    other = str(rng.choice(LAYOUTS))

    def laid(array):
        if other == "repeated":
            return np.broadcast_to(array[:, :, :1], array.shape)
        return arranged(rng, array.shape, other, lambda s: np.resize(array, s))

    check_all(rng, x, attrs, laid, target=target_of(name), chunk_bytes=int(rng.choice([64 << 10, 2048, 64])))


# Common windows at sizes with several chunks, every dtype

COMMON = [
    attrs_of((2, 2)),
    attrs_of((3, 3), (2, 2), (1, 1)),
    attrs_of((3, 3), (1, 1), (1, 1)),
    attrs_of((2, 3), (3, 2), (0, 1), dilation=(1, 2)),
    attrs_of((8, 8)),
    attrs_of((5, 7), (2, 3), (2, 0), (2, 5)),
]


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("dtype", NUMBERS, ids=str)
def test_common_windows(name, dtype):
    rng = np.random.default_rng(100)
    number = NUMBERS.index(dtype) + TARGETS.index(name)
    for attrs in (COMMON[number % 6], COMMON[(number + 1) % 6]):
        x = with_ties(rng, (2, 24, 16, [16, 64, 3, 40][number % 4]), dtype)
        _, counts = check_all(rng, x, attrs, target=target_of(name), chunk_bytes=256)
        assert min(counts) > 1


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("dtype", [f32, f16, u8, f64], ids=str)
def test_images_with_channels_first_in_memory(name, dtype):
    rng = np.random.default_rng(101)
    shapes = [(2, 12, 40, 3), (1, 9, 70, 1), (3, 9, 13, 17)]
    for number, attrs in enumerate((*COMMON[:4], attrs_of((2, 2), (4, 4)), attrs_of((2, 2), (1, 5)))):
        x = arranged(rng, shapes[number % 3], "nchw", lambda s: with_ties(rng, s, dtype))
        check(max_pool2d, [x], attrs, target=target_of(name), chunk_bytes=4096)
    places = random(rng, max_pool2d.eval(x, **attrs)[0].shape, u8) % 10
    check(max_pool2d_take, [x, places], without_high(attrs), target=target_of(name))


@pytest.mark.parametrize("name", TARGETS)
def test_one_window_of_a_whole_image(name):
    rng = np.random.default_rng(102)
    for size in ((7, 7), (20, 31)):  # the second has more places than a byte can tell apart
        x = with_ties(rng, (3, *size, 33), f32)
        index, _ = check_all(rng, x, attrs_of(size), target=target_of(name))
        assert index.dtype == index_dtype(size).numpy and index.max() > 16


def test_chunks_do_not_depend_on_where_the_rows_are():
    rng = np.random.default_rng(103)
    many, tall, wide = (with_ties(rng, s, f32) for s in ((64, 16, 16, 16), (1, 256, 64, 16), (1, 8, 4096, 16)))
    for x in (many, tall, wide):
        _, counts = check_all(rng, x, attrs_of((2, 2)))
        assert min(counts) > 2


# What the ops promise


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("dtype", [f64, f32, f16, bf16], ids=str)
def test_last_nan_counts_as_largest_and_keeps_its_bits(name, dtype):
    x = np.full((1, 2, 2, 32), 2.0, dtype.numpy)
    raw = bits(x)
    quiet = np.full((), math.nan, dtype.numpy).view(raw.dtype)
    raw[0, 0, 1, ::2], raw[0, 1, 0, ::2] = quiet | 3, quiet | 1  # two NaNs, told apart by their payloads
    (best, index), _ = run(max_pool2d, [raw.view(dtype.numpy)], attrs_of((2, 2)), target=target_of(name))
    np.testing.assert_array_equal(index[0, 0, 0], np.tile([2, 0], 16))
    assert (bits(best)[0, 0, 0, ::2] == quiet | 1).all()


@pytest.mark.parametrize("dtype", [f32, f16, i8, u8, i32], ids=str)
def test_windows_outside_of_the_image_hold_the_lowest_value(dtype):
    x = np.ones((1, 2, 2, 5), dtype.numpy)
    attrs = attrs_of((1, 2), (1, 1), (2, 3), (1, 3))
    (best, index), _ = check(max_pool2d, [x], attrs)
    low = -math.inf if dtype.is_float else dtype.limits[0]
    assert best[0, 0, 0, 0] == low and best[0, 2, 3, 0] == 1 and index[0, 0].max() == 0


@pytest.mark.parametrize("name", TARGETS)
def test_only_whole_images_are_read(name):
    """Beside the image lies what would win every window."""
    rng = np.random.default_rng(104)
    for channels in (5, 16, 40):
        around = np.full((3, 12, 12, channels), math.inf, np.float32)
        around[1, 2:-2, 2:-2] = rng.standard_normal((8, 8, channels))
        for attrs in COMMON[:3]:
            (best, _), _ = check(max_pool2d, [around[1:2, 2:-2, 2:-2]], attrs, target=target_of(name))
            assert np.isfinite(best).all()


def test_sums_of_overlapping_windows_are_formed_in_the_order_of_the_places():
    rng = np.random.default_rng(105)
    attrs = attrs_of((5, 5), (1, 1), (2, 2))
    g = (rng.standard_normal((2, 9, 9, 20)) * 10.0 ** rng.integers(-6, 6, (2, 9, 9, 20))).astype(np.float32)
    x = np.zeros_like(g)
    x[:, ::4, ::4] = 1.0
    index = max_pool2d.eval(x, **attrs)[1]
    check(max_unpool2d, [g, index], {**without_high(attrs), "size": (9, 9)})


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("dtype", [f32, f64, i8], ids=str)
def test_results_that_no_cache_holds(name, dtype, monkeypatch):
    rng = np.random.default_rng(106)
    monkeypatch.setattr(index_pool_put, "_STREAMED_BYTES", 1)
    for attrs in COMMON[:2]:
        index = max_pool2d.eval(with_ties(rng, (3, 16, 16, 64), f32), **attrs)[1]
        arrays, used = [random(rng, index.shape, dtype), index], {**without_high(attrs), "size": (16, 16)}
        check(max_unpool2d, arrays, used, target=target_of(name), chunk_bytes=4096)
        assert "nontemporal" in emit(max_unpool2d, arrays, used, target_of(name))[1].text()


# The generated code and its interface


def operands_of(op, rng, dtype, attrs, shape=(8, 32, 32, 32)):
    """(operands, attrs) of an op that pools images of that shape."""
    x = random(rng, shape, dtype)
    index = max_pool2d.eval(x, **attrs)[1]
    if op is max_unpool2d:
        return [random(rng, index.shape, dtype), index], {**without_high(attrs), "size": shape[1:3]}
    return ([x, index], without_high(attrs)) if op is max_pool2d_take else ([x], attrs)


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
@pytest.mark.parametrize("attrs", [*COMMON, attrs_of((17, 30), (3, 4), (8, 9))], ids=lambda a: str(a["window"]))
def test_code_is_small_whatever_the_window(op, attrs):
    arrays, used = operands_of(op, np.random.default_rng(8), f32, attrs, (1, 40, 32, 33))
    _, module, _ = emit(op, arrays, used, Target.host())
    assert module.text().count("\n") < 900


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_code_for_arm(op):
    target = Target.named("neon")
    for dtype in (f32, f16, u8):
        arrays, attrs = operands_of(op, np.random.default_rng(9), dtype, attrs_of((3, 3), (2, 2), (1, 1)))
        _, module, _ = emit(op, arrays, attrs, target)
        assert "ret" in emit_assembly(module.text(), target)


def test_empty_batches_have_no_chunks():
    x = np.zeros((0, 4, 4, 8), np.float32)
    for op in OPS:
        arrays, attrs = operands_of(op, np.random.default_rng(0), f32, attrs_of((2, 2)), x.shape)
        assert run(op, arrays, attrs)[1] == 0


def test_a_kernel_has_the_results_that_are_wanted():
    x, target = np.zeros((1, 4, 4, 8), np.float32), Target.host()
    attrs = attrs_of((2, 2))
    places = emit(max_pool2d, [x], attrs, target)[1].text()
    values_alone = emit(max_pool2d, [x], attrs, target, wanted=(0,))[1].text()
    assert "trunc" in places and "trunc" not in values_alone and values_alone.count("\n") < places.count("\n")
