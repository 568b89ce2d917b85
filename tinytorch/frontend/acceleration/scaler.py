"""Loss scaling: small gradients, which f16 would round to zero, are kept by multiplying the loss."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, cast

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.acceleration.autocast import check_device
from tinytorch.frontend.functions.basic import stack, where
from tinytorch.frontend.module.tracked import Tracked, TrackedList
from tinytorch.frontend.optimizers import Optimizer
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.autocasting import autocast_mode
from tinytorch.frontend.tensor.gradients import grad_mode
from tinytorch.frontend.tensor.mode import TraceAgain, mode
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.types import f16, f32

__all__ = ["GradScaler"]

_UNSCALED, _STEPPED = 1, 2  # how far an optimizer is since the last update()


def _state(value: Any, dtype: type, name: str) -> Tensor:
    tensor = Tensor.wrap(np.array(value, dtype))
    tensor.name = name
    return tensor


class _Seen(Tracked):
    """An optimizer between two calls of `update()`: whether it met gradients that are not finite, and how far it is.
    Tensors say so, since a compiled function may hold one part of a step and Python the other; `within` is the trace
    that has unscaled its gradients, as far as that one need not ask."""

    unwatched: ClassVar[frozenset[str]] = frozenset({"within"})

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.overflow = _state(0, np.float32, "overflow")
        self.progress = _state(0, np.int64, "progress")
        self.within: weakref.ref[Any] | None = None

    @property
    def unscaled_here(self) -> bool:
        return mode.trace is not None and self.within is not None and self.within() is mode.trace

    def parameters(self) -> list[Tensor]:
        return [p for group in self.optimizer.param_groups for p in group.params]

    def changed(self) -> list[Tensor]:
        """What a step changes."""
        pairs = zip(self.parameters(), self.optimizer.state, strict=True)
        found = [t for p, state in pairs if p.grad is not None for t in (p, *state.values())]
        return list({id(t): t for t in found}.values())


class GradScaler(Tracked):
    """Multiplies losses by a scale, divides gradients by it again, and leaves out steps whose gradients are not finite.

    `scaler.scale(loss).backward()`, then `scaler.step(optimizer)`, then `scaler.update()`; `scaler.unscale_(optimizer)`
    before clipping. A step that is left out changes nothing: no parameter, no moment, no count. `update` multiplies the
    scale by `backoff_factor` after such a step, and by `growth_factor` after `growth_interval` good ones in a row
    (Micikevicius et al., "Mixed precision training", 2018). All of it may stand in a compiled step, or a part of it.

    Not `enabled`, it scales nothing on whatever device, and `step` is the optimizer's.
    """

    def __init__(
        self,
        device: str = "cpu",
        init_scale: float = 65536.0,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        self._enabled = arguments.flag("GradScaler", "enabled", enabled)
        check_device("GradScaler", device, self._enabled)
        scale = float(arguments.number("GradScaler", "init_scale", init_scale, _is_scale, "a positive, finite number"))
        self._scale, self._good = _state(scale, np.float32, "scale"), _state(0, np.int64, "good_steps")
        self.set_growth_factor(growth_factor)
        self.set_backoff_factor(backoff_factor)
        self.set_growth_interval(growth_interval)
        self._seen: list[_Seen] = TrackedList()

    # Settings.
    def is_enabled(self) -> bool:
        return self._enabled

    def get_scale(self) -> float:
        """What losses are multiplied by now; 1 if not enabled."""
        return float(self._scale) if self._enabled else 1.0

    def get_growth_factor(self) -> float:
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        wanted = "a finite number above 1"
        valid = arguments.number("GradScaler", "growth_factor", new_factor, lambda x: 1 < x < np.inf, wanted)
        self._growth_factor = float(valid)

    def get_backoff_factor(self) -> float:
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        wanted = "a number between 0 and 1"
        valid = arguments.number("GradScaler", "backoff_factor", new_factor, lambda x: 0 < x < 1, wanted)
        self._backoff_factor = float(valid)

    def get_growth_interval(self) -> int:
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        self._growth_interval = arguments.integer("GradScaler", "growth_interval", new_interval, 1)

    # A step.
    def scale(self, outputs: Any) -> Any:
        """A loss, or each of several in a list or tuple, times the scale."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            return outputs * self._scale
        if isinstance(outputs, Iterable):
            scaled = [self.scale(x) for x in cast("Iterable[Any]", outputs)]
            return tuple(scaled) if isinstance(outputs, tuple) else scaled
        raise arguments.wrong_type("GradScaler.scale", "outputs", "a tensor or several", outputs)

    def unscale_(self, optimizer: Optimizer) -> None:
        """Divide the gradients of what `optimizer` updates by the scale, once between two calls of `update()`; for
        what reads them before `step`, such as clipping. They are f32, as parameters are."""
        if self._enabled:
            self._unscale("unscale_", self._of("unscale_", optimizer))

    def step(self, optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
        """`optimizer.step()` unless a gradient is not finite; they are unscaled first, where `unscale_` has not done
        it."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if args or kwargs:
            raise TinyTorchError("GradScaler.step: closures are not supported; compute the loss before", user_loc())
        seen = self._of("step", optimizer)
        if mode.trace is None and int(seen.progress) == _STEPPED:
            raise TinyTorchError("GradScaler.step: a step was made since the last update()", user_loc())
        if not seen.unscaled_here and (mode.trace is not None or int(seen.progress) != _UNSCALED):
            self._unscale("step", seen)
        return self._step_unless(seen, seen.overflow)

    def step_together(self, optimizers: Sequence[Optimizer]) -> Tensor:
        """Step with all, which are unscaled, or with none; a bool tensor that says whether they were left out."""
        found = [self._of("step", optimizer) for optimizer in optimizers]
        overflow = stack([seen.overflow for seen in found]).amax()
        for seen in found:
            self._step_unless(seen, overflow)
        return overflow > 0

    def update(self, new_scale: Any = None) -> None:
        """Set the scale for the next step: to `new_scale`, or by what this step met."""
        if not self._enabled:
            return
        looked = bool(self._seen) and (mode.trace is not None or any(int(seen.progress) for seen in self._seen))
        if new_scale is None and not looked:
            raise TinyTorchError("GradScaler.update: no gradient was looked at; call step() before", user_loc())
        with grad_mode(False), autocast_mode(None):
            if new_scale is not None:
                self._scale.copy_(new_scale if isinstance(new_scale, Tensor) else np.asarray(new_scale, np.float32))
            else:
                self._adapt(stack([seen.overflow for seen in self._seen]).amax() > 0)
            for seen in self._seen:
                seen.overflow.zero_()
                seen.progress.zero_()
                seen.within = None

    def _adapt(self, overflow: Tensor) -> None:
        scale, good = next_scale(
            self._scale, self._good, overflow, self._growth_factor, self._backoff_factor, self._growth_interval
        )
        self._scale.copy_(scale)
        self._good.copy_(good)

    def _of(self, what: str, optimizer: Any) -> _Seen:
        """The record of an optimizer."""
        arguments.instance(f"GradScaler.{what}", "optimizer", optimizer, Optimizer)
        known = next((seen for seen in self._seen if seen.optimizer is optimizer), None)
        if known is None:
            known = _Seen(optimizer)
            self._seen.append(known)
            if mode.trace is not None:
                raise TraceAgain
        return known

    def _unscale(self, what: str, seen: _Seen) -> None:
        if seen.unscaled_here or (mode.trace is None and int(seen.progress)):
            raise TinyTorchError(f"GradScaler.{what}: gradients are unscaled since the last update()", user_loc())
        gradients = [g for g in (p.grad for p in seen.parameters()) if g is not None]
        if not gradients:
            raise TinyTorchError(f"GradScaler.{what}: no parameter has a gradient; call backward() before", user_loc())
        if any(g.dtype is f16 for g in gradients):
            raise TinyTorchError(
                f"GradScaler.{what}: gradients are f16, which cannot hold what they are divided to; keep the "
                "parameters in f32 and compute under tt.autocast",
                user_loc(),
            )
        with grad_mode(False), autocast_mode(None):
            factor = 1.0 / self._scale
            if mode.trace is not None:
                factor = where(seen.progress > 0, 1.0, factor)
            for g in gradients:
                g.mul_(factor.cast(g.dtype))
            seen.overflow.copy_(where(all_finite(gradients), seen.overflow, 1.0))
            seen.progress.copy_(seen.progress.maximum(_UNSCALED))
        seen.within = None if mode.trace is None else weakref.ref(mode.trace)

    def _step_unless(self, seen: _Seen, overflow: Tensor) -> Any:
        """The optimizer's step, unless `overflow` is above 0."""
        with grad_mode(False), autocast_mode(None):
            if mode.trace is None:
                seen.progress.copy_(np.asarray(_STEPPED))
                return None if float(overflow) else seen.optimizer.step()
            before, skipped = [(t, t.clone()) for t in seen.changed()], overflow > 0
            for p in seen.parameters():
                if p.grad is not None:  # so that the update comes behind the question, and is made in one pass
                    p.grad.copy_(where(skipped, 0.0, p.grad))
            result = seen.optimizer.step()
            for tensor, old in before:
                tensor.copy_(where(skipped, old, tensor))
            seen.progress.copy_(seen.progress.maximum(_STEPPED))
            return result

    # Saving and loading.
    def state_dict(self) -> dict[str, Any]:
        """The scale and what it follows from, as PyTorch has it; {} if not enabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self.get_scale(),
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": int(self._good),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken, here or in PyTorch."""
        if not self._enabled:
            return
        own = self.state_dict().keys()
        if state_dict.keys() != own:
            raise TinyTorchError(f"GradScaler: a state has {', '.join(own)}, got {sorted(state_dict)}", user_loc())
        number = arguments.number
        scale = number("GradScaler", "scale", state_dict["scale"], _is_scale, "a positive, finite number")
        good = arguments.integer("GradScaler", "_growth_tracker", state_dict["_growth_tracker"], 0)
        self.set_growth_factor(state_dict["growth_factor"])
        self.set_backoff_factor(state_dict["backoff_factor"])
        self.set_growth_interval(state_dict["growth_interval"])
        self._scale.copy_(np.asarray(scale, np.float32))
        self._good.copy_(np.asarray(good))


def all_finite(gradients: Sequence[Tensor]) -> Tensor:
    """Whether all elements of all gradients are finite, as a bool tensor: by the largest and the smallest, which are
    NaN where one is."""
    some = [g for g in gradients if g.numel()]
    if not some:
        return Tensor(True)
    largest, smallest = (stack([f(g).cast(f32) for g in some]) for f in (Tensor.amax, Tensor.amin))
    return (largest.amax() < np.inf) & (smallest.amin() > -np.inf)


def next_scale(
    scale: Tensor, good: Tensor, overflow: Tensor, growth_factor: float, backoff_factor: float, growth_interval: int
) -> tuple[Tensor, Tensor]:
    """The loss scale f32[] and the number of good steps in a row i64[] for the next step, behind one with these.

    `overflow` (bool[]): a gradient of this step was not finite. The scale is then multiplied by `backoff_factor`, and
    counting begins again. Else the step was good; after `growth_interval` of them the scale is multiplied by
    `growth_factor`, unless that is infinite, and counting begins again.
    """
    good = good + 1
    grows = good >= growth_interval
    larger = scale * growth_factor
    larger = where(larger.isfinite(), larger, scale)
    kept = where(grows, larger, scale)
    return where(overflow, scale * backoff_factor, kept), where(overflow | grows, 0, good)


def _is_scale(x: float) -> bool:
    return 0 < x < np.inf
