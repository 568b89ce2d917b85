"""Sorting, medians, quantiles and searches: values, indices, gradients, compiled, bad input."""

import math

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import ShapeError, TinyTorchError

NAN, INF = math.nan, math.inf
RNG = np.random.default_rng(3)
X = RNG.normal(size=(3, 4, 5)).astype(np.float32)
TIES = np.array([[1, 3, 3, -2, -2], [NAN, 1, INF, 0, NAN], [0, -0.0, 0, 0, 0]], np.float32)


def both(function, *arrays, rtol=0.0):
    """The results of a function, eager and compiled, which are the same (but for `rtol`, where sums are formed)."""
    eager, compiled = (list(_flat(f(*map(Tensor, arrays)))) for f in (function, tt.compile(function)))
    for a, b in zip(eager, compiled, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol)
    return eager


def _flat(results):
    if isinstance(results, Tensor):
        yield results.numpy()
    else:
        for result in results:
            yield from _flat(result)


# Sorting.
@pytest.mark.parametrize("dim", [0, 1, -1])
@pytest.mark.parametrize("descending", [False, True])
def test_sort_and_topk(dim, descending):
    order = np.argsort(-X if descending else X, dim, kind="stable")
    values, indices = both(lambda x: tt.sort(x, dim, descending), X)
    np.testing.assert_array_equal(indices, order)
    np.testing.assert_array_equal(values, np.take_along_axis(X, order, dim))
    (indices,) = both(lambda x: x.argsort(dim=dim, descending=descending), X)
    np.testing.assert_array_equal(indices, order)
    values, indices = both(lambda x: x.topk(2, dim, largest=descending), X)
    np.testing.assert_array_equal(indices, np.take(order, [0, 1], dim))
    np.testing.assert_array_equal(values, np.take_along_axis(X, indices, dim))


def test_results_are_named_and_do_not_depend_on_the_way_of_asking():
    found = Tensor(X).sort(axis=1)
    assert found._fields == ("values", "indices")
    np.testing.assert_array_equal(tt.msort(Tensor(X)).numpy(), np.sort(X, 0))
    assert [t.shape for t in Tensor(3.0).sort()] == [(), ()] == [t.shape for t in Tensor(3.0).topk(1)]
    assert tt.zeros(0, 3).sort(0).indices.shape == (0, 3) and tt.ones(2, 3).topk(0).values.shape == (2, 0)


def test_nan_is_largest_and_equal_elements_keep_their_order():
    values, indices = both(lambda x: x.sort(), TIES)
    assert indices.tolist() == [[3, 4, 0, 1, 2], [3, 1, 2, 0, 4], [0, 1, 2, 3, 4]]
    assert np.signbit(values[2]).tolist() == [False, True, False, False, False]
    assert both(lambda x: x.topk(3).indices, TIES)[0].tolist() == [[1, 2, 0], [0, 4, 2], [0, 1, 2]]


# The middle.
@pytest.mark.parametrize("dim", [0, 1, 2])
@pytest.mark.parametrize("keepdim", [False, True])
def test_medians(dim, keepdim):
    middle = (X.shape[dim] - 1) // 2
    order = np.take(np.argsort(X, dim), [middle], dim)
    kept = np.take_along_axis(X, order, dim)
    for function in (
        lambda x: x.median(dim, keepdim),
        lambda x: x.nanmedian(dim, keepdim),
        lambda x: x.kthvalue(middle + 1, dim, keepdim),
    ):
        values, indices = both(function, X)
        np.testing.assert_array_equal(values, kept if keepdim else kept.squeeze(dim))
        np.testing.assert_array_equal(indices, order if keepdim else order.squeeze(dim))
    assert both(lambda x: x.median(), X)[0] == np.sort(X.reshape(-1))[29]


def test_medians_of_nans_and_of_nothing():
    values, indices = both(lambda x: x.median(1), TIES)
    np.testing.assert_array_equal(values, [1, NAN, 0])
    assert indices.tolist() == [0, 0, 2]
    values, indices = both(lambda x: x.nanmedian(1), np.array([[NAN, 1, NAN, 3, 2], [NAN] * 5], np.float32))
    np.testing.assert_array_equal(values, [2, NAN])
    assert indices.tolist() == [4, 0]
    assert math.isnan(tt.zeros(0).median().item()) and math.isnan(Tensor([1, NAN, 2]).median().item())


def test_the_gradient_of_the_median_of_all_is_shared_among_equal_elements():
    x = Tensor([1.0, 2.0, 2.0, 5.0, 2.0], requires_grad=True)
    x.median().backward()
    np.testing.assert_allclose(x.grad.numpy(), [0, 1 / 3, 1 / 3, 0, 1 / 3], rtol=1e-6)


def test_mode():
    x = np.array([[1, 2, 2, 1, 3], [5, 4, 3, 2, 1], [7, 7, 0, 7, 0]])
    values, indices = both(lambda x: x.mode(), x)
    assert values.tolist() == [1, 1, 7] and indices.tolist() == [3, 4, 3]
    assert both(lambda x: x.mode(0, True).values, x)[0].tolist() == [[1, 2, 0, 1, 0]]


@pytest.mark.parametrize("interpolation", ["linear", "lower", "higher", "midpoint", "nearest"])
@pytest.mark.parametrize("dim", [None, 0, -1])
def test_quantiles(interpolation, dim):
    q = np.array([0, 0.1, 0.5, 0.77, 1], np.float32)
    x = X.copy()
    x[0, 1, 2] = NAN
    for name, data in (("quantile", X), ("quantile", x), ("nanquantile", x)):
        function = getattr(tt, name)
        (found,) = both(lambda x, q, f=function: f(x, q, dim, interpolation=interpolation), data, q)
        expected = getattr(np, name)(data.astype(np.float64), q.astype(np.float64), axis=dim, method=interpolation)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
        (one,) = both(lambda x, f=function: f(x, 0.5, dim, True, interpolation=interpolation), data)
        assert one.shape == tuple(1 if dim in (None, a, a - 3) else d for a, d in enumerate(X.shape))
        np.testing.assert_array_equal(one.reshape(found[2].shape), found[2])


# Gradients: each result takes its elements from somewhere.
@pytest.mark.parametrize("function", [
    lambda x: x.sort(1).values,
    lambda x: x.topk(3, 0, largest=False).values,
    lambda x: x.kthvalue(2, 1).values,
    lambda x: x.median(2).values,
    lambda x: x.quantile(0.3, 1),
    lambda x: x.mode(0).values,
    lambda x: x.cummax(1).values,
    lambda x: x.cummin(2).values,
])  # fmt: skip
def test_gradients_go_to_the_elements_that_were_chosen(function):
    def loss(x):
        y = function(x)
        return (y * y.detach() * 0.5 + y).sum()

    x = Tensor(X, requires_grad=True)
    loss(x).backward()
    compiled = tt.compile(tt.grad(loss))(Tensor(X))
    np.testing.assert_allclose(x.grad.numpy(), compiled.numpy(), rtol=1e-5, atol=1e-6)
    v, eps = RNG.normal(size=X.shape), 1e-6
    wide = X.astype(np.float64)
    weights = function(Tensor(wide)).numpy() * 0.5 + 1
    up, down = ((function(Tensor(wide + s * eps * v)).numpy() * weights).sum() for s in (1, -1))
    np.testing.assert_allclose((x.grad.numpy() * v).sum(), (up - down) / (2 * eps), rtol=1e-3)


# Searches.
def test_searchsorted_bucketize_and_isin():
    edges, x = np.array([1, 3, 3, 5], np.float32), np.array([[0, 1, 3], [4, 5, 6]], np.float32)
    back = Tensor([3, 2, 1, 0])
    for right, side in ((False, "left"), (True, "right")):
        expected = np.searchsorted(edges, x, side)
        for found in (
            both(lambda e, x, r=right: tt.searchsorted(e, x, right=r), edges, x)[0],
            both(lambda e, x, s=side: tt.searchsorted(e, x, side=s), edges, x)[0],
            both(lambda e, x, r=right: tt.bucketize(x, e, right=r), edges, x)[0],
            both(lambda e, x, r=right: tt.searchsorted(e.flip(0), x, right=r, sorter=back), edges, x)[0],
        ):
            np.testing.assert_array_equal(found, expected)
    rows = np.sort(X)
    expected = [[np.searchsorted(r, v) for r, v in zip(a, b, strict=True)] for a, b in zip(rows, X, strict=True)]
    np.testing.assert_array_equal(both(tt.searchsorted, rows, X)[0], expected)
    assert tt.searchsorted(Tensor(edges), 3.5, out_int32=True).item() == 3
    found = both(lambda a, b: tt.isin(a, b), np.array([[1, 2], [3, NAN]]), np.array([3.0, 1, NAN]))[0]
    assert found.tolist() == [[True, False], [True, False]]
    found = both(lambda a, b: tt.isin(a, b), np.array([1, NAN, 2, INF, -INF]), np.array([NAN, 2.0, INF]))[0]
    assert found.tolist() == [False, False, True, True, False]
    assert tt.isin(Tensor([INF, 1.0]), Tensor([1.0, NAN])).tolist() == [False, True]
    assert tt.isin(Tensor([1, 2]), 2, invert=True).tolist() == [True, False]
    assert tt.isin(Tensor([1, 2]), Tensor([], dtype="i64")).tolist() == [False, False]


# Bad input.
@pytest.mark.parametrize(("function", "message"), [
    (lambda x: x.sort(3), "axis 3 is out of range"),
    (lambda x: x.topk(6), "axis 2 of .* has no 6 elements"),
    (lambda x: x.topk(-1), "k is an integer that is not negative"),
    (lambda x: x.topk(2.0), "topk: k is an integer"),
    (lambda x: x.kthvalue(0), "k is between 1 and the 5"),
    (lambda x: tt.zeros(2, 0).median(1), "axis 1 of .* is empty"),
    (lambda x: tt.zeros(0, dtype="i64").median(), "no elements"),
    (lambda x: x.quantile(1.5), "q is a number between 0 and 1"),
    (lambda x: x.quantile(Tensor([0.5, -1.0])), "q is between 0 and 1"),
    (lambda x: x.quantile(0.5, interpolation="cubic"), "interpolation is"),
    (lambda x: x.long().quantile(0.5), "input is f32 or f64"),
    (lambda x: x.quantile(Tensor([0.5], dtype="f64")), "the input's dtype"),
    (lambda x: tt.searchsorted(x, x[0]), "searchsorted: the sequence"),
    (lambda x: tt.searchsorted(x, x, right=True, side="left"), "side is"),
    (lambda x: tt.searchsorted(Tensor([1.0, 2.0]), x, sorter=Tensor([0])), "sorter is i64"),
    (lambda x: tt.bucketize(x, x), "boundaries is a vector"),
])  # fmt: skip
def test_bad_input(function, message):
    with pytest.raises((ShapeError, TinyTorchError), match=message) as error:
        function(Tensor(X))
    assert "test_sorting.py" in str(error.value)


# As PyTorch has it, where it says.
@pytest.mark.parametrize("dtype", ["f64", "f32", "f16", "bf16", "i64", "i32", "i8", "u8"])
def test_as_in_pytorch(dtype):
    torch = pytest.importorskip("torch")
    whole = RNG.integers(0, 4, (6, 9)).astype(np.float32)
    whole = np.where(RNG.random(whole.shape) < 0.1, NAN, whole) if dtype in ("f64", "f32", "f16", "bf16") else whole
    ours = Tensor(whole).cast(dtype)
    names = {"f64": "float64", "f32": "float32", "f16": "float16", "bf16": "bfloat16", "u8": "uint8", "i8": "int8"}
    theirs = torch.from_numpy(whole).to(getattr(torch, names.get(dtype, dtype.replace("i", "int"))))
    for function in (
        lambda x: x.sort(dim=1, stable=True),
        lambda x: x.sort(dim=0, descending=True, stable=True),
        lambda x: x.sort(stable=True).indices,
        lambda x: x.cummax(1),
        lambda x: x.cummin(0),
        lambda x: x.topk(4, 0).values,
        lambda x: x.topk(3, 1, False).values,
        lambda x: x.median(),
        lambda x: x.median(1).values,
        lambda x: x.nanmedian(0).values,
        lambda x: x.kthvalue(3, 1).values,
        lambda x: x.cumprod(1),
        lambda x: x.cumsum(0),
        lambda x: x.prod(1),
        lambda x: x.aminmax(dim=0),
        lambda x: x.unique(),
    ):
        for found, other in zip(_flat([function(ours)]), _plain(function(theirs)), strict=True):
            np.testing.assert_allclose(np.asarray(found, np.float64), other, rtol=1e-2 if "f" in dtype else 0)


def _plain(results):
    return [t.double().numpy() for t in (results if isinstance(results, tuple) else (results,))]
