"""Single convolutions: forward, and the gradients of the images (dx) and of the weights (dw), each on its own.

Images and their gradients lie in memory with channels last for all but "torch" (contiguous, as it comes) and ONNX
Runtime (which has no other layout): for TinyTorch and jax as [batch, height, width, channels] arrays, for
"torch channels_last" and torch.compile as tensors in that memory format; nothing of that is converted in the time
measured. Weights are [out, in / groups, height, width] for TinyTorch, torch and ONNX Runtime, and
[height, width, in / groups, out] for jax. All but eager torch as it comes keep freed memory (`allocator.py`).
Arithmetic counts every place of every window, those in the padding too.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.allocator import keep_freed_memory
from benchmarks.registry import Case, Targets, Workload, random, register
from benchmarks.workloads.onnx_models import session_of

Array = NDArray[Any]
Direction = Literal["forward", "dx", "dw"]


@dataclass(frozen=True)
class Shape:
    """A square window; `size` is the height and width of the images."""

    batch: int
    channels: int
    out_channels: int
    size: tuple[int, int]
    window: int
    stride: int = 1
    padding: int = 0
    groups: int = 1
    dilation: int = 1

    @property
    def name(self) -> str:
        kind = "conv" if self.groups == 1 else "depthwise" if self.groups == self.channels else f"groups{self.groups}"
        stride = f"s{self.stride}" if self.stride > 1 else ""
        stride += f"d{self.dilation}" if self.dilation > 1 else ""
        height, width = self.size
        return (
            f"{kind}{self.window}x{self.window}{stride}_b{self.batch}_{self.channels}to{self.out_channels}"
            f"_{height}x{width}"
        )

    @property
    def images(self) -> tuple[int, int, int, int]:
        return (self.batch, self.channels, *self.size)

    @property
    def weights(self) -> tuple[int, int, int, int]:
        return (self.out_channels, self.channels // self.groups, self.window, self.window)

    @property
    def outputs(self) -> tuple[int, int, int, int]:
        reach = self.dilation * (self.window - 1) + 1
        height, width = ((n + 2 * self.padding - reach) // self.stride + 1 for n in self.size)
        return (self.batch, self.out_channels, height, width)

    @property
    def terms(self) -> int:
        """Products in one element of the outputs."""
        return self.weights[1] * self.window**2

    @property
    def options(self) -> dict[str, int]:
        names = ("stride", "padding", "groups", "dilation")
        return {name: getattr(self, name) for name in names}


SHAPES = (
    Shape(128, 32, 64, (16, 16), 3, padding=1),
    Shape(128, 3, 32, (32, 32), 3, padding=1),
    Shape(32, 64, 128, (8, 8), 3, padding=1),
    Shape(32, 128, 256, (14, 14), 1),
    Shape(8, 3, 64, (112, 112), 7, stride=2, padding=3),
    Shape(32, 128, 128, (28, 28), 3, padding=1, groups=128),
)
ODD_SHAPES = (
    Shape(16, 48, 80, (13, 13), 3, padding=1),
    Shape(4, 17, 33, (31, 29), 3, stride=2, padding=1),
    Shape(7, 20, 50, (23, 19), 5, padding=2),
    Shape(2, 100, 36, (9, 41), 1),
)


def images(shape: Shape) -> Array:
    return random(*shape.images, seed=1)


def weights(shape: Shape) -> Array:
    return random(*shape.weights, seed=2, scale=shape.terms**-0.5)


def gradients(shape: Shape) -> Array:
    """Of the result of the forward convolution."""
    return random(*shape.outputs, seed=3)


def operands(shape: Shape, direction: Direction) -> tuple[Array, Array]:
    """What the direction reads: images or gradients first, and weights where there are any last."""
    if direction == "forward":
        return images(shape), weights(shape)
    if direction == "dx":
        return gradients(shape), weights(shape)
    return images(shape), gradients(shape)


def channels_last(x: Array) -> Array:
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))


def channels_first(x: Array) -> Array:
    return x.transpose(0, 3, 1, 2)


# ---- TinyTorch ----------------------------------------------------------------------------------------------


def tinytorch_function(shape: Shape, direction: Direction) -> Callable[..., Any]:
    """Takes and gives images with channels last; weights as the framework has them."""
    import tinytorch as tt

    def convolved(x: Any, w: Any) -> Any:
        return tt.conv2d(x.permute(0, 3, 1, 2), w, **shape.options).permute(0, 2, 3, 1)

    def dx(x: Any, g: Any, w: Any) -> Any:
        return tt.grad(lambda x: (convolved(x, w) * g).sum())(x)

    def dw(w: Any, x: Any, g: Any) -> Any:
        return tt.grad(lambda w: (convolved(x, w) * g).sum())(w)

    return {"forward": convolved, "dx": dx, "dw": dw}[direction]


def tinytorch_convolution(shape: Shape, direction: Direction) -> Case:
    """A gradient is that of the product with `g`; of its own argument, which is not read, only the shape counts."""
    import tinytorch as tt

    function = tt.compile(tinytorch_function(shape, direction))
    arrays = [channels_last(a) if a.shape != shape.weights else a for a in operands(shape, direction)]
    if direction == "dx":
        arrays.insert(0, channels_last(np.zeros(shape.images, np.float32)))
    elif direction == "dw":
        arrays.insert(0, np.zeros(shape.weights, np.float32))
    tensors = [tt.Tensor(array) for array in arrays]

    def read() -> dict[str, Array]:
        result = function(*tensors).numpy()
        return {"y": result if direction == "dw" else channels_first(result)}

    return Case(lambda: function(*tensors), read)


# ---- torch --------------------------------------------------------------------------------------------------


def torch_convolution(shape: Shape, direction: Direction, last: bool = False, compiled: bool = False) -> Case:
    """A gradient by the operator that autograd calls, told to compute only that one."""
    import torch

    if last:
        keep_freed_memory()
    layout = torch.channels_last if last else torch.contiguous_format
    pair = [torch.from_numpy(array).contiguous(memory_format=layout) for array in operands(shape, direction)]
    unread = torch.empty(shape.images if direction == "dx" else shape.weights).contiguous(memory_format=layout)

    def gradient(g: Any, x: Any, w: Any) -> Any:
        around = [shape.stride] * 2, [shape.padding] * 2, [shape.dilation] * 2
        geometry = *around, False, [0, 0], shape.groups
        wanted = [direction == "dx", direction == "dw", False]
        return torch.ops.aten.convolution_backward(g, x, w, None, *geometry, wanted)[direction == "dw"]

    def function(a: Any, b: Any) -> Any:
        if direction == "forward":
            return torch.nn.functional.conv2d(a, b, **shape.options)
        return gradient(a, unread, b) if direction == "dx" else gradient(b, a, unread)

    torch.compiler.reset()  # what it knows of other shapes would make it compile for any, and give up after eight
    called = torch.compile(function, fullgraph=True) if compiled else function

    def step() -> Any:
        with torch.no_grad():
            return called(*pair)

    return Case(step, lambda: {"y": step().numpy()})


# ---- jax ----------------------------------------------------------------------------------------------------


def jax_convolution(shape: Shape, direction: Direction) -> Case:
    """A gradient by transposing the convolution, which is linear in the argument."""
    import jax
    import jax.numpy as jnp

    def convolved(x: Any, w: Any) -> Any:
        around = [(shape.padding, shape.padding)] * 2
        return jax.lax.conv_general_dilated(
            x,
            w,
            (shape.stride, shape.stride),
            around,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=shape.groups,
            rhs_dilation=(shape.dilation, shape.dilation),
        )

    like_images = jax.ShapeDtypeStruct(channels_last(images(shape)).shape, np.float32)
    like_weights = jax.ShapeDtypeStruct(weights(shape).transpose(2, 3, 1, 0).shape, np.float32)

    def dx(g: Any, w: Any) -> Any:
        return jax.linear_transpose(lambda x: convolved(x, w), like_images)(g)[0]

    def dw(x: Any, g: Any) -> Any:
        return jax.linear_transpose(lambda w: convolved(x, w), like_weights)(g)[0]

    keep_freed_memory()
    function = jax.jit({"forward": convolved, "dx": dx, "dw": dw}[direction])
    pair = [
        jnp.asarray(a.transpose(2, 3, 1, 0) if a.shape == shape.weights else channels_last(a))
        for a in operands(shape, direction)
    ]

    def read() -> dict[str, Array]:
        result = np.asarray(function(*pair))
        return {"y": result.transpose(3, 2, 0, 1) if direction == "dw" else channels_first(result)}

    return Case(lambda: function(*pair).block_until_ready(), read)


# ---- ONNX Runtime -------------------------------------------------------------------------------------------


def onnxruntime_convolution(shape: Shape) -> Case:
    """Forward only, with constant weights."""
    from onnx import helper

    node = helper.make_node(
        "Conv",
        ["x", "w"],
        ["y"],
        kernel_shape=(shape.window,) * 2,
        pads=(shape.padding,) * 4,
        strides=(shape.stride,) * 2,
        group=shape.groups,
        dilations=(shape.dilation,) * 2,
    )
    run = session_of([node], {"x": images(shape)}, shape.outputs, {"w": weights(shape)})
    return Case(run, lambda: {"y": run()})


# ---- rows ---------------------------------------------------------------------------------------------------


def _goal(shape: Shape, direction: Direction) -> float:
    """The part of the limit to reach; a depthwise convolution's limit is the bandwidth."""
    if shape.groups > 1:
        return 0.85
    if min(shape.channels, shape.out_channels) < 16:
        return 0.5
    return 0.85 if direction == "forward" else 0.75


def _register(shape: Shape, direction: Direction) -> None:
    at = (shape, direction)
    builders: dict[str, Callable[[], Case]] = {
        "tinytorch": functools.partial(tinytorch_convolution, *at),
        "torch": functools.partial(torch_convolution, *at),
        "torch channels_last": functools.partial(torch_convolution, *at, last=True),
        "torch.compile": functools.partial(torch_convolution, *at, last=True, compiled=True),
        "jax": functools.partial(jax_convolution, *at),
    }
    if direction == "forward":
        builders["onnxruntime"] = functools.partial(onnxruntime_convolution, shape)
    outputs = int(np.prod(shape.outputs))
    # Rounding errors of a long sum of random signs, added one by one, grow with its length.
    atol = 4e-7 * outputs / shape.out_channels if direction == "dw" else 4e-6 * shape.terms**0.5
    register(
        Workload(
            f"{shape.name}_{direction}",
            builders,
            flops=2.0 * outputs * shape.terms,
            bytes=4.0 * (np.prod(shape.images) + outputs + np.prod(shape.weights)),
            limit="copy" if shape.groups > 1 else "fma",
            rtol=1e-3,
            atol=atol,
            suites=("vision",),
            targets=Targets(limit=_goal(shape, direction)),
        )
    )


for _shape in (*SHAPES, *ODD_SHAPES):
    for _direction in ("forward", "dx", "dw"):
        _register(_shape, _direction)
