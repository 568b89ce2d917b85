"""Functions of tensors, under the names of torch and torch.nn.functional; with activations come their modules.

These are the names in `__all__` of each file below, for users: inside the frontend each is imported from where it is
defined.
"""

from tinytorch.frontend import activation_functions as activation_functions
from tinytorch.frontend import activations as _activations
from tinytorch.frontend import channel_functions as channel_functions
from tinytorch.frontend import creation as _creation
from tinytorch.frontend import einsum as _einsum
from tinytorch.frontend import embedding_bags as embedding_bags
from tinytorch.frontend import layer_functions as _layer_functions
from tinytorch.frontend import loss_functions as _loss_functions
from tinytorch.frontend import margin_losses as margin_losses
from tinytorch.frontend import norms as _norms
from tinytorch.frontend import sequence_losses as sequence_losses
from tinytorch.frontend import tensor_functions as _tensor_functions
from tinytorch.frontend.activations import *
from tinytorch.frontend.attention import functions as _attention_functions
from tinytorch.frontend.attention.functions import *
from tinytorch.frontend.creation import *
from tinytorch.frontend.einsum import *
from tinytorch.frontend.layer_functions import *
from tinytorch.frontend.loss_functions import *
from tinytorch.frontend.norms import *
from tinytorch.frontend.spatial import adaptive_pooling as _adaptive_pooling
from tinytorch.frontend.spatial import functions as _functions
from tinytorch.frontend.spatial import padding as _padding
from tinytorch.frontend.spatial import pooling as _pooling
from tinytorch.frontend.spatial.adaptive_pooling import *
from tinytorch.frontend.spatial.functions import *
from tinytorch.frontend.spatial.padding import *
from tinytorch.frontend.spatial.pooling import *
from tinytorch.frontend.tensor_functions import *

__all__: list[str] = []
__all__ += _activations.__all__
__all__ += _attention_functions.__all__
__all__ += _creation.__all__
__all__ += _einsum.__all__
__all__ += _layer_functions.__all__
__all__ += _loss_functions.__all__
__all__ += _norms.__all__
__all__ += _adaptive_pooling.__all__
__all__ += _functions.__all__
__all__ += _padding.__all__
__all__ += _pooling.__all__
__all__ += _tensor_functions.__all__
