"""`from tinytorch.distributions.independent import Independent`."""

from tinytorch.frontend.distributions import Independent

__all__ = ["Independent"]
