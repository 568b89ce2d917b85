"""Pooling as modules."""

from __future__ import annotations

from collections.abc import Sequence

from tinytorch.frontend import arguments
from tinytorch.frontend.module import Module
from tinytorch.frontend.spatial.arguments import Images, Size, count, sizes
from tinytorch.frontend.spatial.pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    avg_pool1d,
    avg_pool2d,
    check_padding,
    max_pool1d,
    max_pool2d,
)
from tinytorch.frontend.tensor import Tensor


class _Pool(Module):
    """Windows of a pooling: `stride` is the kernel's size unless given."""

    rank: int

    def __init__(self, kernel_size: Size, stride: Size | None, padding: Size, ceil_mode: bool) -> None:
        super().__init__()
        name, rank = type(self).__name__, self.rank
        self.kernel_size = sizes(name, "kernel_size", kernel_size, rank)
        self.stride = self.kernel_size if stride is None else sizes(name, "stride", stride, rank)
        self.padding = sizes(name, "padding", padding, rank, 0)
        self.ceil_mode = arguments.flag(name, "ceil_mode", ceil_mode)
        check_padding(name, self.padding, self.kernel_size)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class _MaxPool(_Pool):
    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        dilation: Size = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode)
        self.dilation = sizes(type(self).__name__, "dilation", dilation, self.rank)
        self.return_indices = arguments.flag(type(self).__name__, "return_indices", return_indices)


class MaxPool1d(_MaxPool):
    """The largest element of each window of [batch, channels, length], as `functional.max_pool1d`."""

    rank = 1

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        return max_pool1d(
            x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode,
            return_indices=self.return_indices,
        )  # fmt: skip


class MaxPool2d(_MaxPool):
    """The largest element of each window of [batch, channels, height, width], as `functional.max_pool2d`.

    The network answers alike when its input moves a little, and has a quarter of the places to compute (stride 2).
    """

    rank = 2

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        return max_pool2d(
            x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode,
            return_indices=self.return_indices,
        )  # fmt: skip


class AvgPool1d(_Pool):
    """The mean of each window of [batch, channels, length], as `functional.avg_pool1d`."""

    rank = 1

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode)
        self.count_include_pad = arguments.flag(type(self).__name__, "count_include_pad", count_include_pad)

    def forward(self, x: Tensor) -> Tensor:
        return avg_pool1d(x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)


class AvgPool2d(_Pool):
    """The mean of each window of [batch, channels, height, width], as `functional.avg_pool2d`."""

    rank = 2

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode)
        self.count_include_pad = arguments.flag(type(self).__name__, "count_include_pad", count_include_pad)
        self.divisor_override = (
            None if divisor_override is None else count("AvgPool2d", "divisor_override", divisor_override)
        )

    def forward(self, x: Tensor) -> Tensor:
        return avg_pool2d(
            x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad,
            self.divisor_override,
        )  # fmt: skip


class _AdaptiveAvgPool(Module):
    rank: int

    def __init__(self, output_size: int | Sequence[int | None] | None) -> None:
        super().__init__()
        several = isinstance(output_size, Sequence)
        given = tuple(output_size) if several else (output_size,) * self.rank
        known = tuple(1 if n is None else n for n in given)
        sizes(type(self).__name__, "output_size", known, self.rank)
        self.output_size = given

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """Means of [batch, channels, length] over `output_size` windows."""

    rank = 1

    def forward(self, x: Tensor) -> Tensor:
        return adaptive_avg_pool1d(x, self.output_size)


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """Means of [batch, channels, height, width] over `output_size` windows along each axis (None: as many as it has
    elements), so that images of any size fit the layers behind it."""

    rank = 2

    def forward(self, x: Tensor) -> Tensor:
        return adaptive_avg_pool2d(x, self.output_size)


class GlobalAvgPool2d(Module):
    """The mean of each channel: [batch, channels, height, width] to [batch, channels]."""

    def forward(self, x: Tensor) -> Tensor:
        images = Images("GlobalAvgPool2d", x, 2)
        images.require_float()
        return x.mean((-2, -1))
