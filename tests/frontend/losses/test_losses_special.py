"""Module 04: losses of infinite, huge and empty inputs, and of ignored targets: eager, interpreted and compiled, as
PyTorch has them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.frontend import functional as F
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import ShapeError, TinyTorchError

BACKENDS = ["eager", "interpreter", "llvm"]
INF, NAN = math.inf, math.nan
HERE = "test_losses_special.py:"
Array = np.ndarray


def loss_and_gradient(backend: str, loss: Callable[[Tensor], Tensor], x: Any) -> tuple[Any, Any]:
    def both(x: Tensor) -> tuple[Tensor, Tensor]:
        def total(x: Tensor) -> tuple[Tensor, Tensor]:
            value = loss(x)
            return value.sum(), value

        (_, value), gradient = tt.value_and_grad(total, has_aux=True)(x)
        return value, gradient

    function = both if backend == "eager" else tt.compile(both, backend=backend)
    value, gradient = function(Tensor(x, dtype="f64") if isinstance(x, list) else Tensor(x))
    return value.numpy(), gradient.numpy()


# Expected values, by hand.
HAND: dict[str, tuple[Callable[[Tensor], Tensor], Any, Any, Any]] = {  # loss, input, value, gradient
    "weighted, -inf elsewhere": (
        lambda x: F.cross_entropy(x, Tensor([1]), weight=Tensor([1.0, 2.0, 3.0], dtype="f64")),
        [[1.0, 2.0, -INF]], math.log1p(math.exp(-1)),
        [[1 / (1 + math.e), -1 / (1 + math.e), 0.0]],
    ),
    "-inf at the target": (
        lambda x: F.cross_entropy(x, Tensor([0]), weight=Tensor([1.0, 1.0], dtype="f64")),
        [[-INF, 0.0]], INF, [[-1.0, 1.0]],
    ),
    "smoothing with -inf": (
        lambda x: F.cross_entropy(x, Tensor([0]), label_smoothing=0.5), [[0.0, -INF]], INF, [[0.25, -0.25]]
    ),
    "the usual index is ignored": (
        lambda x: F.cross_entropy(x, Tensor([0, -100])), [[0.0, 0.0], [9.0, -9.0]], math.log(2),
        [[-0.5, 0.5], [0.0, 0.0]],
    ),
    "all ignored": (lambda x: F.cross_entropy(x, Tensor([-100, -100])), [[1.0, 2.0]] * 2, NAN, [[0.0, 0.0]] * 2),
    "all ignored, summed": (
        lambda x: F.cross_entropy(x, Tensor([-100]), reduction="sum"), [[1.0, 2.0]], 0.0, [[0.0, 0.0]]
    ),
    "nll ignores": (
        lambda x: F.nll_loss(x, Tensor([0, -100]), Tensor([2.0, 5.0], dtype="f64")), [[-3.0, NAN], [NAN, 1.0]], 3.0,
        [[-1.0, 0.0], [0.0, 0.0]],
    ),
    "infinite logits": (
        lambda x: F.binary_cross_entropy_with_logits(x, Tensor([0.0, 0.0, 1.0, 0.0], dtype="f64"), reduction="none"),
        [INF, 1e300, -1e300, -1e300], [INF, 1e300, 1e300, 0.0], [1.0, 1.0, -1.0, 0.0],
    ),
    "derivatives at infinite logits": (
        lambda x: F.binary_cross_entropy_with_logits(x, Tensor([1.0, 1.0, 0.0], dtype="f64"), reduction="none"),
        [INF, -INF, -INF], [NAN, NAN, NAN], [0.0, -1.0, 0.0],
    ),
    "logits keep small derivatives": (
        lambda x: F.binary_cross_entropy_with_logits(x, Tensor([0.0], dtype="f64")), [-40.0],
        math.exp(-40), [math.exp(-40)],
    ),
    "probabilities 0 and 1": (
        lambda x: F.binary_cross_entropy(x, Tensor([0.0, 1.0, 1.0, 0.0], dtype="f64"), reduction="none"),
        [0.0, 1.0, 0.0, 1.0], [0.0, 0.0, 100.0, 100.0], [0.0, 0.0, -1e12, 1e12],
    ),
    "smooth l1": (
        lambda x: F.smooth_l1_loss(x, Tensor([0.0] * 5, dtype="f64"), reduction="none"),
        [INF, -INF, 1.0, 0.5, 0.0], [INF, INF, 0.5, 0.125, 0.0], [1.0, -1.0, 1.0, 0.5, 0.0],
    ),
    "smooth l1 that is not smooth": (
        lambda x: F.smooth_l1_loss(x, Tensor([0.0] * 3, dtype="f64"), reduction="none", beta=0),
        [INF, -2.0, 0.0], [INF, 2.0, 0.0], [1.0, -1.0, 0.0],
    ),
    "an empty batch": (
        lambda x: F.cross_entropy(x, Tensor(np.zeros(0, np.int64))), np.zeros((0, 3)), NAN, np.zeros((0, 3))
    ),
    "an empty sum": (
        lambda x: F.binary_cross_entropy_with_logits(x, Tensor(np.zeros(0)), reduction="sum"),
        np.zeros(0), 0.0, np.zeros(0),
    ),
}  # fmt: skip


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", HAND)
def test_values_by_hand(case: str, backend: str) -> None:
    loss, x, value, gradient = HAND[case]
    found = loss_and_gradient(backend, loss, x)
    np.testing.assert_allclose(found[0], value, rtol=1e-12, atol=0)
    np.testing.assert_allclose(found[1], gradient, rtol=1e-8, atol=0)


# Against PyTorch.
SPECIAL = [0.0, -0.0, 1.0, -2.5, INF, -INF, NAN, 1e4, -1e4, 100.0, -100.0, 1e-30]
RNG = np.random.default_rng(0)


def _logits(classes: int) -> Array:
    """Rows of ordinary logits with special ones in all places, alone and in pairs."""
    rows = [RNG.normal(size=classes) for _ in range(3)]
    for value, place in itertools.product(SPECIAL, range(classes)):
        row = RNG.normal(size=classes)
        row[place] = value
        rows.append(row)
    for a, b in itertools.combinations(SPECIAL, 2):
        row = RNG.normal(size=classes)
        row[RNG.permutation(classes)[:2]] = a, b
        rows.append(row)
    return np.array([*rows, np.full(classes, -INF), np.full(classes, INF)])


LOGITS = _logits(3)
CLASSES = RNG.integers(0, 3, len(LOGITS))
SOME = np.where(RNG.random(len(LOGITS)) < 0.3, -100, CLASSES)
SHARES = RNG.dirichlet(np.ones(3), len(LOGITS))
WEIGHT = np.array([0.5, 2.0, 0.0])
X, Y = (np.array(a).ravel() for a in np.meshgrid(SPECIAL, [0.0, 1.0, 0.5, 0.3]))
P = np.array([0.0, 1.0, 0.5, 1e-30, 1 - 1e-7, 1e-45])
PX, PY = (np.array(a).ravel() for a in np.meshgrid(P, [0.0, 1.0, 0.3]))

Case = tuple[str, Array, Array, dict[str, Any]]
CASES: list[Case] = [
    *(
        ("cross_entropy", LOGITS, targets, options)
        for targets, options in itertools.product(
            (CLASSES, SOME),
            (
                {}, {"label_smoothing": 0.1}, {"weight": WEIGHT}, {"weight": WEIGHT, "label_smoothing": 0.2},
                {"ignore_index": 1},
            ),
        )
        if "ignore_index" not in options or targets is CLASSES
    ),
    *(
        ("cross_entropy", LOGITS, SHARES, options)
        for options in ({}, {"label_smoothing": 0.1}, {"weight": WEIGHT, "label_smoothing": 1.0})
    ),
    *(("nll_loss", LOGITS, targets, options) for targets in (CLASSES, SOME) for options in ({}, {"weight": WEIGHT})),
    ("mse_loss", X, Y, {}),
    *(("smooth_l1_loss", X[X == X], Y[X == X], {"beta": beta}) for beta in (0.0, 0.5, 1.0, 1e6)),
    ("l1_loss", X[X == X], Y[X == X], {}),
    ("binary_cross_entropy", PX, PY, {}),
    ("binary_cross_entropy", PX, PY, {"weight": PX + 0.5}),
    ("binary_cross_entropy_with_logits", X, Y, {}),
    ("binary_cross_entropy_with_logits", X, Y, {"weight": np.abs(Y) + 0.25}),
    ("binary_cross_entropy_with_logits", X, Y, {"pos_weight": np.array(3.0)}),
    ("binary_cross_entropy_with_logits", X, Y, {"pos_weight": Y + 0.5}),
]  # fmt: skip


def _as(dtype: str, array: Array) -> Array:
    return array.astype(dtype) if array.dtype.kind == "f" else array


def _compare(case: Case, dtype: str, reduction: str, backend: str) -> None:
    torch = pytest.importorskip("torch")
    name, x, y, options = case
    inputs, targets = _as(dtype, x), _as(dtype, y)

    def converted(make: Callable[[Array], Any]) -> dict[str, Any]:
        return {k: make(_as(dtype, v)) if isinstance(v, np.ndarray) else v for k, v in options.items()}

    given = torch.tensor(inputs, requires_grad=True)
    function = getattr(torch.nn.functional, name)
    wanted = function(given, torch.tensor(targets), reduction=reduction, **converted(torch.tensor))
    wanted.sum().backward()

    def ours(x: Tensor) -> Tensor:
        return getattr(F, name)(x, Tensor(targets), reduction=reduction, **converted(Tensor))

    value, gradient = loss_and_gradient(backend, ours, inputs)
    rtol = 2e-5 if dtype == "float32" else 1e-12
    what = f"{name} {inputs} {targets} {options}"
    np.testing.assert_allclose(value, wanted.detach().numpy(), rtol=rtol, atol=rtol, err_msg=what)
    np.testing.assert_allclose(gradient, given.grad.numpy(), rtol=rtol, atol=rtol / 10, err_msg=what)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_special_values_match_torch(reduction: str, dtype: str, backend: str) -> None:
    for case in CASES:
        _compare(case, dtype, reduction, backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 2), (2, 3, 0), (2, 3, 0, 4)])
@pytest.mark.parametrize("options", [{}, {"weight": WEIGHT}, {"weight": WEIGHT, "label_smoothing": 0.1}], ids=str)
def test_losses_of_nothing_match_torch(options: dict[str, Any], shape: tuple[int, ...], backend: str) -> None:
    targets = np.zeros((shape[0], *shape[2:]), np.int64)
    for reduction in ("mean", "sum", "none"):
        _compare(("cross_entropy", np.zeros(shape), targets, options), "float64", reduction, backend)


@pytest.mark.parametrize("name", ["binary_cross_entropy", "binary_cross_entropy_with_logits"])
def test_derivatives_of_targets_match_torch(name: str) -> None:
    torch = pytest.importorskip("torch")
    x, y = RNG.uniform(0.01, 0.99, size=(2, 7))
    ours, theirs = Tensor(y, requires_grad=True), torch.tensor(y, requires_grad=True)
    getattr(F, name)(Tensor(x), ours).backward()
    getattr(torch.nn.functional, name)(torch.tensor(x), theirs).backward()
    assert ours.grad is not None
    np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("dtype", ["f16", "bf16"])
def test_halves_are_computed_in_f32(dtype: str) -> None:
    x, y = Tensor([3.0, -1.5, 0.25]).cast(dtype), Tensor([1.0, 0.0, 0.5]).cast(dtype)
    for function, values in ((F.binary_cross_entropy_with_logits, x), (F.binary_cross_entropy, x.sigmoid())):
        narrow = function(values, y, reduction="none")
        wide = function(values.float(), y.float(), reduction="none")
        assert narrow.dtype.name == dtype
        np.testing.assert_array_equal(narrow.numpy(), wide.cast(dtype).numpy())


# Bad arguments.
x, y, c = Tensor([[0.5, 0.5]]), Tensor([[0.0, 1.0]]), Tensor([1])
BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "reduction of True": (lambda: F.mse_loss(x, y, reduction=True), "reduction is .* got True"),  # pyright: ignore[reportArgumentType]
    "reduction avg": (lambda: tt.MSELoss(reduction="avg"), "MSELoss: reduction is .* got 'avg'"),
    "no reduction": (lambda: F.l1_loss(x, y, reduction=None), "reduction is"),  # pyright: ignore[reportArgumentType]
    "ignore True": (lambda: F.cross_entropy(x, c, ignore_index=True), "ignore_index is an integer.* got True"),
    "ignore 1.0": (lambda: tt.NLLLoss(ignore_index=1.0), r"NLLLoss: ignore_index is an integer, got 1\.0"),  # pyright: ignore[reportArgumentType]
    "weights": (lambda: F.cross_entropy(x, c, Tensor([1.0])), r"weight is \[2\], one for each class, got f32\[1\]"),
    "a word for weights": (lambda: F.cross_entropy(x, c, "balanced"), "ensor.*, got"),  # pyright: ignore[reportArgumentType]
    "weights of a module": (lambda: tt.CrossEntropyLoss([1.0, 2.0]), "weight is a Tensor or None"),  # pyright: ignore[reportArgumentType]
    "smoothing": (lambda: F.cross_entropy(x, c, label_smoothing=True), "label_smoothing is a number between 0 and 1"),
    "smoothing of a module": (lambda: tt.CrossEntropyLoss(label_smoothing=-0.1), r"between 0 and 1, got -0\.1"),
    "beta": (lambda: F.smooth_l1_loss(x, y, beta=NAN), "beta is a number that is not negative, got nan"),
    "a wide weight": (lambda: F.binary_cross_entropy(x, y, Tensor(np.ones((3, 2)))), "does not broadcast to"),
    "a wide pos_weight": (
        lambda: F.binary_cross_entropy_with_logits(x, y, pos_weight=Tensor(np.ones((3, 2)))), "pos_weight .* broadcast"
    ),
    "probabilities and an index": (lambda: F.cross_entropy(x, y, ignore_index=0), "ignore_index is for targets"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_are_refused_with_the_line(case: str) -> None:
    function, message = BAD[case]
    with pytest.raises(TinyTorchError, match=message) as error:
        function()
    assert HERE in str(error.value)


def test_probabilities_go_with_the_usual_ignored_index() -> None:
    assert F.cross_entropy(x, y, ignore_index=-100).item() == F.cross_entropy(x, y).item()


def test_no_index_is_ignored_on_demand() -> None:
    with pytest.raises(IndexError, match="out of range"):
        F.cross_entropy(x, Tensor([-100]), ignore_index=None)
    with pytest.raises(ShapeError):
        F.nll_loss(x, y)


@pytest.mark.parametrize("loss", [F.binary_cross_entropy, F.binary_cross_entropy_with_logits])
def test_weights_do_not_widen_losses(loss: Callable[..., Tensor]) -> None:
    x, weight = tt.full((2,), 0.5), tt.ones(2, dtype="f64")
    assert loss(x, x, weight=weight).dtype == tt.f32
    assert loss(x.cast("f16"), x.cast("f16"), weight=weight, reduction="none").dtype == tt.f16
