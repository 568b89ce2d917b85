"""What numpy and the Array API ask of tensors: answered by modules that are loaded when one of them first asks."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.system.locks import importing

_VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12")  # of the Array API


def _apply_ufunc(self: Tensor, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
    """What numpy asks the tensor to do for `ufunc(*inputs)`."""
    with importing:
        from tinytorch.frontend.numpy_functions import apply_ufunc
    return apply_ufunc(self, ufunc, method, *inputs, out=out, **options)


def _apply_function(self: Tensor, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
    """What numpy asks the tensor to do for `function(*args, **kwargs)`."""
    with importing:
        from tinytorch.frontend.numpy_functions import apply_function
    return apply_function(self, function, types, args, kwargs)


def _namespace(self: Tensor, /, *, api_version: str | None = None) -> ModuleType:
    """The functions of the standard."""
    if api_version not in (None, *_VERSIONS):
        raise TinyTorchError(f"the Array API of {api_version!r} is not here, but {_VERSIONS[-1]}", user_loc())
    with importing:
        from tinytorch import array_api
    return array_api


setattr(Tensor, "__array_ufunc__", _apply_ufunc)  # noqa: B010 (pyright knows of no such attribute to be assigned)
setattr(Tensor, "__array_function__", _apply_function)  # noqa: B010
setattr(Tensor, "__array_namespace__", _namespace)  # noqa: B010
