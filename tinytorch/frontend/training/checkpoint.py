"""Checkpoints: one safetensors file with the tensors of a run, and everything else of it as JSON in a tensor of bytes.

One file, because two could be of different moments: it is written beside its place and takes it in one step.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from types import NoneType
from typing import Any, NoReturn, cast

import numpy as np

from tinytorch.frontend.functions.random import Generator, default_generator
from tinytorch.frontend.module import Module
from tinytorch.frontend.module.tracked import attributes_of
from tinytorch.frontend.module.weights import load_summed, save_safetensors
from tinytorch.frontend.optimizers import Optimizer
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array

FORMAT = 3  # raise it when a checkpoint's content changes
_STATE = "trainer.json"
_MOST_F32 = float(np.finfo(np.float32).max)  # settings become tensors of f32
_NOT_FINITE = {
    "nan": math.nan,
    "inf": math.inf,
    "-inf": -math.inf,
}  # how metrics are written for which JSON has no word


@dataclass(frozen=True)
class Checkpoint:
    """Arrays by name, and what JSON can hold."""

    arrays: dict[str, Array]
    state: dict[str, Any]

    def save(self, path: str | PathLike[str]) -> None:
        """Write the file; TinyTorchError if it cannot be written, and what was there before stays."""
        state = {"format": FORMAT, **self.state}
        state |= {key: _written(state[key]) for key in ("history", "early_stopping") if key in state}
        try:
            text = json.dumps(state, default=float, allow_nan=False).encode()
        except (TypeError, ValueError) as error:
            raise TinyTorchError(f"cannot write {path}: the state of the run is no JSON: {error}", user_loc()) from None
        save_safetensors({**self.arrays, _STATE: np.frombuffer(text, np.uint8)}, path)

    @staticmethod
    def load(path: str | PathLike[str]) -> Checkpoint:
        """Read the file; TinyTorchError if it is missing, no checkpoint, or damaged: a checksum is over all of it,
        and what it says of counters, metrics and settings must be of their kinds."""
        tensors, summed = load_summed(path)
        arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
        if _STATE not in arrays:
            raise TinyTorchError(f"{path} holds tensors, but is no checkpoint of a Trainer", user_loc())
        try:
            state = json.loads(arrays.pop(_STATE).tobytes(), parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            raise TinyTorchError(f"{path} is damaged: {_STATE} is no JSON: {error}", user_loc()) from None
        if not isinstance(state, dict) or state.pop("format", None) != FORMAT:  # pyright: ignore[reportUnknownMemberType]
            raise TinyTorchError(f"{path} is a checkpoint of another version of TinyTorch", user_loc())
        if not summed:
            raise TinyTorchError(f"{path} is damaged: it has no checksum", user_loc())
        return Checkpoint(arrays, checked_state(path, cast("dict[str, Any]", state)))

    def part(self, prefix: str) -> dict[str, Array]:
        """The arrays under `prefix.`, without it."""
        start = f"{prefix}."
        return {name.removeprefix(start): array for name, array in self.arrays.items() if name.startswith(start)}


def under(prefix: str, tensors: Mapping[str, Any]) -> dict[str, Array]:
    """Copies of tensors or arrays, with `prefix.` before their names."""
    return {f"{prefix}.{name}": np.array(value) for name, value in tensors.items()}


def optimizer_arrays(optimizers: Sequence[Optimizer]) -> dict[str, Tensor]:
    """The tensors of the optimizers' state, as `number.name`; parameters are numbered through all of them."""
    states = enumerate(state for optimizer in optimizers for state in optimizer.state)
    return {f"{i}.{name}": t for i, state in states for name, t in state.items()}


def optimizer_groups(optimizers: Sequence[Optimizer]) -> list[dict[str, Any]]:
    """The settings of all groups of parameters, with the numbers that these have in `optimizer_arrays`."""
    groups: list[dict[str, Any]] = []
    first = 0
    for optimizer in optimizers:
        for group in optimizer.state_dict()["param_groups"]:
            groups.append({**group, "params": [first + number for number in group["params"]]})
        first += len(optimizer.state)
    return groups


def optimizer_state(arrays: Mapping[str, Array]) -> dict[int, dict[str, Tensor]]:
    """The state of each parameter that has one, of arrays named as by `optimizer_arrays`."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, array in arrays.items():
        number, _, name = key.partition(".")
        if not number.isdecimal():
            raise TinyTorchError(f"{key} is no state of a parameter of an optimizer", user_loc())
        state.setdefault(int(number), {})[name] = Tensor.wrap(array)
    return state


def load_optimizer_state(optimizers: Sequence[Optimizer], arrays: Mapping[str, Array]) -> None:
    """The inverse of `optimizer_arrays`; names and shapes fit."""
    states = optimizer_state(arrays)
    first = 0
    for optimizer in optimizers:
        behind = first + len(optimizer.state)
        optimizer.load_state([states.get(i, {}) for i in range(first, behind)])
        first = behind


def load_optimizers(optimizers: Sequence[Optimizer], arrays: Mapping[str, Array], groups: list[dict[str, Any]]) -> None:
    """The inverse of `optimizer_arrays` and `optimizer_groups`; TinyTorchError if it does not fit an optimizer: then
    this one and those behind it have not been changed."""
    states = optimizer_state(arrays)
    first = 0
    for optimizer in optimizers:
        last = optimizer is optimizers[-1]  # what is too much shows in its error
        own = len(groups) if last else len(optimizer.param_groups)
        _load_optimizer(optimizer, {i - first: state for i, state in states.items() if i >= first}, groups[:own])
        groups, first = groups[own:], first + len(optimizer.state)


def _load_optimizer(optimizer: Optimizer, state: dict[int, dict[str, Tensor]], groups: list[dict[str, Any]]) -> None:
    # JSON knows no tuples, and a list in place of one would be a changed setting to a compiled step.
    tuples = [{k: tuple(v) if isinstance(v, list) and k != "params" else v for k, v in g.items()} for g in groups]
    for own, saved in zip(optimizer.param_groups, tuples, strict=False):
        for name, value in own.items():
            if name != "params" and name in saved and _kind(saved[name]) != _kind(value):
                raise TinyTorchError(
                    f"{type(optimizer).__name__}: {name} is {value!r} here and {saved[name]!r} in the saved state",
                    user_loc(),
                )
    optimizer.load_state_dict({"state": state, "param_groups": tuples})


def _kind(setting: Any) -> Any:
    """What a setting of an optimizer is, where all numbers are alike."""
    if isinstance(setting, tuple):
        return tuple(map(_kind, cast("tuple[Any, ...]", setting)))
    return float if isinstance(setting, (int, float)) and not isinstance(setting, bool) else type(setting)


def generators_of(model: Module) -> dict[str, Generator]:
    """The default generator, and those that modules of `model` keep, each once."""
    found = {"default": default_generator}
    for path, module in model.named_modules():
        for name, value in attributes_of(module).items():
            if isinstance(value, Generator) and all(value is not known for known in found.values()):
                found[f"model.{path}.{name}"] = value
    return found


def load_generators(generators: Mapping[str, Generator], arrays: Mapping[str, Array]) -> None:
    """Set every generator to its saved state."""
    if generators.keys() != arrays.keys():
        raise TinyTorchError(
            f"the checkpoint has random generators {sorted(arrays)}, the model {sorted(generators)}", user_loc()
        )
    for name, generator in generators.items():
        generator.set_state(arrays[name])


def does_not_fit(path: str | PathLike[str], error: Exception) -> TinyTorchError:
    """The error for a checkpoint that is whole, but of another run."""
    what = f"{error}" if isinstance(error, TinyTorchError) else f"{type(error).__name__}: {error}"
    return TinyTorchError(f"{path} does not fit this run: {what}", user_loc())


# What the state of a run may be.
def _written(value: Any) -> Any:
    """`value` with strings in place of the numbers that JSON cannot write."""
    if isinstance(value, dict):
        return {key: _written(item) for key, item in cast("dict[Any, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_written(item) for item in cast("list[Any]", value)]
    if isinstance(value, (float, np.floating)) and not math.isfinite(value):
        return str(float(value))
    return value


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number")


def checked_state(path: str | PathLike[str], state: dict[str, Any]) -> dict[str, Any]:
    """The state of a run as `Trainer` keeps it; TinyTorchError where a value is missing or not of its kind."""
    check = _Check(path)
    for key in ("epoch", "batch", "pending", "step"):
        check.whole(key, check.item("the state", state, key))
    if check.number("seconds", check.item("the state", state, "seconds")) < 0:
        check.fail("seconds", state["seconds"], "not negative")
    state["history"] = [check.record(f"history[{i}]", x) for i, x in enumerate(check.sequence("history", state))]
    for i, group in enumerate(check.sequence("param_groups", state)):
        check.group(f"param_groups[{i}]", group)
    stopping = check.item("the state", state, "early_stopping")
    if stopping is not None:
        stopping["best"] = check.metric("early_stopping.best", check.item("early_stopping", stopping, "best"))
        check.whole("early_stopping.best_epoch", check.item("early_stopping", stopping, "best_epoch"), -1)
        check.whole("early_stopping.waited", check.item("early_stopping", stopping, "waited"))
    loaders = check.sequence("loaders", state)
    if len(loaders) != 2:
        check.fail("loaders", loaders, "two of them, for training and for validation")
    for i, position in enumerate(loaders):
        if position is not None:
            check.position(f"loaders[{i}]", position)
    return state


@dataclass(frozen=True)
class _Check:
    """Checks of values by their kinds; errors name the file."""

    path: str | PathLike[str]

    def fail(self, what: str, value: Any, wanted: str) -> NoReturn:
        raise TinyTorchError(f"{self.path} is damaged: {what} is {value!r:.80}, it must be {wanted}", user_loc())

    def item(self, what: str, table: Any, key: str) -> Any:
        if not isinstance(table, dict):
            self.fail(what, table, "a table")
        if key not in table:
            self.fail(what, sorted(map(str, cast("dict[Any, Any]", table))), f"a table with {key!r}")
        return cast("dict[Any, Any]", table)[key]

    def sequence(self, what: str, state: dict[str, Any]) -> list[Any]:
        found = self.item("the state", state, what)
        if not isinstance(found, list):
            self.fail(what, found, "a list")
        return cast("list[Any]", found)

    def whole(self, what: str, value: Any, least: int = 0) -> int:
        if type(value) is not int or not least <= value < 2**63:
            self.fail(what, value, f"a whole number of at least {least}")
        return value

    def number(self, what: str, value: Any, most: float = sys.float_info.max) -> float:
        if type(value) not in (int, float) or not abs(value) <= most:  # so that NaN is refused as well
            self.fail(what, value, f"a number of at most {most:.2g}")
        return value

    def metric(self, what: str, value: Any) -> float | None:
        if isinstance(value, str) and value in _NOT_FINITE:
            return _NOT_FINITE[value]
        return None if value is None else self.number(what, value)

    def record(self, what: str, record: Any) -> dict[str, Any]:
        """An epoch of the history: its number, the rate, and means, of which there may be none; and what the user
        has added."""
        self.whole(f"{what}.epoch", self.item(what, record, "epoch"))
        self.number(f"{what}.lr", self.item(what, record, "lr"))
        self.item(what, record, "train_loss")
        means = {k: self.metric(f"{what}.{k}", v) for k, v in record.items() if k.startswith(("train_", "val_"))}
        return record | means

    def group(self, what: str, group: Any) -> None:
        """Settings of an optimizer; which they are, it knows itself."""
        numbers = self.item(what, group, "params")
        if not isinstance(numbers, list):
            self.fail(f"{what}.params", numbers, "a list")
        for number in cast("list[Any]", numbers):
            self.whole(f"{what}.params", number)
        for name, value in group.items():
            if name != "params" and not isinstance(value, (bool, str, NoneType)):
                for part in cast("list[Any]", value) if isinstance(value, list) else [value]:
                    if part is not None:
                        self.number(f"{what}.{name}", part, _MOST_F32)

    def position(self, what: str, position: Any) -> None:
        """The state of a loader; that of a DataLoader is of whole numbers."""
        if not isinstance(position, dict):
            self.fail(what, position, "a table, or null")
        for name in {"epoch", "position", "seed", "batch_size", "samples"} & cast("dict[str, Any]", position).keys():
            self.whole(f"{what}.{name}", position[name])
