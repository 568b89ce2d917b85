"""Layers of convolutions and of transposed convolutions, and what convolutions cost.

Conv2d with i channels in, o out, windows of k by k, on a batch of b images, with outputs of h by w:

- Training memory, in elements: weights k² i o, as much again for their gradients (and for each moment that the
  optimizer keeps), outputs b o h w, and the inputs, which the weights' gradient reads. Operations: 2 k² i o b h w,
  and as many for each of the two gradients. A Linear between the same images has i h w o h w weights, h² w² / k² times
  as many.
- im2col, which turns a convolution into one matrix product, writes every window out: b h w k² i elements, k² times the
  image. The kernels here read the windows in place, and so do without.
- Winograd's F(m, k) computes m by m outputs with (m + k - 1)² products instead of m² k²: for 3 by 3 windows 2.25 times
  fewer with m = 2, 4 times with m = 4. It pays with transforms of every tile, (m + k - 1)² / m² times the image in
  memory, weights larger by (m + k - 1)² / k², and rounding errors that grow fast with m (Lavin & Gray 2016).
- Depthwise separable: a convolution with groups = i, then one of 1 by 1. It takes k² i + i o weights and operations per
  output place instead of k² i o, a fraction 1 / o + 1 / k² (Howard et al. 2017). But the depthwise part does only 2 k²
  operations for each element that it reads, so memory bounds its speed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tinytorch.frontend import arguments
from tinytorch.frontend.functions.creation import zeros
from tinytorch.frontend.functions.random import Generator, require_cpu
from tinytorch.frontend.module import Module, Parameter, init
from tinytorch.frontend.spatial.arguments import SPATIAL, Ints, Size, count, error, sizes
from tinytorch.frontend.spatial.functions import (
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
    paddings,
)
from tinytorch.frontend.spatial.padding import pad
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.op import Array
from tinytorch.ir.types import f32


class _Convolution(Module):
    """What convolutions and their transposes share: arguments, weights and their initial values."""

    rank: int
    transposed: bool = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size,
        dilation: Size,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: str | None,
        dtype: object,
        initialization: str,
        generator: Generator | None,
    ) -> None:
        super().__init__()
        name, rank = type(self).__name__, self.rank
        if device is not None:
            require_cpu(device)
        modes = ("zeros",) if self.transposed else ("zeros", "reflect", "replicate", "circular")
        self.padding_mode = arguments.choice(name, "padding_mode", padding_mode, *modes)
        dtype = f32 if dtype is None else dtype
        self.in_channels = count(name, "in_channels", in_channels)
        self.out_channels = count(name, "out_channels", out_channels)
        self.groups = count(name, "groups", groups)
        arguments.flag(name, "bias", bias)
        for what, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % self.groups:
                raise error(f"{name}: {what} is {channels}, which {groups} groups do not divide")
        self.kernel_size = sizes(name, "kernel_size", kernel_size, rank)
        self.stride, self.dilation = sizes(name, "stride", stride, rank), sizes(name, "dilation", dilation, rank)
        first, second = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        self.weight = Parameter(zeros(first, second // groups, *self.kernel_size, dtype=dtype))
        self.bias = Parameter(zeros(out_channels, dtype=dtype)) if bias else None
        self.initialization, self.generator = initialization, generator
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew, as they were drawn at first."""
        init.initialize_(type(self).__name__, self.weight, self.bias, self.initialization, self.generator)

    def resized(self, kept: Mapping[str, tuple[Array, ...]]) -> None:
        if "weight" not in kept:
            return
        first, second = self.weight.shape[:2]
        before = self.in_channels if self.transposed else self.out_channels
        left = kept["weight"][0].reshape(-1)  # along the axis that has all groups, one after the other
        blocks = [set(range(at, at + before // self.groups)) for at in range(0, before, before // self.groups)]
        if all(block <= {*left.tolist()} or block.isdisjoint(left.tolist()) for block in blocks):
            self.groups = sum(not block.isdisjoint(left.tolist()) for block in blocks)
        self.in_channels, self.out_channels = (
            (first, second * self.groups) if self.transposed else (second * self.groups, first)
        )

    def extra_repr(self) -> str:
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        zeros, ones = (0,) * self.rank, (1,) * self.rank
        usual = {"padding": zeros, "dilation": ones, "output_padding": zeros, "groups": 1}
        parts += [f"{k}={getattr(self, k)}" for k, v in usual.items() if getattr(self, k, v) != v]
        parts += [] if self.bias is not None else ["bias=False"]
        parts += [] if self.padding_mode == "zeros" else [f"padding_mode={self.padding_mode}"]
        return ", ".join(parts)


class _Direct(_Convolution):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: str | None = None,
        dtype: object = None,
        initialization: str = "default",
        generator: Generator | None = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, dilation, groups, bias, padding_mode, device, dtype,
            initialization, generator,
        )  # fmt: skip
        low, high = paddings(type(self).__name__, padding, self.kernel_size, self.stride, self.dilation)
        self.padding: Ints | str = padding if isinstance(padding, str) else low
        self._around = tuple(n for pair in zip(reversed(low), reversed(high), strict=True) for n in pair)

    def _padded(self, input: Tensor) -> tuple[Tensor, Ints | str]:
        """The input with the elements of `padding_mode` around it, and the zeros that are still to come."""
        if self.padding_mode == "zeros":
            return input, self.padding
        return pad(input, self._around, self.padding_mode), (0,) * self.rank


class Conv1d(_Direct):
    """Convolution [batch, in_channels, length] to [batch, out_channels, …]; arguments as those of `Conv2d`."""

    rank = 1

    def forward(self, input: Tensor) -> Tensor:
        x, padding = self._padded(input)
        return conv1d(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class Conv2d(_Direct):
    """Convolution [batch, in_channels, height, width] to [batch, out_channels, …], as `functional.conv2d`.

    weight is [out_channels, in_channels / groups, window height, window width], bias [out_channels]. `initialization`
    of the weight: "default" as in PyTorch, uniform with bound 1 / sqrt(fan_in) (as the bias), fan_in being how many
    products an output sums; "xavier" or "he", uniform with the variances given in `init`, with a bias of zeros.
    `padding_mode` is "zeros", or "reflect", "replicate" or "circular" as in `functional.pad`.
    """

    rank = 2

    def forward(self, input: Tensor) -> Tensor:
        x, padding = self._padded(input)
        return conv2d(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class Conv3d(_Direct):
    """Convolution [batch, in_channels, depth, height, width] to [batch, out_channels, …]; arguments as those of
    `Conv2d`."""

    rank = 3

    def forward(self, input: Tensor) -> Tensor:
        x, padding = self._padded(input)
        return conv3d(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class _Transposed(_Convolution):
    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Size = 1,
        padding_mode: str = "zeros",
        device: str | None = None,
        dtype: object = None,
        initialization: str = "default",
        generator: Generator | None = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, dilation, groups, bias, padding_mode, device, dtype,
            initialization, generator,
        )  # fmt: skip
        name = type(self).__name__
        self.padding = sizes(name, "padding", padding, self.rank, 0)
        self.output_padding = sizes(name, "output_padding", output_padding, self.rank, 0)
        for extra, step, spread in zip(self.output_padding, self.stride, self.dilation, strict=True):
            if extra >= max(step, spread):
                raise error(
                    f"{name}: output_padding is less than the stride or the dilation, got {extra} with stride {step} "
                    f"and dilation {spread}"
                )

    def _extra(self, input: Tensor, output_size: Sequence[int] | None) -> Ints:
        """`output_padding`; or what makes the result `output_size`, its spatial axes or all."""
        if output_size is None:
            return self.output_padding
        name, rank = type(self).__name__, self.rank
        wanted = [arguments.integer(name, "output_size", n) for n in output_size]
        if len(wanted) not in (rank, input.ndim) or input.ndim <= rank:
            raise error(f"{name}: output_size is one number for each of {', '.join(SPATIAL[rank])}, got {wanted}")
        found: list[int] = []
        for i, size in enumerate(wanted[-rank:]):
            span = self.dilation[i] * (self.kernel_size[i] - 1) + 1
            least = (input.shape[i - rank] - 1) * self.stride[i] - 2 * self.padding[i] + span
            if not least <= size < least + self.stride[i]:
                raise error(
                    f"{name}: output_size is at least {least} and less than {least + self.stride[i]} along the "
                    f"{SPATIAL[rank][i]}, got {size}"
                )
            found.append(size - least)
        return tuple(found)


class ConvTranspose1d(_Transposed):
    """Transposed convolution of [batch, in_channels, length]; arguments as those of `ConvTranspose2d`."""

    rank = 1

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        extra = self._extra(input, output_size)
        return conv_transpose1d(
            input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation
        )


class ConvTranspose2d(_Transposed):
    """Transposed convolution [batch, in_channels, height, width] to [batch, out_channels, …], as
    `functional.conv_transpose2d`; it goes back through the sizes of a Conv2d with the same stride and padding.

    weight is [in_channels, out_channels / groups, window height, window width]; the rest as in `Conv2d`, with
    fan_in = out_channels / groups * window, as in PyTorch.
    """

    rank = 2

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        extra = self._extra(input, output_size)
        return conv_transpose2d(
            input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation
        )


class ConvTranspose3d(_Transposed):
    """Transposed convolution of [batch, in_channels, depth, height, width]; arguments as those of `ConvTranspose2d`."""

    rank = 3

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        extra = self._extra(input, output_size)
        return conv_transpose3d(
            input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation
        )
