"""Small models that come with the package, for `tinytorch graph` and `tinytorch demo`; their data is made up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tinytorch.frontend.activations import ReLU
from tinytorch.frontend.functions.random import manual_seed
from tinytorch.frontend.layers import Linear
from tinytorch.frontend.losses import CrossEntropyLoss
from tinytorch.frontend.losses.functions import binary_cross_entropy_with_logits
from tinytorch.frontend.module import Module
from tinytorch.frontend.module.containers import Sequential
from tinytorch.frontend.optimizers import SGD
from tinytorch.frontend.tensor import Tensor

FEATURES, HIDDEN, CLASSES, BATCH = 784, 128, 10, 64
LEARNING_RATE, MOMENTUM = 0.01, 0.9

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Sample:
    """A model and what is traced of it: `step(*args)`."""

    model: Module
    step: Callable[..., Any]
    args: tuple[Tensor, ...]


def digits(count: int, seed: int = 0) -> tuple[Array, Array]:
    """`count` made images f32[count, 784], noisy copies of ten random ones, and their labels i64[count]."""
    patterns = np.random.default_rng(0).standard_normal((CLASSES, FEATURES), np.float32)
    generator = np.random.default_rng(seed + 1)
    labels = generator.integers(0, CLASSES, count)
    noise = generator.standard_normal((count, FEATURES), np.float32)
    return (patterns[labels] + 4 * noise).astype(np.float32), labels


def mlp_model() -> Sequential:
    """784-128-10 with ReLU, always with the same weights."""
    manual_seed(0)
    return Sequential(Linear(FEATURES, HIDDEN), ReLU(), Linear(HIDDEN, CLASSES))


def training_step(model: Module) -> Callable[[Tensor, Tensor], Tensor]:
    """Forward, backward and update in one function: cross entropy, SGD with momentum."""
    loss_of = CrossEntropyLoss()
    optimizer = SGD(model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)

    def step(x: Tensor, y: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def mlp() -> Sample:
    """The training step of an MLP."""
    model = mlp_model()
    x, y = digits(BATCH)
    return Sample(model, training_step(model), (Tensor(x), Tensor(y)))


def mlp_forward() -> Sample:
    """The MLP alone."""
    model = mlp_model()
    return Sample(model, model, (Tensor(digits(BATCH)[0]),))


def perceptron() -> Sample:
    """The training step of Rosenblatt's machine with a sigmoid: Linear(2, 1), binary cross entropy, SGD."""
    manual_seed(0)
    model = Linear(2, 1)
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.0)
    points = np.random.default_rng(0).standard_normal((BATCH, 2), np.float32)
    labels = (points.sum(1, keepdims=True) > 0).astype(np.float32)

    def step(x: Tensor, y: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = binary_cross_entropy_with_logits(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return Sample(model, step, (Tensor(points), Tensor(labels)))


SAMPLES: dict[str, Callable[[], Sample]] = {"mlp": mlp, "mlp-forward": mlp_forward, "perceptron": perceptron}
