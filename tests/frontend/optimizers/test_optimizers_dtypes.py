"""Module 06: updates in the dtype of the parameters: settings are not rounded, live rates stay live, eager, interpreted
and compiled."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.frontend.optimizers import Optimizer
from tinytorch.frontend.tensor import Tensor

BACKENDS = ["eager", "interpreter", "llvm"]
RNG = np.random.default_rng(4)
START, GRADS = RNG.normal(size=(3, 4)), RNG.normal(size=(60, 3, 4))
STEPS = range(len(GRADS))
Array = np.ndarray


def stepper(backend: str, optimizer: Optimizer, p: Tensor) -> Callable[[Tensor], None]:
    """A step in which `p` has the gradient that is given."""

    def step(gradient: Tensor) -> None:
        optimizer.zero_grad()
        (p * gradient).sum().backward()
        optimizer.step()

    return step if backend == "eager" else tt.compile(step, backend=backend)


def sgd(p: Array, lr: float, momentum: float, decay: float, dampening: float, nesterov: bool) -> Array:
    moment: Array | None = None
    for i in STEPS:
        g = GRADS[i] + decay * p
        moment = g if moment is None else momentum * moment + (1 - dampening) * g
        p = p - lr * 0.9**i * (g + momentum * moment if nesterov else moment)
    return p


def adam(p: Array, lr: float, betas: tuple[float, float], eps: float, decay: float, decoupled: bool) -> Array:
    m, v = np.zeros_like(p), np.zeros_like(p)
    for i in STEPS:
        rate = lr * 0.9**i
        p = p * (1 - rate * decay) if decoupled else p
        g = GRADS[i] if decoupled else GRADS[i] + decay * p
        m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g * g
        first, second = 1 - betas[0] ** (i + 1), 1 - betas[1] ** (i + 1)
        p = p - rate / first * m / (np.sqrt(v / second) + eps)
    return p


RUNS: list[tuple[Any, dict[str, Any], Callable[[Array], Array]]] = [
    (
        tt.SGD, {"lr": 0.1, "momentum": 0.7, "weight_decay": 0.03, "dampening": 0.1},
        lambda p: sgd(p, 0.1, 0.7, 0.03, 0.1, False),
    ),
    (tt.SGD, {"lr": 0.03, "momentum": 0.9, "nesterov": True}, lambda p: sgd(p, 0.03, 0.9, 0, 0, True)),
    (tt.Adam, {"lr": 0.003, "weight_decay": 0.1}, lambda p: adam(p, 0.003, (0.9, 0.999), 1e-8, 0.1, False)),
    (tt.AdamW, {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-3}, lambda p: adam(p, 0.01, (0.8, 0.95), 1e-3, 0.01, True)),
]  # fmt: skip


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("kind", "options", "wanted"), RUNS)
def test_f64_is_f64_to_the_last_digits(kind: Any, options: dict[str, Any], wanted: Any, backend: str) -> None:
    """With a rate that changes before every step, without another compilation."""
    p = Tensor(START, requires_grad=True)
    optimizer = kind([p], **options)
    step = stepper(backend, optimizer, p)
    for i in STEPS:
        optimizer.lr = options["lr"] * 0.9**i
        step(Tensor(GRADS[i]))
    np.testing.assert_allclose(p.numpy(), wanted(START), rtol=0, atol=1e-13)
    if backend != "eager":
        assert len(list(itertools.chain(*step._known.values()))) == 1  # pyright: ignore


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_step_by_hand(backend: str) -> None:
    p = Tensor(np.array([1.0]), requires_grad=True)
    stepper(backend, tt.SGD([p], lr=0.1, momentum=0.0), p)(Tensor(np.array([1.0])))
    assert p.item() == 1.0 - 0.1


def test_settings_of_f64_read_back_and_f32_keeps_f32() -> None:
    wide, narrow = Tensor(np.ones(2), requires_grad=True), Tensor([1.0], requires_grad=True)
    for params, dtype in (([wide], "f64"), ([narrow], "f32"), ([narrow, wide], "f64")):
        optimizer = tt.SGD(params, lr=1 / 3, weight_decay=0.1)
        for name in ("lr", "weight_decay"):
            live = optimizer.param_groups[0].live(name)
            assert live is not None and live.dtype.name == dtype
        assert optimizer.lr == pytest.approx(1 / 3, rel=0 if dtype == "f64" else 1e-7)
        optimizer.lr = 0.7
        assert optimizer.lr == 0.7
    mixed = tt.AdamW([narrow, wide], lr=0.1, weight_decay=0.0)
    narrow.grad, wide.grad = Tensor([1.0]), Tensor(np.ones(2))
    mixed.step()
    assert (narrow.dtype.name, wide.dtype.name) == ("f32", "f64")
    np.testing.assert_allclose(narrow.numpy(), [0.9], rtol=1e-6)
    np.testing.assert_allclose(wide.numpy(), [1 - 0.1 / (1 + 1e-8)] * 2, rtol=1e-15)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", [tt.SGD, tt.AdamW])
@pytest.mark.parametrize("before", [0, 2])
def test_a_model_converted_later_trains_in_f64(kind: Any, before: int, backend: str) -> None:
    model = tt.Linear(4, 1, bias=False)
    options = {"lr": 0.1, "weight_decay": 0.01}
    optimizer = kind(model.parameters(), **options)
    step = stepper(backend, optimizer, model.weight)
    for i in range(before):
        step(Tensor(GRADS[i][:1], dtype="f32"))
    model.double()
    other = Tensor(model.weight.numpy(), requires_grad=True)
    twin = kind([other], **options)
    twin.load_state_dict(optimizer.state_dict())
    for i in range(before, 8):
        step(Tensor(GRADS[i][:1]))
        other.grad = Tensor(GRADS[i][:1])
        twin.step()
    assert model.weight.dtype.name == "f64"
    assert all(t.dtype.name == "f64" for s in optimizer.state for k, t in s.items() if k != "step")
    np.testing.assert_allclose(model.weight.numpy(), other.numpy(), rtol=0, atol=1e-14)


# Against PyTorch.
OPTIONS: list[tuple[str, dict[str, Any]]] = [
    *(
        ("SGD", {"lr": 0.03, "momentum": m, "nesterov": n, "weight_decay": w, "dampening": d})
        for m, n, w, d in itertools.product((0.0, 0.5, 0.9), (False, True), (0.0, 0.01), (0.0, 0.3))
        if not n or (m and not d)
    ),
    *(
        (name, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": w})
        for name, lr, betas, eps, w in itertools.product(
            ("Adam", "AdamW"), (1e-3, 0.1), ((0.9, 0.999), (0.8, 0.95), (0.0, 0.0)), (1e-8, 1e-3), (0.0, 0.02)
        )
    ),
]


@pytest.mark.parametrize(("dtype", "tolerance"), [("f64", 1e-12), ("f32", 2e-5), ("f16", 2e-2), ("bf16", 1e-1)])
def test_all_options_match_torch(dtype: str, tolerance: float) -> None:
    """PyTorch keeps the moments of halves in halves, so that those are only near."""
    torch = pytest.importorskip("torch")
    theirs = {"f64": torch.float64, "f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}[dtype]
    for name, options in OPTIONS:
        p = Tensor(START, requires_grad=True, dtype=dtype)
        q = torch.tensor(START).to(theirs).requires_grad_()
        optimizer, reference = getattr(tt, name)([p], **options), getattr(torch.optim, name)([q], **options)
        for i in STEPS:
            if i == 30:
                optimizer.lr = reference.param_groups[0]["lr"] = options["lr"] * 0.3
            p.grad, q.grad = Tensor(GRADS[i], dtype=dtype), torch.tensor(GRADS[i]).to(theirs)
            optimizer.step()
            reference.step()
        found, wanted = p.numpy().astype("f8"), q.detach().double().numpy()
        np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance, err_msg=f"{name} {options}")


# Bad arguments.
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: tt.SGD([p], lr=True), "lr is a number that is not negative, got True"),
        (lambda p: tt.SGD([p], lr="0.1"), "lr is a number that is not negative, got '0.1'"),
        (lambda p: tt.SGD([p], momentum=True), "momentum is a number in .0, 1., got True"),
        (lambda p: tt.SGD([p], nesterov="yes"), "SGD: nesterov is True or False, got 'yes'"),
        (lambda p: tt.SGD([p], dampening=-0.5), "dampening is a number in"),
        (lambda p: tt.Adam([p], betas=0.9), r"Adam: betas is a pair of numbers, got 0\.9"),
        (lambda p: tt.AdamW([p], betas=(0.9, True)), "AdamW: betas is a number in .0, 1., got True"),
        (lambda p: tt.AdamW([p], eps="small"), "AdamW: eps is a number that is not negative, got 'small'"),
        (lambda p: tt.AdamW([{"params": [p], "eps": None}]), "AdamW: eps is a number"),
    ],
)
def test_bad_arguments_are_refused_with_the_line(make: Any, message: str) -> None:
    with pytest.raises(tt.TinyTorchError, match=message) as error:
        make(Tensor([1.0], requires_grad=True))
    assert "test_optimizers_dtypes.py:" in str(error.value)


@pytest.mark.parametrize("kind", [tt.SGD, tt.Adam, tt.AdamW])
def test_unknown_arguments_are_refused(kind: Any) -> None:
    with pytest.raises(TypeError, match="banana"):
        kind([Tensor([1.0], requires_grad=True)], banana=3)
