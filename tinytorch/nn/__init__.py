"""`from tinytorch import nn`: modules, parameters, and `functional`, `init` and `utils`, under PyTorch's names."""

from tinytorch.frontend import attention as _attention
from tinytorch.frontend import layers as _layers
from tinytorch.frontend import lazy as _lazy
from tinytorch.frontend import losses as _losses
from tinytorch.frontend import recurrent as _recurrent
from tinytorch.frontend import spatial as _spatial
from tinytorch.frontend.activations import GELU, ReLU, Sigmoid, SiLU, Tanh
from tinytorch.frontend.activations import modules as _activation_modules
from tinytorch.frontend.activations.modules import *
from tinytorch.frontend.attention import *
from tinytorch.frontend.embeddings import PositionalEncoding, RotaryEmbedding, apply_rotary
from tinytorch.frontend.embeddings import modules as _embedding_modules
from tinytorch.frontend.embeddings.modules import *
from tinytorch.frontend.layers import *
from tinytorch.frontend.layers import channel_modules as _channel_modules
from tinytorch.frontend.layers.channel_modules import *
from tinytorch.frontend.lazy import *
from tinytorch.frontend.losses import *
from tinytorch.frontend.losses import modules as _loss_modules
from tinytorch.frontend.losses.modules import *
from tinytorch.frontend.module import Buffer, Module, Parameter
from tinytorch.frontend.module import containers as _containers
from tinytorch.frontend.module.containers import *
from tinytorch.frontend.recurrent import *
from tinytorch.frontend.spatial import *
from tinytorch.frontend.transformers import pytorch as _transformer_layers
from tinytorch.frontend.transformers.pytorch import *
from tinytorch.nn import attention as attention
from tinytorch.nn import functional as functional
from tinytorch.nn import init as init
from tinytorch.nn import parameter as parameter
from tinytorch.nn import utils as utils

__all__ = [
    "GELU",
    "Buffer",
    "Module",
    "Parameter",
    "PositionalEncoding",
    "ReLU",
    "RotaryEmbedding",
    "SiLU",
    "Sigmoid",
    "Tanh",
    "apply_rotary",
    "attention",
    "functional",
    "init",
    "parameter",
    "utils",
]
__all__ += _activation_modules.__all__
__all__ += _attention.__all__
__all__ += _containers.__all__
__all__ += _channel_modules.__all__
__all__ += _embedding_modules.__all__
__all__ += _layers.__all__
__all__ += _lazy.__all__
__all__ += _loss_modules.__all__
__all__ += _losses.__all__
__all__ += _recurrent.__all__
__all__ += _spatial.__all__
__all__ += _transformer_layers.__all__
