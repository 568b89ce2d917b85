"""What programs for PyTorch ask of the device that this machine has beside its CPU, in general or by its kind: there is
none."""

from __future__ import annotations

from tinytorch import cuda as mps
from tinytorch import cuda as xpu
from tinytorch.cuda import device_count, empty_cache, is_available, synchronize

__all__ = ["current_accelerator", "device_count", "empty_cache", "is_available", "mps", "synchronize", "xpu"]


def current_accelerator(check_available: bool = False) -> None:
    """None, since there is no such device."""
