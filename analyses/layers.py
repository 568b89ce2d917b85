"""Module 03: how a signal keeps its size through many layers, what training a layer keeps, and what dropout does."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

import tinytorch as tt
from analyses.drawing import chart, charts, style
from analyses.measuring import medians, peak_bytes, torch_if_installed
from analyses.record import Analysis, Section, Table
from tinytorch.frontend.module import init

_BACKGROUND = """
y = x Wᵀ + b with x [b, i] and W [o, i]: 2 b i o operations; i o + o parameters.

- Var y = i Var(w) E[x²]. Variance 1/i keeps the size of a linear signal; ReLU halves E[x²], so He takes 2/i; Xavier
  takes 2/(i + o), between what the signal wants and what its gradient wants. Uniform in ±a has variance a²/3.
- Training keeps W, as much again for its gradient, and b i numbers of input for the product that gives dW = gᵀ x.
- Dropout zeroes with probability p and divides by 1 - p: E[y] = x, Var y = x² p / (1 - p).
"""
_QUESTIONS = (
    "With a depth of 20, which standard deviation does a factor of 0.9 for each layer leave? And one of 1.1?",
    "With which of these weights would you begin a tanh network, and what does its curve say about depth?",
    "At which batch size do the activations of your last model outgrow its weights?",
    "The average of many dropout networks differs from the one at inference even for many masks. Why not for one "
    "layer?",
    "AdamW keeps two more numbers for each parameter. What is the factor from parameters to memory in training?",
)
Fill = Callable[[tt.Tensor], Any]


def analyze(
    *,
    quick: bool = False,
    Linear: Any = tt.Linear,
    xavier_uniform_: Fill = init.xavier_uniform_,
    kaiming_uniform_: Fill = init.kaiming_uniform_,
    Dropout: Any = tt.Dropout,
) -> Analysis:
    """Measure these layers and first weights."""
    return Analysis(
        "Layers: first weights, memory, dropout",
        _BACKGROUND,
        [
            _signal(Linear, xavier_uniform_, kaiming_uniform_, quick),
            _memory(Linear, quick),
            _work(Linear, quick),
            _dropout(Linear, Dropout, quick),
        ],
        _QUESTIONS,
    )


def _unit_normal(weight: tt.Tensor) -> None:
    init.normal_(weight)


def _small(weight: tt.Tensor) -> None:
    init.normal_(weight, std=0.01)


def _signal(Linear: Any, xavier: Fill, he: Fill, quick: bool) -> Section:
    """The size of the signal after each of many layers, and of the gradient on its way back."""
    depth, width, batch = (10, 128, 128) if quick else (20, 256, 256)
    fills: dict[str, Fill] = {"N(0, 1)": _unit_normal, "N(0, 0.01²)": _small, "Xavier": xavier, "He": he}
    rows: list[list[Any]] = []
    figure, both = charts(2, share_y=True)
    for axes, (name, activation) in zip(both, {"ReLU": tt.relu, "tanh": tt.tanh}.items(), strict=True):
        style(axes, "layer", f"standard deviation, {name}", log_y=True)
        for fill, put in fills.items():
            tt.manual_seed(0)
            layers = [Linear(width, width, bias=False) for _ in range(depth)]
            for layer in layers:
                put(layer.weight)
            x = h = tt.randn(batch, width).requires_grad_()
            sizes: list[float] = []
            for layer in layers:
                h = activation(layer(h))
                sizes.append(max(float(h.numpy().std(dtype=np.float64)), 1e-30))
            h.backward(tt.randn(batch, width))
            assert x.grad is not None
            rows.append(
                [name, fill, sizes[0], sizes[depth // 2], sizes[-1], float(x.grad.numpy().std(dtype=np.float64))]
            )
            axes.plot(range(1, depth + 1), sizes, "o-", markersize=3, label=fill)
    both[0].legend(fontsize=8)
    found = {(row[0], row[1]): row for row in rows}
    reading = (
        f"After {depth} layers of ReLU the standard deviation is {found['ReLU', 'He'][4]:.2f} with He's weights and "
        f"{found['ReLU', 'Xavier'][4]:.1e} with Xavier's; with N(0, 1) it is {found['ReLU', 'N(0, 1)'][4]:.1e}, with "
        "N(0, 0.01²) "
        f"{found['ReLU', 'N(0, 0.01²)'][4]:.1e}. The gradient of size 1 that goes in at the end arrives as "
        f"{found['ReLU', 'He'][5]:.2f} with He."
    )
    columns = ["activation", "weights", "layer 1", f"layer {depth // 2 + 1}", f"layer {depth}", "gradient at the input"]
    return Section("Does the signal keep its size?", reading, Table(columns, rows), figure)


def _memory(Linear: Any, quick: bool) -> Section:
    """Training a network of three layers, by batch."""
    sizes = (784, 256, 128, 10) if quick else (784, 512, 256, 10)
    tt.manual_seed(0)
    layers = [Linear(i, o) for i, o in pairwise(sizes)]
    parameters = [p for layer in layers for p in layer.parameters()]
    weights = 4 * sum(p.numel() for p in parameters)
    batches = (16, 64, 256) if quick else (16, 64, 256, 1024, 4096)
    rows: list[list[Any]] = []
    for batch in batches:
        x = tt.randn(batch, sizes[0])

        def step(x: tt.Tensor = x) -> None:
            h = x
            for layer in layers:
                h = layer(h).relu()
            h.sum().backward()
            for p in parameters:
                p.grad = None

        step()
        # The input of each product and what ReLU's derivative reads: the results of all layers but the input itself.
        activations = 4 * batch * sum(sizes[1:])
        rows.append([batch, weights, weights, activations, peak_bytes(step)])
    figure, axes = chart("batch", "MiB", log_x=True, log_y=True)
    for column, name in ((1, "weights"), (3, "results of the layers"), (4, "measured peak of a step")):
        axes.plot([row[0] for row in rows], [row[column] / 2**20 for row in rows], "o-", label=name)
    axes.set_xticks(batches, [str(b) for b in batches])
    axes.legend(fontsize=8)
    cross = weights / (4 * sum(sizes[1:]))
    reading = (
        f"The {weights // 4:,} parameters take {weights:,} bytes and their gradients as many. The results of the "
        "layers "
        f"outgrow the weights beyond a batch of {cross:.0f}; at {rows[-1][0]:,} the measured peak of a step, without "
        "the "
        f"weights themselves, is {rows[-1][4] / weights:.1f} times the weights."
    )
    columns = ["batch", "weights, bytes", "gradients, bytes", "results of the layers, bytes", "measured peak, bytes"]
    return Section("What does a training step keep?", reading, Table(columns, rows), figure)


def _work(Linear: Any, quick: bool) -> Section:
    """Forward, and forward with backward, by width."""
    batch = 64
    widths = (64, 256) if quick else (64, 256, 1024)
    torch = torch_if_installed()
    rows, ways = list[list[Any]](), list[str]()
    for width in widths:
        tt.manual_seed(0)
        layer, x = Linear(width, width), tt.randn(batch, width)
        compiled = tt.compile(layer)

        def both(x: tt.Tensor, layer: Any = layer) -> tt.Tensor:
            loss = layer(x).sum()
            loss.backward()
            layer.weight.grad = layer.bias.grad = None
            return loss

        calls: dict[str, Callable[[], Any]] = {
            "eager": lambda layer=layer, x=x: layer(x),
            "compiled": lambda compiled=compiled, x=x: compiled(x),
            "forward and backward": lambda both=both, x=x: both(x),
        }
        if torch:
            theirs, given = torch.nn.Linear(width, width), torch.from_numpy(x.numpy().copy())
            calls["torch eager"] = lambda theirs=theirs, given=given: theirs(given)
        times = medians(calls, 0.02 if quick else 0.2)
        ways = list(calls)
        rows.append([width, 2 * batch * width * width, *(times[name] * 1e6 for name in calls)])
    last = rows[-1]
    reading = (
        "Forward is 2 b i o operations, and so is the gradient of the weight; that of x is not asked for here. At a "
        f"width of {last[0]} forward and backward took {last[4] / last[2]:.1f} times as long as forward alone, eagerly."
    )
    columns = ["width", "operations of forward", *(f"{name}, µs" for name in ways)]
    return Section("What does a layer cost, by its width?", reading, Table(columns, rows))


def _dropout(Linear: Any, Dropout: Any, quick: bool) -> Section:
    """The average over masks, of one layer and of a network."""
    width, p = 64, 0.5
    masks = (1, 4, 16, 64, 256) if quick else (1, 4, 16, 64, 256, 1024)
    tt.manual_seed(0)
    first, second, third = Linear(width, width), Linear(width, width), Linear(width, 1)
    drop, x = Dropout(p), tt.randn(32, width)
    networks: dict[str, Callable[[bool], tt.Tensor]] = {
        "one layer behind dropout": lambda training: third(drop(x, training)),
        "three layers, ReLU": lambda training: third(drop(second(drop(first(x).relu(), training)).relu(), training)),
    }
    figure, axes = chart("masks averaged", "RMS distance from inference", log_x=True, log_y=True)
    rows: list[list[Any]] = []
    with tt.no_grad():
        for name, network in networks.items():
            at_inference = network(False).numpy()
            total, distances = np.zeros_like(at_inference), list[float]()
            for count in range(1, masks[-1] + 1):
                total += network(True).numpy()
                if count in masks:
                    distances.append(float(np.sqrt(((total / count - at_inference) ** 2).mean())))
            rows += [[name, count, distance] for count, distance in zip(masks, distances, strict=True)]
            axes.plot(masks, distances, "o-", label=name)
        kept = drop(tt.ones(1000, 100), True).numpy()
    axes.set_xticks(masks, [str(m) for m in masks])
    axes.legend(fontsize=8)
    single, deep = (([row for row in rows if row[0] == name]) for name in networks)
    reading = (
        f"Of 100,000 ones {(kept == 0).mean():.1%} became 0, and their mean is {kept.mean():.3f}. From 1 to "
        f"{masks[-1]} masks the "
        f"distance of one layer fell by a factor of {single[0][2] / single[-1][2]:.0f} (√{masks[-1]} = "
        f"{masks[-1] ** 0.5:.0f}), that "
        f"of the deep network by {deep[0][2] / deep[-1][2]:.0f}."
    )
    return Section(
        "Is the network at inference the average of the networks that were trained?",
        reading,
        Table(["network", "masks", "RMS distance"], rows),
        figure,
    )
