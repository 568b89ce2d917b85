"""Pooling as modules."""

from __future__ import annotations

from collections.abc import Sequence

from tinytorch.frontend import arguments
from tinytorch.frontend.module import Module
from tinytorch.frontend.spatial.adaptive_pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
)
from tinytorch.frontend.spatial.arguments import Images, Size, sizes
from tinytorch.frontend.spatial.pooling import (
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    check_divisor,
    check_padding,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)
from tinytorch.frontend.tensor import Tensor


class _Pool(Module):
    """Windows of a pooling: `stride` is the kernel's size unless given."""

    rank: int

    def __init__(self, kernel_size: Size, stride: Size | None, padding: Size, ceil_mode: bool) -> None:
        super().__init__()
        name, rank = type(self).__name__, self.rank
        kernel = sizes(name, "kernel_size", kernel_size, rank)
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = arguments.flag(name, "ceil_mode", ceil_mode)
        sizes(name, "stride", self.stride, rank)
        check_padding(name, sizes(name, "padding", padding, rank, 0), kernel)

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
        sizes(type(self).__name__, "dilation", dilation, self.rank)
        self.dilation = dilation
        self.return_indices = arguments.flag(type(self).__name__, "return_indices", return_indices)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, dilation={self.dilation}, ceil_mode={self.ceil_mode}"


class MaxPool1d(_MaxPool):
    """The largest element of each window of [batch, channels, length], as `functional.max_pool1d`."""

    rank = 1

    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        return max_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode,
            return_indices=self.return_indices,
        )  # fmt: skip


class MaxPool2d(_MaxPool):
    """The largest element of each window of [batch, channels, height, width], as `functional.max_pool2d`.

    The network answers alike when its input moves a little, and has a quarter of the places to compute (stride 2).
    """

    rank = 2

    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        return max_pool2d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode,
            return_indices=self.return_indices,
        )  # fmt: skip


class MaxPool3d(_MaxPool):
    """The largest element of each window of [batch, channels, depth, height, width], as `functional.max_pool3d`."""

    rank = 3

    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        return max_pool3d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode,
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

    def forward(self, input: Tensor) -> Tensor:
        return avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)


class _AvgPoolDivided(_Pool):
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
        name = type(self).__name__
        self.count_include_pad = arguments.flag(name, "count_include_pad", count_include_pad)
        self.divisor_override = None if divisor_override is None else check_divisor(name, divisor_override)


class AvgPool2d(_AvgPoolDivided):
    """The mean of each window of [batch, channels, height, width], as `functional.avg_pool2d`."""

    rank = 2

    def forward(self, input: Tensor) -> Tensor:
        return avg_pool2d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad,
            self.divisor_override,
        )  # fmt: skip


class AvgPool3d(_AvgPoolDivided):
    """The mean of each window of [batch, channels, depth, height, width], as `functional.avg_pool3d`."""

    rank = 3

    def forward(self, input: Tensor) -> Tensor:
        return avg_pool3d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad,
            self.divisor_override,
        )  # fmt: skip


class _AdaptivePool(Module):
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


class AdaptiveAvgPool1d(_AdaptivePool):
    """Means of [batch, channels, length] over `output_size` windows."""

    rank = 1

    def forward(self, input: Tensor) -> Tensor:
        return adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(_AdaptivePool):
    """Means of [batch, channels, height, width] over `output_size` windows along each axis (None: as many as it has
    elements), so that images of any size fit the layers behind it."""

    rank = 2

    def forward(self, input: Tensor) -> Tensor:
        return adaptive_avg_pool2d(input, self.output_size)


class AdaptiveAvgPool3d(_AdaptivePool):
    """Means of [batch, channels, depth, height, width] over `output_size` windows along each axis."""

    rank = 3

    def forward(self, input: Tensor) -> Tensor:
        return adaptive_avg_pool3d(input, self.output_size)


class _AdaptiveMaxPool(_AdaptivePool):
    def __init__(self, output_size: int | Sequence[int | None] | None, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = arguments.flag(type(self).__name__, "return_indices", return_indices)


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """The largest elements of [batch, channels, length] in `output_size` windows."""

    rank = 1

    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        return adaptive_max_pool1d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """The largest elements of [batch, channels, height, width] in `output_size` windows along each axis."""

    rank = 2

    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        return adaptive_max_pool2d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """The largest elements of [batch, channels, depth, height, width] in `output_size` windows along each axis."""

    rank = 3

    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        return adaptive_max_pool3d(input, self.output_size, self.return_indices)


class GlobalAvgPool2d(Module):
    """The mean of each channel: [batch, channels, height, width] to [batch, channels]."""

    def forward(self, input: Tensor) -> Tensor:
        images = Images("GlobalAvgPool2d", input, 2)
        images.require_float()
        return input.mean((-2, -1))
