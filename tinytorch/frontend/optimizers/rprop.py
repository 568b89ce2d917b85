"""Rprop: steps of each element's own size, whatever the size of the gradient."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

from tinytorch.frontend import arguments
from tinytorch.frontend.functions.basic import where
from tinytorch.frontend.optimizers.base import Unsupported, refuse
from tinytorch.frontend.optimizers.counted import Counted, State, check_flags, pair_of
from tinytorch.frontend.optimizers.groups import ParamGroup, working_dtype
from tinytorch.frontend.tensor import Tensor


class Rprop(Counted):
    """Steps that grow while the sign of the gradient stays and shrink when it changes (Riedmiller & Braun 1993), for
    gradients of all data:

        s = s * (etas[1] if g * g' > 0 else etas[0] if g * g' < 0 else 1), within step_sizes       (s = lr at first)
        g = 0 where g * g' < 0
        p = p - s * sign(g)

    g' is the g of the step before, or 0.
    """

    slots = ("prev", "step_size")

    def __init__(
        self,
        params: Any,
        lr: float = 0.01,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        maximize: bool = False,
        **unsupported: Unpack[Unsupported],
    ) -> None:
        refuse("Rprop", unsupported)
        super().__init__(params, {"lr": lr, "etas": etas, "step_sizes": step_sizes, "maximize": maximize})

    def check(self, settings: Mapping[str, Any]) -> None:
        low, high = pair_of("Rprop", "etas", settings["etas"])
        if not 0 < low < 1 < high:
            raise arguments.wrong_value("Rprop", "etas", "a number in (0, 1) and one above 1", settings["etas"])
        pair_of("Rprop", "step_sizes", settings["step_sizes"])
        check_flags("Rprop", settings, "maximize")

    def tick(self, group: ParamGroup, state: State) -> Tensor:
        return state["step"] == 1

    def move(self, group: ParamGroup, p: Tensor, grad: Tensor, state: State, scales: Tensor) -> None:
        dtype, (shrink, grow) = working_dtype(p), group["etas"]
        g, size = grad.cast(dtype), where(scales, group.rate.cast(dtype), state["step_size"])
        agreement = g * state["prev"]
        turned = agreement < 0
        size = size * where(turned, shrink, where(agreement > 0, grow, 1.0)).cast(dtype)
        size = size.clamp(*group["step_sizes"])
        g = where(turned, 0.0, g)
        state["step_size"].copy_(size)
        state["prev"].copy_(g)
        p.copy_(p.cast(dtype) - size * g.sign())
