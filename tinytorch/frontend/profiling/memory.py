"""Bytes that a model needs: computed from types and from what was compiled, and measured while it runs eagerly.

What training keeps beside the activations, in units of the parameters: gradients 1, momentum 1, Adam's moments 2. What
lies between the kernels of a compiled call is its arena: the schedule places every value in it, used again as soon as
a value is dead, so the bytes are known before the first call.
"""

from __future__ import annotations

import functools
import operator
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tinytorch.compile import compile as compiled
from tinytorch.frontend import arguments
from tinytorch.frontend.module import Module
from tinytorch.frontend.optimizers import Optimizer
from tinytorch.frontend.profiling.inputs import Model, evaluating, is_compiled, plain, tensors_in
from tinytorch.frontend.profiling.tables import in_columns
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import grad_mode, gradients, ones_for
from tinytorch.ir.text.units import size
from tinytorch.ir.types import f64


@dataclass(frozen=True)
class Memory:
    """Bytes. Of the model: `parameters`, `buffers`; what training keeps beside them: `gradients`, and `optimizer`, its
    state (0 without one). Of a call: `inputs`, `outputs`, and `forward`, the arena of the compiled forward, or
    `training`, that of the compiled forward and backward (None where nothing can be trained).

    `eager` and `eager_training` were measured: the most that numpy and Python held at a time while the same ran
    eagerly, beyond what they held before, results and gradients included.
    """

    parameters: int
    buffers: int
    gradients: int
    optimizer: int
    inputs: int
    outputs: int
    forward: int
    training: int | None
    eager: int
    eager_training: int | None

    @property
    def inference(self) -> int:
        """All that a compiled forward needs."""
        return self.parameters + self.buffers + self.inputs + self.outputs + self.forward

    @property
    def peak(self) -> int:
        """All that a compiled training step needs; where nothing can be trained, a forward."""
        if self.training is None:
            return self.inference
        kept = self.parameters + self.buffers + self.gradients + self.optimizer
        return kept + self.inputs + self.training

    def table(self) -> str:
        """A row for each part."""
        parts = {
            "parameters": self.parameters,
            "buffers": self.buffers,
            "gradients": self.gradients,
            "optimizer state": self.optimizer,
            "inputs": self.inputs,
            "outputs": self.outputs,
            "arena, forward": self.forward,
            "arena, forward and backward": self.training,
            "a compiled forward, all in all": self.inference,
            "a compiled training step, all in all": self.peak,
            "measured: eager forward": self.eager,
            "measured: eager forward and backward": self.eager_training,
        }
        rows = [(name, "–" if held is None else size(held)) for name, held in parts.items()]
        return in_columns(("memory", "bytes"), rows)


def bytes_of(tensors: Any) -> int:
    """The bytes of tensors, each counted once."""
    return sum(t.numel() * t.dtype.size for t in {id(t): t for t in tensors}.values())


def measure_memory(model: Model, inputs: tuple[Any, ...], optimizer: Any) -> Memory:
    """Compile a forward, and a forward with its backward, and run both eagerly, too."""
    found = plain(model)
    parameters = list(found.parameters()) if isinstance(found, Module) else []
    trainable = [p for p in parameters if p.requires_grad and p.dtype.is_float]
    given = [x for x in inputs if isinstance(x, Tensor)]
    with evaluating(model):
        forward = model if is_compiled(model) else compiled(found)
        outputs = tensors_in(forward(*inputs))
        eager = peak_bytes(lambda: found(*inputs))
    training, eager_training = _training(found, inputs, trainable)
    return Memory(
        parameters=bytes_of(parameters),
        buffers=bytes_of(found.buffers()) if isinstance(found, Module) else 0,
        gradients=bytes_of(trainable),
        optimizer=_state(optimizer, trainable),
        inputs=bytes_of(given),
        outputs=bytes_of(outputs),
        forward=arena_of(forward),
        training=training,
        eager=eager,
        eager_training=eager_training,
    )


def arena_of(model: Any) -> int:
    """The bytes between the kernels of the last call of a compiled model; the interpreter has none."""
    return int(getattr(model.executable, "arena_bytes", 0))


def _state(optimizer: Any, trainable: list[Tensor]) -> int:
    """The state of an optimizer, or of one of that class for the parameters."""
    if optimizer is None or (isinstance(optimizer, type) and not trainable):
        return 0
    made: Any = optimizer(trainable) if isinstance(optimizer, type) else optimizer
    arguments.instance("measure_memory", "optimizer", made, Optimizer)
    return bytes_of(tensor for state in made.state for tensor in state.values())


def _training(model: Any, inputs: tuple[Any, ...], trainable: list[Tensor]) -> tuple[int | None, int | None]:
    """The arena of a compiled forward and backward of the sum of all results, and the eager peak of the same; None
    twice where no gradient reaches a parameter. No tensor's `grad` is touched."""

    def step() -> list[Tensor]:
        results = [t.sum().cast(f64) for t in tensors_in(model(*inputs)) if t.requires_grad]
        if not results:
            return []
        total = functools.reduce(operator.add, results)
        found = gradients(total, trainable, ones_for(total, "measure_memory"), create_graph=False)
        return [g for g in found if g is not None]

    with evaluating(model), grad_mode(True):
        whole = compiled(step)
        return (arena_of(whole), peak_bytes(step)) if whole() else (None, None)


def peak_bytes(call: Callable[[], Any]) -> int:
    """The most memory that Python and numpy held at one time during `call`, beyond what they held before."""
    running = tracemalloc.is_tracing()
    if not running:
        tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        call()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        if not running:
            tracemalloc.stop()
