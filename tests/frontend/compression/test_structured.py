"""Channels, neurons and heads taken out: what goes together, and that what is left computes what it should."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn, optim


def randomized(model: nn.Module, seed: int = 0) -> nn.Module:
    """With parameters and statistics that all matter."""
    rng = np.random.default_rng(seed)
    for name, t in [*model.named_parameters(), *model.named_buffers()]:
        if t.dtype.is_float:
            positive = "var" in name
            t.data = (rng.random(t.shape) + 0.5 if positive else 0.5 * rng.standard_normal(t.shape)).astype(np.float32)
    return model


def images(*shape: int, seed: int = 1) -> tt.Tensor:
    return tt.tensor(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


class Residual(nn.Module):
    """A residual, a depthwise convolution, a concatenation, grouped channels, pooling over all places."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.inner = nn.Conv2d(8, 12, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(12)
        self.outer = nn.Conv2d(12, 8, 1)
        self.depthwise = nn.Conv2d(8, 8, 3, groups=8, padding=1)
        self.grouped = nn.Conv2d(16, 12, 3, groups=4)
        self.head = nn.Linear(12, 3)

    def forward(self, x: tt.Tensor) -> tt.Tensor:
        x = self.first(x).relu()
        x = x + self.outer(self.norm(self.inner(x)).sigmoid())
        x = tt.cat([x, self.depthwise(x)], 1)
        return self.head(self.grouped(x).relu().mean((2, 3)))


class Dense(nn.Module):
    """Each layer reads all before it."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(2 + 3 * i, 3, 3, padding=1) for i in range(3))
        self.head = nn.Conv2d(11, 2, 1)

    def forward(self, x: tt.Tensor) -> tt.Tensor:
        for layer in self.layers:
            x = tt.cat([x, layer(x).tanh()], 1)
        return self.head(x)


class Attention(nn.Module):
    """As users write it, with sizes of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.heads, self.width = 4, 3
        self.qkv, self.out = nn.Linear(10, 36), nn.Linear(12, 10)

    def forward(self, x: tt.Tensor) -> tt.Tensor:
        b, t, _ = x.shape
        q, k, v = self.qkv(x).reshape(b, t, 3, self.heads, self.width).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1) * self.width**-0.5).softmax(-1)
        return x + self.out((weights @ v).transpose(1, 2).reshape(b, t, -1))


class Gated(nn.Module):
    """Halves of one product that meet, and a squeeze that scales channels."""

    def __init__(self) -> None:
        super().__init__()
        self.both, self.down, self.up = nn.Linear(10, 24), nn.Linear(12, 4), nn.Linear(4, 12)
        self.out = nn.Linear(12, 3)

    def forward(self, x: tt.Tensor) -> tt.Tensor:
        a, b = self.both(x).chunk(2, -1)
        h = a * b.sigmoid()
        return self.out(h * self.up(self.down(h).relu()).sigmoid())


class Flat(nn.Module):
    """A size that is an attribute, or a literal."""

    def __init__(self, literal: bool) -> None:
        super().__init__()
        self.literal, self.flat = literal, 8 * 16
        self.first, self.second = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 8, 3)
        self.hidden, self.out = nn.Linear(128, 10), nn.Linear(10, 3)

    def forward(self, x: tt.Tensor) -> tt.Tensor:
        x = self.second(self.first(x).relu()).relu()
        return self.out(self.hidden(x.reshape(-1, 128 if self.literal else self.flat)).relu())


class Recurrent(nn.Module):
    """Layers of an LSTM, and a cell of a GRU over its outputs; heads behind."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(11, 8)
        self.layers = nn.LSTM(8, 6, num_layers=2, batch_first=True)
        self.cell, self.head = nn.GRUCell(6, 10), nn.Linear(10, 3)

    def forward(self, x: tt.Tensor) -> tt.Tensor:
        found, _ = self.layers(self.table(x))
        h = self.cell(found[:, 0])
        return self.head(self.cell(found[:, -1], h))


def plain() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 6, 3), nn.Flatten(),
        nn.Linear(54, 20), nn.BatchNorm1d(20), nn.GELU(), nn.Linear(20, 5),
    )  # fmt: skip


def norms() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.GroupNorm(4, 8), nn.PReLU(8), nn.ConvTranspose2d(8, 6, 3, stride=2),
        nn.InstanceNorm2d(6, affine=True), nn.AvgPool2d(2), nn.Upsample(scale_factor=2), nn.Conv2d(6, 2, 1),
    )  # fmt: skip


def gpt(**options: object) -> tt.GPT:
    return tt.GPT(11, 16, 2, 4, context_length=8, **options)


def tokens() -> tt.Tensor:
    return tt.tensor(np.random.default_rng(0).integers(0, 11, (2, 8)))


CASES: dict[str, tuple[Callable[[], nn.Module], Callable[[], tt.Tensor]]] = {
    "plain": (plain, lambda: images(2, 3, 10, 10)),
    "residual": (Residual, lambda: images(2, 3, 6, 6)),
    "dense": (Dense, lambda: images(1, 2, 5, 5)),
    "attention": (Attention, lambda: images(2, 5, 10)),
    "gated": (Gated, lambda: images(3, 10)),
    "flat": (lambda: Flat(False), lambda: images(2, 1, 8, 8)),
    "norms": (norms, lambda: images(1, 3, 9, 9)),
    "gpt": (gpt, tokens),
    "gpt with shared keys": (lambda: gpt(num_kv_heads=2, positions="rotary", norm="rms", qk_norm=True), tokens),
    "recurrent": (Recurrent, tokens),
    "encoder": (lambda: nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), lambda: images(2, 5, 16)),
}


def output(model: nn.Module, x: tt.Tensor) -> np.ndarray:
    model.eval()
    with tt.no_grad():
        return model(x).numpy()


def units_of(model: nn.Module, example: tt.Tensor) -> list[tt.ChannelGroup]:
    return [group for group in tt.channel_groups(model, example) if group.units]


def masked(model: nn.Module, example: tt.Tensor, share: float) -> nn.Module:
    """The model with those channels set to 0 that have the smallest norm in their group."""
    found, weights = copy.deepcopy(model), {n: p.numpy() for n, p in model.named_parameters()}
    for group in units_of(model, example):
        matrices = [(n, axis) for n, axis in group.places if n in weights and weights[n].ndim > 1]
        squares = [sum((np.take(weights[n], unit[n, a], a) ** 2).sum() for n, a in matrices) for unit in group.units]
        for i in np.argsort(squares)[: min(round(share * len(squares)), len(squares) - 1)]:
            for (name, axis), at in group.units[i].items():
                if name in weights:
                    dict(found.named_parameters())[name].numpy()[(slice(None),) * axis + (at,)] = 0
    return found


@pytest.mark.parametrize("name", CASES)
def test_the_smaller_model_computes_what_the_masked_one_does(name: str) -> None:
    make, data = CASES[name]
    model, x = randomized(make()), data()
    before = {n: t.numpy().copy() for n, t in model.state_dict().items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pruned = tt.prune_channels(model, x, 0.5)
    sizes = [sum(p.numel() for p in m.parameters()) for m in (model, pruned)]
    assert sizes[1] < (0.8 if "gpt" in name else 0.6) * sizes[0]
    assert all(np.array_equal(t.numpy(), before[n]) for n, t in model.state_dict().items())
    wanted = output(masked(model, x, 0.5), x)
    assert np.abs(wanted - output(model, x)).max() > 1e-3
    for run in (pruned, tt.compile(pruned), tt.compile(pruned, freeze=True)):
        np.testing.assert_allclose(output(run, x), wanted, rtol=1e-4, atol=1e-5)


def layer_of(kind: str, width: int, other: int) -> tuple[nn.Module, int]:
    """A layer for images of `width` channels, and how many it makes; one of `other` channels is there to be joined."""
    if kind == "shuffle" and width % 4 == 0:
        return nn.Sequential(nn.PixelShuffle(2), nn.AvgPool2d(2)), width // 4
    return {
        "conv": (nn.Conv2d(width, 6, 3, padding=1), 6),
        "sum": (nn.Conv2d(width, other, 1, bias=False), other),
        "depthwise": (nn.Conv2d(width, 2 * width, 3, padding=1, groups=width), 2 * width),
        "grouped": (nn.Conv2d(width, 8, 3, padding=1, groups=2 - width % 2), 8),
        "cat": (nn.Tanh(), width + other),
        "norm": (nn.Sequential(nn.BatchNorm2d(width), nn.SiLU()), width),
        "pool": (nn.MaxPool2d(3, 1, 1), width),
        "shuffle": (nn.ReLU(), width),
    }[kind]


class Random(nn.Module):
    """Layers in a random order, joined with what came before by sums and concatenations."""

    def __init__(self, rng: np.random.Generator) -> None:
        super().__init__()
        kinds = ["conv", "sum", "depthwise", "grouped", "cat", "norm", "pool", "shuffle"]
        self.steps = [(str(rng.choice(kinds)), int(rng.integers(i + 1))) for i in range(6)]
        self.layers, widths = nn.ModuleList([nn.Conv2d(2, 4, 3, padding=1)]), [4]
        for kind, other in self.steps:
            layer, width = layer_of(kind, widths[-1], widths[other])
            self.layers.append(layer)
            widths.append(width)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(widths[-1] * 16, 7), nn.GELU(), nn.Linear(7, 3))

    def forward(self, x: tt.Tensor) -> tt.Tensor:
        seen = [self.layers[0](x)]
        for layer, (kind, other) in zip(self.layers[1:], self.steps, strict=True):
            y = layer(seen[-1])
            seen.append(y + seen[other] if kind == "sum" else tt.cat([seen[other], y], 1) if kind == "cat" else y)
        return self.head(seen[-1])


@pytest.mark.parametrize("seed", range(20))
def test_random_networks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    model, x = randomized(Random(rng), seed), images(1, 2, 4, 4)
    share = float(rng.choice([0.2, 0.5, 0.8]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pruned = tt.prune_channels(model, x, share)
    assert sum(p.numel() for p in pruned.parameters()) < sum(p.numel() for p in model.parameters())
    np.testing.assert_allclose(output(pruned, x), output(masked(model, x, share), x), rtol=1e-3, atol=1e-3)


def test_half_of_everything_is_a_quarter_of_the_weights_and_attributes_follow() -> None:
    model = tt.prune_channels(plain(), images(2, 3, 10, 10), 0.5)
    assert [p.shape for p in model.parameters() if p.ndim > 1] == [(4, 3, 3, 3), (3, 4, 3, 3), (10, 27), (5, 10)]
    assert (model[0].out_channels, model[1].num_features, model[4].in_channels, model[4].out_channels) == (4, 4, 4, 3)
    assert (model[6].in_features, model[6].out_features, model[7].num_features) == (27, 10, 10)
    assert model[1].running_mean.shape == (4,) and model[9].out_features == 5
    small = tt.prune_channels(Residual(), images(2, 3, 6, 6), 0.5)
    assert (small.depthwise.groups, small.grouped.groups, small.grouped.in_channels) == (4, 2, 8)
    heads = tt.prune_channels(gpt(num_kv_heads=2), tokens(), 0.5).blocks[0].attention
    assert (heads.num_heads, heads.num_kv_heads, heads.embed_dim) == (2, 1, 16)
    assert tt.prune_channels(Attention(), images(2, 5, 10), 0.25).heads == 3
    assert tt.prune_channels(Flat(False), images(2, 1, 8, 8), 0.5).flat == 64
    found = tt.prune_channels(norms(), images(1, 3, 9, 9), 0.5)
    assert (found[1].num_groups, found[1].num_channels, found[2].num_parameters, found[4].num_features) == (2, 4, 4, 3)


def test_other_batches_and_training_work_and_generation_with_a_cache() -> None:
    model = tt.prune_channels(randomized(plain()), images(2, 3, 10, 10), 0.5)
    trainer = tt.Trainer(model, optim.Adam(model.parameters(), lr=0.01), nn.CrossEntropyLoss(), progress=False)
    data = tt.TensorDataset(images(12, 3, 10, 10), tt.arange(12) % 5)
    history = trainer.fit(tt.DataLoader(data, batch_size=4), epochs=12)
    assert history[-1]["train_loss"] < 0.7 * history[0]["train_loss"]
    small = tt.prune_channels(randomized(gpt()), tokens(), 0.5)
    cache = tt.KVCache(1, 8, 2, 16, num_heads=2, head_dim=4)
    assert small.generate([1, 2], 8, temperature=0, cache=cache) == small.generate([1, 2], 8, temperature=0)


def test_a_fresh_model_that_is_pruned_alike_takes_the_weights() -> None:
    x = images(2, 3, 6, 6)
    small = tt.prune_channels(randomized(Residual(), 1), x, 0.4)
    fresh = tt.prune_channels(randomized(Residual(), 2), x, 0.4)
    assert not np.allclose(output(fresh, x), output(small, x))
    fresh.load_state_dict(small.state_dict())
    assert np.array_equal(output(fresh, x), output(small, x))


def test_groups_say_what_goes_together_and_what_stays() -> None:
    groups = tt.channel_groups(Residual(), images(2, 3, 6, 6))
    # The four groups of `grouped` take half of the residual each, twice: once as it is, once behind `depthwise`.
    assert [(g.name, len(g.units)) for g in groups if g.units] == [("first.weight", 2), ("inner.weight", 12)]
    stays = {(g.places[0], g.reason.split(" at ")[0]) for g in groups if not g.units}
    assert (("first.weight", 1), "it stays: it is an input") in stays
    assert (("head.weight", 0), "it stays: it is a result") in stays
    reasons = [str(g) for g in tt.channel_groups(gpt(), tokens()) if g.name == "token_embedding.weight"]
    assert len(reasons) == 2 and "gather" in reasons[0] and "sum" in reasons[1]


def test_shared_parameters_stay_shared_and_masks_shrink() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.a, self.b, self.last = (nn.Linear(8, 8) for _ in range(4))
            self.b.weight = self.a.weight

        def forward(self, x: tt.Tensor) -> tt.Tensor:
            return self.last(self.b(self.a(self.first(x).relu()).relu()).relu())

    model, x = randomized(Tied()), images(3, 8)
    tt.magnitude_prune(model, 0.5)
    pruned = tt.prune_channels(model, x, 0.25)
    assert pruned.a.weight is pruned.b.weight and pruned.a.weight.shape == (6, 6)
    np.testing.assert_allclose(output(pruned, x), output(masked(model, x, 0.25), x), atol=1e-5)
    matrices = [p for p in pruned.parameters() if p.ndim > 1]
    known = [p.numpy() == 0 for p in matrices]
    optimizer = optim.Adam(pruned.parameters(), lr=0.1)
    pruned(x).sum().backward()
    optimizer.step()
    assert all(np.array_equal(p.numpy() == 0, k) for p, k in zip(matrices, known, strict=True))


def test_what_forward_cannot_do_without_stays_with_a_warning() -> None:
    with pytest.warns(RuntimeWarning, match=r"prune_channels: second\.weight keeps its channels: forward fails"):
        model = tt.prune_channels(Flat(True), images(2, 1, 8, 8), 0.5)
    assert (model.first.out_channels, model.second.out_channels, model.hidden.out_features) == (2, 8, 5)

    class Cut(nn.Module):  # the first channels, by number: others come in their place
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(6, 8), nn.Linear(4, 3)

        def forward(self, x: tt.Tensor) -> tt.Tensor:
            return self.b(self.a(x)[:, :4].relu())

    with pytest.warns(RuntimeWarning, match=r"a\.weight keeps its channels: "):
        kept = tt.prune_channels(randomized(Cut(), 3), images(2, 6), 0.5)
    assert (kept.a.out_features, kept.b.in_features) == (6, 4)  # of the four that nothing reads, two are gone


def test_a_share_of_all_and_multiples() -> None:
    model, x = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2)), images(2, 4)
    randomized(model)
    model[0].weight.numpy()[:6] *= 1e-3
    model[2].weight.numpy()[:, :6] *= 1e-3
    small = tt.prune_channels(model, x, 6 / 16, per_layer=False)
    assert (small[0].out_features, small[2].out_features) == (2, 8)
    assert tt.prune_channels(model, x, 0.99, per_layer=False)[2].weight.shape == (1, 1)
    assert tt.prune_channels(model, x, 0.6, multiple_of=4)[2].weight.shape == (4, 4)
    assert tt.prune_channels(model, x, 0.1, multiple_of=16)[2].weight.shape == (8, 8)
    assert tt.prune_channels(model, x, 0.0)[2].weight.shape == (8, 8)
    chosen = tt.prune_channels(model, x, 0.5, parameters=["0.bias"])
    assert (chosen[0].out_features, chosen[2].out_features) == (4, 8)
    left = tt.prune_channels(model, x, 0.5, exclude=["0.weight"])
    assert (left[0].out_features, left[2].out_features) == (8, 4)


@pytest.mark.parametrize(
    ("prune", "message"),
    [
        (lambda m, x: tt.prune_channels(m, x, 1.0), "sparsity is a number of at least 0 and below 1"),
        (lambda m, x: tt.prune_channels(m, x, float("nan")), "sparsity is a number"),
        (lambda m, x: tt.prune_channels(m, x, multiple_of=0), "multiple_of is a positive integer"),
        (lambda m, x: tt.prune_channels(m, x, exclude=["3.weight"]), "exclude is among"),
        (lambda m, x: tt.prune_channels(m, "x"), "example is a tensor"),
        (lambda m, x: tt.prune_channels(m[0], x), "no channels that could go"),
        (lambda m, x: tt.prune_channels(nn.ReLU(), x), "no channels that could go"),
        (lambda m, x: tt.prune_channels(lambda y: y, x), "model is a Module"),
        (lambda m, x: tt.prune_channels(m, images(2, 5)), "linear: "),
    ],
)
def test_what_makes_no_sense_is_refused(prune: Callable[..., object], message: str) -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    with pytest.raises(tt.TinyTorchError, match=message):
        prune(model, images(2, 4))


def test_weights_that_are_not_finite_are_refused_and_constant_ones_pruned() -> None:
    model, x = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), images(2, 4)
    with tt.no_grad():
        model[0].weight.fill_(0.0)
        model[2].weight.fill_(1.0)
    assert tt.prune_channels(model, x, 0.5)[0].out_features == 4
    model[2].weight.numpy()[0, 0] = float("nan")
    with pytest.raises(tt.TinyTorchError, match=r"2\.weight has weights that are NaN or infinite"):
        tt.prune_channels(model, x, 0.5)
