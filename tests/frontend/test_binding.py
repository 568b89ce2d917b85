"""Arguments of functions of the table: other words for them, what they are made into, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import TinyTorchError

X = tt.tensor([[1.0, 5.0, 2.0], [3.0, 2.0, 4.0]])


@pytest.mark.parametrize(
    "found, expected",
    [
        (lambda: tt.sum(X, axis=0, keepdims=True), X.sum(0, True)),
        (lambda: tt.sum(input=X, dim=1), X.sum(1)),
        (lambda: tt.sum(dim=1, x=X), X.sum(1)),
        (lambda: X.argmax(axis=1, keepdims=True), X.argmax(1, True)),
        (lambda: X.amax(axis=(0, 1)), X.amax()),
        (lambda: tt.squeeze(X[:1], axis=0), X[0]),
        (lambda: tt.exp([0, 1]), tt.exp(tt.tensor([0, 1]))),
        (lambda: tt.exp(np.float64(1.0)), tt.tensor(np.exp(1.0))),
        (lambda: tt.tril(np.ones((2, 2), np.float32)), tt.tril(tt.ones(2, 2))),
        (lambda: tt.maximum(np.zeros((2, 3), np.float32), X), X),
        (lambda: tt.tril(X, np.int64(1)), tt.tril(X, 1)),
        (lambda: tt.zeros(size=(2, 1), dtype=None), tt.zeros(2, 1)),
        (lambda: tt.arange(end=3), tt.tensor([0, 1, 2])),
        (lambda: tt.full_like(input=X, fill_value=2), tt.full((2, 3), 2.0)),
        (lambda: tt.zeros_like([1, 2]), tt.tensor([0, 0])),
        (lambda: tt.logspace(0, 2, 3), tt.tensor([1.0, 10.0, 100.0])),
        (lambda: tt.scalar_tensor(2), tt.tensor(2.0)),
    ],
)
def test_other_words_and_kinds(found: Callable[[], Any], expected: tt.Tensor) -> None:
    out = found()
    assert out.type == expected.type
    np.testing.assert_array_equal(out.numpy(), expected.numpy())


@pytest.mark.parametrize(
    "call, says",
    [
        (lambda: tt.exp("a"), "exp: input is a tensor, got 'a'"),
        (lambda: tt.exp(None), "exp: input is a tensor, got None"),
        (lambda: tt.exp(), r"exp: missing a required argument: 'input'; its arguments are \(input\)"),
        (lambda: tt.exp(X, X), "exp: too many positional arguments"),
        (lambda: tt.exp(X, out=X), "exp: got an unexpected keyword argument 'out'"),
        (lambda: tt.sum(X, dim=0, foo=1), "sum: got an unexpected keyword argument 'foo'"),
        (lambda: tt.sum(X, 0, dim=0), "sum: multiple values for argument 'dim'"),
        (lambda: tt.sum(X, 0, 1), "sum: keepdim is True or False, got 1"),
        (lambda: tt.sum(X, "a"), "an axis must be an integer, got 'a'"),
        (lambda: tt.tril(X, 1.5), "tril: diagonal is an integer, got 1.5"),
        (lambda: tt.tril(X, True), "tril: diagonal is an integer, got True"),
        (lambda: X.tril(diagonal=None), "tril: diagonal is an integer, got None"),
        (lambda: tt.maximum(X, "a"), "maximum: other is a tensor, got 'a'"),
        (lambda: tt.minimum(X, 2), "minimum: other is a tensor, got 2"),
        (lambda: tt.max(2, X), "max: input is a tensor, got 2"),
        (lambda: tt.arange(3).mean(), r"mean: needs floats, got i64\[3\]; x.float\(\) makes it f32"),
        (lambda: tt.nanmean(tt.tensor([True])), "nanmean: needs floats, got bool"),
        (lambda: tt.std_mean(tt.arange(3)), r"std_mean: needs floats, got i64\[3\]; .* \(in std\)"),
        (lambda: tt.view_copy(X, (4,)), r"view_copy: f32\[2,3\] has 6 elements, \[4\] has 4 \(in reshape\)"),
        (lambda: X.clone().log_normal_(0, 0), "log_normal_: std is a positive number, got 0"),
        (lambda: tt.pow(X, None), r"pow: cannot be called with"),
        (lambda: tt.zeros_like("a"), "zeros_like: input is a tensor, got 'a'"),
        (lambda: tt.zeros(2, requires_grad=1), "zeros: requires_grad is True or False, got 1"),
        (lambda: tt.eye("a"), "eye: n is an integer, got 'a'"),
        (lambda: tt.arange(), "arange: needs an end"),
        (lambda: tt.rand(2, out=X), "rand: got an unexpected keyword argument 'out'"),
        (lambda: tt.broadcast_to(X, object()), "broadcast_to: cannot be called with|expected integers"),
        (lambda: tt.cat(3), "cat: needs a list of at least one tensor"),
        (lambda: tt.tensor([1, 2]).exp_(), "exp_: a tensor of i64 cannot hold the result in f32"),
        (lambda: tt.tensor([1.0], requires_grad=True).exp_(), "exp_ on a leaf that requires grad"),
        (lambda: X.clone().exp_(2), "exp: too many positional arguments"),
    ],
)
def test_bad_arguments_are_named(call: Callable[[], Any], says: str) -> None:
    with pytest.raises(TinyTorchError, match=says) as info:
        call()
    assert "test_binding.py" in str(info.value)


def test_numbers_of_a_trace_stay_numbers() -> None:
    compiled = tt.compile(lambda x, k: tt.clamp_min(x, k))
    for k in (1.0, 2.0, 3.0):
        np.testing.assert_array_equal(compiled(X, k).numpy(), np.maximum(X.numpy(), k))


def test_methods_of_the_table_in_place() -> None:
    """The dtype stays, views see the change, and the gradient is that of the function."""
    x = tt.tensor([0.5, 1.0, 2.0], requires_grad=True)
    y = x * 1
    assert y.exp_() is y
    y.sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), np.exp([0.5, 1.0, 2.0]), rtol=1e-6)
    base = tt.ones(2, 3)
    base[0].log_()
    np.testing.assert_array_equal(base.numpy(), [[0, 0, 0], [1, 1, 1]])
    flags = tt.ones(3, dtype="f64")
    assert flags.logical_not_().dtype == tt.float64
    compiled = tt.compile(lambda x: x.clone().cumsum_(0).exp_())
    np.testing.assert_allclose(compiled(X).numpy(), np.exp(np.cumsum(X.numpy(), 0)), rtol=1e-6)


# Dtypes and devices.
def test_limits_of_dtypes() -> None:
    for dtype in ("float16", "float32", "float64"):
        ours, theirs = tt.finfo(getattr(tt, dtype)), np.finfo(dtype)
        assert (ours.bits, ours.eps, ours.max, ours.min, ours.tiny) == (
            theirs.bits, theirs.eps, theirs.max, theirs.min, theirs.smallest_normal
        )  # fmt: skip
    assert tt.finfo(tt.bfloat16).eps == 2**-7 and tt.finfo(X).dtype == tt.float32
    assert (tt.iinfo(tt.int8).min, tt.iinfo("u8").max, tt.iinfo(tt.int64).bits) == (-128, 255, 64)
    for wrong in (lambda: tt.finfo(tt.int8), lambda: tt.iinfo(tt.half), lambda: tt.result_type("a", X)):
        with pytest.raises(TinyTorchError):
            wrong()


def test_dtypes_of_results_are_those_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    names = ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int8", "uint8", "bool"]
    for a in names:
        for b in names:
            ours, theirs = (getattr(tt, n) for n in (a, b)), [getattr(torch, n) for n in (a, b)]
            one, other = ours
            if {a, b} != {"int8", "uint8"}:  # int16 is not here
                assert str(torch.promote_types(*theirs)) == f"torch.{tt.promote_types(one, other).numpy.name}"
            assert torch.can_cast(*theirs) == tt.can_cast(one, other)
        for number in (True, 2, 2.5):
            expected = torch.result_type(torch.zeros(2, dtype=getattr(torch, a)), number)
            assert str(expected) == f"torch.{tt.result_type(tt.zeros(2, dtype=one), number).numpy.name}"


def test_the_only_device_is_the_cpu() -> None:
    assert X.device == tt.device("cpu") == "cpu" and X.device.type == "cpu" and str(X.device) == "cpu"
    assert X.to(X.device) is X.to("cpu:0") is X.to_device("cpu") is X
    assert X.to(tt.device("cpu"), tt.float64).dtype == tt.float64
    assert X.to(X, copy=True) is not X
    assert tt.zeros(2, device=tt.device("cpu")).shape == (2,)
    with tt.device("cpu") as device:
        assert tt.zeros(2).device == device
    for wrong in (lambda: tt.device("cuda"), lambda: X.to(device="cuda:1"), lambda: X.cuda(), lambda: X.to("mps")):
        with pytest.raises(TinyTorchError, match="CPU only"):
            wrong()
    assert not tt.cuda.is_available() and not X.is_cuda and tt.cuda.device_count() == 0


# Facts, and new tensors like one.
def test_what_a_tensor_is() -> None:
    assert tt.is_tensor(X) and not tt.is_tensor([1.0]) and X.is_floating_point() and not X.is_complex()
    assert (X.numel(), tt.numel(X), X.element_size(), X.nbytes, X.itemsize, X.ndimension()) == (6, 6, 4, 24, 4, 2)
    assert tt.float64.is_floating_point and tt.int8.itemsize == 1 and not tt.tensor([1], dtype="u8").is_signed()
    assert tt.is_nonzero(tt.tensor([2.0])) and not tt.tensor(0).is_nonzero()
    with pytest.raises(TinyTorchError, match="is_nonzero: needs one element"):
        X.is_nonzero()


@pytest.mark.parametrize(
    "made, expected",
    [
        (lambda x: x.new_zeros(2, 3), np.zeros((2, 3), np.float64)),
        (lambda x: x.new_ones((2,), dtype=tt.int64), np.ones(2, np.int64)),
        (lambda x: x.new_empty([0, 2]), np.zeros((0, 2), np.float64)),
        (lambda x: x.new_full((2, 2), 7), np.full((2, 2), 7.0)),
        (lambda x: x.new_tensor([[1, 2]]), np.array([[1.0, 2.0]])),
        (lambda x: tt.ones(2).type_as(x), np.ones(2)),
        (lambda x: x.half().bfloat16().char().byte().bool(), np.ones(3, bool)),
    ],
)
def test_new_tensors_like_one(made: Callable[[tt.Tensor], tt.Tensor], expected: np.ndarray) -> None:
    x = tt.ones(3, dtype=tt.float64)
    for out in (made(x), tt.compile(lambda x: made(x) if made(x).shape != x.shape else made(x).clone())(x)):
        assert out.numpy().dtype == expected.dtype
        np.testing.assert_array_equal(out.numpy(), expected)
