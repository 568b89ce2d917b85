"""The state of parameters: a list, in which each is found by its number or by the parameter itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tinytorch.frontend.module.tracked import TrackedDict, TrackedList
from tinytorch.frontend.optimizers.groups import ParamGroup
from tinytorch.frontend.tensor import Tensor


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
            key, state = self._number(key), TrackedDict(state)
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
