"""`from tinytorch.distributions.multivariate_normal import MultivariateNormal`."""

from tinytorch.frontend.distributions import MultivariateNormal

__all__ = ["MultivariateNormal"]
