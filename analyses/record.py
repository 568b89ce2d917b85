"""What an analysis is made of: questions, measured tables and pictures, and what can be read from them."""

from __future__ import annotations

import math
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinytorch.frontend.benchmarking.plots import as_svg
from tinytorch.frontend.profiling.tables import in_columns
from tinytorch.ir.system.files import write_texts

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_WIDTH = 100  # of sentences that are printed


@dataclass(frozen=True)
class Table:
    """Rows under the names of columns. Cells are numbers as measured (the column's name has the unit), strings, or None
    where nothing was measured."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]

    def text(self) -> str:
        """For the terminal."""
        return in_columns(self.columns, [[shown(cell) for cell in row] for row in self.rows])

    def markdown(self) -> str:
        """Numbers stand on the right."""
        texts = [i for i in range(len(self.columns)) if any(isinstance(row[i], str) for row in self.rows)]
        rules = ["---" if i in texts else "---:" for i in range(len(self.columns))]
        rows = [self.columns, rules, *([shown(cell) for cell in row] for row in self.rows)]
        return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |" for row in rows)


@dataclass(frozen=True)
class Section:
    """What is asked; the measurement; and what it shows, in one to three sentences computed from its numbers."""

    question: str
    reading: str
    table: Table | None = None
    picture: Figure | None = None


@dataclass(frozen=True)
class Analysis:
    """The analysis of a module. `background`: the mathematics, in a few lines of Markdown. `questions`: to think
    about."""

    title: str
    background: str
    sections: Sequence[Section]
    questions: Sequence[str]

    def show(self) -> None:
        """Print it; in a notebook, as the output of its cell, with the pictures."""
        if _in_notebook():
            self._display()
            return
        print(self.title, "=" * len(self.title), sep="\n")
        for section in self.sections:
            print(f"\n{section.question}\n")
            if section.table is not None:
                print(section.table.text(), end="\n\n")
            print(textwrap.fill(section.reading, _WIDTH))

    def _display(self) -> None:
        from IPython.display import SVG, Markdown, display

        for section in self.sections:
            table = [] if section.table is None else [section.table.markdown()]
            display(Markdown("\n\n".join([f"### {section.question}", *table])))
            if section.picture is not None:
                display(SVG(as_svg(section.picture)))
            display(Markdown(section.reading))

    def write(self, folder: Path | str, name: str) -> Path:
        """Write the page `name`.md into `folder`, with its pictures beside it; the page's path. TinyTorchError where
        that cannot be done."""
        page, texts = f"{name}.md", dict[str, str]()
        parts = [f"# {self.title}", self.background.strip()]
        for i, section in enumerate(self.sections, 1):
            parts.append(f"## {section.question}")
            if section.picture is not None:
                picture = f"{name}_{i}.svg"
                texts[picture] = as_svg(section.picture)
                parts.append(f"![{section.question}]({picture})")
            if section.table is not None:
                parts.append(section.table.markdown())
            parts.append(section.reading)
        parts.append("## Questions")
        parts.append("\n".join(f"{i}. {question}" for i, question in enumerate(self.questions, 1)))
        parts.append(f"---\nMeasured on {machine()}.")
        write_texts(folder, texts | {page: "\n\n".join(parts) + "\n"})
        return Path(folder, page)


def shown(cell: Any) -> str:
    """Whole numbers in full, others with three digits."""
    if cell is None:
        return "–"
    if isinstance(cell, bool) or not isinstance(cell, (int, float)):
        return str(cell)
    if isinstance(cell, int):
        return f"{cell:,}"
    if not cell or not math.isfinite(cell):
        return f"{cell:g}"
    if 0.001 <= abs(cell) < 1e6:
        return f"{cell:,.{max(0, 2 - math.floor(math.log10(abs(cell))))}f}"
    return f"{cell:.2e}"


def machine() -> str:
    """CPU, threads, versions and the day, in one line."""
    from benchmarks.machine import cpu_name, versions
    from tinytorch.runtime.thread_count import get_num_threads

    found = versions()
    names = [f"{name} {found[name]}" for name in ("tinytorch", "numpy", "torch") if name in found]
    threads = get_num_threads()
    python = ".".join(map(str, sys.version_info[:3]))
    return (
        f"{cpu_name()}, {threads} thread{'s' * (threads > 1)}, Python {python}, {', '.join(names)}, {date.today():%F}"
    )


def _in_notebook() -> bool:
    ipython: Any = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None
