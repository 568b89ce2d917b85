"""Elements put around the last axes of a tensor, or cut off, in the modes of torch.nn.functional.pad."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.functions.basic import cat
from tinytorch.frontend.spatial.arguments import error
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import require_tensor
from tinytorch.frontend.tensor.views import own

__all__ = ["pad"]

MODES = ("constant", "reflect", "replicate", "circular")
Amounts = list[tuple[int, int]]


@spelled(space="nn.functional")
def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """The input with more, or (negative amounts) fewer elements before and after its last axes.

    `pad` has (before, after) of the last axis, then of the one before it, and so on. In the mode "constant" it puts
    `value` (0 unless given) there. "reflect" mirrors at the first and the last element, without repeating them;
    "replicate" repeats these; "circular" goes on with the other end. These three pad one axis of two or three, two of
    three or four, three of four or five, and cannot take more elements than there are. Else ShapeError.
    """
    require_tensor("pad", input)
    arguments.choice("pad", "mode", mode, *MODES)
    amounts = _amounts(input, pad)
    if mode == "constant":
        given = int(value) if isinstance(value, (bool, np.bool_)) else value
        filler = 0.0 if given is None else arguments.number("pad", "value", given, lambda v: True, "a number")
        padded = _cut(input, amounts).pad([(max(a, 0), max(b, 0)) for a, b in amounts], filler)
    else:
        if value is not None and value != 0:
            raise error(f'pad: value belongs to the mode "constant", got {value!r} with mode {mode!r}')
        _check_extension(input, amounts, len(pad) // 2, mode)
        padded = _cut(input, amounts) if mode == "circular" else input  # what is cut off does not come back
        for axis, (before, after) in enumerate(amounts):
            padded = _extended(padded, axis, max(before, 0), max(after, 0), mode)
        padded = padded if mode == "circular" else _cut(padded, amounts).contiguous()
    return own(padded, input)


def _amounts(x: Tensor, given: Sequence[int]) -> Amounts:
    """(before, after) for each axis of x; ShapeError where an axis has not as many elements as are cut off."""
    if not isinstance(cast(Any, given), (tuple, list)):
        raise error(f"pad: pad is (before, after) of the last axis, then of the one before it, …, got {given!r}")
    numbers = [arguments.integer("pad", "each element of pad", n) for n in given]
    pairs = list(zip(numbers[::2], numbers[1::2], strict=False))
    if len(numbers) % 2 or len(pairs) > x.ndim:
        raise error(f"pad: needs pairs for at most the {x.ndim} axes of {x.type}, got {numbers}")
    amounts = [(0, 0)] * (x.ndim - len(pairs)) + pairs[::-1]
    for axis, (size, (before, after)) in enumerate(zip(x.shape, amounts, strict=True)):
        if size + before + after < 0 or size + min(before, 0) + min(after, 0) < 0:
            raise error(f"pad: {before} and {after} cut more off than axis {axis} of {x.type} has")
    return amounts


def _check_extension(x: Tensor, amounts: Amounts, axes: int, mode: str) -> None:
    """Check that the elements of x can be taken to pad it."""
    if axes not in (1, 2, 3) or x.ndim not in (axes + 1, axes + 2):
        raise error(
            f'pad: mode "{mode}" pads the last axis of two or three, the last two of three or four or the last three '
            f"of four or five, got {2 * axes} amounts for {x.type}"
        )
    for axis, (size, pair) in enumerate(zip(x.shape, amounts, strict=True)):
        most = {"reflect": size - 1, "circular": size + min(*pair, 0)}.get(mode, max(*pair, 0))
        if max(pair) > most and axis >= x.ndim - axes:
            raise error(f'pad: mode "{mode}" can add at most {most} to axis {axis} of {x.type}, got {max(pair)}')
        if size == 0 and (axis or axes + 1 == x.ndim):
            raise error(f'pad: mode "{mode}" takes elements, but axis {axis} of {x.type} is empty')
        if size + sum(pair) < 1 and axis >= x.ndim - axes:
            raise error(f"pad: {pair[0]} and {pair[1]} leave nothing of axis {axis} of {x.type}")


def _extended(x: Tensor, axis: int, before: int, after: int, mode: str) -> Tensor:
    """x with its own elements added along `axis`."""
    size, lead = x.shape[axis], (slice(None),) * axis
    if not before and not after:
        return x
    if mode == "reflect":
        last = size - 2 - after
        first, behind = slice(before, 0, -1), slice(size - 2, None if last < 0 else last, -1)
        ends = [x[(*lead, first)] if before else None, x[(*lead, behind)] if after else None]
    elif mode == "circular":
        ends = [x[(*lead, slice(size - n, size) if i == 0 else slice(n))] for i, n in enumerate((before, after))]
    else:
        ends = [
            x[(*lead, slice(at, at + 1))].broadcast_to((*x.shape[:axis], n, *x.shape[axis + 1 :]))
            for at, n in ((0, before), (size - 1, after))
        ]
    parts = [(ends[0], before), (x, size), (ends[1], after)]
    return cat([part for part, count in parts if part is not None and count], axis)


def _cut(x: Tensor, amounts: Amounts) -> Tensor:
    """x without the elements that negative amounts take away."""
    if min((n for pair in amounts for n in pair), default=0) >= 0:
        return x
    return x[tuple(slice(max(-a, 0), d - max(-b, 0)) for d, (a, b) in zip(x.shape, amounts, strict=True))]
