"""Attention in PyTorch's layout: state, masks, layouts of operands, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn

Q = np.random.default_rng(0).normal(size=(3, 5, 8)).astype(np.float32)
LATER, LAST = np.triu(np.ones((5, 5), bool), 1), np.eye(5, dtype=bool)[[4, 4, 4]] & np.array([[True], [False], [False]])


@pytest.mark.parametrize("width", [None, 6])
@pytest.mark.parametrize("compiled", [False, True])
def test_values_by_a_formula(width: int | None, compiled: bool) -> None:
    layer = nn.MultiheadAttention(8, 2, kdim=width, vdim=width, batch_first=True)
    state = {name: tensor.numpy() for name, tensor in layer.state_dict().items()}
    other = Q[..., : width or 8]
    names = ["q_proj_weight", "k_proj_weight", "v_proj_weight"]
    parts = [state[n] for n in names] if width else np.split(state["in_proj_weight"], 3)
    q, k, v = (
        (x @ w.T).reshape(3, 5, 2, 4).transpose(0, 2, 1, 3) for x, w in zip((Q, other, other), parts, strict=True)
    )
    scores = np.where(LATER | LAST[:, None, None], -np.inf, q @ k.swapaxes(-1, -2) / 2)
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    expected = (weights @ v).transpose(0, 2, 1, 3).reshape(3, 5, 8) @ state["out_proj.weight"].T
    run: Any = tt.compile(layer) if compiled else layer
    given = [tt.tensor(x) for x in (Q, other, other)]
    masks = {"attn_mask": tt.tensor(LATER), "key_padding_mask": tt.tensor(LAST)}
    out, found = run(*given, **masks)
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.numpy(), weights.mean(1), rtol=1e-4, atol=1e-6)
    out, found = run(*given, **masks, need_weights=False)
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-4, atol=1e-5)
    assert found is None


@pytest.mark.parametrize(("bias", "zero"), [(True, False), (False, True), (True, True)])
def test_keys_that_every_query_sees_are_those_of_torch(bias: bool, zero: bool) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = (
        m.MultiheadAttention(8, 2, add_bias_kv=bias, add_zero_attn=zero, batch_first=True) for m in (nn, torch.nn)
    )
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict({name: tensor.numpy() for name, tensor in theirs.state_dict().items()})
    compiled: Any = tt.compile(ours)
    for masks in ({}, {"attn_mask": LATER, "key_padding_mask": LAST}):
        given, other = ({k: m.tensor(v) for k, v in masks.items()} for m in (tt, torch))
        for need in (True, False):
            expected = theirs(*[torch.tensor(Q)] * 3, **other, need_weights=need)
            for run in (ours, compiled):
                out, weights = run(*[tt.tensor(Q)] * 3, **given, need_weights=need)
                np.testing.assert_allclose(out.numpy(), expected[0].detach().numpy(), rtol=1e-5, atol=1e-6)
                if need:
                    np.testing.assert_allclose(weights.numpy(), expected[1].detach().numpy(), rtol=1e-5, atol=1e-6)


def test_layouts_and_what_is_refused() -> None:
    layer, x = nn.MultiheadAttention(8, 2), tt.tensor(Q)
    assert list(layer.state_dict()) == ["in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"]
    out, weights = layer(x, x, x)
    assert out.shape == (3, 5, 8) and weights.shape == (5, 3, 3)
    np.testing.assert_allclose(layer(x[:, 0], x[:, 0], x[:, 0])[0].numpy(), out[:, 0].detach().numpy(), atol=1e-6)
    assert layer(x, x, x, average_attn_weights=False)[1].shape == (5, 2, 3, 3)
    for call, says in (
        (lambda: nn.MultiheadAttention(8, 3), "embed_dim is a multiple of num_heads 3"),
        (lambda: layer(x, x, x, is_causal=True), "is_causal"),
        (lambda: layer(x, x, x, attn_mask=tt.zeros(2, 2)), r"attn_mask is \[3, 3\]"),
    ):
        with pytest.raises(tt.TinyTorchError, match=says):
            call()
