"""tt.distributions: densities, moments, entropies and divergences of torch.distributions; samples by their moments."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import distributions as D
from tinytorch.ir.errors import ShapeError, TinyTorchError, TraceError

A = [[0.5, 1.5, 3.0], [0.2, 2.5, 1.0]]
B = [2.0, 0.7, 1.3]
LOGITS = [[0.3, -1.0, 2.0], [0.0, 0.0, -0.5]]
PROBS = [0.2, 0.5, 0.9]
TRIL = [[1.5, 0.0], [0.4, 0.8]]

# The name, parameters, other parameters (for divergences), values.
CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any], Any]] = {
    "normal": ("Normal", {"loc": A, "scale": B}, {"loc": 0.0, "scale": 1.5}, [[0.1, -2.0, 3.0], [1.0, 2.0, 9.0]]),
    "lognormal": ("LogNormal", {"loc": A, "scale": B}, {"loc": 0.5, "scale": 1.0}, [[0.1, 2.0, 3.0]]),
    "uniform": ("Uniform", {"low": [-1.0, 0.0], "high": [2.0, 0.5]}, {"low": -2.0, "high": 2.5}, [0.5, 0.25]),
    "exponential": ("Exponential", {"rate": B}, {"rate": 0.8}, [0.0, 1.0, 2.5]),
    "laplace": ("Laplace", {"loc": A, "scale": B}, {"loc": 0.3, "scale": 1.1}, [0.4, -1.0, 2.0]),
    "gamma": ("Gamma", {"concentration": A, "rate": B}, {"concentration": 1.2, "rate": 0.4}, [0.4, 1.0, 2.0]),
    "beta": ("Beta", {"concentration1": A, "concentration0": B},
             {"concentration1": 1.4, "concentration0": 0.6}, [0.4, 0.1, 0.9]),
    "dirichlet": ("Dirichlet", {"concentration": A}, {"concentration": B}, [0.2, 0.3, 0.5]),
    "bernoulli": ("Bernoulli", {"probs": PROBS}, {"logits": LOGITS[0]}, [1.0, 0.0, 1.0]),
    "bernoulli logits": ("Bernoulli", {"logits": LOGITS}, {"probs": [PROBS, PROBS]}, [1.0, 0.0, 1.0]),
    "geometric": ("Geometric", {"probs": PROBS}, {"probs": 0.3}, [0.0, 3.0, 1.0]),
    "categorical": ("Categorical", {"logits": LOGITS}, {"probs": PROBS}, [2, 0]),
    "categorical probs": ("Categorical", {"probs": A}, {"logits": LOGITS}, [[0, 1]]),
    "one hot": ("OneHotCategorical", {"logits": LOGITS}, {"probs": PROBS}, [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]),
    "poisson": ("Poisson", {"rate": B}, {"rate": 1.5}, [0.0, 4.0, 1.0]),
    "multivariate": ("MultivariateNormal", {"loc": [[0.5, -1.0], [0.0, 2.0]], "scale_tril": TRIL},
                     {"loc": [0.0, 0.0], "covariance_matrix": [[2.0, 0.3], [0.3, 1.0]]}, [0.3, 1.0]),
}  # fmt: skip
CDFS = {"normal", "lognormal", "uniform", "exponential", "laplace"}
NO_ENTROPY = {"poisson"}


def made(module: Any, tensor: Any, name: str, parameters: dict[str, Any]) -> Any:
    return getattr(module, name)(**{k: tensor(v) for k, v in parameters.items()})


def close(ours: Any, theirs: Any, rtol: float = 1e-5, atol: float = 1e-6) -> None:
    assert tuple(ours.shape) == tuple(theirs.shape)
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=rtol, atol=atol)


@pytest.mark.parametrize("case", CASES)
def test_values_are_those_of_torch(case: str) -> None:
    torch = pytest.importorskip("torch")
    name, parameters, others, value = CASES[case]
    p, q = (made(D, tt.tensor, name, given) for given in (parameters, others))
    tp, tq = (made(torch.distributions, torch.tensor, name, given) for given in (parameters, others))
    assert p.batch_shape == tuple(tp.batch_shape) and p.event_shape == tuple(tp.event_shape)
    close(p.log_prob(tt.tensor(value)), tp.log_prob(torch.tensor(value)))
    for moment in ("mean", "variance", "stddev"):
        close(getattr(p, moment), getattr(tp, moment))
    if case not in NO_ENTROPY:
        close(p.entropy(), tp.entropy())
    close(D.kl_divergence(p, q), torch.distributions.kl_divergence(tp, tq), rtol=1e-4, atol=1e-5)
    if case in CDFS:
        close(p.cdf(tt.tensor(value)), tp.cdf(torch.tensor(value)))
        level = [0.1, 0.5] if case == "uniform" else [0.1, 0.5, 0.95]
        close(p.icdf(tt.tensor(level)), tp.icdf(torch.tensor(level)), rtol=1e-4)
    assert p.has_rsample <= tp.has_rsample
    grown = p.expand((4, *p.batch_shape))
    assert grown.batch_shape == (4, *p.batch_shape) and type(grown) is type(p)
    close(grown.log_prob(tt.tensor(value)), tp.expand((4, *tp.batch_shape)).log_prob(torch.tensor(value)))


@pytest.mark.parametrize("case", CASES)
def test_gradients_of_log_prob_eager_and_compiled(case: str) -> None:
    torch = pytest.importorskip("torch")
    name, parameters, _, value = CASES[case]
    theirs = {k: torch.tensor(v, requires_grad=True) for k, v in parameters.items()}
    getattr(torch.distributions, name)(**theirs).log_prob(torch.tensor(value)).sum().backward()

    def loss(given: dict[str, tt.Tensor]) -> tt.Tensor:
        return getattr(D, name)(**given).log_prob(tt.tensor(value)).sum()

    for call in (loss, tt.compile(loss)):
        ours = {k: tt.tensor(v, requires_grad=True) for k, v in parameters.items()}
        call(ours).backward()
        for key, tensor in theirs.items():
            if tensor.grad is not None:
                grad = ours[key].grad
                found = np.zeros(tensor.shape) if grad is None else grad.numpy()
                wanted = np.tril(tensor.grad.numpy()) if key == "scale_tril" else tensor.grad.numpy()
                np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_samples_have_the_moments(case: str) -> None:
    name, parameters, _, _ = CASES[case]
    tt.manual_seed(11)
    p = made(D, tt.tensor, name, parameters)
    count = 8000
    drawn = p.sample((count,))
    assert drawn.shape == (count, *p.batch_shape, *p.event_shape) and not drawn.requires_grad
    x = drawn.numpy().astype(np.float64)
    if name == "Categorical":
        probs = p.probs.numpy()
        for k in range(3):
            np.testing.assert_allclose((x == k).mean(0), probs[..., k], atol=0.03)
        return
    mean, spread = p.mean.numpy(), p.stddev.numpy()
    assert (np.abs(x.mean(0) - mean) < 5 * spread / math.sqrt(count) + 1e-6).all()
    if name != "LogNormal":  # whose fourth moment is large
        np.testing.assert_allclose(x.std(0), spread, rtol=0.12)
    assert np.isfinite(p.log_prob(drawn).numpy()).all()


def test_samples_follow_the_seed_also_compiled() -> None:
    loc = tt.tensor([0.0, 1.0])

    def draw() -> tuple[tt.Tensor, tt.Tensor]:
        return D.Normal(loc, 2.0).rsample((3,)), D.Categorical(logits=loc).sample((3,))

    tt.manual_seed(5)
    eager = draw()
    tt.manual_seed(5)
    compiled = tt.compile(draw)()
    np.testing.assert_allclose(eager[0].numpy(), compiled[0].numpy(), rtol=1e-6)
    assert eager[1].tolist() == compiled[1].tolist()


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (lambda a: D.Normal(a, a * 0.5), lambda x, a: x / a),
        (lambda a: D.Exponential(a), lambda x, a: -x / a),
        (lambda a: D.Uniform(0.0, a), lambda x, a: x / a),
        (lambda a: D.Laplace(a, 2.0), lambda x, a: 1.0 + 0 * x),
        (lambda a: D.Independent(D.Normal(a, 1.0), 1), lambda x, a: 1.0 + 0 * x),
    ],
)
def test_rsample_has_a_gradient(make: Any, wanted: Any) -> None:
    a = tt.tensor([1.5, 3.0], requires_grad=True)
    x = make(a).rsample()
    x.sum().backward()
    np.testing.assert_allclose(a.grad.numpy(), wanted(x.detach().numpy(), a.detach().numpy()), rtol=1e-5)


def test_by_hand() -> None:
    """Values that need no other library."""
    assert D.Normal(1.0, 2.0).log_prob(3.0).item() == pytest.approx(-0.5 - math.log(2 * math.sqrt(2 * math.pi)))
    assert D.Bernoulli(0.25).log_prob(1.0).item() == pytest.approx(math.log(0.25), rel=1e-6)
    assert D.Categorical(tt.tensor([1.0, 3.0])).log_prob(1).item() == pytest.approx(math.log(0.75), rel=1e-6)
    assert D.Categorical(tt.tensor([1.0, 1.0])).entropy().item() == pytest.approx(math.log(2), rel=1e-6)
    assert D.kl_divergence(D.Normal(0.0, 1.0), D.Normal(1.0, 1.0)).item() == 0.5
    assert D.Gamma(1.0, 2.0).log_prob(0.5).item() == pytest.approx(math.log(2) - 1, rel=1e-6)
    assert D.Beta(2.0, 1.0).log_prob(0.5).item() == pytest.approx(0.0, abs=1e-6)
    assert D.Uniform(0.0, 4.0).entropy().item() == pytest.approx(math.log(4), rel=1e-6)


def test_independent_sums_over_the_event() -> None:
    base = D.Normal(tt.zeros(4, 3), tt.ones(3))
    joint = D.Independent(base, 1)
    assert (joint.batch_shape, joint.event_shape) == ((4,), (3,))
    x = joint.rsample((2,))
    np.testing.assert_allclose(joint.log_prob(x).numpy(), base.log_prob(x).sum(-1).numpy())
    assert D.kl_divergence(joint, D.Independent(D.Normal(tt.ones(4, 3), 1.0), 1)).tolist() == [1.5] * 4
    assert joint.expand((5, 4)).log_prob(x[0]).shape == (5, 4)


def test_zero_logits_have_a_gradient() -> None:
    logits = tt.zeros(2, requires_grad=True)
    D.Bernoulli(logits=logits).log_prob(tt.tensor([1.0, 0.0])).sum().backward()
    assert logits.grad.tolist() == [0.5, -0.5]


def test_divergences_where_the_other_has_no_mass() -> None:
    p, q = D.Categorical(tt.tensor([0.5, 0.5])), D.Categorical(tt.tensor([1.0, 0.0]))
    assert D.kl_divergence(p, q).item() == math.inf and math.isfinite(D.kl_divergence(q, p).item())
    assert D.kl_divergence(D.Uniform(0.0, 2.0), D.Uniform(0.0, 1.0)).item() == math.inf


BAD = [
    (lambda: D.Normal(0.0, -1.0), "scale are positive"),
    (lambda: D.Normal(tt.zeros(2), tt.ones(3)), "do not broadcast"),
    (lambda: D.Normal("a", 1.0), "loc"),
    (lambda: D.Bernoulli(), "one of probs and logits"),
    (lambda: D.Bernoulli(0.5, 0.0), "one of probs and logits"),
    (lambda: D.Bernoulli(1.5), "between 0 and 1"),
    (lambda: D.Categorical(logits=1.0), "axis of classes"),
    (lambda: D.Categorical(tt.tensor([0.5, 0.5])).log_prob(2), "from 0 to 1"),
    (lambda: D.Bernoulli(0.5).log_prob(0.3), "0 or 1"),
    (lambda: D.Uniform(1.0, 0.0), "low < high"),
    (lambda: D.Uniform(0.0, 1.0).log_prob(2.0), "between low and high"),
    (lambda: D.Normal(tt.zeros(2), 1.0).log_prob(tt.zeros(3)), "do not broadcast"),
    (lambda: D.Gamma(1.0, 1.0).rsample(), "no gradient"),
    (lambda: D.Poisson(1.0).entropy(), "closed form"),
    (lambda: D.kl_divergence(D.Normal(0.0, 1.0), D.Poisson(1.0)), "no rule"),
    (lambda: D.Independent(D.Normal(0.0, 1.0), 1), "1 axes"),
    (lambda: D.MultivariateNormal(tt.zeros(2)), "one of"),
    (lambda: D.MultivariateNormal(tt.zeros(2), tt.ones(2, 2)), "positive definite"),
    (lambda: tt.compile(lambda: D.Gamma(1.0, 1.0).sample())(), "draw outside"),
]


@pytest.mark.parametrize(("make", "message"), BAD)
def test_bad_arguments(make: Any, message: str) -> None:
    with pytest.raises((TinyTorchError, ShapeError, TraceError), match=message):
        make()


def test_without_validation_anything_goes() -> None:
    assert D.Normal(0.0, -1.0, validate_args=False).mean.item() == 0.0
    assert D.Uniform(0.0, 1.0, validate_args=False).log_prob(2.0).item() == -math.inf
