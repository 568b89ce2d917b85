"""Module 05: gradients as users ask for them.

`autograd` (whether gradients are recorded, gradients of functions, functions with a derivative of their own, and
checkpoints).
"""

from tinytorch.frontend.autograd.autograd import (
    Function,
    checkpoint,
    enable_grad,
    grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
    value_and_grad,
)

__all__ = [
    "Function",
    "checkpoint",
    "enable_grad",
    "grad",
    "inference_mode",
    "is_grad_enabled",
    "no_grad",
    "set_grad_enabled",
    "value_and_grad",
]
