"""Adamax, NAdam and RAdam: other steps from the moments of Adam."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Unpack

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.functions.basic import where
from tinytorch.frontend.optimizers.adam import update_moments
from tinytorch.frontend.optimizers.base import Unsupported, refuse
from tinytorch.frontend.optimizers.counted import Counted, State, check_betas, check_flags
from tinytorch.frontend.optimizers.formulas import as_dtype, with_penalty, with_weight_decay
from tinytorch.frontend.optimizers.groups import ParamGroup, working_dtype
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.types import f64


class Adamax(Counted):
    """Adam with the infinity norm (Kingma & Ba 2015, section 7.1):

    g = grad + weight_decay * p
    m = beta1 * m + (1 - beta1) * g
    u = max(beta2 * u, |g| + eps)
    p = p - lr / (1 - beta1**t) * m / u
    """

    slots = ("exp_avg", "exp_inf")

    def __init__(
        self,
        params: Any,
        lr: float = 0.002,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        **unsupported: Unpack[Unsupported],
    ) -> None:
        refuse("Adamax", unsupported)
        settings = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, settings)

    def check(self, settings: Mapping[str, Any]) -> None:
        check_betas("Adamax", settings["betas"])
        arguments.not_negative("Adamax", "eps", settings["eps"])
        check_flags("Adamax", settings, "maximize")

    def tick(self, group: ParamGroup, state: State) -> Tensor:
        """lr / (1 - beta1**t), in f64."""
        return group.rate.cast(f64) / (1.0 - group.numbers("betas")[0] ** state["step"].cast(f64))

    def move(self, group: ParamGroup, p: Tensor, grad: Tensor, state: State, scales: Tensor) -> None:
        dtype = working_dtype(p)
        value = p.cast(dtype)
        g = with_penalty(group, value, grad.cast(dtype))
        beta1, beta2 = group.numbers("betas")
        mean, largest = state["exp_avg"], state["exp_inf"]
        mean.copy_(mean + (g - mean) * as_dtype(1 - beta1, dtype))
        largest.copy_((largest * as_dtype(beta2, dtype)).maximum(g.abs() + group["eps"]))
        p.copy_(value - scales.cast(dtype) * (mean / largest))


class NAdam(Counted):
    """Adam with Nesterov's momentum (Dozat 2016):

        mu(t) = beta1 * (1 - 0.96**(t * momentum_decay) / 2)
        M = mu(1) * ... * mu(t)
        d = (1 - mu(t)) / (1 - M) * g + mu(t + 1) / (1 - M * mu(t + 1)) * m
        p = p - lr * d / (sqrt(v / (1 - beta2**t)) + eps)

    m and v are the moments of Adam, g the gradient with weight decay as in Adam (or, decoupled, as in AdamW).
    """

    slots = ("exp_avg", "exp_avg_sq")
    clocks = ("step", "mu_product")
    starts: ClassVar[Mapping[str, Any]] = {"step": np.int64(0), "mu_product": np.float64(1)}

    def __init__(
        self,
        params: Any,
        lr: float = 0.002,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 0.004,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
        **unsupported: Unpack[Unsupported],
    ) -> None:
        refuse("NAdam", unsupported)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "momentum_decay": momentum_decay,
                "maximize": maximize,
                "decoupled_weight_decay": decoupled_weight_decay,
            },
        )

    def check(self, settings: Mapping[str, Any]) -> None:
        check_betas("NAdam", settings["betas"])
        for name in ("eps", "momentum_decay"):
            arguments.not_negative("NAdam", name, settings[name])
        check_flags("NAdam", settings, "maximize", "decoupled_weight_decay")

    def tick(self, group: ParamGroup, state: State) -> tuple[Tensor, Tensor, Tensor]:
        """What the gradient and its mean are multiplied by, and sqrt(1 - beta2**t), in f64."""
        beta1, beta2 = group.numbers("betas")
        t, rate, product = state["step"].cast(f64), group.rate.cast(f64), state["mu_product"]
        now, after = (beta1 * (1.0 - 0.5 * 0.96 ** (n * group["momentum_decay"])) for n in (t, t + 1))
        product.copy_(product * now)
        of_gradient, of_mean = rate * (1.0 - now) / (1.0 - product), rate * after / (1.0 - product * after)
        return of_gradient, of_mean, (1.0 - beta2**t).sqrt()

    def move(
        self, group: ParamGroup, p: Tensor, grad: Tensor, state: State, scales: tuple[Tensor, Tensor, Tensor]
    ) -> None:
        dtype = working_dtype(p)
        of_gradient, of_mean, root = (c.cast(dtype) for c in scales)
        value, g = with_weight_decay(group, p.cast(dtype), grad.cast(dtype), group["decoupled_weight_decay"])
        update_moments(group, g, state)
        divisor = state["exp_avg_sq"].sqrt() / root + group["eps"]
        p.copy_(value - (of_gradient * g + of_mean * state["exp_avg"]) / divisor)


class RAdam(Counted):
    """Adam without its step by v while v rests on too few gradients (Liu et al. 2020):

        r_inf = 2 / (1 - beta2) - 1
        r = r_inf - 2 * t * beta2**t / (1 - beta2**t)
        scale = sqrt((r - 4) (r - 2) r_inf / ((r_inf - 4) (r_inf - 2) r)) * sqrt(1 - beta2**t) / (sqrt(v) + eps)
        p = p - lr * m / (1 - beta1**t) * (scale if r > 5 else 1)

    m and v are the moments of Adam, with weight decay as in Adam (or, decoupled, as in AdamW).
    """

    slots = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Any,
        lr: float = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
        **unsupported: Unpack[Unsupported],
    ) -> None:
        refuse("RAdam", unsupported)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "maximize": maximize,
                "decoupled_weight_decay": decoupled_weight_decay,
            },
        )

    def check(self, settings: Mapping[str, Any]) -> None:
        check_betas("RAdam", settings["betas"])
        arguments.not_negative("RAdam", "eps", settings["eps"])
        check_flags("RAdam", settings, "maximize", "decoupled_weight_decay")

    def tick(self, group: ParamGroup, state: State) -> tuple[Tensor, Tensor, Tensor]:
        """lr / (1 - beta1**t), whether v counts yet, and what 1 / (sqrt(v) + eps) is multiplied by; in f64."""
        beta1, beta2 = group.numbers("betas")
        t = state["step"].cast(f64)
        left = 1.0 - beta2**t
        longest = 2 / (1 - beta2) - 1
        length = longest - 2.0 * t * (1.0 - left) / left
        known = length > 5.0
        safe = where(known, length, 6.0)  # below 4 there is no root
        ratio = (safe - 4.0) * (safe - 2.0) * longest / ((longest - 4) * (longest - 2) * safe)
        return group.rate.cast(f64) / (1.0 - beta1**t), known, (ratio * left).sqrt()

    def move(
        self, group: ParamGroup, p: Tensor, grad: Tensor, state: State, scales: tuple[Tensor, Tensor, Tensor]
    ) -> None:
        dtype = working_dtype(p)
        size, known, factor = scales
        value, g = with_weight_decay(group, p.cast(dtype), grad.cast(dtype), group["decoupled_weight_decay"])
        update_moments(group, g, state)
        adapted = where(known, factor.cast(dtype) / (state["exp_avg_sq"].sqrt() + group["eps"]), 1.0)
        p.copy_(value - size.cast(dtype) * state["exp_avg"] * adapted)
