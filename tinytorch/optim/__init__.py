"""`from tinytorch import optim`: optimizers with PyTorch's arguments and defaults, and `lr_scheduler`."""

from tinytorch.frontend.optimizers import SGD, Adam, AdamW, Muon, Optimizer

__all__ = ["SGD", "Adam", "AdamW", "Muon", "Optimizer"]
