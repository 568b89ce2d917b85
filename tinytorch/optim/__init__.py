"""`from tinytorch import optim`: optimizers with PyTorch's arguments and defaults, `lr_scheduler` and `swa_utils`."""

from __future__ import annotations

from typing import Any, Unpack

from tinytorch.frontend.optimizers import (
    ASGD,
    LBFGS,
    Adadelta,
    Adafactor,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Muon,
    NAdam,
    Optimizer,
    RAdam,
    RMSprop,
    Rprop,
)
from tinytorch.frontend.optimizers import SGD as _SGD
from tinytorch.frontend.optimizers.base import Unsupported
from tinytorch.optim import lr_scheduler as lr_scheduler
from tinytorch.optim import optimizer as optimizer
from tinytorch.optim import swa_utils as swa_utils

__all__ = [
    "ASGD", "LBFGS", "SGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Muon", "NAdam", "Optimizer",
    "RAdam", "RMSprop", "Rprop", "lr_scheduler", "optimizer", "swa_utils",
]  # fmt: skip


class SGD(_SGD):
    """`tinytorch.SGD` with the arguments of torch.optim.SGD, in its order, and without momentum by default."""

    def __init__(
        self,
        params: Any,
        lr: float = 0.001,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        **unsupported: Unpack[Unsupported],
    ) -> None:
        super().__init__(params, lr, momentum, nesterov, weight_decay, dampening, maximize=maximize, **unsupported)
