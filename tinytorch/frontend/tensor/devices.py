"""Where tensors lie, and in which order: on the CPU, the only place there is, row by row."""

from __future__ import annotations

from typing import Literal, Self

from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc

__all__ = ["channels_last", "contiguous_format", "device", "memory_format", "preserve_format"]


def require_cpu(device: object) -> None:
    """TinyTorchError if `device` is not the CPU."""
    if device is not None and str(device).split(":")[0] != "cpu":
        raise TinyTorchError(f"device {str(device)!r}: TinyTorch runs on the CPU only", user_loc())


class device:
    """The CPU, equal to its name "cpu"; TinyTorchError for every other one. As a context (`with tt.device("cpu"):`) it
    is where new tensors lie, which they do anyway."""

    __slots__ = ()

    def __init__(self, type: object = "cpu", index: int | None = None) -> None:
        require_cpu(type)

    @property
    def type(self) -> Literal["cpu"]:
        return "cpu"

    @property
    def index(self) -> None:
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) or (isinstance(other, str) and other.split(":")[0] == "cpu")

    def __hash__(self) -> int:
        return hash("cpu")

    def __str__(self) -> str:
        return "cpu"

    def __repr__(self) -> str:
        return "device(type='cpu')"


class memory_format:
    """An order of elements in memory, as PyTorch names them."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"tt.{self.name}"


preserve_format = memory_format("preserve_format")
contiguous_format = memory_format("contiguous_format")
channels_last = memory_format("channels_last")


def require_plain_format(what: str, given: object) -> None:
    """TinyTorchError for an order of elements that users would have to ask for."""
    if given is not None and given is not preserve_format and given is not contiguous_format:
        hint = "leave it out: kernels keep images as they need them"
        raise TinyTorchError(f"{what}: memory_format is tt.preserve_format, got {given!r}; {hint}", user_loc())
