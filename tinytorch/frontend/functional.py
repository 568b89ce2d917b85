"""Functions of tensors, under the names of torch and torch.nn.functional.

A list of names for users: inside the frontend each is imported from where it is defined.
"""

from __future__ import annotations

from tinytorch.frontend.activation_functions import (
    elu,
    gelu,
    leaky_relu,
    log_softmax,
    logsigmoid,
    logsumexp,
    relu,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
)
from tinytorch.frontend.creation import (
    arange,
    as_tensor,
    empty,
    empty_like,
    eye,
    full,
    full_like,
    linspace,
    ones,
    ones_like,
    tensor,
    zeros,
    zeros_like,
)  # fmt: skip
from tinytorch.frontend.einsum import einsum
from tinytorch.frontend.layer_functions import dropout, embedding, layer_norm, linear, one_hot
from tinytorch.frontend.loss_functions import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    l1_loss,
    mse_loss,
    nll_loss,
    smooth_l1_loss,
)  # fmt: skip
from tinytorch.frontend.norms import normalize
from tinytorch.frontend.spatial.functions import batch_norm, conv1d, conv2d, conv_transpose1d, conv_transpose2d
from tinytorch.frontend.spatial.pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    avg_pool1d,
    avg_pool2d,
    max_pool1d,
    max_pool2d,
)  # fmt: skip
from tinytorch.frontend.tensor_functions import (
    allclose,
    cat,
    chunk,
    clamp,
    concat,
    concatenate,
    cumsum,
    dot,
    equal,
    exp,
    log,
    matmul,
    maximum,
    minimum,
    outer,
    pad,
    split,
    sqrt,
    stack,
    tril,
    triu,
    where,
)  # fmt: skip

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "allclose", "arange", "as_tensor", "avg_pool1d", "avg_pool2d",
    "batch_norm", "binary_cross_entropy", "binary_cross_entropy_with_logits", "cat", "chunk", "clamp", "concat",
    "concatenate", "conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d", "cross_entropy", "cumsum", "dot",
    "dropout", "einsum", "elu", "embedding", "empty", "empty_like", "equal", "exp", "eye", "full", "full_like", "gelu",
    "l1_loss", "layer_norm", "leaky_relu", "linear", "linspace", "log", "log_softmax", "logsigmoid", "logsumexp",
    "matmul", "max_pool1d", "max_pool2d", "maximum", "minimum", "mse_loss", "nll_loss", "normalize", "one_hot", "ones",
    "ones_like", "outer", "pad", "relu", "sigmoid", "silu", "smooth_l1_loss", "softmax", "softplus", "split", "sqrt",
    "stack", "tanh", "tensor", "tril", "triu", "where", "zeros", "zeros_like",
]  # fmt: skip
