"""Milestone 3, second network: six convolutions behind a fixed whitening one, on the photographs of CIFAR-10.

`python -m milestones.cnn --recipe whitened` trains the network that two cores deserve, in the line of Jordan's
"airbench" (2024). The first convolution makes patches of 2 × 2 pixels white and is not trained; the others begin as
partial identities. Muon trains their filters, whose norms are fixed, SGD with Nesterov momentum the head and the
biases, at rates that fall in a line to zero. Each image is mirrored in every second epoch and moved by up to two
pixels.

The budget says how many operations training may take: those of direct convolutions, three times the forward pass, and
Muon's products. The recipe was found by other runs, which looked at the held-out images, as published ones did; this
one chooses nothing by them, and its seed is 0. The weights of the last step are judged, on plain images and on six
views of each: the image and its mirror image count half, the two shifted by a pixel in two directions the rest.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

import tinytorch as tt
from milestones import cnn_pictures as pictures
from milestones.common import (
    Criterion,
    LinearSchedule,
    Report,
    Timed,
    bound,
    bound_rows,
    console,
    multiply_add_rate,
    muon_operations,
    table,
)
from tinytorch.frontend.module import init

BATCH, SEED = 1000, 0
PIECES = 8  # parts of the training, after each of which held-out images are looked at, for the curve
WATCHED = 2000  # of these
SMOOTHING, MOVE = 0.2, 2  # of labels; pixels that images are moved by
MUON_RATE, MUON_MOMENTUM, MUON_STEPS = 0.24, 0.6, 3
HEAD_RATE, BIAS_RATE, SGD_MOMENTUM, DECAY = 0.67, 5.0, 0.85, 2e-3  # decay is that of a step, whatever the rate
NORM_MOMENTUM, NORM_EPS = 0.6, 1e-12
WHITENED, PATCH, PATCH_EPS = 5000, 2, 5e-4  # images and sides of the patches that the first filters come from
VIEWS = ((0, 0), (2, 2))  # where the shifted views begin in images that are padded by a pixel


@dataclass(frozen=True)
class Budget:
    """What training may cost, the widths of the three blocks, and the accuracies it is to reach."""

    operations: float
    widths: tuple[int, ...]
    plain: float
    views: float | None


BUDGETS = {
    False: Budget(2.3e14, (48, 160, 256), plain=0.92, views=0.93),
    True: Budget(4e13, (32, 96, 192), plain=0.88, views=None),  # --quick
}


class NormalizedMuon(tt.Muon):
    """Muon for filters whose norm is that of a matrix with orthogonal rows: √(out channels), restored before each
    step."""

    def update(self, group: Any, entries: Any) -> None:
        for filters, _, _ in entries:
            norm = (filters * filters).sum().sqrt()
            filters.copy_(filters * (math.sqrt(len(filters)) / norm))
        super().update(group, entries)


def make_model(widths: Sequence[int], first: np.ndarray[Any, Any]) -> tt.Sequential:
    """3×32×32 to ten scores; `first` are the filters of the whitening convolution."""
    whiten = tt.Conv2d(3, len(first), PATCH)
    whiten.weight.data[...] = first
    whiten.weight.requires_grad_(False)
    assert whiten.bias is not None
    init.zeros_(whiten.bias)
    layers: list[tt.Module] = [whiten, tt.GELU()]
    for i, o in pairwise((len(first), *widths)):
        layers += [_convolution(i, o), tt.MaxPool2d(2), _norm(o), tt.GELU()]
        layers += [_convolution(o, o), _norm(o), tt.GELU()]
    head = tt.Linear(widths[-1], 10, bias=False)
    head.weight.data[...] /= head.weight.data.std()
    return tt.Sequential(*layers, tt.AdaptiveMaxPool2d(1), tt.Flatten(), head, Scale(1 / 9))


class Scale(tt.Module):
    """x · factor."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: tt.Tensor) -> tt.Tensor:
        return x * self.factor


def _convolution(i: int, o: int) -> tt.Conv2d:
    """As many filters as there are inputs begin as the identity, the others as the layer makes them."""
    layer = tt.Conv2d(i, o, 3, padding=1, bias=False)
    identity = tt.zeros(min(i, o), i, 3, 3)
    layer.weight.data[: min(i, o)] = init.dirac_(identity).numpy()
    return layer


def _norm(channels: int) -> tt.BatchNorm2d:
    norm = tt.BatchNorm2d(channels, eps=NORM_EPS, momentum=NORM_MOMENTUM)
    assert norm.weight is not None
    norm.weight.requires_grad_(False)
    return norm


def whitening_filters(images: Any) -> np.ndarray[Any, Any]:
    """Filters [2n, channels, side, side] whose results on patches of normalized images [m, channels, height, width] are
    uncorrelated and of variance 1, and their negatives: eigenvectors of the patches' second moments."""
    channels, size = images.shape[1], channels_of(images)
    moments, count = np.zeros((size, size)), 0
    for part in np.array_split(images, max(1, len(images) // 250)):
        windows = np.lib.stride_tricks.sliding_window_view(part, (PATCH, PATCH), axis=(2, 3))
        patches = windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, size)
        moments += patches.T @ patches
        count += len(patches)
    values, vectors = np.linalg.eigh(moments / count)
    filters = (vectors / np.sqrt(values + PATCH_EPS)).T.reshape(size, channels, PATCH, PATCH)
    return np.concatenate([filters, -filters]).astype(np.float32)


def channels_of(images: Any) -> int:
    """Elements of a patch."""
    return images.shape[1] * PATCH**2


def forward_operations(widths: Sequence[int]) -> int:
    """Of the convolutions, for one image of 3×32×32; the rest is less than a hundredth."""
    inputs, side = 2 * 3 * PATCH**2, 32 - PATCH + 1
    total = 2 * side**2 * 3 * PATCH**2 * inputs
    for width in widths:
        total += 2 * 9 * side**2 * inputs * width
        side //= 2
        total += 2 * 9 * side**2 * width * width
        inputs = width
    return total


def step_operations(widths: Sequence[int], batch: int) -> float:
    """What a training step costs."""
    filters = [shape for i, o in pairwise((2 * 3 * PATCH**2, *widths)) for shape in ((o, 9 * i), (o, 9 * o))]
    muon = sum(muon_operations(min(shape), max(shape), MUON_STEPS) for shape in filters)
    return 3 * forward_operations(widths) * batch + muon


def optimizers(model: tt.Sequential) -> tuple[list[tt.Optimizer], list[float]]:
    """One for the filters, one for the head and one for the biases, and their highest rates."""
    trained = [p for p in model.parameters() if p.requires_grad]
    filters = [p for p in trained if p.ndim == 4]
    head = [p for p in trained if p.ndim == 2]
    biases = [p for p in trained if p.ndim == 1]
    muon = NormalizedMuon(filters, lr=MUON_RATE, momentum=MUON_MOMENTUM, ns_steps=MUON_STEPS, weight_decay=0.0)
    return [muon, _sgd(head, HEAD_RATE), _sgd(biases, BIAS_RATE)], [MUON_RATE, HEAD_RATE, BIAS_RATE]


def _sgd(parameters: list[tt.Tensor], rate: float) -> tt.SGD:
    return tt.SGD(parameters, lr=rate, momentum=SGD_MOMENTUM, nesterov=True, weight_decay=DECAY / rate)


def make_trainer(budget: Budget, first: np.ndarray[Any, Any], compile: bool) -> tt.Trainer:
    tt.manual_seed(SEED)
    model = make_model(budget.widths, first)
    made, rates = optimizers(model)
    return tt.Trainer(
        model,
        made,
        tt.CrossEntropyLoss(label_smoothing=SMOOTHING),
        compile=compile,
        schedule=[LinearSchedule(rate, PIECES) for rate in rates],
        schedule_by="step",
    )


class Views(tt.Dataset):
    """All images that training sees, in their order: epoch after epoch of a set, each in an order of its own, half of
    the images mirrored, the other half in the next epoch.

    A sample is one of the `count` of a piece of the training; which piece that is says `piece`.
    """

    def __init__(self, images: tt.CIFAR10, count: int) -> None:
        self.source, self.count, self.piece = images, count, 0
        self._orders: dict[int, Any] = {}

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        images, labels = self.__getitems__(np.asarray([index]))
        return images[0], labels[0]

    def __getitems__(self, indices: Any) -> tuple[Any, Any]:
        epochs, places = np.divmod(self.piece * self.count + np.asarray(indices), len(self.source))
        chosen = np.empty_like(places)
        for epoch in np.unique(epochs):
            chosen[epochs == epoch] = self._order(int(epoch))[places[epochs == epoch]]
        images, labels = self.source.__getitems__(chosen)
        mirrored = self._mirrored_first[chosen] ^ (epochs % 2 == 1)
        images[mirrored] = images[mirrored][..., ::-1]
        return images, labels

    def decode(self, batch: Any) -> Any:
        return self.source.decode(batch)

    @cached_property
    def _mirrored_first(self) -> Any:
        return _generator(0).random(len(self.source)) < 0.5

    def _order(self, epoch: int) -> Any:
        if epoch not in self._orders:
            self._orders = {e: order for e, order in self._orders.items() if e == epoch - 1}
            self._orders[epoch] = _generator(1, epoch).permutation(len(self.source))
        return self._orders[epoch]


def _generator(*key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(SEED, spawn_key=key))


class Pieces(Timed):
    """The loader of a piece of the training, which tells its data set which piece it is."""

    def __init__(self, views: Views) -> None:
        crop = tt.RandomCrop(32, MOVE, padding_mode="reflect")
        super().__init__(tt.DataLoader(views, BATCH, seed=SEED, transform=crop))
        self.views = views

    def __iter__(self) -> Iterator[Any]:
        batches = super().__iter__()
        self.views.piece = self.loader.state_dict()["epoch"]
        return batches

    def state_dict(self) -> dict[str, Any]:
        return self.loader.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.loader.load_state_dict(state)


def train(trainer: tt.Trainer, training: tt.CIFAR10, test: tt.CIFAR10, options: argparse.Namespace) -> dict[str, Any]:
    """Fit, or go on from the checkpoint; the figures of the run."""
    budget = BUDGETS[options.quick]
    per_step = step_operations(budget.widths, BATCH)
    steps = max(1, (options.steps or int(budget.operations / per_step)) // PIECES)  # of a piece
    loader = Pieces(Views(training, steps * BATCH))
    watched = tt.DataLoader(tt.Subset(test, range(min(WATCHED, len(test)))), BATCH)
    console.print(f"{steps * PIECES:,} steps of {per_step:.3g} operations, batches of {BATCH:,}")
    rates = [multiply_add_rate()]

    def piece_done(record: dict[str, Any]) -> None:
        show_piece(record, trainer.seconds)
        rates.append(multiply_add_rate())

    history = trainer.fit(
        loader,
        watched,
        epochs=PIECES,
        checkpoint=options.out / "checkpoint.safetensors",
        checkpoint_every=20,
        resume=not options.restart,
        on_epoch=piece_done,
    )
    return {
        "history": history,
        "steps": trainer.step,
        "operations": trainer.step * per_step,
        "training_seconds": trainer.seconds,
        "epochs": trainer.step * BATCH / len(training),
        "samples_per_second": trainer.step * BATCH / trainer.seconds,
        "waited_seconds": loader.waited,
        "waited_share": loader.waited / max(loader.used, 1e-9),
    } | bound(trainer.step * per_step, trainer.seconds, rates)


def show_piece(record: dict[str, Any], seconds: float) -> None:
    console.print(
        f"  {record['epoch']} of {PIECES}: training loss {record['train_loss']:.4f}, accuracy "
        f"{record['train_accuracy']:.2%}; held-out accuracy {record['val_accuracy']:.2%}, {seconds:,.0f} s"
    )


def view_scores(model: tt.Module, images: Any, compile: bool) -> dict[str, Any]:
    """Scores [n, 10] of normalized images: plain, with the mirror image, and of six views."""
    model.eval()
    call: Any = tt.compile(model) if compile else model

    def scores(x: Any) -> Any:
        parts = [np.ascontiguousarray(x[i : i + BATCH]) for i in range(0, len(x), BATCH)]
        return np.concatenate([call(tt.from_numpy(part)).numpy() for part in parts])

    with tt.no_grad():
        plain = scores(images)
        both = plain + scores(images[..., ::-1])
        padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="reflect")
        moved = [padded[:, :, y : y + 32, x : x + 32] for y, x in VIEWS]
        shifted = sum(scores(view) + scores(view[..., ::-1]) for view in moved)
    return {"plain": plain, "mirror": both, "views": 0.5 * both + 0.25 * shifted}


def study(model: tt.Module, test: tt.CIFAR10, compile: bool, out: Any) -> dict[str, Any]:
    """Accuracies, and which class is taken for which."""
    images, labels = (t.numpy() for t in test[:])
    scores = view_scores(model, images, compile)
    figures: dict[str, Any] = {f"accuracy_{name}": float((s.argmax(1) == labels).mean()) for name, s in scores.items()}
    confusion = np.zeros((10, 10), np.int64)
    np.add.at(confusion, (labels, scores["plain"].argmax(1)), 1)
    pictures.draw_confusion(confusion, test.classes, out / "confusion.png")
    per_class = {name: confusion[i, i] / max(confusion[i].sum(), 1) for i, name in enumerate(test.classes)}
    return figures | {"confusion": confusion.tolist(), "class_accuracy": per_class}


def run(training: tt.CIFAR10, test: tt.CIFAR10, options: argparse.Namespace) -> int:
    """Train, judge, report; the exit status."""
    budget, compile = BUDGETS[options.quick], not options.eager
    first = whitening_filters(training[:WHITENED][0].numpy())
    trainer = make_trainer(budget, first, compile)
    model = trainer.model
    parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    console.print(
        f"Widths {'-'.join(map(str, budget.widths))}: {parameters:,} parameters are trained, "
        f"{forward_operations(budget.widths) / 1e6:.0f} MFLOP an image forward"
    )
    figures = train(trainer, training, test, options)
    figures |= {"quick": options.quick, "eager": options.eager, "seed": SEED, "parameters": parameters}
    figures |= {"widths": budget.widths, "training": training.note, "held_out": test.note}
    tt.save_safetensors(model.state_dict(), options.out / "cnn.safetensors")
    figures |= study(model, test, compile, options.out)
    name = f"CNN {'-'.join(map(str, budget.widths))}"
    runs, unit = [{"name": name, "history": figures["history"]}], f"part of {PIECES} of the training"
    pictures.draw_curves(runs, options.out / "curves.png", budget.plain, unit)
    pictures.draw_filters(first, options.out / "filters.png")
    crop = tt.RandomCrop(32, MOVE, padding_mode="reflect")
    pictures.draw_augmented(training, tt.Compose([tt.RandomHorizontalFlip(), crop]), options.out / "augmentation.png")
    show(figures, test)
    report = Report("cnn", options.out, {"recipe": "whitened"} | figures)
    report.criteria += judge(figures, budget)
    return report.finish()


def show(figures: dict[str, Any], test: tt.CIFAR10) -> None:
    rows = [
        ("accuracy", f"{figures['accuracy_plain']:.2%}"),
        ("with the mirror image", f"{figures['accuracy_mirror']:.2%}"),
        ("with six views", f"{figures['accuracy_views']:.2%}"),
        ("epochs", f"{figures['epochs']:.1f}"),
        *bound_rows(figures),
        ("images a second", f"{figures['samples_per_second']:,.0f}"),
        ("waiting for batches, share of the training", f"{figures['waited_share']:.3%}"),
    ]
    table(f"CIFAR-10, {len(test):,} held-out images ({test.note})", ("what", "figure"), rows)


def judge(figures: dict[str, Any], budget: Budget) -> list[Criterion]:
    found = [Criterion("held-out accuracy", figures["accuracy_plain"], budget.plain)]
    if budget.views is not None:
        found.append(Criterion("held-out accuracy with six views", figures["accuracy_views"], budget.views))
    seconds = Criterion(
        "seconds of training", figures["training_seconds"], figures["bound_seconds"], "{:,.0f}", below=True
    )
    waited = Criterion("share of training spent waiting for data", figures["waited_share"], 0.01, below=True)
    return [*found, seconds, waited]
