"""Convolution kernels against the reference: shapes, layouts, dtypes and targets of all kinds, chunks in any order."""

import ctypes
import math
from dataclasses import replace

import numpy as np
import pytest

from tests.convolutions import (
    ALONG_LAST,
    DTYPES,
    HOST,
    LAYOUTS,
    RESULTS,
    Case,
    Result,
    assert_near,
    check,
    check_both,
    convolution,
    drawn_case,
    emit,
    laid,
    random,
    run,
    whole,
)
from tests.execution import assert_same, compiled, expected, kernels
from tests.runtime.llvm.index.kernels import TARGETS, Guarded, operand_of, target_of
from tests.runtime.llvm.running import execute
from tinytorch.ir.expr import Expr
from tinytorch.ir.graph import Builder
from tinytorch.ir.op import apply
from tinytorch.ir.ops.convolution import conv2d, conv2d_input_grad, conv2d_weight_grad
from tinytorch.ir.ops.pooling import max_pool2d
from tinytorch.ir.types import TensorType, bf16, f16, f32, f64, i8, i32, u8
from tinytorch.runtime.llvm.contract.epilogue import Epilogue
from tinytorch.runtime.llvm.conv.plan import plan_convolution
from tinytorch.runtime.llvm.conv.pooled import largest
from tinytorch.runtime.llvm.lanes.emit import LaneEmitter
from tinytorch.runtime.llvm.text.builder import Module
from tinytorch.runtime.llvm.text.jit import compile_object, emit_assembly, load_object
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import PTR


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", TARGETS)
def test_drawn_convolutions(name, dtype, seed):
    rng = np.random.default_rng([seed, DTYPES.index(dtype), TARGETS.index(name)])
    for _ in range(3 if name == "host" else 1):
        layouts = {"images": LAYOUTS, "others": ALONG_LAST, "results": RESULTS}
        drawn = {key: str(rng.choice(names)) for key, names in layouts.items()}
        check_both(drawn_case(rng, dtype), rng, **drawn, target=target_of(name))


SHAPES = {
    "a long row": Case(batch=1, size=(1, 70000), channels=3, columns=2, window=(1, 5), stride=(1, 2), low=(0, 2)),
    "a long column": Case(batch=1, size=(9000, 1), channels=2, columns=3, window=(3, 1), low=(1, 0), high=(1, 0)),
    "one element": Case(batch=1, size=(1, 1), channels=1, columns=1, window=(1, 1)),
    "images of one place": Case(batch=300, size=(1, 1), low=(1, 1), high=(1, 1), columns=20),
    "images of one row": Case(batch=7, size=(1, 9), low=(1, 1), high=(1, 1), columns=33),
    "images of one column": Case(batch=7, size=(9, 1), low=(1, 1), high=(1, 1), columns=33),
    "one output of a whole image": Case(size=(6, 5), window=(6, 5), columns=18),
    "one output of a padded image": Case(size=(3, 2), window=(5, 6), low=(1, 2), high=(1, 2), columns=18),
    "a window mostly of zeros": Case(size=(2, 2), window=(4, 4), low=(3, 3), high=(3, 3)),
    "outputs of zeros alone": Case(size=(2, 3), window=(2, 2), low=(4, 5), high=(5, 4), stride=(2, 1)),
    "one channel": Case(channels=1, columns=35, size=(8, 9)),
    "one output channel": Case(channels=35, columns=1, size=(8, 9)),
    "one channel to one": Case(channels=1, columns=1, size=(20, 30)),
    "strides over the window": Case(size=(13, 14), window=(2, 2), stride=(5, 4)),
    "a cut image": Case(size=(9, 9), low=(-2, -1), high=(-1, -3)),
    "a shifted image": Case(size=(6, 7), low=(-3, 4), high=(5, -2)),
    "a wide dilation": Case(size=(11, 12), window=(2, 3), dilation=(9, 5)),
    "columns that collide in the cache": Case(
        batch=3, size=(9, 11), channels=64, columns=128, stride=(2, 2), low=(1, 1), high=(1, 1)
    ),
    "groups that collide in the cache": Case(
        batch=5, size=(7, 6), groups=2, channels=64, columns=64, stride=(1, 2), low=(0, 1), high=(2, 1)
    ),
    "depthwise": Case(groups=70, channels=1, columns=1, size=(7, 8), low=(1, 1), high=(1, 1)),
    "depthwise, both edges in a block": Case(
        groups=40, channels=1, columns=1, size=(6, 7), window=(5, 5), low=(2, 2), high=(2, 2)
    ),
    "depthwise, strided": Case(groups=150, channels=1, columns=1, size=(9, 33), stride=(2, 2), low=(1, 1), high=(0, 1)),
    "depthwise, dilated": Case(
        groups=17, channels=1, columns=1, size=(9, 31), window=(3, 4), dilation=(3, 5), low=(4, 9), high=(4, 8)
    ),
    "depthwise, zeros alone": Case(
        groups=17, channels=1, columns=1, size=(2, 3), window=(2, 2), low=(4, 5), high=(5, 4)
    ),
    "depthwise, a cut image": Case(groups=33, channels=1, columns=1, size=(9, 12), low=(-2, -1), high=(-1, -3)),
    "depthwise, a long window": Case(
        groups=9, channels=1, columns=1, size=(40, 30), window=(33, 17), low=(3, 8), high=(3, 8)
    ),
    "depthwise, two for each": Case(groups=19, channels=1, columns=2, size=(7, 8)),
    "eight for each": Case(groups=6, channels=8, columns=8, size=(7, 8), low=(1, 1), high=(1, 1)),
    "depthwise from two each": Case(groups=19, channels=2, columns=1, size=(7, 8)),
    "depthwise, images of one place": Case(batch=40, groups=21, channels=1, columns=1, size=(1, 1), window=(1, 1)),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes(shape):
    check_both(SHAPES[shape], np.random.default_rng(1))


@pytest.mark.parametrize("name", TARGETS[1:])
@pytest.mark.parametrize(
    "shape",
    [
        "a shifted image",
        "depthwise",
        "depthwise, strided",
        "depthwise, dilated",
        "one output channel",
        "eight for each",
        "images of one place",
        "columns that collide in the cache",
    ],
)
def test_shapes_on_forced_targets(name, shape):
    check_both(SHAPES[shape], np.random.default_rng(2), target=target_of(name))


@pytest.mark.parametrize("empty", ["batch", "channels", "columns"])
@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("dtype", [f32, bf16], ids=str)
def test_empty_axes(empty, groups, dtype):
    case = replace(Case(dtype=dtype, groups=groups, low=(1, 0), high=(0, 1)), **{empty: 0})
    check_both(case, np.random.default_rng(3))


def test_sums_of_nothing_are_zeros_in_every_layout():
    for layout in LAYOUTS:
        case = Case(channels=0, low=(1, 1))
        x = laid(case.image_shape, layout, lambda shape: np.zeros(shape, np.float32))
        check(case, conv2d, x, np.zeros(case.weight_shape, np.float32))


CUTS = {"x": Case(size=(6, 20)), "y": Case(size=(9, 4)), "n": Case(batch=50, size=(4, 4), window=(3, 3))}


@pytest.mark.parametrize("cut", CUTS)
def test_tiles_span_rows_and_images(cut):
    case = CUTS[cut]
    x = np.zeros(case.image_shape, np.float32)
    assert plan_convolution(convolution(case, x), (1, 1), HOST).cut == cut
    for layout in RESULTS:
        check_both(case, np.random.default_rng(4), results=layout)


MANY = {
    "strips and columns": Case(batch=4, size=(30, 30), channels=20, columns=100, low=(1, 1), high=(1, 1)),
    "groups": Case(batch=5, size=(20, 20), channels=8, columns=40, groups=3),
    "batch": Case(batch=40, size=(12, 12), channels=16, columns=32, low=(1, 1), high=(1, 1)),
    "depthwise": Case(batch=9, size=(30, 30), channels=1, columns=1, groups=100, low=(1, 1), high=(1, 1)),
}


@pytest.mark.parametrize("op", [conv2d, conv2d_weight_grad], ids=lambda op: op.name)
@pytest.mark.parametrize("shape", MANY)
def test_any_order_and_number_of_threads_gives_the_same_bits(shape, op):
    rng, case = np.random.default_rng(5), MANY[shape]
    x = random(rng, case.image_shape, f32)
    other = random(rng, case.weight_shape if op is conv2d else case.result_shape, f32)
    once, kernel = run(case, op, x, other)
    assert kernel.phases[0][1] > 1, "one chunk shows nothing"
    assert_near(case, op, x, other, once, shape)
    for seed, threads in [(1, 1), (2, 2), (3, 3)]:
        again, _ = run(case, op, x, other, seed=seed, threads=threads)
        assert_same([again], [once])


PACKED = {
    "runs of images": Case(batch=5, size=(6, 8), channels=140, columns=150, stride=(2, 2), low=(1, 1), high=(1, 1)),
    "strips": Case(batch=2, size=(24, 33), channels=64, columns=136, low=(1, 1), high=(1, 1), window=(5, 5)),
    "groups": Case(batch=1, size=(30, 33), channels=140, columns=72, groups=2, low=(1, 1), dilation=(2, 1)),
    "bf16": Case(dtype=bf16, batch=33, size=(4, 3), channels=140, columns=50, low=(1, 1), high=(1, 1)),
}


@pytest.mark.parametrize("name", TARGETS[1:])
@pytest.mark.parametrize("shape", PACKED)
def test_weights_that_lie_far_apart_are_put_together(shape, name):
    """On targets with narrow panels; the bits are the same for any number of threads."""
    case, rng = PACKED[shape], np.random.default_rng(8)
    target = replace(target_of(name), l1_bytes=32 << 10)  # which the weights of a panel fill
    x, w = random(rng, case.image_shape, case.dtype), random(rng, case.weight_shape, case.dtype)
    plan = plan_convolution(convolution(case, x), (1, 1), target)
    assert plan.packs
    once, _ = run(case, conv2d, x, w, target=target)
    assert_near(case, conv2d, x, w, once, shape)
    again, _ = run(case, conv2d, x, w, target=target, seed=1, threads=2)
    assert_same([again], [once])


def test_offsets_of_more_than_32_bits(tmp_path):
    case = Case(batch=2, size=(3, 4), window=(2, 3), columns=5)
    far = 5 << 30  # bytes between images; what is not touched takes no room
    memory = np.memmap(tmp_path / "images", np.uint8, "w+", shape=far + (5 << 30))
    x = np.ndarray(case.image_shape, np.float32, memory, 0, (far, 9 << 28, 12, 4))
    rng = np.random.default_rng(6)
    x[...] = random(rng, case.image_shape, f32)
    check(case, conv2d, x, random(rng, case.weight_shape, f32))
    check(case, conv2d_weight_grad, x, random(rng, case.result_shape, f32))


@pytest.mark.parametrize("groups", [1, 2, 18])
def test_nan_reaches_just_the_outputs_that_meet_it(groups):
    case = Case(size=(7, 8), channels=18 // groups, columns=18 // groups, groups=groups, low=(1, 1), high=(1, 1))
    x, w = np.ones(case.image_shape, np.float32), np.ones(case.weight_shape, np.float32)
    x[1, 3, 7, 17] = math.nan
    found, _ = run(case, conv2d, x, w)
    reached = np.zeros(case.result_shape, bool)
    reached[1, 2:5, 6:8, -case.columns :] = True
    np.testing.assert_array_equal(np.isnan(found), reached)


@pytest.mark.parametrize("op", [conv2d, conv2d_weight_grad], ids=lambda op: op.name)
@pytest.mark.parametrize("dtype", [f32, f16], ids=str)
@pytest.mark.parametrize(("groups", "columns"), [(1, 24), (3, 8), (12, 2), (12, 1), (37, 1)])
def test_infinities_meet_zeros_as_in_the_reference(op, dtype, groups, columns):
    channels = max(1, 12 // groups)
    case = Case(dtype, 3, (5, 7), channels, columns, groups, low=(1, 0), high=(1, 2), stride=(2, 1))
    rng = np.random.default_rng(7)
    x = whole(rng, case.image_shape, dtype)
    other = whole(rng, case.weight_shape if op is conv2d else case.result_shape, dtype)
    for value, array in zip((math.inf, -math.inf, math.nan), (x, other, other), strict=True):
        array[tuple(int(rng.integers(n)) for n in array.shape)] = value
    more = {"high": case.high} if op is conv2d else {"window": case.window}
    with np.errstate(invalid="ignore"):
        wanted = op.eval(x, other, **case.attrs, **more)
    assert 0 < np.isnan(wanted).sum() < wanted.size
    found, _ = run(case, op, x, other)
    np.testing.assert_array_equal(found.astype(np.float32), wanted.astype(np.float32))


def bias_relu(context):
    context.store(0, (context.sums[0] + context.window(0)[0]).max(0.0))


@pytest.mark.parametrize("layout", ["channels last", "planes", "one for each channel", "one for each image", "cut"])
@pytest.mark.parametrize(
    "shape",
    ["images of one row", "images of one column", "one output of a whole image", "a shifted image", "depthwise"],
)
def test_epilogue_operands_of_any_strides(shape, layout):
    rng = np.random.default_rng(8)
    case = replace(SHAPES[shape], batch=3)
    n, h, w, c = case.result_shape
    made = {"one for each channel": (1, 1, 1, c), "one for each image": (n, 1, 1, 1), "cut": (n, h, 2 * w, c)}
    shape_made = made.get(layout, (n, c, h, w) if layout == "planes" else (n, h, w, c))
    values = whole(rng, shape_made, f32)
    if layout == "planes":
        values = values.transpose(0, 2, 3, 1)
    other = values[:, :, :w]
    if other.shape != case.result_shape:  # else numpy would give axes of one element strides of 0
        other = np.broadcast_to(other, case.result_shape)
    x, weights = whole(rng, case.image_shape, f32), whole(rng, case.weight_shape, f32)
    epilogue = Epilogue("bias relu", bias_relu, (operand_of(other),))
    plain = conv2d.eval(x, weights, high=case.high, **case.attrs)
    for results in ("channels last", "planes"):
        found, _ = run(case, conv2d, x, weights, epilogue=epilogue, others=[other], layout=results)
        np.testing.assert_array_equal(found, np.maximum(plain + other, 0), results)


@pytest.mark.parametrize("groups", [1, 2, 24])
def test_epilogue_of_the_weight_gradient_updates_weights_in_place(groups):
    rng = np.random.default_rng(9)
    case = Case(batch=5, size=(6, 5), channels=24 // groups, columns=24 // groups, groups=groups, low=(1, 1))
    x, g = whole(rng, case.image_shape, f32), whole(rng, case.result_shape, f32)
    weights = Result(case.weight_shape, f32, "mirrored")
    weights.view[...] = before = whole(rng, case.weight_shape, f32)

    def descend(context):
        context.store(0, context.sums[0])
        context.store(1, context.window(0)[0] - context.sums[0] - context.sums[0])

    layout = operand_of(weights.view)
    epilogue = Epilogue("descend", descend, operands=(layout,), outputs=(layout,))
    both = [weights.view, weights.view]
    found, _ = run(case, conv2d_weight_grad, x, g, epilogue=epilogue, others=both)
    wanted = conv2d_weight_grad.eval(x, g, window=case.window, **case.attrs)
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(weights.taken(), before - 2 * wanted)


def pool_relu(context):
    """Two results: the largest of each window of sums plus operand 0, scaled by operand 1, and its place."""
    emitter = context.emitter
    best, place = largest(emitter, [x + y for x, y in zip(context.sums, context.window(0), strict=True)])
    (scale,) = context.window(1)
    context.store(0, best.max(0.0) * scale)
    context.store(1, place.cast(u8))


POOLED = {
    "rows": Case(batch=3, size=(8, 26), low=(1, 1), high=(1, 1), columns=20),
    "whole rows": Case(batch=3, size=(12, 4), low=(1, 1), high=(1, 1), columns=20),
    "whole images": Case(batch=21, size=(4, 2), low=(1, 1), high=(1, 1), columns=20),
    "groups": Case(size=(6, 8), low=(1, 1), high=(1, 1), columns=9, groups=3),
    "depthwise": Case(size=(6, 8), low=(1, 1), high=(1, 1), channels=1, columns=1, groups=35),
    "in place": Case(size=(10, 14), columns=40, channels=4),
}


@pytest.mark.parametrize("shape", POOLED)
@pytest.mark.parametrize("pool,name", [((1, 2), "host"), ((4, 1), "host"), *(((2, 2), name) for name in TARGETS)])
def test_pooled_results(pool, name, shape):
    rng, case = np.random.default_rng(10), POOLED[shape]
    n, h, w, c = case.result_shape
    if h % pool[0] or w % pool[1]:
        pool = (2, 2)
    pooled = (n, h // pool[0], w // pool[1], c)
    x, weights = whole(rng, case.image_shape, f32), whole(rng, case.weight_shape, f32)
    other, scale = whole(rng, (n, c, h, w), f32).transpose(0, 2, 3, 1), whole(rng, pooled, f32)
    out, places = Result(pooled, f32, "planes"), Result(pooled, u8, "gaps")
    epilogue = Epilogue("pool", pool_relu, (operand_of(other), operand_of(scale)), (operand_of(places.view),), pool)
    target = target_of(name)
    module = Module(target.attributes)
    kernel = emit(module, "conv", case, conv2d, x, weights, out.view, target, epilogue)
    execute(module, kernel, [x, weights, out.view, places.view, other, scale], target, threads=2)
    sums = conv2d.eval(x, weights, high=case.high, **case.attrs) + other
    windows = {"window": pool, "stride": pool, "low": (0, 0), "high": (0, 0), "dilation": (1, 1)}
    best, index = max_pool2d.eval(sums, **windows)
    np.testing.assert_array_equal(out.taken(), np.maximum(best, 0) * scale)
    np.testing.assert_array_equal(places.taken(), index)


def test_pooling_takes_the_first_of_equal_ones_and_the_last_of_nans():
    case = Case(batch=1, size=(4, 4), channels=1, columns=1, window=(1, 1))
    x = np.array([[1, 1, 2, 3], [1, 1, 3, 3], [0, math.nan, -math.inf, -math.inf], [math.nan, 5, -math.inf, -math.inf]])
    x = x.astype(np.float32).reshape(1, 4, 4, 1)
    one = np.ones(case.weight_shape, np.float32)
    out, places = Result((1, 2, 2, 1), f32), Result((1, 2, 2, 1), u8)

    def body(context):
        best, place = largest(context.emitter, context.sums)
        context.store(0, best)
        context.store(1, place.cast(u8))

    epilogue = Epilogue("pool", body, outputs=(operand_of(places.view),), pooled=(2, 2))
    module = Module(HOST.attributes)
    kernel = emit(module, "conv", case, conv2d, x, one, out.view, HOST, epilogue)
    execute(module, kernel, [x, one, out.view, places.view], HOST)
    np.testing.assert_array_equal(out.taken().reshape(-1), [1, 3, math.nan, -math.inf])
    np.testing.assert_array_equal(places.taken().reshape(-1), [0, 1, 2, 0])


# Whole graphs: what the passes make of a network's layers, compiled.


def input_of(builder, rng, case, shape, order=(0, 1, 2, 3)):
    """(expression of that shape, array), an input whose axes are stored in another order."""
    draw = whole if case.dtype.is_float else random
    array = draw(rng, tuple(shape[axis] for axis in order), case.dtype)
    value = Expr(builder, builder.input(TensorType(case.dtype, array.shape)))
    return value.permute(*(order.index(axis) for axis in range(4))), array


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("dtype", [f32, f64, bf16, i8], ids=str)
def test_drawn_layers_and_their_gradients(dtype, seed):
    rng = np.random.default_rng([seed, DTYPES.index(dtype)])
    case, builder = drawn_case(rng, dtype), Builder("layer")
    orders = [(0, 1, 2, 3), (0, 3, 1, 2), (2, 0, 3, 1)]
    shapes = [case.image_shape, case.weight_shape, case.result_shape, case.result_shape]
    drawn = [input_of(builder, rng, case, shape, orders[rng.integers(3)]) for shape in shapes]
    (x, w, residual, g), arrays = zip(*drawn, strict=True)
    y = (apply(conv2d, x, w, high=case.high, **case.attrs) + residual).relu().permute(0, 3, 1, 2)
    dw = apply(conv2d_weight_grad, x, g, window=case.window, **case.attrs) * 2 + 1
    dx = apply(conv2d_input_grad, g, w, size=case.size, **case.attrs)
    graph = builder.build([y.value, dw.permute(3, 2, 0, 1).value, dx.value])
    assert_same(compiled(graph, arrays), expected(graph, arrays))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("dtype", [f32, f64, bf16, u8], ids=str)
def test_drawn_layers_with_pooling(dtype, seed):
    rng = np.random.default_rng([seed, DTYPES.index(dtype)])
    case, builder = drawn_case(rng, dtype), Builder("layer")
    pool, tiles = rng.integers(1, 4, 2).tolist(), rng.integers(1, 6, 2).tolist()
    sizes = [
        (p * t - 1) * s + d * (k - 1) + 1
        for p, t, s, d, k in zip(pool, tiles, case.stride, case.dilation, case.window, strict=True)
    ]
    case = replace(case, size=tuple(sizes), low=(0, 0), high=(0, 0))
    bias = Expr(builder, builder.input(TensorType(dtype, case.result_shape[3:])))
    x, image = input_of(builder, rng, case, case.image_shape)
    w, weights = input_of(builder, rng, case, case.weight_shape)
    y = apply(conv2d, x, w, high=case.high, **case.attrs) + bias
    windows = {"window": tuple(pool), "stride": tuple(pool), "low": (0, 0), "high": (0, 0), "dilation": (1, 1)}
    best, place = apply(max_pool2d, y, **windows)
    graph = builder.build([best.relu().permute(0, 3, 1, 2).value, place.value])
    bodies = [
        [n.op.name for n in node.attrs["body"].nodes] for node in kernels(graph).nodes if node.op.name == "kernel"
    ]
    if case.window != (1, 1):
        assert any({"conv2d", "max_pool2d"} <= set(body) for body in bodies), bodies
    arrays = [whole(rng, bias.type.shape, dtype), image, weights]
    assert_same(compiled(graph, arrays), expected(graph, arrays))


def test_alike_convolutions_share_microkernels():
    case, module = Case(channels=16, columns=32, low=(1, 1), high=(1, 1)), Module(HOST.attributes)
    arrays = [np.zeros(shape, np.float32) for shape in (case.image_shape, case.weight_shape, case.result_shape)]
    emit(module, "first", case, conv2d, *arrays, HOST)
    alone = len(module.functions)
    emit(module, "second", case, conv2d, *arrays, HOST)
    assert len(module.functions) == alone + 1


@pytest.mark.parametrize("name,instruction", [("avx512", "zmm"), ("avx2", "ymm"), ("sse2", "mulps"), ("neon", "fmla")])
@pytest.mark.parametrize("op", [conv2d, conv2d_weight_grad], ids=lambda op: op.name)
@pytest.mark.parametrize("groups", [1, 40])
def test_every_target_assembles(name, instruction, op, groups):
    target = Target.named(name)
    for dtype in (f32, f16):
        case = Case(dtype, channels=40 // groups, columns=40 // groups, groups=groups, low=(1, 1), high=(1, 1))
        others = case.weight_shape, case.result_shape
        b, out = others if op is conv2d else reversed(others)
        module = Module(target.attributes)
        emit(module, "conv", case, op, *(np.zeros(s, dtype.numpy) for s in (case.image_shape, b, out)), target)
        assembly = emit_assembly(module.text(), target)
        assert instruction in assembly
        assert "fmaf" not in assembly and "__" not in assembly.replace("__const", "")


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("dtype", [bf16, f16, i8, u8], ids=str)
@pytest.mark.parametrize("live", [1, 2, 3])
def test_a_masked_store_of_narrowed_lanes_ends_with_the_last_live_one(name, dtype, live):
    target = target_of(name)
    module = Module(target.attributes)
    fn = module.function("narrow", [PTR, PTR])
    wide, lanes = (f32 if dtype.is_float else i32), target.lanes(f32)
    emitter = LaneEmitter(fn, target, lanes)
    mask = fn.lane_mask(lanes, live)
    emitter.store(emitter.load(fn.params[0], wide, mask=mask).cast(dtype), fn.params[1], mask=mask)
    fn.ret()
    code = load_object(compile_object(module.text(), target))
    source, memory = np.arange(1, 1 + lanes).astype(wide.numpy), Guarded(live * dtype.size)
    ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(code.address("narrow"))(
        source.ctypes.data, memory.inside.ctypes.data
    )
    assert memory.is_whole(), "wrote past the last element"
    np.testing.assert_array_equal(memory.inside.view(dtype.numpy).astype(wide.numpy), source[:live])
