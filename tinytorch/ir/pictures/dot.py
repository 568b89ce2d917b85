"""A picture in the language of Graphviz, for who wants to lay it out or style it otherwise."""

from __future__ import annotations

from collections.abc import Iterator

from tinytorch.ir.pictures.boxes import Box, Picture
from tinytorch.ir.text.titles import PHASE_COLORS
from tinytorch.ir.text.units import count, duration, size


def write_dot(picture: Picture, name: str) -> str:
    """The text of a digraph. What is inside of boxes becomes clusters, tooltips have costs and lines."""
    names: dict[Box, str] = {}
    body = [*_boxes(picture, names, 1), *_edges(picture, names, 1)]
    note = f"  label={_quoted(picture.note)};" if picture.note else None
    head = [f"digraph {_quoted(name)} {{", "  node [shape=box, style=rounded, fontname=sans];", "  compound=true;"]
    return "\n".join([*head, *([note] if note else []), *body, "}", ""])


def _boxes(picture: Picture, names: dict[Box, str], depth: int) -> Iterator[str]:
    pad = "  " * depth
    for box in picture.boxes:
        names[box] = f"b{len(names)}"
        title = box.title if box.count == 1 else f"{box.title} × {box.count}"
        if box.inside is not None and box.inside.boxes:
            yield f"{pad}subgraph cluster_{names[box]} {{"
            yield f"{pad}  label={_quoted(title)}; tooltip={_quoted(_tooltip(box))};"
            yield f"{pad}  {names[box]} [shape=point, style=invis];"
            yield from _boxes(box.inside, names, depth + 1)
            yield from _edges(box.inside, names, depth + 1)
            yield f"{pad}}}"
        else:
            colored = f", color={_quoted(PHASE_COLORS[box.phase][0])}" if box.phase in PHASE_COLORS else ""
            yield f"{pad}{names[box]} [label={_quoted(_label(box, title))}, tooltip={_quoted(_tooltip(box))}{colored}];"


def _edges(picture: Picture, names: dict[Box, str], depth: int) -> Iterator[str]:
    for edge in picture.edges:
        ends = [e for e in (edge.source, edge.target) if e.inside is not None and e.inside.boxes]
        tail = f", ltail=cluster_{names[edge.source]}" if edge.source in ends else ""
        head = f", lhead=cluster_{names[edge.target]}" if edge.target in ends else ""
        yield f"{'  ' * depth}{names[edge.source]} -> {names[edge.target]} [label={_quoted(edge.type)}{tail}{head}];"


def _label(box: Box, title: str) -> str:
    time = "" if box.cost.seconds is None else f", {duration(box.cost.seconds)}"
    return "\n".join(filter(None, [f"{title}{time}", box.module, *(box.types if box.kind == "input" else ())]))


def _tooltip(box: Box) -> str:
    work = f"{count(box.cost.flops)} FLOPs, {size(box.cost.bytes)}"
    return "\n".join([", ".join(box.types), work, *box.lines]).strip()


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
