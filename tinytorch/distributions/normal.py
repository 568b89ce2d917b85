"""`from tinytorch.distributions.normal import Normal`."""

from tinytorch.frontend.distributions import Normal

__all__ = ["Normal"]
