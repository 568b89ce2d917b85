"""Adam, and Adam with decoupled weight decay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

from tinytorch.frontend import arguments
from tinytorch.frontend.optimizers.base import Unsupported, refuse
from tinytorch.frontend.optimizers.counted import Counted, State, check_betas, check_flags
from tinytorch.frontend.optimizers.formulas import as_dtype, with_weight_decay
from tinytorch.frontend.optimizers.groups import ParamGroup, working_dtype
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.types import f64


class Adam(Counted):
    """Adaptive moments (Kingma & Ba 2015):

        g = grad + weight_decay * p                                (grad with the other sign to maximize)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        p = p - lr * (m / (1 - beta1**t)) / (sqrt(v / (1 - beta2**t)) + eps)

    t counts a parameter's steps; the powers are computed in f64. With `amsgrad` (Reddi et al. 2018) the largest v so
    far is in its place in the last line. `decoupled_weight_decay` is that of AdamW.
    """

    slots = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Any,
        lr: float = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        **unsupported: Unpack[Unsupported],
    ) -> None:
        refuse(type(self).__name__, unsupported)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "maximize": maximize,
                "decoupled_weight_decay": decoupled_weight_decay,
            },
        )

    def check(self, settings: Mapping[str, Any]) -> None:
        name = type(self).__name__
        check_betas(name, settings["betas"])
        arguments.not_negative(name, "eps", settings["eps"])
        check_flags(name, settings, "amsgrad", "maximize", "decoupled_weight_decay")

    def initial_state(self, group: ParamGroup) -> list[State]:
        states = super().initial_state(group)
        if group["amsgrad"]:
            for p, state in zip(group.params, states, strict=True):
                state["max_exp_avg_sq"] = self.zeros(p, "max_exp_avg_sq")
        return states

    def tick(self, group: ParamGroup, state: State) -> tuple[Tensor, Tensor]:
        """lr / (1 - beta1**t) and sqrt(1 - beta2**t), in f64."""
        t = state["step"].cast(f64)
        first, second = (1.0 - beta**t for beta in group.numbers("betas"))
        return group.rate.cast(f64) / first, second.sqrt()

    def move(self, group: ParamGroup, p: Tensor, grad: Tensor, state: State, scales: tuple[Tensor, Tensor]) -> None:
        dtype = working_dtype(p)
        size, root = (c.cast(dtype) for c in scales)
        value, g = with_weight_decay(group, p.cast(dtype), grad.cast(dtype), group["decoupled_weight_decay"])
        update_moments(group, g, state)
        square = state["exp_avg_sq"]
        if "max_exp_avg_sq" in state:
            square = state["max_exp_avg_sq"]
            square.copy_(square.maximum(state["exp_avg_sq"]))
        p.copy_(value - size * (state["exp_avg"] / (square.sqrt() / root + group["eps"])))


def update_moments(group: ParamGroup, g: Tensor, state: State) -> None:
    """The running means of the gradient and of its square."""
    beta1, beta2 = group.numbers("betas")
    mean, square = state["exp_avg"], state["exp_avg_sq"]
    mean.copy_(mean + (g - mean) * as_dtype(1 - beta1, g.dtype))
    square.copy_(square * as_dtype(beta2, g.dtype) + g * g * as_dtype(1 - beta2, g.dtype))


class AdamW(Adam):
    """Adam whose weight decay does not pass through the moments (Loshchilov & Hutter 2019): p = p - lr * weight_decay
    * p, before the step of Adam without it."""

    def __init__(
        self,
        params: Any,
        lr: float = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        **unsupported: Unpack[Unsupported],
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            maximize=maximize,
            decoupled_weight_decay=True,
            **unsupported,
        )
