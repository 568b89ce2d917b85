"""`from tinytorch.distributions.categorical import Categorical`."""

from tinytorch.frontend.distributions import Categorical

__all__ = ["Categorical"]
