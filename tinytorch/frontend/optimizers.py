"""Module 06: optimizers. Updates are ops on state, so that a compiled step holds them too.

| optimizer | state per parameter | memory in training, with parameters and gradients |
| --- | --- | --- |
| SGD | none | 2 n |
| SGD with momentum | one moment | 3 n |
| Muon | one moment | 3 n, and 3 n of the matrices of one shape while they step |
| Adam, AdamW | two moments | 4 n |
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.mode import TraceAgain, mode
from tinytorch.frontend.optimizer_base import Optimizer, ParamGroup, named, twin, working_dtype
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor_functions import stack, where
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.types import DType, f64

__all__ = ["SGD", "Adam", "AdamW", "Muon", "Optimizer", "ParamGroup"]

Entries = list[tuple[Tensor, Tensor, dict[str, Tensor]]]


def _fraction(what: str, name: str, value: Any) -> None:
    arguments.number(what, name, value, lambda x: 0 <= x < 1, "a number in [0, 1)")


class SGD(Optimizer):
    """Gradient descent with momentum (Polyak 1964, in the form of Sutskever et al. 2013):

        g = grad + weight_decay * p
        m = momentum * m + (1 - dampening) * g      (m = g at a parameter's first step)
        p = p - lr * (g + momentum * m if nesterov else m)

    Weight decay here is an L2 penalty: it goes through the momentum.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 0.01,
        momentum: float = 0.9,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        dampening: float = 0.0,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "nesterov": nesterov,
                "weight_decay": weight_decay,
                "dampening": dampening,
            },
        )

    def check(self, settings: Mapping[str, Any]) -> None:
        for name in ("momentum", "dampening"):
            _fraction("SGD", name, settings[name])
        arguments.flag("SGD", "nesterov", settings["nesterov"])
        if settings["nesterov"] and (settings["momentum"] == 0 or settings["dampening"] != 0):
            raise TinyTorchError("SGD: nesterov needs a momentum and no dampening", user_loc())

    def initial_state(self, group: ParamGroup) -> list[dict[str, Tensor]]:
        states: list[dict[str, Tensor]] = []
        for p in group.params:
            state = {"momentum_buffer": self.zeros(p, "momentum")} if group["momentum"] else {}
            if group["momentum"] and group["dampening"]:
                state["started"] = named(np.zeros((), np.bool_), f"{p.name}.started".lstrip("."))
            states.append(state)
        return states

    def update(self, group: ParamGroup, entries: Entries) -> None:
        lr, decay = group.live("lr"), group.live("weight_decay")
        assert lr is not None
        for p, grad, state in entries:
            dtype = working_dtype(p)
            value, g = p.cast(dtype), grad.cast(dtype)
            g = g if decay is None else g + decay.cast(dtype) * value
            p.copy_(value - lr.cast(dtype) * self._direction(group, g, state))

    def _direction(self, group: ParamGroup, g: Tensor, state: dict[str, Tensor]) -> Tensor:
        """The gradient with its momentum, which is updated."""
        momentum, dampening = group["momentum"], group["dampening"]
        if "momentum_buffer" not in state:
            if momentum:
                raise TinyTorchError("SGD: momentum must be set when the optimizer is made", user_loc())
            return g
        moment = state["momentum_buffer"]
        new = moment * momentum + (g * (1 - dampening) if dampening else g)
        if "started" in state:  # without dampening, a moment of zeros gives the same
            new = where(state["started"], new, g)
            state["started"].fill_(True)
        moment.copy_(new)
        return g + new * momentum if group["nesterov"] else new


class Adam(Optimizer):
    """Adaptive moments (Kingma & Ba 2015):

        g = grad + weight_decay * p
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        p = p - lr * (m / (1 - beta1**t)) / (sqrt(v / (1 - beta2**t)) + eps)

    t counts a parameter's steps; the powers are computed in f64.
    """

    decoupled = False
    slots = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Any,
        lr: float = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    def check(self, settings: Mapping[str, Any]) -> None:
        name, betas = type(self).__name__, settings["betas"]
        if not isinstance(betas, (tuple, list)) or len(cast("list[Any]", betas)) != 2:
            raise arguments.wrong_type(name, "betas", "a pair of numbers", betas)
        for beta in cast("list[Any]", betas):
            _fraction(name, "betas", beta)
        arguments.not_negative(name, "eps", settings["eps"])

    def initial_state(self, group: ParamGroup) -> list[dict[str, Tensor]]:
        """The moments; the step count is one tensor, shared for as long as the parameters step together (frozen ones
        will not step with the others)."""
        steps = [named(np.zeros((), np.int64), "step") for _ in range(2)]
        moments = super().initial_state(group)
        return [{**m, "step": steps[p.requires_grad]} for m, p in zip(moments, group.params, strict=True)]

    def update(self, group: ParamGroup, entries: Entries) -> None:
        self._part(entries)
        corrections: dict[int, tuple[Tensor, Tensor]] = {}
        for p, grad, state in entries:
            step = state["step"]
            if id(step) not in corrections:
                step.copy_(step + 1)
                corrections[id(step)] = self._corrections(group, step)
            self._update(group, p, grad, state, corrections[id(step)])

    def _part(self, entries: Entries) -> None:
        """Parameters that step now get a count of their own if others, which do not, shared it with them."""
        stepping = {id(state) for _, _, state in entries}
        staying = {id(state["step"]) for state in self.state if id(state) not in stepping}
        parting = {id(state["step"]): state["step"] for _, _, state in entries if id(state["step"]) in staying}
        if not parting:
            return
        twins = {key: twin(step) for key, step in parting.items()}
        for _, _, state in entries:
            state["step"] = twins.get(id(state["step"]), state["step"])
        self.state = list(self.state)  # a change that compiled functions see
        if mode.trace is not None:
            raise TraceAgain

    def _corrections(self, group: ParamGroup, step: Tensor) -> tuple[Tensor, Tensor]:
        """lr / (1 - beta1**t) and sqrt(1 - beta2**t), in f64."""
        t = step.cast(f64)
        lr = group.live("lr")
        assert lr is not None
        first, second = (1.0 - beta**t for beta in group["betas"])
        return lr.cast(f64) / first, second.sqrt()

    def _update(
        self, group: ParamGroup, p: Tensor, grad: Tensor, state: dict[str, Tensor], corrections: tuple[Tensor, Tensor]
    ) -> None:
        dtype = working_dtype(p)
        size, root = (c.cast(dtype) for c in corrections)
        lr, decay = group.live("lr"), group.live("weight_decay")
        value, g = p.cast(dtype), grad.cast(dtype)
        if decay is not None and self.decoupled:
            assert lr is not None
            value = value * (1.0 - lr.cast(f64) * decay.cast(f64)).cast(dtype)
        elif decay is not None:
            g = g + decay.cast(dtype) * value
        (beta1, beta2), mean, square = group["betas"], state["exp_avg"], state["exp_avg_sq"]
        mean.copy_(mean + (g - mean) * (1 - beta1))
        square.copy_(square * beta2 + g * g * (1 - beta2))
        p.copy_(value - size * (mean / (square.sqrt() / root + group["eps"])))

    def load_state(self, states: list[dict[str, Any]]) -> None:
        """Parameters of one count share its tensor again; the tensors stay the same where that split is the same."""
        counts = [int(np.asarray(state["step"])) for state in states]
        pairs = {(id(own["step"]), count) for own, count in zip(self.state, counts, strict=True)}
        if len({tensor for tensor, _ in pairs}) != len(pairs):
            fresh: dict[tuple[int, int], Tensor] = {}
            for own, count in zip(self.state, counts, strict=True):
                own["step"] = fresh.setdefault((id(own["step"]), count), twin(own["step"]))
            self.state = list(self.state)  # a change that compiled functions see
        super().load_state(states)


class AdamW(Adam):
    """Adam whose weight decay does not pass through the moments (Loshchilov & Hutter 2019): p = p - lr * weight_decay
    * p, before the step of Adam without it."""

    decoupled = True

    def __init__(
        self,
        params: Any,
        lr: float = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)


class Muon(Optimizer):
    """Momentum whose direction is made orthogonal, for the weights of hidden layers (Jordan et al. 2024, "Muon: An
    optimizer for hidden layers in neural networks"):

        m = momentum * m + (1 - momentum) * grad
        u = momentum * m + (1 - momentum) * grad if nesterov else m
        p = p - lr * weight_decay * p - lr * adjustment * orthogonalize(u)

    Parameters are matrices; one with more axes, such as a filter [out, in, height, width], is the matrix of its first
    axis by all others. ShapeError for vectors: biases and gains, and embeddings and heads too, are for Adam or AdamW.

    `adjust_lr_fn`: None or "original" multiplies the rate by sqrt(max(1, rows / columns)) (Jordan et al. 2024),
    "match_rms_adamw" by 0.2 * sqrt(max(rows, columns)), which moves weights as far as AdamW does (Liu et al. 2025).
    Names and defaults are those of torch.optim.Muon, which computes `orthogonalize` in bf16 and refuses filters; here
    it is in the parameter's dtype, at least f32. Matrices of equal shape are computed together.
    """

    slots = ("momentum_buffer",)

    def __init__(
        self,
        params: Any,
        lr: float = 0.001,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "weight_decay": weight_decay,
                "momentum": momentum,
                "nesterov": nesterov,
                "ns_coefficients": ns_coefficients,
                "eps": eps,
                "ns_steps": ns_steps,
                "adjust_lr_fn": adjust_lr_fn,
            },
        )

    def check(self, settings: Mapping[str, Any]) -> None:
        _fraction("Muon", "momentum", settings["momentum"])
        arguments.flag("Muon", "nesterov", settings["nesterov"])
        coefficients = settings["ns_coefficients"]
        if not isinstance(coefficients, (tuple, list)) or len(cast("list[Any]", coefficients)) != 3:
            raise arguments.wrong_type("Muon", "ns_coefficients", "three numbers", coefficients)
        for coefficient in cast("list[Any]", coefficients):
            arguments.finite("Muon", "ns_coefficients", coefficient)
        arguments.positive("Muon", "eps", settings["eps"])
        arguments.integer("Muon", "ns_steps", settings["ns_steps"], 1)
        if settings["adjust_lr_fn"] is not None:
            arguments.choice("Muon", "adjust_lr_fn", settings["adjust_lr_fn"], "original", "match_rms_adamw")

    def check_parameter(self, param: Tensor) -> None:
        if param.ndim < 2:
            raise ShapeError(
                f"Muon: a parameter is a matrix or a filter, got {param.type}; give vectors to Adam or AdamW",
                user_loc(),
            )

    def update(self, group: ParamGroup, entries: Entries) -> None:
        alike: dict[tuple[int, int, DType], Entries] = {}
        for entry in entries:
            alike.setdefault((*_as_matrix(entry[0]), working_dtype(entry[0])), []).append(entry)
        lr, decay = group.live("lr"), group.live("weight_decay")
        assert lr is not None
        rate = lr.cast(f64)
        kept = None if decay is None else 1.0 - rate * decay.cast(f64)
        for (rows, columns, dtype), members in alike.items():
            moments = [self._momentum(group, *entry).reshape(rows, columns) for entry in members]
            alone = len(members) == 1  # a batch of one would put reshapes between its products and what follows them
            stacked = moments[0] if alone else stack(moments)
            directions = orthogonalize(stacked, group["ns_coefficients"], group["ns_steps"], group["eps"])
            moves = directions * (rate * self._adjustment(group, rows, columns)).cast(dtype)
            for i, (p, _, _) in enumerate(members):
                value = p.cast(dtype) if kept is None else p.cast(dtype) * kept.cast(dtype)
                p.copy_(value - (moves if alone else moves[i]).reshape(p.shape))

    def _momentum(self, group: ParamGroup, p: Tensor, grad: Tensor, state: dict[str, Tensor]) -> Tensor:
        """The direction of a step; the moment is updated."""
        momentum, moment, g = group["momentum"], state["momentum_buffer"], grad.cast(working_dtype(p))
        new = moment * momentum + g * (1 - momentum)
        moment.copy_(new)
        return new * momentum + g * (1 - momentum) if group["nesterov"] else new

    def _adjustment(self, group: ParamGroup, rows: int, columns: int) -> float:
        """What the rate of a matrix is multiplied by."""
        if group["adjust_lr_fn"] == "match_rms_adamw":
            return 0.2 * math.sqrt(max(rows, columns))
        return math.sqrt(max(1.0, rows / max(columns, 1)))


def _as_matrix(param: Tensor) -> tuple[int, int]:
    return param.shape[0], math.prod(param.shape[1:])


def orthogonalize(x: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float) -> Tensor:
    """Matrices [..., rows, columns] with their singular values s moved near 1, singular vectors kept: Newton-Schulz
    iteration by a polynomial of degree five (Jordan et al. 2024), from x / max(norm of all elements, eps):

        s = a * s + b * s**3 + c * s**5         steps times

    The default coefficients are chosen for a steep rise at 0: singular values end in about [0.7, 1.2], not at 1.
    The products are those of the shorter side, x xT of wide matrices and xT x of tall ones.
    """
    a, b, c = coefficients
    tall = x.shape[-2] > x.shape[-1]
    x = x / (x * x).sum((-2, -1), keepdim=True).sqrt().maximum(eps)
    for _ in range(steps):
        gram = x.mT @ x if tall else x @ x.mT
        change = gram * b + gram @ gram * c
        x = x * a + (x @ change if tall else change @ x)
    return x
