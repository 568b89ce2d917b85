"""Module 08: augmentation: random changes of stored images that leave their class as it is.

Each transform is a function (batch, generator) -> batch for `DataLoader(transform=...)`. It works on whole batches
before they become floats, so that it moves one byte per pixel value instead of four, and returns new arrays. What it
draws depends on the generator alone, and all transforms draw once per image.

What a batch of b images of c channels, h × w, costs, in bytes moved:

| transform | reads and writes | extra memory |
| --- | --- | --- |
| RandomCrop | b c (h + 2p)(w + 2p) padded, then b c h' w' copied in rows | the padded batch |
| RandomHorizontalFlip | b c h w copied, a fraction p of it once more | the flipped part |
| Cutout | b c h w copied, then the squares | a mask of b h w |
"""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, Literal, TypeAlias, cast, get_args

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tinytorch.frontend.arguments import ArgumentTypeError, ArgumentValueError
from tinytorch.frontend.data.sets import Array, Batch
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc

PaddingMode: TypeAlias = Literal["constant", "reflect", "edge", "symmetric"]
Transform: TypeAlias = Callable[[Batch, np.random.Generator], Batch]
Fill: TypeAlias = float | Sequence[float]


class Compose:
    """Several transforms, one after the other, drawing from the same generator."""

    def __init__(self, transforms: Sequence[Transform]) -> None:
        if not isinstance(cast(object, transforms), Sequence):
            raise ArgumentTypeError(f"Compose: expected a list of transforms, got {transforms!r}", user_loc())
        for position, transform in enumerate(transforms):
            if not callable(transform):
                raise ArgumentTypeError(
                    f"Compose: transform {position} is {transform!r}, which cannot be called with (batch, generator)",
                    user_loc(),
                )
        self.transforms = tuple(transforms)

    def __call__(self, batch: Batch, generator: np.random.Generator) -> Batch:
        for transform in self.transforms:
            batch = transform(batch, generator)
        return batch

    def __repr__(self) -> str:
        return f"Compose({', '.join(map(repr, self.transforms))})"


class ImageTransform(ABC):
    """A transform of images: of the batch itself if that is an array, or of the first array of a tuple.

    Images are [n, channels, height, width] or [n, height, width], of any dtype.
    """

    def __call__(self, batch: Batch, generator: np.random.Generator) -> Batch:
        if not isinstance(cast(object, generator), np.random.Generator):
            raise ArgumentTypeError(
                f"{self._name}: needs a numpy.random.Generator, got {type(generator).__name__}", user_loc()
            )
        if isinstance(batch, tuple) and batch:
            images, *others = cast(tuple[Any, ...], batch)
            return (self._checked(images, generator), *others)
        return self._checked(batch, generator)

    @abstractmethod
    def apply(self, images: Array, generator: np.random.Generator) -> Array:
        """The changed images, in memory of their own."""

    def _checked(self, images: Any, generator: np.random.Generator) -> Array:
        if not isinstance(images, np.ndarray):
            raise ArgumentTypeError(
                f"{self._name}: expected an array of images, alone or as the first item of a tuple, got "
                f"{type(images).__name__}",
                user_loc(),
            )
        array = cast(Array, images)
        if array.ndim not in (3, 4):
            raise ShapeError(
                f"{self._name}: images are [n, channels, height, width] or [n, height, width], got "
                f"{list(array.shape)}; flattened images have no rows to crop or flip",
                user_loc(),
            )
        return self.apply(array, generator)

    @property
    def _name(self) -> str:
        return type(self).__name__


class RandomCrop(ImageTransform):
    """A window of `size` (height, width; one int for both) at a random place of the image padded by `padding`.

    padding: pixels on all four sides, or (top and bottom, left and right).
    padding_mode: "constant" (`fill`), "reflect" (without the border pixel), "edge", "symmetric" (with it).
    fill: a value, or one per channel, in the units of the stored images.
    ShapeError where the window does not fit into the padded image.
    """

    def __init__(
        self,
        size: int | Sequence[int],
        padding: int | Sequence[int] = 0,
        *,
        padding_mode: PaddingMode = "constant",
        fill: Fill = 0,
    ) -> None:
        self.size = _pair("RandomCrop", "size", size, 1)
        self.padding = _pair("RandomCrop", "padding", padding, 0)
        if padding_mode not in get_args(PaddingMode):
            modes = ", ".join(map(repr, get_args(PaddingMode)))
            raise ArgumentValueError(f"RandomCrop: padding_mode is one of {modes}, got {padding_mode!r}", user_loc())
        self.padding_mode: PaddingMode = padding_mode
        self.fill = fill

    def apply(self, images: Array, generator: np.random.Generator) -> Array:
        padded = self._padded(images)
        rooms = [whole - part for whole, part in zip(padded.shape[-2:], self.size, strict=True)]
        if min(rooms) < 0:
            raise ShapeError(
                f"RandomCrop: a window of {self.size[0]}×{self.size[1]} does not fit into images of "
                f"{images.shape[-2]}×{images.shape[-1]} padded by {self.padding[0]} and {self.padding[1]}",
                user_loc(),
            )
        tops, lefts = (generator.integers(0, room + 1, len(images)) for room in rooms)
        windows = sliding_window_view(padded, self.size, axis=(-2, -1))
        return windows[np.arange(len(images)), ..., tops, lefts, :, :]

    def _padded(self, images: Array) -> Array:
        high, wide = self.padding
        if not high and not wide:
            return images
        if self.padding_mode == "constant":
            *outer, height, width = images.shape
            padded = np.empty((*outer, height + 2 * high, width + 2 * wide), images.dtype)
            padded[...] = _fill_of("RandomCrop", self.fill, images)
            padded[..., high : high + height, wide : wide + width] = images
            return padded
        least = 1 if self.padding_mode == "reflect" else 0
        for axis, padding, extent in zip(("height", "width"), self.padding, images.shape[-2:], strict=True):
            if padding > extent - least:
                raise ShapeError(
                    f'RandomCrop: "{self.padding_mode}" has at most {extent - least} pixels to pad the {axis} of '
                    f"{extent} with, got a padding of {padding}",
                    user_loc(),
                )
        return np.pad(images, [(0, 0)] * (images.ndim - 2) + [(high, high), (wide, wide)], mode=self.padding_mode)

    def __repr__(self) -> str:
        return f"RandomCrop({self.size}, padding={self.padding}, padding_mode={self.padding_mode!r})"


class RandomHorizontalFlip(ImageTransform):
    """Left and right exchanged, in each image with probability `p`."""

    def __init__(self, p: float = 0.5) -> None:
        self.p = _probability("RandomHorizontalFlip", p)

    def apply(self, images: Array, generator: np.random.Generator) -> Array:
        chosen = generator.random(len(images)) < self.p
        flipped = images.copy()
        flipped[chosen] = images[chosen][..., ::-1]
        return flipped

    def __repr__(self) -> str:
        return f"RandomHorizontalFlip({self.p})"


class Cutout(ImageTransform):
    """A square of `size` pixels (or a rectangle: height, width) at a random place set to `fill`, with probability `p`.

    The centre lies anywhere in the image, so that the square is cut off at borders (DeVries & Taylor 2017).
    fill: a value, or one per channel, in the units of the stored images: their mean takes away the least.
    """

    def __init__(self, size: int | Sequence[int], *, fill: Fill = 0, p: float = 1.0) -> None:
        self.size = _pair("Cutout", "size", size, 1)
        self.fill = fill
        self.p = _probability("Cutout", p)

    def apply(self, images: Array, generator: np.random.Generator) -> Array:
        rows, columns = (
            _covered(generator.integers(0, max(extent, 1), len(images)), size, extent)
            for size, extent in zip(self.size, images.shape[-2:], strict=True)
        )
        rows &= (generator.random(len(images)) < self.p)[:, None]
        square = rows[:, :, None] & columns[:, None, :]
        cut = images.copy()
        np.copyto(cut, _fill_of("Cutout", self.fill, images), where=square[:, None] if images.ndim == 4 else square)
        return cut

    def __repr__(self) -> str:
        return f"Cutout({self.size}, fill={self.fill!r}, p={self.p})"


def _covered(centres: Array, size: int, extent: int) -> Array:
    """Which of `extent` positions lie in the `size` around each centre: bool [n, extent]."""
    distance = np.arange(extent) - (centres - size // 2)[:, None]
    return (distance >= 0) & (distance < size)


def _fill_of(what: str, fill: Fill, images: Array) -> Array:
    """`fill` in the dtype of the images, with axes for height and width if it has one value per channel."""
    given = np.asarray(fill)
    if given.dtype.kind not in "iuf":
        raise ArgumentTypeError(f"{what}: fill is a number or one per channel, got {fill!r}", user_loc())
    if given.ndim:
        channels = images.shape[1] if images.ndim == 4 else 1
        if given.shape != (channels,):
            raise ShapeError(f"{what}: fill has shape {list(given.shape)}, images have {channels} channels", user_loc())
        given = given.reshape(-1, 1, 1) if images.ndim == 4 else given[0]
    value = given.astype(images.dtype)
    if images.dtype.kind in "iu" and not np.array_equal(value, given):
        raise ArgumentValueError(f"{what}: fill {fill!r} is no value of images of {images.dtype}", user_loc())
    return value


def _pair(what: str, name: str, value: int | Sequence[int], least: int) -> tuple[int, int]:
    try:
        given = tuple(value) if isinstance(value, Sequence) else (value, value)
        high, wide = (operator.index(v) for v in given if not isinstance(v, bool))
    except (TypeError, ValueError):
        raise ArgumentTypeError(
            f"{what}: {name} is an int or a pair of ints (height, width), got {value!r}", user_loc()
        ) from None
    if min(high, wide) < least:
        raise ArgumentValueError(f"{what}: {name} is at least {least}, got {value!r}", user_loc())
    return high, wide


def _probability(what: str, p: float) -> float:
    if isinstance(p, bool) or not isinstance(cast(object, p), Real):
        raise ArgumentTypeError(f"{what}: p is a number, got {p!r}", user_loc())
    if not 0 <= p <= 1:
        raise ArgumentValueError(f"{what}: p is a probability, from 0 to 1, got {p!r}", user_loc())
    return float(p)
