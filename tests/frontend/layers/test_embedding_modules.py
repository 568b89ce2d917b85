"""`nn.Embedding` and `nn.EmbeddingBag`: PyTorch's arguments, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn

TABLE = np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)
WORDS = np.array([[0, 2, 2], [6, 1, 2]])
SETTINGS: list[dict[str, Any]] = [
    {}, {"padding_idx": -5}, {"scale_grad_by_freq": True}, {"max_norm": 1.5}, {"max_norm": 1.0, "norm_type": 1.0},
]  # fmt: skip


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("compiled", [False, True])
def test_embedding_is_that_of_pytorch(settings: dict[str, Any], compiled: bool) -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.nn.Embedding(7, 4, **settings, _weight=torch.tensor(TABLE))
    expected = theirs(torch.tensor(WORDS))
    expected.square().sum().backward()
    ours = nn.Embedding(7, 4, **settings, _weight=tt.tensor(TABLE))
    assert ours.padding_idx == theirs.padding_idx
    run: Any = tt.compile(ours) if compiled else ours
    out = run(tt.tensor(WORDS))
    out.square().sum().backward()
    grad = ours.weight.grad
    assert grad is not None
    for found, wanted in ((out, expected), (ours.weight, theirs.weight), (grad, theirs.weight.grad)):
        np.testing.assert_allclose(found.detach().numpy(), wanted.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_embedding_begins_with_unit_variance_and_takes_tables() -> None:
    layer = nn.Embedding(500, 40, padding_idx=3)
    assert isinstance(layer, tt.Embedding) and abs(layer.weight.numpy().std() - 1) < 0.03
    assert not layer.weight.numpy()[3].any() and (layer.num_embeddings, layer.embedding_dim) == (500, 40)
    table = nn.Embedding.from_pretrained(tt.tensor(TABLE))
    assert not table.weight.requires_grad and list(table.state_dict()) == ["weight"]
    np.testing.assert_array_equal(table(tt.tensor(WORDS)).numpy(), TABLE[WORDS])
    assert nn.Embedding.from_pretrained(tt.tensor(TABLE), freeze=False).weight.requires_grad
    assert nn.Embedding(num_embeddings=2, embedding_dim=3, dtype=tt.float64).weight.dtype == tt.float64
    flat = tt.Embedding(5, 6, None, tt.float64)
    assert flat.weight.dtype == tt.float64 and tt.Embedding(vocab_size=5, embed_dim=6).weight.shape == (5, 6)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: nn.Embedding(0, 2), "num_embeddings is a positive integer"),
        (lambda: nn.Embedding(3, 2, padding_idx=3), "padding_idx is one of 3 rows"),
        (lambda: nn.Embedding(3, 2, sparse=True), "sparse is False"),
        (lambda: nn.Embedding(3, 2, max_norm=-1.0), "max_norm is a positive number"),
        (lambda: nn.Embedding(3, 2, _weight=tt.zeros(2, 3)), r"_weight is floats \[3, 2\]"),
        (lambda: nn.Embedding.from_pretrained(tt.zeros(3)), "embeddings are"),
        (lambda: nn.EmbeddingBag(3, 2, mode="min"), 'mode is "sum"'),
        (lambda: nn.EmbeddingBag(3, 2)(tt.tensor([0, 1])), "a vector with offsets"),
        (lambda: nn.EmbeddingBag(3, 2)(tt.tensor([[0, 3]])), "index 3 is out of range"),
        (lambda: nn.EmbeddingBag(3, 2)(tt.tensor([0, 1]), tt.tensor([1])), "offsets is 0 at first"),
        (lambda: nn.EmbeddingBag(3, 2)(tt.tensor([[0]]), None, tt.ones(1, 1)), 'mode is then "sum"'),
    ],
)
def test_what_makes_no_embedding_is_refused(call: Any, says: str) -> None:
    with pytest.raises((tt.TinyTorchError, IndexError), match=says):
        call()


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_bags_by_numpy(mode: str) -> None:
    reduce = getattr(np, mode)
    bag: Any = nn.EmbeddingBag.from_pretrained(tt.tensor(TABLE), mode=mode, padding_idx=6)
    rows = [TABLE[[0, 2, 2]], TABLE[[1, 2]]]
    wanted = np.stack([reduce(r, 0) for r in rows])
    np.testing.assert_allclose(bag(tt.tensor(WORDS)).numpy(), wanted, rtol=1e-5)
    flat, offsets = tt.tensor(WORDS.reshape(-1)), tt.tensor([0, 3, 3])
    wanted = np.stack([wanted[0], np.zeros(4, np.float32), wanted[1]])
    for run in (bag, tt.compile(bag)):
        np.testing.assert_allclose(run(flat, offsets).numpy(), wanted, rtol=1e-5)


def test_bags_of_weighted_rows_have_gradients() -> None:
    bag, share = nn.EmbeddingBag(7, 4, mode="sum", include_last_offset=True), tt.tensor([1.0, 2, 3]).requires_grad_()
    out = bag(tt.tensor([5, 5, 0]), tt.tensor([0, 2, 3]), share)
    out.sum().backward()
    table = bag.weight.detach().numpy()
    np.testing.assert_allclose(out.detach().numpy(), np.stack([3 * table[5], 3 * table[0]]), rtol=1e-5)
    assert share.grad is not None and bag.weight.grad is not None
    np.testing.assert_allclose(share.grad.numpy(), table[[5, 5, 0]].sum(1), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(bag.weight.grad.numpy()[[5, 0, 1], 0], [3, 3, 0])
