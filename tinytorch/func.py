"""`tt.func`: functions made of functions, and modules called with other parameters, under the names of torch.func."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tinytorch.frontend.autograd import grad, value_and_grad
from tinytorch.frontend.autograd.jacobians import hessian, jacfwd, jacrev, jvp, vjp
from tinytorch.frontend.module.functional_call import functional_call, stack_module_state

__all__ = [
    "functional_call",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "stack_module_state",
    "vjp",
]


def grad_and_value(
    func: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., tuple[Any, Any]]:
    """A function that returns (gradient, value) of a scalar function: `tt.value_and_grad` the other way round."""
    both = value_and_grad(func, argnums, has_aux)

    def run(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        value, gradient = both(*args, **kwargs)
        return gradient, value

    return run
