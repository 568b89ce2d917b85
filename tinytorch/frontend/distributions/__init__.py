"""Probability distributions, as in reinforcement learning and variational models, under the names of
torch.distributions: `constraints` (what parameters and values may be), `base` (what all share), `continuous` (Normal,
LogNormal, Uniform, Exponential, Laplace), `gamma` (Gamma, Beta, Dirichlet), `discrete` (Bernoulli, Categorical,
OneHotCategorical, Geometric, Poisson), `multivariate` (Independent, MultivariateNormal), `divergences`
(kl_divergence).
"""

from tinytorch.frontend.distributions.base import Distribution
from tinytorch.frontend.distributions.continuous import Exponential, Laplace, LogNormal, Normal, Uniform
from tinytorch.frontend.distributions.discrete import Bernoulli, Categorical, Geometric, OneHotCategorical, Poisson
from tinytorch.frontend.distributions.divergences import kl_divergence, register_kl
from tinytorch.frontend.distributions.gamma import Beta, Dirichlet, Gamma
from tinytorch.frontend.distributions.multivariate import Independent, MultivariateNormal

__all__ = [
    "Bernoulli", "Beta", "Categorical", "Dirichlet", "Distribution", "Exponential", "Gamma", "Geometric", "Independent",
    "Laplace", "LogNormal", "MultivariateNormal", "Normal", "OneHotCategorical", "Poisson", "Uniform", "kl_divergence",
    "register_kl",
]  # fmt: skip
