"""Optimizers whose update depends on how many steps a parameter has made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, cast

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.optimizers.base import Entries, Optimizer
from tinytorch.frontend.optimizers.formulas import fraction
from tinytorch.frontend.optimizers.groups import ParamGroup, named, twin
from tinytorch.frontend.optimizers.states import States
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.mode import TraceAgain, mode

State = dict[str, Tensor]


class Counted(Optimizer):
    """Base of optimizers with a count of each parameter's steps, which `tick` moves on.

    Parameters share the tensor of their count for as long as they step together, so that what depends on it is
    computed once for all of them.
    """

    clocks = ("step",)  # shared scalars of the state
    starts: ClassVar[Mapping[str, Any]] = {"step": np.int64(0)}

    def initial_state(self, group: ParamGroup) -> list[State]:
        """The moments and the shared scalars (frozen parameters will not step with the others)."""
        shared = [{name: named(np.array(self.starts[name]), name) for name in self.clocks} for _ in range(2)]
        moments = super().initial_state(group)
        return [{**m, **shared[p.requires_grad]} for m, p in zip(moments, group.params, strict=True)]

    def update(self, group: ParamGroup, entries: Entries) -> None:
        self._part(entries)
        scales: dict[int, Any] = {}
        for p, grad, state in entries:
            key = id(state["step"])
            if key not in scales:
                state["step"].copy_(state["step"] + 1)
                scales[key] = self.tick(group, state)
            self.move(group, p, grad, state, scales[key])

    def tick(self, group: ParamGroup, state: State) -> Any:
        """What `move` needs of a step that has just been counted, computed once for all that share the count."""
        return None

    def move(self, group: ParamGroup, p: Tensor, grad: Tensor, state: State, scales: Any) -> None:
        """Update one parameter."""
        raise NotImplementedError

    def _part(self, entries: Entries) -> None:
        """Parameters that step now get a count of their own if others, which do not, shared it with them."""
        stepping = {id(state) for _, _, state in entries}
        staying = {id(state["step"]) for state in self.state if id(state) not in stepping}
        parting = {id(state["step"]): state for _, _, state in entries if id(state["step"]) in staying}
        if not parting:
            return
        twins = {key: {name: twin(state[name]) for name in self.clocks} for key, state in parting.items()}
        for _, _, state in entries:
            state.update(twins.get(id(state["step"]), {}))
        self.state = States(self.param_groups, self.state)  # a change that compiled functions see
        if mode.trace is not None:
            raise TraceAgain

    def load_state(self, states: list[dict[str, Any]]) -> None:
        """Parameters of one count share its tensor again; the tensors stay the same where that split is the same."""
        counts = [tuple(float(np.asarray(state[name])) for name in self.clocks) for state in states]
        pairs = {(id(own["step"]), count) for own, count in zip(self.state, counts, strict=True)}
        if len({tensor for tensor, _ in pairs}) != len(pairs):
            fresh: dict[Any, State] = {}
            for own, count in zip(self.state, counts, strict=True):
                twins = {name: twin(own[name]) for name in self.clocks}
                own.update(fresh.setdefault((id(own["step"]), count), twins))
            self.state = States(self.param_groups, self.state)  # a change that compiled functions see
        super().load_state(states)


def check_betas(name: str, betas: Any) -> None:
    """An error unless these are the two fractions that moments are averaged by."""
    for beta in pair_of(name, "betas", betas):
        fraction(name, "betas", beta)


def pair_of(name: str, setting: str, value: Any) -> list[Any]:
    """The two parts of a setting."""
    if not isinstance(value, (tuple, list)) or len(cast("list[Any]", value)) != 2:
        raise arguments.wrong_type(name, setting, "a pair of numbers", value)
    return list(cast("list[Any]", value))


def check_flags(name: str, settings: Mapping[str, Any], *flags: str) -> None:
    for flag in flags:
        arguments.flag(name, flag, settings[flag])
