"""First values of parameters, written over tensors, under the names of torch.nn.init."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from tinytorch.frontend import arguments as _arguments
from tinytorch.frontend import binding as _binding
from tinytorch.frontend.functions.creation import as_tensor
from tinytorch.frontend.module import init as _init
from tinytorch.frontend.module.init import *
from tinytorch.frontend.module.init import fans
from tinytorch.frontend.tensor import Tensor

_calculate_fan_in_and_fan_out = fans  # layers of one's own ask for it by PyTorch's name


_NEW = ("ones_", "trunc_normal_", "zeros_")  # the others are known without _, too, PyTorch's older names


def _of_data(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which also takes the `data` of a tensor."""

    explaining = _binding.clear(function)

    @functools.wraps(function)
    def call(tensor: Any, *args: Any, **options: Any) -> Any:
        tensor = as_tensor(tensor) if isinstance(tensor, np.ndarray) else tensor
        _arguments.instance(function.__name__, "tensor", tensor, Tensor)
        return explaining(tensor, *args, **options)

    return call


globals().update({name: _of_data(getattr(_init, name)) for name in _init.__all__ if name.endswith("_")})
globals().update({name[:-1]: globals()[name] for name in _init.__all__ if name not in _NEW and name.endswith("_")})
