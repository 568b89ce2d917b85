"""Running a model on calibration data, and what its layers see."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.functions.creation import as_tensor
from tinytorch.frontend.module import Module
from tinytorch.frontend.quantization.affine import UnfitError
from tinytorch.frontend.quantization.ranges import SeenRange
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.conversions import as_array
from tinytorch.frontend.tensor.gradients import grad_mode
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc

_KEPT = 1 << 20  # elements of a layer's input that errors are measured on
Forward = Callable[[Module, Any], Any]


class Seen:
    """What one layer has been given, or has given: the range of the floats, and the first of them."""

    def __init__(self, name: str) -> None:
        self.range = SeenRange(name)
        self.first: Tensor | None = None

    def see(self, x: Tensor) -> None:
        if x.dtype.is_float:
            self.range.see(as_array(x))
        if self.first is None and x.numel():
            rows = x.shape[0] if x.ndim else 1
            self.first = x[: max(1, rows * _KEPT // x.numel())].detach() if x.numel() > _KEPT else x.detach()


def calibrate(
    model: Module, layers: Mapping[str, Module], outputs: Mapping[str, Module], data: Any, forward: Forward | None
) -> tuple[dict[str, Seen], dict[str, Seen]]:
    """Run `model` on each batch of `data`, without gradients; what each of `layers` that ran was given, and what each
    of `outputs` gave, by their names."""
    seen, given = ({name: Seen(name) for name in modules} for modules in (layers, outputs))
    handles = [
        module.register_forward_hook(lambda module, args, result, name=name: given[name].see(_floats(name, result)))
        for name, module in outputs.items()
    ]
    handles += [
        layer.register_forward_pre_hook(lambda module, args, name=name: seen[name].see(args[0]))
        for name, layer in layers.items()
    ]
    elements = 0
    try:
        with grad_mode(False):
            for i, batch in enumerate(_batches(data)):
                elements += _run(model, i, batch, forward)
    finally:
        for handle in handles:
            handle.remove()
    if not elements:
        raise TinyTorchError("quantize: calibration_data is empty: it has no batch with a sample in it", user_loc())
    ran, gave = ({name: each for name, each in all.items() if each.first is not None} for all in (seen, given))
    return ran, gave


def _floats(name: str, result: Any) -> Tensor:
    if not isinstance(result, Tensor) or not result.dtype.is_float:
        given = arguments.shown(result)
        raise UnfitError(f"quantize: the output of {name!r} is not one tensor of floats, but {given}", user_loc())
    return result


def _batches(data: Any) -> Iterable[Any]:
    if isinstance(data, (Tensor, np.ndarray)):
        return [data]
    if isinstance(data, (str, bytes, Mapping)) or not hasattr(data, "__iter__"):
        raise arguments.wrong_type("quantize", "calibration_data", "a tensor, or batches one after the other", data)
    return cast("Iterable[Any]", data)


def _run(model: Module, index: int, batch: Any, forward: Forward | None) -> int:
    """How many elements the batch has, if the model takes it."""
    x = _first(batch)
    if x is None:
        what = f"batch {index} of calibration_data"
        raise arguments.wrong_type("quantize", what, "a tensor, or begins with one", batch)
    if not x.numel():
        return 0
    try:
        _ = model(x) if forward is None else forward(model, batch)
    except UnfitError:
        raise
    except TinyTorchError as error:
        raise TinyTorchError(
            f"quantize: the model does not take batch {index} of calibration_data, {x.type}: {error.message}",
            user_loc(),
        ) from error
    return x.numel()


def _first(batch: Any) -> Tensor | None:
    """The tensor that a batch is or begins with."""
    if isinstance(batch, Mapping):
        batch = list(cast("Mapping[Any, Any]", batch).values())
    if isinstance(batch, (tuple, list)):
        batch = cast("Sequence[Any]", batch)[0] if batch else None
    batch = as_tensor(batch) if isinstance(batch, np.ndarray) else batch
    return batch if isinstance(batch, Tensor) else None
