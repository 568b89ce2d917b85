"""Jacobians and products with them in the form of torch.autograd.functional: of a function and its inputs, a tensor or
a tuple of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tinytorch.frontend import arguments as checks
from tinytorch.frontend.autograd.jacobians import Evaluated, evaluated, like
from tinytorch.frontend.autograd.transformations import grad
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import grad_mode, ones_like
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.loc import user_loc

_STRATEGIES = ("reverse-mode", "forward-mode")


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The derivatives of `func(*inputs)`: [*shape of the result, *shape of the input], in a tuple for several inputs,
    and a tuple of these for several results. "forward-mode" takes a backward pass for each element of the inputs, and
    "reverse-mode" one for each of the results. `strict` refuses results that do not depend on an input, in reverse mode
    alone. `vectorize` has no effect."""
    checks.choice("jacobian", "strategy", strategy, *_STRATEGIES)
    if strict and (vectorize or strategy == "forward-mode"):
        raise TinyTorchError('jacobian: strict is for strategy="reverse-mode" without vectorize', user_loc())
    point = _point("jacobian", func, inputs, create_graph)
    if strategy == "forward-mode":
        found = point.by_columns(create_graph)
    else:
        found = point.by_rows(create_graph, "jacobian" if strict else "")
    by_result = [_as_given(inputs, row) for row in found]
    return by_result[0] if _is_single(point) else tuple(by_result)


def hessian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The second derivatives of `func(*inputs)`, a tensor of one element: [*shape of the input, *shape of the input],
    in a tuple of tuples for several inputs. The other arguments are those of `jacobian`."""
    several = isinstance(inputs, tuple)

    def gradient(*given: Any) -> Any:
        return grad(_scalar("hessian", func), tuple(range(len(given))))(*given)

    found = jacobian(gradient, inputs, create_graph, strict, vectorize, outer_jacobian_strategy)
    return found if several else found[0]


def vjp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(`func(*inputs)`, J^T v). `v` are cotangents like the results; they may be left out for one of one element."""
    point = _point("vjp", func, inputs, create_graph)
    _require_dependence("vjp", strict, point)
    found = point.pulled(_direction("vjp", v, point.results), create_graph)
    return _result(point, create_graph), _as_given(inputs, found)


def jvp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(`func(*inputs)`, J v). `v` are directions like the inputs; they may be left out for one of one element."""
    point = _point("jvp", func, inputs, create_graph)
    _require_dependence("jvp", strict, point)
    found = point.pushed(_direction("jvp", v, point.variables), create_graph)
    return _result(point, create_graph), found[0] if _is_single(point) else tuple(found)


def hvp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(`func(*inputs)`, H v): the second derivatives of a tensor of one element, times directions like the inputs."""
    return _hessian_product("hvp", func, inputs, v, create_graph, strict)


def vhp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(`func(*inputs)`, v^T H): as `hvp`, since second derivatives are symmetric."""
    return _hessian_product("vhp", func, inputs, v, create_graph, strict)


def _hessian_product(
    what: str, func: Callable[..., Any], inputs: Any, v: Any, create_graph: bool, strict: bool
) -> tuple[Any, Any]:
    point = _point(what, _scalar(what, func), inputs, create_graph)
    _require_dependence(what, strict, point)
    directions = _direction(what, v, point.variables)
    with grad_mode(True):
        first = point.pulled([ones_like(r) for r in point.results], True)
    second = Evaluated(first, None, point.variables, point.trees, None, True)
    value = _result(point, create_graph)
    return value, _as_given(inputs, second.pulled(directions, create_graph))


def _point(what: str, func: Callable[..., Any], inputs: Any, create_graph: bool) -> Evaluated:
    given: tuple[Any, ...] = inputs if isinstance(inputs, tuple) else (inputs,)
    for x in given:
        checks.instance(what, "an input", x, Tensor)
    with grad_mode(True):
        return evaluated(what, func, given if create_graph else tuple(x.detach() for x in given), range(len(given)))


def _scalar(what: str, func: Callable[..., Any]) -> Callable[..., Any]:
    """The function, whose result is a tensor of one element, as one without axes."""

    def call(*given: Any) -> Any:
        made = func(*given)
        if not isinstance(made, Tensor) or made.numel() != 1:
            got = made.type if isinstance(made, Tensor) else type(made).__name__
            raise ShapeError(f"{what}: the function returns a tensor of one element, got {got}", user_loc())
        return made.reshape(())

    return call


def _require_dependence(what: str, strict: bool, point: Evaluated) -> None:
    if strict and not all(r.requires_grad for r in point.results):
        raise TinyTorchError(f"{what}: strict, but a result does not depend on the inputs", user_loc())


def _direction(what: str, v: Any, wanted: Sequence[Tensor]) -> list[Tensor]:
    if v is not None:
        return like(what, "v", v, wanted)
    if len(wanted) != 1 or wanted[0].numel() != 1:
        raise TinyTorchError(f"{what}: v may be left out for one tensor of one element alone", user_loc())
    return [ones_like(wanted[0])]


def _is_single(point: Evaluated) -> bool:
    return not isinstance(point.tree, tuple)


def _as_given(inputs: Any, found: Sequence[Tensor]) -> Any:
    return tuple(found) if isinstance(inputs, tuple) else found[0]


def _result(point: Evaluated, create_graph: bool) -> Any:
    found = point.results if create_graph else [r.detach() for r in point.results]
    return found[0] if _is_single(point) else tuple(found)
