"""Text files that users ask for: drawings, pages, reports."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path

from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc


def write_text(path: str | PathLike[str], text: str) -> None:
    """Write `text` to `path` as UTF-8, "?" for what is no character. TinyTorchError where that cannot be done."""
    try:
        Path(path).write_bytes(text.encode("utf-8", "replace"))
    except OSError as error:
        raise _unwritten(path, error) from None


def write_texts(folder: str | PathLike[str], texts: Mapping[str, str]) -> None:
    """Write texts by the names of their files into a folder, which is made if it is not there. TinyTorchError where
    that cannot be done."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritten(folder, error) from None
    for name, text in texts.items():
        write_text(Path(folder, name), text)


def _unwritten(path: str | PathLike[str], error: OSError) -> TinyTorchError:
    return TinyTorchError(f"cannot write {path}: {error.strerror or error}", user_loc())
