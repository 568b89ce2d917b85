"""What workers load: samples that may do anything, and batches too long for a message."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch.utils import data

PIXELS = np.arange(12 * 4096, dtype=np.float32).reshape(12, 4096)  # batches too long for a message


class Items(data.Dataset[Any]):
    """Samples that are not gathered; `act(index)` may do anything."""

    def __init__(self, n: int = 10, act: Any = None) -> None:
        self.n, self.act = n, act

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> Any:
        extra = None if self.act is None else self.act(index)
        return np.full((2, 3), index, np.float32), index, 0 if extra is None else extra


def indices(loader: Any) -> list[list[int]]:
    return [batch[1].tolist() for batch in loader]
