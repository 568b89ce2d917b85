"""`torch.autograd`: gradients of functions, functions with a derivative of their own, and a watch for NaN;
`functional`: Jacobians."""

from __future__ import annotations

import os
from typing import Any

from tinytorch.autograd import functional as functional
from tinytorch.frontend.autograd import Function, enable_grad, no_grad, set_grad_enabled
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import as_rows, gradients, ones_like, require_tensor, zeros_like
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc

__all__ = [
    "Function",
    "Variable",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "functional",
    "grad",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
]


def Variable(data: Tensor, requires_grad: bool = False) -> Tensor:
    """The tensor itself: tensors have had gradients since PyTorch 0.4."""
    return data.requires_grad_() if requires_grad else data


def backward(tensors: Any, grad_tensors: Any = None, retain_graph: bool = False, create_graph: bool = False) -> None:
    """`backward()` of a tensor, or of each of several, with the cotangents `grad_tensors`."""
    several = isinstance(tensors, (list, tuple))
    roots: Any = tensors if several else [tensors]
    seeds: Any = [None] * len(roots) if grad_tensors is None else grad_tensors if several else [grad_tensors]
    for i, (root, seed) in enumerate(zip(roots, seeds, strict=True)):
        root.backward(seed, retain_graph or i + 1 < len(roots), create_graph)


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The sum of the gradients of `outputs` by each of `inputs`; nothing is added to any `grad`.

    Both are tensors or sequences of them; `grad_outputs` are cotangents, needed where an output has more than one
    element. With `create_graph` the results can be differentiated again; the tape stays, whatever `retain_graph` says.
    TinyTorchError where an output does not depend on an input, unless `allow_unused`: then that gradient is None, or
    zeros with `materialize_grads`. (`tt.grad(function)` is another one, which makes a function.)
    """
    del retain_graph
    if not only_inputs or is_grads_batched:
        raise TinyTorchError("grad: only_inputs is True and is_grads_batched False here", user_loc())
    roots, wrt = _several("outputs", outputs), _several("inputs", inputs)
    seeds = [None] * len(roots) if grad_outputs is None else _several("grad_outputs", grad_outputs, optional=True)
    found: list[Tensor | None] = [None] * len(wrt)
    for root, seed in zip(roots, seeds, strict=True):
        if not root.requires_grad:
            raise TinyTorchError("grad: nothing that an output was computed from requires grad", user_loc())
        if seed is None and root.numel() != 1:
            raise TinyTorchError(f"grad: {root.type} has more than one element; pass grad_outputs", user_loc())
        parts = gradients(root, wrt, ones_like(root) if seed is None else seed, create_graph)
        found = [b if a is None else a if b is None else a + b for a, b in zip(found, parts, strict=True)]
    if materialize_grads:
        found = [zeros_like(x) if g is None else g for x, g in zip(wrt, found, strict=True)]
    if not allow_unused and any(g is None for g in found):
        raise TinyTorchError(
            "grad: an output does not depend on one of inputs; with allow_unused=True its gradient is None", user_loc()
        )
    return tuple(None if g is None else as_rows(g) for g in found)


def _several(name: str, given: Any, optional: bool = False) -> list[Any]:
    tensors: list[Any] = [given] if isinstance(given, Tensor) else list(given)
    for x in tensors:
        if not (optional and x is None):
            require_tensor(f"grad: {name}", x)
    return tensors


class set_detect_anomaly:
    """From now on, and until the block ends if it opens one, the op that makes the first NaN raises an error, as with
    TT_NANS=1; with `mode=False` no more."""

    def __init__(self, mode: bool = True, check_nan: bool = True) -> None:
        self._before = os.environ.get("TT_NANS", "0")
        os.environ["TT_NANS"] = "1" if mode and check_nan else "0"

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        os.environ["TT_NANS"] = self._before


class detect_anomaly(set_detect_anomaly):
    """Within the block, the op that makes the first NaN raises an error."""
