"""Analyses by number or name, as `tinytorch analyze` runs them."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

from analyses import MODULES
from analyses.record import Analysis
from tinytorch.ir.errors import TinyTorchError


def chosen(given: Sequence[str]) -> list[str]:
    """The names of modules: of numbers (`2`, `02`), names, or `all`; TinyTorchError for anything else."""
    return list(MODULES) if list(given) == ["all"] else [_module(text) for text in given]


def _module(text: str) -> str:
    if text.isdecimal() and 1 <= int(text) <= len(MODULES):
        return MODULES[int(text) - 1]
    if text in MODULES:
        return text
    raise TinyTorchError(f"{text!r} is no module: give a number from 1 to {len(MODULES)}, all, or a name such as "
                         f"{MODULES[0]}; the names are {', '.join(MODULES)}")  # fmt: skip


def analyze(module: str, quick: bool = False) -> Analysis:
    """The analysis of the module of that name."""
    return importlib.import_module(f"analyses.{module}").analyze(quick=quick)


def page_name(module: str) -> str:
    """`02_activations`."""
    return f"{MODULES.index(module) + 1:02}_{module}"


def default_folder() -> Path:
    """The pages of the docs in a checkout, else the current folder."""
    docs = Path(__file__).parent.parent / "docs"
    return docs / "analysis" if (docs / "architecture.md").is_file() else Path.cwd()
