"""First values of parameters, written over tensors, under the names of torch.nn.init."""

from tinytorch.frontend.init import *
from tinytorch.frontend.init import fans

_calculate_fan_in_and_fan_out = fans  # layers of one's own ask for it by PyTorch's name
