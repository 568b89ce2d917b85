"""`from tinytorch.distributions import Normal`: probability distributions, under the names of torch.distributions."""

from tinytorch.distributions import bernoulli as bernoulli
from tinytorch.distributions import beta as beta
from tinytorch.distributions import categorical as categorical
from tinytorch.distributions import distribution as distribution
from tinytorch.distributions import independent as independent
from tinytorch.distributions import kl as kl
from tinytorch.distributions import multivariate_normal as multivariate_normal
from tinytorch.distributions import normal as normal
from tinytorch.distributions import uniform as uniform
from tinytorch.frontend import distributions as _distributions
from tinytorch.frontend.distributions import *

__all__ = list(_distributions.__all__)  # pyright: ignore[reportUnsupportedDunderAll]
