"""The state of parameters: a list, in which each is found by its number or by the parameter itself."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tinytorch.frontend.module.tracked import TrackedDict, TrackedList
from tinytorch.frontend.optimizers.groups import ParamGroup, untraced
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.mode import mode
from tinytorch.ir.errors import TraceError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.types import f64

_ALL = object()


class State(TrackedDict[Any]):
    """What an optimizer keeps of one parameter, by name.

    Steps that begin it themselves (`state["exp_avg"] = torch.zeros_like(p)` the first time) do so also while they are
    traced: what they put in is computed at once, and the trace starts over, with a state that is there. A number that
    changes from step to step becomes an f64 tensor then, which every call changes; a tensor that takes the place of
    another one is written into that at the end. What is begun with the value that each step sets is refused:
    starting over would take two steps.
    """

    __slots__ = ("_asked", "_once")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._asked: set[object] = set()  # keys that a trace looked for; _ALL after it asked whether there are any
        self._once: dict[str, weakref.ref[Any]] = {}  # of these, what a trace began, and set no more than that

    def __setitem__(self, key: str, value: Any) -> None:
        known = dict.get(self, key)
        if mode.trace is not None and value is not known:
            self._check(key)
            value = self._begun(key, value, known)
        super().__setitem__(key, value)

    def _ask(self, key: object) -> None:
        if mode.trace is not None:
            self._asked.add(key)

    def __contains__(self, key: object) -> bool:
        self._ask(key)
        return super().__contains__(key)

    def __missing__(self, key: str) -> Any:
        self._ask(key)
        raise KeyError(key)

    def __len__(self) -> int:
        self._ask(_ALL)
        return super().__len__()

    def get(self, key: str, default: Any = None) -> Any:
        self._ask(key)
        return super().get(key, default)

    def __reduce__(self) -> Any:
        return State, (dict(self),)

    def update(self, *args: Any, **kwargs: Any) -> None:
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def setdefault(self, key: str, default: Any = None) -> Any:
        if key not in self:
            self[key] = default
        return self[key]

    def _check(self, key: str) -> None:
        """TraceError if the trace before began this value with what each step makes of the one before, the first one
        too: that step has not run yet."""
        began = self._once.pop(key, None)
        if began is not None and began() is not mode.trace:
            super().__delitem__(key)
            raise TraceError(
                f"{key!r} in the state of an optimizer is set by each step, also by the one that finds none; in a "
                f"compiled step, begin it apart: if {key!r} not in state: state[{key!r}] = …",
                user_loc(),
            )

    def _begun(self, key: str, value: Any, known: Any) -> Any:
        """What stands for a value of a trace that is put into the state, in the place of what is `known`."""
        trace = mode.trace
        assert trace is not None
        if known is None and not self._asked.isdisjoint((key, _ALL)):
            self._once[key] = weakref.ref(trace)
        if isinstance(value, Tensor) and not trace.is_outside(value):
            array = trace.before_call(value) if known is None else None
            if array is not None:
                trace.again = True
                with untraced():
                    return Tensor(array)
            if isinstance(known, Tensor) and value.type == known.type:
                trace.hold(self, key, known)
        elif known is None:
            trace.again = True
        elif _is_number(known) and _is_number(value) and known != value:
            trace.again = True
            with untraced():
                return Tensor(float(known), dtype=f64)
        return value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


class States(TrackedList[dict[str, Any]]):
    """A dict for each parameter of `groups`, in their order. `states[3]` is that of parameter number 3, `states[p]`
    that of the parameter p, as optimizers for PyTorch write it; KeyError for a tensor that is none of them."""

    __slots__ = ("_groups",)

    def __init__(self, groups: Sequence[ParamGroup], states: Iterable[dict[str, Any]] = ()) -> None:
        super().__init__(states)
        self._groups = groups

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(self._number(key) if isinstance(key, Tensor) else key)

    def __setitem__(self, key: Any, state: Any) -> None:
        if isinstance(key, Tensor):
            key, given = self._number(key), state
            state = State()
            state.update(given)
        super().__setitem__(key, state)

    def __contains__(self, key: object) -> bool:
        """Whether a parameter has a state."""
        return isinstance(key, Tensor) and any(key is p for p in self.keys()) and bool(self[key])

    def _number(self, param: Tensor) -> int:
        for number, known in enumerate(self.keys()):
            if known is param:
                return number
        raise KeyError("a tensor that is no parameter of this optimizer")

    def keys(self) -> Iterator[Tensor]:
        return (p for group in self._groups for p in group.params)

    def values(self) -> Iterator[dict[str, Any]]:
        return iter(self)

    def items(self) -> Iterator[tuple[Tensor, dict[str, Any]]]:
        return zip(self.keys(), self, strict=True)
