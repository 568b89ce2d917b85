"""Functions of special functions, under the names of torch.special."""

from __future__ import annotations

from tinytorch.frontend import names as names
from tinytorch.frontend.spelling import names_in

__all__ = list(names_in("special"))  # pyright: ignore[reportUnsupportedDunderAll]

globals().update(names_in("special"))
