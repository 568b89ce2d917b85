"""What all optimizers share: parameter groups, settings that are state, saving and loading."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any, ClassVar, cast

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.gradients import grad_mode
from tinytorch.frontend.mode import TraceAgain, mode
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tracked import Tracked, TrackedDict, TrackedList, attributes_of, parts_of
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.types import DType, f32, f64

LIVE = ("lr", "weight_decay")  # settings that live in tensors: a compiled step reads them anew each time


def setting(name: str, value: Any, dtype: DType = f32) -> Tensor:
    """A 0-d tensor for a setting; TinyTorchError unless it is a number that is not negative."""
    return named(np.array(_number(name, value), dtype.numpy), name)


def _number(name: str, value: Any) -> float:
    return float(arguments.not_negative("Optimizer", name, value))


class ParamGroup(Tracked, MutableMapping[str, Any]):
    """Parameters with the same settings: a mapping from names to settings, and from "params" to the list.

    `lr` and `weight_decay` are kept in tensors, f64 if a parameter is, else f32, and read as floats (as tensors under
    tt.compile). A weight decay that has always been 0 is no tensor, so that it costs nothing.
    """

    def __init__(self, params: list[Tensor], settings: Mapping[str, Any]) -> None:
        self.params = TrackedList(params)
        for name, value in settings.items():
            self[name] = value

    def __setitem__(self, name: str, value: Any) -> None:
        known = attributes_of(self).get(name)
        if name not in LIVE:
            setattr(self, name, value)
        elif isinstance(known, Tensor):
            with grad_mode(False):
                known.copy_(value if isinstance(value, Tensor) else _number(name, value))
        elif isinstance(value, Tensor) or value != 0 or name == "lr":
            setattr(self, name, setting(name, float(value) if isinstance(value, Tensor) else value, self._dtype))
        else:
            setattr(self, name, None)

    def __getitem__(self, name: str) -> Any:
        if name not in attributes_of(self):
            raise KeyError(name)
        value = getattr(self, name)
        if name not in LIVE:
            return value
        if value is None:
            return 0.0
        # The shortest decimal that this number is nearest to: what was set reads back as it was.
        return value if mode.trace is not None else float(str(value.numpy()[()]))

    def __delitem__(self, name: str) -> None:
        delattr(self, name)

    def __iter__(self) -> Iterator[str]:
        return iter(parts_of(self))

    def __len__(self) -> int:
        return len(parts_of(self))

    @property
    def _dtype(self) -> DType:
        return f64 if any(p.dtype == f64 for p in self.params) else f32

    def widen(self) -> bool:
        """Settings in f64 where parameters have become that; whether any changed."""
        known = {name: attributes_of(self)[name] for name in LIVE}
        narrow = [name for name, t in known.items() if t is not None and t.dtype != f64] if self._dtype == f64 else []
        for name in narrow:
            with untraced():
                value = self[name]
            setattr(self, name, setting(name, value, f64))
        return bool(narrow)

    def live(self, name: str) -> Tensor | None:
        """The tensor of a setting; None for a weight decay of 0."""
        return getattr(self, name)

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.items() if name != "params")
        return f"ParamGroup({len(self.params)} tensors, {settings})"


class Optimizer(Tracked):
    """Base of optimizers. `params`: tensors, or mappings with "params" and settings of their own.

    `lr` and `weight_decay` set those of all groups. A parameter whose `grad` is None is left as it is. The state of
    parameter number i is `state[i]`, a dict of tensors.
    """

    unwatched: ClassVar[frozenset[str]] = frozenset({"defaults"})
    slots: ClassVar[tuple[str, ...]] = ()  # names of the per-parameter state that starts as zeros

    def __init__(self, params: Any, defaults: Mapping[str, Any]) -> None:
        self.defaults = dict(defaults)
        self.param_groups: list[ParamGroup] = TrackedList()
        self.state: list[dict[str, Tensor]] = TrackedList()
        for group in _groups(type(self).__name__, params):
            self.add_param_group(group)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in LIVE:  # goes to tensors, which compiled functions read anyway
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Optimize more parameters: a mapping with "params" and, where they differ from the defaults, settings."""
        params = _parameters(type(self).__name__, group["params"])
        known = {id(p) for g in self.param_groups for p in g.params}
        if any(id(p) in known for p in params):
            raise TinyTorchError(f"{type(self).__name__}: a parameter is in more than one group", user_loc())
        given = {**self.defaults, **{k: v for k, v in group.items() if k != "params"}}
        settings = {k: tuple(cast("list[Any]", v)) if isinstance(v, list) else v for k, v in given.items()}
        unknown = [name for name in settings if name not in self.defaults]
        if unknown:
            raise TinyTorchError(f"{type(self).__name__}: no setting is named {', '.join(unknown)}", user_loc())
        self.check(settings)
        for p in params:
            self.check_parameter(p)
        made = ParamGroup(params, settings)
        self.param_groups.append(made)
        self.state += map(TrackedDict, self.initial_state(made))

    def check(self, settings: Mapping[str, Any]) -> None:
        """Raise TinyTorchError if a setting makes no sense."""

    def check_parameter(self, param: Tensor) -> None:
        """Raise TinyTorchError if this optimizer has no update for such a parameter."""

    def initial_state(self, group: ParamGroup) -> list[dict[str, Tensor]]:
        """The state of each parameter of a new group."""
        return [{name: self.zeros(p, name) for name in self.slots} for p in group.params]

    def zeros(self, param: Tensor, name: str) -> Tensor:
        """State in the shape of `param`, in its dtype but at least f32."""
        return named(np.zeros(param.shape, working_dtype(param).numpy), f"{param.name}.{name}".lstrip("."))

    # Settings of all groups.
    @property
    def lr(self) -> Any:
        """The learning rate (of the first group, where they differ)."""
        return self.param_groups[0]["lr"]

    @lr.setter
    def lr(self, value: Any) -> None:
        self._set("lr", value)

    @property
    def weight_decay(self) -> Any:
        return self.param_groups[0]["weight_decay"]

    @weight_decay.setter
    def weight_decay(self, value: Any) -> None:
        self._set("weight_decay", value)

    def _set(self, name: str, value: Any) -> None:
        for group in self.param_groups:
            group[name] = value

    # Stepping.
    def step(self) -> None:
        """Update every parameter that has a gradient."""
        self._follow_dtypes()
        with grad_mode(False):
            at = 0
            for group in self.param_groups:
                states = self.state[at : at + len(group.params)]
                at += len(group.params)
                found = [(p, p.use_grad(), s) for p, s in zip(group.params, states, strict=True)]
                self.update(group, [(p, g, s) for p, g, s in found if g is not None])

    def _follow_dtypes(self) -> None:
        """State and settings in the dtypes of parameters that have been converted since they were made."""
        changed = [group.widen() for group in self.param_groups]
        params = (p for group in self.param_groups for p in group.params)
        for p, state in zip(params, self.state, strict=True):
            dtype = working_dtype(p)
            for name, tensor in state.items():
                if tensor.dtype.is_float and tensor.dtype != dtype:
                    state[name] = twin(tensor, dtype)
                    changed.append(True)
        if any(changed):
            self.state = list(self.state)  # a change that compiled functions see
            if mode.trace is not None:
                raise TraceAgain

    def update(self, group: ParamGroup, entries: list[tuple[Tensor, Tensor, dict[str, Tensor]]]) -> None:
        """Update the parameters of one group that have gradients: (parameter, gradient, state) each."""
        raise TinyTorchError(f"{type(self).__name__} has no update()", user_loc())

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or with `set_to_none=False` fill them with zeros."""
        for group in self.param_groups:
            for p in group.params:
                p.clear_grad(set_to_none)

    # Saving and loading.
    def state_dict(self) -> dict[str, Any]:
        """{"state": {number: {name: tensor}}, "param_groups": [settings, with numbers for parameters]}; the tensors
        share memory with the optimizer's."""
        groups: list[dict[str, Any]] = []
        at = 0
        for group in self.param_groups:
            numbers = list(range(at, at + len(group.params)))
            groups.append({**{k: v for k, v in group.items() if k != "params"}, "params": numbers})
            at += len(numbers)
        return {"state": {i: dict(s) for i, s in enumerate(self.state) if s}, "param_groups": groups}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on exactly where `state_dict` was taken. Everything is checked first: on any error nothing has been
        changed."""
        name = type(self).__name__
        groups, states = saved["param_groups"], {int(i): s for i, s in saved["state"].items()}
        sizes, given = [len(g.params) for g in self.param_groups], [len(g["params"]) for g in groups]
        if sizes != given:
            raise TinyTorchError(f"{name}: groups of {sizes} parameters, the saved state has {given}", user_loc())
        for settings in groups:
            unknown = set(settings) ^ {*self.defaults, "params"}
            if unknown:
                raise TinyTorchError(f"{name}: settings {', '.join(sorted(unknown))} do not match", user_loc())
            for key in LIVE:
                _number(key, settings[key])
            self.check(settings)
        for i, own in enumerate(self.state):
            other = states.get(i, {})
            if {k: t.shape for k, t in own.items()} != {k: tuple(t.shape) for k, t in other.items()}:
                raise TinyTorchError(f"{name}: the saved state of parameter {i} does not fit", user_loc())
        for group, settings in zip(self.param_groups, groups, strict=True):
            for key, value in settings.items():
                if key != "params":
                    group[key] = value
        self.load_state([dict(states.get(i, {})) for i in range(len(self.state))])

    def load_state(self, states: list[dict[str, Any]]) -> None:
        """Copy the tensors of each parameter's state; names and shapes fit."""
        with grad_mode(False):
            for own, other in zip(self.state, states, strict=True):
                for key, tensor in own.items():
                    tensor.copy_(other[key])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.param_groups))})"


def named(array: Any, name: str) -> Tensor:
    """A tensor of state, under a name for printed graphs."""
    tensor = Tensor.wrap(array)
    tensor.name = name
    return tensor


@contextmanager
def untraced() -> Generator[None]:
    """Values as they are between calls, also while a call is traced."""
    running, mode.trace = mode.trace, None
    try:
        yield
    finally:
        mode.trace = running


def twin(tensor: Tensor, dtype: DType | None = None) -> Tensor:
    """A copy of a tensor of state as it is between calls."""
    with untraced():
        return named(np.array(tensor.numpy(), (dtype or tensor.dtype).numpy), tensor.name)


def working_dtype(param: Tensor) -> DType:
    """The dtype that updates are computed in: that of the parameter, but at least f32."""
    return param.dtype if param.dtype.bits >= 32 else f32


def _groups(name: str, params: Any) -> list[Mapping[str, Any]]:
    """`params` as a list of groups."""
    if isinstance(params, Tensor) or not isinstance(params, Iterable):
        hint = "; pass model.parameters()" if hasattr(params, "parameters") else ""
        raise TinyTorchError(f"{name}: params is a list of tensors, got {type(params).__name__}{hint}", user_loc())
    items: list[Any] = list(params)
    if not items:
        raise TinyTorchError(f"{name}: there are no parameters to optimize", user_loc())
    if not isinstance(items[0], Mapping):
        return [{"params": items}]
    for group in items:
        if not isinstance(group, Mapping) or "params" not in group:
            raise TinyTorchError(f'{name}: a parameter group is a mapping with "params"', user_loc())
    return items


def _parameters(name: str, params: Any) -> list[Tensor]:
    """The tensors of a group, checked."""
    items: list[Any] = [params] if isinstance(params, Tensor) else list(params)
    for p in items:
        if isinstance(p, tuple):
            raise TinyTorchError(
                f"{name}: params has pairs; pass model.parameters(), not named_parameters()", user_loc()
            )
        if not isinstance(p, Tensor) or not p.dtype.is_float:
            what = p.type if isinstance(p, Tensor) else type(p).__name__
            raise TinyTorchError(f"{name}: a parameter is a tensor of floats, got {what}", user_loc())
        if not p.is_leaf:
            raise TinyTorchError(f"{name}: {p.type} is the result of a computation, not a parameter", user_loc())
    if len({id(p) for p in items}) != len(items):
        raise TinyTorchError(f"{name}: a parameter is listed twice", user_loc())
    return items
