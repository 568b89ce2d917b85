"""Milestone 2: a multi-layer perceptron on the handwritten digits of MNIST.

Two layers against one (softmax regression, the perceptron of ten classes). Weights are chosen by early stopping on a
validation split of the training set; the test set is looked at once, at the end.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import tinytorch as tt
from milestones.common import (
    Criterion,
    Report,
    StepProfile,
    arguments,
    console,
    draw_memory,
    profile_step,
    refused,
    save_figure,
    show_profiles,
    smoke,
    table,
)
from tinytorch.cli.program import exit_with
from tinytorch.frontend.data import DataError

HIDDEN, BATCH, RATE, SEED = 256, 128, 0.1, 0
VALIDATION = 5000  # samples held back from the training set
PATIENCE = 4  # epochs
BATCHES = (32, 64, 128, 256, 512, 1024)


def make_model(hidden: int | None, seed: int = SEED) -> tt.Sequential:
    """Two layers with `hidden` units between them, or one layer alone."""
    generator = tt.Generator(seed)
    if hidden is None:
        return tt.Sequential(tt.Linear(784, 10, generator=generator))
    return tt.Sequential(
        tt.Linear(784, hidden, initialization="he", generator=generator),
        tt.ReLU(),
        tt.Linear(hidden, 10, generator=generator),
    )


def make_trainer(hidden: int | None, rate: float, epochs: int, compile: bool) -> tt.Trainer:
    model = make_model(hidden)
    return tt.Trainer(
        model,
        tt.SGD(model.parameters(), lr=rate, momentum=0.9, nesterov=True, weight_decay=1e-4),
        tt.CrossEntropyLoss(label_smoothing=0.05 if hidden else 0.0),
        compile=compile,
        schedule=tt.CosineSchedule(rate, rate / 100, max(epochs, 2), 1),
        schedule_by="step",
        early_stopping=tt.EarlyStopping(PATIENCE, monitor="accuracy"),
    )


def train(name: str, trainer: tt.Trainer, parts: Sequence[tt.Dataset], test: tt.Dataset, epochs: int) -> dict[str, Any]:
    """Fit on the training part, stop by the validation part, judge on the test set."""
    console.print(f"\n{name}: {sum(p.numel() for p in trainer.model.parameters()):,} parameters")
    start = time.perf_counter()
    history = trainer.fit(
        tt.DataLoader(parts[0], BATCH, shuffle=True, seed=SEED),
        tt.DataLoader(parts[1], 1000),
        epochs=epochs,
        on_epoch=show_epoch,
    )
    seconds = time.perf_counter() - start
    result = trainer.evaluate(tt.DataLoader(test, 1000))
    stopping = trainer.early_stopping
    assert stopping is not None, "make_trainer gives every run early stopping"
    return {
        "name": name,
        "parameters": sum(p.numel() for p in trainer.model.parameters()),
        "test_accuracy": result.accuracy,
        "test_loss": result.loss,
        "best_epoch": stopping.best_epoch,
        "stopped_early": stopping.stopped,
        "fit_seconds": seconds,
        "training_seconds": trainer.seconds,
        "samples_per_second": len(history) * len(parts[0]) / trainer.seconds,
        "history": history,
    }


def show_epoch(record: dict[str, Any]) -> None:
    console.print(
        f"  epoch {record['epoch']:2d}: training loss {record['train_loss']:.4f}, accuracy "
        f"{record['train_accuracy']:.2%}; validation accuracy {record['val_accuracy']:.2%}"
    )


def draw_curves(runs: Sequence[dict[str, Any]], path: Path) -> None:
    """Error rates over epochs."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.5, 4), layout="constrained")
    for i, run in enumerate(runs):
        epochs = [h["epoch"] for h in run["history"]]
        for kind, style in (("train", "--"), ("val", "-")):
            errors = [1 - h[f"{kind}_accuracy"] for h in run["history"]]
            axes.plot(epochs, errors, style, color=f"C{i}", label=f"{run['name']}, {kind}")
        axes.axvline(run["best_epoch"], color=f"C{i}", linestyle=":", alpha=0.6)
    axes.set(xlabel="epoch", ylabel="error rate", yscale="log", title="Training; dotted: the weights that were kept")
    axes.legend()
    save_figure(figure, path)


def draw_mistakes(model: tt.Module, test: tt.MNIST, path: Path) -> int:
    """The test digits that are surest and wrong; the number of all that are wrong."""
    from matplotlib import pyplot

    images, labels = (t.numpy() for t in test[:])
    with tt.no_grad():
        scores = model(tt.from_numpy(images)).softmax().numpy()
    found = scores.argmax(1)
    wrong = np.flatnonzero(found != labels)
    worst = wrong[np.argsort(-scores[wrong, found[wrong]])][:24]
    figure, grid = pyplot.subplots(3, 8, figsize=(9, 4), layout="constrained")
    for axes in grid.flat:
        axes.axis("off")
    for axes, i in zip(grid.flat, worst, strict=False):
        axes.imshow(images[i].reshape(28, 28), cmap="gray_r")
        axes.set_title(f"{labels[i]} read as {found[i]}", fontsize=8)
    figure.suptitle(f"The surest of {len(wrong)} mistakes in {len(labels):,} test digits")
    save_figure(figure, path)
    return len(wrong)


def profile(batch: int) -> StepProfile:
    rng = np.random.default_rng(0)
    images = rng.normal(size=(batch, 784)).astype(np.float32)
    return profile_step(lambda compile: make_trainer(HIDDEN, RATE, 2, compile), images, rng.integers(0, 10, batch), 10)


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments("mlp", "Milestone 2: an MLP on MNIST", 16, argv)
    try:
        training, test = (tt.MNIST(train=t, flatten=True, normalize=True) for t in (True, False))
    except DataError as error:
        return refused(f"No data: {error}")
    if options.smoke:
        return smoke("MLP", make_trainer(HIDDEN, RATE, 2, not options.eager), training, BATCH)
    report = Report("mlp", options.out)
    parts = tt.random_split(training, [len(training) - VALIDATION, VALIDATION], seed=SEED)
    compile = not options.eager
    baseline = make_trainer(None, RATE / 10, options.epochs, compile)
    mlp = make_trainer(HIDDEN, RATE, options.epochs, compile)
    runs = [
        train("one layer", baseline, parts, test, options.epochs),
        train("two layers", mlp, parts, test, options.epochs),
    ]
    report.figures |= {"eager": options.eager, "runs": runs, "validation_samples": VALIDATION}
    draw_curves(runs, options.out / "curves.png")
    report.figures["mistakes"] = draw_mistakes(mlp.model, test, options.out / "mistakes.png")
    table(
        "MNIST, 10,000 test digits",
        ("model", "parameters", "test accuracy", "epoch kept", "training", "samples/s"),
        [summary(run) for run in runs],
    )
    profiles = [profile(batch) for batch in BATCHES]
    report.figures["memory"] = [vars(p) for p in profiles]
    show_profiles(f"One training step, 784-{HIDDEN}-10: memory in KiB, time", profiles)
    draw_memory(profiles, options.out / "memory.png")
    report.criteria += judge(*runs)
    return report.finish()


def summary(run: dict[str, Any]) -> tuple[str, ...]:
    early = " (early)" if run["stopped_early"] else ""
    return (
        run["name"],
        f"{run['parameters']:,}",
        f"{run['test_accuracy']:.2%}",
        f"{run['best_epoch']} of {len(run['history'])}{early}",
        f"{run['training_seconds']:.1f} s",
        f"{run['samples_per_second']:,.0f}",
    )


def judge(baseline: dict[str, Any], mlp: dict[str, Any]) -> list[Criterion]:
    accuracy, gain = mlp["test_accuracy"], mlp["test_accuracy"] - baseline["test_accuracy"]
    return [
        Criterion("test accuracy of the MLP", accuracy, 0.95, strict=True),
        Criterion("test accuracy of the MLP", accuracy, 0.98, aim=True),
        Criterion("gain over the perceptron", gain, 0.0, strict=True, aim=True),
        Criterion("seconds of training", mlp["training_seconds"], 60.0, "{:.1f}", below=True, aim=True),
    ]


if __name__ == "__main__":
    exit_with("milestones.mlp", main)
