"""`save` and `load`: nested dicts, lists and tuples of tensors, numbers and strings in one safetensors file.

Nothing is pickled, so that reading a file runs no code. Tensors have the names of their places, joined by dots; what
else there is, and the order, stands as JSON in the file's metadata. So any program that reads safetensors finds the
tensors of a state dict under their names.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from os import PathLike
from typing import Any, BinaryIO, cast

import numpy as np

from tinytorch.frontend.module.module import Module
from tinytorch.frontend.module.weights import read_safetensors, safetensors_bytes, write_atomically
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.types import DType, dtype_of

_TREE = "tinytorch.tree"
_KINDS: tuple[type, ...] = (type(None), bool, int, float, str)


def save(obj: Any, f: str | PathLike[str] | BinaryIO) -> None:
    """Write `obj` to a path, where the file appears whole or not at all, or to a binary file that is open.

    `obj` is a tensor, array, number, string or dtype, or a dict, list or tuple of such, nested. Keys are strings or
    numbers. A Module is refused: save its `state_dict()`. TinyTorchError if it cannot be written.
    """
    tensors: dict[str, Any] = {}
    tree = _tree(obj, (), tensors)
    content = safetensors_bytes(tensors, {_TREE: json.dumps(tree, allow_nan=False)})
    if hasattr(f, "write"):
        for piece in content:
            cast(BinaryIO, f).write(piece)
    else:
        write_atomically(cast(str, f), *content)


def _tree(obj: Any, path: tuple[Any, ...], tensors: dict[str, Any]) -> Any:
    """`obj` as JSON, with tensors left for the file: each kind that JSON does not have is a dict with one key."""
    if isinstance(obj, (Tensor, np.ndarray, np.generic)):
        name = ".".join(map(str, path)) or "tensor"
        while name in tensors:
            name += "'"
        tensors[name] = obj
        return {"tensor": name}
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
        return {"dict": [[key, _tree(value, (*path, key), tensors)] for key, value in items]}
    if isinstance(obj, (list, tuple)):
        parts = cast("list[Any]", obj)
        return {
            "list" if isinstance(obj, list) else "tuple": [_tree(x, (*path, i), tensors) for i, x in enumerate(parts)]
        }
    where = "".join(f"[{key!r}]" for key in path)
    hint = "; save its state_dict()" if isinstance(obj, Module) or hasattr(obj, "state_dict") else ""
    raise TinyTorchError(
        f"save: {'the object' if not path else where} is a {type(obj).__name__}, not a tensor, number, string, dict, "
        f"list or tuple{hint}",
        user_loc(),
    )


def load(f: str | PathLike[str] | BinaryIO, map_location: object = None, *, weights_only: bool = True) -> Any:
    """What `save` has written; of another safetensors file a dict of tensors. `map_location` may only be "cpu".

    TinyTorchError if the file is missing, damaged, or of another kind, such as PyTorch's pickles.
    """
    del weights_only  # there is nothing else in a file
    if map_location is not None:
        Tensor(0.0).to(cast(str, map_location))
    tensors, metadata = read_safetensors(f)
    text = metadata.get(_TREE)
    try:
        return tensors if text is None else _object(json.loads(text), tensors)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise TinyTorchError(f"load: {f} is damaged: {error!r}", user_loc()) from None


def _object(tree: Any, tensors: Mapping[str, Tensor]) -> Any:
    if not isinstance(tree, dict):
        return tree
    ((kind, value),) = cast("dict[str, Any]", tree).items()
    if kind == "tensor":
        return tensors[value]
    if kind == "float":
        return float(value)
    if kind == "dtype":
        return dtype_of(value)
    if kind == "dict":
        return {key: _object(item, tensors) for key, item in value}
    parts = [_object(item, tensors) for item in value]
    return {"list": parts, "tuple": tuple(parts)}[kind]
