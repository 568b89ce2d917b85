"""`from tinytorch.distributions.beta import Beta`."""

from tinytorch.frontend.distributions import Beta

__all__ = ["Beta"]
