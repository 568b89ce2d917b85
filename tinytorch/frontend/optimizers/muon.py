"""Muon: momentum whose direction is made orthogonal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

from tinytorch.frontend import arguments
from tinytorch.frontend.functions.basic import stack
from tinytorch.frontend.functions.creation import eye
from tinytorch.frontend.optimizers.base import Entries, Optimizer
from tinytorch.frontend.optimizers.formulas import fraction
from tinytorch.frontend.optimizers.groups import ParamGroup, working_dtype
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.types import DType, f64

# Of rounding errors, at most, by the steps that are taken at once. A GPT that was trained with 2e4, all five default
# steps, ended 0.005 nats higher in its training loss.
_GROWTH = 1000.0


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
        fraction("Muon", "momentum", settings["momentum"])
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
    The products are those of the shorter side, x xT of wide matrices and xT x of tall ones. Long matrices take several
    steps on this gram matrix alone.
    """
    tall = x.shape[-2] > x.shape[-1]
    x = x / (x * x).sum((-2, -1), keepdim=True).sqrt().maximum(eps)
    at_once = _steps_at_once(coefficients[0], steps, x)
    for done in range(0, steps, at_once):
        gram = x.mT @ x if tall else x @ x.mT
        count = min(at_once, steps - done)
        if count == 1:
            change = _change(gram, coefficients)
            x = x * coefficients[0] + (x @ change if tall else change @ x)
        else:
            factor = _factor(gram, coefficients, count)
            x = x @ factor if tall else factor @ x
    return x


def _change(gram: Tensor, coefficients: tuple[float, float, float]) -> Tensor:
    """What one step multiplies x by, less a times the identity."""
    return gram * coefficients[1] + gram @ gram * coefficients[2]


def _factor(gram: Tensor, coefficients: tuple[float, float, float], count: int) -> Tensor:
    """What `count` steps multiply x by, a polynomial of its gram matrix: x need not be known between them. Since such
    polynomials commute, a step by a factor f makes the gram matrix f f gram."""
    a, change = coefficients[0], _change(gram, coefficients)
    factor = change + eye(gram.shape[-1], dtype=gram.dtype) * a
    for _ in range(count - 1):
        for _ in range(2):
            gram = gram * a + change @ gram
        change = _change(gram, coefficients)
        factor = factor * a + change @ factor
    return factor


def _steps_at_once(a: float, steps: int, x: Tensor) -> int:
    """How many steps to take by one gram matrix: 1 where more would not save operations.

    A step multiplies what rounding leaves of the gram matrix, where its eigenvalues should be near zero, by a**2. A new
    gram matrix has fresh rounding errors.
    """
    short, long = sorted(x.shape[-2:])
    count = min(steps, 1 + int(math.log(_GROWTH) / (2 * math.log(abs(a))))) if abs(a) > 1 else steps
    return count if 2 * long + (4 * count - 3) * short < count * (2 * long + short) else 1
