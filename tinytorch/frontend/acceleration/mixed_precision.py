"""Training in mixed precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.acceleration.autocast import narrow_dtype
from tinytorch.frontend.acceleration.scaler import GradScaler
from tinytorch.frontend.losses import CrossEntropyLoss
from tinytorch.frontend.module import Module
from tinytorch.frontend.module.parameter_functions import clip_grad_norm
from tinytorch.frontend.optimizers import Optimizer
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.autocasting import autocast_mode
from tinytorch.frontend.training import Trainer
from tinytorch.frontend.training.checkpoint import Checkpoint
from tinytorch.frontend.training.steps import LossFunction, Precision, parameters_of, zero_grad
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array
from tinytorch.ir.types import DType, i64

__all__ = ["MixedPrecisionTrainer"]


class _Mixed(Precision):
    """Products in `dtype`, losses scaled, and no step with gradients that are not finite."""

    def __init__(self, dtype: DType, scaler: GradScaler) -> None:
        self.dtype, self.scaler = dtype, scaler

    def region(self) -> AbstractContextManager[Any]:
        return autocast_mode(self.dtype)

    def scaled(self, loss: Tensor) -> Tensor:
        return self.scaler.scale(loss)

    def update(self, optimizers: Sequence[Optimizer], max_norm: float | None) -> int | Tensor:
        for optimizer in optimizers:
            self.scaler.unscale_(optimizer)
        if max_norm is not None:
            clip_grad_norm(parameters_of(optimizers), max_norm)
        skipped = self.scaler.step_together(optimizers)
        self.scaler.update()
        zero_grad(optimizers)
        return 1 - skipped.cast(i64)


class MixedPrecisionTrainer(Trainer):
    """A `Trainer` that computes products in 16 bits, and keeps everything that is updated in f32.

    The parameters of `model` are the f32 master weights: in each step, products read them as `dtype` (bf16 by default,
    or f16; `tt.autocast` says which ops), and gradients come back to them in f32. The loss is multiplied by a scale,
    at first `loss_scale`, and the gradients are divided by it before they are clipped. A step whose gradients are not
    all finite is left out: it changes no parameter, no moment and no count, and the scale is halved. After
    `growth_interval` good steps in a row the scale is doubled. All of this is in the one compiled graph of a step.

    loss_fn: as in `Trainer`; by default the cross entropy.
    options: the others of `Trainer`, such as `max_norm`, `accumulate`, `schedule` and `compile`.

    `scaler` is the `GradScaler`, `loss_scale` the scale now. Checkpoints, and `state_dict`, hold the scale as well.
    """

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer | Sequence[Optimizer],
        loss_scale: float = 1024,
        *,
        loss_fn: LossFunction | None = None,
        dtype: object = None,
        growth_interval: int = 2000,
        **options: Any,
    ) -> None:
        name = type(self).__name__
        arguments.function(name, "model", model)
        valid = arguments.number(name, "loss_scale", loss_scale, lambda x: 0 < x < np.inf, "a positive, finite number")
        self.scaler = GradScaler(init_scale=float(valid), growth_interval=growth_interval)
        self.dtype = narrow_dtype(name, dtype)
        super().__init__(model, optimizer, CrossEntropyLoss() if loss_fn is None else loss_fn, **options)
        for p in parameters_of(self.optimizers):
            if p.dtype.bits < 32:
                raise TinyTorchError(
                    f"{name}: parameters are the f32 master weights, {p.name or 'one'} is {p.type}; leave the model in "
                    "f32, products read it in 16 bits by themselves",
                    user_loc(),
                )

    def _precision(self) -> Precision:
        return _Mixed(self.dtype, self.scaler)

    @property
    def loss_scale(self) -> float:
        return self.scaler.get_scale()

    # The state of a run.
    def state_dict(self) -> dict[str, Any]:
        """Model, optimizers, scale and counters; `save_checkpoint` keeps the loaders and random numbers, too."""
        return {
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "scaler": self.scaler.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        if len(state_dict["optimizers"]) != len(self.optimizers):
            raise TinyTorchError(
                f"{type(self).__name__}: {len(self.optimizers)} optimizers, the state has "
                f"{len(state_dict['optimizers'])}",
                user_loc(),
            )
        self.scaler.load_state_dict(state_dict["scaler"])
        self.model.load_state_dict(state_dict["model"])
        for optimizer, saved in zip(self.optimizers, state_dict["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.epoch = state_dict["epoch"]
        self._counts.set(0, 0, state_dict["step"])

    def _state(self) -> dict[str, Array]:
        saved = self.scaler.state_dict()
        scale = np.array([saved["scale"], saved["_growth_tracker"]])
        return {**super()._state(), "scaler.scale": scale}

    def _load_state(self, saved: Checkpoint) -> None:
        super()._load_state(saved)
        self._load_scale(saved)

    def _restore(self, saved: Checkpoint, *loaders: Any) -> None:
        if saved.part("scaler").keys() != {"scale"} or saved.arrays["scaler.scale"].shape != (2,):
            raise TinyTorchError("there is no loss scale in it", user_loc())
        super()._restore(saved, *loaders)
        self._load_scale(saved)

    def _load_scale(self, saved: Checkpoint) -> None:
        scale, good = saved.arrays["scaler.scale"]
        known = self.scaler.state_dict()
        self.scaler.load_state_dict({**known, "scale": float(scale), "_growth_tracker": int(good)})
