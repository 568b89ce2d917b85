"""Weights in safetensors files: written whole or not at all, read with every error caught before anything changes.

What is written here carries a SHA-256 of the whole file in its metadata, so that damage is found when it is read. Any
program that knows the format reads such a file; files of others, which have no such sum, are read too.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Mapping
from os import PathLike
from typing import Any, BinaryIO, cast

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.binding import clear
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.conversions import as_array
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array
from tinytorch.ir.system.files import write_atomically
from tinytorch.ir.types import DTYPES, DType, bool_

_FORMAT_NAMES = {"bf16": "BF16", "bool": "BOOL", **{n: n.upper() for n in DTYPES if n not in ("bf16", "bool")}}
_DTYPES: dict[str, DType] = {label: DTYPES[name] for name, label in _FORMAT_NAMES.items()}
_LONGEST_HEADER = 100_000_000  # bytes that the format allows

# A mistake in one byte cannot hit both: who has one of them, must have both.
_SUM_KEY, _SUM_START = "tinytorch.checksum", "tinytorch-sha256:"
_UNKNOWN_SUM = "0" * 64  # stands in the place of the sum while it is computed


@clear
def save_safetensors(
    state: Mapping[str, Any], path: str | PathLike[str], metadata: Mapping[str, str] | None = None
) -> None:
    """Write name -> tensor or array to `path`, in the safetensors format, together with `metadata` of strings and a
    checksum.

    The bytes go to a file beside `path` that then takes its name: whoever reads `path` finds the old file or the new
    one, also if the process or the machine stops in between. A file that was there keeps its mode, and a symbolic
    link goes on pointing to the file that is written. TinyTorchError if it cannot be written.
    """
    write_atomically(path, *safetensors_bytes(state, metadata or {}))


def safetensors_bytes(state: Mapping[str, Any], metadata: Mapping[str, str]) -> tuple[bytes | memoryview, ...]:
    """What `save_safetensors` writes, in pieces."""
    import safetensors.numpy as safetensors

    arrays = {name: _plain(value) for name, value in state.items()}
    content = memoryview(safetensors.save(arrays, {**metadata, _SUM_KEY: _SUM_START + _UNKNOWN_SUM}))
    at = _place_of_sum(content, _SUM_START + _UNKNOWN_SUM)
    return content[:at], _sum(content, at).encode(), content[at + len(_UNKNOWN_SUM) :]


def _plain(value: Any) -> Array:
    """A contiguous array; an array of rank 0 stays one."""
    array = as_array(value)
    return np.ascontiguousarray(array).reshape(array.shape)


# Reading.
@clear
def load_safetensors(path: str | PathLike[str]) -> dict[str, Tensor]:
    """Name -> tensor of a safetensors file; TinyTorchError if it is missing, damaged or of other dtypes.

    Damage within the numbers is found in files that were written here: they carry a checksum.
    """
    return load_summed(path)[0]


def load_summed(path: str | PathLike[str]) -> tuple[dict[str, Tensor], bool]:
    """The tensors of a safetensors file, and whether a checksum vouches for it; errors as of `load_safetensors`."""
    tensors, metadata = read_safetensors(path)
    return tensors, is_summed(metadata)


def is_summed(metadata: Mapping[str, Any]) -> bool:
    """Whether a file with this metadata carries a checksum, which was right if the file has been read."""
    return _SUM_KEY in metadata


def read_safetensors(path: str | PathLike[str] | BinaryIO) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the metadata of a safetensors file, named or open; errors as of `load_safetensors`."""
    from safetensors import SafetensorError, deserialize

    try:
        if isinstance(path, (str, PathLike)):
            with open_regular(path) as file:
                content, header = _read_file(file, os.fstat(file.fileno()).st_size)
        elif not hasattr(path, "read"):
            raise arguments.wrong_type("load", "path", "a path or an open file", path)
        else:
            data = path.read()
            content, header = _read_file(io.BytesIO(data), len(data))
        entries = deserialize(content)
    except (OSError, MemoryError) as error:
        raise TinyTorchError(f"cannot read {path}: {error or 'it does not fit into memory'}", user_loc()) from None
    except (SafetensorError, _DamageError) as error:
        raise TinyTorchError(f"{path} is not a whole safetensors file: {error}", user_loc()) from None
    metadata = header.get("__metadata__") or {}
    _check_sum(path, content, metadata)
    return {name: _tensor(path, name, entry) for name, entry in entries}, metadata


class _DamageError(Exception):
    """What a safetensors file cannot be."""


def _read_file(file: BinaryIO, present: int) -> tuple[bytes, dict[str, Any]]:
    """All of a file of `present` bytes, and its header: 8 bytes of length, then JSON. Nothing large is read before the
    header agrees with the size of the file."""
    start = file.read(8)
    length = int.from_bytes(start, "little")
    if start[:4] == b"PK\x03\x04":
        raise _DamageError("it is a zip, as PyTorch writes; save the weights there with safetensors.torch.save_file")
    if len(start) < 8 or length > min(_LONGEST_HEADER, present - 8):
        raise _DamageError(f"{present} bytes, and no header")
    text = file.read(length)
    header = _parsed(text)
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    size = 8 + length + max(ends, default=0)
    if present != size:
        raise _DamageError(f"{present} bytes, the header asks for {size}")
    return start + text + file.read(size - 8 - length), header


def open_regular(path: str | PathLike[str]) -> BinaryIO:
    """A file opened for reading; OSError where it is no regular one: a pipe or a device could keep readers waiting."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "not a regular file")
    return open(handle, "rb")


def _parsed(text: bytes) -> dict[str, Any]:
    import json

    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _DamageError(f"its header is no JSON ({error})") from None
    if not isinstance(header, dict):
        raise _DamageError("its header is no table")
    table = cast("dict[str, Any]", header)
    for name, entry in table.items():
        offsets: Any = entry.get("data_offsets") if isinstance(entry, dict) else None  # pyright: ignore[reportUnknownMemberType]
        numbers = isinstance(offsets, list) and [type(x) for x in cast("list[Any]", offsets)] == [int, int]
        if not (isinstance(entry, dict) if name == "__metadata__" else numbers):
            raise _DamageError(f"its header says nothing sensible about {name!r}")
    return table


def _tensor(path: object, name: str, entry: Mapping[str, Any]) -> Tensor:
    dtype = _DTYPES.get(entry["dtype"])
    if dtype is None:
        raise TinyTorchError(f"{path}: {name} has dtype {entry['dtype']}, which is not supported", user_loc())
    if dtype is bool_:  # whose only bytes are 0 and 1
        return Tensor.wrap(np.frombuffer(entry["data"], np.uint8).astype(np.bool_).reshape(entry["shape"]))
    return Tensor.wrap(np.frombuffer(entry["data"], dtype.numpy).reshape(entry["shape"]))


# The checksum.
def _check_sum(path: object, content: bytes, metadata: Mapping[str, Any]) -> None:
    """An error if there is a checksum that does not fit."""
    value = metadata.get(_SUM_KEY)
    if value is None and not any(_SUM_START in str(x) for x in metadata.values()):
        return
    view = memoryview(content)
    at = _place_of_sum(view, value) if isinstance(value, str) else -1
    if at < 0 or value != _SUM_START + _sum(view, at):
        raise TinyTorchError(
            f"{path} is damaged: its checksum does not fit its content. (If another program wrote it and only copied "
            f"the metadata, leave out {_SUM_KEY!r} there.)",
            user_loc(),
        )


def _place_of_sum(content: memoryview, value: str) -> int:
    """Where the digits of the sum begin; -1 if they are not there as they are written here."""
    header = bytes(content[: 8 + int.from_bytes(content[:8], "little")])
    at = header.find(f'"{_SUM_KEY}":"{value}"'.encode(errors="replace"))
    whole = at >= 0 and len(value) == len(_SUM_START) + len(_UNKNOWN_SUM)
    return at + len(f'"{_SUM_KEY}":"{_SUM_START}') if whole else -1


def _sum(content: memoryview, at: int) -> str:
    """SHA-256 of a file in which the digits of its sum, from `at` on, are zeros."""
    import hashlib

    digest = hashlib.sha256(content[:at])
    digest.update(_UNKNOWN_SUM.encode())
    digest.update(content[at + len(_UNKNOWN_SUM) :])
    return digest.hexdigest()
