"""What all optimizers share: parameter groups, settings that are state, saving and loading."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypedDict, cast

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.module.masks import keep_masks
from tinytorch.frontend.module.parameter import UninitializedParameter
from tinytorch.frontend.module.scopes import during
from tinytorch.frontend.module.tracked import Tracked, TrackedList
from tinytorch.frontend.optimizers.groups import LIVE, ParamGroup, named, number_of, twin, working_dtype
from tinytorch.frontend.optimizers.states import State, States
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.conversions import as_array
from tinytorch.frontend.tensor.gradients import grad_mode
from tinytorch.frontend.tensor.mode import TraceAgain, mode
from tinytorch.frontend.tensor.storage import version_of
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc, warn

Entries = list[tuple[Tensor, Tensor, dict[str, Tensor]]]


class Unsupported(TypedDict, total=False):
    """Arguments of torch.optim that say how a step runs there: only None and False are accepted."""

    foreach: bool | None
    fused: bool | None
    capturable: bool | None
    differentiable: bool | None


def refuse(name: str, given: Mapping[str, Any]) -> None:
    """An error for an argument that means something and is not supported, or that nobody knows."""
    for argument, value in given.items():
        if argument not in Unsupported.__annotations__:
            raise TypeError(f"got an unexpected keyword argument '{argument}'")  # the constructor adds the rest
        if value is not None and value is not False:
            raise arguments.ArgumentValueError(
                f"{name}: {argument}={value!r} is not supported; leave it out (tt.compile fuses the step)", user_loc()
            )


@dataclass(frozen=True)
class _OwnSetting:
    """In an optimizer that steps by itself, `lr` is what it says itself, or else the setting of the first group."""

    name: str

    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        return self if owner is None else owner.param_groups[0][self.name]


class Optimizer(Tracked):
    """Base of optimizers. `params`: tensors, or mappings with "params" and settings of their own.

    `lr` and `weight_decay` set those of all groups. A parameter whose `grad` is None is left as it is. The state of
    parameter number i is `state[i]`, a dict of tensors, or `state[p]` for the parameter p itself.

    A subclass has an `update`, and names in `slots` what its state begins with. Or it has a `step` of its own, as
    optimizers for PyTorch have, and puts into `state[p]` what it likes, numbers too.
    """

    unwatched: ClassVar[frozenset[str]] = frozenset({"defaults", "_used"})
    slots: ClassVar[tuple[str, ...]] = ()  # names of the per-parameter state that starts as zeros
    clocks: ClassVar[tuple[str, ...]] = ()  # names of scalars in the state, which have dtypes of their own

    def __init__(self, params: Any, defaults: Mapping[str, Any]) -> None:
        self.defaults = dict(defaults)
        self._used: tuple[Tensor, int] | None = None  # a gradient of the last eager step, and its version then
        self.param_groups: list[ParamGroup] = TrackedList()
        self.state = States(self.param_groups)
        for group in _groups(type(self).__name__, params):
            self.add_param_group(group)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "step" in vars(cls) and cls.update is Optimizer.update:
            for name in LIVE:
                setattr(cls, name, _OwnSetting(name))

    def __setattr__(self, name: str, value: Any) -> None:
        if name in LIVE and isinstance(getattr(type(self), name), property):
            # It goes to tensors, which compiled functions read anyway.
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Optimize more parameters: a mapping with "params" and, where they differ from the defaults, settings. What is
        no setting of this optimizer stays in the group, for who asks. Parameters may be (name, parameter) pairs, whose
        names are then in "param_names"."""
        params, names = _parameters(type(self).__name__, group["params"])
        known = {id(p) for g in self.param_groups for p in g.params}
        if any(id(p) in known for p in params):
            raise TinyTorchError(f"{type(self).__name__}: a parameter is in more than one group", user_loc())
        settings = self._without_lists({**self.defaults, **{k: v for k, v in group.items() if k != "params"}})
        settings |= {"param_names": names} if names else {}
        self.check(settings)
        for p in params:
            self.check_parameter(p)
        # A step of a user's own asks whether there is a weight decay: `if group["weight_decay"] != 0`.
        own = type(self).update is Optimizer.update
        made = ParamGroup(params, settings, ("lr",) if own else LIVE)
        self.param_groups.append(made)
        self.state += map(State, self.initial_state(made))

    def _without_lists(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Settings with tuples in the place of lists; what is no setting of this optimizer stays as it is."""
        own = {
            k: tuple(cast("list[Any]", v)) for k, v in settings.items() if k in self.defaults and isinstance(v, list)
        }
        return {**settings, **own}

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
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient. `closure`, if there is one, computes the loss and the gradients
        first, and its loss is returned."""
        loss = None if closure is None else evaluated(type(self).__name__, closure)
        self._follow_dtypes()
        if mode.trace is None:
            self._watch_gradients()
        with grad_mode(False), during("update", type(self).__name__):
            at = 0
            for group in self.param_groups:
                states = self.state[at : at + len(group.params)]
                at += len(group.params)
                sign = -1 if group.get("maximize", False) else 1
                found = [(p, p.use_grad(), s) for p, s in zip(group.params, states, strict=True)]
                self.update(group, [(p, g if sign > 0 else -g, s) for p, g, s in found if g is not None])
                keep_masks(group.params)
        return loss

    def _watch_gradients(self) -> None:
        """Warn where backward() has added to a gradient that the step before this one has used."""
        grads = (p.grad for group in self.param_groups for p in group.params)
        grad = next((g for g in grads if g is not None), None)
        if grad is None:
            return
        if self._used is not None and self._used[0] is grad and version_of(grad) == self._used[1] + 1:
            warn(
                f"{type(self).__name__}.step(): backward() has added to gradients that the last step used; call "
                "zero_grad() before each backward(), or before the first of those that shall add up",
                RuntimeWarning,
            )
        self._used = (grad, version_of(grad))

    def _follow_dtypes(self) -> None:
        """State and settings in the dtypes of parameters that have been converted since they were made."""
        changed = [group.widen() for group in self.param_groups]
        params = (p for group in self.param_groups for p in group.params)
        for p, state in zip(params, self.state, strict=True):
            dtype = working_dtype(p)
            for name, tensor in state.items():
                if tensor.dtype.is_float and tensor.dtype != dtype and name not in self.clocks:
                    state[name] = twin(tensor, dtype)
                    changed.append(True)
        if any(changed):
            self.state = States(self.param_groups, self.state)  # a change that compiled functions see
            if mode.trace is not None:
                raise TraceAgain

    def update(self, group: ParamGroup, entries: Entries) -> None:
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
        """Go on exactly where `state_dict` was taken, here or in PyTorch. Everything is checked first: on any error
        nothing has been changed.

        A parameter without state has not stepped. Settings of PyTorch that say how a step runs are left out; one that
        is True or False and is missing stays.
        """
        name = type(self).__name__
        arguments.instance(f"{name}.load_state_dict", "saved", saved, Mapping)
        if not saved.keys() >= {"state", "param_groups"}:
            wanted = "what state_dict() gives, with state and param_groups"
            raise arguments.wrong_value(f"{name}.load_state_dict", "saved", wanted, list(saved))
        states = {int(i): s for i, s in saved["state"].items()}
        sizes, given = [len(g.params) for g in self.param_groups], [len(g["params"]) for g in saved["param_groups"]]
        if sizes != given:
            raise TinyTorchError(f"{name}: groups of {sizes} parameters, the saved state has {given}", user_loc())
        groups = [self._settings(g, own) for g, own in zip(saved["param_groups"], self.param_groups, strict=True)]
        if type(self).update is Optimizer.update:  # the state is known to `step` alone
            self._set_groups(groups)
            kept = ({k: _twin_of(v) for k, v in states.get(i, {}).items()} for i in range(sum(sizes)))
            self.state = States(self.param_groups, map(State, kept))
            return
        own_states, fresh = self._states_for(groups)
        loaded: list[dict[str, Any]] = []
        for i, own in enumerate(own_states):
            state = self.adopted(own, states.get(i, {})) or fresh[i]
            loaded.append({k: v if isinstance(v, Tensor) else as_array(v) for k, v in state.items()})
            if {k: t.shape for k, t in own.items()} != {k: tuple(t.shape) for k, t in loaded[i].items()}:
                raise TinyTorchError(f"{name}: the saved state of parameter {i} does not fit", user_loc())
        self._set_groups(groups)
        if any(a is not b for a, b in zip(own_states, self.state, strict=True)):
            self.state = States(self.param_groups, map(State, own_states))
        self.load_state(loaded)

    def _set_groups(self, groups: list[dict[str, Any]]) -> None:
        for group, settings in zip(self.param_groups, groups, strict=True):
            for key, value in settings.items():
                group[key] = value

    def _states_for(self, groups: list[dict[str, Any]]) -> tuple[list[dict[str, Tensor]], list[dict[str, Tensor]]]:
        """The state of each parameter under the settings of saved `groups`, and one that has not stepped: the own,
        unless these settings need more (a momentum where there was none)."""
        kept: list[dict[str, Tensor]] = []
        fresh: list[dict[str, Tensor]] = []
        for group, settings in zip(self.param_groups, groups, strict=True):
            given = {k: v for k, v in {**group, **settings}.items() if k != "params"}
            states = self.state[len(kept) : len(kept) + len(group.params)]
            needed = self.initial_state(ParamGroup(group.params, given))
            for own, old, new in zip(states, self.initial_state(group), needed, strict=True):
                fits = own.keys() >= new.keys()
                kept.append(own if fits else new)
                fresh.append(old if fits else new)
        return kept, fresh

    def _settings(self, saved: Mapping[str, Any], own: ParamGroup) -> dict[str, Any]:
        """The settings of a saved group, checked."""
        settings = self._without_lists({k: v for k, v in saved.items() if k != "params"})
        refuse(type(self).__name__, {k: settings.pop(k) for k in Unsupported.__annotations__ if k in settings})
        flags = {k for k, v in self.defaults.items() if isinstance(v, bool)}
        missing = self.defaults.keys() - settings.keys() - flags
        if missing:
            listed = ", ".join(sorted(missing))
            raise TinyTorchError(f"{type(self).__name__}: the saved state has no setting {listed}", user_loc())
        for key in LIVE:
            if key in settings:
                number_of(key, settings[key])
        self.check({**own, **settings})
        return settings

    def adopted(self, own: Mapping[str, Tensor], saved: Mapping[str, Any]) -> Mapping[str, Any]:
        """The saved state of a parameter in the names of this optimizer's `own`, where PyTorch has others."""
        return saved

    def load_state(self, states: list[dict[str, Any]]) -> None:
        """Copy the tensors of each parameter's state; names and shapes fit."""
        with grad_mode(False):
            for own, other in zip(self.state, states, strict=True):
                for key, tensor in own.items():
                    tensor.copy_(other[key])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.param_groups))})"


def _twin_of(value: Any) -> Any:
    """A copy of a saved tensor or array; anything else itself."""
    if isinstance(value, Tensor):
        return twin(value)
    return Tensor(value) if hasattr(value, "__array__") else value


def evaluated(name: str, closure: Any) -> Any:
    """The loss of a closure, which computes gradients."""
    arguments.function(name, "closure", closure)
    with grad_mode(True):
        return closure()


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


def _parameters(name: str, params: Any) -> tuple[list[Tensor], list[str]]:
    """The tensors of a group, checked, and their names, if it has (name, tensor) pairs."""
    items: list[Any] = [params] if isinstance(params, Tensor) else list(params)
    pairs = [item for item in items if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str)]
    if pairs and len(pairs) < len(items):
        raise TinyTorchError(f"{name}: some of the params have names, and some have none", user_loc())
    items = [tensor for _, tensor in pairs] or items
    for p in items:
        if not isinstance(p, Tensor) or not p.dtype.is_float:
            what = p.type if isinstance(p, Tensor) else type(p).__name__
            raise TinyTorchError(f"{name}: a parameter is a tensor of floats, got {what}", user_loc())
        if isinstance(p, UninitializedParameter):
            raise TinyTorchError(f"{name}: a lazy layer has no parameters yet; call the model once before", user_loc())
        if not p.is_leaf:
            raise TinyTorchError(f"{name}: {p.type} is the result of a computation, not a parameter", user_loc())
    if len({id(p) for p in items}) != len(items):
        raise TinyTorchError(f"{name}: a parameter is listed twice", user_loc())
    return items, [called for called, _ in pairs]
