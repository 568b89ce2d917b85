"""Learning rates over time, under the names of torch.optim.lr_scheduler: `base` (what all share), `factors` (the rate
before, times a factor), `cosine`, `cycles` (momentum is cycled too), `plateau` (by a metric), `composed` (of others),
`averaged` (for averages of weights).

A scheduler changes the state of its optimizer, so that compiled steps go on as they are; its `step()` is called
outside of them.
"""

from tinytorch.frontend.schedulers.base import LRScheduler
from tinytorch.frontend.schedulers.composed import ChainedScheduler, SequentialLR
from tinytorch.frontend.schedulers.cosine import CosineAnnealingLR, CosineAnnealingWarmRestarts
from tinytorch.frontend.schedulers.cycles import CyclicLR, OneCycleLR
from tinytorch.frontend.schedulers.factors import (
    ConstantLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from tinytorch.frontend.schedulers.plateau import ReduceLROnPlateau

__all__ = [
    "ChainedScheduler", "ConstantLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "CyclicLR", "ExponentialLR",
    "LRScheduler", "LambdaLR", "LinearLR", "MultiStepLR", "MultiplicativeLR", "OneCycleLR", "PolynomialLR",
    "ReduceLROnPlateau", "SequentialLR", "StepLR",
]  # fmt: skip
