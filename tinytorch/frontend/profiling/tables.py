"""Tables as text."""

from __future__ import annotations

from collections.abc import Sequence

from tinytorch.ir.characters import printable


def in_columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows under a head, with a rule between; the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        return "  ".join([f"{first[0]:<{first[1]}}", *(f"{cell:>{width}}" for cell, width in others)]).rstrip()

    rule = "─" * (sum(widths) + 2 * (len(widths) - 1))
    return printable("\n".join([line(head), rule, *map(line, rows)]))
