"""Module 06: optimizers against torch.optim, settings as state, saving and resuming."""

from __future__ import annotations

import numpy as np
import pytest

from tinytorch.frontend.autograd import no_grad
from tinytorch.frontend.functions.basic import stack
from tinytorch.frontend.layers import Linear
from tinytorch.frontend.module.containers import Sequential
from tinytorch.frontend.optimizers import SGD, Adam, AdamW, Optimizer
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import TinyTorchError

RNG = np.random.default_rng(0)
SHAPES = [(3, 4), (4,), ()]
STARTS = [RNG.normal(size=s).astype(np.float32) for s in SHAPES]
GRADS = [[RNG.normal(size=s).astype(np.float32) for s in SHAPES] for _ in range(50)]

CASES = [
    (SGD, "SGD", {"lr": 0.1, "momentum": 0.0}),
    (SGD, "SGD", {"lr": 0.05, "momentum": 0.9}),
    (SGD, "SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    (SGD, "SGD", {"lr": 0.05, "momentum": 0.8, "dampening": 0.3}),
    (Adam, "Adam", {"lr": 0.003}),
    (Adam, "Adam", {"lr": 0.01, "betas": (0.8, 0.99), "weight_decay": 0.1}),
    (AdamW, "AdamW", {"lr": 0.001}),
    (AdamW, "AdamW", {"lr": 0.02, "betas": (0.85, 0.95), "eps": 1e-5, "weight_decay": 0.2}),
]


def parameters() -> list[Tensor]:
    return [Tensor(start, requires_grad=True) for start in STARTS]


def run(optimizer: Optimizer, params: list[Tensor], steps: range) -> None:
    for i in steps:
        for p, g in zip(params, GRADS[i], strict=True):
            p.grad = Tensor(g)
        optimizer.step()


@pytest.mark.parametrize(("ours", "theirs", "options"), CASES)
def test_50_steps_match_torch(ours, theirs, options):
    torch = pytest.importorskip("torch")
    params = parameters()
    run(ours(params, **options), params, range(50))
    others = [torch.tensor(start, requires_grad=True) for start in STARTS]
    reference = getattr(torch.optim, theirs)(others, **options)
    for i in range(50):
        for p, g in zip(others, GRADS[i], strict=True):
            p.grad = torch.tensor(g)
        reference.step()
    for p, q in zip(params, others, strict=True):
        np.testing.assert_allclose(p.numpy(), q.detach().numpy(), rtol=1e-6, atol=1e-6)


def defined(kind: type[Optimizer], start: np.ndarray, gradients: list[np.ndarray], options: dict) -> np.ndarray:
    """A parameter after steps, in numpy as the formulas stand in the docstrings."""
    lr, decay = options["lr"], options.get("weight_decay", 0.01 if kind is AdamW else 0.0)
    beta1, beta2 = options.get("betas", (0.9, 0.999))
    p, m, v = start.astype(np.float64), np.zeros(start.shape), np.zeros(start.shape)
    for t, g in enumerate(np.asarray(gradients, np.float64), 1):
        if kind is AdamW:
            p = p * (1 - lr * decay)
        else:
            g = g + decay * p
        if kind is SGD:
            m = g if t == 1 else options["momentum"] * m + (1 - options.get("dampening", 0)) * g
            p = p - lr * (g + options["momentum"] * m if options.get("nesterov") else m)
        else:
            m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
            root = np.sqrt(v / (1 - beta2**t))
            p = p - lr * (m / (1 - beta1**t)) / (root + options.get("eps", 1e-8))
    return p


@pytest.mark.parametrize(("ours", "theirs", "options"), CASES)
def test_50_steps_are_those_of_the_formulas(ours, theirs, options):
    params = parameters()
    run(ours(params, **options), params, range(50))
    for i, p in enumerate(params):
        expected = defined(ours, STARTS[i], [g[i] for g in GRADS], options)
        np.testing.assert_allclose(p.numpy(), expected, rtol=2e-5, atol=2e-6)


def test_a_gradient_as_small_as_eps_makes_half_a_step():
    p = Tensor(np.zeros(1), requires_grad=True)
    p.grad = Tensor(np.full(1, 1e-8))
    Adam([p], lr=0.1).step()
    assert p.tolist() == pytest.approx([-0.05])


def test_sgd_by_hand():
    p = Tensor([1.0, -2.0], requires_grad=True)
    optimizer = SGD([p], lr=0.5, momentum=0.5)
    for expected in ([0.5, -2.5], [-0.25, -3.25]):  # moments 1, then 1.5
        p.grad = Tensor([1.0, 1.0])
        optimizer.step()
        assert p.tolist() == expected


def test_defaults_are_those_of_the_specification():
    p = [Tensor([0.0], requires_grad=True)]
    sgd, adamw = SGD(p), AdamW(p)
    assert (sgd.lr, sgd.param_groups[0]["momentum"], sgd.weight_decay) == (0.01, 0.9, 0.0)
    assert (adamw.lr, adamw.param_groups[0]["betas"], adamw.weight_decay) == (0.001, (0.9, 0.999), 0.01)


def test_adam_keeps_f64_parameters_in_f64_and_halves_in_f32_moments():
    for dtype, moment in (("f64", "f64"), ("bf16", "f32"), ("f16", "f32")):
        p = Tensor([1.0, 2.0], requires_grad=True, dtype=dtype)
        optimizer = AdamW([p], lr=0.1)
        p.grad = Tensor([1.0, -1.0], dtype=dtype)
        optimizer.step()
        assert p.dtype.name == dtype and optimizer.state[0]["exp_avg"].dtype.name == moment
        np.testing.assert_allclose(p.numpy().astype(np.float64), [0.899, 2.098], rtol=4e-3)


# Settings.
def test_lr_reads_back_as_it_was_set_and_lives_in_one_tensor():
    p = Tensor([1.0], requires_grad=True)
    optimizer = SGD([p], lr=0.1, momentum=0.0)
    assert optimizer.lr == 0.1
    live = optimizer.param_groups[0].live("lr")
    optimizer.lr = 0.3
    assert optimizer.lr == 0.3 and optimizer.param_groups[0].live("lr") is live
    optimizer.param_groups[0]["lr"] *= 2
    assert optimizer.param_groups[0]["lr"] == 0.6
    p.grad = Tensor([1.0])
    optimizer.step()
    np.testing.assert_allclose(p.numpy(), [0.4], rtol=1e-6)


def test_setting_lr_moves_no_guard_but_a_new_weight_decay_does():
    from tinytorch.frontend.module.tracked import epoch

    optimizer = SGD([Tensor([1.0], requires_grad=True)])
    before = epoch.now
    optimizer.lr = 0.5
    optimizer.param_groups[0]["lr"] = 0.25
    assert epoch.now == before
    optimizer.weight_decay = 0.1  # from none to one: the update has another form
    assert epoch.now > before
    before = epoch.now
    optimizer.weight_decay = 0.0
    assert epoch.now == before and optimizer.weight_decay == 0.0
    optimizer.param_groups[0]["momentum"] = 0.5
    assert epoch.now > before


def test_parameter_groups_have_their_own_settings():
    a, b = (Tensor([1.0], requires_grad=True) for _ in range(2))
    optimizer = SGD([{"params": [a], "lr": 0.5}, {"params": b}], lr=0.1, momentum=0.0)
    a.grad = b.grad = Tensor([1.0])
    optimizer.step()
    np.testing.assert_allclose([a.item(), b.item()], [0.5, 0.9], rtol=1e-6)
    c = Tensor([1.0], requires_grad=True)
    optimizer.add_param_group({"params": [c], "weight_decay": 1.0, "lr": 0.5})
    c.grad = Tensor([0.0])
    optimizer.step()
    assert c.item() == 0.5 and len(optimizer.param_groups) == 3


def test_parameters_without_gradient_stay_and_do_not_count_steps():
    torch = pytest.importorskip("torch")
    ours = [Tensor([1.0], requires_grad=True) for _ in range(2)]
    theirs = [torch.tensor([1.0], requires_grad=True) for _ in range(2)]
    optimizer, reference = AdamW(ours, lr=0.1), torch.optim.AdamW(theirs, lr=0.1)
    for i in range(6):
        for j in range(2):
            has = j == 0 or i >= 3
            ours[j].grad = Tensor([0.5 + i]) if has else None
            theirs[j].grad = torch.tensor([0.5 + i]) if has else None
        optimizer.step()
        reference.step()
        if i < 3:
            assert ours[1].item() == 1.0
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.numpy(), q.detach().numpy(), rtol=1e-6)


def test_zero_grad():
    p = Tensor([1.0], requires_grad=True)
    optimizer = SGD([p])
    p.grad = Tensor([2.0])
    optimizer.zero_grad(set_to_none=False)
    assert p.grad is not None and p.grad.tolist() == [0.0]
    optimizer.zero_grad()
    assert p.grad is None


# Saving.
@pytest.mark.parametrize(("kind", "options"), [(k, o) for k, _, o in CASES])
def test_a_resumed_run_is_bit_for_bit_the_same(kind, options):
    straight = parameters()
    run(kind(straight, **options), straight, range(20))
    first = parameters()
    optimizer = kind(first, **options)
    run(optimizer, first, range(9))
    saved = optimizer.state_dict()
    second = [Tensor(p.numpy(), requires_grad=True) for p in first]
    resumed = kind(second, **{**options, "lr": 0.7})
    resumed.load_state_dict(saved)
    assert resumed.lr == options["lr"]
    run(resumed, second, range(9, 20))
    for p, q in zip(straight, second, strict=True):
        assert p.numpy().tobytes() == q.numpy().tobytes()


def test_loading_keeps_tensors_and_restores_separate_step_counts():
    params = [Tensor([1.0], requires_grad=True) for _ in range(3)]
    optimizer = AdamW(params)
    params[0].grad = Tensor([1.0])
    optimizer.step()
    assert [int(s["step"]) for s in optimizer.state] == [1, 0, 0]
    assert optimizer.state[1]["step"] is optimizer.state[2]["step"]
    other = AdamW([Tensor([1.0], requires_grad=True) for _ in range(3)])
    moments = [s["exp_avg"] for s in other.state]
    other.load_state_dict(optimizer.state_dict())
    assert [int(s["step"]) for s in other.state] == [1, 0, 0]
    assert all(a is s["exp_avg"] for a, s in zip(moments, other.state, strict=True))
    steps = [s["step"] for s in other.state]
    other.load_state_dict(optimizer.state_dict())
    assert all(a is s["step"] for a, s in zip(steps, other.state, strict=True))


def test_a_state_that_does_not_fit_changes_nothing():
    optimizer = AdamW([Tensor([1.0, 2.0], requires_grad=True)], lr=0.1)
    for other in (
        AdamW([Tensor([1.0], requires_grad=True)], lr=0.2),
        AdamW([Tensor([1.0, 2.0], requires_grad=True), Tensor([1.0], requires_grad=True)], lr=0.2),
        SGD([Tensor([1.0, 2.0], requires_grad=True)], lr=0.2),
    ):
        with pytest.raises(TinyTorchError):
            optimizer.load_state_dict(other.state_dict())
        assert optimizer.lr == 0.1


# Bad arguments.
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: SGD([]), "no parameters"),
        (lambda p: SGD(p), "list of tensors"),
        (lambda p: SGD(Linear(2, 2)), r"model.parameters\(\)"),
        (lambda p: SGD([p, p]), "twice"),
        (lambda p: SGD([{"params": [p]}, {"params": [p]}]), "more than one group"),
        (lambda p: SGD([p * 2]), "result of a computation"),
        (lambda p: SGD([Tensor([1, 2])]), "tensor of floats"),
        (lambda p: SGD([p], lr=-1.0), "lr"),
        (lambda p: SGD([p], lr=float("nan")), "lr"),
        (lambda p: SGD([p], momentum=1.5), "momentum"),
        (lambda p: SGD([p], momentum=0.0, nesterov=True), "nesterov"),
        (lambda p: AdamW([p], betas=(0.9, 1.0)), "betas"),
        (lambda p: AdamW([p], eps=-1.0), "eps"),
        (lambda p: AdamW([p], weight_decay=-0.1), "weight_decay"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(TinyTorchError, match=message):
        make(Tensor([1.0], requires_grad=True))


def test_training_a_small_network_lowers_the_loss_for_every_optimizer():
    x = Tensor(RNG.normal(size=(32, 2)).astype(np.float32))
    with no_grad():
        y = stack([x[:, 0] * 2 - x[:, 1], x[:, 0] + 1], 1)
    for kind, options in ((SGD, {"lr": 0.05}), (AdamW, {"lr": 0.05, "weight_decay": 0.0})):
        model = Sequential(Linear(2, 2))
        optimizer = kind(model.parameters(), **options)
        losses: list[float] = []
        for _ in range(150):
            optimizer.zero_grad()
            loss = (model(x) - y).square().mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < 1e-2 < losses[0]
