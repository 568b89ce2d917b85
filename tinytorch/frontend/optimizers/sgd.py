"""Gradient descent with momentum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.functions.basic import where
from tinytorch.frontend.optimizers.base import Entries, Optimizer, Unsupported, refuse
from tinytorch.frontend.optimizers.formulas import as_dtype, fraction, with_penalty
from tinytorch.frontend.optimizers.groups import ParamGroup, named, untraced, working_dtype
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.mode import TraceAgain, mode
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc


class SGD(Optimizer):
    """Gradient descent with momentum (Polyak 1964, in the form of Sutskever et al. 2013):

        g = grad + weight_decay * p                 (grad with the other sign to maximize)
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
        *,
        maximize: bool = False,
        **unsupported: Unpack[Unsupported],
    ) -> None:
        refuse("SGD", unsupported)
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
            },
        )

    def check(self, settings: Mapping[str, Any]) -> None:
        for name in ("momentum", "dampening"):
            fraction("SGD", name, settings[name])
        for name in ("nesterov", "maximize"):
            arguments.flag("SGD", name, settings[name])
        if settings["nesterov"] and (settings["momentum"] == 0 or settings["dampening"] != 0):
            raise TinyTorchError("SGD: nesterov needs a momentum and no dampening", user_loc())

    def initial_state(self, group: ParamGroup) -> list[dict[str, Tensor]]:
        return [self._moment(p, group) if group["momentum"] else {} for p in group.params]

    def _moment(self, p: Tensor, group: ParamGroup) -> dict[str, Tensor]:
        state = {"momentum_buffer": self.zeros(p, "momentum")}
        if group["dampening"]:
            state["started"] = named(np.zeros((), np.bool_), f"{p.name}.started".lstrip("."))
        return state

    def adopted(self, own: Mapping[str, Tensor], saved: Mapping[str, Any]) -> Mapping[str, Any]:
        """PyTorch has no "started": it keeps no moment before the first step."""
        known = {name: value for name, value in saved.items() if value is not None}
        return {**known, "started": np.bool_(True)} if known and "started" in own and "started" not in known else known

    def update(self, group: ParamGroup, entries: Entries) -> None:
        momentum = group.number("momentum")
        if isinstance(momentum, Tensor) and any("momentum_buffer" not in state for _, _, state in entries):
            self._begin_moments(group)
        for p, grad, state in entries:
            dtype = working_dtype(p)
            value = p.cast(dtype)
            g = with_penalty(group, value, grad.cast(dtype))
            p.copy_(value - group.rate.cast(dtype) * self._direction(group, g, state))

    def _begin_moments(self, group: ParamGroup) -> None:
        """State for a momentum that was 0 when the optimizer was made."""
        with untraced():
            for p in group.params:
                if "momentum_buffer" not in self.state[p]:
                    self.state[p].update(self._moment(p, group))
        if mode.trace is not None:
            raise TraceAgain

    def _direction(self, group: ParamGroup, g: Tensor, state: dict[str, Tensor]) -> Tensor:
        """The gradient with its momentum, which is updated."""
        if "momentum_buffer" not in state:
            return g
        given = as_dtype(group.number("momentum"), g.dtype), group["dampening"], group["nesterov"]
        return with_momentum(state["momentum_buffer"], g, *given, state.get("started"))


def with_momentum(
    moment: Tensor,
    g: Tensor,
    momentum: float | Tensor,
    dampening: float = 0.0,
    nesterov: bool = False,
    started: Tensor | None = None,
) -> Tensor:
    """Move `moment` on by a gradient, in place; the direction of the step. While the momentum is 0, the moment stays.
    `started`, a bool that is set here, says whether there was a step before: the first makes the moment g, whatever the
    dampening."""
    if not isinstance(momentum, Tensor) and momentum == 0:
        return g
    new = moment * momentum + (g * (1 - dampening) if dampening else g)
    if started is not None:  # without dampening, a moment of zeros gives the same
        new = where(started, new, g)
    direction = g + new * momentum if nesterov else new
    if isinstance(momentum, Tensor):
        moves = momentum != 0
        new, direction = where(moves, new, moment), where(moves, direction, g)
        if started is not None:
            started.copy_(started | moves)
    elif started is not None:
        started.fill_(True)
    moment.copy_(new)
    return direction
