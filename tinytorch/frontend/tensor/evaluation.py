"""Eager mode: ops of tensors run at once, by numpy or a kernel, and what gradients need is put on the tape."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinytorch.frontend.arguments import ArgumentMemoryError
from tinytorch.frontend.tensor import kernels
from tinytorch.frontend.tensor.mode import mode
from tinytorch.frontend.tensor.results import Results, Several, apart, row_major
from tinytorch.frontend.tensor.storage import alias_of, counter_of, cut_alias, is_cut, owner, settle, storage_of
from tinytorch.frontend.tensor.tape import TapeInput, TapeNode, history_of
from tinytorch.ir import ops
from tinytorch.ir.arrays.nans import refuse_new_nans
from tinytorch.ir.errors import NumberError, RangeError, ShapeError, TraceError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array, Attrs, Op
from tinytorch.ir.types import TensorType

Wrap = Callable[[Array], Any]


def evaluate(op: Op, operands: Sequence[Any], attrs: Attrs, wrap: Wrap) -> Any:
    """Evaluate an op of tensors at once and, where a gradient may be asked for, record it. `wrap` makes a tensor."""
    for o in operands:
        if o._expr is not None:
            raise TraceError("a value of a trace is used after it; return it from the compiled function", user_loc())
    is_view = op.put is not None
    if is_view:
        settle(operands[0])
    arrays = [o._data for o in operands]
    types = [o.type for o in operands]
    try:
        made = op.result_types(types, attrs)
        if is_view:
            result = op.eval(*arrays, **attrs)
        elif op.results > 1:
            return _several(op, operands, arrays, types, made, attrs, wrap)
        elif (found := _kernel_results(op, arrays, types, made, attrs)) is not None:
            (result,) = found
        else:
            run = op.eval if mode.reference or op.fast is None else op.fast
            assert not isinstance(run, tuple)
            with np.errstate(all="ignore"):
                result = run(*arrays, **attrs)
    except MemoryError:
        sizes = ", ".join(map(str, op.result_types(types, attrs)))
        raise ArgumentMemoryError(f"{op.name}: {sizes} does not fit into memory", user_loc()) from None
    except (ShapeError, IndexError, FloatingPointError) as error:
        raise located(error, "" if op.kind == "elementwise" else f"{op.name}: ") from None
    check_nans = wants_nan_checks()
    if check_nans and not is_view:
        refuse_new_nans(op, arrays, attrs, [np.asarray(result)], user_loc())
    out = wrap(result if isinstance(result, np.ndarray) else np.asarray(result))
    if is_view and owner(out._data) is owner(arrays[0]):
        out._storage = storage_of(operands[0])
        out._alias = cut_alias(operands[0]) if is_cut(op) else alias_of(operands[0], op, attrs)
    if mode.grad and op is not ops.core.detach and _any_requires_grad(operands):
        record(op, operands, attrs, out)
        if check_nans:
            out._node.loc = user_loc()
    return out


def _kernel_results(
    op: Op, arrays: Sequence[Array], types: Sequence[TensorType], made: Sequence[TensorType], attrs: Attrs
) -> Sequence[Array] | None:
    """What a kernel gives, where there is enough to do that one may pay; else None."""
    handed = kernels.slot.handed
    if handed is None or not (kernels.large(arrays) or kernels.large(made)) or mode.reference:
        return None
    return handed.results(op, arrays, types, attrs)


def _any_requires_grad(tensors: Sequence[Any]) -> bool:
    for tensor in tensors:  # noqa: SIM110 (a generator costs more than the rest)
        # Only views have to look at what they are views of.
        if tensor._requires_grad if tensor._alias is None else tensor.requires_grad:
            return True
    return False


def record(op: Op, operands: Sequence[Any], attrs: Attrs, out: Any) -> None:
    """Put the making of `out` on the tape."""
    out._node = TapeNode(op, _met(operands), attrs, counter_of(out).version)
    out._requires_grad = out.dtype.is_float


def _met(operands: Sequence[Any]) -> tuple[TapeInput, ...]:
    """Tensors as an op meets them."""
    return tuple(TapeInput(o, history_of(o), counter_of(o).version, o._requires_grad) for o in operands)


def _several(
    op: Op,
    operands: Sequence[Any],
    arrays: Sequence[Array],
    types: Sequence[TensorType],
    expected: Sequence[TensorType],
    attrs: Attrs,
    wrap: Wrap,
) -> Sequence[Any]:
    """`evaluate` for an op with several results, which it may give one by one."""
    made: list[Any] = [None] * op.results
    if mode.reference or not isinstance(op.fast, tuple):
        found = _kernel_results(op, arrays, types, expected, attrs)
        if found is None:
            run = op.evaluate if mode.reference else op.evaluate_fast
            with np.errstate(all="ignore"):
                found = apart(run(arrays, attrs), arrays)
        made = [wrap(row_major(a)) for a in found]
    results = Results(op, _met(operands), attrs, made, wrap)
    recorded = mode.grad and _any_requires_grad(operands)
    node, check_nans = TapeNode(op, results.operands, attrs, results=results) if recorded else None, wants_nan_checks()
    if node is not None and check_nans:
        node.loc = user_loc()
    several = Several(results, node, check_nans)
    return several if isinstance(op.fast, tuple) else tuple(several)


def wants_nan_checks() -> bool:
    """Whether TT_NANS=1 asks that the op which makes the first NaN raise an error."""
    return os.environ.get("TT_NANS") == "1"


def located(error: Exception, start: str) -> Exception:
    """`error` with the user's line, if it is a ShapeError that has none yet, or what a guard raises, behind `start`."""
    if isinstance(error, FloatingPointError):
        return NumberError(f"{start}{error}", user_loc())
    if isinstance(error, IndexError):
        return RangeError(f"{start}{error}", user_loc())
    if isinstance(error, ShapeError) and error.loc is None:
        return ShapeError(str(error), user_loc())
    return error
