"""Tables as text, and names shortened: how all that is printed looks."""

from __future__ import annotations

import os
from collections.abc import Sequence

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from tinytorch.ir.characters import printable

WIDTH = 120  # of tables as text


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


def add(table: Table, *cells: str, style: str = "") -> None:
    """Add a row. Brackets in a line of the program, or in a name, are no markup of rich's."""
    table.add_row(*map(Text, cells), style=style)


def more(table: Table, text: str) -> None:
    """Say below a table what it leaves out."""
    table.caption, table.caption_justify, table.caption_style = f"  {text}\n", "left", "dim"


def as_text(shown: RenderableType, width: int = WIDTH) -> str:
    console = Console(width=width, color_system=None, force_terminal=False, force_jupyter=False)
    with console.capture() as captured:
        console.print(shown)
    return printable("\n".join(line.rstrip() for line in captured.get().rstrip().split("\n")))
