"""Kullback-Leibler divergences: the mean, under p, of log p - log q."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tinytorch.frontend import arguments
from tinytorch.frontend.distributions.base import Distribution, digamma, lgamma
from tinytorch.frontend.distributions.continuous import Exponential, Laplace, LogNormal, Normal, Uniform
from tinytorch.frontend.distributions.discrete import Bernoulli, Categorical, Geometric, OneHotCategorical, Poisson
from tinytorch.frontend.distributions.gamma import Beta, Dirichlet, Gamma
from tinytorch.frontend.distributions.multivariate import Independent, MultivariateNormal
from tinytorch.frontend.functions.basic import where
from tinytorch.frontend.losses.functions import binary_cross_entropy_with_logits
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc

Rule = Callable[[Any, Any], Tensor]
_RULES: dict[tuple[type, type], Rule] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[Rule], Rule]:
    """A decorator of the function (p, q) -> Tensor for two kinds of distributions and those derived from them."""

    def enter(rule: Rule) -> Rule:
        _RULES[type_p, type_q] = rule
        return rule

    return enter


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """KL(p || q) at each place of the batch. TinyTorchError where no rule knows the two."""
    for name, given in (("p", p), ("q", q)):
        arguments.instance("kl_divergence", name, given, Distribution)
    for kind_p in type(p).__mro__:
        for kind_q in type(q).__mro__:
            if (kind_p, kind_q) in _RULES:
                return _RULES[kind_p, kind_q](p, q)
    raise TinyTorchError(
        f"kl_divergence: there is no rule for {type(p).__name__} and {type(q).__name__}; register_kl takes one",
        user_loc(),
    )


@register_kl(Normal, Normal)
@register_kl(LogNormal, LogNormal)
def _normal(p: Any, q: Any) -> Tensor:
    ratio, distance = (p.scale / q.scale).square(), ((p.loc - q.loc) / q.scale).square()
    return (ratio + distance - 1.0 - ratio.log()) * 0.5


@register_kl(Uniform, Uniform)
def _uniform(p: Uniform, q: Uniform) -> Tensor:
    result = ((q.high - q.low) / (p.high - p.low)).log()
    return where((q.low > p.low) | (q.high < p.high), math.inf, result)


@register_kl(Exponential, Exponential)
def _exponential(p: Exponential, q: Exponential) -> Tensor:
    ratio = q.rate / p.rate
    return ratio - ratio.log() - 1.0


@register_kl(Laplace, Laplace)
def _laplace(p: Laplace, q: Laplace) -> Tensor:
    ratio, distance = p.scale / q.scale, (p.loc - q.loc).abs()
    return distance / q.scale + ratio * (-distance / p.scale).exp() - ratio.log() - 1.0


@register_kl(Gamma, Gamma)
def _gamma(p: Gamma, q: Gamma) -> Tensor:
    a, b = p.concentration, q.concentration
    return b * (p.rate / q.rate).log() + lgamma(b) - lgamma(a) + (a - b) * digamma(a) + (q.rate - p.rate) * (a / p.rate)


@register_kl(Beta, Beta)
def _beta(p: Beta, q: Beta) -> Tensor:
    total = p.concentration1 + p.concentration0
    other = q.concentration1 + q.concentration0
    mass = lgamma(q.concentration1) + lgamma(q.concentration0) + lgamma(total)
    mass = mass - lgamma(p.concentration1) - lgamma(p.concentration0) - lgamma(other)
    rest = (p.concentration1 - q.concentration1) * digamma(p.concentration1)
    rest = rest + (p.concentration0 - q.concentration0) * digamma(p.concentration0)
    return mass + rest + (other - total) * digamma(total)


@register_kl(Dirichlet, Dirichlet)
def _dirichlet(p: Dirichlet, q: Dirichlet) -> Tensor:
    a, b = p.concentration, q.concentration
    total = a.sum(-1)
    mass = lgamma(total) - lgamma(b.sum(-1)) - (lgamma(a) - lgamma(b)).sum(-1)
    return mass + ((a - b) * (digamma(a) - digamma(total).unsqueeze(-1))).sum(-1)


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p: Bernoulli, q: Bernoulli) -> Tensor:
    """Cross entropy less entropy, each of which is finite where the logits are."""
    logits = q.logits.broadcast_to((p.probs + q.probs).shape)
    cross = binary_cross_entropy_with_logits(logits, p.probs.broadcast_to(logits.shape), reduction="none")
    cross = where(((q.probs == 0.0) & (p.probs != 0.0)) | ((q.probs == 1.0) & (p.probs != 1.0)), math.inf, cross)
    return cross - p.entropy()


@register_kl(Geometric, Geometric)
def _geometric(p: Geometric, q: Geometric) -> Tensor:
    return -p.entropy() - (-q.probs).log1p() / p.probs - q.logits


@register_kl(Categorical, Categorical)
@register_kl(OneHotCategorical, OneHotCategorical)
def _categorical(p: Any, q: Any) -> Tensor:
    terms = p.probs * (p.logits - q.logits)
    terms = where((q.probs == 0.0).broadcast_to(terms.shape), math.inf, terms)
    return where((p.probs == 0.0).broadcast_to(terms.shape), 0.0, terms).sum(-1)


@register_kl(Poisson, Poisson)
def _poisson(p: Poisson, q: Poisson) -> Tensor:
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(MultivariateNormal, MultivariateNormal)
def _multivariate(p: MultivariateNormal, q: MultivariateNormal) -> Tensor:
    size, precision = float(p.event_shape[0]), q.precision_matrix
    trace = (precision * p.covariance_matrix).sum((-2, -1))
    distance = (p.loc - q.loc).unsqueeze(-1)
    square = (distance * (precision @ distance)).sum((-2, -1))
    return q.half_log_determinant() - p.half_log_determinant() + (trace + square - size) * 0.5


@register_kl(Independent, Independent)
def _independent(p: Independent, q: Independent) -> Tensor:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise TinyTorchError("kl_divergence: the two Independents take different axes together", user_loc())
    return p.summed(kl_divergence(p.base_dist, q.base_dist))
