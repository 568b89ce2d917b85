"""Modules that call a function with the arguments that they were made with."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

from tinytorch.frontend import arguments
from tinytorch.frontend.module.module import Module
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import require_tensor


class Calling(Module):
    """`forward` is `function` of its tensors, and of the constructor's arguments, which are attributes."""

    function: ClassVar[Callable[..., Any]]

    def _keep(self, **settings: Any) -> None:
        """Make attributes of the arguments: numbers, flags, and None."""
        for name, value in settings.items():
            if name == "inplace":
                arguments.flag(type(self).__name__, name, value)
            elif isinstance(value, bool) or not isinstance(value, (int, float, type(None))):
                raise arguments.wrong_type(type(self).__name__, name, "a number", value)
            setattr(self, name, value)

    def _settings(self) -> dict[str, Any]:
        names = list(inspect.signature(type(self).__init__).parameters)[1:]
        return {name: getattr(self, name) for name in names if name not in ("size_average", "reduce")}

    def forward(self, input: Tensor) -> Tensor:
        return type(self).function(require_tensor(type(self).__name__, input), **self._settings())

    def extra_repr(self) -> str:
        shown = {k: v for k, v in self._settings().items() if k != "inplace" or v}
        return ", ".join(f"{k}={v!r}" for k, v in shown.items())
