"""`from tinytorch.distributions import Normal`: probability distributions, under the names of torch.distributions."""

from tinytorch.frontend import distributions as _distributions
from tinytorch.frontend.distributions import *

__all__ = list(_distributions.__all__)  # pyright: ignore[reportUnsupportedDunderAll]
