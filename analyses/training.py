"""Module 07: what a batch costs and gains, how gradients of small batches make those of a large one, and warm-up."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

import tinytorch as tt
from analyses.drawing import chart, charts, style
from analyses.measuring import medians
from analyses.record import Analysis, Section, Table

_BACKGROUND = """
A step on a batch of b samples estimates the gradient with a variance that falls as 1 / b. It keeps n parameters, n
gradients and the optimizer's state, which do not depend on b, and a activations for each sample, a b in all.

- Gradients of k micro-batches, each weighted by its samples and divided by all of them, are those of the whole batch:
  ∇(1/N Σ lᵢ) = Σₖ (nₖ / N) ∇(1/nₖ Σ lᵢ).
- Clipping: g ← g min(1, c / ‖g‖), with one norm over all parameters (Pascanu et al. 2013).
- Warm-up raises the rate from almost 0 to its largest in the first epochs, while Adam's moments and the scale of the
  activations settle (Goyal et al. 2017); a cosine then lowers it (Loshchilov & Hutter 2017).
"""
_QUESTIONS = (
    "Training needs 8 GB at a batch of 256 and 5 GB at 64. How large are the parts that grow and that do not?",
    "A batch twice as large takes half as many updates for each epoch. By how much would you raise the rate, and what "
    "speaks against it?",
    "The last micro-batch has 17 samples, the others 32. What goes wrong if the gradients are averaged with equal "
    "weights?",
    "Batch normalisation is in the model. Is accumulation over four micro-batches still the same as the large batch?",
    "Which statistic of the run, watched in the first hundred steps, would tell you that warm-up is needed?",
)


def analyze(*, quick: bool = False, clip_grad_norm: Any = tt.clip_grad_norm, Schedule: Any = None) -> Analysis:
    """Measure training with this clipping and this schedule (by default `CosineSchedule`)."""
    return Analysis(
        "Training: batches, accumulation, warm-up",
        _BACKGROUND,
        [_memory(quick), _convergence(quick), _accumulation(quick), _warm_up(clip_grad_norm, Schedule, quick)],
        _QUESTIONS,
    )


@cache
def points(count: int) -> tuple[Any, Any]:
    """Three spiral arms in the plane, f32 [count, 2], and which arm each point is on."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, count)
    radius = rng.uniform(0.1, 1, count)
    angle = 4 * radius + labels * 2 * math.pi / 3 + rng.normal(0, 0.35, count)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).astype(np.float32) * 2, labels


def network(width: int = 64) -> tt.Sequential:
    """The same weights each time."""
    generator = tt.Generator().manual_seed(0)
    made = [tt.Linear(a, b, generator=generator) for a, b in ((2, width), (width, width), (width, 3))]
    return tt.Sequential(made[0], tt.ReLU(), made[1], tt.ReLU(), made[2])


def _memory(quick: bool) -> Section:
    """The bytes of compiled training steps, by batch."""
    model = tt.Sequential(tt.Linear(784, 256), tt.ReLU(), tt.Linear(256, 256), tt.ReLU(), tt.Linear(256, 10))
    batches = (16, 256, 1024) if quick else (16, 64, 128, 256, 512, 1024)
    profiler = tt.Profiler()
    found = {b: profiler.measure_memory(model, (b, 784), optimizer=tt.AdamW) for b in batches}
    fixed = [m.parameters + m.gradients + m.optimizer for m in found.values()]
    growing = [m.peak - constant for m, constant in zip(found.values(), fixed, strict=True)]
    slope = (growing[-1] - growing[0]) / (batches[-1] - batches[0])
    figure, axes = chart("batch size", "memory of a training step, MB")
    axes.stackplot(
        batches,
        [f / 1e6 for f in fixed],
        [g / 1e6 for g in growing],
        labels=["parameters, gradients, AdamW's state", "inputs and activations"],
    )
    axes.legend(fontsize=8, loc="upper left")
    rows = [[b, constant, grows, constant + grows] for b, constant, grows in zip(batches, fixed, growing, strict=True)]
    equal = fixed[0] / slope
    reading = (
        f"{fixed[0]:,} bytes do not depend on the batch; each sample adds {slope:,.0f}, so that at a batch of about "
        f"{equal:,.0f} both parts are equal."
    )
    columns = ["batch", "parameters, gradients, state, bytes", "inputs and activations, bytes", "all, bytes"]
    return Section("What does a larger batch cost in memory?", reading, Table(columns, rows), figure)


def _convergence(quick: bool) -> Section:
    """Loss against samples and against updates, at one rate."""
    count, epochs = (768, 6) if quick else (2048, 12)
    batches = (16, 256) if quick else (8, 32, 128, 512)
    inputs, labels = points(count)
    figure, pair = charts(2, share_y=True)
    style(pair[0], "epochs", "training loss", log_y=True)
    style(pair[1], "updates", "", log_x=True, log_y=True)
    rows: list[list[Any]] = []
    finals: dict[int, float] = {}
    for batch in batches:
        model = network()
        loader = tt.DataLoader(tt.TensorDataset(inputs, labels), batch, shuffle=True)
        trainer = tt.Trainer(model, tt.SGD(model.parameters(), lr=0.05), tt.CrossEntropyLoss(), progress=False)
        history = trainer.fit(loader, epochs=epochs)
        losses = [record["train_loss"] for record in history]
        updates = trainer.step
        pair[0].plot(range(1, epochs + 1), losses, label=f"batch {batch}")
        pair[1].plot(np.linspace(updates / epochs, updates, epochs), losses, label=f"batch {batch}")
        finals[batch] = losses[-1]
        rows.append([batch, updates, losses[0], losses[-1], history[-1]["train_accuracy"]])
    pair[0].legend(fontsize=8)
    best = min(finals, key=finals.__getitem__)
    reading = (
        f"At the same rate and after the same {epochs} epochs, batches of {batches[0]} end at a loss of "
        f"{finals[batches[0]]:.2g} after {rows[0][1]:,} updates, batches of {batches[-1]} at {finals[batches[-1]]:.2g} "
        f"after {rows[-1][1]:,}. The lowest loss is that of batch {best}."
    )
    columns = ["batch", "updates", "loss, first epoch", "loss, last epoch", "accuracy, last epoch"]
    return Section("What does a larger batch cost in convergence?", reading, Table(columns, rows), figure)


def _accumulation(quick: bool) -> Section:
    """Micro-batches against the batch that they make: gradients, memory and time."""
    batch, width = (96, 128) if quick else (384, 512)
    inputs, labels = points(batch)
    model, loss_fn = network(width), tt.CrossEntropyLoss()
    whole = gradients(model, loss_fn, [(inputs, labels)])
    largest = max(float(abs(g).max()) for g in whole)
    rows: list[list[Any]] = []
    profiler = tt.Profiler()
    calls: dict[str, Callable[[], Any]] = {}
    for parts in (1, 2, 4, 8):
        micro = [
            (inputs[at : at + batch // parts], labels[at : at + batch // parts])
            for at in range(0, batch, batch // parts)
        ]
        found = gradients(model, loss_fn, micro)
        error = max(float(abs(a - b).max()) for a, b in zip(found, whole, strict=True)) / largest
        step = tt.compile(lambda x, y: loss_fn(model(x), y).backward())
        tensors = [(tt.Tensor(x), tt.Tensor(y)) for x, y in micro]
        calls[str(parts)] = lambda s=step, ts=tensors: _run(s, model, ts)
        rows.append([parts, batch // parts, error, profiler.measure_memory(model, (batch // parts, 2)).training])
    times = medians(calls, 0.1 if quick else 0.5)
    for row in rows:
        row.append(times[str(row[0])] / batch * 1e6)
    figure, axes = chart("micro-batches", "in parts of one large batch")
    for column, name in ((3, "memory of activations"), (4, "time per sample")):
        axes.plot([row[0] for row in rows], [row[column] / rows[0][column] for row in rows], "o-", label=name)
    axes.set_xticks([1, 2, 4, 8])
    axes.set_ylim(0, None)
    axes.legend(fontsize=8)
    last, first = rows[-1], rows[0]
    reading = (
        f"Weighted by their samples, gradients of {last[0]} micro-batches differ from those of the batch of {batch} by "
        f"{max(float(row[2]) for row in rows):.1e} of the largest. Activations then take "
        f"{last[3] / first[3]:.2f} of the memory, and a sample {last[4] / first[4]:.2f} times the time."
    )
    columns = ["micro-batches", "samples each", "difference of gradients", "activations, bytes", "µs per sample"]
    return Section("Can small batches make the gradient of a large one?", reading, Table(columns, rows), figure)


def gradients(model: Any, loss_fn: Any, batches: Sequence[tuple[Any, Any]]) -> list[Any]:
    """The gradients of the mean loss over all samples of these batches, one backward pass for each batch."""
    total = sum(len(labels) for _, labels in batches)
    for p in model.parameters():
        p.grad = None
    for inputs, labels in batches:
        (loss_fn(model(tt.Tensor(inputs)), tt.Tensor(labels)) * (len(labels) / total)).backward()
    found = [p.grad.numpy().copy() for p in model.parameters()]
    for p in model.parameters():
        p.grad = None
    return found


def _run(step: Any, model: Any, batches: Sequence[tuple[Any, Any]]) -> None:
    for inputs, labels in batches:
        step(inputs, labels)
    for p in model.parameters():
        p.grad = None


def _warm_up(clip_grad_norm: Any, Schedule: Any, quick: bool) -> Section:
    """A deep network at several rates: as it is, with clipping, with warm-up, and with both."""
    epochs, count, seeds = (12, 768, 3) if quick else (16, 1024, 3)
    largest = (0.01, 0.1) if quick else (0.003, 0.01, 0.03, 0.1)
    make = Schedule or tt.CosineSchedule
    inputs, labels = points(count)
    warm = epochs // 4
    runs = {"neither": (None, 0), "clipped at 1": (1.0, 0), "warm-up": (None, warm), "both": (1.0, warm)}
    losses: dict[str, list[float]] = {}
    norms: dict[str, list[float]] = {}
    steps = {most: _Run(most, clip_grad_norm) for most in (None, 1.0)}
    for name, (most, first) in runs.items():
        losses[name], norms[name] = [], []
        for rate in largest:
            schedule = make(max_lr=rate, min_lr=rate / 100, total_epochs=epochs, warmup_epochs=first)
            found = [steps[most].train(schedule, inputs, labels, epochs, seed) for seed in range(seeds)]
            losses[name].append(float(np.median([loss for loss, _ in found])))
            norms[name].append(float(np.median([norm for _, norm in found])))
    figure, pair = charts(2)
    style(pair[0], "largest learning rate", f"loss of epoch {epochs}", log_x=True, log_y=True)
    style(pair[1], "epoch", "learning rate, of the largest")
    for name in runs:
        pair[0].plot(largest, losses[name], "o-", label=name)
    at = np.arange(0, epochs, 0.1)
    for name, first in (("none", 0), ("warm-up", warm)):
        schedule = make(max_lr=1.0, min_lr=0.01, total_epochs=epochs, warmup_epochs=first)
        pair[1].plot(at, [schedule.get_lr(float(epoch)) for epoch in at], label=name)
    pair[0].legend(fontsize=8)
    pair[1].legend(fontsize=8)
    rows = [[rate, *(losses[name][i] for name in runs), *(norms[n][i] for n in ("neither", "warm-up"))]
            for i, rate in enumerate(largest)]  # fmt: skip
    lost = {name: sum(loss > 0.5 for loss in found) for name, found in losses.items()}
    reading = (
        f"Of {len(largest)} rates, the loss stays above 0.5 for "
        + ", ".join(f"{count} with {name}" for name, count in lost.items())
        + f". At the largest rate the norm of the gradients reached {norms['neither'][-1]:.1f} in the first epoch, "
        f"{norms['warm-up'][-1]:.1f} with warm-up (medians of {seeds} run{'s' * (seeds > 1)})."
    )
    columns = ["largest rate", *(f"loss, {name}" for name in runs), "norm, first epoch", "norm, with warm-up"]
    return Section("What do warm-up and clipping do at a large rate?", reading, Table(columns, rows), figure)


class _Run:
    """AdamW on eight layers, with one compiled step for all that it trains."""

    def __init__(self, most: float | None, clip_grad_norm: Any) -> None:
        self.model, self.loss_fn = _deep(0), tt.CrossEntropyLoss()
        self.optimizer = tt.AdamW(self.model.parameters())
        self.fresh = copy.deepcopy(self.optimizer.state_dict())
        most = math.inf if most is None else most
        self.step = tt.compile(_step_of(self.model, self.loss_fn, self.optimizer, most, clip_grad_norm))

    def train(self, schedule: Any, inputs: Any, labels: Any, epochs: int, seed: int) -> tuple[float, float]:
        """The mean loss of the last epoch, and the largest norm in the first, from new weights."""
        self.model.load_state_dict(_deep(seed).state_dict())
        self.optimizer.load_state_dict(self.fresh)
        rng = np.random.default_rng(seed)
        found: list[tuple[float, float]] = []
        for epoch in range(epochs):
            order = rng.permutation(len(labels))
            for at in range(0, len(order), 64):
                self.optimizer.lr = schedule.get_lr(epoch + at / len(order))
                rows = order[at : at + 64]
                loss, norm = self.step(tt.Tensor(inputs[rows]), tt.Tensor(labels[rows]))
                found.append((float(loss), float(norm)))
        steps = len(found) // epochs
        return float(np.mean([loss for loss, _ in found[-steps:]])), max(norm for _, norm in found[:steps])


def _step_of(model: tt.Sequential, loss_fn: Any, optimizer: tt.AdamW, most: float, clip_grad_norm: Any) -> Any:
    """Not a method of a run: the step watches what it uses, and nothing else."""

    def step(x: tt.Tensor, y: tt.Tensor) -> tuple[tt.Tensor, tt.Tensor]:
        optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        norm = clip_grad_norm(model.parameters(), most)
        optimizer.step()
        return loss, norm

    return step


def _deep(seed: int) -> tt.Sequential:
    generator = tt.Generator().manual_seed(seed)
    layers = [tt.Linear(a, b, generator=generator) for a, b in pairwise([2, *[48] * 7, 3])]
    return tt.Sequential(*(m for layer in layers[:-1] for m in (layer, tt.ReLU())), layers[-1])
