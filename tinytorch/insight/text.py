"""Numbers with their units, and tables as text: how all that is printed looks."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table

_PREFIXES = ("", "k", "M", "G", "T")
WIDTH = 120  # of tables as text


def count(number: float) -> str:
    """1234567 as `1.23 M`, with three digits."""
    power = min(int(math.log10(number) // 3), len(_PREFIXES) - 1) if number >= 1 else 0
    return f"{number / 1000**power:.3g} {_PREFIXES[power]}".strip()


def size(number: float) -> str:
    """A number of bytes: `1.46 MiB`."""
    power = min(int(math.log2(number) // 10), 4) if number >= 1 else 0
    return f"{number / 1024**power:.4g} {('B', 'KiB', 'MiB', 'GiB', 'TiB')[power]}"


def duration(seconds: float) -> str:
    """Seconds with the unit that fits: `57.3 µs`."""
    for unit, factor in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= factor:
            return f"{seconds / factor:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def place(loc: str) -> str:
    """`path:line` with the name of the file alone."""
    return os.path.basename(loc)


def shortened(text: str, length: int) -> str:
    """The text, or its beginning and an ellipsis."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def table(title: str, left: Sequence[str], right: Sequence[str]) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold", collapse_padding=True)
    for name in left:
        table.add_column(name)
    for name in right:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def more(table: Table, text: str) -> None:
    """Say below a table what it leaves out."""
    table.caption, table.caption_justify, table.caption_style = f"  {text}\n", "left", "dim"


def as_text(shown: RenderableType, width: int = WIDTH) -> str:
    console = Console(width=width, color_system=None, force_terminal=False, force_jupyter=False)
    with console.capture() as captured:
        console.print(shown)
    return "\n".join(line.rstrip() for line in captured.get().rstrip().split("\n"))
