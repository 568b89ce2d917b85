"""State dicts and the like in files: nested dicts, lists and tuples of tensors, numbers and strings, in safetensors.

Nothing is pickled, so that reading a file runs no code. Tensors have the names of their places, joined by dots; what
else there is, and the order, stands as JSON in the file's metadata. So any program that reads safetensors finds the
tensors of a state dict under their names.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from os import PathLike
from typing import Any, BinaryIO, cast

import numpy as np

from tinytorch.frontend.module.module import Module
from tinytorch.frontend.module.weights import safetensors_bytes
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.system.files import write_atomically
from tinytorch.ir.types import DType, dtype_of

_TREE = "tinytorch.tree"
_KINDS: tuple[type, ...] = (type(None), bool, int, float, str)


def save_state(obj: Any, f: str | PathLike[str] | BinaryIO) -> None:
    """Write `obj` to a path, where the file appears whole or not at all, or to a binary file that is open.

    `obj` is a tensor, array, number, string or dtype, or a dict, list or tuple of such, nested. Keys are strings or
    numbers. A Module is refused: save its `state_dict()`. TinyTorchError if it cannot be written.
    """
    tensors: dict[str, Any] = {}

    def leaf(value: Any, path: tuple[Any, ...]) -> dict[str, Any] | None:
        if not isinstance(value, (Tensor, np.ndarray, np.generic)):
            return None
        name = ".".join(map(str, path)) or "tensor"
        while name in tensors:
            name += "'"
        tensors[name] = value
        return {"tensor": name}

    write(f, tensors, {_TREE: json.dumps(to_tree(obj, leaf), allow_nan=False)})


def write(f: str | PathLike[str] | BinaryIO, tensors: Mapping[str, Any], metadata: Mapping[str, str]) -> None:
    """A safetensors file, to a path or to a binary file that is open."""
    content = safetensors_bytes(tensors, metadata)
    if hasattr(f, "write"):
        for piece in content:
            cast(BinaryIO, f).write(piece)
    else:
        write_atomically(cast(str, f), *content)


Leaf = Callable[[Any, tuple[Any, ...]], "dict[str, Any] | None"]


def to_tree(obj: Any, leaf: Leaf, path: tuple[Any, ...] = ()) -> Any:
    """`obj` as JSON: each kind that JSON does not have is a dict with one key, such as {"tuple": [1, 2]}. What
    `leaf(value, path)` knows is written as it says; TinyTorchError for what is left and no plain value."""
    known = leaf(obj, path)
    if known is not None:
        return known
    if isinstance(obj, float) and not math.isfinite(obj):
        return {"float": repr(obj)}
    if type(obj) in _KINDS:
        return obj
    if isinstance(obj, DType):
        return {"dtype": obj.name}
    if isinstance(obj, Mapping):
        items = list(cast("Mapping[Any, Any]", obj).items())
        wrong = [key for key, _ in items if type(key) not in _KINDS]
        if wrong:
            raise TinyTorchError(f"save: a key of a dict is a string or a number, got {wrong[0]!r}", user_loc())
        return {"dict": [[key, to_tree(value, leaf, (*path, key))] for key, value in items]}
    if isinstance(obj, (list, tuple)):
        parts = cast("list[Any]", obj)
        kind = "list" if isinstance(obj, list) else "tuple"
        return {kind: [to_tree(x, leaf, (*path, i)) for i, x in enumerate(parts)]}
    where = "".join(f"[{key!r}]" for key in path)
    hint = ""
    if isinstance(obj, Module) or hasattr(obj, "state_dict"):
        hint = "; save its state_dict(), or what tt.compile makes of it"
    raise TinyTorchError(
        f"save: {'the object' if not path else where} is a {type(obj).__name__}, not a tensor, number, string, dict, "
        f"list or tuple{hint}",
        user_loc(),
    )


def state_of(tensors: Mapping[str, Tensor], metadata: Mapping[str, Any], path: object) -> Any:
    """What `save_state` wrote; of another safetensors file, its tensors. TinyTorchError if `path` is damaged."""
    text = metadata.get(_TREE)
    if text is None:
        return tensors
    try:
        return from_tree(json.loads(text), {"tensor": tensors.__getitem__})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, TinyTorchError) as error:
        raise TinyTorchError(f"load: {path} is damaged: {error!r}", user_loc()) from None


def from_tree(tree: Any, leaves: Mapping[str, Callable[[Any], Any]]) -> Any:
    """The object that `to_tree` wrote, with leaves made by their kind. ValueError, KeyError, TypeError or
    TinyTorchError for other JSON."""
    if not isinstance(tree, dict):
        if isinstance(tree, list):
            raise ValueError("a list without its kind")
        return tree
    ((kind, value),) = cast("dict[str, Any]", tree).items()
    if kind in leaves:
        return leaves[kind](value)
    if kind == "float":
        return float(value)
    if kind == "dtype":
        return dtype_of(value)
    if kind == "dict":
        return {key: from_tree(item, leaves) for key, item in value}
    parts = [from_tree(item, leaves) for item in value]
    return {"list": parts, "tuple": tuple(parts)}[kind]
