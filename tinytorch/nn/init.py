"""First values of parameters, written over tensors, under the names of torch.nn.init."""

from tinytorch.frontend.init import *
