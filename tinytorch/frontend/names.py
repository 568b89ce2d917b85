"""All functions of the table under their names, as users find them in the package."""

from __future__ import annotations

from tinytorch.frontend import functional, functions, linear_algebra
from tinytorch.frontend.activations import functions as activation_functions
from tinytorch.frontend.layers import distances
from tinytorch.frontend.losses import margins
from tinytorch.frontend.spelling import names_in

SOURCES = (functional, functions, linear_algebra, activation_functions, distances, margins)  # they fill the table

__all__ = list(names_in(""))  # pyright: ignore[reportUnsupportedDunderAll]

globals().update(names_in(""))
