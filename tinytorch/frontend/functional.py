"""Functions of tensors, under the names of torch and torch.nn.functional; with activations come their modules.

These are the names in `__all__` of each file below, for users: inside the frontend each is imported from where it is
defined.
"""

from tinytorch.frontend import activations as _activations
from tinytorch.frontend.activations import *
from tinytorch.frontend.attention import functions as _attention_functions
from tinytorch.frontend.attention.functions import *
from tinytorch.frontend.functions import basic as _tensor_functions
from tinytorch.frontend.functions import creation as _creation
from tinytorch.frontend.functions.algebra import einsum as _einsum
from tinytorch.frontend.functions.algebra.einsum import *
from tinytorch.frontend.functions.basic import *
from tinytorch.frontend.functions.creation import *
from tinytorch.frontend.layers import channel_functions as channel_functions
from tinytorch.frontend.layers import embedding_bags as embedding_bags
from tinytorch.frontend.layers import functions as _layer_functions
from tinytorch.frontend.layers import norms as _norms
from tinytorch.frontend.layers.functions import *
from tinytorch.frontend.layers.norms import *
from tinytorch.frontend.losses import functions as _loss_functions
from tinytorch.frontend.losses.functions import *
from tinytorch.frontend.spatial import adaptive_pooling as _adaptive_pooling
from tinytorch.frontend.spatial import functions as _functions
from tinytorch.frontend.spatial import padding as _padding
from tinytorch.frontend.spatial import pooling as _pooling
from tinytorch.frontend.spatial.adaptive_pooling import *
from tinytorch.frontend.spatial.functions import *
from tinytorch.frontend.spatial.padding import *
from tinytorch.frontend.spatial.pooling import *

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
