"""Functions of linear algebra, under the names of torch.linalg."""

from __future__ import annotations

from tinytorch.frontend import names as names
from tinytorch.frontend.spelling import names_in

__all__ = list(names_in("linalg"))  # pyright: ignore[reportUnsupportedDunderAll]

globals().update(names_in("linalg"))
