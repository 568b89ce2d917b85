"""`from tinytorch.nn.parameter import Parameter`."""

from tinytorch.frontend.module import Buffer, Parameter

__all__ = ["Buffer", "Parameter"]
