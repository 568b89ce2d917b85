"""Adafactor: the second moments of a matrix from those of its rows and columns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Unpack

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.optimizers.base import Unsupported, refuse
from tinytorch.frontend.optimizers.counted import Counted, State, check_flags, pair_of
from tinytorch.frontend.optimizers.groups import ParamGroup, named, working_dtype
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.dtypes import finfo
from tinytorch.ir.types import f64


class Adafactor(Counted):
    """Adam without momentum, and with second moments of which only the means over rows and over columns are kept
    (Shazeer & Stern 2018), in PyTorch's form:

        b = t**beta2_decay
        a = max(eps[1], rms(p)) * min(lr, 1 / sqrt(t))
        p = p - lr * weight_decay * p
        r = r + b * (mean(g**2 along rows) - r)
        c = c + b * (mean(g**2 along columns) - c)
        v = r * c / max(mean(r), eps[0])                    (of a vector: v = v + b * (g**2 - v))
        u = g / max(sqrt(v), eps[0])
        p = p - a * u / max(1, rms(u) / d)

    Rows and columns are the last two axes. None for eps[0] is the smallest step of the parameter's dtype at 1.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 0.01,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        **unsupported: Unpack[Unsupported],
    ) -> None:
        refuse("Adafactor", unsupported)
        super().__init__(
            params,
            {
                "lr": lr,
                "beta2_decay": beta2_decay,
                "eps": eps,
                "d": d,
                "weight_decay": weight_decay,
                "maximize": maximize,
            },
        )

    def check(self, settings: Mapping[str, Any]) -> None:
        name = "Adafactor"
        least, smallest = pair_of(name, "eps", settings["eps"])
        for eps in (0 if least is None else least, smallest):
            arguments.not_negative(name, "eps", eps)
        arguments.number(name, "beta2_decay", settings["beta2_decay"], lambda x: x <= 0, "a number not above 0")
        arguments.number(name, "d", settings["d"], lambda x: x >= 1, "a number of at least 1")
        check_flags(name, settings, "maximize")

    def initial_state(self, group: ParamGroup) -> list[State]:
        states = super().initial_state(group)
        for p, state in zip(group.params, states, strict=True):
            shapes = {"variance": p.shape}
            if p.ndim > 1:
                shapes = {"row_var": (*p.shape[:-1], 1), "col_var": (*p.shape[:-2], 1, p.shape[-1])}
            for name, shape in shapes.items():
                state[name] = named(np.zeros(shape, working_dtype(p).numpy), f"{p.name}.{name}".lstrip("."))
        return states

    def tick(self, group: ParamGroup, state: State) -> tuple[Tensor, Tensor]:
        """How far moments move, and the largest relative step, in f64."""
        t = state["step"].cast(f64)
        return t ** group["beta2_decay"], group.rate.cast(f64).minimum(1.0 / t.sqrt())

    def move(self, group: ParamGroup, p: Tensor, grad: Tensor, state: State, scales: tuple[Tensor, Tensor]) -> None:
        dtype = working_dtype(p)
        least, smallest = group["eps"]
        least = finfo(p.dtype).eps if least is None else least
        value, g, share, rate = p.cast(dtype), grad.cast(dtype), scales[0].cast(dtype), scales[1].cast(dtype)
        size = rate * _rms(value).maximum(smallest)
        decay = group.live("weight_decay")
        if decay is not None:
            value = value * (1.0 - group.rate.cast(f64) * decay.cast(f64)).cast(dtype)
        square = _moment(state, g * g, share, least)
        update = g / square.maximum(least * least).sqrt()
        p.copy_(value - size / (_rms(update) / group["d"]).maximum(1.0) * update)


def _moment(state: State, square: Tensor, share: Tensor, least: float) -> Tensor:
    """The second moments of all elements; those that are kept are moved on."""
    if "variance" in state:
        mean = state["variance"]
        mean.copy_(mean + (square - mean) * share)
        return mean
    rows, columns = state["row_var"], state["col_var"]
    rows.copy_(rows + (square.mean(-1, keepdim=True) - rows) * share)
    columns.copy_(columns + (square.mean(-2, keepdim=True) - columns) * share)
    return rows * columns / rows.mean(-2, keepdim=True).maximum(least)


def _rms(x: Tensor) -> Tensor:
    return (x * x).sum().sqrt() / math.sqrt(x.numel())
