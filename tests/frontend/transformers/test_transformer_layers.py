"""Layers of the first transformer against PyTorch's, from its state dicts; and by a formula."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn

RANDOM = np.random.default_rng(0)
SRC = RANDOM.normal(size=(3, 5, 8)).astype(np.float32)  # batch first
TGT = RANDOM.normal(size=(3, 4, 8)).astype(np.float32)
LATER = np.triu(np.ones((5, 5), bool), 1)
LAST = np.zeros((3, 5), bool)
LAST[1, 3:] = True

SETTINGS: list[dict[str, Any]] = [
    {"batch_first": True, "norm_first": True, "activation": "gelu"},
    {"bias": False, "layer_norm_eps": 1e-2},
]


def same(module: Any, state: Any, *given: Any, compiled: bool = False, **masks: Any) -> list[Any]:
    """Results and gradients of ours, with PyTorch's state."""
    module.load_state_dict({name: tt.tensor(value.numpy()) for name, value in state.items()})
    x = tt.tensor(given[0]).requires_grad_()
    run = tt.compile(module) if compiled else module
    out = run(x, *(tt.tensor(g) for g in given[1:]), **{k: tt.tensor(m) for k, m in masks.items()})
    (out * out).sum().backward()
    return [out, x.grad, *(p.grad for p in module.parameters())]


@pytest.mark.parametrize(
    ("setting", "mode", "kind"),
    [
        (0, "train", "encoder"), (1, "train", "decoder"), (0, "eval", "both"), (1, "train", "both"),
        (0, "compiled", "both"),
    ],
)  # fmt: skip
def test_values_and_gradients_are_those_of_pytorch(setting: int, mode: str, kind: str) -> None:
    torch = pytest.importorskip("torch")
    settings = SETTINGS[setting]
    torch.manual_seed(0)
    warnings.simplefilter("ignore")

    def made(of: Any) -> Any:
        sizes = (8, 2, *((2, 1) if kind == "both" else ()), 12)
        if kind == "encoder":
            layer = of.TransformerEncoderLayer(*sizes, dropout=0.0, **settings)
            return of.TransformerEncoder(layer, 2, of.LayerNorm(8))
        if kind == "decoder":
            return of.TransformerDecoder(of.TransformerDecoderLayer(*sizes, dropout=0.0, **settings), 2)
        return of.Transformer(*sizes, dropout=0.0, **settings)

    theirs, ours = made(torch.nn), made(nn)
    for module in (theirs, ours):
        module.train(mode != "eval")
    given = {"encoder": [SRC], "decoder": [TGT, SRC], "both": [SRC, TGT]}[kind]
    masks = {
        "encoder": {"mask": LATER, "src_key_padding_mask": LAST},
        "decoder": {"tgt_mask": LATER[:4, :4], "memory_key_padding_mask": LAST},
        "both": {"src_mask": LATER, "tgt_mask": LATER[:4, :4], "memory_key_padding_mask": LAST},
    }[kind]
    if not settings.get("batch_first"):
        given = [x.swapaxes(0, 1).copy() for x in given]
    x = torch.tensor(given[0], requires_grad=True)
    out = theirs(x, *map(torch.tensor, given[1:]), **{k: torch.tensor(m) for k, m in masks.items()})
    (out * out).sum().backward()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    wanted = [out, x.grad, *(p.grad for p in theirs.parameters())]
    found = same(ours, theirs.state_dict(), *given, compiled=mode == "compiled", **masks)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-3, atol=2e-4)


def test_a_layer_is_its_parts() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    x = tt.tensor(SRC)
    h = layer.norm1(x + layer.self_attn(x, x, x)[0])
    wanted = layer.norm2(h + layer.linear2(layer.linear1(h).relu())).detach().numpy()
    np.testing.assert_allclose(layer(x).detach().numpy(), wanted, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(layer(x[0]).detach().numpy(), wanted[0], rtol=1e-5, atol=1e-5)
    assert abs(layer.train()(x).detach().numpy() - wanted).max() > 0.01  # of dropout
    stack = nn.TransformerEncoder(layer, 2)
    names = [name for name, _ in stack.named_parameters()]
    assert len(names) == 24 and names[0] == "layers.0.self_attn.in_proj_weight"
    assert stack.layers[0] is not stack.layers[1]


def test_the_mask_and_what_is_refused() -> None:
    mask = nn.Transformer.generate_square_subsequent_mask(3).numpy()
    np.testing.assert_array_equal(mask, np.triu(np.full((3, 3), -np.inf), 1).astype(np.float32))
    model = nn.Transformer(8, 2, 1, 1, 8, batch_first=True)
    src, tgt = tt.tensor(SRC), tt.tensor(TGT)
    for call, says in (
        (lambda: nn.TransformerEncoderLayer(8, 3), "embed_dim is a multiple of num_heads 3"),
        (lambda: nn.TransformerEncoderLayer(8, 2, activation="tanh"), 'activation is "relu" or "gelu"'),
        (lambda: nn.TransformerEncoderLayer(8, 2, activation=math.tanh)(tt.ones(2, 3, 8)), "math take numbers"),
        (lambda: nn.TransformerEncoderLayer(8, 2, activation=str.upper)(tt.ones(2, 3, 8)), "a function of tensors"),
        (lambda: nn.TransformerEncoderLayer(8, 2, activation=len)(tt.ones(2, 3, 8)), "a tensor, got 2"),
        (lambda: nn.TransformerEncoder(3, 2), "the layer is a Module"),  # pyright: ignore[reportArgumentType]
        (lambda: model(src, tgt[:2]), "of one batch"),
        (lambda: model(src, tgt[..., :4]), "the last axes of src and tgt are 8"),
        (lambda: model.encoder(src, is_causal=True), "is_causal"),
    ):
        with pytest.raises(tt.TinyTorchError, match=says):
            call()
