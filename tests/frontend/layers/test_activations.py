"""Activations under PyTorch's names: values, arguments, and what they refuse."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
import tinytorch.nn.functional as F
from tinytorch import nn

X = np.array([-7.0, -3.0, -0.5, 0.0, 0.25, 2.0, 6.5], np.float32)
E = np.exp(X)
CASES: list[tuple[str, dict[str, Any], Any]] = [
    ("relu", {}, np.maximum(X, 0)),
    ("relu6", {}, np.clip(X, 0, 6)),
    ("hardtanh", {"min_val": -2, "max_val": 1.5}, np.clip(X, -2, 1.5)),
    ("leaky_relu", {"negative_slope": 0.2}, np.where(X > 0, X, 0.2 * X)),
    ("elu", {"alpha": 2.0}, np.where(X > 0, X, 2 * (E - 1))),
    ("celu", {"alpha": 2.0}, np.where(X > 0, X, 2 * np.expm1(X / 2))),
    ("selu", {}, 1.05070098 * np.where(X > 0, X, 1.67326324 * (E - 1))),
    ("silu", {}, X / (1 + np.exp(-X))),
    ("mish", {}, X * np.tanh(np.log1p(E))),
    ("hardsigmoid", {}, np.clip(X / 6 + 0.5, 0, 1)),
    ("hardswish", {}, X * np.clip(X / 6 + 0.5, 0, 1)),
    ("hardshrink", {"lambd": 0.5}, np.where(abs(X) <= 0.5, 0, X)),
    ("softshrink", {"lambd": 1.0}, np.sign(X) * np.maximum(abs(X) - 1, 0)),
    ("tanhshrink", {}, X - np.tanh(X)),
    ("softplus", {"beta": 2.0, "threshold": 5.0}, np.where(2 * X > 5, X, np.log1p(E * E) / 2)),
    ("softsign", {}, X / (1 + abs(X))),
    ("threshold", {"threshold": 0.25, "value": 9.0}, np.where(X > 0.25, X, 9)),
    ("logsigmoid", {}, -np.log1p(np.exp(-X))),
    ("rrelu", {"lower": 0.1, "upper": 0.3}, np.where(X > 0, X, 0.2 * X)),
    ("softmin", {"dim": 0}, np.exp(-X) / np.exp(-X).sum()),
]
IN_PLACE = {
    "relu", "relu6", "hardtanh", "leaky_relu", "elu", "celu", "selu", "silu", "mish", "hardsigmoid", "hardswish",
    "threshold", "rrelu",
}  # fmt: skip


@pytest.mark.parametrize(("name", "options", "expected"), CASES, ids=[case[0] for case in CASES])
def test_values_eager_compiled_and_in_place(name: str, options: dict[str, Any], expected: Any) -> None:
    function = getattr(F, name)
    for run in (function, tt.compile(function)):
        np.testing.assert_allclose(run(tt.tensor(X), **options).numpy(), expected, rtol=2e-6, atol=1e-6)
    if name in IN_PLACE:
        x = tt.tensor(X)
        assert function(x, **options, inplace=True) is x
        np.testing.assert_allclose(x.numpy(), expected, rtol=2e-6, atol=1e-6)


def test_derivatives_at_limits_are_pytorchs() -> None:
    cases = [(F.hardtanh, [-1.0, 0.0, 1.0], [0, 1, 0]), (F.relu6, [0.0, 3.0, 6.0], [0, 1, 0])]
    for function, at, expected in [*cases, (F.threshold, [1.0, 2.0], [0, 1])]:
        x = tt.tensor(at, requires_grad=True)
        (function(x, 1.0, 0.0) if function is F.threshold else function(x)).sum().backward()
        assert x.grad is not None and x.grad.tolist() == expected


def test_a_limit_of_zero_keeps_the_sign_of_zeros() -> None:
    """As in PyTorch: -0.0 is not below 0."""
    x, bounds = tt.tensor([-0.0, 0.0, -1.0, math.nan]), {"min_val": -1.0, "max_val": 0.0}
    for function, signs in ((F.relu6, [1, 0, 0]), (lambda x: F.hardtanh(x, **bounds), [1, 0, 1])):
        for run in (function, tt.compile(function)):
            found = run(x).numpy()
            assert np.signbit(found[:3]).tolist() == signs and np.isnan(found[3])


def test_what_goes_along_an_axis() -> None:
    x = tt.tensor(np.arange(24.0, dtype=np.float32).reshape(2, 4, 3) / 7)
    a, b = x[:, :2], x[:, 2:]
    np.testing.assert_allclose(F.glu(x, 1).numpy(), (a * b.sigmoid()).numpy(), rtol=1e-6)
    with pytest.warns(UserWarning, match="softmax: without dim it takes axis 0 of 3"):
        implied = F.softmax(x)
    assert implied.tolist() == x.softmax(0).tolist()
    assert F.softmax(x, dim=1, dtype=tt.float64).dtype == tt.f64
    assert F.log_softmax(x.long(), -1, dtype="float32").tolist() == x.long().float().log_softmax(-1).tolist()
    assert nn.Softmax2d()(x).tolist() == x.softmax(0).tolist()


def test_random_ones_are_within_their_limits() -> None:
    tt.manual_seed(1)
    x = tt.full((1000,), -1.0)
    drawn = F.rrelu(x, 0.25, 0.5, training=True).numpy()
    assert -0.5 <= drawn.min() < -0.45 and -0.3 < drawn.max() <= -0.25
    logits = tt.tensor(np.log([[0.7, 0.2, 0.1]] * 4000), dtype="f32", requires_grad=True)
    hard = F.gumbel_softmax(logits, tau=0.5, hard=True)
    assert np.unique(hard.numpy().round(6)).tolist() == [0, 1]
    np.testing.assert_allclose(hard.numpy().mean(0), [0.7, 0.2, 0.1], atol=0.03)
    (hard * tt.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert logits.grad is not None and float(abs(logits.grad).sum()) > 0


def test_modules_keep_arguments_and_print_them() -> None:
    assert repr(nn.ReLU(inplace=True)) == "ReLU(inplace=True)" and repr(nn.ReLU()) == "ReLU()"
    assert repr(nn.ELU(0.5)) == "ELU(alpha=0.5)"
    assert repr(nn.Hardtanh(-2, 2, inplace=True)) == "Hardtanh(min_val=-2, max_val=2, inplace=True)"
    assert list(nn.PReLU(3).state_dict()) == ["weight"]
    layer = nn.RReLU(0.1, 0.3).eval()
    np.testing.assert_allclose(layer(tt.tensor(X)).numpy(), np.where(X > 0, X, 0.2 * X), rtol=1e-6)
    layer = nn.PReLU(2)
    np.testing.assert_allclose(layer(tt.full((1, 2, 2), -4.0)).numpy(), np.full((1, 2, 2), -1.0))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: F.glu(tt.zeros(3, 5)), "glu: axis 1 .* must be even"),
        (lambda: F.hardtanh(tt.zeros(2), 1.0, -1.0), "min_val is at most max_val"),
        (lambda: F.softshrink(tt.zeros(2), -1.0), "lambd is a number that is not negative"),
        (lambda: F.prelu(tt.zeros(2, 3), tt.zeros(2)), r"weight is \[1\], or \[3\]"),
        (lambda: F.rrelu(tt.zeros(2), 0.5, 0.1), "lower is at most upper"),
        (lambda: F.gumbel_softmax(tt.zeros(2), tau=0), "tau is a positive number"),
        (lambda: F.celu(tt.zeros(2), alpha=0), "alpha is a finite number but 0"),
        (lambda: nn.ReLU(inplace=1), "inplace is True or False"),
        (lambda: nn.LeakyReLU("x"), "negative_slope is a number"),
        (lambda: nn.ReLU(inplace=True)(tt.ones(2).requires_grad_()), "requires grad"),
    ],
)
def test_what_is_refused(call: Any, says: str) -> None:
    with pytest.raises((tt.TinyTorchError, TypeError), match=says):
        call()


def test_nothing_is_nan_far_out() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("softplus", "mish", "elu", "selu", "celu", "softshrink", "logsigmoid", "hardtanh"):
            x = tt.tensor([-500.0, 500.0], requires_grad=True)
            out = getattr(F, name)(x)
            out.sum().backward()
            assert x.grad is not None and not any(math.isnan(v) for v in [*out.tolist(), *x.grad.tolist()]), name
