"""Convolutions of bytes by weights in groups: every way to multiply them, on every target, bit for bit."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

import tinytorch as tt
from tests.convolutions import HOST, LAYOUTS, RESULTS, Result, execute, laid
from tests.runtime.llvm.index.kernels import kernel_of, operand_of, type_of
from tinytorch.ir.graph import Builder
from tinytorch.ir.ops.convolution import conv2d
from tinytorch.ir.ops.packed_convolution import conv2d_packed, packed_weights
from tinytorch.ir.types import DType, i8, i32, u8
from tinytorch.ir.windows import output_size, padded
from tinytorch.runtime.llvm.conv.kernel import emit
from tinytorch.runtime.llvm.text.builder import Module
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
