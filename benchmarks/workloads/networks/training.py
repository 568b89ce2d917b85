"""Training steps of a network: images in turn, a loss, its gradient, and the update.

What is compared are the losses of the first steps, and how far each parameter has moved by then: the length of that
and its shadows on a few random directions. Single elements would not do: where a rounding error decides whether a unit
is on, an element of a gradient changes by more than its size, in every framework.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.allocator import keep_freed_memory
from benchmarks.operations import multiplications_of
from benchmarks.registry import Arrays, Case, random
from benchmarks.workloads.networks.definitions import Network
from benchmarks.workloads.networks.jax_layers import JaxLayers, from_torch, to_torch
from benchmarks.workloads.networks.shapes import Shapes, Size, parameters, shapes_of, statistics
from benchmarks.workloads.networks.torch_layers import TorchLayers

Array = NDArray[Any]
RTOL, ATOL = 5e-3, 0.1  # of how far parameters have moved, as shares of that
CHECKED = 2  # steps behind which the contestants are compared
BATCHES = 2  # different ones, in turn
SHADOWS = 4
RATE, MOMENTUM, DECAY = 0.02, 0.9, 5e-4


@dataclass(frozen=True)
class Training:
    """A network on `batch` images of `image`: classes by cross entropy, or a yes or no for each pixel; by gradient
    descent with Nesterov's momentum."""

    network: Network
    image: Size
    batch: int
    loss: Literal["classes", "pixels"]
    classes: int = 10

    @functools.cached_property
    def shapes(self) -> Shapes:
        return shapes_of(self.network, self.image)

    @property
    def flops(self) -> float:
        """Forward, and both gradients; none of the images."""
        counts = self.shapes.multiplications
        return 2.0 * self.batch * (3 * sum(counts) - counts[0])

    @functools.cached_property
    def start(self) -> list[Array]:
        return parameters(self.shapes)

    def data(self, convert: Callable[[Array], Any], targets: Callable[[Array], Any]) -> cycle[Any]:
        generator = np.random.default_rng(9)
        pairs: list[tuple[Any, Any]] = []
        for i in range(BATCHES):
            if self.loss == "classes":
                target = generator.integers(0, self.classes, self.batch)
            else:
                target = generator.integers(0, 2, (self.batch, *self.image[1:])).astype(np.float32)
            pairs.append((convert(random(self.batch, *self.image, seed=30 + i)), targets(target)))
        return cycle(pairs)


def moved(start: Sequence[Array], now: Sequence[Array], losses: Sequence[float]) -> Arrays:
    """How far parameters have moved, with the losses on the way."""
    return shadows(start, now) | {"losses": np.array(losses[:CHECKED])}


def shadows(start: Sequence[Array], now: Sequence[Array]) -> Arrays:
    """How far parameters have moved: for each, the change on a few random directions, as shares of its length."""
    changes = [np.asarray(b) - a for a, b in zip(start, now, strict=True)]
    lengths = [float(np.sqrt(np.mean(change.astype(np.float64) ** 2))) for change in changes]
    generator = np.random.default_rng(11)
    found: dict[str, Array] = {}
    for i, (change, length) in enumerate(zip(changes, lengths, strict=True)):
        signs = generator.integers(0, 2, (SHADOWS, change.size), np.int8) * 2 - 1
        found[f"{i}"] = signs @ (change.reshape(-1) / (length * change.size**0.5))
    return found | {"lengths": np.log(np.array(lengths))}


def tinytorch_train(what: Training, compiled: bool = True) -> Case:
    import tinytorch as tt
    from tinytorch.nn import functional

    mine = [tt.Tensor(w, requires_grad=True) for w in what.start]
    seen = [(tt.Tensor(mean), tt.Tensor(variance)) for mean, variance in statistics(what.shapes, fresh=True)]
    optimizer = tt.SGD(mine, lr=RATE, momentum=MOMENTUM, weight_decay=DECAY, nesterov=True)

    def train(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        out = what.network(TorchLayers(tt, functional, mine, seen, training=True), x)
        loss = _torch_loss(functional, what, out, y)
        loss.backward()
        optimizer.step()
        return loss

    step = tt.compile(train) if compiled else train
    run, losses = _noting(step, what.data(tt.Tensor, tt.Tensor))
    return Case(
        run,
        lambda: moved(what.start, [w.detach().numpy() for w in mine], losses),
        done=(lambda: multiplications_of(step)) if compiled else None,
    )


def _torch_loss(functional: Any, what: Training, out: Any, y: Any) -> Any:
    if what.loss == "classes":
        return functional.cross_entropy(out, y)
    return functional.binary_cross_entropy_with_logits(out.squeeze(1), y)


def _noting(step: Callable[..., Any], data: cycle[Any]) -> tuple[Callable[[], Any], list[float]]:
    """A step on the next batch, and the losses of the first ones."""
    losses: list[float] = []

    def run() -> Any:
        loss = step(*next(data))
        if len(losses) < CHECKED:
            losses.append(float(loss.detach()) if hasattr(loss, "detach") else float(loss))
        return loss

    return run, losses


def torch_train(what: Training, last: bool = False, compiled: bool = False) -> Case:
    """Eager, with the fused optimizer; or forward and backward compiled."""
    import torch
    from torch.nn import functional

    layout = torch.channels_last if last else torch.contiguous_format
    if last:
        keep_freed_memory()
    start = [torch.from_numpy(w.copy()) for w in what.start]
    mine = [(w.contiguous(memory_format=layout) if w.ndim == 4 else w).requires_grad_() for w in start]
    seen = [tuple(map(torch.from_numpy, pair)) for pair in statistics(what.shapes, fresh=True)]
    optimizer = torch.optim.SGD(mine, lr=RATE, momentum=MOMENTUM, weight_decay=DECAY, nesterov=True, fused=True)

    def loss_of(x: Any, y: Any) -> Any:
        out = what.network(TorchLayers(torch, functional, mine, seen, training=True), x)
        return _torch_loss(functional, what, out, y)

    torch.compiler.reset()
    called = torch.compile(loss_of, fullgraph=True) if compiled else loss_of

    def train(x: Any, y: Any) -> Any:
        optimizer.zero_grad(set_to_none=True)
        loss = called(x, y)
        loss.backward()
        optimizer.step()
        return loss

    def images(x: Any) -> Any:
        return torch.from_numpy(x).contiguous(memory_format=layout)

    run, losses = _noting(train, what.data(images, torch.from_numpy))
    return Case(run, lambda: moved(what.start, [w.detach().numpy() for w in mine], losses))


def jax_train(what: Training) -> Case:
    import jax
    import jax.numpy as jnp

    keep_freed_memory()

    def loss_of(weights: Any, running: Any, x: Any, y: Any) -> Any:
        layers = JaxLayers(weights, running, training=True)
        out = what.network(layers, x)
        if what.loss == "classes":
            loss = -jnp.take_along_axis(jax.nn.log_softmax(out), y[:, None], axis=1).mean()
        else:
            logits = out[..., 0]
            loss = (jnp.maximum(logits, 0) - logits * y + jnp.log1p(jnp.exp(-jnp.abs(logits)))).mean()
        return loss, layers.renewed

    @functools.partial(jax.jit, donate_argnums=(0, 1, 2))
    def train(weights: Any, momenta: Any, running: Any, x: Any, y: Any) -> Any:
        (loss, running), gradients = jax.value_and_grad(loss_of, has_aux=True)(weights, running, x, y)
        gradients = [g + DECAY * w for g, w in zip(gradients, weights, strict=True)]
        momenta = [MOMENTUM * m + g for m, g in zip(momenta, gradients, strict=True)]
        weights = [w - RATE * (g + MOMENTUM * m) for w, g, m in zip(weights, gradients, momenta, strict=True)]
        return weights, momenta, running, loss

    weights = [jnp.array(from_torch(w)) for w in what.start]
    running = [tuple(map(jnp.asarray, pair)) for pair in statistics(what.shapes, fresh=True)]
    state: list[Any] = [weights, [jnp.zeros_like(w) for w in weights], running]

    def step(x: Any, y: Any) -> Any:
        *state[:], loss = train(*state, x, y)
        return loss.block_until_ready()

    run, losses = _noting(step, what.data(lambda x: jnp.asarray(x.transpose(0, 2, 3, 1)), jnp.asarray))
    return Case(run, lambda: moved(what.start, [to_torch(w) for w in state[0]], losses))
