"""LBFGS: steps by an approximation of the inverse Hessian, from the last gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.module.masks import keep_masks
from tinytorch.frontend.optimizers.base import Entries, Optimizer, evaluated
from tinytorch.frontend.optimizers.groups import ParamGroup, working_dtype
from tinytorch.frontend.optimizers.line_search import Point, slope, strong_wolfe
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.conversions import as_array
from tinytorch.frontend.tensor.gradients import grad_mode
from tinytorch.frontend.tensor.mode import mode
from tinytorch.ir.errors import TinyTorchError, TraceError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array


@dataclass
class _Memory:
    """What LBFGS knows between steps, under PyTorch's names; vectors are all parameters one after the other."""

    func_evals: int = 0
    n_iter: int = 0
    d: Array | None = None  # the last direction
    t: float = 0.0  # the last step along it
    old_dirs: list[Array] = field(default_factory=list[Array])  # changes of the gradient
    old_stps: list[Array] = field(default_factory=list[Array])  # changes of the parameters
    ro: list[float] = field(default_factory=list[float])  # 1 / (product of the two)
    H_diag: float = 1.0
    prev_flat_grad: Array | None = None
    prev_loss: float = 0.0

    def remember(self, gradient: Array, history: int) -> None:
        """Take in the change that the last step brought; one along which the gradient does not grow is left out."""
        assert self.prev_flat_grad is not None and self.d is not None
        change, moved = gradient - self.prev_flat_grad, self.d * gradient.dtype.type(self.t)
        product = float(np.dot(change, moved))
        if product <= 1e-10:
            return
        if len(self.old_dirs) == history:
            for values in (self.old_dirs, self.old_stps, self.ro):
                values.pop(0)
        self.old_dirs.append(change)
        self.old_stps.append(moved)
        self.ro.append(1 / product)
        self.H_diag = product / float(np.dot(change, change))

    def direction(self, gradient: Array) -> Array:
        """- H @ gradient, with the inverse Hessian H as the history tells it (the two loops of Nocedal 1980)."""
        kind, q = gradient.dtype.type, -gradient
        history = list(zip(self.old_dirs, self.old_stps, self.ro, strict=True))
        shares: list[float] = []
        for change, moved, ro in reversed(history):
            shares.append(float(np.dot(moved, q)) * ro)
            q = q - kind(shares[-1]) * change
        q = q * kind(self.H_diag)
        for (change, moved, ro), share in zip(history, reversed(shares), strict=True):
            q = q + kind(share - float(np.dot(change, q)) * ro) * moved
        return q


class LBFGS(Optimizer):
    """Limited-memory BFGS (Nocedal 1980; Liu & Nocedal 1989), as torch.optim.LBFGS: `step(closure)` makes up to
    `max_iter` iterations, each along - H @ gradient, and evaluates the closure (which clears the gradients, computes
    the loss, calls backward and returns the loss) at most about `max_eval` times (by default max_iter * 5 / 4).

    It stops where no gradient is larger than `tolerance_grad`, or where a step or the loss changes by less than
    `tolerance_change`. `line_search_fn` is None (steps of `lr`) or "strong_wolfe". All parameters are one group.
    It needs numbers while it runs, so it runs eagerly; what the closure calls may be compiled. TraceError under
    tt.compile.
    """

    unwatched: ClassVar[frozenset[str]] = frozenset({"defaults", "_memory"})

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        arguments.integer("LBFGS", "max_iter", max_iter, 1)
        self._memory = _Memory()
        super().__init__(
            params,
            {
                "lr": lr,
                "max_iter": max_iter,
                "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
                "tolerance_grad": tolerance_grad,
                "tolerance_change": tolerance_change,
                "history_size": history_size,
                "line_search_fn": line_search_fn,
            },
        )

    def check(self, settings: Mapping[str, Any]) -> None:
        for name in ("max_iter", "max_eval", "history_size"):
            arguments.integer("LBFGS", name, settings[name], 1)
        for name in ("tolerance_grad", "tolerance_change"):
            arguments.not_negative("LBFGS", name, settings[name])
        if settings["line_search_fn"] is not None:
            arguments.choice("LBFGS", "line_search_fn", settings["line_search_fn"], "strong_wolfe")

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        if self.param_groups:
            raise TinyTorchError("LBFGS: all parameters are one group, with the same settings", user_loc())
        super().add_param_group(group)

    def update(self, group: ParamGroup, entries: Entries) -> None:
        raise TinyTorchError("LBFGS: needs step(closure)", user_loc())

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Minimize what `closure` computes; the loss before is returned."""
        if mode.trace is not None:
            raise TraceError(
                "LBFGS: how often a step evaluates the loss depends on values; call step() outside of the compiled "
                "function (what the closure calls may be compiled)",
                user_loc(),
            )
        if closure is None:
            raise TinyTorchError("LBFGS: step needs a closure that computes the loss and its gradients", user_loc())
        self._follow_dtypes()
        run = _Run(self.param_groups[0], self._memory, closure)
        return run.minimize()

    def state_dict(self) -> dict[str, Any]:
        saved, memory = super().state_dict(), self._memory
        if memory.n_iter:
            state: dict[str, Any] = {name: _shown(value) for name, value in vars(memory).items()}
            saved["state"] = {0: state}
        return saved

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        states = {int(i): s for i, s in saved["state"].items()}
        memory = _Memory(**{k: _hidden(v) for k, v in states.get(0, {}).items() if k in vars(_Memory())})
        size = sum(p.numel() for p in self.param_groups[0].params)
        vectors = [v for v in (memory.d, memory.prev_flat_grad, *memory.old_dirs, *memory.old_stps) if v is not None]
        if any(np.shape(v) != (size,) for v in vectors):
            raise TinyTorchError(f"LBFGS: the saved state is not of {size} numbers", user_loc())
        super().load_state_dict({**saved, "state": {}})
        self._memory = memory


def _shown(value: Any) -> Any:
    if isinstance(value, list):
        return [_shown(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return Tensor.wrap(value.copy()) if isinstance(value, np.ndarray) else value


def _hidden(value: Any) -> Any:
    """A saved value as numpy and Python have it: scalars that were tensors are numbers."""
    if value is None or isinstance(value, (int, float)):
        return value
    if isinstance(value, list):
        return [_hidden(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    array = np.array(value.numpy() if isinstance(value, Tensor) else as_array(value))
    return array if array.ndim else array.item()


class _Run:
    """One call of `step`."""

    def __init__(self, group: ParamGroup, memory: _Memory, closure: Callable[[], Any]) -> None:
        self.group, self.memory, self.closure = group, memory, closure
        dtypes = [working_dtype(p).numpy for p in group.params]
        self.dtype = np.result_type(*dtypes)
        self.evaluations = 0

    def evaluate(self) -> tuple[Any, float, Array]:
        """The loss, as it came and as a number, and the gradient."""
        loss = evaluated("LBFGS", self.closure)
        if loss is None:
            raise TinyTorchError("LBFGS: the closure returns nothing; it returns the loss", user_loc())
        self.evaluations += 1
        self.memory.func_evals += 1
        return loss, float(loss), self._flat([p.use_grad() for p in self.group.params])

    def _flat(self, tensors: list[Tensor | None]) -> Array:
        params = self.group.params
        parts = [
            np.zeros(p.numel(), self.dtype) if t is None else t.numpy().astype(self.dtype).reshape(-1)
            for p, t in zip(params, tensors, strict=True)
        ]
        return np.concatenate(parts)

    def _place(self, values: Array) -> None:
        """Write all parameters."""
        at = 0
        with grad_mode(False):
            for p in self.group.params:
                p.copy_(values[at : at + p.numel()].reshape(p.shape).astype(p.dtype.numpy))
                at += p.numel()
        keep_masks(self.group.params)

    def minimize(self) -> Any:
        group, memory = self.group, self.memory
        first, loss, gradient = self.evaluate()
        if self._stationary(gradient):
            return first
        for iteration in range(1, group["max_iter"] + 1):
            memory.n_iter += 1
            if memory.n_iter == 1:
                memory.d = -gradient
            else:
                memory.remember(gradient, group["history_size"])
                memory.d = memory.direction(gradient)
            memory.prev_flat_grad, memory.prev_loss = gradient, loss
            descent = slope(gradient, memory.d)
            size = min(1.0, 1.0 / float(np.abs(gradient).sum())) if memory.n_iter == 1 else 1.0
            memory.t = size * group["lr"]
            if descent > -group["tolerance_change"]:
                break
            last = iteration == group["max_iter"]
            loss, gradient = self._advance(Point(0.0, loss, gradient, descent), memory.d, last)
            if last or self._finished(loss, gradient):
                break
        return first

    def _stationary(self, gradient: Array) -> bool:
        return bool(np.abs(gradient).max(initial=0) <= self.group["tolerance_grad"])

    def _finished(self, loss: float, gradient: Array) -> bool:
        memory, tolerance = self.memory, self.group["tolerance_change"]
        assert memory.d is not None
        return (
            self.evaluations >= self.group["max_eval"]
            or self._stationary(gradient)
            or float(np.abs(memory.d * memory.t).max(initial=0)) <= tolerance
            or abs(loss - memory.prev_loss) < tolerance
        )

    def _advance(self, start: Point, direction: Array, last: bool) -> tuple[float, Array]:
        """Step along a direction: the loss and the gradient behind it (which nobody reads after the `last` step)."""
        origin, memory = self._flat(list(self.group.params)), self.memory

        def at(t: float) -> Point:
            self._place(origin + self.dtype.type(t) * direction)
            _, loss, gradient = self.evaluate()
            return Point(t, loss, gradient, slope(gradient, direction))

        if self.group["line_search_fn"] is None:
            if not last:
                return at(memory.t)[1:3]
            self._place(origin + self.dtype.type(memory.t) * direction)
            return start.f, start.gradient
        size = float(np.abs(direction).max())
        found, _ = strong_wolfe(at, start, memory.t, size, tolerance=1e-9)
        memory.t = found.t
        self._place(origin + self.dtype.type(found.t) * direction)
        return found.f, found.gradient
