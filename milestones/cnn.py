"""Milestone 3: a network of three convolution layers on the photographs of CIFAR-10.

Three convolutions, each with max pooling, batch normalization and ReLU, and two linear layers on what is left; trained
on images that are cropped, flipped and cut out of at random. For parameter efficiency a narrow network of the same
kind and two MLPs, one with more parameters than the CNN and one with fewer, see the same data as often.

The number of epochs is fixed: nothing is chosen by the held-out images. Those that are looked at after each epoch, for
the curve, are the first `WATCHED` of them; the weights of the last epoch are judged on all.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

import tinytorch as tt
from milestones import cnn_pictures as pictures
from milestones import cnn_profiles as profiles
from milestones import whitened
from milestones.common import (
    Criterion,
    Report,
    Timed,
    argument_parser,
    console,
    positive,
    refused,
    show_profiles,
    smoke,
    table,
    with_folder,
)
from tinytorch.cli.program import exit_with
from tinytorch.frontend.data import DataError
from tinytorch.frontend.module import init
from tinytorch.passes.cost import cost

EPOCHS, BATCH, SEED = 24, 128, 0
WATCHED = 2000  # held-out images of the curve
SMOOTHING, DECAY, WARMUP = 0.1, 5e-4, 0.15  # of labels, of weights, share of the epochs
MEAN = tuple(round(255 * mean) for mean in tt.CIFAR10.mean)
AUGMENTATION = tt.Compose(
    [tt.RandomCrop(32, 4, padding_mode="reflect"), tt.RandomHorizontalFlip(), tt.Cutout(8, fill=MEAN)]
)


def make_cnn(widths: Sequence[int]) -> tt.Sequential:
    """3×32×32 to ten scores. Pooling comes right after the convolution: what follows then has a fourth of the work,
    and the maximum commutes with ReLU."""
    layers: list[tt.Module] = []
    for i, o in zip((3, *widths), widths, strict=False):
        layers += [tt.Conv2d(i, o, 3, padding=1, bias=False), tt.MaxPool2d(2), tt.BatchNorm2d(o), tt.ReLU()]
    return tt.Sequential(*layers, *make_mlp((widths[-1] * 4 * 4, widths[-1])))


def make_mlp(sizes: Sequence[int]) -> tt.Sequential:
    """Linear layers of these sizes, and one to ten scores."""
    layers: list[tt.Module] = [tt.Flatten()]
    for i, o in pairwise(sizes):
        layers += [tt.Linear(i, o, bias=False), tt.BatchNorm1d(o), tt.ReLU()]
    return tt.Sequential(*layers, tt.Linear(sizes[-1], 10))


@dataclass(frozen=True)
class Recipe:
    """A model and the highest learning rate of its training."""

    name: str
    make: Callable[[], tt.Sequential]
    rate: float


RECIPES = (
    Recipe("CNN 64-128-256", lambda: make_cnn((64, 128, 256)), 0.25),
    Recipe("CNN 16-32-64", lambda: make_cnn((16, 32, 64)), 0.25),
    Recipe("MLP 1024-512", lambda: make_mlp((3072, 1024, 512)), 0.1),
    Recipe("MLP 128", lambda: make_mlp((3072, 128)), 0.1),
)


def make_trainer(recipe: Recipe, epochs: int, compile: bool) -> tt.Trainer:
    """SGD with Nesterov momentum, a rate that rises and falls along a cosine, no decay of biases and scales."""
    tt.manual_seed(SEED)
    model = recipe.make()
    weights = [p for p in model.parameters() if p.ndim > 1]
    for weight in weights[:-1]:  # the last one, before the scores, stays as the layer made it
        init.kaiming_normal_(weight, nonlinearity="relu")
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": weights, "weight_decay": DECAY}, {"params": others}]
    return tt.Trainer(
        model,
        tt.SGD(groups, lr=recipe.rate, momentum=0.9, nesterov=True),
        tt.CrossEntropyLoss(label_smoothing=SMOOTHING),
        compile=compile,
        schedule=tt.CosineSchedule(recipe.rate, 0, epochs, WARMUP * epochs),
        schedule_by="step",
    )


def train_loader(training: tt.Dataset) -> tt.DataLoader:
    return tt.DataLoader(training, BATCH, shuffle=True, seed=SEED, drop_last=True, transform=AUGMENTATION)


def train(trainer: tt.Trainer, recipe: Recipe, training: tt.Dataset, test: tt.Dataset, epochs: int) -> dict[str, Any]:
    """Fit and judge; every figure of the run."""
    parameters = sum(p.numel() for p in trainer.model.parameters())
    console.print(f"\n{recipe.name}: {parameters:,} parameters")
    loader = Timed(train_loader(training))
    watched = tt.Subset(test, range(min(WATCHED, len(test))))
    start = time.perf_counter()
    history = trainer.fit(loader, tt.DataLoader(watched, 500), epochs=epochs, on_epoch=show_epoch)
    seconds = time.perf_counter() - start
    samples = len(history) * len(loader) * BATCH
    run = {
        "name": recipe.name,
        "parameters": parameters,
        "epochs": len(history),
        "fit_seconds": seconds,
        "training_seconds": trainer.seconds,
        "samples_per_second": samples / trainer.seconds,
        "waited_seconds": loader.waited,
        "waited_share": loader.waited / trainer.seconds,
        "history": history,
    }
    graph = getattr(trainer.train_step, "traced_graph", None)  # none of an eager step
    if graph is not None:
        per_sample = cost(graph).flops / BATCH
        run |= {"flops_per_sample": per_sample, "flops_per_second": per_sample * run["samples_per_second"]}
    result = trainer.evaluate(tt.DataLoader(test, 500))
    return run | {"test_accuracy": result.accuracy, "test_loss": result.loss}


def show_epoch(record: dict[str, Any]) -> None:
    console.print(
        f"  epoch {record['epoch']:2d}: rate {record['lr']:.4f}, training loss {record['train_loss']:.4f}, accuracy "
        f"{record['train_accuracy']:.2%}; held-out accuracy {record['val_accuracy']:.2%}"
    )


def scores_of(model: tt.Module, images: Any, compile: bool) -> Any:
    """What the model, in evaluation mode, says of normalized images: float32 [n, 10]."""
    model.eval()
    call: Any = tt.compile(model) if compile else model
    with tt.no_grad():
        return np.concatenate([call(tt.from_numpy(images[i : i + 500])).numpy() for i in range(0, len(images), 500)])


def study(model: tt.Module, test: tt.CIFAR10, compile: bool, out: Any) -> dict[str, Any]:
    """Confusion, filters, and what averaging the scores of an image and its mirror image would gain."""
    images, labels = (t.numpy() for t in test[:])
    scores = scores_of(model, images, compile)
    mirrored = scores_of(model, np.ascontiguousarray(images[..., ::-1]), compile)
    confusion = np.zeros((10, 10), np.int64)
    np.add.at(confusion, (labels, scores.argmax(1)), 1)
    filters = next(p for p in model.parameters() if p.ndim == 4).numpy()
    pictures.draw_confusion(confusion, test.classes, out / "confusion.png")
    pictures.draw_filters(filters, out / "filters.png")
    return {
        "confusion": confusion.tolist(),
        "class_accuracy": {name: confusion[i, i] / max(confusion[i].sum(), 1) for i, name in enumerate(test.classes)},
        "accuracy_with_mirror_images": float(((scores + mirrored).argmax(1) == labels).mean()),
    }


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argument_parser("cnn", "Milestone 3: a CNN on CIFAR-10", EPOCHS)
    parser.add_argument("--recipe", choices=("plain", "whitened"), default="plain", help="which network (whitened.py)")
    other = parser.add_argument_group("with --recipe whitened")
    other.add_argument("--quick", action="store_true", help="4e13 operations instead of 2.3e14, a narrower network")
    other.add_argument("--steps", type=positive, help="steps of training, fewer than the budget allows")
    other.add_argument("--restart", action="store_true", help="train from the start, whatever checkpoint is there")
    options = parser.parse_args(argv)
    if options.recipe == "plain" and (options.quick or options.steps or options.restart):
        parser.error("--quick, --steps and --restart need --recipe whitened")
    if options.recipe == "whitened" and options.epochs != EPOCHS:
        parser.error("--recipe whitened takes --steps, not --epochs")
    name = {"plain": "cnn", "whitened": "cnn-whitened"}[options.recipe] + "-quick" * options.quick
    return with_folder(parser, options, name)


def main(argv: Sequence[str] | None = None) -> int:
    options = parse(argv)
    try:
        training, test = (tt.CIFAR10(train=t, normalize=True) for t in (True, False))
    except DataError as error:
        return refused(f"No data: {error}")
    if options.smoke:
        return smoke("CNN", make_trainer(RECIPES[0], 3, not options.eager), training, BATCH, transform=AUGMENTATION)
    console.print(f"Training: {training}\nHeld out: {test}")
    if options.recipe == "whitened":
        return whitened.run(training, test, options)
    report = Report("cnn", options.out)
    report.figures |= {"eager": options.eager, "training": training.note, "held_out": test.note}
    compile = not options.eager
    runs: list[dict[str, Any]] = []
    for recipe in RECIPES:
        trainer = make_trainer(recipe, options.epochs, compile)
        runs.append(train(trainer, recipe, training, test, options.epochs))
        if recipe is RECIPES[0]:
            tt.save_safetensors(trainer.model.state_dict(), options.out / "cnn.safetensors")
            report.figures["cnn"] = study(trainer.model, test, compile, options.out)
    report.figures["runs"] = runs
    pictures.draw_curves(runs, options.out / "curves.png")
    pictures.draw_efficiency(runs, options.out / "efficiency.png")
    pictures.draw_augmented(training, AUGMENTATION, options.out / "augmentation.png")
    title = f"CIFAR-10, {len(test):,} held-out images ({test.note})"
    table(title, ("model", "parameters", "accuracy", "training", "images/s", "GFLOP/s"), [summary(run) for run in runs])
    console.print(f"With mirror images the CNN has {report.figures['cnn']['accuracy_with_mirror_images']:.2%}")
    report.figures["loading"] = show_loading(training, runs[0])
    report.figures["layers"] = profiles.show_layers(RECIPES[0].make())
    report.figures["steps"] = profiles.show_convolution_against_linear()
    steps = [profiles.step_of(lambda c: make_trainer(RECIPES[0], 2, c), batch) for batch in profiles.BATCHES]
    report.figures["memory"] = [vars(step) for step in steps]
    show_profiles(f"One training step, {RECIPES[0].name}: memory in KiB, time", steps)
    report.criteria += judge(runs)
    return report.finish()


def show_loading(training: tt.CIFAR10, run: dict[str, Any]) -> dict[str, float]:
    """Loading alone, with and without augmentation, against training."""
    plain = tt.DataLoader(training, BATCH, shuffle=True, drop_last=True, prefetch=0)
    changed = train_loader(training)
    changed.prefetch = 0
    figures = {
        "plain_images_per_second": profiles.loading_rate(plain),
        "augmented_images_per_second": profiles.loading_rate(changed),
        "training_images_per_second": run["samples_per_second"],
        "waited_share": run["waited_share"],
    }
    rows = [(name.replace("_", " "), f"{figure:,.0f}") for name, figure in list(figures.items())[:3]]
    share = f"{figures['waited_share']:.3%} of the training time"
    table("Loading in one thread, and training", ("what", "figure"), [*rows, ("waiting for batches", share)])
    return figures


def summary(run: dict[str, Any]) -> tuple[str, ...]:
    speed = f"{run['flops_per_second'] / 1e9:.1f}" if "flops_per_second" in run else "-"
    return (
        run["name"],
        f"{run['parameters']:,}",
        f"{run['test_accuracy']:.2%}",
        f"{run['fit_seconds']:.0f} s",
        f"{run['samples_per_second']:,.0f}",
        speed,
    )


def judge(runs: Sequence[dict[str, Any]]) -> list[Criterion]:
    cnn, narrow, mlp, _ = runs
    accuracy = cnn["test_accuracy"]
    gain = narrow["test_accuracy"] - mlp["test_accuracy"]
    ratio = mlp["parameters"] / narrow["parameters"]
    return [
        Criterion("held-out accuracy of the CNN", accuracy, 0.75, strict=True),
        Criterion("held-out accuracy of the CNN", accuracy, 0.85, aim=True),
        Criterion("seconds of training, with the curve", cnn["fit_seconds"], 900.0, "{:.0f}", below=True, aim=True),
        Criterion(f"gain of the narrow CNN over an MLP of {ratio:.0f} times its parameters", gain, 0.0, aim=True),
        Criterion("share of training spent waiting for data", cnn["waited_share"], 0.01, below=True, aim=True),
    ]


if __name__ == "__main__":
    exit_with("milestones.cnn", main)
