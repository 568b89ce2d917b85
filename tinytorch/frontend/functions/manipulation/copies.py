"""Views that are copied: `permute_copy` is `permute` in memory of its own, and so on."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from tinytorch.frontend.functions.basic import split_with_sizes
from tinytorch.frontend.functions.manipulation import diagonals, shapes
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor

_VIEWS: dict[str, Callable[..., Any]] = {
    "as_strided": shapes.as_strided,
    "diagonal": diagonals.diagonal,
    "expand": Tensor.expand,
    "narrow": Tensor.narrow,
    "permute": Tensor.permute,
    "select": shapes.select,
    "split_with_sizes": split_with_sizes,
    "squeeze": Tensor.squeeze,
    "t": Tensor.t,
    "transpose": Tensor.transpose,
    "unbind": shapes.unbind,
    "unfold": shapes.unfold,
    "unsqueeze": Tensor.unsqueeze,
    "view": Tensor.view,
}


def _enter(name: str, view: Callable[..., Any]) -> None:
    @functools.wraps(view)
    def copied(*args: Any, **options: Any) -> Any:
        made = view(*args, **options)
        return tuple(part.clone() for part in made) if isinstance(made, tuple) else made.clone()

    copied.__doc__ = f"`{name}`, in memory of its own."
    spelled(name=f"{name}_copy", method=name == "narrow")(copied)


for _name, _view in _VIEWS.items():
    _enter(_name, _view)
