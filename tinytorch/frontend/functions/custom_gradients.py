"""Results whose gradients are computed by a function that is written in Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tinytorch.frontend.functions.basic import cat
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.mode import mode
from tinytorch.ir import ops
from tinytorch.ir.errors import TraceError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import apply
from tinytorch.ir.types import TensorType

Pull = Callable[[list[Tensor]], Sequence[Tensor | None]]


def with_gradient(results: Sequence[Tensor], inputs: Sequence[Tensor], pull: Pull) -> list[Tensor]:
    """`results` as functions of `inputs` whose cotangents `pull` computes from those of all results.

    Several float results pass through one op side by side in a vector, so that `pull` sees all cotangents at once.
    Results that are no floats have cotangents of zeros.
    """
    floats = [r.detach() for r in results if r.dtype.is_float]
    types = [r.type for r in results]
    if not floats:
        return [r.detach() for r in results]
    packed = floats[0] if len(floats) == 1 else cat([r.reshape((r.numel(),)) for r in floats])

    def backward(ct: Any) -> list[Any]:
        """Called by the op's rule with a tensor, or with an expression of the graph under a trace."""
        traced = not isinstance(ct, Tensor)
        if traced and mode.trace is None:
            raise TraceError(
                "a derivative written in Python (tt.Function) is traced with what calls it: call backward() inside of "
                "the compiled function, not on its result",
                user_loc(),
            )
        vector = Tensor.wrap(None, ct) if traced else ct  # pyright: ignore[reportArgumentType]
        found = pull(_unpacked(vector, types, zeros))
        return [_as_expression(g) for g in found] if traced else list(found)

    def zeros(vector: Tensor, type: TensorType) -> Tensor:
        return ops.core.filled(vector, 0, type)

    rule = _Once(backward, sum(x.requires_grad for x in inputs))
    out = apply(ops.core.custom_grad, packed, *inputs, backward=rule)
    rest = iter([r.detach() for r in results if not r.dtype.is_float])
    return _unpacked(out, types, lambda vector, type: next(rest))


def _unpacked(
    vector: Tensor, types: Sequence[TensorType], other: Callable[[Tensor, TensorType], Tensor]
) -> list[Tensor]:
    """Tensors of `types` that stand in `vector` one after the other; `other` makes those that are no floats. A single
    one is the vector itself."""
    if sum(t.dtype.is_float for t in types) == 1:
        return [vector if t.dtype.is_float else other(vector, t) for t in types]
    parts: list[Tensor] = []
    at = 0
    for t in types:
        if t.dtype.is_float:
            parts.append(vector[at : at + t.size].reshape(t.shape).cast(t.dtype))
            at += t.size
        else:
            parts.append(other(vector, t))
    return parts


class _Once:
    """A rule that is asked for each of `operands` operands with one cotangent, and computes once."""

    def __init__(self, rule: Callable[[Any], list[Any]], operands: int) -> None:
        self.rule, self.operands = rule, operands
        self._last: tuple[Any, list[Any]] | None = None
        self._asked = 0

    def __call__(self, ct: Any) -> list[Any]:
        if self._last is None or self._last[0] is not ct:
            self._last, self._asked = (ct, self.rule(ct)), 0
        found = self._last[1]
        self._asked += 1
        if self._asked == self.operands:
            self._last = None  # frees the cotangents before the rest of the backward pass
        return found


def _as_expression(gradient: Tensor | None) -> Any:
    """What the graph under construction knows a tensor by; one with values becomes a part of it."""
    return None if gradient is None or mode.trace is None else mode.trace.lift(gradient)
