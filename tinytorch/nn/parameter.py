"""`from tinytorch.nn.parameter import Parameter`."""

from tinytorch.frontend.module import Parameter

__all__ = ["Parameter"]
