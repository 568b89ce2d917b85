"""Drawn convolutions, and running their kernels in guarded memory, chunks in any order, beside the reference."""

import math
from dataclasses import dataclass

import numpy as np

from tests.runtime.llvm.index.kernels import Guarded, operand_of
from tests.runtime.llvm.running import execute
from tinytorch.ir.ops.convolution import conv2d, conv2d_weight_grad
from tinytorch.ir.types import DType, bf16, f16, f32, f64, i8, i32, i64, u8
from tinytorch.ir.windows import output_size
from tinytorch.runtime.llvm.conv.depthwise import emit_depthwise, suits_blocks
from tinytorch.runtime.llvm.conv.forward import emit_conv
from tinytorch.runtime.llvm.conv.layout import Convolution
from tinytorch.runtime.llvm.conv.weight import emit_conv_weight_grad
from tinytorch.runtime.llvm.text.builder import Module
from tinytorch.runtime.llvm.text.target import Target

DTYPES = [f32, f64, bf16, f16, i8, u8, i32, i64]
HOST = Target.host()


@dataclass(frozen=True)
class Case:
    """A convolution; `channels` and `columns` (output channels) are those of one group."""

    dtype: DType = f32
    batch: int = 2
    size: tuple[int, int] = (5, 6)
    channels: int = 3
    columns: int = 4
    groups: int = 1
    window: tuple[int, int] = (3, 3)
    stride: tuple[int, int] = (1, 1)
    low: tuple[int, int] = (0, 0)
    high: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)

    @property
    def attrs(self):
        return {"stride": self.stride, "low": self.low, "dilation": self.dilation, "groups": self.groups}

    @property
    def outputs(self):
        axes = zip(self.size, self.window, self.stride, self.low, self.high, self.dilation, strict=True)
        return tuple(output_size(*axis) for axis in axes)

    @property
    def image_shape(self):
        return (self.batch, *self.size, self.groups * self.channels)

    @property
    def weight_shape(self):
        return (*self.window, self.channels, self.groups * self.columns)

    @property
    def result_shape(self):
        return (self.batch, *self.outputs, self.groups * self.columns)

    @property
    def fits(self):
        return min(self.outputs) >= 1


def drawn_case(rng, dtype=f32):
    """Small sizes around the edges of tiles and vectors; a window that fits."""

    def pair(low, high):
        return (int(rng.integers(low, high + 1)), int(rng.integers(low, high + 1)))

    while True:
        groups = int(rng.choice([1, 1, 1, 2, 3]))
        channels, columns = int(rng.choice([1, 2, 3, 5, 16, 33])), int(rng.choice([1, 2, 3, 8, 16, 20, 33, 64, 100]))
        if rng.random() < 0.2:
            groups, channels, columns = int(rng.choice([5, 16, 33, 70])), 1, int(rng.choice([1, 1, 1, 2]))
        low, high = (pair(0, 3), pair(0, 3)) if rng.random() < 0.7 else ((0, 0), (0, 0))
        if rng.random() < 0.1:
            low, high = pair(-2, 1), pair(-2, 1)
        case = Case(
            dtype=dtype,
            batch=int(rng.choice([1, 2, 3, 5, 11])),
            size=tuple(int(n) for n in rng.choice([1, 2, 3, 4, 5, 7, 8, 9, 16, 17], 2)),
            channels=channels,
            columns=columns,
            groups=groups,
            window=pair(1, 4),
            stride=pair(1, 3),
            low=low,
            high=high,
            dilation=pair(1, 2),
        )
        if case.fits:
            return case


def random(rng, shape, dtype):
    if dtype.is_float:
        return rng.standard_normal(shape).astype(dtype.numpy)
    info = np.iinfo(dtype.numpy)
    return rng.integers(max(info.min, -(2**31)), min(info.max, 2**31), shape).astype(dtype.numpy)


def whole(rng, shape, dtype):
    """Small whole numbers: their sums are exact in every dtype and any order."""
    return rng.integers(0 if dtype.kind == "uint" else -1, 2, shape).astype(dtype.numpy)


LAYOUTS = ["channels last", "planes", "images last", "mirrored", "repeated"]
ALONG_LAST = ["channels last", "gaps", "flipped", "repeated"]  # neighbours of the last axis lie side by side
RESULTS = ["channels last", "planes", "mirrored", "gaps"]


def laid(shape, layout, make):
    """An array of that shape in memory of another order, with steps, or with repeats; `make(shape)` has a plain one."""
    n, h, w, c = shape
    if layout == "planes":
        return make((n, c, h, w)).transpose(0, 2, 3, 1)
    if layout == "images last":
        return make((w, n, c, h)).transpose(1, 3, 0, 2)
    if layout == "mirrored":
        return make((2 * n, h, 2 * w, 3 * c))[::2, ::-1, ::-2, ::3]
    if layout == "gaps":
        return make((n, h, 2 * w, c + 5))[:, :, ::2, :c]
    if layout == "flipped":
        return make(shape)[::-1, ::-1]
    if layout == "repeated":
        return np.broadcast_to(make((1, h, 1, c)), shape)
    return make(shape)


class Result:
    """An array inside of marked memory: what is between and around its elements must stay as it was."""

    def __init__(self, shape, dtype, layout="channels last"):
        def make(shape):
            self.memory = Guarded(math.prod(shape) * dtype.size)
            return self.memory.inside.view(dtype.numpy).reshape(shape)

        self.view = laid(shape, layout, make)

    def taken(self):
        """The elements, once it is known that nothing else was written."""
        found = self.view.copy()
        self.view[...] = np.frombuffer(b"\xa5" * found.itemsize, found.dtype)[0]
        assert (self.memory.raw == 0xA5).all(), "wrote outside of a result"
        return found


def convolution(case, images):
    return Convolution(operand_of(images), case.outputs, case.window, columns=case.columns, **case.attrs)


def emit(module, name, case, op, a, b, out, target, epilogue=None):
    """The kernel, by its definition even where there are quicker ways."""
    conv, b, out = convolution(case, a), operand_of(b), operand_of(out)
    forward = emit_depthwise if suits_blocks(conv, epilogue) else emit_conv
    write = forward if op is conv2d else emit_conv_weight_grad
    return write(module, name, conv, b, out, target, epilogue)


def run(case, op, a, b, *, layout="channels last", target=HOST, epilogue=None, others=(), seed=0, threads=1):
    """(the result, the kernel)."""
    shape = case.result_shape if op is conv2d else case.weight_shape
    out = Result(shape, case.dtype, layout)
    module = Module(target.attributes)
    kernel = emit(module, "conv", case, op, a, b, out.view, target, epilogue)
    execute(module, kernel, [a, b, out.view, *others], target, seed, threads)
    return out.taken(), kernel


def reference(case, op, a, b):
    """The result in float64, or wrapping in int64, and how far the kernel's may be from it.

    A sum of k products is off by at most k eps times the sum of their magnitudes, in the dtype of the sums, and then
    rounded to that of the result.
    """
    more = {"high": case.high} if op is conv2d else {"window": case.window}
    if not case.dtype.is_float:
        exact = op.eval(a.astype(np.int64), b.astype(np.int64), **case.attrs, **more)
        return exact.astype(case.dtype.numpy), 0
    exact = op.eval(a.astype(np.float64), b.astype(np.float64), **case.attrs, **more)
    sizes = op.eval(abs(a.astype(np.float64)), abs(b.astype(np.float64)), **case.attrs, **more)
    terms = case.window[0] * case.window[1] * case.channels if op is conv2d else case.batch * math.prod(case.outputs)
    eps = np.finfo(np.float64 if case.dtype is f64 else np.float32).eps
    rounding = {f16: 2.0**-11, bf16: 2.0**-8}.get(case.dtype, 0.0)
    subnormal = 2.0**-25 if case.dtype is f16 else 1e-30
    return exact, sizes * eps * (terms + 1) + abs(exact) * rounding * 1.01 + subnormal


def check(case, op, a, b, *, target=HOST, layout="channels last"):
    """Run, and compare with the reference; the kernel."""
    found, kernel = run(case, op, a, b, target=target, layout=layout)
    which = f"{op.name} for {target.name}, {case}, images {a.strides}, other operand {b.strides}, result {layout}"
    assert_near(case, op, a, b, found, which)
    return kernel


def assert_near(case, op, a, b, found, which):
    wanted, bound = reference(case, op, a, b)
    if case.dtype.is_float:
        error = abs(found.astype(np.float64) - wanted)
        assert (error <= bound).all(), f"{which}: off by {np.max(error - bound)} more than rounding"
    else:
        assert (found == wanted).all(), which


def check_both(case, rng, *, images="channels last", others="channels last", results="channels last", target=HOST):
    """The convolution and the gradient of its weights."""

    def draw(shape):
        return random(rng, shape, case.dtype)

    x = laid(case.image_shape, images, draw)
    w = laid(case.weight_shape, others, draw)
    g = laid(case.result_shape, others, draw)
    check(case, conv2d, x, w, layout=results, target=target)
    check(case, conv2d_weight_grad, x, g, layout=results, target=target)
