"""Groups of parameters, and their settings, which are state."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any, ClassVar, cast

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.module.tracked import Tracked, TrackedList, attributes_of, parts_of
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import grad_mode
from tinytorch.frontend.tensor.mode import mode
from tinytorch.ir.types import DType, f32, f64

LIVE = ("lr", "weight_decay")  # settings that live in tensors: a compiled step reads them anew each time
CYCLED = ("momentum", "betas")  # settings that live in tensors from their first change on: schedules cycle them


def setting(name: str, value: Any, dtype: DType = f32) -> Tensor:
    """A 0-d tensor for a setting (of several numbers, in one dimension); TinyTorchError unless they are numbers that
    are not negative."""
    return named(np.array(number_of(name, value), dtype.numpy), name)


def number_of(name: str, value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return tuple(number_of(name, item) for item in cast("list[Any]", value))
    return float(arguments.not_negative("Optimizer", name, value))


class ParamGroup(Tracked, MutableMapping[str, Any]):
    """Parameters with the same settings: a mapping from names to settings, and from "params" to the list.

    `lr` and `weight_decay` are kept in tensors, f64 if a parameter is, else f32, and read as floats (as tensors under
    tt.compile). A weight decay that has always been 0 is no tensor, so that it costs nothing. `momentum` and `betas`
    are numbers that compiled steps hold as such, and f64 tensors once they have been changed. `live` may be fewer.
    """

    unwatched: ClassVar[frozenset[str]] = frozenset({"_given", "_live"})
    _live: tuple[str, ...] = LIVE

    def __init__(self, params: list[Tensor], settings: Mapping[str, Any], live: tuple[str, ...] = LIVE) -> None:
        attributes_of(self)["_given"] = {}  # what tensors of settings were set to, before it was rounded
        attributes_of(self)["_live"] = live
        self.params = TrackedList(params)
        for name, value in settings.items():
            self[name] = value

    def __setitem__(self, name: str, value: Any) -> None:
        name = _attribute(name)
        known = attributes_of(self).get(name)
        if isinstance(known, Tensor):
            with grad_mode(False):
                known.copy_(value if isinstance(value, Tensor) else np.asarray(number_of(name, value)))
        elif name in self._live and (isinstance(value, Tensor) or value != 0 or name == "lr"):
            setattr(self, name, setting(name, float(value) if isinstance(value, Tensor) else value, self._dtype))
        elif name in CYCLED and known is not None and value != known:
            setattr(self, name, setting(name, value, f64))
        else:
            setattr(self, name, None if name in self._live else value)
        if mode.trace is None:
            attributes_of(self)["_given"][name] = value

    def schedule_rate(self, value: float) -> None:
        """Set the learning rate to what a schedule computes, which may be below 0 behind the end of its cycle."""
        with grad_mode(False):
            self.rate.copy_(np.asarray(value))
        attributes_of(self)["_given"]["lr"] = value

    def __getitem__(self, name: str) -> Any:
        if name in self.unwatched:
            raise KeyError(name)
        try:
            value = getattr(self, _attribute(name))  # a trace takes note of it, also where there is none
        except AttributeError:
            raise KeyError(name) from None
        if value is None and name in self._live:
            return 0.0
        if not isinstance(value, Tensor) or mode.trace is not None:
            return value
        return _read(value.numpy(), attributes_of(self)["_given"].get(name))

    def __delitem__(self, name: str) -> None:
        delattr(self, _attribute(name))

    def __iter__(self) -> Iterator[str]:
        return (name.rstrip(" ") for name in parts_of(self) if name not in self.unwatched)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @property
    def _dtype(self) -> DType:
        return f64 if any(p.dtype == f64 for p in self.params) else f32

    def widen(self) -> bool:
        """Settings in f64 where parameters have become that; whether any changed."""
        known = {name: attributes_of(self).get(name) for name in LIVE}
        narrow = [name for name, t in known.items() if t is not None and t.dtype != f64] if self._dtype == f64 else []
        for name in narrow:
            with untraced():
                value = self[name]
            setattr(self, name, setting(name, value, f64))
        return bool(narrow)

    def live(self, name: str) -> Tensor | None:
        """The tensor of `lr` or `weight_decay`; None for a weight decay of 0."""
        return getattr(self, name)

    @property
    def rate(self) -> Tensor:
        """The tensor of the learning rate."""
        return getattr(self, "lr")  # noqa: B009 (settings are no declared attributes)

    def number(self, name: str) -> float | Tensor:
        """A setting for a formula: a number, or an f64 tensor without axes where it has been changed."""
        return getattr(self, name)

    def numbers(self, name: str) -> tuple[Any, ...]:
        """The numbers of a setting such as `betas`, each as `number` gives it."""
        value = getattr(self, name)
        return tuple(value[i] for i in range(value.shape[0])) if isinstance(value, Tensor) else tuple(value)

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.items() if name != "params")
        return f"ParamGroup({len(self.params)} tensors, {settings})"


def _attribute(name: str) -> str:
    """The attribute that holds a setting; what users call as a method of groups is called is kept beside that."""
    return f"{name} " if hasattr(ParamGroup, name) else name


def _read(array: Any, given: Any) -> Any:
    """The setting that a tensor holds: what was given if the tensor still holds that, else the shortest decimals that
    its numbers are nearest to."""
    if given is not None and not isinstance(given, Tensor) and np.array_equal(np.asarray(given, array.dtype), array):
        return given
    return tuple(float(str(item)) for item in array) if array.ndim else float(str(array[()]))


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
