"""Module 09: convolution, pooling and batch normalisation for images [batch, channels, height, width] and for sequences
[batch, channels, length]. To read, in this order: `arguments` (sizes, strides and padding of windows, checked),
`functions` (convolutions and batch normalisation), `pooling` (functions that pool), then the layers around them:
`conv_layers` (with what a convolution costs), `pooling_layers`, `norm_layers`.
"""

from __future__ import annotations

from tinytorch.frontend.spatial.conv_layers import Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d
from tinytorch.frontend.spatial.norm_layers import BatchNorm1d, BatchNorm2d, Dropout2d
from tinytorch.frontend.spatial.pooling_layers import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AvgPool1d,
    AvgPool2d,
    GlobalAvgPool2d,
    MaxPool1d,
    MaxPool2d,
)

__all__ = [
    "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AvgPool1d", "AvgPool2d", "BatchNorm1d", "BatchNorm2d", "Conv1d",
    "Conv2d", "ConvTranspose1d", "ConvTranspose2d", "Dropout2d", "GlobalAvgPool2d", "MaxPool1d", "MaxPool2d",
]  # fmt: skip
