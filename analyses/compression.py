"""Module 18: which zeros save time, what pruning costs in accuracy, what training again gives back, and tickets."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import tinytorch as tt
from analyses.drawing import chart
from analyses.measuring import medians, torch_if_installed
from analyses.record import Analysis, Section, Table

_BACKGROUND = """
A product of m outputs and n inputs has mn weights, 4mn bytes in f32, and 2mn operations for a row. With a share s of
the weights 0:

- zeros in their places (*unstructured*) save neither in a dense product, which multiplies by them. A sparse one stores
  the others alone, each with its place: 8 (1 - s) mn bytes with an index of 4, and 2 (1 - s) mn operations for a row,
  in an order that vectors and caches like less. It can be written once the weights are known (`freeze=True`).
- N of each M kept, such as 2 of 4, needs two bits of index for each: 2.125mn bytes.
- whole inputs and outputs gone (*structured*), a share s of both: (1 - s)² is left of bytes and operations, in a dense
  product that is smaller.

Magnitude pruning sets the weights of smallest |w| to 0. If the loss L has a gradient near 0 there, the change is about
½ w² ∂²L/∂w²: small weights are cheap to lose where the curvature is alike.
"""
_QUESTIONS = (
    "From which sparsity on does a list of weights and their indices (4 bytes each) take less memory than the dense "
    "matrix?",
    "Why may the same share of zeros cost more accuracy if it is taken from each layer than if it is taken from all?",
    "Pruned weights stay 0 because a mask is applied behind each step. What would momentum do without it?",
    "The ticket and the control have the same masks. What does their difference say about initial weights?",
    "A network shrunk by half has a fourth of the inner weights. Which comparison with an unstructured one is fair?",
)
_INPUTS, _CLASSES, _BATCH = 32, 10, 256


def analyze(
    *, quick: bool = False, magnitude_prune: Callable[..., Any] = tt.magnitude_prune,
    measure_sparsity: Callable[[tt.Module], float] = tt.measure_sparsity,
) -> Analysis:  # fmt: skip
    """Measure this way to prune."""
    task = _Task(quick)
    return Analysis(
        "Compression: zeros, structure, and tickets",
        _BACKGROUND,
        [
            _time(magnitude_prune, quick),
            _accuracy(task, magnitude_prune, measure_sparsity),
            _layers(task, magnitude_prune, measure_sparsity),
            _structure(task, magnitude_prune),
            _tickets(task, magnitude_prune, measure_sparsity),
        ],
        _QUESTIONS,
    )


# Time.
def _time(magnitude_prune: Callable[..., Any], quick: bool) -> Section:
    """A network with zeros, in dense and in sparse products, and one without the neurons."""
    width, batch = 1024, 16
    shares = (0.0, 0.5, 0.9) if quick else (0.0, 0.25, 0.5, 0.75, 0.9, 0.95)
    names = ("zeros, dense product", "zeros, frozen", "fewer neurons, frozen")
    x = tt.Tensor(np.random.default_rng(0).standard_normal((batch, width)).astype(np.float32))
    calls: dict[str, Callable[[], Any]] = {}
    held: dict[str, int] = {}
    for share in shares:
        pruned, smaller = magnitude_prune(_network(width, width), share), _network(width, width)
        smaller = _shrunk(smaller, x, share) if share else smaller
        for name, model in zip(names, (pruned, pruned, smaller), strict=True):
            compiled = tt.compile(model.eval(), freeze="frozen" in name)
            calls[f"{name} {share}"] = lambda compiled=compiled: compiled(x)
            held[f"{name} {share}"] = sum(4 * p.numel() for p in model.parameters())
    torch = torch_if_installed()
    if torch:
        dense, given = _in_torch(torch, width), torch.from_numpy(x.numpy().copy())
        calls["torch, dense"] = lambda: dense(given)
    times = medians(calls, 0.05 if quick else 0.3)
    theirs = times["torch, dense"] * 1e6 if torch else None
    rows = [
        [share, *(held[f"{name} {share}"] for name in names[1:]), *(times[f"{name} {share}"] * 1e6 for name in names),
         None if share else theirs] for share in shares
    ]  # fmt: skip
    figure, axes = chart("share pruned", "time of a call, µs")
    for name in names:
        axes.plot(shares, [times[f"{name} {share}"] * 1e6 for share in shares], "o-", markersize=4, label=name)
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8)
    last = shares[-1]
    took = {name: times[f"{name} {last}"] / times[f"{name} 0.0"] for name in names}
    reading = (
        f"With {last:.0%} of its weights 0 the network took {took[names[0]]:.2f} times as long as before in dense "
        "products, and "
        f"{took[names[1]]:.2f} times where the compiler saw the zeros. Without {last:.0%} of its hidden neurons it "
        "took "
        f"{took[names[2]]:.2f} times as long, in {held[f'{names[2]} {last}']:,} bytes of parameters instead of "
        f"{held[f'{names[2]} 0.0']:,}."
    )
    columns = ["share", "zeros, bytes", "fewer neurons, bytes", *(f"{name}, µs" for name in names), "torch, dense, µs"]
    return Section(
        f"Which zeros save time, in {width}-{width}-{width}-{_CLASSES}?", reading, Table(columns, rows), figure
    )


def _network(inputs: int, width: int) -> tt.Sequential:
    tt.manual_seed(0)
    layers = [tt.Linear(inputs, width), tt.Linear(width, width), tt.Linear(width, _CLASSES)]
    return tt.Sequential(layers[0], tt.ReLU(), layers[1], tt.ReLU(), layers[2])


def _in_torch(torch: Any, width: int) -> Any:
    nn = torch.nn
    sizes = (nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, _CLASSES))
    return nn.Sequential(*sizes).eval().requires_grad_(False)


def _shrunk(model: Any, example: tt.Tensor, share: float) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return tt.prune_channels(model, example, share)


# Accuracy.
class _Task:
    """Points around 60 centres in 10 classes, and a network that learns them: `start` are its weights before training,
    `trained` those after."""

    def __init__(self, quick: bool) -> None:
        self.quick = quick
        self.steps = 120 if quick else 300
        self.shares = (0.0, 0.5, 0.8, 0.9) if quick else (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98)
        rng = np.random.default_rng(0)
        centres = rng.standard_normal((60, _INPUTS))
        self.train, self.test = (self._points(rng, centres, n) for n in (8192, 4096))
        self.model = _network(_INPUTS, 64 if quick else 128)
        self.optimizer = tt.Adam(self.model.parameters(), lr=3e-3)
        self._fresh = copy.deepcopy(self.optimizer.state_dict())
        tt.magnitude_prune(self.model, 0.0)  # masks from the beginning, so that a step is compiled once
        self._step = tt.compile(_step_of(self.model, self.optimizer))
        self.start = self.weights()
        self.learn(self.steps)
        self.trained = self.weights()

    def _points(self, rng: Any, centres: Any, count: int) -> tuple[tt.Tensor, tt.Tensor]:
        which = rng.integers(0, len(centres), count)
        x = centres[which] + 0.75 * rng.standard_normal((count, _INPUTS))
        return tt.Tensor(x.astype(np.float32)), tt.Tensor(which % _CLASSES)

    def weights(self) -> dict[str, Any]:
        """Copies, masks left out."""
        return {name: p.numpy().copy() for name, p in self.model.named_parameters()}

    def put(self, weights: dict[str, Any]) -> None:
        """Take these weights, all of them."""
        masks = {name for name in self.model.state_dict() if name.endswith("_mask")}
        whole = {name: np.ones_like(weights[name.removesuffix("_mask")], np.bool_) for name in masks}
        self.model.load_state_dict({**weights, **whole})

    def learn(self, steps: int) -> None:
        """From where the weights are, with an optimizer that has seen nothing."""
        self.optimizer.load_state_dict(copy.deepcopy(self._fresh))
        x, y = self.train
        for i in range(steps):
            at = i * _BATCH % len(x)
            self._step(x[at : at + _BATCH], y[at : at + _BATCH])

    def accuracy(self, model: Any = None) -> float:
        """Share of the test points that are named right."""
        x, y = self.test
        with tt.no_grad():
            found = (model or self.model)(x).numpy().argmax(1)
        return float((found == y.numpy()).mean())


def _step_of(model: tt.Sequential, optimizer: tt.Adam) -> Callable[[tt.Tensor, tt.Tensor], None]:
    """Not a method of a task: the step watches what it uses, and nothing else."""

    def step(x: tt.Tensor, y: tt.Tensor) -> None:
        loss = tt.CrossEntropyLoss()(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def _accuracy(task: _Task, magnitude_prune: Callable[..., Any], measure_sparsity: Callable[..., float]) -> Section:
    """Pruned at once, before and after training again."""
    rows: list[tuple[float, float, float]] = []
    for share in task.shares:
        task.put(task.trained)
        magnitude_prune(task.model, share)
        before = task.accuracy()
        task.learn(task.steps // 3)
        rows.append((float(measure_sparsity(task.model)), before, task.accuracy()))
    figure, axes = chart("share of weights that are 0", "test accuracy")
    axes.plot([row[0] for row in rows], [row[1] for row in rows], "o-", markersize=4, label="pruned")
    axes.plot([row[0] for row in rows], [row[2] for row in rows], "o-", markersize=4, label="trained again")
    axes.legend(fontsize=8)
    dense, last = rows[0][1], rows[-1]
    at_once = _cheap([(row[0], row[1]) for row in rows], dense)
    again = _cheap([(row[0], row[2]) for row in rows], dense)
    reading = (
        f"The dense network names {dense:.1%} right. Pruned at once, it lost less than a point {at_once}; trained "
        f"again for a third of the steps, {again}. At {last[0]:.0%} it fell to {last[1]:.1%}, and training raised "
        f"that to {last[2]:.1%}."
    )
    columns = ["share of zeros", "accuracy, pruned", "accuracy, trained again"]
    return Section("What does pruning cost, and what does training give back?", reading, Table(columns, rows), figure)


def _cheap(points: list[tuple[float, float]], dense: float) -> str:
    """Up to which share of zeros the accuracy stays within a point of the dense network's."""
    free = max(share for share, accuracy in points if accuracy > dense - 0.01)
    return f"with up to {free:.0%} of zeros" if free else "with none of these shares"


def _layers(task: _Task, magnitude_prune: Callable[..., Any], measure_sparsity: Callable[..., Any]) -> Section:
    """Where the zeros are, if all weights are ranked together or those of each layer."""
    share = 0.9
    rows: list[list[Any]] = []
    names = [name for name, p in task.model.named_parameters() if p.ndim > 1]
    for way, options in (("all together", {}), ("each layer", {"per_layer": True})):
        task.put(task.trained)
        magnitude_prune(task.model, share, **options)
        zeros = [float((dict(task.model.named_parameters())[name].numpy() == 0).mean()) for name in names]
        rows.append([way, float(measure_sparsity(task.model)), *zeros, task.accuracy()])
    shapes = [list(dict(task.model.named_parameters())[name].shape) for name in names]
    reading = (
        f"Of {share:.0%} zeros, the last layer gets {rows[0][4]:.0%} if all weights are ranked together. The "
        "accuracy is then "
        f"{rows[0][5]:.1%}, and {rows[1][5]:.1%} with the same share in each layer."
    )
    columns = [
        "ranked",
        "share of zeros",
        *(f"{name} {shape}" for name, shape in zip(names, shapes, strict=True)),
        "accuracy",
    ]
    figure, axes = chart("", "share of zeros")
    for i, (way, _, *zeros, _) in enumerate(rows):
        axes.bar([j + 0.4 * i for j in range(len(names))], zeros, 0.4, label=way)
    axes.set_xticks([j + 0.2 for j in range(len(names))], [f"{n} {s}" for n, s in zip(names, shapes, strict=True)])
    axes.set_ylim(0, 1.15)
    axes.legend(fontsize=8, loc="upper center", ncols=2)
    return Section("Should each layer lose the same share?", reading, Table(columns, rows), figure)


def _structure(task: _Task, magnitude_prune: Callable[..., Any]) -> Section:
    """Neurons against single weights, at the same number of weights left, without training again."""
    task.put(task.trained)
    whole = sum(p.numel() for p in task.model.parameters() if p.ndim > 1)
    rows: list[tuple[float, int, float, float, float]] = []
    for share in (0.25, 0.5) if task.quick else (0.1, 0.25, 0.5, 0.75):
        task.put(task.trained)
        smaller = _shrunk(task.model, task.test[0][:2], share)
        left = sum(p.numel() for p in smaller.parameters() if p.ndim > 1)
        magnitude_prune(task.model, 1 - left / whole)
        rows.append((share, left, left / whole, task.accuracy(smaller), task.accuracy()))
    figure, axes = chart("share of weights left", "test accuracy, not trained again")
    axes.plot([row[2] for row in rows], [row[4] for row in rows], "o-", markersize=4, label="single weights")
    axes.plot([row[2] for row in rows], [row[3] for row in rows], "o-", markersize=4, label="whole neurons")
    axes.legend(fontsize=8)
    middle = rows[len(rows) // 2]
    reading = (
        f"With {middle[2]:.0%} of {whole:,} weights left, single weights gone leave {middle[4]:.1%}, whole neurons "
        "gone "
        f"leave {middle[3]:.1%}. Only the second is a smaller product."
    )
    columns = ["share of neurons gone", "weights left", "share left", "accuracy, neurons", "accuracy, single weights"]
    return Section("What does structure cost?", reading, Table(columns, rows), figure)


def _tickets(task: _Task, magnitude_prune: Callable[..., Any], measure_sparsity: Callable[..., float]) -> Section:
    """Frankle and Carbin's experiment: masks of trained weights over initial ones, and over others."""
    rng = np.random.default_rng(1)
    rows: list[tuple[float, float, float]] = []
    task.put(task.trained)
    for number in range(3 if task.quick else 7):
        magnitude_prune(task.model, 1 - 0.5**number)
        left = 1 - float(measure_sparsity(task.model))
        task.model.load_state_dict(_others(task.start, rng))  # under the masks: what is pruned stays 0
        task.learn(task.steps)
        control = task.accuracy()
        task.model.load_state_dict(task.start)
        task.learn(task.steps)
        rows.append((left, task.accuracy(), control))
    figure, axes = chart("share of weights left", "test accuracy", log_x=True)
    axes.plot([row[0] for row in rows], [row[1] for row in rows], "o-", markersize=4, label="their initial weights")
    axes.plot([row[0] for row in rows], [row[2] for row in rows], "o-", markersize=4, label="others")
    axes.invert_xaxis()
    axes.set_xticks([row[0] for row in rows], [f"{row[0]:.2g}" for row in rows])
    axes.legend(fontsize=8)
    last = rows[-1]
    ahead = sum(row[1] > row[2] for row in rows[1:])
    reading = (
        f"With {last[0]:.1%} of the weights left, those that began where they had begun before reach {last[1]:.1%}, "
        "the same "
        f"places with other initial weights {last[2]:.1%}; the first were ahead in {ahead} of {len(rows) - 1} pruned "
        "rounds."
    )
    columns = ["share left", "accuracy, their initial weights", "accuracy, others"]
    return Section("Is it the places that win, or the weights they began with?", reading, Table(columns, rows), figure)


def _others(start: dict[str, Any], rng: Any) -> dict[str, Any]:
    """Initial weights of the same distribution: those of each parameter in another order."""
    return {name: rng.permutation(array.ravel()).reshape(array.shape) for name, array in start.items()}
