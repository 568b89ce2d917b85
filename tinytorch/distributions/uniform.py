"""`from tinytorch.distributions.uniform import Uniform`."""

from tinytorch.frontend.distributions import Uniform

__all__ = ["Uniform"]
