"""Module 04: losses against torch, their gradients, stability, and bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tinytorch.frontend import functional as F
from tinytorch.frontend.losses import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    L1Loss,
    MSELoss,
    NLLLoss,
    log_softmax,
)
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import ShapeError, TinyTorchError

RNG = np.random.default_rng(2)
LOGITS = RNG.normal(size=(6, 4)) * 3
CLASSES = np.array([0, 3, 1, 1, 2, 0])
IMAGES = RNG.normal(size=(2, 4, 3, 5))
PIXELS = RNG.integers(0, 4, (2, 3, 5))
SHARES = RNG.dirichlet(np.ones(4), 6)
WEIGHT = np.array([0.5, 1.0, 2.0, 0.25])
P = RNG.uniform(0.01, 0.99, (3, 5))
Y = RNG.integers(0, 2, (3, 5)).astype(np.float64)
X = RNG.normal(size=(3, 5)) * 4

CASES = {
    "classes": (F.cross_entropy, "cross_entropy", LOGITS, CLASSES, {}),
    "one row": (F.cross_entropy, "cross_entropy", LOGITS[0], CLASSES[0], {}),
    "images": (F.cross_entropy, "cross_entropy", IMAGES, PIXELS, {}),
    "smoothing": (F.cross_entropy, "cross_entropy", LOGITS, CLASSES, {"label_smoothing": 0.1}),
    "weight": (F.cross_entropy, "cross_entropy", LOGITS, CLASSES, {"weight": WEIGHT}),
    "weight and smoothing": (
        F.cross_entropy, "cross_entropy", IMAGES, PIXELS, {"weight": WEIGHT, "label_smoothing": 0.2, "ignore_index": 2}
    ),
    "ignored": (
        F.cross_entropy, "cross_entropy", LOGITS, np.where(CLASSES == 1, -100, CLASSES), {"ignore_index": -100}
    ),
    "probabilities": (F.cross_entropy, "cross_entropy", LOGITS, SHARES, {}),
    "probabilities, weight, smoothing": (
        F.cross_entropy, "cross_entropy", LOGITS, SHARES, {"weight": WEIGHT, "label_smoothing": 0.3}
    ),
    "nll": (F.nll_loss, "nll_loss", LOGITS, CLASSES, {}),
    "nll of images": (F.nll_loss, "nll_loss", IMAGES, PIXELS, {"weight": WEIGHT, "ignore_index": 3}),
    "mse": (F.mse_loss, "mse_loss", X, Y, {}),
    "l1": (F.l1_loss, "l1_loss", X, Y, {}),
    "smooth l1": (F.smooth_l1_loss, "smooth_l1_loss", X, Y, {"beta": 1.5}),
    "bce": (F.binary_cross_entropy, "binary_cross_entropy", P, Y, {}),
    "bce, weight": (F.binary_cross_entropy, "binary_cross_entropy", P, Y, {"weight": P + 1}),
    "logits": (F.binary_cross_entropy_with_logits, "binary_cross_entropy_with_logits", X, Y, {}),
    "logits, pos_weight": (
        F.binary_cross_entropy_with_logits, "binary_cross_entropy_with_logits", X, Y, {"pos_weight": P[0] * 3}
    ),
}  # fmt: skip


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", CASES)
def test_loss_and_gradient_match_torch(name, reduction):
    torch = pytest.importorskip("torch")
    ours, theirs, inputs, targets, options = CASES[name]

    def converted(make):
        return {k: make(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}

    x, y = Tensor(inputs, requires_grad=True), torch.tensor(inputs, requires_grad=True)
    loss = ours(x, Tensor(targets), reduction=reduction, **converted(Tensor))
    other = getattr(torch.nn.functional, theirs)(
        y, torch.tensor(targets), reduction=reduction, **converted(torch.tensor)
    )
    np.testing.assert_allclose(loss.numpy(), other.detach().numpy(), rtol=1e-12, atol=1e-14)
    grad = RNG.normal(size=loss.shape)
    loss.backward(Tensor(grad))
    other.backward(torch.tensor(grad))
    np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("dtype", ["i64", "i32", "u8"])
def test_class_targets_of_any_integer_dtype(dtype):
    expected = F.cross_entropy(Tensor(LOGITS), Tensor(CLASSES)).item()
    assert F.cross_entropy(Tensor(LOGITS), Tensor(CLASSES, dtype=dtype)).item() == expected


LOSSES = [
    (CrossEntropyLoss(), LOGITS, CLASSES),
    (CrossEntropyLoss(label_smoothing=0.1, reduction="sum"), IMAGES, PIXELS),
    (CrossEntropyLoss(), LOGITS, SHARES),
    (NLLLoss(ignore_index=1), LOGITS, CLASSES),
    (MSELoss(), X, Y),
    (L1Loss(reduction="none"), X, Y),
    (BCELoss(), P, Y),
    (BCEWithLogitsLoss(), X, Y),
]


@pytest.mark.parametrize(("loss", "inputs", "targets"), LOSSES)
def test_backward_is_what_autograd_does(loss, inputs, targets):
    x = Tensor(inputs, requires_grad=True)
    result = loss(x, Tensor(targets))
    gradient = loss.backward()
    result.sum().backward()
    np.testing.assert_array_equal(gradient.numpy(), x.grad.numpy())
    assert not gradient.requires_grad


def test_cross_entropy_backward_is_softmax_less_the_target():
    loss = CrossEntropyLoss()
    loss.forward(Tensor(LOGITS), Tensor(CLASSES))
    softmax = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
    np.testing.assert_allclose(loss.backward().numpy(), (softmax - np.eye(4)[CLASSES]) / 6, atol=1e-15)
    np.testing.assert_allclose(loss.backward(Tensor(2.0)).numpy(), (softmax - np.eye(4)[CLASSES]) / 3, atol=1e-15)


def test_backward_needs_a_forward_and_a_fitting_cotangent():
    with pytest.raises(TinyTorchError, match="forward has not been called"):
        MSELoss().backward()
    loss = MSELoss()
    loss(Tensor(X), Tensor(Y))
    with pytest.raises(ShapeError, match="does not fit"):
        loss.backward(F.ones(3))


def test_methods_compute_softmax_in_a_dtype():
    x = Tensor(LOGITS.astype(np.float32))
    for name in ("softmax", "log_softmax"):
        found = getattr(x, name)(dim=-1, dtype="f64")
        assert found.dtype.name == "f64"
        np.testing.assert_array_equal(found.numpy(), getattr(x.cast("f64"), name)(-1).numpy())


def test_log_softmax():
    expected = LOGITS - np.log(np.exp(LOGITS).sum(-1, keepdims=True))
    np.testing.assert_allclose(log_softmax(Tensor(LOGITS)).numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(log_softmax(Tensor(LOGITS), dim=0).numpy().T, log_softmax(Tensor(LOGITS.T)).numpy())
    with pytest.raises(ShapeError, match="out of range"):
        log_softmax(Tensor(LOGITS), dim=2)


# Stability.
def test_large_logits_do_not_overflow():
    logits = Tensor([[1e4, -1e4, 0.0]], requires_grad=True)
    losses = [F.cross_entropy(logits, Tensor([target])) for target in range(3)]
    assert [x.item() for x in losses] == [0.0, 2e4, 1e4]
    losses[1].backward()
    assert logits.grad.tolist() == [[1.0, -1.0, 0.0]]


def test_binary_losses_at_the_ends():
    p = Tensor([0.0, 1.0, 0.0, 1.0], requires_grad=True)
    loss = F.binary_cross_entropy(p, Tensor([0.0, 1.0, 1.0, 0.0]), reduction="none")
    assert loss.tolist() == [0.0, 0.0, 100.0, 100.0]
    loss.sum().backward()
    assert np.isfinite(p.grad.numpy()).all()
    x = Tensor([-1e4, 1e4, 0.0], requires_grad=True)
    loss = F.binary_cross_entropy_with_logits(x, Tensor([1.0, 1.0, 1.0]), reduction="none")
    np.testing.assert_allclose(loss.numpy(), [1e4, 0.0, math.log(2)], rtol=1e-6)
    loss.sum().backward()
    assert x.grad.tolist() == [-1.0, 0.0, -0.5]


def test_nan_in_a_row_that_is_ignored_does_not_spread():
    logits = Tensor([[1.0, 2.0], [math.nan, 0.0]], requires_grad=True)
    loss = F.cross_entropy(logits, Tensor([0, -1]), ignore_index=-1)
    assert math.isfinite(loss.item())
    assert math.isnan(F.cross_entropy(logits, Tensor([0, 1])).item())


def test_empty_batches():
    assert math.isnan(F.cross_entropy(F.zeros(0, 3), Tensor(np.zeros(0, np.int64))).item())
    assert F.cross_entropy(F.zeros(0, 3), Tensor(np.zeros(0, np.int64)), reduction="sum").item() == 0
    assert math.isnan(F.mse_loss(F.zeros(0), F.zeros(0)).item())


# Bad input.
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: F.cross_entropy(Tensor(LOGITS), Tensor(CLASSES[:5])),
            r"f64\[6,4\] needs integer targets of shape \[6\]",
        ),
        (lambda: F.cross_entropy(Tensor(LOGITS), Tensor(CLASSES, dtype="f32")), "probabilities of shape"),
        (lambda: F.cross_entropy(Tensor(LOGITS), Tensor(CLASSES > 1)), "integer targets"),
        (lambda: F.cross_entropy(Tensor(CLASSES), Tensor(CLASSES)), "axis of classes"),
        (lambda: F.cross_entropy(F.zeros(2, 0), Tensor([0, 0])), "axis of classes"),
        (lambda: F.cross_entropy(Tensor(LOGITS), Tensor(CLASSES), label_smoothing=2.0), "label_smoothing"),
        (lambda: F.cross_entropy(Tensor(LOGITS), Tensor(CLASSES), reduction="avg"), "reduction"),
        (lambda: F.cross_entropy(Tensor(LOGITS), Tensor(SHARES), ignore_index=1), "ignore_index"),
        (lambda: F.cross_entropy(Tensor(LOGITS), "labels"), "ensor"),
        (lambda: F.mse_loss(F.zeros(3), F.zeros(3, 1)), r"f32\[3\], the target f32\[3,1\]"),
        (lambda: F.mse_loss(Tensor([1]), Tensor([1])), "needs floats"),
        (lambda: F.smooth_l1_loss(F.zeros(3), F.zeros(3), beta=-1.0), "beta"),
        (lambda: MSELoss(reduction="median"), "reduction"),
        (lambda: MSELoss("sum"), 'size_average is an old argument, .* say reduction="mean"'),
        (lambda: F.l1_loss(F.zeros(3), F.zeros(3), reduce=True), "reduce is an old argument"),
        (lambda: F.cross_entropy(Tensor(CLASSES), Tensor(LOGITS)), "look swapped"),
        (lambda: F.cross_entropy(Tensor(LOGITS), Tensor(CLASSES).float()), r"targets.long\(\)"),
        (lambda: F.cross_entropy(Tensor(LOGITS), Tensor(CLASSES).unsqueeze(1)), r"squeeze\(1\)"),
        (lambda: F.cross_entropy(Tensor(LOGITS), Tensor(LOGITS).long()), r"targets.float\(\)"),
        (lambda: F.binary_cross_entropy(Tensor([1]), Tensor([0.5])), "look swapped"),
        (lambda: F.binary_cross_entropy(Tensor([1]), Tensor([1])), r"x.float\(\)"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(TinyTorchError, match=message):
        call()


@pytest.mark.parametrize("target", [4, 100, -1, -4])
def test_a_class_out_of_range_is_an_error(target):
    for loss in (F.cross_entropy, F.nll_loss):
        with pytest.raises(IndexError, match="out of range"):
            loss(Tensor(LOGITS[:1]), Tensor([target]))
