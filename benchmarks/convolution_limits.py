"""`python -m benchmarks.convolution_limits`: convolutions of real networks against the limit and torch, one thread.

A row is a convolution in one direction. `done` is the share of the limit by the multiplications that its kernels
really do, `defined` by those of the definition; `torch` and `last` are the times of torch, as it comes and with
channels last, over ours. A transposed convolution is the input gradient (dx) of its shape. For each target that this
machine runs; times are medians of rounds in which all take turns.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, cast

import numpy as np
import typer
from rich.console import Console

import tinytorch as tt
from benchmarks.peaks import copy_case, fma_case
from benchmarks.registry import Case
from benchmarks.workloads.convolution import (
    Direction,
    Shape,
    channels_last,
    operands,
    tinytorch_function,
    torch_convolution,
)
from tinytorch.cli.program import Commands
from tinytorch.runtime.llvm.backend import LlvmBackend
from tinytorch.runtime.llvm.text.target import Target, TargetName

Forced = Mapping[str, TargetName | None]  # by the name of a column
_ALL: tuple[Direction, ...] = ("forward", "dx", "dw")
_SECONDS = 0.015  # of one contestant in a round

app = Commands("benchmarks.convolution_limits")


@dataclass(frozen=True)
class Network:
    """The convolutions of a network, and the directions in which it has them."""

    name: str
    directions: tuple[Direction, ...]
    shapes: tuple[Shape, ...]


def _square(
    batch: int, channels: int, columns: int, size: int, window: int, stride: int = 1, **more: int
) -> Shape:  # padded to the size of the images over the stride
    return Shape(batch, channels, columns, (size, size), window, stride, **{"padding": window // 2, **more})


def _resnet18(batch: int) -> tuple[Shape, ...]:
    stem = (_square(batch, 3, 64, 32, 3), _square(batch, 64, 64, 32, 3))
    halving = [(64, 32), (128, 16), (256, 8)]
    blocks = [
        shape
        for channels, size in halving
        for shape in (
            _square(batch, channels, 2 * channels, size, 3, 2),
            _square(batch, channels, 2 * channels, size, 1, 2),
            _square(batch, 2 * channels, 2 * channels, size // 2, 3),
        )
    ]
    return (*stem, *blocks)


def _resnet50() -> tuple[Shape, ...]:
    shapes = [_square(1, 3, 64, 224, 7, 2), _square(1, 64, 64, 56, 1)]
    for width, size in ((64, 56), (128, 28), (256, 14), (512, 7)):
        shapes += [_square(1, width, width, size, 3), _square(1, width, 4 * width, size, 1)]
        shapes += [_square(1, 4 * width, width, size, 1)]
        if width > 64:
            shapes += [_square(1, width, width, 2 * size, 3, 2), _square(1, 2 * width, 4 * width, 2 * size, 1, 2)]
    return tuple(shapes)


def _unet() -> tuple[Shape, ...]:
    shapes = [_square(2, 1, 32, 128, 3), _square(2, 32, 32, 128, 3)]
    for width, size in ((64, 64), (128, 32), (256, 16)):
        shapes += [_square(2, width // 2, width, size, 3), _square(2, width, width, size, 3)]
        shapes += [Shape(2, width // 2, width, (2 * size, 2 * size), 2, 2)]  # its dx is the way up
        shapes += [_square(2, width, width // 2, 2 * size, 3)]
    return tuple(shapes)


def _dcgan() -> tuple[Shape, ...]:
    widths = ((3, 64, 64), (64, 128, 32), (128, 256, 16), (256, 512, 8))
    halving = [Shape(32, a, b, (size, size), 4, 2, 1) for a, b, size in widths]
    return (*halving, Shape(32, 512, 1, (4, 4), 4), Shape(32, 512, 100, (4, 4), 4))


def _mobilenet() -> tuple[Shape, ...]:
    shapes = [_square(1, 3, 32, 224, 3, 2)]
    for channels, columns, size, stride in (
        (32, 64, 112, 1),
        (64, 128, 112, 2),
        (128, 128, 56, 1),
        (128, 256, 56, 2),
        (256, 256, 28, 1),
        (256, 512, 28, 2),
        (512, 512, 14, 1),
        (512, 1024, 14, 2),
        (1024, 1024, 7, 1),
    ):
        shapes += [_square(1, channels, channels, size, 3, stride, groups=channels)]
        shapes += [_square(1, channels, columns, size // stride, 1)]
    return tuple(shapes)


NETWORKS = (
    Network("resnet18_b32", _ALL, _resnet18(32)),
    Network("resnet18_b1", ("forward",), _resnet18(1)),
    Network("resnet50_b1", ("forward",), _resnet50()),
    Network("unet_b2", _ALL, _unet()),
    Network("dcgan_b32", _ALL, _dcgan()),
    Network("mobilenet_b1", ("forward",), _mobilenet()),
    Network(
        "others",
        _ALL,
        (
            _square(8, 96, 96, 27, 5),
            _square(4, 64, 64, 40, 7),
            _square(8, 256, 256, 28, 3, groups=32),
            _square(8, 128, 128, 14, 3, groups=4),
            _square(4, 64, 64, 33, 3, padding=2, dilation=2),
            _square(4, 96, 160, 29, 3, 2, padding=3, dilation=3),
            Shape(3, 72, 200, (19, 23), 3, padding=1),
            _square(16, 192, 192, 7, 3),
            _square(8, 64, 64, 56, 3, groups=64),
            _square(8, 96, 192, 30, 3, 2, groups=96),
        ),
    ),
)


@dataclass
class Row:
    """One convolution in one direction: seconds of each contestant in each round, and what was measured beside."""

    name: str
    seconds: dict[str, list[float]]
    defined: float
    done: dict[str, float]
    limit: str

    def best(self, contestant: str) -> float:
        return statistics.median(self.seconds[contestant])


def _ours(shape: Shape, direction: Direction, target: TargetName | None) -> tuple[Callable[[], object], float]:
    """A call, and the floating-point operations of its products."""
    backend = None if target is None else LlvmBackend(Target.named(target))
    function = tt.compile(tinytorch_function(shape, direction), backend=backend)
    arrays = [channels_last(a) if a.shape != shape.weights else a for a in operands(shape, direction)]
    if direction == "dx":
        arrays.insert(0, channels_last(np.zeros(shape.images, np.float32)))
    elif direction == "dw":
        arrays.insert(0, np.zeros(shape.weights, np.float32))
    tensors = [tt.Tensor(array) for array in arrays]
    function(*tensors)
    inside = [n for node in function.graph.nodes if "body" in node.attrs for n in node.attrs["body"].nodes]
    done = float(sum(n.flops for n in inside if n.op.kind == "contract"))
    return lambda: function(*tensors), done


def _limit(shape: Shape) -> tuple[str, Case]:
    """What bounds it: multiply-adds, counted one by one, or the way through memory and back."""
    if shape.groups == shape.channels and shape.groups > 1:
        return "copy", copy_case(1, 4.0 * float(np.prod(shape.images) + np.prod(shape.outputs)))
    return "fma", fma_case(1, 1.0)


def _timed(call: Callable[[], object]) -> float:
    """Seconds of one call, of as many as fill a while."""
    start = time.perf_counter()
    call()
    once = time.perf_counter() - start
    count = max(1, round(_SECONDS / max(once, 1e-7)))
    start = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - start) / count


def measured(shape: Shape, direction: Direction, targets: Forced, peers: bool, rounds: int) -> Row:
    """All contestants in turn."""
    calls: dict[str, Callable[[], object]] = {}
    done: dict[str, float] = {}
    for name, target in targets.items():
        calls[name], done[name] = _ours(shape, direction, target)
    if peers:
        calls["torch"] = torch_convolution(shape, direction).step
        calls["last"] = torch_convolution(shape, direction, last=True).step
    limit, peak = _limit(shape)
    seconds: dict[str, list[float]] = {name: [] for name in (*calls, "limit")}
    for _ in range(rounds):
        start = time.perf_counter()
        peak.step()
        seconds["limit"].append((time.perf_counter() - start) / peak.units)
        for name, call in calls.items():
            seconds[name].append(_timed(call))
    defined = 2.0 * float(np.prod(shape.outputs)) * shape.terms
    return Row(f"{shape.name} {direction}", seconds, defined, done, limit)


def _line(row: Row, targets: Forced, peers: bool) -> Iterator[str]:
    limit = row.best("limit")
    yield f"{row.name:48}"
    for name in targets:
        took = row.best(name)
        if row.limit == "copy":
            shares = f"copy {100 * limit / took:4.0f} %          "
        else:
            done, defined = (100 * flops * limit / took for flops in (row.done[name], row.defined))
            shares = f"done {done:4.0f} %  def {defined:4.0f} %"
        yield f"{name:6} {1e6 * took:8.0f} µs  {shares}"
        if peers:
            yield "  ".join(f"{peer} {row.best(peer) / took:5.2f}" for peer in ("torch", "last"))


@app.command()
def main(
    networks: Annotated[list[str] | None, typer.Argument(help="Names of networks; all if none.")] = None,
    only: Annotated[str, typer.Option(help="Rows whose name contains one of these, between commas.")] = "",
    targets: Annotated[str, typer.Option(help="host, avx512, avx2, sse2")] = "host,avx2",
    peers: Annotated[bool, typer.Option(help="Measure torch too.")] = True,
    rounds: Annotated[int, typer.Option(min=1)] = 5,
) -> None:
    """Convolutions of real networks against the limit and torch, one thread."""
    tt.set_num_threads(1)
    if peers:
        import torch

        torch.set_num_threads(1)
    console = Console(soft_wrap=True, highlight=False)
    chosen: Forced = {name: None if name == "host" else cast(TargetName, name) for name in targets.split(",")}
    parts = only.split(",")
    for network in NETWORKS:
        if networks and network.name not in networks:
            continue
        console.print(network.name, markup=False)
        seen: set[Any] = set()
        for shape in network.shapes:
            for direction in network.directions:
                name = f"{shape.name} {direction}"
                if name in seen or not any(part in name for part in parts):
                    continue
                seen.add(name)
                row = measured(shape, direction, chosen, peers, rounds)
                console.print("  " + "  ".join(_line(row, chosen, peers)), markup=False)


if __name__ == "__main__":
    app()
