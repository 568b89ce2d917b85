"""`from tinytorch.nn.utils import prune`: pruning under PyTorch's names."""

from tinytorch.frontend.compression.pytorch import *
from tinytorch.frontend.compression.pytorch import __all__ as __all__
