"""The state of parameters: a list, in which each is found by its number or by the parameter itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tinytorch.frontend.module.tracked import TrackedDict, TrackedList
from tinytorch.frontend.optimizers.groups import ParamGroup, untraced
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.mode import mode
from tinytorch.ir.types import f64


class State(TrackedDict[Any]):
    """What an optimizer keeps of one parameter, by name.

    Steps that begin it themselves (`state["exp_avg"] = torch.zeros_like(p)` the first time) do so also while they are
    traced: what they put in is computed at once, and the trace starts over, with a state that is there. A number that
    changes from step to step becomes an f64 tensor then, which every call changes; a tensor that takes the place of
    another one is written into that at the end.
    """

    __slots__ = ()

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value if mode.trace is None else self._begun(key, value))

    def update(self, *args: Any, **kwargs: Any) -> None:
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def setdefault(self, key: str, default: Any = None) -> Any:
        if key not in self:
            self[key] = default
        return self[key]

    def _begun(self, key: str, value: Any) -> Any:
        """What stands for a value of a trace that is put into the state."""
        trace, known = mode.trace, self.get(key)
        assert trace is not None
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
