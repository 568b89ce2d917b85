"""The loss of sequences whose labels stand at unknown steps (Graves et al. 2006)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinytorch.frontend import arguments
from tinytorch.frontend.functions.basic import cat, stack, where
from tinytorch.frontend.functions.creation import arange, full, zeros
from tinytorch.frontend.functions.manipulation.indexed import gather
from tinytorch.frontend.losses.functions import reduced
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.autocasting import high
from tinytorch.frontend.tensor.gradients import require_tensor
from tinytorch.frontend.tensor.mode import mode
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.types import i64

_NAME = "ctc_loss"
_NEVER = -1e30  # the log of 0: finite, so that differences of two of them are no NaN


@spelled(space="nn.functional")
@high
def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """-log of the probability that the steps spell the target, where each step says a label or `blank`, equal
    neighbours count once, and blanks are left out: the sum over all such paths (Graves et al. 2006, section 4).

    `log_probs` [steps, batch, classes] come from log_softmax. `targets` of integers are [batch, longest], or those of
    all sequences joined, [sum of target_lengths]. Lengths are i64[batch] or lists. All without the batch: [steps,
    classes], [length], and numbers. "mean" divides each loss by the length of its target first. Losses are infinite
    where a target needs more steps than there are, or 0 with `zero_infinity`; their derivatives are 0 (in PyTorch NaN
    without `zero_infinity`).

    As in PyTorch, the derivative by `log_probs` is that by the logits behind them, which what log_softmax does to it
    leaves as it is. Steps run one after the other: steps · batch · (2 longest + 1) numbers are kept for the way back.
    """
    batched = require_tensor(_NAME, log_probs).ndim == 3
    if log_probs.ndim not in (2, 3) or not log_probs.dtype.is_float:
        raise ShapeError(f"{_NAME}: log_probs are floats [steps, batch, classes], got {log_probs.type}", user_loc())
    scores = log_probs if batched else log_probs.unsqueeze(1)
    steps, batch, classes = scores.shape
    if not 0 <= arguments.integer(_NAME, "blank", blank) < classes:
        raise arguments.wrong_value(_NAME, "blank", f"one of {classes} classes", blank)
    if require_tensor(_NAME, targets).dtype.kind not in ("int", "uint") or targets.ndim not in (1, 2):
        raise ShapeError(f"{_NAME}: targets are integers [batch, longest] or joined, got {targets.type}", user_loc())
    if not steps:
        raise ShapeError(f"{_NAME}: there are no steps in {log_probs.type}", user_loc())
    inputs, lengths = _lengths("input_lengths", input_lengths, batch), _lengths("target_lengths", target_lengths, batch)
    _at_most("input_lengths", inputs, steps)
    labels = _by_sequence(targets.cast(i64), lengths, blank)
    states = _states(labels, blank)
    said = gather(scores, 2, states.unsqueeze(0).broadcast_to(steps, *states.shape)).clamp(min=_NEVER)
    loss = _negative_log(said, states, inputs, lengths, blank)
    loss = loss + _of_logits(scores, inputs)
    never = loss > -_NEVER / 10
    loss = where(never, 0.0 if arguments.flag(_NAME, "zero_infinity", zero_infinity) else float("inf"), loss)
    if reduction == "mean":
        loss = loss / lengths.clamp(min=1).cast(loss.dtype)
    return reduced(_NAME, loss if batched else loss.squeeze(0), reduction)


def _lengths(name: str, given: Any, batch: int) -> Tensor:
    """Lengths as i64[batch]."""
    if not isinstance(given, Tensor):
        values = list(given) if isinstance(given, Sequence) else [given]
        given = Tensor([arguments.integer(_NAME, name, value, 0) for value in values], dtype=i64)
    if given.dtype.kind not in ("int", "uint") or given.numel() != batch:
        raise ShapeError(f"{_NAME}: {name} are {batch} integers, one for each sequence, got {given.type}", user_loc())
    return given.cast(i64).reshape(batch)


def _at_most(name: str, lengths: Tensor, most: int) -> None:
    """An error where a length is known and larger."""
    if mode.trace is None and lengths.numel() and lengths.numpy().max() > most:
        raise arguments.wrong_value(_NAME, name, f"at most {most}", int(lengths.numpy().max()))


def _by_sequence(targets: Tensor, lengths: Tensor, blank: int) -> Tensor:
    """[batch, longest], blank behind the end of each target."""
    batch = lengths.shape[0]
    if targets.ndim == 1:
        count = targets.shape[0]
        longest = count if mode.trace is not None or not batch else int(lengths.numpy().max())
        if mode.trace is None and lengths.numpy().sum() > count:
            raise arguments.wrong_value(_NAME, "target_lengths", f"{count} in sum", int(lengths.numpy().sum()))
        places = (lengths.cumsum(0) - lengths).unsqueeze(1) + arange(longest)
        targets = targets[places.clamp(max=count - 1)] if count else zeros(batch, 0, dtype=i64)
    elif targets.shape[0] != batch:
        raise ShapeError(f"{_NAME}: targets are [{batch}, longest], got {targets.type}", user_loc())
    _at_most("target_lengths", lengths, targets.shape[1])
    return where(arange(targets.shape[1]) < lengths.unsqueeze(1), targets, blank)


def _states(labels: Tensor, blank: int) -> Tensor:
    """[batch, 2 longest + 1]: blank, label, blank, …, label, blank."""
    batch, longest = labels.shape
    last = full((batch, 1), blank, dtype=i64)
    if not longest:
        return last
    pairs = stack([full((batch, longest), blank, dtype=i64), labels], 2).reshape(batch, 2 * longest)
    return cat([pairs, last], 1)


def _negative_log(said: Tensor, states: Tensor, inputs: Tensor, lengths: Tensor, blank: int) -> Tensor:
    """[batch]: the recursion over steps of α, the log of the probability of all that ends in a state (equation 7)."""
    steps, _, width = said.shape
    none = [(0, 0)]
    before = states.pad([*none, (2, 0)], blank)[:, :width]
    may_skip = (states != blank) & (states != before)
    place = arange(width)
    alpha = where(place < 2, said[0], _NEVER)
    for t in range(1, steps):
        earlier = alpha.pad([*none, (2, 0)], _NEVER)
        skipped = where(may_skip, earlier[:, :width], _NEVER)
        ways = stack([alpha, earlier[:, 1 : width + 1], skipped])
        alpha = where((inputs > t).unsqueeze(1), ways.logsumexp(0) + said[t], alpha)
    end = 2 * lengths.unsqueeze(1)
    ends = (place == end) | (place == end - 1)
    total = -where(ends, alpha, _NEVER).logsumexp(1)
    return where(inputs == 0, where(lengths == 0, 0.0, -_NEVER), total)


def _of_logits(scores: Tensor, inputs: Tensor) -> Tensor:
    """Zeros [batch], whose derivatives are the probabilities of each step that counts."""
    counted = arange(scores.shape[0]).unsqueeze(1) < inputs
    total = where(counted.unsqueeze(2), scores, _NEVER).exp().sum((0, 2))
    return total - total.detach()
