"""What is done to the parameters of a model as a whole; `rnn`: sequences of different lengths; `prune`: masks of
parameters."""

from tinytorch.frontend.module.parameter_functions import clip_grad_norm as clip_grad_norm_
from tinytorch.frontend.module.parameter_functions import (
    clip_grad_value_,
    clip_grads_with_norm_,
    get_total_norm,
    parameters_to_vector,
    vector_to_parameters,
)
from tinytorch.nn.utils import rnn as rnn

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "get_total_norm",
    "parameters_to_vector",
    "rnn",
    "vector_to_parameters",
]
