"""Text files that users ask for: drawings, pages, records."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc


def write_text(path: str | PathLike[str], text: str) -> None:
    """Write `text` to `path` as UTF-8, "?" for what is no character. TinyTorchError where that cannot be done."""
    try:
        Path(path).write_bytes(text.encode("utf-8", "replace"))
    except OSError as error:
        raise TinyTorchError(f"cannot write {path}: {error.strerror or error}", user_loc()) from None
