"""What is done to the parameters of a model as a whole."""

from tinytorch.frontend.training import clip_grad_norm as clip_grad_norm_

__all__ = ["clip_grad_norm_"]
