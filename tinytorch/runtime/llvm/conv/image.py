"""Padded copies of images in scratch memory: zeros where a convolution reads outside of the image."""

from __future__ import annotations

from dataclasses import dataclass

from tinytorch.runtime.llvm.conv.byte_image import ByteCopy
from tinytorch.runtime.llvm.conv.image_copy import ImageCopy
from tinytorch.runtime.llvm.conv.layout import Convolution, ImageLayout
from tinytorch.runtime.llvm.text.builder import Function, Module, Register
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.text.types import I64, PTR


@dataclass(frozen=True)
class Part:
    """What an item reads: which images, channels and rows of outputs, and how many of each; all that does not fit the
    images is zeros."""

    image: Register
    images: Register
    channel: Register
    channels: int
    row: Register
    rows: Register


def read_images(
    fn: Function,
    conv: Convolution,
    layout: ImageLayout,
    part: Part,
    images: Register,
    scratch: Register | None,
    target: Target,
) -> Register:
    """Where a part's first output begins to read: in the images themselves, or in a copy that is made here."""
    steps = [s * conv.images.dtype.size for s in conv.images.strides]
    start = fn.at(images, part.image * steps[0] + part.channel * steps[3])
    first = part.row * conv.stride[0] - conv.low[0]
    if not layout.copied:
        return fn.at(start, first * steps[1] - conv.low[1] * steps[2])
    assert scratch is not None, "a copy needs memory"
    rows = part.rows * conv.stride[0] + (conv.reach(0, 1) - conv.stride[0])
    copy = _copy_function(fn.module, conv, layout, part.channels, target)
    fn.call(copy, [start, scratch, first, rows, part.images])
    return scratch


def _copy_function(module: Module, conv: Convolution, layout: ImageLayout, channels: int, target: Target) -> Function:
    """`(from, to, first, rows, images)`: rows `first`, which may lie outside, and following of so many images.

    `from` is the first image's element [0, 0] of the first of the channels.
    """

    def build(name: str) -> Function:
        fn = module.function(name, [PTR, PTR, I64, I64, I64], internal=True, noinline=True)
        write = ByteCopy if conv.packed else ImageCopy
        write(fn, conv, layout, channels, target).write()
        fn.ret()
        return fn

    key = ("images", conv.images, conv.outputs[1], conv.window, conv.stride, conv.low, conv.dilation, conv.packed)
    return module.shared((*key, layout, channels, target), build)
