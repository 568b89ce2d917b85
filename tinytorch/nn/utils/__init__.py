"""What is done to the parameters of a model as a whole; `rnn`: sequences of different lengths; `prune`: masks of
parameters; `parametrize`, `parametrizations`: parameters that are computed of others."""

from tinytorch.frontend.module.parameter_functions import clip_grad_norm as clip_grad_norm
from tinytorch.frontend.module.parameter_functions import clip_grad_norm as clip_grad_norm_
from tinytorch.frontend.module.parameter_functions import (
    clip_grad_value_,
    clip_grads_with_norm_,
    get_total_norm,
    parameters_to_vector,
    vector_to_parameters,
)
from tinytorch.frontend.parametrizations.spectral_norms import remove_spectral_norm, spectral_norm
from tinytorch.frontend.parametrizations.weight_norms import remove_weight_norm, weight_norm
from tinytorch.nn.utils import parametrizations as parametrizations
from tinytorch.nn.utils import parametrize as parametrize
from tinytorch.nn.utils import rnn as rnn

__all__ = [
    "clip_grad_norm",
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "get_total_norm",
    "parameters_to_vector",
    "parametrizations",
    "parametrize",
    "remove_spectral_norm",
    "remove_weight_norm",
    "rnn",
    "spectral_norm",
    "vector_to_parameters",
    "weight_norm",
]
