"""`from tinytorch.distributions.distribution import Distribution`."""

from tinytorch.frontend.distributions import Distribution

__all__ = ["Distribution"]
