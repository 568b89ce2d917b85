"""First values of parameters, written over tensors, under the names of torch.nn.init."""

from tinytorch.frontend.init import *
from tinytorch.frontend.init import fans as _calculate_fan_in_and_fan_out  # pyright: ignore[reportUnusedImport]  # noqa: F401  (layers of one's own call it by this name)
