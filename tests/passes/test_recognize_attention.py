"""Attention is found as people write it, with the same numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinytorch as tt
from tests.execution import assert_near, compiled, expected
from tests.passes.attention_forms import (
    INF,
    LOWEST,
    QKV,
    B,
    D,
    E,
    Form,
    H,
    S,
    T,
    causal,
    normal,
    plain,
    stays,
    traced,
    training,
)
from tinytorch.ir.families.contract import CONTRACT
from tinytorch.ir.families.loop import LOOP
from tinytorch.ir.graph import Graph
from tinytorch.ir.kernels.family import Families, Family
from tinytorch.ir.ops.attention import attention, attention_grad
from tinytorch.passes.pipeline import CLEAN, kernel_passes, run_passes
from tinytorch.passes.recognize_attention import recognize_attention


def recognized(graph: Graph) -> Graph:
    return run_passes(graph, (CLEAN, recognize_attention, CLEAN), verify=True)[0]


def inputs(graph: Graph, arrays: tuple[np.ndarray, ...]) -> list[np.ndarray]:
    """The arrays, and states of random numbers behind them."""
    rest = graph.inputs[len(arrays) :]
    return [*arrays, *(np.arange(11, 13) if v.type.shape == (2,) else np.zeros(v.type.shape) for v in rest)]


def ops(graph: Graph) -> list[str]:
    return [node.op.name for node in graph.nodes]


def check(graph: Graph, arrays: tuple[np.ndarray, ...], gradients: int, machine: bool = False) -> Graph:
    """Attention and its gradients are found, no matrix of scores is left, and the numbers are what they were."""
    after = recognized(graph)
    names = ops(after)
    assert names.count("attention") == 1 and names.count("attention_grad") == gradients, f"{graph}\n{after}"
    assert not {"softmax", "exp", "dropout", "where"} & set(names), str(after)
    given = inputs(graph, arrays)
    wanted = expected(graph, given)
    assert_near(expected(after, given), wanted)
    if machine:
        assert_near(compiled(after, given), wanted)
    return after


def unscaled(q: Any, k: Any, v: Any) -> Any:
    return (q @ k.mT).softmax(-1) @ v


def scaled_query(q: Any, k: Any, v: Any) -> Any:
    return ((q * q.shape[-1] ** -0.5) @ k.mT).softmax(dim=3) @ v


def scaled_both(q: Any, k: Any, v: Any) -> Any:
    root = q.shape[-1] ** -0.25
    return ((q * root) @ (k * root).mT).softmax(-1) @ v


def einsum(q: Any, k: Any, v: Any) -> Any:
    w = (tt.einsum("bhid,bhjd->bhij", q, k) * q.shape[-1] ** -0.5).softmax(-1)
    return tt.einsum("bhij,bhjd->bhid", w, v)


def einsum_tokens_first(q: Any, k: Any, v: Any) -> Any:
    """[batch, tokens, heads, width] behind a transpose, as some keep it."""
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    w = (tt.einsum("bqhd,bkhd->bhqk", q, k) / 3.0).softmax(-1)
    return tt.einsum("bhqk,bkhd->bqhd", w, v).transpose(1, 2)


def batched_product(q: Any, k: Any, v: Any) -> Any:
    """Heads merged into the batch, as `bmm` needs them."""
    b, h, t, _ = q.shape
    q, k, v = (x.reshape(b * h, *x.shape[2:]) for x in (q, k, v))
    return ((q @ k.mT) * 0.25).softmax(-1).matmul(v).reshape(b, h, t, -1)


def merged_but_for_the_mask(q: Any, k: Any, v: Any) -> Any:
    b, h, t, _ = q.shape
    q, k, v = (x.reshape(b * h, *x.shape[2:]) for x in (q, k, v))
    s = (q @ k.mT).reshape(b, h, t, -1) * 0.25
    s = tt.where(causal(t, s.shape[-1]) == 0, -1e9, s).reshape(b * h, t, -1)
    return (s.softmax(-1) @ v).reshape(b, h, t, -1)


def nanogpt(q: Any, k: Any, v: Any) -> Any:
    s = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.shape[-1]))
    s = tt.where(causal(64, 64)[: q.shape[-2], : k.shape[-2]] == 0, -INF, s)
    return s.softmax(-1) @ v


def seen_first(q: Any, k: Any, v: Any) -> Any:
    s = q @ k.mT / 8**0.5
    return tt.where(causal(*s.shape[-2:]).bool(), s, LOWEST).softmax(-1) @ v


def counted(q: Any, k: Any, v: Any) -> Any:
    s = q @ k.mT * 0.5
    i, j = tt.arange(s.shape[-2]), tt.arange(s.shape[-1])
    return tt.where(j[None, :] > i[:, None], -INF, s).softmax(-1) @ v


def masked_before_scale(q: Any, k: Any, v: Any) -> Any:
    s = q @ k.mT
    return (tt.where(causal(*s.shape[-2:]) == 0, -INF, s) * 0.3).softmax(-1) @ v


def dropped(q: Any, k: Any, v: Any) -> Any:
    s = q @ k.mT * 0.4
    w = tt.where(causal(*s.shape[-2:]) == 0, -INF, s).softmax(-1)
    return tt.dropout(w, 0.3) @ v


def twice_scaled(q: Any, k: Any, v: Any) -> Any:
    return ((q @ k.mT) / 8**0.5 / 3.0).softmax(-1) @ v


def five_axes(q: Any, k: Any, v: Any) -> Any:
    q, k, v = (x.reshape(2, 1, *x.shape[1:]) for x in (q, k, v))
    return ((q @ k.mT) * 0.5).softmax(-1).matmul(v).reshape(2, 4, q.shape[-2], -1)


def result_transposed(q: Any, k: Any, v: Any) -> Any:
    return ((q @ k.mT * 0.5).softmax(-1) @ v).mT.contiguous().mT


def keys_first(q: Any, k: Any, v: Any) -> Any:
    """Of (k qᵀ)ᵀ."""
    return ((k @ q.mT).mT * 0.5).softmax(-1) @ v


def by_columns(q: Any, k: Any, v: Any) -> Any:
    """vᵀ wᵀ, as where features stand before places."""
    return (v.mT @ (q @ k.mT * 0.5).softmax(-1).mT).mT


FORMS = [
    plain, unscaled, scaled_query, scaled_both, einsum, einsum_tokens_first, batched_product, merged_but_for_the_mask,
    nanogpt, seen_first, counted, masked_before_scale, dropped, twice_scaled, five_axes, result_transposed, keys_first,
    by_columns,
]  # fmt: skip
CAUSAL = {merged_but_for_the_mask, nanogpt, seen_first, counted, masked_before_scale, dropped}


@pytest.mark.parametrize("form", FORMS, ids=lambda f: f.__name__)
def test_forms(form: Form) -> None:
    after = check(traced(form, *QKV), QKV, 0)
    (node,) = [n for n in after.nodes if n.op is attention]
    assert node.attrs["causal"] == (form in CAUSAL)
    assert node.attrs["extras"] == (("state",) if form is dropped else ()) and not node.attrs["zeros"]


@pytest.mark.parametrize("form", FORMS, ids=lambda f: f.__name__)
def test_gradients_of_forms(form: Form) -> None:
    arrays = (*QKV, normal(B, H, T, E, seed=3))
    check(traced(training(form, 3), *arrays, grad=(True,) * 3), arrays, 1, machine=True)


@pytest.mark.parametrize("wanted", [(True, False, False), (False, True, False), (False, False, True)])
def test_some_gradients(wanted: tuple[bool, ...]) -> None:
    arrays = (*QKV, normal(B, H, T, E, seed=3))

    def step(q: Any, k: Any, v: Any, g: Any) -> Any:
        (nanogpt(q, k, v) * g).sum().backward()
        return next(x.grad for x in (q, k, v) if x.grad is not None)

    if wanted == (False, False, True):
        stays(step, *arrays, grad=wanted)  # the weights are all that is read, and v is not there
    else:
        check(traced(step, *arrays, grad=wanted), arrays, 1)


def test_gradients_alone() -> None:
    """Nothing reads the result."""

    def step(q: Any, k: Any, v: Any, g: Any) -> Any:
        (dropped(q, k, v) * g).sum().backward()
        return q.grad, k.grad, v.grad

    arrays = (*QKV, normal(B, H, T, E, seed=3))
    check(traced(step, *arrays, grad=(True,) * 3), arrays, 1)


def test_two_losses() -> None:
    def step(q: Any, k: Any, v: Any, g: Any) -> Any:
        y = plain(q, k, v)
        first = tt.grad(lambda q: (plain(q, k, v) * g * g).sum())(q)
        (y * g).sum().backward()
        return y, first, q.grad, k.grad, v.grad

    arrays = (*QKV, normal(B, H, T, E, seed=3))
    check(traced(step, *arrays, grad=(True,) * 3), arrays, 2)


# Masks that are operands.
def padding(q: Any, k: Any, v: Any, mask: Any) -> Any:
    """[batch, keys]: true for words."""
    s = q @ k.mT * 0.5
    return tt.where(mask[:, None, None, :], s, -1e9).softmax(-1) @ v


def padding_and_causal(q: Any, k: Any, v: Any, mask: Any) -> Any:
    s = q @ k.mT * 0.5
    s = tt.where(causal(*s.shape[-2:]) == 0, -INF, s)
    return tt.where(mask[:, None, None, :], s, -INF).softmax(-1) @ v


def bert(q: Any, k: Any, v: Any, mask: Any) -> Any:
    s = q @ k.mT / math.sqrt(8)
    return (s + (1.0 - mask[:, None, None, :].float()) * LOWEST).softmax(-1) @ v


def subtracted(q: Any, k: Any, v: Any, mask: Any) -> Any:
    return (q @ k.mT * 0.5 - 1e9 * (~mask[:, None, None, :]).float()).softmax(-1) @ v


def added_and_causal(q: Any, k: Any, v: Any, mask: Any) -> Any:
    s = q @ k.mT * 0.5 + mask[:, None, None, :].float()
    return tt.where(causal(*s.shape[-2:]) == 0, -INF, s).softmax(-1) @ v


MASK = np.arange(S) < np.array([[S], [4]])


@pytest.mark.parametrize("form", [padding, padding_and_causal, bert, subtracted, added_and_causal])
def test_masks(form: Form) -> None:
    after = check(traced(form, *QKV, MASK), (*QKV, MASK), 0)
    (node,) = [n for n in after.nodes if n.op is attention]
    assert node.attrs["extras"] == ("mask",) and node.attrs["causal"] == ("causal" in form.__name__)
    arrays = (*QKV, MASK, normal(B, H, T, E, seed=3))
    check(traced(training(form, 3), *arrays, grad=(True,) * 3), arrays, 1, machine=form is padding_and_causal)


def test_learned_bias_without_its_gradient() -> None:
    arrays = (*QKV, normal(H, T, S, seed=5))
    check(traced(lambda q, k, v, bias: (q @ k.mT + bias).softmax(-1) @ v, *arrays), arrays, 0)


# One head, fewer groups than heads, by hand to the end.
def test_single_head() -> None:
    def head(x: Any, key: Any, query: Any, value: Any) -> Any:
        k, q, v = x @ key, x @ query, x @ value
        s = q @ k.transpose(-2, -1) * 8**-0.5
        return tt.where(causal(T, T) == 0, -INF, s).softmax(-1) @ v

    arrays = (normal(B, T, 12), *(normal(12, 8, seed=i) for i in range(3)), normal(B, T, 8))
    after = check(traced(training(head, 4), *arrays, grad=(True,) * 4), arrays, 1)
    assert next(n for n in after.nodes if n.op is attention).attrs["causal"]


def test_matrices() -> None:
    arrays = normal(T, D), normal(S, D), normal(S, E)
    check(traced(plain, *arrays), arrays, 0)


def repeat_heads(x: Any, times: int) -> Any:
    b, g, t, d = x.shape
    return x[:, :, None].expand(b, g, times, t, d).reshape(b, g * times, t, d)


def repeat_tokens_first(x: Any, times: int) -> Any:
    x = x.transpose(1, 2)
    b, t, g, d = x.shape
    return x[:, :, :, None, :].expand(b, t, g, times, d).reshape(b, t, g * times, d).transpose(1, 2)


@pytest.mark.parametrize("repeat", [repeat_heads, repeat_tokens_first])
@pytest.mark.parametrize("groups", [1, 2])
def test_repeated_heads(repeat: Form, groups: int) -> None:
    def grouped(q: Any, k: Any, v: Any) -> Any:
        return plain(q, repeat(k, H // groups), repeat(v, H // groups))

    arrays = normal(B, H, T, D), normal(B, groups, S, D), normal(B, groups, S, E), normal(B, H, T, E)
    for graph, operands in (
        (traced(grouped, *arrays[:3]), arrays[:3]),
        (traced(training(grouped, 3), *arrays, grad=(True,) * 3), arrays),
    ):
        after = check(graph, operands, len(operands) - 3, machine=True)
        for node in after.nodes:
            if node.op in (attention, attention_grad):
                assert node.inputs[1].type.shape[1] == node.inputs[2].type.shape[1] == groups


def by_hand(q: Any, k: Any, v: Any) -> Any:
    s = q @ k.mT * 0.5
    e = (s - s.amax(dim=-1, keepdim=True)).exp()
    return (e / e.sum(dim=-1, keepdim=True)) @ v


def by_hand_reciprocal(q: Any, k: Any, v: Any) -> Any:
    s = q @ k.mT * 0.5
    e = (s - s.amax(dim=-1, keepdim=True)).exp()
    return (e * (1.0 / e.sum(dim=-1, keepdim=True))) @ v


@pytest.mark.parametrize("form", [by_hand, by_hand_reciprocal])
def test_softmax_by_hand(form: Form) -> None:
    check(traced(form, *QKV), QKV, 0)


# Infinities and NaN: what eager gives, in results and gradients.
SPECIAL = [INF, -INF, math.nan]


@pytest.mark.parametrize("form", [plain, nanogpt, seen_first])
@pytest.mark.parametrize("operand", [0, 1, 2])
@pytest.mark.parametrize("value", SPECIAL)
def test_special_numbers(form: Form, operand: int, value: float) -> None:
    arrays = [a.copy() for a in (*QKV, normal(B, H, T, E, seed=3))]
    arrays[operand][1, 2, 3, 4] = value
    check(traced(training(form, 3), *arrays, grad=(True,) * 3), tuple(arrays), 1, machine=True)


@pytest.mark.parametrize("form", [padding, padding_and_causal, bert, subtracted])
@pytest.mark.parametrize("value", SPECIAL)
def test_special_numbers_behind_masks(form: Form, value: float) -> None:
    """In keys that are masked, and in a row of the batch that is masked entirely."""
    mask = MASK.copy()
    mask[0] = False
    arrays = [a.copy() for a in (*QKV, mask, normal(B, H, T, E, seed=3))]
    arrays[1][1, 2, 5, 4] = value
    check(traced(form, *arrays[:4]), tuple(arrays[:4]), 0, machine=True)
    if form is padding_and_causal:
        check(traced(training(form, 3), *arrays, grad=(True,) * 3), tuple(arrays), 1, machine=True)


@pytest.mark.parametrize("value", SPECIAL)
def test_special_additive_masks(value: float) -> None:
    bias = normal(H, T, S, seed=5)
    bias[1, 2, 3], bias[2, 1] = value, value
    arrays = (*QKV, bias)
    check(traced(lambda q, k, v, m: (q @ k.mT + m).softmax(-1) @ v, *arrays), arrays, 0, machine=True)


def test_only_where_a_family_keeps_the_op() -> None:
    whole = Family("attention", lambda kernel: None, ops=frozenset({attention, attention_grad}))
    arrays = (*QKV, normal(B, H, T, E, seed=3))
    graph = traced(training(dropped, 3), *arrays, grad=(True,) * 3)
    for families, found in ((Families(LOOP, CONTRACT, whole), 2), (Families(LOOP, CONTRACT), 0)):
        after, _ = run_passes(graph, kernel_passes(families=families))
        assert [n.attrs.get("family") for n in after.nodes].count("attention") == found


@settings(max_examples=40)
@given(st.data())
def test_random_variants(data: st.DataObject) -> None:
    """Where the scale is, which mask, dropout, layout: recognized, with the numbers and gradients of eager."""

    def draw(*choices: Any) -> Any:
        return data.draw(st.sampled_from(choices))

    scale, on = draw(None, 0.3, 0.125, 1 / 3), draw("q", "k", "scores", "divided")
    mask, fill, first = draw("none", "causal", "padding", "both", "added"), draw(-INF, -1e9, LOWEST), draw(True, False)
    p, layout, groups = draw(0.0, 0.25), draw("heads", "tokens", "merged", "single"), draw(H, 2, 1)
    b, t, s = draw(1, 2), draw(2, 5), draw(2, 6)
    heads = 1 if layout == "single" else H
    groups = heads if layout in ("single", "merged") else groups

    def form(q: Any, k: Any, v: Any, seen: Any, bias: Any) -> Any:
        if layout == "tokens":
            q, k, v = (x.transpose(1, 2).contiguous().transpose(1, 2) for x in (q, k, v))
        if groups < heads:
            k, v = repeat_heads(k, heads // groups), repeat_heads(v, heads // groups)
        if layout in ("merged", "single"):
            q, k, v = (x.reshape(-1, *x.shape[2:]) for x in (q, k, v))
        if scale and on == "q":
            q = q * scale
        if scale and on == "k":
            k = k * scale
        x = q @ k.mT
        if scale and on in ("scores", "divided"):
            x = x * scale if on == "scores" else x / (1 / scale)
        shape = x.shape
        x = x.reshape(b, heads, t, s)
        if mask == "added":
            x = x + bias
        if mask in ("causal", "both"):
            hidden = causal(t, s) == 0
            x = tt.where(hidden, fill, x) if first else tt.where(~hidden, x, fill)
        if mask in ("padding", "both"):
            x = tt.where(seen, x, fill)
        w = x.reshape(shape).softmax(-1)
        w = tt.dropout(w, p) if p else w
        return (w @ v).reshape(b, heads, t, E)

    seen = np.random.default_rng(b + t).random((b, 1, 1, s)) < 0.7
    q, k, v = normal(b, heads, t, D), normal(b, groups, s, D, seed=1), normal(b, groups, s, E, seed=2)
    arrays = (q, k, v, seen, normal(heads, t, s), normal(b, heads, t, E, seed=3))
    check(traced(form, *arrays[:-1]), arrays[:-1], 0)
    check(traced(training(form, 3), *arrays, grad=(True,) * 3), arrays, 1)
