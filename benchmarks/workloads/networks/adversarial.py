"""A training step of two networks against each other (Goodfellow et al. 2014): the one that tells pictures from made
ones, then the one that makes them, each by Adam."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.allocator import keep_freed_memory
from benchmarks.operations import multiplications_of
from benchmarks.registry import Case, random
from benchmarks.workloads.networks.definitions import discriminator, generator
from benchmarks.workloads.networks.jax_layers import JaxLayers, from_torch, to_torch
from benchmarks.workloads.networks.shapes import Shapes, parameters, shapes_of, statistics
from benchmarks.workloads.networks.torch_layers import TorchLayers
from benchmarks.workloads.networks.training import BATCHES, CHECKED, moved

Array = NDArray[Any]
RATE, BETA1, BETA2 = 2e-4, 0.5, 0.999
EPSILON = 1e-4  # well above the rounding errors of gradients, so that the contestants' steps can be compared


@dataclass(frozen=True)
class Adversarial:
    """Pictures of 4 · 2^`sizes` pixels a side."""

    batch: int
    width: int
    latent: int = 100
    sizes: int = 4

    @property
    def makes(self) -> Callable[..., Any]:
        return functools.partial(generator, width=self.width, sizes=self.sizes)

    @property
    def judges(self) -> Callable[..., Any]:
        return functools.partial(discriminator, width=self.width, sizes=self.sizes)

    @functools.cached_property
    def shapes(self) -> tuple[Shapes, Shapes]:
        side = 4 << self.sizes
        return shapes_of(self.makes, (self.latent, 1, 1)), shapes_of(self.judges, (3, side, side))

    @property
    def flops(self) -> float:
        """The judge learns from two batches, without gradients of pictures; then gradients go through it alone; the
        maker runs once and learns, without gradients of the noise."""
        makes, judges = (np.array(shapes.multiplications, float) for shapes in self.shapes)
        judging = 2 * (3 * judges.sum() - judges[0]) + 2 * judges.sum()
        return 2.0 * self.batch * float(judging + 3 * makes.sum() - makes[0])

    @functools.cached_property
    def start(self) -> tuple[list[Array], list[Array]]:
        """Weights are drawn a tenth as large as usual in the maker's last layer, so that pictures are not all ±1."""
        makes, judges = map(parameters, self.shapes)
        makes[-1] = makes[-1] * np.float32(0.1)
        return makes, judges

    def data(self, convert: Callable[[Array], Any]) -> cycle[Any]:
        """Pictures and noise."""
        side = 4 << self.sizes
        return cycle([
            (
                convert(np.tanh(random(self.batch, 3, side, side, seed=30 + i))),
                convert(random(self.batch, self.latent, 1, 1, seed=40 + i)),
            )
            for i in range(BATCHES)
        ])  # fmt: skip


def _noting(step: Callable[..., Any], data: cycle[Any]) -> tuple[Callable[[], Any], list[float]]:
    losses: list[float] = []

    def run() -> Any:
        pair = step(*next(data))
        if len(losses) < 2 * CHECKED:
            losses.extend(float(x.detach()) if hasattr(x, "detach") else float(x) for x in pair)
        return pair

    return run, losses


def _as_it_is(step: Any) -> Any:
    return step


def _torch_case(
    what: Adversarial, torch: Any, functional: Any, tensor: Callable[[Array], Any], adam: Callable[..., Any],
    images: Callable[[Array], Any], *, whole: Callable[[Any], Any] = _as_it_is, part: Callable[[Any], Any] = _as_it_is,
) -> tuple[Case, Any]:  # fmt: skip
    """The step as it is written with TinyTorch and with torch, and what is called; `whole` compiles it, `part` each
    network."""
    makes, judges = ([tensor(w).requires_grad_() for w in weights] for weights in what.start)
    makes_seen, judges_seen = (
        [tuple(tensor(x) for x in pair) for pair in statistics(shapes, fresh=True)] for shapes in what.shapes
    )
    of_maker, of_judge = (adam(weights, lr=RATE, betas=(BETA1, BETA2), eps=EPSILON) for weights in (makes, judges))

    @part
    def make(noise: Any) -> Any:
        return what.makes(TorchLayers(torch, functional, makes, makes_seen, training=True), noise)

    @part
    def judge(images: Any, real: bool) -> Any:
        logits = what.judges(TorchLayers(torch, functional, judges, judges_seen, training=True), images)
        wanted = torch.ones_like(logits) if real else torch.zeros_like(logits)
        return functional.binary_cross_entropy_with_logits(logits, wanted)

    def train(images: Any, noise: Any) -> Any:
        of_judge.zero_grad()
        made = make(noise)
        told = judge(images, True) + judge(made.detach(), False)
        told.backward()
        of_judge.step()
        of_maker.zero_grad()
        for weight in judges:
            weight.requires_grad_(False)
        fooled = judge(made, True)
        fooled.backward()
        of_maker.step()
        for weight in judges:
            weight.requires_grad_(True)
        return told, fooled

    step = whole(train)
    run, losses = _noting(step, what.data(images))
    start = [w for weights in what.start for w in weights]
    return Case(run, lambda: moved(start, [w.detach().numpy() for w in (*makes, *judges)], losses)), step


def tinytorch_train(what: Adversarial, compiled: bool = True) -> Case:
    import tinytorch as tt
    from tinytorch.nn import functional

    wrap = tt.compile if compiled else _as_it_is
    case, step = _torch_case(what, tt, functional, tt.Tensor, tt.Adam, tt.Tensor, whole=wrap)
    return Case(case.step, case.read, done=(lambda: multiplications_of(step)) if compiled else None)


def torch_train(what: Adversarial, last: bool = False, compiled: bool = False) -> Case:
    """Eager, with the fused optimizer; or the networks compiled, forward and backward, in a step that is not."""
    import torch
    from torch.nn import functional

    layout = torch.channels_last if last else torch.contiguous_format
    if last:
        keep_freed_memory()

    def tensor(x: Array) -> Any:
        t = torch.from_numpy(x.copy())
        return t.contiguous(memory_format=layout) if t.ndim == 4 else t

    adam = functools.partial(torch.optim.Adam, fused=True)
    torch.compiler.reset()
    part = functools.partial(torch.compile, fullgraph=True) if compiled else _as_it_is
    return _torch_case(what, torch, functional, tensor, adam, tensor, part=part)[0]


def jax_train(what: Adversarial) -> Case:
    import jax
    import jax.numpy as jnp

    keep_freed_memory()

    def entropy(logits: Any, real: bool) -> Any:
        return jax.nn.softplus(-logits if real else logits).mean()

    def told_of(judges: Any, seen: Any, images: Any, made: Any) -> Any:
        first = JaxLayers(judges, seen, training=True)
        loss = entropy(what.judges(first, images), True)
        second = JaxLayers(judges, first.renewed, training=True)
        return loss + entropy(what.judges(second, made), False), second.renewed

    def fooled_of(makes: Any, makes_seen: Any, judges: Any, judges_seen: Any, noise: Any) -> Any:
        layers = JaxLayers(makes, makes_seen, training=True)
        judging = JaxLayers(judges, judges_seen, training=True)
        loss = entropy(what.judges(judging, what.makes(layers, noise)), True)
        return loss, (layers.renewed, judging.renewed)

    def adam(weights: Any, moments: Any, gradients: Any, count: Any) -> Any:
        first, second = moments
        rate, correction = RATE / (1 - BETA1**count), jax.lax.rsqrt(1 - BETA2**count)
        first = [BETA1 * m + (1 - BETA1) * g for m, g in zip(first, gradients, strict=True)]
        second = [BETA2 * v + (1 - BETA2) * g * g for v, g in zip(second, gradients, strict=True)]
        moves = [m / (jnp.sqrt(v) * correction + EPSILON) for m, v in zip(first, second, strict=True)]
        return [w - rate * move for w, move in zip(weights, moves, strict=True)], (first, second)

    @functools.partial(jax.jit, donate_argnums=(0,))
    def train(state: Any, count: Any, images: Any, noise: Any) -> Any:
        makes, makes_seen, of_makes, judges, judges_seen, of_judges = state
        made = what.makes(JaxLayers(makes, makes_seen, training=True), noise)
        told, gradients = jax.value_and_grad(told_of, has_aux=True)(judges, judges_seen, images, made)
        told, judges_seen = told
        judges, of_judges = adam(judges, of_judges, gradients, count)
        fooled, gradients = jax.value_and_grad(fooled_of, has_aux=True)(makes, makes_seen, judges, judges_seen, noise)
        fooled, (makes_seen, judges_seen) = fooled
        makes, of_makes = adam(makes, of_makes, gradients, count)
        return (makes, makes_seen, of_makes, judges, judges_seen, of_judges), (told, fooled)

    parts: list[Any] = []
    for weights, shapes in zip(what.start, what.shapes, strict=True):
        mine = [jnp.array(from_torch(w)) for w in weights]
        seen = [tuple(map(jnp.asarray, pair)) for pair in statistics(shapes, fresh=True)]
        parts += [mine, seen, tuple([jnp.zeros_like(w) for w in mine] for _ in range(2))]
    state: list[Any] = [tuple(parts), 0]

    def step(images: Any, noise: Any) -> Any:
        state[1] += 1
        state[0], losses = train(state[0], np.float32(state[1]), images, noise)
        return jax.block_until_ready(losses)

    run, losses = _noting(step, what.data(lambda x: jnp.asarray(x.transpose(0, 2, 3, 1))))
    start = [w for weights in what.start for w in weights]
    return Case(run, lambda: moved(start, [to_torch(w) for w in (*state[0][0], *state[0][3])], losses))
