"""`max_unpool` and `lp_pool` as modules."""

from __future__ import annotations

from collections.abc import Sequence

from tinytorch.frontend import arguments
from tinytorch.frontend.module import Module
from tinytorch.frontend.spatial.arguments import Size, sizes
from tinytorch.frontend.spatial.unpooling import (
    lp_pool1d,
    lp_pool2d,
    lp_pool3d,
    max_unpool1d,
    max_unpool2d,
    max_unpool3d,
)
from tinytorch.frontend.tensor import Tensor

__all__ = ["LPPool1d", "LPPool2d", "LPPool3d", "MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d"]


class _MaxUnpool(Module):
    rank: int

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0) -> None:
        super().__init__()
        name, rank = type(self).__name__, self.rank
        self.kernel_size = sizes(name, "kernel_size", kernel_size, rank)
        self.stride = self.kernel_size if stride is None else sizes(name, "stride", stride, rank)
        self.padding = sizes(name, "padding", padding, rank, 0)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """Elements of [batch, channels, length] put back, as `functional.max_unpool1d`."""

    rank = 1

    def forward(self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        return max_unpool1d(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class MaxUnpool2d(_MaxUnpool):
    """Elements of [batch, channels, height, width] put back, as `functional.max_unpool2d`."""

    rank = 2

    def forward(self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        return max_unpool2d(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class MaxUnpool3d(_MaxUnpool):
    """Elements of [batch, channels, depth, height, width] put back, as `functional.max_unpool3d`."""

    rank = 3

    def forward(self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        return max_unpool3d(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class _LPPool(Module):
    rank: int

    def __init__(
        self, norm_type: float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        name = type(self).__name__
        self.norm_type = arguments.number(name, "norm_type", norm_type, lambda p: p != 0, "a number other than 0")
        sizes(name, "kernel_size", kernel_size, self.rank)
        self.kernel_size, self.stride = kernel_size, stride
        self.ceil_mode = arguments.flag(name, "ceil_mode", ceil_mode)

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPool):
    """The p-norm of each window of [batch, channels, length], as `functional.lp_pool1d`."""

    rank = 1

    def forward(self, input: Tensor) -> Tensor:
        return lp_pool1d(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)


class LPPool2d(_LPPool):
    """The p-norm of each window of [batch, channels, height, width], as `functional.lp_pool2d`."""

    rank = 2

    def forward(self, input: Tensor) -> Tensor:
        return lp_pool2d(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)


class LPPool3d(_LPPool):
    """The p-norm of each window of [batch, channels, depth, height, width], as `functional.lp_pool3d`."""

    rank = 3

    def forward(self, input: Tensor) -> Tensor:
        return lp_pool3d(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)
