"""`from tinytorch.optim.swa_utils import AveragedModel`: averages of weights over training."""

from tinytorch.frontend import averaging as _averaging
from tinytorch.frontend.averaging import *
from tinytorch.frontend.schedulers.averaged import SWALR

__all__ = ["SWALR", *_averaging.__all__]  # pyright: ignore[reportUnsupportedDunderAll]
