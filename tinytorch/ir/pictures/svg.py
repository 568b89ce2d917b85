"""Pictures as SVG, for light and dark ground: text that fits its boxes, smooth edges, a legend, tooltips."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Literal

from tinytorch.ir.pictures.boxes import Box, Cost, Edge, Picture, everything
from tinytorch.ir.pictures.labels import captions, operations, shortened, text_width, tooltip
from tinytorch.ir.pictures.layered import Line, Point, lay_out
from tinytorch.ir.text.titles import PHASE_COLORS
from tinytorch.ir.text.units import duration

Paint = Literal["phase", "time"]

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # characters that it cannot hold
_MARGIN = 20.0
_PAD = 11.0  # inside of boxes
_NAME, _TITLE, _SMALL = 15.0, 12.0, 10.5  # sizes of text
_MOST_TAGS = 5
_BEHIND = 4.0  # how far the second of several like boxes stands out
_PAGE, _SMALLEST = 980.0, 0.65  # width of a notebook's page; scale below which text cannot be read
_HEAT = ("#e8590c", "#c2571a")
_THEME = {  # class and property: light, dark
    ".ground": ("fill", "#ffffff", "#0d1117"),
    ".title": ("fill", "#1f2328", "#e6edf3"),
    ".small": ("fill", "#59636e", "#9da7b3"),
    ".label": ("fill", "#59636e", "#9da7b3"),
    ".halo": ("stroke", "#ffffff", "#0d1117"),
    ".edge": ("stroke", "#a3adb8", "#59626d"),
    ".tip": ("fill", "#a3adb8", "#59626d"),
    ".heat": ("fill", *_HEAT),
    ".end": ("fill", "#f3f4f6", "#1b222c"),
    ".under": ("fill", "#ffffff", "#0d1117"),
}
_PLAIN = """
.tinytorch text{font-family:ui-sans-serif,system-ui,Helvetica,Arial,sans-serif;font-size:10.5px}
.tinytorch .title{font-size:12px;font-weight:600}
.tinytorch .head{font-size:15px}
.tinytorch .label{font-size:10px}
.tinytorch .halo{paint-order:stroke;stroke-width:3px;stroke-linejoin:round}
.tinytorch .edge{fill:none;stroke-width:1.2px}
.tinytorch .box{fill-opacity:.13;stroke-width:1.3px}
.tinytorch .frame{fill-opacity:.05;stroke-width:1.3px;stroke-dasharray:5 3}
.tinytorch .heat{stroke-width:0}
.tinytorch .bar{fill-opacity:.85;stroke-width:0}
.tinytorch .end{stroke-width:1px}
.tinytorch g.link:hover .edge{stroke-width:2.6px}
""".strip()


@dataclass
class Head:
    """What stands above the drawing."""

    name: str
    nodes: int
    kernels: int
    total: Cost
    how: str = ""  # where times come from
    note: str = ""


def write(picture: Picture, head: Head, paint: Paint) -> str:
    """The file."""
    return _Writer(head, paint, _longest(picture)).file(picture)


def fitted(drawing: str) -> str:
    """The file as a notebook shows it: no wider than the page, unless text would be too small (then it scrolls)."""

    def shrunk(size: re.Match[str]) -> str:
        scale = max(min(_PAGE / float(size[1]), 1.0), _SMALLEST)
        return f'width="{float(size[1]) * scale:.0f}" height="{float(size[2]) * scale:.0f}"'

    return re.sub(r'width="(\d+)" height="(\d+)"', shrunk, drawing, count=1)


def _longest(picture: Picture) -> float:
    """The longest time of a box; frames are no boxes, but what is in them."""
    return max((b.cost.seconds or 0.0 for b in everything(picture) if b.inside is None), default=0.0)


@dataclass(eq=False)
class _Shape:
    """A box with its lines of text and its place in the layout; `below` is what stands in it, laid out."""

    box: Box
    title: str
    lines: list[str]
    point: Point
    below: _Plan | None = None


@dataclass
class _Plan:
    """A picture laid out."""

    shapes: list[_Shape]
    lines: list[tuple[Line, list[Edge]]]
    width: float
    height: float
    parts: list[str] = field(default_factory=list[str])


class _Writer:
    def __init__(self, head: Head, paint: Paint, longest: float) -> None:
        self.head = head
        self.paint = paint
        self.longest = longest
        self.tags = 0

    def file(self, picture: Picture) -> str:
        plan = self.plan(picture)
        top, header, wide = self.header(picture)
        labels = 58.0 if any(box.kind == "kernel" for box in picture.boxes) else 0.0
        width = max(plan.width + labels, wide) + 2 * _MARGIN
        height = plan.height + top + 2 * _MARGIN
        left = _MARGIN + labels + max(0.0, (width - 2 * _MARGIN - labels - plan.width) / 2)
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="tinytorch" role="img" width="{width:.0f}" '
            f'height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}">',
            f"<style>{_style()}</style>",
            f"<desc>{escape(self.head.name)}: {escape(self.summary())}</desc>",
            f'<rect class="ground" width="{width:.0f}" height="{height:.0f}"/>',
            *header,
            f'<g transform="translate({left:.1f} {top + _MARGIN:.1f})">',
            *(self.waves(plan, _MARGIN - left) if labels else ()),
            *self.drawn(plan),
            "</g>",
            "</svg>",
        ]
        return _NO_XML.sub("\ufffd", "\n".join(parts) + "\n")

    # What stands above.
    def summary(self) -> str:
        head, total = self.head, self.head.total
        found = f"{head.nodes:,} node{'s' * (head.nodes != 1)}"
        found += f" in {head.kernels:,} kernel{'s' * (head.kernels != 1)}" if head.kernels else ""
        found += f" · {operations(total.flops)}"
        return found if total.seconds is None else f"{found} · {duration(total.seconds)} {head.how}".rstrip()

    def header(self, picture: Picture) -> tuple[float, list[str], float]:
        """Its height, its parts and its width."""
        notes = [note for note in (self.head.note, picture.note) if note]
        lines = [self.summary(), *notes]
        parts = [f'<text class="title head" x="{_MARGIN}" y="{_MARGIN + 13}">{escape(self.head.name)}</text>']
        for i, line in enumerate(lines):
            parts.append(f'<text class="small" x="{_MARGIN}" y="{_MARGIN + 32 + 15 * i}">{escape(line)}</text>')
        y = _MARGIN + 32 + 15 * len(lines)
        legend, wide = self.legend(picture, y)
        name = 1.16 * text_width(self.head.name, _NAME)  # bold
        return y + 14, [*parts, *legend], max(wide, name, *(text_width(line, _SMALL) for line in lines))

    def legend(self, picture: Picture, y: float) -> tuple[list[str], float]:
        parts: list[str] = []
        x = _MARGIN
        if self.paint == "time":
            for i in range(6):
                parts.append(f'<rect class="heat" x="{x}" y="{y - 9}" width="16" height="10" {_heat(i / 5)}/>')
                x += 16
            parts.append(f'<text class="small" x="{x + 6}" y="{y}">0 to {duration(self.longest)}</text>')
            return parts, x + 110
        for phase in PHASE_COLORS:
            if any(box.phase == phase for box in everything(picture)):
                parts.append(f'<rect class="box {phase}" x="{x}" y="{y - 9}" width="14" height="10" rx="2"/>')
                parts.append(f'<text class="small" x="{x + 19}" y="{y}">{phase}</text>')
                x += 34 + text_width(phase, _SMALL)
        if self.longest:
            text = f"bar: time, of the longest {duration(self.longest)}"
            parts.append(f'<rect class="bar forward" x="{x}" y="{y - 5}" width="14" height="3"/>')
            parts.append(f'<text class="small" x="{x + 19}" y="{y}">{text}</text>')
            x += 34 + text_width(text, _SMALL)
        return parts, x

    def waves(self, plan: _Plan, x: float) -> list[str]:
        """The number of the wave beside each row, where a row is one wave."""
        rows: dict[int, list[_Shape]] = {}
        for shape in plan.shapes:
            if shape.box.kind == "kernel":
                rows.setdefault(shape.point.row, []).append(shape)
        parts: list[str] = []
        known = -1
        for shapes in rows.values():
            wave = shapes[0].box.wave
            if wave != known and all(s.box.wave == wave for s in shapes):
                y = min(s.point.y for s in shapes) + 19
                parts.append(f'<text class="label" x="{x:.1f}" y="{y:.1f}">wave {wave}</text>')
            known = wave
        return parts

    # Laying out.
    def plan(self, picture: Picture) -> _Plan:
        ranks = _ranks(picture)
        shapes = {box: self.shape(box, ranks[box]) for box in picture.boxes}
        between: dict[tuple[Box, Box], list[Edge]] = {}
        for edge in picture.edges:
            between.setdefault((edge.source, edge.target), []).append(edge)
        lines = [(Line(shapes[a].point, shapes[b].point), edges) for (a, b), edges in between.items()]
        width, height = lay_out([s.point for s in shapes.values()], [line for line, _ in lines])
        return _Plan(list(shapes.values()), lines, width, height)

    def shape(self, box: Box, rank: int) -> _Shape:
        title = shortened(box.title)
        if box.count > 1:
            title += f"  × {box.count}"
        if box.cost.seconds is not None and box.kind != "input":
            title += f", {duration(box.cost.seconds)}"
        lines = [shortened(line) for line in captions(box) if line]
        wide = max(
            [
                1.16 * text_width(title, _TITLE),  # bold
                *(text_width(line, _SMALL) for line in lines),
            ]
        )
        width, height = max(wide + 2 * _PAD, 60.0), 2 * _PAD + 8 + 14 * len(lines)
        below = self.plan(box.inside) if box.inside is not None and box.inside.boxes else None
        if below is not None:
            width, height = max(width, below.width + 2 * _PAD + 6), height + below.height + _PAD
        return _Shape(box, title, lines, Point(width, height, rank), below)

    # Drawing.
    def drawn(self, plan: _Plan) -> list[str]:
        ends = _ends(plan.lines)
        edges = [part for line, found in plan.lines if not line.cut for part in self.link(line, found, ends[line])]
        bodies = [part for shape in plan.shapes for part in self.body(shape)]
        return [*edges, *bodies, *self.labels(plan, ends), *self.pairs(plan)]

    def link(self, line: Line, edges: Sequence[Edge], ends: tuple[float, float]) -> list[str]:
        x, y = ends[0], line.source.y + line.source.height
        path = [f"M{x:.1f} {y:.1f}"]
        if line.source.floor > y + _PAD:  # past a higher neighbour
            y = line.source.floor
            path.append(f"V{y:.1f}")
        for bend in line.through:
            path.append(_curve(x, y, bend.x, bend.y))
            x, y = bend.x, bend.y + bend.height
            path.append(f"V{y:.1f}")
        tx, ty = ends[1], line.target.y - 5
        path.append(_curve(x, y, tx, ty))
        tip = f"M{tx - 3.5:.1f} {ty - 1:.1f}h7l-3.5 6z"
        title = f"{edges[0].source.title} → {edges[0].target.title}: {', '.join(e.type for e in edges)}"
        return [
            f'<g class="link"><title>{escape(title)}</title><path class="edge" d="{"".join(path)}"/>'
            f'<path class="tip" d="{tip}"/></g>'
        ]

    def labels(self, plan: _Plan, ends: dict[Line, tuple[float, float]]) -> list[str]:
        """What flows, once where it leaves a box."""
        seen: set[tuple[Box, str]] = set()
        counts: dict[Point, int] = {}
        parts: list[str] = []
        for line, edges in plan.lines:
            fresh = [e for e in edges if (e.source, e.type) not in seen]
            if line.cut or not fresh or edges[0].source.kind == "input":
                continue
            seen.update((e.source, e.type) for e in fresh)
            row = counts[line.source] = counts.get(line.source, -1) + 1
            more = f" + {len(fresh) - 1}" if len(fresh) > 1 else ""
            end = line.source.y + line.source.height + _BEHIND * (edges[0].source.count > 1)
            x, y = ends[line][0] + 4, end + 12 + 11 * (row % 3)
            parts.append(f'<text class="label halo" x="{x:.1f}" y="{y:.1f}">{escape(fresh[0].type)}{more}</text>')
        return parts

    def body(self, shape: _Shape) -> list[str]:
        box, point = shape.box, shape.point
        x, y = point.x - point.width / 2, point.y
        at = f'x="{x:.1f}" y="{y:.1f}" width="{point.width:.1f}" height="{point.height:.1f}" rx="7"'
        parts = [f"<g><title>{escape(tooltip(box))}</title>"]
        if box.count > 1:
            x2, y2 = x + _BEHIND, y + _BEHIND
            behind = f'x="{x2:.1f}" y="{y2:.1f}" width="{point.width:.1f}" height="{point.height:.1f}" rx="7"'
            parts.append(f'<rect class="box {self.color(box)}" {behind}/>')
        parts.append(f'<rect class="under" {at}/>')
        kind = "end" if box.kind in ("input", "output") else "frame" if shape.below is not None else "box"
        parts.append(f'<rect class="{kind} {self.color(box)}" {at}/>')
        share = (box.cost.seconds or 0.0) / self.longest if self.longest else 0.0
        if self.paint == "time" and kind == "box":
            parts.append(f'<rect class="heat" {at} {_heat(share)}/>')
        elif share and kind == "box":
            long = max(1.0, share * (point.width - 14))
            low = y + point.height - 5
            parts.append(
                f'<rect class="bar {self.color(box)}" x="{x + 7:.1f}" y="{low:.1f}" width="{long:.1f}" height="3"/>'
            )
        parts.append(f'<text class="title" x="{x + _PAD:.1f}" y="{y + 18:.1f}">{escape(shape.title)}</text>')
        for i, line in enumerate(shape.lines):
            parts.append(f'<text class="small" x="{x + _PAD:.1f}" y="{y + 33 + 14 * i:.1f}">{escape(line)}</text>')
        if shape.below is not None:
            left = x + (point.width - shape.below.width) / 2
            down = y + point.height - shape.below.height - _PAD
            parts += [f'<g transform="translate({left:.1f} {down:.1f})">', *self.drawn(shape.below), "</g>"]
        return [*parts, "</g>"]

    def color(self, box: Box) -> str:
        return "other" if self.paint == "time" or not box.phase else box.phase

    def pairs(self, plan: _Plan) -> list[str]:
        """Edges that run far, as the same number at both ends."""
        numbers: dict[Point, int] = {}
        shapes = {shape.point: shape for shape in plan.shapes}
        targets: dict[Point, list[Line]] = {}
        sources: dict[Point, list[Line]] = {}
        for line, _ in plan.lines:
            if line.cut:
                targets.setdefault(line.target, []).append(line)
                sources.setdefault(line.source, []).append(line)
        parts: list[str] = []
        for point, lines in sources.items():
            self.tags += 1
            numbers[point] = self.tags
            goes = ", ".join(dict.fromkeys(shapes[line.target].title for line in lines))
            x, y = point.x + point.width / 2 + 5, point.y + point.height / 2
            parts += _tag(x, y, str(self.tags), f"read further down by {goes}", self.color(shapes[point].box))
        for point, lines in targets.items():
            for i, line in enumerate(lines[:_MOST_TAGS]):
                more = i == _MOST_TAGS - 1 and len(lines) > _MOST_TAGS
                text = f"+{len(lines) - i}" if more else str(numbers[line.source])
                title = f"from {shapes[line.source].title}"
                x = point.x - point.width / 2 + 5 + 24 * i
                parts += _tag(x, point.y - 2, text, title, self.color(shapes[line.source].box))
        return parts


def _ranks(picture: Picture) -> dict[Box, int]:
    """By wave, without the numbers that are not there, and always below what is read."""
    waves = {
        wave: i for i, wave in enumerate(sorted({b.wave for b in picture.boxes if b.kind not in ("input", "output")}))
    }
    into = {box: [e.source for e in picture.into.get(box, ())] for box in picture.boxes}
    ranks: dict[Box, int] = {}
    for box in _ordered(picture):
        least = 0 if box.kind in ("input", "output") else waves[box.wave] + 1
        ranks[box] = max([least, *(ranks[source] + 1 for source in into[box])])
    return ranks


def _ordered(picture: Picture) -> list[Box]:
    """Every box behind those that it reads."""
    left = {box: len(picture.into.get(box, ())) for box in picture.boxes}
    out: dict[Box, list[Box]] = {}
    for edge in picture.edges:
        out.setdefault(edge.source, []).append(edge.target)
    ready = [box for box, n in left.items() if not n]
    for box in ready:
        for target in out.get(box, ()):
            left[target] -= 1
            if not left[target]:
                ready.append(target)
    return ready


def _ends(lines: Sequence[tuple[Line, list[Edge]]]) -> dict[Line, tuple[float, float]]:
    """Where edges leave and reach their boxes: side by side, in the order in which they run on."""
    sources: dict[Point, list[Line]] = {}
    targets: dict[Point, list[Line]] = {}
    for line, _ in lines:
        if not line.cut:
            sources.setdefault(line.source, []).append(line)
            targets.setdefault(line.target, []).append(line)
    leaving: dict[Line, float] = {}
    reaching: dict[Line, float] = {}
    for point, own in sources.items():
        own.sort(key=lambda line: (line.through[0] if line.through else line.target).x)
        leaving.update(zip(own, _side_by_side(point, len(own)), strict=True))
    for point, own in targets.items():
        own.sort(key=lambda line: (line.through[-1] if line.through else line.source).x)
        reaching.update(zip(own, _side_by_side(point, len(own)), strict=True))
    return {line: (leaving[line], reaching[line]) for line, _ in lines if not line.cut}


def _side_by_side(point: Point, number: int) -> list[float]:
    step = min(58.0, 0.8 * point.width / number)
    return [point.x + (i - (number - 1) / 2) * step for i in range(number)]


def _curve(x: float, y: float, tx: float, ty: float) -> str:
    middle = (y + ty) / 2
    return f"C{x:.1f} {middle:.1f} {tx:.1f} {middle:.1f} {tx:.1f} {ty:.1f}"


def _tag(x: float, y: float, text: str, title: str, color: str) -> list[str]:
    at = f'x="{x - 11:.1f}" y="{y - 7:.1f}" width="22" height="14" rx="7"'
    return [
        f'<g><title>{escape(title)}</title><rect class="under" {at}/><rect class="box {color}" {at}/>'
        f'<text class="label" x="{x:.1f}" y="{y + 3.5:.1f}" text-anchor="middle">{text}</text></g>'
    ]


def _heat(share: float) -> str:
    return f'fill-opacity="{0.03 + 0.62 * math.sqrt(share):.3f}"'  # the eye sees small shares too


def _style() -> str:
    light, dark = [], []
    colors = {**PHASE_COLORS, "other": ("#8b949e", "#768390")}
    for name, (lit, unlit) in colors.items():
        light.append(f".tinytorch .{name}{{fill:{lit};stroke:{lit}}}")
        dark.append(f".tinytorch .{name}{{fill:{unlit};stroke:{unlit}}}")
    for name, (what, lit, unlit) in _THEME.items():
        light.append(f".tinytorch {name}{{{what}:{lit}}}")
        dark.append(f".tinytorch {name}{{{what}:{unlit}}}")
    return f"{_PLAIN}\n" + "\n".join(light) + "\n@media (prefers-color-scheme:dark){\n" + "\n".join(dark) + "\n}"
