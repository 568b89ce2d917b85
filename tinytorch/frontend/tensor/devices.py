"""Where tensors lie: on the CPU, the only place there is."""

from __future__ import annotations

from typing import Literal, Self

from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc

__all__ = ["device"]


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
