"""`from tinytorch.distributions.kl import kl_divergence`."""

from tinytorch.frontend.distributions import kl_divergence, register_kl

__all__ = ["kl_divergence", "register_kl"]
