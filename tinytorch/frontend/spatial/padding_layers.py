"""`pad` as modules: a mode for each, for one, two or three spatial axes."""

from __future__ import annotations

from collections.abc import Sequence

from tinytorch.frontend import arguments
from tinytorch.frontend.module import Module
from tinytorch.frontend.spatial.arguments import error
from tinytorch.frontend.spatial.padding import pad
from tinytorch.frontend.tensor import Tensor

__all__ = [
    "CircularPad1d", "CircularPad2d", "CircularPad3d", "ConstantPad1d", "ConstantPad2d", "ConstantPad3d",
    "ReflectionPad1d", "ReflectionPad2d", "ReflectionPad3d", "ReplicationPad1d", "ReplicationPad2d",
    "ReplicationPad3d", "ZeroPad1d", "ZeroPad2d", "ZeroPad3d",
]  # fmt: skip

Amount = int | Sequence[int]


class _Pad(Module):
    """`padding`: one number for all sides, or (before, after) of the last axis, then of the one before it, …"""

    rank: int
    mode: str

    def __init__(self, padding: Amount) -> None:
        super().__init__()
        name, sides = type(self).__name__, 2 * self.rank
        given = list(padding) if isinstance(padding, Sequence) and not isinstance(padding, str) else [padding] * sides
        if len(given) != sides:
            raise error(f"{name}: padding is one integer or {sides} of them, got {padding!r}")
        self.padding = tuple(arguments.integer(name, "padding", n) for n in given)

    def forward(self, input: Tensor) -> Tensor:
        return pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    mode = "constant"

    def __init__(self, padding: Amount, value: float) -> None:
        super().__init__(padding)
        self.value = arguments.number(type(self).__name__, "value", value, lambda v: True, "a number")

    def forward(self, input: Tensor) -> Tensor:
        return pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """`value` around [..., length]."""

    rank = 1


class ConstantPad2d(_ConstantPad):
    """`value` around [..., height, width]."""

    rank = 2


class ConstantPad3d(_ConstantPad):
    """`value` around [..., depth, height, width]."""

    rank = 3


class _ZeroPad(_ConstantPad):
    def __init__(self, padding: Amount) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad1d(_ZeroPad):
    """Zeros around [..., length]."""

    rank = 1


class ZeroPad2d(_ZeroPad):
    """Zeros around [..., height, width]."""

    rank = 2


class ZeroPad3d(_ZeroPad):
    """Zeros around [..., depth, height, width]."""

    rank = 3


class ReflectionPad1d(_Pad):
    """[..., length] mirrored at its first and last element."""

    rank, mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    """[..., height, width] mirrored at its first and last rows and columns."""

    rank, mode = 2, "reflect"


class ReflectionPad3d(_Pad):
    """[..., depth, height, width] mirrored at its sides."""

    rank, mode = 3, "reflect"


class ReplicationPad1d(_Pad):
    """[..., length] with its first and last element repeated."""

    rank, mode = 1, "replicate"


class ReplicationPad2d(_Pad):
    """[..., height, width] with its first and last rows and columns repeated."""

    rank, mode = 2, "replicate"


class ReplicationPad3d(_Pad):
    """[..., depth, height, width] with its sides repeated."""

    rank, mode = 3, "replicate"


class CircularPad1d(_Pad):
    """[..., length] that goes on with its other end."""

    rank, mode = 1, "circular"


class CircularPad2d(_Pad):
    """[..., height, width] that goes on with its other ends."""

    rank, mode = 2, "circular"


class CircularPad3d(_Pad):
    """[..., depth, height, width] that goes on with its other ends."""

    rank, mode = 3, "circular"
