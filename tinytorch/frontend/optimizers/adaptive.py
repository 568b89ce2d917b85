"""Adagrad, Adadelta and RMSprop: steps divided by the size that gradients had."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

from tinytorch.frontend import arguments
from tinytorch.frontend.optimizers.base import Unsupported, refuse
from tinytorch.frontend.optimizers.counted import Counted, State, check_flags
from tinytorch.frontend.optimizers.formulas import as_dtype, fraction, with_penalty
from tinytorch.frontend.optimizers.groups import ParamGroup, working_dtype
from tinytorch.frontend.optimizers.sgd import with_momentum
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.types import f64


class Adagrad(Counted):
    """Steps divided by the root of all squared gradients so far (Duchi et al. 2011):

    g = grad + weight_decay * p
    s = s + g**2                          (from initial_accumulator_value)
    p = p - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(s) + eps)
    """

    slots = ("sum",)

    def __init__(
        self,
        params: Any,
        lr: float = 0.01,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
        **unsupported: Unpack[Unsupported],
    ) -> None:
        refuse("Adagrad", unsupported)
        super().__init__(
            params,
            {
                "lr": lr,
                "lr_decay": lr_decay,
                "eps": eps,
                "weight_decay": weight_decay,
                "initial_accumulator_value": initial_accumulator_value,
                "maximize": maximize,
            },
        )

    def check(self, settings: Mapping[str, Any]) -> None:
        for name in ("lr_decay", "initial_accumulator_value", "eps"):
            arguments.not_negative("Adagrad", name, settings[name])
        check_flags("Adagrad", settings, "maximize")

    def initial_state(self, group: ParamGroup) -> list[State]:
        states = super().initial_state(group)
        for state in states:
            state["sum"].data.fill(group["initial_accumulator_value"])
        return states

    def tick(self, group: ParamGroup, state: State) -> Tensor:
        return group.rate.cast(f64) / (1.0 + (state["step"].cast(f64) - 1.0) * group["lr_decay"])

    def move(self, group: ParamGroup, p: Tensor, grad: Tensor, state: State, scales: Tensor) -> None:
        dtype = working_dtype(p)
        value = p.cast(dtype)
        g = with_penalty(group, value, grad.cast(dtype))
        state["sum"].copy_(state["sum"] + g * g)
        p.copy_(value - scales.cast(dtype) * (g / (state["sum"].sqrt() + group["eps"])))


class Adadelta(Counted):
    """Steps as large as those before them, in the units of the parameter (Zeiler 2012):

    g = grad + weight_decay * p
    v = rho * v + (1 - rho) * g**2
    d = sqrt(a + eps) / sqrt(v + eps) * g
    a = rho * a + (1 - rho) * d**2
    p = p - lr * d
    """

    slots = ("square_avg", "acc_delta")

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        **unsupported: Unpack[Unsupported],
    ) -> None:
        refuse("Adadelta", unsupported)
        settings = {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, settings)

    def check(self, settings: Mapping[str, Any]) -> None:
        arguments.fraction("Adadelta", "rho", settings["rho"])
        arguments.not_negative("Adadelta", "eps", settings["eps"])
        check_flags("Adadelta", settings, "maximize")

    def move(self, group: ParamGroup, p: Tensor, grad: Tensor, state: State, scales: Any) -> None:
        dtype, rho, eps = working_dtype(p), group["rho"], group["eps"]
        value = p.cast(dtype)
        g = with_penalty(group, value, grad.cast(dtype))
        square, deltas = state["square_avg"], state["acc_delta"]
        square.copy_(square * rho + g * g * (1 - rho))
        delta = (deltas + eps).sqrt() / (square + eps).sqrt() * g
        deltas.copy_(deltas * rho + delta * delta * (1 - rho))
        p.copy_(value - group.rate.cast(dtype) * delta)


class RMSprop(Counted):
    """Steps divided by a running root mean square of the gradients (Hinton 2012, lecture 6e; centered: Graves 2013):

    g = grad + weight_decay * p
    v = alpha * v + (1 - alpha) * g**2
    a = alpha * a + (1 - alpha) * g           (centered)
    d = g / (sqrt(v - a**2 if centered else v) + eps)
    m = momentum * m + d
    p = p - lr * (m if momentum else d)
    """

    slots = ("square_avg",)

    def __init__(
        self,
        params: Any,
        lr: float = 0.01,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
        **unsupported: Unpack[Unsupported],
    ) -> None:
        refuse("RMSprop", unsupported)
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "alpha": alpha,
                "eps": eps,
                "centered": centered,
                "weight_decay": weight_decay,
                "maximize": maximize,
            },
        )

    def check(self, settings: Mapping[str, Any]) -> None:
        fraction("RMSprop", "momentum", settings["momentum"])
        for name in ("alpha", "eps"):
            arguments.not_negative("RMSprop", name, settings[name])
        check_flags("RMSprop", settings, "centered", "maximize")

    def initial_state(self, group: ParamGroup) -> list[State]:
        states = super().initial_state(group)
        wanted = {"momentum_buffer": group["momentum"], "grad_avg": group["centered"]}
        for p, state in zip(group.params, states, strict=True):
            state.update({name: self.zeros(p, name) for name, used in wanted.items() if used})
        return states

    def move(self, group: ParamGroup, p: Tensor, grad: Tensor, state: State, scales: Any) -> None:
        dtype, alpha = working_dtype(p), group["alpha"]
        value = p.cast(dtype)
        g = with_penalty(group, value, grad.cast(dtype))
        square = state["square_avg"]
        square.copy_(square * alpha + g * g * (1 - alpha))
        spread = square
        if group["centered"]:
            mean = state["grad_avg"]
            mean.copy_(mean + (g - mean) * (1 - alpha))
            spread = square - mean * mean
        direction = self._with_momentum(group, g / (spread.sqrt() + group["eps"]), state)
        p.copy_(value - group.rate.cast(dtype) * direction)

    def _with_momentum(self, group: ParamGroup, direction: Tensor, state: State) -> Tensor:
        momentum = group.number("momentum")
        if "momentum_buffer" not in state:
            if isinstance(momentum, Tensor) or momentum:
                raise TinyTorchError("RMSprop: momentum must be set when the optimizer is made", user_loc())
            return direction
        return with_momentum(state["momentum_buffer"], direction, as_dtype(momentum, direction.dtype))
