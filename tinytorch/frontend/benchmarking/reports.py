"""A comparison as Markdown and as one HTML page."""

from __future__ import annotations

import html
import os
import platform
from collections.abc import Mapping, Sequence
from os import PathLike

from tinytorch.frontend.benchmarking.comparison import Comparison
from tinytorch.frontend.benchmarking.plots import PAIRS, as_svg, figures
from tinytorch.ir.system.files import write_texts

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; font-size: .9em; display: block; overflow-x: auto; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
th { border-bottom: 2px solid #888; }
figure { display: inline-block; margin: .5rem; }
svg { max-width: 100%; height: auto; }
"""


def write(comparison: Comparison, folder: str | PathLike[str], title: str) -> str:
    """Write `report.md` with its pictures beside it, and `report.html`, one page with all of them; the Markdown."""
    pictures = {name: as_svg(figure) for name, figure in figures(comparison).items()}
    text = markdown(comparison, [f"{name}.svg" for name in pictures], title)
    files = {f"{name}.svg": svg for name, svg in pictures.items()}
    files |= {"report.md": text, "report.html": page(comparison, pictures, title)}
    write_texts(folder, files)
    return text


def markdown(comparison: Comparison, pictures: Sequence[str] = (), title: str = "Comparison of models") -> str:
    """The report; `pictures` are names of files that lie beside it."""
    head, *rows = (list(map(_cell, row)) for row in (comparison.head, *comparison.rows))
    lines = [f"# {title}", "", *_paragraphs(comparison), "", _line(head), _line(["---", *["---:"] * (len(head) - 1)])]
    lines += [*map(_line, rows), "", "## Pareto frontiers", ""]
    lines += [f"- {text}" for text in _fronts(comparison)] or ["- fewer than two metrics were measured"]
    lines += ["", "## Metrics", "", *(f"- {metric.name}: {metric.doc}." for metric in comparison.metrics)]
    for name in pictures:
        lines += ["", f"![{name.removesuffix('.svg')}]({name})"]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Text that stays in its cell."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def page(comparison: Comparison, pictures: Mapping[str, str], title: str = "Comparison of models") -> str:
    """The report as a page that needs no other file; `pictures` are SVG elements."""

    def row(cells: Sequence[str], kind: str) -> str:
        return "<tr>" + "".join(f"<{kind}>{html.escape(cell)}</{kind}>" for cell in cells) + "</tr>"

    rows = [row(comparison.head, "th"), *(row(cells, "td") for cells in comparison.rows)]
    parts = [
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>',
        f"<style>{_STYLE}</style></head><body>",
        f"<h1>{html.escape(title)}</h1>",
        *(f"<p>{html.escape(text)}</p>" for text in _paragraphs(comparison)),
        "<table>",
        *rows,
        "</table>",
        *(f"<figure>{svg}</figure>" for svg in pictures.values()),
        "<h2>Pareto frontiers</h2><ul>",
        *(f"<li>{html.escape(text)}</li>" for text in _fronts(comparison)),
        "</ul><h2>Metrics</h2><ul>",
        *(f"<li>{metric.name}: {html.escape(metric.doc)}.</li>" for metric in comparison.metrics),
        "</ul></body></html>",
    ]
    return "\n".join(parts) + "\n"


def _paragraphs(comparison: Comparison) -> list[str]:
    """How and where it was measured."""
    cores = os.cpu_count() or 1
    where = f"{platform.processor() or platform.machine()}, {cores} core{'s' * (cores > 1)}, {platform.system()}"
    how = (
        f"Calls of {comparison.samples} sample{'s' * (comparison.samples != 1)}; {comparison.rounds} rounds, in each "
        "of which all models were timed in an order of its own. Times are medians over the rounds, with their "
        f"{100 * comparison.confidence:g} % intervals; ratios are those of the rounds, against {comparison.baseline}."
    )
    timed = any(result.times for result in comparison.results)
    return [where + ".", *([how] if timed else []), *comparison.notes]


def _fronts(comparison: Comparison) -> list[str]:
    measured = {metric.name for metric in comparison.metrics}
    return [
        f"{y} against {x}: {', '.join(result.name for result in comparison.front(x, y)) or 'none'}"
        for x, y in PAIRS
        if measured.issuperset((x, y))
    ]
