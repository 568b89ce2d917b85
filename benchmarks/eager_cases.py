"""What eager mode is compared with PyTorch's in: each case is written once, for either's functions.

A case takes the module of functions (`tinytorch` or `torch.nn.functional`, which share their names) and tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Shapes = Sequence[tuple[int, ...]]


@dataclass(frozen=True)
class Case:
    """One function of tensors of these shapes. `aimed`: of the kinds that must keep to the aim."""

    name: str
    shapes: Shapes
    run: Callable[..., Any]
    aimed: bool = True


def _convolution(name: str, x: tuple[int, ...], w: tuple[int, ...], function: str = "conv2d", **options: Any) -> Case:
    return Case(name, [x, w], lambda f, x, w: getattr(f, function)(x, w, **options))


def _pool(name: str, x: tuple[int, ...], function: str, *arguments: Any) -> Case:
    return Case(name, [x], lambda f, x: getattr(f, function)(x, *arguments))


def _plain(name: str, shapes: Shapes, run: Callable[..., Any]) -> Case:
    return Case(name, shapes, lambda f, *x: run(*x))


_ROWS = (512, 512)

CASES = [
    _convolution("conv 4×4 /2, 256→512, 8²", (8, 256, 8, 8), (512, 256, 4, 4), stride=2, padding=1),
    _convolution("conv 7×7 /2, 3→64, 112²", (8, 3, 112, 112), (64, 3, 7, 7), stride=2, padding=3),
    _convolution("conv 3×3, 64→64, 28²", (8, 64, 28, 28), (64, 64, 3, 3), padding=1),
    _convolution("conv 3×3, 512→512, 7²", (8, 512, 7, 7), (512, 512, 3, 3), padding=1),
    _convolution("conv 3×3, 3→32, 32²", (16, 3, 32, 32), (32, 3, 3, 3), padding=1),
    _convolution("conv 1×1 /2, 64→128, 28²", (8, 64, 28, 28), (128, 64, 1, 1), stride=2),
    _convolution("conv 1×1, 128→64, 28²", (8, 128, 28, 28), (64, 128, 1, 1)),
    _convolution("depthwise 3×3, 64, 28²", (8, 64, 28, 28), (64, 1, 3, 3), padding=1, groups=64),
    _convolution("depthwise 3×3 /2, 64, 28²", (8, 64, 28, 28), (64, 1, 3, 3), padding=1, stride=2, groups=64),
    _convolution("depthwise 7×7, 96, 14²", (8, 96, 14, 14), (96, 1, 7, 7), padding=3, groups=96),
    _convolution("32 groups 3×3, 128→128, 28²", (4, 128, 28, 28), (128, 4, 3, 3), padding=1, groups=32),
    _convolution("2 groups 3×3, dilated, 64→64, 28²", (8, 64, 28, 28), (64, 32, 3, 3), padding=2, dilation=2, groups=2),
    _convolution(
        "transposed 4×4 /2, 256→128, 8²", (8, 256, 8, 8), (256, 128, 4, 4), "conv_transpose2d", stride=2, padding=1
    ),
    _convolution("conv1d 5, 64→64, 256", (16, 64, 256), (64, 64, 5), "conv1d", padding=2),
    _pool("max pool 3×3 /2, 64, 56²", (8, 64, 56, 56), "max_pool2d", 3, 2, 1),
    _pool("max pool 2×2, 32, 64²", (16, 32, 64, 64), "max_pool2d", 2),
    _pool("average pool 2×2, 32, 64²", (16, 32, 64, 64), "avg_pool2d", 2),
    _pool("average pool 3×3 /1, 32, 32²", (16, 32, 32, 32), "avg_pool2d", 3, 1, 1),
    _pool("adaptive average pool to 1², 64, 56²", (16, 64, 56, 56), "adaptive_avg_pool2d", 1),
    _pool("adaptive average pool to 5², 64, 56²", (16, 64, 56, 56), "adaptive_avg_pool2d", 5),
    _plain("product 256³", [(256, 256), (256, 256)], lambda a, b: a @ b),
    _plain("product, first transposed", [(256, 256), (256, 256)], lambda a, b: a.transpose(0, 1) @ b),
    _plain("product of a batch, 32 × 64×128×64", [(32, 64, 128), (32, 128, 64)], lambda a, b: a @ b),
    _plain("scores of attention, q kᵀ", [(4, 8, 64, 32), (4, 8, 64, 32)], lambda q, k: q @ k.transpose(-1, -2)),
    _plain("scores, heads inside", [(4, 64, 8, 32)] * 2, lambda q, k: q.permute(0, 2, 1, 3) @ k.permute(0, 2, 3, 1)),
    Case("linear 512×256→512", [(8, 64, 256), (512, 256), (512,)], lambda f, *x: f.linear(*x)),
    Case(
        "batch norm, 64, 28²",
        [(8, 64, 28, 28), (64,), (64,)],
        lambda f, x, w, b: f.batch_norm(x, None, None, w, b, training=True),
    ),
    Case("layer norm 512×512", [_ROWS, (512,), (512,)], lambda f, x, w, b: f.layer_norm(x, (512,), w, b)),
    Case("softmax 512×512", [_ROWS], lambda f, x: f.softmax(x, -1), aimed=False),
    Case("gelu 512×512", [_ROWS], lambda f, x: f.gelu(x), aimed=False),
    Case("relu 512×512", [_ROWS], lambda f, x: f.relu(x), aimed=False),
    Case("relu 64×64", [(64, 64)], lambda f, x: f.relu(x), aimed=False),
    _plain("sum of 512×512", [_ROWS], lambda x: x.sum()),
    _plain("sum of columns, 512×512", [_ROWS], lambda x: x.sum(0)),
    _plain("x + y, 512×512", [_ROWS, _ROWS], lambda x, y: x + y),
    _plain("x + bias, 512×512", [_ROWS, (512,)], lambda x, y: x + y),
    _plain("tanh 512×512", [_ROWS], lambda x: x.tanh()),
]

# One call each: x and y are 8×8 numbers, row has 8, none with gradients.
SMALL: dict[str, Callable[..., Any]] = {
    "x + y": lambda f, x, y, row: x + y,
    "x * 2.0": lambda f, x, y, row: x * 2.0,
    "x + row": lambda f, x, y, row: x + row,
    "x @ y": lambda f, x, y, row: x @ y,
    "relu(x)": lambda f, x, y, row: f.relu(x),
    "x.sum()": lambda f, x, y, row: x.sum(),
    "x.exp()": lambda f, x, y, row: x.exp(),
    "x.reshape(64)": lambda f, x, y, row: x.reshape(64),
    "x[2:4]": lambda f, x, y, row: x[2:4],
    "softmax(x)": lambda f, x, y, row: f.softmax(x, -1),
}


def residual(nn: Any) -> Any:
    """ResNet-18 as for small images, of either framework's modules (He et al. 2015)."""

    class Block(nn.Module):
        def __init__(self, inside: int, out: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(inside, out, 3, stride, 1, bias=False)
            self.norm1 = nn.BatchNorm2d(out)
            self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
            self.norm2 = nn.BatchNorm2d(out)
            self.aside = nn.Conv2d(inside, out, 1, stride, bias=False) if stride > 1 else nn.Identity()

        def forward(self, x: Any) -> Any:
            h = self.norm1(self.conv1(x)).relu()
            return (self.norm2(self.conv2(h)) + self.aside(x)).relu()

    layers = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    inside = 64
    for out, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [Block(inside, out, stride), Block(out, out, 1)]
        inside = out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))
