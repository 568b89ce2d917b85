"""What the user's images and windows are, checked: errors name axes as the user counts them."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, cast

from tinytorch.frontend import arguments
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import require_tensor
from tinytorch.frontend.tensor.storage import counter_of
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.windows import Pair, output_size

Ints = tuple[int, ...]
Size = int | Sequence[int]  # one number for all spatial axes, or one for each
SPATIAL = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}  # by number of spatial axes


def error(message: str) -> ShapeError:
    return ShapeError(message, user_loc())


def sizes(name: str, what: str, value: Any, rank: int, least: int = 1) -> Ints:
    """`value` for each of `rank` spatial axes; ShapeError unless they are integers of at least `least`. A list of one
    number stands for all axes, as in PyTorch."""
    found: list[Any] = list(cast("Sequence[Any]", value)) if isinstance(value, (tuple, list)) else [value]
    found = found * rank if len(found) == 1 else found
    try:
        numbers = tuple(operator.index(v) for v in found if not isinstance(v, bool))
    except TypeError:
        numbers = ()
    if len(numbers) != len(found):
        raise error(f"{name}: {what} is made of integers, got {value!r}")
    if len(numbers) != rank:
        raise error(f"{name}: {what} is one integer or one for each of {', '.join(SPATIAL[rank])}, got {value!r}")
    for axis, number in zip(SPATIAL[rank], numbers, strict=True):
        if number < least:
            raise error(f"{name}: {what} is at least {least}, got {value!r} ({axis})")
    return numbers


def count(name: str, what: str, value: Any) -> int:
    """`value`, if it is a positive integer."""
    try:
        return arguments.integer(name, what, value, 1)
    except TinyTorchError:
        raise error(f"{name}: {what} is a positive integer, got {value!r}") from None


def pair(values: Ints, other: int) -> Pair:
    """`values` as (height, width); a length is a width, and `other` stands for the height that it has not."""
    return (other, values[0]) if len(values) == 1 else (values[0], values[1])


class Images:
    """Images as the user gave them to the function `name`: [batch, channels, height, width] or, with one spatial axis,
    [batch, channels, length], with three, [batch, channels, depth, height, width]; or a single one without the batch.
    A batch of none is taken, other axes are not empty."""

    def __init__(self, name: str, x: Tensor, rank: int) -> None:
        self.name, self.x, self.rank = name, require_tensor(name, x), rank
        if x.ndim not in (rank + 1, rank + 2):
            axes = ", ".join(SPATIAL[rank])
            raise error(f"{name}: input is [batch, channels, {axes}], with or without the batch, got {x.type}")
        for i, size in enumerate(x.shape):
            if size == 0 and not (i == 0 and self.batched):
                raise error(f"{name}: {self._axis(i)} is empty")

    def _axis(self, index: int) -> str:
        label = ("batch", "channels", *SPATIAL[self.rank])[index - self.x.ndim]
        return f"axis {index} ({label}) of input {self.x.type}"

    @property
    def channel_axis(self) -> str:
        return self._axis(self.x.ndim - self.rank - 1)

    def spatial_axis(self, index: int) -> str:
        return self._axis(self.x.ndim - self.rank + index)

    @property
    def batched(self) -> bool:
        return self.x.ndim == self.rank + 2

    @property
    def channels(self) -> int:
        return self.x.shape[-self.rank - 1]

    @property
    def spatial(self) -> Ints:
        return self.x.shape[-self.rank :]

    def require_float(self) -> None:
        if not self.x.dtype.is_float:
            raise error(f"{self.name}: needs a float dtype, got input {self.x.type}; convert it, as in input.float()")

    def channels_last(self) -> Tensor:
        """[batch, height, width, channels], a length being a width; volumes have the depth before the height."""
        x = self.x if self.batched else self.x.reshape(1, *self.x.shape)
        last = x.permute(0, *range(2, x.ndim), 1)
        return last if self.rank > 1 else last.reshape(last.shape[0], 1, *last.shape[1:])

    def channels_first(self, y: Tensor) -> Tensor:
        """`y`, whose channels are last, in the axes of these images."""
        y = y if self.rank > 1 else y.reshape(y.shape[0], *y.shape[2:])
        out = in_front(y, self.x)
        return out if self.batched else out.reshape(out.shape[1:])


def in_front(y: Tensor, given: Tensor) -> Tensor:
    """`y` [batch, …, channels] as [batch, channels, …], which a function of `given` returns. Who gets it takes it for
    row-major, so its `view` may be a copy, unless it is the caller's own memory, as pooling by windows of 1 gives."""
    out = y.permute(0, y.ndim - 1, *range(1, y.ndim - 1))
    if counter_of(out) is not counter_of(given):
        counter_of(out).permuted = True
    return out


@dataclass(frozen=True)
class Windows:
    """How windows move over images: for each spatial axis their size, their step, the padding before and after the
    image, and the distance of the elements that they read."""

    kernel: Ints
    stride: Ints
    low: Ints
    high: Ints
    dilation: Ints

    @property
    def spans(self) -> Ints:
        """How far from its first element to its last a window reaches, both included."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    def outputs(self, images: Images) -> Ints:
        """Positions along each spatial axis; ShapeError where a window does not fit the padded image."""
        found: list[int] = []
        for i, (size, span) in enumerate(zip(images.spatial, self.spans, strict=True)):
            if span > size + self.low[i] + self.high[i]:
                raise error(
                    f"{images.name}: a window spans {span} (kernel {self.kernel[i]}, dilation {self.dilation[i]}), but "
                    f"{images.spatial_axis(i)} has {size}, padded by {self.low[i]} and {self.high[i]}"
                )
            found.append(output_size(size, self.kernel[i], self.stride[i], self.low[i], self.high[i], self.dilation[i]))
        return tuple(found)

    def within(self, images: Images) -> Windows:
        """The same windows, none of whose steps leads further than just out of the padded image: a longer one is not
        taken, and would only make the numbers of addresses overflow."""
        axes = zip(self.stride, images.spatial, self.low, self.high, self.spans, strict=True)
        return replace(self, stride=tuple(min(s, size + low + high - span + 1) for s, size, low, high, span in axes))

    def of_axes(self, first: int, stop: int) -> Windows:
        """The windows along some of the axes."""
        return Windows(*(getattr(self, field.name)[first:stop] for field in fields(self)))

    def along_rows(self) -> Windows:
        """Windows along one axis as windows of rows, each a single column wide."""
        ones, nothing = (1,), (0,)
        return Windows(
            self.kernel + ones, self.stride + ones, self.low + nothing, self.high + nothing, self.dilation + ones
        )

    def attrs(self) -> dict[str, Pair]:
        """The attributes that ops on windows of images have in common, but for their size."""
        return {
            "stride": pair(self.stride, 1), "low": pair(self.low, 0), "high": pair(self.high, 0),
            "dilation": pair(self.dilation, 1),
        }  # fmt: skip
