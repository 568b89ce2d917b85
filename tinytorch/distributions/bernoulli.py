"""`from tinytorch.distributions.bernoulli import Bernoulli`."""

from tinytorch.frontend.distributions import Bernoulli

__all__ = ["Bernoulli"]
