"""Functions of the elements that a mask leaves, under the names of torch.masked."""

from __future__ import annotations

from tinytorch.frontend import names as names
from tinytorch.frontend.spelling import names_in

__all__ = list(names_in("masked"))  # pyright: ignore[reportUnsupportedDunderAll]

globals().update(names_in("masked"))
