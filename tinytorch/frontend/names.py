"""All functions of the table under their names, as users find them in the package."""

from __future__ import annotations

from tinytorch.frontend import functional as functional
from tinytorch.frontend import functions as functions
from tinytorch.frontend import linear_algebra as linear_algebra
from tinytorch.frontend.layers import distances as distances
from tinytorch.frontend.losses import margins as margins
from tinytorch.frontend.spelling import names_in

__all__ = list(names_in(""))  # pyright: ignore[reportUnsupportedDunderAll]

globals().update(names_in(""))
