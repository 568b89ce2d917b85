"""Drawing a token from logits, in ops: part of a compiled step."""

from __future__ import annotations

from tinytorch.frontend.functions.basic import where
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.types import f32, f64, i64

# exp of less is 0 in f32 and is never drawn, so no threshold is sought below it.
_LEAST = -110.0
_HALVINGS = 32  # logits that differ by less than 110 / 2**32, in units of the temperature, count as equal


def most_probable(logits: Tensor) -> Tensor:
    """[batch, classes] to i64[batch]; -1 for a row with a NaN."""
    return where(logits.amax(-1).isnan(), -1, logits.argmax(-1))


def draw(logits: Tensor, uniform: Tensor, temperature: Tensor, top_k: Tensor | None, top_p: Tensor | None) -> Tensor:
    """A class of each row of [batch, classes], by numbers f32[batch] that are uniform on [0, 1): i64[batch], -1 for a
    row with a NaN or an infinity. `top_k` and `top_p` are f32[]."""
    wide = logits.cast(f32)
    z = (wide - wide.amax(-1, keepdim=True)) / temperature
    weights, scores = z.exp(), z.maximum(_LEAST)
    if top_k is not None:
        weights = _kept(weights, scores, weights * 0 + 1, top_k)
    if top_p is not None:
        weights = _kept(weights, scores, weights, weights.sum(-1, keepdim=True) * top_p)
    sums = weights.cast(f64).cumsum(-1)
    total = sums[:, -1:]
    drawn = (sums <= total * uniform.cast(f64).unsqueeze(1)).sum(-1).cast(i64)
    return where(total.squeeze(1).isfinite(), drawn, -1)


def _kept(weights: Tensor, scores: Tensor, counts: Tensor, target: Tensor) -> Tensor:
    """Weights of the fewest best scores whose counts add up to `target`, 0 in the place of the others. The lowest score
    among them is found by bisection, which takes no sorting: above `low` the counts reach the target, above `high` they
    do not."""
    low = scores.amin(-1, keepdim=True) * 0 + _LEAST
    high = low * 0 + 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) * 0.5
        enough = where(scores >= middle, counts, 0.0).sum(-1, keepdim=True) >= target
        low, high = where(enough, middle, low), where(enough, high, middle)
    return where(scores >= low.minimum(0.0), weights, 0.0)  # the best, whose score is 0, stays in any case
