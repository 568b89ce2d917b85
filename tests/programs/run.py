"""Running a program: eagerly, compiled, or with torch in the place of TinyTorch; and what can be seen of it."""

from __future__ import annotations

import collections
import dataclasses
import functools
import importlib.util
import linecache
import types
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

import tinytorch
from tests.programs.whole import Program
from tinytorch.ir.errors import TinyTorchError

USED_UP = "used up"  # in the place of a gradient that a compiled step did not keep


@dataclass(frozen=True)
class Leaf:
    """A tensor as it was: `same` is the first of the watched tensors that it is, if any."""

    dtype: str
    requires_grad: bool
    array: np.ndarray
    same: str | None = None


@dataclass(frozen=True)
class Moment:
    """What can be seen after a segment: the nested result with leaves for tensors, the watched tensors, and their
    gradients; or the error."""

    result: Any
    state: dict[str, Leaf]
    gradients: dict[str, Leaf | str | None]
    error: Exception | None = None


def play(program: Program, party: str) -> list[Moment]:
    """A moment after the setup and after each segment, up to the first error."""
    space = _space(party)
    _execute(program.setup, space, "setup")
    f = space["f"]
    space["run"] = tinytorch.compile(f, backend=party) if party in ("interpreter", "llvm") else f
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return _moments(program, space)


def _moments(program: Program, space: dict[str, Any]) -> list[Moment]:
    moments = [_look(program, space, None)]
    for i, segment in enumerate(program.segments):
        space.pop("out" if segment.call else "", None)
        error: Exception | None = None
        try:
            _execute(segment.text, space, f"segment {i}")
        except Exception as raised:  # whatever it is will be compared
            error = raised
        moments.append(_look(program, space, error))
        if error is not None:
            break
    return moments


@functools.lru_cache(maxsize=64)
def _code(text: str, name: str) -> types.CodeType:
    return compile(text, name, "exec")


def _execute(text: str, space: dict[str, Any], name: str) -> None:
    file = f"<{name} of the program>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    exec(_code(text, file), space)


def _space(party: str) -> dict[str, Any]:
    tt = torch_as_tinytorch() if party == "torch" else tinytorch
    return {"__name__": __name__, "collections": collections, "dataclasses": dataclasses, "tt": tt}


# Looking.
def _look(program: Program, space: dict[str, Any], error: Exception | None) -> Moment:
    tensors = {name: _find(space, name) for name in program.watched}
    state = {name: _leaf(t) for name, t in tensors.items()}
    gradients = {name: _gradient(t) for name, t in tensors.items()}
    names = {id(t): name for name, t in reversed(tensors.items())}
    return Moment(_seen(space.get("out"), names), state, gradients, error)


def _find(space: dict[str, Any], name: str) -> Any:
    owner, _, attribute = name.partition(".")
    return getattr(space[owner], attribute) if attribute else space[owner]


def _is_tensor(item: Any) -> bool:
    return hasattr(item, "requires_grad") and hasattr(item, "dtype")


def _leaf(tensor: Any, names: dict[int, str] | None = None) -> Leaf:
    try:
        array = tensor.numpy() if isinstance(tensor, tinytorch.Tensor) else tensor.detach().numpy()
    except TinyTorchError:  # a tensor that a trace has left behind
        return Leaf("none", bool(tensor.requires_grad), np.zeros(0))
    return Leaf(str(array.dtype), bool(tensor.requires_grad), np.array(array), (names or {}).get(id(tensor)))


def _gradient(tensor: Any) -> Leaf | str | None:
    try:
        grad = tensor.grad
    except TinyTorchError as error:
        if "used this gradient up" not in str(error):
            raise
        return USED_UP
    return None if grad is None else _leaf(grad)


def _seen(item: Any, names: dict[int, str]) -> Any:
    """A result with leaves for tensors, and the names of containers' types."""
    if _is_tensor(item):
        return _leaf(item, names)
    kind = type(item).__name__
    if isinstance(item, dict):
        return kind, {key: _seen(part, names) for key, part in item.items()}
    if isinstance(item, (list, tuple)):
        return kind, [_seen(part, names) for part in item]
    if dataclasses.is_dataclass(item):
        return kind, {field.name: _seen(getattr(item, field.name), names) for field in dataclasses.fields(item)}
    return item


# torch, under TinyTorch's names.
def has_torch() -> bool:
    return importlib.util.find_spec("torch") is not None


@functools.cache
def torch_as_tinytorch() -> Any:
    import torch

    torch.set_num_threads(1)
    return types.SimpleNamespace(
        tensor=torch.tensor,
        f32=torch.float32,
        f64=torch.float64,
        i64=torch.int64,
        no_grad=torch.no_grad,
        where=torch.where,
        cat=torch.cat,
        stack=torch.stack,
        max_pool1d=torch.nn.functional.max_pool1d,
        Module=torch.nn.Module,
        Parameter=torch.nn.Parameter,
        SGD=torch.optim.SGD,
        Adam=torch.optim.Adam,
        clip_grad_norm=torch.nn.utils.clip_grad_norm_,
    )
