"""Layers that take the number of their inputs from the first tensor that they are given, and are ordinary ones then."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

from tinytorch.frontend.binding import explained
from tinytorch.frontend.layers import Linear
from tinytorch.frontend.module import Module
from tinytorch.frontend.module.parameter import UninitializedParameter
from tinytorch.frontend.module.tracked import attributes_of, record
from tinytorch.frontend.optimizers.groups import untraced
from tinytorch.frontend.spatial.conv_layers import (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
)
from tinytorch.frontend.spatial.norm_layers import BatchNorm1d, BatchNorm2d, BatchNorm3d
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import require_tensor
from tinytorch.frontend.tensor.mode import TraceAgain, mode

__all__ = [
    "LazyBatchNorm1d", "LazyBatchNorm2d", "LazyBatchNorm3d", "LazyConv1d", "LazyConv2d", "LazyConv3d",
    "LazyConvTranspose1d", "LazyConvTranspose2d", "LazyConvTranspose3d", "LazyLinear",
]  # fmt: skip


class _Lazy(Module):
    """Has the arguments of `layer` but for the first, which is the size of the input's `axis`."""

    layer: ClassVar[type[Module]]
    axis: ClassVar[int]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__()
        whole = inspect.signature(self.layer)
        signature = whole.replace(parameters=list(whole.parameters.values())[1:])
        try:
            given = signature.bind(*args, **options).arguments
        except TypeError as error:
            raise explained(signature, type(self).__name__, args, options, error) from error
        self._given = args, options
        self.weight = UninitializedParameter() if given.get("affine", True) else None
        self.bias = UninitializedParameter() if self.weight is not None and given.get("bias", True) else None

    def forward(self, input: Tensor) -> Any:
        size = require_tensor(type(self).__name__, input).shape[self.axis]
        args, options = self._given
        with untraced(), record(None):
            made = self.layer(size, *args, **options)
            made.train(self.training).take_hooks(self)
            attributes_of(self).clear()
            attributes_of(self).update(made.__getstate__())
            object.__setattr__(self, "__class__", self.layer)
        if mode.trace is not None:
            raise TraceAgain
        return self.forward(input)


class LazyLinear(_Lazy):
    layer, axis = Linear, -1


class LazyConv1d(_Lazy):
    layer, axis = Conv1d, -2


class LazyConv2d(_Lazy):
    layer, axis = Conv2d, -3


class LazyConv3d(_Lazy):
    layer, axis = Conv3d, -4


class LazyConvTranspose1d(_Lazy):
    layer, axis = ConvTranspose1d, -2


class LazyConvTranspose2d(_Lazy):
    layer, axis = ConvTranspose2d, -3


class LazyConvTranspose3d(_Lazy):
    layer, axis = ConvTranspose3d, -4


class LazyBatchNorm1d(_Lazy):
    layer, axis = BatchNorm1d, 1


class LazyBatchNorm2d(_Lazy):
    layer, axis = BatchNorm2d, 1


class LazyBatchNorm3d(_Lazy):
    layer, axis = BatchNorm3d, 1
