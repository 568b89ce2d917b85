"""Convolutions of bytes by weights in groups: every way to multiply them, on every target, bit for bit."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest

import tinytorch as tt
import tinytorch.nn.functional as F
from tests.convolutions import HOST, LAYOUTS, RESULTS, Result, laid
from tests.execution import assert_same, compiled, expected
from tests.runtime.llvm.index.kernels import kernel_of, operand_of, type_of
from tests.runtime.llvm.running import execute
from tinytorch.ir.expr import Expr
from tinytorch.ir.graph import Builder
from tinytorch.ir.op import apply
from tinytorch.ir.ops.convolution import conv2d
from tinytorch.ir.ops.packed_convolution import conv2d_packed, packed_weights
from tinytorch.ir.ops.view import pad
from tinytorch.ir.types import DType, TensorType, f32, i8, i32, u8
from tinytorch.ir.windows import output_size, padded
from tinytorch.passes.freeze import freeze_inputs
from tinytorch.runtime.llvm.conv.kernel import emit
from tinytorch.runtime.llvm.text.builder import Module
from tinytorch.runtime.llvm.text.jit import emit_assembly
from tinytorch.runtime.llvm.text.target import Target

PAIRS = [(u8, i8), (i8, i8), (u8, u8), (i8, u8)]
TARGETS = {"host": HOST, "avx2": Target.named("avx2"), "sse2": Target.named("sse2")}
if HOST.name == "avx512":
    TARGETS["avx512"] = Target.named("avx512")
    if HOST.has_vnni:
        TARGETS["vnni in 256 bits"] = replace(HOST, vector_bytes=32)


@dataclass(frozen=True)
class Case:
    """`channels` and `columns` are those of a group; weights are at most `most`."""

    pair: tuple[DType, DType] = (u8, i8)
    batch: int = 2
    size: tuple[int, int] = (5, 6)
    channels: int = 3
    columns: int = 5
    groups: int = 1
    window: tuple[int, int] = (3, 3)
    stride: tuple[int, int] = (1, 1)
    low: tuple[int, int] = (0, 0)
    high: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    group: int = 4
    width: int = 16
    most: tuple[int, int] = (255, 255)
    around: int = 0

    @property
    def outputs(self):
        axes = zip(self.size, self.window, self.stride, self.low, self.high, self.dilation, strict=True)
        return tuple(output_size(*axis) for axis in axes)

    @property
    def attrs(self):
        names = ("stride", "low", "high", "dilation", "groups")
        return {name: getattr(self, name) for name in names}

    @property
    def packing(self):
        columns = self.groups * self.columns
        return {
            "window": self.window, "columns": columns, "size": self.group, "weights": self.pair[1], "most": self.most,
            "around": self.around,
        }  # fmt: skip


def drawn(rng, shape, dtype, most):
    """Numbers of magnitudes up to `most`, the largest often."""
    low, high = (max(-most, dtype.limits[0]), min(most, dtype.limits[1]))
    x = rng.integers(low, high, shape, endpoint=True)
    return np.where(rng.random(shape) < 0.4, rng.choice([low, high], shape), x).astype(dtype.numpy)


def drawn_case(rng):
    def pair(low, high):
        return (int(rng.integers(low, high + 1)), int(rng.integers(low, high + 1)))

    while True:
        case = Case(
            pair=PAIRS[rng.integers(4)],
            batch=int(rng.choice([1, 2, 5])),
            size=tuple(int(n) for n in rng.choice([1, 2, 3, 5, 8, 17], 2)),
            channels=int(rng.choice([1, 2, 3, 4, 5, 8, 16, 30, 33, 64])),
            columns=int(rng.choice([1, 3, 8, 16, 20, 33, 64])),
            groups=int(rng.choice([1, 1, 2, 3])),
            window=pair(1, 4),
            stride=pair(1, 3),
            low=pair(-1, 2),
            high=pair(-1, 2),
            dilation=pair(1, 2),
            group=int(rng.choice([2, 4, 4])),
            width=int(rng.choice([5, 8, 16, 32, 64])),
            most=[(255, 255), (255, 64), (127, 63), (255, 1)][rng.integers(4)],
            around=int(rng.choice([0, 0, 3, 127])),
        )
        if min(case.outputs) >= 1:
            return case


def operands(case, rng, layout="channels last"):
    """Images, weights, and weights in groups."""
    image = (case.batch, *case.size, case.groups * case.channels)
    x = laid(image, layout, lambda shape: drawn(rng, shape, case.pair[0], case.most[0]))
    w = drawn(rng, (*case.window, case.channels, case.groups * case.columns), case.pair[1], case.most[1])
    how = {"groups": case.groups, "dilation": case.dilation[1], "size": case.group, "width": case.width}
    return x, w, np.ascontiguousarray(packed_weights(tt.tensor(w), **how).numpy())


def emitted(case, x, packed, out, target):
    builder = Builder()
    inputs = [builder.input(type_of(a)) for a in (x, packed)]
    node = builder.append(conv2d_packed, inputs, {**case.attrs, **case.packing})
    module = Module(target.attributes)
    return module, emit(module, "conv", kernel_of(node, [operand_of(x), operand_of(packed)], [operand_of(out)]), target)


def check(case, rng, target, layout="channels last", results="channels last"):
    x, w, packed = operands(case, rng, layout)
    padding = {"low": (0, 0), "high": (0, 0)}
    wanted = conv2d.eval(padded(x, case.low, case.high, case.around), w, dtype=i32, **{**case.attrs, **padding})
    evaluated = conv2d_packed.eval(x, packed, **case.attrs, **case.packing)
    np.testing.assert_array_equal(evaluated, wanted, str(case))
    out = Result(wanted.shape, i32, results)
    module, kernel = emitted(case, x, packed, out.view, target)
    execute(module, kernel, [x, packed, out.view], target, threads=2)
    np.testing.assert_array_equal(out.taken(), wanted, f"{case}, {layout}, {results}")


@pytest.mark.parametrize("name", TARGETS)
def test_drawn_convolutions(name):
    rng = np.random.default_rng([7, list(TARGETS).index(name)])
    for _ in range(12 if name == "host" else 6):
        check(drawn_case(rng), rng, TARGETS[name], str(rng.choice(LAYOUTS)), str(rng.choice(RESULTS)))


SHAPES = {
    "in place": Case(channels=8, columns=70, size=(9, 9), width=64),
    "padded": Case(channels=32, columns=64, size=(8, 8), low=(1, 1), high=(1, 1), width=64),
    "a first layer": Case(channels=3, columns=32, size=(12, 12), low=(1, 1), high=(1, 1), width=32),
    "one channel": Case(channels=1, columns=16, size=(9, 11), window=(5, 5), low=(2, 2), high=(2, 2)),
    "depthwise": Case(channels=1, columns=1, groups=9, low=(1, 1), high=(1, 1)),
    "tiny images": Case(batch=30, channels=16, columns=32, size=(2, 2), low=(1, 1), high=(1, 1), width=32),
}


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("shape", SHAPES)
def test_shapes(shape, name):
    rng = np.random.default_rng(1)
    for i, (group, most) in enumerate([(2, (255, 255)), (4, (255, 255)), (4, (255, 64)), (4, (127, 64))]):
        check(replace(SHAPES[shape], group=group, most=most, pair=PAIRS[i if i < 2 else 0]), rng, TARGETS[name])


@pytest.mark.parametrize(
    ("name", "instruction"),
    [
        ("avx512_vnni", "vpdpbusd"),
        ("avx_vnni", "vpdpbusd"),
        ("avx512", "vpmaddwd"),
        ("avx2", "vpmaddwd"),
        ("sse2", "pmaddwd"),
        ("neon_dot", "sdot"),
        ("neon", "mla"),
    ],
)
def test_instructions(name, instruction):
    """Assembled for machines that this one need not be; nothing saturates."""
    target = Target.named(name)
    costs, rng = target.costs, np.random.default_rng(2)
    for pair in PAIRS:
        case = Case(pair=pair, channels=16, columns=32, low=(1, 1), group=costs.byte_group or 4)
        x, _, packed = operands(case, rng)
        out = np.zeros((case.batch, *case.outputs, case.columns), np.int32)
        module, _ = emitted(case, x, packed, out, target)
        assembly = emit_assembly(module.text(), target)
        assert (instruction.replace("sdot", "udot") if pair[1] is u8 else instruction) in assembly
        assert "maddubs" not in assembly and "vpdpbusds" not in assembly, "these saturate"


@pytest.mark.parametrize("name", ["avx2", "avx512"])
@pytest.mark.parametrize(("most", "count"), [((255, 64), 1), ((127, 64), 2), ((255, 65), 0), ((128, 128), 0)])
def test_sums_of_16_bits_only_where_they_fit(most, count, name):
    """So many of them to each widening."""
    target, rng = Target.named(name), np.random.default_rng(3)
    case = Case(channels=16, columns=16, most=most)
    x, _, packed = operands(case, rng)
    out = np.zeros((case.batch, *case.outputs, case.columns), np.int32)
    module, _ = emitted(case, x, packed, out, target)
    lines = [line.split() for line in emit_assembly(module.text(), target).splitlines()]
    found, widened = (sum(1 for words in lines if words[:1] == [name]) for name in ("vpmaddubsw", "vpmaddwd"))
    assert found == count * widened


# Layers as networks have them, from the functions that users call to machine code.


def layer(case, x, weight, zero, scale, bias, other=None, pooled=False):
    """A quantized convolution: what its sums become, before they are bytes again."""
    (top, left), (bottom, right) = case.low, case.high
    x = F.pad(x, (left, right, top, bottom), value=case.around)
    how = {"stride": case.stride, "dilation": case.dilation, "groups": case.groups}
    y = (F.conv2d(x, weight, **how, dtype="i32") - zero).cast(f32) * scale + bias
    y = F.relu(y if other is None else y + other.cast(f32) * 0.5)
    return F.max_pool2d((y * 3.0).round().cast(u8), 2) if pooled else (y * 3.0).round().cast(case.pair[0])


def parameters(case, rng):
    """Weights, what the number around images adds to their sums, scales and biases."""
    columns, depth = case.groups * case.columns, case.channels * case.window[0] * case.window[1]
    weight = drawn(rng, (columns, case.channels, *case.window), case.pair[1], case.most[1])
    zero = (case.around * weight.astype(np.int64).sum((1, 2, 3))).astype(np.int32).reshape(-1, 1, 1)
    scale = rng.uniform(0.5, 1.5, zero.shape) / (case.most[0] * case.most[1] * depth**0.5) * 60
    return [weight, zero, scale.astype(np.float32), rng.normal(size=zero.shape).astype(np.float32)]


@pytest.mark.parametrize(("pooled", "residual"), [(False, False), (True, False), (False, True)])
def test_layers_give_the_same_bytes_everywhere(pooled, residual):
    rng = np.random.default_rng([11, pooled, residual])
    for i in range(4):
        case = replace(drawn_case(rng), window=(3, 3), low=(1, 1), high=(1, 1), dilation=(1, 1))
        case = replace(case, size=(8, 10), stride=(1, 1)) if pooled else case
        case = replace(case, around=min(case.around, case.most[0]))
        x = drawn(rng, (case.batch, case.groups * case.channels, *case.size), case.pair[0], case.most[0])
        arrays = [x, *parameters(case, rng)]
        if residual:
            arrays.append(drawn(rng, (case.batch, case.groups * case.columns, *case.outputs), u8, 255))
        tensors = list(map(tt.tensor, arrays))
        function = partial(layer, case, pooled=pooled)
        wanted = function(*tensors).numpy()
        for backend in ("llvm", "interpreter"):
            run = tt.compile(function, backend=backend)
            np.testing.assert_array_equal(run(*tensors).numpy(), wanted, str(case))
        graph = run.traced_graph
        frozen = freeze_inputs(graph, dict(zip(graph.inputs[1:5], arrays[1:5], strict=True)))
        for target in (HOST, list(TARGETS.values())[1 + i % (len(TARGETS) - 1)]):
            (found,) = compiled(frozen, [arrays[0], *arrays[5:]], target)
            np.testing.assert_array_equal(found, wanted, f"{case}, {target.name}")


BLOCKS = [
    ((2, 2), (8, 20), 5), ((2, 2), (6, 4), 3), ((2, 2), (2, 2), 40), ((1, 3), (3, 9), 2), ((4, 1), (8, 7), 2),
    ((2, 3), (4, 6), 3), ((5, 5), (5, 10), 1),
]  # fmt: skip


@pytest.mark.parametrize("name", TARGETS)
def test_pooled_sums(name):
    """In registers where a tile has room for a window, else from memory, for a result in any order of axes."""
    rng = np.random.default_rng(13)
    for i, (window, size, batch) in enumerate(BLOCKS):
        x = drawn(rng, (batch, 6, *size), u8, 255)
        w = drawn(rng, (20, 3, 3, 3), i8, (127, 64)[i % 2])

        def function(x, window=window, w=w):
            sums = F.conv2d(x, tt.tensor(w), padding=1, groups=2, dtype="i32")
            return F.max_pool2d(sums, window) + 1 if window[0] % 2 else F.max_pool2d(sums, window)

        run = tt.compile(function, backend="interpreter", freeze=True)
        wanted = run(tt.tensor(x)).numpy()
        np.testing.assert_array_equal(function(tt.tensor(x)).numpy(), wanted)
        graph = run.traced_graph
        frozen = freeze_inputs(graph, dict.fromkeys(graph.inputs[1:], w))
        (found,) = compiled(frozen, [x], TARGETS[name])
        np.testing.assert_array_equal(found, wanted, f"{window} of {size} on {name}")


PLAIN = {"stride": (1, 1), "low": (0, 0), "high": (0, 0), "dilation": (1, 1), "groups": 1, "dtype": i32}


@pytest.mark.parametrize("name", ["host", "avx2"])
def test_convolutions_share_their_weights(name):
    """Each has them in a layout of its own where it has other groups or another dilation."""
    rng = np.random.default_rng(14)
    b = Builder("shared")
    x, pairs, w = (b.input(TensorType(*of)) for of in ((u8, (2, 7, 8, 3)), (u8, (2, 7, 8, 6)), (i8, (3, 3, 3, 24))))
    changes = ((x, {}), (x, {"dilation": (1, 2)}), (pairs, {"groups": 2}), (x, {"stride": (2, 3)}))
    graph = b.build([apply(conv2d, Expr(b, v), Expr(b, w), **{**PLAIN, **how}).value for v, how in changes])
    arrays = [drawn(rng, v.type.shape, v.type.dtype, 255) for v in graph.inputs]
    assert_same(compiled(graph, arrays, TARGETS[name]), expected(graph, arrays))


@pytest.mark.parametrize("name", ["host", "avx2"])
def test_convolutions_of_like_images_differ_around_them(name):
    """In what stands for zero, and in whether the images are moved by 128 to be multiplied."""
    rng = np.random.default_rng(15)
    b, outputs = Builder("around"), []
    for around, weights in ((3, i8), (100, i8), (3, u8)):
        x, w = b.input(TensorType(u8, (2, 5, 6, 8))), b.input(TensorType(weights, (3, 3, 8, 16)))
        sides = {"low": (0, 1, 1, 0), "high": (0, 1, 1, 0), "interior": (0,) * 4, "value": around}
        outputs.append(apply(conv2d, apply(pad, Expr(b, x), **sides), Expr(b, w), **PLAIN).value)
    graph = b.build(outputs)
    arrays = [drawn(rng, v.type.shape, v.type.dtype, 255) for v in graph.inputs]
    assert_same(compiled(graph, arrays, TARGETS[name]), expected(graph, arrays))


def test_a_network_stores_bytes_alone():
    """Between its layers; each is one kernel, and none has fewer products than its definition."""
    rng = np.random.default_rng(12)
    case = Case(channels=16, columns=16, size=(8, 8), low=(1, 1), high=(1, 1))
    first, second = ([tt.tensor(p) for p in parameters(case, rng)] for _ in range(2))

    def network(x):
        return layer(case, layer(case, x, *first, pooled=True), *second)

    x = tt.tensor(drawn(rng, (2, 16, 8, 8), u8, 255))
    run = tt.compile(network, freeze=True)
    np.testing.assert_array_equal(run(x).numpy(), network(x).numpy())
    kernels = [node for node in run.graph.nodes if node.op.name == "kernel"]
    convolutions = [node for node in kernels if node.attrs["family"] == "conv"]
    assert [node.attrs["body"].nodes[0].op for node in convolutions] == [conv2d_packed] * 2
    assert all(value.type.dtype is u8 for node in kernels for value in node.outputs)
