"""Pictures of the character GPT."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from milestones.common import save_figure


def draw_curves(history: Sequence[dict[str, Any]], published: float, path: Path) -> None:
    """Losses over the parts of the training, against a published one."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.5, 4), layout="constrained")
    parts = [record["epoch"] for record in history]
    axes.plot(parts, [record["train_loss"] for record in history], "o--", label="training, with dropout")
    axes.plot(parts, [record["val_loss"] for record in history], "s-", label="held out")
    axes.axhline(published, color="gray", linestyle=":", label=f"published, {published}")
    axes.set(xlabel=f"part of {len(parts)} of the training", ylabel="nats per character", title="Tiny Shakespeare")
    axes.legend()
    save_figure(figure, path)
