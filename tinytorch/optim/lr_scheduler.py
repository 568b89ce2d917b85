"""`from tinytorch.optim.lr_scheduler import StepLR`: learning rates over time."""

from tinytorch.frontend import schedulers as _schedulers
from tinytorch.frontend.schedulers import *

_LRScheduler = _schedulers.LRScheduler  # PyTorch's older name

__all__ = list(_schedulers.__all__)  # pyright: ignore[reportUnsupportedDunderAll]
