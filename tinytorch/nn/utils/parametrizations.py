"""`from tinytorch.nn.utils import parametrizations`: norms of weights and orthogonal weights, in the form that
`parametrize` knows."""

from tinytorch.frontend.parametrizations.orthogonal_weights import orthogonal
from tinytorch.frontend.parametrizations.spectral_norms import parametrized_spectral_norm as spectral_norm
from tinytorch.frontend.parametrizations.weight_norms import parametrized_weight_norm as weight_norm

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]
