"""Averages of a model's weights over training, under the names of torch.optim.swa_utils."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tinytorch.frontend import arguments
from tinytorch.frontend.functions.basic import where
from tinytorch.frontend.module import Module
from tinytorch.frontend.schedulers.averaged import SWALR
from tinytorch.frontend.spatial.norm_layers import BatchNorm1d, BatchNorm2d, BatchNorm3d
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import grad_mode
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.types import i64

__all__ = [
    "SWALR", "AveragedModel", "get_ema_avg_fn", "get_ema_multi_avg_fn", "get_swa_avg_fn", "get_swa_multi_avg_fn",
    "update_bn",
]  # fmt: skip

Average = Callable[[Tensor, Tensor, Tensor], Tensor]
Averages = Callable[[Sequence[Tensor], Sequence[Tensor], Tensor], object]


def get_swa_avg_fn() -> Average:
    """The mean of all models so far: averaged + (current - averaged) / (n + 1)."""
    return lambda averaged, current, n: averaged + (current - averaged) / (n + 1)


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """The exponential moving average: decay * averaged + (1 - decay) * current."""
    kept = arguments.fraction("get_ema_avg_fn", "decay", decay)
    return lambda averaged, current, n: averaged * kept + current * (1 - kept)


def get_swa_multi_avg_fn() -> Averages:
    """`get_swa_avg_fn` of lists of tensors, written over the first."""
    return _of_lists(get_swa_avg_fn())


def get_ema_multi_avg_fn(decay: float = 0.999) -> Averages:
    """`get_ema_avg_fn` of lists of tensors, written over the first."""
    return _of_lists(get_ema_avg_fn(decay))


def _of_lists(average: Average) -> Averages:
    def update(averaged: Sequence[Tensor], current: Sequence[Tensor], n: Tensor) -> None:
        for mine, other in zip(averaged, current, strict=True):
            mine.copy_(average(mine, other, n))

    return update


class AveragedModel(Module):
    """A copy of `model` whose parameters are averages of those that `update_parameters` has seen: their mean
    (Izmailov et al. 2018), or what a function gives, such as `get_ema_avg_fn(decay)`.

    `avg_fn(averaged, current, n)` gives a parameter after `n` updates; `multi_avg_fn` has lists of them and changes the
    first in place. With `use_buffers` buffers are averaged, too, else copied. The first update copies the
    model, whatever the functions give. An update may be part of a compiled step.
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: object = None,
        avg_fn: Average | None = None,
        multi_avg_fn: Averages | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        name = "AveragedModel"
        arguments.instance(name, "model", model, Module)
        arguments.function(name, "avg_fn", avg_fn, optional=True)
        arguments.function(name, "multi_avg_fn", multi_avg_fn, optional=True)
        if avg_fn is not None and multi_avg_fn is not None:
            raise TinyTorchError(f"{name}: give avg_fn or multi_avg_fn, not both", user_loc())
        self.module = copy.deepcopy(model).to(device=device)
        self.register_buffer("n_averaged", Tensor(0, dtype=i64))
        self.avg_fn, self.multi_avg_fn = avg_fn, multi_avg_fn
        self.use_buffers = arguments.flag(name, "use_buffers", use_buffers)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the parameters of `model`, which has the shapes of the first, into the averages."""
        mine, theirs = self._averaged(self.module), self._averaged(model)
        if [t.shape for t in mine] != [t.shape for t in theirs]:
            raise TinyTorchError("update_parameters: the model has other parameters than the averaged one", user_loc())
        first = self.n_averaged == 0
        with grad_mode(False):
            found = mine
            if self.multi_avg_fn is not None:
                self.multi_avg_fn(mine, theirs, self.n_averaged)
            else:
                average = self.avg_fn or get_swa_avg_fn()
                found = [average(t, other, self.n_averaged) for t, other in zip(mine, theirs, strict=True)]
            for t, other, new in zip(mine, theirs, found, strict=True):
                t.copy_(where(first, other, new))
            if not self.use_buffers:
                for t, other in zip(self.module.buffers(), model.buffers(), strict=True):
                    t.copy_(other)
            self.n_averaged.add_(1)

    def _averaged(self, model: Module) -> list[Tensor]:
        return [t.detach() for t in (*model.parameters(), *(model.buffers() if self.use_buffers else ()))]


def update_bn(loader: Iterable[Any], model: Module, device: object = None) -> None:
    """Compute the running statistics of batch norms anew: means over the batches of `loader`, which are inputs of the
    model, or lists and tuples that begin with them."""
    norms = [m for m in model.modules() if isinstance(m, (BatchNorm1d, BatchNorm2d, BatchNorm3d))]
    momenta, training = [norm.momentum for norm in norms], model.training
    if not norms:
        return
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    model.train()
    with grad_mode(False):
        for batch in loader:
            x = batch[0] if isinstance(batch, (list, tuple)) else batch
            model(x if device is None else x.to(device))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.train(training)
