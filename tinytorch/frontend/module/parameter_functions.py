"""What is done to the parameters of a model as a whole: their gradients clipped, their values in one vector; and one of
them by its name."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, cast

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.functions.basic import cat, stack
from tinytorch.frontend.module.module import Module
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import grad_mode
from tinytorch.frontend.tensor.mode import mode
from tinytorch.ir.errors import ShapeError, TinyTorchError, TraceError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.types import f32


def _listed(what: str, tensors: Any) -> list[Tensor]:
    """One tensor, or those of an iterable."""
    if isinstance(tensors, Tensor):
        return [tensors]
    if not isinstance(tensors, Iterable):
        hint = "; pass model.parameters()" if hasattr(tensors, "parameters") else ""
        raise arguments.ArgumentTypeError(f"{what}: takes tensors, got {type(tensors).__name__}{hint}", user_loc())
    found: list[Any] = list(cast("Iterable[Any]", tensors))
    for tensor in found:
        arguments.instance(what, "a parameter", tensor, Tensor)
    return found


def _refuse_foreach(what: str, foreach: Any) -> None:
    if foreach is not None and foreach is not False:
        raise arguments.ArgumentValueError(f"{what}: foreach={foreach!r} is not supported; leave it out", user_loc())


def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all elements of all tensors together, 0-d and at least f32; `norm_type` inf is the largest one.

    TinyTorchError with `error_if_nonfinite` where it is not finite; a compiled step cannot ask for that.
    """
    return _total_norm("get_total_norm", _listed("get_total_norm", tensors), norm_type, error_if_nonfinite, foreach)


def _total_norm(what: str, tensors: list[Tensor], order: float, error_if_nonfinite: bool, foreach: Any) -> Tensor:
    arguments.positive(what, "norm_type", order)
    arguments.flag(what, "error_if_nonfinite", error_if_nonfinite)
    _refuse_foreach(what, foreach)
    with grad_mode(False):
        norm = joint_norm(tensors, float(order))
    if error_if_nonfinite:
        _require_finite(what, norm)
    return norm


def joint_norm(tensors: list[Tensor], order: float) -> Tensor:
    """The norm of the elements of all tensors together: the 2-norm, that of another `order`, or with math.inf the
    largest absolute value. 0-d, 0 without tensors; 16-bit floats are added up in f32."""
    if not tensors:
        return Tensor(np.zeros((), np.float32))
    wide = [t.detach() if t.dtype.bits >= 32 else t.detach().cast(f32) for t in tensors]
    if order == math.inf:
        return stack([t.abs().amax() for t in wide]).amax()
    if order == 2:
        return stack([(t * t).sum() for t in wide]).sum().sqrt()
    return stack([t.abs().pow(order).sum() for t in wide]).sum().pow(1 / order)


def _require_finite(what: str, norm: Tensor) -> None:
    if mode.trace is not None:
        raise TraceError(f"{what}: error_if_nonfinite needs the norm's value, which a trace has not", user_loc())
    if not math.isfinite(norm.item()):
        raise TinyTorchError(f"{what}: the norm of the gradients is {norm.item()}", user_loc())


def clip_grad_norm(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale the gradients in place so that their norm, taken over all of them together, is at most `max_norm`.

    Returns the norm before (0-d, at least f32). As in PyTorch, the factor is min(1, max_norm / (norm + 1e-6)), and a
    norm that is not finite goes through: NaN makes every gradient NaN, infinity makes 0 of the finite ones. With
    `error_if_nonfinite` it is an error instead, and no gradient has changed; a compiled step cannot ask for that.
    Parameters without a gradient count for nothing. Source: Pascanu, Mikolov & Bengio 2013.
    """
    what = "clip_grad_norm"
    given = _listed(what, parameters)
    _check_most(what, "max_norm", max_norm)
    with grad_mode(False):
        gradients = [g for g in (p.grad for p in given) if g is not None]
        norm = _total_norm(what, gradients, norm_type, error_if_nonfinite, foreach)
        scale_to_norm(gradients, max_norm, norm)
    return norm


def _check_most(what: str, name: str, value: Any) -> None:
    arguments.number(what, name, value, lambda x: x >= 0, "a number that is not negative")


def scale_to_norm(gradients: list[Tensor], max_norm: float, norm: Tensor) -> None:
    """Multiply gradients, whose norm is `norm`, in place by min(1, max_norm / (norm + 1e-6))."""
    factor = (max_norm / (norm + 1e-6)).minimum(1.0)
    for gradient in gradients:
        gradient.mul_(factor.cast(gradient.dtype))


def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Scale the gradients in place as `clip_grad_norm` does, by a norm that is known."""
    what = "clip_grads_with_norm_"
    _check_most(what, "max_norm", max_norm)
    _refuse_foreach(what, foreach)
    arguments.instance(what, "total_norm", total_norm, Tensor)
    with grad_mode(False):
        scale_to_norm([g for g in (p.grad for p in _listed(what, parameters)) if g is not None], max_norm, total_norm)


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None) -> None:
    """Bring every element of the gradients into [-clip_value, clip_value], in place."""
    _check_most("clip_grad_value_", "clip_value", clip_value)
    _refuse_foreach("clip_grad_value_", foreach)
    with grad_mode(False):
        for parameter in _listed("clip_grad_value_", parameters):
            gradient = parameter.grad
            if gradient is not None:
                gradient.copy_(gradient.clamp(-clip_value, clip_value))


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All elements of all parameters, one after the other, as a vector; gradients flow through it."""
    given = _listed("parameters_to_vector", parameters)
    if not given:
        raise TinyTorchError("parameters_to_vector: there are no parameters", user_loc())
    return cat([p.reshape(-1) for p in given])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Write the elements of a vector over the parameters, in their order. ShapeError where their numbers differ."""
    arguments.instance("vector_to_parameters", "vec", vec, Tensor)
    given = _listed("vector_to_parameters", parameters)
    count = sum(p.numel() for p in given)
    if vec.shape != (count,):
        raise ShapeError(f"vector_to_parameters: the parameters have {count} elements, vec is {vec.type}", user_loc())
    at = 0
    with grad_mode(False):
        for p in given:
            p.copy_(vec[at : at + p.numel()].reshape(p.shape))
            at += p.numel()


def own_parameter(what: str, module: Any, name: Any) -> Tensor:
    """A parameter of the module itself."""
    arguments.instance(what, "module", module, Module)
    known = dict(module.named_parameters(recurse=False))
    if name not in known:
        raise arguments.wrong_value(what, "name", f"among {', '.join(known) or 'no names'}", name)
    return known[name]
