"""Module 05: gradients as users ask for them.

To read, in this order: `switches` (whether gradients are recorded), `function` (with a derivative of its own),
`transformations` (gradients of functions), `jacobians` (and products with them) and `functional_forms` (in another
form), `checkpoints` (computed again instead of kept).
"""

from tinytorch.frontend.autograd.checkpoints import checkpoint
from tinytorch.frontend.autograd.function import Function
from tinytorch.frontend.autograd.switches import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from tinytorch.frontend.autograd.transformations import grad, value_and_grad

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
