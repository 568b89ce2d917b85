"""The memory of a training step, against the depth: kept whole, with checkpoints, and within a limit; and the time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

import tinytorch as tt
from tinytorch.ir.text.units import duration

_ROUNDS = 5
_SHARE = 0.5  # of the memory of the whole: the limit
Piece = Callable[[tt.Tensor], tt.Tensor]


@dataclass
class Point:
    """One way to run a training step: bytes of the arena, operations, and the median seconds of a call."""

    model: str
    depth: int
    way: str
    bytes: int
    flops: int
    seconds: float


def _mlp(depth: int) -> tuple[list[Piece], list[tt.Tensor], tt.Tensor]:
    """Layers of [256, 128] @ [128, 128] and tanh."""
    layers = [tt.Linear(128, 128) for _ in range(depth)]
    pieces = [lambda h, layer=layer: layer(h).tanh() for layer in layers]
    return pieces, [p for layer in layers for p in layer.parameters()], tt.randn(256, 128)


class _Block(tt.Module):
    """A transformer block written in ops: width 64, 4 heads, causal."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.behind = tt.LayerNorm(64), tt.LayerNorm(64)
        self.qkv, self.out = tt.Linear(64, 192), tt.Linear(64, 64)
        self.up, self.down = tt.Linear(64, 256), tt.Linear(256, 64)

    def forward(self, x: tt.Tensor) -> tt.Tensor:
        batch, length, width = x.shape
        parts = self.qkv(self.before(x)).reshape(batch, length, 3, 4, width // 4).permute(2, 0, 3, 1, 4)
        q, k, v = parts[0], parts[1], parts[2]
        later = tt.arange(length).reshape(1, length) > tt.arange(length).reshape(length, 1)
        scores = tt.where(later, -math.inf, (q @ k.transpose(-1, -2)) * (width // 4) ** -0.5)
        x = x + self.out((scores.softmax(-1) @ v).permute(0, 2, 1, 3).reshape(batch, length, width))
        return x + self.down(tt.gelu(self.up(self.behind(x))))


def _transformer(depth: int) -> tuple[list[Piece], list[tt.Tensor], tt.Tensor]:
    blocks = [_Block() for _ in range(depth)]
    return list(blocks), [p for block in blocks for p in block.parameters()], tt.randn(4, 64, 64)


MODELS = {"MLP": _mlp, "transformer": _transformer}


def _compiled(model: str, depth: int, every: int, limit: int | None = None) -> tuple[Any, tt.Tensor]:
    """A step with a checkpoint around each `every` pieces (0: none)."""
    tt.manual_seed(0)
    pieces, parameters, x = MODELS[model](depth)
    optimizer = tt.SGD(parameters, lr=1e-3)

    def run(first: int, count: int, h: tt.Tensor) -> tt.Tensor:
        for piece in pieces[first : first + count]:
            h = piece(h)
        return h

    def step(x: tt.Tensor) -> tt.Tensor:
        optimizer.zero_grad()
        for first in range(0, depth, every or depth):
            x = tt.checkpoint(run, first, every, x) if every else run(0, depth, x)
        loss = x.square().mean()
        loss.backward()
        optimizer.step()
        return loss

    return tt.compile(step, memory_limit=limit), x


def measure(model: str, depth: int) -> list[Point]:
    """All ways at one depth; calls are timed in turns."""
    ways = {"kept": _compiled(model, depth, 0), "checkpoints": _compiled(model, depth, max(1, math.isqrt(depth)))}
    step, x = ways["kept"]
    step(x)
    try:
        limited = _compiled(model, depth, 0, int(step.executable.arena_bytes * _SHARE))
        limited[0](limited[1])
        ways["limit"] = limited
    except tt.CompileError:
        pass  # a step of few layers cannot do with half of its memory
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(_ROUNDS):
        for way, (step, x) in ways.items():
            step(x)
            start = time.perf_counter()
            step(x)
            times[way].append(time.perf_counter() - start)
    return [
        Point(
            model, depth, way, step.executable.arena_bytes, sum(n.flops for n in step.graph.nodes), median(times[way])
        )
        for way, (step, _) in ways.items()
    ]


def run(console: Console, depths: Sequence[int]) -> dict[str, Any]:
    """Measure, print a table for each model; everything measured, for JSON."""
    points: list[Point] = []
    for model in MODELS:
        own = [point for depth in depths for point in measure(model, depth)]
        console.print(_table(model, own))
        points += own
    return {"points": [asdict(point) for point in points]}


def _table(model: str, points: Sequence[Point]) -> Table:
    title = (
        f"{model}: memory of a training step (checkpoints around √depth layers; limit: {_SHARE:.0%} of what is kept)"
    )
    table = Table(title=title)
    for name in ("depth", "way", "arena", "of kept", "operations", "time", "of kept"):
        table.add_column(name, justify="left" if name == "way" else "right")
    for point in points:
        kept = next(p for p in points if p.depth == point.depth and p.way == "kept")
        table.add_row(
            str(point.depth),
            point.way,
            f"{point.bytes / 2**20:.2f} MiB",
            f"{point.bytes / kept.bytes:.0%}",
            f"{point.flops / kept.flops:.2f}×",
            duration(point.seconds),
            f"{point.seconds / kept.seconds:.2f}×",
        )
    return table
