"""`from tinytorch.optim.swa_utils import AveragedModel`: averages of weights over training."""

from tinytorch.frontend.averaging import *
from tinytorch.frontend.averaging import __all__ as __all__
