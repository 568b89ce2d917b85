"""Milestone 1: the perceptron (Rosenblatt 1958): one linear layer and an activation, on points in the plane.

Trains on two classes that a line separates, for several seeds, and judges on points that were held out. Compares a
sigmoid with a ReLU as activation, draws the boundary, and profiles the memory of the training step.
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
    arguments,
    console,
    draw_memory,
    profile_step,
    save_figure,
    show_profiles,
    smoke,
    table,
)
from tinytorch.cli.program import exit_with

SEEDS = range(5)
POINTS, BATCH, RATE, GOAL = 512, 64, 0.1, 0.95
BATCHES = (16, 64, 256, 1024)
VARIANTS = {  # name: activation, loss
    "sigmoid + BCE": (tt.Sigmoid, tt.BCELoss),
    "sigmoid + MSE": (tt.Sigmoid, tt.MSELoss),
    "ReLU + MSE": (tt.ReLU, tt.MSELoss),
}
MAIN = next(iter(VARIANTS))


def separable(count: int, seed: int, margin: float = 0.05) -> tuple[Any, Any]:
    """`count` points in the square from -1 to 1 and their sides (0 or 1) of a random line, none nearer to it than
    `margin`: float32 [count, 2] and [count, 1]."""
    rng = np.random.default_rng(seed)
    angle, offset = rng.uniform(0, 2 * np.pi), rng.uniform(-0.3, 0.3)
    points = rng.uniform(-1, 1, (4 * count, 2))
    side = points @ [np.cos(angle), np.sin(angle)] - offset
    chosen = np.flatnonzero(np.abs(side) > margin)[:count]
    return points[chosen].astype(np.float32), (side[chosen, None] > 0).astype(np.float32)


def make_trainer(variant: str, seed: int, compile: bool) -> tt.Trainer:
    activation, loss = VARIANTS[variant]
    model = tt.Sequential(tt.Linear(2, 1, generator=tt.Generator(seed)), activation())
    optimizer = tt.SGD(model.parameters(), lr=RATE, momentum=0.9)
    return tt.Trainer(model, optimizer, loss(), compile=compile, hits=tt.binary_hits(0.5))


def train(variant: str, seed: int, epochs: int, compile: bool) -> tuple[tt.Trainer, dict[str, Any]]:
    """Train one perceptron; its history on held-out points, the epoch in which it first reached the goal, and whether
    it ended dead: a ReLU that is 0 on (nearly) every training point has no gradient to learn from."""
    points, labels = separable(2 * POINTS, seed)
    rows = [tt.TensorDataset(points[part], labels[part]) for part in (slice(POINTS), slice(POINTS, None))]
    trainer = make_trainer(variant, seed, compile)
    history = trainer.fit(
        tt.DataLoader(rows[0], BATCH, shuffle=True, seed=seed, prefetch=0),
        tt.DataLoader(rows[1], POINTS, prefetch=0),
        epochs=epochs,
    )
    reached = next((h["epoch"] for h in history if h["val_accuracy"] >= GOAL), None)
    with tt.no_grad():
        dead = bool((trainer.model(tt.from_numpy(points[:POINTS])).numpy() == 0).mean() > 0.99)
    accuracy = history[-1]["val_accuracy"]
    return trainer, {"seed": seed, "accuracy": accuracy, "epochs_to_goal": reached, "dead": dead, "history": history}


def draw_boundary(model: tt.Module, seed: int, path: Path) -> None:
    """The output of the model over the plane, its boundary, and the held-out points."""
    from matplotlib import pyplot

    points, labels = (part[POINTS:] for part in separable(2 * POINTS, seed))
    side = np.linspace(-1.1, 1.1, 121, dtype=np.float32)
    grid = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
    with tt.no_grad():
        output = model(tt.from_numpy(grid)).numpy().reshape(len(side), len(side))
    figure, axes = pyplot.subplots(figsize=(5.5, 4.6), layout="constrained")
    colors = axes.contourf(side, side, output, levels=20, cmap="RdBu_r", alpha=0.7, vmin=0, vmax=1)
    figure.colorbar(colors, label="output of the sigmoid")
    axes.contour(side, side, output, levels=[0.5], colors="black", linewidths=2)
    for label, marker in ((0, "o"), (1, "^")):
        chosen = points[labels[:, 0] == label]
        axes.plot(*chosen.T, marker, markersize=3, color="black", alpha=0.6, label=f"class {label}")
    axes.set(title=f"Decision boundary and held-out points (seed {seed})", aspect="equal")
    axes.legend(loc="upper right")
    save_figure(figure, path)


def draw_convergence(runs: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Held-out accuracy over epochs, one line per seed."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.5, 4), layout="constrained")
    for color, (variant, results) in zip(("C0", "C2", "C1"), runs.items(), strict=True):
        for i, result in enumerate(results):
            curve = [h["val_accuracy"] for h in result["history"]]
            axes.plot(range(1, len(curve) + 1), curve, color=color, alpha=0.6, label=None if i else variant)
    axes.axhline(GOAL, color="gray", linestyle=":")
    axes.set(xlabel="epoch", ylabel="held-out accuracy", title="Convergence, one line per seed")
    axes.legend(loc="lower right")
    save_figure(figure, path)


def profile(batch: int) -> Any:
    points, labels = separable(batch, 0)
    return profile_step(lambda compile: make_trainer(MAIN, 0, compile), points, labels)


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments("perceptron", "Milestone 1: a perceptron on separable points", 30, argv)
    if options.smoke:
        points, labels = separable(POINTS, SEEDS[0])
        trainer = make_trainer(MAIN, SEEDS[0], not options.eager)
        return smoke("perceptron", trainer, tt.TensorDataset(points, labels), BATCH)
    report = Report("perceptron", options.out)
    start = time.perf_counter()
    runs: dict[str, list[dict[str, Any]]] = {}
    for variant in VARIANTS:
        runs[variant] = []
        for seed in SEEDS:
            trainer, result = train(variant, seed, options.epochs, not options.eager)
            runs[variant].append(result)
            if variant == MAIN and seed == SEEDS[0]:
                draw_boundary(trainer.model, seed, options.out / "boundary.png")
        worst = min(r["accuracy"] for r in runs[variant])
        console.print(f"{variant}: {len(SEEDS)} seeds, worst held-out accuracy {worst:.2%}")
    report.figures |= {"runs": runs, "seconds": time.perf_counter() - start, "eager": options.eager}
    draw_convergence(runs, options.out / "convergence.png")
    table(
        f"Activations: held-out accuracy after {options.epochs} epochs, {len(SEEDS)} seeds",
        ("variant", "worst", "mean", f"reach {GOAL:.0%}", "in epochs", "dead"),
        [summary(variant, results) for variant, results in runs.items()],
    )
    profiles = [profile(batch) for batch in BATCHES]
    report.figures["memory"] = [vars(p) for p in profiles]
    show_profiles("One training step: memory in KiB, time", profiles)
    draw_memory(profiles, options.out / "memory.png")
    worst = min(r["accuracy"] for r in runs[MAIN])
    report.criteria.append(Criterion("accuracy on held-out points, worst seed", worst, GOAL))
    return report.finish()


def summary(variant: str, results: list[dict[str, Any]]) -> tuple[str, ...]:
    accuracies = [r["accuracy"] for r in results]
    reached = [r["epochs_to_goal"] for r in results if r["epochs_to_goal"] is not None]
    epochs = f"{np.mean(reached):.1f}" if reached else "never"
    counts = f"{len(reached)}/{len(results)}", epochs, f"{sum(r['dead'] for r in results)}/{len(results)}"
    return variant, f"{min(accuracies):.2%}", f"{np.mean(accuracies):.2%}", *counts


if __name__ == "__main__":
    exit_with("milestones.perceptron", main)
