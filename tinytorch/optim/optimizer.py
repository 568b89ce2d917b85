"""`from tinytorch.optim.optimizer import Optimizer`: the base of optimizers."""

from tinytorch.frontend.optimizers import Optimizer

__all__ = ["Optimizer"]
