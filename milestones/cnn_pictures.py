"""The pictures of the CNN milestone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import tinytorch as tt
from milestones.common import save_figure


def draw_curves(runs: Sequence[dict[str, Any]], path: Path, goal: float = 0.75, unit: str = "epoch") -> None:
    """Accuracy over epochs or other units, on augmented training images (dashed) and held-out ones, against a goal."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    for i, run in enumerate(runs):
        epochs = [h["epoch"] for h in run["history"]]
        for kind, style, label in (("train", "--", None), ("val", "-", run["name"])):
            axes.plot(epochs, [h[f"{kind}_accuracy"] for h in run["history"]], style, color=f"C{i}", label=label)
    axes.axhline(goal, color="gray", linestyle=":")
    axes.set(xlabel=unit, ylabel="accuracy", title="Solid: held-out images; dashed: augmented training images")
    axes.legend()
    save_figure(figure, path)


def draw_efficiency(runs: Sequence[dict[str, Any]], path: Path) -> None:
    """Accuracy over the number of parameters."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
    for kind, marker in (("CNN", "o"), ("MLP", "s")):
        chosen = sorted((r["parameters"], r["test_accuracy"]) for r in runs if r["name"].startswith(kind))
        axes.plot(*zip(*chosen, strict=True), f"{marker}-")
    for run in runs:
        place = run["parameters"], run["test_accuracy"]
        axes.annotate(run["name"], place, textcoords="offset points", xytext=(0, 7), ha="center", fontsize=8)
    axes.set(xscale="log", xlabel="parameters", ylabel="held-out accuracy", title="What a parameter is worth")
    axes.margins(0.2)
    save_figure(figure, path)


def draw_filters(filters: Any, path: Path) -> None:
    """The filters [n, 3, k, k] of the first layer in colour, each scaled to its own range about grey."""
    from matplotlib import pyplot

    columns = int(np.ceil(np.sqrt(len(filters))))
    rows = -(-len(filters) // columns)
    size = max(0.7 * columns, 3.5), 0.7 * rows + 0.4
    figure, grid = pyplot.subplots(rows, columns, figsize=size, layout="constrained")
    for axes in grid.flat:
        axes.axis("off")
    for axes, weights in zip(grid.flat, filters, strict=False):
        axes.imshow(0.5 + weights.transpose(1, 2, 0) / (2 * np.abs(weights).max() + 1e-12), interpolation="nearest")
    figure.suptitle(f"The {len(filters)} filters of the first layer")
    save_figure(figure, path)


def draw_confusion(confusion: Any, classes: Sequence[str], path: Path) -> None:
    """Which class [row] is read as which [column], in counts."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.5, 5.8), layout="constrained")
    shares = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (i, j), count in np.ndenumerate(confusion):
        axes.text(j, i, str(count), ha="center", va="center", fontsize=7, color="white" if shares[i, j] > 0.5 else "k")
    axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right")
    axes.set_yticks(range(len(classes)), classes)
    accuracy = np.trace(confusion) / max(confusion.sum(), 1)
    axes.set(xlabel="read as", ylabel="is", title=f"Held-out images: {accuracy:.2%} right")
    save_figure(figure, path)


def draw_augmented(training: tt.CIFAR10, transform: Any, path: Path) -> None:
    """A few training images (top row), and what the network may see of them."""
    from matplotlib import pyplot

    images = training.images[:10]
    generator = np.random.default_rng(0)
    rows = [images, *(transform(images, generator) for _ in range(3))]
    figure, grid = pyplot.subplots(len(rows), len(images), figsize=(8, 3.5), layout="constrained")
    for axes, image in zip(grid.flat, np.concatenate(rows), strict=True):
        axes.imshow(image.transpose(1, 2, 0))
        axes.axis("off")
    figure.suptitle("Stored (top) and augmented")
    save_figure(figure, path)
