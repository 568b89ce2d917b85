"""What the commands of the benchmarks are given: read, and checked before anything is timed."""

from __future__ import annotations

import os
from pathlib import Path

import typer


def numbers(text: str, hint: str) -> list[int]:
    """`1,2` as numbers, each once and in their order."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) for part in parts):
        raise typer.BadParameter(f"positive whole numbers, such as 1,2; got {text!r}", param_hint=hint)
    return sorted({int(part) for part in parts})


def output_file(path: Path | None) -> Path | None:
    """For `typer.Option(callback=…)`: a file that can be written, so that no measurement is lost for want of a
    folder."""
    if path is not None:
        folder = path.parent
        if path.is_dir():
            raise typer.BadParameter(f"cannot write {path}: it is a folder")
        if not folder.is_dir():
            raise typer.BadParameter(f"cannot write {path}: there is no folder {folder}")
        if not os.access(path if path.exists() else folder, os.W_OK):
            raise typer.BadParameter(f"cannot write {path}")
    return path
