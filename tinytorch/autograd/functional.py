"""Jacobians, Hessians and products with them, under the names of torch.autograd.functional."""

from tinytorch.frontend.autograd.functional_forms import hessian, hvp, jacobian, jvp, vhp, vjp

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]
