"""ASGD: gradient descent whose parameters are averaged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Unpack

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.functions.basic import where
from tinytorch.frontend.optimizers.base import Unsupported, refuse
from tinytorch.frontend.optimizers.counted import Counted, State, check_flags
from tinytorch.frontend.optimizers.formulas import with_penalty
from tinytorch.frontend.optimizers.groups import ParamGroup, working_dtype
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.types import f64


class ASGD(Counted):
    """Gradient descent, with the mean of the parameters behind step t0 in the state `ax` (Polyak & Juditsky 1992):

    g = grad + weight_decay * p
    p = p - eta * (lambd * p + g)
    ax = ax + mu * (p - ax)
    eta = lr / (1 + lambd * lr * t)**alpha      (lr at first)
    mu = 1 / max(1, t - t0)                     (1 at first)
    """

    slots = ("ax",)
    clocks = ("step", "eta", "mu")
    starts: ClassVar[Mapping[str, Any]] = {"step": np.int64(0), "eta": np.float64(0), "mu": np.float64(1)}

    def __init__(
        self,
        params: Any,
        lr: float = 0.01,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        **unsupported: Unpack[Unsupported],
    ) -> None:
        refuse("ASGD", unsupported)
        super().__init__(
            params,
            {
                "lr": lr,
                "lambd": lambd,
                "alpha": alpha,
                "t0": t0,
                "weight_decay": weight_decay,
                "maximize": maximize,
            },
        )

    def check(self, settings: Mapping[str, Any]) -> None:
        for name in ("lambd", "alpha", "t0"):
            arguments.finite("ASGD", name, settings[name])
        check_flags("ASGD", settings, "maximize")

    def tick(self, group: ParamGroup, state: State) -> tuple[Tensor, Tensor]:
        """`eta` and `mu` of this step, in f64; those in the state are for the next."""
        t, rate = state["step"].cast(f64), group.rate.cast(f64)
        now = where(state["step"] == 1, rate, state["eta"]), state["mu"].clone()
        state["eta"].copy_(rate / (1.0 + group["lambd"] * rate * t) ** group["alpha"])
        state["mu"].copy_(1.0 / (t - group["t0"]).maximum(1.0))
        return now

    def move(self, group: ParamGroup, p: Tensor, grad: Tensor, state: State, scales: tuple[Tensor, Tensor]) -> None:
        dtype = working_dtype(p)
        value, eta, mu = p.cast(dtype), scales[0].cast(dtype), scales[1].cast(dtype)
        g = with_penalty(group, value, grad.cast(dtype))
        new, mean = value * (1.0 - group["lambd"] * eta) - eta * g, state["ax"]
        mean.copy_(where(mu == 1.0, new, mean + (new - mean) * mu))
        p.copy_(new)
