"""What looks like attention and is something else stays as it is."""

from __future__ import annotations

from typing import Any

import pytest

import tinytorch as tt
from tests.passes.attention_forms import INF, QKV, B, E, Form, H, S, T, causal, normal, plain, stays, training


def test_weights_that_are_returned_stay() -> None:
    def both(q: Any, k: Any, v: Any) -> Any:
        w = (q @ k.mT).softmax(-1)
        return w @ v, w

    stays(both, *QKV)


def over_queries(q: Any, k: Any, v: Any) -> Any:
    return (q @ k.mT).softmax(-2) @ v


def masked_behind(q: Any, k: Any, v: Any) -> Any:
    s = q @ k.mT
    return tt.where(causal(*s.shape[-2:]) == 0, 0.0, s.softmax(-1)) @ v


def added_behind(q: Any, k: Any, v: Any) -> Any:
    return ((q @ k.mT).softmax(-1) + 0.1) @ v


def two_softmaxes(q: Any, k: Any, v: Any) -> Any:
    return (q @ k.mT).softmax(-1).softmax(-1) @ v


def two_values(q: Any, k: Any, v: Any) -> Any:
    w = (q @ k.mT).softmax(-1)
    return w @ v + w @ (v * 2.0)


def two_fills(q: Any, k: Any, v: Any) -> Any:
    s = tt.where(causal(T, S) == 0, -INF, q @ k.mT)
    return tt.where(causal(T, S) == 0, -1e9, s).softmax(-1) @ v


def scaled_behind_mask(q: Any, k: Any, v: Any) -> Any:
    return ((q @ k.mT + tt.arange(S).float()) * 0.5).softmax(-1) @ v


def added_behind_fill(q: Any, k: Any, v: Any) -> Any:
    return (tt.where(causal(T, S) == 0, -1e9, q @ k.mT) + tt.arange(S).float()).softmax(-1) @ v


def negative_scale_of_fill(q: Any, k: Any, v: Any) -> Any:
    return (tt.where(causal(T, S) == 0, INF, q @ k.mT) * -0.5).softmax(-1) @ v


def temperature(q: Any, k: Any, v: Any) -> Any:
    return (q @ k.mT / q.sum().exp()).softmax(-1) @ v


def no_maximum(q: Any, k: Any, v: Any) -> Any:
    e = (q @ k.mT).exp()
    return (e / e.sum(dim=-1, keepdim=True)) @ v


def no_product(q: Any, k: Any, v: Any) -> Any:
    return (q[..., :S] * 2.0).softmax(-1) @ v


def renormalized(q: Any, k: Any, v: Any) -> Any:
    w = tt.dropout((q @ k.mT).softmax(-1), 0.5)
    return (w / w.sum(dim=-1, keepdim=True)) @ v


def dropped_twice(q: Any, k: Any, v: Any) -> Any:
    return tt.dropout(tt.dropout((q @ k.mT).softmax(-1), 0.5), 0.5) @ v


def dropped_transposed(q: Any, k: Any, v: Any) -> Any:
    """Other weights are kept: the order of elements decides."""
    return tt.dropout((q @ k.mT).softmax(-1).mT, 0.5).mT @ v


STAY = [
    over_queries, masked_behind, added_behind, two_softmaxes, two_values, two_fills, scaled_behind_mask,
    added_behind_fill, negative_scale_of_fill, temperature, no_maximum, no_product, renormalized, dropped_twice,
    dropped_transposed,
]  # fmt: skip


@pytest.mark.parametrize("form", STAY, ids=lambda f: f.__name__)
def test_others_stay(form: Form) -> None:
    wide = (normal(B, H, T, S), normal(B, H, S, S, seed=1), normal(B, H, S, E, seed=2))
    stays(form, *wide)
    stays(training(form, 3), *wide, normal(B, H, T, E), grad=(True,) * 3)


def test_gradients_of_a_bias_need_the_scores() -> None:
    def biased(q: Any, k: Any, v: Any, bias: Any) -> Any:
        return (q @ k.mT + bias).softmax(-1) @ v

    arrays = (*QKV, normal(H, T, S, seed=5), normal(B, H, T, E))
    stays(training(biased, 4), *arrays, grad=(True,) * 4)


def test_weights_that_a_loss_reads() -> None:
    def step(q: Any, k: Any, v: Any, g: Any) -> Any:
        w = (q @ k.mT).softmax(-1)
        ((w @ v * g).sum() + (w * w).sum()).backward()
        return q.grad, k.grad, v.grad

    stays(step, *QKV, normal(B, H, T, E), grad=(True,) * 3)


def test_halves_stay() -> None:
    """Their scores are rounded, and may overflow."""
    stays(lambda *qkv: plain(*(x.to(tt.f16) for x in qkv)), *QKV)
