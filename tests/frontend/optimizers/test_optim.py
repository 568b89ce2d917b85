"""tt.optim: every optimizer against torch.optim and against its formula, eager and compiled; states exchanged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import optim
from tinytorch.ir.errors import TinyTorchError, TraceError

RNG = np.random.default_rng(7)
SHAPES = [(3, 4), (4,), ()]
STARTS = [RNG.normal(size=s).astype(np.float32) for s in SHAPES]
STEPS = 12
GRADS = [[RNG.normal(size=s).astype(np.float32) for s in SHAPES] for _ in range(STEPS)]

CASES: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.2, "weight_decay": 0.1, "maximize": True}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("Adam", {"lr": 0.02, "amsgrad": True, "maximize": True}),
    ("Adam", {"lr": 0.02, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("AdamW", {"lr": 0.02, "amsgrad": True, "betas": (0.7, 0.9)}),
    ("RMSprop", {}),
    ("RMSprop", {"momentum": 0.6, "centered": True, "weight_decay": 0.1, "alpha": 0.8, "eps": 1e-3}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1}),
    ("Adagrad", {"lr": 0.1, "initial_accumulator_value": 0.5, "maximize": True}),
    ("Adadelta", {}),
    ("Adadelta", {"lr": 0.5, "rho": 0.7, "eps": 1e-3, "weight_decay": 0.1}),
    ("Adamax", {}),
    ("Adamax", {"lr": 0.05, "betas": (0.6, 0.8), "weight_decay": 0.1}),
    ("NAdam", {}),
    ("NAdam", {"lr": 0.05, "momentum_decay": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("RAdam", {"lr": 0.05}),
    ("RAdam", {"lr": 0.05, "betas": (0.8, 0.9), "weight_decay": 0.1}),
    ("RAdam", {"lr": 0.05, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("Rprop", {}),
    ("Rprop", {"lr": 0.1, "etas": (0.4, 2.0), "step_sizes": (0.03, 0.2), "maximize": True}),
    ("ASGD", {"lr": 0.05, "weight_decay": 0.1}),
    ("ASGD", {"lr": 0.05, "t0": 4.0, "lambd": 0.1, "alpha": 0.6, "maximize": True}),
    ("Adafactor", {}),
    ("Adafactor", {"lr": 0.3, "eps": (0.3, 0.1), "d": 1.5, "weight_decay": 0.1, "beta2_decay": -0.5}),
]
IDS = [f"{name}-{'-'.join(options)}" for name, options in CASES]


def parameters() -> list[tt.Tensor]:
    return [tt.Tensor(start, requires_grad=True) for start in STARTS]


def run(optimizer: Any, params: list[Any], steps: range, tensor: Any = tt.Tensor) -> None:
    for i in steps:
        for p, g in zip(params, GRADS[i], strict=True):
            p.grad = tensor(g)
        optimizer.step()


def assert_alike(params: list[Any], others: list[Any], rtol: float = 2e-5, atol: float = 1e-6) -> None:
    for p, q in zip(params, others, strict=True):
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=rtol, atol=atol)


@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_steps_are_those_of_torch_and_states_go_both_ways(name: str, options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = parameters(), [torch.tensor(start, requires_grad=True) for start in STARTS]
    mine, reference = getattr(optim, name)(ours, **options), getattr(torch.optim, name)(theirs, **options)
    run(mine, ours, range(6))
    run(reference, theirs, range(6), torch.tensor)
    assert_alike(ours, theirs)
    saved = mine.state_dict()
    given = reference.state_dict()
    for i, state in given["state"].items():
        for key, value in state.items():
            if value is not None:
                np.testing.assert_allclose(saved["state"][i][key].numpy(), value.numpy(), rtol=2e-5, atol=1e-6)
    # Each goes on from the state of the other.
    mine = getattr(optim, name)(ours, **options)
    mine.load_state_dict(given)
    as_torch = {i: {k: torch.tensor(np.asarray(v)) for k, v in s.items()} for i, s in saved["state"].items()}
    reference = getattr(torch.optim, name)(theirs, **options)
    reference.load_state_dict({"state": as_torch, "param_groups": saved["param_groups"]})
    run(mine, ours, range(6, STEPS))
    run(reference, theirs, range(6, STEPS), torch.tensor)
    assert_alike(ours, theirs)


@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_compiled_steps_are_those_of_eager_mode(name: str, options: dict[str, Any]) -> None:
    """Also where the rate changes, which compiles nothing anew."""
    params, others = parameters(), parameters()
    eager, optimizer = getattr(optim, name)(others, **options), getattr(optim, name)(params, **options)

    @tt.compile
    def step(*grads: tt.Tensor) -> None:
        optimizer.zero_grad()
        loss = sum(((p * g).sum() for p, g in zip(params, grads, strict=True)), tt.tensor(0.0))
        loss.backward()
        optimizer.step()

    for i in range(4):
        eager.lr = optimizer.lr = options.get("lr", 0.01) * 0.5**i
        step(*map(tt.Tensor, GRADS[i]))
        run(eager, others, range(i, i + 1))
    assert_alike(params, others, rtol=1e-5)
    assert sum(map(len, step._known.values())) == 1  # pyright: ignore


ONE = [  # one step from p = 1 with the gradient 2, by the formulas, and a second one with the gradient -1
    ("SGD", {"lr": 0.1, "momentum": 0.5}, (0.8, 0.8)),
    ("RMSprop", {"lr": 0.1, "alpha": 0.75}, (0.8, 0.8 + 0.1)),
    ("Adagrad", {"lr": 0.1}, (0.9, 0.9 + 0.1 / 5**0.5)),
    ("Adadelta", {"eps": 1.0, "rho": 0.5}, (1 - 2 / 3**0.5, 1 - 2 / 3**0.5 + (5 / 3) ** 0.5 / 2.5**0.5)),
    ("Adamax", {"lr": 0.1, "betas": (0.5, 0.5)}, (0.9, 0.9)),
    ("RAdam", {"lr": 0.1, "betas": (0.5, 0.999)}, (0.8, 0.8)),
    ("Rprop", {"lr": 0.1}, (0.9, 0.9)),
    ("ASGD", {"lr": 0.1, "lambd": 1.0, "alpha": 1.0}, (0.7, 0.7 * (1 - 0.1 / 1.1) + 0.1 / 1.1)),
    ("Adafactor", {"lr": 0.1}, (0.9, 0.9 + 0.09 / (1 + 3 * (1 - 0.5**0.8)) ** 0.5)),
]


@pytest.mark.parametrize(("name", "options", "wanted"), ONE)
def test_two_steps_by_hand(name: str, options: dict[str, Any], wanted: tuple[float, float]) -> None:
    p = tt.tensor([1.0], requires_grad=True)
    optimizer = getattr(optim, name)([p], **options)
    for gradient, value in zip((2.0, -1.0), wanted, strict=True):
        p.grad = tt.tensor([gradient])
        optimizer.step()
        assert p.item() == pytest.approx(value, rel=1e-6)


def test_defaults_are_pytorchs() -> None:
    p = [tt.tensor([0.0], requires_grad=True)]
    sgd = optim.SGD(p)
    assert (sgd.lr, sgd.param_groups[0]["momentum"], tt.SGD(p).param_groups[0]["momentum"]) == (0.001, 0.0, 0.9)
    assert isinstance(optim.SGD(p, 0.1, 0.9, 0.0, 0.1, True), tt.Optimizer)
    assert optim.SGD(p, 0.1, 0.9, 0.5).param_groups[0]["dampening"] == 0.5
    torch = pytest.importorskip("torch")
    tensor = [torch.zeros(1, requires_grad=True)]
    skipped = {"params", "foreach", "capturable", "differentiable", "fused"}
    for name in dict(CASES):
        wanted = {k: v for k, v in getattr(torch.optim, name)(tensor).param_groups[0].items() if k not in skipped}
        found = {k: v for k, v in getattr(optim, name)(p).param_groups[0].items() if k != "params"}
        assert found == wanted, name


def test_a_closure_is_evaluated_with_gradients_and_its_loss_returned() -> None:
    p = tt.tensor([1.0, 2.0], requires_grad=True)
    optimizer = optim.SGD([p], lr=0.25)

    def closure() -> tt.Tensor:
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with tt.no_grad():
        assert optimizer.step(closure).item() == 5.0
    assert p.tolist() == [0.5, 1.0] and optimizer.step() is None


def test_momentum_and_betas_that_are_cycled_compile_once_more_at_most() -> None:
    for kind, name, values in (
        (optim.SGD, "momentum", [0.9, 0.8, 0.7, 0.6]),
        (optim.Adam, "betas", [(0.9, 0.99), (0.8, 0.99), (0.7, 0.98), (0.6, 0.97)]),
    ):
        runs = []
        for compiled in (True, False):
            p = tt.tensor([1.0, -1.0], requires_grad=True)
            optimizer = kind([p], lr=0.1, **{name: values[0]})

            def step(p: tt.Tensor = p, optimizer: Any = optimizer) -> None:
                optimizer.zero_grad()
                (p * p).sum().backward()
                optimizer.step()

            call = tt.compile(step) if compiled else step
            for value in values:
                optimizer.param_groups[0][name] = value
                assert optimizer.param_groups[0][name] == value
                call()
            runs.append(p)
            if compiled:
                assert sum(map(len, call._known.values())) <= 2  # pyright: ignore
        assert_alike(runs[:1], runs[1:])


@pytest.mark.parametrize("options", [{"nesterov": True}, {"dampening": 0.5}, {"momentum": 0.0, "dampening": 0.5}])
def test_a_momentum_may_be_zero_between_steps(options: dict[str, Any]) -> None:
    """The moment waits while it is, and begins when it is not any more: as in PyTorch."""
    torch = pytest.importorskip("torch")
    runs: list[Any] = []
    for module, wrap in ((torch, lambda f: f), (tt, lambda f: f), (tt, tt.compile)):
        p = module.tensor([1.0, -1.0], requires_grad=True)
        optimizer = module.optim.SGD([p], **{"lr": 0.1, "momentum": 0.9, **options})

        def step(p: Any = p, optimizer: Any = optimizer) -> None:
            optimizer.zero_grad()
            (p * p).sum().backward()
            optimizer.step()

        step = wrap(step)
        for value in (None, 0.0, 0.8, 0.8, 0.0, 0.9):
            if value is not None:
                optimizer.param_groups[0]["momentum"] = value
            step()
        runs.append(p)
    for found in runs[1:]:
        np.testing.assert_allclose(found.numpy(), runs[0].detach().numpy(), rtol=1e-5)


def test_groups_keep_what_is_no_setting_of_theirs() -> None:
    layer = tt.Linear(2, 2)
    groups = [{"params": [layer.weight], "name": "decayed", "lr_scale": 0.5, "items": [1]}, {"params": [layer.bias]}]
    optimizer = optim.AdamW(groups, lr=0.1)

    @tt.compile
    def step(x: tt.Tensor) -> None:
        optimizer.zero_grad()
        layer(x).sum().backward()
        for group in optimizer.param_groups:
            group["lr"] = 0.1 * group.get("lr_scale", 1.0)
        optimizer.step()

    step(tt.ones(1, 2))
    assert [group["lr"] for group in optimizer.param_groups] == [0.05, 0.1]
    saved = optimizer.state_dict()
    other = optim.AdamW([{"params": [layer.weight]}, {"params": [layer.bias]}])
    other.load_state_dict(saved)
    assert other.param_groups[0]["items"] == [1] and "name" not in dict(other.param_groups[1])
    with pytest.raises(tt.TinyTorchError, match="no setting betas"):
        other.load_state_dict({**saved, "param_groups": [{k: v for k, v in g.items() if k != "betas"} for g in groups]})


def test_parameters_may_come_with_their_names() -> None:
    layer = tt.Linear(2, 2)
    optimizer = optim.SGD(layer.named_parameters(), lr=0.1)
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    assert optimizer.param_groups[0]["params"] == layer.parameters()
    with pytest.raises(tt.TinyTorchError, match="some have none"):
        optim.SGD([("weight", layer.weight), layer.bias])


# LBFGS.
def rosenbrock(p: Any) -> Any:
    return ((1 - p[:-1]) ** 2).sum() + 100 * ((p[1:] - p[:-1] ** 2) ** 2).sum()


def minimized(kind: Any, p: Any, steps: int, **options: Any) -> tuple[list[float], Any]:
    optimizer, losses = kind([p], **options), []

    def closure() -> Any:
        optimizer.zero_grad()
        loss = rosenbrock(p)
        loss.backward()
        return loss

    for _ in range(steps):
        losses.append(optimizer.step(closure).item())
    return losses, optimizer


LBFGS_OPTIONS = [
    {"line_search_fn": "strong_wolfe"},
    {"line_search_fn": "strong_wolfe", "history_size": 2, "lr": 0.5, "max_iter": 7},
    {"lr": 0.002, "max_iter": 5, "history_size": 3},
]


@pytest.mark.parametrize("options", LBFGS_OPTIONS)
def test_lbfgs_takes_the_steps_of_torch(options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    start = np.array([-1.2, 1.0, 0.5, -0.7])
    ours, theirs = tt.Tensor(start, requires_grad=True), torch.tensor(start, requires_grad=True)
    losses, optimizer = minimized(optim.LBFGS, ours, 4, **options)
    wanted, reference = minimized(torch.optim.LBFGS, theirs, 4, **options)
    np.testing.assert_allclose(losses, wanted, rtol=1e-5, atol=1e-12)
    np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), rtol=1e-5)
    state, other = optimizer.state_dict()["state"][0], reference.state_dict()["state"][0]
    assert set(state) <= {*other, "al"} and (state["n_iter"], state["func_evals"]) == (
        other["n_iter"],
        other["func_evals"],
    )


def test_lbfgs_finds_the_minimum_and_goes_on_from_a_state() -> None:
    start = np.array([-1.2, 1.0])
    p, q = (tt.Tensor(start, requires_grad=True) for _ in range(2))
    losses, first = minimized(optim.LBFGS, p, 6, line_search_fn="strong_wolfe")
    np.testing.assert_allclose(p.numpy(), [1, 1], atol=1e-4)  # a loss below tolerance_change
    assert losses[0] == pytest.approx(24.2) and losses[-1] < 1e-9
    _, second = minimized(optim.LBFGS, q, 1, line_search_fn="strong_wolfe", max_iter=4)
    resumed = optim.LBFGS([q], line_search_fn="strong_wolfe", max_iter=4)
    resumed.load_state_dict(second.state_dict())
    assert resumed._memory.n_iter == second._memory.n_iter > 0  # pyright: ignore
    with pytest.raises(TinyTorchError, match="2 numbers"):
        resumed.load_state_dict(optim.LBFGS([p]).state_dict() | {"state": {0: {"d": tt.zeros(3)}}})
    with pytest.raises(TraceError, match="LBFGS"):
        tt.compile(lambda: first.step(lambda: rosenbrock(p)))()
    with pytest.raises(TinyTorchError, match="closure"):
        first.step()
    with pytest.raises(TinyTorchError, match="one group"):
        optim.LBFGS([{"params": [p]}, {"params": [q]}])


# Saved states, and arguments.
def test_a_state_before_the_first_step_loads_as_none() -> None:
    params = parameters()
    optimizer = optim.Adam(params)
    run(optimizer, params, range(2))
    saved = optimizer.state_dict()
    optimizer.load_state_dict({**saved, "state": {0: saved["state"][0]}})
    assert [int(s["step"]) for s in optimizer.state] == [2, 0, 0]
    assert not optimizer.state[1]["exp_avg"].numpy().any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: optim.Adam(p, foreach=True), "foreach=True is not supported"),
        (lambda p: optim.SGD(p, fused=True), "fused"),
        (lambda p: optim.RMSprop(p, capturable=True), "capturable"),
        (lambda p: optim.NAdam(p, differentiable=1), "differentiable"),
        (lambda p: optim.Adagrad(p, speed=1), "no argument speed"),
        (lambda p: optim.SGD(tt.nn.Linear(2, 2)), r"pass model.parameters\(\)"),
        (lambda p: optim.Adagrad(p, lr_decay=-1.0), "lr_decay"),
        (lambda p: optim.Adadelta(p, rho=1.5), "rho"),
        (lambda p: optim.RAdam(p, betas=0.9), "betas"),
        (lambda p: optim.NAdam(p, momentum_decay="fast"), "momentum_decay"),
        (lambda p: optim.Rprop(p, etas=(1.2, 0.5)), "etas"),
        (lambda p: optim.ASGD(p, t0="late"), "t0"),
        (lambda p: optim.Adafactor(p, eps=1e-3), "eps is a pair"),
        (lambda p: optim.Adam(p, amsgrad=1), "amsgrad"),
        (lambda p: optim.LBFGS(p, line_search_fn="armijo"), "strong_wolfe"),
        (lambda p: optim.LBFGS(p, max_iter=0), "max_iter"),
        (lambda p: optim.SGD(p).step(3), "closure"),
        (lambda p: optim.SGD(p, momentum=float("nan")), "momentum"),
    ],
)
def test_bad_arguments(make: Any, message: str) -> None:
    with pytest.raises(TinyTorchError, match=message):
        make([tt.tensor([1.0], requires_grad=True)])


def test_none_and_false_are_what_is_meant_anyway() -> None:
    p = [tt.tensor([1.0], requires_grad=True)]
    assert optim.AdamW(p, foreach=None, fused=False, capturable=False, differentiable=False).lr == 0.001
