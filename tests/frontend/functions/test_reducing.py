"""Scans, reductions and counts: against numpy, eager and compiled, with gradients; bad input."""

import math

import numpy as np
import pytest

import tinytorch as tt
from tests.frontend.functions.test_sorting import both
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import ShapeError, TinyTorchError, TraceError

NAN, INF = math.nan, math.inf
RNG = np.random.default_rng(4)
X = RNG.normal(size=(3, 4, 5))
HOLES = np.where(RNG.random(X.shape) < 0.3, NAN, X)
ZEROS = np.array([[1.5, 0, 2, -1], [0, 2, 0, 3], [2, -3, 0.5, 1]])


def moments(function):
    return lambda x: [x.var(1, ddof=function), x.mean(1)]


CASES = {
    "cumprod": (lambda x: x.cumprod(1), lambda x: np.cumprod(x, 1)),
    "logcumsumexp": (lambda x: x.logcumsumexp(1), lambda x: np.logaddexp.accumulate(x, 1)),
    "cummax": (lambda x: x.cummax(0)[0], lambda x: np.maximum.accumulate(x, 0)),
    "cummin": (lambda x: x.cummin(2)[0], lambda x: np.minimum.accumulate(x, 2)),
    "diff": (lambda x: x.diff(2, 1), lambda x: np.diff(x, 2, 1)),
    "diff of more": (lambda x: x.diff(1, 0, x[:1], x[1:]), lambda x: np.diff(x, 1, 0, x[:1], x[1:])),
    "trapezoid": (lambda x: tt.trapezoid(x, dx=0.5, dim=1), lambda x: np.trapezoid(x, dx=0.5, axis=1)),
    "trapz": (lambda x: tt.trapz(x, x[0, 0]), lambda x: np.trapezoid(x, x[0, 0])),
    "prod": (lambda x: x.prod(1), lambda x: x.prod(1)),
    "prod of all": (lambda x: tt.prod(x), lambda x: x.prod()),
    "count_nonzero": (lambda x: tt.count_nonzero(x > 0, (0, 2)), lambda x: np.count_nonzero(x > 0, (0, 2))),
    "aminmax": (lambda x: x.aminmax(dim=1), lambda x: [x.min(1), x.max(1)]),
    "var_mean": (lambda x: tt.var_mean(x, 1), moments(1)),
    "var_mean biased": (lambda x: tt.var_mean(x, dim=1, correction=0), moments(0)),
    "std_mean": (lambda x: tt.std_mean(x, 1), lambda x: [x.std(1, ddof=1), x.mean(1)]),
    "logsumexp": (lambda x: tt.logsumexp(x, (0, 2)), lambda x: np.logaddexp.reduce(x.swapaxes(0, 1).reshape(4, -1), 1)),
    "cov": (lambda x: x[0].cov(), lambda x: np.cov(x[0])),
    "cov of a vector": (lambda x: x[0, 0].cov(correction=0), lambda x: np.cov(x[0, 0], ddof=0)),
    "weighted cov": (lambda x: x[0].cov(aweights=x[1, 1] ** 2), lambda x: np.cov(x[0], aweights=x[1, 1] ** 2)),
    "corrcoef": (lambda x: x[0].corrcoef(), lambda x: np.corrcoef(x[0])),
    "sum_to_size": (lambda x: x.sum_to_size(4, 1), lambda x: x.sum((0, 2))[:, None]),
    "renorm": (lambda x: x.renorm(2, 1, 1.5), lambda x: x * _factor(x)),
}  # fmt: skip


def _factor(x):
    norms = np.sqrt((x * x).sum((0, 2), keepdims=True))
    return np.where(norms > 1.5, 1.5 / (norms + 1e-7), 1)


@pytest.mark.parametrize("name", CASES)
def test_against_numpy(name):
    function, expected = CASES[name]
    results, wanted = both(function, X, rtol=1e-12), expected(X)
    for found, other in zip(results, wanted if isinstance(wanted, list) else [wanted], strict=True):
        assert found.shape == np.shape(other)
        np.testing.assert_allclose(found, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", [n for n in CASES if n != "count_nonzero"])
def test_gradients(name):
    function = CASES[name][0]

    def loss(x):
        found = function(x)
        return sum((y * y * y).sum() for y in (found if isinstance(found, tuple) else (found,)))

    x = Tensor(X, requires_grad=True)
    loss(x).backward()
    np.testing.assert_allclose(x.grad.numpy(), tt.compile(tt.grad(loss))(Tensor(X)).numpy(), rtol=1e-8, atol=1e-10)
    v, eps = RNG.normal(size=X.shape), 1e-6
    up, down = (loss(Tensor(X + s * eps * v)).item() for s in (1, -1))
    np.testing.assert_allclose((x.grad.numpy() * v).sum(), (up - down) / (2 * eps), rtol=1e-6)


def test_products_with_zeros_have_finite_gradients():
    expected = np.array([[0, -3, 0, 0], [0, 0, 0, 0], [-1.5, 1, -6, -3]])
    for function in (lambda x: x.prod(1).sum(), lambda x: x.cumprod(1)[:, 3].sum()):
        x = Tensor(ZEROS, requires_grad=True)
        function(x).backward()
        np.testing.assert_allclose(x.grad.numpy(), expected)


def test_nans_are_left_out():
    for name in ("nansum", "nanmean"):
        for dim in (None, 1, (0, 2)):
            found = both(lambda x, n=name, d=dim: getattr(tt, n)(x, d), HOLES, rtol=1e-12)[0]
            np.testing.assert_allclose(found, getattr(np, name)(HOLES, dim))
    assert math.isnan(Tensor([NAN]).nanmean().item()) and Tensor([NAN]).nansum().item() == 0
    x = Tensor([NAN, 2.0], requires_grad=True)
    (x.nansum() + x.nanmean()).backward()
    assert x.grad.tolist() == [0, 2]


def test_dtypes():
    small = Tensor([100, 100, 3], dtype="i8")
    for found in (small.sum(), small.prod(), small.cumsum(0), small.cumprod(0), tt.nansum(small)):
        assert found.dtype.name == "i64"
    assert (
        small.sum().item() == 203 and small.prod().item() == 30000 and small.cumprod(0).tolist() == [100, 10000, 30000]
    )
    for function in (tt.sum, tt.mean, tt.prod, tt.nansum, lambda x, dtype: x.cumsum(0, dtype=dtype)):
        assert function(small, dtype="f64").dtype.name == "f64"
    halves = tt.full((3000,), 1.0, dtype="f16")
    assert halves.sum(dtype="f32").item() == 3000 and tt.count_nonzero(Tensor([0.0, NAN, -0.0])).item() == 1
    with pytest.raises(ShapeError, match="dtype of numbers"):
        small.sum(dtype="bool")


def test_empty_axes():
    x = tt.zeros(2, 0, 3)
    assert x.prod(1).tolist() == [[1, 1, 1]] * 2 and x.logsumexp((0, 1)).tolist() == [-INF] * 3
    assert x.cumprod(1).shape == (2, 0, 3) == x.cummax(1).values.shape and x.diff(dim=1).shape == (2, 0, 3)
    assert tt.zeros(0).prod().item() == 1 and tt.trapezoid(tt.zeros(2, 0)).tolist() == [0, 0]


MASK = RNG.random((4, 5)) < 0.6
MASK[1:3] = True  # at least two are left
MASKED = {
    "sum": lambda m: m.sum(1), "prod": lambda m: m.prod(1), "amax": lambda m: m.max(1), "amin": lambda m: m.min(1),
    "argmax": lambda m: m.argmax(1), "argmin": lambda m: m.argmin(1), "mean": lambda m: m.mean(1),
    "median": lambda m: [[sorted(c)[(len(c) - 1) // 2] for c in (c.compressed() for c in a.T)] for a in m],
    "norm": lambda m: np.sqrt((m * m).sum(1)), "var": lambda m: m.var(1, ddof=1), "std": lambda m: m.std(1, ddof=1),
    "logsumexp": lambda m: np.log(np.exp(m).sum(1)), "cumsum": lambda m: m.filled(0).cumsum(1),
    "cumprod": lambda m: m.filled(1).cumprod(1),
    "softmax": lambda m: (np.exp(m) / np.exp(m).sum(1, keepdims=True)).filled(0),
    "softmin": lambda m: (np.exp(-m) / np.exp(-m).sum(1, keepdims=True)).filled(0),
    "log_softmax": lambda m: (m - np.log(np.exp(m).sum(1, keepdims=True))).filled(-INF),
    "normalize": lambda m: (m / np.sqrt((m * m).sum(1, keepdims=True))).filled(0),
}  # fmt: skip


@pytest.mark.parametrize("name", MASKED)
def test_masked(name):
    function, order = getattr(tt.masked, name), (2.0,) if name == "normalize" else ()
    (found,) = both(lambda x, m: function(x, *order, dim=1, mask=m), X, MASK, rtol=1e-12)
    expected = MASKED[name](np.ma.array(X, mask=np.broadcast_to(~MASK, X.shape)))
    np.testing.assert_allclose(found, np.asarray(expected), rtol=1e-10, atol=1e-12)


def test_what_is_left_of_nothing():
    x, none = tt.ones(2), Tensor([False, False])
    assert [getattr(tt.masked, n)(x, mask=none).item() for n in ("sum", "prod", "amax", "norm")] == [0, 1, -INF, 0]
    assert all(math.isnan(getattr(tt.masked, n)(x, mask=none).item()) for n in ("mean", "var", "median"))
    assert tt.masked.cumsum(x.to(tt.uint8), 0).dtype == tt.masked.cumprod(x.to(tt.uint8), 0).dtype == tt.uint8
    assert tt.masked.logaddexp(x, x, input_mask=none, other_mask=none).tolist() == [-INF, -INF]
    with pytest.raises(ShapeError, match=r"masked.sum: mask is bool"):
        tt.masked.sum(x, mask=x)


# Counts.
def test_unique():
    x = np.array([[3, 1, 3], [1, 2, 2]])
    values, inverse, counts = tt.unique(Tensor(x), return_inverse=True, return_counts=True)
    assert values.tolist() == [1, 2, 3] and counts.tolist() == [2, 2, 2]
    assert inverse.tolist() == [[2, 0, 2], [0, 1, 1]]
    rows = Tensor([[2, 1], [1, 5], [2, 1]])
    assert [t.tolist() for t in rows.unique(dim=0, return_counts=True)] == [[[1, 5], [2, 1]], [1, 2]]
    runs = tt.unique_consecutive(Tensor([1.0, 1, 2, 1, 1]), True, True)
    assert [t.tolist() for t in runs] == [[1, 2, 1], [0, 0, 1, 2, 2], [2, 1, 2]]
    assert rows.unique_consecutive(dim=0).shape == (3, 2) and tt.unique(Tensor([NAN, NAN])).shape == (2,)
    assert tt.unique(Tensor(4.0)).tolist() == [4.0] and tt.unique(tt.zeros(0)).shape == (0,)


def test_counts_and_histograms():
    assert tt.bincount(Tensor([1, 3, 1]), minlength=5).tolist() == [0, 2, 0, 1, 0]
    weighted = tt.bincount(Tensor([1, 1, 0]), Tensor([0.5, 1.0, 2.0]))
    assert weighted.tolist() == [2, 1.5] and weighted.dtype.name == "f32"
    assert tt.histc(Tensor([1.0, 2.0, 1.0, NAN]), 4, 0, 3).tolist() == [0, 2, 1, 0]
    x = X.reshape(-1)
    for density in (False, True):
        hist, edges = tt.histogram(Tensor(x), 7, range=(-1, 1), density=density)
        expected, ends = np.histogram(x, 7, (-1, 1), density=density)
        np.testing.assert_allclose(hist.numpy(), expected)
        np.testing.assert_allclose(edges.numpy(), ends)
    np.testing.assert_array_equal(tt.histogram(Tensor(x)).hist.numpy(), np.histogram(x, 100)[0])
    edges, weight = np.array([-1, 0, 0.3, 2]), RNG.random(60)
    found = tt.histogram(Tensor(x), Tensor(edges), weight=Tensor(weight))
    np.testing.assert_allclose(found.hist.numpy(), np.histogram(x, edges, weights=weight)[0])
    points = X.reshape(-1, 2)
    hist, sides = tt.histogramdd(Tensor(points), [3, 4], range=[-1, 1, -2, 2])
    expected, ends = np.histogramdd(points, [3, 4], [(-1, 1), (-2, 2)])
    np.testing.assert_array_equal(hist.numpy(), expected)
    for side, end in zip(sides, ends, strict=True):
        np.testing.assert_allclose(side.numpy(), end)


@pytest.mark.parametrize("replacement", [False, True])
def test_multinomial(replacement):
    weights = tt.Tensor([[0.0, 1, 3, 4], [1, 0, 1, 0]])
    count = 5 if replacement else 2

    def draw(x, generator):
        return tt.multinomial(x, count, replacement, generator=generator)

    eager = draw(weights, tt.Generator(1))
    generator = tt.Generator(1)
    compiled = tt.compile(lambda x: draw(x, generator))(weights)
    assert eager.tolist() == compiled.tolist() and eager.dtype.name == "i64"
    many = tt.multinomial(weights.cast("f32").broadcast_to((1000, 2, 4)).reshape(2000, 4), count, replacement)
    counts = np.stack([np.bincount(many.numpy()[r::2, 0], minlength=4) for r in range(2)]) / 1000
    np.testing.assert_allclose(counts, [[0, 1 / 8, 3 / 8, 1 / 2], [0.5, 0, 0.5, 0]], atol=0.06)
    if not replacement:
        assert (many.numpy()[:, 0] != many.numpy()[:, 1]).all()


# Bad input.
@pytest.mark.parametrize(("function", "message"), [
    (lambda x: x.cumprod(3), "axis 3 is out of range"),
    (lambda x: x.cummax(5), "axis 5 is out of range"),
    (lambda x: x.diff(-1), "n is an integer that is not negative"),
    (lambda x: tt.Tensor(1.0).diff(), "at least one axis"),
    (lambda x: tt.trapezoid(x, x, dx=1), "dx is None"),
    (lambda x: tt.trapezoid(x, x[0, 0, :2]), "has no place for each"),
    (lambda x: x.renorm(2, 5, 1), "axis 5 is out of range"),
    (lambda x: x.renorm(-1, 1, 1), "p is a positive number"),
    (lambda x: x.cov(), "at most two axes"),
    (lambda x: x[0].cov(fweights=x[0, 0]), "a tensor of integers"),
    (lambda x: x.sum_to_size(2, 5), "does not broadcast"),
    (lambda x: tt.bincount(Tensor([-1])), "not negative"),
    (lambda x: tt.bincount(Tensor([1.5])), "vector of integers"),
    (lambda x: x.histc(0), "bins is a positive integer"),
    (lambda x: x.histc(3, 2, 1), "min is at most max"),
    (lambda x: tt.histogram(x, Tensor([1.0])), "vector of at least two"),
    (lambda x: tt.histogramdd(x, [2, 2]), "2 bins for points in 5"),
    (lambda x: tt.multinomial(tt.zeros(3), 1), "weights that are not 0"),
    (lambda x: tt.multinomial(tt.ones(3), 4), "has no 4 indices"),
    (lambda x: tt.multinomial(Tensor([1.0, -1.0]), 1), "finite and not negative"),
])  # fmt: skip
def test_bad_input(function, message):
    with pytest.raises((ShapeError, TinyTorchError), match=message) as error:
        function(Tensor(X))
    assert "test_reducing.py" in str(error.value)


@pytest.mark.parametrize("function", [
    tt.unique, tt.unique_consecutive, lambda x: tt.bincount(x.long()), tt.histc, lambda x: tt.histogram(x, 3),
])  # fmt: skip
def test_what_depends_on_values_cannot_be_traced(function):
    with pytest.raises(TraceError, match="depends on values"):
        tt.compile(function)(Tensor(X[0, 0]))
