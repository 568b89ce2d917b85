"""Module 09: convolution, pooling and batch normalisation for images [batch, channels, height, width], for sequences
[batch, channels, length] and for volumes [batch, channels, depth, height, width]; and what else is done to images. To
read, in this order: `arguments` (sizes, strides and padding of windows, checked), `volumes` and `functions`
(convolutions and batch normalisation), `pooling`, `adaptive_pooling` and `unpooling`, `padding`,
`interpolation` (other sizes), `rearranging` (windows written out, channels and pixels), `sampling` (values at given
points); then the layers around them: `conv_layers` (with what a convolution costs), `pooling_layers`, `norm_layers`,
`padding_layers`, `resampling_layers`, `unpooling_layers`.
"""

from __future__ import annotations

from tinytorch.frontend.spatial import padding_layers as _padding
from tinytorch.frontend.spatial import resampling_layers as _resampling
from tinytorch.frontend.spatial import sampling as sampling
from tinytorch.frontend.spatial import unpooling_layers as _unpooling
from tinytorch.frontend.spatial.conv_layers import (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
)
from tinytorch.frontend.spatial.norm_layers import BatchNorm1d, BatchNorm2d, BatchNorm3d, Dropout2d
from tinytorch.frontend.spatial.padding_layers import *
from tinytorch.frontend.spatial.pooling_layers import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveAvgPool3d,
    AdaptiveMaxPool1d,
    AdaptiveMaxPool2d,
    AdaptiveMaxPool3d,
    AvgPool1d,
    AvgPool2d,
    AvgPool3d,
    GlobalAvgPool2d,
    MaxPool1d,
    MaxPool2d,
    MaxPool3d,
)
from tinytorch.frontend.spatial.resampling_layers import *
from tinytorch.frontend.spatial.unpooling_layers import *

__all__ = [
    "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d", "AdaptiveMaxPool1d", "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d", "AvgPool1d", "AvgPool2d", "AvgPool3d", "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "Conv1d",
    "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d", "Dropout2d", "GlobalAvgPool2d",
    "MaxPool1d", "MaxPool2d", "MaxPool3d",
]  # fmt: skip
__all__ += _padding.__all__
__all__ += _resampling.__all__
__all__ += _unpooling.__all__
