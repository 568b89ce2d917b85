"""Module 04: what the log-sum-exp shift saves, what a loss keeps in memory, and what cross entropy is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tinytorch as tt
from analyses.drawing import chart
from analyses.measuring import medians, peak_bytes, torch_if_installed
from analyses.record import Analysis, Section, Table
from tinytorch.frontend.layers.functions import one_hot
from tinytorch.frontend.losses import functions

_BACKGROUND = """
log softmax(x)ᵢ = xᵢ - log Σⱼ exp(xⱼ) = (xᵢ - m) - log Σⱼ exp(xⱼ - m) for any m; with m = max x no exponent is above 0.

Cross entropy of targets t and predictions p: H(t, p) = -Σ t log p = H(t) + KL(t ‖ p). Its gradient with respect to the
logits is softmax(x) - t, for n rows of C classes O(nC) operations. The least loss is the entropy H(t) of the targets:
0 for classes, above 0 for smoothed ones.
"""
_QUESTIONS = (
    "log(softmax(x)) fails at logits of a few hundred. Which of its two functions is to blame, exp or log?",
    "Where do the bytes of the loss go if a GPT has 50,000 tokens and a batch of 32 × 1,024 positions?",
    "A model whose loss is ln C at the first step is as good as guessing. What does a first loss of 10 ln C say?",
    "Smoothed targets keep the least loss above 0. What do they keep the logits from?",
    "Perplexity is exp(loss). What does a perplexity of 4 mean for the next character?",
)
LogSoftmax = Callable[..., tt.Tensor]


def analyze(
    *, quick: bool = False, log_softmax: LogSoftmax = tt.log_softmax, cross_entropy: Any = functions.cross_entropy
) -> Analysis:
    """Measure these two functions."""
    return Analysis(
        "Losses: range, memory, entropy",
        _BACKGROUND,
        [
            _range(log_softmax, quick),
            _memory(log_softmax, cross_entropy, quick),
            _entropy(cross_entropy),
            _gradient(cross_entropy),
        ],
        _QUESTIONS,
    )


def _naive(x: tt.Tensor) -> tt.Tensor:
    weights = x.exp()
    return (weights / weights.sum(-1, True)).log()


def _range(log_softmax: LogSoftmax, quick: bool) -> Section:
    """Errors as the logits grow."""
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((64, 10))
    scales = (1, 10, 30, 60, 100, 1000) if quick else (1, 3, 10, 20, 30, 40, 60, 100, 300, 1000, 10000)
    forms: dict[str, Callable[[tt.Tensor], tt.Tensor]] = {
        "log(exp(x) / Σ exp(x))": _naive,
        "log_softmax": lambda x: log_softmax(x, -1),
    }
    rows: list[list[Any]] = []
    for scale in scales:
        x = (logits * scale).astype(np.float32)
        exact = x.astype(np.float64)
        exact = exact - exact.max(-1, keepdims=True)
        exact = exact - np.log(np.exp(exact).sum(-1, keepdims=True))
        row: list[Any] = [scale]
        for form in forms.values():
            found = form(tt.Tensor(x)).numpy()
            good = np.isfinite(found)
            row += [
                float((~good).mean()),
                float((abs(found - exact)[good] / (1 + abs(exact[good]))).max()) if good.any() else None,
            ]
        rows.append(row)
    figure, axes = chart("standard deviation of the logits", "share of results that are not finite", log_x=True)
    for column, name in zip((1, 3), forms, strict=True):
        axes.plot(scales, [row[column] for row in rows], "o-", label=name)
    axes.legend(fontsize=8)
    first = next((row[0] for row in rows if row[1] > 0), None)
    worst = max(row[4] for row in rows if row[4] is not None)
    naive = f"has results that are not finite from logits of size {first} on" if first else "stayed finite"
    reading = (
        f"log(exp(x) / Σ exp(x)) {naive}; of log_softmax {max(row[3] for row in rows):.0%} are not finite. Its "
        f"largest error, relative to 1 + |exact|, is {worst:.1e}."
    )
    columns = ["size of the logits", *(f"{name}: {what}" for name in forms for what in ("not finite", "largest error"))]
    return Section("How large may logits be?", reading, Table(columns, rows), figure)


def _memory(log_softmax: LogSoftmax, cross_entropy: Any, quick: bool) -> Section:
    """Peak memory of loss and gradient, three ways, by the number of classes."""
    batch = 32 if quick else 128
    rng = np.random.default_rng(0)
    rows: list[list[Any]] = []

    def by_one_hot(x: tt.Tensor, t: tt.Tensor) -> tt.Tensor:
        chosen = one_hot(t, x.shape[-1]).float()
        return -(_naive(x) * chosen).sum(-1).mean()

    def by_log_softmax(x: tt.Tensor, t: tt.Tensor) -> tt.Tensor:
        return -log_softmax(x, -1).gather(-1, t.unsqueeze(-1)).mean()

    ways = {"softmax and one-hot": by_one_hot, "log_softmax, gathered": by_log_softmax, "cross_entropy": cross_entropy}
    for classes in (100, 1000) if quick else (100, 1000, 10_000, 50_000):
        x = tt.Tensor(rng.standard_normal((batch, classes)).astype(np.float32), requires_grad=True)
        t = tt.Tensor(rng.integers(0, classes, batch))

        def run(loss: Any, x: tt.Tensor = x, t: tt.Tensor = t) -> None:
            loss(x, t).backward()
            x.grad = None

        calls: dict[str, Callable[[], Any]] = {
            name: lambda loss=loss, run=run: run(loss) for name, loss in ways.items()
        }
        times = medians(calls, 0.02 if quick else 0.2)
        logits = batch * classes * 4
        rows.append(
            [
                classes,
                logits,
                *(peak_bytes(call) / logits for call in calls.values()),
                *(times[name] * 1e6 for name in calls),
            ]
        )
    figure, axes = chart("classes", "peak memory / bytes of the logits", log_x=True)
    for column, name in enumerate(ways, 2):
        axes.plot([row[0] for row in rows], [row[column] for row in rows], "o-", label=name)
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8)
    last = rows[-1]
    reading = (
        f"At {last[0]:,} classes and a batch of {batch} the logits have {last[1]:,} bytes. With one-hot vectors the "
        "peak is "
        f"{last[2]:.1f} times that, with log_softmax {last[3]:.1f} times, with cross_entropy {last[4]:.1f} times, of "
        "which the "
        "gradient itself is 1."
    )
    columns = [
        "classes",
        "logits, bytes",
        *(f"{name}: peak / logits" for name in ways),
        *(f"{name}, µs" for name in ways),
    ]
    return Section("What does a loss keep in memory?", reading, Table(columns, rows), figure)


def _entropy(cross_entropy: Any) -> Section:
    """The loss along a line of logits, against smoothed targets: its least value is their entropy."""
    classes = 10
    figure, axes = chart("logit of the right class, others 0", "cross entropy, nats")
    logits = np.linspace(-2, 14, 161)
    x = np.zeros((len(logits), classes), np.float32)
    x[:, 0] = logits
    p = np.exp(x.astype(np.float64))
    p /= p.sum(-1, keepdims=True)
    rows: list[list[Any]] = []
    for smoothing in (0.0, 0.05, 0.1, 0.2):
        targets = np.full(classes, smoothing / classes)
        targets[0] += 1 - smoothing
        given = tt.Tensor(np.tile(targets, (len(logits), 1)).astype(np.float32))
        loss = cross_entropy(tt.Tensor(x), given, reduction="none").numpy()
        nonzero = targets > 0
        entropy = abs(float((targets[nonzero] * np.log(targets[nonzero])).sum()))
        divergence = (targets[nonzero] * np.log(targets[nonzero] / p[:, nonzero])).sum(-1)
        rows.append(
            [
                smoothing,
                entropy,
                float(loss.min()),
                float(logits[loss.argmin()]),
                float(abs(loss - entropy - divergence).max()),
            ]
        )
        axes.plot(logits, loss, label=f"smoothing {smoothing}")
    axes.legend(fontsize=8)
    even = float(cross_entropy(tt.zeros(1, classes), tt.zeros(1).long()))
    reading = (
        f"H(t, p) - H(t) - KL(t ‖ p) is at most {max(row[4] for row in rows):.1e} everywhere. With a smoothing of 0.1 "
        "the least "
        f"loss is {rows[2][2]:.3f}, the entropy of the targets, at a logit of {rows[2][3]:.1f}; without, it falls on "
        "to "
        f"{rows[0][2]:.1e} at the end of the line. Equal logits cost {even:.3f} = ln {classes}."
    )
    columns = ["smoothing", "entropy of the targets", "least loss", "at the logit", "largest |H(t, p) - H(t) - KL|"]
    return Section("What is the least loss?", reading, Table(columns, rows), figure)


def _gradient(cross_entropy: Any) -> Section:
    """softmax - onehot, against autograd and PyTorch."""
    rng = np.random.default_rng(0)
    rows: list[list[Any]] = []
    torch = torch_if_installed()
    for scale in (1.0, 10.0, 100.0):
        logits, targets = (rng.standard_normal((8, 10)) * scale).astype(np.float32), rng.integers(0, 10, 8)
        x = tt.Tensor(logits, requires_grad=True)
        loss = cross_entropy(x, tt.Tensor(targets))
        loss.backward()
        assert x.grad is not None
        shifted = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
        expected = (shifted / shifted.sum(-1, keepdims=True) - np.eye(10)[targets]) / 8
        row: list[Any] = [
            scale,
            float(loss),
            float(abs(x.grad.numpy() - expected).max()),
            float(abs(x.grad.sum(-1)).max()),
        ]
        if torch:
            theirs = torch.nn.functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(targets))
            row.append(abs(float(theirs) - float(loss)))
        rows.append(row)
    reading = (
        f"Autograd gives (softmax(x) - onehot) / n up to {max(row[2] for row in rows):.1e}, at logits of any size; "
        "each row sums "
        f"to 0 up to {max(row[3] for row in rows):.1e}, since a constant added to all logits changes nothing."
    )
    columns = ["size of the logits", "loss", "|gradient - (softmax - onehot) / n|", "|sum of a row of the gradient|"]
    columns += ["|loss - torch's|"] if torch else []
    return Section("Is the gradient softmax minus one-hot?", reading, Table(columns, rows))
