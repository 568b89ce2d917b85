"""Weights in safetensors files: written whole or not at all, read with every error caught before anything changes."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from tinytorch.frontend.tensor import Tensor, as_array
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array
from tinytorch.ir.types import DTYPES, DType

_FORMAT_NAMES = {"bf16": "BF16", "bool": "BOOL", **{n: n.upper() for n in DTYPES if n not in ("bf16", "bool")}}
_DTYPES: dict[str, DType] = {label: DTYPES[name] for name, label in _FORMAT_NAMES.items()}


def save_safetensors(
    state: Mapping[str, Any], path: str | PathLike[str], metadata: Mapping[str, str] | None = None
) -> None:
    """Write name -> tensor or array to `path`, in the safetensors format, together with `metadata` of strings.

    The bytes go to a file beside `path` that then takes its name: whoever reads `path` finds the old file or the new
    one, also if the process or the machine stops in between. TinyTorchError if it cannot be written.
    """
    import safetensors.numpy as safetensors

    arrays = {name: _plain(value) for name, value in state.items()}
    write_atomically(path, safetensors.save(arrays, dict(metadata or {}) or None))


def _plain(value: Any) -> Array:
    """A contiguous array; an array of rank 0 stays one."""
    array = as_array(value)
    return np.ascontiguousarray(array).reshape(array.shape)


def write_atomically(path: str | PathLike[str], content: bytes) -> None:
    """Replace the file `path` by `content` in one step; TinyTorchError if that fails, and the old file stays."""
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        raise TinyTorchError(f"cannot write {target}: {error}", user_loc()) from None
    finally:
        temporary.unlink(missing_ok=True)


def load_safetensors(path: str | PathLike[str]) -> dict[str, Tensor]:
    """Name -> tensor of a safetensors file; TinyTorchError if it is missing, damaged or of other dtypes."""
    from safetensors import SafetensorError, deserialize

    try:
        entries = deserialize(Path(path).read_bytes())
    except OSError as error:
        raise TinyTorchError(f"cannot read {path}: {error}", user_loc()) from None
    except SafetensorError as error:
        raise TinyTorchError(f"{path} is not a whole safetensors file: {error}", user_loc()) from None
    return {name: _read(path, name, entry) for name, entry in entries}


def _read(path: str | PathLike[str], name: str, entry: Mapping[str, Any]) -> Tensor:
    dtype = _DTYPES.get(entry["dtype"])
    if dtype is None:
        raise TinyTorchError(f"{path}: {name} has dtype {entry['dtype']}, which is not supported", user_loc())
    return Tensor.wrap(np.frombuffer(entry["data"], dtype.numpy).reshape(entry["shape"]))
