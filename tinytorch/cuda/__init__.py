"""What programs for PyTorch ask of a GPU: there is none, and what they do to all of them is done to none."""

from __future__ import annotations

from tinytorch.cuda import amp as amp


def is_available() -> bool:
    return False


def device_count() -> int:
    return 0


def manual_seed(seed: int) -> None:
    """Nothing: `tt.manual_seed` seeds the generator that there is."""


def manual_seed_all(seed: int) -> None:
    """Nothing, as `manual_seed`."""


def empty_cache() -> None:
    """Nothing."""


def synchronize(device: object = None) -> None:
    """Nothing: a call returns when its results are there."""
